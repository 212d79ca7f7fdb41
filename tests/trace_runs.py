"""Runs for the tests of the trace store: backends that log what they are paid for and can end a run at any place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import reason
from reason.policies.fake import FakePolicy, FakeScorer, StreamingFakePolicy, fake_problems
from reason.trace.keys import Hashes
from reason.types import MissingExtraError, Outcome, Path, Sampling, Score, Step

HASHES = ("policy", "scorer")
PROBLEMS = fake_problems(3)


class Ends(MissingExtraError):
    """Ends a run at once, as a kill would, whatever the search."""


class Paid:
    """What was paid for, in order, over all runs that share it.

    Attributes:
        steps, scores: Keys of extensions, and of judged paths.
        limit: Extensions and judgements after which the run ends; None: never.
    """

    def __init__(self) -> None:
        self.steps: list[bytes] = []
        self.scores: list[bytes] = []
        self.limit: int | None = None

    def pay(self) -> None:
        if self.limit is not None:
            self.limit -= 1
            if self.limit < 0:
                raise Ends("the run was ended")


class LoggingPolicy(FakePolicy):
    """A FakePolicy whose prefill depends on the path alone."""

    def __init__(self, paid: Paid, **options: Any) -> None:
        super().__init__(**options)
        self.paid = paid

    def _prefill(self, question: str) -> int:
        return len(question)

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        for path in paths:
            self.paid.pay()
            self.paid.steps.append(Hashes(*HASHES).extension(path, sampling))
        return await super().extend(paths, sampling)


class LoggingStream(StreamingFakePolicy):
    """A LoggingPolicy whose steps land one by one."""

    def __init__(self, paid: Paid, **options: Any) -> None:
        super().__init__(**options)
        self.paid = paid

    def _prefill(self, question: str) -> int:
        return len(question)

    def _step(self, path: Path, sampling: Sampling) -> Step:
        self.paid.pay()
        self.paid.steps.append(Hashes(*HASHES).extension(path, sampling))
        return super()._step(path, sampling)


class LoggingScorer(FakeScorer):
    """A FakeScorer without memory that also compares."""

    def __init__(self, paid: Paid, **options: Any) -> None:
        super().__init__(incremental=False, noise=0.2, **options)
        self.paid = paid

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        for path in paths:
            self.paid.pay()
            self.paid.scores.append(Hashes(*HASHES).path(path))
        return await super().judge(paths)

    async def compare(self, pairs: Sequence[tuple[Path, Path]]) -> list[Score]:
        firsts = await self.judge([first for first, _ in pairs])
        seconds = await super().judge([second for _, second in pairs])
        return [
            Score(0.5 + (first.value - second.value) / 2, tokens=first.tokens + second.tokens)
            for first, second in zip(firsts, seconds, strict=True)
        ]


def shown(outcomes: Sequence[Outcome], *, tree: bool = True) -> list[Any]:
    """All of the outcomes but the seconds, comparable."""
    return [
        (
            repr(replace(outcome, tree=None, cost=replace(outcome.cost, seconds=0.0))),
            outcome.tree.to_dict() if tree and outcome.tree is not None else None,
        )
        for outcome in outcomes
    ]


def run(search: Any, paid: Paid, store: Any = None, **options: Any) -> list[Outcome]:
    """A search on `PROBLEMS`, or those given, by backends that log to `paid`, or those given."""
    judged = bool({"scorer", "compare"} & getattr(search, "needs", frozenset()))
    settings: dict[str, Any] = {"policy": LoggingPolicy(paid), "scorer": LoggingScorer(paid) if judged else None}
    problems = options.pop("problems", PROBLEMS)
    return reason.solve(problems, search=search, store=store, progress=False, **{**settings, **options})
