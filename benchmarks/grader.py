"""The grader against Math-Verify on a file of (gold, pred, expected) cases: accuracy, false positives, throughput.

    python -m benchmarks.grader CASES.jsonl [--repeat 3]

Math-Verify is called twice: as most callers do (`verify(parse(gold), parse(pred))`), and with both extracted sides
boxed; its own timeouts stay at their defaults. Cases with a `tag` or `tags` field follow options that graders may not
share and are left out of the accuracy. Both import sympy and start what they need before the clock runs; ours includes
extraction and the symbolic tier's time, and starts every repeat with empty caches. Of the repeats, each case counts
with its fastest time. Prints tables and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reason.answers import Rules, Verdict, equal, extract
from reason.answers.forms import forget
from reason.answers.symbolic import default_pool

Case = dict[str, Any]


def verdict_of(case: Case) -> Verdict:
    """Extraction on both sides, both tiers."""
    precision = case.get("precision")
    rules = Rules(decimals=precision) if isinstance(precision, int) else Rules()
    return equal(extract(case["gold"]).answer, extract(case["pred"]).answer, rules=rules)


def ours(case: Case) -> bool:
    """What the grader says."""
    return verdict_of(case).correct


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


def measure(grade: Callable[[Case], bool], cases: Sequence[Case], repeat: int) -> dict[str, Any]:
    """Accuracy and false positives on the untagged cases, and time over all."""
    for case in cases[:20]:
        grade(case)
    fastest = [float("inf")] * len(cases)
    found = [False] * len(cases)
    for _ in range(repeat):
        forget()
        for index, case in enumerate(cases):
            started = time.perf_counter()
            found[index] = grade(case)
            fastest[index] = min(fastest[index], (time.perf_counter() - started) * 1e3)
    untagged = [index for index, case in enumerate(cases) if not (case.get("tag") or case.get("tags"))]
    right = sum(found[index] == cases[index]["expected"] for index in untagged)
    return {
        "untagged": len(untagged),
        "accuracy": right / len(untagged),
        "false_positives": sum(found[index] and not cases[index]["expected"] for index in untagged),
        "median_ms": statistics.median(fastest),
        "cases_per_second": len(cases) / sum(fastest) * 1e3,
        "milliseconds": fastest,
    }


def tiers(cases: Sequence[Case], milliseconds: Sequence[float]) -> dict[str, dict[str, float]]:
    """Per tier: how many cases it decided, their median and total time."""
    names = [verdict_of(case).tier for case in cases]
    found = {}
    for name, count in Counter(names).most_common():
        times = [one for one, tier in zip(milliseconds, names, strict=True) if tier == name]
        found[name] = {
            "cases": count,
            "median_ms": round(statistics.median(times), 4),
            "total_ms": round(sum(times), 1),
        }
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The grader against Math-Verify.")
    parser.add_argument("cases", type=Path, help="JSON lines: gold, pred, expected")
    parser.add_argument("--repeat", type=int, default=3, help="runs over the file; the fastest time of a case counts")
    options = parser.parse_args()
    if not options.cases.is_file():
        sys.exit(f"error: {options.cases} is not a file: pass JSON lines with gold, pred and expected")
    logging.disable(logging.CRITICAL)
    cases = [json.loads(line) for line in options.cases.read_text(encoding="utf-8").splitlines()]
    default_pool().start()
    graders = {"reason": ours, "math-verify": math_verify_plain, "math-verify, boxed": math_verify_boxed}
    results = {name: measure(grade, cases, options.repeat) for name, grade in graders.items()}
    print(f"{'grader':20} {'untagged right':>15} {'false positives':>16} {'median ms':>10} {'cases/s':>9}")
    for name, row in results.items():
        print(
            f"{name:20} {row['accuracy']:>15.1%} {row['false_positives']:>16.0f} {row['median_ms']:>10.3f} "
            f"{row['cases_per_second']:>9.0f}"
        )
    by_tier = tiers(cases, results["reason"]["milliseconds"])
    print(f"\n{'tier':20} {'cases':>15} {'median ms':>16} {'total ms':>10}")
    for name, part in by_tier.items():
        print(f"{name:20} {part['cases']:>15.0f} {part['median_ms']:>16.3f} {part['total_ms']:>10.1f}")
    own = results["reason"]
    ratios = {
        name: own["cases_per_second"] / row["cases_per_second"] for name, row in results.items() if row is not own
    }
    print("\n" + ", ".join(f"{ratio:.0f}x the throughput of {name}" for name, ratio in ratios.items()))
    summary = {key: round(value, 4) for key, value in own.items() if key != "milliseconds"}
    print(json.dumps(summary | {"speed": {name: round(ratio, 1) for name, ratio in ratios.items()}, "tiers": by_tier}))


if __name__ == "__main__":
    main()
