"""Where the noise of an accuracy comes from: between problems, within problems, within families of problems.

A problem's score is its expected value plus noise, and a run shows one draw of it. With K draws of every problem
(Miller 2024, arXiv 2411.00640, sections 2 and 3):

- Var(score) = Var(expected value over problems) + E[noise] / K: the between and the within part;
- the standard error of the mean over n problems is the root of that over n; more draws shrink the second part only;
- where problems come in families (several questions on one text, variants of one template), their scores are not
  independent, and SE_clustered² = SE² + Σ_families Σ_{i≠j} (s_i − s̄)(s_j − s̄) / n² (equation 4).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from reason.types import UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Variance:
    """The parts of a score's variance.

    Attributes:
        problems: How many problems were scored.
        samples: Draws per problem, on average.
        mean: The mean score.
        between: Variance of the problems' expected scores, estimated without bias (so it may come out below 0).
        within: Mean variance of the draws of one problem.
        se: Standard error of the mean, from the problems' means.
    """

    problems: int
    samples: float
    mean: float
    between: float
    within: float
    se: float

    def se_at(self, samples: int, problems: int | None = None) -> float:
        """The standard error to expect with that many draws of that many problems (None: as many as there are).

        Raises:
            UsageError: A number below 1.
        """
        count = self.problems if problems is None else problems
        if samples < 1 or count < 1:
            raise UsageError(f"se_at got {samples} samples of {count} problems: pass at least 1 of each.")
        return math.sqrt(max(0.0, self.between + self.within / samples) / count)


def decompose(rows: Sequence[Sequence[float]]) -> Variance:
    """Between- and within-problem variance of repeated scores.

    Args:
        rows: The scores of each problem's draws; NaN (unscored) is left out, and so is a problem without any. Problems
            may have different numbers of draws: one with a single draw tells its mean, and its noise is taken to be
            that of the others.

    Raises:
        UsageError: Fewer than two problems, or none with two draws: the parts cannot be told apart.
    """
    known = [[value for value in row if not math.isnan(value)] for row in rows]
    kept = [np.asarray(row, float) for row in known if row]
    repeated = [row for row in kept if len(row) > 1]
    if len(kept) < 2 or not repeated:
        raise UsageError(
            f"variance got {len(kept)} scored problems, {len(repeated)} of them with two or more draws: pass at least "
            "two problems and repeated draws (other seeds, or --n above 1) to tell noise from difficulty."
        )
    means = np.array([row.mean() for row in kept])
    within = float(np.mean([row.var(ddof=1) for row in repeated]))
    noise = float(np.mean([(row.var(ddof=1) if len(row) > 1 else within) / len(row) for row in kept]))
    spread = float(means.var(ddof=1))
    draws = sum(map(len, kept)) / len(kept)
    return Variance(len(kept), draws, float(means.mean()), spread - noise, within, math.sqrt(spread / len(kept)))


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean over independent problems, NaN left out; NaN for fewer than two."""
    scored = np.asarray([value for value in values if not math.isnan(value)], float)
    return float(scored.std(ddof=1) / math.sqrt(len(scored))) if len(scored) > 1 else math.nan


def clustered_error(values: Sequence[float], families: Sequence[Hashable]) -> float:
    """Standard error of the mean where problems of one family are not independent (Miller 2411.00640, equation 4).

    Args:
        values: One number per problem; NaN (unscored) is left out.
        families: The family of each.

    Returns:
        The clustered standard error; NaN for fewer than two families.

    Raises:
        UsageError: The two differ in length.
    """
    scored, codes = coded(values, families)
    if len(scored) < 2 or codes.max(initial=-1) < 1:
        return math.nan
    deviation = scored - scored.mean()
    n = len(scored)
    sums = np.bincount(codes, deviation)
    cross = float((sums**2).sum() - (deviation**2).sum())
    return math.sqrt(max(0.0, float(scored.var(ddof=1)) / n + cross / n**2))


def coded(values: Sequence[float], families: Sequence[Hashable]) -> tuple[Floats, NDArray[np.int64]]:
    """The scored values and, for each, its family as a number from 0.

    Raises:
        UsageError: The two differ in length.
    """
    if len(values) != len(families):
        raise UsageError(f"got {len(values)} values and {len(families)} families: name the family of every problem.")
    numbers: dict[Hashable, int] = {}
    kept = [(value, family) for value, family in zip(values, families, strict=True) if not math.isnan(value)]
    codes = [numbers.setdefault(family, len(numbers)) for _, family in kept]
    return np.array([value for value, _ in kept], float), np.array(codes, np.int64)


def detectable(se: float, *, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest true difference that a comparison with this standard error finds `power` of the time.

    (z_{(1+level)/2} + z_power) · SE: Miller 2411.00640, section 5. Significance is two-sided at 1 − level.

    Raises:
        UsageError: level or power lies outside (0, 1).
    """
    return _reach(level, power) * se


def problems_needed(difference: float, deviation: float, *, level: float = 0.95, power: float = 0.8) -> int:
    """How many problems a paired comparison needs (Miller 2411.00640, equation 9).

    Args:
        difference: The true difference to be found.
        deviation: Standard deviation of the paired differences, problem by problem.
        level, power: As in `detectable`.

    Raises:
        UsageError: difference is 0, deviation is negative, or level or power lies outside (0, 1).
    """
    if not difference or not deviation >= 0:
        raise UsageError(
            f"problems_needed got difference {difference:g} and deviation {deviation:g}: pass a difference other than "
            "0 and a deviation of 0 or more."
        )
    return max(2, math.ceil((_reach(level, power) * deviation / difference) ** 2))


def _reach(level: float, power: float) -> float:
    for name, value in (("level", level), ("power", power)):
        if not 0 < value < 1:
            raise UsageError(f"{name} is {value}: pass a number between 0 and 1.")
    normal = NormalDist()
    return normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)
