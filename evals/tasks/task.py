"""What a task is: problems to load, a way to grade a solution, and the format its answers are asked for in.

A task that lives in JSON-lines files is a `FileTask`; any object with the members of `Task` is a task.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypeAlias, runtime_checkable

from reason.answers import Rules, Verdict, equal, extract
from reason.evals.tasks.source import HubSource, Row, rows_of
from reason.types import Problem, UsageError

Grading: TypeAlias = Callable[[Problem, str], Verdict]

_PERCENT = re.compile(r"percent|%", re.IGNORECASE)


@runtime_checkable
class Task(Protocol):
    """A benchmark. Members may be plain attributes."""

    @property
    def name(self) -> str:
        """What the command line calls it."""
        ...

    @property
    def answer_format(self) -> str:
        r"""How solutions should end: "boxed" (`\boxed{…}`), "hashes" (`#### …`) or "line" (`Answer: …`)."""
        ...

    @property
    def checkable(self) -> bool:
        """Whether a rule can check a solution without the gold answer (what the verifier scorer needs)."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that `load` accepts, the default one first."""
        ...

    def load(
        self, *, limit: int | None = None, seed: int = 0, data: str | None = None, split: str | None = None
    ) -> list[Problem]:
        """The problems, or a seeded subset of `limit` of them."""
        ...

    def grade(self, problem: Problem, text: str) -> Verdict:
        """Grade a solution's text against the problem's gold answer."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """A split that is a part of another one.

    Attributes:
        of: The split whose file it is in.
        keep: Whether the problem at an index of it belongs here.
    """

    of: str
    keep: Callable[[int, Problem], bool]


@dataclass(frozen=True, slots=True)
class FileTask:
    """A task whose rows are JSON lines, a JSON array or a CSV on disk, or on the hub.

    Attributes:
        name: What the command line calls it, and its folder under the data directory.
        read: Turns one row into a problem; raises KeyError, TypeError or ValueError on a malformed one.
        hub: Where the rows are on the hub; None where they are not.
        answer_format: How solutions should end.
        rules: The comparison policy for a problem.
        splits: The default one first.
        checkable: Whether a rule can check a solution without the gold answer.
        folders: Other names that its folder may have.
        files: The file's stem where it is not the split's name.
        views: Splits that are parts of others.
        grading: Grades a text, where comparing the extracted answer with the gold one does not.
    """

    name: str
    read: Callable[[Row, str], Problem]
    hub: HubSource | None = None
    answer_format: str = "boxed"
    rules: Callable[[Problem], Rules] = lambda problem: Rules()
    splits: tuple[str, ...] = ("test",)
    checkable: bool = False
    folders: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    grading: Grading | None = None

    def load(
        self, *, limit: int | None = None, seed: int = 0, data: str | None = None, split: str | None = None
    ) -> list[Problem]:
        """The problems of a split.

        Args:
            limit: How many; fewer than there are gives a subset drawn with `seed`, in file order. None: all.
            seed: Draws the subset.
            data: The JSON-lines file, its folder, or a folder that holds `<task>/<split>.jsonl`. None: the environment
                variable REASON_DATA_DIR, else the hub.
            split: One of `splits`; None is the first.

        Raises:
            UsageError: No such split, no data, or a malformed row (named by file and line).
        """
        chosen = self.splits[0] if split is None else split
        if chosen not in self.splits:
            raise UsageError(f"{self.name} has no split {chosen!r}: use one of {', '.join(self.splits)}.")
        view = self.views.get(chosen)
        whole = chosen if view is None else view.of
        problems: list[Problem] = []
        for place, row in rows_of((self.name, *self.folders), self.files.get(whole, whole), data, self.hub):
            try:
                problem = self.read(row, f"{self.name}/{whole}/{len(problems)}")
            except (KeyError, TypeError, ValueError) as error:
                missing = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
                raise UsageError(f"{place}: not a {self.name} row: {missing}.") from error
            problems.append(problem)
        if view is not None:
            problems = [problem for index, problem in enumerate(problems) if view.keep(index, problem)]
            if not problems:
                raise UsageError(
                    f"{self.name} has no problem of the split {chosen!r} in this data: pass another --data."
                )
        return subset(problems, limit, seed)

    def grade(self, problem: Problem, text: str) -> Verdict:
        """Grade a solution's text against the gold answer."""
        if self.grading is not None:
            return self.grading(problem, text)
        return equal(problem.answer, extract(text).answer, rules=self.rules(problem))


def subset(problems: Sequence[Problem], limit: int | None, seed: int) -> list[Problem]:
    """At most `limit` problems, drawn with `seed` and kept in their order."""
    if limit is None or limit >= len(problems):
        return list(problems)
    if limit < 1:
        raise UsageError(f"limit is {limit}: pass a positive number of problems, or leave it out for all of them.")
    chosen = random.Random(f"subset:{seed}").sample(range(len(problems)), limit)
    return [problems[index] for index in sorted(chosen)]


def percent_where_asked(problem: Problem) -> Rules:
    """Percent counts as the unit asked for where the question names it."""
    return Rules(percent_is_unit=bool(_PERCENT.search(problem.question)))


def text_field(row: Mapping[str, Any], name: str) -> str:
    """A row's field that must be non-empty text."""
    value = row[name]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"the field {name!r} must be non-empty text, got {value!r:.60}")
    return value


def field_of(row: Mapping[str, Any], *names: str) -> Any:
    """The first of these fields that the row has.

    Raises:
        KeyError: It has none of them; names the first.
    """
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise KeyError(names[0])


def number_text(value: Any) -> str:
    """A number as a gold answer is written: 145.0 is 145, 1e6 is 1000000; text is taken as it stands.

    Raises:
        ValueError: It is neither a finite number nor text.
    """
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"the answer must be a number, got {value!r:.60}")
    exact = Decimal(repr(value))
    return str(int(exact)) if exact == exact.to_integral_value() else format(exact, "f")


def boxed_answer(solution: str) -> str:
    r"""The answer that a worked solution boxes last.

    Raises:
        ValueError: It has no `\boxed{…}`.
    """
    found = extract(solution, strict=True).answer
    if not found:
        raise ValueError(r"the field 'solution' must hold the answer in \boxed{…}")
    return found
