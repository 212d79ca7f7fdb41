"""Countdown: reach a target from some of the given numbers, each used at most once; generated from a seed.

A puzzle draws 3 to 6 numbers from 1 to 99, joins a few of them by random operations whose results are whole and above
0, and takes a result from 10 to 999 as its target, so that there is a solution; the gold answer is that expression. A
problem is a function of (split, seed, index) alone, and the splits' streams differ.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from reason.answers import Verdict
from reason.evals.tasks.game24 import grade_puzzle
from reason.types import Problem, UsageError

SPLITS = ("test", "train")
SIZE = 500
LEAST, MOST = 3, 6
SMALLEST, LARGEST = 10, 999


@dataclass(frozen=True, slots=True)
class Countdown:
    """The generator as a task. Splits: "test" (the default) and "train".

    Attributes:
        count: Only puzzles of so many numbers, 3 to 6; None mixes them evenly.
    """

    count: int | None = None
    name: str = "countdown"
    answer_format: str = "line"
    checkable: bool = False
    splits: tuple[str, ...] = SPLITS

    def load(
        self, *, limit: int | None = None, seed: int = 0, data: str | None = None, split: str | None = None
    ) -> list[Problem]:
        """The first `limit` puzzles (500 by default) of the stream that `seed` names.

        Raises:
            UsageError: No such split, a limit below 1, a count out of range, or a data path (no file is read).
        """
        chosen = self.splits[0] if split is None else split
        if chosen not in self.splits:
            raise UsageError(f"countdown has no split {split!r}: use one of {', '.join(self.splits)}.")
        if limit is not None and limit < 1:
            raise UsageError(f"limit is {limit}: pass a positive number of problems, or leave it out for {SIZE}.")
        if data is not None:
            raise UsageError("countdown puzzles are generated and read no file: leave --data out.")
        if self.count is not None and not LEAST <= self.count <= MOST:
            raise UsageError(f"count is {self.count}: pass {LEAST} to {MOST} numbers, or None to mix them.")
        return [self._problem(chosen, seed, index) for index in range(SIZE if limit is None else limit)]

    def _problem(self, split: str, seed: int, index: int) -> Problem:
        rng = random.Random(f"countdown/{split}/{seed}/{index}")
        count = rng.randint(LEAST, MOST) if self.count is None else self.count
        numbers, target, expression = generate(rng, count)
        asked = (
            f"Using the numbers {numbers}, each at most once, and + - * / and parentheses, create an expression that "
            f"equals {target}."
        )
        meta = {"numbers": numbers, "target": target}
        return Problem(f"countdown/{split}/{seed}/{index}", asked, expression, meta)

    def grade(self, problem: Problem, text: str) -> Verdict:
        """Whether the text reaches the target from the numbers."""
        return grade_puzzle(problem, text, every=False)

    def check(self, problem: Problem, text: str) -> bool:
        """The rule: what `--scorer verifier` asks."""
        return self.grade(problem, text).correct


def generate(rng: random.Random, count: int) -> tuple[list[int], int, str]:
    """Numbers, a target in [10, 999], and an expression that reaches it from at least two of them."""
    while True:
        numbers = [rng.randint(1, 99) for _ in range(count)]
        used = rng.randint(2, count)
        items = [(number, str(number)) for number in rng.sample(numbers, used)]
        while len(items) > 1:
            first, second = (items.pop(rng.randrange(len(items))) for _ in range(2))
            items.append(_joined(rng, first, second))
        value, expression = items[0]
        if SMALLEST <= value <= LARGEST and value not in numbers:
            return numbers, value, expression[1:-1]


def _joined(rng: random.Random, first: tuple[int, str], second: tuple[int, str]) -> tuple[int, str]:
    """Two values under a random operation whose result is whole and above 0."""
    (a, left), (b, right) = sorted((first, second), reverse=True)
    results = {"+": a + b, "*": a * b} | ({"-": a - b} if a > b else {}) | ({"/": a // b} if a % b == 0 else {})
    sign = rng.choice(sorted(results))
    return results[sign], f"({left} {sign} {right})"


TASK = Countdown()
