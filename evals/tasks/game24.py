"""Game of 24: four numbers, each used once, + - * / and parentheses (Yao et al. 2023, arXiv 2305.10601).

A row is `Puzzles` ("4 9 10 13") and `Rank`, as in the paper's file 24.csv of 1,362 puzzles sorted by how long people
take; or `numbers`, a list. Splits: test, the paper's puzzles 901 to 1,000; all; and train, all others. The puzzles are
not on the hub. A solution is right if its last expression, or its steps, are (`reason.scorers.game24`); the gold answer
is one found by trying all operations, None where there is none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from reason.answers import Grade, Verdict
from reason.evals.tasks.source import Row
from reason.evals.tasks.task import FileTask, View, text_field
from reason.scorers.game24 import Puzzle, last_expression, right
from reason.types import Problem

TARGET = 24
FIRST, LAST = 901, 1000


def problem_of(row: Row, identity: str) -> Problem:
    """The puzzle in a row.

    Raises:
        ValueError: It does not give at least two whole numbers.
    """
    given = row["numbers"] if "numbers" in row else text_field(row, "Puzzles").split()
    numbers = [int(number) for number in given]
    if len(numbers) < 2 or min(numbers) < 0:
        raise ValueError(f"a puzzle needs at least two whole numbers, got {given!r:.60}")
    meta = {"numbers": numbers, "target": TARGET} | ({"rank": int(row["Rank"])} if row.get("Rank") else {})
    return Problem(identity, question(numbers), None, meta)


def question(numbers: list[int], target: int = TARGET) -> str:
    """The puzzle in words."""
    listed = " ".join(map(str, numbers))
    return (
        f"Use the numbers {listed}, each exactly once, with + - * / and parentheses to make {target}. "
        "Write the expression as the answer."
    )


def solution(numbers: tuple[int, ...], target: int) -> str | None:
    """An expression that uses each number once and is worth the target, or None."""
    found = _search(tuple(sorted((Fraction(number), str(number)) for number in numbers)), Fraction(target))
    return found[1:-1] if found is not None and found.startswith("(") else found


@lru_cache(maxsize=16_384)
def _search(items: tuple[tuple[Fraction, str], ...], target: Fraction) -> str | None:
    if len(items) == 1:
        return items[0][1] if items[0][0] == target else None
    for i, (a, left) in enumerate(items):
        for j, (b, right_) in enumerate(items):
            if i == j:
                continue
            rest = [item for place, item in enumerate(items) if place not in (i, j)]
            results = [(a - b, "-")] + ([(a / b, "/")] if b else [])
            if i < j:
                results += [(a + b, "+"), (a * b, "*")]
            for value, sign in results:
                found = _search(tuple(sorted([*rest, (value, f"({left} {sign} {right_})")])), target)
                if found is not None:
                    return found
    return None


def grade_puzzle(problem: Problem, text: str, *, every: bool = True) -> Verdict:
    """Whether the text solves the puzzle of `meta["numbers"]` and `meta["target"]`.

    Args:
        problem, text: The puzzle and what was written.
        every: Whether each number must be used.
    """
    started = time.perf_counter()
    puzzle = Puzzle(tuple(problem.meta["numbers"]), problem.meta["target"])
    solved, why = right(text, puzzle, every=every)
    grade = Grade.CORRECT if solved else Grade.INCORRECT if last_expression(text) else Grade.NO_ANSWER
    return Verdict(grade, "exact", (time.perf_counter() - started) * 1e3, why)


@dataclass(frozen=True, slots=True)
class Puzzles(FileTask):
    """Puzzles whose solutions a rule can check without the gold answer."""

    def load(
        self, *, limit: int | None = None, seed: int = 0, data: str | None = None, split: str | None = None
    ) -> list[Problem]:
        """As `FileTask.load`, with a gold answer found for each puzzle that has one."""
        puzzles = FileTask.load(self, limit=limit, seed=seed, data=data, split=split)
        return [replace(puzzle, answer=solution(tuple(puzzle.meta["numbers"]), TARGET)) for puzzle in puzzles]

    def check(self, problem: Problem, text: str) -> bool:
        """The rule: what `--scorer verifier` asks."""
        return grade_puzzle(problem, text).correct


def _in_paper(index: int, problem: Problem) -> bool:
    return bool(FIRST <= problem.meta.get("rank", index + 1) <= LAST)


TASK = Puzzles(
    name="game24",
    read=problem_of,
    answer_format="line",
    splits=("test", "all", "train"),
    files={"all": "24"},
    views={
        "test": View("all", _in_paper),
        "train": View("all", lambda index, problem: not _in_paper(index, problem)),
    },
    grading=grade_puzzle,
)
