"""Paired comparisons: tests, intervals and corrections against scipy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reason.evals.paired import compare_paired, holm
from reason.types import UsageError


def outcomes(seed: int, problems: int, better: float) -> tuple[list[float], list[float]]:
    """Two runs of 0/1 outcomes that share the problems' difficulty."""
    generator = np.random.default_rng(seed)
    chance = generator.random(problems)
    first = generator.random(problems) < np.clip(chance + better, 0, 1)
    second = generator.random(problems) < chance
    return first.astype(float).tolist(), second.astype(float).tolist()


def test_outcomes_of_0_and_1_are_tested_by_mcnemar_which_is_the_sign_test() -> None:
    first, second = outcomes(1, 120, 0.15)
    found = compare_paired(first, second)
    better = sum(a > b for a, b in zip(first, second, strict=True))
    worse = sum(a < b for a, b in zip(first, second, strict=True))
    assert (found.only_first, found.only_second, found.test) == (better, worse, "McNemar")
    assert found.p == found.sign_p == pytest.approx(stats.binomtest(better, better + worse).pvalue)
    assert found.mean == pytest.approx((better - worse) / 120)
    assert found.correlation == pytest.approx(stats.pearsonr(first, second).statistic)
    gaps = np.array(first) - second
    assert found.se == pytest.approx(stats.sem(gaps))
    assert found.low == pytest.approx(found.mean - 1.96 * found.se, abs=0.02)
    assert found.high == pytest.approx(found.mean + 1.96 * found.se, abs=0.02)
    assert found.detectable == pytest.approx((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * found.se)


def test_shares_are_tested_by_the_bootstrap_and_unscored_problems_drop_out() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.random(80), generator.random(80)
    found = compare_paired([*first, math.nan, 1.0], [*second, 1.0, math.nan])
    assert (found.problems, found.test) == (80, "bootstrap")
    assert found.p == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.03)
    assert found.sign_p == pytest.approx(stats.binomtest(int((first > second).sum()), 80).pvalue)


def test_pairing_tightens_what_two_single_runs_would_say() -> None:
    first, second = outcomes(3, 400, 0.1)
    found = compare_paired(first, second)
    alone = math.hypot(float(stats.sem(first)), float(stats.sem(second)))
    assert found.se < alone
    expected = np.var(first, ddof=1) + np.var(second, ddof=1) - 2 * np.cov(first, second)[0, 1]
    assert found.se == pytest.approx(math.sqrt(expected / 400))


def test_families_widen_the_interval_when_they_share_the_difference() -> None:
    generator = np.random.default_rng(4)
    effect = np.repeat(generator.normal(0.1, 0.3, 40), 5)
    first, second = effect + generator.normal(0, 0.05, 200), np.zeros(200)
    families = [place // 5 for place in range(200)]
    alone, together = compare_paired(first, second), compare_paired(first, second, families=families)
    assert together.test == "bootstrap over families"
    assert together.high - together.low > 1.8 * (alone.high - alone.low)
    assert together.p > alone.p
    single = compare_paired(first, second, families=range(200))
    assert single.se == pytest.approx(alone.se)


def test_equal_runs_and_empty_ones() -> None:
    same = compare_paired([1.0, 0.0], [1.0, 0.0])
    assert (same.mean, same.p, same.only_first, same.correlation) == (0.0, 1.0, 0, pytest.approx(1.0))
    nothing = compare_paired([math.nan], [1.0])
    assert nothing.problems == 0
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.p)
    by_family = compare_paired([math.nan], [1.0], families=["a"])
    assert math.isnan(by_family.low)
    with pytest.raises(UsageError, match="pair the runs"):
        compare_paired([1.0], [])
    with pytest.raises(UsageError, match="family of every problem"):
        compare_paired([1.0], [0.0], families=[])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_the_step_down_procedure(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
            if p_values[place] * (len(p_values) - rank) > alpha:
                break
            rejected.add(place)
        assert {place for place, p in enumerate(adjusted) if p <= alpha} == rejected
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))


def test_holm_leaves_what_was_not_compared_alone() -> None:
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02)
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.04)
    with pytest.raises(UsageError, match="between 0 and 1"):
        holm([1.5])


def test_the_false_alarm_rate_is_what_it_says() -> None:
    rejected = sum(compare_paired(*outcomes(seed, 100, 0.0), resamples=200).p < 0.05 for seed in range(300))
    assert rejected / 300 <= 0.07
