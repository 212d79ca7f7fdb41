"""CommonsenseQA: questions with five choices (Talmor et al. 2019, arXiv 1811.00937).

A row is `question`, `choices` (`label` and `text`, lists of equal length) and `answerKey`. The published test split has
no answers, so the split is validation; the hub's copy is tau/commonsense_qa. An answer is right if it names the gold
choice: its letter, alone or before its text, or its text.
"""

from __future__ import annotations

import re
import time

from reason.answers import Grade, Verdict, extract
from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, text_field
from reason.types import Problem

_LETTER = re.compile(r"\s*(?:\\text\s*\{)?\s*\(?([A-Z])\)?(?:[).:,}\s]|$)")
_PLAIN = re.compile(r"[^a-z0-9 ]+")


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row: the question and a line for each choice.

    Raises:
        ValueError: Labels and texts of the choices differ in number, or the answer is none of them.
    """
    choices = row["choices"]
    labels, texts = list(choices["label"]), list(choices["text"])
    gold = text_field(row, "answerKey").strip()
    if len(labels) != len(texts) or gold not in labels:
        raise ValueError(f"the answer {gold!r:.20} is none of the choices {labels!r:.80}")
    lines = [text_field(row, "question").strip(), *(f"({a}) {b}" for a, b in zip(labels, texts, strict=True))]
    return Problem(
        identity,
        "\n".join([*lines, "Answer with the letter of one choice."]),
        gold,
        {"choices": dict(zip(labels, texts, strict=True))},
    )


def grade_choice(problem: Problem, text: str) -> Verdict:
    """Whether the text's answer names the gold choice of `meta["choices"]`."""
    started = time.perf_counter()
    answer = extract(text).answer
    named = (_named(problem, answer) if answer is not None else None) or _named_in(problem, text)
    grade = Grade.NO_ANSWER if named is None else Grade.CORRECT if named == problem.answer else Grade.INCORRECT
    return Verdict(grade, "text", (time.perf_counter() - started) * 1e3)


def _named(problem: Problem, answer: str) -> str | None:
    """The label that an answer names, or None."""
    choices = problem.meta["choices"]
    letter = _LETTER.match(answer)
    if letter and letter[1] in choices:
        return str(letter[1])
    told = _plain(answer)
    found = [label for label, text in choices.items() if told and _plain(text) == told]
    return found[0] if len(found) == 1 else None


def _named_in(problem: Problem, text: str) -> str | None:
    """The label in the last short line, for answers that extraction does not see, such as `(B)` alone."""
    lines = [line for line in text.splitlines() if line.strip()]
    return _named(problem, lines[-1]) if lines and len(lines[-1]) <= 200 else None


def _plain(text: str) -> str:
    return " ".join(_PLAIN.sub(" ", text.lower()).split())


TASK = FileTask(
    name="commonsenseqa",
    read=problem_of,
    hub=HubSource("tau/commonsense_qa"),
    answer_format="line",
    splits=("validation", "train"),
    grading=grade_choice,
)
