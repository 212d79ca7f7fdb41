"""Outcome reward models: one value for a whole solution (Cobbe et al., 2110.14168).

The value is the sigmoid of the model's logit after the last token, or the second class's probability where the model
has two: reward models trained on comparisons (Bradley-Terry) have unbounded logits, and the sigmoid keeps their
order. It is taken in double precision, so logits below 36 stay distinct. An open path may be judged too: its value is
what the model says of the solution so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reason.identity import identified
from reason.prompts import Prompt
from reason.scorers.cards import absent
from reason.scorers.reader import Reads, Rows
from reason.scorers.render import (
    Format,
    Rendered,
    Speller,
    Unrenderable,
    Values,
    judge_paths,
    layout_identity,
    probability,
)
from reason.types import Path, Problem, Score

_BLANK = "\n\t \n"


class OutcomeScorer:
    """Judges a path by its end.

    Args:
        reader: The model.
        form: How paths are laid out; the last position it names is read.
        name: For reports.

    Attributes:
        parameters: Of the model, for FLOPs accounting.
    """

    def __init__(self, reader: Reads, form: Format, *, name: str = "outcome") -> None:
        self.name = name
        self.parameters = reader.parameters
        self._reader = reader
        self._form = form

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, model=self._reader.identity, layout=layout_identity(self._form))

    def count_tokens(self, path: Path) -> int:
        """The most tokens that judging this path can cost: all of them, if nothing is cached."""
        return len(self._form.render(path).tokens)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path, without step values.

        NaN for a path without steps, a failed one, or one that is longer than the model's context; `error` says which.
        """
        return await judge_paths(self._reader, self._form, paths, self._score, last=True)

    @staticmethod
    def _score(values: Sequence[Values], tokens: int) -> Score:
        return Score(float(values[-1][-1]), tokens=tokens)


@dataclass(frozen=True, slots=True)
class Pair:
    """The layout of encoder reward models: question and solution as the tokenizer's pair of texts, one value for both.

    Attributes:
        tokenizer: A fast one (it tells the two texts apart).
        prompt: How the question is laid out.
    """

    tokenizer: Any
    prompt: Prompt

    def render(self, path: Path) -> Rendered:
        """The pair's tokens; the last step holds the read."""
        encoded = self.tokenizer(self.prompt.text(path.problem.question), path.text)
        tokens = tuple(encoded["input_ids"])
        start = next((i for i, text in enumerate(encoded.sequence_ids(0)) if text == 1), len(tokens))
        empty = not path.text.strip()
        return Rendered(tokens, (*(() for _ in path.steps[1:]), () if empty else (len(tokens) - 1,)), start)

    def value(self, rows: Rows) -> Values:
        """The probability that the logits stand for."""
        return probability(rows)


@dataclass(frozen=True, slots=True)
class Conversation:
    """The layout of chat reward models: the chat template around question and solution, read at the last token.

    Attributes:
        speller: The scorer's tokenizer, with a chat template.
        prompt: How the question is asked, as a chat.
        padding: The model's padding token, or None: as transformers does, the last other token is read.
    """

    speller: Speller
    prompt: Prompt
    padding: int | None = None

    def render(self, path: Path) -> Rendered:
        """The conversation's tokens; the last step holds the one read."""
        before, after, trims = self._frame(path.problem)
        steps = [(self.speller.step(step), step.text) for step in path.steps]
        if trims:
            steps = self._trimmed(steps)
        tokens = (*before, *(token for ids, _ in steps for token in ids), *after)
        last = max(i for i, token in enumerate(tokens) if token != self.padding)
        return Rendered(tokens, (*(() for _ in path.steps[1:]), (last,)))

    def value(self, rows: Rows) -> Values:
        """The probability that the logits stand for."""
        return probability(rows)

    def _frame(self, problem: Problem) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
        """Tokens before and after the solution, and whether the template trims it."""
        asked = self.prompt.messages(problem.question)
        mark = absent("solution", *(turn["content"] for turn in asked))
        tokenizer: Any = self.speller.tokenizer
        turns = [*asked, {"role": "assistant", "content": mark + _BLANK}]
        before, found, after = str(tokenizer.apply_chat_template(turns, tokenize=False)).rpartition(mark)
        if not found:
            raise Unrenderable(
                "the scorer's chat template leaves the assistant's message out; restore its card's template"
            )
        trims = not after.startswith(_BLANK)
        return self.speller.encode(before), self.speller.encode(after.removeprefix(_BLANK)), trims

    def _trimmed(self, steps: Sequence[tuple[tuple[int, ...], str]]) -> list[tuple[tuple[int, ...], str]]:
        """Steps without the solution's leading and trailing white space."""
        kept = list(steps)
        for place, strip in ((0, str.lstrip), (-1, str.rstrip)):
            while kept and not kept[place][1].strip():
                kept.pop(place)
            if kept and (bare := strip(kept[place][1])) != kept[place][1]:
                kept[place] = (self.speller.spell(bare), bare)
        return kept
