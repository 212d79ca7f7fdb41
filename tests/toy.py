"""A task for the command line's tests: the fake policy's additions. Named as `toy:TASK`."""

from __future__ import annotations

from reason.answers import Verdict, equal, extract
from reason.policies.fake import fake_problems
from reason.types import Problem


class Toy:
    """Problems that `FakePolicy` solves with probability accuracy ** (terms - 1)."""

    name = "toy"
    answer_format = "line"
    checkable = False
    splits = ("test",)

    def load(
        self, *, limit: int | None = None, seed: int = 0, data: str | None = None, split: str | None = None
    ) -> list[Problem]:
        """Generated additions."""
        return fake_problems(limit or 12, seed=seed)

    def grade(self, problem: Problem, text: str) -> Verdict:
        """Compare with the sum."""
        return equal(problem.answer, extract(text).answer)


TASK = Toy()
