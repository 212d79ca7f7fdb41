"""Which attention path a model supports, found by trying it on a few tokens.

A model whose attention goes through transformers' attention interface takes the fast path; any other with ordinary
keys and values takes the plain one (gathered keys, 4-D mask). Either must reproduce the model's own forward pass
before it is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from reason.policies.attention import PackedPlan, Segment, plain_masks, running
from reason.policies.memory import KVStore, LayerShape
from reason.types import UsageError

_KINDS = {"full_attention", "sliding_attention"}


def needs_plain(model: PreTrainedModel, shapes: Sequence[LayerShape]) -> bool:
    """False where the fast path reproduces the model's own forward, True where only the plain path does.

    Raises:
        UsageError: Neither does.
    """
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or _KINDS)
    if not kinds <= _KINDS:
        raise _unsupported(model, f"its layers are of the kinds {', '.join(sorted(kinds))}")
    tokens = torch.arange(1, 7, device=model.device) % model.config.get_text_config().vocab_size
    with torch.inference_mode():
        expected = model(input_ids=tokens[None], use_cache=False).last_hidden_state[0].float()
        tolerance = (1e-3 if model.dtype == torch.float32 else 0.1) * float(expected.abs().max().clamp(min=1e-6))
        failure = ""
        for plain in (False, True):
            try:
                got, layers = _run(model, shapes, tokens, plain)
            except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, NotImplementedError) as error:
                failure = f"{type(error).__name__}: {error}"
                continue
            if (plain or layers == len(shapes)) and float((got - expected).abs().max()) <= tolerance:
                return plain
            failure = "its attention follows rules that the engine does not know"
    raise _unsupported(model, failure)


def _run(model: PreTrainedModel, shapes: Sequence[LayerShape], tokens: Tensor, plain: bool) -> tuple[Tensor, int]:
    """Hidden states of `tokens` in two passes, the second beside another sequence; and how many layers attended."""
    store = KVStore(shapes, dtype=model.dtype, device=model.device, max_slots=64)
    ids = tokens.cpu().numpy()
    slots, other = store.take(len(ids)), store.take(3)
    half = len(ids) // 2
    outputs, layers = [], 0
    for pack in ([Segment(ids[:half], slots[:half])], [Segment(ids[half:], slots), Segment(np.flip(ids[:3]), other)]):
        plan = PackedPlan(store, [Segment(np.ascontiguousarray(s.tokens), s.slots) for s in pack])
        with running(model, plan, plain=plain) as cache:
            out = model(
                input_ids=plan.tokens,
                position_ids=plan.positions,
                attention_mask=plain_masks(model, plan) if plain else None,
                past_key_values=cache,
                use_cache=True,
            )
        outputs.append(out.last_hidden_state[0].float())
        layers = len(cache.attended)
    return torch.cat(outputs)[: len(ids)], layers


def _unsupported(model: PreTrainedModel, why: str) -> UsageError:
    return UsageError(
        f"the decoding engine cannot run {type(model).__name__} ({why}); use a decoder with ordinary attention, or "
        "serve this model with vLLM or another OpenAI-compatible server"
    )
