"""`reason eval --config` and `--seeds`: many evaluations after one another, each in a folder of its own.

    OUT/GROUP/RUN/      what `reason eval --out` writes
    OUT/GROUP/trace.db  what the runs of a group paid for: a sample that several of them need is paid for once

A group has one task, model, seed and sampling. What is done already is not done again.
"""

from __future__ import annotations

import hashlib
import json
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from rich.console import Console
from rich.table import Table

from reason.evals.command import PRINTED, EvalCommand, interval, percent
from reason.evals.compare_runs import NOT_OF_THE_METHOD
from reason.evals.estimate import data_of, duration, estimate, print_estimates, sections
from reason.evals.prepare import CONCURRENCY, Asked, Prepared
from reason.evals.record import Record
from reason.evals.results import ADDED, STORE, make_folder, shared, write_whole
from reason.show import json_line, plain
from reason.types import UsageError

TOLD = ("sample_id", "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_step_tokens")


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation of a sweep.

    Attributes:
        name: Its folder within the sweep's.
        asked: What is run.
        config: What identifies it.
        out, store: Its folder and its trace store, as for `EvalCommand`.
    """

    name: str
    asked: Asked
    config: Mapping[str, Any]
    out: FilePath | None
    store: FilePath | None


@dataclass(frozen=True, slots=True)
class SweepCommand:
    """Several evaluations.

    Attributes:
        asked: What they are.
        out: The folder of all, or None to keep nothing.
        trace: Whether traces are kept.
        concurrency: Problems open at a time.
        flat: The runs differ in their seed alone: they are named by it, and none shares a trace.
        alone: There is one run, and `out` is its own folder.
        resume: As in `EvalCommand`.
    """

    asked: Sequence[Asked]
    out: FilePath | None = None
    trace: bool = True
    concurrency: int = CONCURRENCY
    flat: bool = False
    alone: bool = False
    resume: bool = False

    def run(self, *, dry_run: bool = False, as_json: bool = False) -> int:
        """Check all of them, run one after another, print, and return the exit code: 0; 130 when interrupted.

        Raises:
            UsageError: One of them is wrong; nothing was run.
        """
        console = Console(stderr=as_json)
        source = Prepared()
        runs = self.prepared(source)
        if dry_run:
            found = [estimate(run.name, self._command(source, run)) for run in runs]
            print_estimates(console, found)
            if as_json:
                print(json_line(data_of(found)))
            return 0
        summaries = list[dict[str, Any]]()
        for number, run in enumerate(runs, 1):
            console.print(plain(f"[{number}/{len(runs)}] {run.name}"), markup=False, highlight=False)
            finished = list[Record]()
            self._make_group(run)
            try:
                summary = self._command(source, run).measure(finished)
            except KeyboardInterrupt:
                kept = f"what is done is in {self.out}; run the same command again to continue"
                told = kept if self.out else "pass --out to keep what is done"
                print(f"interrupted in run {number} of {len(runs)}, {run.name}: {told}", file=sys.stderr)
                return 130
            summaries.append({"run": run.name, "evaluated": len(finished), **summary})
        joined = _over_seeds(runs, summaries)
        print_summaries(console, summaries, joined)
        if as_json:
            print(json_line({"runs": [_printed(summary) for summary in summaries], "over_seeds": joined}))
        return 0

    def prepared(self, source: Prepared) -> list[Run]:
        """The runs, checked; what they need is loaded once.

        Raises:
            UsageError: One of them is wrong, or two would share a folder.
        """
        runs = list[Run]()
        for asked in self.asked:
            command = source.command(asked, trace=self.trace, concurrency=self.concurrency)
            if self.alone:
                name = asked.task
            elif self.flat:
                name = f"seed-{asked.seed}"
            else:
                name = f"{group_name(asked)}/{run_name(command)}"
            if any(run.name == name for run in runs):
                raise UsageError(f"two runs would have the folder {name}: name each once, or sweep them apart")
            out = None if self.out is None else self.out if self.alone else self.out / name
            store = None if out is None or self.alone or self.flat else out.parent / STORE
            runs.append(Run(name, asked, command.config(), out, store))
        return runs

    def _command(self, source: Prepared, run: Run) -> EvalCommand:
        source.forget_scorers()
        return source.command(
            run.asked,
            out=run.out,
            store=run.store,
            resume=self.resume,
            trace=self.trace,
            concurrency=self.concurrency,
        )

    def _make_group(self, run: Run) -> None:
        """Write down what the runs beside this one have in common, which is how their trace is known as theirs."""
        if run.store is None or not self.trace:
            return
        make_folder(run.store.parent)
        file = run.store.parent / "config.json"
        if not file.exists():
            write_whole(file, json.dumps(shared(run.config), indent=2) + "\n")


def group_name(asked: Asked) -> str:
    """A folder's name for the task, model, seed and sampling; the same whatever else is in the sweep."""
    parts = [FilePath(asked.task).stem if asked.task.endswith((".jsonl", ".json", ".csv")) else asked.task]
    parts += [asked.split or "", asked.model if asked.model != "bundled" else ""]
    parts += [f"limit{asked.limit}" if asked.limit is not None else ""]
    parts += [f"seed{asked.seed}" if asked.seed or asked.problem_seed is not None else ""]
    others = {key: getattr(asked, key) for key in TOLD if getattr(asked, key) not in (None, ())}
    if asked.problem_seed:
        others["problem_seed"] = asked.problem_seed
    return "-".join(_slug(part) for part in [*parts, _hash(others)] if part)


def run_name(command: EvalCommand) -> str:
    """A folder's name for the strategy, its size, and whatever else it was asked with."""
    size = f"n{command.n}" if command.total_tokens is None else f"t{command.total_tokens}"
    config = command.config()
    others = {key: config.get(key) for key in ADDED if key not in ("strategy", "n", "total_tokens", "scorer")}
    others["budget"] = {key: value for key, value in config["budget"].items() if value is not None}
    others = {key: value for key, value in others.items() if value}
    scorer = _slug(command.setup.scorer) if command.setup.scorer else ""
    return "-".join(part for part in (_slug(command.setup.strategy), size, scorer, _hash(others)) if part)


def _slug(text: str) -> str:
    return re.sub("[^A-Za-z0-9_.]+", "-", text).strip("-.")[-60:]


def _hash(settings: Mapping[str, Any]) -> str:
    """Six digits that tell settings apart; empty for none."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=3).hexdigest() if settings else ""


def _printed(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON tells of a run: what `reason eval --json` does, but the curve."""
    head = ("run", "evaluated", "task", "strategy", "n", "total_tokens", "model", "scorer", "seed")
    return {key: summary[key] for key in (*head, *PRINTED) if key in summary and key != "curve"}


def _over_seeds(runs: Sequence[Run], summaries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation of the accuracy, for runs that differ in their seed alone."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run, summary in zip(runs, summaries, strict=True):
        config = {key: value for key, value in run.config.items() if key not in NOT_OF_THE_METHOD}
        groups.setdefault(json.dumps(config, sort_keys=True, default=str), []).append(summary)
    found = list[dict[str, Any]]()
    for group in groups.values():
        shares = [summary["accuracy"] for summary in group if summary["accuracy"] is not None]
        if len(shares) > 1:
            told = {key: group[0][key] for key in ("task", "strategy", "n", "model")}
            told["runs"] = [summary["run"] for summary in group]
            mean, sd = statistics.fmean(shares), statistics.stdev(shares)
            found.append({**told, "seeds": [summary["seed"] for summary in group], "accuracy": mean, "sd": sd})
    return found


def print_summaries(
    console: Console, summaries: Sequence[Mapping[str, Any]], joined: Sequence[Mapping[str, Any]]
) -> None:
    """One line a run, by groups; under them, what those of several seeds come to together."""
    for group, lines in sections(summaries, lambda line: line["run"]).items():
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("run", "problems", "accuracy", "95 %", "tokens each", "time"):
            table.add_column(column, justify="left" if column == "run" else "right", overflow="fold")
        for line in lines:
            name, count = line["run"].removeprefix(f"{group}/"), line["problems"]
            each, took = f"{line['generated_tokens'] / count:,.0f}", duration(line["seconds"])
            table.add_row(plain(name), str(count), percent(line["accuracy"]), interval(line["ci95"]), each, took)
        if group:
            console.print(plain(group), style="bold", markup=False, highlight=False)
        console.print(table, highlight=False)
    for line in summaries:
        if line["unscored"]:
            told = f"{line['run']}: {line['unscored']} unscored, of them failed {line['failed']}"
            console.print(plain(told), style="yellow", markup=False, highlight=False)
    for item in joined:
        name, slash, strategy = item["runs"][0].replace(f"-seed{item['seeds'][0]}", "").partition("/")
        which = f"{name}, {strategy}" if slash else f"{item['task']}, {item['strategy']}, n {item['n']}"
        text = f"{which}: {percent(item['accuracy'])} over {len(item['seeds'])} seeds, sd {100 * item['sd']:.1f}"
        console.print(plain(text), markup=False, highlight=False)
