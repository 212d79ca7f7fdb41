"""Reading a benchmark's rows: JSON lines from disk, else the hub through `datasets`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from reason.types import UsageError

Row: TypeAlias = Mapping[str, Any]
ENVIRONMENT = "REASON_DATA_DIR"


@dataclass(frozen=True, slots=True)
class HubSource:
    """Where a data set is on the hub: its id, its configuration, and the name of each of our splits there."""

    id: str
    config: str | None = None
    splits: Mapping[str, str] | None = None


def rows_of(name: str, split: str, data: str | None, hub: HubSource) -> Iterator[tuple[str, Row]]:
    """Each row with the place it came from ("file:line"), from the first source that applies.

    Args:
        name: The task's name, its folder under a data directory.
        split: The file's stem.
        data: The file, its folder, or a data directory. None: REASON_DATA_DIR, else the hub.
        hub: Where to find it on the hub.

    Raises:
        UsageError: There is no such file, a line is not a JSON object, or the hub cannot be reached.
    """
    root = data if data is not None else os.environ.get(ENVIRONMENT)
    if root:
        return _from_file(_find(name, split, Path(root).expanduser(), "--data" if data is not None else ENVIRONMENT))
    return _from_hub(name, split, hub)


def _find(name: str, split: str, root: Path, given: str) -> Path:
    if root.is_file():
        return root
    tried = [root / name / f"{split}.jsonl", root / f"{split}.jsonl", root / f"{name}.jsonl"]
    for path in tried:
        if path.is_file():
            return path
    what = "holds none of the files" if root.is_dir() else "does not exist; as a directory it would hold one of"
    raise UsageError(
        f"{given} {root} {what} {', '.join(str(path.relative_to(root)) for path in tried)}: "
        f"pass the JSON-lines file itself or the directory above it."
    )


def _from_file(path: Path) -> Iterator[tuple[str, Row]]:
    found = False
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                found = True
                yield f"{path}:{number}", _object(line, f"{path}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: {error}. Pass a JSON-lines file.") from error
    if not found:
        raise UsageError(f"{path} has no rows: pass a JSON-lines file with one object per line.")


def _object(line: str, place: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: not JSON ({error}): every line must be one JSON object.") from error
    if not isinstance(row, dict):
        raise UsageError(f"{place}: a {type(row).__name__}, not an object: every line must be one JSON object.")
    return row


def _from_hub(name: str, split: str, hub: HubSource) -> Iterator[tuple[str, Row]]:
    remedy = f"pass --data PATH (a JSON-lines file or its directory) or set {ENVIRONMENT}"
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            f"{name} has no local data and the hub needs `datasets`: {remedy}, or pip install 'reason-toolkit[train]'."
        ) from error
    there = (hub.splits or {}).get(split, split)
    try:
        loaded = datasets.load_dataset(hub.id, hub.config, split=there)
    except Exception as error:  # the hub's client raises dozens of types, from requests to its own
        summary = " ".join(str(error).split())[:200]
        raise UsageError(f"{name}: {hub.id} could not be loaded from the hub ({summary}): {remedy}.") from error
    return ((f"{hub.id}[{there}]:{number}", row) for number, row in enumerate(loaded, 1))
