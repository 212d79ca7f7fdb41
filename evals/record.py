"""What one problem of an evaluation came to, and what all of them add up to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reason.answers import Grade, Verdict
from reason.evals.curve import Sampled, sampled
from reason.evals.metrics import bootstrap_ci
from reason.types import Finish, Outcome, Problem

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
