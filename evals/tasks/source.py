"""Reading a benchmark's rows: JSON lines, a JSON array or a CSV from disk, else the hub through `datasets`."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from reason.types import UsageError

Row: TypeAlias = Mapping[str, Any]
ENVIRONMENT = "REASON_DATA_DIR"
SUFFIXES = (".jsonl", ".json", ".csv")


@dataclass(frozen=True, slots=True)
class HubSource:
    """Where a data set is on the hub.

    Attributes:
        id: Its id.
        config: Its configuration.
        splits: The name of each of our splits there; those that it lacks are called the same.
        configs: The configurations of each of our splits, one after another; `config` for those that it lacks.
    """

    id: str
    config: str | None = None
    splits: Mapping[str, str] | None = None
    configs: Mapping[str, tuple[str, ...]] | None = None


def rows_of(names: Sequence[str], split: str, data: str | None, hub: HubSource | None) -> Iterator[tuple[str, Row]]:
    """Each row with the place it came from ("file:line"), from the first source that applies.

    Args:
        names: The task's name, its folder under a data directory, and other names that the folder may have.
        split: The file's stem; such a file ends in .jsonl, .json (an array) or .csv.
        data: The file, its folder, or a data directory. None: REASON_DATA_DIR, else the hub.
        hub: Where to find it on the hub; None where it is not there.

    Raises:
        UsageError: There is no such file, a line is not a JSON object, or the hub cannot be reached.
    """
    root = data if data is not None else os.environ.get(ENVIRONMENT)
    if root:
        found = _find(names, split, Path(root).expanduser(), "--data" if data is not None else ENVIRONMENT)
        return from_file(found)
    return _from_hub(names[0], split, hub)


def _find(names: Sequence[str], split: str, root: Path, given: str) -> Path:
    if root.is_file():
        return root
    places = [*(root / name / split for name in names), root / split, *(root / name for name in names)]
    for place in places:
        for suffix in SUFFIXES:
            path = place.with_name(place.name + suffix)
            if path.is_file():
                return path
    tried = [place.with_name(place.name + SUFFIXES[0]) for place in places]
    what = "holds none of the files" if root.is_dir() else "does not exist; as a directory it would hold one of"
    raise UsageError(
        f"{given} {root} {what} {', '.join(str(path.relative_to(root)) for path in tried)}: "
        f"pass the JSON-lines file itself or the directory above it."
    )


def from_file(path: Path) -> Iterator[tuple[str, Row]]:
    """Each row of a file with its place ("file:line"; of a JSON array, "file[number]").

    Raises:
        UsageError: The file cannot be read, has no rows, or one of them is not an object.
    """
    found = False
    reader = {".json": _array, ".csv": _table}.get(path.suffix.lower(), _lines)
    try:
        with path.open(encoding="utf-8", newline="") as text:
            for place, row in reader(path, text):
                found = True
                yield place, row
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}): pass a JSON-lines file.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: {error}. Pass a JSON-lines file.") from error
    if not found:
        raise UsageError(f"{path} has no rows: pass a JSON-lines file with one object per line.")


def _lines(path: Path, text: TextIO) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(text, 1):
        if line.strip():
            yield f"{path}:{number}", _object(line, f"{path}:{number}")


def _array(path: Path, text: TextIO) -> Iterator[tuple[str, Row]]:
    """The objects of an array; a file that is JSON lines under another name is read as such."""
    whole = text.read()
    if not whole.lstrip().startswith("["):
        yield from _lines(path, io.StringIO(whole, newline=""))
        return
    try:
        rows = json.loads(whole)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({error}): pass an array of objects, or one object per line.") from error
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise UsageError(f"{path}[{number}]: a {type(row).__name__}, not an object: pass an array of objects.")
        yield f"{path}[{number}]", row


def _table(path: Path, text: TextIO) -> Iterator[tuple[str, Row]]:
    reader = csv.DictReader(text, restval="", strict=True)
    try:
        for row in reader:
            if None in row:
                raise UsageError(f"{path}:{reader.line_num}: more cells than the first line names columns: mend it.")
            yield f"{path}:{reader.line_num}", row
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: not CSV ({error}): mend it.") from error


def _object(line: str, place: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: not JSON ({error}): every line must be one JSON object.") from error
    if not isinstance(row, dict):
        raise UsageError(f"{place}: a {type(row).__name__}, not an object: every line must be one JSON object.")
    return row


def _from_hub(name: str, split: str, hub: HubSource | None) -> Iterator[tuple[str, Row]]:
    remedy = f"pass --data PATH (a JSON-lines file or its directory) or set {ENVIRONMENT}"
    if hub is None:
        raise UsageError(f"{name} is not on the hub: {remedy}.")
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            f"{name} has no local data and the hub needs `datasets`: {remedy}, or pip install 'reason-toolkit[train]'."
        ) from error
    there = (hub.splits or {}).get(split, split)
    configs: tuple[str | None, ...] = (hub.configs or {}).get(split) or (hub.config,)
    try:
        loaded = [(config, datasets.load_dataset(hub.id, config, split=there)) for config in configs]
    except Exception as error:  # the hub's client raises dozens of types, from requests to its own
        summary = " ".join(str(error).split())[:200]
        raise UsageError(f"{name}: {hub.id} could not be loaded from the hub ({summary}): {remedy}.") from error
    return (
        (f"{hub.id}{f'/{config}' if len(configs) > 1 else ''}[{there}]:{number}", row)
        for config, rows in loaded
        for number, row in enumerate(rows, 1)
    )
