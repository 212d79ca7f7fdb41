"""Where keys and values lie: a bounded store of token slots, and how much memory the engine may take.

A slot holds the keys and values of one token in every layer. The store grows geometrically up to its bound and never
moves a token, so a radix tree can name tokens by slot number.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from reason.types import UsageError

GIB = 1024**3
_FIRST_SLOTS = 1024


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Key/value heads of one layer and their widths."""

    heads: int
    key_dim: int
    value_dim: int


def layer_shapes(model: PreTrainedModel) -> list[LayerShape]:
    """What one token leaves in the cache of each layer, found by running one token.

    Raises:
        UsageError: The model keeps a state that is not keys and values per token (Mamba, linear attention, RWKV).
    """
    cache = DynamicCache(config=model.config)
    token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    with torch.inference_mode():
        model(input_ids=token, past_key_values=cache, use_cache=True)
    shapes: list[LayerShape] = []
    for layer in cache.layers:
        keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
        if keys is None or values is None or keys.dim() != 4 or keys.shape[2] != 1 or hasattr(layer, "conv_states"):
            shapes = []
            break
        shapes.append(LayerShape(keys.shape[1], keys.shape[3], values.shape[3]))
    if not shapes:
        raise UsageError(
            f"{type(model).__name__} does not keep plain keys and values for each token, which the decoding engine "
            "needs; use a decoder-only transformer, or serve this model with vLLM or another OpenAI-compatible server"
        )
    return shapes


def token_bytes(shapes: Sequence[LayerShape], dtype: torch.dtype) -> int:
    """Bytes that the keys and values of one token take over all layers."""
    return sum(shape.heads * (shape.key_dim + shape.value_dim) for shape in shapes) * dtype.itemsize


def zeros(shape: tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """As torch.zeros, but on a CPU the system only provides the pages that are touched."""
    if device.type != "cpu" or not math.prod(shape):
        return torch.zeros(shape, dtype=dtype, device=device)
    raw = np.zeros(math.prod(shape) * dtype.itemsize, dtype=np.uint8)
    return torch.from_numpy(raw).view(dtype).view(shape)


def default_memory_gib(device: torch.device) -> float:
    """60 % of the free memory of a GPU; on a CPU a quarter of the available RAM, at most 2 GiB."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return 0.6 * free / GIB
    return min(2.0, available_ram() / 4 / GIB)


def available_ram() -> int:
    """Bytes of RAM that can be taken without swapping; 8 GiB where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 8 * GIB


class KVStore:
    """Keys and values by token slot.

    Attributes:
        keys, values: Per layer [slots, heads, width].
        max_slots: The bound.
    """

    def __init__(
        self, shapes: Sequence[LayerShape], *, dtype: torch.dtype, device: torch.device, max_slots: int
    ) -> None:
        self.shapes, self.dtype, self.device, self.max_slots = list(shapes), dtype, device, max_slots
        self.keys: list[Tensor] = [self._new(0, shape.heads, shape.key_dim) for shape in shapes]
        self.values: list[Tensor] = [self._new(0, shape.heads, shape.value_dim) for shape in shapes]
        self._free: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.capacity = 0

    def _new(self, slots: int, heads: int, width: int) -> Tensor:
        return zeros((slots, heads, width), dtype=self.dtype, device=self.device)

    @property
    def used(self) -> int:
        """Slots that hold a token."""
        return self.capacity - len(self._free)

    @property
    def available(self) -> int:
        """Slots that can be taken without freeing any."""
        return len(self._free) + self.max_slots - self.capacity

    def take(self, count: int) -> NDArray[np.int64]:
        """`count` free slots; the caller has made sure that they are available."""
        if count > len(self._free):
            self._grow(self.used + count)
        taken, self._free = self._free[-count:], self._free[:-count]
        return taken

    def give(self, slots: NDArray[np.int64]) -> None:
        """Free slots."""
        if len(slots):
            self._free = np.concatenate([self._free, slots])

    def _grow(self, need: int) -> None:
        if need > self.max_slots:
            raise ValueError(f"{need} token slots asked of a store bounded to {self.max_slots}")
        capacity = min(self.max_slots, max(need, 2 * self.capacity, _FIRST_SLOTS))
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                new = self._new(capacity, old.shape[1], old.shape[2])
                new[: self.capacity] = old
                tensors[layer] = new
        fresh = np.arange(capacity - 1, self.capacity - 1, -1, dtype=np.int64)
        self._free = np.concatenate([fresh, self._free])
        self.capacity = capacity
