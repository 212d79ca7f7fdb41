"""Kill an evaluation at random moments with kill -9, resume it, and compare: the result, and what was paid for.

    python -m benchmarks.kill [--times 50] [--strategies best_of_n,mcts,...] [--bundled] [--problems 8] [--seed 0]

For each strategy an evaluation of the toy world (or, with --bundled, of word problems by the bundled model and its
process reward model) first runs without interruption. Then, `times` times over all strategies in turn, a fresh one is
killed with SIGKILL at a moment drawn evenly from that duration, resumed, with probability a half killed again and so
on, and at last runs to its end. Two things are then compared with the uninterrupted evaluation:

- the result: every record, outcome and candidate, in all but the times (with --bundled also but what prefix caches and
  copies computed together save, which the process takes with it, and the last digits of what depends on the batch);
- the payments: policy and scorer append each path they are paid for to a file (O_APPEND, one write each) before it is
  handed over. After a kill, what the store holds must not be paid for again, and nothing else may be left out: what is
  paid from there on must be, path by path and seed by seed, what the whole evaluation pays less what the store holds.

Every evaluation is a process of its own, forked so that none has to import anything again. Exit code 1 if anything
differs. Prints a table and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from rich.console import Console
from rich.table import Table

import reason
from reason.evals.record import Record
from reason.evals.results import Results
from reason.evals.run import evaluate
from reason.evals.tasks import Task
from reason.evals.tasks.word_problems import TASK
from reason.identity import policy_identity, scorer_identity
from reason.policies.fake import FakeScorer, StreamingFakePolicy, fake_problems
from reason.search import STRATEGIES
from reason.trace import read
from reason.trace.keys import Hashes, digest, step_content
from reason.types import Path, Problem, Sampling, Score, Step

LATENCY = 0.0005
"""Seconds a step of the toy world takes."""
CHOSEN = "self_consistency,adaptive_consistency,best_of_n,beam,best_first,mcts,particles,revision"
N = 8
CACHED = ("prefilled", "prefilled_tokens", "shared", "shared_tokens", "scored_tokens", "flops")
TIMES = ("seconds", "elapsed")


class Log:
    """An append-only file of what was paid for."""

    def __init__(self, file: FilePath) -> None:
        self._out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def pay(self, kind: str, key: bytes) -> None:
        """One line, in one write."""
        os.write(self._out, f"{kind} {key.hex()}\n".encode())


def content(path: Path) -> bytes:
    """What a judged path is logged by: its texts and tokens, as log-probabilities differ a little between batches."""
    return digest(path.problem.question.encode(), *map(step_content, path.steps))


class ToyPolicy(StreamingFakePolicy):
    """The toy world, without a prefix cache."""

    def __init__(self, log: Log) -> None:
        super().__init__(accuracy=0.6, latency=LATENCY)
        self._log, self._hashes = log, Hashes(self.identity, None)

    def _prefill(self, question: str) -> int:
        return len(question)

    def _step(self, path: Path, sampling: Sampling) -> Step:
        step = super()._step(path, sampling)
        self._log.pay("step", self._hashes.extension(path, sampling))
        return step


class ToyScorer(FakeScorer):
    """The toy world's scorer, without a memory."""

    def __init__(self, log: Log) -> None:
        super().__init__(incremental=False, noise=0.2, latency=LATENCY)
        self._log = log

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path."""
        scores = await super().judge(paths)
        for path in paths:
            self._log.pay("score", content(path))
        return scores


class Logged:
    """The bundled policy and scorer in one, with what they are paid for."""

    def __init__(self, policy: Any, scorer: Any, log: Log) -> None:
        self._policy, self._scorer, self._log = policy, scorer, log
        self.capabilities, self.parameters = policy.capabilities, scorer.parameters
        self.count_tokens, self.prompt_tokens = policy.count_tokens, policy.prompt_tokens
        self.identity = f"{policy_identity(policy)} {scorer_identity(scorer)}"
        self._hashes = Hashes(self.identity, None)

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One step per path."""
        steps: list[Step] = await self._policy.extend(paths, sampling)
        return steps

    async def stream(
        self, paths: Sequence[Path], sampling: Sampling, unfinished: dict[int, Step] | None = None
    ) -> AsyncIterator[tuple[int, Step]]:
        """One step per path, as they land."""
        async for index, step in self._policy.stream(paths, sampling, unfinished):
            self._log.pay("step", self._hashes.extension(paths[index], sampling))
            yield index, step

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path."""
        scores: list[Score] = await self._scorer.judge(paths)
        for path in paths:
            self._log.pay("score", content(path))
        return scores


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is evaluated.

    Attributes:
        strategy: Its name.
        problems, task: What is asked, and what grades it.
        backends: Makes policy and scorer; their second part is None where the strategy needs none.
        sampling: How tokens are drawn.
    """

    strategy: str
    problems: Sequence[Problem]
    task: Task
    backends: Callable[[Log], tuple[Any, Any]]
    sampling: Sampling

    def run(self, folder: FilePath) -> list[Record]:
        """Evaluate in the folder, or go on there."""
        search = STRATEGIES[self.strategy](N)
        policy, scorer = self.backends(Log(folder / "paid.log"))
        return evaluate(
            self.problems,
            self.task.grade,
            policy=policy,
            search=search,
            scorer=scorer if "scorer" in search.needs else None,
            sampling=self.sampling,
            results=Results(folder / "results", {"strategy": self.strategy}),
            store=folder / "trace.db",
        )


def forked(work: Callable[[], object]) -> int:
    """Start the work in a process of its own; returns its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def ended(child: int, after: float | None) -> bool:
    """Wait for the process, kill it after so many seconds; whether it came to its own end.

    Raises:
        RuntimeError: It failed.
    """
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    if status:
        raise RuntimeError("an evaluation failed; its error stands above")
    return True


def results_of(folder: FilePath) -> dict[str, Any]:
    """All that the evaluation came to but its times: records, and what its store says of every problem."""
    found = dict[str, Any]()
    for line in (folder / "results" / "results.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        found[f"record {record['problem']}"] = {name: value for name, value in record.items() if name not in TIMES}
    with read(folder / "trace.db") as trace:
        for stored in trace.outcomes():
            outcome = trace.outcome(stored)
            outcome = replace(outcome, cost=replace(outcome.cost, seconds=0.0))
            found[f"outcome {outcome.problem.id}"] = {"done": stored.done, **asdict(outcome)}
    return found


def alike(one: Any, other: Any, real: bool) -> bool:
    """Whether the results are equal; those of real models but for what prefix caches save and the last digits."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = set(one) | set(other)
        return all(alike(one.get(name), other.get(name), real) for name in names if not (real and name in CACHED))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(alike(*pair, real) for pair in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        near = real and math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-4)
        return one == other or near or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def paid(folder: FilePath) -> Counter[tuple[str, str]]:
    """How often everything was paid for."""
    file = folder / "paid.log"
    lines = file.read_text().splitlines() if file.exists() else []
    return Counter((kind, key) for kind, key in map(str.split, lines))


def held(folder: FilePath) -> Counter[tuple[str, str]]:
    """What the store holds of what was paid for."""
    file = folder / "trace.db"
    if not file.exists() or not file.stat().st_size:
        return Counter()
    connection = sqlite3.connect(file)
    try:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return Counter()
        steps = connection.execute("SELECT key FROM node WHERE kind = 'sampled'").fetchall()
        scored = connection.execute("SELECT node FROM score WHERE value IS NOT NULL").fetchall()
    finally:
        connection.close()
    found = Counter(("step", key.hex()) for (key,) in steps)
    with read(file) as trace:
        problems = {problem.number: problem.problem for problem in trace.problems()}
        for (number,) in scored:
            node = trace.node(number)
            asked = problems[node.problem]
            path = trace.path(number, replace(asked, question=node.question or asked.question))
            found["score", content(path).hex()] += 1
    return found


@dataclass(slots=True)
class Tally:
    """What came out for a strategy."""

    evaluations: int = 0
    kills: int = 0
    different: int = 0
    twice: int = 0
    missed: int = 0
    in_flight: int = 0


def trial(
    evaluation: Evaluation, folder: FilePath, whole: FilePath, seconds: float, draw: random.Random, tally: Tally
) -> None:
    """One evaluation, killed and resumed until it ends by itself, and its comparison with the whole one."""
    pays, kills = paid(whole), 0
    lost = Counter[tuple[str, str]]()
    while not kills:  # a moment after its end kills nothing: again, from the start
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        while not kills or draw.random() < 0.5:
            if ended(forked(lambda: evaluation.run(folder)), draw.uniform(0, seconds)):
                break
            kills += 1
            lost = paid(folder) - held(folder)
    ended(forked(lambda: evaluation.run(folder)), None)
    found = paid(folder)
    tally.evaluations, tally.kills = tally.evaluations + 1, tally.kills + kills
    tally.in_flight += sum(lost.values())
    tally.twice += sum((found - pays - lost).values())
    tally.missed += sum((pays - found).values())
    tally.different += not alike(results_of(folder), results_of(whole), evaluation.task is TASK)


def toy(log: Log) -> tuple[Any, Any]:
    """The toy world's policy and scorer."""
    return ToyPolicy(log), ToyScorer(log)


def bundled() -> Callable[[Log], tuple[Any, Any]]:
    """The bundled policy and scorer, loaded once, in one thread: others do not survive a fork."""
    import torch

    torch.set_num_threads(1)
    policy, scorer = reason.load("bundled"), reason.load_scorer("process")
    return lambda log: (both := Logged(policy, scorer, log), both)


class ToyTask:
    """Grades the toy world by its last line."""

    name = "toy"
    grade = staticmethod(TASK.grade)


def evaluations(names: Sequence[str], problems: int, real: bool) -> list[Evaluation]:
    """One evaluation for each strategy."""
    if real:
        backends, asked, sampling = bundled(), TASK.load(limit=problems), Sampling(max_tokens=160)
        return [Evaluation(name, asked, TASK, backends, sampling) for name in names]
    task: Any = ToyTask()
    return [Evaluation(name, fake_problems(problems), task, toy, Sampling()) for name in names]


def kill_all(chosen: Sequence[Evaluation], times: int, seed: int, place: FilePath) -> dict[str, Tally]:
    """The tally of each strategy, over so many killed evaluations in all."""
    draw, tallies, wholes = random.Random(seed), dict[str, Tally](), dict[str, tuple[FilePath, float]]()
    for number in range(times):
        evaluation = chosen[number % len(chosen)]
        name = evaluation.strategy
        if name not in wholes:
            folder = place / f"{name}-whole"
            folder.mkdir(parents=True)
            started = time.perf_counter()
            ended(forked(lambda at=folder, it=evaluation: it.run(at)), None)  # type: ignore[misc]
            wholes[name] = (folder, time.perf_counter() - started)
            tallies[name] = Tally()
        trial(evaluation, place / f"{name}-{number}", *wholes[name], draw, tallies[name])
    return tallies


def main() -> int:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50, help="evaluations that are killed at least once")
    parser.add_argument("--strategies", default=CHOSEN, help="names, with commas between them")
    parser.add_argument("--bundled", action="store_true", help="the bundled model instead of the toy world")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    names = given.strategies.split(",")
    chosen = evaluations(names, given.problems, given.bundled)
    with tempfile.TemporaryDirectory() as folder:
        tallies = kill_all(chosen, given.times, given.seed, FilePath(folder))
    table = Table("strategy", "evaluations", "kills", "different", "paid twice", "left out", "in flight when killed")
    for name, tally in tallies.items():
        counts = (tally.evaluations, tally.kills, tally.different, tally.twice, tally.missed, tally.in_flight)
        table.add_row(name, *map(str, counts))
    Console(width=120).print(table)
    names = ("evaluations", "kills", "different", "twice", "missed", "in_flight")
    total = {key: sum(getattr(tally, key) for tally in tallies.values()) for key in names}
    print(json.dumps(total))
    return int(bool(total["different"] or total["twice"] or total["missed"]))


if __name__ == "__main__":
    sys.exit(main())
