"""What a scorer is worth on published benchmarks of scorers: first errors, valid steps, choosing among samples.

- First error (ProcessBench, arXiv 2412.06559): the first step with a value below the threshold, or none. The figure is
  the harmonic mean (F1) of two accuracies: on solutions with an error, and on those without.
- Valid steps (PRMBench, arXiv 2501.03124): a step is taken to be valid if its value is not below the threshold. The
  PRMScore is the mean of the F1 of valid steps and the F1 of wrong steps, over all steps of all solutions.
- Best of n: accuracy of the best-scored of k recorded samples for every k, beside majority, weighted vote and any
  correct (`reason.evals.subsets`), and how well values rank right samples above wrong ones.

Intervals resample problems. A problem whose scores are missing is left out and counted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reason.answers import extract
from reason.evals.metrics import auc, auc_within
from reason.evals.subsets import Samples, curves
from reason.evals.tasks import Task
from reason.types import BackendError, Finish, Path, Problem, Score, Scorer, Step, UsageError

Floats = NDArray[np.float64]
OnDone = Callable[[int], None]

BATCH = 64
RESAMPLES = 2_000
FIRST_ERROR, VALID_STEPS, BEST_OF_N = "first_error", "valid_steps", "best_of_n"
STEP_END = "\n\n"
NAN = math.nan


def kind_of(problems: Sequence[Problem]) -> str:
    """Which benchmark of scorers these problems are, by what `meta` holds.

    Raises:
        UsageError: They are none.
    """
    for name, kind in (("label", FIRST_ERROR), ("valid", VALID_STEPS), ("samples", BEST_OF_N)):
        if problems and all(name in problem.meta for problem in problems):
            return kind
    raise UsageError(
        "these problems measure no scorer: pass processbench, prmbench or best_of_n (recorded samples), or a task "
        "whose problems have meta with steps and label, steps and valid, or samples"
    )


def judge_all(scorer: Scorer, paths: Sequence[Path], on_done: OnDone | None = None) -> list[Score]:
    """The scores of all paths, batch by batch; one that failed is NaN and says why.

    Raises:
        BackendError: All failed.
    """

    async def run() -> list[Score]:
        found = list[Score]()
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            try:
                found += await scorer.judge(batch)
            except Exception as error:  # whatever a user's scorer raises is that batch's failure
                found += [Score(math.nan, error=" ".join(str(error).split()) or type(error).__name__)] * len(batch)
            if on_done is not None:
                on_done(len(found))
        return found

    scores = asyncio.run(run())
    if scores and not any(score.scored or score.steps for score in scores):
        raise BackendError(f"the scorer judged nothing: {scores[0].error or 'it gave no value and no reason'}")
    return scores


def step_path(problem: Problem) -> Path:
    """The solution of `meta["steps"]` as a path, a step each."""
    steps = problem.meta["steps"]
    asked = Problem(problem.id, problem.meta["problem"])
    made = [Step(text.rstrip("\n") + STEP_END) for text in steps[:-1]]
    return Path(asked, (*made, Step(steps[-1], finish=Finish.STOP)))


def step_values(problems: Sequence[Problem], scores: Sequence[Score]) -> list[Floats | None]:
    """Each problem's step values; None where the scorer gave none, or not one for every step.

    Raises:
        UsageError: The scorer judges whole solutions only.
    """
    if scores and not any(score.steps for score in scores):
        raise UsageError(
            "the scorer gives no values for steps, and this benchmark is of steps: pass a process reward model, such "
            "as --scorer process"
        )
    found = list[Floats | None]()
    for problem, score in zip(problems, scores, strict=True):
        values = np.asarray(score.steps, float)
        whole = len(values) == len(problem.meta["steps"]) and not np.isnan(values).any()
        found.append(values if whole else None)
    return found


@dataclass(frozen=True, slots=True)
class FirstError:
    """How well first errors are found.

    Attributes:
        threshold: A step below it is wrong.
        on_wrong, on_right: Accuracy on solutions with an error, and without; NaN without any.
        f1: Their harmonic mean.
        low, high: Its 95 % interval.
        problems, unscored: How many counted, and how many did not.
    """

    threshold: float
    on_wrong: float
    on_right: float
    f1: float
    low: float
    high: float
    problems: int
    unscored: int


def first_below(values: Floats, threshold: float) -> int:
    """Index of the first value below the threshold, or -1."""
    below = np.flatnonzero(values < threshold)
    return int(below[0]) if len(below) else -1


def first_error(
    values: Sequence[Floats | None], labels: Sequence[int], threshold: float, *, seed: int = 0
) -> FirstError:
    """Compare the first steps below the threshold with the labels.

    Args:
        values: The step values of each solution; None is left out.
        labels: The index of each one's first wrong step, or -1.
        threshold, seed: Of the judgement and of the interval.
    """
    known = [
        (first_below(row, threshold) == label, label >= 0)
        for row, label in zip(values, labels, strict=True)
        if row is not None
    ]
    hits = np.array([hit for hit, _ in known], float)
    wrong = np.array([bad for _, bad in known], float)
    if not len(known):
        return FirstError(threshold, NAN, NAN, NAN, NAN, NAN, 0, len(values))
    drawn = np.vstack([np.ones(len(known)), _weights(len(known), seed)])
    with np.errstate(divide="ignore", invalid="ignore"):
        on_wrong = (drawn @ (hits * wrong)) / (drawn @ wrong)
        on_right = (drawn @ (hits * (1 - wrong))) / (drawn @ (1 - wrong))
    f1 = _harmonic(on_wrong, on_right)
    low, high = _interval(f1[1:])
    return FirstError(
        threshold, float(on_wrong[0]), float(on_right[0]), float(f1[0]), low, high, len(known), len(values) - len(known)
    )


@dataclass(frozen=True, slots=True)
class ValidSteps:
    """How well valid and wrong steps are told apart.

    Attributes:
        threshold: A step below it is taken to be wrong.
        f1_valid, f1_wrong: F1 of valid steps, and of wrong steps; NaN where undefined.
        score: The PRMScore, their mean.
        low, high: Its 95 % interval.
        kinds: The PRMScore of each kind of error.
        problems, unscored: How many counted, and how many did not.
    """

    threshold: float
    f1_valid: float
    f1_wrong: float
    score: float
    low: float
    high: float
    kinds: dict[str, float]
    problems: int
    unscored: int


def valid_steps(
    values: Sequence[Floats | None],
    labels: Sequence[Sequence[bool]],
    kinds: Sequence[str],
    threshold: float,
    *,
    seed: int = 0,
) -> ValidSteps:
    """Compare the steps not below the threshold with those that are valid.

    Args:
        values: The step values of each solution; None is left out.
        labels: Whether each step is valid.
        kinds: The kind of error in each solution.
        threshold, seed: Of the judgement and of the interval.
    """
    rows, named = [], []
    for row, valid, kind in zip(values, labels, kinds, strict=True):
        if row is not None:
            taken, truth = row >= threshold, np.asarray(valid, bool)
            rows.append(
                [(taken & truth).sum(), (taken & ~truth).sum(), (~taken & ~truth).sum(), (~taken & truth).sum()]
            )
            named.append(kind)
    if not rows:
        return ValidSteps(threshold, NAN, NAN, NAN, NAN, NAN, {}, 0, len(values))
    counts = np.array(rows, float)
    valid_f1, wrong_f1 = _f1s(counts.sum(axis=0))
    low, high = _interval(np.mean(_f1s((_weights(len(rows), seed) @ counts).T), axis=0))
    each = {
        kind: float(np.mean(_f1s(counts[[name == kind for name in named]].sum(axis=0)))) for kind in sorted(set(named))
    }
    whole = float(np.mean([valid_f1, wrong_f1]))
    unscored = len(values) - len(rows)
    return ValidSteps(threshold, float(valid_f1), float(wrong_f1), whole, low, high, each, len(rows), unscored)


def _f1s(counts: Floats) -> tuple[Floats, Floats]:
    """F1 of valid and of wrong steps from counts of valid as valid, wrong as valid, wrong as wrong, valid as wrong."""
    with np.errstate(divide="ignore", invalid="ignore"):
        good = 2 * counts[0] / (2 * counts[0] + counts[1] + counts[3])
        bad = 2 * counts[2] / (2 * counts[2] + counts[1] + counts[3])
    return np.asarray(good, float), np.asarray(bad, float)


def best_threshold(values: Sequence[Floats | None], figure: Callable[[float], float], *, most: int = 99) -> float:
    """The threshold, among quantiles of the values, at which a figure is largest: a choice made in hindsight."""
    known = np.concatenate([row for row in values if row is not None])
    tried = np.unique(np.quantile(known, np.linspace(0, 1, most + 2)[1:-1]))
    found = [figure(float(threshold)) for threshold in tried]
    return float(tried[int(np.nanargmax(found))]) if not np.isnan(found).all() else math.nan


def sample_paths(problem: Problem) -> list[Path]:
    """The recorded samples of `meta["samples"]` as finished paths."""
    asked = Problem(problem.id, problem.question, problem.answer)
    return [Path(asked, (Step(text, finish=Finish.STOP),)) for text, _ in problem.meta["samples"]]


def best_of(
    problems: Sequence[Problem], scores: Sequence[Sequence[Score]], task: Task, *, seed: int = 0
) -> dict[str, Any]:
    """What choosing among the recorded samples is worth.

    Args:
        problems: With `meta["samples"]`.
        scores: One per sample.
        task: Grades the samples that have no label.
        seed: Of permutations and intervals.

    Returns:
        "k", from 1 to the smallest number of samples; for "pass" (any correct), "majority", "naive" (best score) and
        "weighted": "mean", "low", "high", lists over k; "auc" over all samples, "auc_within" problems.
    """
    rows = list[Samples]()
    for problem, judged in zip(problems, scores, strict=True):
        labelled = [
            task.grade(problem, text).correct if correct is None else correct
            for text, correct in problem.meta["samples"]
        ]
        answers = [extract(text).answer or text for text, _ in problem.meta["samples"]]
        rows.append(Samples(tuple(answers), tuple(labelled), tuple(score.value for score in judged)))
    told: dict[str, Any] = {"k": list(range(1, min(len(row.answers) for row in rows) + 1))}
    for name, curve in curves(rows, seed=seed).items():
        told[name] = {"mean": list(curve.mean), "low": list(curve.low), "high": list(curve.high)}
    flat = [
        (score, good, place)
        for place, row in enumerate(rows)
        for score, good in zip(row.scores, row.correct, strict=True)
    ]
    values, labels, places = (list(side) for side in zip(*flat, strict=True))
    told["auc"] = auc(values, labels)
    told["auc_within"] = auc_within(values, labels, places)[0]
    return told


def _weights(problems: int, seed: int) -> Floats:
    drawn = np.random.default_rng(seed).multinomial(problems, np.full(problems, 1 / problems), size=RESAMPLES)
    return np.asarray(drawn, float)


def _harmonic(a: Floats, b: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(a + b > 0, 2 * a * b / (a + b), np.where(np.isnan(a + b), math.nan, 0.0)), float)


def _interval(values: Floats) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
