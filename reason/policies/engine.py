"""The running batch: rows join between steps, get one token each, and leave as they end.

A step admits waiting rows as far as memory allows (computing what is missing of their prefixes, all at once), feeds
one token per row, draws the next, and takes out the rows that ended. A row that stopped at a step boundary leaves its
keys and values in the prefix cache, so extending it later computes nothing again. Rows that have drawn the same tokens
so far are computed as one (`reason.policies.lanes`). When the pool cannot grow, the
youngest rows go back to the queue with what they have; when torch runs out of memory, half of the rows do. Draws
depend on a row's own seed and position only, so neither changes a result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from reason.policies.decode import DecodePlan, Layout, decode, layout
from reason.policies.lanes import leads, part, sorted_by
from reason.policies.memory import GIB, token_bytes
from reason.policies.pools import Index, Pool, leaving
from reason.policies.prefix import Held, PrefixModel
from reason.policies.rows import Row, Table
from reason.policies.sampling import Filters, confidences, draw, uniforms
from reason.policies.vocabulary import Ends, Vocabulary
from reason.types import Finish, Step, UsageError

_HEADROOM = 32
_CALM_STEPS = 256


class Engine:
    """Rows in, steps out.

    Args:
        model: A causal language model, in eval mode.
        vocabulary: Its tokens.
        memory_gib: Bound on all keys and values: a third for the prefix cache, the rest for the running rows.
        max_rows: Most rows decoded at once. Running out of memory halves it; after `_CALM_STEPS` steps that went well
            it doubles again, and if that was too much, the next time after twice as many.
        plain: See `PrefixModel`.

    Attributes:
        merge: Whether rows share lanes; off only to compare with.
        waiting: Rows to be admitted; append to it.
        table: The rows that run.
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
        self.model, self.vocabulary, self.max_rows, self.merge = model, vocabulary, max_rows, True
        self._allowed, self._calm, self._patience, self._raised = max_rows, 0, _CALM_STEPS, False
        budget = int(memory_gib * GIB)
        self.prefixes = PrefixModel(model, max_bytes=budget // 3, plain=plain)
        shapes = self.prefixes.store.shapes
        self.pool_tokens = (budget - budget // 3) // token_bytes(shapes, model.dtype)
        self._own = Pool(shapes, dtype=model.dtype, device=model.device)
        self._shared = Pool(shapes, dtype=model.dtype, device=model.device)
        self.waiting: deque[Row] = deque()
        self.table = Table()
        self._lanes = 0
        self._groups: dict[int, int] = {}
        self._group_length = np.zeros(0, dtype=np.int64)
        self._ends: list[Ends] = []
        self._watch = np.zeros((0, vocabulary.size), dtype=np.bool_)
        self._layout: Layout | None = None

    def step(self) -> bool:
        """Admit what fits, then give every running row one token; returns whether any row ended."""
        self.purge()
        before = len(self.table) + len(self.waiting)
        with torch.inference_mode():
            try:
                self._admit()
                if len(self.table) and self._grow():
                    self._advance()
                    self._recover()
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                self._halve(error)
        return len(self.table) + len(self.waiting) < before

    def clear(self) -> None:
        """Forget every row."""
        self.waiting.clear()
        if len(self.table):
            self._drop(np.arange(len(self.table)))

    def purge(self) -> None:
        """Take out the rows that nobody waits for."""
        if any(row.gone for row in self.waiting):
            self.waiting = deque(row for row in self.waiting if not row.gone)
        gone = [at for at, row in enumerate(self.table.rows) if row.gone]
        if gone:
            self._drop(np.array(gone, dtype=np.int64))

    def _admit(self) -> None:
        while self.waiting and len(self.table) < self.max_rows:
            space = min(len(self.waiting), self.max_rows - len(self.table))
            batch = [self.waiting.popleft() for _ in range(space)]
            taken = 0
            try:
                taken = self._join(batch)
            finally:
                self.waiting.extendleft(reversed(batch[taken:]))
            if taken == len(batch):
                continue
            if len(self.table):
                return
            self._refuse(self.waiting.popleft())

    def _refuse(self, row: Row) -> None:
        row.done(
            Step(
                "",
                finish=Finish.ERROR,
                error=f"a path of {len(row.prompt) + row.own} tokens does not fit in the engine's memory "
                f"({self.pool_tokens} tokens for running rows, {self.prefixes.store.max_slots} for prefixes); "
                "raise memory_gib",
            )
        )

    def _join(self, batch: Sequence[Row]) -> int:
        """Take rows of `batch`, from the first on, into the running batch; returns how many fitted."""
        places: dict[object, int] = {}
        distinct: list[NDArray[np.int64]] = []
        which = []
        for row in batch:
            key = row.state
            if key not in places:
                places[key] = len(distinct)
                distinct.append(row.sequence())
            which.append(places[key])
        try:
            held = self.prefixes.hold(distinct)
        except UsageError:
            return 0
        try:
            count = next((at for at, place in enumerate(which) if place >= len(held)), len(batch))
            count = self._room(batch[:count])
            if count:
                self._place(batch[:count], [held[at] for at in which[:count]])
            return count
        finally:
            for holding in held:
                self.prefixes.release(holding)

    def _room(self, rows: Sequence[Row]) -> int:
        """Grow the pools for as many of `rows` as fit; returns how many."""
        active, longest = len(self.table), self.table.longest
        shared = int(self._group_length.max()) if self._groups else 0
        keys = set(self._groups)
        count, width, prefix = 0, longest, shared
        for row in rows:
            new_width, new_prefix = max(width, row.own + 1), max(prefix, len(row.prompt) - 1)
            groups = len(keys) + (row.key not in keys)
            if (active + count + 1) * (new_width + _HEADROOM) + groups * new_prefix > self.pool_tokens:
                break
            keys.add(row.key)
            count, width, prefix = count + 1, new_width, new_prefix
        if not count:
            return 0
        left = self.pool_tokens - (active + count) * (width + _HEADROOM)
        if not self._shared.fit(len(keys), max(prefix, 1), used=(len(self._groups), shared), bound=left):
            return 0
        final = max(row.own + row.limit for row in rows[:count])
        return count if self._fit_own(active + count, width + _HEADROOM, (active, longest), final) else 0

    def _fit_own(self, rows: int, cap: int, used: tuple[int, int], final: int) -> bool:
        """Make the rows' pool large enough, and where memory allows for all rows up to their `final` length."""
        bound = self.pool_tokens - self._shared.rows * self._shared.cap
        many = min(self.max_rows, max(rows, rows + len(self.waiting)))
        return self._own.fit(rows, cap, used=used, bound=bound, wish=(many, final))

    def _place(self, rows: Sequence[Row], held: Sequence[Held]) -> None:
        lanes: dict[int, int] = {}
        slots, to_lane, to_token, lane_of = [], [], [], []
        for row, holding in zip(rows, held, strict=True):
            shared = len(row.prompt) - 1
            self._add_group(row, holding.slots[:shared])
            own = len(holding.slots) - shared
            if id(holding) not in lanes:
                row.prefilled += holding.computed
            if id(holding) not in lanes or not self.merge:
                lanes[id(holding)] = self._lanes
                self._lanes += 1
                if own:
                    slots.append(holding.slots[shared:])
                    to_lane.append(np.full(own, lanes[id(holding)], dtype=np.int64))
                    to_token.append(np.arange(own, dtype=np.int64))
            lane_of.append(lanes[id(holding)])
        if slots:
            store = self.prefixes.store
            self._own.load(store, np.concatenate(slots), np.concatenate(to_lane), np.concatenate(to_token))
        self.table.add(rows, [self._groups[row.key] for row in rows], lane_of, [self._number(row.ends) for row in rows])
        self._layout = None

    def _add_group(self, row: Row, slots: NDArray[np.int64]) -> None:
        if row.key in self._groups:
            return
        at = np.full(len(slots), len(self._groups), dtype=np.int64)
        self._shared.load(self.prefixes.store, slots, at, np.arange(len(slots)))
        self._groups[row.key] = len(self._groups)
        self._group_length = np.append(self._group_length, len(slots))

    def _number(self, ends: Ends) -> int:
        for at, known in enumerate(self._ends):
            if known is ends:
                return at
        self._ends.append(ends)
        self._watch = np.concatenate([self._watch, ends.watch[None]])
        return len(self._ends) - 1

    def _grow(self) -> bool:
        """Make room for one more token per row, sending the youngest rows back to the queue until there is."""
        while len(self.table):
            length = self.table.longest
            final = int((self.table["length"] - self.table["new"] + self.table["limit"]).max())
            if self._fit_own(len(self.table), length + 1, (len(self.table), length), final):
                return True
            if len(self.table) == 1:
                self._refuse(self.table.rows[0])
                self._drop(np.zeros(1, dtype=np.int64))
            else:
                self._send_back(max(1, len(self.table) // 8), save=True)
        return False

    def _send_back(self, count: int, *, save: bool) -> None:
        """Return the youngest rows to the front of the queue, with the tokens that they have."""
        order = np.argsort(self.table["serial"])[-count:]
        rows = [self.table.rows[at] for at in order.tolist()]
        for at, row in zip(order.tolist(), rows, strict=True):
            row.tokens, row.logprobs, row.confidences, row.shared = self.table.written(at)
        if save:
            self._save(order)
        self.waiting.extendleft(reversed(rows))
        self._drop(np.sort(order))

    def _recover(self) -> None:
        """Let more rows run again when memory has sufficed for a while."""
        if self.max_rows < self._allowed:
            self._calm += 1
            if self._calm >= self._patience:
                self.max_rows, self._calm, self._raised = min(self._allowed, 2 * self.max_rows), 0, True

    def _halve(self, error: BaseException) -> None:
        """After running out of memory: half of the rows wait, and for a while no more than the rest run at once."""
        self._patience *= 2 if self._raised else 1
        self._calm, self._raised = 0, False
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        active = len(self.table)
        if active > 1:
            self.max_rows = active - active // 2
            self._send_back(active // 2, save=False)
        elif active or self.max_rows == 1:
            row = self.table.rows[0] if active else self.waiting.popleft()
            if active:
                self._drop(np.zeros(1, dtype=np.int64))
            row.done(Step("", finish=Finish.ERROR, error=f"out of memory with a single path: {error}"))
        else:
            self.max_rows = max(1, min(self.max_rows, len(self.waiting)) // 2)

    def _advance(self) -> None:
        table, lane = self.table, self.table["lane"]
        lead, (_, _, rank) = leads(lane, self._lanes), sorted_by(lane, self._lanes)
        if self._layout is None:
            self._layout = layout(table["group"][lead], self._group_length)
        plan = DecodePlan(self._own, self._shared, self._layout, table["length"][lead])
        logits = decode(self.model, plan, table["token"][lead], table["position"][lead], plain=self.prefixes.plain)
        device = logits.device
        uniform = np.zeros((self._lanes, int(rank.max()) + 1), dtype=np.float32)
        uniform[lane, rank] = uniforms(table.seeds, table["length"])
        temperature, top_k, top_p, min_p = (torch.from_numpy(values[lead]).to(device) for values in table.filters)
        filters = Filters(temperature, top_k.long(), top_p, min_p)
        tokens, logprobs = draw(logits, filters, torch.from_numpy(uniform).to(device))
        sure = None
        if table["confidence"].any():
            wanted = torch.from_numpy(table["confidence"][lead]).to(device)
            sure = confidences(logits, wanted).cpu().numpy()[lane]
        table.append(tokens.cpu().numpy()[lane, rank], logprobs.float().cpu().numpy()[lane, rank], rank > 0, sure)
        ended = self._watch[table["ends"], table["token"]] | (table["new"] >= table["limit"])
        self._finish(np.flatnonzero(ended))
        self._part()

    def _part(self) -> None:
        """Give rows of a lane that drew different tokens lanes of their own."""
        number, parents = part(self.table["lane"], self.table["token"], self._lanes)
        if not len(parents):
            return
        new = self._lanes + np.arange(len(parents))
        self._own.fill(new, parents, int(self._lengths()[parents].max()))
        self.table.rename("lane", number)
        self._lanes += len(parents)
        self._layout = None

    def _lengths(self) -> Index:
        """[lanes] tokens stored after the prompt; 0 for a lane without rows."""
        lengths = np.zeros(self._lanes, dtype=np.int64)
        lengths[self.table["lane"]] = self.table["length"]
        return lengths

    def _finish(self, candidates: Index) -> None:
        """Look at the rows whose last token may have ended them; resolve and drop those that did."""
        found = [(at, step) for at in candidates.tolist() if (step := self._step(at)) is not None]
        if not found:
            return
        kept = [at for at, step in found if step.finish is Finish.STEP]
        if kept:
            self._save(np.array(kept, dtype=np.int64))
        rows = [self.table.rows[at] for at, _ in found]
        self._drop(np.array([at for at, _ in found], dtype=np.int64))
        for row, (_, step) in zip(rows, found, strict=True):
            row.done(step)

    def _step(self, index: int) -> Step | None:
        return self.table.rows[index].ended(self.table.written(index), self.vocabulary)

    def so_far(self, rows: Sequence[Row]) -> dict[int, Step]:
        """What those of `rows` that are not done have, as CANCELLED steps by the row's `id`."""
        at = {id(row): index for index, row in enumerate(self.table.rows)}
        waiting = {id(row) for row in self.waiting}
        found: dict[int, Step] = {}
        for row in rows:
            if id(row) in at:
                written = self.table.written(at[id(row)])
            elif id(row) in waiting:
                written = (row.tokens, row.logprobs, row.confidences, row.shared)
            else:
                continue
            text = self.vocabulary.text(row.before, written[0])
            found[id(row)] = row.step(written, text, Finish.CANCELLED)
        return found

    def _save(self, rows: Index) -> None:
        """Leave the keys and values of these running rows in the prefix cache."""
        held: list[Held] = []
        parts: dict[bool, list[tuple[Index, Index, Index]]] = {True: [], False: []}
        for index in rows.tolist():
            row = self.table.rows[index]
            tail = np.array([*row.before, *self.table.written(index)[0]], dtype=np.int64)
            tokens = np.concatenate([row.prompt, tail])[:-1]
            holding = self.prefixes.reserve(tokens)
            if holding is None:
                continue
            held.append(holding)
            prefix = len(row.prompt) - 1
            missing = np.arange(len(tokens) - holding.computed, len(tokens))
            for own in (True, False):
                mine = (missing >= prefix) == own
                at = np.full(int(mine.sum()), self.table["lane" if own else "group"][index], dtype=np.int64)
                parts[own].append((holding.slots[mine], at, missing[mine] - (prefix if own else 0)))
        if not held:
            return
        for own, pool in ((True, self._own), (False, self._shared)):
            slots, at, token = (np.concatenate(arrays) for arrays in zip(*parts[own], strict=True))
            pool.save(self.prefixes.store, slots, at, token)
        for holding in held:
            self.prefixes.release(holding)

    def _drop(self, gone: Index) -> None:
        """Take rows out (their indices in order); the last rows, lanes and groups move into the places left."""
        holes, movers = leaving(len(self.table), gone)
        self.table.drop(holes, movers, len(self.table) - len(gone))
        self._layout = None
        self._lanes = int((self._close("lane", self._own, self._lengths()) >= 0).sum())
        renamed = self._close("group", self._shared, self._group_length)
        kept = renamed >= 0
        self._groups = {key: int(renamed[at]) for key, at in self._groups.items() if kept[at]}
        self._group_length[renamed[kept]] = self._group_length[kept]
        self._group_length = self._group_length[: len(self._groups)].copy()
        if not len(self.table):
            self._ends, self._watch = [], self._watch[:0]

    def _close(self, column: str, pool: Pool, lengths: Index) -> Index:
        """Close up the lanes or groups that no row has any more; returns their new numbers, -1 for those gone."""
        count = len(lengths)
        renamed = np.arange(count)
        gone = np.flatnonzero(np.bincount(self.table[column], minlength=count) == 0)
        if len(gone):
            holes, movers = leaving(count, gone)
            if len(movers):
                pool.fill(holes, movers, int(lengths[movers].max()))
            renamed[movers], renamed[gone] = holes, -1
            self.table.rename(column, renamed[self.table[column]])
        return renamed


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error) or "out of memory" in str(error)
