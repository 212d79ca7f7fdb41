"""The arrays under the search tree: one numpy array per field, grown by doubling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

NONE = -1
_FIELDS = {
    "parent": (np.int32, NONE),
    "first_child": (np.int32, NONE),
    "last_child": (np.int32, NONE),
    "next_sibling": (np.int32, NONE),
    "depth": (np.int32, 0),
    "visits": (np.int32, 0),
    "values": (np.int32, 0),
    "value_sum": (np.float64, 0.0),
    "value": (np.float64, math.nan),
    "mass": (np.float64, 1.0),
    "copies": (np.int32, 1),
    "mass_below": (np.float64, 0.0),
    "samples": (np.int32, 0),
    "singles": (np.int32, 0),
    "scored": (np.int32, 0),
    "scored_sum": (np.float64, 0.0),
    "virtual": (np.int32, 0),
    "samplable": (np.uint8, 1),
    "ways": (np.int32, 1),
    "open": (np.uint8, 1),
    "pruned": (np.uint8, 0),
    "chosen": (np.uint8, 0),
}


class NodeArrays:
    """Fields of nodes 0, 1, 2, …, each an attribute that is indexed by node.

    The attributes are memoryviews of the arrays, which read and write one element several times as fast as numpy's own
    indexing; they are bound anew whenever the arrays grow.

    Args:
        capacity: Nodes to allocate at first.
    """

    def __init__(self, capacity: int) -> None:
        self._count = 0
        self._arrays = {name: np.full(max(capacity, 1), initial, dtype) for name, (dtype, initial) in _FIELDS.items()}
        self._bind()

    def __len__(self) -> int:
        return self._count

    def array(self, field: str) -> np.ndarray[Any, Any]:
        """A field over all nodes [nodes]; a copy."""
        return self._arrays[field][: self._count].copy()

    def append_row(self) -> int:
        """Room for one more node, its fields at their defaults; returns its index."""
        capacity = len(self._arrays["parent"])
        if self._count == capacity:
            for name, (dtype, initial) in _FIELDS.items():
                grown = np.full(2 * capacity, initial, dtype)
                grown[:capacity] = self._arrays[name]
                self._arrays[name] = grown
            self._bind()
        self._count += 1
        return self._count - 1

    def _bind(self) -> None:
        count, real = self._integers, self._floats
        self.parent, self.depth, self.next_sibling = count("parent"), count("depth"), count("next_sibling")
        self.first_child, self.last_child = count("first_child"), count("last_child")
        self.visits, self.virtual, self.values = count("visits"), count("virtual"), count("values")
        self.value_sum, self.value, self.scored_sum = real("value_sum"), real("value"), real("scored_sum")
        self.mass, self.mass_below = real("mass"), real("mass_below")
        self.copies, self.samples, self.singles = count("copies"), count("samples"), count("singles")
        self.scored, self.samplable = count("scored"), count("samplable")
        self.ways, self.open = count("ways"), count("open")
        self.pruned, self.chosen = count("pruned"), count("chosen")

    def _integers(self, field: str) -> memoryview[int]:
        return memoryview(self._arrays[field].data)

    def _floats(self, field: str) -> memoryview[float]:
        view: Any = memoryview(self._arrays[field].data)
        typed: memoryview[float] = view
        return typed
