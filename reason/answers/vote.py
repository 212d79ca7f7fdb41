r"""Voting over answers that may be written differently.

Answers are keyed by normal form, then groups whose first answers are equal both ways by the exact tier are merged, so
`0.5`, `1/2`, `\frac12` and `50\%` are one candidate while `5` and `5\%` are two. The symbolic tier is never asked: a
vote must be quick. Ties go to the group that was seen first, and no answer (None) never wins against an answer.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from reason.answers import exact, keys
from reason.answers.algebra import Limit, Unreadable
from reason.types import UsageError

MOST_MERGED = 64
"""Groups beyond this many are kept apart unless their normal forms are equal."""


@dataclass(frozen=True, slots=True)
class Group:
    """Answers that are equal.

    Attributes:
        answer: The first member's answer, or None for the group without one.
        members: Indices into the voted sequence, ascending.
        weight: Sum of the members' weights; a NaN weight (unscored) adds nothing.
    """

    answer: str | None
    members: tuple[int, ...]
    weight: float


def vote(answers: Sequence[str | None], weights: Sequence[float] | None = None) -> list[Group]:
    """Group equal answers, best first.

    Args:
        answers: One answer per candidate; None or blank where none was found.
        weights: One weight per candidate; None counts each as 1. NaN (unscored) adds nothing to its group.

    Returns:
        The groups by falling weight, ties by earliest member; the group without an answer is always last.

    Raises:
        UsageError: The two sequences differ in length.
    """
    if weights is None:
        weights = [1.0] * len(answers)
    if len(answers) != len(weights):
        raise UsageError(f"vote got {len(answers)} answers and {len(weights)} weights: pass one weight per answer.")
    groups: dict[Hashable, list[int]] = {}
    missing: list[int] = []
    for index, answer in enumerate(answers):
        if answer is None or not answer.strip():
            missing.append(index)
        else:
            groups.setdefault(_key(answer), []).append(index)
    found = [_group(answers[members[0]], members, weights) for members in _merged(groups, answers)]
    found.sort(key=lambda group: (-group.weight, group.members[0]))
    return found + ([_group(None, missing, weights)] if missing else [])


def _merged(groups: dict[Hashable, list[int]], answers: Sequence[str | None]) -> list[list[int]]:
    if len(groups) == 1 or all(type(key) is int for key in groups):
        return list(groups.values())
    kept: list[tuple[Hashable, list[int]]] = []
    for key, members in groups.items():
        for other, joined in kept[:MOST_MERGED]:
            whole = type(key) is int and type(other) is int
            if not whole and _agree(str(answers[joined[0]]), str(answers[members[0]])):
                joined += members
                joined.sort()
                break
        else:
            kept.append((key, members))
    return [members for _, members in kept]


@lru_cache(maxsize=16_384)
def _key(answer: str) -> Hashable:
    return keys.key(answer)


@lru_cache(maxsize=16_384)
def _agree(first: str, second: str) -> bool:
    try:
        return bool(exact.same(first, second)) and bool(exact.same(second, first))
    except (Limit, Unreadable, ArithmeticError, RecursionError):
        return False


def _group(answer: str | None, members: Sequence[int], weights: Sequence[float]) -> Group:
    weight = math.fsum(weights[index] for index in members if not math.isnan(weights[index]))
    return Group(answer, tuple(members), weight)
