"""Compute-optimal search: for each problem the strategy, and as much of it, as pays.

Snell et al. 2408.03314: which way of spending test-time compute is best depends on how hard a problem is for the model;
choosing it per problem, by an estimate of the difficulty, needed a quarter of best-of-n's tokens. Here:

1. a cheap look (one or two samples, or a small beam search) gives judged solutions, and these an estimate of difficulty
   (`reason.search.difficulty`);
2. a table fitted on other problems (`reason tune`, `reason.search.table`) says how often every (strategy, n) is right
   on such problems and what it costs; "answer with what is there" and "look again, then decide" are options too;
3. the option with the greatest accuracy - price * tokens is taken. The price is the one at which calibration problems
   cost n whole solutions on average; what they leave over on easy problems is spent on the hard ones.

Going on with best-of-n or a vote uses the samples that are there; other strategies run anew and what was found before
competes with their candidates. Whatever was paid for is a candidate, and no solution is judged twice.

Deviations: Snell et al. fix one budget per problem, pick the strategy by bin and charge nothing for the estimate. Here
the estimate is paid for, the budget holds on average (so problems differ in how much they get, not only in what), and
the decision is sequential: one look can be enough. The plan is solved backwards over the stages, exactly for the table
(`reason.search.frontier`). Where the budget lies between two options, a hash of the problem's id says which problems
get the larger one, so that the mean cost meets the budget.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Any

from reason.search.difficulty import features, signs
from reason.search.frontier import Point, at_price, average, envelope, price_of
from reason.search.select import candidate, complete_first, conclude, judge_unique, paid_for
from reason.search.strategy import SCORER, Strategy, number
from reason.search.table import SAMPLING, STOP, Arm, Ladder, Stage, Table, read
from reason.types import Candidate, Failure, Finish, Outcome, Path, Problem, Score, UsageError
from reason.work import Judge, Results, SearchRun, Work, extend, judge

MORE = -1
"""The option of drawing the samples of the next stage."""

Known = dict[tuple[str, Finish], Score]


def curves_of(ladder: Ladder) -> tuple[tuple[tuple[Point, ...], ...], ...]:
    """For every stage and cell the curve of what can be had from there on; a point's option is an arm or MORE."""
    found: list[tuple[tuple[Point, ...], ...]] = []
    for stage in reversed(ladder):
        rows = []
        for cell in range(len(stage.problems)):
            points = [Point(arm.tokens[cell], arm.accuracy[cell], at) for at, arm in enumerate(stage.arms)]
            if stage.more:
                points += average(list(zip(stage.following[cell], found[-1], strict=True)), stage.more[cell], MORE)
            rows.append(envelope(points))
        found.append(tuple(rows))
    return tuple(reversed(found))


class Plan:
    """What to do at every stage, in every cell, at a budget.

    Args:
        table: What is known.
        n: Budget in whole solutions, on average over problems.
        price: Accuracy that a token must bring; replaces n.

    Attributes:
        table: The same.
        price: Per token.
        share: In how many of the cases an option that is just worth its price is taken.
    """

    def __init__(self, table: Table, n: float, price: float | None = None) -> None:
        self.table = table
        self.curves = tuple(curves_of(ladder) for ladder in table.ladders)
        starts = [replace(point, option=at) for at, curves in enumerate(self.curves) for point in curves[0][0]]
        self.root = envelope(starts)
        wanted = max(n * table.solution_tokens, self.root[0].tokens)
        self.price, self.share = price_of(self.root, wanted) if price is None else (price, 1.0)

    def ladder(self, share: float) -> int:
        """Which ladder to climb."""
        return at_price(self.root, self.price, ties=share < self.share).option

    def option(self, ladder: int, stage: int, cell: int, share: float) -> int:
        """What to do: an arm of the stage, or MORE.

        Args:
            ladder, stage, cell: Where the problem is.
            share: In [0, 1), the problem's own; below the plan's, ties go to the larger option.
        """
        return at_price(self.curves[ladder][stage][cell], self.price, ties=share < self.share).option

    @property
    def expected(self) -> tuple[float, float]:
        """Accuracy and tokens that the table lets one expect, by problem."""
        low, high = (at_price(self.root, self.price, ties=ties) for ties in (False, True))
        accuracy = low.accuracy + self.share * (high.accuracy - low.accuracy)
        return accuracy, low.tokens + self.share * (high.tokens - low.tokens)


def compute_optimal(
    table: Table,
    n: float = 16,
    *,
    price: float | None = None,
    strategies: Sequence[str] | None = None,
) -> Strategy:
    """Choose strategy and size per problem.

    Args:
        table: From `load_table`.
        n: Budget in whole solutions, on average over problems like the calibration's.
        price: Accuracy that a token must bring, instead of n.
        strategies: The only ones to use; None: all of the table's.

    Raises:
        UsageError: n is below 1, the price negative, or no strategy is left.
    """
    number("n", n, 1)
    if price is not None:
        number("price", price)
    used = table if strategies is None else restricted(table, strategies)
    plan = Plan(used, n, price)

    def run(problem: Problem) -> SearchRun:
        state, share = State(problem, table.scorer is not None), share_of(problem)
        ladder, at = plan.ladder(share), 0
        stages = used.ladders[ladder]
        while (option := plan.option(ladder, at, state.cell(stages[at]), share)) == MORE:
            at += 1
            yield from state.look(stages[at])
            if state.cut:
                return state.outcome()
        yield from state.take(stages[at].arms[option])
        return state.outcome()

    return Strategy("compute_optimal", run, needs_of(used))


def needs_of(table: Table) -> frozenset[str]:
    """What the table's strategies need."""
    needs = frozenset({SCORER} if table.scorer is not None else ())
    for name, n in {run for ladder in table.ladders for stage in ladder for run in runs_of(stage)}:
        needs |= build(name, n).needs
    return needs


def runs_of(stage: Stage) -> list[tuple[str, int]]:
    """What may be run at a stage or to get there."""
    looks = [] if stage.look is None else [stage.look]
    return looks + [(arm.strategy, arm.n) for arm in stage.arms if arm.strategy != STOP]


def from_file(file: str | FilePath, n: float = 16, **options: object) -> Strategy:
    """`compute_optimal` with the table in a file; what `--strategy compute_optimal=FILE` builds.

    Args:
        file: What `reason tune` wrote.
        n: Budget in whole solutions, on average.
        options: Those of `compute_optimal`, and model and scorer: those of the run, to be compared with the table's.

    Raises:
        UsageError: The file is no usable table, or was fitted on another model or scorer.
    """
    table = load_table(file)
    names = {"model", "scorer"} & set(options)
    table.check(**{name: options.pop(name) for name in names})  # type: ignore[arg-type]
    return compute_optimal(table, n, **options)  # type: ignore[arg-type]


def bundled_table() -> FilePath:
    """The table of the bundled model."""
    return FilePath(str(files("reason"))) / "models" / "compute_optimal" / "word_problems.json"


def table_file(strategy: str) -> FilePath:
    """The table that `compute_optimal=FILE` names; the bundled model's for `compute_optimal` alone."""
    _, _, file = strategy.partition("=")
    return FilePath(file) if file else bundled_table()


def load_table(file: str | FilePath | None = None) -> Table:
    """The table that `reason tune` wrote to a file; None is the bundled model's.

    Raises:
        UsageError: The file is no usable table, or names strategies that there are not.
    """
    from reason.search import STRATEGIES

    return read(bundled_table() if file is None else file, list(STRATEGIES))


def build(name: str, n: int) -> Strategy:
    """The strategy of that name."""
    from reason.search import STRATEGIES

    return STRATEGIES[name](n)


def restricted(table: Table, strategies: Sequence[str]) -> Table:
    """The table without other strategies.

    Raises:
        UsageError: One is not in the table.
    """
    known = {name for ladder in table.ladders for stage in ladder for name, _ in runs_of(stage)}
    unknown = sorted(set(strategies) - known)
    if unknown or not strategies:
        raise UsageError(
            f"strategies={list(strategies)!r}: the table has {', '.join(sorted(known))}; pass some of them"
        )
    ladders = []
    for ladder in table.ladders:
        left = tuple(_restricted(stage, strategies) for stage in ladder)
        if left[-1].arms and all(stage.look is None or stage.look[0] in strategies for stage in ladder):
            ladders.append(left)
    alone = _restricted(replace(table.ladders[0][0], more=(), following=()), strategies)
    if not ladders and not alone.arms:
        looks = sorted({stage.look[0] for ladder in table.ladders for stage in ladder if stage.look is not None})
        raise UsageError(
            f"strategies={list(strategies)!r}: none of the table's plans does with these alone; "
            f"pass those it looks with too: {', '.join(looks)}"
        )
    return replace(table, ladders=tuple(ladders) or ((alone,),))


def _restricted(stage: Stage, strategies: Sequence[str]) -> Stage:
    return replace(stage, arms=tuple(arm for arm in stage.arms if arm.strategy in (STOP, *strategies)))


def share_of(problem: Problem) -> float:
    """The problem's own number in [0, 1)."""
    digest = hashlib.blake2b(f"compute_optimal\0{problem.id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


class State:
    """What has been found for a problem.

    Args:
        problem: The problem.
        judged: Whether there is a scorer.

    Attributes:
        candidates: All solutions paid for, judged if there is a scorer.
        drawn: How many independent samples were asked for.
        cut: Whether the budget has ended.
    """

    def __init__(self, problem: Problem, judged: bool) -> None:
        self.problem, self.judged = problem, judged
        self.candidates: list[Candidate] = []
        self.drawn = 0
        self.cut = False
        self._known: Known = {}
        self._last: Outcome | None = None
        self._select = "naive" if judged else "majority"
        self._searched = False
        self._tree: Any = None
        self._failures: tuple[Failure, ...] = ()

    def cell(self, stage: Stage) -> int:
        """The problem's cell at a stage."""
        return 0 if stage.difficulty is None else stage.difficulty.cell(features(signs(self.candidates)))

    def look(self, stage: Stage) -> Generator[Work, Results, None]:
        """Run the stage's look."""
        if stage.look is not None:
            yield from self.run(*stage.look)

    def take(self, arm: Arm) -> Generator[Work, Results, None]:
        """Run an arm and choose as it does."""
        if arm.strategy != STOP:
            yield from self.run(arm.strategy, arm.n)
        self._select = arm.select

    def run(self, name: str, n: int) -> Generator[Work, Results, None]:
        """Run a strategy; a sampling one goes on until there are n samples."""
        if name in SAMPLING:
            yield from self._draw(n)
            return
        first = not self.candidates
        inner = yield from _judged_once(build(name, n)(self.problem), self._known)
        self._last = inner if first else None
        self._searched = True
        self._tree = inner.tree
        self.candidates += inner.candidates
        self._failures += inner.failures
        self.cut = self.cut or inner.stopped == "budget"

    def _draw(self, n: int) -> Generator[Work, Results, None]:
        paths = yield from extend([Path(self.problem)] * (n - self.drawn))
        self.drawn, self._last = n, None
        self.cut = self.cut or any(path.finish is Finish.BUDGET for path in paths)
        solutions = [path for path in paths if paid_for(path)]
        if self.judged:
            scores = yield from judge_unique(solutions, self._known)
            self.candidates += [candidate(path, score) for path, score in zip(solutions, scores, strict=True)]
        else:
            self.candidates += [candidate(path) for path in solutions]

    def outcome(self) -> Outcome:
        """The outcome: that of the one strategy that ran, or the choice among everything that was found."""
        stopped = "budget" if self.cut else "done"
        if self._last is not None:
            return self._last
        among = complete_first(self.candidates) if self._searched else None
        outcome = conclude(self.problem, self.candidates, self._select, among=among, tree=self._tree, stopped=stopped)
        return replace(outcome, failures=(*self._failures, *outcome.failures))


def _judged_once(search: SearchRun, known: Known) -> SearchRun:
    """The search, answered from what is known where it wants something judged that has been, steps included."""
    try:
        work = next(search)
        while True:
            results: Results
            if isinstance(work, Judge):
                ready = [_recalled(path, known) for path in work.paths]
                unknown = [path for path, score in zip(work.paths, ready, strict=True) if score is None]
                scores = yield from judge(unknown)
                known.update(((path.text, path.finish), score) for path, score in zip(unknown, scores, strict=True))
                fresh = iter(scores)
                results = [next(fresh) if score is None else score for score in ready]
            else:
                results = yield work
            work = search.send(results)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    finally:
        search.close()


def _recalled(path: Path, known: Known) -> Score | None:
    """The judgement of an equal path, with a value for each of this path's steps; None if there is none."""
    score = known.get((path.text, path.finish))
    if score is None or not score.scored:
        return None
    if len(score.steps) == len(path.steps):
        return replace(score, tokens=0)
    return replace(score, tokens=0, steps=score.parts) if len(score.parts) == len(path.steps) else None
