"""Statistics of an evaluation: error bars, paired comparison, pass@k, ranking quality.

Everything is computed over problems: a problem's outcome is one number (1 correct, 0 not, NaN unscored and left out),
and the bootstrap resamples problems. All resampling is seeded and vectorised.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reason.evals.subsets import Curve, Samples, curves, when_all_are
from reason.types import UsageError

RESAMPLES = 10_000
CHUNK = 2_000_000

Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """A paired comparison: mean of first minus second, and its interval."""

    mean: float
    low: float
    high: float


def bootstrap_ci(
    values: Sequence[float], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over problems (Efron 1979); the exact binomial one if all are 0, or 1.

    Args:
        values: One number per problem; NaN (unscored) is left out.
        level: Coverage.
        resamples: Bootstrap samples.
        seed: Draws them.

    Returns:
        Low and high end; (NaN, NaN) without scored values.
    """
    scored = _scored(values)
    if not len(scored):
        return math.nan, math.nan
    found = _interval(_resampled_means(scored, resamples, seed), level)
    if scored[0] in (0.0, 1.0) and (scored == scored[0]).all():
        return when_all_are(float(scored[0]), len(scored), level)
    return found


def paired_bootstrap(
    first: Sequence[float],
    second: Sequence[float],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Difference of two runs on the same problems, with an interval.

    Args:
        first, second: One number per problem, in the same order; a problem unscored in either is left out.
        level, resamples, seed: As in `bootstrap_ci`.

    Returns:
        Mean difference (first minus second) and its interval; NaN without a problem scored in both.

    Raises:
        UsageError: The two differ in length.
    """
    differences = _differences("paired_bootstrap", first, second)
    if not len(differences):
        return Difference(math.nan, math.nan, math.nan)
    return Difference(float(differences.mean()), *_interval(_resampled_means(differences, resamples, seed), level))


def paired_p(first: Sequence[float], second: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided bootstrap p-value of the difference of two runs on the same problems.

    Returns:
        Twice the smaller share of resampled differences on one side of zero, at least 2 / (resamples + 1), at most 1.

    Raises:
        UsageError: The two differ in length.
    """
    differences = _differences("paired_p", first, second)
    if not len(differences):
        return math.nan
    return two_sided(_resampled_means(differences, resamples, seed))


def two_sided(means: Floats) -> float:
    """Two-sided p-value of resampled means: twice the smaller share on one side of 0, at most 1; NaN without any."""
    if not len(means):
        return math.nan
    rounding = 1e-12
    smaller = min(int((means <= rounding).sum()), int((means >= -rounding).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(means) + 1))


def resampled_families(values: Floats, families: NDArray[np.int64], resamples: int, seed: int) -> Floats:
    """Means of the values of resampled families: the bootstrap where problems of one family are not independent.

    Args:
        values: One number per problem, none of them NaN. Shape [problems].
        families: The family of each, numbered from 0. Shape [problems].
        resamples, seed: As in `bootstrap_ci`.

    Returns:
        Shape [resamples]; empty without values.
    """
    if not len(values):
        return np.empty(0)
    if resamples < 1:
        raise UsageError(f"resamples is {resamples}: pass at least 1 (10,000 is usual).")
    sums, sizes = np.bincount(families, values), np.bincount(families)
    count = len(sums)
    generator = np.random.default_rng(seed)
    parts = [sums[draw].sum(axis=1) / sizes[draw].sum(axis=1) for draw in _draws(generator, count, resamples)]
    return np.concatenate(parts)


def mcnemar(first: Sequence[float], second: Sequence[float]) -> float:
    """Exact two-sided McNemar test on two runs of 0/1 outcomes over the same problems (McNemar 1947).

    Returns:
        The p-value: of the problems that exactly one run answers correctly, how unlikely is a split this uneven.

    Raises:
        UsageError: The two differ in length.
    """
    if len(first) != len(second):
        raise UsageError(
            f"mcnemar got {len(first)} and {len(second)} problems: pair the runs problem by problem first."
        )
    only_first = sum(a > b for a, b in zip(first, second, strict=True))
    only_second = sum(a < b for a, b in zip(first, second, strict=True))
    discordant = only_first + only_second
    tail = sum(math.comb(discordant, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / (1 << discordant))


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased probability that one of k samples is correct, from n (Chen et al. 2021, arXiv 2107.03374, eq. 1).

    Raises:
        UsageError: Not 1 <= k <= n, or not 0 <= correct <= n.
    """
    if not 1 <= k <= n:
        raise UsageError(
            f"pass@k got k={k} and n={n}: k must lie between 1 and n; sample more, or ask for a smaller k."
        )
    if not 0 <= correct <= n:
        raise UsageError(f"pass@k got {correct} correct of n={n}: pass a count between 0 and n.")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """Probability that a correct one is scored above an incorrect one, ties counting half (Mann-Whitney U).

    Args:
        scores: Higher is better; NaN (unscored) is left out.
        labels: Whether each is correct.

    Returns:
        The area under the ROC curve; NaN when one of the two classes is missing.

    Raises:
        UsageError: The two differ in length.
    """
    if len(scores) != len(labels):
        raise UsageError(f"auc got {len(scores)} scores and {len(labels)} labels: pass one label per score.")
    values, truth = np.asarray(scores, float), np.asarray(labels, bool)
    known = ~np.isnan(values)
    values, truth = values[known], truth[known]
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return math.nan
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    above = float(rank[place][truth].sum()) - positive * (positive + 1) / 2
    return above / (positive * negative)


def auc_within(scores: Sequence[float], labels: Sequence[bool], problems: Sequence[str | int]) -> tuple[float, int]:
    """Mean AUC among the samples of one problem: how well a scorer ranks what best-of-n chooses from.

    Args:
        scores, labels: As in `auc`.
        problems: Which problem each belongs to.

    Returns:
        The unweighted mean over problems that have both classes, and how many those are; (NaN, 0) for none.
    """
    if len(problems) != len(scores):
        raise UsageError(f"auc_within got {len(scores)} scores and {len(problems)} problem ids: pass one per score.")
    members: dict[str | int, list[int]] = {}
    for index, problem in enumerate(problems):
        members.setdefault(problem, []).append(index)
    found = [auc([scores[i] for i in own], [labels[i] for i in own]) for own in members.values()]
    known = [value for value in found if not math.isnan(value)]
    return (math.fsum(known) / len(known), len(known)) if known else (math.nan, 0)


def _scored(values: Sequence[float] | Floats) -> Floats:
    array: Floats = np.asarray(values, float)
    kept: Floats = array[~np.isnan(array)]
    return kept


def _differences(name: str, first: Sequence[float], second: Sequence[float]) -> Floats:
    if len(first) != len(second):
        raise UsageError(f"{name} got {len(first)} and {len(second)} problems: pair the runs problem by problem first.")
    return _scored(np.asarray(first, float) - np.asarray(second, float))


def _interval(means: Floats, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise UsageError(f"level is {level}: pass a coverage between 0 and 1, such as 0.95.")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled_means(values: Floats, resamples: int, seed: int) -> Floats:
    if resamples < 1:
        raise UsageError(f"resamples is {resamples}: pass at least 1 (10,000 is usual).")
    generator = np.random.default_rng(seed)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) * 4 < len(values):
        drawn = generator.multinomial(len(values), counts / len(values), size=resamples)
        return np.asarray(drawn @ distinct / len(values), float)
    parts = [values[draw].mean(axis=1) for draw in _draws(generator, len(values), resamples)]
    return np.concatenate(parts)


def _draws(generator: np.random.Generator, n: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    rows = max(1, CHUNK // n)
    for start in range(0, resamples, rows):
        yield generator.integers(0, n, size=(min(rows, resamples - start), n))


__all__ = [
    "Curve",
    "Difference",
    "Samples",
    "auc",
    "auc_within",
    "bootstrap_ci",
    "curves",
    "mcnemar",
    "paired_bootstrap",
    "paired_p",
    "pass_at_k",
    "resampled_families",
    "two_sided",
]
