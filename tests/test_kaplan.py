"""Kaplan's forms: recovered from their own points, equal to scipy under noise, and the optimum against a grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize

from reason.evals.kaplan import Joint, Trained, critical, envelope, joint, least
from reason.evals.power_law import UNKNOWN, fit
from reason.types import UsageError

PAPER = Joint(6.4e13, 1.8e13, 0.076, 0.103, UNKNOWN, UNKNOWN, 0, math.nan, math.nan)
"""Table 2 of arXiv 2001.08361."""


def runs(noise: float = 0.0, seed: int = 0) -> list[Trained]:
    generator = np.random.default_rng(seed)
    return [
        Trained(n, d, PAPER.at(n, d) * math.exp(generator.normal(0, noise) if noise else 0.0))
        for n in np.geomspace(1e6, 1e9, 5)
        for d in np.geomspace(2e7, 2e10, 5)
    ]


def test_the_papers_constants_are_recovered_from_its_law() -> None:
    found = joint(runs())
    assert (found.n_exponent, found.d_exponent) == pytest.approx((0.076, 0.103), rel=1e-6)
    assert (found.n_critical, found.d_critical) == pytest.approx((6.4e13, 1.8e13), rel=1e-3)
    assert found.r2 == pytest.approx(1.0)


def test_one_resource_without_limit_leaves_the_law_of_the_other() -> None:
    assert PAPER.at(1e8, 1e30) == pytest.approx((6.4e13 / 1e8) ** 0.076, rel=1e-6)
    assert PAPER.at(1e30, 1e9) == pytest.approx((1.8e13 / 1e9) ** 0.103, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_under_noise_it_is_scipys_fit(seed: int) -> None:
    noisy = runs(0.01, seed)
    found = joint(noisy)
    n, d, loss = np.log([(run.parameters, run.tokens, run.loss) for run in noisy]).T
    known = optimize.least_squares(
        lambda v: v[1] * np.logaddexp(v[0] / v[1] * (v[2] - n), v[3] - d) - loss,
        [0.076, 0.103, math.log(6.4e13), math.log(1.8e13)],
        x_scale="jac",
    )
    assert (found.n_exponent, found.d_exponent) == pytest.approx(tuple(known.x[:2]), rel=1e-3)
    covariance = np.linalg.inv(known.jac.T @ known.jac) * 2 * known.cost / 21
    half = 2.0796 * math.sqrt(covariance[0, 0])
    assert found.n_exponent_ci == pytest.approx((known.x[0] - half, known.x[0] + half), rel=1e-2)
    assert found.miss == pytest.approx(0.01, rel=0.5)


def test_exponents_are_covered_by_their_intervals() -> None:
    covered = [0, 0]
    for seed in range(60):
        found = joint(runs(0.02, seed))
        covered[0] += found.n_exponent_ci[0] <= 0.076 <= found.n_exponent_ci[1]
        covered[1] += found.d_exponent_ci[0] <= 0.103 <= found.d_exponent_ci[1]
    assert min(covered) / 60 >= 0.88


def test_the_optimum_is_the_least_loss_of_a_grid_at_equal_compute() -> None:
    for compute in (1e17, 1e21):
        parameters, tokens = PAPER.optimum(compute)
        assert 6 * parameters * tokens == pytest.approx(compute)
        grid = np.geomspace(parameters / 100, parameters * 100, 4001)
        losses = [PAPER.at(n, compute / (6 * n)) for n in grid]
        assert grid[int(np.argmin(losses))] == pytest.approx(parameters, rel=2e-3)
    slope = math.log(PAPER.optimum(1e21)[0] / PAPER.optimum(1e17)[0]) / math.log(1e4)
    assert PAPER.allocation == pytest.approx(slope)


def test_the_critical_size_is_where_the_law_gives_a_loss_of_1() -> None:
    x = np.geomspace(1e6, 1e9, 6)
    law = fit(x, (8.8e13 / x) ** 0.076)
    assert critical(law) == pytest.approx(8.8e13, rel=1e-6)
    assert law.exponent == pytest.approx(0.076)


def test_points_that_count() -> None:
    points = [(1.0, 5.0), (1.0, 4.0), (2.0, 4.0), (3.0, 3.0), (3.001, 2.0), (9.0, 2.5)]
    assert least(points)[:2] == [(1.0, 4.0), (2.0, 4.0)]
    assert envelope(points) == [(1.0, 4.0), (3.001, 2.0)]
    for cost, loss in points:
        assert any(c <= cost * 1.001 and value <= loss for c, value in envelope(points))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (runs()[:4], "at least 5 runs"),
        ([run for run in runs() if run.tokens == runs()[0].tokens], "in which both vary"),
        ([*runs(), Trained(1e6, 1e6, 0.0)], "above 0 and finite"),
    ],
)
def test_misuse(given: list[Trained], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        joint(given)
