"""A short hash that differs between models: of their tensors' names, shapes, types and a sample of their values."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import nn

SAMPLE = 64
"""Values hashed of each tensor, evenly spaced: training changes nearly all of them."""
PROBE = "What is 12 + 30?\nLet's see: 12 + 30 = 42, so x = \\boxed{42}. Ünï©ode 数学\n"
"""A text whose tokens stand for the tokenizer."""


@torch.inference_mode()
def weights_hash(*modules: nn.Module) -> str:
    """The hash of the modules' tensors; a tensor that holds no data here counts with its shape alone."""
    digest = hashlib.blake2b(digest_size=16)
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            if not tensor.is_meta and tensor.numel():
                flat = tensor.detach().reshape(-1)
                some = flat[:: max(1, flat.numel() // SAMPLE)][:SAMPLE]
                digest.update(some.to("cpu", torch.float64).numpy().tobytes())
    return digest.hexdigest()


def tokenizer_hash(tokenizer: Any) -> str:
    """The hash of a tokenizer's class, size, chat template and what it makes of `PROBE`."""
    template = getattr(tokenizer, "chat_template", None)
    tokens = list(tokenizer(PROBE)["input_ids"])
    said = json.dumps([type(tokenizer).__name__, len(tokenizer), template, tokens], default=str)
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
