"""The three requests a search can make, and the verbs that make them.

A search is a generator: it yields `Extend`, `Judge` and `Compare` and is sent lists back. It never awaits, never
touches a model and keeps no clock, so one body runs under every runner.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from reason.types import Finish, Outcome, Path, Problem, Score, Step, Until


@dataclass(frozen=True, slots=True)
class Extend:
    """One continuation per path.

    Attributes:
        paths: Open paths. A path may be listed many times: each copy gets its own seed and they share the prefill.
        until: The next step boundary, so many tokens, or the end.
        enough: Called with the steps so far (None = not yet there) as they land; True cancels what is in flight.
        temperature: Replaces the run's temperature (0 = greedy); None keeps it.
        tokens: Most new tokens of each continuation; Until.STEP and Until.SPAN then end with Finish.STEP, Until.END
            with Finish.LENGTH. None: the run's `max_step_tokens` and `max_tokens`.
        step_end, stop: Replace the run's strings; None keeps them.
        confidence: Replaces the run's `Sampling.confidence`; None keeps it.

    A path may stand under a problem of the search's own making (`ask`): the policy is asked that question, and budget,
    seeds and cost remain those of the problem that is being solved.
    """

    paths: tuple[Path, ...]
    until: Until = Until.END
    enough: Callable[[Sequence[Step | None]], bool] | None = None
    temperature: float | None = None
    tokens: int | None = None
    step_end: tuple[str, ...] | None = None
    stop: tuple[str, ...] | None = None
    confidence: int | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """One score per path."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """One score per pair of paths: the probability that the first is the better one, NaN if that cannot be told."""

    pairs: tuple[tuple[Path, Path], ...]


Work: TypeAlias = Extend | Judge | Compare
Results: TypeAlias = list[Step] | list[Score]
SearchRun: TypeAlias = Generator[Work, Results, Outcome]
Search: TypeAlias = Callable[[Problem], SearchRun]


def extend(
    paths: Sequence[Path],
    until: Until = Until.END,
    *,
    enough: Callable[[Sequence[Step | None]], bool] | None = None,
    temperature: float | None = None,
    tokens: int | None = None,
    step_end: tuple[str, ...] | None = None,
    stop: tuple[str, ...] | None = None,
    confidence: int | None = None,
) -> Generator[Work, Results, list[Path]]:
    """Extend each path once; returns the extended paths, same order and length. Arguments as in `Extend`."""
    if not paths:
        return []
    steps = yield Extend(tuple(paths), until, enough, temperature, tokens, step_end, stop, confidence)
    return [path.then(step) for path, step in zip(paths, steps, strict=True) if isinstance(step, Step)]


def judge(paths: Sequence[Path]) -> Generator[Work, Results, list[Score]]:
    """Score each path; returns the scores, same order and length."""
    if not paths:
        return []
    scores = yield Judge(tuple(paths))
    return [score for score in scores if isinstance(score, Score)]


def compare(pairs: Sequence[tuple[Path, Path]]) -> Generator[Work, Results, list[Score]]:
    """Compare the paths of each pair; returns the probability that the first is better, same order and length."""
    if not pairs:
        return []
    scores = yield Compare(tuple(pairs))
    return [score for score in scores if isinstance(score, Score)]


def ask(problem: Problem, question: str) -> Path:
    """A path on which the policy is asked something else about the problem (a revision, a critique, a vote)."""
    return Path(replace(problem, question=question))


def exhausted(paths: Sequence[Path]) -> bool:
    """Whether the budget ended every one of these extensions: the search should conclude."""
    return bool(paths) and all(path.finish is Finish.BUDGET for path in paths)
