"""MAWPS: one- to two-step word problems (Koncel-Kedziorski et al. 2016, NAACL).

A row is `input`, `target` (a number) and optionally `type` (addsub, singleop, singleeq, multiarith); or, as in the
hub's MU-NLPC/Calc-mawps, `question` and `result`. Splits: test, and multiarith, a file of that name.
"""

from __future__ import annotations

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, field_of, number_text, percent_where_asked
from reason.types import Problem


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row.

    Raises:
        ValueError: The question is not text.
    """
    question = field_of(row, "input", "question")
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"the field 'input' must be non-empty text, got {question!r:.60}")
    meta = {"type": row["type"]} if "type" in row else {}
    return Problem(identity, question.strip(), number_text(field_of(row, "target", "result")), meta)


TASK = FileTask(
    name="mawps",
    read=problem_of,
    hub=HubSource("MU-NLPC/Calc-mawps"),
    answer_format="line",
    rules=percent_where_asked,
    splits=("test", "multiarith"),
)
