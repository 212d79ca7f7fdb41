"""A killable worker process for checks that model text could make endless: patterns and JSON schemas.

Started on first need, it answers one job at a time and ends with the object that it works for. A job that takes too
much processor time ends it (or 12 times that on the clock), and the next job starts another. Any number of threads may
ask.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from reason.types import BackendError

SCRIPT = FilePath(__file__).with_name("checker.py")
STARTING_SECONDS = 120.0
CLOCK = 12.0
MEMORY = 2**30
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL")


class Checker:
    """One worker process.

    Args:
        seconds: Processor time of one job.
        prepared: Kinds of jobs whose libraries are loaded when the worker starts, so that this costs no job its time.
    """

    def __init__(self, seconds: float, prepared: Sequence[str] = ()) -> None:
        self._seconds, self._prepared = seconds, tuple(prepared)
        self._lock = threading.Lock()
        self._held = list[subprocess.Popen[bytes]]()
        self._buffer = b""
        self._owner = os.getpid()
        weakref.finalize(self, _end_all, self._held, self._owner)

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """The reply to a job, or {"limit": …} if it took too long or too much memory.

        Raises:
            BackendError: The worker cannot be started.
        """
        if self._owner != os.getpid():
            self._lock, self._held, self._owner = threading.Lock(), [], os.getpid()
            weakref.finalize(self, _end_all, self._held, self._owner)
        with self._lock:
            process = self._running()
            reply = None
            with contextlib.suppress(OSError):
                if process.stdin is not None:
                    process.stdin.write(json.dumps(job).encode() + b"\n")
                    process.stdin.flush()
                reply = self._receive(process, CLOCK * self._seconds + 1)
            if reply is None:
                self._end()
                return {"limit": f"longer than {self._seconds:g} s, or too much memory"}
            return reply

    def close(self) -> None:
        """End the worker; the next job starts another."""
        if self._owner == os.getpid():
            with self._lock:
                self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._held and self._held[0].poll() is None:
            return self._held[0]
        self._end()
        limits = [str(MEMORY), str(self._seconds), str(int(CLOCK * self._seconds) + 30), *self._prepared]
        process = subprocess.Popen(
            [sys.executable, "-P", "-B", str(SCRIPT), *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            start_new_session=True,
        )
        self._held.append(process)
        if self._receive(process, STARTING_SECONDS) is None:
            self._end()
            raise BackendError(f"the checking worker did not start: run {sys.executable} {SCRIPT} {' '.join(limits)}")
        return process

    def _receive(self, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
        if process.stdout is None:
            return None
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                chunk = os.read(process.stdout.fileno(), 65_536)
                if not chunk:
                    return None
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _end(self) -> None:
        self._buffer = b""
        _end_all(self._held, self._owner)


def _end_all(held: list[subprocess.Popen[bytes]], owner: int) -> None:
    """End the processes, if they are this process's own."""
    while held:
        process = held.pop()
        if owner != os.getpid():
            continue
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
