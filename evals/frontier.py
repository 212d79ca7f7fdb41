"""Accuracy for its price: per token, per FLOP, and which strategies are worth their compute at all.

A point is on the compute-optimal frontier if none that costs at most as much is better: Snell et al. 2024 (arXiv
2408.03314) choose among strategies so. Which points those are is itself uncertain; over bootstrap samples of the
problems, the share in which a point lies on the frontier says how sure it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reason.types import UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rate:
    """Accuracy per unit of compute.

    Attributes:
        value: Mean accuracy over mean cost; NaN where nothing was spent.
        low, high: 95 % bootstrap interval over problems.
    """

    value: float
    low: float
    high: float


def accuracy_per(
    values: Sequence[float], costs: Sequence[float], *, unit: float = 1.0, resamples: int = 2_000, seed: int = 0
) -> Rate:
    """Accuracy per `unit` of cost, the ratio of the means.

    Args:
        values: One number per problem; NaN (unscored) leaves it out.
        costs: What each problem cost, such as tokens or FLOPs.
        unit: 1,000 for accuracy per thousand tokens.
        resamples, seed: Of the interval.

    Raises:
        UsageError: The lengths differ, or a cost is negative.
    """
    scored, paid = _scored(values, costs)
    if not len(scored) or not paid.sum():
        return Rate(math.nan, math.nan, math.nan)
    drawn = np.random.default_rng(seed).multinomial(len(scored), np.full(len(scored), 1 / len(scored)), size=resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = unit * (drawn @ scored) / (drawn @ paid)
    low, high = np.quantile(ratios[np.isfinite(ratios)], [0.025, 0.975])
    return Rate(float(unit * scored.sum() / paid.sum()), float(low), float(high))


def _scored(values: Sequence[float], costs: Sequence[float]) -> tuple[Floats, Floats]:
    if len(values) != len(costs):
        raise UsageError(f"got {len(values)} values and {len(costs)} costs: pass one cost per problem.")
    scored, paid = np.asarray(values, float), np.asarray(costs, float)
    if (paid < 0).any():
        raise UsageError("a cost is negative: pass tokens or FLOPs, 0 or more.")
    known = ~np.isnan(scored)
    return scored[known], paid[known]


def on_frontier(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Which points no other beats: none costs at most as much and is better, or less and is at least as good.

    Of equal points all are on it.

    Raises:
        UsageError: The lengths differ.
    """
    if len(costs) != len(values):
        raise UsageError(f"on_frontier got {len(costs)} costs and {len(values)} values: pass one value per cost.")
    return [bool(x) for x in _undominated(np.asarray(costs, float)[None], np.asarray(values, float)[None])[0]]


def frontier_shares(
    costs: Sequence[Sequence[float]], values: Sequence[Sequence[float]], *, resamples: int = 2_000, seed: int = 0
) -> list[float]:
    """In which share of bootstrap samples of the problems each point is on the frontier.

    Args:
        costs, values: One row per point, one number per problem, the same problems in the same order; no NaN.
        resamples, seed: Of the bootstrap.

    Raises:
        UsageError: The shapes differ or there are no problems.
    """
    paid, scored = np.asarray(costs, float), np.asarray(values, float)
    if paid.shape != scored.shape or paid.ndim != 2 or not paid.size:
        raise UsageError(f"frontier_shares got shapes {paid.shape} and {scored.shape}: pass [points, problems] twice.")
    problems = paid.shape[1]
    drawn = np.random.default_rng(seed).multinomial(problems, np.full(problems, 1 / problems), size=resamples)
    kept = _undominated(drawn @ paid.T / problems, drawn @ scored.T / problems)
    return [float(share) for share in kept.mean(axis=0)]


def _undominated(costs: Floats, values: Floats) -> NDArray[np.bool_]:
    """Shape [draws, points], as both arguments. Equal up to rounding counts as equal."""
    rounding = 1e-9
    slack = rounding * np.maximum(1.0, np.abs(costs).max(initial=0.0))
    cheaper = costs[:, None, :] < costs[:, :, None] - slack
    no_dearer = costs[:, None, :] <= costs[:, :, None] + slack
    better = values[:, None, :] > values[:, :, None] + rounding
    as_good = values[:, None, :] >= values[:, :, None] - rounding
    return np.asarray(~((no_dearer & better) | (cheaper & as_good)).any(axis=2))
