"""A CSV of training or test runs, for `reason scaling FILE.csv`.

The first line names the columns; any order, any subset of

    parameters    N, without embeddings
    tokens        D, training tokens
    flops         C, training compute; where it is empty, 6 N D
    loss          test loss, nats per token
    accuracy      in [0, 1]; or
    error         1 − accuracy
    test_tokens   generated tokens per problem
    test_flops    FLOPs per problem at test time
    series        rows of the same text are fitted together (a strategy, a checkpoint); default: all rows
    run           a folder of reason eval, relative to the file: gives error, test_tokens and test_flops

Empty cells are unknown. With `loss`, Kaplan's forms are fitted; with an error, power laws against each cost.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from reason.evals.kaplan import FLOPS_PER_PARAMETER_TOKEN, Trained, envelope, least
from reason.evals.power_law import FEWEST
from reason.evals.scaling import COSTS, Series
from reason.evals.stored import read_runs
from reason.types import UsageError

NUMBERS = ("parameters", "tokens", "flops", "loss", "accuracy", "error", "test_tokens", "test_flops")
COLUMNS = (*NUMBERS, "series", "run")
X_NAMES = {
    "parameters": "parameters",
    "tokens": "training tokens",
    "flops": "training FLOPs",
    "test_tokens": COSTS["tokens"],
    "test_flops": COSTS["flops"],
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: its series and the numbers that are known."""

    series: str
    known: Mapping[str, float]


def read_table(file: FilePath) -> list[Row]:
    """The rows of a CSV.

    Raises:
        UsageError: The file cannot be read, has unknown or missing columns, or a cell is not a number above 0.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, skipinitialspace=True, restkey="", restval="", strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            _check_columns(file, names)
            reader.fieldnames = names
            return [_row(file, reader.line_num, cells) for cells in reader if any(map(_text, cells.values()))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{str(file)!r:.120} cannot be read as CSV ({error}): pass a comma-separated file") from error


def _check_columns(file: FilePath, names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or not names or len(set(names)) < len(names):
        raise UsageError(
            f"{file} has the columns {', '.join(names)[:120] or 'none'}: the first line must name each of its columns "
            f"once, out of {', '.join(COLUMNS)}"
        )
    if not {"loss", "accuracy", "error", "run"} & set(names):
        raise UsageError(f"{file} has nothing to explain: add a column loss, accuracy, error or run")
    if not (set(X_NAMES) | {"run"}) & set(names):
        raise UsageError(f"{file} has nothing to explain it by: add a column out of {', '.join(X_NAMES)}")


def _text(cell: object) -> str:
    return cell.strip() if isinstance(cell, str) else ""


def _row(file: FilePath, line: int, cells: Mapping[str, str | None]) -> Row:
    known: dict[str, float] = {}
    for name in NUMBERS:
        text = _text(cells.get(name))
        if text:
            known[name] = _number(f"{file}, line {line}, {name}", text, name)
    if folder := _text(cells.get("run")):
        known = _of_run(file.parent / folder) | known
    if "accuracy" in known:
        known.setdefault("error", 1.0 - known["accuracy"])
    if {"parameters", "tokens"} <= set(known):
        known.setdefault("flops", FLOPS_PER_PARAMETER_TOKEN * known["parameters"] * known["tokens"])
    return Row(_text(cells.get("series")), known)


def _number(place: str, text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    share = name in ("accuracy", "error")
    if not (0 <= value <= 1 if share else 0 < value < math.inf):
        span = "between 0 and 1" if share else "above 0"
        raise UsageError(f"{place}: {text!r:.40} is not a number {span}: mend it, or leave the cell empty if unknown")
    return value


def _of_run(folder: FilePath) -> dict[str, float]:
    [run, *others] = read_runs([folder])
    graded = [row for row in run.records if row.scored]
    if others or not graded:
        raise UsageError(f"the run {str(folder)!r:.120} is not one run with a graded problem: name one results folder")
    costs = {
        "test_tokens": math.fsum(row.generated_tokens for row in graded) / len(graded),
        "test_flops": math.fsum(row.flops for row in graded) / len(graded),
    }
    error = sum(not row.correct for row in graded) / len(graded)
    return {"error": error} | {name: value for name, value in costs.items() if value > 0}


def trained_runs(rows: Sequence[Row]) -> list[Trained]:
    """The rows with parameters, tokens and a loss."""
    wanted = ("parameters", "tokens", "loss")
    return [Trained(*(row.known[name] for name in wanted)) for row in rows if set(wanted) <= set(row.known)]


def kaplan_series(rows: Sequence[Row]) -> list[Series]:
    """The points of L(N), L(D) and L(C), where there are at least 3 of them."""
    forms = (("L(N)", "parameters", least), ("L(D)", "tokens", least), ("L(C)", "flops", envelope))
    found = []
    for name, column, choose in forms:
        points = choose([(row.known[column], row.known["loss"]) for row in rows if {column, "loss"} <= set(row.known)])
        if len(points) >= FEWEST:
            found.append(
                Series(name, X_NAMES[column], "loss", tuple(x for x, _ in points), tuple(y for _, y in points))
            )
    return found


def error_series(rows: Sequence[Row]) -> list[Series]:
    """Error against every cost, for every series of the table in which that cost takes at least 3 values."""
    found = []
    for name in dict.fromkeys(row.series for row in rows):
        for column, x_name in X_NAMES.items():
            points = sorted(
                (row.known[column], row.known["error"])
                for row in rows
                if row.series == name and {column, "error"} <= set(row.known)
            )
            if len({x for x, _ in points}) >= FEWEST:
                label = name or "all rows"
                found.append(Series(label, x_name, "error", tuple(x for x, _ in points), tuple(y for _, y in points)))
    return found
