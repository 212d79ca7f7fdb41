"""A radix tree over token sequences: which cache slot holds which token of which prefix.

Every node keeps a run of tokens and one slot number per token; the tokens from the root to a node spell a prefix, and
the slots along the way are where its keys and values lie. Sequences share the nodes of their common prefix. Nodes in
use are locked; the least recently used unlocked leaves are evicted when slots run out (RadixAttention, arXiv
2312.07104).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Node:
    """A run of tokens below its parent.

    Attributes:
        tokens, slots: Equally long; `slots[i]` is where the state of `tokens[i]` is stored.
        children: By first token.
        used: Tick of the last use.
        locks: How many users hold this node or one below it.
        wave: Within one computation, in which forward pass its tokens are computed; 0 once they are there.
    """

    tokens: Tokens
    slots: Tokens
    parent: Node | None = None
    children: dict[int, Node] = field(default_factory=dict)
    used: int = 0
    locks: int = 0
    wave: int = 0


def _empty() -> Tokens:
    return np.empty(0, dtype=np.int64)


class RadixTree:
    """Prefixes and their slots; slot numbers come from the caller and go back to it on eviction."""

    def __init__(self) -> None:
        self.root = Node(_empty(), _empty())
        self._clock = count(1)

    def match(self, tokens: Tokens) -> tuple[Node, int, int]:
        """The longest stored prefix of `tokens`.

        Returns:
            The last node on the way, how many of its tokens belong to the prefix, and the prefix's length.
        """
        tick = next(self._clock)
        node, length = self.root, 0
        inside = 0
        while length < len(tokens):
            child = node.children.get(int(tokens[length]))
            if child is None:
                break
            child.used = tick
            inside = _common(child.tokens, tokens[length:])
            node, length = child, length + inside
            if inside < len(child.tokens):
                break
        return node, inside, length

    def slots(self, node: Node, inside: int) -> Tokens:
        """Slots from the root to the `inside`-th token of `node`."""
        runs = [node.slots[:inside]]
        above = node.parent
        while above is not None:
            runs.append(above.slots)
            above = above.parent
        return np.concatenate(runs[::-1])

    def insert(self, node: Node, inside: int, tokens: Tokens, slots: Tokens, wave: int = 0) -> Node:
        """Add `tokens` after the prefix that `match` found, splitting its last node where needed."""
        if inside < len(node.tokens):
            node = self._split(node, inside)
        leaf = Node(tokens, slots, parent=node, used=next(self._clock), wave=wave)
        node.children[int(tokens[0])] = leaf
        return leaf

    def lock(self, node: Node) -> None:
        """Keep a prefix from eviction until `unlock`."""
        step: Node | None = node
        while step is not None:
            step.locks += 1
            step = step.parent

    def unlock(self, node: Node) -> None:
        """Undo one `lock`."""
        step: Node | None = node
        while step is not None:
            step.locks -= 1
            step = step.parent

    def evict(self, need: int) -> Tokens:
        """Drop least recently used unlocked leaves until `need` slots are free or none is left; returns their slots."""
        order = count()
        leaves = [(node.used, next(order), node) for node in self._nodes() if not node.children and not node.locks]
        heapq.heapify(leaves)
        freed: list[Tokens] = []
        total = 0
        while leaves and total < need:
            _, _, node = heapq.heappop(leaves)
            freed.append(node.slots)
            total += len(node.slots)
            parent = node.parent
            if parent is None:
                continue
            del parent.children[int(node.tokens[0])]
            if parent.parent is not None and not parent.children and not parent.locks:
                heapq.heappush(leaves, (parent.used, next(order), parent))
        return np.concatenate(freed) if freed else _empty()

    def remove(self, node: Node) -> Tokens:
        """Drop a node and all below it, locked or not; returns the slots that they held."""
        if node.parent is not None:
            del node.parent.children[int(node.tokens[0])]
        runs, stack = [], [node]
        while stack:
            current = stack.pop()
            runs.append(current.slots)
            stack.extend(current.children.values())
        return np.concatenate(runs)

    def evictable(self) -> int:
        """How many slots `evict` could free."""
        return sum(len(node.slots) for node in self._nodes() if not node.locks)

    def __len__(self) -> int:
        return sum(len(node.slots) for node in self._nodes())

    def _nodes(self) -> list[Node]:
        found: list[Node] = []
        stack = list(self.root.children.values())
        while stack:
            node = stack.pop()
            found.append(node)
            stack.extend(node.children.values())
        return found

    def _split(self, node: Node, at: int) -> Node:
        parent = node.parent
        if parent is None:
            raise ValueError("the root of a radix tree holds no tokens to split")
        upper = Node(node.tokens[:at], node.slots[:at], parent=parent, used=node.used, locks=node.locks, wave=node.wave)
        parent.children[int(node.tokens[0])] = upper
        node.tokens, node.slots, node.parent = node.tokens[at:], node.slots[at:], upper
        upper.children[int(node.tokens[0])] = node
        return upper


def _common(a: Tokens, b: Tokens) -> int:
    size = min(len(a), len(b))
    same = a[:size] == b[:size]
    return size if same.all() else int(same.argmin())
