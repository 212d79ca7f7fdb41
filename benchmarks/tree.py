"""How MCTS and AB-MCTS grow: time and memory from 1,000 to 100,000 simulations on a fake policy.

    python -m benchmarks.tree [--simulations 100000] [--rival 2000]

The searches are those of `reason.search`, driven without a runner. Steps and scores come from a hash at next to no
cost, so what is measured is selection, expansion and backpropagation. Times are processor time, so that a busy machine
does not show. The rival, in the same run and the same world, is a tree of objects that recomputes a node's statistics
from its subtree whenever it is asked for them, as plain implementations do. Another rival, treequest, has
`benchmarks.rivals.treequest`. Prints a table and, last, one JSON line:

- growth: time per simulation at the most simulations over that at 1,000;
- edges: edges that a simulation selects, at both; a tree of N nodes is about log N deep, so this grows;
- growth_per_edge: time per selected edge, the same way;
- memory_growth: peak memory per simulation, from 10,000 simulations on; bytes_per_node;
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

from reason.search import ab_mcts, mcts
from reason.types import Finish, Path, Problem, Score, Step
from reason.work import Extend, Judge

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
    """One of `LINES` lines, the earlier ones likelier; the last line answers. Its tokens are what `value` needs."""
    depth = len(path.steps)
    if depth == DEPTH:
        return Step("Answer: 1", (1, 1), (-0.1,), Finish.STOP)
    kind = LINES - 1 - math.isqrt(mix(index + 1) % (LINES * LINES))
    state, total = path.steps[-1].token_ids if depth else (0, 0)
    return Step(f"{kind}\n", (mix(state + kind + 1), total + kind), (-0.05 * (kind + 1),))


def value(path: Path) -> float:
    """A number in (0, 1): higher for the likelier lines, with noise from the path."""
    state, total = path.steps[-1].token_ids
    return 0.5 * (1 - total / (LINES * len(path.steps))) + 0.5 * state / 2**64


@dataclass
class Run:
    """Seconds and tree size of one search; edges are those that its simulations selected."""

    seconds: float
    nodes: int
    edges: int = 0


def ours(simulations: int, name: str = "mcts") -> Run:
    """Run `mcts` for so many simulations, or `ab_mcts` for about so many samples."""
    search = mcts(simulations, 4, simulations=simulations, wave=8)
    if name == "ab_mcts":
        search = ab_mcts(max(simulations // (DEPTH + 1), 1), wave=8, branch=1)
    gc.collect()
    start, counter = time.process_time(), 0
    run = search(PROBLEM)
    try:
        work = next(run)
        while True:
            if isinstance(work, Extend):
                steps = [next_step(path, counter + offset) for offset, path in enumerate(work.paths)]
                counter += len(steps)
                work = run.send(steps)
            elif isinstance(work, Judge):
                work = run.send([Score(value(path)) for path in work.paths])
    except StopIteration as stop:
        seconds, tree = time.process_time() - start, stop.value.tree
        if name == "mcts" and tree.visits[0] != simulations:
            raise RuntimeError(f"asked for {simulations} simulations, saw {tree.visits[0]}") from None
        return Run(seconds, len(tree), int(tree.array("visits")[1:].sum()))


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
    start, counter, nodes = time.process_time(), 0, 1
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
    return Run(time.process_time() - start, nodes)


def peak_mib() -> float:
    """Peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def sizes(least: int, most: int) -> list[int]:
    """About half a decade apart, from `least` to `most`."""
    steps = max(round(2 * math.log10(most / least)), 1) if most > least else 0
    return [round(least * (most / least) ** (step / steps)) for step in range(steps)] + [most]


@dataclass
class Row:
    """One line of the table; memory is the peak in MiB above the start, NaN if not measured."""

    name: str
    count: int
    run: Run
    memory: float = math.nan

    @property
    def micro(self) -> float:
        """Microseconds per simulation."""
        return 1e6 * self.run.seconds / self.count


def measure(most: int, rival_most: int) -> list[Row]:
    """Ours, then AB-MCTS, then the plain tree."""
    ours(1000)
    base, rows = peak_mib(), list[Row]()
    for count in sizes(1000, most):
        best = min((ours(count) for _ in range(max(1, 20_000 // count))), key=lambda run: run.seconds)
        rows.append(Row("mcts", count, best, peak_mib() - base))
    rows += [Row("ab_mcts", count, ours(count, "ab_mcts")) for count in sizes(1000, most)]
    return rows + [Row("plain tree", count, rival(count)) for count in sizes(max(rival_most // 10, 1), rival_most)]


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    heads = ("tree", "simulations", "seconds", "µs/simulation", "edges/simulation", "nodes", "peak MiB above start")
    print("".join(f"{head:>{width}}" for head, width in zip(heads, (11, 13, 10, 15, 18, 11, 22), strict=True)))
    for row in rows:
        edges = f"{row.run.edges / row.count:.2f}" if row.run.edges else ""
        memory = "" if math.isnan(row.memory) else f"{row.memory:.0f}"
        print(
            f"{row.name:>11}{row.count:>13,}{row.run.seconds:>10.3f}{row.micro:>15.1f}{edges:>18}"
            f"{row.run.nodes:>11,}{memory:>22}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=100_000, help="most simulations (default 100000)")
    parser.add_argument("--rival", type=int, default=2_000, help="most simulations of the rival (default 2000)")
    options = parser.parse_args(arguments)
    rows = measure(options.simulations, options.rival)
    show(rows)
    ours_by_count = {row.count: row for row in rows if row.name == "mcts"}
    first, last = ours_by_count[1000], ours_by_count[options.simulations]
    middle = min(ours_by_count.values(), key=lambda row: abs(row.count - 10_000))
    adaptive = [row for row in rows if row.name == "ab_mcts"]
    plain = [row for row in rows if row.name == "plain tree"]
    edges = [row.run.edges / row.count for row in (first, last)]
    result = {
        "simulations": options.simulations,
        "us_per_simulation_1k": round(first.micro, 1),
        "us_per_simulation_most": round(last.micro, 1),
        "growth": round(last.micro / first.micro, 2),
        "edges": [round(number, 2) for number in edges],
        "growth_per_edge": round(last.micro / edges[1] / (first.micro / edges[0]), 2),
        "memory_growth": round(last.memory / last.count / (middle.memory / middle.count), 2) if middle.memory else None,
        "bytes_per_node": round(2**20 * last.memory / last.run.nodes),
        "ab_mcts_us_1k": round(adaptive[0].micro, 1),
        "ab_mcts_us_most": round(adaptive[-1].micro, 1),
        "rival_simulations": options.rival,
        "rival_growth": round(plain[-1].micro / plain[0].micro, 2),
        "times_faster": round(plain[-1].run.seconds / ours(options.rival).seconds, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
