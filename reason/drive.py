"""One problem's search, driven to its outcome: seeds, budget, cost, failures. See `reason.run` for the rules."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from reason.budget import Budget, Budgets, Meter, Rates, estimate_tokens, path_tokens
from reason.calls import Caller, Enough
from reason.checks import COMPARING, check_budget, shown_scorer
from reason.contract import ContractError, describe
from reason.order import Order, Samplings, SearchError
from reason.trace.errors import StoreError
from reason.trace.recall import Calls, Recording
from reason.types import (
    Failure,
    Finish,
    MissingExtraError,
    Outcome,
    Path,
    Policy,
    Problem,
    Sampling,
    Score,
    Scorer,
    Step,
    Until,
    UsageError,
)
from reason.work import Compare, Extend, Judge, Results, Search, SearchRun, Work

BREATHE_EVERY = 16
PATIENCE_AFTER_BUDGET = 1000
AT_CAP = Step("", finish=Finish.LENGTH)
REFUSED = Step("", finish=Finish.BUDGET)
CANCELLED = Step("", finish=Finish.CANCELLED)
Pair = tuple[Path, Path]
T = TypeVar("T")
UNPAID = Score(math.nan, error="budget")


@dataclass(slots=True)
class Job:
    """One problem's state while it is driven.

    Attributes:
        problem: The problem.
        meter: What it has spent.
        hasher: blake2 over run seed and problem id.
        calls: Where its work goes.
        failures: What was survived so far.
        extended: Path copies seeded so far.
        refused: Extensions in a row of which the budget left nothing.
    """

    problem: Problem
    meter: Meter
    hasher: Any
    calls: Calls
    failures: list[Failure] = field(default_factory=list)
    extended: int = 0
    refused: int = 0

    def asks(self, path: Path) -> bool:
        """Whether the path stands under a question of the search's own making."""
        return path.problem.question != self.problem.question

    def seeded(self, paths: Sequence[Path]) -> list[Path]:
        """The paths with their seeds: 63 bits of blake2 over run seed, problem id and a running index."""
        seeded = list[Path]()
        for index, path in enumerate(paths, self.extended):
            digest = self.hasher.copy()
            digest.update(index.to_bytes(8))
            seeded.append(path.seeded(int.from_bytes(digest.digest()) >> 1))
        self.extended += len(paths)
        return seeded


class Driver:
    """Drives problems; what all problems of a run share.

    Args:
        policy, scorer, search, sampling, budget, seed: As in `reason.solve`.
        caller: Where work goes.
        generated: Called with the number of tokens whenever some have been generated.
        recording: Where work is looked up first and then kept; None: nowhere.

    Attributes:
        closing: Set when the run is being cancelled: searches are not advanced any more.
    """

    def __init__(
        self,
        policy: Policy,
        scorer: Scorer | None,
        search: Search,
        sampling: Sampling,
        budget: Budgets,
        seed: int,
        caller: Caller,
        generated: Callable[[int], None],
        recording: Recording | None = None,
    ) -> None:
        self._recording = recording
        self._policy, self._scorer, self._search, self._caller = policy, scorer, search, caller
        self._samplings, self._budget, self._seed, self._generated = Samplings(sampling), budget, seed, generated
        self._count: Callable[[str], int] = getattr(policy, "count_tokens", estimate_tokens)
        self._rates = Rates(2.0 * policy.capabilities.parameters, 2.0 * getattr(scorer, "parameters", 0), self._count)
        self.closing = False

    async def drive(self, problem: Problem) -> Outcome:
        """Run the search on one problem to its outcome.

        Raises:
            UsageError: The search, policy or scorer says that the caller's input cannot work.
            BackendError: The policy or scorer broke its protocol.
        """
        hasher = hashlib.blake2b(f"{self._seed}\0{problem.id}\0".encode(), digest_size=8)
        meter = Meter(self._limits(problem), self._rates)
        recall = None if self._recording is None else self._recording.start(problem, self._caller, meter)
        job = Job(problem, meter, hasher, recall or self._caller)
        try:
            outcome = await self._advance(job, self._start(problem))
        except (UsageError, MissingExtraError, ContractError, StoreError):
            raise
        except Exception as error:
            job.failures.append(Failure("search", describe(error)))
            outcome = Outcome(problem, None, None, stopped="error")
        stopped = "budget" if job.meter.hit and outcome.stopped == "done" else outcome.stopped
        failures = (*outcome.failures, *job.failures)
        outcome = replace(outcome, cost=job.meter.cost(), stopped=stopped, failures=failures)
        if recall is not None:
            recall.finish(outcome)
        return outcome

    def _limits(self, problem: Problem) -> Budget:
        if isinstance(self._budget, Budget):
            return self._budget
        budget = self._budget(problem)
        check_budget(budget, self._policy)
        return budget

    def _start(self, problem: Problem) -> SearchRun:
        run = self._search(problem)
        if not isinstance(run, Generator):
            raise UsageError(
                f"search returned {type(run).__name__} for a problem, not a generator; "
                "pass a built strategy such as best_of_n(n=16), not the builder itself"
            )
        return run

    async def _advance(self, job: Job, search: SearchRun) -> Outcome:
        results: Results | None = None
        rounds = 0
        try:
            while True:
                work: Work = next(search) if results is None else search.send(results)
                if isinstance(work, Extend):
                    results = await self._extend(job, work)
                elif isinstance(work, Judge):
                    results = await self._judge(job, work.paths)
                elif isinstance(work, Compare):
                    results = await self._compare(job, work.pairs)
                else:
                    raise UsageError(f"search yielded {type(work).__name__}; it may yield Extend, Judge and Compare")
                if self.closing:
                    raise asyncio.CancelledError
                rounds += 1
                if rounds % BREATHE_EVERY == 0:
                    await asyncio.sleep(0)
        except StopIteration as end:
            if not isinstance(end.value, Outcome):
                raise UsageError(f"search returned {type(end.value).__name__}; it must return an Outcome") from None
            return end.value
        finally:
            search.close()

    async def _extend(self, job: Job, work: Extend) -> list[Step]:
        if not work.paths:
            return []
        for path in work.paths:
            if not path.open:
                raise SearchError(f"the search extended a path that had ended ({path.finish})")
        sampling = self._samplings.of(work)
        most = sampling.max_tokens if sampling.until is Until.END else sampling.max_step_tokens
        limits = [min(most, sampling.max_tokens - path_tokens(path, self._count)) for path in work.paths]
        order = Order(job.seeded(work.paths), limits, sampling, closes=sampling.until is not work.until)
        if min(limits) < 1:
            steps = await self._extend_below_cap(job, order, work.enough)
        elif job.meter.limited:
            steps = await self._extend_in_waves(job, order, work.enough)
        else:
            steps = await self._call(job, order, work.enough)
        refused = all(step.finish is Finish.BUDGET for step in steps)
        job.refused = job.refused + 1 if refused else 0
        if job.refused > PATIENCE_AFTER_BUDGET:
            raise SearchError(f"the search went on asking {job.refused} times after its budget had ended")
        return steps

    async def _extend_below_cap(self, job: Job, order: Order, enough: Enough | None) -> list[Step]:
        """Extend the paths that have not reached `max_tokens`; the others end with Finish.LENGTH."""
        steps: list[Step | None] = [AT_CAP if limit < 1 else None for limit in order.limits]
        live = [index for index, limit in enumerate(order.limits) if limit > 0]

        def land(landed: Sequence[Step | None]) -> bool:
            for index, step in zip(live, landed, strict=True):
                steps[index] = step
            return enough is not None and enough(steps)

        if live:
            got = await self._extend_in_waves(job, order.some(live), land if enough else None)
            for index, step in zip(live, got, strict=True):
                steps[index] = step
        return [step for step in steps if step is not None]

    async def _extend_in_waves(self, job: Job, order: Order, enough: Enough | None) -> list[Step]:
        """Extend in as many waves as the budget needs: one where it is ample."""
        meter, count = job.meter, len(order.paths)
        steps: list[Step | None] = [None] * count
        start, decided = 0, False
        while start < count and not decided:
            admitted, cap = meter.admit_extend(order.limits[start:], self._prefills(job, order.paths[start:]))
            if not admitted:
                meter.hit = True
                steps[start] = REFUSED
                start += 1
                continue
            wave = slice(start, start + admitted)

            def land(landed: Sequence[Step | None], wave: slice = wave) -> bool:
                nonlocal decided
                steps[wave] = landed
                decided = decided or (enough is not None and enough(steps))
                return decided

            ask, told = order.some(wave), land if enough else None
            got = await (self._call(job, ask, told) if cap == ask.limits[-1] else self._call_cut(job, ask, cap, told))
            land(got)
            start = wave.stop
        return [CANCELLED if step is None else step for step in steps]

    def _prefills(self, job: Job, paths: Sequence[Path]) -> list[int]:
        """Most tokens that one call may have to prefill for each path; copies of one path share them."""
        if job.meter.budget.flops is None:
            return [0] * len(paths)
        prompts, seen, prefills = dict[str, int](), set[tuple[str, int]](), list[int]()
        for path in paths:
            question, key = path.problem.question, (path.problem.question, id(path.steps))
            if question not in prompts:
                prompts[question] = self._prompt_tokens(job, path)
            prefills.append(0 if key in seen else prompts[question] + path_tokens(path, self._count))
            seen.add(key)
        return prefills

    def _prompt_tokens(self, job: Job, path: Path) -> int:
        count: Callable[[Problem], int] = getattr(self._policy, "prompt_tokens", _question_bytes)
        try:
            return count(path.problem)
        except UsageError:
            if not job.asks(path):
                raise
            return 0  # the extension will fail

    async def _call_cut(self, job: Job, order: Order, cap: int, enough: Enough | None) -> list[Step]:
        """Extend the one path that the budget still affords in part."""
        total = path_tokens(order.paths[0], self._count) + cap
        cut = Order(order.paths, [cap], replace(order.sampling, max_tokens=total))
        step = (await self._call(job, cut, enough))[0]
        if step.finish is Finish.LENGTH:
            job.meter.hit = True
            step = replace(step, finish=Finish.BUDGET)
        return [step]

    async def _call(self, job: Job, order: Order, enough: Enough | None) -> list[Step]:
        meter = job.meter
        before = meter.generated

        def land(landed: Sequence[Step | None]) -> bool:
            return enough is not None and enough([None if step is None else order.ended(step) for step in landed])

        try:
            got = await job.calls.extend(
                order.paths, order.sampling, job.failures, enough=land if enough else None, deadline=meter.deadline
            )
        except UsageError:
            if not any(job.asks(path) for path in order.paths):
                raise
            got = [await self._alone(job, path, order.sampling) for path in order.paths]
        steps = [order.ended(step) for step in got]
        for step, limit in zip(steps, order.limits, strict=True):
            if meter.charge_step(step) > limit:
                name = type(self._policy).__name__
                raise ContractError(f"{name}.extend generated more than the {limit} tokens it was allowed for a path")
        self._generated(meter.generated - before)
        return steps

    async def _alone(self, job: Job, path: Path, sampling: Sampling) -> Step:
        """One path of a call that was refused: a question of the search's own may fail without ending the run."""
        try:
            return (await job.calls.extend([path], sampling, job.failures, deadline=job.meter.deadline))[0]
        except UsageError as error:
            if not job.asks(path):
                raise
            job.failures.append(Failure("extend", describe(error)))
            return Step("", finish=Finish.ERROR, error=describe(error))

    async def _judge(self, job: Job, paths: tuple[Path, ...]) -> list[Score]:
        if not paths:
            return []
        if self._scorer is None:
            raise UsageError(
                "the search asked for scores and no scorer was given; pass scorer=reason.load_scorer(name)"
            )
        return await self._score(job, paths, job.calls.judge, self._judging)

    async def _compare(self, job: Job, pairs: tuple[Pair, ...]) -> list[Score]:
        if not pairs:
            return []
        if not hasattr(self._scorer, "compare"):
            raise UsageError(f"the search compares pairs and {shown_scorer(self._scorer)}; {COMPARING}")
        return await self._score(job, pairs, job.calls.compare, self._comparing)

    def _judging(self, path: Path) -> int:
        """Most tokens that judging a path may pass through the scorer."""
        rule = getattr(self._scorer, "parameters", None) == 0
        count: Callable[[Path], int] = getattr(self._scorer, "count_tokens", _nothing if rule else _path_bytes)
        return count(path)

    def _comparing(self, pair: Pair) -> int:
        """As `_judging`, for a comparison: the scorer's own `count_pair_tokens`, or the sum of two judgements."""
        own = getattr(self._scorer, "count_pair_tokens", None)
        return self._judging(pair[0]) + self._judging(pair[1]) if own is None else int(own(*pair))

    async def _score(
        self,
        job: Job,
        items: Sequence[T],
        call: Callable[[Sequence[T], list[Failure]], Awaitable[list[Score]]],
        worst: Callable[[T], int],
    ) -> list[Score]:
        """Judge or compare as many at a time as the budget affords in the worst case; the others stay unscored."""
        meter, scores = job.meter, list[Score]()
        if not meter.limited:
            scores = await call(items, job.failures)
            meter.charge_scores(scores)
            return scores
        most = [worst(item) for item in items]
        while len(scores) < len(items):
            start = len(scores)
            admitted = meter.admit_judge(most[start:])
            if not admitted:
                meter.hit = True
                scores.append(UNPAID)
                continue
            try:
                async with asyncio.timeout(meter.seconds_left()):
                    got = await call(items[start : start + admitted], job.failures)
            except TimeoutError:
                continue
            meter.charge_scores(got)
            scores += got
        return scores


def _question_bytes(problem: Problem) -> int:
    return len(problem.question.encode())


def _nothing(_: Path) -> int:
    return 0


def _path_bytes(path: Path) -> int:
    return _question_bytes(path.problem) + max(len(path.text.encode()), len(path.token_ids))
