"""A task of one's own: a file of questions and answers, `reason eval FILE.jsonl`.

Each row has a question (`question`, `problem`, `input` or `prompt`) and an answer (`answer`, `target`, `gold` or
`final_answer`); a file of exactly two columns may call them anything, the question first. A number is an answer too; a
worked one may end in `#### N`. `id` names a problem, and problems of one `family` are not independent: their ids are
`…/FAMILY.MEMBER`, and `reason compare` clusters its errors by them. The rest of a row is kept as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reason.answers import Verdict, equal, extract
from reason.evals.tasks.source import SUFFIXES, from_file
from reason.evals.tasks.task import number_text, percent_where_asked, subset
from reason.types import Problem, UsageError

QUESTIONS = ("question", "problem", "input", "prompt")
ANSWERS = ("answer", "target", "gold", "final_answer")
OTHERS = ("id", "family")


@dataclass(frozen=True, slots=True)
class OwnTask:
    """The problems of a file.

    Attributes:
        file: JSON lines, a JSON array of objects, or a CSV whose first line names the columns.
    """

    file: Path
    answer_format: str = "boxed"
    checkable: bool = False
    splits: tuple[str, ...] = field(default=("test",))

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.file.stem

    def load(
        self, *, limit: int | None = None, seed: int = 0, data: str | None = None, split: str | None = None
    ) -> list[Problem]:
        """The problems, or a subset of `limit` of them drawn with `seed`.

        Raises:
            UsageError: The file cannot be read, a row is malformed (named by line), an id occurs twice, or a split or
                data path was given.
        """
        if data is not None:
            raise UsageError(f"the task is the file {self.file}: leave --data out, or name the task that --data is of.")
        if split not in (None, *self.splits):
            raise UsageError(f"the file {self.file} has no split {split!r}: leave --split out.")
        problems: dict[str, Problem] = {}
        members: dict[str, int] = {}
        for place, row in from_file(self.file):
            problem = self._problem(place, row, len(problems), members)
            if problem.id in problems:
                raise UsageError(f"{place}: the id {row.get('id')!r:.40} occurs twice: give every row its own.")
            problems[problem.id] = problem
        return subset(list(problems.values()), limit, seed)

    def _problem(self, place: str, row: Mapping[str, Any], index: int, members: dict[str, int]) -> Problem:
        question_at, answer_at = columns(place, row)
        question = row[question_at]
        if not isinstance(question, str) or not question.strip():
            raise UsageError(f"{place}: the {question_at} must be non-empty text, got {question!r:.60}")
        try:
            answer = number_text(row[answer_at]).rpartition("####")[2].strip()
        except ValueError as error:
            raise UsageError(f"{place}: {error}: write the {answer_at} as text or a number") from error
        name = str(row["id"] if row.get("id") is not None else index)
        if family := row.get("family"):
            member = members[str(family)] = members.get(str(family), -1) + 1
            name = f"{family}.{row['id'] if row.get('id') is not None else member}"
        used = {question_at, answer_at, *OTHERS}
        meta = {key: value for key, value in row.items() if key not in used}
        return Problem(f"{self.name}/{self.splits[0]}/{name}", question.strip(), answer, meta)

    def grade(self, problem: Problem, text: str) -> Verdict:
        """Grade a solution's text against the gold answer."""
        return equal(problem.answer, extract(text).answer, rules=percent_where_asked(problem))


def columns(place: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """Which columns of a row are the question and the answer.

    Raises:
        UsageError: That is not clear.
    """
    question = next((name for name in QUESTIONS if name in row), None)
    answer = next((name for name in ANSWERS if name in row), None)
    if question is None or answer is None:
        free = [name for name in row if name not in OTHERS]
        if len(free) != 2:
            raise UsageError(
                f"{place}: which columns of {', '.join(row)[:120]} are question and answer is not clear: call them "
                "question and answer, or keep two columns."
            )
        question, answer = free
    return question, answer


def is_file_name(name: str) -> bool:
    """Whether a task's name is that of a file."""
    return Path(name).suffix.lower() in SUFFIXES
