r"""MATH-500: 500 competition problems (Hendrycks et al. 2021, arXiv 2103.03874; the split of Lightman et al. 2023).

A row is `problem`, `answer` (LaTeX), and optionally `subject`, `level`, `solution`, `unique_id`; the hub's copy is
HuggingFaceH4/MATH-500. A question that names percent is answered in percent: there `20\%` and 20 are the same answer.
"""

from __future__ import annotations

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, percent_where_asked, text_field
from reason.types import Problem


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row."""
    meta = {name: row[name] for name in ("subject", "level", "solution", "unique_id") if name in row}
    return Problem(identity, text_field(row, "problem"), text_field(row, "answer"), meta)


TASK = FileTask(
    name="math500",
    read=problem_of,
    hub=HubSource("HuggingFaceH4/MATH-500"),
    answer_format="boxed",
    rules=percent_where_asked,
)
