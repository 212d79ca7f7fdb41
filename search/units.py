"""What a tree search or beam extends a path by: a step, a sentence, or a span of tokens."""

from __future__ import annotations

from dataclasses import dataclass

from reason.search.strategy import at_least, one_of
from reason.types import Until

UNITS = ("step", "sentence", "span")
SENTENCE_ENDS = (". ", "? ", "! ", ".\n", "?\n", "!\n", "\n")


@dataclass(frozen=True, slots=True)
class Unit:
    """How far one extension goes, as `reason.work.Extend` takes it.

    Attributes:
        until: A step end, or a number of tokens.
        tokens: The number of tokens of a span; None: the run's limit of a step.
        step_end: The strings that end it; None: the policy's own.
    """

    until: Until = Until.STEP
    tokens: int | None = None
    step_end: tuple[str, ...] | None = None


STEP = Unit()


def unit_of(unit: str, span: int) -> Unit:
    """The unit of that name.

    Args:
        unit: "step" as the policy ends them, "sentence" (which a line end ends too), or "span".
        span: Tokens of a span.

    Raises:
        UsageError: There is no such unit, or the span is not positive.
    """
    one_of("unit", unit, UNITS)
    at_least("span", span)
    if unit == "span":
        return Unit(Until.SPAN, span)
    return Unit(step_end=SENTENCE_ENDS) if unit == "sentence" else STEP
