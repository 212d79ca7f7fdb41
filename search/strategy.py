"""What a builder returns: a search with its name and what it needs, and the checks on a builder's arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reason.types import Problem, UsageError
from reason.work import Search, SearchRun

SCORER = "scorer"
PARTIAL = "partial"
COMPARE = "compare"
LOGPROBS = "logprobs"


@dataclass(frozen=True, slots=True)
class Strategy:
    """A search that says what it needs, so that a run that cannot work is refused before anything is paid for.

    Attributes:
        name: The strategy's name on the command line and in reports.
        run: The search itself.
        needs: "scorer" (it judges), "compare" (the scorer must compare pairs), "partial" (the policy must continue
            partial answers) and "logprobs" (its steps must carry log-probabilities).
        selection: For a search that samples n independent solutions and selects among all of them, "naive", "weighted"
            or "majority": its run gives the accuracy of the same selection among any k of them. None for all others.
    """

    name: str
    run: Search
    needs: frozenset[str] = frozenset()
    selection: str | None = None

    def __call__(self, problem: Problem) -> SearchRun:
        """Start the search on one problem."""
        return self.run(problem)


def at_least(name: str, value: int, least: int = 1) -> int:
    """The value, if it is an integer of at least `least`.

    Raises:
        UsageError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name}={value!r}: must be an integer of at least {least}; pass {name}={least} or more")
    return value


def number(name: str, value: float, least: float = 0.0, most: float = float("inf")) -> float:
    """The value, if it lies in [least, most].

    Raises:
        UsageError: It does not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        span = f"at least {least:g}" if most == float("inf") else f"between {least:g} and {most:g}"
        raise UsageError(f"{name}={value!r}: must be a number {span}; pass {name}={least:g}, for example")
    return float(value)


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """The value, if it is one of the allowed names.

    Raises:
        UsageError: It is not.
    """
    if value not in allowed:
        names = ", ".join(repr(item) for item in allowed)
        raise UsageError(f"{name}={value!r}: must be one of {names}; pass {name}={allowed[0]!r}, for example")
    return value
