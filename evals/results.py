"""A results folder: `config.json`, `results.jsonl`, `summary.json` and the trace store `trace.db`.

`config.json` says what was asked for, `results.jsonl` holds one record a problem, written as the problem finishes, and
`summary.json` is written once all are done. `trace.db` holds everything that was paid for (`reason.trace`): an
evaluation that differs in nothing but what `ADDED` names may be added to the folder. It has a folder of its own in it,
with these files but the store, which it shares.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

from reason.evals.record import FAILED, Record
from reason.types import UsageError

FIELDS = frozenset(field.name for field in fields(Record))
NEEDED = frozenset(field.name for field in fields(Record) if field.default is MISSING)

STORE = "trace.db"
ADDED = ("strategy", "n", "total_tokens", "set", "scorer", "aggregate", "budget")
"""Settings in which the evaluations of one folder may differ: what they have in common is paid for once."""


def shared(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that all evaluations of a folder have in common."""
    return {key: value for key, value in config.items() if key not in ADDED}


def store_file(folder: pathlib.Path) -> pathlib.Path:
    """The trace store of a results folder: its own, or that of the folder in which its evaluation was added.

    Raises:
        UsageError: A configuration cannot be read.
    """
    own, above = folder / STORE, folder.parent / STORE
    if own.exists() or not above.exists():
        return own
    found, around = _found(folder), _found(folder.parent)
    return above if found and around and shared(found) == shared(around) else own


def place_of(out: pathlib.Path, config: Mapping[str, Any], *, resume: bool) -> pathlib.Path:
    """The folder for an evaluation's records: `out`, or with `resume` one in it for an evaluation added to another.

    Raises:
        UsageError: `out` holds what this evaluation cannot be added to.
    """
    wanted, found = _plain(config), _found(out)
    changed = [] if found is None else differing(found, wanted)
    if found is None or not changed or not resume or not set(changed) <= set(ADDED):
        check_config(out, found, wanted)
        return out
    place = out / _label(found, wanted)
    check_config(place, _found(place), wanted)
    return place


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The settings in which two configurations differ."""
    return sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))


def check_config(folder: pathlib.Path, found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> None:
    """Refuse a folder with the results of another configuration.

    Raises:
        UsageError: Naming the settings that differ.
    """
    changed = [] if found is None else differing(found, wanted)
    if found is None or not changed:
        return
    said = ", ".join(f"{key} {found.get(key)!r} there, {wanted.get(key)!r} now" for key in changed)
    add = "pass --resume to add this one to it, " if set(changed) <= set(ADDED) else "pass "
    raise UsageError(f"{folder} holds results of another run ({said}): {add}another --out, or remove it")


def _label(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """A name for an evaluation beside the one found: strategy and size, and a hash of whatever else differs."""
    total = wanted.get("total_tokens")
    size = f"n{wanted.get('n')}" if total is None else f"t{total}"
    name = f"{re.sub('[^A-Za-z0-9_.-]+', '-', str(wanted.get('strategy')))[:60]}-{size}"
    others = {key: wanted.get(key) for key in differing(found, wanted) if key not in ("strategy", "n", "total_tokens")}
    if name != f"{wanted.get('strategy')}-{size}" or others:
        text = json.dumps({key: wanted.get(key) for key in ADDED}, sort_keys=True)
        name = f"{name}-{hashlib.blake2b(text.encode(), digest_size=3).hexdigest()}"
    return name


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it reads back from a file."""
    found: dict[str, Any] = json.loads(json.dumps(config))
    return found


def _found(folder: pathlib.Path) -> dict[str, Any] | None:
    """The configuration in a folder, or None.

    Raises:
        UsageError: It cannot be read, or results lie there without one.
    """
    file = folder / "config.json"
    try:
        if not file.exists():
            if (folder / "results.jsonl").exists():
                raise UsageError(f"{folder} holds results.jsonl but no config.json: pass another --out")
            return None
        found = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise unusable(folder, error) from error
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{file} is not the configuration of a run: pass another --out or remove it")
    return found


def unusable(folder: pathlib.Path, error: OSError) -> UsageError:
    """What to say of a folder that cannot be used."""
    return UsageError(
        f"--out {str(folder)!r:.80} cannot be used as a results folder ({error.strerror or error}): pass another --out"
    )


def make_folder(folder: pathlib.Path) -> None:
    """Make a results folder.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error) from error


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
        wanted = _plain(config)
        check_config(folder, _found(folder), wanted)
        make_folder(folder)
        try:
            write_whole(folder / "config.json", json.dumps(wanted, indent=2) + "\n")
            self._load()
        except OSError as error:
            raise unusable(folder, error) from error

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
