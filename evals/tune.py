"""`reason tune`: runs the strategies on calibration problems and fits the table of compute-optimal search.

Every arm (a strategy at an n) runs on every problem with a seed of its own; what it found is kept as a line of JSON, so
an interrupted tuning goes on where it stopped and a table is fitted anew, with other options, in seconds. Best-of-n and
the votes need one run only: any k of its N samples are a run of k.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from reason.answers import Grade, vote
from reason.budget import path_tokens
from reason.evals.calibrate import Case, Run, Settings
from reason.evals.record import UNDECIDED
from reason.evals.results import read_lines, write_whole
from reason.evals.run import does_not_fit
from reason.evals.tasks import Task
from reason.run import solve
from reason.search import STRATEGIES, Strategy
from reason.search.difficulty import Sign
from reason.search.strategy import COMPARE, PARTIAL, SCORER
from reason.search.table import SAMPLING, STOP
from reason.types import Outcome, Policy, Problem, Sampling, Scorer, UsageError

JUDGED, UNJUDGED = "best_of_n", "self_consistency"
FEWEST = 10
"""Problems without which nothing is fitted."""

Key = tuple[str, int, int, str]
"""Strategy, n, repeat, problem."""


@dataclass(frozen=True, slots=True)
class Work:
    """One run over all problems.

    Attributes:
        strategy, n: What is run.
        repeat: Which of its independent runs.
    """

    strategy: str
    n: int
    repeat: int = 0

    def seed(self, seed: int) -> int:
        """The seed of its sampling, another one for every run."""
        text = f"{seed}\0{self.strategy}\0{self.n}\0{self.repeat}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest())


def runs_for(strategies: Sequence[str], sizes: Sequence[int], *, judged: bool, repeats: int) -> list[Work]:
    """What has to be run: the samples once, every other strategy at every size."""
    found = [Work(JUDGED if judged else UNJUDGED, max(sizes))]
    for name, n in arms_of(strategies, sizes):
        if name not in SAMPLING:
            found += [Work(name, n, repeat) for repeat in range(repeats)]
    return found


def arms_of(strategies: Sequence[str], sizes: Sequence[int]) -> list[tuple[str, int]]:
    """Every strategy at every size that means something for it."""
    found: list[tuple[str, int]] = []
    for name in strategies:
        if name == "cot":
            found.append((name, 1))
        else:
            found += [(name, n) for n in sizes if n > 1 or name in SAMPLING]
    return found


def check_strategies(strategies: Sequence[str], *, judged: bool, partial: bool) -> None:
    """Refuse what cannot be tuned with this model and scorer.

    Raises:
        UsageError: Naming the strategy and what it lacks.
    """
    if not strategies:
        raise UsageError("no strategies to choose from: pass --strategies best_of_n,beam, for example")
    for name in strategies:
        if name not in STRATEGIES:
            raise UsageError(f"unknown strategy {name!r}: pass --strategies with some of {', '.join(STRATEGIES)}")
        needs = STRATEGIES[name](4).needs | (frozenset({SCORER}) if name == "weighted_best_of_n" else frozenset())
        if needs & {SCORER, COMPARE} and not judged:
            raise UsageError(f"{name} needs a scorer: pass --scorer, or leave {name} out of --strategies")
        if PARTIAL in needs and not partial:
            raise UsageError(f"{name} extends partial solutions, which this model cannot: leave it out of --strategies")


def settings_for(
    strategies: Sequence[str], sizes: Sequence[int], *, judged: bool, samples: int, bins: int, seed: int
) -> Settings:
    """How the table of these strategies is fitted.

    The ladders: doubling numbers of samples up to `samples`; every other strategy from its smallest size up; and the
    same after a single sample.
    """
    first = JUDGED if judged else UNJUDGED
    arms = arms_of(strategies, sizes)
    probe = [(first, 2**power) for power in range(samples.bit_length()) if 2**power < samples] + [(first, samples)]
    ladders = [tuple(probe)]
    for name in strategies:
        rungs = [arm for arm in arms if arm[0] == name and name not in SAMPLING][:-1]
        if rungs:
            ladders += [tuple(rungs), ((first, 1), *[rung for rung in rungs if rung[1] > 2 or len(rungs) == 1])]
    usual = "naive" if judged else "majority"
    selections = {name: SAMPLING.get(name, usual) for name in strategies}
    return Settings(tuple(arms), {**selections, STOP: usual}, tuple(ladders), bins=bins, seed=seed)


class Records:
    """The runs so far, in a file of JSON lines whose first line says of what.

    Args:
        file: Made if absent; None keeps them in memory only.
        config: What identifies the runs.

    Raises:
        UsageError: The file holds runs of something else, or cannot be used.
    """

    def __init__(self, file: FilePath | None, config: Mapping[str, Any]) -> None:
        self.file = file
        self.rows: dict[Key, dict[str, Any]] = {}
        wanted = json.loads(json.dumps(config))
        if file is None:
            return
        try:
            if file.exists():
                self._load(file, wanted)
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps(wanted), *(json.dumps(row) for row in self.rows.values())]
            write_whole(file, "\n".join(lines) + "\n")
        except OSError as error:
            raise UsageError(
                f"the runs cannot be kept in {str(file)!r:.80} ({error.strerror or error}): "
                "pass another --out or --runs"
            ) from error

    def _load(self, file: FilePath, wanted: Mapping[str, Any]) -> None:
        """Read what is there; a torn last line (the run was killed while writing) is dropped."""
        found = [row for _, row in read_lines(file) if isinstance(row, dict)]
        if not found:
            return
        head, *rows = found
        changed = sorted(key for key in {*head, *wanted} if head.get(key) != wanted.get(key))
        if changed:
            said = ", ".join(f"{key} {head.get(key)!r:.60} there, {wanted.get(key)!r:.60} now" for key in changed)
            raise UsageError(f"{file} holds runs of something else ({said}): pass another --runs or remove it")
        for row in rows:
            if {"strategy", "n", "repeat", "problem", "candidates"} <= set(row):
                self.rows[row["strategy"], row["n"], row["repeat"], row["problem"]] = row

    def add(self, row: dict[str, Any]) -> None:
        """Keep a run; it is on disk when this returns."""
        self.rows[row["strategy"], row["n"], row["repeat"], row["problem"]] = row
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")

    def missing(self, work: Work, problems: Sequence[Problem]) -> list[Problem]:
        """The problems that this run has not been done on."""
        return [p for p in problems if (work.strategy, work.n, work.repeat, p.id) not in self.rows]


def collect(
    works: Sequence[Work],
    problems: Sequence[Problem],
    records: Records,
    *,
    task: Task,
    policy: Policy,
    scorer: Scorer | None,
    sampling: Sampling,
    seed: int,
    on_run: Callable[[Work, int], None] | None = None,
) -> None:
    """Do the runs that are missing.

    Args:
        works, problems: What is run on what.
        records: Where runs are kept and looked up.
        task: Grades the candidates.
        policy, scorer, sampling, seed: As in `reason.solve`.
        on_run: Called with (run, problems done) as it goes on.
    """
    for work in works:
        waiting = records.missing(work, problems)
        done = len(problems) - len(waiting)
        if on_run is not None:
            on_run(work, done)

        def finished(outcome: Outcome, work: Work = work) -> None:
            nonlocal done
            done += 1
            records.add(row_of(work, outcome, task, policy))
            if on_run is not None:
                on_run(work, done)

        search = STRATEGIES[work.strategy](work.n)
        solve(
            waiting,
            policy=policy,
            search=search,
            scorer=scorer if uses_scorer(search) else None,
            sampling=sampling,
            seed=work.seed(seed),
            progress=False,
            on_outcome=finished,
        )


def uses_scorer(search: Strategy) -> bool:
    """Whether the strategy judges."""
    return bool(search.needs & {SCORER, COMPARE})


def row_of(work: Work, outcome: Outcome, task: Task, policy: Policy) -> dict[str, Any]:
    """A run as JSON data; a candidate is [answer, score, correct, complete, tokens, log-probability].

    `correct` is None where the comparison was not decided. No choice among such candidates can be rated, so the run is
    not usable.
    """
    count = getattr(policy, "count_tokens", None)
    rows = list[list[Any]]()
    for item in outcome.candidates:
        path = item.path
        tokens = path_tokens(path) if count is None else path_tokens(path, count)
        known = any(step.logprobs for step in path.steps)
        grade = task.grade(outcome.problem, path.text)
        right = None if grade.verdict in UNDECIDED else grade.correct
        rows.append([item.answer, _plain(item.score), right, path.complete, tokens, path.logprob if known else None])
    verdict = task.grade(outcome.problem, outcome.path.text if outcome.path is not None else "").verdict
    return {
        "strategy": work.strategy,
        "n": work.n,
        "repeat": work.repeat,
        "problem": outcome.problem.id,
        "right": verdict == Grade.CORRECT,
        "usable": outcome.stopped != "error" and verdict not in UNDECIDED and all(row[2] is not None for row in rows),
        "tokens": outcome.cost.generated_tokens,
        "candidates": rows,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def cases_of(works: Sequence[Work], problems: Sequence[Problem], records: Records) -> list[Case]:
    """The problems on which every run could be graded."""
    found = []
    for problem in problems:
        rows = [records.rows.get((work.strategy, work.n, work.repeat, problem.id)) for work in works]
        if all(row is not None and row["usable"] for row in rows):
            found.append(_case(problem, works, [row for row in rows if row is not None]))
    return [case for case in found if case.samples.tokens > 0]


def _case(problem: Problem, works: Sequence[Work], rows: Sequence[Mapping[str, Any]]) -> Case:
    answers = [item[0] for row in rows for item in row["candidates"]]
    groups: list[int | None] = [None] * len(answers)
    for number, group in enumerate(vote(answers)):
        for member in group.members if group.answer is not None else ():
            groups[member] = number
    left = iter(groups)
    runs = [_run(row, left) for row in rows]
    others: dict[tuple[str, int], list[Run]] = {}
    for work, run in zip(works[1:], runs[1:], strict=True):
        others.setdefault((work.strategy, work.n), []).append(run)
    return Case(problem.id, runs[0], works[0].n, others)


def _run(row: Mapping[str, Any], groups: Any) -> Run:
    signs = tuple(
        Sign(next(groups), _number(score), bool(complete), int(tokens), _number(logprob))
        for _, score, _, complete, tokens, logprob in row["candidates"]
    )
    return Run(bool(row["right"]), int(row["tokens"]), signs, tuple(bool(item[2]) for item in row["candidates"]))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def fitting(problems: Sequence[Problem], policy: Policy) -> list[Problem]:
    """The problems whose question fits the policy's context.

    Raises:
        UsageError: Too few do.
    """
    kept = [problem for problem in problems if does_not_fit(problem, policy) is None]
    if len(kept) < FEWEST:
        raise UsageError(f"{len(kept)} problems are too few to fit a table on: pass --limit {FEWEST} or more")
    return kept
