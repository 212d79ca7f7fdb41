"""The process in which Math-Verify runs: JSON lines in, JSON lines out, one comparison at a time.

Started by `reason.answers.symbolic` as a script of its own, so that it imports nothing of this package. It imports
sympy once, then forks: comparisons run in a child, which a timeout, a memory limit or a crash ends and a fork replaces
in milliseconds, as it does after so many comparisons. The child may not write files; the system's profiling timer ends
it when a comparison has used its processor time, its parent when the clock has run out. Both end when the input does.
Math-Verify's own timeouts are off. Model text is parsed by its LaTeX grammar alone (`LatexExtractionConfig`), never by
its plain-expression extractor, which calls sympy's `parse_expr`.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import selectors
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Compare = Callable[[str, str], dict[str, Any]]

DIGITS = 10
FINE_DIGITS = 60
_FINE = re.compile(r"\^\s*\{?\s*-\s*\d{2}|\.\d{10}|e-\d{2}")
"""Tiny numbers and long decimals are compared in more digits."""
WARM_UP = (
    (r"\frac{1}{2}x", r"x/2"),
    (r"\tan^2(x)+1", r"\sec^2(x)"),
    (r"\log_2 x + \sqrt{2}", r"\frac{\ln x}{\ln 2}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
    (r"\{1, x\}", r"(0, 1] \cup [2, 3)"),
    (r"1 \le |z| \le 2", r"z \in [1, 2]"),
    (r"\sum_{k=1}^{n} k", r"\int_0^1 x dx"),
)
"""Compared once at the start, so that sympy's lazily imported parts are there when the clock runs."""


def main() -> None:
    """Serve until the input ends. Arguments: memory limit in bytes, comparisons of one child."""
    memory, most = int(sys.argv[1]), int(sys.argv[2])
    replies = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        compare = _comparer()
    except ImportError as error:
        _send(replies, {"missing": str(error)})
        return
    _confine(memory)
    gc.freeze()
    child: _Child | None = None
    _send(replies, {"ready": True})
    for line in sys.stdin.buffer:
        child = child or _Child.fork(compare)
        reply = child.ask(line)
        if reply is None or reply["grade"] == "limit" or child.served >= most:
            ended = child.end()
            reply = reply or ended
            child = None
        _send(replies, reply)
    if child is not None:
        child.end()


@dataclass(slots=True)
class _Child:
    """A forked process that compares, and its pipes."""

    pid: int
    jobs: int
    replies: int
    served: int = 0
    late: bool = False

    @staticmethod
    def fork(compare: Compare) -> _Child:
        jobs, give = os.pipe()
        take, replies = os.pipe()
        pid = os.fork()
        if pid:
            os.close(jobs)
            os.close(replies)
            return _Child(pid, give, take)
        try:
            os.close(give)
            os.close(take)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            _work(compare, jobs, replies)
        finally:
            os._exit(1)

    def ask(self, line: bytes) -> dict[str, Any] | None:
        """One reply, or None where the child ended or ran out of time."""
        self.served += 1
        os.write(self.jobs, line)
        with selectors.DefaultSelector() as selector:
            selector.register(self.replies, selectors.EVENT_READ)
            if not selector.select(json.loads(line)["clock"]):
                self.late = True
                return None
        found = os.read(self.replies, 65_536)
        return json.loads(found) if found.endswith(b"\n") else None

    def end(self) -> dict[str, Any]:
        """End the process; says why it had not replied."""
        os.close(self.jobs)
        if self.late:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.replies)
        _, status = os.waitpid(self.pid, 0)
        if self.late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF):
            return {"grade": "timeout", "reason": "the symbolic worker ran out of time"}
        return {"grade": "limit", "reason": "the symbolic worker ran out of memory or crashed"}


def _work(compare: Compare, jobs: int, replies: int) -> None:
    """The child's loop; a memory or recursion error ends it after its reply."""
    for line in os.fdopen(jobs, "rb"):
        job = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, job["seconds"])
        try:
            reply = compare(job["gold"], job["pred"])
        except (MemoryError, RecursionError) as error:
            _send(replies, {"grade": "limit", "reason": type(error).__name__})
            os._exit(0)
        except Exception as error:  # sympy raises anything; an input it chokes on is not comparable
            reply = {"grade": "unparseable", "reason": type(error).__name__}
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(replies, reply)
    os._exit(0)


def _send(replies: int, message: dict[str, Any]) -> None:
    os.write(replies, json.dumps(message).encode() + b"\n")


def _confine(memory: int) -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _comparer() -> Compare:
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.CRITICAL)
    config = [LatexExtractionConfig()]

    def read(text: str) -> list[Any]:
        found = parse(rf"\boxed{{{text}}}", extraction_config=config, fallback_mode="no_fallback", parsing_timeout=None)
        return [item for item in found if not isinstance(item, str)]

    def compare(gold: str, pred: str) -> dict[str, Any]:
        expected = read(gold)
        if not expected:
            return {"grade": "gold_error", "reason": "Math-Verify cannot read the gold answer"}
        found = read(pred)
        if not found:
            return {"grade": "unparseable", "reason": "Math-Verify cannot read the prediction"}
        digits = FINE_DIGITS if _FINE.search(gold + " " + pred) else DIGITS
        same = verify(expected, found, float_rounding=digits, numeric_precision=2 * digits, timeout_seconds=None)
        return {"grade": "correct" if same else "incorrect", "reason": ""}

    for gold, pred in WARM_UP:
        compare(gold, pred)
    return compare


if __name__ == "__main__":
    main()
