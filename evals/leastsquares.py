"""Nonlinear least squares by Levenberg (1944) and Marquardt (1963), and what its fit tells about the parameters.

Small and dense: a handful of parameters, tens to hundreds of residuals, derivatives by central differences. Covariance
is s² (JᵀJ)⁻¹ with s² the residual variance, intervals are Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Residuals = Callable[[Floats], Floats]

ROUNDS = 500
TOLERANCE = 1e-13
SAME = 1e-8


@dataclass(frozen=True, slots=True)
class Solution:
    """A least-squares fit.

    Attributes:
        values: The parameters. Shape [parameters].
        rss: Sum of squared residuals.
        covariance: Of the parameters, NaN where the residuals leave no degree of freedom or do not determine them.
            Shape [parameters, parameters].
        freedom: Residuals less parameters.
    """

    values: Floats
    rss: float
    covariance: Floats
    freedom: int

    def intervals(self, level: float = 0.95) -> list[tuple[float, float]]:
        """Each parameter's interval; (NaN, NaN) where there is none."""
        if self.freedom < 1:
            return [(math.nan, math.nan)] * len(self.values)
        reach = student(level, self.freedom)
        halves = reach * np.sqrt(np.diag(self.covariance))
        return [(float(value - half), float(value + half)) for value, half in zip(self.values, halves, strict=True)]


def minimize(residuals: Residuals, starts: Sequence[Sequence[float]]) -> Solution:
    """The best of the local minima that these starts lead to.

    Args:
        residuals: Parameters [parameters] -> residuals [n]; may be NaN or infinite where it is not defined.
        starts: Where to begin, at least one of them a defined place.
    """
    ends = [_descend(residuals, np.asarray(start, float)) for start in starts]
    values, rss = min(ends, key=lambda end: end[1])
    return _told(residuals, values, rss)


def _descend(residuals: Residuals, values: Floats) -> tuple[Floats, float]:
    """Levenberg-Marquardt from one start."""
    damping = 1e-3
    current = residuals(values)
    rss = _rss(current)
    for _ in range(ROUNDS):
        if not math.isfinite(rss) or rss == 0:
            break
        slopes = jacobian(residuals, values)
        if not np.isfinite(slopes).all():
            break
        normal, pull = slopes.T @ slopes, slopes.T @ current
        scale = np.maximum(np.diag(normal), 1e-12)
        better = False
        while damping < 1e12:
            step = np.linalg.lstsq(normal + damping * np.diag(scale), -pull, rcond=None)[0]
            moved = residuals(values + step)
            gained = rss - _rss(moved)
            if gained > 0:
                better, damping = True, max(damping / 5, 1e-12)
                break
            damping *= 4
        if not better:
            break
        values, current, rss = values + step, moved, rss - gained
        if gained <= TOLERANCE * rss:
            break
    return values, rss


def _told(residuals: Residuals, values: Floats, rss: float) -> Solution:
    current, slopes = residuals(values), jacobian(residuals, values)
    freedom = len(current) - len(values)
    covariance = np.full((len(values), len(values)), math.nan)
    if freedom > 0 and _determined(slopes):
        covariance = np.linalg.inv(slopes.T @ slopes) * (rss / freedom)
    return Solution(values, rss, covariance, freedom)


def _determined(slopes: Floats) -> bool:
    """Whether the residuals tell all parameters apart, up to the rounding of the differences."""
    if not np.isfinite(slopes).all():
        return False
    norms = np.linalg.norm(slopes, axis=0)
    return bool(norms.all()) and int(np.linalg.matrix_rank(slopes / norms, tol=SAME)) == len(norms)


def _rss(residuals: Floats) -> float:
    total = float(residuals @ residuals)
    return total if math.isfinite(total) else math.inf


def jacobian(residuals: Residuals, values: Floats) -> Floats:
    """Central differences. Shape [residuals, parameters]."""
    columns = []
    for place, value in enumerate(values):
        width = 1e-6 * max(abs(float(value)), 1e-2)
        shift = np.zeros(len(values))
        shift[place] = width
        columns.append((residuals(values + shift) - residuals(values - shift)) / (2 * width))
    return np.stack(columns, axis=1)


def student(level: float, freedom: int) -> float:
    """The t with P(|T| <= t) = level for Student's distribution, by bisection."""
    low, high = 0.0, 1.0
    while _inside(high, freedom) < level:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _inside(middle, freedom) < level else (low, middle)
    return high


def _inside(t: float, freedom: int) -> float:
    """P(|T| <= t), Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    if freedom % 2:
        term, total = cosine, (cosine if freedom > 1 else 0.0)
        for i in range(3, freedom - 1, 2):
            term *= cosine * cosine * (i - 1) / i
            total += term
        return 2 / math.pi * (angle + sine * total)
    term = total = 1.0
    for i in range(2, freedom - 1, 2):
        term *= cosine * cosine * (i - 1) / i
        total += term
    return sine * total
