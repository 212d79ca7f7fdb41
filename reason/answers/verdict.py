"""What a grader says about an answer, and the policy it follows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reason.types import UsageError


class Grade(StrEnum):
    """The outcome of comparing a prediction with a gold answer."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NO_ANSWER = "no_answer"
    """Nothing was extracted from the text."""
    UNPARSEABLE = "unparseable"
    """The prediction is not a readable answer."""
    TIMEOUT = "timeout"
    """The symbolic worker ran out of time and was killed."""
    LIMIT = "limit"
    """The input exceeds a size limit (length, nesting, digits, powers, memory)."""
    GOLD_ERROR = "gold_error"
    """The gold answer itself cannot be used: the problem is unscored."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A grade, which tier decided it, and how long that took.

    Attributes:
        verdict: The grade.
        tier: "exact" (rational and symbolic normal forms of our own), "text", or "symbolic" (Math-Verify in a worker).
        milliseconds: Wall time of the comparison.
        reason: One line, where there is more to say than the grade.
    """

    verdict: Grade
    tier: str = "exact"
    milliseconds: float = 0.0
    reason: str = ""

    @property
    def correct(self) -> bool:
        """Whether the prediction equals the gold answer."""
        return self.verdict is Grade.CORRECT

    @property
    def scored(self) -> bool:
        """Whether the problem counts; only a broken gold answer leaves it out."""
        return self.verdict is not Grade.GOLD_ERROR


@dataclass(frozen=True, slots=True)
class Rules:
    """The comparison policy; the defaults are stated in `reason.answers`.

    Attributes:
        percent_is_unit: Read a predicted `20\\%` as 20 as well (for questions that ask "what percent").
        decimals: A decimal equals an exact value it rounds when it has at least this many places and digits.
        case_sensitive: Tell text apart by case.
        tolerance: Numbers may differ by this share of the gold one, such as 0.01; 0 asks for equality.
        ordered: A bare list must be in the gold answer's order; sets in braces stay without one.
        units_required: Where the gold answer has a unit, the prediction must have it too.

    Raises:
        UsageError: A value that no comparison can follow.
    """

    percent_is_unit: bool = False
    decimals: int = 6
    case_sensitive: bool = False
    tolerance: float = 0.0
    ordered: bool = False
    units_required: bool = False

    def __post_init__(self) -> None:
        if self.decimals < 0:
            raise UsageError(f"decimals is {self.decimals}: pass 0 or more places.")
        if not 0 <= self.tolerance < 1:
            raise UsageError(f"tolerance is {self.tolerance}: pass a share from 0 to below 1, such as 0.01.")


DEFAULT_RULES = Rules()
