"""Side by side with treequest 0.3.3: time per node, growth, batches and memory of the trees themselves.

    python -m benchmarks.rivals.treequest_compare [--nodes 4000] [--batch 8] [--seconds 60] [--repeats 1]

Both sides build a tree of so many nodes in the same world (`benchmarks.rivals.treequest_side`), in which a node and its
score cost nothing: what is measured is choosing and recording. Each run is a process of its own; treequest's is in a
virtual environment that is made on the first call from `requirements-treequest.txt`, and used at its best: in place.
Pairs: its StandardMCTS with `mcts` (four samples per visit), its ABMCTSA with `ab_mcts`; one node after another
(`step(inplace=True)`) and in batches (`ask_batch`, `tell`). Times are processor time; a run that reaches the limit
stops there.

Columns: microseconds per node up to 1,000, 2,000 and 4,000 nodes; distinct nodes in a batch, of how many asked for;
share of the asked samples that the tree did not keep; memory per node. Ratios are the rival's over ours: above 1 is in
our favour. Growth is the time per node at the most nodes over that at 1,000. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rivals.environment import HERE, python_of

ALGORITHMS = ("mcts", "ab_mcts")
MODES = ("step", "batch")
SIDES = ("reason", "treequest")
ROOT = HERE.parents[1]


def run(python: str | Path, side: str, algorithm: str, mode: str, options: argparse.Namespace) -> dict[str, Any]:
    """One run in a process of its own; the fastest of `repeats`.

    Raises:
        SystemExit: The process failed; says why in one line.
    """
    command = [str(python), "-P", str(HERE / "treequest_side.py"), side, algorithm, mode]
    command += ["--batch", str(options.batch), "--nodes", str(options.nodes), "--seconds", str(options.seconds)]
    environment = os.environ | ({"PYTHONPATH": str(ROOT)} if side == "reason" else {})
    reports = []
    for _ in range(options.repeats):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise SystemExit(f"{side} {algorithm} {mode} failed: {reason}")
        reports.append(json.loads(done.stdout.splitlines()[-1]))
    return min(reports, key=lambda report: (-report["nodes"], report["seconds"]))


def micro(report: dict[str, Any], mark: int) -> float | None:
    """Microseconds per node up to so many nodes; None if the run did not get there."""
    seconds = report["marks"].get(str(mark))
    return None if seconds is None else 1e6 * seconds / mark


def row(side: str, algorithm: str, mode: str, report: dict[str, Any], marks: Sequence[int]) -> str:
    """One line of the table."""
    times = "".join(f"{'–' if (time := micro(report, mark)) is None else f'{time:.0f}':>10}" for mark in marks)
    kept = 1 - min(report["nodes"] / report["asked"], 1)
    batch = f"{report['distinct']:.2f} of {report['batch']:.2f}"
    return f"{algorithm:<9}{mode:<7}{side:<11}{times}{batch:>17}{kept:>9.0%}{report['kib_per_node']:>10.2f}"


def compared(ours: dict[str, Any], theirs: dict[str, Any], marks: Sequence[int]) -> dict[str, Any]:
    """Ratios and growth of one pair."""
    times = [(micro(ours, mark), micro(theirs, mark)) for mark in marks]
    both = [(mark, ours_, theirs_) for mark, (ours_, theirs_) in zip(marks, times, strict=True) if ours_ and theirs_]
    (_, first_ours, first_theirs), (_, last_ours, last_theirs) = both[0], both[-1]
    return {
        "times_faster": {str(mark): round(theirs_ / ours_, 1) for mark, ours_, theirs_ in both},
        "growth": round(last_ours / first_ours, 2),
        "rival_growth": round(last_theirs / first_theirs, 2),
        "distinct": ours["distinct"],
        "rival_distinct": theirs["distinct"],
        "memory": round(theirs["kib_per_node"] / ours["kib_per_node"], 2) if ours["kib_per_node"] else None,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=4000, help="nodes of each tree (default 4000, at least 1000)")
    parser.add_argument("--batch", type=int, default=8, help="samples asked for together (default 8)")
    parser.add_argument("--seconds", type=float, default=60.0, help="limit of each run (default 60)")
    parser.add_argument("--repeats", type=int, default=1, help="runs of which the fastest counts (default 1)")
    options = parser.parse_args(arguments)
    pythons = {"reason": Path(sys.executable), "treequest": python_of("treequest")}
    marks = [mark for mark in (1000, 2000, 4000) if mark <= options.nodes]
    heads = "".join(f"{f'µs to {mark}':>10}" for mark in marks)
    print(
        f"{'tree':<9}{'mode':<7}{'side':<11}{heads}{'distinct in batch':>17}{'wasted':>9}{'KiB/node':>10}", flush=True
    )
    result: dict[str, Any] = {"nodes": options.nodes, "batch": options.batch}
    for algorithm in ALGORITHMS:
        for mode in MODES:
            reports = {side: run(pythons[side], side, algorithm, mode, options) for side in SIDES}
            for side in SIDES:
                print(row(side, algorithm, mode, reports[side], marks), flush=True)
            result[f"{algorithm}_{mode}"] = compared(reports["reason"], reports["treequest"], marks)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
