"""Rows of plain data into a file: JSON lines always, Parquet where pyarrow is installed.

Numbers are written so that reading them back gives the same bits. What is not known (NaN) is null in both. A file
appears under its name only when it is whole.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal, TypeAlias

from reason.types import MissingExtraError, UsageError

Kind: TypeAlias = Literal["text", "whole", "real", "truth", "wholes", "reals", "texts"]
"""A column's values: text, whole numbers (64 bits), numbers (double), true or false, or lists of them; or null."""

Row: TypeAlias = Mapping[str, Any]
SUFFIXES = (".jsonl", ".parquet")
BATCH = 4096


def write_rows(file: pathlib.Path, columns: Mapping[str, Kind], rows: Iterable[Row], *, replace: bool = False) -> int:
    """Write rows to `.jsonl` or `.parquet`; returns how many.

    Args:
        file: Its suffix says the format.
        columns: Names and kinds, in their order; every row has all of them.
        rows: Taken one after another, so that any number of them fits in memory.
        replace: Whether an existing file is replaced.

    Raises:
        UsageError: The suffix is neither, or the file exists or cannot be written.
        MissingExtraError: Parquet without pyarrow.
    """
    check_file(file, replace=replace)
    draft = file.with_name(f"{file.name}.part")
    write = _write_lines if file.suffix == ".jsonl" else _write_parquet
    try:
        try:
            count = write(draft, columns, rows)
            os.replace(draft, file)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        reason = " ".join(str(error.strerror or error).split())
        raise UsageError(f"{str(file)!r:.200} cannot be written ({reason:.200}): pass another file") from error
    return count


def check_file(file: pathlib.Path, *, replace: bool = False) -> None:
    """Refuse a file that cannot be written to, before any work is done.

    Raises:
        UsageError, MissingExtraError: As `write_rows`.
    """
    if file.suffix not in SUFFIXES:
        raise UsageError(f"{str(file)!r:.200} is neither .jsonl nor .parquet: give the file one of these endings")
    try:
        there, folder = file.exists(), file.parent.is_dir()
    except OSError as error:
        raise UsageError(f"{str(file)!r:.200} cannot be written ({error.strerror}): pass another file") from error
    if there and not replace:
        raise UsageError(f"{str(file)!r:.200} exists: pass another file, or remove it first")
    if not folder:
        raise UsageError(f"{str(file.parent)!r:.200} is no folder: make it first, or pass another file")
    if file.suffix == ".parquet":
        _pyarrow()


def _write_lines(file: pathlib.Path, columns: Mapping[str, Kind], rows: Iterable[Row]) -> int:
    count = 0
    with file.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps({name: _plain(row[name]) for name in columns}, allow_nan=False) + "\n")
            count += 1
    return count


def _plain(value: Any) -> Any:
    """The value without NaN and infinities, which JSON has not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _write_parquet(file: pathlib.Path, columns: Mapping[str, Kind], rows: Iterable[Row]) -> int:
    arrow, parquet = _pyarrow()
    kinds = {"text": arrow.string(), "whole": arrow.int64(), "real": arrow.float64(), "truth": arrow.bool_()}
    kinds |= {f"{name}s": arrow.list_(kinds[name]) for name in ("text", "whole", "real")}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    count = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as out:
        for batch in _batches(rows):
            data = {name: [_paired(_plain(row[name])) for row in batch] for name in columns}
            out.write_table(arrow.table(data, schema=schema))
            count += len(batch)
    return count


def _paired(value: Any) -> Any:
    """Text that UTF-8 can hold: half of a surrogate pair, which JSON can hold, becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return [_paired(item) for item in value] if isinstance(value, list) else value


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH)):
        yield batch


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs pyarrow: pip install 'reason-toolkit[parquet]', or export to a .jsonl file"
        ) from error
    return pyarrow, pyarrow.parquet
