"""`reason demo`: the strategies side by side on the bundled models; a table on the terminal, a report as HTML."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path as FilePath
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reason.evals.command import interval, percent, version_of
from reason.evals.compare import (
    BEAM,
    BEST,
    GREEDY,
    MAJORITY,
    MCTS,
    WEIGHTED,
    Comparison,
    Difference,
    Line,
    compare,
    differences,
)
from reason.evals.metrics import Curve, Samples, curves
from reason.evals.report import Point, Report, Series, page
from reason.evals.report import Table as PageTable
from reason.evals.tasks import Task
from reason.evals.tasks import load as load_task
from reason.resolve import default_sampling, find_policy, find_scorer
from reason.show import json_line
from reason.types import Sampling, UsageError

TASK = "word_problems"
VERSIONS = ("reason-toolkit", "torch", "transformers", "numpy")
COLUMNS = ("strategy", "accuracy", "95 % interval", "generated", "scored", "ratio", "seconds")
BASELINES = (GREEDY, BEST)


def labels(n: int) -> dict[str, str]:
    """What each strategy is called in the tables."""
    return {
        GREEDY: "greedy chain of thought",
        MAJORITY: f"self-consistency-{n}",
        BEST: f"best-of-{n}",
        WEIGHTED: f"weighted best-of-{n}",
        BEAM: "beam 4 × 4" if n == 16 else f"beam, n {n}",
        MCTS: f"MCTS, n {n}",
    }


def run_demo(*, out: FilePath, limit: int, n: int, seed: int, as_json: bool) -> int:
    """Compare, print, write `report.html` and `results.json` to `out`; returns the exit code.

    Raises:
        UsageError: limit or n is below 1.
    """
    for name, value in (("limit", limit), ("n", n)):
        if value < 1:
            raise UsageError(f"{name} is {value}: pass --{name} 1 or more")
    console = Console(stderr=as_json)
    task = load_task(TASK)
    problems = task.load(limit=limit, seed=seed)
    policy = find_policy("bundled")
    new_scorer = partial(find_scorer, "process", policy=policy)
    sampling = default_sampling(policy)
    names = labels(n)
    console.print(
        f"{len(problems)} held-out problems, the bundled models, a budget of {n} solutions",
        highlight=False,
    )
    with Live(console=console, refresh_per_second=4) as live:
        rows: list[tuple[str, ...]] = []

        def show(running: str, done: int, lines: Sequence[Line]) -> None:
            rows.extend(_cells(line, names) for line in lines[len(rows) :])
            live.update(_table(rows, f"{names[running]}: {done} of {len(problems)}"))
            if done == 0 and not console.is_terminal:
                print(f"{names[running]} …", file=console.file, flush=True)

        comparison = compare(
            problems,
            task.grade,
            policy=policy,
            new_scorer=new_scorer,
            n=n,
            seed=seed,
            sampling=sampling,
            on_progress=show,
        )
        live.update(_table([_cells(line, names) for line in comparison.lines]))
    console.print()
    against = [item for baseline in BASELINES for item in differences(comparison, baseline)]
    console.print(_plain_table(_difference_header(names), _difference_rows(against, names)), highlight=False)
    facts = _facts(comparison, seed, sampling)
    found = curves(_samples(comparison, task))
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(_data(comparison, against, facts), indent=2) + "\n", "utf-8")
    (out / "report.html").write_text(page(_report(comparison, found, against, names, facts)), "utf-8")
    console.print(f"Written: {out / 'report.html'}", highlight=False, soft_wrap=True)
    if as_json:
        print(json_line(_data(comparison, against, facts)))
    return 0


def _cells(line: Line, names: Mapping[str, str]) -> tuple[str, ...]:
    told = line.summary()
    generated, scored = told["generated_tokens"], told["scored_tokens"]
    return (
        names[line.strategy],
        percent(told["accuracy"]),
        interval(told["ci95"]),
        f"{generated:,}",
        f"{scored:,}",
        f"{scored / generated:.2f}" if generated and scored else "–",
        f"{told['seconds']:.1f}",
    )


def _table(rows: Sequence[tuple[str, ...]], running: str = "") -> RenderableType:
    table = _plain_table(COLUMNS, rows)
    return Group(table, Text(running, style="dim")) if running else table


def _difference_rows(found: Sequence[Difference], names: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """One row for each strategy; in it, the difference against each baseline with its interval."""
    said = {
        (item.strategy, item.baseline): f"{_points(item.mean)} ({_points(item.low)} to {_points(item.high)})"
        for item in found
    }
    return tuple(
        (label, *(said.get((strategy, baseline), "–") for baseline in BASELINES))
        for strategy, label in names.items()
        if strategy != GREEDY
    )


def _points(share: float) -> str:
    return f"{round(100 * share):+d}"


def _difference_header(names: Mapping[str, str]) -> tuple[str, ...]:
    return ("difference, in points", "against greedy", f"against {names[BEST]}")


def _plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for index, column in enumerate(header):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _facts(comparison: Comparison, seed: int, sampling: Sampling) -> dict[str, str]:
    facts = {
        "task": TASK,
        "problems": str(len(comparison.samples)),
        "model": "bundled",
        "scorer": "process (bundled)",
        "n": str(comparison.n),
        "seed": str(seed),
        "temperature": f"{sampling.temperature:g}",
        "tokens per solution, at most": str(sampling.max_tokens),
        "Python": platform.python_version(),
    }
    return facts | {name: version_of(name) for name in VERSIONS}


def _data(comparison: Comparison, against: Sequence[Difference], facts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "config": dict(facts),
        "strategies": [line.summary() for line in comparison.lines],
        "differences": [asdict(item) for item in against],
    }


def _series(comparison: Comparison, found: Mapping[str, Curve], names: Mapping[str, str]) -> tuple[Series, ...]:
    """Curves over k = 1 … n from the one run of n, and a point for each strategy that samples for itself."""
    problems = len(comparison.samples)
    drawn = sum(record.generated_tokens for record in comparison.line(MAJORITY).records)
    each = drawn / problems / comparison.n
    kinds = {"naive": "best-of-k", "weighted": "weighted best-of-k", "majority": "majority of k"}
    series = [
        Series(
            f"{label}, k = 1 … {comparison.n}",
            tuple(Point(each * k, *row) for k, *row in zip(curve.k, curve.mean, curve.low, curve.high, strict=True)),
        )
        for name, label in kinds.items()
        if (curve := found.get(name)) is not None
    ]
    for strategy in (GREEDY, BEAM, MCTS):
        told = comparison.line(strategy).summary()
        if told["accuracy"] is not None and told["generated_tokens"]:
            spent = told["generated_tokens"] / problems
            series.append(Series(names[strategy], (Point(spent, told["accuracy"], *told["ci95"]),)))
    return tuple(series)


def _report(
    comparison: Comparison,
    found: Mapping[str, Curve],
    against: Sequence[Difference],
    names: Mapping[str, str],
    facts: Mapping[str, str],
) -> Report:
    problems, n = len(comparison.samples), comparison.n
    best = comparison.line(BEST).summary()
    greedy = comparison.line(GREEDY).summary()
    results = PageTable(
        f"{problems} held-out problems. Tokens and seconds are over all of them; the ratio is scored tokens per "
        "generated token.",
        COLUMNS,
        tuple(_cells(line, names) for line in comparison.lines),
    )
    paired = PageTable(
        "Differences in accuracy on the same problems, in percentage points, with 95 % intervals (paired bootstrap).",
        _difference_header(names),
        _difference_rows(against, names),
    )
    return Report(
        "Accuracy against tokens, on the bundled model",
        (
            f"One small model, {problems} held-out word problems, six ways to spend tokens. Greedy chain of thought "
            f"answers {percent(greedy['accuracy'])}; choosing the best of {n} samples with the process reward model "
            f"answers {percent(best['accuracy'])}.",
        ),
        _series(comparison, found, names),
        (results, paired),
        _notes(comparison, found),
        facts,
    )


def _notes(comparison: Comparison, found: Mapping[str, Curve]) -> tuple[str, ...]:
    n = comparison.n
    weighted = found.get("weighted")
    how = "exactly" if weighted is None or weighted.exact else "exactly (weighted best-of-k: over random orders)"
    return (
        f"Self-consistency drew {n} solutions of every problem. Best-of-{n} and weighted best-of-{n} select among "
        "those same samples, so the three differ by the selection alone. Each is charged with the sampling, the last "
        "two with the judging as well. Beam search and MCTS drew their own, with the same budget in whole solutions.",
        f"The curves are expectations over all subsets of k of the {n} samples, computed {how}; bands and bars "
        "are 95 % bootstrap intervals over problems. Greedy decoding is no sample: its point lies beside the curves.",
        "Scored tokens are those that passed through the process reward model; a token passes once, and a prompt once "
        "a problem.",
    )


def _samples(comparison: Comparison, task: Task) -> list[Samples]:
    """Each problem's samples for `curves`; a sample that failed counts as one without an answer."""
    rows = []
    for outcome in comparison.samples:
        kept = outcome.candidates
        missing = comparison.n - len(kept)
        rows.append(
            Samples(
                tuple(item.answer for item in kept) + (None,) * missing,
                tuple(task.grade(outcome.problem, item.path.text).correct for item in kept) + (False,) * missing,
                tuple(item.score for item in kept) + (math.nan,) * missing,
            )
        )
    return rows
