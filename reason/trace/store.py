"""The store of a run: one SQLite file that is written as work lands, by one process at a time.

    with Store("run.db") as store:
        reason.solve(problems, policy=policy, search=reason.best_of_n(), scorer=scorer, store=store)

What lands in one turn of the event loop is one transaction, written at the turn's end, so a process killed at any
moment loses at most what was in flight or had landed in that turn; what a search came to is written before anyone is
told. Running the same call again takes from the store what is there and pays for the rest (`reason.trace.recall`).
`reason.trace.read` reads it, also meanwhile. Commits are not flushed to the disk one by one (WAL with
synchronous=NORMAL): a machine that loses power may lose the last seconds, never the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import os
import platform
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from reason.trace.errors import explained
from reason.trace.files import CHECKPOINT_PAGES, open_for_writing
from reason.trace.keys import meta_text, problem_key, raw, settings_of
from reason.trace.lock import Lock
from reason.types import Problem, ReasonError, Sampling, UsageError

SOFTWARE = ("reason-toolkit", "torch", "transformers", "numpy")


class Store:
    """A trace store, open for writing.

    Args:
        file: Made if absent; its folder must exist.
        config: What identifies the run, as JSON data. A store that was made with another one is refused.

    Attributes:
        file: The file.

    Raises:
        UsageError: The file is locked by another run, no store, damaged, of another format or of another
            configuration, or cannot be written.
    """

    def __init__(self, file: str | os.PathLike[str], *, config: Mapping[str, Any] | None = None) -> None:
        self.file = FilePath(file)
        self._lock = Lock(self.file)
        try:
            self._connection = open_for_writing(self.file)
        except BaseException:
            self._lock.release()
            raise
        self._ids: dict[tuple[str, object], int] = {}
        self._session = 0
        self._depth = 0
        self._pending = False
        self._failed: ReasonError | None = None
        try:
            self._settle(config)
        except BaseException:
            self.close()
            raise

    def _settle(self, config: Mapping[str, Any] | None) -> None:
        try:
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            known = dict(self._connection.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            raise explained(error, self.file) from error
        wanted = None if config is None else json.loads(json.dumps(config))
        if "created" not in known:
            with self.transaction():
                made = {"created": time.time(), "software": software(), "config": wanted}
                rows = [(key, json.dumps(value)) for key, value in made.items()]
                self._connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
        elif wanted is not None:
            self._refuse_other(json.loads(known["config"]), wanted)

    def _refuse_other(self, found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> None:
        held = found or {}
        changed = sorted(key for key in {*held, *wanted} if held.get(key) != wanted.get(key))
        if changed:
            said = ", ".join(f"{key} {held.get(key)!r:.60} there, {wanted.get(key)!r:.60} now" for key in changed[:4])
            raise UsageError(f"{self.file} holds another run ({said}): pass another file, or the same settings")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    def close(self) -> None:
        """Close the file and give the lock back; again does nothing."""
        self._commit()
        with contextlib.suppress(sqlite3.Error):  # a full disk: the log stays beside the file and is read from there
            self._connection.close()
        self._lock.release()

    @contextlib.contextmanager
    def transaction(self, *, soon: bool = False) -> Iterator[None]:
        """All or nothing of what is written inside; within another one, part of it.

        Args:
            soon: Whether it may wait for the end of the event loop's turn, to be written with what else lands in it.

        Raises:
            StoreError: It, or what was to be written soon, cannot be written.
        """
        if self._depth:
            yield
            return
        self._refuse_after_failure()
        try:
            if not self._pending:
                self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise explained(error, self.file) from error
        self._depth = 1
        try:
            yield
            if not (soon and (self._pending or self._later())):
                self._connection.execute("COMMIT")
            self._pending = self._connection.in_transaction
        except BaseException as error:
            self._forget()
            if isinstance(error, sqlite3.Error):
                raise explained(error, self.file) from error
            raise
        finally:
            self._depth = 0

    def _later(self) -> bool:
        """Have the transaction ended at the end of the event loop's turn; False where no loop runs."""
        try:
            asyncio.get_running_loop().call_soon(self._commit)
        except RuntimeError:
            return False
        return True

    def _commit(self) -> None:
        """Write what waits for it; what goes wrong is told by whatever is written next."""
        if not self._pending:
            return
        try:
            self._connection.execute("COMMIT")
            self._pending = False
        except sqlite3.Error as error:
            self._forget()
            self._failed = explained(error, self.file)

    def flush(self) -> None:
        """Write what waits for the end of the event loop's turn.

        Raises:
            StoreError: It cannot be written.
        """
        self._commit()
        self._refuse_after_failure()

    def _refuse_after_failure(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _forget(self) -> None:
        """Roll back, and forget the ids that may have been made inside."""
        self._ids.clear()
        self._session, self._pending = 0, False
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def write(self, statement: str, values: Sequence[Any]) -> int:
        """Carry a statement out inside a transaction; returns the last row's id."""
        return self._connection.execute(statement, values).lastrowid or 0

    def write_all(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """As `write`, for many rows."""
        self._connection.executemany(statement, rows)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query gives.

        Raises:
            ReasonError: The file cannot be read.
        """
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise explained(error, self.file) from error

    @property
    def session(self) -> int:
        """The number of this process's writing; its row is made when something is first written."""
        if not self._session:
            row = (time.time(), json.dumps(software()))
            self._session = self.write("INSERT INTO session (started, software) VALUES (?, ?)", row)
        return self._session

    def interned(self, table: str, column: str, value: object, **others: object) -> int:
        """The id of the row whose column has the value, made with the other columns if absent; in a transaction."""
        known = self._ids.get((table, value))
        if known is None:
            found = self.rows(f"SELECT id FROM {table} WHERE {column} = ?", (value,))
            if found:
                known = int(found[0][0])
            else:
                names, values = ", ".join((column, *others)), (value, *others.values())
                marks = ", ".join("?" * len(values))
                known = self.write(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
            self._ids[table, value] = known
        return known

    def problem(self, problem: Problem) -> int:
        """The problem's id."""
        return self.interned(
            "problem",
            "key",
            problem_key(problem),
            name=stored(problem.id),
            question=stored(problem.question),
            answer=None if problem.answer is None else stored(str(problem.answer)),
            meta=meta_text(problem.meta),
        )

    def question(self, text: str) -> int:
        """The id of a question of a search's own."""
        return self.interned("question", "text", stored(text))

    def sampling(self, sampling: Sampling) -> int:
        """The sampling's id."""
        return self.interned("sampling", "settings", settings_of(sampling))


def stored(text: str) -> str | bytes:
    """The text as it can be stored: one that is no UTF-8 as bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return raw(text)
    return text


def software() -> dict[str, str]:
    """Versions of what makes the results, as installed."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in SOFTWARE:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def opened(store: Store | str | os.PathLike[str]) -> tuple[Store, bool]:
    """The store, and whether it was opened here.

    Raises:
        UsageError: It is neither a store nor a file that can be one.
    """
    if isinstance(store, Store):
        return store, False
    if isinstance(store, str | os.PathLike):
        return Store(store), True
    raise UsageError(f"store is {store!r:.60}; pass a file's name or a reason.trace.Store")
