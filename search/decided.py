"""Ending a tree search early: the answer of the full search is known already. Every bound is exact.

With R simulations left at most (`simulations` less those done), each of which finds at most s solutions:

- final "value": a complete solution has the greatest value there is (`bound`), and the first of equals wins;
- final "vote": the leading answer's lead exceeds all that R simulations can add to another: R · s times the bound, or
  1 where votes are counts;
- final "visits": from the root down to the chosen solution, each node's lead in visits over every sibling exceeds what
  R simulations can bring to one node: 2 R, the free visits to finished nodes included.

Without `simulations`, R is unknown, because a budget in solutions grows with the solutions found; "value" does not need
it. A value above the bound shows that it is none: nothing is decided by it then.
"""

from __future__ import annotations

import math

from reason.answers import vote
from reason.search.pool import Solution
from reason.search.simulate import State
from reason.search.visits import most_visited
from reason.types import Candidate


def decided(state: State) -> bool:
    """Whether no simulation that is left could change the answer."""
    settings = state.settings
    if state.pool.best > settings.bound:
        return False
    if settings.final == "value":
        return state.pool.best == settings.bound
    if settings.simulations is None or state.simulations < state.check_at:
        return False
    left = settings.simulations - state.simulations
    lead, gain = _lead(state)
    if lead > left * gain:
        return True
    # A lead grows by `gain` a simulation while what is left shrinks by one: earlier looks would be in vain.
    state.check_at = state.simulations + max(math.ceil((left - abs(lead) / gain) / 2), 1)
    return False


def _lead(state: State) -> tuple[float, float]:
    """The least lead of what would be chosen now, and by how much a simulation can shorten it."""
    settings = state.settings
    found = [(solution, item) for solution in state.pool.solutions() if _counts(item := solution.candidate())]
    if settings.final == "visits":
        return (_visit_lead(state, found) if found else 0.0), 2.0
    counted = settings.value == "agreement"
    most = max(settings.branch, settings.root_branch) + (settings.value != "scorer")
    gain = most * (1.0 if counted else settings.bound)
    weights = [float(solution.count) if counted else max(item.score, 0.0) for solution, item in found]
    weights = [0.0 if math.isnan(weight) else weight for weight in weights]
    if not math.fsum(weights) > 0 or not gain > 0:
        return 0.0, max(gain, 1.0)
    groups = vote([item.answer for _, item in found], weights)
    return groups[0].weight - (groups[1].weight if len(groups) > 1 else 0.0), gain


def _counts(item: Candidate) -> bool:
    return item.path.complete and item.answer is not None


def _visit_lead(state: State, found: list[tuple[Solution, Candidate]]) -> float:
    tree = state.tree
    chosen = most_visited(tree, [node for solution, _ in found for node in solution.nodes])
    leads: list[int] = []
    for node in tree.lineage(chosen)[1:]:
        others = [tree.visits[other] for other in tree.children(tree.parent[node]) if other != node]
        leads.append(tree.visits[node] - max(others, default=0))
    return float(min(leads))
