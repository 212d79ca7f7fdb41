"""The layouts of published reward models, each as its model card spells it.

    format         model                        the text                                    read at
    qwen-prm       Qwen2.5-Math-PRM             chat; answer = each step and `<extra_0>`    `<extra_0>`
    qwen-rm        Qwen2.5-Math-RM              chat; the whole answer                      the last token
    math-shepherd  Math-Shepherd                question, then lines that end in ` ки`      `ки`
    rlhflow        RLHFlow's PRMs               chat; a turn per step, each answered `+`    before each answer
    rlhflow-orm    RLHFlow's ORMs               chat; question and answer, answered `+`     before the answer
    skywork        Skywork-o1-Open-PRM          question, lines, a line break after each    the line break

(Zhang et al. 2501.07301; Wang et al. 2312.08935; Xiong et al., RLHF-Reward-Modeling; Skywork-o1-Open.)

Every layout is tokenised as a whole, as the cards do; a path that grew shares the longest common prefix of tokens with
what was read before, so it costs its new tokens. What follows the last position read (the end of a chat turn) cannot
change a causal model's value there and is left out.

Deviations: white space around a step is dropped, empty steps are not read, and a step tag that stands in a question or
a solution is taken out (`ки` where it is a word of its own: it also ends Russian words, and there it stays). A step of
the search that ends in white space ends a step of the layout, so that values stay in place as a path grows; one that
ends inside a line (a span of tokens) is read with the rest of its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path as FilePath
from typing import Any

from reason.prompts import Prompt
from reason.scorers.reader import Rows
from reason.scorers.render import Rendered, Unrenderable, Values, probability
from reason.types import Path

_BOXED = "Please reason step by step, and put your final answer within \\boxed{}."


@dataclass(frozen=True, slots=True)
class Card:
    """What a published format is made of.

    Attributes:
        head: "score" (a small network on the hidden state), "value" (one linear layer), or "answer" (the language
            model's own logits of `-` and `+`).
        labels: Logits of a "score" head.
        prompt: How the question is asked, and what ends a step; reason.json in the model's directory may replace it.
        process: Whether it judges steps.
        tag: The token that marks a step's end, where the format has one.
        verdicts: The texts whose first and second token are wrong and right, for "answer" heads.
    """

    head: str
    labels: int
    prompt: Prompt
    process: bool = True
    tag: str = ""
    verdicts: tuple[str, str] = ("-", "+")


CARDS: Mapping[str, Card] = {
    "qwen-prm": Card("score", 2, Prompt("{question}", _BOXED, chat=True, step_end=("\n\n",)), tag="<extra_0>"),
    "qwen-rm": Card("score", 1, Prompt("{question}", _BOXED, chat=True), process=False),
    "math-shepherd": Card("answer", 2, Prompt("{question} "), tag="ки"),
    "rlhflow": Card("answer", 2, Prompt("{question} ", chat=True, step_end=("\n\n",))),
    "rlhflow-orm": Card("answer", 2, Prompt("{question} ", chat=True), process=False),
    "skywork": Card("value", 1, Prompt("{question}\n")),
}
ARCHITECTURES = {
    "Qwen2ForProcessRewardModel": "qwen-prm",
    "Qwen2ForRewardModel": "qwen-rm",
    "Qwen2ForPrmModel": "skywork",
}
NAMES = (
    (re.compile(r"math-?shepherd", re.I), "math-shepherd"),
    (re.compile(r"(rlhflow|llama3\.1-8b).*\borm\b", re.I), "rlhflow-orm"),
    (re.compile(r"(rlhflow|llama3\.1-8b).*\bprm\b", re.I), "rlhflow"),
)
"""Language models that judge say so in their name alone."""


def card_named(name: str) -> str | None:
    """The format of a language model that judges, by its hub id or its directory's own name, not by those above it."""
    told = _own_name(name)
    return next((kind for pattern, kind in NAMES if pattern.search(told)), None)


def _own_name(name: str) -> str:
    """The hub id without its revision, or the last part of a directory's path."""
    form, _, rest = name.partition(":")
    place = FilePath(rest if form in CARDS else name)
    hub = len(place.parts) == 2 and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(@.*)?", str(place)) and not place.is_dir()
    return str(place).partition("@")[0] if hub else place.name


def card_prompt(kind: str, name: str) -> Prompt:
    """The card's prompt; RLHFlow's models of Mistral data were trained on lines, the others on paragraphs."""
    prompt = CARDS[kind].prompt
    return (
        replace(prompt, step_end=("\n",))
        if kind == "rlhflow" and re.search("mistral", _own_name(name), re.I)
        else prompt
    )


def cut(path: Path, step_end: Sequence[str]) -> list[tuple[str, int]]:
    """The steps of a solution, and for each the index of the path's step that it ends in.

    Args:
        path: The solution so far.
        step_end: Strings that end a step; they are left out.
    """
    splitter = re.compile("|".join(map(re.escape, step_end))) if step_end else None
    parts: list[tuple[str, int]] = []
    held = ""
    for index, step in enumerate(path.steps):
        held += step.text
        *whole, held = splitter.split(held) if splitter is not None else [held]
        parts += [(part, index) for part in whole]
        if held and (held[-1].isspace() or index == len(path.steps) - 1):
            parts.append((held, index))
            held = ""
    if held:
        parts.append((held, len(path.steps) - 1))
    return parts


def absent(name: str, *texts: str) -> str:
    """A placeholder that stands in none of the texts, nor overlaps itself where it meets their ends."""
    marks = (f"@@{name}{i}##" for i in count())
    return next(mark for mark in marks if not any(mark in text for text in texts))


def _tagged(tag: str, *, word: bool = False) -> re.Pattern[str]:
    """Where the tag stands; if it is a word, only on its own, with the space before it."""
    return re.compile(rf" ?(?<!\w){re.escape(tag)}(?!\w)" if word else re.escape(tag))


def _untagged(text: str, tags: re.Pattern[str]) -> str:
    """The text without tags, those included that taking one out puts together."""
    while (bare := tags.sub("", text)) != text:
        text = bare
    return text


def _steps(path: Path, step_end: Sequence[str], tags: re.Pattern[str] | None = None) -> list[tuple[str, int]]:
    """The steps that hold text, without tags and the white space around them."""
    parts = cut(path, step_end)
    bare = [(_untagged(part, tags).strip() if tags is not None else part.strip(), index) for part, index in parts]
    return [(part, index) for part, index in bare if part]


def _reads(path: Path, places: Sequence[int], owners: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    reads: list[list[int]] = [[] for _ in path.steps]
    for place, owner in zip(places, owners, strict=True):
        reads[owner].append(place)
    return tuple(map(tuple, reads))


def locate(tokenizer: Any, text: str, places: Sequence[int], *, special: bool) -> tuple[tuple[int, ...], list[int]]:
    """The tokens of a text, and for each place (an index of a character) the index of the token that holds it."""
    encoded = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
    found, at = [], 0
    spans = encoded["offset_mapping"]
    for place in places:
        while at < len(spans) and spans[at][1] <= place:
            at += 1
        found.append(min(at, len(spans) - 1))
    return tuple(encoded["input_ids"]), found


@dataclass(frozen=True, slots=True)
class Tagged:
    """Qwen2.5-Math-PRM: a chat whose answer is the steps, each followed by the tag, read at the tags.

    Attributes:
        tokenizer: With the chat template.
        prompt: The question's turns; `step_end` cuts the solution.
        tag: The tag's text, one special token.
    """

    tokenizer: Any
    prompt: Prompt
    tag: str

    def render(self, path: Path) -> Rendered:
        """The conversation up to the last tag."""
        tags = _tagged(self.tag)
        steps = _steps(path, self.prompt.step_end, tags)
        if not steps:
            return Rendered((), _reads(path, (), ()))
        answer = "".join(part + self.tag for part, _ in steps)
        question = _untagged(path.problem.question, tags)
        messages = [*self.prompt.messages(question), {"role": "assistant", "content": answer}]
        text = str(self.tokenizer.apply_chat_template(messages, tokenize=False))
        tokens = tuple(self.tokenizer.encode(text, add_special_tokens=False))
        tag = self.tokenizer.convert_tokens_to_ids(self.tag)
        places = [i for i, token in enumerate(tokens) if token == tag]
        if len(places) != len(steps):
            raise Unrenderable(
                f"the scorer's chat template keeps {len(places)} of {len(steps)} step tags of a solution; "
                "restore the template of its model card"
            )
        reads = _reads(path, places, [owner for _, owner in steps])
        return Rendered(tokens[: places[-1] + 1], reads)

    def value(self, rows: Rows) -> Values:
        """The second class's probability."""
        return probability(rows)


@dataclass(frozen=True, slots=True)
class Shepherd:
    """Math-Shepherd: the question and the lines, each ending in a space and the tag, read at the tags.

    Attributes:
        tokenizer: A fast one (it tells where tokens stand).
        prompt: The question's place; `step_end` cuts the solution.
        tag: The tag's text.
    """

    tokenizer: Any
    prompt: Prompt
    tag: str

    def render(self, path: Path) -> Rendered:
        """The text up to the last tag."""
        tags = _tagged(self.tag, word=True)
        steps = _steps(path, self.prompt.step_end, tags)
        text = self.prompt.text(_untagged(path.problem.question, tags))
        places = []
        for i, (part, _) in enumerate(steps):
            text += ("\n" if i else "") + f"{part} {self.tag}"
            places.append(len(text) - 1)
        tokens, found = locate(self.tokenizer, text, places, special=True)
        reads = _reads(path, found, [owner for _, owner in steps])
        return Rendered(tokens[: found[-1] + 1] if found else tokens, reads)

    def value(self, rows: Rows) -> Values:
        """The share of `+` against `-`."""
        return probability(rows)


@dataclass(frozen=True, slots=True)
class Turns:
    """RLHFlow: every step is a user's turn that the assistant answers with `+`, read at the token before the answer.

    Attributes:
        tokenizer: A fast one, with the chat template.
        prompt: The question's place in the first turn; `step_end` cuts the solution.
        whole: The outcome model: question and solution are one turn.
    """

    tokenizer: Any
    prompt: Prompt
    whole: bool = False

    def render(self, path: Path) -> Rendered:
        """The conversation up to the last answer."""
        steps = [(path.text, len(path.steps) - 1)] if self.whole else _steps(path, self.prompt.step_end)
        if not any(part.strip() for part, _ in steps):
            return Rendered((), _reads(path, (), ()))
        question = replace(self.prompt, system="").text(path.problem.question)
        answer = absent("answer", self.prompt.system, question, *(part for part, _ in steps))
        turns = [{"role": "system", "content": self.prompt.system}] if self.prompt.system else []
        for i, (part, _) in enumerate(steps):
            turns.append({"role": "user", "content": (question if not i else "") + part})
            turns.append({"role": "assistant", "content": answer})
        text = str(self.tokenizer.apply_chat_template(turns, tokenize=False))
        before = text.split(answer)
        if len(before) != len(steps) + 1:
            raise Unrenderable(
                f"the scorer's chat template keeps {len(before) - 1} of {len(steps)} answers of a conversation; "
                "restore the template of its model card"
            )
        places, at = [], 0
        for piece in before[:-1]:
            places.append(at + len(piece))
            at += len(piece) + 1
        tokens, found = locate(self.tokenizer, "+".join(before), places, special=False)
        reads = _reads(path, [place - 1 for place in found], [owner for _, owner in steps])
        return Rendered(tokens[: found[-1]], reads)

    def value(self, rows: Rows) -> Values:
        """The share of `+` against `-`."""
        return probability(rows)


@dataclass(frozen=True, slots=True)
class Breaks:
    """Skywork-o1-Open-PRM: the lines tokenised one by one, a line break's token after each, read there.

    An empty line keeps its line break, as in the authors' code, and is not read.

    Attributes:
        encode: Text -> tokens, without special ones.
        prompt: The question's place, behind the tokenizer's beginning-of-sequence token; `step_end` cuts the solution.
        bos: The beginning-of-sequence token's text, empty if there is none.
    """

    encode: Callable[[str], tuple[int, ...]]
    prompt: Prompt
    bos: str

    def render(self, path: Path) -> Rendered:
        """The question and the lines."""
        tokens = list(self.encode(self.bos + self.prompt.text(path.problem.question)))
        start, mark = len(tokens), self.encode("\n")[-1]
        places, owners = [], []
        for part, owner in cut(path, self.prompt.step_end):
            tokens += [*self.encode(part), mark]
            if part.strip():
                places.append(len(tokens) - 1)
                owners.append(owner)
        return Rendered(tuple(tokens), _reads(path, places, owners), start)

    def value(self, rows: Rows) -> Values:
        """The sigmoid of the value."""
        return probability(rows)
