"""GSM8K: grade-school word problems with integer answers (Cobbe et al. 2021, arXiv 2110.14168).

A row is `question` and `answer`, whose last line is `#### N`; the hub's copy is openai/gsm8k, configuration main.
A question that names percent is answered in percent: there `20%` and 20 are the same answer.
"""

from __future__ import annotations

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, percent_where_asked, text_field
from reason.types import Problem


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row.

    Raises:
        ValueError: The answer has no `#### N` line.
    """
    solution = text_field(row, "answer")
    worked, marker, answer = solution.rpartition("####")
    if not marker or not answer.strip():
        raise ValueError("the field 'answer' must end in a line '#### N'")
    meta = {"steps": worked.count("<<"), "solution": worked.strip()}
    return Problem(identity, text_field(row, "question").strip(), answer.strip(), meta)


TASK = FileTask(
    name="gsm8k",
    read=problem_of,
    hub=HubSource("openai/gsm8k", "main"),
    answer_format="hashes",
    rules=percent_where_asked,
    splits=("test", "train"),
)
