"""Self-consistency: sample n solutions, answer with the majority.

Wang et al. 2203.11171. Answers are grouped by mathematical equality, not by their text; a tie goes to the answer found
first; a solution without an answer does not vote.
"""

from __future__ import annotations

from reason.search.select import candidate, conclude, paid_for
from reason.search.strategy import Strategy, at_least
from reason.types import Finish, Path, Problem
from reason.work import SearchRun, extend


def self_consistency(n: int = 16) -> Strategy:
    """Majority vote over n sampled solutions.

    Raises:
        UsageError: n is below 1.
    """
    at_least("n", n)

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * n)
        cut = any(path.finish is Finish.BUDGET for path in paths)
        candidates = [candidate(path) for path in paths if paid_for(path)]
        return conclude(problem, candidates, "majority", stopped="budget" if cut else "done")

    return Strategy("self_consistency", run, selection="majority")
