"""What `reason scaling` does: read, fit, print, draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath
from typing import Any

from rich.console import Console
from rich.table import Table

from reason.evals.compare_runs import nulled
from reason.evals.kaplan import Joint, critical, joint
from reason.evals.scaling import Law, Series, fitted, series_of_runs
from reason.evals.scaling_figure import check_figure, draw, formula
from reason.evals.scaling_table import error_series, kaplan_series, read_table, trained_runs
from reason.evals.stored import read_runs
from reason.show import json_line, plain
from reason.types import UsageError

NAME = 14


@dataclass(frozen=True, slots=True)
class Scaling:
    """What was fitted.

    Attributes:
        laws: One per series.
        joint: L(N, D), where the table has parameters, tokens and losses enough.
    """

    laws: tuple[Law, ...]
    joint: Joint | None

    def data(self) -> dict[str, Any]:
        """For JSON; NaN and infinity are null there."""
        laws = []
        for law in self.laws:
            row = asdict(law)
            row["series"].pop("draws")
            row["chosen"] = "plain" if law.chosen == law.plain else "floored"
            row["critical"] = critical(law.plain)
            laws.append(row)
        whole = None if self.joint is None else asdict(self.joint) | {"allocation": self.joint.allocation}
        found: dict[str, Any] = nulled({"laws": laws, "joint": whole})
        return found


def run_scaling(places: Sequence[FilePath], *, cost: str, out: FilePath | None, as_json: bool) -> int:
    """Fit, print, draw, and return the exit code 0.

    Args:
        places: One CSV file, or results folders.
        cost: What runs are fitted against: "tokens" or "flops"; a table has its own columns.
        out: The figure's file, .svg or .png.
        as_json: The last line printed is one JSON object.

    Raises:
        UsageError: As the readers and fits.
    """
    if out is not None:
        check_figure(out)
    console = Console(stderr=as_json)
    tables = [place for place in places if place.is_file()]
    if tables and len(places) > 1:
        raise UsageError(f"reason scaling takes one CSV file or results folders, not {len(places)} things with a file")
    found = _of_table(tables[0], console) if tables else _of_runs(places, cost, console)
    print_scaling(console, found)
    if out is not None:
        draw(found.laws, out, title=_title(places))
        console.print(plain(f"The figure is in {out}"), markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json_line(found.data()))
    return 0


def _of_runs(places: Sequence[FilePath], cost: str, console: Console) -> Scaling:
    return Scaling(tuple(_fitted(series_of_runs(read_runs(places), cost=cost), console)), None)


def _of_table(file: FilePath, console: Console) -> Scaling:
    rows = read_table(file)
    series = [*kaplan_series(rows), *error_series(rows)]
    if not series:
        raise UsageError(
            f"{file} has {len(rows)} rows, too few for a power law: pass at least 3 different values of a cost, with a "
            "loss or an accuracy each"
        )
    trained = trained_runs(rows)
    whole = None
    if trained:
        try:
            whole = joint(trained)
        except UsageError as error:
            _say(console, str(error))
    return Scaling(tuple(_fitted(series, console)), whole)


def _fitted(series: Sequence[Series], console: Console) -> list[Law]:
    return fitted(series, lambda line: _say(console, line))


def _say(console: Console, line: str) -> None:
    console.print(plain(f"not fitted: {line}"), style="yellow", markup=False, highlight=False, soft_wrap=True)


def _title(places: Sequence[FilePath]) -> str:
    return "scaling of " + (places[0].name if len(places) == 1 else f"{len(places)} runs")


def print_scaling(console: Console, found: Scaling) -> None:
    """A table for each pair of axes, and L(N, D)."""
    pairs = dict.fromkeys((law.series.y_name, law.series.x_name) for law in found.laws)
    for y_name, x_name in pairs:
        console.print(plain(f"{y_name} against {x_name}, a·x^−b + c"), style="bold", markup=False, highlight=False)
        laws = [law for law in found.laws if (law.series.y_name, law.series.x_name) == (y_name, x_name)]
        console.print(_table(laws), highlight=False)
    if found.joint is not None:
        for line in joint_lines(found.joint):
            console.print(line, markup=False, highlight=False)


def _table(laws: Sequence[Law]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for place, column in enumerate(("series", "law", "95 % of b", "95 % of c", "R²", "ahead")):
        table.add_column(
            column,
            justify="right" if place else "left",
            no_wrap=bool(place),
            overflow="fold",
            min_width=None if place else NAME,
        )
    for law in laws:
        chosen = law.chosen
        table.add_row(
            plain(law.series.name),
            formula(chosen),
            _span(law.exponent_ci, 2),
            _span(law.floor_ci, 2) if chosen.floor else "–",
            f"{chosen.r2:.3f}",
            "–" if math.isnan(chosen.ahead) else f"{100 * chosen.ahead:+.1f} %",
        )
    return table


def _span(bounds: tuple[float, float], places: int) -> str:
    return "–" if math.isnan(bounds[0]) else f"{bounds[0]:.{places}f}–{bounds[1]:.{places}f}"


def joint_lines(found: Joint) -> list[str]:
    """L(N, D) and what follows from it, in words."""
    exponents = (
        f"α_N {found.n_exponent:.4f} ({_span(found.n_exponent_ci, 4)}), "
        f"α_D {found.d_exponent:.4f} ({_span(found.d_exponent_ci, 4)})"
    )
    return [
        f"L(N, D) = [(N_c/N)^(α_N/α_D) + D_c/D]^α_D over {found.points} runs, R² {found.r2:.4f}:",
        f"  {exponents}",
        f"  N_c {found.n_critical:.3g}, D_c {found.d_critical:.3g}",
        f"  least loss at C = 6 N D: N ∝ C^{found.allocation:.3f}, D ∝ C^{1 - found.allocation:.3f}",
    ]
