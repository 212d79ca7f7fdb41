"""SVAMP: 1,000 variations on one-step word problems (Patel et al. 2021, arXiv 2103.07191).

A row is `Body`, `Question`, `Answer` (a number) and `Type`; the hub's copy, ChilleD/SVAMP, divides the 1,000 into 700
(train) and 300 (test).
"""

from __future__ import annotations

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, number_text, percent_where_asked, text_field
from reason.types import Problem


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row: its body as a sentence or clause, then the question."""
    body = text_field(row, "Body").strip()
    joint = " " if body[-1] in ".,;:?!" else ". "
    meta = {"type": row["Type"]} if "Type" in row else {}
    return Problem(identity, body + joint + text_field(row, "Question").strip(), number_text(row["Answer"]), meta)


TASK = FileTask(
    name="svamp",
    read=problem_of,
    hub=HubSource("ChilleD/SVAMP"),
    answer_format="line",
    rules=percent_where_asked,
    splits=("test", "train"),
)
