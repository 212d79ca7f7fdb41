"""Turns any language model into a better reasoner by spending compute at test time.

    import reason

    policy = reason.load("bundled")
    scorer = reason.load_scorer("process")
    problem = reason.Problem("1", "Ada has 3 boxes of 12 pens. She gives away 7. How many pens are left?")
    [outcome] = reason.solve([problem], policy=policy, scorer=scorer, search=reason.best_of_n(n=16))
    outcome.answer, outcome.confidence, outcome.cost

A policy generates, a scorer judges, a search decides what to generate and judge next, and `solve` drives many problems
at once within a budget. Names are loaded when they are first used, so importing this is light and needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from reason.types import (
    BackendError,
    Candidate,
    Capabilities,
    Cost,
    Failure,
    Finish,
    MissingExtraError,
    Outcome,
    Path,
    Policy,
    Problem,
    ReasonError,
    Sampling,
    Score,
    Scorer,
    Step,
    Until,
    UsageError,
)
from reason.work import Compare, Extend, Judge, Search, ask, compare, extend, judge

if TYPE_CHECKING:
    from reason.allocate import asolve_within, solve_within
    from reason.budget import Budget
    from reason.policies import load, wrap
    from reason.run import asolve, solve
    from reason.scorers import load_scorer
    from reason.search import (
        ab_mcts,
        adaptive_consistency,
        beam,
        best_first,
        best_of_n,
        budget_forcing,
        compute_optimal,
        confidence_vote,
        cot,
        deepconf,
        dvts,
        load_table,
        lookahead,
        majority_best_of_n,
        mcts,
        mean_logprob,
        particle_gibbs,
        particles,
        revision,
        self_certainty,
        self_consistency,
        self_refine,
        tournament,
        tree_of_thoughts,
        weighted_best_of_n,
    )

_LAZY = {
    "Budget": "reason.budget",
    "load": "reason.policies",
    "wrap": "reason.policies",
    "load_scorer": "reason.scorers",
    "solve": "reason.run",
    "asolve": "reason.run",
    "solve_within": "reason.allocate",
    "asolve_within": "reason.allocate",
    "compute_optimal": "reason.search",
    "load_table": "reason.search",
    "cot": "reason.search",
    "self_consistency": "reason.search",
    "adaptive_consistency": "reason.search",
    "confidence_vote": "reason.search",
    "deepconf": "reason.search",
    "self_certainty": "reason.search",
    "mean_logprob": "reason.search",
    "best_of_n": "reason.search",
    "weighted_best_of_n": "reason.search",
    "majority_best_of_n": "reason.search",
    "tournament": "reason.search",
    "beam": "reason.search",
    "dvts": "reason.search",
    "lookahead": "reason.search",
    "best_first": "reason.search",
    "particles": "reason.search",
    "particle_gibbs": "reason.search",
    "mcts": "reason.search",
    "ab_mcts": "reason.search",
    "revision": "reason.search",
    "self_refine": "reason.search",
    "budget_forcing": "reason.search",
    "tree_of_thoughts": "reason.search",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'reason' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "solve",
    "asolve",
    "solve_within",
    "asolve_within",
    "compute_optimal",
    "load_table",
    "load",
    "wrap",
    "load_scorer",
    "Budget",
    "Sampling",
    "cot",
    "self_consistency",
    "adaptive_consistency",
    "confidence_vote",
    "deepconf",
    "self_certainty",
    "mean_logprob",
    "best_of_n",
    "weighted_best_of_n",
    "majority_best_of_n",
    "tournament",
    "beam",
    "dvts",
    "lookahead",
    "best_first",
    "particles",
    "particle_gibbs",
    "mcts",
    "ab_mcts",
    "revision",
    "self_refine",
    "budget_forcing",
    "tree_of_thoughts",
    "Problem",
    "Path",
    "Step",
    "Score",
    "Candidate",
    "Outcome",
    "Cost",
    "Failure",
    "Finish",
    "Until",
    "Capabilities",
    "Policy",
    "Scorer",
    "Search",
    "Extend",
    "Judge",
    "Compare",
    "extend",
    "judge",
    "compare",
    "ask",
    "ReasonError",
    "UsageError",
    "BackendError",
    "MissingExtraError",
]
