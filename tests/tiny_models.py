"""Tiny random language models and a byte-level tokenizer whose tokens may hold newlines, for tests of the engine."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from reason.types import Path, Problem, Step

VOCAB = 320
CONTEXT = 192
EOS = "<eos>"


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE of 320 tokens trained on sums, with merges across line ends and a two-byte character."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, initial_alphabet=alphabet, special_tokens=[EOS], show_progress=False
    )
    text = [f"{a} * {b} = {a * b}\n{a} + {b} = {a + b}\n\nAnswer: {a - b} €\n" for a in range(9) for b in range(9)]
    backend.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=EOS)


def _common() -> dict[str, Any]:
    return {
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


NAMES = ("llama", "qwen2", "gpt2", "mistral", "gemma", "gemma2")


@cache
def language_model(name: str) -> PreTrainedModel:
    """A random model: "mistral" and "gemma2" see 7 tokens back, shorter than the sequences they decode."""
    torch.manual_seed(NAMES.index(name))
    common = _common()
    made: PreTrainedModel
    if name == "llama":
        made = LlamaForCausalLM(LlamaConfig(**common))
    elif name == "qwen2":
        made = Qwen2ForCausalLM(Qwen2Config(**common))
    elif name == "mistral":
        made = MistralForCausalLM(MistralConfig(**common, sliding_window=7))
    elif name == "gemma":
        made = GemmaForCausalLM(GemmaConfig(**common, head_dim=8))
    elif name == "gemma2":
        made = Gemma2ForCausalLM(
            Gemma2Config(
                **common,
                head_dim=8,
                query_pre_attn_scalar=8,
                sliding_window=7,
                attn_logit_softcapping=5.0,
                final_logit_softcapping=9.0,
                attn_implementation="eager",
            )
        )
    else:
        made = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=VOCAB,
                n_embd=32,
                n_layer=2,
                n_head=4,
                n_positions=CONTEXT,
                initializer_range=0.4,
                bos_token_id=None,
                eos_token_id=0,
                pad_token_id=0,
            )
        )
    return made.eval()


QUESTIONS = (
    "3 * 4 = ?",
    "hi",
    "Answer: 7 €\n5 + 2",
    "0 * 8 = 0\n0 + 8 = 8\n\nAnswer: what is the sum of 1 + 2 + 3 + 4?",
)


def path(question: str, seed: int = 0, *steps: Step) -> Path:
    """A path on a problem with this question."""
    return Path(Problem(f"p-{question}", question), steps, seed)
