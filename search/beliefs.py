"""What is believed about the scores that sampling at a node, or going on below it, will bring: conjugate posteriors.

Observations come in as count, sum and sum of squares, so that a belief is updated and drawn from in constant time.

- Beta: each score s in [0, 1] is s successes and 1 - s failures; the posterior of the mean is Beta(a + Σs, b + Σ(1-s)).
- Gaussian: mean and variance unknown, prior normal-inverse-chi-squared (m, kappa, nu, tau²); updates as in Murphy,
  "Probabilistic Machine Learning: Advanced Topics", 3.4.3.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Protocol

from reason.search.arrays import NONE
from reason.search.tree import Tree

MODELS = ("gaussian", "beta")


class Model(Protocol):
    """A family of posteriors."""

    def draw(self, random: Random, count: float, total: float, squares: float) -> float:
        """A draw from the posterior of the mean."""
        ...

    def fit(self, score: float) -> float:
        """The score as it can be observed."""
        ...


@dataclass(frozen=True, slots=True)
class Beta:
    """Scores in [0, 1]; others are clipped."""

    a: float = 0.5
    b: float = 0.5

    def draw(self, random: Random, count: float, total: float, squares: float) -> float:
        """A draw from the posterior of the mean."""
        return random.betavariate(self.a + total, self.b + max(count - total, 0.0))

    def fit(self, score: float) -> float:
        """The score, clipped to [0, 1]."""
        return min(max(score, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Scores of any size."""

    mean: float = 0.0
    weight: float = 1.0
    freedom: float = 1.0
    variance: float = 0.1

    def posterior(self, count: float, total: float, squares: float) -> tuple[float, float, float, float]:
        """m, kappa, nu and nu · tau² after the observations."""
        if not count:
            return self.mean, self.weight, self.freedom, self.freedom * self.variance
        average = total / count
        kappa = self.weight + count
        scale = self.freedom * self.variance + max(squares - total * average, 0.0)
        scale += count * self.weight / kappa * (self.mean - average) ** 2
        return (self.weight * self.mean + total) / kappa, kappa, self.freedom + count, scale

    def draw(self, random: Random, count: float, total: float, squares: float) -> float:
        """A draw from the posterior of the mean."""
        mean, kappa, freedom, scale = self.posterior(count, total, squares)
        variance = scale / 2 / random.gammavariate(freedom / 2, 1.0)
        return random.gauss(mean, math.sqrt(variance / kappa))

    def fit(self, score: float) -> float:
        """The score as it is."""
        return score


class Beliefs:
    """Observations at every node of a tree.

    For a node, `made` are the scores of its children (what sampling there gave: the paper's GEN), and `deeper` those of
    its later descendants (what going on with one of its children gave: CONT). All that is known about a child as a
    place to go on from is its own score, its `made` and its `deeper`.

    Args:
        tree: The tree; nodes that are added to it later count too.
        model: The posteriors.
        loss: Observations of value 0 that a selection in flight counts as.
    """

    def __init__(self, tree: Tree, model: Model, loss: float) -> None:
        self.tree, self.model, self.loss = tree, model, loss
        self._made = ([0.0], [0.0], [0.0])
        self._deeper = ([0.0], [0.0], [0.0])

    def _grow(self) -> None:
        missing = len(self.tree) - len(self._made[0])
        if missing > 0:
            for column in (*self._made, *self._deeper):
                column += [0.0] * missing

    def observe(self, node: int, score: float, copies: int = 1) -> None:
        """Sampling at the node gave a child of this score, so many times; NaN is no observation."""
        if math.isnan(score):
            return
        score = self.model.fit(score)
        total, squares = copies * score, copies * score * score
        counts, totals, spreads = self._made
        self._grow()
        while node != NONE:
            counts[node] += copies
            totals[node] += total
            spreads[node] += squares
            counts, totals, spreads = self._deeper
            node = self.tree.parent[node]

    def made(self, node: int) -> tuple[float, float, float]:
        """Count, sum and sum of squares of the scores that sampling at the node gave."""
        self._grow()
        count, total, squares = self._made
        return count[node], total[node], squares[node]

    def deeper(self, node: int) -> tuple[float, float, float]:
        """The same of the scores that going on with one of its children gave."""
        self._grow()
        count, total, squares = self._deeper
        return count[node], total[node], squares[node]

    def draw_made(self, node: int, random: Random, pending: int) -> float:
        """A draw for sampling at the node, with so many such samples in flight."""
        count, total, squares = self.made(node)
        return self.model.draw(random, count + self.loss * pending, total, squares)

    def draw_deeper(self, node: int, random: Random, pending: int) -> float:
        """A draw for going on with one of the node's children."""
        count, total, squares = self.deeper(node)
        return self.model.draw(random, count + self.loss * pending, total, squares)

    def best_child(self, node: int, random: Random) -> int:
        """The open child with the greatest draw for going on with it; NONE if none is open."""
        self._grow()
        tree, draw, fit = self.tree, self.model.draw, self.model.fit
        sibling, is_open, value, virtual = tree.next_sibling, tree.open, tree.value, tree.virtual
        (made, made_sum, made_squares), (deep, deep_sum, deep_squares) = self._made, self._deeper
        best, most = NONE, -math.inf
        child = tree.first_child[node]
        while child != NONE:
            if is_open[child]:
                count, total = made[child] + deep[child], made_sum[child] + deep_sum[child]
                squares, own = made_squares[child] + deep_squares[child], value[child]
                if own == own:
                    own = fit(own)
                    count, total, squares = count + 1, total + own, squares + own * own
                drawn = draw(random, count + self.loss * virtual[child], total, squares)
                if drawn > most or best == NONE:
                    best, most = child, drawn
            child = sibling[child]
        return best
