"""What searches that go forward step by step share: ranked entries, their record in the tree, and the conclusion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reason.search.arrays import NONE
from reason.search.children import Child, attach
from reason.search.pool import Pool, Solution
from reason.search.select import complete_first, conclude, paid_for
from reason.search.tree import Tree
from reason.types import Finish, Outcome, Problem

FALLING = ("min", "product")
"""Aggregations under which no further step can raise a path's value."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A step in the tree."""

    node: int
    child: Child

    @property
    def rank(self) -> tuple[bool, float, float, int]:
        """Smaller is better: unscored ones last, then by value, probability and age."""
        value = self.child.value
        unscored = math.isnan(value)
        return unscored, 0.0 if unscored else -value, -self.child.mass, self.node

    @property
    def usable(self) -> bool:
        """Whether it can go on or is a solution."""
        return self.child.path.open or paid_for(self.child.path)


def best_complete(pool: Pool) -> float:
    """The best value among the pool's complete paths; -inf if there is none."""
    values = [solution.child.value for solution in pool.solutions() if solution.child.path.complete]
    return max((value for value in values if not math.isnan(value)), default=-math.inf)


def record(tree: Tree, pool: Pool, parent: int, family: Iterable[Child]) -> list[Entry]:
    """Put new steps under a node, counting those that it has already, and what ended into the pool."""
    entries: list[Entry] = []
    for child in family:
        node = tree.find(parent, child.path.steps[-1])
        if node == NONE:
            node = attach(tree, parent, child)
        else:
            tree.repeat(node, mass=child.mass, copies=child.copies)
        if not child.path.open:
            pool.keep(node, child)
        entries.append(Entry(node, child))
    return entries


def back_up(tree: Tree, parent: int, family: Iterable[Child]) -> None:
    """Count one visit of the parent, with the best value among its new steps."""
    values = [child.value for child in family if not math.isnan(child.value)]
    tree.backpropagate(parent, max(values, default=math.nan), selected=False)


def lost(family: Iterable[Child]) -> bool:
    """Whether all the steps below a path failed, so that the path is what there is of it."""
    return all(child.path.finish in (Finish.ERROR, Finish.CANCELLED) for child in family)


def ending(
    problem: Problem,
    tree: Tree,
    pool: Pool,
    select: str,
    *,
    leaves: Iterable[Entry] = (),
    weights: Sequence[float] | None = None,
    cut: bool = False,
) -> Outcome:
    """The outcome: the pool's solutions, complete ones first; open leaves take part where no solution has an answer.

    Args:
        problem, tree, select: As in `conclude`.
        pool: The solutions found.
        leaves: Open paths.
        weights: What each of the pool's solutions counts in a vote; None: one (majority) or its score.
        cut: Whether the run's budget ended the search.
    """
    solutions = pool.solutions()
    candidates = [solution.candidate() for solution in solutions]
    if not any(item.answer for item in candidates):
        more = [Solution(leaf.child, [leaf.node], 1) for leaf in leaves if leaf.child.path.steps]
        solutions += more
        candidates += [solution.candidate() for solution in more]
        weights = None if more else weights
    outcome = conclude(
        problem,
        candidates,
        select,
        weights=weights,
        among=complete_first(candidates),
        tree=tree,
        stopped="budget" if cut else "done",
    )
    for solution in solutions:
        if solution.child.path is outcome.path:
            tree.choose(solution.nodes[-1])
    return outcome
