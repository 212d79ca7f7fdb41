"""The grader against Math-Verify on a file of (gold, pred, expected) cases: accuracy, false positives, throughput.

    python benchmarks/grader.py CASES.jsonl

Math-Verify is called twice: as most callers do (`verify(parse(gold), parse(pred))`), and with both extracted sides
boxed; its own timeouts stay at their defaults. Cases with a `tag` or `tags` field follow options that graders may not
share and are left out of the accuracy. The symbolic tier's time is part of ours. Prints a table and, last, one JSON
line.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reason.answers import Rules, equal, extract

Case = dict[str, Any]


def ours(case: Case) -> bool:
    """Extraction on both sides, both tiers."""
    precision = case.get("precision")
    rules = Rules(decimals=precision) if isinstance(precision, int) else Rules()
    return equal(extract(case["gold"]).answer, extract(case["pred"]).answer, rules=rules).correct


def math_verify_plain(case: Case) -> bool:
    """Math-Verify as most call it."""
    from math_verify import parse, verify

    return bool(verify(parse(case["gold"]), parse(case["pred"])))


def math_verify_boxed(case: Case) -> bool:
    """Math-Verify with the sides that our extraction finds, boxed."""
    from math_verify import parse, verify

    sides = [extract(case[side]).answer or "" for side in ("gold", "pred")]
    parsed = [parse(rf"$\boxed{{{side}}}$") for side in sides]
    return bool(verify(*parsed))


def measure(grade: Callable[[Case], bool], cases: Sequence[Case]) -> dict[str, float]:
    """Accuracy and false positives on the untagged cases, and time over all."""
    for case in cases[:20]:
        grade(case)
    milliseconds, right, false_positives, untagged = [], 0, 0, 0
    for case in cases:
        started = time.perf_counter()
        found = grade(case)
        milliseconds.append((time.perf_counter() - started) * 1e3)
        if not (case.get("tag") or case.get("tags")):
            untagged += 1
            right += found == case["expected"]
            false_positives += found and not case["expected"]
    return {
        "untagged": untagged,
        "accuracy": right / untagged,
        "false_positives": false_positives,
        "median_ms": statistics.median(milliseconds),
        "cases_per_second": len(cases) / sum(milliseconds) * 1e3,
    }


def main() -> None:
    """Measure and print."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("usage: python benchmarks/grader.py CASES.jsonl (one object per line: gold, pred, expected)")
    logging.disable(logging.CRITICAL)
    cases = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    graders = {"reason": ours, "math-verify": math_verify_plain, "math-verify, boxed": math_verify_boxed}
    results = {name: measure(grade, cases) for name, grade in graders.items()}
    print(f"{'grader':20} {'untagged right':>15} {'false positives':>16} {'median ms':>10} {'cases/s':>9}")
    for name, row in results.items():
        print(
            f"{name:20} {row['accuracy']:>15.1%} {row['false_positives']:>16.0f} {row['median_ms']:>10.3f} "
            f"{row['cases_per_second']:>9.0f}"
        )
    fastest = max(row["cases_per_second"] for name, row in results.items() if name != "reason")
    summary = {**results["reason"], "speed_vs_math_verify": results["reason"]["cases_per_second"] / fastest}
    print(json.dumps({key: round(value, 4) for key, value in summary.items()}))


if __name__ == "__main__":
    main()
