"""Power laws: recovered exactly, equal to scipy's fits under noise, honest intervals, and when a floor pays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from reason.evals.power_law import best, fit, resampled
from reason.types import UsageError

X = np.geomspace(10, 1e4, 12)


def noisy(seed: int, floor: float, noise: float = 0.03) -> np.ndarray:
    return (2 * X**-0.4 + floor) * np.exp(np.random.default_rng(seed).normal(0, noise, 12))


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 1e3), st.floats(0.05, 1.5), st.floats(0.0, 0.5))
def test_a_law_is_recovered_from_its_own_points(scale: float, exponent: float, share: float) -> None:
    floor = share * scale * 1e4**-exponent * 10
    found = fit(X, scale * X**-exponent + floor, floor=True)
    assert found.exponent == pytest.approx(exponent, rel=1e-3, abs=1e-4)
    assert found.scale == pytest.approx(scale, rel=1e-2)
    assert found.r2 == pytest.approx(1.0, abs=1e-6)
    assert found.at(100.0) == pytest.approx(scale * 100**-exponent + floor, rel=1e-4)
    plain = fit(X, scale * X**-exponent)
    assert (plain.scale, plain.exponent) == pytest.approx((scale, exponent), rel=1e-6)


def test_without_a_floor_it_is_the_regression_of_the_logarithms() -> None:
    y = noisy(0, 0.0)
    found, line = fit(X, y), stats.linregress(np.log(X), np.log(y))
    reach = stats.t.ppf(0.975, 10)
    assert found.exponent == pytest.approx(-line.slope)
    assert found.scale == pytest.approx(math.exp(line.intercept))
    assert found.r2 == pytest.approx(line.rvalue**2)
    assert found.exponent_ci == pytest.approx((-line.slope - reach * line.stderr, -line.slope + reach * line.stderr))
    ends = [math.exp(line.intercept + sign * reach * line.intercept_stderr) for sign in (-1, 1)]
    assert found.scale_ci == pytest.approx(tuple(ends), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_with_a_floor_it_is_scipys_fit(seed: int) -> None:
    y = noisy(seed, 0.1)
    found = fit(X, y, floor=True)
    known, covariance = optimize.curve_fit(
        lambda x, a, b, c: np.log(np.abs(a) * x**-b + np.abs(c)), X, np.log(y), p0=[1, 0.5, 0.05]
    )
    assert (found.scale, found.exponent, found.floor) == pytest.approx(tuple(known), rel=1e-3)
    half = stats.t.ppf(0.975, 9) * np.sqrt(np.diag(covariance))
    assert found.exponent_ci == pytest.approx((known[1] - half[1], known[1] + half[1]), rel=1e-2)
    assert found.floor_ci[1] == pytest.approx(known[2] + half[2], rel=1e-2)


def test_intervals_cover_as_promised() -> None:
    covered = [0, 0]
    for seed in range(150):
        low, high = fit(X, noisy(seed, 0.0)).exponent_ci
        covered[0] += low <= 0.4 <= high
        low, high = fit(X, noisy(seed, 0.1), floor=True).exponent_ci
        covered[1] += low <= 0.4 <= high
    assert all(0.90 <= count / 150 <= 1.0 for count in covered)


def test_a_floor_is_taken_where_it_pays_only() -> None:
    assert sum(best(X, noisy(seed, 0.1)).floor > 0 for seed in range(30)) == 30
    assert sum(best(X, noisy(seed, 0.0)).floor > 0 for seed in range(30)) <= 8
    three = best([1, 2, 4], [0.5, 0.4, 0.35])
    assert (three.floor, three.aicc) == (0.0, math.inf)


def test_a_floor_at_its_bound_leaves_the_plain_law() -> None:
    y = 2 * X**-0.4
    y[-1] *= 0.8
    plain, floored = fit(X, y), fit(X, y, floor=True)
    assert floored.floor == 0.0
    assert floored.exponent == pytest.approx(plain.exponent)
    assert floored.exponent_ci == pytest.approx(plain.exponent_ci)
    assert all(map(math.isnan, floored.floor_ci))


def test_ahead_is_the_miss_at_the_last_point() -> None:
    y = noisy(2, 0.0)
    rest = fit(X[:-1], y[:-1])
    assert fit(X, y).ahead == pytest.approx(rest.at(X[-1]) / y[-1] - 1)
    assert math.isnan(fit(X[:3], y[:3]).ahead)
    bent = fit(X, 2 * X**-0.4 + 0.1)
    assert bent.ahead < -0.1


def test_aicc_is_the_textbooks() -> None:
    y = noisy(1, 0.0)
    found = fit(X, y)
    residual = np.log(y) - np.log([found.at(x) for x in X])
    likelihood = stats.norm.logpdf(residual, scale=math.sqrt(float((residual**2).mean()))).sum()
    constant = 12 * (math.log(2 * math.pi) + 1)
    textbook = 2 * 3 - 2 * likelihood + 2 * 3 * 4 / (12 - 3 - 1)
    assert found.aicc == pytest.approx(textbook - constant)


def test_what_is_needed_to_reach_a_value() -> None:
    law = fit(X, 2 * X**-0.4 + 0.1, floor=True)
    assert law.at(law.needed(0.2)) == pytest.approx(0.2)
    assert law.needed(0.05) == math.inf
    assert fit(X, X**0.5).needed(0.1) == math.inf


def test_resampled_fits_are_fits_and_zeros_are_left_out() -> None:
    for floor in (0.0, 0.1):
        y = noisy(5, floor)
        law = fit(X, y, floor=floor > 0)
        rows = np.stack([y, noisy(6, floor), np.where(X > 5e3, 0.0, y), np.zeros(12)])
        found = resampled(law, X, rows)
        again = [fit(X, rows[0], floor=floor > 0), fit(X, rows[1], floor=floor > 0)]
        again.append(fit(X[X <= 5e3], y[X <= 5e3], floor=floor > 0))
        assert found[:3, 1] == pytest.approx([law.exponent for law in again], rel=1e-3)
        assert found[:3, 2] == pytest.approx([law.floor for law in again], rel=1e-3)
        middle = float(np.log(X).mean())
        heights = [math.log(law.scale) - law.exponent * middle for law in again]
        assert found[:3, 0] == pytest.approx(heights, rel=1e-3, abs=1e-4)
        assert np.isnan(found[3]).all()


@pytest.mark.parametrize(
    ("x", "y", "complaint"),
    [
        ([1, 2, 3], [1, 2], "one y for every x"),
        ([1, 2, 3], [1, 0, 1], r"the point \(2, 0\)"),
        ([1, 2, math.nan], [1, 1, 1], "above 0 and finite"),
        ([1, 1, 2, 2], [1, 1, 1, 1], "got 2 different x"),
    ],
)
def test_misuse(x: list[float], y: list[float], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        fit(x, y)
