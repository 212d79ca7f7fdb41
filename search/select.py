"""From the paths a search has paid for to one answer.

Three selections, named as in search-and-learn (Beeching et al. 2024):

- naive: the answer of the best-scored candidate;
- weighted: the answer whose candidates' scores sum highest (Li et al. 2023, step-aware verifier);
- majority: the most frequent answer (Wang et al. 2203.11171), ties to the answer found first.

An unscored candidate ranks last and weighs nothing in a weighted vote; when none is scored, all three are the majority
and the outcome's failures say so. A truncated path can win only if an answer can be read from it, and ranks below a
complete one of the same score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import mul
from typing import Any

from reason.answers import answer_of, vote
from reason.search.strategy import one_of
from reason.types import Candidate, Failure, Finish, Outcome, Path, Problem, Score
from reason.work import Results, Work, judge

SELECTIONS = ("naive", "weighted", "majority")
AGGREGATIONS = ("last", "min", "product", "mean")
UNSCORED = Score(math.nan)

_AGGREGATE: dict[str, Callable[[Sequence[float]], float]] = {
    "last": lambda values: values[-1],
    "min": min,
    "product": lambda values: reduce(mul, values),
    "mean": lambda values: math.fsum(values) / len(values),
}


def check_aggregate(aggregate: str | None) -> str | None:
    """The aggregation, if it is one.

    Raises:
        UsageError: It is not one of `AGGREGATIONS`, nor None.
    """
    return aggregate if aggregate is None else one_of("aggregate", aggregate, AGGREGATIONS)


def path_value(score: Score, aggregate: str | None) -> float:
    """One number for a path: the scorer's own value, or its step values aggregated anew; NaN if unscored."""
    if aggregate is None or not score.steps or not score.scored:
        return score.value
    if any(math.isnan(value) for value in score.steps):
        return math.nan
    return _AGGREGATE[aggregate](score.steps)


def paid_for(path: Path) -> bool:
    """Whether a closed path is a solution: complete or truncated, not failed, cancelled or cut before it began."""
    if path.finish in (Finish.LENGTH, Finish.BUDGET):
        return bool(path.text)
    return path.complete


def refused(path: Path) -> bool:
    """Whether the budget left nothing of the last step, so that the path is its parent, cut off."""
    return path.finish is Finish.BUDGET and len(path.steps) > 1 and not path.steps[-1].text


def worth_judging(path: Path) -> bool:
    """Whether a score could matter: the path is open, complete, or truncated anew with an answer to be read."""
    if refused(path):
        return False
    if path.finish in (Finish.LENGTH, Finish.BUDGET):
        return answer_of(path.text) is not None
    return path.open or path.complete


def judge_unique(
    paths: Sequence[Path], known: dict[tuple[str, Finish], Score] | None = None
) -> Generator[Work, Results, list[Score]]:
    """Score each path, equal texts once and hopeless ones not at all; returns one score per path, same order.

    Args:
        paths: Paths of one problem.
        known: Scores by text and finish from earlier calls, used and added to. A path that the budget left no step of
            has its parent's score where that is among them.
    """
    known = {} if known is None else known
    fresh: dict[tuple[str, Finish], Path] = {}
    keys = [(path.text, Finish.STEP if refused(path) else path.finish) for path in paths]
    for key, path in zip(keys, paths, strict=True):
        if key not in known and worth_judging(path):
            fresh.setdefault(key, path)
    scores = yield from judge(list(fresh.values()))
    known.update(zip(fresh, scores, strict=True))
    return [known.get(key, UNSCORED) for key in keys]


def candidate(path: Path, score: Score = UNSCORED, value: float | None = None) -> Candidate:
    """A candidate with its answer extracted; `value` replaces the score's own."""
    return Candidate(
        path, answer_of(path.text), score.value if value is None else value, 1.0, score.parts or score.steps
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        index: The chosen candidate, or None where there was none.
        confidence: Share of the vote weight behind its answer, in [0, 1]; NaN where undefined.
        weights: What each candidate counted.
        fallback: Whether no candidate was scored, so that the majority decided.
    """

    index: int | None
    confidence: float
    weights: tuple[float, ...]
    fallback: bool = False


def powered(values: Sequence[float], power: float) -> list[float]:
    """The weights value ** power, relative to the greatest value; a negative value counts as 0, an unscored as none."""
    most = max((value for value in values if value > 0), default=1.0)
    return [0.0 if math.isnan(value) else (max(value, 0.0) / most) ** power for value in values]


def rank_key(item: Candidate) -> tuple[bool, float, bool]:
    """Greater is better: scored, then score, then complete. Ties are the caller's to break (earliest first)."""
    scored = not math.isnan(item.score)
    return scored, item.score if scored else 0.0, item.path.complete


def best_index(candidates: Sequence[Candidate], among: Sequence[int]) -> int:
    """The best-ranked of the indices `among`; the earliest of equals."""
    return max(among, key=lambda index: (rank_key(candidates[index]), -index))


def choose(
    candidates: Sequence[Candidate],
    select: str,
    *,
    weights: Sequence[float] | None = None,
    among: Sequence[int] | None = None,
    pick: int | None = None,
) -> Choice:
    """Pick one candidate.

    Args:
        candidates: What there is to choose from.
        select: One of `SELECTIONS`.
        weights: What each counts in the vote, instead of one (majority) or its score.
        among: The only candidates that may win or vote; None: all.
        pick: The winner, if it has an answer; the vote then only tells how sure it is.
    """
    eligible = range(len(candidates)) if among is None else among
    answered = [index for index in eligible if candidates[index].answer]
    fallback = bool(answered) and select != "majority" and all(math.isnan(candidates[i].score) for i in answered)
    counts = [0.0] * len(candidates)
    for index in answered:
        counts[index] = _weight(candidates[index], select) if weights is None else weights[index]
    if not math.fsum(counts) > 0:
        for index in answered:
            counts[index] = 1.0
    if not answered:
        return Choice(best_index(candidates, eligible) if eligible else None, math.nan, tuple(counts))
    groups = vote([candidates[index].answer for index in answered], [counts[index] for index in answered])
    if pick not in answered:
        pick = best_index(candidates, answered) if select == "naive" and not fallback else None
    winner = groups[0] if pick is None else next(g for g in groups if answered.index(pick) in g.members)
    if pick is None:
        pick = best_index(candidates, [answered[member] for member in winner.members])
    confidence = winner.weight / math.fsum(group.weight for group in groups)
    return Choice(pick, confidence, tuple(counts), fallback)


def complete_first(candidates: Sequence[Candidate]) -> list[int]:
    """The complete candidates with an answer; all candidates where there is none.

    For step searches, where a path cut short was scored on fewer steps than a complete one.
    """
    complete = [index for index, item in enumerate(candidates) if item.path.complete and item.answer]
    return complete or list(range(len(candidates)))


def _weight(item: Candidate, select: str) -> float:
    if select == "majority":
        return 1.0
    return 0.0 if math.isnan(item.score) else max(item.score, 0.0)


def conclude(
    problem: Problem,
    candidates: Sequence[Candidate],
    select: str,
    *,
    weights: Sequence[float] | None = None,
    among: Sequence[int] | None = None,
    pick: int | None = None,
    tree: Any = None,
    stopped: str = "done",
) -> Outcome:
    """The outcome of choosing among the candidates; see `choose`."""
    choice = choose(candidates, select, weights=weights, among=among, pick=pick)
    weighed = tuple(replace(item, weight=weight) for item, weight in zip(candidates, choice.weights, strict=True))
    chosen = None if choice.index is None else weighed[choice.index]
    notes = (Failure("search", "no candidate was scored: the majority decided"),) if choice.fallback else ()
    return Outcome(
        problem,
        chosen.answer if chosen else None,
        chosen.path if chosen else None,
        choice.confidence,
        weighed,
        tree,
        stopped=stopped,
        failures=notes,
    )
