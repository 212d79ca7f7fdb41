r"""Minerva's 272 undergraduate science problems from MIT OpenCourseWare (Lewkowycz et al. 2022, arXiv 2206.14858).

A row is `problem` and `solution`, whose last `\boxed{…}` is the answer, and optionally `type` (the course); or, as in
the hub's math-ai/minervamath, `question` and `answer`. The folder may be called minerva_math.
"""

from __future__ import annotations

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, boxed_answer, field_of, percent_where_asked, text_field
from reason.types import Problem


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row.

    Raises:
        ValueError: The question is not text, or the solution boxes no answer.
    """
    question = field_of(row, "problem", "question")
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"the field 'problem' must be non-empty text, got {question!r:.60}")
    answer = text_field(row, "answer") if "answer" in row else boxed_answer(text_field(row, "solution"))
    meta = {"course": row["type"]} if "type" in row else {}
    return Problem(identity, question.strip(), answer.strip(), meta)


TASK = FileTask(
    name="minerva",
    read=problem_of,
    hub=HubSource("math-ai/minervamath"),
    answer_format="boxed",
    rules=percent_where_asked,
    folders=("minerva_math",),
)
