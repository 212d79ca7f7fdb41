"""Power laws: y = a · x^(−b), and with a floor, y = a · x^(−b) + c, c >= 0.

Fitted by least squares of log y, so that an error is relative, as in log-log plots (Kaplan et al. 2020, arXiv
2001.08361; the floor is Henighan et al. 2020's, arXiv 2010.14701, irreducible loss). Without a floor this is linear
regression of log y on log x. Goodness is R² in log y, the typical relative miss, AICc (Hurvich and Tsai 1989) to tell
whether the floor is worth its parameter, and the honest test of a scaling law: how far the points but the last, fitted
alone, miss the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reason.evals.leastsquares import Solution, minimize, student
from reason.types import UsageError

Floats = NDArray[np.float64]
Interval = tuple[float, float]

FEWEST = 3
FLOORS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.97)
NO_FLOOR = 1e-9
UNKNOWN = (math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """A fitted law.

    Attributes:
        scale: a, the value at x = 1 above the floor.
        exponent: b; above 0 where y falls as x grows.
        floor: c; 0 where none was fitted.
        scale_ci, exponent_ci, floor_ci: 95 % intervals; NaN where the points determine none.
        points: How many points were fitted.
        r2: Share of the variance of log y that is explained.
        miss: Root mean square of the residuals of log y: 0.05 is about 5 %.
        aicc: Akaike's criterion, corrected for few points; lower is better, infinite for too few points.
        ahead: Relative error at the largest x of the law fitted to the others; NaN with too few points.
    """

    scale: float
    exponent: float
    floor: float
    scale_ci: Interval
    exponent_ci: Interval
    floor_ci: Interval
    points: int
    r2: float
    miss: float
    aicc: float
    ahead: float

    def at(self, x: float) -> float:
        """The law's value."""
        return float(self.scale * x**-self.exponent + self.floor)

    def needed(self, y: float) -> float:
        """The x at which the law reaches y; infinite where it never does (y at or below the floor)."""
        if y <= self.floor or self.exponent <= 0:
            return math.inf
        return float(math.exp((math.log(self.scale) - math.log(y - self.floor)) / self.exponent))


def fit(x: Sequence[float], y: Sequence[float], *, floor: bool = False) -> PowerLaw:
    """Fit a power law.

    Args:
        x, y: The points, all above 0; x may repeat.
        floor: Fit c too, at least 0.

    Raises:
        UsageError: The lengths differ, a value is not above 0 and finite, or there are fewer than 3 different x (4 with
            a floor).
    """
    xs, ys = check(x, y, FEWEST + floor)
    solution, shift = _solve(xs, ys, floor)
    scale, exponent, base = _parts(solution, shift)
    if floor and base <= NO_FLOOR * ys[0]:  # at its bound, a floor has no interval and the rest is the plain law's
        solution, shift = _solve(xs, ys, False)
        scale, exponent, base = _parts(solution, shift)
    exponent_ci, floor_ci = _intervals(solution, floor)
    residual = _logs(xs, ys, scale, exponent, base)
    spread = float(((np.log(ys) - np.log(ys).mean()) ** 2).sum())
    rss = float(residual @ residual)
    used = 2 + floor
    return PowerLaw(
        scale,
        exponent,
        base,
        _scale_interval(solution, shift),
        exponent_ci,
        floor_ci,
        len(xs),
        1 - rss / spread if spread > 0 else math.nan,
        math.sqrt(rss / len(xs)),
        _aicc(rss, len(xs), used),
        _ahead(xs, ys, floor),
    )


def best(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """The law with a floor where AICc finds it worth its parameter, else the one without.

    Raises:
        UsageError: As `fit` without a floor.
    """
    plain = fit(x, y)
    if len(set(x)) <= FEWEST:
        return plain
    floored = fit(x, y, floor=True)
    return floored if floored.floor > 0 and floored.aicc < plain.aicc else plain


def resampled(law: PowerLaw, x: Sequence[float], rows: Floats) -> Floats:
    """The law fitted again to other y at the same x, as the bootstrap over problems draws them.

    Args:
        law: The fit to the y at hand; with a floor above 0, c is fitted too.
        x: Shape [points].
        rows: Shape [draws, points]; points at or below 0 are left out of their draw.

    Returns:
        log a at the mean of log x, b and c of each draw, in that order; a draw with fewer than 3 different x left (4
        with a floor) is NaN. Shape [draws, 3].
    """
    floor = law.floor > 0
    xs = np.asarray(x, float)
    middle = float(np.log(xs).mean())
    start = [math.log(law.scale) - law.exponent * middle, law.exponent]
    found = np.full((len(rows), 3), math.nan)
    for place, ys in enumerate(rows):
        known = ys > 0
        if len(set(xs[known].tolist())) < FEWEST + floor:
            continue
        part = [min(0.97, law.floor / float(ys[known].min()))] if floor else []
        solution, shift = _solve(xs[known], ys[known], floor, start=[*start, *part])
        scale, exponent, base = _parts(solution, shift)
        found[place] = math.log(scale) - exponent * middle, exponent, base
    return found


def check(x: Sequence[float], y: Sequence[float], fewest: int) -> tuple[Floats, Floats]:
    """The points as arrays by rising x.

    Raises:
        UsageError: As `fit`.
    """
    if len(x) != len(y):
        raise UsageError(f"a power law got {len(x)} x and {len(y)} y: pass one y for every x.")
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    bad = [(a, b) for a, b in zip(x, y, strict=True) if not (0 < a < math.inf and 0 < b < math.inf)]
    if bad:
        raise UsageError(
            f"a power law got the point ({bad[0][0]:g}, {bad[0][1]:g}): x and y must be above 0 and finite."
        )
    if len(set(xs.tolist())) < fewest:
        raise UsageError(
            f"a power law got {len(set(xs.tolist()))} different x: pass at least {fewest}, or its exponent is a guess."
        )
    order = np.argsort(xs, kind="stable")
    return xs[order], ys[order]


def _solve(xs: Floats, ys: Floats, floor: bool, start: Sequence[float] | None = None) -> tuple[Solution, float]:
    """Parameters (log a at the mean of log x, b[, c]) and that mean; `start` has c as a share of the smallest y."""
    logs = np.log(xs)
    shift = float(logs.mean())
    centred = logs - shift
    smallest = float(ys.min())
    target = np.log(ys)

    def residuals(values: Floats) -> Floats:
        share = abs(values[2]) * smallest if floor else 0.0
        with np.errstate(over="ignore"):
            found = np.exp(np.clip(values[0] - values[1] * centred, -700, 700)) + share
        return np.asarray(np.log(found) - target, float)

    starts = [] if start is None else [start]
    for part in () if start is not None else FLOORS if floor else (0.0,):
        slope, height = np.polyfit(centred, np.log(ys - part * smallest), 1)
        starts.append([height, -slope, part][: 2 + floor])
    solution = minimize(residuals, starts)
    if floor:  # told in units of y
        solution.values[2] = abs(solution.values[2]) * smallest
        solution.covariance[2] *= smallest
        solution.covariance[:, 2] *= smallest
    return solution, shift


def _parts(solution: Solution, shift: float) -> tuple[float, float, float]:
    height, exponent = float(solution.values[0]), float(solution.values[1])
    base = float(solution.values[2]) if len(solution.values) > 2 else 0.0
    return math.exp(min(700.0, height + exponent * shift)), exponent, base


def _intervals(solution: Solution, floor: bool) -> tuple[Interval, Interval]:
    """Of the exponent and the floor."""
    found = solution.intervals()
    if len(found) < 3 or math.isnan(found[2][0]):
        return found[1], UNKNOWN if floor else (0.0, 0.0)
    return found[1], (max(0.0, found[2][0]), found[2][1])


def _scale_interval(solution: Solution, shift: float) -> Interval:
    """Of a = exp(height + b · shift), by the delta method on its logarithm."""
    if solution.freedom < 1:
        return UNKNOWN
    turn = np.zeros(len(solution.values))
    turn[:2] = 1.0, shift
    middle = float(solution.values @ turn)
    variance = float(turn @ solution.covariance @ turn)
    if math.isnan(variance):
        return UNKNOWN
    half = student(0.95, solution.freedom) * math.sqrt(max(0.0, variance))
    return math.exp(max(-700.0, middle - half)), math.exp(min(700.0, middle + half))


def _logs(xs: Floats, ys: Floats, scale: float, exponent: float, floor: float) -> Floats:
    return np.asarray(np.log(scale * xs**-exponent + floor) - np.log(ys), float)


def _aicc(rss: float, points: int, parameters: int) -> float:
    """Of least squares with normal residuals; the variance counts as a parameter."""
    counted = parameters + 1
    if points <= counted + 1:
        return math.inf
    fitted = points * math.log(max(rss, 1e-300) / points)
    return fitted + 2 * counted + 2 * counted * (counted + 1) / (points - counted - 1)


def _ahead(xs: Floats, ys: Floats, floor: bool) -> float:
    """Relative error at the largest x of the fit to the rest."""
    known = xs < xs[-1]
    if len(set(xs[known].tolist())) < FEWEST + floor:
        return math.nan
    solution, shift = _solve(xs[known], ys[known], floor)
    scale, exponent, base = _parts(solution, shift)
    return float(np.mean((scale * xs[-1] ** -exponent + base) / ys[~known] - 1))
