"""Scorers made of scorers: weighted sums, products, and a cheap one that spares a dear one.

What a part cannot say stays unsaid. A sum or product with an unscored part is unscored, unless `missing="skip"` leaves
that part out (a sum's weights are then scaled to the sum of all; if every part is missing, it is unscored). In a
cascade, a first part that is unscored decides nothing, and the second is asked. Step values are combined in the same
way, step by step, where every part that counts has one for each step of the path, and are left out otherwise. Costs add
up. FLOPs are counted with the largest part's parameter count, which is exact where one part alone is a model and an
upper bound else.
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import compress

from reason.identity import identified, scorer_identity
from reason.search.strategy import number, one_of
from reason.types import Path, Problem, Score, Scorer, UsageError

MISSING = ("nan", "skip")
_NAN = math.nan


class Combined:
    """What all combinations share.

    Attributes:
        parameters: The largest of the parts'.
        oracle: Whether any part knows gold answers.
        name: For reports.
    """

    def __init__(self, parts: Sequence[Scorer], name: str) -> None:
        for part in parts:
            if isinstance(part, type) or not isinstance(part, Scorer):
                raise UsageError(f"{part!r:.60} is no scorer: it needs judge(paths); make one with reason.load_scorer")
        self._parts = tuple(parts)
        self.parameters: int = max(getattr(part, "parameters", 0) for part in parts)
        self.oracle: bool = any(getattr(part, "oracle", False) for part in parts)
        self.name = name

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        settings = {name: value for name, value in vars(self).items() if name not in ("_parts", "name")}
        return identified(self, parts=[scorer_identity(part) for part in self._parts], **settings)

    def validate(self, problems: Sequence[Problem]) -> None:
        """Let every part refuse problems that it cannot judge.

        Raises:
            UsageError: A part does.
        """
        for part in self._parts:
            check = getattr(part, "validate", None)
            if check is not None:
                check(problems)

    def count_tokens(self, path: Path) -> int:
        """The most tokens that judging the path can take: the sum of the parts'."""
        return sum(_most_tokens(part, path) for part in self._parts)


class _Parallel(Combined):
    """Every part judges every path."""

    def __init__(self, parts: Sequence[Scorer], missing: str, name: str) -> None:
        if not parts:
            raise UsageError("a combination needs at least one scorer; pass some")
        super().__init__(parts, name)
        self._missing = one_of("missing", missing, MISSING)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path, made of every part's."""
        judged = await asyncio.gather(*(part.judge(paths) for part in self._parts))
        return [self._joined(path, row) for path, row in zip(paths, zip(*judged, strict=True), strict=True)]

    def _joined(self, path: Path, scores: Sequence[Score]) -> Score:
        counts = [score.scored or self._missing == "nan" for score in scores]
        value = self._value([score.value for score in scores], counts)
        tokens = sum(score.tokens for score in scores)
        told = [
            f"{name_of(part)}: {score.explanation}"
            for part, score in zip(self._parts, scores, strict=True)
            if score.explanation
        ]
        error = None
        if math.isnan(value):
            lost = [(part, score) for part, score in zip(self._parts, scores, strict=True) if not score.scored]
            error = "; ".join(f"{name_of(part)}: {score.error or 'unscored'}" for part, score in lost)
        steps = self._each([score.steps for score in scores], counts, len(path.steps))
        lengths = {len(score.parts) for score in compress(scores, counts)}
        parts = self._each([score.parts for score in scores], counts, lengths.pop()) if len(lengths) == 1 else ()
        return Score(value, steps, tokens, "\n".join(told), error, parts)

    def _each(self, rows: Sequence[Sequence[float]], counts: Sequence[bool], length: int) -> tuple[float, ...]:
        """The rows combined place by place, where every one that counts has the length."""
        if not any(counts) or any(len(row) != length for row in compress(rows, counts)):
            return ()
        full = [row if used else (_NAN,) * length for row, used in zip(rows, counts, strict=True)]
        return tuple(self._value(column, counts) for column in zip(*full, strict=True))

    @abstractmethod
    def _value(self, values: Sequence[float], counts: Sequence[bool]) -> float:
        """The values that count as one; NaN if one of them is, or none counts."""


class WeightedSum(_Parallel):
    """The weighted sum of several scorers.

    Args:
        parts: The scorers.
        weights: One for each; None is their mean (1 / number of parts each).
        missing: What an unscored part does: "nan" makes the sum unscored, "skip" leaves it out.
        name: For reports.

    Raises:
        UsageError: Too few or many weights, one that is not finite, or a part that is no scorer.
    """

    def __init__(
        self,
        parts: Sequence[Scorer],
        weights: Sequence[float] | None = None,
        *,
        missing: str = "nan",
        name: str | None = None,
    ) -> None:
        self._weights = [1 / len(parts)] * len(parts) if weights is None and parts else list(weights or ())
        if len(self._weights) != len(parts) or not all(math.isfinite(weight) for weight in self._weights):
            raise UsageError(f"weights={weights!r}: {len(parts)} scorers need {len(parts)} finite weights")
        shown = " + ".join(f"{weight:g}*{name_of(p)}" for weight, p in zip(self._weights, parts, strict=True))
        super().__init__(parts, missing, name or shown)

    def _value(self, values: Sequence[float], counts: Sequence[bool]) -> float:
        if not any(counts):
            return _NAN
        pairs = list(zip(compress(self._weights, counts), compress(values, counts), strict=True))
        total, used = math.fsum(self._weights), math.fsum(weight for weight, _ in pairs)
        found = math.fsum(weight * value for weight, value in pairs)
        return found if all(counts) or not used else found * total / used


class Product(_Parallel):
    """The product of several scorers: all must agree that a path is good.

    Args:
        parts: The scorers.
        missing: What an unscored part does: "nan" makes the product unscored, "skip" leaves it out.
        name: For reports.

    Raises:
        UsageError: An option is out of range, or a part is no scorer.
    """

    def __init__(self, parts: Sequence[Scorer], *, missing: str = "nan", name: str | None = None) -> None:
        super().__init__(parts, missing, name or " * ".join(map(name_of, parts)))

    def _value(self, values: Sequence[float], counts: Sequence[bool]) -> float:
        return math.prod(compress(values, counts)) if any(counts) else _NAN


class Cascade(Combined):
    """A cheap scorer first, such as a verifier; only what it does not reject is paid for with the second.

    A path that the first values at `threshold` or below keeps that value, and the second is not asked about it; all
    others have the second's score, with the tokens of both.

    Args:
        first: The cheap one.
        then: The dear one.
        threshold: What the first must exceed.
        name: For reports.

    Raises:
        UsageError: The threshold is no number, or a part is no scorer.
    """

    def __init__(self, first: Scorer, then: Scorer, *, threshold: float = 0.0, name: str | None = None) -> None:
        super().__init__((first, then), name or f"{name_of(first)} then {name_of(then)}")
        self._threshold = number("threshold", threshold, -math.inf)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path: the first's where it rejects, else the second's."""
        first, then = self._parts
        scores = await first.judge(paths)
        passed = [index for index, score in enumerate(scores) if not score.value <= self._threshold]
        asked = await then.judge([paths[index] for index in passed]) if passed else []
        for index, score in zip(passed, asked, strict=True):
            earlier = scores[index]
            told = "\n".join(text for text in (earlier.explanation, score.explanation) if text)
            tokens = earlier.tokens + score.tokens
            scores[index] = Score(score.value, score.steps, tokens, told, score.error, score.parts)
        return scores


def name_of(part: object) -> str:
    """A scorer's name for reports."""
    return str(getattr(part, "name", None) or type(part).__name__)


def _most_tokens(part: Scorer, path: Path) -> int:
    """As the runner counts for a scorer: nothing for a rule, the text's bytes for one that does not say."""
    count: Callable[[Path], int] | None = getattr(part, "count_tokens", None)
    if count is not None:
        return count(path)
    if getattr(part, "parameters", None) == 0:
        return 0
    return len(path.problem.question.encode()) + max(len(path.text.encode()), len(path.token_ids))
