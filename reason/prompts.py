"""How a question becomes a model's input: templates, chain-of-thought triggers, worked examples, chat templates.

A `Prompt` renders a question to token ids once; a continuation is those ids and the sampled ones, so a partial answer
is continued exactly, also within a chat turn. Formats: plain; cot ("Let's think step by step", Kojima et al. 2022,
arXiv 2205.11916); few-shot chain of thought (Wei et al. 2022, arXiv 2201.11903); boxed answers; `<think>` blocks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path as FilePath
from typing import Any

from reason.types import UsageError


@dataclass(frozen=True, slots=True)
class Example:
    """A worked question shown before the real one."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A way to ask.

    Attributes:
        template: The question's place in the text, as `{question}`; other braces stand for themselves.
        system: Put before everything (the system turn of a chat).
        trigger: How the answer begins; given to the model, not part of the solution's text.
        examples: Worked examples, rendered with the same template.
        chat: Use the tokenizer's chat template: system, examples and question become turns.
        step_end: Strings that end a step.
        stop: Strings that end a solution, cut from its text.
        max_tokens: A sensible limit for a whole solution in this format.
    """

    template: str = "{question}\n"
    system: str = ""
    trigger: str = ""
    examples: tuple[Example, ...] = ()
    chat: bool = False
    step_end: tuple[str, ...] = ("\n",)
    stop: tuple[str, ...] = ()
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        if "{question}" not in self.template:
            raise UsageError(
                f"the prompt template {self.template!r} has no {{question}}; put it where the question goes"
            )
        if any(not text for text in (*self.step_end, *self.stop)):
            raise UsageError("step_end and stop strings cannot be empty; leave the tuple empty for none")
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens is {self.max_tokens}; it must be at least 1")

    def text(self, question: str) -> str:
        """The whole input as raw text (without a chat template).

        Raises:
            UsageError: The question is empty.
        """
        if not question.strip():
            raise UsageError("the question is empty; pass the text of a problem")
        parts = [self.system + "\n\n"] if self.system else []
        for example in self.examples:
            lead = self.trigger + (" " if self.trigger and not self.trigger[-1].isspace() else "")
            parts.append(self._fill(example.question) + lead + example.answer + "\n\n")
        return "".join([*parts, self._fill(question), self.trigger])

    def messages(self, question: str) -> list[dict[str, str]]:
        """The input as chat turns, the question's last.

        Raises:
            UsageError: The question is empty.
        """
        if not question.strip():
            raise UsageError("the question is empty; pass the text of a problem")
        turns = [{"role": "system", "content": self.system}] if self.system else []
        for example in self.examples:
            turns.append({"role": "user", "content": self._fill(example.question).strip()})
            turns.append({"role": "assistant", "content": example.answer})
        return [*turns, {"role": "user", "content": self._fill(question).strip()}]

    def render(self, question: str, tokenizer: Any) -> list[int]:
        """Token ids of the input, up to where the model's answer goes on.

        Raises:
            UsageError: The question is empty, or `chat` is set and the tokenizer has no chat template.
        """
        if not self.chat:
            return _encode(tokenizer, self.text(question), special=True)
        if not getattr(tokenizer, "chat_template", None):
            raise UsageError("this prompt is a chat, but the tokenizer has no chat template; use chat=False")
        turn: str = tokenizer.apply_chat_template(self.messages(question), tokenize=False, add_generation_prompt=True)
        return _encode(tokenizer, turn + self.trigger, special=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Prompt:
        """A prompt from JSON data: the fields of this class, and `format` to start from a named one.

        Raises:
            UsageError: An unknown field or format.
        """
        values = dict(data)
        base = named(str(values.pop("format"))) if "format" in values else cls()
        allowed = {entry.name for entry in fields(cls)}
        if unknown := sorted(set(values) - allowed):
            raise UsageError(
                f"unknown prompt fields {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}, format"
            )
        if "examples" in values:
            values["examples"] = tuple(Example(**example) for example in values["examples"])
        for name in ("step_end", "stop"):
            if name in values:
                values[name] = (values[name],) if isinstance(values[name], str) else tuple(values[name])
        return replace(base, **values)

    def _fill(self, question: str) -> str:
        return self.template.replace("{question}", question)


def _encode(tokenizer: Any, text: str, *, special: bool) -> list[int]:
    ids = [int(token) for token in tokenizer.encode(text, add_special_tokens=special)]
    while special and len(ids) > 1 and ids[-1] == getattr(tokenizer, "eos_token_id", None):
        ids.pop()
    return ids


_COT = "Let's think step by step."
_BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
_THINK = (
    "First think about the problem inside <think> and </think>, then give a short solution that ends with the final "
    "answer within \\boxed{}."
)
_EXAMPLES = (
    Example(
        "A baker makes 3 trays of 12 rolls and sells 20 of them. How many rolls are left?",
        "3 trays of 12 rolls are 3 * 12 = 36 rolls.\nAfter selling 20 there are 36 - 20 = 16 left.\nThe answer is 16.",
    ),
    Example(
        "Mia reads 15 pages a day for 6 days. The book has 140 pages. How many pages remain?",
        "In 6 days she reads 15 * 6 = 90 pages.\nThat leaves 140 - 90 = 50 pages.\nThe answer is 50.",
    ),
    Example(
        "Four friends share 2 pizzas of 8 slices each equally. How many slices does each get?",
        "There are 2 * 8 = 16 slices.\nEach of the 4 friends gets 16 / 4 = 4 slices.\nThe answer is 4.",
    ),
)

FORMATS: dict[str, Prompt] = {
    "plain": Prompt(),
    "cot": Prompt(template="Q: {question}\nA: ", trigger=_COT, stop=("\nQ:",)),
    "few-shot": Prompt(template="Q: {question}\nA: ", examples=_EXAMPLES, stop=("\nQ:",)),
    "boxed": Prompt(template="{question}\n" + _BOXED + "\n", step_end=("\n\n",), max_tokens=2048),
    "think": Prompt(template="{question}\n" + _THINK + "\n", trigger="<think>\n", step_end=("\n\n",), max_tokens=8192),
}
"""The named formats."""


def named(name: str) -> Prompt:
    """A named format.

    Raises:
        UsageError: No such format.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no prompt format {name!r}; choose one of {', '.join(FORMATS)}")
    return FORMATS[name]


def default_prompt(tokenizer: Any, directory: str | FilePath | None = None) -> Prompt:
    """The prompt in the model directory's reason.json, else boxed answers through its chat template, else `cot`.

    Raises:
        UsageError: reason.json cannot be read.
    """
    file = FilePath(directory) / "reason.json" if directory is not None else None
    if file is not None and file.is_file():
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"{file} is not valid JSON ({error}); mend it or remove it") from error
        if isinstance(data, dict) and "prompt" in data:
            return Prompt.from_dict(data["prompt"])
    if getattr(tokenizer, "chat_template", None):
        return replace(named("boxed"), chat=True)
    return named("cot")
