"""Every strategy on the bundled model, on the same held-out problems with the same seed: the README's table and figure.

    OMP_NUM_THREADS=1 python -m benchmarks.strategies [--problems 200] [--seed 7] [--n 16] [--curve 4 64]

One line per strategy: accuracy with its 95 % interval (bootstrap over problems), accuracy on the harder half (problems
of 5 to 8 steps) and its paired difference from best-of-n there, generated tokens, those of them that had to be computed
(copies of a path that draw the same tokens are computed as one), scored tokens, seconds of processor time (one core,
the symbolic grader's own processes left out). `--curve` runs the searches at other budgets for the figure;
self-consistency and best-of-n give all k from one run. Finished runs are kept in `--out` (runs/strategies) and not
repeated. The scorer is the bundled process model; the tournament compares by its values. Writes table.md,
strategies.svg and results.json there; the last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from rich.console import Console

import reason
from reason.evals.curve import curve_of, shown_k
from reason.evals.metrics import bootstrap_ci, paired_bootstrap
from reason.evals.record import Record
from reason.evals.run import evaluate
from reason.evals.tasks import load as load_task
from reason.resolve import default_sampling, find_scorer, find_strategy
from reason.search.strategy import COMPARE, SCORER

BASE = "best_of_n"
CURVES = ("beam", "mcts", "dvts", "particles", "compute_optimal")
SAMPLED = {"self_consistency": "majority", "best_of_n": "naive"}
HARD_STEPS = 5


@dataclass(frozen=True)
class Result:
    """One strategy at one budget, problem by problem."""

    strategy: str
    n: int
    right: tuple[float, ...]
    generated: int
    computed: int
    scored: int
    seconds: float
    curve: dict[str, Any]

    def share(self, among: Sequence[int]) -> list[float]:
        """Right or wrong on these problems."""
        return [self.right[index] for index in among]


def run(name: str, n: int, problems: Sequence[reason.Problem], seed: int, out: Path) -> Result:
    """The strategy's result, from `out` if it is there."""
    file = out / f"{name}-{n}.json"
    if file.exists():
        told = json.loads(file.read_text())
        return Result(**{**told, "right": tuple(told["right"])})
    task = load_task("word_problems")
    policy = reason.load("bundled")
    search = find_strategy(name, n)
    needs = getattr(search, "needs", frozenset())
    scorer = None
    if COMPARE in needs:
        scorer = find_scorer("pairs:process", policy=policy)
    elif SCORER in needs:
        scorer = find_scorer("process", policy=policy)
    shared = 0

    def add(_: Record, outcome: reason.Outcome) -> None:
        nonlocal shared
        shared += outcome.cost.shared_tokens

    began = time.process_time()
    records = evaluate(
        problems,
        task.grade,
        policy=policy,
        search=search,
        scorer=scorer,
        sampling=default_sampling(policy),
        seed=seed,
        progress=False,
        on_record=add,
    )
    seconds = time.process_time() - began
    generated = sum(record.generated_tokens for record in records)
    result = Result(
        name,
        n,
        tuple(float(record.correct) for record in records),
        generated,
        generated - shared,
        sum(record.scored_tokens for record in records),
        seconds,
        _curve(name, records, n),
    )
    file.write_text(json.dumps(asdict(result)) + "\n")
    return result


def _curve(name: str, records: Sequence[Record], n: int) -> dict[str, Any]:
    return curve_of(records, n) if name in SAMPLED and n > 1 else {}


def table(results: Sequence[Result], base: Result, hard: Sequence[int]) -> str:
    """The Markdown table."""
    lines = [
        "| strategy | accuracy | 95 % interval | harder half | against best-of-n there, in points | tokens generated | "
        "computed | scored | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        low, high = bootstrap_ci(list(result.right))
        there = result.share(hard)
        gap = paired_bootstrap(there, base.share(hard))
        against = "" if result is base else f"{100 * gap[0]:+.0f} ({100 * gap[1]:+.0f} to {100 * gap[2]:+.0f})"
        cells = (
            f"`{result.strategy}`",
            f"{100 * _mean(result.right):.1f} %",
            f"{100 * low:.0f}–{100 * high:.0f} %",
            f"{100 * _mean(there):.0f} %",
            against,
            f"{result.generated:,}",
            f"{result.computed:,}",
            f"{result.scored:,}",
            f"{result.seconds:.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def draw(curves: dict[str, list[tuple[float, float, float, float]]], title: str, file: Path) -> None:
    """Accuracy against generated tokens per problem; each point is (tokens, accuracy, low, high)."""
    style = {"svg.fonttype": "none", "svg.hashsalt": "reason", "font.size": 11, "font.family": "sans-serif"}
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(9.2, 5.0), layout="constrained")
        for marker, (name, points) in zip("osD^vPXdh<>", curves.items(), strict=False):
            tokens, accuracy, low, high = zip(*sorted(points), strict=True)
            (line,) = axes.plot(tokens, accuracy, marker=marker, markersize=6, linewidth=1.8, label=name)
            axes.vlines(tokens, low, high, color=line.get_color(), alpha=0.35, linewidth=1.2)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda tokens, _: f"{tokens:,.0f}")
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        axes.set_xlabel("generated tokens per problem")
        axes.set_title(title, loc="left", fontsize=11)
        axes.grid(visible=True, color="#dddddd", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(frameon=False, loc="outside right upper")
        figure.savefig(file, metadata={"Date": None, "Creator": None}, facecolor="white")
        pyplot.close(figure)


def points_of(results: Sequence[Result], problems: int) -> dict[str, list[tuple[float, float, float, float]]]:
    """The figure's curves: every k of the sampling strategies' longest run, and each budget of the searches."""
    curves: dict[str, list[tuple[float, float, float, float]]] = {}
    for name, selection in SAMPLED.items():
        longest = max((item for item in results if item.strategy == name), key=lambda item: item.n, default=None)
        if longest is None:
            continue
        told = longest.curve
        for k in shown_k(longest.n):
            share = (told[selection][part][k - 1] for part in ("mean", "low", "high"))
            curves.setdefault(name, []).append((told["tokens"][k - 1], *share))
    for name in CURVES:
        for item in (item for item in results if item.strategy == name):
            interval = bootstrap_ci(list(item.right))
            curves.setdefault(name, []).append((item.generated / problems, _mean(item.right), *interval))
    return curves


def main() -> None:
    """Run what is missing, then print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--curve", type=int, nargs="*", default=[4, 64])
    parser.add_argument("--only", nargs="+", default=None, help="strategies; default: all")
    parser.add_argument("--out", type=Path, default=Path("runs/strategies"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    problems = load_task("word_problems").load(limit=given.problems, seed=given.seed)
    hard = [index for index, problem in enumerate(problems) if problem.meta["steps"] >= HARD_STEPS]
    names = given.only or [*reason.search.STRATEGIES, "compute_optimal"]
    console = Console(stderr=True)
    results = []
    for name in names:
        results.append(run(name, given.n, problems, given.seed, given.out))
        console.print(f"{name}: {_mean(results[-1].right):.1%}, {results[-1].seconds:.0f} s")
    base = next((item for item in results if item.strategy == BASE), results[0])
    text = table(results, base, hard)
    (given.out / "table.md").write_text(text + "\n")
    print(text)
    everything = list(results)
    for n in given.curve:
        for name in (*SAMPLED, *CURVES) if n > given.n else CURVES:
            if name in names:
                everything.append(run(name, n, problems, given.seed, given.out))
                console.print(f"{name}, n {n}: {_mean(everything[-1].right):.1%}, {everything[-1].seconds:.0f} s")
    title = f"accuracy on {len(problems)} word problems, with 95 % intervals"
    draw(points_of(everything, len(problems)), title, given.out / "strategies.svg")
    told = {f"{item.strategy}-{item.n}": {"accuracy": _mean(item.right)} | _cost(item) for item in everything}
    (given.out / "results.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told))


def _cost(item: Result) -> dict[str, float]:
    tokens = {"generated_tokens": item.generated, "computed_tokens": item.computed}
    return {**tokens, "scored_tokens": item.scored, "seconds": round(item.seconds, 1)}


if __name__ == "__main__":
    main()
