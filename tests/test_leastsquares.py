"""Least squares and Student's t against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from reason.evals.leastsquares import jacobian, minimize, student


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 13, 40, 101])
def test_students_quantile_is_scipys(freedom: int) -> None:
    for level in (0.5, 0.9, 0.95, 0.99):
        assert student(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-9)


def test_a_line_has_the_closed_form_and_scipys_errors() -> None:
    generator = np.random.default_rng(0)
    x = generator.random(20)
    y = 2 * x + 1 + generator.normal(0, 0.1, 20)
    found = minimize(lambda values: values[0] * x + values[1] - y, [[0.0, 0.0]])
    line = stats.linregress(x, y)
    assert found.values == pytest.approx([line.slope, line.intercept])
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx([line.stderr, line.intercept_stderr], rel=1e-5)
    reach = stats.t.ppf(0.975, 18)
    assert found.intervals()[0] == pytest.approx((line.slope - reach * line.stderr, line.slope + reach * line.stderr))


def test_a_nonlinear_fit_is_scipys() -> None:
    generator = np.random.default_rng(1)
    x = np.linspace(0, 4, 40)
    y = 3 * np.exp(-0.7 * x) + 0.5 + generator.normal(0, 0.05, 40)
    found = minimize(lambda v: v[0] * np.exp(-v[1] * x) + v[2] - y, [[1.0, 1.0, 0.0], [5.0, 0.1, 1.0]])
    known, covariance = optimize.curve_fit(lambda x, a, b, c: a * np.exp(-b * x) + c, x, y, p0=[1, 1, 0])
    assert found.values == pytest.approx(known, rel=1e-5)
    assert found.covariance == pytest.approx(covariance, rel=1e-3)


def test_derivatives_are_those_of_the_function() -> None:
    x = np.array([0.5, 1.0, 2.0])
    found = jacobian(lambda v: v[0] * x ** v[1], np.array([2.0, 0.0]))
    assert found == pytest.approx(np.stack([x**0.0, 2 * np.log(x)], axis=1), abs=1e-8)


def test_what_the_data_do_not_determine_has_no_interval() -> None:
    x = np.array([1.0, 2.0, 3.0])
    both = minimize(lambda v: (v[0] + v[1]) * x - x, [[0.2, 0.3]])
    assert both.rss == pytest.approx(0.0, abs=1e-12)
    assert all(math.isnan(side) for pair in both.intervals() for side in pair)
    exact = minimize(lambda v: v[0] * x[:1] - 2, [[1.0]])
    assert exact.values == pytest.approx([2.0])
    assert all(math.isnan(side) for side in exact.intervals()[0])


def test_the_best_of_several_starts_wins_and_undefined_places_are_left() -> None:
    def bumpy(values: np.ndarray) -> np.ndarray:
        return np.array([np.sin(3 * values[0]) + 0.1 * (values[0] - 4) + 2.0])

    found = minimize(bumpy, [[0.0], [2.0], [3.5]])
    assert found.rss == min(minimize(bumpy, [[start]]).rss for start in (0.0, 2.0, 3.5))
    assert minimize(lambda v: np.array([math.inf if v[0] < 1 else v[0] - 1]), [[0.0], [3.0]]).rss < 1e-9
