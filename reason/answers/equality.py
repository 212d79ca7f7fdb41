"""Comparing a prediction with a gold answer: the exact tier first, the symbolic tier for what it cannot decide."""

from __future__ import annotations

import time

from reason.answers import exact
from reason.answers.verdict import DEFAULT_RULES, Grade, Rules, Verdict


def equal(gold: str | None, pred: str | None, *, rules: Rules = DEFAULT_RULES) -> Verdict:
    """Grade an extracted answer against the gold one.

    Args:
        gold: The gold answer as the data set has it.
        pred: The extracted answer, or None where there is none.
        rules: The comparison policy.

    Returns:
        The verdict; never raises on any text.
    """
    started = time.perf_counter()
    if gold is None or not gold.strip():
        grade = Grade.GOLD_ERROR
    elif pred is None or not pred.strip():
        grade = Grade.NO_ANSWER
    else:
        grade = Grade.CORRECT if exact.same(gold, pred) else Grade.INCORRECT
    return Verdict(grade, "exact", (time.perf_counter() - started) * 1e3)
