"""The process in which solutions' code runs: a job in as JSON, a JSON line out for each test.

Started by `reason.scorers.sandbox` as a script of its own, so that it imports nothing of this package. It runs nothing
of the solution itself: each test is a forked child in a folder and process group of its own, which gives up what it
can before the solution is loaded: resources (rlimits), writing outside its folder, TCP and signals (Landlock, where the
kernel has it), sockets of the machine itself (seccomp), and the user, where this process is root. The child says over a
pipe how its test went. What a program should print is not known here: a digest of what it printed is reported.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import hashlib
import importlib.util
import json
import math
import os
import resource
import runpy
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

MOST_SAID = 300
MOST_SHOWN = 80
KEEP_CAPABILITIES, NO_NEW_PRIVILEGES = 8, 38
CAPABILITY_VERSION, READ_ALL = 0x20080522, 1 << 2
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
CHANGES = WRITE_FILE | sum(1 << bit for bit in range(4, 13))
TCP = 0b11
SCOPES = 0b11
SET_SECCOMP, FILTER = 22, 2
LOAD, IS, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOWED, REFUSED = 0x7FFF0000, 0x00050001
NUMBER_AT, MACHINE_AT, FAMILY_AT = 0, 4, 16
SOCKETS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
OTHER_CALLS, IO_URING = 0x40000000, 425
AF_UNIX, AF_VSOCK = 1, 40


def main() -> None:
    """Run the job on standard input."""
    job = json.loads(sys.stdin.buffer.read())
    results = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.write(results, b'{"ready": true}\n')
    until = time.monotonic() + job["total"]
    folder = os.getcwd()
    for index in range(len(job["tests"])):
        seconds = min(job["seconds"], until - time.monotonic())
        report = (
            {"passed": False, "why": "not run: the time was over"} if seconds <= 0 else _tested(job, index, seconds)
        )
        os.write(results, json.dumps({"index": index, **report}).encode() + b"\n")
        os.chdir(folder)


def _tested(job: dict[str, Any], index: int, seconds: float) -> dict[str, Any]:
    """Whether the test passes or why not, and what a program printed; never an exception."""
    says, hears = os.pipe()
    fds = [says]
    try:
        folder = os.path.abspath(f"test-{index}")
        os.mkdir(folder, 0o700)
        fds.append(_unnamed(folder, job["user"]))
        return _ended(job, folder, job["tests"][index], seconds, (says, hears, fds[-1]))
    except Exception as error:
        return {"passed": False, "why": f"the test could not be run: {type(error).__name__}: {error}"[:MOST_SAID]}
    finally:
        for fd in (*fds, hears):
            with contextlib.suppress(OSError):
                os.close(fd)


def _unnamed(folder: str, user: int | None) -> int:
    """A file for what is printed that has no name, so that nothing else can be put in its place."""
    path = os.path.join(folder, ".output")
    output = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(path)
    if user is not None:
        os.fchown(output, user, user)
    return output


def _ended(job: dict[str, Any], folder: str, test: Any, seconds: float, fds: tuple[int, int, int]) -> dict[str, Any]:
    says, hears, output = fds
    asserts = isinstance(test, str)
    files = {"solution.py": job["code"], "test.py": test if asserts else "", ".input": "" if asserts else test["input"]}
    for name, text in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    if job["user"] is not None:
        for name in ("", *files):
            os.chown(os.path.join(folder, name), job["user"], job["user"])
    child = os.fork()
    if child == 0:
        _child(job, folder, output, hears, asserts)
    os.close(hears)
    ended = _wait(child, seconds)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    if ended is None:
        os.waitpid(child, 0)
    if job["user"] is not None:
        _sweep(job["user"])
    said = os.read(says, 4 * MOST_SAID).decode(errors="replace") if select.select([says], [], [], 0)[0] else ""
    if ended is None:
        return {"passed": False, "why": f"not done after {seconds:.3g} s"}
    if said != "passed":
        return {"passed": False, "why": said[:MOST_SAID] or f"ended by {_cause(ended)}"}
    return {"passed": True, "why": "", **({} if asserts else _printed(output, job["file"]))}


def _cause(ended: int) -> str:
    """An exit code in words."""
    if ended >= 0:
        return f"exit status {ended}"
    known = {number.value: number.name for number in signal.Signals}
    return known.get(-ended, f"signal {-ended}")


def _printed(output: int, most: int) -> dict[str, str]:
    """The digest and the beginning of what was printed."""
    chunks, at = list[bytes](), 0
    while at < most and (chunk := os.pread(output, min(most - at, 2**20), at)):
        chunks.append(chunk)
        at += len(chunk)
    text = b"".join(chunks).decode(errors="replace")
    return {"digest": digest(text), "shown": text.strip()[:MOST_SHOWN]}


def digest(text: str) -> str:
    """The same for texts that differ in trailing white space alone: of lines, and of the whole."""
    lines = [line.rstrip() for line in text.rstrip().splitlines()]
    return hashlib.blake2b("\n".join(lines).encode(errors="replace"), digest_size=32).hexdigest()


def _sweep(user: int) -> None:
    """End all processes of the user: those that left the test's process group."""
    child = os.fork()
    if child == 0:
        os.setuid(user)
        with contextlib.suppress(OSError):
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(child, 0)


def _wait(child: int, seconds: float) -> int | None:
    """The child's exit code, negative for a signal; None if it has not ended in time."""
    until, pause = time.monotonic() + seconds, 0.0005
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


def _child(job: dict[str, Any], folder: str, output: int, hears: int, asserts: bool) -> None:
    """Run one test and say over the pipe how it went. Never returns."""
    said = b"failed"
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        os.dup2(os.open(".input", os.O_RDONLY), 0)
        os.dup2(output, 1)
        last = max(hears, 3)
        os.dup2(hears, last)
        os.closerange(3, last)
        os.closerange(last + 1, 4096)
        _confine(job, folder)
        sys.path[:0] = [folder]
        said = _run(folder, asserts)
    except BaseException as error:
        said = "".join(traceback.format_exception_only(error)).strip().encode(errors="replace")[:MOST_SAID]
    finally:
        try:
            os.write(last, said)
        finally:
            os._exit(0)


def _run(folder: str, asserts: bool) -> bytes:
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # what `site` would have added
    if not asserts:
        try:
            runpy.run_path(os.path.join(folder, "solution.py"), run_name="__main__")
        except SystemExit as error:
            if error.code not in (None, 0):
                raise
        sys.stdout.flush()
        return b"passed"
    solution = _loaded(folder, "solution", {})
    names = {name: value for name, value in vars(solution).items() if not name.startswith("__")}
    _loaded(folder, "test", names)
    return b"passed"


def _loaded(folder: str, name: str, names: dict[str, Any]) -> Any:
    """The module in the file of that name, in which the given names are known."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(folder, f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    vars(module).update(names)
    spec.loader.exec_module(module)
    return module


def _confine(job: dict[str, Any], folder: str) -> None:
    """Give up resources, the user and what Landlock and seccomp can take."""
    cpu = math.ceil(job["seconds"])
    limits = [
        ("RLIMIT_CPU", cpu),
        ("RLIMIT_AS", job["memory"]),
        ("RLIMIT_FSIZE", job["file"]),
        ("RLIMIT_NOFILE", job["open_files"]),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NPROC", job["processes"]),
    ]
    if job["user"] is not None:
        _become(job["user"], job["reading"])
    for name, limit in limits:
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (limit, limit))
    _landlock(folder)
    _no_local_sockets()


def _become(user: int, reading: bool) -> None:
    """Be another user, of all of root's rights at most keeping the one to read (where Python's own files need it)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if reading:
        libc.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    if reading:
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
        rights = (ctypes.c_uint32 * 6)(READ_ALL, READ_ALL, 0, 0, 0, 0)
        if libc.capset(header, rights):
            raise PermissionError("root's right to read cannot be kept")
    with open(os.__file__, "rb"):
        os.stat(os.getcwd())


def _possible(user: int) -> dict[str, bool]:
    """Whether Landlock and seccomp work, and whether root can become the user, plainly or with the right to read."""
    ways: dict[str, Callable[[], object]] = {
        "landlock": lambda: _landlock(os.getcwd()) or sys.exit(1),
        "seccomp": lambda: _no_local_sockets() or sys.exit(1),
        "plain": lambda: _become(user, False),
        "reading": lambda: _become(user, True),
    }
    works = dict[str, bool]()
    for name, way in ways.items():
        child = os.fork()
        if child == 0:
            try:
                way()
            except BaseException:
                os._exit(1)
            os._exit(0)
        works[name] = os.waitpid(child, 0)[1] == 0
    return works


def _landlock(folder: str) -> bool:
    """Forbid changes outside the folder, TCP, and signals to others, as far as the kernel can."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    changes = CHANGES | (TRUNCATE if version >= 3 else 0)
    attributes = [changes, *([TCP] if version >= 4 else []), *([SCOPES] if version >= 6 else [])]
    ruleset = (ctypes.c_uint64 * len(attributes))(*attributes)
    handle = libc.syscall(
        CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(ctypes.sizeof(ruleset)), ctypes.c_uint32(0)
    )
    if handle < 0:
        return False
    for path, allowed in ((folder, changes), (os.devnull, changes & (WRITE_FILE | TRUNCATE))):
        place = os.open(path, os.O_PATH)
        rule = allowed.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder)
        libc.syscall(ADD_RULE, handle, 1, rule, ctypes.c_uint32(0))
        os.close(place)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    held = bool(libc.syscall(RESTRICT_SELF, handle, ctypes.c_uint32(0)) == 0)
    os.close(handle)
    return held


def _no_local_sockets() -> bool:
    """Forbid sockets of the machine (UNIX) and of its host (vsock), which namespaces and Landlock leave reachable.

    Calls of another machine type, and io_uring, which makes sockets past the filter, are refused as well.
    """
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in SOCKETS or sys.maxsize < 2**32:
        return False
    kind, make = SOCKETS[machine]
    program = (
        (LOAD, 0, 0, MACHINE_AT),
        (IS, 0, 8, kind),
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, 6, 0, OTHER_CALLS),
        (IS, 5, 0, IO_URING),
        (IS, 0, 3, make),
        (LOAD, 0, 0, FAMILY_AT),
        (IS, 2, 0, AF_UNIX),
        (IS, 1, 0, AF_VSOCK),
        (RETURN, 0, 0, ALLOWED),
        (RETURN, 0, 0, REFUSED),
    )
    code = b"".join(
        operation.to_bytes(2, "little") + bytes((yes, no)) + value.to_bytes(4, "little")
        for operation, yes, no, value in program
    )
    held = ctypes.create_string_buffer(code, len(code))
    header = len(program).to_bytes(8, "little") + ctypes.addressof(held).to_bytes(8, "little")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return bool(libc.prctl(SET_SECCOMP, FILTER, header, 0, 0) == 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--can"]:
        print(json.dumps(_possible(int(sys.argv[2]))))
    else:
        main()
