"""Puts a reward model together from its directory: weights, tokenizer, format and the cached reader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from reason.prompts import Prompt
from reason.scorers.outcome import Conversation, OutcomeScorer
from reason.scorers.process import ProcessScorer, aggregation
from reason.scorers.reader import Reader
from reason.scorers.render import Format, Lines, Speller
from reason.scorers.store import READ_AT, Loaded, load_classifier, load_own, read_json
from reason.types import Policy, Scorer, UsageError

CLASSIFIERS: Mapping[str, tuple[str, Any]] = {
    "process-classifier": ("ForTokenClassification", AutoModelForTokenClassification),
    "outcome-classifier": ("ForSequenceClassification", AutoModelForSequenceClassification),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def kind_of(folder: FilePath) -> str:
    """What a directory holds: "process", "outcome" (our own), "process-classifier" or "outcome-classifier".

    Raises:
        UsageError: No scorer.
    """
    settings, config = read_json(folder / "reason.json"), read_json(folder / "config.json")
    if "scorer" in settings:
        if settings["scorer"] not in READ_AT:
            raise UsageError(
                f"{folder / 'reason.json'} says scorer {settings['scorer']!r}; known are {', '.join(READ_AT)}"
            )
        return str(settings["scorer"])
    named = config.get("architectures") or ["a model without named architecture"]
    for kind, (suffix, _) in CLASSIFIERS.items():
        if any(str(architecture).endswith(suffix) for architecture in named):
            return kind
    what = "a language model" if str(named[0]).endswith(("ForCausalLM", "LMHeadModel")) else "no scorer"
    raise UsageError(
        f"{folder} holds {what} ({named[0]}): pass it as the model, and as scorer 'process', 'outcome' or a directory "
        "with …ForTokenClassification, …ForSequenceClassification or a reason.json that names a scorer"
    )


def load(folder: FilePath, kind: str, *, device: str | None, dtype: str | None) -> Loaded:
    """Read the weights and tokenizer of a directory whose kind is known.

    Raises:
        UsageError: They do not fit each other, or device or dtype are unknown.
    """
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise UsageError(f"there is no device {device!r}: use cpu, cuda or cuda:N") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {device!r} was asked for and no GPU is available; use cpu")
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"there is no dtype {dtype!r}: use {', '.join(DTYPES)}")
    if kind in READ_AT:
        loaded = load_own(folder, device=place, dtype=DTYPES[dtype or "float32"])
    else:
        wanted = DTYPES[dtype] if dtype else torch.float32 if place.type == "cpu" else "auto"
        loaded = load_classifier(folder, CLASSIFIERS[kind][1], device=place, dtype=wanted)
    if len(loaded.tokenizer) > loaded.rows:
        raise UsageError(
            f"{folder}: its tokenizer has {len(loaded.tokenizer)} tokens and its model {loaded.rows}; they do not "
            "belong together: copy the tokenizer it was trained with there"
        )
    return loaded


def assemble(
    loaded: Loaded, kind: str, name: str, *, aggregate: str, memory_gib: float | None, policy: Policy | None
) -> Scorer:
    """The scorer of loaded parts."""
    aggregation(aggregate)
    own = kind in READ_AT
    speller = Speller(
        loaded.tokenizer, size=loaded.rows, eos=loaded.eos, shared=same_tokenizer(loaded.tokenizer, policy)
    )
    if own and not speller.eos:
        raise UsageError(
            f"the tokenizer of {name} names no end-of-sequence token, which closes a solution: set eos_token"
        )
    prompt = prompt_of(loaded)
    form: Format
    if prompt.chat and kind == "outcome-classifier":
        form = Conversation(speller, prompt, loaded.config.get_text_config().pad_token_id)
    else:
        form = Lines(speller, prompt, prompt.step_end, closed=own)
    reader = Reader(loaded.backbone, loaded.head, memory_gib=memory_gib)
    if kind.startswith("process"):
        return ProcessScorer(reader, form, aggregate=aggregate, name=name)
    return OutcomeScorer(reader, form, name=name)


def same_tokenizer(tokenizer: Any, policy: Policy | None) -> bool:
    """Whether the policy is known to use a tokenizer that is the same in every rule and token."""
    other = getattr(policy, "tokenizer", None)
    mine, theirs = (getattr(one, "backend_tokenizer", None) for one in (tokenizer, other))
    return mine is not None and theirs is not None and bool(mine.to_str() == theirs.to_str())


def prompt_of(loaded: Loaded) -> Prompt:
    """What reason.json says, else the question alone, through the tokenizer's chat template if it has one."""
    if "prompt" in loaded.settings:
        return Prompt.from_dict(loaded.settings["prompt"])
    chat = bool(getattr(loaded.tokenizer, "chat_template", None))
    return Prompt(template="{question}" if chat else "{question}\n", chat=chat)
