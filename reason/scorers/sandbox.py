"""Runs a solution's code with its tests in processes of their own, held as tightly as the system allows.

Always: no shell, no environment, `python -I` (no user site, no PYTHONPATH), a temporary folder that is removed, a
process group that is killed when the time is over, and limits on processor time, memory (of one process), the size of
a file, open files and, but for root, processes. On Linux also, each only where it is to be had:

- `unshare` (util-linux): namespaces of its own for network, processes and IPC: no network, and every process that the
  solution has left behind ends with it;
- Landlock (Linux 5.13): no changes to files outside the temporary folder; from 6.7 no TCP; from 6.12 no signals to
  processes outside;
- seccomp (x86-64 and AArch64): no UNIX sockets, by which services of this machine could be reached, and no vsock;
- root becomes a user of no one, keeping at most the right to read (where Python's own files need it).

`lacking()` names what is missing here. What none of this prevents: reading files that the user may read (there is no
network and no local service to send them to, where neither "network" nor "sockets" is lacking; what the solution prints
can stand in its score's explanation); filling the disk of the temporary folder with many files, or
the machine's memory with many processes, for the seconds a test lasts; changing the modes and times of the user's own
files where root did not give up its rights; and a solution that sets out to fake its own tests, since it runs in the
process that tests it (of a test by input and output that process knows only the input: the output is compared here). It
is a fence against accidents and common malice, not a virtual machine: run what you distrust in one.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, TypeAlias

from reason.search.strategy import at_least, number
from reason.types import BackendError, UsageError

Test: TypeAlias = str | Mapping[str, str]
"""Python statements that see the solution's names, or {"input": …, "output": …} for a program."""

CAGE = FilePath(__file__).with_name("cage.py")
STARTING_SECONDS = 30.0
MOST_REPORTED = 2**13


@dataclass(frozen=True, slots=True)
class Limits:
    """What a solution may use.

    Attributes:
        seconds: Of one test, on the clock and (rounded up) of the processor.
        total: Of all its tests together; those not reached by then have not passed.
        memory_mib: Address space of a process.
        file_mib: Size of a file.
        open_files: At a time.
        processes: At a time, threads included. Where the user's other processes count too, none may be started.

    Raises:
        UsageError: A limit is out of range.
    """

    seconds: float = 5.0
    total: float = 30.0
    memory_mib: int = 512
    file_mib: int = 4
    open_files: int = 64
    processes: int = 16

    def __post_init__(self) -> None:
        number("seconds", self.seconds, 0.01, 3600)
        number("total", self.total, 0.01, 86_400)
        at_least("memory_mib", self.memory_mib, 64)
        at_least("file_mib", self.file_mib)
        at_least("open_files", self.open_files, 8)
        at_least("processes", self.processes)


@dataclass(frozen=True, slots=True)
class Tried:
    """How a test went."""

    passed: bool
    why: str = ""


def run_tests(code: str, tests: Sequence[Test], limits: Limits, *, packages: bool = False) -> list[Tried]:
    """Run the code with each test, every one from a fresh start.

    Args:
        code: The solution.
        tests: What it must pass.
        limits: What it may use.
        packages: Whether installed packages can be imported, not the standard library alone.

    Raises:
        UsageError: The system has no processes of the kind needed.
        BackendError: The sandbox cannot be started.
    """
    if not hasattr(os, "fork"):
        raise UsageError("code can be run on Linux and macOS only: leave the code scorer out here")
    user = _number() if _drops() else None
    folder = tempfile.mkdtemp(prefix="reason-code-")
    try:
        if user is not None:
            os.chown(folder, user, user)
        job = {
            "code": code,
            "tests": [test if isinstance(test, str) else {"input": test["input"]} for test in tests],
            "seconds": limits.seconds,
            "total": limits.total,
            "memory": limits.memory_mib * 2**20,
            "file": limits.file_mib * 2**20,
            "open_files": limits.open_files,
            "processes": limits.processes,
            "user": user,
            "reading": not _possible().get("plain", False),
        }
        command = [*_namespaces(), sys.executable, "-I", "-B", *([] if packages else ["-S"]), str(CAGE)]
        most = MOST_REPORTED * (1 + len(tests))
        ready, *lines = _run(command, folder, json.dumps(job).encode(), limits.total + STARTING_SECONDS, most) or [b""]
    finally:
        _remove(folder)
    if not ready:
        raise BackendError(f"the sandbox did not start: run {' '.join(command)} to see why")
    tried = [Tried(False, "not run: the sandbox ended before") for _ in tests]
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
            report = json.loads(line)
            tried[report["index"]] = _tried(report, tests[report["index"]])
    return tried


def _tried(report: Mapping[str, Any], test: Test) -> Tried:
    """How a test went, by what the cage reports of it."""
    from reason.scorers.cage import MOST_SHOWN, digest  # not to be had on every system

    if report["passed"] is not True or isinstance(test, str):
        return Tried(report["passed"] is True, str(report["why"]))
    if report["digest"] == digest(test["output"]):
        return Tried(True)
    return Tried(False, f"printed {str(report['shown'])!r}, not {test['output'].strip()[:MOST_SHOWN]!r}")


@lru_cache(maxsize=1)
def lacking() -> tuple[str, ...]:
    """What cannot be prevented on this machine: "network", "writes" (outside the folder), "processes" (left behind or
    beyond the limit), "sockets" (UNIX sockets, by which services of this machine are reached)."""
    if not hasattr(os, "fork"):
        return ("network", "writes", "processes", "sockets")
    missing = {
        "network": not _namespaces(),
        "writes": not _possible().get("landlock", False) and not _drops(),
        "processes": not _drops() and (_root() or not _namespaces()),
        "sockets": not _possible().get("seccomp", False),
    }
    return tuple(name for name, lacks in missing.items() if lacks)


def _run(command: Sequence[str], folder: str, job: bytes, seconds: float, most: int) -> list[bytes]:
    """The lines that the command prints before the time is over."""
    with tempfile.TemporaryFile() as given:
        given.write(job)
        given.seek(0)
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
        )
    try:
        return _read(process, time.monotonic() + seconds, most).split(b"\n")[:-1]
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _read(process: subprocess.Popen[bytes], deadline: float, most: int) -> bytes:
    read = b""
    if process.stdout is None:
        return read
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(read) < most and selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(process.stdout.fileno(), 65_536)
            if not chunk:
                break
            read += chunk
    return read


@lru_cache(maxsize=1)
def _namespaces() -> tuple[str, ...]:
    """The command that gives a process namespaces of its own; empty where that cannot be done."""
    program = shutil.which("unshare") if sys.platform == "linux" else None
    if program is None:
        return ()
    command = (program, "--net", "--pid", "--ipc", "--fork", "--kill-child")
    for wanted in ((), ("--user", "--map-root-user")) if _root() else (("--user", "--map-root-user"),):
        tried = subprocess.run([*command, *wanted, "true"], capture_output=True, check=False, env={"PATH": os.defpath})
        if tried.returncode == 0:
            return (*command, *wanted)
    return ()


@lru_cache(maxsize=1)
def _possible() -> dict[str, bool]:
    """What works here: "landlock", "seccomp", "plain" and "reading" (ways for root to become a user of no one)."""
    command = [sys.executable, "-I", "-S", "-B", str(CAGE), "--can", str(_number())]
    with tempfile.TemporaryDirectory() as folder:
        said = subprocess.run(command, capture_output=True, check=False, cwd=folder, env={}).stdout
    try:
        found: dict[str, bool] = json.loads(said)
    except ValueError:
        return {}
    return found


def _root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _drops() -> bool:
    """Whether root can and should become a user of no one."""
    can = _possible()
    return _root() and "--user" not in _namespaces() and (can.get("plain", False) or can.get("reading", False))


def _number() -> int:
    """A user id that is nobody's: a new one for each run, so that its processes are counted alone."""
    return 100_000 + secrets.randbelow(10**9)


def _remove(folder: str) -> None:
    """Remove the folder, whatever the solution has made of it: however deep, and with whatever rights."""
    moved = [folder]
    prefix = os.path.join(folder, secrets.token_hex(8))
    for number_, place in enumerate(moved):
        with contextlib.suppress(OSError):
            os.chmod(place, 0o700)
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for index, entry in enumerate(entries):
                with contextlib.suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.path)
                        continue
                    os.chmod(entry.path, 0o700)
                    target = f"{prefix}-{number_}-{index}"
                    os.rename(entry.path, target)
                    moved.append(target)
    for place in reversed(moved):
        with contextlib.suppress(OSError):
            os.rmdir(place)
