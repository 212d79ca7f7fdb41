"""Fits the table of compute-optimal search on recorded runs, and says what it would do on others.

The runs of a calibration problem are N independent samples and some runs of every other strategy at every n. One
repetition takes the samples in a random order and one of the runs of each other strategy: a look at w samples sees the
first w, best-of-n and the votes choose among the first n, and the candidates of all that has been run by then are
joined, as when searching. Repetitions of a problem share its weight, so they lower the noise of drawing and count as
one problem. All k up to N come from the one run of N samples.

- Accuracy of an arm in a cell: its measured share there, shrunk towards a trend. The trend is a logistic regression of
  being right on the log-odds of both difficulty estimates, over all cells; it counts as `shrinkage` problems.
- Tokens of an arm in a cell: the mean there, shrunk likewise towards the cell's solution length times what the arm
  costs, in solutions, over all cells.
- Probabilities of the next stage's cells: shares, shrunk towards the share over all cells.

`simulate` follows a fitted table through other problems' records. Cross-validated, it says what compute-optimal search
will bring before a token is spent on it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reason.search.compute_optimal import MORE, Plan
from reason.search.difficulty import Difficulty, Sign, features, fit_difficulty, fit_logistic, logit, winner
from reason.search.table import SAMPLING, STOP, Arm, Ladder, Stage, Table

REPEATS = 8
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """A strategy's run on a problem.

    Attributes:
        right: Whether its answer is.
        tokens: Generated tokens.
        signs: Its candidates; answers of one problem are grouped over all its runs.
        correct: Whether each candidate is.
    """

    right: bool
    tokens: int
    signs: tuple[Sign, ...]
    correct: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A calibration problem.

    Attributes:
        problem: Its id.
        samples: The run of independent samples.
        drawn: How many were asked for.
        runs: The other strategies' runs, independent of each other, by (strategy, n).
    """

    problem: str
    samples: Run
    drawn: int
    runs: Mapping[tuple[str, int], Sequence[Run]]

    @property
    def length(self) -> float:
        """Tokens of a sample, on average."""
        return self.samples.tokens / self.drawn


@dataclass(frozen=True, slots=True)
class Settings:
    """How a table is fitted.

    Attributes:
        arms: (strategy, n); sampling strategies need samples to choose from.
        selections: How each strategy chooses among its candidates and those that were there before.
        ladders: Sequences of looks, each an arm.
        bins, inner: Bins of "settled", and of "success" in each.
        shrinkage: Problems that the trend counts as.
        seed: Of the random orders.
    """

    arms: tuple[tuple[str, int], ...]
    selections: Mapping[str, str]
    ladders: tuple[tuple[tuple[str, int], ...], ...]
    bins: int = 6
    inner: int = 2
    shrinkage: float = 20.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Repetition:
    """One way in which a problem's runs could have come.

    Attributes:
        number: Of the case.
        case: The problem.
        order: Of its samples; numbers beyond those that were paid for stand for samples that failed.
        turn: Which of its runs is taken.
    """

    number: int
    case: Case
    order: tuple[int, ...]
    turn: int

    def first(self, n: int) -> tuple[list[Sign], list[bool]]:
        """The first n samples that were paid for, and whether each is right."""
        samples = self.case.samples
        kept = [index for index in self.order[:n] if index < len(samples.signs)]
        return [samples.signs[index] for index in kept], [samples.correct[index] for index in kept]

    def run(self, arm: tuple[str, int]) -> Run:
        """The run of an arm that does not sample."""
        runs = self.case.runs[arm]
        return runs[self.turn % len(runs)]


def repetitions(cases: Sequence[Case], seed: int) -> list[Repetition]:
    """All of them, problem by problem."""
    found = []
    for number, case in enumerate(cases):
        rng = random.Random(f"{seed}/{case.problem}")
        for turn in range(REPEATS):
            found.append(Repetition(number, case, tuple(rng.sample(range(case.drawn), case.drawn)), turn))
    return found


@dataclass(frozen=True, slots=True)
class View:
    """One repetition at one stage.

    Attributes:
        row: Features of what has been found.
        success: The share of the samples not seen that are right.
        settled: Whether the answer so far is.
        right: Of each arm that is offered.
        tokens: What each costs from here on.
    """

    row: tuple[float, ...]
    success: float
    settled: float
    right: tuple[bool, ...]
    tokens: tuple[float, ...]


def offered(settings: Settings, looks: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The arms after these looks: stopping, and what has not been run yet."""
    drawn = drawn_by(looks)
    new = [arm for arm in settings.arms if (arm[1] > drawn if arm[0] in SAMPLING else arm not in looks)]
    return [(STOP, 0), *new] if looks else new


def drawn_by(looks: Sequence[tuple[str, int]]) -> int:
    """How many samples these looks have drawn."""
    return max((n for name, n in looks if name in SAMPLING), default=0)


def view(one: Repetition, looks: Sequence[tuple[str, int]], settings: Settings) -> View:
    """What one repetition shows after these looks."""
    drawn = drawn_by(looks)
    before = [one.run(look) for look in looks if look[0] not in SAMPLING]
    seen, right = one.first(drawn)
    for run in before:
        seen, right = [*seen, *run.signs], [*right, *run.correct]
    stop = settings.selections[STOP]
    found: list[bool] = []
    tokens: list[float] = []
    for name, n in offered(settings, looks):
        if name == STOP:
            found.append(before[0].right if before and len(looks) == 1 else chosen(seen, right, stop, bool(before)))
            tokens.append(0.0)
        elif name in SAMPLING:
            drawn_signs, drawn_right = one.first(n)
            start = len(one.first(drawn)[0])
            joined, correct = [*drawn_signs, *seen[start:]], [*drawn_right, *right[start:]]
            found.append(chosen(joined, correct, settings.selections[name], bool(before)))
            tokens.append((n - drawn) * one.case.length)
        else:
            run = one.run((name, n))
            joined, correct = [*seen, *run.signs], [*right, *run.correct]
            found.append(chosen(joined, correct, settings.selections[name], True) if looks else run.right)
            tokens.append(run.tokens)
    rest = [one.case.samples.correct[i] for i in one.order[drawn:] if i < len(one.case.samples.correct)]
    success = math.fsum(rest) / max(one.case.drawn - drawn, 1)
    settled = float(found[0]) if looks else 0.0
    return View(features(seen) if looks else (), success, settled, tuple(found), tuple(tokens))


def chosen(seen: Sequence[Sign], right: Sequence[bool], select: str, searched: bool) -> bool:
    """Whether the answer is right that is chosen among these candidates, as `reason.search.compute_optimal` does."""
    whole = [index for index, sign in enumerate(seen) if sign.complete and sign.group is not None]
    among = whole if searched and whole else list(range(len(seen)))
    pick = winner([seen[index] for index in among], select)
    return pick is not None and right[among[pick]]


def fit(
    cases: Sequence[Case],
    settings: Settings,
    *,
    model: str,
    scorer: str | None,
    task: str,
    made: Mapping[str, Any],
) -> Table:
    """The table of these problems."""
    every = repetitions(cases, settings.seed)
    ladders = tuple(_ladder(every, looks, settings) for looks in settings.ladders)
    solution = math.fsum(case.length for case in cases) / len(cases)
    return Table(model, scorer, task, solution, ladders, made)


def _ladder(every: Sequence[Repetition], looks: Sequence[tuple[str, int]], settings: Settings) -> Ladder:
    stages: list[Stage] = []
    placed: list[NDArray[np.intp]] = []
    for at in range(len(looks) + 1):
        views = [view(one, looks[:at], settings) for one in every]
        weights = np.full(len(views), 1.0 / REPEATS)
        difficulty = _difficulty(views, weights, settings) if at else None
        cells = np.array([0 if difficulty is None else difficulty.cell(item.row) for item in views])
        stages.append(_stage(looks[:at], difficulty, views, every, cells, settings))
        placed.append(cells)
    for at, look in enumerate(looks):
        cost = [look_tokens(one, look, looks[:at]) for one in every]
        stages[at] = _linked(stages[at], stages[at + 1], placed[at], placed[at + 1], cost)
    return tuple(stages)


def look_tokens(one: Repetition, look: tuple[str, int], before: Sequence[tuple[str, int]]) -> float:
    """What a look costs after others."""
    if look[0] in SAMPLING:
        return (look[1] - drawn_by(before)) * one.case.length
    return one.run(look).tokens


def _difficulty(views: Sequence[View], weights: Floats, settings: Settings) -> Difficulty:
    return fit_difficulty(
        np.array([item.row for item in views]),
        np.array([item.success for item in views]),
        np.array([item.settled for item in views]),
        weights,
        bins=settings.bins,
        inner=settings.inner,
    )


def _stage(
    looks: Sequence[tuple[str, int]],
    difficulty: Difficulty | None,
    views: Sequence[View],
    every: Sequence[Repetition],
    cells: NDArray[np.intp],
    settings: Settings,
) -> Stage:
    count = 1 if difficulty is None else difficulty.cells
    weights = np.full(len(views), 1.0 / REPEATS)
    mass = np.asarray(np.bincount(cells, weights, count), float)

    def mean(values: Sequence[float] | Floats) -> Floats:
        sums = np.bincount(cells, weights * np.asarray(values, float), count)
        return np.asarray(np.divide(sums, mass, out=np.zeros(count), where=mass > 0), float)

    solution = np.array([one.case.length for one in every])
    trend_rows = (
        None
        if difficulty is None
        else np.array([[logit(difficulty.success(item.row)), logit(difficulty.settled(item.row))] for item in views])
    )
    arms: list[Arm] = []
    kept = mass / (mass + settings.shrinkage)
    for at, (name, n) in enumerate(offered(settings, looks)):
        right = np.array([float(item.right[at]) for item in views])
        tokens = np.array([item.tokens[at] for item in views])
        measured = mean(right)
        accuracy = kept * measured + (1 - kept) * mean(_trend(trend_rows, right, weights))
        usual = mean(solution) * (weights @ tokens) / (weights @ solution)
        spent = kept * mean(tokens) + (1 - kept) * usual
        arms.append(Arm(name, n, settings.selections[name], _row(accuracy), _row(measured), _row(spent)))
    success = _row(mean([item.success for item in views]))
    return Stage(looks[-1] if looks else None, difficulty, _row(mass), success, tuple(arms))


def _trend(rows: Floats | None, right: Floats, weights: Floats) -> Floats:
    """How often an arm is expected to be right, for each view, by its difficulty."""
    if rows is None:
        return np.full(len(right), float(weights @ right / weights.sum()))
    model = fit_logistic(rows, right, weights)
    return np.array([model(row) for row in rows])


def _linked(
    stage: Stage, following: Stage, here: NDArray[np.intp], there: NDArray[np.intp], cost: Sequence[float]
) -> Stage:
    """The stage with what leads to the next."""
    count, ahead = len(stage.problems), len(following.problems)
    table = np.zeros((count, ahead))
    np.add.at(table, (here, there), 1.0 / REPEATS)
    mass = table.sum(axis=1)
    chances = (table + _PRIOR * table.sum(axis=0) / table.sum()) / (mass + _PRIOR)[:, None]
    spent = np.bincount(here, np.asarray(cost) / REPEATS, count) / np.maximum(mass, 1e-12)
    return replace(stage, more=_row(spent), following=tuple(_row(row) for row in chances))


_PRIOR = 0.5
"""Problems that the share over all cells counts as, in a cell's probabilities of what follows."""


def _row(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def simulate(table: Table, cases: Sequence[Case], settings: Settings, n: float) -> list[tuple[float, float]]:
    """What compute-optimal search with a budget of n solutions does on these problems: (accuracy, tokens) of each."""
    plan, found = Plan(table, n), np.zeros((len(cases), 2))
    for one in repetitions(cases, settings.seed):
        found[one.number] += _follow(plan, one, settings)
    return [(float(right), float(tokens)) for right, tokens in found / REPEATS]


def _follow(plan: Plan, one: Repetition, settings: Settings) -> tuple[float, float]:
    share, spent, at = (one.turn + 0.5) / REPEATS, 0.0, 0
    ladder = plan.ladder(share)
    looks = settings.ladders[ladder]
    while True:
        stage = plan.table.ladders[ladder][at]
        seen = view(one, looks[:at], settings)
        option = plan.option(ladder, at, 0 if stage.difficulty is None else stage.difficulty.cell(seen.row), share)
        if option != MORE:
            return float(seen.right[option]), spent + seen.tokens[option]
        spent += look_tokens(one, looks[at], looks[:at])
        at += 1


def cross_validate(
    cases: Sequence[Case], settings: Settings, budgets: Sequence[float], folds: int = 5
) -> dict[float, list[tuple[float, float]]]:
    """(accuracy, tokens) of every problem at every budget, each by a table that was fitted without it."""
    found: dict[float, dict[int, tuple[float, float]]] = {budget: {} for budget in budgets}
    for fold in range(folds):
        inside = [case for at, case in enumerate(cases) if at % folds != fold]
        held = [at for at in range(len(cases)) if at % folds == fold]
        if not inside or not held:
            continue
        table = fit(inside, settings, model="", scorer=None, task="", made={})
        for budget in budgets:
            results = simulate(table, [cases[at] for at in held], settings, budget)
            found[budget].update(zip(held, results, strict=True))
    return {budget: [rows[at] for at in sorted(rows)] for budget, rows in found.items()}
