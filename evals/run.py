"""Run a search over a task's problems, grade the answers, keep every result as it comes.

A results folder holds `config.json` (what was asked for), `results.jsonl` (one record a problem, written as the problem
finishes, in order of finishing) and `summary.json` (once all are done). Running the same configuration again continues
where the records end; problems whose search failed are tried again. Every random choice is seeded by run seed, problem
and path, so a resumed run gives the answers an uninterrupted one would have given.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from reason.answers import Grade, Verdict
from reason.budget import Budget, Budgets
from reason.evals.curve import Sampled, sampled
from reason.evals.metrics import bootstrap_ci
from reason.run import solve
from reason.types import Failure, Finish, Outcome, Policy, Problem, Sampling, Scorer, UsageError
from reason.work import Search

TRUNCATED = (Finish.LENGTH, Finish.BUDGET)


@dataclass(frozen=True, slots=True)
class Record:
    """What one problem came to.

    Attributes:
        problem: The problem's id.
        verdict: The grade's name, or "failed" when the search itself failed.
        answer, gold: The chosen and the gold answer.
        text: The chosen solution.
        finish: Why the chosen solution ended; empty without one.
        stopped: "done", "budget" or "error".
        confidence: Share of the vote behind the answer; None where undefined.
        candidates, truncated_candidates, unanswered_candidates, unscored_candidates: Counts over the solutions sampled.
        generated_tokens, prefilled_tokens, scored_tokens, flops, seconds: The cost.
        elapsed: Seconds from the start of the run (resumed time included) until this problem was done.
        failures: What went wrong and was survived, one line each.
        samples: The answer, correctness and value of each independent sample; None where the strategy has none.
    """

    problem: str
    verdict: str
    answer: str | None
    gold: str | None
    text: str
    finish: str
    stopped: str
    confidence: float | None
    candidates: int
    truncated_candidates: int
    unanswered_candidates: int
    unscored_candidates: int
    generated_tokens: int
    prefilled_tokens: int
    scored_tokens: int
    flops: float
    seconds: float
    elapsed: float
    failures: tuple[str, ...] = ()
    samples: tuple[Sampled, ...] | None = None

    @property
    def correct(self) -> bool:
        """Whether the answer equals the gold answer."""
        return self.verdict == Grade.CORRECT

    @property
    def scored(self) -> bool:
        """Whether the problem counts in the accuracy: its search ran and its gold answer can be used."""
        return self.verdict not in (FAILED, Grade.GOLD_ERROR)

    @property
    def truncated(self) -> bool:
        """Whether the chosen solution (or, with none chosen, any) was cut off by a limit."""
        return self.finish in TRUNCATED or (not self.finish and self.truncated_candidates > 0)

    @property
    def no_answer(self) -> bool:
        """Whether the search ran and found no answer."""
        return self.answer is None and self.verdict != FAILED


FAILED = "failed"
UNDECIDED = (Grade.TIMEOUT, Grade.LIMIT, Grade.GOLD_ERROR)
"""Verdicts that say nothing of the solution: labels are unknown there, not wrong."""
FIELDS = frozenset(field.name for field in fields(Record))
NEEDED = frozenset(field.name for field in fields(Record) if field.default is MISSING)
Grader = Callable[[Problem, str], Verdict]


def record_of(outcome: Outcome, grade: Grader, *, judged: bool, elapsed: float, selection: str | None = None) -> Record:
    """Grade an outcome.

    Args:
        outcome, grade: What came out, and what grades it.
        judged: Whether its candidates should have scores.
        elapsed: Seconds since the start of the run.
        selection: How the strategy selects among independent samples; None if it does not.
    """
    path, cost = outcome.path, outcome.cost
    text = path.text if path is not None else ""
    verdict = FAILED if outcome.stopped == "error" else str(grade(outcome.problem, text).verdict)
    candidates = outcome.candidates
    return Record(
        problem=outcome.problem.id,
        verdict=verdict,
        answer=outcome.answer,
        gold=outcome.problem.answer,
        text=text,
        finish=str(path.finish) if path is not None else "",
        stopped=outcome.stopped,
        confidence=None if math.isnan(outcome.confidence) else outcome.confidence,
        candidates=len(candidates),
        truncated_candidates=sum(item.path.finish in TRUNCATED for item in candidates),
        unanswered_candidates=sum(item.answer is None for item in candidates),
        unscored_candidates=sum(math.isnan(item.score) for item in candidates) if judged else 0,
        generated_tokens=cost.generated_tokens,
        prefilled_tokens=cost.prefilled_tokens,
        scored_tokens=cost.scored_tokens,
        flops=cost.flops,
        seconds=cost.seconds,
        elapsed=elapsed,
        failures=tuple(f"{failure.where}: {failure.message}" for failure in outcome.failures),
        samples=sampled(outcome, grade, selection),
    )


def fingerprint(problems: Sequence[Problem]) -> str:
    """A hash of the problems' ids, questions and answers."""
    digest = hashlib.blake2b(digest_size=8)
    for problem in problems:
        digest.update(json.dumps([problem.id, problem.question, problem.answer]).encode())
    return digest.hexdigest()


class Results:
    """A results folder: what is done, and an open file for what comes.

    Args:
        folder: Made if absent.
        config: What identifies the run; must be JSON data.

    Raises:
        UsageError: The folder holds the results of another configuration, or cannot be used.
    """

    def __init__(self, folder: pathlib.Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.records: dict[str, Record] = {}
        try:
            self._open(json.loads(json.dumps(config)))
        except OSError as error:
            raise UsageError(
                f"--out {str(folder)!r:.80} cannot be used as a results folder ({error.strerror or error}): "
                "pass another --out"
            ) from error

    def _open(self, wanted: Mapping[str, Any]) -> None:
        config_file = self.folder / "config.json"
        if config_file.exists():
            try:
                found = json.loads(config_file.read_text("utf-8"))
            except ValueError:
                found = None
            if not isinstance(found, dict):
                raise UsageError(f"{config_file} is not the configuration of a run: pass another --out or remove it")
            self._refuse_other(found, wanted)
        elif (self.folder / "results.jsonl").exists():
            raise UsageError(f"{self.folder} holds results.jsonl but no config.json: pass another --out")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(config_file, json.dumps(wanted, indent=2) + "\n")
        self._load()

    def _refuse_other(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        changed = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        if changed:
            said = ", ".join(f"{key} {found.get(key)!r} there, {wanted.get(key)!r} now" for key in changed)
            raise UsageError(f"{self.folder} holds results of another run ({said}): pass another --out or remove it")

    def _load(self) -> None:
        """Read the finished problems; a torn last line (the run was killed while writing) is dropped."""
        file = self.folder / "results.jsonl"
        for number, row in read_lines(file) if file.exists() else []:
            try:
                record = _record(row)
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"{file}, line {number} is not a record of this version ({error}): pass another --out or remove it"
                ) from error
            self.records[record.problem] = record
        self._keep({key: record for key, record in self.records.items() if record.verdict != FAILED})

    def _keep(self, records: dict[str, Record]) -> None:
        self.records = records
        write_whole(self.folder / "results.jsonl", "".join(_line(record) for record in records.values()))

    @property
    def elapsed(self) -> float:
        """Seconds that the recorded problems took, all runs together."""
        return max((record.elapsed for record in self.records.values()), default=0.0)

    def add(self, record: Record) -> None:
        """Keep a record; it is on disk when this returns."""
        self.records[record.problem] = record
        with (self.folder / "results.jsonl").open("a", encoding="utf-8") as out:
            out.write(_line(record))

    def clear(self) -> None:
        """Forget all records, on disk too."""
        self._keep({})

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary."""
        write_whole(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")


def _line(record: Record) -> str:
    return json.dumps(asdict(record)) + "\n"


def _record(row: Any) -> Record:
    """The record of a line; fields that older versions did not write have their defaults.

    Raises:
        ValueError, TypeError: It is none.
    """
    names = set(row) if isinstance(row, dict) else set[str]()
    if missing := sorted(NEEDED - names):
        raise ValueError(f"without {', '.join(missing[:3])}")
    if unknown := sorted(names - FIELDS):
        raise ValueError(f"with {', '.join(unknown[:3])}")
    samples = row.get("samples")
    known = None if samples is None else tuple((answer, correct, value) for answer, correct, value in samples)
    return Record(**{**row, "failures": tuple(row.get("failures", ())), "samples": known})


def read_lines(file: pathlib.Path) -> list[tuple[int, Any]]:
    """The JSON lines of a file with their numbers; torn ones are left out.

    Only a line feed ends a line: a text in it may hold other separators, such as U+2028.
    """
    found = list[tuple[int, Any]]()
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        try:
            found.append((number, json.loads(line)))
        except ValueError:
            continue
    return found


def write_whole(file: pathlib.Path, text: str) -> None:
    """Write a file so that it holds the old text or the new one, whenever the process ends."""
    file = file.resolve()
    if file.exists() and not file.is_file():  # a device is written to, not replaced
        file.write_text(text, "utf-8")
        return
    draft = file.with_name(f"{file.name}.part")
    draft.write_text(text, "utf-8")
    os.replace(draft, file)


def evaluate(
    problems: Sequence[Problem],
    grade: Grader,
    *,
    policy: Policy,
    search: Search,
    scorer: Scorer | None = None,
    sampling: Sampling | None = None,
    budget: Budgets | None = None,
    seed: int = 0,
    results: Results | None = None,
    progress: bool | None = False,
    on_record: Callable[[Record, Outcome], None] | None = None,
) -> list[Record]:
    """Search and grade the problems that have no record yet; returns the records of all of them, in order.

    Args:
        problems: With gold answers; their ids must differ.
        grade: Compares a solution's text with the gold answer.
        policy, search, scorer, sampling, budget, seed: As in `reason.solve`.
        results: Where records are kept and looked up.
        progress: None shows a bar on a terminal, False never.
        on_record: Called with each new record and its outcome as the problem finishes.
    """
    known = dict(results.records) if results is not None else {}
    before = results.elapsed if results is not None else 0.0
    started = time.perf_counter()
    selection = getattr(search, "selection", None)

    def done(outcome: Outcome) -> None:
        elapsed = before + time.perf_counter() - started
        record = record_of(outcome, grade, judged=scorer is not None, elapsed=elapsed, selection=selection)
        known[record.problem] = record
        if results is not None:
            results.add(record)
        if on_record is not None:
            on_record(record, outcome)

    waiting = [problem for problem in problems if problem.id not in known]
    too_long = {problem.id: reason for problem in waiting if (reason := does_not_fit(problem, policy))}
    for problem in waiting:
        if problem.id in too_long:
            done(Outcome(problem, None, None, failures=(Failure("extend", too_long[problem.id]),)))
    solve(
        [problem for problem in waiting if problem.id not in too_long],
        policy=policy,
        search=search,
        scorer=scorer,
        sampling=sampling or Sampling(),
        budget=budget or Budget(),
        seed=seed,
        progress=progress,
        on_outcome=done,
    )
    return [known[problem.id] for problem in problems]


def does_not_fit(problem: Problem, policy: Policy) -> str | None:
    """Why the question does not fit the policy's context, or None. Such a problem counts as one without an answer."""
    count = getattr(policy, "prompt_tokens", None)
    context = policy.capabilities.context
    if count is None or context is None:
        return None
    try:
        tokens = count(problem)
    except UsageError as error:
        return str(error)
    return f"the question takes {tokens} tokens and the context is {context}" if tokens >= context else None


def summarize(records: Sequence[Record]) -> dict[str, Any]:
    """Counts, accuracy with its 95 % bootstrap interval over problems, rates and cost.

    `accuracy` is correct / (problems - unscored); it and `ci95` are None when no problem could be scored.
    """
    correct = [float(record.correct) for record in records if record.scored]
    samples = sum(record.candidates for record in records)
    return {
        "problems": len(records),
        "correct": int(sum(correct)),
        "accuracy": sum(correct) / len(correct) if correct else None,
        "ci95": list(bootstrap_ci(correct)) if correct else None,
        "generated_tokens": sum(record.generated_tokens for record in records),
        "scored_tokens": sum(record.scored_tokens for record in records),
        "seconds": round(max((record.elapsed for record in records), default=0.0), 3),
        "unscored": len(records) - len(correct),
        "truncated": sum(record.truncated for record in records),
        "no_answer": sum(record.no_answer for record in records),
        "failed": sum(record.verdict == FAILED for record in records),
        "samples": samples,
        "truncated_samples": sum(record.truncated_candidates for record in records),
        "unanswered_samples": sum(record.unanswered_candidates for record in records),
        "unscored_samples": sum(record.unscored_candidates for record in records),
        "prefilled_tokens": sum(record.prefilled_tokens for record in records),
        "flops": sum(record.flops for record in records),
    }
