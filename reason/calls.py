"""How work reaches a policy and a scorer: merging, retries, cancellation, timeouts.

- Extensions go to the policy at once, one call for each `Extend`; an engine merges concurrent calls into its batch.
- Judgements (and comparisons) of all problems collect and go to the scorer as one call when `FULL` of them wait, or as
  many as there are rows in flight in the policy, or nothing is in flight: no problem's barrier idles the engine, and
  the scorer sees full batches.
- A call that raises, and a step that says ERROR, is tried again; the wait doubles each time, with seeded jitter, and is
  left out for errors of this machine, which waiting does not cure. A call of many paths that keeps failing is at last
  tried path by path, so that one bad path costs only itself. What fails for good becomes a step or score that says so.
- `UsageError`, `MissingExtraError` and results of the wrong length are the caller's to repair: they end the run.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from reason.contract import ContractError, checked, describe, no_error, step_error
from reason.types import (
    Failure,
    Finish,
    MissingExtraError,
    Path,
    Policy,
    Sampling,
    Score,
    Scorer,
    Step,
    UsageError,
)

FULL = 32
BACKOFF_SECONDS = 0.25
LOCAL_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, MemoryError)

T = TypeVar("T")
R = TypeVar("R")
Enough = Callable[[Sequence[Step | None]], bool]
Landed = Callable[[Sequence[tuple[int, Step]]], None]
"""Called with steps and their places among the paths as soon as they are there; failed and unfinished ones left out."""
Scored = Callable[[Sequence[Score]], None]
"""Called with all scores of a request as soon as they are there."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a request failed for good."""

    message: str
    attempts: int


@dataclass(slots=True)
class Request:
    """One problem's judgements or comparisons (`verb`), waiting to be merged with others."""

    verb: str
    items: Sequence[Any]
    failures: list[Failure]
    landed: Scored | None
    scores: asyncio.Future[list[Score]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Caller:
    """The one place that awaits the policy and the scorer of a run.

    Args:
        policy, scorer: The backends.
        retries: How often a failed call is tried again.
        seed: Of the waits' jitter.
    """

    def __init__(self, policy: Policy, scorer: Scorer | None, *, retries: int, seed: int) -> None:
        self._policy, self._scorer, self._retries = policy, scorer, retries
        self._draw = random.Random(seed)
        self._rows = 0
        self._requests: list[Request] = []
        self._judging: set[asyncio.Task[None]] = set()
        self._settling = False

    async def extend(
        self,
        paths: Sequence[Path],
        sampling: Sampling,
        failures: list[Failure],
        *,
        enough: Enough | None = None,
        deadline: float | None = None,
        landed: Landed | None = None,
    ) -> list[Step]:
        """One step per path; see `Extend` for `enough`. What is in flight at the deadline ends with Finish.BUDGET."""
        self._rows += len(paths)
        try:
            one_by_one = landed is not None and hasattr(self._policy, "stream")
            if enough is None and deadline is None and not one_by_one:
                return await self._whole(paths, sampling, failures, landed)
            return await self._landing(paths, sampling, failures, enough, deadline, landed)
        finally:
            self._rows -= len(paths)
            if self._requests:
                self._settle()

    async def judge(
        self, paths: Sequence[Path], failures: list[Failure], *, landed: Scored | None = None
    ) -> list[Score]:
        """One score per path, from a call shared with other problems."""
        return await self._shared("judge", paths, failures, landed)

    async def compare(
        self, pairs: Sequence[tuple[Path, Path]], failures: list[Failure], *, landed: Scored | None = None
    ) -> list[Score]:
        """One score per pair, from a call shared with other problems."""
        return await self._shared("compare", pairs, failures, landed)

    async def _shared(
        self, verb: str, items: Sequence[Any], failures: list[Failure], landed: Scored | None
    ) -> list[Score]:
        request = Request(verb, items, failures, landed)
        self._requests.append(request)
        self._settle()
        return await request.scores

    async def close(self) -> None:
        """Cancel what is in flight in the scorer."""
        for task in self._judging:
            task.cancel()
        await asyncio.gather(*self._judging, return_exceptions=True)

    async def _whole(
        self, paths: Sequence[Path], sampling: Sampling, failures: list[Failure], landed: Landed | None = None
    ) -> list[Step]:
        steps, lost = await self._persist(self._plain(sampling), paths, step_error, landed)
        for index, why in lost.items():
            failures.append(Failure("extend", why.message, why.attempts))
            if steps[index] is None:
                steps[index] = Step("", finish=Finish.ERROR, error=why.message)
        return [step for step in steps if step is not None]

    def _plain(self, sampling: Sampling) -> Callable[[Sequence[Path]], Awaitable[list[Step]]]:
        """The policy's `extend` with its results checked."""

        async def call(some: Sequence[Path]) -> list[Step]:
            return checked(await self._policy.extend(some, sampling), some, self._policy, "extend")

        return call

    async def _landing(
        self,
        paths: Sequence[Path],
        sampling: Sampling,
        failures: list[Failure],
        enough: Enough | None,
        deadline: float | None,
        told: Landed | None,
    ) -> list[Step]:
        steps: list[Step | None] = [None] * len(paths)
        salvaged: dict[int, Step] = {}
        source = self._streamed if hasattr(self._policy, "stream") else self._each
        ending = Finish.CANCELLED
        try:
            async with (
                asyncio.timeout(None if deadline is None else max(0.0, deadline - time.monotonic())),
                aclosing(source(paths, sampling, failures, salvaged)) as landed,
            ):
                async for index, step in landed:
                    steps[index] = step
                    if told is not None and step.finish is not Finish.ERROR:
                        told([(index, step)])
                    if enough is not None and enough(steps):
                        break
        except TimeoutError:
            ending = Finish.BUDGET
        for index, step in salvaged.items():
            if steps[index] is None:
                cut = step.finish is Finish.CANCELLED
                steps[index] = replace(step, finish=ending) if cut else step
        return [Step("", finish=ending) if step is None else step for step in steps]

    async def _each(
        self, paths: Sequence[Path], sampling: Sampling, failures: list[Failure], salvaged: dict[int, Step]
    ) -> AsyncGenerator[tuple[int, Step], None]:
        """Steps as they land, from one call per path. A policy may answer its cancellation with what it has."""
        tasks = {asyncio.create_task(self._whole([path], sampling, failures)): i for i, path in enumerate(paths)}
        waiting = set(tasks)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=tasks.__getitem__):
                    yield tasks[task], task.result()[0]
        finally:
            for task in waiting:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for index, result in enumerate(results):
                if isinstance(result, list):
                    salvaged[index] = result[0]

    async def _streamed(
        self, paths: Sequence[Path], sampling: Sampling, failures: list[Failure], salvaged: dict[int, Step]
    ) -> AsyncGenerator[tuple[int, Step], None]:
        """Steps as they land, from the policy's own `stream`."""
        stream: Any = self._policy.stream  # type: ignore[attr-defined]
        keeping = "unfinished" in inspect.signature(stream).parameters
        waiting, raised, patient, lost = list(range(len(paths))), "", True, dict[int, str]()
        for attempt in range(self._retries + 1):
            if attempt:
                await self._pause(attempt, patient)
            missing, raised, lost, unfinished = set(waiting), "", dict[int, str](), dict[int, Step]()
            more = {"unfinished": unfinished} if keeping else {}
            try:
                async with aclosing(stream([paths[index] for index in waiting], sampling, **more)) as landed:
                    async for position, step in landed:
                        message = step_error(step)
                        if message is not None:
                            lost[waiting[position]] = message
                        else:
                            missing.discard(waiting[position])
                            yield waiting[position], step
            except (UsageError, MissingExtraError):
                raise
            except Exception as error:
                raised, patient = describe(error), not isinstance(error, LOCAL_ERRORS)
            finally:
                salvaged.update((waiting[position], step) for position, step in unfinished.items())
            if not missing:
                return
            if not raised and missing - lost.keys():
                name = type(self._policy).__name__
                raise ContractError(f"{name}.stream ended without a step for {len(missing)} of {len(waiting)} paths")
            waiting = sorted(missing)
        singly = bool(raised) and self._retries > 0 and len(waiting) > 1
        for index in waiting:
            found, message = list[Step](), lost.get(index)
            if singly:
                found, message = await self._once(self._plain(sampling), paths[index], step_error)
            if found and message is None:
                yield index, found[0]
                continue
            message = message or raised
            failures.append(Failure("extend", message, self._retries + 1 + singly))
            yield index, Step("", finish=Finish.ERROR, error=message)

    def _settle(self, hops: int = 2) -> None:
        """Look at the waiting judgements once everything that is ready now has run."""
        if not self._settling:
            self._settling = True
            asyncio.get_running_loop().call_soon(self._hop, hops)

    def _hop(self, hops: int) -> None:
        if hops:
            asyncio.get_running_loop().call_soon(self._hop, hops - 1)
            return
        self._settling = False
        self._requests = [request for request in self._requests if not request.scores.done()]
        waiting = sum(len(request.items) for request in self._requests)
        if waiting and (waiting >= FULL or (not self._judging and waiting >= self._rows)):
            requests, self._requests = self._requests, []
            for verb in sorted({request.verb for request in requests}):
                task = asyncio.create_task(self._flush(verb, [item for item in requests if item.verb == verb]))
                self._judging.add(task)
                task.add_done_callback(self._flushed)

    def _flushed(self, task: asyncio.Task[None]) -> None:
        self._judging.discard(task)
        if self._requests:
            self._settle()

    async def _flush(self, verb: str, requests: list[Request]) -> None:
        scorer, items = self._scorer, [item for request in requests for item in request.items]

        async def call(some: Sequence[Any]) -> list[Score]:
            return checked(await getattr(scorer, verb)(some), some, scorer, verb)

        try:
            scores, lost = await self._persist(call, items, no_error)
        except Exception as error:
            for request in requests:
                if not request.scores.done():
                    request.scores.set_exception(error)
            return
        start = 0
        for request in requests:
            given = list[Score]()
            for index in range(start, start + len(request.items)):
                score, why = scores[index], lost.get(index)
                if score is None:
                    score = Score(math.nan, error=why.message if why else "no score")
                if score.error is not None:
                    request.failures.append(Failure(verb, score.error, why.attempts if why else 1))
                given.append(score)
            start += len(request.items)
            self._hand_over(request, given)

    @staticmethod
    def _hand_over(request: Request, given: list[Score]) -> None:
        try:
            if request.landed is not None:
                request.landed(given)
        except Exception as error:
            if not request.scores.done():
                request.scores.set_exception(error)
        if not request.scores.done():
            request.scores.set_result(given)

    async def _persist(
        self,
        call: Callable[[Sequence[T]], Awaitable[list[R]]],
        items: Sequence[T],
        wrong: Callable[[R], str | None],
        landed: Callable[[Sequence[tuple[int, R]]], None] | None = None,
    ) -> tuple[list[R | None], dict[int, Lost]]:
        """Results in order, None where every attempt raised, and why requests failed for good, by index."""
        results: list[R | None] = [None] * len(items)
        lost: dict[int, Lost] = {}
        waiting, raised = list(range(len(items))), False
        patient = True
        for attempt in range(self._retries + 1):
            if attempt:
                await self._pause(attempt, patient)
            try:
                got = await call([items[index] for index in waiting] if attempt else items)
            except (UsageError, MissingExtraError, ContractError):
                raise
            except Exception as error:
                raised, patient = True, not isinstance(error, LOCAL_ERRORS)
                lost.update((index, Lost(describe(error), attempt + 1)) for index in waiting)
                continue
            raised, still, good = False, [], list[tuple[int, R]]()
            for index, result in zip(waiting, got, strict=True):
                results[index] = result
                message = wrong(result)
                if message is not None:
                    lost[index] = Lost(message, attempt + 1)
                    still.append(index)
                else:
                    lost.pop(index, None)
                    good.append((index, result))
            waiting = still
            if landed is not None and good:
                landed(good)
            if not waiting:
                break
        if raised and self._retries and len(waiting) > 1:
            singly = [self._once(call, items[index], wrong) for index in waiting]
            for index, (found, message) in zip(waiting, await asyncio.gather(*singly), strict=True):
                results[index] = found[0] if found else results[index]
                lost[index] = Lost(message or "", self._retries + 2)
                if message is None:
                    del lost[index]
                    if landed is not None:
                        landed([(index, found[0])])
        return results, lost

    async def _once(
        self, call: Callable[[Sequence[T]], Awaitable[list[R]]], item: T, wrong: Callable[[R], str | None]
    ) -> tuple[list[R], str | None]:
        try:
            found = await call([item])
        except (UsageError, MissingExtraError, ContractError):
            raise
        except Exception as error:
            return [], describe(error)
        return found, wrong(found[0])

    async def _pause(self, attempt: int, patient: bool) -> None:
        wait = BACKOFF_SECONDS * 2 ** (attempt - 1) * (0.5 + self._draw.random())
        await asyncio.sleep(wait if patient else 0)
