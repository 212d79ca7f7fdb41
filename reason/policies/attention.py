"""The engine's attention, plugged into a Hugging Face model's own forward pass.

transformers calls `past_key_values.update(...)` and then the attention function that `config._attn_implementation`
names. Here both go to the running forward's `Plan`: it stores the new keys and values where they belong and attends
to wherever the old ones lie, so no row's cache is ever concatenated or copied to be attended to. Models that do not
call the attention interface get the gathered keys and values and a 4-D mask instead (`plain`): slower, and what the
fast path is tested against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import AttentionInterface, Cache, PreTrainedModel

from reason.policies.memory import KVStore

NAME = "reason"
_MASKED = -1e30
_BUCKET_ELEMENTS = 1 << 22


@dataclass(frozen=True, slots=True)
class Rules:
    """What a layer's attention does besides softmax(QK)V.

    Attributes:
        scaling: Factor on the scores.
        window: Keys further back than this many positions (its own included) are not seen.
        softcap: Scores become softcap * tanh(score / softcap).
        sinks: [heads] logits that take part in the softmax without a value.
    """

    scaling: float
    window: int | None = None
    softcap: float | None = None
    sinks: Tensor | None = None


class Plan(Protocol):
    """One forward pass: where its keys and values go and what its queries see."""

    def write(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Store new keys and values [batch, heads, tokens, width]."""
        ...

    def attend(self, layer: int, query: Tensor, rules: Rules) -> Tensor:
        """Attention output [batch, tokens, heads, width] of `query` [batch, heads, tokens, width]."""
        ...

    def gather(self, layer: int) -> tuple[Tensor, Tensor]:
        """All keys and values that the queries may see, [batch, heads, seen, width], for the plain path."""
        ...

    def mask(self, window: int | None) -> Tensor:
        """Which gathered keys each query sees: bool [batch, 1, tokens, seen]."""
        ...


class PlanCache(Cache):
    """The `past_key_values` that carries a plan through a model's forward."""

    def __init__(self, plan: Plan, plain: bool) -> None:
        super().__init__(layers=[])
        self.plan, self.plain, self.layer = plan, plain, -1
        self.attended: set[int] = set()

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> Any:
        """Store the new keys and values; returns what the model's attention is to be handed."""
        self.plan.write(layer_idx, key_states, value_states)
        self.layer = layer_idx
        return self.plan.gather(layer_idx) if self.plain else (key_states, value_states)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions are always passed, so no length is claimed."""
        return 0

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Never used with the engine's own masks."""
        return query_length, 0


_running: ContextVar[PlanCache | None] = ContextVar("reason_plan", default=None)


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    cache = _running.get()
    if cache is None:
        raise RuntimeError("the attention implementation 'reason' only runs inside reason's engine")
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    cache.attended.add(cache.layer)
    return cache.plan.attend(cache.layer, query, Rules(scale, sliding_window, softcap, s_aux)), None


AttentionInterface.register(NAME, _attention)


@contextmanager
def running(model: PreTrainedModel, plan: Plan, *, plain: bool = False) -> Iterator[PlanCache]:
    """Within it, `model` called with the yielded cache attends through `plan`; its configuration is put back after."""
    cache = PlanCache(plan, plain)
    before = model.config._attn_implementation
    model.config._attn_implementation = "eager" if plain else NAME
    token = _running.set(cache)
    try:
        yield cache
    finally:
        _running.reset(token)
        model.config._attn_implementation = before


def plain_masks(model: PreTrainedModel, plan: Plan) -> Any:
    """The additive 4-D mask (or one per kind of layer) for a plain forward."""

    def additive(window: int | None) -> Tensor:
        seen = plan.mask(window)
        lowest = torch.finfo(model.dtype).min
        return torch.zeros(seen.shape, dtype=model.dtype, device=seen.device).masked_fill_(~seen, lowest)

    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or [])
    if len(kinds) > 1 or "sliding_attention" in kinds:
        return {kind: additive(window if kind == "sliding_attention" else None) for kind in kinds}
    return additive(window if not kinds else None)


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens to compute, the i-th at position `start + i`; `slots` are those of all before it and its own."""

    tokens: NDArray[np.int64]
    slots: NDArray[np.int64]

    @property
    def start(self) -> int:
        return len(self.slots) - len(self.tokens)


@dataclass(slots=True)
class _Bucket:
    """Segments of similar size: indices of their queries into the pack [b, n], of their slots [b, s], and the mask."""

    queries: Tensor
    slots: Tensor
    first: Tensor
    length: Tensor
    filled: Tensor


class PackedPlan:
    """Many segments, laid end to end as one row without padding, each attending to its own prefix in the store.

    Only attention knows where a segment ends: it runs in buckets of similar lengths, gathered from the store.
    """

    def __init__(self, store: KVStore, segments: Sequence[Segment]) -> None:
        self.store, self.segments = store, segments
        device = store.device
        self.tokens = torch.from_numpy(np.concatenate([s.tokens for s in segments])).to(device)[None]
        positions = np.concatenate([np.arange(s.start, len(s.slots), dtype=np.int64) for s in segments])
        self.positions = torch.from_numpy(positions).to(device)[None]
        self._new = torch.from_numpy(np.concatenate([s.slots[s.start :] for s in segments])).to(device)
        self._buckets = [self._bucket(group) for group in _buckets(segments)]

    def _bucket(self, members: list[tuple[int, Segment]]) -> _Bucket:
        rows = max(len(s.tokens) for _, s in members)
        seen = max(len(s.slots) for _, s in members)
        queries = np.zeros((len(members), rows), dtype=np.int64)
        slots = np.zeros((len(members), seen), dtype=np.int64)
        for row, (offset, segment) in enumerate(members):
            queries[row, : len(segment.tokens)] = np.arange(offset, offset + len(segment.tokens))
            slots[row, : len(segment.slots)] = segment.slots
        first = np.array([s.start for _, s in members], dtype=np.int64)
        length = np.array([len(s.tokens) for _, s in members], dtype=np.int64)
        filled = np.flatnonzero(np.arange(rows)[None] < length[:, None])
        device = self.store.device
        return _Bucket(*(torch.from_numpy(a).to(device) for a in (queries, slots, first, length, filled)))

    def write(self, layer: int, keys: Tensor, values: Tensor) -> None:
        self.store.keys[layer].index_copy_(0, self._new, keys[0].transpose(0, 1).to(self.store.dtype))
        self.store.values[layer].index_copy_(0, self._new, values[0].transpose(0, 1).to(self.store.dtype))

    def attend(self, layer: int, query: Tensor, rules: Rules) -> Tensor:
        heads, tokens = query.shape[1], query.shape[2]
        rows = query[0].transpose(0, 1)
        out = query.new_empty((tokens, heads, self.store.shapes[layer].value_dim))
        for bucket in self._buckets:
            b, n = bucket.queries.shape
            q = rows.index_select(0, bucket.queries.view(-1)).view(b, n, heads, -1).transpose(1, 2)
            k = self._seen(self.store.keys[layer], bucket.slots, heads)
            v = self._seen(self.store.values[layer], bucket.slots, heads)
            o = _dense(q, k, v, _causal(bucket, rules.window), rules).transpose(1, 2).reshape(b * n, heads, -1)
            out.index_copy_(0, bucket.queries.view(-1)[bucket.filled], o.index_select(0, bucket.filled))
        return out[None]

    def _seen(self, stored: Tensor, slots: Tensor, heads: int) -> Tensor:
        gathered = stored.index_select(0, slots.reshape(-1)).view(*slots.shape, stored.shape[1], -1).transpose(1, 2)
        return gathered if stored.shape[1] == heads else gathered.repeat_interleave(heads // stored.shape[1], dim=1)

    def gather(self, layer: int) -> tuple[Tensor, Tensor]:
        slots = torch.from_numpy(np.concatenate([s.slots for s in self.segments])).to(self.store.device)
        keys = self.store.keys[layer].index_select(0, slots).transpose(0, 1)[None]
        return keys, self.store.values[layer].index_select(0, slots).transpose(0, 1)[None]

    def mask(self, window: int | None) -> Tensor:
        blocks = []
        for segment in self.segments:
            query = torch.arange(segment.start, len(segment.slots))[:, None]
            key = torch.arange(len(segment.slots))[None]
            blocks.append((key <= query) & (key > query - (window or len(segment.slots) + 1)))
        whole: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
        return whole.bool().to(self.store.device)[None, None]


def _buckets(segments: Sequence[Segment]) -> list[list[tuple[int, Segment]]]:
    """Group segments (with their offsets in the pack) so that padding stays small and no score matrix gets large."""
    offsets = np.cumsum([0] + [len(s.tokens) for s in segments])
    items = sorted(
        zip(offsets.tolist(), segments, strict=False), key=lambda item: (len(item[1].tokens), len(item[1].slots))
    )
    groups: list[list[tuple[int, Segment]]] = []
    for item in items:
        tokens, seen = len(item[1].tokens), len(item[1].slots)
        if groups:
            group = groups[-1]
            smallest = group[0][1]
            close = tokens <= 1.5 * len(smallest.tokens) + 4 and seen <= 1.5 * len(smallest.slots) + 16
            if close and (len(group) + 1) * tokens * seen <= _BUCKET_ELEMENTS:
                group.append(item)
                continue
        groups.append([item])
    return groups


def _causal(bucket: _Bucket, window: int | None) -> Tensor:
    """Bool [b, 1, n, s]: keys at or before each query, and within the window."""
    n, s = bucket.queries.shape[1], bucket.slots.shape[1]
    device = bucket.slots.device
    position = bucket.first[:, None] + torch.arange(n, device=device)[None]
    position = torch.minimum(position, (bucket.first + bucket.length - 1)[:, None])[:, None, :, None]
    key = torch.arange(s, device=device)[None, None, None]
    seen = key <= position
    return seen if window is None else seen & (key > position - window)


def _dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, rules: Rules) -> Tensor:
    """Masked attention on [b, heads, n, width]."""
    if rules.softcap is None and rules.sinks is None and k.shape[-1] == v.shape[-1]:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=rules.scaling)
    scores = (q @ k.transpose(2, 3)).float() * rules.scaling
    if rules.softcap is not None:
        scores = torch.tanh(scores / rules.softcap) * rules.softcap
    scores = scores.masked_fill(~mask, _MASKED)
    if rules.sinks is not None:
        sinks = rules.sinks.float().view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = torch.cat([scores, sinks], dim=-1).softmax(-1)[..., :-1]
    else:
        scores = scores.softmax(-1)
    return scores.to(v.dtype) @ v
