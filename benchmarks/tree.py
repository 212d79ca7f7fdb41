"""How MCTS grows: time and memory per simulation from 1,000 to 100,000 simulations on a fake policy.

    python -m benchmarks.tree [--simulations 100000] [--rival 2000]

The search is `reason.search.mcts` itself, driven without a runner. Steps and scores come from a hash at next to no
cost, so what is measured is selection, expansion and backpropagation. The rival, in the same run and the same world, is
a tree of objects that recomputes a node's statistics from its subtree whenever it is asked for them, as plain
implementations do. Prints a table and, last, one JSON line:

- growth: time per simulation at the most simulations over that at 1,000;
- memory_growth: the same for peak memory per simulation, from 10,000 simulations on;
- rival_growth: the rival's growth over the same factor in simulations at which it was run;
- times_faster: the rival's time over ours at its most simulations.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from reason.search import mcts
from reason.types import Finish, Path, Problem, Score, Step
from reason.work import Extend

DEPTH = 12
LINES = 32
PROBLEM = Problem("growth", "0")
MASK = (1 << 64) - 1


def mix(number: int) -> int:
    """A 64-bit hash (splitmix64's finaliser)."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & MASK
    return number ^ number >> 31


def next_step(path: Path, index: int) -> Step:
    """One of `LINES` lines, the earlier ones likelier; the last line answers."""
    depth = len(path.steps)
    if depth == DEPTH:
        return Step("Answer: 1", (1,), (-0.1,), Finish.STOP)
    kind = LINES - 1 - math.isqrt(mix(index + 1) % (LINES * LINES))
    return Step(f"{kind}\n", (kind,), (-0.05 * (kind + 1),))


def value(path: Path) -> float:
    """A number in (0, 1): higher for the likelier lines, with noise from the path."""
    kinds = [step.token_ids[0] for step in path.steps]
    number = 0
    for kind in kinds:
        number = mix(number + kind + 1)
    return 0.5 * (1 - sum(kinds) / (LINES * len(kinds))) + 0.5 * number / 2**64


@dataclass
class Run:
    """Seconds and tree size of one search; counter numbers the samples."""

    seconds: float
    nodes: int
    counter: int = 0


def ours(simulations: int) -> Run:
    """Run `mcts` for so many simulations."""
    search = mcts(simulations, 4, simulations=simulations, wave=8)
    gc.collect()
    start, counter = time.perf_counter(), 0
    run = search(PROBLEM)
    try:
        work = next(run)
        while True:
            if isinstance(work, Extend):
                steps = [next_step(path, counter + offset) for offset, path in enumerate(work.paths)]
                counter += len(steps)
                work = run.send(steps)
            else:
                work = run.send([Score(value(path)) for path in work.paths])
    except StopIteration as stop:
        seconds = time.perf_counter() - start
        visits = stop.value.tree.visits[0]
        if visits != simulations:
            raise RuntimeError(f"asked for {simulations} simulations, saw {visits}") from None
        return Run(seconds, len(stop.value.tree), counter)


@dataclass
class Node:
    """The rival's node: it knows what it is, and asks its subtree for everything else."""

    path: Path
    own: float
    prior: float = 1.0
    backed: list[float] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    expanded: bool = False

    def visits(self) -> int:
        return len(self.backed) + sum(child.visits() for child in self.children)

    def total(self) -> float:
        return math.fsum(self.backed) + sum(child.total() for child in self.children)

    def open(self) -> bool:
        return self.path.open and (not self.expanded or any(child.open() for child in self.children))

    def best_child(self) -> Node:
        pull = 0.3 * math.sqrt(self.visits())
        return max((child for child in self.children if child.open()), key=lambda child: child.score(pull))

    def score(self, pull: float) -> float:
        visits = self.visits()
        return (self.own + self.total()) / (1 + visits) + pull * self.prior / (1 + visits)


def rival(simulations: int) -> Run:
    """The plain tree, for so many simulations."""
    gc.collect()
    start, counter, nodes = time.perf_counter(), 0, 1
    root = Node(Path(PROBLEM), 0.5)
    for _ in range(simulations):
        node = root
        while node.expanded:
            node = node.best_child()
        steps: dict[str, Step] = {}
        for _ in range(4):
            step = next_step(node.path, counter)
            steps[step.text] = step
            counter += 1
        paths = [node.path.then(step) for step in steps.values()]
        node.children = [Node(path, value(path), math.exp(path.steps[-1].logprob)) for path in paths]
        node.expanded = True
        node.backed.append(max(child.own for child in node.children))
        nodes += len(node.children)
    return Run(time.perf_counter() - start, nodes, counter)


def peak_mib() -> float:
    """Peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def sizes(least: int, most: int) -> list[int]:
    """About half a decade apart, from `least` to `most`."""
    steps = max(round(2 * math.log10(most / least)), 1) if most > least else 0
    return [round(least * (most / least) ** (step / steps)) for step in range(steps)] + [most]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=100_000, help="most simulations (default 100000)")
    parser.add_argument("--rival", type=int, default=2_000, help="most simulations of the rival (default 2000)")
    options = parser.parse_args(arguments)
    ours(1000)
    base = peak_mib()
    rows: list[tuple[str, int, float, int, float]] = []
    for count in sizes(1000, options.simulations):
        repeats = max(1, 10_000 // count)
        best = min((ours(count) for _ in range(repeats)), key=lambda run: run.seconds)
        rows.append(("reason", count, best.seconds, best.nodes, peak_mib() - base))
    for count in sizes(max(options.rival // 10, 1), options.rival):
        run = rival(count)
        rows.append(("plain tree", count, run.seconds, run.nodes, math.nan))
    twin = ours(options.rival)
    print(
        f"{'tree':<12}{'simulations':>12}{'seconds':>10}{'µs/simulation':>15}{'nodes':>10}{'peak MiB above start':>22}"
    )
    for name, count, seconds, nodes, memory in rows:
        grown = "" if math.isnan(memory) else f"{memory:.0f}"
        print(f"{name:<12}{count:>12,}{seconds:>10.3f}{1e6 * seconds / count:>15.1f}{nodes:>10,}{grown:>15}")
    mine = {count: (seconds / count, memory / count) for name, count, seconds, _, memory in rows if name == "reason"}
    plain = [seconds / count for name, count, seconds, _, _ in rows if name == "plain tree"]
    most = options.simulations
    middle = min(mine, key=lambda count: abs(count - 10_000))
    result = {
        "simulations": most,
        "us_per_simulation_1k": round(1e6 * mine[1000][0], 1),
        "us_per_simulation_most": round(1e6 * mine[most][0], 1),
        "growth": round(mine[most][0] / mine[1000][0], 2),
        "memory_growth": round(mine[most][1] / mine[middle][1], 2) if mine[middle][1] > 0 else None,
        "kib_per_simulation": round(1024 * mine[most][1], 2),
        "rival_simulations": options.rival,
        "rival_growth": round(plain[-1] / plain[0], 2),
        "times_faster": round(plain[-1] * options.rival / twin.seconds, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
