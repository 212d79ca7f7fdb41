"""The data every part of the toolkit exchanges: problems, steps, paths, scores, outcomes.

Frozen, slotted dataclasses without I/O. A path is a problem and the steps taken on it; a step holds only the tokens it
adds, as they were sampled, so concatenating a path's steps gives exactly what the policy produced and nothing is ever
tokenised again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable


class Finish(StrEnum):
    """Why a step ended. Only STEP leaves its path open."""

    STEP = "step"
    """A step boundary: the path can be extended."""
    STOP = "stop"
    """End-of-sequence token or stop string: the solution is complete."""
    LENGTH = "length"
    """The token limit or the model's context ended it: the solution is truncated."""
    BUDGET = "budget"
    """The run's budget ended it."""
    CANCELLED = "cancelled"
    """The search had decided before it ended."""
    ERROR = "error"
    """The backend failed; `Step.error` says how."""


class Until(StrEnum):
    """How far an extension goes."""

    STEP = "step"
    SPAN = "span"
    """A fixed number of tokens, `Sampling.max_step_tokens`, wherever steps end: the path stays open unless it ends."""
    END = "end"


@dataclass(frozen=True, slots=True)
class Problem:
    """A question, and its gold answer where one is known.

    Attributes:
        id: Unique within a run; part of every seed.
        question: What the model is asked, without prompt dressing.
        answer: The gold answer, or None. Never shown to a policy or a learned scorer.
        meta: Task data (level, number of steps, a checker's inputs).
    """

    id: str
    question: str
    answer: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What one extension added to a path.

    Attributes:
        text: The added text, its boundary included; stop strings and end-of-sequence are not part of it.
        token_ids: The sampled tokens, the end-of-sequence token included; empty for backends without token ids.
        logprobs: Natural-log probability of each token under the model's untempered distribution; empty if unknown.
        finish: Why it ended.
        prefilled: Prompt and prefix tokens the backend had to compute for it (cached ones are not counted).
        error: What failed, when `finish` is ERROR.
        confidences: For each token, minus the mean log-probability of the `Sampling.confidence` most likely tokens at
            its place, in nats; empty unless asked for.
        tail: How many of the last tokens are no part of `text`: the end-of-sequence token, or those of a stop string (a
            token in which the stop string begins after some kept text is part of the text).
        shared: How many of the tokens the backend computed for another copy of the path, which had drawn the same ones
            so far; no part of what steps are compared by.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: Finish = Finish.STEP
    prefilled: int = 0
    error: str | None = None
    confidences: tuple[float, ...] = ()
    tail: int = 0
    shared: int = field(default=0, compare=False)

    @property
    def logprob(self) -> float:
        """Sum of the token log-probabilities, in nats."""
        return math.fsum(self.logprobs)


@dataclass(frozen=True, slots=True)
class Path:
    """A problem and the steps taken on it so far.

    `seed` drives the next extension of this path; the runner sets it.
    """

    problem: Problem
    steps: tuple[Step, ...] = ()
    seed: int = 0

    def then(self, step: Step) -> Path:
        """This path with one more step."""
        return Path(self.problem, (*self.steps, step))

    def under(self, problem: Problem) -> Path:
        """The same steps as an answer to another problem."""
        return Path(problem, self.steps)

    def reopened(self) -> Path:
        """The path with its end taken back, so that it can be extended: without the tokens that are not in its text.

        Where a stop string had begun inside a token, that token stays, and the text lacks the string's beginning.
        """
        if self.open:
            return self
        last = self.steps[-1]
        kept = len(last.token_ids) - last.tail
        step = replace(
            last,
            token_ids=last.token_ids[:kept],
            logprobs=last.logprobs[:kept],
            confidences=last.confidences[:kept],
            finish=Finish.STEP,
            tail=0,
        )
        return Path(self.problem, (*self.steps[:-1], step))

    def forced(self, text: str) -> Path:
        """The path with text that the policy did not sample (such as "Wait"); a backend tokenises it by itself."""
        return self.then(Step(text))

    def seeded(self, seed: int) -> Path:
        """This path with the seed of its next extension."""
        return Path(self.problem, self.steps, seed)

    @property
    def text(self) -> str:
        """Everything generated on this path."""
        return "".join(step.text for step in self.steps)

    @property
    def token_ids(self) -> tuple[int, ...]:
        """All sampled tokens, in order."""
        return tuple(token for step in self.steps for token in step.token_ids)

    @property
    def logprob(self) -> float:
        """Sum of all token log-probabilities, in nats."""
        return math.fsum(value for step in self.steps for value in step.logprobs)

    @property
    def finish(self) -> Finish:
        """The last step's finish; STEP for a path without steps."""
        return self.steps[-1].finish if self.steps else Finish.STEP

    @property
    def open(self) -> bool:
        """Whether the path can be extended."""
        return self.finish is Finish.STEP

    @property
    def complete(self) -> bool:
        """Whether the model ended the solution itself."""
        return self.finish is Finish.STOP


@dataclass(frozen=True, slots=True)
class Score:
    """A scorer's judgement of a path.

    Attributes:
        value: Higher is better; NaN means unscored (a failure is data, never 0).
        steps: One value per step of the path, where the scorer judges steps.
        tokens: Tokens that passed through the scorer for this judgement (cached ones are not counted).
        explanation: Why, in words, where the scorer can say.
        error: What failed, when `value` is NaN.
        parts: The values that `steps` sums up, in order, where a step may hold several (the lines of a solution that
            was sampled in one go).
    """

    value: float
    steps: tuple[float, ...] = ()
    tokens: int = 0
    explanation: str = ""
    error: str | None = None
    parts: tuple[float, ...] = ()

    @property
    def scored(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a policy draws tokens.

    Attributes:
        temperature: 0 is greedy.
        top_p, top_k, min_p: Nucleus, top-k (0 = off) and min-p (0 = off) filters, applied in the order k, p, min-p.
        max_tokens: New tokens of one whole solution (all steps of a path together).
        max_step_tokens: New tokens of one step when extending until STEP.
        stop: Strings that end the solution; cut from the text.
        step_end: Strings that end a step; kept in the text. Empty: the policy's own.
        until: Whether to stop at the next step boundary, after a span of tokens, or at the end.
        confidence: Record `Step.confidences` over so many of the most likely tokens; 0 is off, -1 the whole vocabulary.
    """

    temperature: float = 0.8
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int = 1024
    max_step_tokens: int = 256
    stop: tuple[str, ...] = ()
    step_end: tuple[str, ...] = ()
    until: Until = Until.END
    confidence: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a result was paid with. Costs add.

    Attributes:
        generated_tokens: Tokens sampled; `shared_tokens` of them were computed together with another copy's.
        prefilled_tokens, scored_tokens: Tokens of prompts and prefixes, and through the scorer, that had to be
            computed.
        flops: Of policy and scorer.
        seconds: Wall-clock time.
    """

    generated_tokens: int = 0
    prefilled_tokens: int = 0
    scored_tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    shared_tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.generated_tokens + other.generated_tokens,
            self.prefilled_tokens + other.prefilled_tokens,
            self.scored_tokens + other.scored_tokens,
            self.flops + other.flops,
            self.seconds + other.seconds,
            self.shared_tokens + other.shared_tokens,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A solution that a search considered for the answer.

    Attributes:
        path: The solution.
        answer: What was extracted from it, or None.
        score: Its scorer value, NaN where unscored.
        weight: What it counts in the vote (1 for majority, the score for weighted, visits for MCTS).
        steps: Its scores step by step, where known.
    """

    path: Path
    answer: str | None
    score: float = math.nan
    weight: float = 1.0
    steps: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong and was survived.

    Attributes:
        where: "extend", "judge", "compare" or "search".
        message: One line.
        attempts: How often it was tried.
    """

    where: str
    message: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a search on one problem.

    Attributes:
        problem: The problem.
        answer: The chosen answer, or None where no candidate held one.
        path: The chosen solution (for a vote: its best-scored member), or None.
        confidence: Share of the vote weight behind the answer, in [0, 1]; NaN where undefined.
        candidates: Every finished or truncated solution that was paid for.
        tree: The search tree (`reason.search.tree.Tree`) for tree searches, else None.
        cost: Filled in by the runner.
        stopped: "done"; "budget" when a budget ended the search early; "error" when the search itself failed.
        failures: What failed on the way; filled in by the runner.
    """

    problem: Problem
    answer: str | None
    path: Path | None
    confidence: float = math.nan
    candidates: tuple[Candidate, ...] = ()
    tree: Any = None
    cost: Cost = Cost()
    stopped: str = "done"
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a policy can do; strategies that need more are refused before any work is paid for.

    Attributes:
        name: For reports.
        partial: It can continue a partial answer (needed by every step strategy).
        token_ids: Steps carry token ids.
        logprobs: Steps carry log-probabilities.
        confidences: Steps carry confidences where `Sampling.confidence` asks for them.
        parameters: Parameter count for FLOPs accounting (2 per parameter and token), or 0 if unknown.
        context: Longest prompt plus answer in tokens, or None if unknown.
    """

    name: str = "policy"
    partial: bool = False
    token_ids: bool = False
    logprobs: bool = False
    parameters: int = 0
    context: int | None = None
    confidences: bool = False


@runtime_checkable
class Policy(Protocol):
    """What generates: a plain class with these two members is a policy."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One continuation per path, same order and length. The same path may occur many times, each with its own seed.

        `sampling.max_tokens` is for the whole solution: subtract the tokens that the path already has. A step that
        reaches the limit ends with Finish.LENGTH; one that reaches `max_step_tokens`, where `until` is STEP or SPAN,
        with Finish.STEP. Optional members are described in `reason.policies`.
        """
        ...


@runtime_checkable
class Scorer(Protocol):
    """What judges: a plain class with this member is a scorer."""

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path, same order and length."""
        ...


class ReasonError(Exception):
    """Base of the toolkit's errors; each also inherits a standard one."""


class UsageError(ReasonError, ValueError):
    """The caller passed something that cannot work; the message says what is allowed and what to do."""


class BackendError(ReasonError, RuntimeError):
    """A model or server failed."""


class MissingExtraError(ReasonError, ImportError):
    """An optional dependency is not installed; the message names the extra."""
