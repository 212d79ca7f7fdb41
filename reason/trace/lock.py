"""One writer at a time: an advisory lock on a file beside the store, given back by the system when its holder dies."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path as FilePath
from typing import IO
from weakref import WeakSet

from reason.types import UsageError

try:
    import fcntl
except ImportError:  # Windows has no advisory locks: SQLite's own lock is left, held only while something is written
    fcntl = None  # type: ignore[assignment]


_HELD: WeakSet[Lock] = WeakSet()
"""The locks of this process; a process that it forks drops them, and so does not hold them beyond its death."""
LOOKS = 3
LOOK_SECONDS = 0.02


def held(store: FilePath) -> bool:
    """Whether a process holds the store's lock now."""
    if fcntl is None:
        return False
    try:
        with store.with_name(f"{store.name}-lock").open("rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


class Lock:
    """Held from its making until `release`.

    Args:
        file: The store.

    Raises:
        UsageError: Another process holds it, or the folder cannot be written.
    """

    def __init__(self, file: FilePath) -> None:
        self.file = file.with_name(f"{file.name}-lock")
        self._store = file
        self._held = self._take()
        _HELD.add(self)

    def _take(self) -> IO[str]:
        while True:
            try:
                held = self.file.open("a+", encoding="utf-8")
            except OSError as error:
                raise UsageError(
                    f"{self._store} cannot be written ({error.strerror}: {self.file.name}): "
                    "pass a file in a folder that exists and can be written"
                ) from error
            if not self._locked_soon(held):
                held.seek(0)
                holder = held.read(80).strip()
                held.close()
                raise UsageError(
                    f"{self._store} is being written by another run{f' (process {holder})' if holder else ''}: "
                    "wait for it to end, or pass another file"
                )
            if self._still_there(held):
                break
            held.close()
        with contextlib.suppress(OSError):  # a full disk: the number is for messages only
            held.truncate(0)
            held.write(f"{os.getpid()}\n")
            held.flush()
        return held

    def _locked_soon(self, held: IO[str]) -> bool:
        """Whether the lock was free, or had only just been looked at (`held`)."""
        for attempt in range(LOOKS):
            if attempt:
                time.sleep(LOOK_SECONDS)
            if self._locked(held):
                return True
        return False

    @staticmethod
    def _locked(held: IO[str]) -> bool:
        if fcntl is None:
            return True
        try:
            fcntl.flock(held.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _still_there(self, held: IO[str]) -> bool:
        """Whether the locked file is the one of that name: its last holder may just have removed it."""
        try:
            return os.path.samestat(os.fstat(held.fileno()), self.file.stat())
        except FileNotFoundError:
            return False

    def drop(self) -> None:
        """Leave the lock to the process that this one was forked from."""
        with contextlib.suppress(OSError):
            self._held.close()

    def release(self) -> None:
        """Give the lock back; again does nothing."""
        if not self._held.closed:
            self.file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._held.close()


def _drop_all() -> None:
    for lock in list(_HELD):
        lock.drop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_all)
