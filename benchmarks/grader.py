"""The grader against Math-Verify on a file of (gold, pred, expected) cases: accuracy, false positives, throughput.

    python -m benchmarks.grader CASES.jsonl [--repeat 3]
    python -m benchmarks.grader --golds DIR
    python -m benchmarks.grader --hostile

Math-Verify is called twice: as most callers do (`verify(parse(gold), parse(pred))`), and with both extracted sides
boxed; its own timeouts stay at their defaults. Cases with a `tag` or `tags` field follow options that graders may not
share and are left out of the accuracy. Both import sympy and start what they need before the clock runs; ours includes
extraction and the symbolic tier's time, and starts every repeat with empty caches. Of the repeats, each case counts
with its fastest time. Prints tables and, last, one JSON line.

`--golds` grades every gold answer of the data sets below DIR against itself in a box, and in another dress, without the
symbolic tier. `--hostile` takes the inputs of `tests/hostile_answers.py` and prints the slowest ones and the workers'
peak memory.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import runpy
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reason.answers import Rules, Verdict, equal, extract
from reason.answers.forms import forget
from reason.answers.symbolic import Pool, default_pool
from reason.evals import tasks

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


SETS = {
    "math500": "math500",
    "math": "math",
    "gsm8k": "gsm8k",
    "svamp": "svamp",
    "mawps": "mawps",
    "minerva": "minerva_math",
    "olympiadbench": "olympiadbench",
}
"""Task -> folder of its data."""


def golds(data: Path) -> None:
    """Gold answers against themselves, and their written-out forms against them."""
    print(f"{'data set':15} {'golds':>6} {'self-match':>11} {'gold_error':>11} {'median ms':>10}")
    for name, folder in SETS.items():
        task = tasks.load(name)
        problems = task.load(data=str(data / folder))
        verdicts = [task.grade(problem, rf"So it is \boxed{{{problem.answer}}}.") for problem in problems]
        scored = [verdict for verdict in verdicts if verdict.scored]
        dressed = [
            equal(problem.answer, rf"\displaystyle {{{problem.answer}}} .", symbolic=False) for problem in problems
        ]
        print(
            f"{name:15} {len(problems):>6} {sum(verdict.correct for verdict in scored) / len(scored):>11.1%} "
            f"{len(verdicts) - len(scored):>11} {statistics.median(one.milliseconds for one in dressed):>10.3f}"
        )


def hostile() -> None:
    """Time of every hostile input, and memory."""
    file = Path(__file__).parents[1] / "tests" / "hostile_answers.py"
    kinds: dict[str, list[str]] = runpy.run_path(str(file))["HOSTILE"]
    pool = Pool()
    started = time.perf_counter()
    pool.start()
    print(f"start of the pool: {time.perf_counter() - started:.2f} s")
    print(f"{'kind':22} {'inputs':>7} {'comparisons':>12} {'slowest s':>10} {'verdicts':>9}")
    for kind, texts in kinds.items():
        seconds, verdicts = [], Counter[str]()
        for text in texts:
            for gold, pred in (
                ("5", text),
                (r"\{1, x+\sin x\}", text),
                (text, text + "+1"),
                ("5", rf"\boxed{{{text}}}"),
            ):
                started = time.perf_counter()
                verdicts[equal(gold, extract(pred).answer or pred, pool=pool).verdict] += 1
                seconds.append(time.perf_counter() - started)
        shown = ", ".join(f"{name} {count}" for name, count in verdicts.most_common())
        print(f"{kind:22} {len(texts):>7} {len(seconds):>12} {max(seconds):>10.2f}  {shown}")
    healthy = pool.check("x^2-1", "(x-1)(x+1)").grade
    pool.close()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"the pool afterwards: {healthy}; peak resident memory of its processes: {peak:.0f} MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The grader against Math-Verify.")
    parser.add_argument("cases", type=Path, nargs="?", help="JSON lines: gold, pred, expected")
    parser.add_argument("--golds", type=Path, metavar="DIR", help="data sets, one folder each")
    parser.add_argument("--hostile", action="store_true", help="time the hostile inputs of the tests")
    parser.add_argument("--repeat", type=int, default=3, help="runs over the file; the fastest time of a case counts")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.hostile:
        hostile()
    elif options.golds is not None:
        golds(options.golds)
    elif options.cases is not None and options.cases.is_file():
        against_math_verify(options.cases, options.repeat)
    else:
        sys.exit(f"error: {options.cases} is not a file: pass JSON lines with gold, pred and expected")


def against_math_verify(file: Path, repeat: int) -> None:
    """Accuracy, false positives and throughput of the three."""
    cases = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    default_pool().start()
    graders = {"reason": ours, "math-verify": math_verify_plain, "math-verify, boxed": math_verify_boxed}
    results = {name: measure(grade, cases, repeat) for name, grade in graders.items()}
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
