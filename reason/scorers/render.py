"""How a path becomes the token sequence that a scorer reads, and where in it the values stand.

A format is one small object: `render` lays a path out as tokens and names the positions to read, `value` turns the
logits found there into values in [0, 1]. Sampled token ids go in as they are wherever the scorer's tokenizer spells
the same text with them; other steps are tokenised on their own and appended, so a path's tokens never change when it
grows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reason.prompts import Prompt
from reason.scorers.reader import Reads, Rows
from reason.types import Finish, Path, Problem, Score, Step

Values: TypeAlias = NDArray[np.float64]
"""Values in [0, 1]: [reads]."""

PROBE = Path(Problem("probe", "What is 1 + 2?"), (Step("1 + 2 = 3\n\n"), Step("The answer is 3.")))
"""A path that every format can lay out."""
_PIECE_CHARACTERS = 32_768
_ANCHOR = "\n"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A path as a scorer reads it.

    Attributes:
        tokens: The whole sequence, prompt included.
        reads: For each step of the path, the positions in `tokens` that hold its values, in order.
        start: Where the solution begins in `tokens`.
    """

    tokens: tuple[int, ...]
    reads: tuple[tuple[int, ...], ...]
    start: int = 1


class Unrenderable(Exception):
    """A path that a format cannot lay out; it stays unscored."""


class Format(Protocol):
    """What makes one family of reward models different from another."""

    def render(self, path: Path) -> Rendered:
        """Lay the path out as tokens.

        Raises:
            Unrenderable: It has no place in the layout.
        """
        ...

    def value(self, rows: Rows) -> Values:
        """Logits [reads, labels] -> values in [0, 1], [reads]."""
        ...


def layout_identity(form: Format) -> str:
    """What a format is known by: its class and how it lays out `PROBE`."""
    try:
        rendered = repr(form.render(PROBE))
    except Unrenderable as error:
        rendered = str(error)
    return f"{type(form).__qualname__} {blake2b(rendered.encode(), digest_size=16).hexdigest()}"


def probability(rows: Rows) -> Values:
    """Sigmoid of a single logit, or the second class's share of two: [reads, 1 or 2] -> [reads].

    In double precision: logits below 36 stay distinct.
    """
    logit = rows[:, 0] if rows.shape[1] == 1 else rows[:, 1] - rows[:, 0]
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-logit)), dtype=np.float64)


class Speller:
    """A scorer's tokenizer: spells steps, reusing sampled token ids where they mean the same text to it.

    Args:
        tokenizer: The scorer's Hugging Face tokenizer.
        size: Rows of the scorer's embedding; ids beyond it are never passed on.
        eos: Ids that end a sequence; the first is the one written.
        shared: Whether the policy is known to use the same tokenizer: its ids are then taken without a check.
    """

    def __init__(self, tokenizer: Any, *, size: int, eos: Sequence[int] = (), shared: bool = False) -> None:
        self.tokenizer = tokenizer
        self.size = size
        self.eos = tuple(eos)
        self.shared = shared
        self._special = frozenset((*tokenizer.all_special_ids, *eos))
        self._pieces: dict[int, str] = {}
        self.encode = lru_cache(maxsize=4096)(self._encode)
        self._anchor = self._encode(_ANCHOR)
        self._before = self._decode(self._anchor, False)
        self.question = lru_cache(maxsize=1024)(self._question)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def _question(self, prompt: Prompt, question: str) -> tuple[int, ...]:
        return tuple(prompt.render(question, self.tokenizer))

    def piece(self, token: int) -> str:
        """The text of one token; empty for special ones."""
        if token not in self._pieces:
            self._pieces[token] = "" if token in self._special else self._decode([token], False)
        return self._pieces[token]

    def step(self, step: Step) -> tuple[int, ...]:
        """The step's tokens without end-of-sequence, and without a stop string that was cut from its text."""
        ids = step.token_ids
        while ids and ids[-1] in self._special:
            ids = ids[:-1]
        cut = step.finish is Finish.STOP and len(ids) == len(step.token_ids)
        if ids and max(ids) < self.size and ((self.shared and not cut) or self._spells(ids, step.text)):
            return ids
        return self.spell(step.text) if step.text else ()

    def _spells(self, ids: tuple[int, ...], text: str) -> bool:
        return any(self._decode((*self._anchor, *ids), skip) == self._before + text for skip in (False, True))

    def _decode(self, ids: Sequence[int], skip: bool) -> str:
        text = self.tokenizer.decode(list(ids), skip_special_tokens=skip, clean_up_tokenization_spaces=False)
        return str(text)

    def spell(self, text: str) -> tuple[int, ...]:
        """The tokens of a text that goes on after a line break: without the space that some tokenizers begin with."""
        whole = self.encode(_ANCHOR + text)
        return whole[len(self._anchor) :] if whole[: len(self._anchor)] == self._anchor else self.encode(text)


def line_ends(pieces: Sequence[str], step_end: Sequence[str]) -> list[int]:
    """Where the lines of one step end: indices of the token that completes each line, the step's last token among them.

    A line without visible text belongs to the line before it, so blank lines are not read on their own.

    Args:
        pieces: The text of each token of the step.
        step_end: Strings that end a line; empty: the step is one line.
    """
    text = "".join(pieces)
    cuts = {place + len(mark) for mark in step_end for place in _occurrences(text, mark)}
    ends: list[int] = []
    last_cut, begun, position = -1, False, 0
    for index, piece in enumerate(pieces):
        if piece.strip():
            if begun and last_cut >= 0:
                ends.append(last_cut)
            begun, last_cut = True, -1
        start, position = position, position + len(piece)
        if any(start < cut <= position for cut in cuts):
            last_cut = index
    return [*ends, len(pieces) - 1] if pieces else []


def _occurrences(text: str, mark: str) -> list[int]:
    places, at = [], text.find(mark)
    while at >= 0:
        places.append(at)
        at = text.find(mark, at + len(mark))
    return places


@dataclass(frozen=True, slots=True)
class Lines:
    """The plain format: the prompt, then the steps as they are, read at the last token of every line.

    Attributes:
        speller: The scorer's tokenizer.
        prompt: How a question is laid out before its solution.
        step_end: Strings that end a line inside a step.
        closed: Whether a complete solution ends with the end-of-sequence token.
    """

    speller: Speller
    prompt: Prompt
    step_end: tuple[str, ...] = ("\n",)
    closed: bool = False

    def render(self, path: Path) -> Rendered:
        """The prompt's and the steps' tokens, and every line's last position."""
        tokens = list(self.speller.question(self.prompt, path.problem.question))
        start = len(tokens)
        reads = []
        for step in path.steps:
            own = self.speller.step(step)
            if self.closed and step.finish is Finish.STOP:
                own = (*own, *self.speller.eos[:1])
            ends = line_ends([self.speller.piece(token) for token in own], self.step_end)
            reads.append(tuple(len(tokens) + end for end in ends))
            tokens += own
        return Rendered(tuple(tokens), tuple(reads), start)

    def value(self, rows: Rows) -> Values:
        """The probability that the logits stand for."""
        return probability(rows)


async def judge_paths(
    reader: Reads,
    form: Format,
    paths: Sequence[Path],
    score: Callable[[list[Values], int], Score],
    *,
    last: bool = False,
) -> list[Score]:
    """Render, read and score in the reader's thread; equal paths are computed once.

    A long list goes in pieces, so that a cancelled call stops soon.

    Args:
        reader: The model.
        form: The layout.
        paths: What to judge.
        score: Makes a Score of each step's values ([lines] each, at least one in all) and the tokens that passed.
        last: Read only the last position.
    """
    scores: list[Score] = []
    for piece in _pieces(paths):
        scores += await reader.run(partial(_judge, reader, form, piece, score, last=last))
    return scores


def _pieces(paths: Sequence[Path]) -> Iterator[list[Path]]:
    piece: list[Path] = []
    size = 0
    for path in paths:
        piece.append(path)
        size += len(path.problem.question) + len(path.text)
        if size >= _PIECE_CHARACTERS:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _judge(
    reader: Reads,
    form: Format,
    paths: Sequence[Path],
    score: Callable[[list[Values], int], Score],
    *,
    last: bool = False,
) -> list[Score]:
    scores: list[Score | None] = [unscored(path, fault) if (fault := _fault(path)) else None for path in paths]
    rendered: dict[int, Rendered] = {}
    for i, path in enumerate(paths):
        if scores[i] is None:
            try:
                rendered[i] = form.render(path)
            except Unrenderable as error:
                scores[i] = unscored(path, str(error))
    for i, layout in list(rendered.items()):
        if len(layout.tokens) > reader.context:
            size = f"{len(layout.tokens)} tokens, the scorer's model takes {reader.context}; lower max_tokens"
            scores[i] = unscored(paths[i], f"the path is longer than the scorer's context: {size}")
        elif not any(layout.reads):
            scores[i] = unscored(paths[i], "the path holds no text to judge")
        if scores[i] is not None:
            del rendered[i]
    places = [[p for reads in layout.reads for p in reads][-1 if last else 0 :] for layout in rendered.values()]
    layouts = rendered.values()
    readings = reader.read([lay.tokens for lay in layouts], places, [lay.start for lay in layouts])
    for (i, layout), reading in zip(rendered.items(), readings, strict=True):
        values = form.value(reading.rows)
        if not np.isfinite(values).all():
            scores[i] = unscored(paths[i], "the scorer's model gave a value that is not a number", reading.tokens)
            continue
        cuts = np.cumsum([len(reads) for reads in layout.reads])[:-1]
        scores[i] = score([values] if last else np.split(values, cuts), reading.tokens)
    return [score for score in scores if score is not None]


def unscored(path: Path, error: str, tokens: int = 0) -> Score:
    """The score of a path that could not be judged."""
    return Score(math.nan, (math.nan,) * len(path.steps), tokens, error=error)


def _fault(path: Path) -> str:
    """Why a path cannot be judged; empty if it can."""
    if not path.steps:
        return "the path has no steps to judge"
    if path.finish is Finish.ERROR:
        return f"the path failed: {path.steps[-1].error or 'no reason was given'}"
    return ""
