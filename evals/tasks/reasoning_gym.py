"""Problems of the library reasoning-gym, `reasoning_gym/NAME` (Stojanovski et al. 2025, arXiv 2505.24760).

The library is an optional source of problems: `reasoning_gym.create_dataset(NAME, size, seed)` gives rows of `question`
and `answer`. Its own scorers are never called: several of them run the text that they judge. Answers are compared with
the library's as all others are, so a problem with several right answers counts only the one that the library gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reason.answers import Verdict, equal, extract
from reason.types import MissingExtraError, Problem, UsageError

PREFIX = "reasoning_gym/"
SIZE = 500


@dataclass(frozen=True, slots=True)
class ReasoningGym:
    """A data set of the library.

    Attributes:
        dataset: Its name there, such as leg_counting.
    """

    dataset: str
    answer_format: str = "boxed"
    checkable: bool = False
    splits: tuple[str, ...] = field(default=("test",))

    @property
    def name(self) -> str:
        """The name on the command line."""
        return PREFIX + self.dataset

    def load(
        self, *, limit: int | None = None, seed: int = 0, data: str | None = None, split: str | None = None
    ) -> list[Problem]:
        """The first `limit` problems (500 by default) of the stream that `seed` names.

        Raises:
            UsageError: No such data set or split, a limit below 1, or a data path (nothing is read from files).
            MissingExtraError: reasoning-gym is not installed.
        """
        if data is not None or split not in (None, *self.splits):
            raise UsageError(f"{self.name} is generated and has no files or splits: leave --data and --split out.")
        if limit is not None and limit < 1:
            raise UsageError(f"limit is {limit}: pass a positive number of problems, or leave it out for {SIZE}.")
        size = SIZE if limit is None else limit
        rows = enumerate(self._rows(size, seed))
        return [self._problem(row, f"{PREFIX}{self.dataset}/{seed}/{index}") for index, row in rows]

    def _rows(self, size: int, seed: int) -> Iterator[Mapping[str, Any]]:
        try:
            import reasoning_gym
        except ImportError as error:
            raise MissingExtraError(f"{self.name} needs the library ({error}): pip install reasoning-gym") from error
        try:
            made = reasoning_gym.create_dataset(self.dataset, size=size, seed=seed)
        except (AssertionError, TypeError, ValueError) as error:  # what the library raises for a name or its settings
            raise UsageError(
                f"reasoning-gym cannot make the data set {self.dataset!r:.60} ({str(error)[:80]}): see its list of them"
            ) from error
        return iter([made[index] for index in range(size)])

    def _problem(self, row: Mapping[str, Any], identity: str) -> Problem:
        answer = row.get("answer")
        return Problem(identity, str(row["question"]).strip(), None if answer is None else str(answer).strip())

    def grade(self, problem: Problem, text: str) -> Verdict:
        """Grade a solution's text against the gold answer."""
        return equal(problem.answer, extract(text).answer)
