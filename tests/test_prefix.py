"""PrefixModel: cached passes equal whole passes, each token is computed once, memory stays bounded."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2Model,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
    PreTrainedModel,
    Qwen2Config,
    Qwen2Model,
)

from reason.policies.memory import layer_shapes, token_bytes
from reason.policies.prefix import PrefixModel
from reason.types import UsageError

VOCAB = 64
COMMON = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


def _models() -> dict[str, PreTrainedModel]:
    torch.manual_seed(0)
    gpt2 = GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=128)
    return {
        "llama": LlamaModel(LlamaConfig(**COMMON)),
        "qwen2": Qwen2Model(Qwen2Config(**COMMON)),
        "gpt2": GPT2Model(gpt2),
        "mistral": MistralModel(MistralConfig(**COMMON, sliding_window=6)),
        "gemma2": Gemma2Model(Gemma2Config(**COMMON, head_dim=8, sliding_window=6, query_pre_attn_scalar=8)),
    }


MODELS = {name: model.eval() for name, model in _models().items()}


def _sequences(seed: int, count: int = 12) -> list[list[int]]:
    """Sequences that share prefixes of several depths."""
    rng = random.Random(seed)
    found = [[rng.randrange(VOCAB) for _ in range(rng.randint(1, 20))] for _ in range(3)]
    while len(found) < count:
        base = rng.choice(found)
        tail = [rng.randrange(VOCAB) for _ in range(rng.randint(0, 15))]
        found.append(base[: rng.randint(1, len(base))] + tail)
    rng.shuffle(found)
    return found


def _whole(model: PreTrainedModel, sequence: Sequence[int]) -> torch.Tensor:
    with torch.no_grad():
        hidden: torch.Tensor = model(input_ids=torch.tensor([list(sequence)])).last_hidden_state[0]
    return hidden


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", list(MODELS))
def test_hidden_states_equal_whole_passes(name: str, plain: bool) -> None:
    model = MODELS[name]
    prefix = PrefixModel(model, plain=plain)
    for seed in range(3):
        sequences = _sequences(seed)
        for sequence, encoded in zip(sequences, prefix.forward(sequences), strict=True):
            torch.testing.assert_close(encoded.hidden, _whole(model, sequence)[encoded.start :], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", list(MODELS))
def test_standard_models_take_the_fast_path(name: str) -> None:
    assert not PrefixModel(MODELS[name]).plain


def test_every_token_is_computed_once() -> None:
    prefix = PrefixModel(MODELS["qwen2"])
    sequences = _sequences(5, 20)
    distinct = {tuple(s[:end]) for s in sequences for end in range(1, len(s) + 1)}
    first = prefix.forward(sequences)
    assert sum(encoded.computed for encoded in first) == len(distinct)
    again = prefix.forward(sequences)
    assert all(
        e.computed == 0 and e.start == len(s) and not len(e.hidden) for e, s in zip(again, sequences, strict=True)
    )
    assert again[0].hidden.shape == (0, 32)


def test_start_counts_only_what_earlier_calls_cached() -> None:
    prefix = PrefixModel(MODELS["llama"])
    prefix.forward([[1, 2, 3]])
    a, b = prefix.forward([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 9]])
    assert (a.start, a.computed, len(a.hidden)) == (3, 3, 3)
    assert (b.start, b.computed, len(b.hidden)) == (3, 1, 2)


def test_head_values_cover_cached_tokens() -> None:
    model = MODELS["qwen2"]
    head = torch.nn.Linear(32, 2)
    prefix = PrefixModel(model, head=head)
    for sequences in ([[1, 2, 3]], [[1, 2, 3, 4], [1, 2, 7]], [[1, 2, 3, 4]]):
        for sequence, encoded in zip(sequences, prefix.forward(sequences), strict=True):
            assert encoded.values is not None
            torch.testing.assert_close(encoded.values, head(_whole(model, sequence)), rtol=1e-4, atol=1e-4)


def test_memory_is_bounded_and_least_recently_used_leaves() -> None:
    model = MODELS["llama"]
    size = token_bytes(layer_shapes(model), model.dtype)
    prefix = PrefixModel(model, max_bytes=20 * size)
    prefix.forward([[1] * 8])
    prefix.forward([[2] * 8])
    prefix.forward([[1] * 8])
    prefix.forward([[3] * 8])
    assert prefix.store.capacity <= 20
    assert prefix.forward([[1] * 8])[0].computed == 0
    assert prefix.forward([[2] * 8])[0].computed == 8
    many = [[n, *range(10)] for n in range(30, 40)]
    for sequence, encoded in zip(many, prefix.forward(many), strict=True):
        torch.testing.assert_close(encoded.hidden, _whole(model, sequence)[encoded.start :], rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="memory_gib"):
        prefix.forward([list(range(21))])


def test_failed_forward_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = PrefixModel(MODELS["qwen2"])
    prefix.forward([[1, 2]])
    used = prefix.store.used

    def fail(pack: object) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(prefix, "_run", fail)
        with pytest.raises(RuntimeError):
            prefix.forward([[1, 2, 3, 4], [1, 2, 3, 5]])
    assert prefix.store.used == used
    assert prefix.forward([[1, 2, 3, 4]])[0].computed == 2


def test_own_attention_is_restored() -> None:
    model = MODELS["llama"]
    before = model.config._attn_implementation
    PrefixModel(model).forward([[1, 2, 3]])
    assert model.config._attn_implementation == before
