"""Accuracy at every k up to n, from one run of n samples: what `reason eval` adds to its summary.

A strategy that selects among n independent samples (`Strategy.selection`) has drawn all that the same selection among
fewer would have drawn, so its run gives the expected accuracy of every selection at every k (`reason.evals.subsets`),
at k / n of its tokens. A strategy whose samples depend on each other (beam, MCTS), or on what was answered before
(adaptive self-consistency), has no such curve, and neither has a run that a budget cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from reason.answers import Verdict
from reason.evals.subsets import NAMES, Samples, curves, expectations
from reason.types import Outcome, Problem, UsageError

Sampled = tuple[str | None, bool, float | None]
"""A sample's answer, whether it is correct, and its value in the selection (None: unscored)."""


class Told(Protocol):
    """What a curve needs of a problem's record."""

    @property
    def samples(self) -> tuple[Sampled, ...] | None: ...
    @property
    def stopped(self) -> str: ...
    @property
    def scored(self) -> bool: ...
    @property
    def generated_tokens(self) -> int: ...


def sampled(
    outcome: Outcome, grade: Callable[[Problem, str], Verdict], selection: str | None
) -> tuple[Sampled, ...] | None:
    """The outcome's independent samples, graded once for each different answer; None for a search that has none.

    Args:
        outcome: What the search came to.
        grade: Compares a solution's text with the gold answer.
        selection: The strategy's `selection`. A sample's value is its weight in a weighted vote, else its score.
    """
    if selection is None:
        return None
    verdicts: dict[str, bool] = {}
    found = list[Sampled]()
    for item in outcome.candidates:
        if item.answer is not None and item.answer not in verdicts:
            verdicts[item.answer] = grade(outcome.problem, item.path.text).correct
        value = item.weight if selection == "weighted" and not math.isnan(item.score) else item.score
        found.append((item.answer, verdicts.get(item.answer or "", False), None if math.isnan(value) else value))
    return tuple(found)


def curve_of(records: Sequence[Told], n: int) -> dict[str, Any]:
    """The expected accuracy of every selection at k = 1 … n; a sample that failed counts as one without an answer.

    Args:
        records: One per problem; those that cannot be graded are left out.
        n: Samples asked for.

    Returns:
        "k"; "tokens", generated per problem at that k; and for "pass" (any correct), "majority" and, where samples were
        scored, "naive" and "weighted": "mean", "low" and "high" (95 %), lists over k, whether they are "exact" and,
        where they are not, the Monte-Carlo standard "error".

    Raises:
        UsageError: The strategy or the run makes a curve invalid, or there is no problem to draw it from.
    """
    rows = [record for record in records if record.scored]
    found = curves(samples_of(rows, n))
    tokens = sum(record.generated_tokens for record in rows) / len(rows)
    told: dict[str, Any] = {"k": list(range(1, n + 1)), "tokens": [round(tokens * k / n, 1) for k in range(1, n + 1)]}
    for name, curve in found.items():
        parts = {"mean": curve.mean, "low": curve.low, "high": curve.high}
        if not curve.exact:
            parts["error"] = curve.error
        told[name] = {part: [round(value, 6) for value in values] for part, values in parts.items()}
        told[name]["exact"] = curve.exact
    return told


def expected_over_k(records: Sequence[Told], n: int, selection: str) -> list[list[float]]:
    """Each problem's expected correctness had only k of its n samples been drawn, for k = 1 … n.

    Args:
        records: One per problem; one that cannot be graded gets NaN.
        n: Samples asked for.
        selection: "pass" (any correct), "majority", "naive" (best score) or "weighted".

    Raises:
        UsageError: No such selection in this run; or as `curve_of`.
    """
    rows = [record for record in records if record.scored]
    found = expectations(samples_of(rows, n), wanted=(selection,))
    if selection not in found:
        able = [name for name in NAMES if name in expectations(samples_of(rows[:1], n))]
        raise UsageError(f"the run's samples allow no {selection!r} selection: use one of {', '.join(able)}")
    values = iter(found[selection].tolist())
    return [next(values) if record.scored else [math.nan] * n for record in records]


def check_k(k: int, n: int) -> None:
    """Refuse a k that n samples say nothing about.

    Raises:
        UsageError: Not 1 <= k <= n.
    """
    if not 1 <= k <= n:
        raise UsageError(f"k is {k} and the run drew n = {n} samples: pass a k from 1 to {n}, or run again with more")


def samples_of(rows: Sequence[Told], n: int) -> list[Samples]:
    """The n samples of each gradable problem, those that failed as ones without an answer.

    Raises:
        UsageError: The strategy or the run makes selections among fewer invalid, or there is no problem.
    """
    if not rows:
        raise UsageError("a curve over k needs at least one problem that could be graded")
    if any(record.samples is None for record in rows):
        raise UsageError(
            "a curve over k needs n independent samples of every problem, and this strategy decides what to sample "
            "next, or when to stop, by what it has: run best_of_n, weighted_best_of_n or self_consistency"
        )
    if any(record.stopped == "budget" for record in rows):
        raise UsageError("a curve over k needs all n samples, and a budget cut this run: leave the budget out")
    whole = [tuple(record.samples or ()) + ((None, False, None),) * (n - len(record.samples or ())) for record in rows]
    judged = any(value is not None for row in whole for _, _, value in row)
    return [
        Samples(
            tuple(answer for answer, _, _ in row),
            tuple(correct for _, correct, _ in row),
            tuple(math.nan if value is None else value for _, _, value in row) if judged else (),
        )
        for row in whole
    ]


def shown_k(n: int) -> list[int]:
    """The k that a table shows: the powers of two, and n."""
    return [*(1 << power for power in range(n.bit_length()) if 1 << power < n), n]
