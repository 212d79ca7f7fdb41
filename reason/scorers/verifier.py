"""Rule verifiers: scorers without a model, for tasks whose solutions can be checked.

They differ in what they know:

- a check of your own, or of a task that has one: `check(problem, text)` says whether a finished solution is right;
- arithmetic: recomputes every equation of a solution exactly (`reason.scorers.arithmetic`), knowing no answer;
- the oracle: compares with the gold answer as the task does, `symbolic` as `reason.answers` does, `numeric` as numbers
  alone. Each is an upper bound for a scorer, not one to report results with, and is marked `oracle`.

Rules for other kinds of solutions stand in `reason.scorers.game24`, `code`, `schema` and `pattern`.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from reason.answers import DEFAULT_RULES, Grade, Rules, Verdict, equal, extract
from reason.answers.algebra import Limit
from reason.answers.forms import read
from reason.answers.shapes import rational
from reason.identity import check_identity, identified
from reason.scorers.arithmetic import check_line
from reason.search.strategy import number
from reason.types import Finish, Path, Problem, Score, Scorer, UsageError

if TYPE_CHECKING:
    from reason.evals.tasks.task import Task

Check: TypeAlias = Callable[[Problem, str], bool | float | Verdict]
"""(problem, solution text) -> right or wrong, or a value in [0, 1]."""

_JUDGED = (Finish.STOP, Finish.LENGTH, Finish.BUDGET)
_UNDECIDED = (Grade.TIMEOUT, Grade.LIMIT, Grade.GOLD_ERROR)
_LATEX = re.compile(r"\\[A-Za-z]+|\$[^$]*[\\^_=<>{}][^$]*\$|\$[^$\s]{1,40}\$")
_NAN = math.nan


def verifier(check: Check | Task | None = None, *, gold: bool = False, name: str | None = None) -> Scorer:
    """A rule verifier.

    Args:
        check: `check(problem, text)`, or a task: its own `check` is used where it has one, else, if the task is
            checkable, the arithmetic of its solutions. None with `gold`: answers are compared as `reason.answers` does.
        gold: Compare with the gold answers instead (the oracle).
        name: For reports.

    Raises:
        UsageError: There is nothing to check by.
    """
    label: str = str(getattr(check, "name", ""))
    if gold:
        grade = getattr(check, "grade", None)
        if check is not None and grade is None:
            raise UsageError("verifier(gold=True) takes a task or nothing, not a check function: drop one of the two")
        return Verifier(grade or _same_answer, name=name or "oracle", oracle=True)
    if check is None:
        raise UsageError(
            "verifier() needs something to check by: a function check(problem, text) -> bool, a checkable task, "
            "or gold=True to compare with the gold answers (an oracle)"
        )
    own: Any = check if callable(check) else getattr(check, "check", None)
    if callable(own):
        return Verifier(own, name=name or label or str(getattr(own, "__name__", "check")))
    if getattr(check, "checkable", False):
        return ArithmeticVerifier(name=name or "arithmetic")
    raise UsageError(
        f"{label or type(check).__name__} has no check that works without its gold answers: use a model as scorer "
        '("process", or a directory), or verifier(task, gold=True), an oracle'
    )


def symbolic(*, rules: Rules = DEFAULT_RULES, name: str = "symbolic") -> Verifier:
    """An oracle that compares the extracted answer with the gold one: exactly, then algebraically in a worker process.

    Args:
        rules: The comparison policy.
        name: For reports.
    """
    return Verifier(
        lambda problem, text: equal(problem.answer, extract(text).answer, rules=rules), name=name, oracle=True
    )


def numeric(*, tolerance: float = 0.0, rules: Rules = DEFAULT_RULES, name: str = "numeric") -> Verifier:
    """An oracle for answers that are numbers; no worker process is asked. A gold answer that is none is unscored.

    Args:
        tolerance: The most that an answer may differ, relative to the gold one (to 1 if that is 0).
        rules: The comparison policy.
        name: For reports.

    Raises:
        UsageError: The tolerance is negative.
    """
    slack = Fraction(number("tolerance", tolerance))

    def check(problem: Problem, text: str) -> Verdict:
        gold, answer = problem.answer or "", extract(text).answer
        wanted = _number(gold)
        if wanted is None:
            return Verdict(Grade.GOLD_ERROR, reason=f"the gold answer {gold!r:.40} is not a number")
        verdict = equal(gold, answer, rules=rules, symbolic=False)
        said = None if verdict.correct or not slack or answer is None else _number(answer)
        near = said is not None and abs(said - wanted) <= slack * (abs(wanted) or 1)
        return Verdict(Grade.CORRECT, reason=f"within {tolerance:g}") if near else verdict

    return Verifier(check, name=name, oracle=True)


class Verifier:
    """Judges finished solutions by a function; open paths are unscored.

    Args:
        check: (problem, text) -> bool, a value in [0, 1], or a `Verdict`. It runs in a worker thread; what it raises
            becomes the score's error.
        name: For reports.
        oracle: Whether the function knows the gold answer.
    """

    parameters = 0

    def __init__(self, check: Check, *, name: str = "check", oracle: bool = False) -> None:
        self.name = name
        self.oracle = oracle
        self._check = check

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, name=self.name, oracle=self.oracle, check=check_identity(self._check))

    def validate(self, problems: Sequence[Problem]) -> None:
        """Refuse problems that cannot be judged.

        Raises:
            UsageError: The oracle is asked about a problem without gold answer.
        """
        missing = [problem.id for problem in problems if problem.answer is None] if self.oracle else []
        if missing:
            raise UsageError(
                f"the oracle compares with gold answers, and {missing[0]} has none ({len(missing)} of {len(problems)} "
                'problems): give Problem(answer=…), or use another scorer, such as "process"'
            )

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path; NaN for open and failed ones, and where the check fails."""
        return await asyncio.to_thread(lambda: [self._score(path) for path in paths])

    def _score(self, path: Path) -> Score:
        if path.finish not in _JUDGED:
            return Score(_NAN, error=f"only finished solutions can be checked; this path is at {path.finish.value!r}")
        try:
            result = self._check(path.problem, path.text)
        except Exception as error:
            return Score(_NAN, error=f"the check failed: {type(error).__name__}: {error}")
        if isinstance(result, Verdict):
            if result.verdict in _UNDECIDED:
                return Score(
                    _NAN, error=f"the comparison was not decided: {result.verdict.value} {result.reason}".strip()
                )
            return Score(float(result.correct), explanation=result.verdict.value)
        if not isinstance(result, bool | int | float) or not 0 <= result <= 1:
            return Score(_NAN, error=f"the check returned {result!r:.60}; it may return a bool or a value from 0 to 1")
        return Score(float(result))


class ArithmeticVerifier:
    """Recomputes every equation of a solution: 1 for a step whose equations all hold, 0 for one with a wrong equation.

    A step without an equation is NaN, and so is a path without any; a path's value is 0 as soon as one step is wrong,
    else 1. Right arithmetic is not a right solution: choose among the survivors by a vote (weighted best-of-N).
    """

    parameters = 0
    oracle = False

    def __init__(self, *, name: str = "arithmetic") -> None:
        self.name = name

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self)

    def validate(self, problems: Sequence[Problem]) -> None:
        """Refuse problem sets whose solutions have no plain arithmetic to check.

        Raises:
            UsageError: More than half of the questions are LaTeX.
        """
        latex = [problem for problem in problems if _LATEX.search(problem.question)]
        if 2 * len(latex) > len(problems):
            raise UsageError(
                "the arithmetic verifier recomputes lines such as `4 * 12 = 48`, and "
                f"{len(latex)} of these {len(problems)} problems are LaTeX mathematics, such as {latex[0].id}: "
                'use a model as scorer ("process", or a directory)'
            )

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path, with step values and, in `parts`, line values; NaN where nothing can be recomputed."""
        return [self._score(path) for path in paths]

    def _score(self, path: Path) -> Score:
        if path.finish is Finish.ERROR:
            return Score(_NAN, (_NAN,) * len(path.steps), error=f"the path failed: {path.steps[-1].error}")
        lines = [[_value(line) for line in step.text.splitlines() if line.strip()] for step in path.steps]
        steps = tuple(_worst(values) for values in lines)
        value = _worst(steps)
        error = "no line such as `4 * 12 = 48` to recompute" if math.isnan(value) else None
        return Score(value, steps, error=error, parts=tuple(value for values in lines for value in values))


def _value(line: str) -> float:
    verdict = check_line(line)
    return _NAN if verdict is None else float(verdict)


def _worst(values: Sequence[float]) -> float:
    """The least of the values that are known; NaN if none is."""
    return min((value for value in values if not math.isnan(value)), default=_NAN)


def _number(answer: str) -> Fraction | None:
    """The value of an answer that is a plain number."""
    try:
        return rational(read(answer))
    except (Limit, RecursionError):
        return None


def _same_answer(problem: Problem, text: str) -> Verdict:
    return equal(problem.answer, extract(text).answer)
