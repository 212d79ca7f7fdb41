"""Small searches for the runner's tests."""

from __future__ import annotations

from collections.abc import Sequence

from reason.types import (
    Candidate,
    Outcome,
    Path,
    Problem,
    Until,
)
from reason.work import Search, SearchRun, extend, judge


def sample(n: int, enough: int | None = None) -> Search:
    """n whole solutions, unjudged; with `enough` it stops waiting once so many are there."""

    def run(problem: Problem) -> SearchRun:
        decided = None if enough is None else lambda steps: sum(step is not None for step in steps) >= enough
        paths = yield from extend([Path(problem)] * n, enough=decided)
        return Outcome(problem, paths[0].text, paths[0], candidates=tuple(Candidate(p, p.text) for p in paths))

    return run


def sample_and_judge(n: int) -> Search:
    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * n)
        scores = yield from judge(paths)
        found = tuple(Candidate(p, p.text, s.value) for p, s in zip(paths, scores, strict=True))
        return Outcome(problem, paths[0].text, paths[0], candidates=found)

    return run


def stepwise(n: int) -> Search:
    """n chains, step by step, each step judged."""

    def run(problem: Problem) -> SearchRun:
        paths, done = [Path(problem)] * n, list[Path]()
        while paths:
            paths = yield from extend(paths, Until.STEP)
            yield from judge(paths)
            done += [path for path in paths if not path.open]
            paths = [path for path in paths if path.open]
        return Outcome(problem, done[0].text, done[0], candidates=tuple(Candidate(p, p.text) for p in done))

    return run


def texts(outcomes: Sequence[Outcome]) -> list[list[str]]:
    return [[candidate.path.text for candidate in outcome.candidates] for outcome in outcomes]
