"""Which way a simulation goes from a node: PUCT or UCT, over the open children and the arm that samples there again.

- PUCT (Silver et al. 1712.01815): Q + c · P · sqrt(N) / (1 + n), P the prior, N the parent's visits, n the child's.
- UCT (Kocsis & Szepesvári 2006): Q + c · sqrt(ln N / n), which knows no prior. A child that has not been played comes
  first, likeliest first; with a first-play urgency (Gelly & Wang 2006) it stands at that number instead.

Q is the mean of a child's values; each selection in flight counts as `virtual_loss` visits of value 0, in N and n too.

Deviations: under UCT a new step's own judgement counts as its first play, since all siblings are judged in one batch;
N counts the same way. The arm that samples again is described in `reason.search.tree`; under UCT its n is the number of
samples, and its bonus is discounted where a new step is unlikely, like its value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from reason.search.arrays import NONE

if TYPE_CHECKING:
    from reason.search.tree import Tree

_BEFORE_ALL = 1e12


class Rule(Protocol):
    """A selection rule; see `puct`."""

    def __call__(
        self, tree: Tree, node: int, exploration: float, *, closed: bool = False, again: bool = True
    ) -> int: ...


def puct(tree: Tree, node: int, exploration: float, *, closed: bool = False, again: bool = True) -> int:
    """The open child with the greatest PUCT score, or the node itself to sample there again; NONE if there is neither.

    Args:
        tree: The tree.
        node: Where to choose.
        exploration: c.
        closed: Whether children that are closed and have a value take part.
        again: Whether to sample at the node again is a choice, if it is samplable.
    """
    visits, virtual, loss, mass, mean = tree.visits, tree.virtual, tree.virtual_loss, tree.mass, tree.mean
    is_open, sibling = tree.open, tree.next_sibling
    pull = exploration * math.sqrt(visits[node] + loss * virtual[node])
    default = mean[node] if tree.values[node] else 0.0
    best, best_score, share = NONE, -math.inf, 1.0
    if again and tree.samplable[node]:
        fresh = tree.novelty(node)
        share -= fresh
        best = node
        best_score = tree.thrifty(fresh) * tree.sample_value(node)
        best_score += fresh * pull / (1 + tree.samples[node])
    pull *= share / (tree.mass_below[node] or 1.0)
    child = tree.first_child[node]
    while child != NONE:
        if is_open[child] or (closed and tree.values[child] and not virtual[child]):
            pending = virtual[child]
            if pending:
                score = _with_pending(tree, child, loss * pending, default)
                score += pull * mass[child] / (1 + visits[child] + loss * pending)
            else:
                score = mean[child]
                score = (score if score == score else default) + pull * mass[child] / (1 + visits[child])
            if score > best_score:
                best, best_score = child, score
        child = sibling[child]
    return best


def _with_pending(tree: Tree, child: int, pending: float, default: float) -> float:
    """The mean value of a child with selections in flight."""
    values = tree.values[child]
    return tree.value_sum[child] / (values + pending) if values else default / (1 + pending)


def uct(tree: Tree, node: int, exploration: float, *, closed: bool = False, again: bool = True) -> int:
    """The same by UCT."""
    visits, virtual, loss = tree.visits, tree.virtual, tree.virtual_loss
    count, own = tree.values, tree.value
    is_open, sibling = tree.open, tree.next_sibling
    log = math.log(1 + visits[node] + loss * virtual[node])
    default = tree.mean[node] if count[node] else 0.0
    best, best_score = NONE, -math.inf
    if again and tree.samplable[node]:
        best = node
        bonus = exploration * math.sqrt(log / (tree.samples[node] or 1))
        best_score = tree.thrifty(tree.novelty(node)) * (tree.sample_value(node) + bonus)
    child = tree.first_child[node]
    while child != NONE:
        if is_open[child] or (closed and count[child] and not virtual[child]):
            pending = loss * virtual[child]
            plays = visits[child] + pending + (own[child] == own[child])
            if plays:
                score = _with_pending(tree, child, pending, default) + exploration * math.sqrt(log / plays)
            else:
                score = _BEFORE_ALL + tree.mass[child] if tree.first_play is None else tree.first_play
            if score > best_score:
                best, best_score = child, score
        child = sibling[child]
    return best


RULES: dict[str, Rule] = {"puct": puct, "uct": uct}
