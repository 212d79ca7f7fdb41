"""Any function text -> text as a policy: a server's client, another library, a person.

The function is given the prompt and, where it can continue partial answers, the text so far; what it returns is the
rest of the solution, of which an extension to the next step keeps one step and a span its tokens. Sampling is the
function's own affair: a run's temperature and seeds do not reach it, so it must itself answer differently each time for
a strategy that samples. Text is counted at four characters a token (`reason.budget.estimate_tokens`) and cut where it
passes its limit.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from reason.budget import CHARACTERS_PER_TOKEN, path_tokens
from reason.identity import identified
from reason.types import BackendError, Capabilities, Finish, Path, Sampling, Step, Until, UsageError

TextFunction = Callable[[str], str] | Callable[[str], Awaitable[str]]


class FunctionPolicy:
    """Samples solutions from a function.

    Args:
        function: Text -> text; may be asynchronous. A synchronous one runs in threads.
        template: The prompt; `{question}` stands for the question.
        partial: Whether the function can be given a prompt and the beginning of its answer, and continues it.
        step_end: Strings that end a step, where the run's sampling names none.
        workers: Calls at a time.
        name: For reports; None is the function's own.

    Raises:
        UsageError: The template has no place for the question, or there are no workers.
    """

    def __init__(
        self,
        function: TextFunction,
        *,
        template: str = "{question}\n",
        partial: bool = False,
        step_end: tuple[str, ...] = ("\n",),
        workers: int = 8,
        name: str | None = None,
    ) -> None:
        if "{question}" not in template:
            raise UsageError(f"template {template!r:.60} has no place for the question; put {{question}} into it")
        if workers < 1:
            raise UsageError(f"workers is {workers}; it is how many calls run at a time, at least 1")
        if isinstance(step_end, str) or not all(step_end):
            raise UsageError(f"step_end is {step_end!r}; it must be a tuple of strings, none of them empty")
        self._function, self._template, self._step_end, self._workers = function, template, step_end, workers
        self._name = name
        self._asynchronous = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004
        )
        self._threads = None if self._asynchronous else ThreadPoolExecutor(workers, "reason-function")
        self._gate: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None
        self.capabilities = Capabilities(name or str(getattr(function, "__name__", type(function).__name__)), partial)

    @property
    def identity(self) -> str:
        """What its steps are kept by in a store: the given name, or the function's own with its module.

        Raises:
            UsageError: It has neither.
        """
        name = self._name or str(getattr(self._function, "__qualname__", "<"))
        if "<lambda>" in name or name == "<":
            raise UsageError(
                f"the function {self.capabilities.name!r} cannot be told from others, so a store would mix their "
                "answers: give it a name, reason.wrap(function, name='model and version')"
            )
        where = "" if self._name else f"{self._function.__module__}."
        return identified(self, function=f"{where}{name}", template=self._template, step_end=self._step_end)

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One continuation per path; see `reason.types.Policy`. Where the function raises, the step says so."""
        return await asyncio.gather(*(self._guarded(path, sampling) for path in paths))

    async def _guarded(self, path: Path, sampling: Sampling) -> Step:
        try:
            return self.cut(await self._ask(path), path, sampling)
        except Exception as error:
            return Step("", finish=Finish.ERROR, error=f"{type(error).__name__}: {error}")

    async def _ask(self, path: Path) -> str:
        prompt = self._template.replace("{question}", path.problem.question) + path.text
        async with self._semaphore():
            if self._threads is not None:
                answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._function, prompt)
            else:
                answer = self._function(prompt)
            if inspect.isawaitable(answer):
                answer = await answer
        if not isinstance(answer, str):
            raise BackendError(f"the function returned {type(answer).__name__}; it must return text")
        return answer

    def _semaphore(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._gate is None or self._gate[0] is not loop:
            self._gate = (loop, asyncio.Semaphore(self._workers))
        return self._gate[1]

    def cut(self, text: str, path: Path, sampling: Sampling) -> Step:
        """The step that a returned text amounts to: up to a stop string, a step's end, or the limit on tokens."""
        finish = Finish.STOP
        ends = [text.find(stop) for stop in sampling.stop if stop in text]
        text = text[: min(ends)] if ends else text
        limit = sampling.max_tokens - path_tokens(path)
        if sampling.until is Until.STEP:
            end = _step_end(text, sampling.step_end or self._step_end)
            if text[end:].strip():
                text, finish = text[:end], Finish.STEP
        most = sampling.max_step_tokens
        if sampling.until is not Until.END and most < limit and len(text) > most * CHARACTERS_PER_TOKEN:
            return Step(text[: most * CHARACTERS_PER_TOKEN])
        if len(text) > limit * CHARACTERS_PER_TOKEN:
            return Step(text[: limit * CHARACTERS_PER_TOKEN], finish=Finish.LENGTH)
        return Step(text, finish=finish)


def _step_end(text: str, marks: Sequence[str]) -> int:
    """Where the first step ends that holds more than white space; the text's length if none does."""
    start = len(text) - len(text.lstrip())
    ends = [text.find(mark, start) + len(mark) for mark in marks if text.find(mark, start) >= 0]
    return min(ends, default=len(text))
