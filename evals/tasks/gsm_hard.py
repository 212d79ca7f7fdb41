"""GSM-Hard: GSM8K's test questions with larger numbers (Gao et al. 2022, arXiv 2211.10435).

A row is `input`, `target` (a number; some are negative or fractional where the new numbers make no sense) and `code`,
which is never run; the hub's copy is reasoning-machines/gsm-hard, whose only split is called train.
"""

from __future__ import annotations

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, number_text, percent_where_asked, text_field
from reason.types import Problem


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row."""
    return Problem(identity, text_field(row, "input").strip(), number_text(row["target"]))


TASK = FileTask(
    name="gsm_hard",
    read=problem_of,
    hub=HubSource("reasoning-machines/gsm-hard", splits={"test": "train"}),
    answer_format="hashes",
    rules=percent_where_asked,
)
