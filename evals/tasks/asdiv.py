"""ASDiv: 2,305 elementary word problems of many types (Miao et al. 2020, arXiv 2106.15772).

A row is `body`, `question` and `answer`, such as `9 (apples)` or `5 (dimes); 3 (nickels)`: the unit in parentheses is
dropped and several values are one list. The hub's copy is EleutherAI/asdiv, whose only split is called validation.
"""

from __future__ import annotations

import re

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, percent_where_asked, text_field
from reason.types import Problem

_UNIT = re.compile(r"\s*\([^()]*\)")


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row.

    Raises:
        ValueError: Nothing is left of the answer without its units.
    """
    answer = _UNIT.sub("", text_field(row, "answer")).replace(";", ",").strip(" ,")
    if not answer:
        raise ValueError(f"the answer {row['answer']!r:.60} has no value")
    body = str(row.get("body") or "").strip()
    meta = {"type": row["solution_type"]} if "solution_type" in row else {}
    return Problem(identity, f"{body} {text_field(row, 'question').strip()}".strip(), answer, meta)


TASK = FileTask(
    name="asdiv",
    read=problem_of,
    hub=HubSource("EleutherAI/asdiv", splits={"test": "validation"}),
    answer_format="line",
    rules=percent_where_asked,
)
