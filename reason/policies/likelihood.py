"""How likely given continuations are: one forward pass over each, after prefixes that are cached.

Prefixes are computed and kept as the engine keeps them (`reason.policies.prefix`); the continuations of all of them are
laid end to end and leave nothing behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from reason.policies.attention import PackedPlan, Segment, plain_masks, running
from reason.policies.prefix import Held, PrefixModel
from reason.types import UsageError

_PACK_TOKENS = 2048
_LOGITS = 1 << 25

Tokens = NDArray[np.int64]


def likelihoods(
    model: PreTrainedModel, prefixes: PrefixModel, sequences: Sequence[Tokens], options: Sequence[Sequence[int]]
) -> list[tuple[float, ...]]:
    """Natural-log probability of each option after each sequence.

    Args:
        model: The causal language model whose body `prefixes` runs.
        prefixes: Its cache.
        sequences: At least one token each.
        options: Their tokens; none at all is certain.

    Raises:
        UsageError: A sequence alone exceeds the memory bound.
    """
    found: list[tuple[float, ...]] = []
    with prefixes.lock, torch.inference_mode():
        while len(found) < len(sequences):
            some = sequences[len(found) :]
            held = prefixes.hold([sequence[:-1] for sequence in some])
            try:
                found += _after(model, prefixes, list(zip(some, held, strict=False)), options)
            finally:
                for holding in held:
                    prefixes.release(holding)
    return found


def _after(
    model: PreTrainedModel,
    prefixes: PrefixModel,
    starts: Sequence[tuple[Tokens, Held]],
    options: Sequence[Sequence[int]],
) -> list[tuple[float, ...]]:
    """The options' log-probabilities after sequences whose keys and values, but for the last token's, are held."""
    sums = [[0.0] * len(options) for _ in starts]
    waiting = [(at, number) for at in range(len(starts)) for number, option in enumerate(options) if option]
    size = max(1, min(_PACK_TOKENS, _LOGITS // int(model.config.get_text_config().vocab_size)))
    while waiting:
        pack, tokens = list[tuple[int, int]](), 0
        while waiting and (not pack or tokens + len(options[waiting[0][1]]) <= size):
            tokens += len(options[waiting[0][1]])
            pack.append(waiting.pop(0))
        parts = [(*starts[at], options[number]) for at, number in pack]
        for (at, number), value in zip(pack, _forward(model, prefixes, parts), strict=True):
            sums[at][number] = value
    return [tuple(row) for row in sums]


def _forward(
    model: PreTrainedModel, prefixes: PrefixModel, parts: Sequence[tuple[Tokens, Held, Sequence[int]]]
) -> list[float]:
    need = sum(len(option) for _, _, option in parts)
    if not prefixes.make_room(need):
        if len(parts) > 1:
            half = len(parts) // 2
            return _forward(model, prefixes, parts[:half]) + _forward(model, prefixes, parts[half:])
        raise UsageError(
            f"a continuation of {need} tokens does not fit in the memory that is left for prefixes; raise memory_gib"
        )
    scratch = prefixes.store.take(need)
    try:
        segments, taken = [], 0
        for sequence, held, option in parts:
            tokens = np.array([int(sequence[-1]), *option[:-1]], dtype=np.int64)
            segments.append(Segment(tokens, np.concatenate([held.slots, scratch[taken : taken + len(option)]])))
            taken += len(option)
        logits = _logits(model, prefixes, segments)
        targets = torch.tensor([token for _, _, option in parts for token in option], device=logits.device)
        chosen = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)
        values = chosen.tolist()
    finally:
        prefixes.store.give(scratch)
    ends = np.cumsum([len(option) for _, _, option in parts]).tolist()
    return [math.fsum(values[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _logits(model: PreTrainedModel, prefixes: PrefixModel, segments: Sequence[Segment]) -> Tensor:
    plan = PackedPlan(prefixes.store, segments)
    with running(model, plan, plain=prefixes.plain) as cache:
        out = model(
            input_ids=plan.tokens,
            position_ids=plan.positions,
            attention_mask=plain_masks(model, plan) if prefixes.plain else None,
            past_key_values=cache,
            use_cache=True,
        )
    logits: Tensor = out.logits[0].float()
    return logits
