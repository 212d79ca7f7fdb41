"""One side of `benchmarks.rivals.treequest_compare`: builds a tree in a world that costs nothing, prints a JSON line.

Run as a file, in the environment of the side that it measures. In the world every sample is a new node, no node is
final, and a child's score lies between 0 and 1, near its parent's.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

MASK = (1 << 64) - 1
MARKS = (1000, 2000, 4000)


def mix(number: int) -> int:
    """A 64-bit hash (splitmix64's finaliser)."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & MASK
    return number ^ number >> 31


def score_below(score: float, index: int) -> float:
    """The score of sample number `index` below a node of this score."""
    return 0.7 * score + 0.3 * mix(index + 1) / 2**64


class Meter:
    """Counts nodes and batches, and notes the time at every mark; raises StopIteration when it is over."""

    def __init__(self, nodes: int, seconds: float) -> None:
        self.nodes, self.seconds = nodes, seconds
        self.count = self.asked = self.batches = self.distinct = 0
        self.marks: dict[int, float] = {}
        self.start = time.process_time()

    def batch(self, parents: Sequence[Any]) -> None:
        """A batch asked for children of these nodes."""
        self.asked += len(parents)
        self.batches += 1
        self.distinct += len(set(parents))

    def over(self, count: int) -> bool:
        """So many nodes stand in the tree: whether that is enough, or the time is up."""
        self.count, spent = count, time.process_time() - self.start
        for mark in (*MARKS, self.nodes):
            if count >= mark and mark not in self.marks:
                self.marks[mark] = spent
        return count >= self.nodes or spent > self.seconds

    def report(self, base: int) -> dict[str, Any]:
        """Everything measured; memory above `base` KiB."""
        return {
            "nodes": self.count,
            "seconds": round(time.process_time() - self.start, 3),
            "marks": {str(mark): round(spent, 4) for mark, spent in self.marks.items()},
            "asked": self.asked,
            "batch": round(self.asked / max(self.batches, 1), 2),
            "distinct": round(self.distinct / max(self.batches, 1), 2),
            "kib_per_node": round((peak() - base) / max(self.count, 1), 2),
        }


def peak() -> int:
    """Peak memory in KiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most


def run_treequest(algorithm: str, mode: str, batch: int, meter: Meter) -> None:
    """treequest: `step(inplace=True)` or `ask_batch` and `tell`."""
    import treequest

    logging.disable(logging.CRITICAL)
    searcher: Any = treequest.StandardMCTS(samples_per_action=4) if algorithm == "mcts" else treequest.ABMCTSA()
    state, indices = searcher.init_tree(), iter(range(10**9))

    def generate(parent: float | None) -> tuple[float, float]:
        score = score_below(0.5 if parent is None else parent, next(indices))
        return score, score

    while True:
        if mode == "step":
            state = searcher.step(state, {"next": generate}, inplace=True)
            meter.batch([0])
        else:
            state, trials = searcher.ask_batch(state, batch, ["next"])
            meter.batch([trial.node_to_expand for trial in trials])
            for trial in trials:
                state = searcher.tell(state, trial.trial_id, generate(trial.parent_state))
        if meter.over(state.tree.size - 1):
            return


def run_reason(algorithm: str, mode: str, batch: int, meter: Meter) -> None:
    """This project's searches, driven without a runner."""
    from reason.search import ab_mcts, mcts
    from reason.types import Problem, Score, Step
    from reason.work import Extend

    nodes = meter.nodes
    size = 1 if mode == "step" else batch
    searches: dict[str, Callable[[], Any]] = {
        "mcts": lambda: mcts(nodes, min(4, size), wave=max(size // 4, 1), simulations=nodes, max_depth=10**6),
        "ab_mcts": lambda: ab_mcts(nodes, wave=size, branch=1, max_depth=10**6),
    }
    indices: Iterator[int] = iter(range(10**9))
    run = searches[algorithm]()(Problem("world", "0"))
    work, count = next(run), 0
    while True:
        if isinstance(work, Extend):
            meter.batch([id(path) if path.steps else 0 for path in work.paths])
            steps = []
            for path in work.paths:
                index = next(indices)
                score = score_below(path.steps[-1].logprobs[0] if path.steps else 0.5, index)
                steps.append(Step(f"{index}\n", (index,), (score,)))
            count += len(steps)
            work = run.send(steps)
        else:
            work = run.send([Score(path.steps[-1].logprobs[0]) for path in work.paths])
            if meter.over(count):
                run.close()
                return


def main() -> None:
    """Measure one run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["reason", "treequest"])
    parser.add_argument("algorithm", choices=["mcts", "ab_mcts"])
    parser.add_argument("mode", choices=["step", "batch"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--nodes", type=int, default=MARKS[-1])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    run = run_treequest if options.side == "treequest" else run_reason
    run(options.algorithm, options.mode, options.batch, Meter(40, 10.0))
    base, meter = peak(), Meter(options.nodes, options.seconds)
    run(options.algorithm, options.mode, options.batch, meter)
    print(json.dumps(meter.report(base)))


if __name__ == "__main__":
    main()
