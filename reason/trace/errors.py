"""What can be wrong with a store, in one line each that says what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path as FilePath

from reason.types import BackendError, ReasonError, UsageError


class StoreError(BackendError):
    """The store cannot be written any more; the run ends, and what had landed is kept."""


FULL = (sqlite3.SQLITE_FULL,)
NOT_OURS = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
KEPT = "what had landed before is kept, and the same command continues from there"


def explained(error: sqlite3.Error, file: FilePath) -> ReasonError:
    """The error as a line for the user."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    said = " ".join(str(error).split())
    if code in FULL:
        return StoreError(f"{file}: the disk is full: make room and run again; {KEPT}")
    if code in NOT_OURS:
        return UsageError(f"{file} is damaged or no trace store ({said}): pass another file, or restore it from a copy")
    if code == sqlite3.SQLITE_READONLY:
        return StoreError(f"{file} cannot be written ({said}): make the file and its folder writable, or pass another")
    if code == sqlite3.SQLITE_CANTOPEN:
        return UsageError(f"{file} cannot be opened ({said}): pass a file in a folder that exists and can be written")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{file} is locked by another program ({said}): wait for it, or pass another file; {KEPT}")
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(f"{file} cannot be written ({said}): check the disk and its quota, then run again; {KEPT}")
    return StoreError(f"{file} cannot be used ({said}): pass another file, or restore it from a copy")
