"""OlympiadBench: olympiad mathematics with text questions in English (He et al. 2024, arXiv 2402.14008).

A row is `question`, optionally `context`, `final_answer` (a list of LaTeX; several are one list of answers), `subfield`
and `answer_type`. The hub's copy is Hothan/OlympiadBench, configuration OE_TO_maths_en_COMP, split train.
"""

from __future__ import annotations

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, percent_where_asked, text_field
from reason.types import Problem


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row.

    Raises:
        ValueError: There is no final answer.
    """
    answers = row["final_answer"]
    if not isinstance(answers, list) or not all(isinstance(one, str) and one.strip() for one in answers) or not answers:
        raise ValueError(f"the field 'final_answer' must be a list of texts, got {answers!r:.60}")
    context = row.get("context")
    question = text_field(row, "question").strip()
    meta = {name: row[name] for name in ("subfield", "answer_type", "unit") if row.get(name)}
    asked = f"{context.strip()}\n\n{question}" if isinstance(context, str) and context.strip() else question
    return Problem(identity, asked, ", ".join(one.strip() for one in answers), meta)


TASK = FileTask(
    name="olympiadbench",
    read=problem_of,
    hub=HubSource("Hothan/OlympiadBench", "OE_TO_maths_en_COMP", splits={"test": "train"}),
    answer_format="boxed",
    rules=percent_where_asked,
)
