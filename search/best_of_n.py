"""Best-of-n: sample n solutions, judge each, keep the best.

Cobbe et al. 2110.14168 (naive), Li et al. 2206.02336 (weighted vote), Wang et al. 2203.11171 (majority). The outcome's
candidates hold all n solutions with their scores, in sampling order, so that one run gives the expected result of every
selection at every k up to n (`reason.evals.metrics`). Deviation: equal solutions are judged once and share their score.
"""

from __future__ import annotations

from reason.search.select import SELECTIONS, candidate, conclude, judge_unique, paid_for
from reason.search.strategy import SCORER, Strategy, at_least, one_of
from reason.types import Finish, Path, Problem
from reason.work import SearchRun, extend


def best_of_n(n: int = 16, select: str = "naive") -> Strategy:
    """Choose among n sampled solutions by their scores.

    Args:
        n: Solutions to sample.
        select: "naive" takes the best-scored one, "weighted" the answer with the highest sum of scores, "majority" the
            most frequent answer and of its solutions the best-scored.

    Raises:
        UsageError: n is below 1 or the selection unknown.
    """
    at_least("n", n)
    one_of("select", select, SELECTIONS)

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * n)
        cut = any(path.finish is Finish.BUDGET for path in paths)
        solutions = [path for path in paths if paid_for(path)]
        scores = yield from judge_unique(solutions)
        candidates = [candidate(path, score) for path, score in zip(solutions, scores, strict=True)]
        return conclude(problem, candidates, select, stopped="budget" if cut else "done")

    return Strategy({"naive": "best_of_n"}.get(select, f"{select}_best_of_n"), run, frozenset({SCORER}))


def weighted_best_of_n(n: int = 16) -> Strategy:
    """`best_of_n` with the weighted vote."""
    return best_of_n(n, "weighted")
