"""Loading a causal language model, and what the engine needs to know of it."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from reason.policies.tokenizer import load_tokenizer
from reason.types import UsageError


def logit_width(model: PreTrainedModel) -> int:
    """How many logits the model gives."""
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    weight = getattr(head, "weight", None)
    return int(weight.shape[0]) if weight is not None else int(model.config.get_text_config().vocab_size)


def eos_tokens(model: PreTrainedModel, tokenizer: Any) -> set[int]:
    """End-of-sequence tokens: the generation configuration's, the model's and the tokenizer's."""
    found: set[int] = set()
    generation = getattr(model, "generation_config", None)
    for value in (
        getattr(generation, "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
        getattr(tokenizer, "eos_token_id", None),
    ):
        if value is not None:
            found.update(value if isinstance(value, list | tuple) else [value])
    return found


def dtype_of(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The dtype of that name; by default float32 on a CPU, bfloat16 on a GPU.

    Raises:
        UsageError: It has no such name.
    """
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise UsageError(f"dtype {dtype!r} is not known; choose one of {', '.join(known)}")
    return known[dtype]


def load_model(path: str, dtype: torch.dtype, trust_remote_code: bool) -> tuple[PreTrainedModel, Any]:
    """Model and tokenizer of a directory or hub id.

    Raises:
        UsageError: Nothing loadable is there.
    """
    looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1 or "\\" in path
    if looks_local and not FilePath(path).is_dir():
        raise UsageError(f"there is no model directory {path!r}; pass a directory with config.json, or a hub id")
    if FilePath(path).is_dir() and not (FilePath(path) / "config.json").is_file():
        raise UsageError(f"{path!r} holds no config.json; pass a directory written by save_pretrained")
    try:
        AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
        tokenizer = load_tokenizer(path, trust_remote_code=trust_remote_code)
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype, use_safetensors=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"no causal language model could be loaded from {path!r} ({first}); pass a directory with config.json, "
            "safetensors weights and a tokenizer, or a hub id that this machine can reach"
        ) from error
    return model, tokenizer
