"""Remembers what a scorer said: a path judged before costs nothing, whatever the scorer is.

Scores are kept by a hash of the problem (its gold answer and task data too, which oracles and rule verifiers read) and
of every step of the path, its finish and, where it has them, its tokens (two texts of the same letters but other tokens
may be read differently). Least recently used scores leave. What failed (NaN) is not kept, so it is tried again. Paths
that another call is judging at this moment are waited for, not judged twice.

A causal reward model keeps its keys and values as well (`reason.scorers.reader`), which spares a grown path its old
tokens; this cache spares an equal path everything, and is the only one for servers, judges and encoders.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from reason.identity import scorer_identity, spelled
from reason.search.strategy import at_least
from reason.types import Path, Score, Scorer

SIZE = 100_000


def path_key(path: Path) -> bytes:
    """A hash of the problem and the steps; equal for equal paths, whatever their seeds."""
    digest = blake2b(digest_size=16)
    problem = path.problem
    fields = [problem.id, problem.question, repr(problem.answer), spelled(problem.meta)]
    for step in path.steps:
        fields += [step.text, step.finish.value, " ".join(map(str, step.token_ids))]
    for field in fields:
        raw = field.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.digest()


def cached(scorer: Scorer, *, size: int = SIZE) -> Scorer:
    """A scorer that remembers: hits cost 0 tokens.

    Args:
        scorer: Any scorer; its other members (`parameters`, `name`, `compare`, `validate` …) remain.
        size: Most scores kept.

    Raises:
        UsageError: The size is below 1.
    """
    return Cached(scorer, size=at_least("size", size))


class Cached:
    """See `cached`.

    Attributes:
        hits, misses: Judgements answered from memory, and those passed on.
    """

    def __init__(self, scorer: Scorer, *, size: int) -> None:
        self._scorer, self._size = scorer, size
        self._known: OrderedDict[bytes, Score] = OrderedDict()
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self.hits = self.misses = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._scorer, name)
        return self._compare if name == "compare" else found

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return scorer_identity(self._scorer)

    def count_tokens(self, path: Path) -> int:
        """The most tokens that judging this path can cost: none if it is known."""
        if path_key(path) in self._known:
            return 0
        count: Callable[[Path], int] | None = getattr(self._scorer, "count_tokens", None)
        if count is not None:
            return count(path)
        if getattr(self._scorer, "parameters", None) == 0:
            return 0
        return len(path.problem.question.encode()) + max(len(path.text.encode()), len(path.token_ids))

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path; each distinct unknown one is judged once."""
        return await self._recall([path_key(path) for path in paths], list(paths), self._scorer.judge)

    async def _compare(self, pairs: Sequence[tuple[Path, Path]]) -> list[Score]:
        keys = [b"pair" + path_key(first) + path_key(second) for first, second in pairs]
        compare: Any = self._scorer.compare  # type: ignore[attr-defined]
        return await self._recall(keys, list(pairs), compare)

    async def _recall(
        self, keys: list[bytes], items: list[Any], work: Callable[[list[Any]], Awaitable[list[Score]]]
    ) -> list[Score]:
        given: dict[bytes, Score] = {}
        paid: set[bytes] = set()
        order = dict(zip(keys, items, strict=True))
        while missing := [key for key in order if key not in given]:
            for key in missing:
                if key in self._known:
                    self._known.move_to_end(key)
                    given[key] = replace(self._known[key], tokens=0)
            missing = [key for key in missing if key not in given]
            mine = [key for key in missing if not self._in_flight(key)]
            if mine:
                found = await self._ask(mine, [order[key] for key in mine], work)
                given.update(found)
                paid.update(found)
            for key in missing:
                if key not in given and (flight := self._in_flight(key)):
                    await asyncio.shield(flight)
        self.hits += len(keys) - len(paid)
        self.misses += len(paid)
        scores = []
        for key in keys:
            scores.append(given[key])
            given[key] = replace(given[key], tokens=0)
        return scores

    def _in_flight(self, key: bytes) -> asyncio.Future[None] | None:
        """The future of a judgement that this event loop is waiting for."""
        flight = self._waiting.get(key)
        return flight if flight is not None and flight.get_loop() is asyncio.get_running_loop() else None

    async def _ask(
        self, keys: list[bytes], items: list[Any], work: Callable[[list[Any]], Awaitable[list[Score]]]
    ) -> dict[bytes, Score]:
        flight = asyncio.get_running_loop().create_future()
        self._waiting.update(dict.fromkeys(keys, flight))
        try:
            scores = await work(items)
        finally:
            for key in keys:
                if self._waiting.get(key) is flight:
                    del self._waiting[key]
            flight.set_result(None)
        found = dict(zip(keys, scores, strict=True))
        for key, score in found.items():
            if score.scored:
                self._known[key] = score
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return found
