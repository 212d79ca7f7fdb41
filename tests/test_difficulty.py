"""Difficulty: features, regressions, cells; the quick choice against the one that searches use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.search.difficulty import (
    FEATURES,
    Difficulty,
    Logistic,
    agreement,
    features,
    fit_difficulty,
    fit_logistic,
    logit,
    quantile_edges,
    sigmoid,
    signs,
    winner,
)
from reason.search.select import SELECTIONS, choose
from reason.types import Candidate, Finish, Path, Problem, Step

PROBLEM = Problem("p", "q")


def item(answer: str | None, score: float = math.nan, finish: Finish = Finish.STOP, tokens: int = 3) -> Candidate:
    step = Step(f"Answer: {answer}", (1,) * tokens, (-0.5,) * tokens, finish)
    return Candidate(Path(PROBLEM, (step,)), answer, score)


items = st.builds(
    item,
    st.sampled_from(["1", "2", "1.0", "3", None]),
    st.one_of(st.just(math.nan), st.integers(0, 8).map(lambda value: value / 8)),
    st.sampled_from([Finish.STOP, Finish.LENGTH]),
)


@given(st.lists(items, max_size=8), st.sampled_from(SELECTIONS))
def test_the_winner_is_the_one_that_searches_choose(candidates, select):
    found = winner(signs(candidates), select)
    chosen = choose(candidates, select).index
    if any(candidate.answer for candidate in candidates):
        assert found == chosen
    else:
        assert found is None


def test_features_by_hand():
    seen = signs([item("7", 0.8), item("8", 0.5, tokens=6), item("7", 0.2), item(None, math.nan)])
    found = dict(zip(FEATURES, features(seen), strict=True))
    assert found["mean_score"] == pytest.approx(logit(0.5))
    assert found["best_score"] == pytest.approx(logit(0.8))
    entropy = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)
    assert found["agreement"] == pytest.approx(1 - entropy / math.log(4))
    assert found["support"] == 0.5
    assert found["logprob"] == pytest.approx(-0.5)
    assert found["length"] == pytest.approx(math.log(15 / 4))
    assert all(math.isnan(value) for value in features([])[:2])


def test_agreement_at_its_ends():
    assert agreement([4], 4) == 1
    assert agreement([1, 1, 1, 1], 4) == pytest.approx(0)
    assert agreement([], 3) == pytest.approx(0)
    assert (agreement([1], 1), agreement([], 1), agreement([], 0)) == (1, 0, 0)


@given(st.floats(0.002, 0.998))
def test_logit_and_sigmoid(probability):
    assert sigmoid(logit(probability)) == pytest.approx(probability)


def test_the_regression_is_at_its_optimum():
    """The gradient of the penalised likelihood vanishes, and chances come out as they went in."""
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(4000, 2)) * [2.0, 0.5] + [1.0, -3.0]
    odds = 0.8 * rows[:, 0] - 2.0 * (rows[:, 1] + 3.0) - 0.5
    targets = (draw.random(4000) < 1 / (1 + np.exp(-odds))).astype(float)
    weights = draw.random(4000) + 0.5
    model = fit_logistic(rows, targets, weights, ridge=2.0)
    assert model.weights[0] / model.scales[0] == pytest.approx(0.8, abs=0.1)
    assert model.weights[1] / model.scales[1] == pytest.approx(-2.0, abs=0.25)
    found = np.array([model(row) for row in rows])
    design = (rows - model.means) / model.scales
    slope = design.T @ (weights * (targets - found)) - 2.0 * np.array(model.weights)
    assert np.abs(slope).max() < 1e-5
    assert weights @ found == pytest.approx(weights @ targets, rel=1e-5)


def test_unknown_features_count_as_their_mean():
    rows = np.array([[1.0, math.nan], [2.0, math.nan], [3.0, math.nan], [4.0, math.nan]])
    model = fit_logistic(rows, np.array([0.0, 0.0, 1.0, 1.0]), np.ones(4))
    assert model((4.0, math.nan)) == model((4.0, 123.0)) > model((1.0, math.nan))
    assert model((math.nan, math.nan)) == pytest.approx(0.5, abs=1e-6)


def test_everything_right_stays_finite():
    model = fit_logistic(np.ones((5, 1)), np.ones(5), np.ones(5))
    assert 0.9 < model((1.0,)) < 1


@given(st.lists(st.integers(0, 6).map(lambda value: value / 6), min_size=1, max_size=40), st.integers(1, 6))
def test_quantile_edges_split_evenly(values, bins):
    array = np.array(values)
    edges = quantile_edges(array, np.ones(len(array)), bins)
    assert len(edges) < bins
    assert list(edges) == sorted(set(edges))
    counts = np.bincount(np.searchsorted(edges, array, side="right"), minlength=len(edges) + 1)
    assert counts.sum() == len(array)
    assert counts.min() > 0


def test_quantiles_of_different_values_are_even():
    values = np.arange(12.0) / 12
    edges = quantile_edges(values, np.ones(12), 4)
    assert np.bincount(np.searchsorted(edges, values, side="right")).tolist() == [3, 3, 3, 3]


def test_cells_are_numbered_through():
    plain = Logistic(0.0, (1.0, *[0.0] * 5), (0.0,) * 6, (1.0,) * 6)
    other = Logistic(0.0, (0.0, 1.0, *[0.0] * 4), (0.0,) * 6, (1.0,) * 6)
    difficulty = Difficulty(plain, other, (0.5,), ((0.5,), ()))
    rest = (0.0,) * 4
    assert difficulty.cells == 3
    assert [difficulty.cell(row) for row in ((-1, -1, *rest), (1, -1, *rest), (-1, 1, *rest), (1, 1, *rest))] == [
        0,
        1,
        2,
        2,
    ]


def test_harder_problems_are_told_apart():
    draw = np.random.default_rng(1)
    truth = draw.random(600)
    rows = np.column_stack([logits(truth + draw.normal(size=600) * 0.1), *[draw.normal(size=600)] * 5])
    difficulty = fit_difficulty(rows, truth, (truth > 0.5).astype(float), np.ones(600), bins=3, inner=2)
    cells = np.array([difficulty.cell(row) for row in rows])
    assert difficulty.cells == 6
    means = [truth[cells == cell].mean() for cell in range(6)]
    assert means[0] < means[2] < means[4]
    assert means[0] < 0.25
    assert means[5] > 0.75


def logits(values):
    return np.array([logit(value) for value in values])
