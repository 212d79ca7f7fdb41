"""Preallocated keys and values of the running batch: one row per running path, or one per shared prefix.

A pool is a rectangle of rows by tokens in each layer, [rows * heads, tokens, width], so that the first n rows are one
contiguous view. It grows geometrically in either direction up to a bound in tokens; rows that leave are filled from
the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reason.policies.memory import KVStore, LayerShape, zeros

Index = NDArray[np.int64]


class Pool:
    """Keys and values of `rows` sequences of up to `cap` tokens.

    Attributes:
        keys, values: Per layer [rows * heads, cap, width].
    """

    def __init__(self, shapes: Sequence[LayerShape], *, dtype: torch.dtype, device: torch.device) -> None:
        self.shapes, self.dtype, self.device = list(shapes), dtype, device
        self.rows, self.cap = 0, 0
        self.keys = [torch.empty((0, 0, shape.key_dim), dtype=dtype, device=device) for shape in shapes]
        self.values = [torch.empty((0, 0, shape.value_dim), dtype=dtype, device=device) for shape in shapes]

    def fit(self, rows: int, cap: int, *, used: tuple[int, int], bound: int, wish: tuple[int, int] = (0, 0)) -> bool:
        """Make room for `rows` x `cap`, keeping the first `used` rows and tokens; False if `bound` tokens forbid it.

        A pool that must grow grows to `wish` where the bound allows it, else geometrically.
        """
        if rows <= self.rows and cap <= self.cap and self.rows * self.cap <= bound:
            return True
        if rows * cap > bound:
            return False
        more_rows = self.rows if rows <= self.rows else max(wish[0], 2 * self.rows)
        new_rows = max(rows, min(more_rows, bound // cap))
        more_cap = self.cap if cap <= self.cap else max(wish[1], self.cap + self.cap // 2)
        new_cap = max(cap, min(more_cap, bound // new_rows))
        self._move(new_rows, new_cap, used)
        return True

    def _move(self, rows: int, cap: int, used: tuple[int, int]) -> None:
        keep_rows, keep_cap = min(used[0], rows), min(used[1], cap)
        for tensors, dims in ((self.keys, "key_dim"), (self.values, "value_dim")):
            for layer, shape in enumerate(self.shapes):
                old = tensors[layer]
                new = zeros((rows * shape.heads, cap, getattr(shape, dims)), dtype=self.dtype, device=self.device)
                new[: keep_rows * shape.heads, :keep_cap] = old[: keep_rows * shape.heads, :keep_cap]
                tensors[layer] = new
        self.rows, self.cap = rows, cap

    def flat(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values as [rows * heads * cap, width]."""
        keys, values = self.keys[layer], self.values[layer]
        return keys.view(-1, keys.shape[-1]), values.view(-1, values.shape[-1])

    def index(self, layer: int, rows: Index, tokens: Index) -> Tensor:
        """Where the heads of (row, token) pairs lie in `flat`: [pairs, heads]."""
        heads = self.shapes[layer].heads
        at = (rows[:, None] * heads + np.arange(heads)[None]) * self.cap + tokens[:, None]
        return torch.from_numpy(at).to(self.device)

    def load(self, store: KVStore, slots: Index, rows: Index, tokens: Index) -> None:
        """Copy stored tokens to (row, token) pairs."""
        if not len(slots):
            return
        source = torch.from_numpy(slots).to(self.device)
        for layer in range(len(self.shapes)):
            at = self.index(layer, rows, tokens).view(-1)
            for flat, stored in zip(self.flat(layer), (store.keys[layer], store.values[layer]), strict=True):
                flat.index_copy_(0, at, stored.index_select(0, source).view(len(at), -1))

    def save(self, store: KVStore, slots: Index, rows: Index, tokens: Index) -> None:
        """Copy (row, token) pairs to the store."""
        if not len(slots):
            return
        target = torch.from_numpy(slots).to(self.device)
        for layer, shape in enumerate(self.shapes):
            at = self.index(layer, rows, tokens).view(-1)
            for flat, stored in zip(self.flat(layer), (store.keys[layer], store.values[layer]), strict=True):
                stored.index_copy_(0, target, flat.index_select(0, at).view(len(slots), shape.heads, -1))

    @torch.inference_mode()
    def fill(self, holes: Index, movers: Index, cap: int) -> None:
        """Copy the first `cap` tokens of rows `movers` over rows `holes`."""
        if not len(holes) or not cap:
            return
        to, source = torch.from_numpy(holes).to(self.device), torch.from_numpy(movers).to(self.device)
        for layer, shape in enumerate(self.shapes):
            for tensor in (self.keys[layer], self.values[layer]):
                rows = tensor.view(self.rows, shape.heads, self.cap, tensor.shape[-1])
                rows[to, :, :cap] = rows[source, :, :cap]


def leaving(count: int, gone: Index) -> tuple[Index, Index]:
    """Which rows fill the holes that rows `gone` leave among the first `count`: (holes, movers)."""
    left = count - len(gone)
    stays = np.ones(count, dtype=np.bool_)
    stays[gone] = False
    movers = np.flatnonzero(stays[left:]) + left
    return gone[gone < left], movers
