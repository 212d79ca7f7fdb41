"""The process in which Math-Verify runs: JSON lines in, JSON lines out, one comparison at a time.

Started by `reason.answers.symbolic` as a script of its own, so that it imports nothing of this package. It limits its
own memory, may not write files and ends when its input ends. A comparison that uses too much processor time ends the
process through the system's profiling timer, whatever else the machine is doing; an alarm ends it should its parent
have died. Math-Verify's own timeouts are off. Model text is parsed by its LaTeX
grammar alone (`LatexExtractionConfig`), never by its plain-expression extractor, which calls sympy's `parse_expr`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from typing import Any

DIGITS = 10
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
    """Serve until the input ends. Arguments: memory limit in bytes, processor seconds, seconds before the alarm."""
    memory, seconds, patience = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        compare = _comparer()
    except ImportError as error:
        _send(replies, {"missing": str(error)})
        return
    _confine(memory)
    _send(replies, {"ready": True})
    for line in sys.stdin:
        _watch(seconds, patience)
        job = json.loads(line)
        try:
            reply = compare(job["gold"], job["pred"])
        except (MemoryError, RecursionError) as error:
            _send(replies, {"grade": "limit", "reason": type(error).__name__})
            return
        except Exception as error:  # sympy raises anything; an input it chokes on is not comparable
            reply = {"grade": "unparseable", "reason": type(error).__name__}
        _watch(0, 0)
        _send(replies, reply)


def _watch(seconds: float, patience: int) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.alarm(patience)


def _send(replies: Any, message: dict[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def _confine(memory: int) -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _comparer() -> Any:
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
        same = verify(expected, found, float_rounding=DIGITS, numeric_precision=2 * DIGITS, timeout_seconds=None)
        return {"grade": "correct" if same else "incorrect", "reason": ""}

    for gold, pred in WARM_UP:
        compare(gold, pred)
    return compare


if __name__ == "__main__":
    main()
