"""Hard limits on what one problem may cost, and the accounting against them.

A `Budget` is what the caller allows for each problem; a `Meter` holds what one problem has spent. The runner asks the
meter before it pays: it says how many of the requests waiting may start together in the worst case, each one using all
it may, so generated tokens, FLOPs and scorer tokens never pass their limits. Requests that do not fit wait for what the
ones before them leave over; the last that still fits in part is cut. These waves depend on token counts alone, so what
a budget admits does not depend on concurrency or timing (seconds, of course, do).

FLOPs are 2 per parameter and token (Kaplan et al. 2020): the policy's for prefilled tokens and for generated ones that
were not computed together with another copy's (`Step.shared`), the scorer's for scored ones. The worst case of a
prefill is `policy.prompt_tokens(problem)`, that of a judgement `scorer.count_tokens(path)` and of a comparison
`scorer.count_pair_tokens(first, second)`, all optional; without them it is the text's length in bytes (a comparison:
two judgements), and nothing for a scorer whose `parameters` are 0. Text without token ids, of such backends or forced
by a search, is counted by the policy's `count_tokens(text)` or, without one, at four characters a token.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reason.types import Cost, Finish, Path, Problem, Score, Step, UsageError

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Budget:
    """What each problem may cost; None is no limit. A limit reached ends the search with the best answer so far.

    Attributes:
        tokens: Generated tokens.
        scorer_tokens: Tokens that pass through the scorer.
        flops: Floating-point operations of policy and scorer together, prefill included.
        seconds: Wall-clock time from the problem's first step; what is in flight when it ends is cancelled.

    Raises:
        UsageError: If a limit is not a positive number.
    """

    tokens: int | None = None
    scorer_tokens: int | None = None
    flops: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "scorer_tokens", "flops", "seconds"):
            value = getattr(self, name)
            whole = name in ("tokens", "scorer_tokens")
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not value > 0:
                kind = "a whole number above 0" if whole else "a number above 0"
                raise UsageError(f"budget {name} is {value!r}; it must be {kind}, or None for no limit")


Budgets: TypeAlias = Budget | Callable[[Problem], Budget]
"""One budget for every problem, or a function that gives each problem's own."""


def estimate_tokens(text: str) -> int:
    """The token count assumed for text of a backend without token ids: a token for every four characters begun."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def step_tokens(step: Step, count: Callable[[str], int] = estimate_tokens) -> int:
    """Tokens of a step: its token ids, or for a backend without them `count` of its text."""
    return len(step.token_ids) or (count(step.text) if step.text else 0)


def path_tokens(path: Path, count: Callable[[str], int] = estimate_tokens) -> int:
    """Tokens generated on a path so far. A policy subtracts this from `Sampling.max_tokens`."""
    return sum(step_tokens(step, count) for step in path.steps)


@dataclass(frozen=True, slots=True)
class Rates:
    """FLOPs per token, and how a backend without token ids counts."""

    policy: float = 0.0
    scorer: float = 0.0
    count: Callable[[str], int] = estimate_tokens


class Meter:
    """What one problem has spent and what is left.

    Attributes:
        budget: The limits.
        generated, shared, prefilled, scored: Tokens so far.
        hit: Whether a limit has taken effect.
        deadline: `time.monotonic` at which the seconds end, or None.
    """

    __slots__ = (
        "_limited",
        "_rates",
        "_started",
        "budget",
        "deadline",
        "generated",
        "hit",
        "prefilled",
        "scored",
        "shared",
    )

    def __init__(self, budget: Budget, rates: Rates) -> None:
        self.budget, self._rates = budget, rates
        self._limited = budget != Budget()
        self.generated = self.shared = self.prefilled = self.scored = 0
        self.hit = False
        self._started = time.monotonic()
        self.deadline = None if budget.seconds is None else self._started + budget.seconds

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self._limited

    @property
    def flops(self) -> float:
        """FLOPs so far."""
        computed = self.generated - self.shared + self.prefilled
        return self._rates.policy * computed + self._rates.scorer * self.scored

    @property
    def elapsed(self) -> float:
        """Seconds since the problem's first step."""
        return time.monotonic() - self._started

    def resume(self, seconds: float) -> None:
        """Let the clock stand at so many seconds, unless it has gone further: they passed before an interruption."""
        self._started = min(self._started, time.monotonic() - seconds)
        if self.budget.seconds is not None:
            self.deadline = self._started + self.budget.seconds

    def seconds_left(self) -> float | None:
        """Seconds until the deadline, 0 after it; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def late(self) -> bool:
        """Whether the seconds have run out."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def admit_extend(self, new: Sequence[int], prefill: Sequence[int]) -> tuple[int, int]:
        """How many requests may start together, and the new tokens that the last of them may generate.

        Args:
            new: Most tokens each request may generate, at least 1.
            prefill: Most prompt and prefix tokens each may have to compute.

        Returns:
            (k, cap): the first k fit in the worst case with all they may generate, and cap is the k-th's own limit; or
            (1, cap) with a smaller cap if the first alone fits only in part; or (0, 0).
        """
        if self.late():
            return 0, 0
        tokens = _left(self.budget.tokens, self.generated)
        flops = _left(self.budget.flops, self.flops)
        rate = self._rates.policy
        used = paid = 0.0
        for index, (most, before) in enumerate(zip(new, prefill, strict=True)):
            used += most
            paid += rate * (most + before)
            if used > tokens or paid > flops:
                if index:
                    return index, new[index - 1]
                affordable = math.floor(flops / rate) - before if rate and flops < math.inf else math.inf
                cap = min(tokens, affordable)
                return (1, int(cap)) if cap >= 1 else (0, 0)
        return len(new), new[-1]

    def admit_judge(self, most: Sequence[int]) -> int:
        """How many of the first judgements fit if each passes `most` tokens through the scorer."""
        if self.late():
            return 0
        tokens = _left(self.budget.scorer_tokens, self.scored)
        if self._rates.scorer:
            tokens = min(tokens, _left(self.budget.flops, self.flops) / self._rates.scorer)
        used = 0
        for index, worst in enumerate(most):
            used += worst
            if used > tokens:
                return index
        return len(most)

    def charge_step(self, step: Step) -> int:
        """Account for a step; returns its generated tokens."""
        tokens = len(step.token_ids) or (self._rates.count(step.text) if step.text else 0)
        self.generated += tokens
        self.shared += step.shared
        self.prefilled += step.prefilled
        if step.finish is Finish.BUDGET:
            self.hit = True
        return tokens

    def charge_scores(self, scores: Sequence[Score]) -> None:
        """Account for judgements."""
        for score in scores:
            self.scored += score.tokens

    def cost(self) -> Cost:
        """All that was spent so far."""
        seconds = time.monotonic() - self._started
        return Cost(self.generated, self.prefilled, self.scored, self.flops, seconds, self.shared)


def _left(limit: float | None, spent: float) -> float:
    return math.inf if limit is None else max(0.0, limit - spent)
