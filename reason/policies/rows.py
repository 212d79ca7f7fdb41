"""What is known of each running row, as arrays; when rows leave, the last ones move into their places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reason.policies.pools import Index
from reason.policies.vocabulary import Ends, Vocabulary, ending
from reason.types import Finish, Sampling, Step

_FIELDS = ("token", "position", "length", "new", "limit", "group", "lane", "ends", "serial", "confidence", "shared")
_FIRST_WIDTH = 64

Written = tuple[list[int], list[float], list[float], int]
"""New tokens, their log-probabilities, their confidences or none, and how many tokens were decoded for another row."""


@dataclass(slots=True, eq=False)
class Row:
    """One path being extended.

    Attributes:
        prompt: Prompt tokens; rows with an equal `key` share them.
        before: Tokens already on the path.
        limit: New tokens after which it ends, and `at_limit` as what.
        earlier: The path's text so far.
        done: Called once with the step.
        gone: Nobody waits for it any more.
        tokens, logprobs, confidences: New ones, while it is not in the batch.
        prefilled: Tokens computed to admit it.
        shared: Of its new tokens, those decoded together with another row's.
    """

    prompt: NDArray[np.int64]
    key: int
    before: tuple[int, ...]
    sampling: Sampling
    ends: Ends
    limit: int
    at_limit: Finish
    earlier: str
    seed: int
    done: Callable[[Step], None]
    gone: bool = False
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    prefilled: int = 0
    shared: int = 0

    @property
    def state(self) -> tuple[object, ...]:
        """Equal for rows that can be decoded as one."""
        drawn = self.sampling
        settings = (drawn.temperature, drawn.top_k, drawn.top_p, drawn.min_p, drawn.confidence)
        return self.key, self.before, tuple(self.tokens), settings

    @property
    def own(self) -> int:
        """Tokens after the prompt."""
        return len(self.before) + len(self.tokens)

    def sequence(self) -> NDArray[np.int64]:
        """All tokens but the last: those whose keys and values a row needs before its next step."""
        if not self.own:
            return self.prompt[:-1]
        return np.concatenate([self.prompt, np.array([*self.before, *self.tokens], dtype=np.int64)])[:-1]

    def step(self, written: Written, text: str, finish: Finish, tail: int = 0) -> Step:
        """The step that this row came to."""
        tokens, logprobs, sure, shared = written
        return Step(text, tuple(tokens), tuple(logprobs), finish, self.prefilled, None, tuple(sure), tail, shared)

    def ended(self, written: Written, vocabulary: Vocabulary) -> Step | None:
        """The step, if the last of the tokens written ended it."""
        tokens, tail = written[0], 0
        stopped, full = tokens[-1] in self.ends.eos, len(tokens) >= self.limit
        text = vocabulary.text(self.before, tokens)
        end = ending(self.ends, self.earlier, text)
        if end is not None and end[0] is Finish.STOP:
            finish, text = end
            tail = vocabulary.tail(self.before, tokens, text)
        elif stopped:
            finish, tail = Finish.STOP, 1
        elif full:
            finish = self.at_limit
        elif end is not None:
            finish = Finish.STEP
        else:
            return None
        return self.step(written, text, finish, tail)

    def last(self) -> int:
        """The token that is fed next."""
        for tokens in (self.tokens, self.before):
            if tokens:
                return int(tokens[-1])
        return int(self.prompt[-1])


class Table:
    """The running rows in arrays.

    Attributes:
        rows: The rows themselves.
        tokens, logprobs, confidences: New ones, [rows, width].
        seeds: [rows].
        filters: [4, rows]: temperature, top_k, top_p, min_p.

    The columns, each [rows], are read and replaced with `table[name]`: the `token` that is fed next and its
    `position`, the `length` of what is stored after the prompt, the number of `new` tokens and their `limit`, the
    `group`, the `lane`, which `ends` apply, a `serial` number that grows with each admission, whose `confidence` is
    wanted, and how many new tokens were `shared`.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._columns = {name: np.zeros(0, dtype=np.int64) for name in _FIELDS}
        self._seeds = np.zeros(0, dtype=np.uint64)
        self._filters = np.zeros((4, 0), dtype=np.float32)
        self._tokens = np.zeros((0, _FIRST_WIDTH), dtype=np.int64)
        self._logprobs = np.zeros((0, _FIRST_WIDTH), dtype=np.float32)
        self._confidences = np.zeros((0, _FIRST_WIDTH), dtype=np.float32)
        self._serial = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Index:
        return self._columns[name][: len(self.rows)]

    @property
    def seeds(self) -> NDArray[np.uint64]:
        return self._seeds[: len(self.rows)]

    @property
    def filters(self) -> NDArray[np.float32]:
        return self._filters[:, : len(self.rows)]

    @property
    def longest(self) -> int:
        """Most tokens that a row has stored after its prompt."""
        return int(self["length"].max()) if self.rows else 0

    def add(self, rows: Sequence[Row], groups: Sequence[int], lanes: Sequence[int], ends: Sequence[int]) -> None:
        """Append rows, with their groups, lanes and the numbers of their `Ends`."""
        first, count = len(self.rows), len(self.rows) + len(rows)
        self._reserve(count, max(len(row.tokens) for row in rows) + 1)
        self.rows.extend(rows)
        values = np.empty((len(_FIELDS), len(rows)), dtype=np.int64)
        for at, (row, group, lane, end) in enumerate(zip(rows, groups, lanes, ends, strict=True)):
            position = len(row.prompt) + row.own - 1
            self._serial += 1
            new = len(row.tokens)
            wanted = row.sampling.confidence
            known = (row.last(), position, row.own, new, row.limit, group, lane, end, self._serial, wanted, row.shared)
            values[:, at] = known
            if new:
                self._tokens[first + at, :new] = row.tokens
                self._logprobs[first + at, :new] = row.logprobs
                if wanted:
                    self._confidences[first + at, :new] = row.confidences
        for name, column in zip(_FIELDS, values, strict=True):
            self._columns[name][first:count] = column
        self._seeds[first:count] = np.array([row.seed % 2**64 for row in rows], dtype=np.uint64)
        settings = [(s.temperature, s.top_k, s.top_p, s.min_p) for s in (row.sampling for row in rows)]
        self._filters[:, first:count] = np.array(settings, dtype=np.float32).T

    def append(
        self,
        tokens: NDArray[np.int64],
        logprobs: NDArray[np.float32],
        shared: NDArray[np.bool_],
        confidences: NDArray[np.float32] | None = None,
    ) -> None:
        """One new token for every row, and whether it was decoded for another; confidences where any row wants them."""
        count, new = len(self.rows), self["new"]
        self._reserve(count, int(new.max()) + 1)
        at = np.arange(count)
        self._tokens[at, new] = tokens
        self._logprobs[at, new] = logprobs
        if confidences is not None:
            self._confidences[at, new] = confidences
        self._columns["token"][:count] = tokens
        self._columns["shared"][:count] += shared
        for name in ("new", "length", "position"):
            self._columns[name][:count] += 1

    def written(self, index: int) -> Written:
        """What a row has."""
        new = int(self._columns["new"][index])
        wanted = new if self._columns["confidence"][index] else 0
        confidences = self._confidences[index, :wanted].tolist()
        shared = int(self._columns["shared"][index])
        return self._tokens[index, :new].tolist(), self._logprobs[index, :new].tolist(), confidences, shared

    def drop(self, holes: Index, movers: Index, left: int) -> None:
        """Move rows into holes and keep the first `left`."""
        for hole, mover in zip(holes.tolist(), movers.tolist(), strict=True):
            self.rows[hole] = self.rows[mover]
        del self.rows[left:]
        written = (self._tokens, self._logprobs, self._confidences)
        arrays: list[NDArray[Any]] = [*self._columns.values(), self._seeds, *written]
        for array in arrays:
            array[holes] = array[movers]
        self._filters[:, holes] = self._filters[:, movers]

    def rename(self, column: str, values: Index) -> None:
        """Give rows new groups or lanes, [rows]."""
        self._columns[column][: len(self.rows)] = values

    def _reserve(self, rows: int, width: int) -> None:
        """Room for so many rows and new tokens; both grow by doubling."""
        had_rows, had_width = self._tokens.shape
        if rows <= had_rows and width <= had_width:
            return
        rows = had_rows if rows <= had_rows else max(rows, 2 * had_rows)
        width = had_width if width <= had_width else max(width, 2 * had_width)
        self._columns = {name: _grown(column, (rows,)) for name, column in self._columns.items()}
        self._seeds = _grown(self._seeds, (rows,))
        self._filters = _grown(self._filters, (4, rows))
        self._tokens = _grown(self._tokens, (rows, width))
        self._logprobs = _grown(self._logprobs, (rows, width))
        self._confidences = _grown(self._confidences, (rows, width))


def _grown(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    new = np.zeros(shape, dtype=array.dtype)
    new[tuple(slice(0, size) for size in array.shape)] = array
    return new
