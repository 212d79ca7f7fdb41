"""Drives a search without the runner, and records and checks everything it asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reason.order import Order, Samplings
from reason.policies.fake import FakePolicy, FakeScorer
from reason.search import Strategy
from reason.types import Finish, Outcome, Path, Problem, Sampling, Score, Step
from reason.work import Compare, Extend, Judge, Work

T = TypeVar("T")


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """The value of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("the coroutine waited")


@dataclass
class Recorder:
    """Answers a search's requests from a fake policy and scorer.

    Fails on what no search may do: extending or judging twice what is finished, extending a closed path, judging two
    equal paths in one search.

    Attributes:
        extended, judged, compared: Every path or pair asked for, in order; results: what the extensions gave.
        batches: Sizes of the Extend requests.
        steps_left: Extensions that are still paid for; then they end with BUDGET. None: unlimited.
        fail: Which extension (by running number) fails with ERROR.
    """

    policy: FakePolicy
    scorer: FakeScorer
    seed: int = 0
    steps_left: int | None = None
    fail: Callable[[int], bool] = lambda index: False
    extended: list[Path] = field(default_factory=list)
    results: list[Path] = field(default_factory=list)
    judged: list[Path] = field(default_factory=list)
    compared: list[tuple[Path, Path]] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def solve(self, search: Strategy, problem: Problem) -> Outcome:
        """Run the search to its outcome."""
        run = search(problem)
        try:
            work = next(run)
            while True:
                work = run.send(self._answer(work))
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome

    def _answer(self, work: Work) -> list[Step] | list[Score]:
        if isinstance(work, Extend):
            return self._extend(work)
        return self._judge(work) if isinstance(work, Judge) else self._compare(work)

    def _extend(self, work: Extend) -> list[Step]:
        self.batches.append(len(work.paths))
        sampling = Samplings(Sampling(temperature=1.0)).of(work)
        order = Order([], [], sampling, closes=sampling.until is not work.until)
        steps = [order.ended(self._step(path, sampling)) for path in work.paths]
        self.results += [path.then(step) for path, step in zip(work.paths, steps, strict=True)]
        return steps

    def _step(self, path: Path, sampling: Sampling) -> Step:
        assert path.open, f"a closed path was extended: {path.finish}"
        index = len(self.extended)
        self.extended.append(path)
        if self.fail(index):
            return Step("", finish=Finish.ERROR, error="told to fail")
        if self.steps_left is not None:
            if self.steps_left == 0:
                return Step("", finish=Finish.BUDGET)
            self.steps_left -= 1
        [step] = finished(self.policy.extend([path.seeded(self.seed * 1_000_003 + index)], sampling))
        return step

    def _compare(self, work: Compare) -> list[Score]:
        for pair in work.pairs:
            for path in pair:
                assert path.finish not in (Finish.ERROR, Finish.CANCELLED)
            self.compared.append(pair)
        scores = finished(self.scorer.compare(work.pairs))
        self.scores += scores
        return scores

    def _judge(self, work: Judge) -> list[Score]:
        for path in work.paths:
            seen = [other for other in self.judged if (other.text, other.finish) == (path.text, path.finish)]
            assert not seen, f"judged twice: {path.text!r}"
            assert path.finish not in (Finish.ERROR, Finish.CANCELLED)
            self.judged.append(path)
        scores = finished(self.scorer.judge(work.paths))
        self.scores += scores
        return scores


def recorder(accuracy: float = 0.5, branch: int = 3, *, noise: float = 0.2, **options: Any) -> Recorder:
    """A recorder over the toy world."""
    return Recorder(FakePolicy(accuracy=accuracy, branch=branch), FakeScorer(noise=noise), **options)


def solutions(policy: FakePolicy, problem: Problem) -> Iterator[tuple[Path, float]]:
    """Every complete solution of the toy world, line by line, with its probability."""
    stack = [(Path(problem), 1.0)]
    while stack:
        path, odds = stack.pop()
        if path.complete:
            yield path, odds
            continue
        for line, chance in policy.lines(problem.question, path.text):
            finish = Finish.STEP if line.endswith("\n") else Finish.STOP
            stack.append((path.then(Step(line, tuple(line.encode()), finish=finish)), odds * chance))


def optimum(policy: FakePolicy, scorer: FakeScorer, problem: Problem) -> tuple[str, float]:
    """By brute force: the text and the value of the best-scored solution."""
    return max(((path.text, scorer.score(path).value) for path, _ in solutions(policy, problem)), key=lambda x: x[1])


def same(left: float, right: float) -> bool:
    """Equal, or both NaN."""
    return left == right or (math.isnan(left) and math.isnan(right))
