"""`reason eval --total-tokens`: one budget for all problems of an evaluation (`reason.allocate`).

Every problem may get more until the budget is spent, so results are known, graded and written when all problems are
done: an interrupted run starts anew, and takes what it had paid for from its trace. One whose records are all there is
not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reason.allocate import solve_within
from reason.budget import Budget
from reason.evals.record import Grader, Record, record_of
from reason.evals.results import Results
from reason.evals.run import enter, without_room
from reason.progress import Report
from reason.search.table import Table
from reason.trace import Store
from reason.types import Outcome, Policy, Problem, Sampling, Scorer, UsageError


def check_total(tokens: int, strategy: str, budget: Budget, options: Mapping[str, Any]) -> None:
    """Refuse a total that cannot be shared.

    Raises:
        UsageError: It is below 1, the strategy is another than compute_optimal or has options, or each problem has a
            budget as well.
    """
    if tokens < 1:
        raise UsageError(f"--total-tokens is {tokens}: pass 1 or more, or leave it out")
    if strategy.partition("=")[0] != "compute_optimal":
        raise UsageError(
            f"--total-tokens shares a budget by a table, and {strategy} has none: pass --strategy compute_optimal=FILE "
            "with a file that reason tune wrote, or --budget-tokens for each problem"
        )
    if budget != Budget():
        raise UsageError("--total-tokens is the budget of all problems together: leave out --budget-… for each")
    if options:
        raise UsageError(
            f"--total-tokens spends by the table alone, without options of each search: leave out --set "
            f"{', '.join(options)}"
        )


def evaluate_within(
    problems: Sequence[Problem],
    grade: Grader,
    *,
    policy: Policy,
    scorer: Scorer | None,
    table: Table,
    tokens: int,
    sampling: Sampling,
    seed: int = 0,
    concurrency: int = 64,
    results: Results | None = None,
    progress: Report = False,
    on_record: Callable[[Record, Outcome], None] | None = None,
    store: Store | None = None,
) -> list[Record]:
    """Answer all problems within the tokens and grade them; returns their records, in order.

    Args:
        problems: With gold answers; their ids must differ.
        grade: Compares a solution's text with the gold answer.
        policy, scorer, table, tokens, sampling, seed, concurrency, progress: As in `reason.allocate.solve_within`.
        results: Where records are kept; where those of all problems are already there, nothing is run.
        on_record: Called with each record and its outcome.
        store: As in `reason.solve`.
    """
    known = results.records if results is not None else {}
    if problems and all(problem.id in known for problem in problems):
        return [known[problem.id] for problem in problems]
    if results is not None:
        results.clear()
    if store is not None:
        enter(store, problems)
    started = time.perf_counter()
    outcomes = without_room(problems, policy)
    for outcome in solve_within(
        [problem for problem in problems if problem.id not in outcomes],
        policy=policy,
        scorer=scorer,
        table=table,
        tokens=tokens,
        sampling=sampling,
        seed=seed,
        concurrency=concurrency,
        progress=progress,
        store=store,
    ):
        outcomes[outcome.problem.id] = outcome
    records = []
    for problem in problems:
        elapsed = time.perf_counter() - started
        record = record_of(outcomes[problem.id], grade, judged=scorer is not None, elapsed=elapsed)
        records.append(record)
        if results is not None:
            results.add(record)
        if on_record is not None:
            on_record(record, outcomes[problem.id])
    return records
