"""The figures of `reason report`: each from kept runs of one task, or one line that says why there is none.

All are over the problems that every run could be graded on, so that no run is flattered by the problems it lacks; rates
of truncated, unanswered and failed problems are over all problems of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from reason.evals.compare_runs import Compared
from reason.evals.curve import shown_k
from reason.evals.metrics import bootstrap_ci
from reason.evals.record import FAILED, Record
from reason.evals.reliability import wilson
from reason.evals.report import Table
from reason.evals.report_figure import Frame, Point, Series
from reason.evals.stored import StoredRun
from reason.scorers.calibration import expected_calibration_error, known_pairs, reliability
from reason.show import plain
from reason.types import Problem, UsageError

GROUPS = 5
FEWEST = 10
MOST_LEVELS = 12
NAME = 40
LEVELS = ("level", "steps", "difficulty")


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure and what it says.

    Attributes:
        name: Short, for files and anchors.
        heading: Above it.
        text: What it shows and how it was computed.
        frame, series: What is drawn.
        tables: The numbers behind it, where they are not all in the figure.
    """

    name: str
    heading: str
    text: str
    frame: Frame
    series: tuple[Series, ...]
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A figure that is not there: its name and heading, and why."""

    name: str
    heading: str
    why: str


@dataclass(frozen=True, slots=True)
class Told:
    """What the figures are computed from.

    Attributes:
        runs: Of one task.
        compared: The runs side by side, every run an entry of its own.
        known: The problems that every run could be graded on.
        problems: The tasks' problems by id, from the runs' traces; may lack some.
    """

    runs: tuple[StoredRun, ...]
    compared: Compared
    known: tuple[str, ...]
    problems: Mapping[str, Problem]

    def of(self, run: StoredRun) -> list[Record]:
        """The run's records of the known problems, in their order."""
        by_id = {row.problem: row for row in run.records}
        return [by_id[problem] for problem in self.known]


Made = Panel | LeftOut


def panels(told: Told) -> list[Made]:
    """All figures, in the page's order."""
    makers: tuple[Callable[[Told], Made], ...] = (accuracy, frontier, difficulty, confidence, scores, length, rates)
    return [make(told) for make in makers]


def label(run: StoredRun) -> str:
    """The run's name for a figure: printable, and not too long."""
    name = plain(run.name).replace("\n", " ")
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"


def accuracy(told: Told) -> Made:
    """Accuracy against generated tokens: a curve over k for independent samples, a point for any other run."""
    series = []
    for run, line in zip(told.runs, told.compared.lines, strict=True):
        points = _curve(run, told.known) or (Point(line.tokens, line.accuracy, line.low, line.high),)
        name = f"{label(run)}, k = 1 … {run.n}" if len(points) > 1 else label(run)
        series.append(Series(name, points))
    if not all(point.x > 0 for item in series for point in item.points):
        return LeftOut("accuracy", "Accuracy against tokens", "a run generated no tokens, which no such axis can show.")
    text = (
        f"{len(told.known)} problems that every run was graded on. Bars and bands are 95 % bootstrap intervals over "
        "problems. A run of independent samples is a curve: what its selection is expected to do with k of its "
        "samples, ties drawn by lot, so that its end can differ a little from the run's own accuracy."
    )
    frame = Frame("accuracy, with 95 % intervals", "generated tokens per problem")
    return Panel("accuracy", "Accuracy against tokens", text, frame, tuple(series))


def _curve(run: StoredRun, known: Sequence[str]) -> tuple[Point, ...]:
    """Over k, from one run; empty where the strategy or the run allows none."""
    if run.selection is None or run.n < 2:
        return ()
    try:
        outcomes = run.over_k()
    except UsageError:
        return ()
    points = []
    for k in shown_k(run.n):
        costs, values = run.costs(k), [outcomes[problem][k - 1] for problem in known]
        tokens = math.fsum(costs[problem] for problem in known) / len(known)
        points.append(Point(tokens, float(np.mean(values)), *bootstrap_ci(values)))
    return tuple(points)


def frontier(told: Told) -> Made:
    """What no other run, at any k, beats for at most its tokens."""
    heading = "The strategies' frontier"
    found = told.compared.frontier
    lines = told.compared.lines
    if len(lines) < 2 and len(found) < 2:
        return LeftOut("frontier", heading, "one run at one price has nothing to be compared with.")
    prices = [*(point.tokens for point in found), *(line.tokens for line in lines)]
    if not all(price > 0 for price in prices):
        return LeftOut("frontier", heading, "a run generated no tokens, which no such axis can show.")
    steps = [Point(point.tokens, point.accuracy) for point in found]
    steps.append(Point(max(prices), steps[-1].y))
    series = [
        Series(label(run), (Point(line.tokens, line.accuracy, line.low, line.high),))
        for run, line in zip(told.runs, lines, strict=True)
    ]
    series.append(Series("best for its tokens", tuple(steps), "steps"))
    rows = tuple(
        (
            plain(point.name) + (f", k = {point.k}" if point.k is not None else ""),
            f"{point.tokens:,.0f}",
            f"{100 * point.accuracy:.1f} %",
            f"{100 * point.sure:.0f} %",
        )
        for point in found
    )
    text = (
        "Whole runs, and the line that none of them, with all or some of its samples, is above at that price. "
        "“Sure” is the share of bootstrap samples of the problems in which the point stays on the frontier."
    )
    table = Table("Best for its tokens.", ("run", "tokens", "accuracy", "sure"), rows)
    frame = Frame("accuracy, with 95 % intervals", "generated tokens per problem")
    return Panel("frontier", heading, text, frame, tuple(series), (table,))


def pass_rates(told: Told) -> dict[str, float]:
    """Each known problem's share of correct samples, or of correct answers where there are none, mean over runs."""
    rates: dict[str, list[float]] = {problem: [] for problem in told.known}
    for run in told.runs:
        for row in told.of(run):
            rates[row.problem].append(rate(row))
    return {problem: math.fsum(found) / len(found) for problem, found in rates.items()}


def rate(row: Record) -> float:
    """The share of a record's independent samples that are correct; its outcome where it has none."""
    if not row.samples:
        return float(row.correct)
    return sum(correct for _, correct, _ in row.samples) / len(row.samples)


def difficulty(told: Told) -> Made:
    """Accuracy by the task's own level, or else by quintile of the problems' pass rate."""
    heading = "By difficulty"
    groups = _levels(told)
    if groups is not None:
        name, members = groups
        text = f"Accuracy by the task's own difficulty ({name}), with Wilson intervals."
    else:
        members = _quintiles(pass_rates(told))
        name = "pass rate over all runs, hardest fifth first"
        text = (
            "Problems in fifths by their pass rate over all runs (equal rates stay together, so there may be fewer), "
            "with Wilson intervals. The fifths come from these same runs: compare runs within a fifth, not fifths."
        )
    if len(told.known) < FEWEST or len(members) < 2:
        why = "it needs 10 problems at least, of a level of their own or of pass rates that differ."
        return LeftOut("difficulty", heading, why)
    series = []
    for run in told.runs:
        good = {row.problem: float(row.correct) for row in told.of(run)}
        points = []
        for place, ids in enumerate(members.values()):
            share = math.fsum(good[problem] for problem in ids) / len(ids)
            points.append(Point(place, share, *wilson(share, len(ids))))
        series.append(Series(label(run), tuple(points), "bars"))
    names = tuple(f"{group}\n({len(ids)})" for group, ids in members.items())
    frame = Frame("accuracy; the number of problems in brackets", name, "names", names)
    return Panel("difficulty", heading, text, frame, tuple(series))


def _levels(told: Told) -> tuple[str, dict[str, list[str]]] | None:
    """The first kind of level that every problem has, with the problems of each; None without, or with few in each."""
    for name in LEVELS:
        found: dict[int, list[str]] = {}
        for problem in told.known:
            level = told.problems[problem].meta.get(name) if problem in told.problems else None
            if isinstance(level, bool) or not isinstance(level, int):
                break
            found.setdefault(level, []).append(problem)
        else:
            if 2 <= len(found) <= MOST_LEVELS and len(told.known) >= FEWEST * len(found):
                return name, {str(level): found[level] for level in sorted(found)}
    return None


def _quintiles(rates: Mapping[str, float]) -> dict[str, list[str]]:
    """Problems in at most five groups of about equal size by rising rate; those of equal rates are never split."""
    order = sorted(rates, key=lambda problem: rates[problem])
    values = np.round([rates[problem] for problem in order], 9)
    borders = np.array([0, *(np.flatnonzero(np.diff(values)) + 1), len(order)])
    wanted = [len(order) * group / GROUPS for group in range(1, GROUPS)]
    ends = sorted({int(borders[np.abs(borders - place).argmin()]) for place in wanted} | {len(order)})
    groups: dict[str, list[str]] = {}
    for start, end in pairwise([0, *(end for end in ends if end)]):
        low, high = f"{100 * values[start]:.0f}", f"{100 * values[end - 1]:.0f}"
        name = f"{low} %" if low == high else f"{low}–{high} %"
        groups.setdefault(name, []).extend(order[start:end])
    return groups


def confidence(told: Told) -> Made:
    """Vote confidence of the answer against its correctness, a value per problem."""
    pairs = [
        [(row.confidence, float(row.correct)) for row in told.of(run) if row.confidence is not None]
        for run in told.runs
    ]
    text = (
        "For bins of equal count, the share of answers that were right against the mean share of the vote behind them, "
        "with Wilson intervals. On the dashed line a confidence is a probability."
    )
    return _reliability(
        told, "confidence", "Calibration of the vote's confidence", text, "confidence of the answer", pairs
    )


def scores(told: Told) -> Made:
    """The value of each independent sample against its correctness."""
    pairs = [
        [
            (float(value), float(correct))
            for row in told.of(run)
            for _, correct, value in row.samples or ()
            if value is not None and run.selection == "naive"
        ]
        for run in told.runs
    ]
    text = (
        "For bins of equal count, the share of samples that were right against their mean score, with Wilson intervals "
        "(which take samples of one problem as independent, so they are too narrow)."
    )
    return _reliability(told, "scores", "Calibration of the scores", text, "score of the sample", pairs)


def _reliability(
    told: Told, name: str, heading: str, text: str, axis: str, pairs: Sequence[Sequence[tuple[float, float]]]
) -> Made:
    """The reliability diagram of (value, outcome) pairs, a line for each run that has enough of them."""
    series, rows = [], []
    for look, (run, found) in enumerate(zip(map(label, told.runs), pairs, strict=True)):
        values, labels = [value for value, _ in found], [good for _, good in found]
        if len(found) < FEWEST or min(values) == max(values) or not all(0 <= value <= 1 for value in values):
            continue
        known = known_pairs(values, labels)
        bins = reliability(*known, bins=min(GROUPS * 2, len(found) // 5))
        points = tuple(Point(entry.value, entry.share, *wilson(entry.share, entry.count)) for entry in bins)
        series.append(Series(run, points, "bars", look))
        missed = expected_calibration_error(*known)
        rows.append((run, f"{len(found):,}", f"{100 * missed:.1f} %", f"{100 * np.mean(labels):.1f} %"))
    if not series:
        return LeftOut(name, heading, f"no run has {FEWEST} such values that differ and lie between 0 and 1.")
    table = Table("Expected calibration error.", ("run", "values", "ECE", "right"), tuple(rows))
    return Panel(name, heading, text, Frame("share that was right", axis, "share", (), True), tuple(series), (table,))


def length(told: Told) -> Made:
    """How long the chosen solutions are, right and wrong ones."""
    heading = "Length of the chosen solutions"
    series, rows = [], []
    for look, run in enumerate(told.runs):
        chosen = [row for row in told.of(run) if row.text]
        sizes = sorted(len(row.text) for row in chosen)
        if not sizes:
            continue
        shares = [(place + 1) / len(sizes) for place in range(len(sizes))]
        points = tuple(Point(*pair) for pair in zip(sizes, shares, strict=True))
        series.append(Series(label(run), points, "steps", look))
        halves = ([len(row.text) for row in chosen if row.correct is good] for good in (True, False))
        medians = [f"{np.median(half):,.0f}" if half else "–" for half in halves]
        rows.append((label(run), f"{np.median(sizes):,.0f}", *medians, f"{sizes[-1]:,}"))
    if not series:
        return LeftOut("length", heading, "no run kept the text of a solution.")
    text = "The share of problems whose chosen solution has at most so many characters."
    columns = ("run", "median", "where right", "where wrong", "longest")
    frame = Frame("share of problems", "characters of the chosen solution", "log")
    return Panel("length", heading, text, frame, tuple(series), (Table("Characters.", columns, tuple(rows)),))


def rates(told: Told) -> Made:
    """The shares of problems that were cut off, came to no answer, or failed."""
    kinds: dict[str, Callable[[Record], bool]] = {
        "cut off by a limit": lambda row: row.truncated,
        "no answer": lambda row: row.no_answer,
        "search failed": lambda row: row.verdict == FAILED,
    }
    series = []
    for name, holds in kinds.items():
        points = []
        for place, run in enumerate(told.runs):
            share = sum(map(holds, run.records)) / len(run.records)
            points.append(Point(place, share, *wilson(share, len(run.records))))
        series.append(Series(name, tuple(points), "rows"))
    if not any(point.y for item in series for point in item.points):
        return LeftOut("rates", "Cut off and unanswered", "no problem was cut off or unanswered, and no search failed.")
    names = tuple(label(run) for run in told.runs)
    rows = tuple(
        (
            name,
            f"{len(run.records):,}",
            *(f"{100 * item.points[place].y:.1f} %" for item in series),
            _share(run, "truncated_candidates"),
            _share(run, "unanswered_candidates"),
        )
        for place, (name, run) in enumerate(zip(names, told.runs, strict=True))
    )
    columns = ("run", "problems", *kinds, "samples cut off", "samples unanswered")
    text = "Over all problems of each run, with Wilson intervals; below also the same over all solutions sampled."
    frame = Frame("share of problems, with 95 % intervals", "", "share", names)
    table = Table("Cut off, unanswered, failed.", columns, rows)
    return Panel("rates", "Cut off and unanswered", text, frame, tuple(series), (table,))


def _share(run: StoredRun, name: str) -> str:
    total = sum(row.candidates for row in run.records)
    return f"{100 * sum(getattr(row, name) for row in run.records) / total:.1f} %" if total else "–"
