"""Pairwise judgement from values: any scorer as the judge of a tournament.

A value in [0, 1] is taken as the odds v / (1 - v), and the first of two wins with probability odds1 / (odds1 + odds2):
Bradley and Terry's model (1952) with the log-odds as strengths. Unbounded rewards are strengths themselves
(`odds=False`), as reward models are trained on preferences.

Against a judge that reads both solutions side by side this adds nothing to the values; it lets pairwise strategies run
on a reward model, and be compared with the others at equal scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from reason.scorers.combine import Combined
from reason.types import Path, Score, Scorer, UsageError

_LEAST = 1e-12


class Pairs(Combined):
    """A scorer that can also compare.

    Args:
        scorer: What judges.
        odds: Whether its values are probabilities in [0, 1]; False: strengths.

    Raises:
        UsageError: It is no scorer.
    """

    def __init__(self, scorer: Scorer, *, odds: bool = True) -> None:
        super().__init__([scorer], f"pairs:{getattr(scorer, 'name', type(scorer).__name__)}")
        self._odds = odds

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """The scorer's own scores."""
        return await self._parts[0].judge(paths)

    async def compare(self, pairs: Sequence[tuple[Path, Path]]) -> list[Score]:
        """The probability that the first is better; NaN where either is unscored. Every path is judged once."""
        keys = [tuple((path.text, path.finish, path.problem.id) for path in pair) for pair in pairs]
        known = dict(
            zip((key for both in keys for key in both), (path for pair in pairs for path in pair), strict=True)
        )
        scores = dict(zip(known, await self.judge(list(known.values())), strict=True))
        charged: set[Any] = set()
        told = []
        for first, second in keys:
            tokens = sum(scores[key].tokens for key in {first, second} - charged)
            charged |= {first, second}
            told.append(self._better(scores[first], scores[second], tokens))
        return told

    def _better(self, first: Score, second: Score, tokens: int) -> Score:
        if not (first.scored and second.scored):
            return Score(math.nan, tokens=tokens, error=first.error or second.error or "unscored")
        gap = self._strength(first.value) - self._strength(second.value)
        return Score(1 / (1 + math.exp(-gap)) if gap > -700 else 0.0, tokens=tokens)

    def _strength(self, value: float) -> float:
        if not self._odds:
            return value
        if not 0 <= value <= 1:
            raise UsageError(f"{self.name}: the value {value:g} is no probability; use Pairs(scorer, odds=False)")
        return math.log(max(value, _LEAST)) - math.log(max(1 - value, _LEAST))
