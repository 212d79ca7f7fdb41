"""What `reason compare` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path as FilePath

from rich.console import Console
from rich.table import Table

from reason.evals.compare_runs import Against, Compared, Line, Point, compare_runs
from reason.evals.stored import read_runs
from reason.show import json_line, plain

NAME = 16


def run_compare(folders: Sequence[FilePath], *, baseline: str | None, k: int | None, each: bool, as_json: bool) -> int:
    """Compare, print, and return the exit code 0.

    Raises:
        UsageError: As `read_runs` and `compare_runs`.
    """
    found = compare_runs(read_runs(folders), baseline=baseline, k=k, each=each)
    print_compared(Console(stderr=as_json), found, k)
    if as_json:
        print(json_line(found.data()))
    return 0


def print_compared(console: Console, found: Compared, k: int | None) -> None:
    """The entries, the paired differences, and where the noise is."""
    told = f"{found.task}: {found.problems} problems that every run was graded on"
    told += f" ({found.left_out} left out)" if found.left_out else ""
    told += f", in {found.families} families" if found.families is not None else ""
    told += f"; expected of {k} samples each" if k is not None else ""
    console.print(plain(told), style="bold", markup=False, highlight=False)
    console.print(_lines(found.lines), highlight=False)
    if found.against:
        tests = ", ".join(dict.fromkeys(pair.paired.test for pair in found.against))
        title = f"against {found.against[0].baseline}, problem by problem ({tests})"
        console.print(plain(title), style="bold", markup=False, highlight=False)
        console.print(_pairs(found.against), highlight=False)
    if len(found.frontier) > 1:
        console.print(
            "best for its tokens: nothing that costs at most as much is better", style="bold", highlight=False
        )
        console.print(_best(found.frontier), highlight=False)
    noisy = [line for line in found.lines if line.variance is not None]
    if noisy:
        console.print("variance of one draw: between problems and within; standard errors in %", style="bold")
        console.print(_noise(noisy), highlight=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        least = None if place else NAME
        table.add_column(
            column, justify="right" if place else "left", no_wrap=bool(place), overflow="fold", min_width=least
        )
    return table


def _lines(lines: Sequence[Line]) -> Table:
    table = _table("run", "accuracy", "95 %", "tokens", "per 1k tokens", "frontier")
    for line in lines:
        table.add_row(
            plain(line.name if line.strategy in line.name else f"{line.name}\n{line.strategy} {line.n or ''}"),
            f"{100 * line.accuracy:.1f} %" + (f"\n{line.seeds} seeds" if line.seeds > 1 else ""),
            f"{100 * line.low:.1f}–{100 * line.high:.1f}"
            + (f"\nsd {100 * line.seed_sd:.1f}" if line.seeds > 1 else ""),
            f"{line.tokens:,.0f}",
            "–" if math.isnan(line.per_kilotoken.value) else f"{line.per_kilotoken.value:.2f}",
            f"{100 * line.frontier:.0f} %",
        )
    return table


def _pairs(pairs: Sequence[Against]) -> Table:
    table = _table("run", "diff", "95 %", "p", "Holm", "better : worse", "detects")
    for pair in pairs:
        found = pair.paired
        table.add_row(
            plain(pair.name),
            f"{100 * found.mean:+.1f}",
            f"{100 * found.low:+.1f} to {100 * found.high:+.1f}",
            _p(found.p),
            _p(pair.holm),
            f"{found.only_first} : {found.only_second}",
            "–" if math.isnan(found.detectable) else f"{100 * found.detectable:.1f}",
        )
    return table


def _best(points: Sequence[Point]) -> Table:
    table = _table("run", "k", "tokens", "accuracy", "sure")
    for point in points:
        k = "–" if point.k is None else str(point.k)
        table.add_row(
            plain(point.name), k, f"{point.tokens:,.0f}", f"{100 * point.accuracy:.1f} %", f"{100 * point.sure:.0f} %"
        )
    return table


def _noise(lines: Sequence[Line]) -> Table:
    table = _table("run", "draws", "between", "within", "SE of 1", "of these", "of 4 ×")
    for line in lines:
        parts = line.variance
        if parts is not None:
            many = max(1, round(4 * parts.samples))
            errors = (parts.se_at(1), parts.se_at(max(1, round(parts.samples))), parts.se_at(many))
            cells = [f"{100 * error:.1f}" for error in errors]
            table.add_row(
                plain(line.name), f"{parts.samples:.3g}", f"{parts.between:.3f}", f"{parts.within:.3f}", *cells
            )
    return table


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "<.0001" if value < 1e-4 else f"{value:.4f}"
