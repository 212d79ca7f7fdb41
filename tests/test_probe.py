"""Which attention path a model gets, and that either decodes as `generate` does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import torch
from tiny_models import CONTEXT, QUESTIONS, VOCAB, path, tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from reason.policies.transformers import TransformersPolicy
from reason.prompts import Prompt
from reason.types import Sampling, UsageError

OWN: dict[str, dict[str, Any]] = {
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "n_positions": CONTEXT},
    "gpt_oss": {"head_dim": 8, "sliding_window": 7, "num_local_experts": 4},
    "granite": {"attention_multiplier": 0.2, "logits_scaling": 2.0},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "mamba": {},
}


def model(name: str) -> Any:
    torch.manual_seed(0)
    common = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.4,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **{**common, **OWN[name]})).eval()


@pytest.mark.parametrize(("name", "plain"), [("gptj", True), ("gpt_oss", False), ("granite", False), ("opt", False)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_greedy_equals_generate_on_either_path(name: str, plain: bool) -> None:
    made = model(name)
    policy = TransformersPolicy(made, tokenizer(), prompt=Prompt(), memory_gib=0.05)
    assert policy.engine.prefixes.plain == plain
    paths = [path(question) for question in QUESTIONS]
    steps = asyncio.run(policy.extend(paths, Sampling(temperature=0.0, max_tokens=24)))
    for question, step in zip(QUESTIONS, steps, strict=True):
        ids = torch.tensor([Prompt().render(question, tokenizer())])
        with torch.no_grad():
            out = made.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24)
        assert list(step.token_ids) == out[0, ids.shape[1] :].tolist()


def test_a_model_without_keys_and_values_is_refused() -> None:
    with pytest.raises(UsageError, match="vLLM"):
        TransformersPolicy(model("mamba"), tokenizer(), prompt=Prompt(), memory_gib=0.05)
