"""Recorded samples, of which a scorer chooses the best: `reason score best_of_n --data FILE --scorer …`.

A row is `question` (or `problem`, `prompt`) and one of

- `samples`: a list of texts, or of objects with `text` (or `solution`) and `correct` (or `is_correct`);
- `chosen` and `rejected`: texts or lists of texts, as in RewardBench 2 (Malik et al. 2025, arXiv 2506.01937), the hub's
  allenai/reward-bench-2;
- any fields whose values are objects with `solution` and `is_correct`, as in GSM8K's recorded solutions.

Samples without a label are graded against `answer` (or `ground_truth`, whose last line may be `A: N` or `#### N`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, field_of, number_text, percent_where_asked
from reason.types import Problem

_LAST_LINE = re.compile(r"(?:^|\n)(?:A:|####)\s*(.+?)\s*$")
Sample = tuple[str, bool | None]


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row; `meta["samples"]` are (text, whether it is right or None if that is not said).

    Raises:
        ValueError: The question is not text, there are no samples, or one cannot be labelled.
    """
    question = field_of(row, "question", "problem", "prompt")
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"the field 'question' must be non-empty text, got {question!r:.60}")
    given = next((row[name] for name in ("answer", "ground_truth") if row.get(name) is not None), None)
    answer = None if given is None else _final(number_text(given))
    samples = samples_of(row)
    if not samples:
        raise ValueError("there are no samples: give samples, or chosen and rejected")
    if answer is None and any(correct is None for _, correct in samples):
        raise ValueError("a sample has no label and there is no answer to grade it against: add correct, or answer")
    return Problem(identity, question.strip(), answer, {"problem": question.strip(), "samples": samples})


def _final(answer: str) -> str:
    found = _LAST_LINE.search(answer)
    return found[1] if found else answer


def samples_of(row: Row) -> list[Sample]:
    """The row's samples.

    Raises:
        ValueError: One is neither text nor an object with a text.
    """
    if "samples" in row:
        return [_sample(one) for one in row["samples"]]
    if "chosen" in row or "rejected" in row:
        sides = (("chosen", True), ("rejected", False))
        return [(_sample(one)[0], good) for name, good in sides for one in _several(row.get(name))]
    return [_sample(value) for value in row.values() if isinstance(value, Mapping) and "is_correct" in value]


def _several(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _sample(value: Any) -> Sample:
    if isinstance(value, str):
        return value, None
    text = (
        next((value[name] for name in ("text", "solution") if name in value), None)
        if isinstance(value, Mapping)
        else None
    )
    if not isinstance(text, str):
        raise ValueError(f"a sample must be text, or an object with text or solution, got {value!r:.60}")
    label = next((value[name] for name in ("correct", "is_correct") if value.get(name) is not None), None)
    return text, None if label is None else bool(label)


TASK = FileTask(name="best_of_n", read=problem_of, hub=HubSource("allenai/reward-bench-2"), rules=percent_where_asked)
