"""A results folder: `config.json`, `results.jsonl` and `summary.json`.

`config.json` says what was asked for, `results.jsonl` holds one record a problem, written as the problem finishes, and
`summary.json` is written once all are done.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

from reason.evals.record import FAILED, Record
from reason.types import UsageError

FIELDS = frozenset(field.name for field in fields(Record))
NEEDED = frozenset(field.name for field in fields(Record) if field.default is MISSING)


class Results:
    """A results folder: what is done, and an open file for what comes.

    Args:
        folder: Made if absent.
        config: What identifies the run; must be JSON data.

    Raises:
        UsageError: The folder holds the results of another configuration, or cannot be used.
    """

    def __init__(self, folder: pathlib.Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.records: dict[str, Record] = {}
        try:
            self._open(json.loads(json.dumps(config)))
        except OSError as error:
            raise UsageError(
                f"--out {str(folder)!r:.80} cannot be used as a results folder ({error.strerror or error}): "
                "pass another --out"
            ) from error

    def _open(self, wanted: Mapping[str, Any]) -> None:
        config_file = self.folder / "config.json"
        if config_file.exists():
            try:
                found = json.loads(config_file.read_text("utf-8"))
            except ValueError:
                found = None
            if not isinstance(found, dict):
                raise UsageError(f"{config_file} is not the configuration of a run: pass another --out or remove it")
            self._refuse_other(found, wanted)
        elif (self.folder / "results.jsonl").exists():
            raise UsageError(f"{self.folder} holds results.jsonl but no config.json: pass another --out")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(config_file, json.dumps(wanted, indent=2) + "\n")
        self._load()

    def _refuse_other(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        changed = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        if changed:
            said = ", ".join(f"{key} {found.get(key)!r} there, {wanted.get(key)!r} now" for key in changed)
            raise UsageError(f"{self.folder} holds results of another run ({said}): pass another --out or remove it")

    def _load(self) -> None:
        """Read the finished problems; a torn last line (the run was killed while writing) is dropped."""
        file = self.folder / "results.jsonl"
        for number, row in read_lines(file) if file.exists() else []:
            try:
                record = _record(row)
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"{file}, line {number} is not a record of this version ({error}): pass another --out or remove it"
                ) from error
            self.records[record.problem] = record
        self._keep({key: record for key, record in self.records.items() if record.verdict != FAILED})

    def _keep(self, records: dict[str, Record]) -> None:
        self.records = records
        write_whole(self.folder / "results.jsonl", "".join(_line(record) for record in records.values()))

    @property
    def elapsed(self) -> float:
        """Seconds that the recorded problems took, all runs together."""
        return max((record.elapsed for record in self.records.values()), default=0.0)

    def add(self, record: Record) -> None:
        """Keep a record; it is on disk when this returns."""
        self.records[record.problem] = record
        with (self.folder / "results.jsonl").open("a", encoding="utf-8") as out:
            out.write(_line(record))

    def clear(self) -> None:
        """Forget all records, on disk too."""
        self._keep({})

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary."""
        write_whole(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")


def _line(record: Record) -> str:
    return json.dumps(asdict(record)) + "\n"


def _record(row: Any) -> Record:
    """The record of a line; fields that older versions did not write have their defaults.

    Raises:
        ValueError, TypeError: It is none.
    """
    names = set(row) if isinstance(row, dict) else set[str]()
    if missing := sorted(NEEDED - names):
        raise ValueError(f"without {', '.join(missing[:3])}")
    if unknown := sorted(names - FIELDS):
        raise ValueError(f"with {', '.join(unknown[:3])}")
    samples = row.get("samples")
    known = None if samples is None else tuple((answer, correct, value) for answer, correct, value in samples)
    return Record(**{**row, "failures": tuple(row.get("failures", ())), "samples": known})


def read_lines(file: pathlib.Path) -> list[tuple[int, Any]]:
    """The JSON lines of a file with their numbers; torn ones are left out.

    Only a line feed ends a line: a text in it may hold other separators, such as U+2028.
    """
    found = list[tuple[int, Any]]()
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        try:
            found.append((number, json.loads(line)))
        except ValueError:
            continue
    return found


def write_whole(file: pathlib.Path, text: str) -> None:
    """Write a file so that it holds the old text or the new one, whenever the process ends."""
    file = file.resolve()
    if file.exists() and not file.is_file():  # a device is written to, not replaced
        file.write_text(text, "utf-8")
        return
    draft = file.with_name(f"{file.name}.part")
    draft.write_text(text, "utf-8")
    os.replace(draft, file)
