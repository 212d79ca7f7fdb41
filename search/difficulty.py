"""How hard a problem is for a policy, from a few samples and without a gold answer.

Snell et al. 2408.03314, section 3.2: difficulty is the policy's own success rate, and where no gold answer is known it
is estimated from the scores that a verifier gives to samples ("model-predicted difficulty"). From the samples drawn so
far come six features (`features`): the logit of the mean and of the best score, the agreement of the answers (1 minus
their normalised vote entropy), the share of the vote behind the best-scored answer, the mean token log-probability, and
the logarithm of the mean length. Two logistic regressions on them, fitted by `reason tune`, estimate

- `success`: the probability that one more sample is right, which is Snell's difficulty;
- `settled`: the probability that the best-scored of these samples (or, without scores, the majority) is right.

A problem's cell is its bin of `settled` and, within that, its bin of `success`; the edges are quantiles.

Deviations: Snell et al. draw 2,048 samples and use the mean score alone, in five quantile bins; here 1, 2, 4 … samples
have to do, which are candidates for the answer as well, so that two questions are asked of them: are we done, and what
would more compute bring.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reason.answers import vote
from reason.types import Candidate

FEATURES = ("mean_score", "best_score", "agreement", "support", "logprob", "length")
CLIP = 1e-3
NEWTON_STEPS = 50

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sign:
    """What is seen of a sampled solution.

    Attributes:
        group: Which of the answers found so far it gives (equal answers have equal numbers), or None.
        score: Its score, NaN where unscored.
        complete: Whether the policy ended it itself.
        tokens: Its length.
        logprob: Its log-probability, NaN where unknown.
    """

    group: int | None
    score: float
    complete: bool
    tokens: int
    logprob: float


def signs(candidates: Sequence[Candidate]) -> list[Sign]:
    """What is seen of these candidates of one problem."""
    groups: list[int | None] = [None] * len(candidates)
    for number, group in enumerate(vote([item.answer for item in candidates])):
        for member in group.members if group.answer is not None else ():
            groups[member] = number
    return [_sign(item, group) for item, group in zip(candidates, groups, strict=True)]


def _sign(item: Candidate, group: int | None) -> Sign:
    path = item.path
    known = any(step.logprobs for step in path.steps)
    tokens = len(path.token_ids) or len(path.text)
    return Sign(group, item.score, path.complete, tokens, path.logprob if known else math.nan)


def winner(seen: Sequence[Sign], select: str) -> int | None:
    """The index that `reason.search.select.choose` picks: by best score, by sum of scores or by majority."""
    answered = [index for index, sign in enumerate(seen) if sign.group is not None]
    if not answered:
        return None
    if select == "naive" and any(not math.isnan(seen[index].score) for index in answered):
        return max(answered, key=lambda index: (_rank(seen[index]), -index))
    weights = [0.0 if math.isnan(sign.score) else max(sign.score, 0.0) for sign in seen]
    if select != "weighted" or not math.fsum(weights[index] for index in answered) > 0:
        weights = [1.0] * len(seen)
    sums: dict[int | None, float] = {}
    for index in answered:
        sums[seen[index].group] = sums.get(seen[index].group, 0.0) + weights[index]
    most = max(sums, key=lambda group: sums[group])
    return max(
        (index for index in answered if seen[index].group == most), key=lambda index: (_rank(seen[index]), -index)
    )


def _rank(sign: Sign) -> tuple[bool, float, bool]:
    scored = not math.isnan(sign.score)
    return scored, sign.score if scored else 0.0, sign.complete


def features(seen: Sequence[Sign]) -> tuple[float, ...]:
    """What the candidates of one problem say, in the order of `FEATURES`; NaN where it is unknown."""
    scores = [sign.score for sign in seen if not math.isnan(sign.score)]
    logprobs = [sign.logprob / sign.tokens for sign in seen if sign.tokens and not math.isnan(sign.logprob)]
    counts: dict[int, int] = {}
    for sign in seen:
        if sign.group is not None:
            counts[sign.group] = counts.get(sign.group, 0) + 1
    best = winner(seen, "naive")
    group = None if best is None else seen[best].group
    return (
        logit(math.fsum(scores) / len(scores)) if scores else math.nan,
        logit(max(scores)) if scores else math.nan,
        agreement([counts[group] for group in counts], len(seen)),
        0.0 if group is None else counts[group] / len(seen),
        math.fsum(logprobs) / len(logprobs) if logprobs else math.nan,
        math.log(max(sum(sign.tokens for sign in seen) / len(seen), 1.0)) if seen else math.nan,
    )


def agreement(counts: Sequence[int], total: int) -> float:
    """1 minus the entropy of the vote over its maximum; missing answers all differ. Of one answer, 1."""
    if total < 2:
        return float(len(counts))
    parts = [count / total for count in [*counts, *[1] * (total - sum(counts))]]
    return 1.0 + math.fsum(part * math.log(part) for part in parts) / math.log(total)


def logit(probability: float) -> float:
    """The log-odds, with probabilities kept off 0 and 1."""
    kept = min(max(probability, CLIP), 1.0 - CLIP)
    return math.log(kept / (1.0 - kept))


def sigmoid(value: float) -> float:
    """The probability of these log-odds."""
    return 0.5 * (1.0 + math.tanh(0.5 * value))


@dataclass(frozen=True, slots=True)
class Logistic:
    """A logistic regression on standardised features.

    Attributes:
        bias: The log-odds at the features' means.
        weights: One for each feature.
        means, scales: Of the features where they were fitted; an unknown feature counts as its mean.
    """

    bias: float
    weights: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]

    def __call__(self, row: Sequence[float]) -> float:
        """The probability at these features."""
        parts = zip(row, self.weights, self.means, self.scales, strict=True)
        known = ((value - mean) / scale * weight for value, weight, mean, scale in parts if not math.isnan(value))
        return sigmoid(self.bias + math.fsum(known))


def fit_logistic(rows: Floats, targets: Floats, weights: Floats, ridge: float = 1.0) -> Logistic:
    """The regression that maximises the weighted likelihood less ridge / 2 times the squared weights (Newton's method).

    Args:
        rows: Features [observations, features]; NaN is unknown.
        targets: In [0, 1]. Shape [observations].
        weights: Of the observations. Shape [observations].
        ridge: Pulls the weights of the standardised features to 0; the bias is free but for a trace.
    """
    share = weights / weights.sum()
    known = ~np.isnan(rows)
    filled = np.where(known, rows, 0.0)
    mass = np.maximum((share[:, None] * known).sum(axis=0), 1e-12)
    means = (share[:, None] * filled).sum(axis=0) / mass
    centred = np.where(known, rows - means, 0.0)
    spread = np.sqrt((share[:, None] * centred**2).sum(axis=0) / mass)
    scales = np.where(spread > 1e-9, spread, 1.0)
    design = np.column_stack([np.ones(len(rows)), centred / scales])
    penalty = np.diag([1e-3, *[ridge] * rows.shape[1]])
    beta = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        odds = 0.5 * (1.0 + np.tanh(0.5 * (design @ beta)))
        slope = design.T @ (weights * (targets - odds)) - penalty @ beta
        curvature = (design * (weights * np.maximum(odds * (1 - odds), 1e-9))[:, None]).T @ design + penalty
        step = np.linalg.solve(curvature, slope)
        beta = beta + step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return Logistic(float(beta[0]), tuple(map(float, beta[1:])), tuple(map(float, means)), tuple(map(float, scales)))


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Places a problem in a cell, from the samples drawn so far.

    Attributes:
        success, settled: The regressions (see the module's docstring).
        edges: Upper edges of the bins of `settled`, rising, without the last.
        inner: For each of those bins, the edges of its bins of `success`.
    """

    success: Logistic
    settled: Logistic
    edges: tuple[float, ...]
    inner: tuple[tuple[float, ...], ...]

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return sum(len(edges) + 1 for edges in self.inner)

    def cell(self, row: Sequence[float]) -> int:
        """The cell of a problem with these features."""
        outer = bisect.bisect_right(self.edges, self.settled(row))
        before = sum(len(edges) + 1 for edges in self.inner[:outer])
        return before + bisect.bisect_right(self.inner[outer], self.success(row))


def fit_difficulty(
    rows: Floats, success: Floats, settled: Floats, weights: Floats, *, bins: int, inner: int
) -> Difficulty:
    """Fit both regressions and the quantile bins.

    Args:
        rows: Features [observations, features].
        success: The share of a problem's other samples that are right. Shape [observations].
        settled: Whether the best of these samples is right. Shape [observations].
        weights: Of the observations.
        bins, inner: Bins of `settled`, and of `success` in each of them.
    """
    asks = fit_logistic(rows, success, weights), fit_logistic(rows, settled, weights)
    easy, done = (np.array([model(row) for row in rows]) for model in asks)
    edges = quantile_edges(done, weights, bins)
    outer = np.array([bisect.bisect_right(edges, value) for value in done])
    found = []
    for number in range(len(edges) + 1):
        inside = outer == number
        found.append(quantile_edges(easy[inside], weights[inside], inner))
    return Difficulty(*asks, edges, tuple(found))


def quantile_edges(values: Floats, weights: Floats, bins: int) -> tuple[float, ...]:
    """Edges that split the weight evenly into at most so many bins; equal values stay together."""
    if not len(values):
        return ()
    order = np.argsort(values, kind="stable")
    ranked, mass = values[order], np.cumsum(weights[order]) / weights.sum()
    edges: list[float] = []
    for number in range(1, bins):
        at = int(np.searchsorted(mass, number / bins - 1e-9))
        above = int(np.searchsorted(ranked, ranked[min(at, len(ranked) - 1)], side="right"))
        if above < len(ranked):
            middle = float((ranked[above - 1] + ranked[above]) / 2)
            edge = middle if middle > ranked[above - 1] else float(ranked[above])
            if not edges or edge > edges[-1]:
                edges.append(edge)
    return tuple(edges)
