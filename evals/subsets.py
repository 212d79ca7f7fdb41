"""What selecting among k of n recorded samples is worth, for every k up to n, from one run.

A strategy that draws k samples and selects is judged by its expectation over all k-subsets of the n samples at hand:
an unbiased estimate, as in pass@k. Ties go to the sample drawn first, as in `reason.search.select`; over random orders
of a subset that is a fair draw.

- pass (any correct): closed form (Chen et al. 2021, arXiv 2107.03374).
- naive (best score): order statistics. The best of a subset lies in a tie group of size t under a better ones with
  probability [C(n-a, k) - C(n-a-t, k)] / C(n, k).
- majority: exact. The winner's count is m when all others' are at most m; generating functions over the groups' counts,
  with ties counted, give all k at once.
- weighted (largest sum of scores): exact by enumeration where there are at most 3,000 subsets, else over seeded random
  permutations, each of whose prefixes of length k is a uniform k-subset; the standard error of that is told.

Samples without an answer are drawn but cannot win; a subset without any answer is wrong. Unscored samples (NaN) rank
last and weigh nothing; where no weight is positive, the majority decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from reason.answers import vote
from reason.types import UsageError

MOST_SUBSETS = 3_000
PERMUTATIONS = 2_000
NAMES = ("pass", "majority", "naive", "weighted")
UNJUDGED = NAMES[:2]
ERRORS = "weighted error"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Samples:
    """One problem's samples.

    Attributes:
        answers: What was extracted from each, or None.
        correct: Whether each is correct.
        scores: The scorer's value of each, NaN where unscored; empty without a scorer.
    """

    answers: tuple[str | None, ...]
    correct: tuple[bool, ...]
    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.answers or len(self.correct) != len(self.answers):
            raise UsageError(
                f"Samples got {len(self.answers)} answers and {len(self.correct)} labels: pass one label per sample, "
                "and at least one sample."
            )
        if self.scores and len(self.scores) != len(self.answers):
            raise UsageError(
                f"Samples got {len(self.answers)} answers and {len(self.scores)} scores: pass one per sample."
            )


@dataclass(frozen=True, slots=True)
class Curve:
    """Expected accuracy against k.

    Attributes:
        k: 1 … n.
        mean: Expected accuracy over problems.
        low, high: 95 % bootstrap interval over problems.
        exact: Whether every expectation is exact; False where some come from random permutations.
        error: Monte-Carlo standard error of each mean: 0 where it is exact.
    """

    k: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    exact: bool
    error: tuple[float, ...] = ()


def curves(problems: Sequence[Samples], *, seed: int = 0, resamples: int = 2_000) -> dict[str, Curve]:
    """Expected accuracy for every k up to the smallest number of samples, by name of the selection.

    Args:
        problems: The samples of each problem.
        seed: Draws permutations and bootstrap samples.
        resamples: Bootstrap samples over problems.

    Returns:
        "pass" and "majority"; with scores also "naive" and "weighted".

    Raises:
        UsageError: No problems.
    """
    if not problems:
        raise UsageError("curves got no problems: pass the samples of at least one.")
    most = min(len(samples.answers) for samples in problems)
    found = expectations(problems, seed=seed)
    drawn = found.pop(ERRORS, np.zeros((len(problems), most)))
    none = np.zeros(most)
    error = np.sqrt((drawn[:, :most] ** 2).sum(axis=0)) / len(problems)
    return {
        name: _curve(rows[:, :most], seed, resamples, error if name == "weighted" else none)
        for name, rows in found.items()
    }


def expectations(problems: Sequence[Samples], *, seed: int = 0, wanted: Sequence[str] = NAMES) -> dict[str, Floats]:
    """Each problem's expected correctness for k = 1 … the smallest number of samples, by name of the selection.

    Args:
        problems: The samples of each problem.
        seed: Draws the permutations.
        wanted: The selections to compute; the weighted vote takes longest.

    Returns:
        "pass" and "majority"; where every problem has scores also "naive", "weighted" and "weighted error", the
        Monte-Carlo standard errors of the last. Shape [problems, k] each.
    """
    most = min((len(samples.answers) for samples in problems), default=0)
    judged = all(samples.scores for samples in problems)
    able = [name for name in NAMES if name in wanted and (judged or name in UNJUDGED)]
    rows: dict[str, list[Floats]] = {name: [] for name in [*able, *([ERRORS] if "weighted" in able else [])]}
    for number, samples in enumerate(problems):
        groups = group_ids(samples.answers)
        for name in able:
            if name == "pass":
                rows[name].append(expected_pass(samples.correct)[:most])
            elif name == "majority":
                rows[name].append(expected_majority(groups, samples.correct)[:most])
            elif name == "naive":
                answered = [group is not None for group in groups]
                rows[name].append(expected_best(samples.scores, samples.correct, answered)[:most])
            else:
                values, errors = expected_weighted(groups, samples.correct, samples.scores, seed=seed + number)
                rows[name].append(values[:most])
                rows[ERRORS].append(errors[:most])
    return {name: np.array(values) for name, values in rows.items()}


def group_ids(answers: Sequence[str | None]) -> list[int | None]:
    """The vote group of each answer, None for no answer."""
    found: list[int | None] = [None] * len(answers)
    for number, group in enumerate(vote(answers)):
        for member in group.members if group.answer is not None else ():
            found[member] = number
    return found


def expected_pass(correct: Sequence[bool]) -> Floats:
    """Probability that a k-subset holds a correct sample, for k = 1 … n. Shape [n]."""
    n = len(correct)
    found: Floats = 1.0 - _none_of(n)[sum(map(bool, correct))]
    return found


def expected_best(scores: Sequence[float], correct: Sequence[bool], answered: Sequence[bool] | None = None) -> Floats:
    """Expected correctness of the best-scored sample of a k-subset, for k = 1 … n. Shape [n]."""
    n = len(scores)
    able = [True] * n if answered is None else answered
    value = [-math.inf if math.isnan(score) else score for score in scores]
    order = sorted((index for index in range(n) if able[index]), key=lambda index: -value[index])
    none = _none_of(n)
    total = np.zeros(n)
    above = 0
    while above < len(order):
        size = 1
        while above + size < len(order) and value[order[above + size]] == value[order[above]]:
            size += 1
        share = sum(bool(correct[index]) for index in order[above : above + size]) / size
        if share:
            total += share * (none[above] - none[above + size])
        above += size
    return total


def _none_of(n: int) -> Floats:
    """C(n-a, k) / C(n, k), the chance that a k-subset misses a given samples: a = 0 … n, k = 1 … n. Shape [n+1, n]."""
    k = np.arange(1, n + 1)
    table = np.ones((n + 1, n))
    for a in range(1, n + 1):
        table[a] = table[a - 1] * np.maximum(n - k - a + 1, 0) / (n - a + 1)
    return table


def expected_majority(groups: Sequence[int | None], correct: Sequence[bool]) -> Floats:
    """Expected correctness of the most frequent answer of a k-subset, for k = 1 … n. Shape [n].

    A group counts as correct to the share of its members that are (all or none, when grading and grouping agree).
    """
    n = len(groups)
    sizes: dict[int, int] = {}
    right: dict[int, int] = {}
    for group, good in zip(groups, correct, strict=True):
        if group is not None:
            sizes[group] = sizes.get(group, 0) + 1
            right[group] = right.get(group, 0) + bool(good)
    nobody = n - sum(sizes.values())
    filler = _binomials(nobody, nobody)
    total = np.zeros(n + 1)
    for group, members in right.items():
        if not members:
            continue
        others = [size for other, size in sizes.items() if other != group]
        for count in range(1, sizes[group] + 1):
            ways = math.comb(sizes[group], count) * _at_most(others, count, filler, n - count)
            total[count:] += ways * (members / sizes[group])
    return total[1:] / _binomials(n, n)[1:]


def _at_most(others: Sequence[int], count: int, filler: Floats, longest: int) -> Floats:
    """Ways to draw j samples of the other groups, none more than `count` times, each way over one plus its ties.

    A table over (ties, j) is multiplied by one group's generating function after the other. Shape [longest + 1].
    """
    ways = np.zeros((1, longest + 1))
    ways[0, : len(filler)] = filler[: longest + 1]
    for size in others:
        fewer = _binomials(size, min(size, count - 1))
        table = np.zeros((len(ways) + (size >= count), longest + 1))
        for drawn, factor in enumerate(fewer[: longest + 1]):
            table[: len(ways), drawn:] += factor * ways[:, : longest + 1 - drawn]
        if size >= count <= longest:
            table[1:, count:] += math.comb(size, count) * ways[:, : longest + 1 - count]
        ways = table
    return np.asarray((ways / np.arange(1, len(ways) + 1)[:, None]).sum(axis=0), float)


def _binomials(n: int, most: int) -> Floats:
    return np.array([float(math.comb(n, drawn)) for drawn in range(most + 1)])


def expected_weighted(
    groups: Sequence[int | None],
    correct: Sequence[bool],
    scores: Sequence[float],
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> tuple[Floats, Floats]:
    """Expected correctness of the answer with the largest score sum in a k-subset, and its Monte-Carlo standard error.

    For k = 1 … n. Scores below zero and NaN weigh nothing. Shape [n] each; the error is 0 where the value is exact.
    """
    n = len(groups)
    weights = np.array([0.0 if math.isnan(score) else max(score, 0.0) for score in scores])
    ids = np.array([-1 if group is None else group for group in groups])
    width = int(ids.max()) + 1
    if not width:
        return np.zeros(n), np.zeros(n)
    goodness = np.array(
        [np.mean([bool(c) for c, g in zip(correct, ids, strict=True) if g == group]) for group in range(width)]
    )
    values, errors = np.empty(n), np.zeros(n)
    sampled = [k for k in range(1, n + 1) if math.comb(n, k) > MOST_SUBSETS]
    for k in set(range(1, n + 1)) - set(sampled):
        drawn = np.array(list(combinations(range(n), k)))
        values[k - 1] = float(_winners(drawn, ids, weights, goodness).mean())
    if sampled:
        generator = np.random.default_rng(seed)
        orders = generator.permuted(np.tile(np.arange(n), (permutations, 1)), axis=1)
        along, spread = _along(orders, ids, weights, goodness)
        for k in sampled:
            values[k - 1] = along[k - 1]
            errors[k - 1] = max(spread[k - 1] / math.sqrt(permutations), 1 / permutations)
    return values, errors


def _winners(drawn: NDArray[np.int64], ids: NDArray[np.int64], weights: Floats, goodness: Floats) -> Floats:
    """Correctness of these subsets' winners, ties shared by the number of members. [subsets, k] -> [subsets]."""
    width = len(goodness)
    rows = np.repeat(np.arange(len(drawn)), drawn.shape[1])
    flat = drawn.ravel()
    cells = rows * (width + 1) + np.where(ids[flat] < 0, width, ids[flat])
    shape = (len(drawn), width + 1)
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)[:, :width]
    sums = np.bincount(cells, weights[flat], minlength=shape[0] * shape[1]).reshape(shape)[:, :width]
    return _shares(np.asarray(sums, float), np.asarray(counts, float), goodness)


def _along(
    orders: NDArray[np.int64], ids: NDArray[np.int64], weights: Floats, goodness: Floats
) -> tuple[Floats, Floats]:
    """Mean and deviation of `_winners` of the first k of each order, for k = 1 … n. [orders, n] -> [n] each."""
    rows, width = np.arange(len(orders)), len(goodness)
    sums, counts = np.zeros((len(orders), width + 1)), np.zeros((len(orders), width + 1))
    values, spread = np.empty(orders.shape[1]), np.empty(orders.shape[1])
    for place, drawn in enumerate(orders.T):
        cells = np.where(ids[drawn] < 0, width, ids[drawn])
        sums[rows, cells] += weights[drawn]
        counts[rows, cells] += 1
        shares = _shares(sums[:, :width], counts[:, :width], goodness)
        values[place], spread[place] = shares.mean(), shares.std()
    return values, spread


def _shares(sums: Floats, counts: Floats, goodness: Floats) -> Floats:
    """Correctness of the winner of each of these subsets' votes. `sums` and `counts` are [subsets, groups]."""
    sums = np.where(sums.sum(axis=1, keepdims=True) > 0, sums, counts)
    best = sums.max(axis=1, keepdims=True)
    winners = counts * (sums >= best * (1 - 1e-12))
    drawn_any = winners.sum(axis=1)
    return np.asarray((winners @ goodness) / np.maximum(drawn_any, 1), float)


def _curve(values: Floats, seed: int, resamples: int, error: Floats) -> Curve:
    """The mean over problems with its interval. `values` is [problems, k]."""
    n = len(values)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    low, high = np.quantile(drawn @ values / n, [0.025, 0.975], axis=0)
    for end in (0.0, 1.0):
        alike = (values == end).all(axis=0)
        low[alike], high[alike] = when_all_are(end, n)
    k = tuple(range(1, values.shape[1] + 1))
    mean, low, high, errors = (tuple(map(float, side)) for side in (values.mean(axis=0), low, high, error))
    return Curve(k, mean, low, high, not any(errors), errors)


def when_all_are(end: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval of a share that was 0, or 1, of n: there resampling has nothing to vary.

    Clopper and Pearson (1934); for 0 of n the "rule of three" says about 3 / n.
    """
    reach = 1.0 - ((1.0 - level) / 2) ** (1.0 / n)
    return (0.0, reach) if end == 0 else (1.0 - reach, 1.0)
