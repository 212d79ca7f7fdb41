"""The solutions that a tree search has found: each once, with every node at which it was reached."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from reason.answers import answer_of
from reason.search.children import Child
from reason.search.select import candidate, paid_for
from reason.types import Candidate, Finish


@dataclass(slots=True)
class Solution:
    """A finished or truncated path.

    Attributes:
        child: The path and its judgement.
        nodes: Where it ends in the tree: rollouts and steps can spell the same text.
        count: How often it was sampled.
    """

    child: Child
    nodes: list[int] = field(default_factory=list)
    count: int = 0

    def candidate(self) -> Candidate:
        """It as a candidate for the answer."""
        return candidate(self.child.path, self.child.score, self.child.value)


class Pool:
    """Solutions by text and finish, in the order found.

    Attributes:
        best: The greatest value of a complete solution that holds an answer; -inf if there is none.
    """

    def __init__(self) -> None:
        self.best = -math.inf
        self._solutions: dict[tuple[str, Finish], Solution] = {}

    def keep(self, node: int, child: Child) -> None:
        """Add a closed path, or count it with its equal; nothing for one that was not paid for or can go on."""
        if paid_for(child.path):
            solution = self._solutions.setdefault((child.path.text, child.path.finish), Solution(child))
            solution.count += child.copies
            if child.value > self.best and child.path.complete and answer_of(child.path.text) is not None:
                self.best = child.value
            if node not in solution.nodes:
                solution.nodes.append(node)

    def __contains__(self, key: tuple[str, Finish]) -> bool:
        return key in self._solutions

    def solutions(self) -> list[Solution]:
        """All of them, in the order found."""
        return list(self._solutions.values())
