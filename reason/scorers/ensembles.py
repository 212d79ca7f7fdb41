"""Several scorers as one, value by value: mean, weighted mean, minimum, or the mean less what they disagree about.

    mean          sum(w_i v_i) / sum(w_i)
    min           the most pessimistic member ("worst-case optimization")
    uncertainty   mean - penalty * spread of the members ("uncertainty-weighted optimization")

Coste et al. (2310.02743, sections 3.2-3.4) optimise against such ensembles so that what one reward model overrates is
not chosen for it. Deviations: the spread is the members' standard deviation by default, which has the values' unit;
`spread="variance"` is the paper's. Members may be of any kind and weight, not only seeds of one model.

Values are combined as the members give them, so they should mean the same: probabilities of being right, best after
calibration (`reason.scorers.calibration`). Step values are combined wherever every member that scored the path gives
one for each step; otherwise the score has no steps, and the same goes for the values of lines. A member that leaves a
path unscored (NaN) is left out for that path, its weight too; the path is unscored where all do. So is a member whose
whole call fails, for that call; where all fail, the call fails and the runner tries again. Tokens add up.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from reason.identity import identified, scorer_identity
from reason.search.strategy import number, one_of
from reason.types import BackendError, MissingExtraError, Path, Problem, Score, Scorer, UsageError

KINDS = ("mean", "min", "uncertainty")
SPREADS = ("std", "variance")


def ensemble(
    scorers: Sequence[Scorer],
    kind: str = "mean",
    *,
    weights: Sequence[float] | None = None,
    penalty: float = 1.0,
    spread: str = "std",
    name: str | None = None,
) -> Scorer:
    """Several scorers as one.

    Args:
        scorers: Two or more.
        kind: "mean", "min" or "uncertainty".
        weights: What each counts in the mean (and in the spread); None: all the same. Not for "min".
        penalty: How much of the spread "uncertainty" subtracts.
        spread: "std" or "variance".
        name: For reports; None: the members' names with + between them.

    Raises:
        UsageError: Fewer than two scorers, or an argument that is out of range or has no effect.
    """
    one_of("kind", kind, KINDS)
    one_of("spread", spread, SPREADS)
    if len(scorers) < 2 or not all(hasattr(scorer, "judge") for scorer in scorers):
        raise UsageError(f"an ensemble takes two scorers or more, not {len(scorers)}: pass ensemble([first, second])")
    if kind == "min" and weights is not None:
        raise UsageError("the minimum takes no weights: leave weights out, or pass kind='mean'")
    if kind != "uncertainty" and (penalty, spread) != (1.0, "std"):
        raise UsageError(f"penalty and spread belong to kind='uncertainty', not to {kind!r}: leave them out")
    chosen = [1.0] * len(scorers) if weights is None else [number("weights", weight) for weight in weights]
    if len(chosen) != len(scorers) or not sum(chosen) > 0:
        raise UsageError(f"weights are {weights!r}: pass one for each of the {len(scorers)} scorers, some above 0")
    return Ensemble(scorers, kind, chosen, number("penalty", penalty), spread, name)


class Ensemble:
    """See `ensemble`.

    Attributes:
        parameters: The members' mean, so that 2 * parameters * tokens is the FLOPs of all where each reads as many
            tokens as the others.
        oracle: Whether a member knows the gold answers.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        kind: str,
        weights: Sequence[float],
        penalty: float,
        spread: str,
        name: str | None,
    ) -> None:
        self._scorers, self._weights = tuple(scorers), tuple(weights)
        self._kind, self._penalty, self._spread = kind, penalty, spread
        names = [str(getattr(scorer, "name", type(scorer).__name__)) for scorer in scorers]
        self.name = name or "+".join(names) if kind == "mean" else name or f"{kind}({', '.join(names)})"
        sizes = [int(getattr(scorer, "parameters", 0)) for scorer in scorers]
        reading = [size for size in sizes if size]
        self.parameters = -(-sum(reading) // len(reading)) if reading else 0
        self.oracle = any(getattr(scorer, "oracle", False) for scorer in scorers)

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(
            self,
            members=[scorer_identity(scorer) for scorer in self._scorers],
            kind=self._kind,
            weights=self._weights,
            penalty=self._penalty,
            spread=self._spread,
        )

    def validate(self, problems: Sequence[Problem]) -> None:
        """Let every member refuse problems that it cannot judge."""
        for scorer in self._scorers:
            validate = getattr(scorer, "validate", None)
            if validate is not None:
                validate(problems)

    def count_tokens(self, path: Path) -> int:
        """The most tokens that judging this path can cost, over all members."""
        return sum(_most_tokens(scorer, path) for scorer in self._scorers)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path; NaN where every member left it unscored.

        Raises:
            BackendError: A member did not give one score per path.
            Exception: What the first member raised, where every one did; and errors of use.
        """
        asked = [scorer.judge(paths) for scorer in self._scorers]
        given: list[list[Score]] = []
        failed: list[Exception] = []
        for scorer, result in zip(self._scorers, await asyncio.gather(*asked, return_exceptions=True), strict=True):
            if isinstance(result, UsageError | MissingExtraError) or not isinstance(result, list | Exception):
                raise result if isinstance(result, BaseException) else BackendError(_shape(scorer, result, paths))
            if isinstance(result, Exception):
                failed.append(result)
                message = " ".join(f"{type(result).__name__}: {result}".split())
                given.append([Score(math.nan, error=message)] * len(paths))
            elif len(result) != len(paths):
                raise BackendError(_shape(scorer, result, paths))
            else:
                given.append(result)
        if len(failed) == len(self._scorers):
            raise failed[0]
        return [self._combine(scores) for scores in zip(*given, strict=True)]

    def _combine(self, scores: Sequence[Score]) -> Score:
        tokens = sum(score.tokens for score in scores)
        kept = [(score, weight) for score, weight in zip(scores, self._weights, strict=True) if score.scored]
        if not sum(weight for _, weight in kept) > 0:
            told = "; ".join(dict.fromkeys(score.error for score in scores if score.error))
            return Score(math.nan, tokens=tokens, error=f"no member of the ensemble scored it: {told or 'no reason'}")
        fold = partial(self._fold, weights=[weight for _, weight in kept])
        steps, parts = ([getattr(score, field) for score, _ in kept] for field in ("steps", "parts"))
        return Score(
            fold([score.value for score, _ in kept]),
            tuple(map(fold, zip(*steps, strict=True))) if _aligned(steps) else (),
            tokens,
            "; ".join(score.explanation for score, _ in kept if score.explanation),
            parts=tuple(map(fold, zip(*parts, strict=True))) if _aligned(parts) else (),
        )

    def _fold(self, values: Sequence[float], weights: Sequence[float]) -> float:
        """One value of the members' values of the same thing; those that are NaN are left out."""
        known = [(value, weight) for value, weight in zip(values, weights, strict=True) if not math.isnan(value)]
        total = math.fsum(weight for _, weight in known)
        if not total > 0:
            return math.nan
        if self._kind == "min":
            return min(value for value, _ in known)
        mean = math.fsum(value * weight for value, weight in known) / total
        if self._kind == "mean":
            return mean
        variance = math.fsum(weight * (value - mean) ** 2 for value, weight in known) / total
        return mean - self._penalty * (variance if self._spread == "variance" else math.sqrt(variance))


def _shape(scorer: Scorer, result: object, paths: Sequence[Path]) -> str:
    got = f"a list of {len(result)}" if isinstance(result, list) else type(result).__name__
    return f"{type(scorer).__name__}.judge returned {got} for {len(paths)} paths; it must return one score for each"


def _aligned(values: Sequence[Sequence[float]]) -> bool:
    return len(set(map(len, values))) == 1 and len(values[0]) > 0


def _most_tokens(scorer: Any, path: Path) -> int:
    if hasattr(scorer, "count_tokens"):
        return int(scorer.count_tokens(path))
    if getattr(scorer, "parameters", None) == 0:
        return 0
    return len(path.problem.question.encode()) + max(len(path.text.encode()), len(path.token_ids))
