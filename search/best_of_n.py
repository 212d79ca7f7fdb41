"""Best-of-n: sample n solutions, judge each, keep the best.

Cobbe et al. 2110.14168 (naive), Li et al. 2206.02336 (weighted vote), Wang et al. 2203.11171 (majority). The outcome's
candidates hold all n solutions with their scores, in sampling order, so that one run gives the expected result of every
selection at every k up to n (`reason.evals.metrics`).

Deviations: equal solutions are judged once and share their score. A weighted vote may count score ** power. Scores that
lie close together on an absolute scale make a vote that hardly differs from the majority; a power spreads them, from 0,
the majority of what is scored, to infinity, where the best-scored solution alone decides. Measured on the bundled
models (200 training-like problems, n = 16): majority 50 %, power 1 61 %, 2 65 %, 4 69 %, 8 69 %, naive 70 %.
"""

from __future__ import annotations

from reason.search.select import SELECTIONS, candidate, conclude, judge_unique, paid_for, powered
from reason.search.strategy import SCORER, Strategy, at_least, number, one_of
from reason.types import Finish, Path, Problem, UsageError
from reason.work import SearchRun, extend


def best_of_n(n: int = 16, select: str = "naive", *, power: float = 1.0) -> Strategy:
    """Choose among n sampled solutions by their scores.

    Args:
        n: Solutions to sample.
        select: "naive" takes the best-scored one, "weighted" the answer with the highest sum of scores, "majority" the
            most frequent answer and of its solutions the best-scored.
        power: In a weighted vote a solution counts score ** power.

    Raises:
        UsageError: n is below 1, the selection unknown, or a power given to a selection that weighs nothing.
    """
    at_least("n", n)
    one_of("select", select, SELECTIONS)
    number("power", power)
    if power != 1 and select != "weighted":
        raise UsageError(f"power={power!r} with select={select!r}: only select='weighted' weighs; leave power out")

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * n)
        cut = any(path.finish is Finish.BUDGET for path in paths)
        solutions = [path for path in paths if paid_for(path)]
        scores = yield from judge_unique(solutions)
        candidates = [candidate(path, score) for path, score in zip(solutions, scores, strict=True)]
        weights = None if power == 1 else powered([item.score for item in candidates], power)
        return conclude(problem, candidates, select, weights=weights, stopped="budget" if cut else "done")

    name = {"naive": "best_of_n"}.get(select, f"{select}_best_of_n")
    return Strategy(name, run, frozenset({SCORER}), selection=select)


def weighted_best_of_n(n: int = 16, *, power: float = 1.0) -> Strategy:
    """`best_of_n` with the weighted vote."""
    return best_of_n(n, "weighted", power=power)


def majority_best_of_n(n: int = 16) -> Strategy:
    """`best_of_n` with the majority's answer, shown by its best-scored solution."""
    return best_of_n(n, "majority")
