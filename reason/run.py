"""The runner: drives the searches of many problems at once, and is the only place that does I/O for them.

`concurrency` problems are open at a time, each a search (a generator) advanced by what its last request brought. Their
extensions go to the policy as they come and their judgements are merged (`reason.calls`), so one problem's barrier
idles neither engine nor scorer.

Seeds: the k-th path copy that a problem's search asks to extend is seeded with blake2(run seed, problem id, k). With a
policy that honours seeds, results depend neither on concurrency nor on what else is in a batch. Two things are decided
by the clock and can break this: `Budget.seconds`, and `Extend.enough` where steps land in another order.

Budgets (`reason.budget`) are hard and hold for each problem; cost counts what policy and scorer report. A failure is
data: what fails for good is a `Failure` of its outcome, and the run goes on.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from reason.budget import Budget, Budgets
from reason.calls import Caller
from reason.checks import check_run
from reason.drive import Driver
from reason.progress import Progress, Report
from reason.trace.recall import recording
from reason.trace.store import Store, opened
from reason.types import Outcome, Policy, Problem, Sampling, Scorer
from reason.work import Search

SAMPLING = Sampling()
UNLIMITED = Budget()
POLL_SECONDS = 0.1


def solve(
    problems: Iterable[Problem],
    *,
    policy: Policy,
    search: Search,
    scorer: Scorer | None = None,
    sampling: Sampling = SAMPLING,
    budget: Budgets = UNLIMITED,
    seed: int = 0,
    concurrency: int = 64,
    retries: int = 2,
    progress: Report = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    store: Store | str | os.PathLike[str] | None = None,
) -> list[Outcome]:
    """Search for an answer to each problem; works inside a running event loop (a notebook) too.

    Args:
        problems: With ids of their own and a question each.
        policy: What generates; see `reason.load` and `reason.wrap`.
        search: A strategy, such as `reason.best_of_n(n=16)`.
        scorer: What judges, for the strategies that need it.
        sampling: How the policy draws tokens.
        budget: What each problem may cost; or a function that gives a problem's own budget, called once for each, in
            their order, when its search starts.
        seed: Of everything random.
        concurrency: Problems open at a time.
        retries: How often a failed call is tried again.
        progress: None shows a bar on a terminal, True and False always and never; or a function that is called with
            (problems done, problems, cost so far) whenever a problem is done.
        on_outcome: Called with each outcome as its problem is done, in that order; what it raises ends the run. After
            Ctrl-C it has been called for everything that was done, and KeyboardInterrupt is raised.
        store: A file, or an open `reason.trace.Store`: everything is written to it as it lands, and what is there is
            not paid for again, so that the same call goes on after any interruption.

    Returns:
        One outcome for each problem, in their order.

    Raises:
        UsageError: If an argument cannot work; nothing has been paid for yet, except where a backend says it later.
        BackendError: If a policy or scorer returns lists of the wrong length, or the store cannot be written any more.
    """
    run = asolve(
        problems,
        policy=policy,
        search=search,
        scorer=scorer,
        sampling=sampling,
        budget=budget,
        seed=seed,
        concurrency=concurrency,
        retries=retries,
        progress=progress,
        on_outcome=on_outcome,
        store=store,
    )
    return blocking(run)


async def asolve(
    problems: Iterable[Problem],
    *,
    policy: Policy,
    search: Search,
    scorer: Scorer | None = None,
    sampling: Sampling = SAMPLING,
    budget: Budgets = UNLIMITED,
    seed: int = 0,
    concurrency: int = 64,
    retries: int = 2,
    progress: Report = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    store: Store | str | os.PathLike[str] | None = None,
) -> list[Outcome]:
    """`solve` for callers that have an event loop. Cancelling it cancels what is in flight."""
    problems = list(problems)
    check_run(problems, policy, search, scorer, sampling, budget, seed=seed, concurrency=concurrency, retries=retries)
    caller = Caller(policy, scorer, retries=retries, seed=seed)
    outcomes: dict[int, Outcome] = {}
    with ExitStack() as stack:
        recorded = None
        if store is not None:
            kept, ours = opened(store)
            if ours:
                stack.enter_context(kept)
            recorded = recording(
                kept, policy=policy, search=search, scorer=scorer, sampling=sampling, budget=budget, seed=seed
            )
        bar = stack.enter_context(Progress(progress, len(problems)))
        driver = Driver(policy, scorer, search, sampling, budget, seed, caller, bar.generated, recorded)

        async def work(waiting: Iterator[tuple[int, Problem]]) -> None:
            for index, problem in waiting:
                outcome = await driver.drive(problem)
                outcomes[index] = outcome
                bar.finished(outcome.cost)
                if on_outcome is not None:
                    on_outcome(outcome)

        waiting = iter(enumerate(problems))
        workers = [asyncio.create_task(work(waiting)) for _ in range(min(concurrency, len(problems)))]
        try:
            await asyncio.gather(*workers)
        finally:
            driver.closing = True
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await caller.close()
            if recorded is not None:
                recorded.store.flush()
    return [outcomes[index] for index in range(len(problems))]


def blocking(run: Coroutine[Any, Any, list[Outcome]]) -> list[Outcome]:
    """What the coroutine returns, also where an event loop is running in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run)
    return _run_in_thread(run)


def _run_in_thread(run: Coroutine[Any, Any, list[Outcome]]) -> list[Outcome]:
    """Run beside the event loop that is running in this thread; Ctrl-C or a cancellation here cancels it there."""
    outcomes = list[Outcome]()
    errors = list[BaseException]()
    started = threading.Event()
    handle: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def main() -> list[Outcome]:
        task = asyncio.current_task()
        assert task is not None
        handle.append((asyncio.get_running_loop(), task))
        started.set()
        return await run

    def target() -> None:
        try:
            outcomes.extend(asyncio.run(main()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=target, name="reason-solve")
    caller = asyncio.current_task()
    thread.start()
    try:
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            if caller is not None and caller.cancelling():
                raise asyncio.CancelledError
    except BaseException:
        started.wait()
        loop, task = handle[0]
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if errors:
        raise errors[0]
    return outcomes
