"""Compute-optimal search against best-of-n and beam search on held-out problems of the bundled model.

    python -m benchmarks.compute_optimal --limit 200 --seed 0 --figure docs/compute-optimal.svg

Every strategy runs on the same problems of the test split; its results are kept in the folder, and the same command
goes on from them. Printed: accuracy with its 95 % interval, tokens, and the paired difference against best-of-n. The
figure's best-of-k curve is the expectation over all k-subsets of one run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import reason
from reason.evals.metrics import Samples, bootstrap_ci, curves, paired_bootstrap
from reason.evals.tasks import load
from reason.resolve import default_sampling
from reason.search import STRATEGIES, Strategy
from reason.search.compute_optimal import bundled_table, from_file
from reason.types import Outcome, Problem

BASELINE = "best_of_n"
Rows = dict[str, dict[str, Any]]


def main() -> None:
    """Run what is missing, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the problems; sampling has seed 0")
    parser.add_argument("--baseline", type=int, default=16, help="n of best-of-n")
    parser.add_argument("--beam", default="4,8,16", help="n of beam search, with commas")
    parser.add_argument("--n", default="2,4,6,8", help="n of compute-optimal search, with commas")
    parser.add_argument("--table", type=Path, default=bundled_table())
    parser.add_argument("--out", type=Path, default=Path("runs/compute_optimal"))
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    digest = hashlib.blake2b(given.table.read_bytes(), digest_size=4).hexdigest()
    arms = {f"best-of-{given.baseline}": (BASELINE, given.baseline, "")}
    arms |= {f"beam, n {n}": ("beam", n, "") for n in numbers(given.beam)}
    arms |= {f"compute-optimal, n {n}": ("compute_optimal", n, digest) for n in numbers(given.n)}
    problems = load("word_problems").load(limit=given.limit, seed=given.seed, split="test")
    found = {}
    for label, (name, n, version) in arms.items():
        file = given.out / f"{given.seed}-{given.limit}-{name}-{n}{version and '-' + version}.jsonl"
        search = from_file(given.table, n) if name == "compute_optimal" else STRATEGIES[name](n)
        found[label] = run(file, search, problems)
    show(found, problems)
    if given.figure is not None:
        draw(found, problems, given.figure)


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    return [int(part) for part in text.split(",") if part]


def run(file: Path, search: Strategy, problems: Sequence[Problem]) -> Rows:
    """Results by problem, from the file where they are there."""
    rows: Rows = {}
    for line in file.read_text("utf-8").splitlines() if file.exists() else []:
        row = json.loads(line)
        rows[row["problem"]] = row
    waiting = [problem for problem in problems if problem.id not in rows]
    if not waiting:
        return rows
    file.parent.mkdir(parents=True, exist_ok=True)
    task, policy = load("word_problems"), reason.load("bundled")

    def keep(outcome: Outcome) -> None:
        right = [task.grade(outcome.problem, item.path.text).correct for item in outcome.candidates]
        row = {
            "problem": outcome.problem.id,
            "right": task.grade(outcome.problem, outcome.path.text if outcome.path else "").correct,
            "tokens": outcome.cost.generated_tokens,
            "scored": outcome.cost.scored_tokens,
            "candidates": [
                [item.answer, None if math.isnan(item.score) else item.score, good]
                for item, good in zip(outcome.candidates, right, strict=True)
            ],
        }
        rows[row["problem"]] = row
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")

    reason.solve(
        waiting,
        policy=policy,
        search=search,
        scorer=reason.load_scorer("process", policy=policy),
        sampling=default_sampling(policy),
        on_outcome=keep,
    )
    return rows


def column(rows: Rows, problems: Sequence[Problem], key: str) -> list[float]:
    """One value for each problem."""
    return [float(rows[problem.id][key]) for problem in problems]


def show(found: Mapping[str, Rows], problems: Sequence[Problem]) -> None:
    """The table, as Markdown."""
    baseline, base = next(iter(found.items()))
    spent = sum(column(base, problems, "tokens"))
    header = ("strategy", "accuracy", "95 % interval", f"against {baseline}, in points", "tokens per problem")
    print(f"| {' | '.join((*header, f'of those of {baseline}', 'scored'))} |")
    print("|---|---|---|---|---|---|---|")
    for label, rows in found.items():
        right, tokens = column(rows, problems, "right"), column(rows, problems, "tokens")
        low, high = bootstrap_ci(right)
        gap = paired_bootstrap(right, column(base, problems, "right"))
        against = "" if label == baseline else f"{100 * gap.mean:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
        cells = [
            label,
            f"{100 * sum(right) / len(right):.1f} %",
            f"{100 * low:.1f}–{100 * high:.1f} %",
            against,
            f"{sum(tokens) / len(tokens):.0f}",
            f"{100 * sum(tokens) / spent:.0f} %",
            f"{sum(column(rows, problems, 'scored')) / len(right):.0f}",
        ]
        print(f"| {' | '.join(cells)} |")


def draw(found: Mapping[str, Rows], problems: Sequence[Problem], file: Path) -> None:
    """Accuracy against tokens."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    base = next(iter(found.values()))
    kept = [base[problem.id]["candidates"] for problem in problems]
    samples = [
        Samples(
            tuple(item[0] for item in row),
            tuple(item[2] for item in row),
            tuple(math.nan if item[1] is None else item[1] for item in row),
        )
        for row in kept
    ]
    curve = curves(samples)["naive"]
    each = sum(column(base, problems, "tokens")) / sum(map(len, kept))
    spent = [each * k for k in curve.k]
    scale = 100.0
    axes.plot(spent, [scale * v for v in curve.mean], color="#777777", label=f"best-of-k, k = 1 … {curve.k[-1]}")
    low, high = ([scale * v for v in bound] for bound in (curve.low, curve.high))
    axes.fill_between(spent, low, high, color="#777777", alpha=0.15, linewidth=0)
    for prefix, colour, marker, place in (
        ("beam", "#1f77b4", "s", (-5, 5)),
        ("compute-optimal", "#d62728", "o", (6, -12)),
    ):
        points = sorted(point(rows, problems) for label, rows in found.items() if label.startswith(prefix))
        if points:
            tokens, mean, below, above = zip(*points, strict=True)
            axes.errorbar(
                tokens, mean, (below, above), color=colour, marker=marker, capsize=3, label=f"{prefix}, n as labelled"
            )
        for label, rows in found.items():
            if label.startswith(prefix):
                at, height, *_ = point(rows, problems)
                side = "right" if place[0] < 0 else "left"
                name = label.rpartition(" ")[2]
                axes.annotate(name, (at, height), place, textcoords="offset points", color=colour, ha=side)
    axes.set_xscale("log", base=2)
    ticks = [50, 100, 200, 400, 800]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("generated tokens per problem (log scale)")
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{len(problems)} held-out word problems, bundled model; 95 % intervals", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "reason"
    figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)


def point(rows: Rows, problems: Sequence[Problem]) -> tuple[float, float, float, float]:
    """Tokens, accuracy in percent, and how far the interval reaches below and above."""
    right, tokens = column(rows, problems, "right"), column(rows, problems, "tokens")
    mean, (low, high) = sum(right) / len(right), bootstrap_ci(right)
    return sum(tokens) / len(tokens), 100 * mean, 100 * (mean - low), 100 * (high - mean)


if __name__ == "__main__":
    main()
