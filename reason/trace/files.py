"""Opening a store's file: what it must look like, and what is refused."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path as FilePath

from reason.trace.errors import explained
from reason.trace.schema import APPLICATION_ID, FORMAT, PAGE_BYTES, TABLES
from reason.types import UsageError

MAGIC = b"SQLite format 3\0"
HEADER = 100
WAIT_SECONDS = 5.0
CHECKPOINT_PAGES = 4000
CACHE_KIB = 32768


def open_for_writing(file: FilePath) -> sqlite3.Connection:
    """A connection to the store, made if the file is absent or empty; the caller holds its lock.

    Raises:
        UsageError: The file is no store of this format, is damaged, or cannot be opened.
    """
    check_file(file)
    try:
        connection = _connected(f"{file.resolve().as_uri()}?mode=rwc")
    except sqlite3.Error as error:
        raise explained(error, file) from error
    try:
        if _is_new(connection):
            _make(connection)
        check_format(connection, file)
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        check_length(file)
        return connection
    except sqlite3.Error as error:
        _close(connection)
        raise explained(error, file) from error
    except BaseException:
        _close(connection)
        raise


def open_for_reading(file: FilePath) -> sqlite3.Connection:
    """A connection that changes nothing; the store may be being written meanwhile.

    Raises:
        UsageError: There is no store of this format.
    """
    if not file.is_file():
        raise UsageError(f"there is no trace store {str(file)!r}: pass the file that a run wrote")
    check_file(file)
    place = file.resolve().as_uri()
    logged = file.with_name(f"{file.name}-wal")
    for form in ("mode=ro", "mode=ro&immutable=1"):
        if "immutable" in form and logged.exists() and logged.stat().st_size:
            break
        connection = None
        try:
            connection = _connected(f"{place}?{form}")
            connection.execute("PRAGMA query_only = ON")
            check_format(connection, file)
            return connection
        except sqlite3.Error as error:
            if connection is not None:
                _close(connection)
            failed = error
            if (error.sqlite_errorcode or 0) & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                break
        except BaseException:
            if connection is not None:
                _close(connection)
            raise
    raise explained(failed, file) from failed


def _connected(place: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        place, uri=True, isolation_level=None, check_same_thread=False, timeout=WAIT_SECONDS, cached_statements=256
    )
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def _close(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):
        connection.close()


def _is_new(connection: sqlite3.Connection) -> bool:
    [ours] = connection.execute("PRAGMA application_id").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(ours == 0 and tables == 0)


def _make(connection: sqlite3.Connection) -> None:
    """Write the empty tables; killed in between, the file still counts as empty."""
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in TABLES.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check_file(file: FilePath) -> None:
    """Refuse a file that is no SQLite file or is cut short.

    Raises:
        UsageError: With the reason.
    """
    if not file.exists():
        return
    if not file.is_file():
        raise UsageError(f"{file} is no file: pass a file for the trace store")
    try:
        with file.open("rb") as source:
            head = source.read(HEADER)
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}): make it readable, or pass another file") from error
    logged = file.with_name(f"{file.name}-wal")
    waiting = logged.exists() and logged.stat().st_size > 0
    if not head and not waiting:
        return
    if head[: len(MAGIC)] != MAGIC[: len(head)]:
        raise UsageError(f"{file} is no trace store (not a SQLite file): pass another file; this one is left as it is")
    if len(head) < HEADER:
        raise _cut(file, len(head), PAGE_BYTES)
    if not waiting:
        check_length(file)


def check_length(file: FilePath) -> None:
    """Refuse a file with fewer pages than its header says; only where no write-ahead log waits.

    Raises:
        UsageError: It is cut short.
    """
    with file.open("rb") as source:
        head = source.read(HEADER)
    size = int.from_bytes(head[16:18], "big")
    wanted = (65536 if size == 1 else size) * int.from_bytes(head[28:32], "big")
    current = head[24:28] == head[92:96]
    if current and file.stat().st_size < wanted:
        raise _cut(file, file.stat().st_size, wanted)


def _cut(file: FilePath, found: int, wanted: int) -> UsageError:
    return UsageError(
        f"{file} is cut short ({found:,} of {wanted:,} bytes): restore it from a copy, or pass another file; "
        "this one is left as it is"
    )


def check_format(connection: sqlite3.Connection, file: FilePath) -> None:
    """Refuse foreign SQLite files and stores of another format.

    Raises:
        UsageError: It is one.
    """
    [ours] = connection.execute("PRAGMA application_id").fetchone()
    [found] = connection.execute("PRAGMA user_version").fetchone()
    if ours != APPLICATION_ID:
        raise UsageError(f"{file} is another program's SQLite file, no trace store: pass another file")
    if found != FORMAT:
        what = "a newer version: update reason-toolkit" if found > FORMAT else "an older version: use that version"
        raise UsageError(
            f"{file} has format {found} and this version reads {FORMAT}; it was written by {what}, or pass another file"
        )
