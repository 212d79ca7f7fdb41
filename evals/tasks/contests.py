"""AIME 2024, AIME 2025 and AMC 2023: contest problems whose answers are integers.

A row is `problem` (or `question`, `Problem`) and `answer` (or `Answer`), a number or its text: AIME's 033 is 33, AMC's
27.0 is 27. The hub's copies are HuggingFaceH4/aime_2024 (split train), math-ai/aime25 and math-ai/amc23 (split test).
"""

from __future__ import annotations

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, field_of, number_text
from reason.types import Problem


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row.

    Raises:
        ValueError: The question is not text, or the answer is neither a number nor text.
    """
    question = field_of(row, "problem", "question", "Problem")
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"the field 'problem' must be non-empty text, got {question!r:.60}")
    answer = number_text(field_of(row, "answer", "Answer"))
    if answer.removesuffix(".0").isdecimal():
        answer = str(int(answer.removesuffix(".0")))
    meta = {name: row[name] for name in ("url", "year", "solution") if row.get(name) is not None}
    return Problem(identity, question.strip(), answer, meta)


AIME24 = FileTask("aime24", problem_of, HubSource("HuggingFaceH4/aime_2024", splits={"test": "train"}))
AIME25 = FileTask("aime25", problem_of, HubSource("math-ai/aime25"))
AMC23 = FileTask("amc23", problem_of, HubSource("math-ai/amc23"))
