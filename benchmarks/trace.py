"""What the trace store costs, and how fast a large one answers.

    python -m benchmarks.trace overhead [--problems 64] [--n 16] [--pairs 8]
    python -m benchmarks.trace queries [--nodes 1000000] [--samples 200]

`overhead` runs best-of-n on the bundled models with a store and without, in turn, in one process: each pair is one run
of both, in alternating order, with a scorer and a store of its own. It prints the mean ratio of the pairs' times with
its 95 % interval (Student's t over the logarithms), for wall time and for processor time, and the time of a run again
on its finished store.

`queries` lets the writer make a store of that size (a tree search of 10 rounds over problems of 1,000 steps each, every
step of 12 tokens with log-probabilities and judged) and one of a tenth of it, opens each for reading, and times what
views, exports, replays and resumed runs ask for, each on random problems, steps and calls. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path as FilePath

from rich.console import Console
from rich.table import Table

from reason.run import solve
from reason.trace import Trace, read
from reason.trace.nodes import FIND
from reason.types import Capabilities, Finish, Outcome, Path, Policy, Problem, Sampling, Score, Scorer, Step, Until
from reason.work import SearchRun, extend, judge

ROUNDS, WIDTH = 10, 100
ECHOES = 25
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 11: 2.201, 15: 2.131}
"""Two-sided 95 % quantiles of Student's t by degrees of freedom."""


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean of the ratios and its 95 % interval."""
    logs = [math.log(ratio) for ratio in ratios]
    mean, freedom = statistics.fmean(logs), len(logs) - 1
    quantile = T_95[max(known for known in T_95 if known <= freedom)]
    half = quantile * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def overhead(problems: int, n: int, pairs: int, folder: FilePath) -> dict[str, object]:
    """Times of best-of-n with and without a store."""
    import reason
    from reason.evals.tasks import load

    policy, search = reason.load("bundled"), reason.best_of_n(n)
    batch = load("word_problems").load(limit=problems)

    def timed(file: FilePath | None, by: Policy, judge: Scorer) -> tuple[float, float]:
        wall, processor = time.perf_counter(), time.process_time()
        solve(batch, policy=by, search=search, scorer=judge, store=file, progress=False)
        return time.perf_counter() - wall, time.process_time() - processor

    known = Known(policy, reason.load_scorer("process"))
    timed(None, known, known)
    runs: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for pair in range(pairs):
        for stored in (True, False) if pair % 2 else (False, True):
            file = folder / f"{pair}.db" if stored else None
            runs[stored].append(timed(file, policy, reason.load_scorer("process")))
    again, _ = timed(folder / "0.db", policy, reason.load_scorer("process"))
    bare = [timed(None, known, known) for _ in range(ECHOES)]
    kept = [timed(folder / f"known-{place}.db", known, known) for place in range(ECHOES)]
    table, found = Table("of best-of-n", "without (s)", "with (s)", "with / without", "95 % interval", "writing"), {}
    for place, name in enumerate(("wall time", "processor time")):
        without, stored = ([took[place] for took in runs[which]] for which in (False, True))
        mean, low, high = interval([one / other for one, other in zip(stored, without, strict=True)])
        writing = min(took[place] for took in kept) - min(took[place] for took in bare)
        shown = (f"{statistics.median(without):.2f}", f"{statistics.median(stored):.2f}", f"{mean:.4f}")
        table.add_row(
            name, *shown, f"{low:.4f} – {high:.4f}", f"{1e3 * writing:.0f} ms, {100 * writing / min(without):.2f} %"
        )
        found[name] = {"ratio": [mean, low, high], "without": without, "with": stored, "writing": writing}
    Console().print(table)
    Console().print(f"again on the finished store: {again:.2f} s, nothing is paid for")
    return {"problems": problems, "n": n, "pairs": pairs, "again": again, **found}


class Known:
    """A policy and scorer in one that ask others the first time, and know the answer afterwards."""

    def __init__(self, policy: Policy, scorer: Scorer) -> None:
        self._policy, self._scorer = policy, scorer
        self.capabilities, self.identity, self.name = policy.capabilities, "known", "known"
        self._steps: dict[tuple[str, int], Step] = {}
        self._scores: dict[tuple[str, str], Score] = {}

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One step per path."""
        keys = [(path.problem.id, path.seed) for path in paths]
        if any(key not in self._steps for key in keys):
            self._steps.update(zip(keys, await self._policy.extend(paths, sampling), strict=True))
        return [self._steps[key] for key in keys]

    async def stream(self, paths: Sequence[Path], sampling: Sampling) -> AsyncIterator[tuple[int, Step]]:
        """Steps one by one, as the bundled policy's land."""
        for index, step in enumerate(await self.extend(paths, sampling)):
            yield index, step

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path."""
        keys = [(path.problem.id, path.text) for path in paths]
        if any(key not in self._scores for key in keys):
            self._scores.update(zip(keys, await self._scorer.judge(paths), strict=True))
        return [self._scores[key] for key in keys]


class Instant:
    """A policy and scorer in one that answers at once; every step is of 12 tokens drawn by the path's seed."""

    capabilities = Capabilities("instant", partial=True, token_ids=True, logprobs=True, parameters=1)
    identity = name = "instant"
    parameters = 1

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One step per path."""
        return [self._step(path) for path in paths]

    def _step(self, path: Path) -> Step:
        draw = random.Random(path.seed)
        tokens = tuple(draw.randrange(50_000) for _ in range(12))
        finish = Finish.STOP if len(path.steps) == ROUNDS - 1 else Finish.STEP
        return Step(f"{path.seed} is followed by something.\n", tokens, tuple(-draw.random() for _ in tokens), finish)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path."""
        return [Score(0.5, tuple(0.5 for _ in path.steps), 12) for path in paths]


def rounds(problem: Problem) -> SearchRun:
    """`ROUNDS` rounds of `WIDTH` extensions, each judged."""
    paths = [Path(problem)] * WIDTH
    for _ in range(ROUNDS):
        paths = yield from extend(paths, Until.STEP)
        yield from judge(paths)
    return Outcome(problem, "1", paths[0])


def made(file: FilePath, nodes: int) -> float:
    """A store with so many nodes, made by the writer; returns processor microseconds per node, the search included."""
    batch = [Problem(str(index), f"What is {index}?", str(index)) for index in range(-(-nodes // (ROUNDS * WIDTH)))]
    instant, start = Instant(), time.process_time()
    solve(batch, policy=instant, scorer=instant, search=rounds, store=file, progress=False, concurrency=8)
    return (time.process_time() - start) / nodes * 1e6


def queries(trace: Trace) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is timed, by what it is; each call is on a random place."""
    draw = random.Random(0)
    [search] = trace.searches()
    problems = list(trace.problems())
    [(last,)] = trace.rows("SELECT max(id) FROM node")
    ends = f"SELECT id FROM node WHERE depth = {ROUNDS} AND id > ? LIMIT 1"
    leaves = [trace.rows(ends, (draw.randrange(1, last - WIDTH),))[0] for _ in range(1000)]
    places = [(draw.randrange(1, last),) for _ in range(2000)]
    keys = [trace.rows("SELECT key FROM node WHERE id = ?", place)[0] for place in places]

    def leaf() -> object:
        return trace.path(draw.choice(leaves)[0], problems[0].problem)

    yield (
        f"a problem's {ROUNDS * WIDTH:,} steps",
        lambda: list(trace.nodes(search.number, draw.choice(problems).number)),
    )
    yield (
        f"a problem's {ROUNDS * WIDTH:,} scores",
        lambda: list(trace.scores(search.number, draw.choice(problems).number)),
    )
    yield f"a path of {ROUNDS} steps, from its leaf", leaf
    yield "a call in the cache", lambda: trace.rows(FIND, draw.choice(keys))
    yield "a call that is not there", lambda: trace.rows(FIND, (draw.randbytes(16),))
    yield "all outcomes", lambda: list(trace.outcomes(search.number))


def measured(nodes: int, samples: int, folder: FilePath) -> dict[str, float]:
    """Bytes and microseconds per node, and milliseconds per query (median and 99th percentile)."""
    file = folder / f"{nodes}.db"
    found = {"processor µs per node written": made(file, nodes), "bytes per node": file.stat().st_size / nodes}
    with read(file) as trace:
        for name, query in queries(trace):
            times = list[float]()
            for _ in range(samples if name != "all outcomes" else min(20, samples)):
                start = time.perf_counter()
                query()
                times.append((time.perf_counter() - start) * 1e3)
            found[name] = statistics.median(times)
            found[f"{name}, 99 %"] = sorted(times)[int(0.99 * (len(times) - 1))]
    return found


def asked(nodes: int, samples: int, folder: FilePath) -> dict[str, object]:
    """Both stores' figures, side by side."""
    small, large = measured(max(nodes // 10, ROUNDS * WIDTH), samples, folder), measured(nodes, samples, folder)
    table = Table("query (ms, median; 99 % in brackets)", f"{nodes // 10:,} nodes", f"{nodes:,} nodes")
    for name in small:
        if name.endswith(", 99 %"):
            continue
        rare = f"{name}, 99 %"
        cells = [
            f"{held[name]:.3f} ({held[rare]:.3f})" if rare in held else f"{held[name]:.1f}" for held in (small, large)
        ]
        table.add_row(name, *cells)
    Console().print(table)
    return {"nodes": nodes, "small": small, "large": large}


def shown(held: dict[str, float], name: str) -> str:
    """A figure, with its 99th percentile where it has one."""
    rare = f"{name}, 99 %"
    return f"{held[name]:.3f} ({held[rare]:.3f})" if rare in held else f"{held[name]:.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "queries"))
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = FilePath(name)
        if given.what == "overhead":
            print(json.dumps(overhead(given.problems, given.n, given.pairs, folder)))
        else:
            print(json.dumps(asked(given.nodes, given.samples, folder)))


if __name__ == "__main__":
    main()
