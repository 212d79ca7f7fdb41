"""A model whose work is cached by token prefix: every token passes through it once.

A radix tree names the stored keys and values of every prefix seen. A call matches its sequences against the tree,
lays the missing runs end to end without padding, and computes them in waves: a run that branches off another new run
waits for it. Least recently used prefixes leave when the memory bound is reached. Used by the policy for prompts and
tree nodes, and by the learned scorers, whose per-token values (`head`) are kept beside the keys.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from reason.policies.attention import PackedPlan, Segment, plain_masks, running
from reason.policies.memory import GIB, KVStore, layer_shapes, token_bytes
from reason.policies.probe import needs_plain
from reason.policies.radix import Node, RadixTree
from reason.types import UsageError

_PACK_TOKENS = 8192
_PLAIN_PACK_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a sequence's pass through the model gave.

    Attributes:
        start: Tokens that were cached before this call.
        hidden: Last hidden states [len - start, width] of the others.
        values: With a head: its values [len, k] for every token, cached ones included.
        computed: Tokens that this sequence made the model compute; a run shared with an earlier sequence of the same
            call counts there.
    """

    start: int
    hidden: Tensor
    values: Tensor | None = None
    computed: int = 0


@dataclass(slots=True)
class Held:
    """A stored prefix, locked until released: its slots, and how many tokens were computed for it."""

    node: Node
    slots: NDArray[np.int64]
    computed: int


@dataclass(slots=True)
class _Job:
    segment: Segment
    wave: int


class PrefixModel:
    """Runs a Hugging Face decoder over token sequences, computing only what no earlier call has.

    Args:
        model: A decoder with or without language-model head; only its body runs.
        max_bytes: Bound on the stored keys and values.
        head: Maps hidden states [n, width] to per-token values [n, k], which are stored with the token.
        plain: Force the gather-and-mask path (True) or the fast path (False); None checks what the model supports.

    Raises:
        UsageError: The model is not a decoder with plain keys and values.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        max_bytes: int = GIB,
        head: Callable[[Tensor], Tensor] | None = None,
        plain: bool | None = None,
    ) -> None:
        self.model = cast(PreTrainedModel, model.base_model)
        self.head = head
        shapes = layer_shapes(self.model)
        size = token_bytes(shapes, self.model.dtype)
        self.store = KVStore(
            shapes, dtype=self.model.dtype, device=self.model.device, max_slots=max(1, max_bytes // size)
        )
        self.tree = RadixTree()
        self.lock = threading.RLock()
        self.plain = needs_plain(self.model, shapes) if plain is None else plain
        self._values: Tensor | None = None
        self._leaves: list[Node] = []
        self._width = int(self.model.config.get_text_config().hidden_size)

    def forward(self, sequences: Sequence[Sequence[int]]) -> list[Encoded]:
        """Hidden states of the tokens that were not cached, in order of `sequences`.

        Sequences may share prefixes with cached ones and with each other; shared runs are computed once.

        Raises:
            UsageError: A sequence alone exceeds the memory bound.
        """
        with self.lock:
            results: list[Encoded] = []
            arrays = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
            while len(results) < len(arrays):
                results += self._forward(arrays[len(results) :])
            return results

    def hold(self, sequences: Sequence[NDArray[np.int64]]) -> list[Held]:
        """Compute and lock as many of the sequences, from the first on, as fit in memory together (at least one)."""
        with self.lock, torch.inference_mode():
            held, jobs, _ = self._plan(sequences)
            self._compute(jobs, held, keep_hidden=False)
            return held

    def release(self, held: Held) -> None:
        """Let a held prefix be evicted again."""
        with self.lock:
            self.tree.unlock(held.node)

    def reserve(self, tokens: NDArray[np.int64]) -> Held | None:
        """Lock a place for `tokens` whose keys and values the caller has.

        Returns:
            The held prefix, whose last `computed` slots the caller must fill before releasing it; None when
            everything is stored already or no room can be made.
        """
        with self.lock:
            node, inside, length = self.tree.match(tokens)
            missing = tokens[length:]
            self.tree.lock(node)
            try:
                if not len(missing) or not self.make_room(len(missing)):
                    return None
                slots = self.store.take(len(missing))
                leaf = self.tree.insert(node, inside, missing, slots)
                self.tree.lock(leaf)
                return Held(leaf, slots, len(missing))
            finally:
                self.tree.unlock(node)

    def make_room(self, need: int) -> bool:
        """Whether so many slots can be taken, after dropping what is least recently used."""
        short = need - self.store.available
        if short > 0:
            self.store.give(self.tree.evict(max(short, self.store.max_slots // 16)))
        return need <= self.store.available

    def clear(self) -> None:
        """Forget every prefix that is not held."""
        with self.lock:
            self.store.give(self.tree.evict(len(self.tree)))

    def _forward(self, arrays: Sequence[NDArray[np.int64]]) -> list[Encoded]:
        held, jobs, starts = self._plan(arrays)
        try:
            with torch.inference_mode():
                fresh = self._compute(jobs, held, keep_hidden=True)
            results = []
            for holding, start in zip(held, starts, strict=True):
                hidden = fresh.rows(holding.slots[start:])
                results.append(Encoded(start, hidden, self._value_rows(holding.slots), holding.computed))
            return results
        finally:
            for holding in held:
                self.tree.unlock(holding.node)

    def _plan(self, arrays: Sequence[NDArray[np.int64]]) -> tuple[list[Held], list[_Job], list[int]]:
        """Insert as many sequences as fit; returns locked prefixes, what to compute, and where the new parts start."""
        held: list[Held] = []
        jobs: list[_Job] = []
        starts: list[int] = []
        limit = _PLAIN_PACK_TOKENS if self.plain else _PACK_TOKENS
        for tokens in arrays:
            node, inside, length = self.tree.match(tokens)
            missing = len(tokens) - length
            self.tree.lock(node)
            if missing and not self.make_room(missing):
                self.tree.unlock(node)
                if held:
                    break
                raise UsageError(
                    f"a sequence of {len(tokens)} tokens does not fit in the {self.store.max_slots} tokens that the "
                    "memory bound leaves for prefixes; raise memory_gib (or the scorer's max_bytes)"
                )
            prefix = self.tree.slots(node, inside)
            start = _cached(node, inside, length)
            if missing:
                slots = np.concatenate([prefix, self.store.take(missing)])
                wave = node.wave
                for first in range(length, len(tokens), limit):
                    last = min(first + limit, len(tokens))
                    wave += 1
                    jobs.append(_Job(Segment(tokens[first:last], slots[:last]), wave))
                leaf = self.tree.insert(node, inside, tokens[length:], slots[length:], wave)
                self._leaves.append(leaf)
                self.tree.lock(leaf)
                self.tree.unlock(node)
                node, prefix = leaf, slots
            held.append(Held(node, prefix, missing))
            starts.append(start)
        return held, jobs, starts

    def _compute(self, jobs: list[_Job], held: list[Held], *, keep_hidden: bool) -> _Fresh:
        fresh = _Fresh(self.store.capacity, self._width, self.store.device)
        limit = _PLAIN_PACK_TOKENS if self.plain else _PACK_TOKENS
        try:
            for wave in sorted({job.wave for job in jobs}):
                segments = [job.segment for job in jobs if job.wave == wave]
                for pack in _packs(segments, limit):
                    hidden = self._run(pack)
                    if keep_hidden:
                        fresh.add(pack, hidden)
                    if self.head is not None:
                        self._keep_values(pack, self.head(hidden))
        except BaseException:
            self._forget(held)
            raise
        for leaf in self._leaves:
            for node in _fresh_nodes(leaf):
                node.wave = 0
        self._leaves.clear()
        return fresh

    def _run(self, pack: list[Segment]) -> Tensor:
        plan = PackedPlan(self.store, pack)
        with running(self.model, plan, plain=self.plain) as cache:
            mask = plain_masks(self.model, plan) if self.plain else None
            out = self.model(
                input_ids=plan.tokens,
                position_ids=plan.positions,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
            )
        hidden: Tensor = out.last_hidden_state
        return hidden[0]

    def _forget(self, held: list[Held]) -> None:
        for holding in held:
            self.tree.unlock(holding.node)
        held.clear()
        tops = {id(nodes[-1]): nodes[-1] for nodes in map(_fresh_nodes, self._leaves) if nodes}
        for top in tops.values():
            self.store.give(self.tree.remove(top))
        self._leaves.clear()

    def _keep_values(self, pack: list[Segment], values: Tensor) -> None:
        values = values.reshape(len(values), -1)
        if self._values is None or len(self._values) < self.store.capacity:
            grown = values.new_zeros((self.store.capacity, values.shape[1]))
            if self._values is not None:
                grown[: len(self._values)] = self._values
            self._values = grown
        slots = np.concatenate([segment.slots[segment.start :] for segment in pack])
        self._values[torch.from_numpy(slots).to(values.device)] = values

    def _value_rows(self, slots: NDArray[np.int64]) -> Tensor | None:
        if self._values is None:
            return None
        return self._values[torch.from_numpy(slots).to(self._values.device)]


class _Fresh:
    """Hidden states computed in one call, by slot."""

    def __init__(self, slots: int, width: int, device: torch.device) -> None:
        self._row = np.full(slots, -1, dtype=np.int64)
        self._width, self._device = width, device
        self._hidden: list[Tensor] = []
        self._count = 0

    def add(self, pack: list[Segment], hidden: Tensor) -> None:
        slots = np.concatenate([segment.slots[segment.start :] for segment in pack])
        self._row[slots] = np.arange(self._count, self._count + len(slots))
        self._hidden.append(hidden)
        self._count += len(slots)

    def rows(self, slots: NDArray[np.int64]) -> Tensor:
        if not self._hidden:
            return torch.empty((0, self._width), device=self._device)
        if len(self._hidden) > 1:
            self._hidden = [torch.cat(self._hidden)]
        return self._hidden[0][torch.from_numpy(self._row[slots]).to(self._device)]


def _cached(node: Node, inside: int, length: int) -> int:
    """How much of a matched prefix was there before this call: nodes of a wave above 0 are new."""
    step: Node | None = node
    while step is not None and step.wave:
        length -= inside
        step = step.parent
        inside = len(step.tokens) if step is not None else 0
    return length


def _fresh_nodes(leaf: Node) -> list[Node]:
    """The nodes from `leaf` upwards that the current call inserted."""
    nodes: list[Node] = []
    step: Node | None = leaf
    while step is not None and step.wave:
        nodes.append(step)
        step = step.parent
    return nodes


def _packs(segments: list[Segment], limit: int) -> list[list[Segment]]:
    packs: list[list[Segment]] = [[]]
    size = 0
    for segment in segments:
        if packs[-1] and size + len(segment.tokens) > limit:
            packs.append([])
            size = 0
        packs[-1].append(segment)
        size += len(segment.tokens)
    return [pack for pack in packs if pack]
