"""Budget forcing: a thinking model is kept thinking, or made to stop, and then answers.

s1, Muennighoff et al. 2501.19393. When the thinking ends although it should go on, its end is taken back and "Wait" is
put in its place, so that the model thinks on, which often makes it find a mistake; when the thinking is longer than
allowed, it is cut: its end and "Final Answer:" are put there instead of what the model would have said. n chains are
forced independently of one another; the answer is their vote.

Deviations:

- The paper takes the end back a fixed number of times; so does this, but with `least` only while the thinking is
  shorter than that.
- "Wait" and the end of thinking begin a line of their own.
- An end-of-sequence token inside the thinking counts as its end: the model is then asked for its answer all the same.
- Models without a thinking phase (`end=""`): the end of the solution itself is taken back. If what follows fails or is
  cut short by a limit, the solution as it stood before stays.

n counts forced solutions. They are longer than the model's own, which is their purpose: compare at equal tokens by the
outcome's cost. What is forced was not sampled and is not counted as generated, but as prefill and against `max_tokens`.
While a model thinks, `end` replaces the run's stop strings. The run's `max_tokens` must leave room for the answer.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from reason.budget import step_tokens
from reason.search.select import SELECTIONS, candidate, conclude, judge_unique, paid_for
from reason.search.strategy import PARTIAL, SCORER, Strategy, at_least, one_of
from reason.types import Finish, Path, Problem, Until, UsageError
from reason.work import Results, SearchRun, Work, extend

THINKING, ENDED, CUT, ANSWERING, CLOSED = "thinking", "ended", "cut", "answering", "closed"


@dataclass(frozen=True, slots=True)
class _Settings:
    waits: int
    wait: str
    least: int | None
    thinking: int | None
    end: str
    answer: str


@dataclass(slots=True)
class _Chain:
    """One forced solution.

    Attributes:
        path: What there is of it.
        phase: Whether it is thinking, its thinking has ended by itself or was cut, its answer has begun (a limit fell
            into the end of its thinking, which was then not noticed), or nothing more can come.
        used: Tokens of thinking sampled.
        waits: How often its end was taken back.
        thought: What it thought since then.
        before: The path as it ended by itself before it was last reopened.
    """

    path: Path
    phase: str = THINKING
    used: int = 0
    waits: int = 0
    thought: str = ""
    before: Path | None = None


def budget_forcing(
    n: int = 1,
    *,
    waits: int = 1,
    wait: str = "Wait",
    least: int | None = None,
    thinking: int | None = None,
    end: str = "</think>",
    answer: str = "Final Answer:",
    select: str = "majority",
) -> Strategy:
    """n solutions whose thinking is made longer or cut.

    Args:
        n: Forced solutions.
        waits: How often the end of the thinking is taken back.
        wait: What is put in its place.
        least: Tokens of thinking from which on its end is left alone; None: it is taken back `waits` times in any case.
        thinking: Most tokens of thinking; what is longer is cut and the answer forced. None: as many as the run allows.
        end: The string or special token that ends the thinking; "" for a model that does not think apart: then the end
            of the whole solution is taken back.
        answer: What begins the answer where the thinking was cut.
        select: "majority" votes; "naive" and "weighted" need a scorer.

    Raises:
        UsageError: An argument is out of range.
    """
    at_least("n", n)
    at_least("waits", waits, 0)
    one_of("select", select, SELECTIONS)
    for name, value in (("least", least), ("thinking", thinking)):
        if value is not None:
            at_least(name, value)
    if least is not None and thinking is not None and least > thinking:
        raise UsageError(f"least={least} with thinking={thinking}: least may not exceed thinking; pass a smaller least")
    for name, text in (("wait", wait), ("end", end), ("answer", answer)):
        if not isinstance(text, str) or not (text or name == "end"):
            raise UsageError(f"{name}={text!r}: must be text that is not empty; leave it out for the default")
    settings = _Settings(waits, wait, least, thinking, end, answer)

    def run(problem: Problem) -> SearchRun:
        chains = [_Chain(Path(problem)) for _ in range(n)]
        while going := [chain for chain in chains if chain.phase == THINKING]:
            yield from _think(going, settings)
        yield from _answer([chain for chain in chains if chain.phase != CLOSED], settings)
        solutions = [path for chain in chains if paid_for(path := chain.path)]
        cut = any(path.finish is Finish.BUDGET for path in (chain.path for chain in chains))
        if select == "majority":
            candidates = [candidate(path) for path in solutions]
        else:
            candidates = list(map(candidate, solutions, (yield from judge_unique(solutions))))
        return conclude(problem, candidates, select, stopped="budget" if cut else "done")

    needs = {PARTIAL} if select == "majority" else {PARTIAL, SCORER}
    return Strategy("budget_forcing", run, frozenset(needs))


def _think(chains: Sequence[_Chain], settings: _Settings) -> Generator[Work, Results, None]:
    """Let the chains think until each ends, or until the first has no thinking left."""
    stop = (settings.end,) if settings.end else None
    paths = [chain.path for chain in chains]
    if settings.thinking is None:
        paths = yield from extend(paths, Until.END, stop=stop)
    else:
        left = settings.thinking - max(chain.used for chain in chains)
        paths = yield from extend(paths, Until.SPAN, tokens=left, stop=stop)
    for chain, path in zip(chains, paths, strict=True):
        _note(chain, path, settings)


def _note(chain: _Chain, path: Path, settings: _Settings) -> None:
    """What an extension means for its chain."""
    step = path.steps[-1]
    chain.used += step_tokens(step) - step.tail
    chain.thought += step.text
    spent = settings.thinking is not None and chain.used >= settings.thinking
    if path.complete:
        chain.path = chain.before = path
        wanted = settings.least is None or chain.used < settings.least
        if wanted and chain.waits < settings.waits and not spent:
            chain.waits, chain.thought = chain.waits + 1, ""
            chain.path = _put(path, settings.wait)
        else:
            chain.phase = ENDED if settings.end else CLOSED
    elif path.open:
        chain.path = path
        if settings.end and settings.end in chain.thought:
            chain.phase = ANSWERING
        elif spent or not step.text:
            chain.phase = CUT
    else:
        _close(chain, path, settings)


def _close(chain: _Chain, path: Path, settings: _Settings) -> None:
    """Nothing more can come: the path as far as it got, or as it was before."""
    chain.phase = CLOSED
    failed = path.finish is Finish.ERROR
    if chain.before is not None and (failed or not settings.end):
        chain.path = chain.before
    elif failed and chain.path.steps:
        last = replace(chain.path.steps[-1], finish=Finish.LENGTH)
        chain.path = Path(path.problem, (*chain.path.steps[:-1], last))
    else:
        chain.path = path


def _put(path: Path, text: str) -> Path:
    """The path reopened, with a text on a line of its own."""
    gap = "" if path.text.endswith("\n") or not path.text else "\n"
    return path.reopened().forced(gap + text)


def _answer(chains: Sequence[_Chain], settings: _Settings) -> Generator[Work, Results, None]:
    """The answers of the chains whose thinking is over."""
    end = settings.end + "\n\n" if settings.end else ""
    texts = {ENDED: end, CUT: end + settings.answer}
    starts = [_put(chain.path, texts[chain.phase]) if chain.phase in texts else chain.path for chain in chains]
    paths = yield from extend(starts)
    for chain, path in zip(chains, paths, strict=True):
        if path.complete:
            chain.path = path
        else:
            _close(chain, path, settings)
