"""Run a search over a task's problems, grade the answers, keep every result as it comes.

Running the same configuration into the same folder (`reason.evals.results`) again continues where the records end;
problems whose search failed are tried again. Every random choice is seeded by run seed, problem and path, so a resumed
run gives the answers an uninterrupted one would have given.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from reason.budget import Budget, Budgets, Meter, Rates
from reason.calls import Caller
from reason.evals.record import Grader, Record, record_of
from reason.evals.results import Results
from reason.run import solve
from reason.trace.recall import recording
from reason.trace.store import Store, opened
from reason.types import Failure, Outcome, Policy, Problem, Sampling, Scorer, UsageError
from reason.work import Search


def fingerprint(problems: Sequence[Problem]) -> str:
    """A hash of the problems' ids, questions and answers."""
    digest = hashlib.blake2b(digest_size=8)
    for problem in problems:
        digest.update(json.dumps([problem.id, problem.question, problem.answer]).encode())
    return digest.hexdigest()


def evaluate(
    problems: Sequence[Problem],
    grade: Grader,
    *,
    policy: Policy,
    search: Search,
    scorer: Scorer | None = None,
    sampling: Sampling | None = None,
    budget: Budgets | None = None,
    seed: int = 0,
    concurrency: int = 64,
    results: Results | None = None,
    progress: bool | None = False,
    on_record: Callable[[Record, Outcome], None] | None = None,
    store: Store | str | os.PathLike[str] | None = None,
) -> list[Record]:
    """Search and grade the problems that have no record yet; returns the records of all of them, in order.

    Args:
        problems: With gold answers; their ids must differ.
        grade: Compares a solution's text with the gold answer.
        policy, search, scorer, sampling, budget, seed, concurrency: As in `reason.solve`.
        results: Where records are kept and looked up.
        progress: None shows a bar on a terminal, False never.
        on_record: Called with each new record and its outcome as the problem finishes.
        store: As in `reason.solve`; all problems are entered in it, in their order.
    """
    known = dict(results.records) if results is not None else {}
    before = results.elapsed if results is not None else 0.0
    started = time.perf_counter()
    selection = getattr(search, "selection", None)

    def done(outcome: Outcome) -> None:
        elapsed = before + time.perf_counter() - started
        record = record_of(outcome, grade, judged=scorer is not None, elapsed=elapsed, selection=selection)
        known[record.problem] = record
        if results is not None:
            results.add(record)
        if on_record is not None:
            on_record(record, outcome)

    waiting = [problem for problem in problems if problem.id not in known]
    unasked = without_room(waiting, policy)
    asked: dict[str, Any] = {"policy": policy, "search": search, "scorer": scorer, "seed": seed}
    asked |= {"sampling": sampling or Sampling(), "budget": budget or Budget()}
    with ExitStack() as stack:
        kept = None
        if store is not None:
            kept, ours = opened(store)
            if ours:
                stack.enter_context(kept)
            enter(kept, problems)
            keep(kept, unasked.values(), **asked)
        for outcome in unasked.values():
            done(outcome)
        rest = [problem for problem in waiting if problem.id not in unasked]
        solve(rest, progress=progress, on_outcome=done, store=kept, concurrency=concurrency, **asked)
    return [known[problem.id] for problem in problems]


def without_room(problems: Sequence[Problem], policy: Policy) -> dict[str, Outcome]:
    """What problems whose questions do not fit the policy's context come to, by their ids: nothing, unasked."""
    reasons = {problem.id: does_not_fit(problem, policy) for problem in problems}
    return {
        problem.id: Outcome(problem, None, None, failures=(Failure("extend", reason),))
        for problem in problems
        if (reason := reasons[problem.id]) is not None
    }


def keep(store: Store, outcomes: Iterable[Outcome], **asked: Any) -> None:
    """Write outcomes of problems that nothing was asked for; `asked` as in `reason.solve`."""
    search = recording(store, **asked)
    calls = Caller(asked["policy"], asked["scorer"], retries=0, seed=0)
    for outcome in outcomes:
        search.start(outcome.problem, calls, Meter(Budget(), Rates())).finish(outcome)


def enter(store: Store, problems: Sequence[Problem]) -> None:
    """Write the problems down in their order, which replays go by."""
    with store.transaction():
        for problem in problems:
            store.problem(problem)


def does_not_fit(problem: Problem, policy: Policy) -> str | None:
    """Why the question does not fit the policy's context, or None. Such a problem counts as one without an answer."""
    count = getattr(policy, "prompt_tokens", None)
    context = policy.capabilities.context
    if count is None or context is None:
        return None
    try:
        tokens = count(problem)
    except UsageError as error:
        return str(error)
    return f"the question takes {tokens} tokens and the context is {context}" if tokens >= context else None
