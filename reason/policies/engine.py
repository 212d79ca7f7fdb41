"""The running batch: rows join between steps, get one token each, and leave as they end.

A step admits waiting rows as far as memory allows (computing what is missing of their prefixes, all at once), feeds
one token per row, draws the next, and takes out the rows that ended. A row that stopped at a step boundary leaves its
keys and values in the prefix cache, so extending it later computes nothing again. When the pool cannot grow, the
youngest rows go back to the queue with what they have; when torch runs out of memory, half of the rows do. Draws
depend on a row's own seed and position only, so neither changes a result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from reason.policies.decode import DecodePlan, Layout, decode, layout
from reason.policies.memory import GIB, token_bytes
from reason.policies.pools import Pool, leaving
from reason.policies.prefix import Held, PrefixModel
from reason.policies.sampling import Filters, draw, uniforms
from reason.policies.vocabulary import Ends, Vocabulary, ending
from reason.types import Finish, Sampling, Step, UsageError

_HEADROOM = 32
_COLUMNS = ("token", "position", "length", "new", "limit", "group", "ends", "serial")


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
        tokens, logprobs: New ones, while it is not in the batch.
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
    prefilled: int = 0

    def sequence(self) -> NDArray[np.int64]:
        """All tokens but the last: those whose keys and values a row needs before its next step."""
        tail = np.array([*self.before, *self.tokens], dtype=np.int64)
        return np.concatenate([self.prompt, tail])[:-1]

    def last(self) -> int:
        """The token that is fed next."""
        for tokens in (self.tokens, self.before):
            if tokens:
                return int(tokens[-1])
        return int(self.prompt[-1])


class Engine:
    """Rows in, steps out.

    Args:
        model: A causal language model, in eval mode.
        vocabulary: Its tokens.
        memory_gib: Bound on all keys and values: a third for the prefix cache, the rest for the running rows.
        max_rows: Most rows decoded at once.
        plain: See `PrefixModel`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        vocabulary: Vocabulary,
        *,
        memory_gib: float,
        max_rows: int,
        plain: bool | None = None,
    ) -> None:
        self.model, self.vocabulary, self.max_rows = model, vocabulary, max_rows
        budget = int(memory_gib * GIB)
        self.prefixes = PrefixModel(model, max_bytes=budget // 3, plain=plain)
        shapes = self.prefixes.store.shapes
        self.pool_tokens = (budget - budget // 3) // token_bytes(shapes, model.dtype)
        self._rows_pool = Pool(shapes, dtype=model.dtype, device=model.device)
        self._groups_pool = Pool(shapes, dtype=model.dtype, device=model.device)
        self.waiting: deque[Row] = deque()
        self.running: list[Row] = []
        self._columns = {name: np.zeros(0, dtype=np.int64) for name in _COLUMNS}
        self._seeds = np.zeros(0, dtype=np.uint64)
        self._filters = np.zeros((4, 0), dtype=np.float32)
        self._tokens = np.zeros((0, 0), dtype=np.int64)
        self._logprobs = np.zeros((0, 0), dtype=np.float32)
        self._groups: list[int] = []
        self._group_length = np.zeros(0, dtype=np.int64)
        self._ends: list[Ends] = []
        self._watch = np.zeros((0, vocabulary.size), dtype=np.bool_)
        self._layout: Layout | None = None
        self._serial = 0

    @property
    def busy(self) -> bool:
        """Whether any row waits or runs."""
        return bool(self.waiting or self.running)

    def step(self) -> None:
        """Admit what fits, then give every running row one token."""
        self._purge()
        with torch.inference_mode():
            try:
                self._admit()
                if self.running and self._grow():
                    self._advance()
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                self._halve(error)

    def _purge(self) -> None:
        if any(row.gone for row in self.waiting):
            self.waiting = deque(row for row in self.waiting if not row.gone)
        gone = [at for at, row in enumerate(self.running) if row.gone]
        if gone:
            self._drop(np.array(gone, dtype=np.int64))

    def drop_all(self) -> list[Row]:
        """Empty the engine; returns the rows that were in it."""
        rows = [*self.running, *self.waiting]
        self.waiting.clear()
        if self.running:
            self._drop(np.arange(len(self.running)))
        return rows

    def _admit(self) -> None:
        while self.waiting and len(self.running) < self.max_rows:
            batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), self.max_rows - len(self.running)))]
            try:
                taken = self._join(batch)
            except BaseException:
                self.waiting.extendleft(reversed(batch))
                raise
            self.waiting.extendleft(reversed(batch[taken:]))
            if taken < len(batch):
                if not taken and not self.running:
                    self._refuse(self.waiting.popleft())
                    continue
                return

    def _refuse(self, row: Row) -> None:
        need = len(row.sequence()) + _HEADROOM
        message = (
            f"a path of {need - _HEADROOM} tokens does not fit in the engine's memory ({self.pool_tokens} tokens for "
            f"running rows, {self.prefixes.store.max_slots} for prefixes); raise memory_gib"
        )
        row.done(Step("", finish=Finish.ERROR, error=message))

    def _join(self, batch: Sequence[Row]) -> int:
        """Take rows of `batch`, from the first on, into the running batch; returns how many fitted."""
        sequences: dict[tuple[int, tuple[int, ...], tuple[int, ...]], int] = {}
        distinct: list[NDArray[np.int64]] = []
        which = []
        for row in batch:
            key = (row.key, row.before, tuple(row.tokens))
            if key not in sequences:
                sequences[key] = len(distinct)
                distinct.append(row.sequence())
            which.append(sequences[key])
        held = self._hold(distinct)
        try:
            ready = [row for row, at in zip(batch, which, strict=True) if at < len(held)]
            count = 0
            while count < len(batch) and which[count] < len(held):
                count += 1
            count = self._room(ready[:count])
            self._place(batch[:count], [held[at] for at in which[:count]])
            return count
        finally:
            for holding in held:
                self.prefixes.release(holding)

    def _hold(self, distinct: list[NDArray[np.int64]]) -> list[Held]:
        try:
            return self.prefixes.hold(distinct)
        except UsageError:
            return []

    def _room(self, rows: Sequence[Row]) -> int:
        """Grow the pools for as many of `rows` as fit; returns how many."""
        own = [len(row.before) + len(row.tokens) + 1 for row in rows]
        active = len(self.running)
        longest = int(self._columns["length"].max()) if active else 0
        keys = dict.fromkeys(self._groups)
        count, width, prefix = 0, longest, int(self._group_length.max()) if self._groups else 0
        for row, length in zip(rows, own, strict=True):
            new_width = max(width, length)
            new_prefix = max(prefix, len(row.prompt) - 1)
            groups = len(keys) + (row.key not in keys)
            if (active + count + 1) * (new_width + _HEADROOM) + groups * new_prefix > self.pool_tokens:
                break
            keys[row.key] = None
            count, width, prefix = count + 1, new_width, new_prefix
        if not count:
            return 0
        used_groups = (len(self._groups), int(self._group_length.max()) if self._groups else 0)
        if not self._groups_pool.fit(
            len(keys), max(prefix, 1), used=used_groups, bound=self.pool_tokens - (active + count) * (width + _HEADROOM)
        ):
            return 0
        return count if self._fit_rows(active + count, width + _HEADROOM, active, longest) else 0

    def _fit_rows(self, rows: int, cap: int, used_rows: int, used_cap: int) -> bool:
        bound = self.pool_tokens - self._groups_pool.rows * self._groups_pool.cap
        return self._rows_pool.fit(rows, cap, used=(used_rows, used_cap), bound=bound)

    def _place(self, rows: Sequence[Row], held: Sequence[Held]) -> None:
        if not rows:
            return
        first = len(self.running)
        store = self.prefixes.store
        charged: set[int] = set()
        slots, to_row, to_token = [], [], []
        for at, (row, holding) in enumerate(zip(rows, held, strict=True), start=first):
            shared = len(row.prompt) - 1
            self._add_group(row, holding.slots[:shared])
            own = len(holding.slots) - shared
            slots.append(holding.slots[shared:])
            to_row.append(np.full(own, at, dtype=np.int64))
            to_token.append(np.arange(own, dtype=np.int64))
            if id(holding) not in charged:
                charged.add(id(holding))
                row.prefilled += holding.computed
        self._rows_pool.load(store, np.concatenate(slots), np.concatenate(to_row), np.concatenate(to_token))
        self._add_columns(rows)
        self.running.extend(rows)
        self._layout = None

    def _add_group(self, row: Row, slots: NDArray[np.int64]) -> None:
        if row.key in self._groups:
            return
        at = np.full(len(slots), len(self._groups), dtype=np.int64)
        self._groups_pool.load(self.prefixes.store, slots, at, np.arange(len(slots)))
        self._groups.append(row.key)
        self._group_length = np.append(self._group_length, len(slots))

    def _add_columns(self, rows: Sequence[Row]) -> None:
        fresh: dict[str, list[int]] = {name: [] for name in _COLUMNS}
        place = {key: at for at, key in enumerate(self._groups)}
        for row in rows:
            position = len(row.prompt) + len(row.before) + len(row.tokens) - 1
            self._serial += 1
            values = (
                row.last(),
                position,
                position - len(row.prompt) + 1,
                len(row.tokens),
                row.limit,
                place[row.key],
                self._ends_of(row.ends),
                self._serial,
            )
            for name, value in zip(_COLUMNS, values, strict=True):
                fresh[name].append(value)
        for name, column in fresh.items():
            self._columns[name] = np.concatenate([self._columns[name], np.array(column, dtype=np.int64)])
        seeds = np.array([row.seed % 2**64 for row in rows], dtype=np.uint64)
        self._seeds = np.concatenate([self._seeds, seeds])
        settings = [(s.temperature, s.top_k, s.top_p, s.min_p) for s in (row.sampling for row in rows)]
        self._filters = np.concatenate([self._filters, np.array(settings, dtype=np.float32).T], axis=1)
        width = max(self._tokens.shape[1], max(len(row.tokens) for row in rows) + _HEADROOM)
        self._widen(width, len(rows))
        for at, row in enumerate(rows, start=len(self.running)):
            self._tokens[at, : len(row.tokens)] = row.tokens
            self._logprobs[at, : len(row.tokens)] = row.logprobs

    def _widen(self, width: int, more_rows: int) -> None:
        rows = len(self._tokens)
        tokens = np.zeros((rows + more_rows, width), dtype=np.int64)
        logprobs = np.zeros((rows + more_rows, width), dtype=np.float32)
        tokens[:rows, : self._tokens.shape[1]] = self._tokens
        logprobs[:rows, : self._logprobs.shape[1]] = self._logprobs
        self._tokens, self._logprobs = tokens, logprobs

    def _ends_of(self, ends: Ends) -> int:
        for at, known in enumerate(self._ends):
            if known is ends:
                return at
        self._ends.append(ends)
        self._watch = np.concatenate([self._watch, ends.watch[None]])
        return len(self._ends) - 1

    def _grow(self) -> bool:
        """Make room for one more token per row, sending the youngest rows back to the queue until there is."""
        while self.running:
            length = int(self._columns["length"].max())
            if self._fit_rows(len(self.running), length + 1, len(self.running), length):
                return True
            if len(self.running) == 1:
                self._refuse(self.running[0])
                self._drop(np.zeros(1, dtype=np.int64))
                return False
            self._send_back(max(1, len(self.running) // 8), save=True)
        return False

    def _send_back(self, count: int, *, save: bool) -> None:
        """Return the youngest rows to the front of the queue, with the tokens that they have."""
        at = np.sort(np.argsort(self._columns["serial"])[-count:])
        for index in at:
            row, new = self.running[index], int(self._columns["new"][index])
            row.tokens = self._tokens[index, :new].tolist()
            row.logprobs = self._logprobs[index, :new].tolist()
        if save:
            self._save(at)
        rows = sorted(at.tolist(), key=lambda index: int(self._columns["serial"][index]))
        self.waiting.extendleft(reversed([self.running[index] for index in rows]))
        self._drop(at)

    def _halve(self, error: BaseException) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        active = len(self.running)
        if active > 1:
            self.max_rows = max(1, active // 2)
            self._send_back(active - self.max_rows, save=False)
        elif active == 1:
            self.running[0].done(Step("", finish=Finish.ERROR, error=f"out of memory with a single row: {error}"))
            self._drop(np.zeros(1, dtype=np.int64))
        elif self.max_rows > 1:
            self.max_rows = max(1, min(self.max_rows, len(self.waiting)) // 2)
        elif self.waiting:
            self.waiting.popleft().done(
                Step("", finish=Finish.ERROR, error=f"out of memory computing a single prompt: {error}")
            )

    def _advance(self) -> None:
        count = len(self.running)
        columns = self._columns
        if self._layout is None:
            self._layout = layout(columns["group"], self._group_length)
        plan = DecodePlan(self._rows_pool, self._groups_pool, self._layout, columns["length"])
        logits = decode(self.model, plan, columns["token"], columns["position"], plain=self.prefixes.plain)
        uniform = uniforms(self._seeds, columns["length"])
        device = logits.device
        f = [torch.from_numpy(values).to(device) for values in self._filters]
        drawn, logprob = draw(logits, Filters(f[0], f[1].long(), f[2], f[3]), torch.from_numpy(uniform).to(device))
        tokens = drawn.cpu().numpy()
        new = columns["new"]
        if int(new.max()) >= self._tokens.shape[1]:
            self._widen(2 * self._tokens.shape[1] + _HEADROOM, 0)
        at = np.arange(count)
        self._tokens[at, new] = tokens
        self._logprobs[at, new] = logprob.float().cpu().numpy()
        columns["token"] = tokens
        for name in ("new", "length", "position"):
            columns[name] = columns[name] + 1
        self._finish(np.flatnonzero(self._watch[columns["ends"], tokens] | (columns["new"] >= columns["limit"])))

    def _finish(self, candidates: NDArray[np.int64]) -> None:
        """Look at the rows whose last token may have ended them; resolve and drop those that did."""
        ended: list[int] = []
        steps: list[Step] = []
        for index in candidates.tolist():
            step = self._ended(index)
            if step is not None:
                ended.append(index)
                steps.append(step)
        if not ended:
            return
        kept = [at for at, step in zip(ended, steps, strict=True) if step.finish is Finish.STEP]
        if kept:
            self._save(np.array(kept, dtype=np.int64))
        rows = [self.running[at] for at in ended]
        self._drop(np.array(ended, dtype=np.int64))
        for row, step in zip(rows, steps, strict=True):
            row.done(step)

    def _ended(self, index: int) -> Step | None:
        row = self.running[index]
        new = int(self._columns["new"][index])
        tokens = self._tokens[index, :new].tolist()
        stopped = tokens[-1] in row.ends.eos
        text = self.vocabulary.text(row.before, tokens, final=stopped)
        found = ending(row.ends, row.earlier, text)
        if found is not None and (found[0] is Finish.STOP or not stopped):
            finish, text = found
        elif stopped:
            finish = Finish.STOP
        elif new < row.limit:
            return None
        else:
            finish = row.at_limit
        if new >= row.limit and finish is Finish.STEP:
            finish = row.at_limit
        if finish is Finish.LENGTH:
            text = self.vocabulary.text(row.before, tokens, final=True)
        return Step(
            text,
            token_ids=tuple(tokens),
            logprobs=tuple(self._logprobs[index, :new].tolist()),
            finish=finish,
            prefilled=row.prefilled,
        )

    def _save(self, rows: NDArray[np.int64]) -> None:
        """Leave the keys and values of these running rows in the prefix cache."""
        held: list[Held] = []
        own: list[list[NDArray[np.int64]]] = [[], [], []]
        shared: list[list[NDArray[np.int64]]] = [[], [], []]
        for index in rows.tolist():
            row = self.running[index]
            new = int(self._columns["new"][index])
            tail = np.concatenate([np.array(row.before, dtype=np.int64), self._tokens[index, :new]])
            tokens = np.concatenate([row.prompt, tail])[:-1]
            holding = self.prefixes.reserve(tokens)
            if holding is None:
                continue
            held.append(holding)
            prefix = len(row.prompt) - 1
            missing = np.arange(len(tokens) - holding.computed, len(tokens))
            group = int(self._columns["group"][index])
            for part, at, mine in ((shared, group, missing < prefix), (own, index, missing >= prefix)):
                part[0].append(holding.slots[-holding.computed :][mine])
                part[1].append(np.full(int(mine.sum()), at, dtype=np.int64))
                part[2].append(missing[mine] - (prefix if part is own else 0))
        if not held:
            return
        store = self.prefixes.store
        for pool, part in ((self._groups_pool, shared), (self._rows_pool, own)):
            pool.save(store, np.concatenate(part[0]), np.concatenate(part[1]), np.concatenate(part[2]))
        for holding in held:
            self.prefixes.release(holding)

    def _drop(self, gone: NDArray[np.int64]) -> None:
        """Take rows out; the last rows move into their places."""
        count = len(self.running)
        holes, movers = leaving(count, gone)
        if len(movers):
            self._rows_pool.fill(holes, movers, int(self._columns["length"][movers].max()))
        left = count - len(gone)
        for hole, mover in zip(holes.tolist(), movers.tolist(), strict=True):
            self.running[hole] = self.running[mover]
        del self.running[left:]
        arrays: list[NDArray[Any]] = [*self._columns.values(), self._seeds, self._tokens, self._logprobs]
        for array in arrays:
            array[holes] = array[movers]
        self._filters[:, holes] = self._filters[:, movers]
        self._columns = {name: column[:left].copy() for name, column in self._columns.items()}
        self._seeds, self._filters = self._seeds[:left], self._filters[:, :left]
        self._tokens, self._logprobs = self._tokens[:left], self._logprobs[:left]
        self._drop_groups()
        self._layout = None
        if not self.running:
            self._ends, self._watch = [], self._watch[:0]

    def _drop_groups(self) -> None:
        size = np.bincount(self._columns["group"], minlength=len(self._groups))
        gone = np.flatnonzero(size == 0)
        if not len(gone):
            return
        holes, movers = leaving(len(self._groups), gone)
        if len(movers):
            self._groups_pool.fill(holes, movers, int(self._group_length[movers].max()))
        renamed = np.arange(len(self._groups))
        renamed[movers] = holes
        self._columns["group"] = renamed[self._columns["group"]]
        for hole, mover in zip(holes.tolist(), movers.tolist(), strict=True):
            self._groups[hole] = self._groups[mover]
        self._group_length[holes] = self._group_length[movers]
        left = len(self._groups) - len(gone)
        del self._groups[left:]
        self._group_length = self._group_length[:left].copy()


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error) or "out of memory" in str(error)
