"""Two runs on the same problems: how much better one is, and how sure that is.

The difference is taken problem by problem, so what makes a problem hard for both cancels (Miller 2024, arXiv
2411.00640, section 4). Outcomes of 0 and 1 are tested exactly (McNemar 1947); where a problem's value is a share, as
with repeated runs or an expectation over samples, by the paired bootstrap, and the sign test stands beside it. Where
problems come in families, both interval and p-value resample families. Several comparisons with one baseline are
corrected after Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reason.evals.metrics import RESAMPLES, mcnemar, paired_bootstrap, paired_p, resampled_families, two_sided
from reason.evals.variance import clustered_error, coded, detectable, standard_error
from reason.types import UsageError

MCNEMAR, BOOTSTRAP, FAMILIES = "McNemar", "bootstrap", "bootstrap over families"


@dataclass(frozen=True, slots=True)
class Paired:
    """A paired comparison of two runs; all figures are over the problems scored in both.

    Attributes:
        problems: How many those are.
        mean: Mean of first minus second.
        low, high: Its interval.
        se: Its standard error; clustered where there are families.
        p: Two-sided p-value of `test`; NaN without a problem.
        test: "McNemar", "bootstrap" or "bootstrap over families".
        sign_p: Exact sign test on the problems that differ: McNemar's, where the outcomes are 0 and 1.
        only_first, only_second: Problems on which the first, or the second, is better.
        correlation: Of the two runs' values over problems; NaN where one does not vary.
        detectable: The smallest true difference these problems would show as significant 80 % of the time.
    """

    problems: int
    mean: float
    low: float
    high: float
    se: float
    p: float
    test: str
    sign_p: float
    only_first: int
    only_second: int
    correlation: float
    detectable: float


def compare_paired(
    first: Sequence[float],
    second: Sequence[float],
    *,
    families: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Paired:
    """Compare two runs problem by problem.

    Args:
        first, second: One number per problem, in the same order; NaN (unscored) in either leaves the problem out.
        families: The family of each problem; None where they are independent.
        level, resamples, seed: As in `reason.evals.metrics.bootstrap_ci`.

    Raises:
        UsageError: The lengths differ.
    """
    drop = paired_bootstrap(first, second, level=level, resamples=resamples, seed=seed)
    gaps = np.asarray(first, float) - np.asarray(second, float)
    left, right = (np.asarray(side, float)[~np.isnan(gaps)] for side in (first, second))
    sign = mcnemar(left.tolist(), right.tolist())
    low, high, test = drop.low, drop.high, BOOTSTRAP
    if families is not None:
        values, codes = coded(gaps.tolist(), families)
        means = resampled_families(values, codes, resamples, seed)
        low, high = _interval(means, level)
        se, p, test = clustered_error(gaps.tolist(), families), two_sided(means), FAMILIES
    else:
        se, p = standard_error(gaps.tolist()), paired_p(first, second, resamples=resamples, seed=seed)
        if len(left) and np.isin([left, right], (0.0, 1.0)).all():
            p, test = sign, MCNEMAR
    return Paired(
        len(left),
        drop.mean,
        low,
        high,
        se,
        p if len(left) else math.nan,
        test,
        sign if len(left) else math.nan,
        int((left > right).sum()),
        int((left < right).sum()),
        _correlation(left, right),
        detectable(se, level=level),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: reject those at or below alpha, and the chance of any false one stays below alpha.

    Args:
        p_values: One per comparison; NaN (nothing compared) stays NaN and does not count.

    Raises:
        UsageError: One lies outside [0, 1].
    """
    if any(not math.isnan(p) and not 0 <= p <= 1 for p in p_values):
        raise UsageError(f"holm got {list(p_values)}: p-values lie between 0 and 1.")
    order = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    worst = 0.0
    for rank, (p, place) in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * p))
        adjusted[place] = worst
    return adjusted


def _interval(means: NDArray[np.float64], level: float) -> tuple[float, float]:
    if not len(means):
        return math.nan, math.nan
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if len(first) < 2 or not first.std() or not second.std():
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])
