"""Choosing by visits: where the search went most, and how sure that makes the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reason.search.tree import Tree


def by_visits(tree: Tree, places: Sequence[Sequence[int]], among: Sequence[int]) -> tuple[int, list[float]]:
    """Choose among solutions by visits.

    Args:
        tree: The tree.
        places: For each solution, the nodes where it ends.
        among: The solutions that may be chosen.

    Returns:
        The chosen solution, and for each the probability that a walk in proportion to visits ends there.
    """
    owner = {node: index for index, nodes in enumerate(places) for node in nodes}
    chosen = most_visited(tree, [node for index in among for node in places[index]])
    shares = [0.0] * len(places)
    for node, share in zip(owner, visit_shares(tree, list(owner)), strict=True):
        shares[owner[node]] += share
    return owner[chosen], shares


def most_visited(tree: Tree, nodes: Sequence[int]) -> int:
    """Of the nodes, none below another: where the most visited branches lead; ties by mean value, then age."""
    leading = {at for node in nodes for at in tree.lineage(node)}
    at = 0
    while at not in nodes:
        at = max((child for child in tree.children(at) if child in leading), key=lambda child: _rank(tree, child))
    return at


def _rank(tree: Tree, node: int) -> tuple[int, float, int]:
    value = tree.mean_value(node)
    return tree.visits[node], -math.inf if math.isnan(value) else value, -node


def visit_shares(tree: Tree, nodes: Sequence[int]) -> list[float]:
    """The probability of ending at each node when every branch is taken in proportion to its visits plus one.

    Only branches that lead to one of the nodes count, so that the shares of different nodes, none below another, sum
    to 1.
    """
    lines = [tree.lineage(node) for node in nodes]
    leading = {at for line in lines for at in line}
    total = {at: sum(tree.visits[child] + 1 for child in tree.children(at) if child in leading) for at in leading}
    return [math.prod((tree.visits[at] + 1) / total[tree.parent[at]] for at in line[1:]) for line in lines]
