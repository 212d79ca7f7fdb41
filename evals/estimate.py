"""What an evaluation would cost, told before it is paid for (`reason eval --dry-run`).

What the same evaluation's finished problems cost tells it, where its folder holds some; else a few of its problems,
spread over all of them, are run now and thrown away. The rest is taken to cost as much per problem. Seconds are those
of this machine with as many problems at once as were measured: a probe has few, so more at once usually take less time
each. Tokens that a shared trace saves are not taken off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from reason.evals.command import EvalCommand
from reason.evals.record import FAILED, Record
from reason.evals.results import place_of
from reason.evals.stored import read_runs
from reason.show import plain
from reason.types import Problem

PROBE = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one evaluation would cost.

    Attributes:
        run: Its name.
        problems, left: How many there are, and how many are not done.
        generated_tokens, scored_tokens: Of those left, together.
        seconds: For those left; None where unknown.
        source: How it was estimated.
        probe_tokens: Generated tokens that estimating it took.
    """

    run: str
    problems: int
    left: int
    generated_tokens: int
    scored_tokens: int
    seconds: float | None
    source: str
    probe_tokens: int = 0


def estimate(run: str, command: EvalCommand) -> Estimate:
    """What the command would still cost; changes nothing in its folder.

    Raises:
        UsageError: Its folder holds another run.
    """
    problems = command.problems
    done = [row for row in _kept(command) if row.verdict != FAILED]
    finished = {row.problem for row in done}
    left = [problem for problem in problems if problem.id not in finished]
    if not left:
        return Estimate(run, len(problems), 0, 0, 0, 0.0, "done")
    if command.total_tokens is not None:
        return Estimate(run, len(problems), len(left), command.total_tokens, 0, None, "its total")
    if done:
        seconds = max(row.elapsed for row in done)
        return _scaled(run, command, len(left), done, seconds, f"{len(done)} done here")
    records, seconds = _probe(command, _spread(left))
    spent = sum(row.generated_tokens for row in records)
    return _scaled(run, command, len(left), records, seconds, f"{len(records)} probed", spent)


def _kept(command: EvalCommand) -> tuple[Record, ...]:
    """The records that the command would go on from."""
    if command.out is None:
        return ()
    place = place_of(command.out, command.config(), resume=command.resume)
    file = place / "results.jsonl"
    if not file.is_file() or not file.stat().st_size:
        return ()
    return next(run.records for run in read_runs([place]) if run.folder.resolve() == place.resolve())


def _spread(problems: Sequence[Problem]) -> list[Problem]:
    """At most PROBE of the problems, evenly spaced."""
    count = min(PROBE, len(problems))
    return [problems[index * len(problems) // count] for index in range(count)]


def _probe(command: EvalCommand, problems: Sequence[Problem]) -> tuple[list[Record], float]:
    started = time.perf_counter()
    records = command.evaluated(problems)
    return records, time.perf_counter() - started


def _scaled(
    run: str,
    command: EvalCommand,
    left: int,
    records: Sequence[Record],
    seconds: float,
    source: str,
    spent: int = 0,
) -> Estimate:
    share = left / len(records)
    return Estimate(
        run,
        len(command.problems),
        left,
        round(share * sum(row.generated_tokens for row in records)),
        round(share * sum(row.scored_tokens for row in records)),
        share * seconds,
        source,
        spent,
    )


def data_of(found: Sequence[Estimate]) -> dict[str, Any]:
    """For JSON."""
    known = [item.seconds for item in found if item.seconds is not None]
    return {
        "dry_run": True,
        "runs": [asdict(item) for item in found],
        "generated_tokens": sum(item.generated_tokens for item in found),
        "scored_tokens": sum(item.scored_tokens for item in found),
        "seconds": sum(known) if len(known) == len(found) else None,
        "probe_tokens": sum(item.probe_tokens for item in found),
    }


def print_estimates(console: Console, found: Sequence[Estimate]) -> None:
    """As tables with the sum under them."""
    for group, items in sections(found, lambda item: item.run).items():
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("run", "left", "tokens each", "tokens", "time", "from"):
            table.add_column(column, justify="left" if column in ("run", "from") else "right", overflow="fold")
        for item in items:
            each = f"{item.generated_tokens / item.left:,.0f}" if item.left else "–"
            counts = (f"{item.left} of {item.problems}", each, f"{item.generated_tokens:,}")
            table.add_row(plain(item.run.removeprefix(f"{group}/")), *counts, duration(item.seconds), item.source)
        if group:
            console.print(plain(group), style="bold", markup=False, highlight=False)
        console.print(table, highlight=False)
    total = data_of(found)
    console.print(
        f"In all {total['generated_tokens']:,} generated and {total['scored_tokens']:,} scored tokens, time "
        f"{duration(total['seconds'])}. The problems left are taken to cost as much each as those named last; probes "
        f"took {total['probe_tokens']:,} tokens and are not kept. Time is of this machine with so few at once; "
        "what a shared trace saves is not taken off.",
        highlight=False,
    )


Item = TypeVar("Item")


def sections(items: Sequence[Item], name: Callable[[Item], str]) -> dict[str, list[Item]]:
    """The items by the folder in their names, empty for those that have none."""
    found: dict[str, list[Item]] = {}
    for item in items:
        group, slash, _ = name(item).rpartition("/")
        found.setdefault(group if slash else "", []).append(item)
    return found


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
