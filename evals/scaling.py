"""Scaling laws of kept runs and of tables of training runs: what `reason scaling` fits.

A series is an error (1 − accuracy) or a loss against a cost. Where the problems behind a point are known, as in kept
runs, intervals come from the bootstrap over problems, all points of a series drawn together, since they share them;
else from the fit's own residuals. Of a series both the plain law and the law with a floor are fitted
(`reason.evals.power_law`), and AICc says which to believe; points along one run's curve are not independent, so there
it leans towards the floor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reason.evals.curve import samples_of
from reason.evals.power_law import FEWEST, UNKNOWN, Interval, PowerLaw, best, fit, resampled
from reason.evals.stored import StoredRun, common
from reason.evals.subsets import ERRORS, expectations
from reason.types import UsageError

Floats = NDArray[np.float64]

DRAWS = 300
SELECTIONS = {"pass": "any correct", "majority": "majority", "naive": "best", "weighted": "weighted"}
COSTS = {"tokens": "generated tokens per problem", "flops": "FLOPs per problem"}


@dataclass(frozen=True, slots=True)
class Series:
    """Points that one law is to describe.

    Attributes:
        name: What they are of.
        x_name, y_name: What is plotted against what.
        x, y: The points, by rising x.
        draws: The y of bootstrap samples of the problems, or None. Shape [draws, points].
    """

    name: str
    x_name: str
    y_name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    draws: Floats | None = None


@dataclass(frozen=True, slots=True)
class Law:
    """A series and its laws.

    Attributes:
        series: The points.
        plain: y = a · x^(−b).
        floored: y = a · x^(−b) + c; None where there are too few points.
        chosen: The one that AICc prefers.
        exponent_ci, floor_ci: 95 % intervals of the chosen one: over problems where they are known, else of the fit.
        low, high: The chosen law's 95 % band at the points; empty where the problems are not known.
        left_out: Points that could not be fitted, since their y is 0.
    """

    series: Series
    plain: PowerLaw
    floored: PowerLaw | None
    chosen: PowerLaw
    exponent_ci: Interval
    floor_ci: Interval
    low: tuple[float, ...]
    high: tuple[float, ...]
    left_out: int


def law_of(series: Series) -> Law:
    """Fit both laws and choose.

    Raises:
        UsageError: Fewer than 3 different x with a y above 0.
    """
    kept = [place for place, y in enumerate(series.y) if y > 0]
    if len({series.x[place] for place in kept}) < FEWEST:
        raise UsageError(
            f"{series.name}: {len(kept)} points above 0 against {series.x_name} are too few for a power law: pass at "
            f"least {FEWEST} different ones"
        )
    x, y = [series.x[place] for place in kept], [series.y[place] for place in kept]
    plain = fit(x, y)
    floored = fit(x, y, floor=True) if len(set(x)) > FEWEST else None
    chosen = best(x, y)
    exponent, floor = chosen.exponent_ci, chosen.floor_ci
    low, high = tuple[float, ...](), tuple[float, ...]()
    if series.draws is not None:
        found = resampled(chosen, x, series.draws[:, kept])
        exponent, floor = _spread(found[:, 1]), _spread(found[:, 2])
        middle = float(np.log(x).mean())
        with np.errstate(over="ignore"):
            bands = np.exp(found[:, :1] - found[:, 1:2] * (np.log(series.x) - middle)) + found[:, 2:]
        low, high = (tuple(map(float, side)) for side in np.nanquantile(bands, [0.025, 0.975], axis=0))
    return Law(series, plain, floored, chosen, exponent, floor, low, high, len(series.y) - len(kept))


def _spread(values: Floats) -> Interval:
    known = values[~np.isnan(values)]
    if not len(known):
        return UNKNOWN
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def series_of_runs(runs: Sequence[StoredRun], *, cost: str = "tokens", seed: int = 0) -> list[Series]:
    """The series in kept runs.

    Each run of independent samples gives one per selection, over k = 1 … n. Runs of one strategy and model with at
    least 3 budgets give one more, a point per run.

    Args:
        runs: As `reason.evals.stored.read_runs` gives them.
        cost: "tokens" (generated) or "flops" (policy and scorer).
        seed: Of the bootstrap.

    Raises:
        UsageError: There is no series in them, or the cost is unknown or was not recorded.
    """
    if cost not in COSTS:
        raise UsageError(f"--cost is {cost!r:.40}: use {' or '.join(COSTS)}")
    found = [series for run in runs for series in _curves(run, cost, seed)]
    groups: dict[str, list[StoredRun]] = {}
    for run in runs:
        task, model, scorer = (str(run.config.get(key) or "") for key in ("task", "model", "scorer"))
        groups.setdefault(f"{run.strategy}, {model}, {scorer}, {task}", []).append(run)
    for members in groups.values():
        if len({run.n for run in members}) >= FEWEST:
            found.append(_points(members, cost, seed))
    if not found:
        raise UsageError(
            f"the {len(runs)} runs hold no series: pass a run of independent samples (best_of_n, weighted_best_of_n, "
            f"self_consistency) with --n {FEWEST} or more, or runs of one strategy at {FEWEST} budgets"
        )
    return found


def _curves(run: StoredRun, cost: str, seed: int) -> list[Series]:
    """Error over k of each selection, for a run of independent samples."""
    rows = [row for row in run.records if row.scored]
    if run.n < FEWEST or run.selection is None:
        return []
    try:
        found = expectations(samples_of(rows, run.n), seed=seed)
    except UsageError:
        return []
    found.pop(ERRORS, None)
    per_problem = _mean_cost(run, [row.problem for row in rows], cost)
    x = tuple(per_problem * k / run.n for k in range(1, run.n + 1))
    weights = _weights(len(rows), seed)
    return [
        _series(f"{run.name}: {SELECTIONS[name]}", COSTS[cost], x, 1.0 - values, weights)
        for name, values in found.items()
    ]


def _points(runs: Sequence[StoredRun], cost: str, seed: int) -> Series:
    """Error of runs of one strategy, a point per run, over the problems that all of them were graded on."""
    outcomes = [run.values() for run in runs]
    known = [problem for problem in common(runs) if not any(math.isnan(found[problem]) for found in outcomes)]
    if not known:
        raise UsageError(f"no problem could be graded in every run of {runs[0].strategy}: look at their failures first")
    placed = sorted((_mean_cost(run, known, cost), place) for place, run in enumerate(runs))
    errors = np.array([[1.0 - outcomes[place][problem] for _, place in placed] for problem in known])
    names = f"{runs[0].strategy}, {len(runs)} runs"
    return _series(names, COSTS[cost], tuple(x for x, _ in placed), errors, _weights(len(known), seed))


def _series(name: str, x_name: str, x: tuple[float, ...], errors: Floats, weights: Floats) -> Series:
    """`errors` is [problems, points], `weights` [draws, problems]."""
    return Series(name, x_name, "error", x, tuple(map(float, errors.mean(axis=0))), weights @ errors)


def _mean_cost(run: StoredRun, problems: Sequence[str], cost: str) -> float:
    paid = run.costs(flops=cost == "flops")
    mean = math.fsum(paid[problem] for problem in problems) / len(problems)
    if not mean > 0:
        raise UsageError(
            f"{run.name} records no {cost}: "
            + ("its model's size was unknown; pass --cost tokens" if cost == "flops" else "nothing was generated")
        )
    return mean


def _weights(problems: int, seed: int) -> Floats:
    """How often each bootstrap sample holds each problem, as shares. Shape [draws, problems]."""
    drawn = np.random.default_rng(seed).multinomial(problems, np.full(problems, 1 / problems), size=DRAWS)
    return np.asarray(drawn / problems, float)


def fitted(series: Sequence[Series], on_skip: Callable[[str], None]) -> list[Law]:
    """The laws of those series that have enough points; `on_skip` is told of the others.

    Raises:
        UsageError: None has.
    """
    laws = []
    for one in series:
        try:
            laws.append(law_of(one))
        except UsageError as error:
            on_skip(str(error))
    if series and not laws:
        raise UsageError(f"no series has {FEWEST} different points above 0, so no law can be fitted: pass more runs")
    return laws
