"""What `reason tune` does: run, fit, cross-validate, write, print."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as Shown

from reason.evals.calibrate import Case, Settings, cross_validate, fit
from reason.evals.command import interval, percent, version_of
from reason.evals.metrics import bootstrap_ci
from reason.evals.run import fingerprint
from reason.evals.tasks import Task
from reason.evals.tune import (
    FEWEST,
    Records,
    Work,
    cases_of,
    check_strategies,
    collect,
    fitting,
    runs_for,
    settings_for,
)
from reason.search.table import Table, write
from reason.show import json_line
from reason.types import Policy, Problem, Sampling, Scorer, UsageError


@dataclass(frozen=True, slots=True)
class TuneCommand:
    """Everything one tuning needs.

    Attributes:
        task, problems: What is calibrated on.
        model, scorer: Their names.
        policy, judge, sampling, seed: As in `reason.solve`.
        strategies, sizes: The arms: every strategy at every n.
        samples: The most samples that are drawn to look at a problem.
        repeats: Independent runs of every arm that does not sample.
        bins: Bins of difficulty.
        out: The table's file.
        runs: The file of runs, to continue from.
        extra: Further settings that identify the runs (limit, split, data).
    """

    task: Task
    problems: Sequence[Problem]
    model: str
    scorer: str | None
    policy: Policy
    judge: Scorer | None
    sampling: Sampling
    seed: int
    strategies: tuple[str, ...]
    sizes: tuple[int, ...]
    samples: int
    repeats: int
    bins: int
    out: FilePath
    runs: FilePath
    extra: Mapping[str, Any]

    def run(self, *, as_json: bool) -> int:
        """Tune, print, and return the exit code: 0; 130 when interrupted.

        Raises:
            UsageError: The strategies do not fit model and scorer, or there are too few problems.
        """
        judged = self.judge is not None
        check_strategies(self.strategies, judged=judged, partial=self.policy.capabilities.partial)
        problems = fitting(self.problems, self.policy)
        works = runs_for(self.strategies, self.sizes, judged=judged, repeats=self.repeats)
        records = Records(self.runs, self._config(problems))
        try:
            self._collect(works, problems, records)
        except KeyboardInterrupt:
            print(
                f"interrupted: the runs so far are in {self.runs}; the same command goes on from them", file=sys.stderr
            )
            return 130
        cases = cases_of(works, problems, records)
        if len(cases) < FEWEST:
            raise UsageError(f"only {len(cases)} of {len(problems)} problems could be run and graded: see {self.runs}")
        settings = settings_for(
            self.strategies, self.sizes, judged=judged, samples=self.samples, bins=self.bins, seed=self.seed
        )
        made = self._made(problems, cases)
        table = fit(cases, settings, model=self.model, scorer=self.scorer, task=self.task.name, made=made)
        write(table, self.out)
        told = self._report(table, cases, settings, Console(stderr=as_json))
        if as_json:
            print(json_line(told))
        return 0

    def _config(self, problems: Sequence[Problem]) -> dict[str, Any]:
        """What identifies the runs; strategies and sizes may be added later."""
        return {
            "task": self.task.name,
            "model": self.model,
            "scorer": self.scorer,
            "seed": self.seed,
            **self.extra,
            "sampling": asdict(self.sampling),
            "problems": fingerprint(problems),
            "version": version_of("reason-toolkit"),
        }

    def _made(self, problems: Sequence[Problem], cases: Sequence[Case]) -> dict[str, Any]:
        return {
            "command": self.command,
            **self._config(problems),
            "calibration_problems": len(cases),
            "strategies": list(self.strategies),
            "n": list(self.sizes),
            "samples": self.samples,
            "repeats": self.repeats,
            "bins": self.bins,
        }

    @property
    def command(self) -> str:
        """The command line that makes the same table."""
        limit, split, data = (self.extra.get(key) for key in ("limit", "split", "data"))
        parts = ["reason tune", self.task.name, f"--model {self.model}", f"--scorer {self.scorer or 'none'}"]
        parts += [f"--{key} {value}" for key, value in (("limit", limit), ("split", split), ("data", data)) if value]
        parts += [f"--seed {self.seed}", f"--strategies {','.join(self.strategies)}"]
        parts += [f"--n {','.join(map(str, self.sizes))}", f"--samples {self.samples}"]
        return " ".join([*parts, f"--repeats {self.repeats}", f"--bins {self.bins}", f"--out {self.out.name}"])

    def _collect(self, works: Sequence[Work], problems: Sequence[Problem], records: Records) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
            total = bar.add_task("runs", total=len(works) * len(problems))

            def shown(work: Work, done: int) -> None:
                whole = works.index(work) * len(problems) + done
                bar.update(total, completed=whole, description=f"{work.strategy} {work.n}")

            collect(
                works,
                problems,
                records,
                task=self.task,
                policy=self.policy,
                scorer=self.judge,
                sampling=self.sampling,
                seed=self.seed,
                on_run=shown,
            )

    def _report(self, table: Table, cases: Sequence[Case], settings: Settings, console: Console) -> dict[str, Any]:
        """Print what the arms are worth and what compute-optimal search will bring."""
        fixed: list[dict[str, Any]] = [
            {"strategy": arm.strategy, "n": arm.n, "accuracy": arm.measured[0], "tokens": arm.tokens[0]}
            for arm in table.ladders[0][0].arms
        ]
        chosen: list[dict[str, Any]] = []
        for budget, rows in cross_validate(cases, settings, self.sizes).items():
            right, tokens = np.array(rows).T
            row: dict[str, Any] = {"strategy": "compute_optimal", "n": budget, "accuracy": float(right.mean())}
            chosen.append({**row, "ci95": list(bootstrap_ci(right.tolist())), "tokens": float(tokens.mean())})
        shown = Shown("strategy", "n", "accuracy", "95 % interval", "tokens per problem", box=None, pad_edge=False)
        for row in [*fixed, *chosen]:
            bounds = interval(row.get("ci95"))
            shown.add_row(row["strategy"], f"{row['n']}", percent(row["accuracy"]), bounds, f"{row['tokens']:,.0f}")
        console.print(shown, highlight=False)
        console.print(
            f"{len(cases)} calibration problems; compute_optimal as cross-validated on them (each problem by a table "
            f"fitted without it). The table is in {self.out}, the runs in {self.runs}.",
            highlight=False,
        )
        return {
            "table": str(self.out),
            "runs": str(self.runs),
            "problems": len(cases),
            "fixed": fixed,
            "chosen": chosen,
        }
