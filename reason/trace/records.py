"""Steps and scores as rows, and rows as steps and scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from reason.trace.keys import floats, ints, to_floats, to_ints
from reason.trace.store import stored
from reason.types import Finish, Score, Step

STEP = "text, tokens, logprobs, finish, prefilled, error, confidences, tail, shared"
SCORE = "value, steps, tokens, explanation, error, parts"


def text_of(value: str | bytes) -> str:
    """The text that `stored` made storable."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def number_of(value: float | None) -> float:
    """A number that may be unknown."""
    return math.nan if value is None else value


def step_row(step: Step) -> tuple[Any, ...]:
    """The columns `STEP`."""
    return (
        stored(step.text),
        ints(step.token_ids),
        floats(step.logprobs),
        step.finish.value,
        step.prefilled,
        None if step.error is None else stored(step.error),
        floats(step.confidences),
        step.tail,
        step.shared,
    )


def read_step(row: Sequence[Any]) -> Step:
    """The step of the columns `STEP`."""
    text, tokens, logprobs, finish, prefilled, error, confidences, tail, shared = row
    return Step(
        text_of(text),
        to_ints(tokens),
        to_floats(logprobs),
        Finish(finish),
        prefilled,
        None if error is None else text_of(error),
        to_floats(confidences),
        tail,
        shared,
    )


def score_row(score: Score) -> tuple[Any, ...]:
    """The columns `SCORE`."""
    return (
        score.value,
        floats(score.steps),
        score.tokens,
        stored(score.explanation),
        None if score.error is None else stored(score.error),
        floats(score.parts),
    )


def read_score(row: Sequence[Any]) -> Score:
    """The score of the columns `SCORE`."""
    value, steps, tokens, explanation, error, parts = row
    return Score(
        number_of(value),
        to_floats(steps),
        tokens,
        text_of(explanation),
        None if error is None else text_of(error),
        to_floats(parts),
    )
