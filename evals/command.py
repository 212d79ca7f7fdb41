"""`reason eval`: one task, one strategy, results kept as they come."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath
from typing import Any

from rich.console import Console
from rich.table import Table

from reason.budget import Budget
from reason.evals.curve import curve_of, shown_k
from reason.evals.record import Record, summarize
from reason.evals.results import STORE, Results, make_folder, place_of, shared
from reason.evals.run import evaluate, fingerprint
from reason.evals.tasks import Task
from reason.evals.within import check_total, evaluate_within
from reason.identity import policy_identity, scorer_identity
from reason.resolve import Setup
from reason.search.compute_optimal import load_table, table_file
from reason.show import json_line, plain
from reason.trace import Store
from reason.types import Problem, Sampling, UsageError

PRINTED = (
    "problems",
    "correct",
    "accuracy",
    "ci95",
    "generated_tokens",
    "scored_tokens",
    "seconds",
    "unscored",
    "truncated",
    "no_answer",
    "curve",
)


@dataclass(frozen=True, slots=True)
class EvalCommand:
    """Everything one evaluation needs.

    Attributes:
        task, problems, setup: What is evaluated, with what.
        n, seed, sampling, budget: As in `reason.solve`; n is the strategy's budget in whole solutions.
        out: The results folder, or None to keep nothing.
        extra: Further settings that identify the run (limit, split, data …).
        total_tokens: One budget for all problems, instead of n and the budget of each; None: each for itself.
        resume: Whether the evaluation may be added to another one's folder.
        trace: Whether the results folder holds a trace store.
        store: The trace store, where it is not in the results folder.
        concurrency: Problems open at a time.

    Raises:
        UsageError: total_tokens is given and the strategy cannot share a budget or has options, or it is below 1.
    """

    task: Task
    problems: Sequence[Problem]
    setup: Setup
    n: int
    seed: int
    sampling: Sampling
    budget: Budget
    out: FilePath | None
    extra: Mapping[str, Any]
    total_tokens: int | None = None
    resume: bool = False
    trace: bool = True
    store: FilePath | None = None
    concurrency: int = 64

    def __post_init__(self) -> None:
        if self.total_tokens is not None:
            check_total(self.total_tokens, self.setup.strategy, self.budget, self.setup.options)

    @property
    def head(self) -> dict[str, Any]:
        """What the run is, as the summary names it."""
        chosen = self.setup
        names: dict[str, Any] = {
            "task": self.task.name,
            "strategy": chosen.strategy,
            "n": self.n,
            "model": chosen.model,
        }
        if self.total_tokens is not None:
            names |= {"n": None, "total_tokens": self.total_tokens}
        return {**names, "scorer": chosen.scorer, "seed": self.seed}

    def config(self) -> dict[str, Any]:
        """What identifies the run: results of another configuration are never mixed in."""
        return {
            **self.head,
            **self.extra,
            "sampling": asdict(self.sampling),
            "budget": asdict(self.budget),
            "problems": fingerprint(self.problems),
            "version": version_of("reason-toolkit"),
        }

    def run(self, *, as_json: bool) -> int:
        """Evaluate, print, and return the exit code: 0; 130 when interrupted."""
        with ExitStack() as stack:
            results, store = self._open(stack)
            return self._run(results, store, as_json)

    def measure(self, finished: list[Record]) -> dict[str, Any]:
        """Evaluate without a word; `finished` gets each new record as it comes. Returns the summary."""
        with ExitStack() as stack:
            results, store = self._open(stack)
            return self._summary(results, self._records(results, store, finished))

    def _open(self, stack: ExitStack) -> tuple[Results | None, Store | None]:
        """The results folder and the trace store; the store first, since it keeps other runs out."""
        if self.out is None:
            return None, None
        if self.trace:
            self._check_identities()
        config = self.config()
        place = place_of(self.out, config, resume=self.resume)
        make_folder(self.out)
        file = self.store or self.out / STORE
        store = stack.enter_context(Store(file, config=shared(config))) if self.trace else None
        return Results(place, config), store

    def _check_identities(self) -> None:
        """Refuse to trace what cannot be told from others.

        Raises:
            UsageError: Saying what would tell it apart.
        """
        try:
            policy_identity(self.setup.policy)
            if self.setup.judge is not None:
                scorer_identity(self.setup.judge)
        except UsageError as error:
            raise UsageError(f"{error}; or leave the trace out with --no-trace") from error

    def _run(self, results: Results | None, store: Store | None, as_json: bool) -> int:
        console = Console(stderr=as_json)
        done = 0 if results is None else sum(problem.id in results.records for problem in self.problems)
        if results is not None and done and (self.total_tokens is None or done == len(self.problems)):
            console.print(f"{done} of {len(self.problems)} problems are already in {results.folder}", highlight=False)
        finished: list[Record] = []
        try:
            records = self._records(results, store, finished)
        except KeyboardInterrupt:
            self._interrupted(done + len(finished))
            return 130
        summary = self._summary(results, records)
        print_summary(console, summary, records)
        if as_json:
            print(json_line({key: summary[key] for key in (*self.head, *PRINTED)}))
        return 0

    def _summary(self, results: Results | None, records: Sequence[Record]) -> dict[str, Any]:
        """What all records come to; kept in the results folder."""
        summary = {**self.head, **summarize(records), "curve": curve_or_none(records, self.n)}
        if results is not None:
            results.finish(summary)
        return summary

    def _records(self, results: Results | None, store: Store | None, finished: list[Record]) -> list[Record]:
        """The records of all problems; `finished` gets each new one as it comes."""
        if self.total_tokens is not None:
            return evaluate_within(
                self.problems,
                self.task.grade,
                policy=self.setup.policy,
                scorer=self.setup.judge,
                table=load_table(table_file(self.setup.strategy)),
                tokens=self.total_tokens,
                sampling=self.sampling,
                seed=self.seed,
                concurrency=self.concurrency,
                results=results,
                progress=None,
                store=store,
            )
        return self.evaluated(
            self.problems,
            results=results,
            progress=None,
            on_record=lambda record, _: finished.append(record),
            store=store,
        )

    def evaluated(self, problems: Sequence[Problem], **kept: Any) -> list[Record]:
        """The records of these problems; `kept` as in `reason.evals.run.evaluate`."""
        return evaluate(
            problems,
            self.task.grade,
            policy=self.setup.policy,
            search=self.setup.search,
            scorer=self.setup.judge,
            sampling=self.sampling,
            budget=self.budget,
            seed=self.seed,
            concurrency=self.concurrency,
            **kept,
        )

    def _interrupted(self, done: int) -> None:
        """Say what is kept and how to go on."""
        if self.total_tokens is not None:
            spared = f" and pays for what is not in {self.out} alone" if self.out and self.trace else ""
            print(
                "interrupted: the total is shared by all problems, so none is done before all are; "
                f"the same command starts anew{spared}",
                file=sys.stderr,
            )
            return
        kept = (
            f"they are in {self.out}; run the same command again to continue" if self.out else "pass --out to keep them"
        )
        print(f"interrupted: {done} of {len(self.problems)} problems are done; {kept}", file=sys.stderr)


def curve_or_none(records: Sequence[Record], n: int) -> dict[str, Any] | None:
    """Accuracy at every k up to n, or None where the strategy or the run has no such curve."""
    try:
        return curve_of(records, n)
    except UsageError:
        return None


def version_of(distribution: str) -> str:
    """The installed version; "not installed" in a bare checkout."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def percent(share: float | None) -> str:
    """A share as a percentage, a dash for None."""
    return "–" if share is None else f"{100 * share:.1f} %"


def interval(bounds: Sequence[float] | None) -> str:
    """An interval of shares as percentages, a dash for None."""
    return "–" if bounds is None else f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f} %"


def print_summary(console: Console, summary: Mapping[str, Any], records: Sequence[Record]) -> None:
    """The result of one evaluation as a table, with what went wrong under it."""
    problems = summary["problems"]
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    scorer = f", scorer {summary['scorer']}" if summary["scorer"] else ""
    total = summary.get("total_tokens")
    size = f"n {summary['n']}" if total is None else f"{total:,} tokens in all"
    title = f"{summary['task']}: {summary['strategy']}, {size}, model {summary['model']}{scorer}"
    scored = problems - summary["unscored"]
    ratio = summary["scored_tokens"] / summary["generated_tokens"] if summary["generated_tokens"] else 0.0
    rows = {
        "accuracy": f"{percent(summary['accuracy'])}  ({summary['correct']} of {scored})",
        "95 % interval": interval(summary["ci95"]),
        "generated tokens": f"{summary['generated_tokens']:,}",
        "scored tokens": f"{summary['scored_tokens']:,}  ({ratio:.2f} per generated token)",
        **({"seconds": f"{summary['seconds']:.1f}"} if "seconds" in summary else {}),
        "truncated": f"{percent(summary['truncated'] / problems)}  ({summary['truncated']} of {problems})",
        "no answer": f"{percent(summary['no_answer'] / problems)}  ({summary['no_answer']} of {problems})",
        "unscored": f"{summary['unscored']}, of them failed {summary['failed']}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(plain(title), style="bold", markup=False, highlight=False)
    console.print(table, highlight=False)
    if summary["curve"] is not None and summary["n"] > 1:
        print_curve(console, summary["curve"])
    failures = [(record.problem, line) for record in records for line in record.failures]
    for problem, line in failures[:3]:
        console.print(plain(f"{problem}: {line}"), style="yellow", markup=False, highlight=False)
    if len(failures) > 3:
        console.print(f"… and {len(failures) - 3} more failures (results.jsonl has them all)", style="yellow")


def print_curve(console: Console, curve: Mapping[str, Any]) -> None:
    """What each selection among k samples is worth, for some k."""
    names = {"pass": "any correct", "majority": "majority", "naive": "best", "weighted": "weighted"}
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("k", "tokens", *(names[name] for name in names if name in curve)):
        table.add_column(column, justify="right", no_wrap=True)
    for k in shown_k(len(curve["k"])):
        shares = (percent(curve[name]["mean"][k - 1]) for name in names if name in curve)
        table.add_row(str(k), f"{curve['tokens'][k - 1]:,.0f}", *shares)
    console.print("expected accuracy of each selection among k of the samples", style="bold", highlight=False)
    console.print(table, highlight=False)
