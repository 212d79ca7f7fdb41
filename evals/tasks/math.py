r"""MATH: 5,000 competition problems in seven subjects and five levels (Hendrycks et al. 2021, arXiv 2103.03874).

A row is `problem`, `solution` (whose last `\boxed{…}` is the answer), `level` ("Level 3") and `type`; the hub's copy is
EleutherAI/hendrycks_math, a configuration per subject. Splits: test and train, and of the test problems each level
(`--split level5`) and each subject (`--split number_theory`).
"""

from __future__ import annotations

from collections.abc import Callable

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, View, boxed_answer, field_of, percent_where_asked, text_field
from reason.types import Problem

SUBJECTS = {
    "algebra": "Algebra",
    "counting_and_probability": "Counting & Probability",
    "geometry": "Geometry",
    "intermediate_algebra": "Intermediate Algebra",
    "number_theory": "Number Theory",
    "prealgebra": "Prealgebra",
    "precalculus": "Precalculus",
}
LEVELS = range(1, 6)


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row.

    Raises:
        ValueError: The solution boxes no answer.
    """
    solution = text_field(row, "solution")
    given = row.get("answer")
    answer = given if isinstance(given, str) and given.strip() else boxed_answer(solution)
    level = str(row.get("level", "")).removeprefix("Level ")
    meta = {"subject": field_of(row, "type", "subject"), "level": int(level) if level.isdecimal() else None}
    return Problem(identity, text_field(row, "problem"), answer, {**meta, "solution": solution})


def _where(name: str, value: object) -> Callable[[int, Problem], bool]:
    return lambda _, problem: problem.meta[name] == value


VIEWS = {f"level{level}": View("test", _where("level", level)) for level in LEVELS} | {
    key: View("test", _where("subject", subject)) for key, subject in SUBJECTS.items()
}
TASK = FileTask(
    name="math",
    read=problem_of,
    hub=HubSource("EleutherAI/hendrycks_math", configs=dict.fromkeys(("test", "train"), tuple(SUBJECTS))),
    answer_format="boxed",
    rules=percent_where_asked,
    splits=("test", "train", *VIEWS),
    views=VIEWS,
)
