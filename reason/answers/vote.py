"""Voting over answers that may be written differently.

Answers are keyed by normal form and groups whose answers are equal by the exact tier are merged, so `0.5`, `1/2` and
`\\frac12` are one candidate. Ties go to the group that was seen first; no answer (None) never wins against an answer.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from reason.answers import exact
from reason.types import UsageError


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
            groups.setdefault(exact.key(answer), []).append(index)
    found = [_group(answers[members[0]], members, weights) for members in groups.values()]
    found.sort(key=lambda group: (-group.weight, group.members[0]))
    return found + ([_group(None, missing, weights)] if missing else [])


def _group(answer: str | None, members: Sequence[int], weights: Sequence[float]) -> Group:
    weight = math.fsum(weights[index] for index in members if not math.isnan(weights[index]))
    return Group(answer, tuple(members), weight)
