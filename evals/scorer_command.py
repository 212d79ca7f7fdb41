"""What `reason score` does: judge a benchmark of scorers, measure, print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from reason.evals.command import percent
from reason.evals.compare_runs import nulled
from reason.evals.curve import shown_k
from reason.evals.scorer_bench import (
    BEST_OF_N,
    FIRST_ERROR,
    best_of,
    best_threshold,
    first_error,
    judge_all,
    kind_of,
    sample_paths,
    step_path,
    step_values,
    valid_steps,
)
from reason.evals.tasks import Task
from reason.show import json_line, plain
from reason.types import Path, Problem, Score, Scorer, UsageError

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class ScoreCommand:
    """Everything one measurement needs.

    Attributes:
        task, problems: What is measured on.
        name, scorer: What is measured.
        threshold: Below it a step counts as wrong; None is 0.5.
        seed: Of intervals.
    """

    task: Task
    problems: Sequence[Problem]
    name: str
    scorer: Scorer
    threshold: float | None
    seed: int

    def run(self, *, as_json: bool) -> int:
        """Measure, print, and return the exit code 0.

        Raises:
            UsageError: The problems measure no scorer, or the scorer or an option does not fit them.
        """
        kind = kind_of(self.problems)
        if kind == BEST_OF_N and self.threshold is not None:
            raise UsageError(f"--threshold {self.threshold:g} is for benchmarks of steps: leave it out with best_of_n")
        console = Console(stderr=as_json)
        told = self._samples() if kind == BEST_OF_N else self._steps(kind)
        head = {"task": self.task.name, "scorer": self.name, "problems": len(self.problems), "kind": kind}
        console.print(
            plain(f"{self.task.name}: scorer {self.name}, {len(self.problems)} problems"),
            style="bold",
            markup=False,
            highlight=False,
        )
        console.print(_curve_table(told) if kind == BEST_OF_N else _step_table(told), highlight=False)
        if kind == BEST_OF_N:
            console.print(f"AUC over all samples {told['auc']:.3f}, within problems {told['auc_within']:.3f}")
        if as_json:
            print(json_line(nulled(head | told)))
        return 0

    def _judged(self, paths: Sequence[Path]) -> list[Score]:
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
            line = bar.add_task("judged", total=len(paths))
            return judge_all(self.scorer, paths, lambda done: bar.update(line, completed=done))

    def _steps(self, kind: str) -> dict[str, Any]:
        """The figures at the threshold, and at the one that is best in hindsight."""
        values = step_values(self.problems, self._judged([step_path(problem) for problem in self.problems]))
        metas = [problem.meta for problem in self.problems]

        def measured(threshold: float) -> Any:
            if kind == FIRST_ERROR:
                return first_error(values, [meta["label"] for meta in metas], threshold, seed=self.seed)
            labels, kinds = [meta["valid"] for meta in metas], [str(meta.get("kind", "")) for meta in metas]
            return valid_steps(values, labels, kinds, threshold, seed=self.seed)

        name = "f1" if kind == FIRST_ERROR else "score"
        best = best_threshold(values, lambda threshold: getattr(measured(threshold), name))
        here = measured(THRESHOLD if self.threshold is None else self.threshold)
        return {"at": asdict(here), "hindsight": asdict(measured(best))}

    def _samples(self) -> dict[str, Any]:
        paths = [sample_paths(problem) for problem in self.problems]
        flat = iter(self._judged([path for own in paths for path in own]))
        scores = [[next(flat) for _ in own] for own in paths]
        return best_of(self.problems, scores, self.task, seed=self.seed)


def _step_table(told: dict[str, Any]) -> Table:
    names = {
        "on_wrong": "with an error",
        "on_right": "without",
        "f1": "F1",
        "f1_valid": "F1 valid",
        "f1_wrong": "F1 wrong",
        "score": "PRMScore",
    }
    shown = [name for name in names if name in told["at"]]
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("threshold", no_wrap=True)
    for column in (*(names[name] for name in shown), "95 %", "unscored"):
        table.add_column(column, justify="right", no_wrap=True)
    for key, note in (("at", ""), ("hindsight", " (hindsight)")):
        row = told[key]
        span = f"{100 * row['low']:.1f}–{100 * row['high']:.1f}"
        figures = [percent(row[name]) for name in shown]
        table.add_row(f"{row['threshold']:.3g}{note}", *figures, span, str(row["unscored"]))
    return table


def _curve_table(told: dict[str, Any]) -> Table:
    names = {"pass": "any correct", "majority": "majority", "naive": "best", "weighted": "weighted"}
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("k", *names.values()):
        table.add_column(column, justify="right", no_wrap=True)
    for k in shown_k(len(told["k"])):
        table.add_row(str(k), *(percent(told[name]["mean"][k - 1]) for name in names))
    return table
