"""Puts a reward model together from its directory: weights, tokenizer, format and the cached reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path as FilePath
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from reason.prompts import Prompt
from reason.scorers.aggregation import aggregation
from reason.scorers.cards import ARCHITECTURES, CARDS, Breaks, Shepherd, Tagged, Turns, card_named, card_prompt
from reason.scorers.heads import VALUE_HEAD, need_safetensors, tensor_files
from reason.scorers.outcome import Conversation, OutcomeScorer, Pair
from reason.scorers.process import ProcessScorer
from reason.scorers.reader import Reader, Reads, WholeReader
from reason.scorers.render import PROBE, Format, Lines, Speller, Unrenderable
from reason.scorers.store import READ_AT, Loaded, load_card, load_classifier, load_own, read_json
from reason.types import Policy, Scorer, UsageError

CLASSIFIERS: Mapping[str, tuple[str, Any]] = {
    "process-classifier": ("ForTokenClassification", AutoModelForTokenClassification),
    "outcome-classifier": ("ForSequenceClassification", AutoModelForSequenceClassification),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def kind_of(folder: FilePath, name: str = "") -> str:
    """What a directory holds.

    Args:
        folder: The directory.
        name: What the user called it: language models that judge say so in their name alone.

    Returns:
        "process", "outcome" (our own), "process-classifier", "outcome-classifier", or one of `reason.scorers.cards`.

    Raises:
        UsageError: No scorer.
    """
    settings, config = read_json(folder / "reason.json"), read_json(folder / "config.json")
    if "scorer" in settings:
        if settings["scorer"] not in (*READ_AT, *CARDS):
            known = ", ".join((*READ_AT, *CARDS))
            raise UsageError(f"{folder / 'reason.json'} says scorer {settings['scorer']!r}; known are {known}")
        return str(settings["scorer"])
    named = config.get("architectures") or ["a model without named architecture"]
    for architecture in map(str, named):
        if architecture in ARCHITECTURES:
            return ARCHITECTURES[architecture]
        for kind, (suffix, _) in CLASSIFIERS.items():
            if architecture.endswith(suffix):
                return kind
    language = str(named[0]).endswith(("ForCausalLM", "LMHeadModel"))
    said = card_named(name) or card_named(folder.name)
    if language and said is not None:
        return said
    if language and VALUE_HEAD in tensor_files(folder):
        return "skywork"
    raise UsageError(
        f"{folder} holds {'a language model' if language else 'no scorer'} ({named[0]}): pass it as the model, and as "
        f"scorer 'process', 'outcome', a directory with …ForTokenClassification, …ForSequenceClassification or a "
        f"reason.json that names a scorer, or FORMAT:DIRECTORY if it judges ({', '.join(CARDS)})"
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
    wanted = DTYPES[dtype] if dtype else torch.float32 if place.type == "cpu" else "auto"
    if kind in READ_AT:
        loaded = load_own(folder, device=place, dtype=DTYPES[dtype or "float32"])
    else:
        need_safetensors(folder)
        if kind in CARDS:
            loaded = load_card(folder, kind, device=place, dtype=wanted)
        else:
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
    """The scorer of loaded parts.

    Raises:
        UsageError: There is no such aggregation, or tokenizer and format do not fit each other.
    """
    aggregation(aggregate)
    form = format_of(loaded, kind, name, policy)
    try:
        form.render(PROBE)
    except Unrenderable as error:
        raise UsageError(f"{name}: {error}") from None
    reader: Reads
    if loaded.whole is None:
        reader = Reader(loaded.backbone, loaded.head, memory_gib=memory_gib)
    else:
        types = getattr(loaded.config, "type_vocab_size", 0) > 1
        reader = WholeReader(loaded.whole, padding=loaded.tokenizer.pad_token_id or 0, types=types)
    if judges_steps(kind):
        return ProcessScorer(reader, form, aggregate=aggregate, name=name)
    return OutcomeScorer(reader, form, name=name)


def judges_steps(kind: str) -> bool:
    """Whether scorers of this kind give a value for every step."""
    return CARDS[kind].process if kind in CARDS else kind.startswith("process")


def format_of(loaded: Loaded, kind: str, name: str, policy: Policy | None = None) -> Format:
    """How a scorer's paths are laid out.

    Raises:
        UsageError: The tokenizer lacks what the format needs.
    """
    tokenizer = loaded.tokenizer
    if kind in CARDS and kind != "qwen-rm":
        return _card_format(loaded, kind, name)
    own = kind in READ_AT
    speller = Speller(tokenizer, size=loaded.rows, eos=loaded.eos, shared=same_tokenizer(tokenizer, policy))
    if own and not speller.eos:
        raise UsageError(
            f"the tokenizer of {name} names no end-of-sequence token, which closes a solution: set eos_token"
        )
    prompt = prompt_of(loaded, card_prompt(kind, name) if kind in CARDS else None)
    if kind == "outcome-classifier" and loaded.whole is not None and not prompt.chat:
        _need_fast(tokenizer, name)
        return Pair(tokenizer, replace(prompt, template=prompt.template.strip()))
    if prompt.chat and not judges_steps(kind):
        return Conversation(speller, prompt, loaded.config.get_text_config().pad_token_id)
    return Lines(speller, prompt, prompt.step_end, closed=own)


def _card_format(loaded: Loaded, kind: str, name: str) -> Format:
    card, tokenizer = CARDS[kind], loaded.tokenizer
    prompt = prompt_of(loaded, card_prompt(kind, name))
    if kind == "qwen-prm":
        return Tagged(tokenizer, prompt, card.tag)
    if kind == "skywork":
        return Breaks(partial(tokenizer.encode, add_special_tokens=False), prompt, tokenizer.bos_token or "")
    _need_fast(tokenizer, name)
    if kind == "math-shepherd":
        return Shepherd(tokenizer, prompt, card.tag)
    return Turns(tokenizer, prompt, whole=not card.process)


def _need_fast(tokenizer: Any, name: str) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise UsageError(f"the tokenizer of {name} cannot tell where tokens stand in a text: add its tokenizer.json")


def same_tokenizer(tokenizer: Any, policy: Policy | None) -> bool:
    """Whether the policy is known to use a tokenizer that is the same in every rule and token."""
    other = getattr(policy, "tokenizer", None)
    mine, theirs = (getattr(one, "backend_tokenizer", None) for one in (tokenizer, other))
    return mine is not None and theirs is not None and bool(mine.to_str() == theirs.to_str())


def prompt_of(loaded: Loaded, card: Prompt | None = None) -> Prompt:
    """What reason.json says; else, or where it is silent on a published model, the card's prompt.

    Without a card: the question alone, through the tokenizer's chat template if it has one.

    Raises:
        UsageError: The prompt in reason.json is none.
    """
    said = loaded.settings.get("prompt", {})
    if not isinstance(said, dict):
        raise UsageError(
            f"reason.json says prompt {said!r:.60}; it must be an object of prompt fields, such as step_end"
        )
    if said or card is not None:
        return Prompt.from_dict({**({} if card is None else card.to_dict()), **said})
    chat = bool(getattr(loaded.tokenizer, "chat_template", None))
    return Prompt(template="{question}" if chat else "{question}\n", chat=chat)
