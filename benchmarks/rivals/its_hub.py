"""Side by side with its-hub 1.2.0: the same served model, the same process scores, the same N.

    pip install -r benchmarks/rivals/requirements.txt
    python -m benchmarks.rivals.its_hub [--problems 64] [--n 16] [--seed 5] [--out FILE.json]

Both sides talk to one `benchmarks.rivals.server` over loopback, through the same two endpoints. its-hub runs in a
virtual environment of its own, as its README shows (`infer`, one problem after another) and at its best (`ainfer` of
all problems gathered). We run `reason.asolve` over all problems. Algorithms: self-consistency, best-of-n, beam (4
kept), particles.

What the columns count, from the server: requests; continuations asked for, and how many of them came back empty because
the solution had already ended; generated tokens, which a hosted model would bill; how many of them had to be computed
(copies of one path that draw the same tokens are computed as one, of whichever side, if they arrive together); tokens
that passed through the scorer. `unique` is the mean number of different solutions among those that a problem's result
holds. Accuracy comes with its 95 % bootstrap interval, and the difference is paired. Ratios are the rival's over ours:
above 1 is in our favour. Sharing particles do not sample a step that is likely known (`novelty`). Prints tables and,
last, one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

import reason
from benchmarks.rivals.environment import HERE, python_of
from benchmarks.rivals.served import Client, ServedPolicy, ServedScorer
from reason.answers import answer_of, equal
from reason.evals.metrics import bootstrap_ci, paired_bootstrap
from reason.evals.tasks import load as load_task
from reason.search import particles
from reason.search.strategy import Strategy

OURS: dict[str, Callable[[int], Strategy]] = {
    "self_consistency": reason.self_consistency,
    "best_of_n": reason.best_of_n,
    "beam": lambda n: reason.beam(n, max(n // 4, 1)),
    "particles": particles,
    "particles, sharing": lambda n: particles(n, novelty=0.1),
}
WAYS = ("infer", "gather")


@dataclass(frozen=True)
class Run:
    """What one side did with one algorithm."""

    seconds: float
    right: tuple[bool, ...]
    unique: float
    counters: dict[str, int]

    @property
    def accuracy(self) -> float:
        """Share of problems answered rightly."""
        return sum(self.right) / len(self.right)


@contextmanager
def serving(model: str, scorer: str) -> Iterator[str]:
    """A server on a free port of loopback; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.rivals.server", "--port", str(port)]
    process = subprocess.Popen([*command, "--model", model, "--scorer", scorer])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit("the server ended before it was ready; its message is above")
            try:
                httpx.get(url + "/counters").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def our_run(url: str, name: str, n: int, problems: Sequence[reason.Problem], seed: int) -> Run:
    """All problems through `reason.solve`."""
    httpx.post(url + "/reset")

    async def everything() -> list[reason.Outcome]:
        client = Client(url)
        try:
            return await reason.asolve(
                problems,
                policy=ServedPolicy(client),
                scorer=ServedScorer(client),
                search=OURS[name](n),
                sampling=reason.Sampling(temperature=0.8, max_tokens=160, step_end=("\n",)),
                concurrency=len(problems),
                seed=seed,
                progress=False,
            )
        finally:
            await client.close()

    began = time.perf_counter()
    outcomes = asyncio.run(everything())
    seconds = time.perf_counter() - began
    texts = [[item.path.text for item in outcome.candidates] for outcome in outcomes]
    return _run(url, seconds, problems, [outcome.answer for outcome in outcomes], texts)


def their_run(url: str, python: Path, name: str, n: int, problems: Sequence[reason.Problem], how: str) -> Run:
    """The same problems through its-hub."""
    httpx.post(url + "/reset")
    command = [str(python), "-I", str(HERE / "its_hub_side.py"), url, name, str(n), how]
    questions = json.dumps([problem.question for problem in problems])
    done = subprocess.run(command, input=questions, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"its-hub failed at {name}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    told = json.loads(done.stdout)
    answers = [answer_of(item["text"]) for item in told["answers"]]
    return _run(url, told["seconds"], problems, answers, [item["all"] for item in told["answers"]])


def _run(
    url: str,
    seconds: float,
    problems: Sequence[reason.Problem],
    answers: Sequence[str | None],
    texts: Sequence[Sequence[str]],
) -> Run:
    right = tuple(
        answer is not None and equal(problem.answer or "", answer).correct
        for problem, answer in zip(problems, answers, strict=True)
    )
    unique = sum(len({text.strip() for text in each}) for each in texts) / len(texts)
    return Run(seconds, right, unique, httpx.get(url + "/counters").json())


def compare(ours: Run, theirs: Run) -> dict[str, Any]:
    """The rival's figures over ours, and the paired difference in accuracy."""
    paired = paired_bootstrap([float(one) for one in ours.right], [float(one) for one in theirs.right])
    ratio = {
        name: theirs.counters[name] / ours.counters[name] if ours.counters[name] else None
        for name in ("requests", "continuations", "generated_tokens", "computed_tokens", "scored_tokens")
    }
    return {**ratio, "seconds": theirs.seconds / ours.seconds, "unique": ours.unique / theirs.unique} | {
        "accuracy_difference": paired
    }


def main() -> None:
    """Run both sides and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--algorithms", nargs="+", default=list(OURS), choices=list(OURS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    python = python_of("its-hub")
    problems = load_task("word_problems").load(limit=given.problems, seed=given.seed)
    told: dict[str, Any] = {"problems": given.problems, "n": given.n, "seed": given.seed, "algorithms": {}}
    console = Console(width=140)
    with serving("bundled", "process") as url:
        our_run(url, "self_consistency", 2, problems[:4], given.seed)
        known: dict[tuple[str, str], Run] = {}
        for name in given.algorithms:
            ours = our_run(url, name, given.n, problems, given.seed)
            rival = name.partition(",")[0]
            for how in given.ways:
                if (rival, how) not in known:
                    known[rival, how] = their_run(url, python, rival, given.n, problems, how)
            theirs = {how: known[rival, how] for how in given.ways}
            console.print(_table(name, given.n, ours, theirs))
            told["algorithms"][name] = {
                "ours": asdict(ours) | {"accuracy": ours.accuracy},
                **{how: asdict(run) | {"accuracy": run.accuracy} for how, run in theirs.items()},
                "ratios": {how: compare(ours, run) for how, run in theirs.items()},
            }
    line = json.dumps(told)
    if given.out:
        given.out.write_text(line + "\n")
    print(line)


def _table(name: str, n: int, ours: Run, theirs: dict[str, Run]) -> Table:
    table = Table(title=f"{name}, n = {n}, {len(ours.right)} problems")
    for column in (
        "",
        "accuracy",
        "requests",
        "continuations",
        "empty",
        "generated",
        "computed",
        "scored",
        "unique",
        "seconds",
    ):
        table.add_column(column, justify="right" if column else "left")
    for label, run in {"reason": ours, **{f"its-hub, {how}": run for how, run in theirs.items()}}.items():
        told = run.counters
        low, high = _interval(run)
        names = ("requests", "continuations", "empty", "generated_tokens", "computed_tokens", "scored_tokens")
        table.add_row(
            label,
            f"{run.accuracy:.0%} ({low:.0%}–{high:.0%})",
            *(f"{told[name]:,}" for name in names),
            f"{run.unique:.1f}",
            f"{run.seconds:.1f}",
        )
    for how, run in theirs.items():
        ratio = compare(ours, run)
        table.add_row(
            f"{how} / reason",
            "",
            f"{ratio['requests']:.2f}x",
            f"{ratio['continuations']:.2f}x",
            "",
            f"{ratio['generated_tokens']:.2f}x",
            f"{ratio['computed_tokens']:.2f}x",
            "" if ratio["scored_tokens"] is None else f"{ratio['scored_tokens']:.2f}x",
            "",
            f"{ratio['seconds']:.2f}x",
        )
    return table


def _interval(run: Run) -> tuple[float, float]:
    return bootstrap_ci([float(right) for right in run.right])


if __name__ == "__main__":
    main()
