"""Scorer directories: writing our own, reading ours and the Hugging Face kinds.

Our own format is a causal backbone and one linear head in one directory:

    config.json          the backbone's configuration
    model.safetensors    `model.*` (backbone), `head.weight` [1, width], `head.bias` [1]; float16
    tokenizer.json       with tokenizer_config.json
    reason.json          {"scorer": "process" | "outcome", "prompt": {…}, "read_at": "step_end" | "end",
                         "head": "linear" | "surprise"}

With the head "surprise" (`reason.scorers.surprise`) the weights are `head.value.weight`, `head.value.bias` and
`head.weights` [2].

A process scorer is read at the last token of every step, an outcome scorer at the last token of the solution; a
complete solution ends with the end-of-sequence token. Weights are read from safetensors only; no remote code is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config

from reason.prompts import Prompt
from reason.scorers.cards import CARDS, Card
from reason.scorers.heads import (
    load_backbone,
    load_language_model,
    load_model,
    need_tag,
    need_template,
    verdict_tokens,
)
from reason.scorers.surprise import SurpriseHead
from reason.types import UsageError

TOKENIZERS = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spm.model", "sentencepiece.bpe.model",
)  # fmt: skip
"""Any of these makes a tokenizer."""
READ_AT = {"process": "step_end", "outcome": "end"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scorer's parts as read from a directory.

    Attributes:
        backbone: The model without head, in evaluation mode, on its device.
        head: Hidden states -> logits.
        tokenizer: Its Hugging Face tokenizer.
        settings: What reason.json says; empty without one.
        whole: The whole model, where it looks at later tokens and so cannot be read from hidden states kept.
    """

    backbone: Any
    head: nn.Module
    tokenizer: Any
    settings: Mapping[str, Any]
    whole: Any = None

    @property
    def config(self) -> Any:
        """The backbone's configuration."""
        return self.backbone.config

    @property
    def rows(self) -> int:
        """Rows of the embedding: token ids run from 0 to one less."""
        return int(self.backbone.get_input_embeddings().weight.shape[0])

    @property
    def eos(self) -> tuple[int, ...]:
        """End-of-sequence ids: the tokenizer's, then the configuration's."""
        known = self.config.get_text_config().eos_token_id
        listed = known if isinstance(known, list) else [known]
        return tuple(dict.fromkeys(i for i in (self.tokenizer.eos_token_id, *listed) if i is not None))


def save_scorer(
    directory: str | FilePath,
    backbone: nn.Module,
    head: nn.Linear | SurpriseHead,
    tokenizer: Any,
    *,
    kind: str,
    prompt: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
) -> FilePath:
    """Write a scorer in our own format, its weights as float16.

    Args:
        directory: Created if missing; files of the same names are replaced.
        backbone: A causal transformers model without a head of its own, such as `Qwen2Model`.
        head: `nn.Linear(width, 1)`, or a `SurpriseHead` of the backbone's embedding.
        tokenizer: The Hugging Face tokenizer it was trained with.
        kind: "process" (one value per step) or "outcome" (one per solution).
        prompt: How a problem is laid out before its solution, as in `reason.prompts.Prompt`,
            such as {"template": "{question}\\n", "step_end": ["\\n"]}.
        extra: Further entries for reason.json.

    Returns:
        The directory.

    Raises:
        UsageError: Unknown kind, a prompt that `Prompt` does not take, or a head that is not [1, width].
    """
    if kind not in READ_AT:
        raise UsageError(f"a scorer is of kind {' or '.join(map(repr, READ_AT))}, not {kind!r}")
    config: Any = backbone.config
    width = config.get_text_config().hidden_size
    linear = head.value if isinstance(head, SurpriseHead) else head
    if tuple(linear.weight.shape) != (1, width) or linear.bias is None:
        raise UsageError(
            f"the head has the weight {list(linear.weight.shape)} and {'a' if linear.bias is not None else 'no'} bias; "
            f"this backbone needs nn.Linear({width}, 1) with a bias"
        )
    asked = Prompt.from_dict(prompt).to_dict()
    folder = FilePath(directory)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {f"model.{name}": tensor for name, tensor in backbone.state_dict().items()}
    weights |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    half = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in weights.items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    stored = config.to_diff_dict() | {"architectures": [type(backbone).__name__], "dtype": "float16"}
    stored.pop("_name_or_path", None)
    _write_json(folder / "config.json", stored)
    tokenizer.save_pretrained(folder)
    settings = {"scorer": kind, "prompt": asked, "read_at": READ_AT[kind]}
    settings |= {"head": "surprise" if isinstance(head, SurpriseHead) else "linear", **(extra or {})}
    _write_json(folder / "reason.json", settings)
    return folder


def _write_json(path: FilePath, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: FilePath) -> dict[str, Any]:
    """A JSON object from a file; an empty one if there is no file.

    Raises:
        UsageError: It is not a JSON object.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error}); restore the file or remove it") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds a JSON {type(content).__name__}, an object is needed")
    return content


def load_own(folder: FilePath, *, device: torch.device, dtype: torch.dtype) -> Loaded:
    """Read a directory that `save_scorer` wrote.

    Raises:
        UsageError: A file is missing or does not fit the others; the message says which.
    """
    settings = read_json(folder / "reason.json")
    kind, place = settings.get("scorer"), settings.get("read_at")
    if kind not in READ_AT or place not in (None, READ_AT[kind]):
        raise UsageError(
            f"{folder / 'reason.json'} says scorer {kind!r} and read_at {place!r}; "
            f"known are {', '.join(f'{name} at {at}' for name, at in READ_AT.items())}"
        )
    weights = _weights(folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    backbone = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    width = config.get_text_config().hidden_size
    form = settings.get("head", "linear")
    if form not in ("linear", "surprise"):
        raise UsageError(f"{folder / 'reason.json'} says head {form!r}; known are linear and surprise")
    surprise = SurpriseHead(backbone.get_input_embeddings().weight) if form == "surprise" else None
    head: nn.Module = nn.Linear(width, 1) if surprise is None else surprise
    parts: tuple[tuple[str, nn.Module], ...] = (("model.", backbone), ("head.", head))
    for prefix, module in parts:
        held = {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
        try:
            module.load_state_dict(held, strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise UsageError(
                f"{folder / 'model.safetensors'} does not fit config.json ({reason}); write it anew with save_scorer"
            ) from error
    backbone.to(device, dtype).eval()
    head.to(device, dtype).eval()
    return Loaded(backbone, head, load_tokenizer(folder), settings)


def _weights(folder: FilePath) -> dict[str, torch.Tensor]:
    file = folder / "model.safetensors"
    if not file.exists():
        raise UsageError(f"{folder} holds no model.safetensors; weights are read from safetensors only")
    try:
        return dict(load_file(file))
    except SafetensorError as error:
        raise UsageError(f"{file} is not a safetensors file ({error}); copy or write it again") from error


def load_classifier(folder: FilePath, auto: Any, *, device: torch.device, dtype: torch.dtype | str) -> Loaded:
    """Read a `…ForTokenClassification` or `…ForSequenceClassification` model.

    Args:
        folder: Its directory.
        auto: The transformers auto class of that kind.
        device: Where to run it.
        dtype: What to run it in; "auto" is the checkpoint's.

    Raises:
        UsageError: It cannot be loaded, lacks weights (of its head, say), or has no head of one or two labels.
    """
    model = load_model(auto, folder, dtype=dtype)
    model.to(device).eval()
    head = getattr(model, "score", None) or getattr(model, "classifier", None)
    labels = int(model.config.num_labels)
    if head is None or model.base_model is model:
        raise UsageError(f"{folder}: {type(model).__name__} has no `score` or `classifier` head on a backbone")
    if labels > 2:
        raise UsageError(
            f"{folder} has {labels} labels and a scorer has one logit, or two (wrong and right): reduce its head to "
            "the label that says how good a solution is, and save it with num_labels=1"
        )
    whole = None if is_causal(model.base_model) else model
    return Loaded(model.base_model, head, load_tokenizer(folder), read_json(folder / "reason.json"), whole)


def load_card(folder: FilePath, kind: str, *, device: torch.device, dtype: torch.dtype | str) -> Loaded:
    """Read a published reward model (`reason.scorers.cards`) without the code that comes with it.

    Raises:
        UsageError: Weights, tokens or template do not fit the format.
    """
    card = CARDS[kind]
    tokenizer = load_tokenizer(folder)
    if card.prompt.chat:
        need_template(tokenizer, kind)
    config = _card_config(folder, card)
    if card.head == "answer":
        tokens = verdict_tokens(tokenizer, kind, card)
        backbone, head = load_language_model(folder, config, tokens, device=device, dtype=dtype)
    else:
        if card.tag:
            need_tag(tokenizer, card.tag)
        backbone, head = load_backbone(folder, config, card, device=device, dtype=dtype)
    return Loaded(backbone, head, tokenizer, read_json(folder / "reason.json"))


def _card_config(folder: FilePath, card: Card) -> Any:
    """The backbone's configuration; a model type that only the model's own code knows is a Qwen2 with another head."""
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        if card.head != "answer" and isinstance(error, ValueError):
            return Qwen2Config.from_pretrained(folder)
        reason = " ".join(str(error).split())
        raise UsageError(f"{folder / 'config.json'} cannot be read ({reason:.200}); copy it there again") from error


@torch.inference_mode()
def is_causal(backbone: nn.Module) -> bool:
    """Whether hidden states stay what they are when tokens are appended (tried on eight tokens)."""
    first: Any = next(backbone.parameters())
    config: Any = backbone.config
    tokens = torch.arange(8, device=first.device)[None] % config.get_text_config().vocab_size
    whole = backbone(input_ids=tokens).last_hidden_state[:, :4].float()
    part = backbone(input_ids=tokens[:, :4]).last_hidden_state.float()
    tolerance = 1e-3 if first.dtype is torch.float32 else 5e-2
    return bool((whole - part).abs().max() <= tolerance * (1 + part.abs().max()))


def load_tokenizer(folder: FilePath) -> Any:
    """The directory's tokenizer, exactly as its tokenizer.json defines it where it has one.

    `AutoTokenizer` would choose a class by the model's type, and some (Qwen2's) put their own splitting rules in
    place of the file's.

    Raises:
        UsageError: There is none.
    """
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise UsageError(f"{folder} holds no tokenizer; copy the one it was trained with (tokenizer.json) there")
    kind = PreTrainedTokenizerFast if (folder / "tokenizer.json").exists() else AutoTokenizer
    try:
        return kind.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the tokenizer in {folder} cannot be read ({reason:.200}); copy it there again") from error
