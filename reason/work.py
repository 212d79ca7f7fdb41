"""The two requests a search can make, and the two verbs that make them.

A search is a generator: it yields `Extend` and `Judge` and is sent lists back. It never awaits, never touches a model
and keeps no clock, so one body runs under every runner.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reason.types import Finish, Outcome, Path, Problem, Score, Step, Until


@dataclass(frozen=True, slots=True)
class Extend:
    """One continuation per path.

    Attributes:
        paths: Open paths. A path may be listed many times: each copy gets its own seed and they share the prefill.
        until: The next step boundary, or the end.
        enough: Called with the steps so far (None = not yet there) as they land; True cancels what is in flight.
        temperature: Replaces the run's temperature (0 = greedy); None keeps it.
    """

    paths: tuple[Path, ...]
    until: Until = Until.END
    enough: Callable[[Sequence[Step | None]], bool] | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """One score per path."""

    paths: tuple[Path, ...]


Work: TypeAlias = Extend | Judge
Results: TypeAlias = list[Step] | list[Score]
SearchRun: TypeAlias = Generator[Work, Results, Outcome]
Search: TypeAlias = Callable[[Problem], SearchRun]


def extend(
    paths: Sequence[Path],
    until: Until = Until.END,
    *,
    enough: Callable[[Sequence[Step | None]], bool] | None = None,
    temperature: float | None = None,
) -> Generator[Work, Results, list[Path]]:
    """Extend each path once; returns the extended paths, same order and length."""
    if not paths:
        return []
    steps = yield Extend(tuple(paths), until, enough, temperature)
    return [path.then(step) for path, step in zip(paths, steps, strict=True) if isinstance(step, Step)]


def judge(paths: Sequence[Path]) -> Generator[Work, Results, list[Score]]:
    """Score each path; returns the scores, same order and length."""
    if not paths:
        return []
    scores = yield Judge(tuple(paths))
    return [score for score in scores if isinstance(score, Score)]


def exhausted(paths: Sequence[Path]) -> bool:
    """Whether the budget ended every one of these extensions: the search should conclude."""
    return bool(paths) and all(path.finish is Finish.BUDGET for path in paths)
