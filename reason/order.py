"""What a search's request means for a policy: the sampling it is carried out with, and its copies' seeds and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reason.checks import check_sampling
from reason.types import Finish, Path, Sampling, Step, Until
from reason.work import Extend

_KEPT = 256


class SearchError(Exception):
    """The search asked for something that cannot be done."""


@dataclass(frozen=True, slots=True)
class Order:
    """Extensions that may still be paid for.

    Attributes:
        paths: Seeded paths.
        limits: The most tokens that each may generate.
        sampling: What the policy is told.
        closes: Whether a continuation that reaches its limit ends there, as LENGTH, though the policy says STEP.
    """

    paths: list[Path]
    limits: list[int]
    sampling: Sampling
    closes: bool = False

    def some(self, which: slice | Sequence[int]) -> Order:
        """The order of some of its paths."""
        if isinstance(which, slice):
            return replace(self, paths=self.paths[which], limits=self.limits[which])
        return replace(self, paths=[self.paths[at] for at in which], limits=[self.limits[at] for at in which])

    def ended(self, step: Step) -> Step:
        """The step as the search is to see it."""
        return replace(step, finish=Finish.LENGTH) if self.closes and step.finish is Finish.STEP else step


class Samplings:
    """The run's sampling with what each request replaces; requests alike share one object.

    A continuation to the end of at most so many tokens is a span to the policy, since `max_tokens` is for whole paths.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._run = sampling
        self._made: dict[tuple[object, ...], Sampling] = {}

    def of(self, work: Extend) -> Sampling:
        """The sampling for a request.

        Raises:
            SearchError: It asks for less than one token.
            UsageError: Another of its settings is out of range.
        """
        key = (work.until, work.temperature, work.tokens, work.step_end, work.stop, work.confidence)
        if key not in self._made:
            made = self._make(work)
            check_sampling(made)
            if len(self._made) >= _KEPT:
                self._made.clear()
            self._made[key] = made
        return self._made[key]

    def _make(self, work: Extend) -> Sampling:
        if work.tokens is not None and work.tokens < 1:
            raise SearchError(f"the search asked for a continuation of {work.tokens} tokens; it must be at least 1")
        run = self._run
        until = Until.SPAN if work.until is Until.END and work.tokens is not None else work.until
        return replace(
            run,
            until=until,
            temperature=run.temperature if work.temperature is None else work.temperature,
            max_step_tokens=run.max_step_tokens if work.tokens is None else work.tokens,
            step_end=run.step_end if work.step_end is None else work.step_end,
            stop=run.stop if work.stop is None else work.stop,
            confidence=run.confidence if work.confidence is None else work.confidence,
        )
