"""Tiny random reward models and paths for the tests of the scorers, and what a plain full forward pass says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import nn
from transformers import (
    GPT2Config,
    GPT2ForTokenClassification,
    LlamaConfig,
    LlamaForTokenClassification,
    MistralConfig,
    MistralForTokenClassification,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForTokenClassification,
    Qwen2Model,
)

from reason.types import Finish, Path, Problem, Score, Step

WIDTH = 32
CHAT = (
    "{{ '<bos>' }}{% for m in messages %}{{ '<' + m['role'] + '>\n' + m['content'] + '<end>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>\n' }}{% endif %}"
)
TRIMMING_CHAT = CHAT.replace("m['content']", "m['content'] | trim")
SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def letters() -> list[str]:
    """The letter that byte-level tokenizers write for each byte (as GPT-2 does)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def byte_tokenizer(chat: str | None = None, *, shuffled: bool = False) -> PreTrainedTokenizerFast:
    """Every byte is its own id, then four special tokens (`<eos>` is 256, as the fake policy's) and one merge.

    `shuffled` gives every byte another id.
    """
    alphabet = letters()[::-1] if shuffled else letters()
    special = ["<eos>", "<bos>", "<end>", "<pad>"]
    vocabulary = {piece: i for i, piece in enumerate([*alphabet, *special, "ab"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")
    fast.add_special_tokens({"additional_special_tokens": ["<bos>", "<end>"]})
    if chat is not None:
        fast.chat_template = chat
    return fast


def sentence_tokenizer() -> PreTrainedTokenizerFast:
    """A SentencePiece-like one: spaces are `▁`, one is put in front of every text, line breaks are bytes."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "ab", "▁a"]
    merges = [("a", "b"), ("▁", "a")]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip]
    tokenizer.decoder = decoders.Sequence(parts)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


TOKENIZER = byte_tokenizer()
EOS = TOKENIZER.eos_token_id
VOCABULARY = len(TOKENIZER)


def own_parts() -> tuple[Any, nn.Linear]:
    """A random backbone and head whose weights are float16 numbers, so that saving them loses nothing."""
    torch.manual_seed(0)
    backbone = Qwen2Model(Qwen2Config(vocab_size=VOCABULARY, max_position_embeddings=256, eos_token_id=EOS, **SIZES))
    head = nn.Linear(WIDTH, 1)
    for module in (backbone, head):
        module.half().float().eval()
    with torch.no_grad():
        head.weight *= 16
    return backbone, head


def save_classifier(folder: FilePath, model: Any, chat: str | None = None) -> FilePath:
    model.eval().save_pretrained(folder)
    byte_tokenizer(chat).save_pretrained(folder)
    return folder


def step(text: str, finish: Finish = Finish.STEP, *, ids: bool = True) -> Step:
    tokens = TOKENIZER.encode(text, add_special_tokens=False) + ([EOS] if finish is Finish.STOP else [])
    return Step(text, tuple(tokens) if ids else (), finish=finish)


def path(question: str, *texts: str, done: bool = False, ids: bool = True) -> Path:
    steps = [
        step(text, Finish.STOP if done and i == len(texts) - 1 else Finish.STEP, ids=ids)
        for i, text in enumerate(texts)
    ]
    return Path(Problem(question, question), tuple(steps))


def judge(scorer: Any, paths: Sequence[Path]) -> list[Score]:
    return asyncio.run(scorer.judge(paths))


def tokens_of(one: Path) -> list[int]:
    """The sequence that our own format defines, spelled out."""
    text = TOKENIZER.encode(f"{one.problem.question}\n{one.text}", add_special_tokens=False)
    return [*text, EOS] if one.complete else text


@torch.inference_mode()
def plain_values(one: Path) -> list[float]:
    """The value of each line by one full forward pass, read where our own format says."""
    backbone, head = own_parts()
    tokens = tokens_of(one)
    logits = head(backbone(torch.tensor([tokens])).last_hidden_state)[0, :, 0]
    newline = TOKENIZER.encode("\n")[0]
    start = len(TOKENIZER.encode(one.problem.question + "\n"))
    ends = {i for i in range(start, len(tokens)) if tokens[i] == newline} | {len(tokens) - 1}
    return [float(torch.sigmoid(logits[i])) for i in sorted(ends)]


PATHS = [
    path("Q", "1 + 2 = 3\n"),
    path("Q", "1 + 2 = 3\n", "3 + 4 = 7\n"),
    path("Q", "1 + 2 = 3\n", "3 + 4 = 7\n", "Answer: 7", done=True),
    path("Q", "1 + 2 = 3\n", "3 + 4 = 8\n", "Answer: 8", done=True),
    path("Other", "1 + 2 = 3\n", "Answer: 3", done=True),
    path("Other", "1 + 2 = 3\nAnswer: 3", done=True),
]


CLASSIFIERS = {
    "qwen2": lambda labels: Qwen2ForTokenClassification(Qwen2Config(vocab_size=VOCABULARY, num_labels=labels, **SIZES)),
    "llama": lambda labels: LlamaForTokenClassification(LlamaConfig(vocab_size=VOCABULARY, num_labels=labels, **SIZES)),
    "mistral": lambda labels: MistralForTokenClassification(
        MistralConfig(vocab_size=VOCABULARY, num_labels=labels, sliding_window=8, **SIZES)
    ),
    "gpt2": lambda labels: GPT2ForTokenClassification(
        GPT2Config(vocab_size=VOCABULARY, num_labels=labels, n_embd=WIDTH, n_layer=2, n_head=2)
    ),
}


@torch.inference_mode()
def classify(model: Any, tokens: Sequence[int]) -> torch.Tensor:
    """Probabilities of being right, by the model's own full forward pass: [tokens] or [1]."""
    logits = model(input_ids=torch.tensor([tokens])).logits[0].float()
    logits = logits if logits.dim() == 2 else logits[None]
    return torch.sigmoid(logits[:, 0]) if logits.shape[1] == 1 else logits.softmax(-1)[:, 1]
