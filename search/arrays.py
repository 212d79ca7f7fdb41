"""The arrays under the search tree: one growing list per field, indexed by node.

Lists, not numpy arrays: a search reads and writes single elements, which a list does three times as fast as a
memoryview and ten times as fast as numpy's own indexing. `array` gives a field as a numpy array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

NONE = -1


class NodeArrays:
    """Fields of nodes 0, 1, 2, …, each an attribute that is indexed by node; `Tree` says what they mean."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.first_child: list[int] = []
        self.last_child: list[int] = []
        self.next_sibling: list[int] = []
        self.depth: list[int] = []
        self.visits: list[int] = []
        self.values: list[int] = []
        self.value_sum: list[float] = []
        self.mean: list[float] = []
        self.value: list[float] = []
        self.mass: list[float] = []
        self.copies: list[int] = []
        self.mass_below: list[float] = []
        self.samples: list[int] = []
        self.singles: list[int] = []
        self.scored: list[int] = []
        self.scored_sum: list[float] = []
        self.virtual: list[int] = []
        self.samplable: list[bool] = []
        self.ways: list[int] = []
        self.open: list[bool] = []
        self.pruned: list[int] = []
        self.chosen: list[bool] = []

    def __len__(self) -> int:
        return len(self.parent)

    def array(self, field: str) -> np.ndarray[Any, Any]:
        """A field over all nodes [nodes], as a numpy array."""
        return np.array(getattr(self, field))

    def append_row(self) -> int:
        """Room for one more node, its fields at their defaults; returns its index."""
        for links in (self.parent, self.first_child, self.last_child, self.next_sibling):
            links.append(NONE)
        for counts in (self.depth, self.visits, self.values, self.samples, self.singles, self.scored, self.virtual):
            counts.append(0)
        for unknown in (self.mean, self.value):
            unknown.append(math.nan)
        for sums in (self.value_sum, self.mass_below, self.scored_sum):
            sums.append(0.0)
        for present in (self.samplable, self.open):
            present.append(True)
        for absent in (self.pruned, self.chosen):
            absent.append(False)
        self.mass.append(1.0)
        self.copies.append(1)
        self.ways.append(1)
        return len(self.parent) - 1
