"""Second tier: Math-Verify in killable, memory-limited worker processes.

A worker is started on first need, keeps sympy imported, answers one comparison at a time over pipes in a forked child
of its own (`reason.answers.worker`), ends that child when a comparison takes more processor time than the timeout or
more time on the clock than `CLOCK` timeouts, and replaces it after 200 comparisons. Inputs that could only waste it are
refused before (`precheck`). Any number of threads may call `Pool.check`; each takes a worker of its own, up to the
pool's size, so it works beside asyncio and off the main thread. A forked process starts workers of its own.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import selectors
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from reason.answers.verdict import Grade
from reason.types import BackendError, MissingExtraError, UsageError

LONGEST = 4_096
DEEPEST = 64
LONGEST_DIGITS = 256
LARGEST_EXPONENT = 5_000
LARGEST_FACTORIAL = 1_000
RECYCLE_AFTER = 200
START_SECONDS = 600.0
CLOCK = 1.5
"""A comparison may take this many times its processor time on the clock: a busy machine changes few verdicts."""
GRACE = 5.0
"""Seconds on the clock after which a worker that should have ended its child is itself killed."""
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "LANG", "LC_ALL")

_DIGITS = re.compile(rf"\d{{{LONGEST_DIGITS + 1},}}")
_TOWER = re.compile(r"\^\s*\{?\s*\(?\s*\d+\s*\^\s*\{?\s*\(?\s*\d|\^[^\^]{0,80}\^[^\^]{0,80}\^[^\^]{0,80}\^")
_EXPONENT = re.compile(r"(?:\^|\*\*)\s*\{?\s*\(?\s*-?\s*(\d{4,})")
_FACTORIAL = re.compile(
    r"(\d{4,})\s*[)}\]]*\s*!|![\s)}\]]*!|\d\s*\^[\s{\d}]{1,9}[)}\]]\s*!"
    r"|\\(?:Gamma|[dt]?binom)[^\\]{0,12}?(?:\d{5,}|\d\s*\^)"
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the symbolic tier says about a pair, and the seconds that took."""

    grade: Grade
    reason: str = ""
    seconds: float = 0.0


def precheck(text: str) -> str | None:
    """Why an input must not reach a worker, or None: length, nesting, digits, power towers, huge factorials."""
    if len(text) > LONGEST:
        return f"longer than {LONGEST} characters"
    if "\x00" in text:
        return "a null byte"
    depth = deepest = 0
    for character in text:
        if character in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "})]":
            depth -= 1
    if deepest > DEEPEST:
        return f"more than {DEEPEST} nested brackets"
    if text.count(r"\frac") + text.count(r"\sqrt") > 2 * DEEPEST:
        return "too many fractions and roots"
    if _DIGITS.search(text):
        return f"more than {LONGEST_DIGITS} digits in a row"
    if _TOWER.search(text):
        return "a power tower"
    for match in _EXPONENT.finditer(text):
        if int(match[1]) > LARGEST_EXPONENT:
            return f"an exponent over {LARGEST_EXPONENT}"
    for match in _FACTORIAL.finditer(text):
        if not match[1] or int(match[1]) > LARGEST_FACTORIAL:
            return "a huge factorial, binomial or Gamma value"
    return None


class Pool:
    """Workers that compare LaTeX answers with Math-Verify.

    Args:
        size: Most workers at a time.
        timeout: Processor seconds for one comparison; what `equal` asks about one answer has no more in all.
        memory_mib: Address space of a worker in MiB.
    """

    def __init__(self, size: int = 2, timeout: float = 1.0, memory_mib: int = 1024) -> None:
        if size < 1 or timeout <= 0 or memory_mib < 256:
            raise UsageError(
                f"Pool got size={size}, timeout={timeout}, memory_mib={memory_mib}: size must be at least 1, timeout "
                "positive, memory_mib at least 256 (sympy alone needs that much)."
            )
        self.timeout = timeout
        self.memory = memory_mib * 2**20
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(size)
        self._process = os.getpid()
        self._size = size

    def start(self) -> None:
        """Start one worker now (a second or so), rather than at the first comparison.

        Raises:
            BackendError: It cannot be started.
            MissingExtraError: math-verify is not installed.
        """
        self.check("x", "x")

    def check(self, gold: str, pred: str, *, seconds: float | None = None) -> Reply:
        """Compare two LaTeX answers without their `$` or box, in at most `seconds` instead of the pool's timeout.

        Raises:
            BackendError: A worker cannot be started.
            MissingExtraError: math-verify is not installed.
        """
        for text, side in ((gold, "gold"), (pred, "prediction")):
            reason = precheck(text)
            if reason:
                return Reply(Grade.GOLD_ERROR if side == "gold" else Grade.LIMIT, f"{side}: {reason}")
        self._after_fork()
        with self._room:
            worker = self._take()
            try:
                reply = worker.ask(gold, pred, self.timeout if seconds is None else min(seconds, self.timeout))
            except BaseException:
                worker.kill()
                raise
            if worker.alive:
                with self._lock:
                    self._idle.append(worker)
            else:
                worker.kill()
            return reply

    def close(self) -> None:
        """End all idle workers; a later `check` starts new ones."""
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.kill()

    def _take(self) -> _Worker:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        return worker or _Worker(self.memory)

    def _after_fork(self) -> None:
        if os.getpid() != self._process:
            self._idle, self._process = [], os.getpid()
            self._lock, self._room = threading.Lock(), threading.BoundedSemaphore(self._size)


class _Worker:
    """One process and its pipes."""

    def __init__(self, memory: int) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        script = Path(__file__).with_name("worker.py")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-B", str(script), str(memory), str(RECYCLE_AFTER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self.buffer = b""
        greeting = self._receive(START_SECONDS)
        if greeting is None or "ready" not in greeting:
            self.kill()
            if greeting and "missing" in greeting:
                raise MissingExtraError(
                    f"algebraic answers need math-verify ({greeting['missing']}): pip install math-verify."
                )
            raise BackendError(
                f"the symbolic worker did not start within {START_SECONDS:.0f} s: run {sys.executable} {script} "
                f"{memory} {RECYCLE_AFTER} to see why."
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def _out(self) -> IO[bytes]:
        if self.process.stdout is None:
            raise BackendError("the symbolic worker has no output pipe.")
        return self.process.stdout

    def ask(self, gold: str, pred: str, seconds: float) -> Reply:
        """One comparison; kills the process where it does not keep to the time itself."""
        clock = CLOCK * seconds
        line = json.dumps({"gold": gold, "pred": pred, "seconds": seconds, "clock": clock}).encode() + b"\n"
        started = time.monotonic()
        try:
            if self.process.stdin is not None:
                self.process.stdin.write(line)
                self.process.stdin.flush()
            answer = self._receive(clock + GRACE)
        except OSError:
            answer = None
        took = time.monotonic() - started
        if answer is not None:
            return Reply(Grade(answer["grade"]), answer["reason"], took)
        self.kill()
        if took < clock:
            return Reply(Grade.LIMIT, "the symbolic worker crashed", took)
        return Reply(Grade.TIMEOUT, "the symbolic worker ran out of time", took)

    def _receive(self, timeout: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return None
                chunk = os.read(self._out.fileno(), 65_536)
                if not chunk:
                    self.process.wait(5)
                    return None
                self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\n")
        message = json.loads(line)
        return message if isinstance(message, dict) else None

    def kill(self) -> None:
        """End the process and close its pipes."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


_default: Pool | None = None
_default_lock = threading.Lock()


def default_pool() -> Pool:
    """The pool that `equal` uses, made on first need and closed at exit."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Pool()
            atexit.register(_default.close)
        return _default
