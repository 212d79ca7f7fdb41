"""Accuracy for its price, and which points no other beats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.evals.frontier import accuracy_per, frontier_shares, on_frontier
from reason.types import UsageError

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=10)


@settings(deadline=None)
@given(POINTS)
def test_the_frontier_is_what_no_other_point_beats(points: list[tuple[int, int]]) -> None:
    costs, values = [float(cost) for cost, _ in points], [value / 7 for _, value in points]
    naive = [
        not any(
            (other_cost <= cost and other > value) or (other_cost < cost and other >= value)
            for other_cost, other in points
        )
        for cost, value in points
    ]
    assert on_frontier(costs, values) == naive


def test_one_bootstrap_sample_after_the_other_gives_the_same_shares() -> None:
    generator = np.random.default_rng(0)
    costs = generator.random((4, 30)) + np.arange(4)[:, None] * 0.2
    values = (generator.random((4, 30)) < 0.4).astype(float)
    found = frontier_shares(costs.tolist(), values.tolist(), resamples=200, seed=7)
    weights = np.random.default_rng(7).multinomial(30, np.full(30, 1 / 30), size=200)
    naive = np.mean([on_frontier((costs @ w / 30).tolist(), (values @ w / 30).tolist()) for w in weights], axis=0)
    assert found == pytest.approx(naive.tolist())
    assert max(found) <= 1


def test_accuracy_per_token_is_the_ratio_of_means_with_its_interval() -> None:
    generator = np.random.default_rng(1)
    costs = generator.integers(50, 150, 300).astype(float)
    values = (generator.random(300) < 0.6).astype(float)
    rate = accuracy_per([*values, math.nan], [*costs, 1e9], unit=1000, resamples=10_000)
    assert rate.value == pytest.approx(1000 * values.mean() / costs.mean())
    ratio = values.mean() / costs.mean()
    error = 1000 * np.std(values - ratio * costs, ddof=1) / math.sqrt(300) / costs.mean()  # the delta method
    assert rate.low == pytest.approx(rate.value - 1.96 * error, rel=0.02)
    assert rate.high == pytest.approx(rate.value + 1.96 * error, rel=0.02)
    assert math.isnan(accuracy_per([1.0], [0.0]).value)
    assert math.isnan(accuracy_per([], []).low)
    assert accuracy_per([1.0, 1.0], [0.0, 10.0]).value == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: accuracy_per([1.0], []), "one cost per problem"),
        (lambda: accuracy_per([1.0], [-1.0]), "negative"),
        (lambda: on_frontier([1.0], []), "one value per cost"),
        (lambda: frontier_shares([[1.0]], [[1.0, 2.0]]), "shapes"),
        (lambda: frontier_shares([], []), "shapes"),
    ],
)
def test_misuse(call, complaint: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=complaint):
        call()
