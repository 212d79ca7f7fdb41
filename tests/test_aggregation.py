"""A score aggregated anew equals the one that the scorer would have given."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.scorers.aggregation import AGGREGATIONS, aggregated_anew, aggregation
from reason.types import Score, UsageError

VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def given_by(name: str, lines: list[float], *, whole: bool) -> Score:
    """What `ProcessScorer` gives for a solution of one step, or of one step a line."""
    array, aggregate = np.array(lines), aggregation(name)
    steps = (aggregate(array),) if whole else tuple(lines)
    return Score(aggregate(array), steps, 7, parts=tuple(lines))


@given(VALUES, st.booleans(), st.sampled_from(sorted(AGGREGATIONS)), st.sampled_from(sorted(AGGREGATIONS)))
def test_it_is_what_the_scorer_would_have_said(lines: list[float], whole: bool, was: str, now: str) -> None:
    assert aggregated_anew(given_by(was, lines, whole=whole), now) == given_by(now, lines, whole=whole)


def test_unscored_stays_unscored() -> None:
    score = Score(math.nan, error="no")
    assert aggregated_anew(score, "min") is score


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (Score(0.5), "which this scorer did not give"),
        (Score(0.7, (0.7,), parts=(0.5, 0.6)), "more than an aggregate"),
        (Score(0.6, (0.5, 0.6), parts=(0.5, 0.5, 0.6)), "3 line values of 2 steps"),
    ],
)
def test_what_cannot_be_had_is_refused(score: Score, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        aggregated_anew(score, "mean")


def test_unknown() -> None:
    with pytest.raises(UsageError, match="no aggregation 'max'"):
        aggregated_anew(Score(0.5), "max")
