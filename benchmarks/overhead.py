"""What the runner itself costs: microseconds per step with a policy and a scorer that answer at once.

    python -m benchmarks.overhead [--problems 1000] [--repeats 3]

Best-of-16 makes 16 steps and 16 judgements per problem in two rounds; the step search makes 10 rounds of 16; the chain
10 rounds of one, the worst case since nothing shares a round's cost. Each figure is the best of the repeats. Prints a
table and, last, one JSON line: microseconds per step, and how many times longer 4x the problems take.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from reason.run import solve
from reason.types import Capabilities, Finish, Outcome, Path, Problem, Sampling, Score, Step, Until
from reason.work import Search, SearchRun, extend, judge

ROUNDS = 10


class Instant:
    """A policy and scorer in one whose every answer is the same."""

    capabilities = Capabilities("instant", partial=True, token_ids=True, logprobs=True, parameters=1)
    parameters = 1

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One constant step per path."""
        finish = Finish.STOP if sampling.until is Until.END else Finish.STEP
        return [Step("x\n", (1, 2, 3), (-0.1, -0.2, -0.3), finish)] * len(paths)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One constant score per path."""
        return [Score(0.5, (0.5,), 3)] * len(paths)


def rounds(width: int, depth: int, until: Until) -> Search:
    """`depth` rounds of `width` extensions, each judged."""

    def run(problem: Problem) -> SearchRun:
        paths = [Path(problem)] * width
        for _ in range(depth):
            paths = yield from extend(paths, until)
            yield from judge(paths)
        return Outcome(problem, "1", paths[0])

    return run


def seconds(search: Search, problems: int, concurrency: int, repeats: int) -> float:
    """The shortest time that many problems take."""
    batch, instant = [Problem(str(index), "question") for index in range(problems)], Instant()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        solve(batch, policy=instant, scorer=instant, search=search, concurrency=concurrency, progress=False)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    searches = {
        "best_of_16": (rounds(16, 1, Until.END), 16),
        "step_search_16": (rounds(16, ROUNDS, Until.STEP), 16 * ROUNDS),
        "chain": (rounds(1, ROUNDS, Until.STEP), ROUNDS),
    }
    table = Table("search", "open problems", "µs per step", "4x the problems take")
    found: dict[str, float] = {}
    for name, (search, steps) in searches.items():
        for concurrency in (1, 64):
            once = seconds(search, given.problems, concurrency, given.repeats)
            growth = seconds(search, 4 * given.problems, concurrency, given.repeats) / once
            micros = once / given.problems / steps * 1e6
            table.add_row(name, str(concurrency), f"{micros:.1f}", f"{growth:.1f}x")
            found[f"{name}_{concurrency}_us"], found[f"{name}_{concurrency}_growth"] = (
                round(micros, 2),
                round(growth, 2),
            )
    Console().print(table)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
