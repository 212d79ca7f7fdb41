"""Reads published reward models without their code: a plain backbone, and the head rebuilt from its weights.

Three heads, all on the backbone's last hidden states, so that their values are kept beside the keys and values of every
token (`reason.scorers.reader`):

- score: Linear, ReLU, Linear (`score.0`, `score.2`), as Qwen2.5-Math-PRM and -RM have it;
- value: one linear layer (`v_head.summary`), as Skywork's models and TRL's value heads have it;
- answer: the two rows of the language-model head that stand for `-` and `+`. It is tried against the model's own
  logits on a few tokens, so a model that scales or caps its logits is refused rather than misread.
"""

from __future__ import annotations

import json
import logging as logging_levels
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM
from transformers.utils import logging

from reason.scorers.cards import Card
from reason.types import UsageError

INDEX = "model.safetensors.index.json"
VALUE_HEAD = "v_head.summary.weight"


def tensor_files(folder: FilePath) -> dict[str, FilePath]:
    """Which file holds each tensor of a checkpoint.

    Raises:
        UsageError: There are no safetensors files, or they cannot be read.
    """
    if (shards := _sharded(folder)) is not None:
        return shards
    try:
        found: dict[str, FilePath] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as tensors:
                found |= dict.fromkeys(tensors.keys(), file)
        return found
    except (OSError, ValueError, SafetensorError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: FilePath, error: Exception) -> UsageError:
    reason = " ".join(str(error).split())
    return UsageError(f"the weights in {folder} cannot be read ({reason:.200}); copy them there again")


def _sharded(folder: FilePath) -> dict[str, FilePath] | None:
    """Which shard holds each tensor, by the index; None without one, or where one file holds all.

    Raises:
        UsageError: The index cannot be read, names a file outside the directory, or one that is missing.
    """
    index = folder / INDEX
    if not index.exists() or (folder / "model.safetensors").exists():
        return None
    try:
        shards = {str(name): str(file) for name, file in json.loads(index.read_text("utf-8"))["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(folder, error) from error
    for file in dict.fromkeys(shards.values()):
        if FilePath(file).name != file or "\\" in file or not file.endswith(".safetensors"):
            raise UsageError(
                f"{index} names the file {file!r}: shards are .safetensors files beside it, named without a "
                "directory; copy the index there again"
            )
        if not (folder / file).is_file():
            raise UsageError(f"{index} names {file}, which is not in {folder}: copy the missing file there")
    return {name: folder / file for name, file in shards.items()}


def need_safetensors(folder: FilePath) -> None:
    """Refuse a checkpoint that holds pickled weights only.

    Raises:
        UsageError: No file is a safetensors file.
    """
    if next(folder.glob("*.safetensors"), None) is None:
        pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
        held = f"only {pickled[0]}, a pickle," if pickled else "no weights"
        raise UsageError(
            f"{folder} holds {held} and no model.safetensors: load it once where you trust it and write it with "
            "save_pretrained, or name a revision that has safetensors (ORGANISATION/NAME@REVISION)"
        )


def _tensors(folder: FilePath, names: Sequence[str]) -> dict[str, Tensor]:
    """The named tensors.

    Raises:
        UsageError: One is missing.
    """
    files = tensor_files(folder)
    if missing := [name for name in names if name not in files]:
        raise UsageError(
            f"{folder} has no weight {missing[0]}, which this kind of reward model reads its values with: "
            "name the format that it was trained in, such as math-shepherd:DIRECTORY"
        )
    found = {}
    for name in names:
        try:
            with safe_open(files[name], framework="pt") as tensors:
                found[name] = tensors.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise _unreadable(folder, error) from error
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' report of weights that a backbone does not use: the head's are read here."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging_levels.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)


def load_model(auto: Any, folder: FilePath, *, dtype: torch.dtype | str, config: Any = None) -> Any:
    """A transformers model with all its weights; those of a head that it does not have are left aside.

    Raises:
        UsageError: It cannot be loaded, or a weight is missing or of another shape (it would be random).
    """
    _sharded(folder)
    try:
        with _quiet():
            model, report = auto.from_pretrained(
                folder,
                **({} if config is None else {"config": config}),
                trust_remote_code=False,
                use_safetensors=True,
                dtype=dtype,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UsageError(f"{folder} cannot be loaded as a scorer: {' '.join(str(error).split())[:300]}") from error
    if missing := sorted(report["missing_keys"]):
        raise UsageError(
            f"{folder} lacks {len(missing)} of the weights of {type(model).__name__}, such as {missing[0]}: copy it "
            "again, or, where it comes with code of its own, convert it to that architecture"
        )
    return model


def load_backbone(
    folder: FilePath, config: Any, card: Card, *, device: torch.device, dtype: torch.dtype | str
) -> tuple[Any, nn.Module]:
    """The backbone of a published reward model and its "score" or "value" head, on the device, in evaluation mode.

    Raises:
        UsageError: Weights are missing or of the wrong shape.
    """
    width = config.get_text_config().hidden_size
    if card.head == "value":
        names, shapes = ["v_head.summary.weight", "v_head.summary.bias"], [[1, width], [1]]
        head: nn.Module = nn.Linear(width, 1)
        parts: list[Any] = [head]
    else:
        names = ["score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias"]
        shapes = [[width, width], [width], [card.labels, width], [card.labels]]
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, card.labels))
        parts = [head[0], head[2]]
    held = _tensors(folder, names)
    for name, shape in zip(names, shapes, strict=True):
        if list(held[name].shape) != shape:
            raise UsageError(
                f"{folder}: its head {name} is {list(held[name].shape)} and must be {shape} for this kind of reward "
                "model; check the architectures entry of config.json, or name another format (FORMAT:DIRECTORY)"
            )
    with torch.no_grad():
        for part, (weight, bias) in zip(parts, zip(names[::2], names[1::2], strict=True), strict=True):
            part.weight.copy_(held[weight])
            part.bias.copy_(held[bias])
    backbone = load_model(AutoModel, folder, config=config, dtype=dtype)
    backbone.to(device).eval()
    return backbone, head.to(device, backbone.dtype).eval()


def load_language_model(
    folder: FilePath, config: Any, tokens: tuple[int, int], *, device: torch.device, dtype: torch.dtype | str
) -> tuple[Any, nn.Module]:
    """The backbone of a language model, and its head's two rows for `tokens` (wrong, right).

    Raises:
        UsageError: It is no language model with a linear head, or does more with its logits than that head.
    """
    model = load_model(AutoModelForCausalLM, folder, config=config, dtype=dtype)
    model.to(device).eval()
    output = model.get_output_embeddings()
    if output is None or model.base_model is model:
        raise UsageError(f"{folder}: {type(model).__name__} has no language-model head to read + and - from")
    rows = list(tokens)
    head = nn.Linear(output.weight.shape[1], 2, bias=output.bias is not None)
    with torch.inference_mode():
        head.weight.copy_(output.weight[rows])
        if output.bias is not None:
            head.bias.copy_(output.bias[rows])
        head = head.to(device, model.dtype).eval()
        ids = torch.arange(8, device=device)[None] % output.weight.shape[0]
        expected = model(input_ids=ids).logits[..., rows].float()
        got = head(model.base_model(input_ids=ids).last_hidden_state).float()
    tolerance = 1e-3 if model.dtype is torch.float32 else 5e-2
    if float((got - expected).abs().max()) > tolerance * (1 + float(expected.abs().max())):
        raise UsageError(
            f"{folder}: {type(model).__name__} scales or caps its logits, so + and - cannot be read from its hidden "
            "states; use a Llama, Mistral or Qwen2 model of this format"
        )
    return model.base_model, head


def verdict_tokens(tokenizer: Any, kind: str, card: Card) -> tuple[int, int]:
    """The ids of wrong and right, as the format's card looks them up.

    Raises:
        UsageError: The tokenizer has no single token for one of them.
    """
    bad, good = card.verdicts
    if card.tag:
        pair = tokenizer.encode(f"{good} {bad}", add_special_tokens=False)
        found = [pair[-1], pair[0]] if len(pair) == 2 else []
        need_tag(tokenizer, card.tag)
    else:
        singles = [tokenizer.encode(text, add_special_tokens=False) for text in (bad, good)]
        found = [ids[-1] for ids in singles if ids]
    unknown = getattr(tokenizer, "unk_token_id", None)
    if len(set(found)) != 2 or unknown in found:
        raise UsageError(
            f"the scorer's tokenizer has no token of its own for {good!r} and for {bad!r}, which the format {kind} "
            "reads its values from; copy the tokenizer that the model was trained with there"
        )
    return found[0], found[1]


def need_tag(tokenizer: Any, tag: str) -> int:
    """The id of a step tag.

    Raises:
        UsageError: It is not one token.
    """
    ids = tokenizer.encode(tag, add_special_tokens=False)
    if len(ids) != 1 or ids[0] == getattr(tokenizer, "unk_token_id", None):
        raise UsageError(
            f"the scorer's tokenizer has no token {tag!r} (it spells it with {len(ids)}), which marks the end of a "
            "step in this format; copy the tokenizer that the model was trained with there"
        )
    return int(ids[0])


def need_template(tokenizer: Any, kind: str) -> None:
    """Refuse a tokenizer without chat template.

    Raises:
        UsageError: It has none.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise UsageError(
            f"the format {kind} is a chat and the scorer's tokenizer has no chat template; copy the chat_template of "
            "its model card into tokenizer_config.json, or its chat_template.jinja there"
        )
