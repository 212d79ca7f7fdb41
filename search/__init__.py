"""Strategies: pure generators over `reason.work`, one file per family."""

from collections.abc import Callable

from reason.search.ab_mcts import ab_mcts
from reason.search.adaptive import adaptive_consistency
from reason.search.beam import beam
from reason.search.best_first import best_first
from reason.search.best_of_n import best_of_n, majority_best_of_n, weighted_best_of_n
from reason.search.budget_forcing import budget_forcing
from reason.search.compute_optimal import compute_optimal, load_table
from reason.search.confidence_vote import confidence_vote, mean_logprob, self_certainty
from reason.search.cot import cot
from reason.search.deepconf import deepconf
from reason.search.dvts import dvts
from reason.search.lookahead import lookahead
from reason.search.mcts import mcts
from reason.search.particles import particle_gibbs, particles
from reason.search.refine import self_refine
from reason.search.revise import revision
from reason.search.self_consistency import self_consistency
from reason.search.strategy import Strategy, at_least
from reason.search.tournament import tournament
from reason.search.tree import Tree
from reason.search.tree_of_thoughts import tree_of_thoughts


def _one_chain(n: int) -> Strategy:
    """One greedy chain of thought, whatever n."""
    at_least("n", n)
    return cot()


STRATEGIES: dict[str, Callable[[int], Strategy]] = {
    "cot": _one_chain,
    "self_consistency": self_consistency,
    "adaptive_consistency": adaptive_consistency,
    "confidence_vote": confidence_vote,
    "deepconf": deepconf,
    "self_certainty": self_certainty,
    "mean_logprob": mean_logprob,
    "best_of_n": best_of_n,
    "weighted_best_of_n": weighted_best_of_n,
    "majority_best_of_n": majority_best_of_n,
    "tournament": tournament,
    "beam": beam,
    "dvts": dvts,
    "lookahead": lookahead,
    "best_first": best_first,
    "particles": particles,
    "particle_gibbs": particle_gibbs,
    "mcts": mcts,
    "ab_mcts": ab_mcts,
    "revision": revision,
    "self_refine": self_refine,
    "budget_forcing": budget_forcing,
    "tree_of_thoughts": tree_of_thoughts,
}
"""Name on the command line -> builder; n is the budget in whole solutions (a greedy chain is always one)."""

__all__ = [
    "STRATEGIES",
    "Strategy",
    "Tree",
    "ab_mcts",
    "adaptive_consistency",
    "beam",
    "best_first",
    "best_of_n",
    "budget_forcing",
    "compute_optimal",
    "confidence_vote",
    "cot",
    "deepconf",
    "dvts",
    "load_table",
    "lookahead",
    "majority_best_of_n",
    "mcts",
    "mean_logprob",
    "particle_gibbs",
    "particles",
    "revision",
    "self_certainty",
    "self_consistency",
    "self_refine",
    "tournament",
    "tree_of_thoughts",
    "weighted_best_of_n",
]
