"""Variance components, clustered errors and power: against brute force, closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reason.evals.metrics import resampled_families
from reason.evals.variance import clustered_error, coded, decompose, detectable, problems_needed, standard_error
from reason.types import UsageError

SCORES = st.lists(st.integers(0, 4).map(lambda quarter: quarter / 4), min_size=4, max_size=12)


def drawn(seed: int, problems: int, samples: int) -> np.ndarray:
    """0/1 outcomes of problems whose chances are drawn from Beta(2, 1). Shape [problems, samples]."""
    generator = np.random.default_rng(seed)
    chance = generator.beta(2, 1, problems)
    return (generator.random((samples, problems)) < chance).T.astype(float)


def test_the_parts_of_a_known_mixture_are_estimated_without_bias() -> None:
    found = [decompose(drawn(seed, 300, 4).tolist()) for seed in range(60)]
    between, within = 2 / (9 * 4), 2 / 3 - (4 / 9 + 2 / 36)  # Var(p) and E[p(1-p)] of Beta(2, 1)
    assert np.mean([part.between for part in found]) == pytest.approx(between, rel=0.05)
    assert np.mean([part.within for part in found]) == pytest.approx(within, rel=0.02)
    spread = np.std([part.mean for part in found], ddof=1)
    assert np.mean([part.se for part in found]) == pytest.approx(spread, rel=0.25)


def test_balanced_draws_give_the_analysis_of_variance() -> None:
    rows = drawn(3, 40, 5)
    found = decompose(rows.tolist())
    mean_square_within = float(rows.var(axis=1, ddof=1).mean())
    mean_square_between = float(5 * rows.mean(axis=1).var(ddof=1))
    assert found.within == pytest.approx(mean_square_within)
    assert found.between == pytest.approx((mean_square_between - mean_square_within) / 5)
    assert stats.f_oneway(*rows).statistic == pytest.approx(mean_square_between / mean_square_within)
    assert found.se_at(5) == pytest.approx(found.se)
    assert found.se == pytest.approx(stats.sem(rows.mean(axis=1)))


def test_more_draws_and_more_problems_shrink_the_error_as_the_parts_say() -> None:
    found = decompose(drawn(4, 400, 6).tolist())
    for samples in (1, 2, 6):
        errors = [standard_error(drawn(seed, 400, samples).mean(axis=1).tolist()) for seed in range(20)]
        assert found.se_at(samples) == pytest.approx(np.mean(errors), rel=0.08)
    assert found.se_at(3, 1600) == pytest.approx(found.se_at(3) / 2)
    assert found.se_at(10**9) == pytest.approx(math.sqrt(found.between / 400), rel=1e-6)


def test_unequal_draws_and_unscored_ones() -> None:
    rows = [[1.0, 0.0, math.nan], [1.0], [math.nan], [0.0, 0.0, 0.0, 1.0]]
    found = decompose(rows)
    assert (found.problems, found.samples) == (3, 7 / 3)
    assert found.within == pytest.approx((0.5 + 0.25) / 2)
    assert found.mean == pytest.approx((0.5 + 1.0 + 0.25) / 3)
    noise = (0.5 / 2 + 0.375 / 1 + 0.25 / 4) / 3
    assert found.between == pytest.approx(np.var([0.5, 1.0, 0.25], ddof=1) - noise)


@settings(deadline=None)
@given(SCORES, st.data())
def test_the_clustered_error_is_the_papers_triple_sum(values: list[float], data: st.DataObject) -> None:
    families = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))
    n, mean = len(values), sum(values) / len(values)
    cross = sum(
        (values[i] - mean) * (values[j] - mean)
        for i in range(n)
        for j in range(n)
        if i != j and families[i] == families[j]
    )
    plain = standard_error(values)
    found = clustered_error(values, families)
    if len(set(families)) < 2:
        assert math.isnan(found)
        return
    assert found == pytest.approx(math.sqrt(max(0.0, plain**2 + cross / n**2)), abs=1e-9)
    assert clustered_error(values, range(n)) == pytest.approx(plain)


def test_the_clustered_error_and_the_family_bootstrap_are_the_spread_over_repetitions() -> None:
    means, errors, boots = [], [], []
    for seed in range(150):
        generator = np.random.default_rng(seed)
        values = (generator.normal(0.5, 0.2, 30)[:, None] + generator.normal(0, 0.1, (30, 5))).ravel().tolist()
        families = [family for family in range(30) for _ in range(5)]
        means.append(np.mean(values))
        errors.append(clustered_error(values, families))
        boots.append(resampled_families(*coded(values, families), 300, seed).std())
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.15)
    assert np.mean(boots) == pytest.approx(np.std(means), rel=0.15)
    assert np.mean(errors) > 1.8 * standard_error(values)


def test_the_standard_error_is_scipys() -> None:
    values = np.random.default_rng(0).random(30).tolist()
    assert standard_error([*values, math.nan]) == pytest.approx(stats.sem(values))
    assert math.isnan(standard_error([1.0]))


def test_a_difference_of_the_detectable_size_is_found_as_often_as_promised() -> None:
    deviation, problems = 0.6, 400
    size = detectable(deviation / math.sqrt(problems))
    generator = np.random.default_rng(1)
    found = 0
    for _ in range(2_000):
        gaps = generator.normal(size, deviation, problems)
        found += abs(gaps.mean()) / (gaps.std(ddof=1) / math.sqrt(problems)) > 1.96
    assert found / 2_000 == pytest.approx(0.8, abs=0.03)
    assert problems_needed(size, deviation) == pytest.approx(problems, abs=1)
    assert detectable(1.0, level=0.9, power=0.5) == pytest.approx(stats.norm.ppf(0.95))


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: decompose([[1.0], [0.0]]), "two or more draws"),
        (lambda: decompose([[1.0, 0.0]]), "at least two problems"),
        (lambda: decompose([[1.0, 0.0], [1.0, 1.0]]).se_at(0), "at least 1"),
        (lambda: clustered_error([1.0], ["a", "b"]), "family of every problem"),
        (lambda: detectable(1.0, power=1.0), "power is 1.0"),
        (lambda: detectable(1.0, level=0.0), "level is 0.0"),
        (lambda: problems_needed(0.0, 1.0), "other than 0"),
        (lambda: problems_needed(0.1, math.nan), "deviation of 0 or more"),
    ],
)
def test_misuse(call, complaint: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=complaint):
        call()
