"""`reason grade`: compares recorded solutions with gold answers, line by line.

Rows stream through: an input line in, an output line out, to `OUT.part`, which becomes `OUT` at the end. The same
command continues a part that an interruption left, if the input's bytes and the policy are still the same (they stand
in `OUT.part.json`); otherwise it starts anew. Grading needs no model, so grading again costs seconds.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path as FilePath
from typing import IO, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from reason.answers import Graded, Rules, grade
from reason.answers.verdict import Grade
from reason.types import UsageError

Row = dict[str, Any]


def grade_file(
    source: Annotated[FilePath, typer.Option("--in", help="JSON lines with a gold and a pred field.", metavar="FILE")],
    out: Annotated[FilePath, typer.Option(help="JSON lines with the verdicts.", metavar="FILE")],
    gold: Annotated[str, typer.Option(help="Field of the gold answer or solution.", metavar="FIELD")] = "gold",
    pred: Annotated[str, typer.Option(help="Field of the model's text.", metavar="FIELD")] = "pred",
    strict: Annotated[bool, typer.Option("--strict", help="Accept only an answer in \\boxed{…}.")] = False,
    percent_is_unit: Annotated[bool, typer.Option("--percent-is-unit", help="A predicted 20% is also 20.")] = False,
    decimals: Annotated[int, typer.Option(help="Places from which a decimal equals what it rounds.")] = 6,
    tolerance: Annotated[float, typer.Option(help="Relative difference that numbers may have.")] = 0.0,
    ordered: Annotated[bool, typer.Option("--ordered", help="Lists must be in the gold answer's order.")] = False,
    units_required: Annotated[bool, typer.Option("--units-required", help="A missing unit is wrong.")] = False,
    case_sensitive: Annotated[bool, typer.Option("--case-sensitive", help="Text must match in case.")] = False,
    exact_only: Annotated[bool, typer.Option("--exact-only", help="Leave out the symbolic tier.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The last line of the output is one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Grade recorded solutions against gold answers: verdict, tier, milliseconds, extracted answer and its span."""
    rules = Rules(percent_is_unit, decimals, case_sensitive, tolerance, ordered, units_required)
    command = GradeCommand(source, out, gold, pred, strict, rules, not exact_only)
    summary = command.run()
    if not as_json:
        _print(summary, out)
    else:
        print(json.dumps(summary.data() | {"out": str(out)}))


@dataclass(slots=True)
class Summary:
    """Counts over all rows."""

    verdicts: Counter[str] = field(default_factory=Counter)
    tiers: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Count one output row."""
        self.verdicts[row["verdict"]] += 1
        self.tiers[row["tier"]] += 1
        self.milliseconds.append(row["milliseconds"])

    def data(self) -> dict[str, Any]:
        """Rows, verdicts, tiers, the share correct of the scored ones (None without any), the median time."""
        rows = self.verdicts.total()
        scored = rows - self.verdicts[Grade.GOLD_ERROR]
        return {
            "rows": rows,
            "scored": scored,
            "correct": self.verdicts[Grade.CORRECT],
            "accuracy": self.verdicts[Grade.CORRECT] / scored if scored else None,
            "verdicts": {grade_: self.verdicts[grade_] for grade_ in Grade if self.verdicts[grade_]},
            "tiers": dict(self.tiers.most_common()),
            "median_ms": round(statistics.median(self.milliseconds), 4) if self.milliseconds else None,
        }


@dataclass(frozen=True, slots=True)
class GradeCommand:
    """One run over a file.

    Attributes:
        source, out: The files.
        gold, pred: Names of the two fields.
        strict: Accept only a box.
        rules: The comparison policy.
        symbolic: Whether to ask the symbolic tier.
    """

    source: FilePath
    out: FilePath
    gold: str
    pred: str
    strict: bool
    rules: Rules
    symbolic: bool

    def run(self) -> Summary:
        """Grade what is not graded yet, then put the output in place.

        Raises:
            UsageError: A file cannot be used, or a row is malformed (named by its line).
        """
        self._check()
        part = self.out.with_name(self.out.name + ".part")
        state = self.out.with_name(self.out.name + ".part.json")
        told = json.dumps(self._told(), sort_keys=True)
        summary = Summary()
        done = 0
        if part.exists() and state.exists() and state.read_text("utf-8") == told:
            done = _kept(part, summary)
        else:
            part.unlink(missing_ok=True)
            _write(state, told)
        with self.source.open("rb") as rows, part.open("a", encoding="utf-8") as graded:
            self._stream(rows, graded, done, summary)
        os.replace(part, self.out)
        state.unlink(missing_ok=True)
        return summary

    def _check(self) -> None:
        if not self.source.is_file():
            raise UsageError(f"--in {self.source} is not a file: pass JSON lines with the fields gold and pred")
        if self.out.is_dir() or not self.out.parent.is_dir():
            raise UsageError(f"--out {self.out}: pass a file in a folder that exists")
        if self.out.exists() and self.out.samefile(self.source):
            raise UsageError(f"--out {self.out} is the input: pass another file")

    def _told(self) -> dict[str, Any]:
        with self.source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        options = {"gold": self.gold, "pred": self.pred, "strict": self.strict, "symbolic": self.symbolic}
        return {"input": digest, **options, "rules": asdict(self.rules)}

    def _stream(self, rows: IO[bytes], graded: IO[str], done: int, summary: Summary) -> None:
        size = self.source.stat().st_size
        read = 0
        index = 0
        with _bar() as bar:
            task = bar.add_task("grading", total=size)
            for number, line in enumerate(rows, start=1):
                read += len(line)
                if not line.strip():
                    continue
                index += 1
                if index > done:
                    result = self.graded(line, number)
                    graded.write(json.dumps(result) + "\n")
                    summary.add(result)
                bar.update(task, completed=read)

    def graded(self, line: bytes, number: int) -> Row:
        """An output row: the input's fields and what was found.

        Raises:
            UsageError: The line is not an object with the two fields.
        """
        place = f"{self.source}, line {number}"
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{place}: not JSON ({error}): every line must be one object") from error
        if not isinstance(row, dict):
            raise UsageError(f"{place}: {type(row).__name__}, not an object with {self.gold} and {self.pred}")
        sides = [_text(row, name, place) for name in (self.gold, self.pred)]
        return row | outcome(grade(sides[0], sides[1], rules=self.rules, strict=self.strict, symbolic=self.symbolic))


def outcome(found: Graded) -> Row:
    """The fields that grading adds to a row."""
    return {
        "verdict": str(found.verdict.verdict),
        "tier": found.verdict.tier,
        "milliseconds": round(found.verdict.milliseconds, 4),
        "extracted": found.extracted.answer,
        "method": found.extracted.method,
        "span": list(found.extracted.span),
        "detail": found.verdict.reason,
    }


def _text(row: Row, name: str, place: str) -> str | None:
    if name not in row:
        raise UsageError(f"{place}: no field {name!r} (it has {', '.join(row) or 'none'}): pass --gold or --pred")
    value = row[name]
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    raise UsageError(f"{place}: the field {name!r} is {str(value)[:40]!r}: it must be text, a number or null")


def _kept(part: FilePath, summary: Summary) -> int:
    """Count the whole rows of an interrupted run; a last line that was cut is removed."""
    end = count = 0
    for line in _lines(part):
        if not line.endswith(b"\n"):
            break
        summary.add(json.loads(line))
        end += len(line)
        count += 1
    os.truncate(part, end)
    return count


def _lines(file: FilePath) -> Iterator[bytes]:
    with file.open("rb") as lines:
        yield from lines


def _write(file: FilePath, text: str) -> None:
    new = file.with_name(file.name + ".new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, file)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def _print(summary: Summary, out: FilePath) -> None:
    data = summary.data()
    table = Table("verdict", "rows", "share", box=None, pad_edge=False)
    for name, count in data["verdicts"].items():
        table.add_row(name, f"{count:,}", f"{count / data['rows']:.1%}")
    console = Console()
    console.print(table)
    if data["accuracy"] is not None:
        console.print(f"{data['correct']:,} of {data['scored']:,} scored rows correct: {data['accuracy']:.1%}")
    tiers = ", ".join(f"{name} {count:,}" for name, count in data["tiers"].items())
    console.print(f"tiers: {tiers or 'none'}; written to {out}", highlight=False, soft_wrap=True)
