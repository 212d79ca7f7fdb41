"""Votes that the policy's own confidence filters, weighs or ranks: best-of-n without a second model.

- `confidence_vote`: DeepConf offline (Fu et al. 2508.15260). Of n solutions the most confident share is kept, and each
  of these votes with its confidence.
- `self_certainty` (Kang et al. 2502.18581): a solution's self-certainty is the mean over its tokens of the divergence
  of the policy's distribution from the uniform one, KL(U || p). Solutions are ranked by it, and rank r of N votes with
  (N - r + 1) ** power (Borda): 0 is the majority, infinity the most certain one alone.
- `mean_logprob`: the same by the mean log-probability of the sampled tokens (inverse perplexity), by default with the
  most likely solution alone.

Each candidate's score is its confidence. Deviations: only solutions with an answer are filtered and ranked. What
`reason.search.confidence` says of backends without distributions holds here: self-certainty is then the mean
log-probability. KL(U || p) is given up to the constant log V, which changes no rank. The papers' window, share and
token confidence (2,048 tokens, 10 or 90 %, the 20 likeliest) are options; the defaults are what measured best on the
bundled model. Of 200 training-like problems, 16 samples each, it answers 50 % by majority, 53 % by the default vote
(49 % with `top=20`, 51 % with `top=20, keep=0.9, measure="bottom"`), 50 % by self-certainty and 54 % by `mean_logprob`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from reason.search.confidence import MEASURES, check_top, check_window, confidences
from reason.search.select import candidate, conclude, paid_for, powered
from reason.search.strategy import LOGPROBS, Strategy, at_least, number, one_of
from reason.types import Candidate, Finish, Path, Problem, UsageError
from reason.work import SearchRun, extend

VOCABULARY = -1

Weigh = Callable[[Sequence[Candidate], Sequence[int]], dict[int, float]]
"""From the candidates, and which of them are scored and answered, to the weight of each that votes."""


def confidence_vote(
    n: int = 16,
    *,
    measure: str = "lowest",
    window: float = 0.1,
    keep: float = 0.5,
    power: float = 1.0,
    top: int = 0,
) -> Strategy:
    """Vote of the most confident of n sampled solutions.

    Args:
        n: Solutions to sample.
        measure: A solution's confidence: "lowest", "bottom", "tail" or "mean" (see `reason.search.confidence`).
        window: Tokens of a group, or below 1 the share of the solution that a group is.
        keep: Share of the answered solutions that vote, in (0, 1].
        power: A vote counts confidence ** power; 0 counts each as one.
        top: The likeliest tokens that a token's confidence is taken over; 0: the sampled token's log-probability.

    Raises:
        UsageError: An argument is out of range.
    """
    one_of("measure", measure, MEASURES)
    check_window("window", window)
    number("power", power)
    share = check_share("keep", keep)

    def weigh(candidates: Sequence[Candidate], able: Sequence[int]) -> dict[int, float]:
        kept = most_confident([candidates[index].score for index in able], share)
        weights = powered([candidates[able[place]].score for place in kept], power)
        return {able[place]: weight for place, weight in zip(kept, weights, strict=True)}

    return _strategy("confidence_vote", n, measure, window, check_top(top), weigh)


def self_certainty(n: int = 16, *, power: float = 0.5) -> Strategy:
    """Borda vote of n sampled solutions, ranked by self-certainty.

    Args:
        n: Solutions to sample.
        power: Rank r of N votes with (N - r + 1) ** power; 0 is the majority, infinity the most certain one alone.

    Raises:
        UsageError: An argument is out of range.
    """
    return _strategy("self_certainty", n, "mean", 1.0, VOCABULARY, _borda(power))


def mean_logprob(n: int = 16, *, power: float = math.inf) -> Strategy:
    """The most likely of n sampled solutions, per token.

    Args:
        n: Solutions to sample.
        power: Below infinity, a Borda vote: rank r of N votes with (N - r + 1) ** power.

    Raises:
        UsageError: An argument is out of range.
    """
    return _strategy("mean_logprob", n, "mean", 1.0, 0, _borda(power))


def check_share(name: str, value: float) -> float:
    """The share, if it is one above 0.

    Raises:
        UsageError: It is not.
    """
    if not number(name, value, 0.0, 1.0) > 0:
        raise UsageError(f"{name}={value!r}: must be above 0 and at most 1; pass {name}=0.5, for example")
    return float(value)


def most_confident(values: Sequence[float], share: float) -> list[int]:
    """Which are in the greatest share of the values, one at least, in their order; the earlier of equals first."""
    order = sorted(range(len(values)), key=lambda index: (-values[index], index))
    return sorted(order[: math.ceil(share * len(order) - 1e-9)])


def _borda(power: float) -> Weigh:
    number("power", power)

    def weigh(candidates: Sequence[Candidate], able: Sequence[int]) -> dict[int, float]:
        order = sorted(able, key=lambda index: (-candidates[index].score, index))
        return {index: ((len(order) - rank) / len(order)) ** power for rank, index in enumerate(order)}

    return weigh


def _strategy(name: str, n: int, measure: str, window: float, top: int, weigh: Weigh) -> Strategy:
    at_least("n", n)

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * n, confidence=top or None)
        cut = any(path.finish is Finish.BUDGET for path in paths)
        solutions = [path for path in paths if paid_for(path)]
        values = confidences(solutions, measure, window, top)
        candidates = [candidate(path, value=value) for path, value in zip(solutions, values, strict=True)]
        able = [index for index, item in enumerate(candidates) if item.answer and not math.isnan(item.score)]
        weights = weigh(candidates, able)
        return conclude(
            problem,
            candidates,
            "weighted",
            weights=[weights.get(index, 0.0) for index in range(len(candidates))],
            among=sorted(weights) or None,
            stopped="budget" if cut else "done",
        )

    return Strategy(name, run, frozenset({LOGPROBS}))
