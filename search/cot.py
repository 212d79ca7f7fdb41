"""Chain of thought: one solution, written out step by step.

Wei et al. 2201.11903 (few-shot) and Kojima et al. 2205.11916 (zero-shot). What elicits the chain (trigger, examples,
template) belongs to the policy's prompt; the search is one extension to the end, greedy unless told otherwise.
"""

from __future__ import annotations

from reason.search.select import candidate, conclude, paid_for
from reason.search.strategy import Strategy
from reason.types import Path, Problem
from reason.work import SearchRun, exhausted, extend


def cot(*, greedy: bool = True) -> Strategy:
    """One chain of thought; `greedy=False` samples it at the run's temperature."""

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)], temperature=0.0 if greedy else None)
        candidates = [candidate(path) for path in paths if paid_for(path)]
        return conclude(problem, candidates, "majority", stopped="budget" if exhausted(paths) else "done")

    return Strategy("cot", run)
