"""Unit tests for code: a solution is worth the share of its problem's tests that it passes.

The solution's fenced Python block is run with each test of `problem.meta["tests"]` in a sandboxed subprocess
(`reason.scorers.sandbox`, whose docstring says what that prevents and what not). A test is a text of Python statements
that see the solution's names and fail by raising (as in MBPP and HumanEval), preceded by `problem.meta["setup"]` if
there is one; or `{"input": …, "output": …}` for a program that reads standard input (as in APPS), whose output is
compared line by line without trailing white space; the process that runs the program is not told that output.

This runs text that a model wrote on your machine, so it has to be asked for: `UnitTests(allow_execution=True)`.
"""

from __future__ import annotations

import asyncio
import math
import re
import warnings
from collections.abc import Mapping, Sequence

from reason.identity import identified
from reason.scorers.sandbox import Limits, Test, lacking, run_tests
from reason.search.strategy import at_least, one_of
from reason.types import BackendError, Finish, Path, Problem, Score, UsageError

BLOCKS = ("last", "first", "all")
LONGEST = 200_000
_NAN = math.nan
_JUDGED = (Finish.STOP, Finish.LENGTH, Finish.BUDGET)
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^`\n]*$", re.MULTILINE)
_PYTHON = ("python", "py", "python3")


def python_block(text: str, block: str = "last") -> str | None:
    """The Python code of a solution, or None.

    Fences marked as Python come first, then those with no mark; one that is not closed goes to the end.

    Args:
        text: The solution; what stands before `</think>` is left out.
        block: Which fence: "last", "first", or "all" of them, joined.
    """
    found = fences(text[text.rfind("</think>") + len("</think>") if "</think>" in text else 0 :])
    marked = [code for mark, code in found if mark in _PYTHON] or [code for mark, code in found if not mark]
    if not marked:
        return None
    return "\n".join(marked) if block == "all" else marked[0 if block == "first" else -1]


def fences(body: str) -> list[tuple[str, str]]:
    """The marks (in lower case) and texts of all fenced blocks, in order; one that is not closed goes to the end."""
    found, at = list[tuple[str, str]](), 0
    while opening := _FENCE.search(body, at):
        close = re.compile(rf"^[ \t]*{re.escape(opening[1])}[ \t]*$", re.MULTILINE).search(body, opening.end())
        found.append((opening[2].lower(), body[opening.end() + 1 : close.start() if close else len(body)]))
        at = close.end() if close else len(body)
    return found


class UnitTests:
    """Runs solutions' code with the tests of their problems.

    Args:
        allow_execution: Must be True: it runs what a model wrote.
        limits: What one solution may use.
        block: Which fenced block is the solution: "last", "first" or "all".
        packages: Whether installed packages can be imported, not the standard library alone.
        workers: Solutions run at a time.
        oracle: False where the tests are among what the question shows.
        name: For reports.

    Raises:
        UsageError: `allow_execution` is not True, or an option is out of range.
    """

    parameters = 0

    def __init__(
        self,
        *,
        allow_execution: bool = False,
        limits: Limits = Limits(),  # noqa: B008
        block: str = "last",
        packages: bool = False,
        workers: int = 2,
        oracle: bool = True,
        name: str = "unit-tests",
    ) -> None:
        if allow_execution is not True:
            raise UsageError(
                "unit tests run code that a model wrote, on this machine, in a sandbox that is no virtual machine "
                "(reason.scorers.sandbox says what it prevents): pass allow_execution=True if you want that"
            )
        self._limits, self._packages = limits, packages
        self._block, self._workers = one_of("block", block, BLOCKS), at_least("workers", workers)
        self.oracle, self.name = oracle, name
        self.lacking = lacking()
        if self.lacking:
            warnings.warn(
                f"the sandbox cannot hold {', '.join(self.lacking)} here (see reason.scorers.sandbox): run it in a "
                "container or virtual machine if you distrust the model",
                RuntimeWarning,
                stacklevel=2,
            )

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, limits=self._limits, block=self._block, packages=self._packages, oracle=self.oracle)

    def validate(self, problems: Sequence[Problem]) -> None:
        """Refuse problems without usable tests.

        Raises:
            UsageError: Naming the first.
        """
        for problem in problems:
            _tests_of(problem)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """The share of passed tests per path, 0 without a Python block; NaN for open and failed paths.

        A sandbox that fails for some of the paths leaves those alone unscored.

        Raises:
            BackendError: It fails for all of them.
        """
        gate = asyncio.Semaphore(self._workers)

        async def one(path: Path) -> Score:
            async with gate:
                return await asyncio.to_thread(self._score, path)

        scores = await asyncio.gather(*(one(path) for path in paths), return_exceptions=True)
        for score in scores:
            if isinstance(score, BaseException) and not isinstance(score, BackendError | OSError):
                raise score
        failed = [score for score in scores if isinstance(score, BaseException)]
        if failed and len(failed) == len(scores):
            raise BackendError(f"no solution could be run: {failed[0]}") from failed[0]
        return [Score(_NAN, error=str(score)) if isinstance(score, BaseException) else score for score in scores]

    def _score(self, path: Path) -> Score:
        if path.finish not in _JUDGED:
            return Score(math.nan, error=f"only finished solutions can be run; this path is at {path.finish.value!r}")
        try:
            tests = _tests_of(path.problem)
        except UsageError as error:
            return Score(math.nan, error=str(error))
        code = python_block(path.text, self._block)
        if code is None or len(code) > LONGEST:
            return Score(0.0, explanation="no fenced Python block" if code is None else f"over {LONGEST} characters")
        tried = run_tests(code, tests, self._limits, packages=self._packages)
        passed = sum(test.passed for test in tried)
        failed = [f"test {place}: {test.why}" for place, test in enumerate(tried, 1) if not test.passed]
        return Score(passed / len(tried), explanation="\n".join([f"{passed} of {len(tried)} tests passed", *failed]))


def _tests_of(problem: Problem) -> list[Test]:
    """The problem's tests, each complete.

    Raises:
        UsageError: It has none, or one of another form.
    """
    given, setup = problem.meta.get("tests"), problem.meta.get("setup", "")
    if not isinstance(given, list | tuple) or not given:
        raise UsageError(
            f"{problem.id} has no tests: give Problem(meta={{'tests': ['assert add(1, 2) == 3', "
            "{'input': '1 2', 'output': '3'}]})"
        )
    tests = list[Test]()
    for test in given:
        if isinstance(test, str):
            tests.append(f"{setup}\n{test}" if setup else test)
        elif isinstance(test, Mapping) and all(isinstance(test.get(key), str) for key in ("input", "output")):
            tests.append({"input": test["input"], "output": test["output"]})
        else:
            raise UsageError(f"{problem.id} has the test {test!r:.60}: it must be statements, or input and output")
    return tests
