"""Game of 24 and countdown: exact rational arithmetic on a grammar of our own; nothing is evaluated as code.

A finished solution is right if its last expression uses the given numbers (each once; in countdown each at most once),
the operations + - * / and parentheses only, and is worth the target. The expression is the last one of the text with
an operation, `Answer: (10 - 4) * (13 - 9) = 24`; a side written after `=` must be its true value. A solution may
instead end in steps, as Yao et al. 2305.10601 write them, that leave the target:

    10 - 4 = 6 (left: 6 9 13)

Every such line must take two numbers that are still there, give their exact result and, where it says what is left,
say it rightly. Each step of a path is worth 1 as long as all lines up to there are right, else 0, so a tree search can
use open paths; with `lookahead` a state of at most 5 numbers from which no operations reach the target is worth 0 as
well, found by trying all of them (then the scorer has in effect solved the puzzle).

The numbers and the target are `problem.meta["numbers"]` and `["target"]`, or they are read from the question: numbers
in brackets, or all its whole numbers but the target and a count ("4 numbers"); the target after "equals", "make",
"reach", "obtain" or "target".
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from reason.identity import identified
from reason.types import Finish, Path, Problem, Score, UsageError

TARGET = 24
LONGEST = 512
DEEPEST = 32
MOST_SEARCHED = 5
MOST_GIVEN = 6
_NAN = math.nan
_SIGNS = str.maketrans({"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "[": "(", "]": ")"})
_LATEX = (
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])"), "*"),
    (re.compile(r"\\div(?![A-Za-z])"), "/"),
    (re.compile(r"\\(?:left|right)(?![A-Za-z])|\\[,;!() \[\]]|\$|\\(?:boxed|text|mathrm)\s*(?=\{)"), " "),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]{1,40})\}\s*\{([^{}]{1,40})\}"), r"((\1)/(\2))"),
    (re.compile(r"(?<=[\d)\s])[xX](?=[\s(]*\d)"), "*"),
    (re.compile(r"[{}*]{2,}|[{}]"), " "),
)
_RUN = re.compile(r"[\d(][\d\s()+*/.=-]*")
_BULLET = re.compile(r"^\s*(?:[-*•]\s+|\d{1,3}[.)]\s+(?=[(\d]))")
_LEADS = re.compile(r"[-+*/^!%]\s*$|[\w.]$")
_FOLLOWS = re.compile(r"\s*[\^!%]|\w")
_TOKEN = re.compile(r"\s*(?:(\d+)|([-+*/()]))")
_NUMBER = r"-?\d{1,12}(?:/\d{1,12})?"
_STEP = re.compile(
    rf"[^\d\n(]{{0,40}}?({_NUMBER})\s*([-+*/])\s*({_NUMBER})\s*=\s*({_NUMBER})(?![\d./])\s*(?:\(\s*left\s*:([^()\n]{{0,200}})\))?",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\[\s*(\d{1,9}(?:\s*[,;]?\s+\d{1,9}|\s*[,;]\s*\d{1,9})+)\s*\]")
_GIVEN = re.compile(r"(?<![\w.])\d{1,9}(?![\w.]*\d|\w)")
_COUNTS = re.compile(r"\s+(?:given\s+|whole\s+)?(?:numbers|integers)\b", re.IGNORECASE)
_WANTED = re.compile(
    r"(?:equals?|equal to|makes?|making|reach(?:es)?|obtain|get|target(?: number)?(?: is| of)?)\s*:?\s*(\d{1,9})\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Puzzle:
    """What is to be reached, from what."""

    numbers: tuple[int, ...]
    target: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression.

    Attributes:
        value: Its exact value; None where it divides by zero.
        numbers: The whole numbers it is made of, in order.
        operations: How many operations it has.
    """

    value: Fraction | None
    numbers: tuple[int, ...]
    operations: int


def parse_expression(text: str) -> Expression | None:
    """A sum of products of whole numbers and parentheses, or None for any other text; there are no signs and powers."""
    if len(text) > LONGEST:
        return None
    tokens, at = list[str](), 0
    stripped = text.strip()
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None:
            return None
        tokens.append(match[1] or match[2])
        at = match.end()
    parser = _Parser(tokens)
    try:
        value = parser.total(0)
    except _Unreadable:
        return None
    if parser.at < len(tokens):
        return None
    return Expression(value, tuple(parser.numbers), parser.operations)


def puzzle_of(problem: Problem) -> Puzzle | None:
    """The puzzle that a problem poses, or None if it poses none."""
    numbers, target = problem.meta.get("numbers"), problem.meta.get("target", TARGET)
    if numbers is not None:
        values = [*numbers, target] if isinstance(numbers, list | tuple) else []
        whole = len(values) > 1 and all(type(value) is int and value >= 0 for value in values)
        return Puzzle(tuple(values[:-1]), values[-1]) if whole else None
    targets = list(_WANTED.finditer(problem.question))
    wanted = targets[-1] if targets else None
    target = int(wanted[1]) if wanted else TARGET
    bracketed = _BRACKETED.search(problem.question)
    if bracketed is not None:
        return Puzzle(tuple(int(number) for number in re.findall(r"\d+", bracketed[1])), target)
    question = problem.question
    if wanted:
        question = question[: wanted.start(1)] + question[wanted.end(1) :]
    found = [int(match[0]) for match in _GIVEN.finditer(question) if not _COUNTS.match(question, match.end())]
    if not wanted and len(found) > 4 and found.count(TARGET) == 1:
        found.remove(TARGET)
    return Puzzle(tuple(found), target) if len(found) > 1 else None


class Game24:
    """Checks game of 24 and countdown.

    Args:
        every: Whether each number must be used (game of 24) or may be left out (countdown).
        lookahead: Whether an open path from which the target cannot be reached is worth 0; states of more than 5
            numbers would take seconds to search and are not.
        name: For reports; None is "game24" or "countdown".
    """

    parameters = 0
    oracle = False

    def __init__(self, *, every: bool = True, lookahead: bool = False, name: str | None = None) -> None:
        self._every, self._lookahead = every, lookahead
        self.name = name or ("game24" if every else "countdown")

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, every=self._every, lookahead=self._lookahead)

    def validate(self, problems: Sequence[Problem]) -> None:
        """Refuse problems that pose no puzzle.

        Raises:
            UsageError: Naming the first.
        """
        for problem in problems:
            puzzle = puzzle_of(problem)
            if puzzle is None:
                raise UsageError(
                    f"{self.name} needs numbers to reach a target with, and {problem.id} has none: give "
                    'Problem(meta={"numbers": [4, 9, 10, 13], "target": 24}), or such a question'
                )
            if self._lookahead and len(puzzle.numbers) > MOST_GIVEN:
                raise UsageError(
                    f"lookahead is for puzzles of at most {MOST_GIVEN} numbers, and {problem.id} has "
                    f"{len(puzzle.numbers)}: pass lookahead=False"
                )

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path, 0 or 1, with a value per step; NaN for failed paths and problems without a puzzle."""
        return await asyncio.to_thread(lambda: [self._score(path) for path in paths])

    def _score(self, path: Path) -> Score:
        puzzle = puzzle_of(path.problem)
        if puzzle is None:
            return Score(_NAN, error="the problem gives no numbers to reach a target with")
        if path.finish in (Finish.ERROR, Finish.CANCELLED):
            return Score(_NAN, error=f"the path ended as {path.finish.value!r}")
        left: Counter[Fraction] | None = Counter(Fraction(number) for number in puzzle.numbers)
        values, why = list[float](), ""
        for step in path.steps:
            if left is not None:
                left, why = self._advance(left, step.text, puzzle)
            values.append(float(left is not None))
        if path.open:
            value = values[-1] if values else 1.0
        else:
            value, why = self._final(path.text, puzzle, left)
            values[-1:] = [value] * bool(values)
        return Score(value, tuple(values), explanation=why)

    def _advance(self, left: Counter[Fraction], text: str, puzzle: Puzzle) -> tuple[Counter[Fraction] | None, str]:
        """What is left after the step lines of a text, or None and the reason where one is wrong."""
        after, why = _followed(left, text, said=True)
        if after is not None and self._lookahead and not self._hopeful(after, puzzle):
            return None, f"{puzzle.target} cannot be reached from {_shown(after)}"
        return after, why

    def _hopeful(self, left: Counter[Fraction], puzzle: Puzzle) -> bool:
        if left.total() > MOST_SEARCHED:
            return True
        return reachable(tuple(sorted(left.elements())), Fraction(puzzle.target), self._every)

    def _final(self, text: str, puzzle: Puzzle, left: Counter[Fraction] | None) -> tuple[float, str]:
        """Whether a finished solution is right, and why."""
        reached = Fraction(puzzle.target)
        given = Counter(Fraction(number) for number in puzzle.numbers)
        for chain in (left, _followed(given, text, said=False)[0]):
            if chain is None or chain.total() == given.total():
                continue
            if chain == Counter([reached]) if self._every else chain[reached] > 0:
                return 1.0, f"the steps leave {puzzle.target}"
        found = last_expression(text)
        if found is None:
            return 0.0, "no expression"
        shown, expression, stated = found
        missing = Counter(puzzle.numbers)
        missing.subtract(expression.numbers)
        if any(count < 0 for count in missing.values()) or (self._every and any(missing.values())):
            rule = "each once" if self._every else "each at most once"
            return 0.0, f"{shown} does not use {_shown(puzzle.numbers)} {rule}"
        if expression.value != reached:
            return 0.0, f"{shown} is {expression.value if expression.value is not None else 'undefined'}"
        if any(value != expression.value for value in stated):
            return 0.0, f"{shown} is not what stands after its equals sign"
        return 1.0, f"{shown} = {puzzle.target}"


def right(text: str, puzzle: Puzzle, *, every: bool = True) -> tuple[bool, str]:
    """Whether a finished solution is right, and why.

    Args:
        text: The solution.
        puzzle: What is to be reached, from what.
        every: Whether each number must be used (game of 24) or may be left out (countdown).
    """
    left = _followed(Counter(Fraction(number) for number in puzzle.numbers), text, said=True)[0]
    value, why = Game24(every=every)._final(text, puzzle, left)
    return value > 0, why


def last_expression(text: str) -> tuple[str, Expression, list[Fraction | None]] | None:
    """The last expression with an operation in a text, as written, and the values of what it is said to equal."""
    body = text[text.rfind("</think>") + len("</think>") if "</think>" in text else 0 :][-20_000:]
    for line in reversed(_plain(body).splitlines()):
        line = _BULLET.sub("", line[:LONGEST])
        for match in reversed(list(_RUN.finditer(line))):
            run = match[0].rstrip("( .\t")
            if _LEADS.search(line[: match.start()]) or _FOLLOWS.match(line[match.start() + len(run) :]):
                continue
            sides = [side.strip(" .\t") for side in run.split("=")]
            parsed = [(side, found) for side in sides if (found := parse_expression(side)) is not None]
            for place, (side, found) in enumerate(parsed):
                if found.operations:
                    return side, found, [other.value for _, other in (*parsed[:place], *parsed[place + 1 :])]
    return None


@lru_cache(maxsize=65_536)
def reachable(numbers: tuple[Fraction, ...], target: Fraction, every: bool) -> bool:
    """Whether the numbers give the target by + - * /: all of them, or (`every` False) any of them."""
    if len(numbers) == 1 or (not every and target in numbers):
        return target in numbers
    for i, first in enumerate(numbers):
        for j in range(i):
            rest = [number for place, number in enumerate(numbers) if place not in (i, j)]
            for result in _results(first, numbers[j]):
                if reachable(tuple(sorted([*rest, result])), target, every):
                    return True
    return False


def _results(first: Fraction, second: Fraction) -> set[Fraction]:
    results = {first + second, first - second, second - first, first * second}
    return results | {a / b for a, b in ((first, second), (second, first)) if b}


def _followed(left: Counter[Fraction], text: str, *, said: bool) -> tuple[Counter[Fraction] | None, str]:
    """What is left after the step lines of a text, or None and the reason where one is wrong.

    Args:
        left: What is there.
        text: Any lines.
        said: Count only the lines that say what is left.
    """
    for line in _plain(text).splitlines():
        match = _STEP.match(line.strip()[:LONGEST])
        if match is None or (said and match[5] is None):
            continue
        after = _taken(left, match)
        if after is None:
            return None, f"not a step from {_shown(left)}: {line.strip()[:80]}"
        left = after
    return left, ""


def _taken(left: Counter[Fraction], match: re.Match[str]) -> Counter[Fraction] | None:
    """What is left after a step, or None if it is no right one."""
    try:
        first, second, result = (Fraction(match[group]) for group in (1, 3, 4))
        said = None if match[5] is None else [Fraction(word) for word in re.split(r"[\s,;]+", match[5].strip()) if word]
        expected = {
            "+": lambda: first + second,
            "-": lambda: first - second,
            "*": lambda: first * second,
            "/": lambda: first / second,
        }[match[2]]()
    except (ZeroDivisionError, ValueError):
        return None
    after = left.copy()
    after.subtract((first, second))
    if expected != result or any(count < 0 for count in after.values()):
        return None
    after[result] += 1
    after = +after
    return after if said is None or Counter(said) == after else None


def _plain(text: str) -> str:
    """The text with LaTeX and typographic signs as plain ones."""
    text = text.translate(_SIGNS)
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    return text


def _shown(numbers: Counter[Fraction] | Iterable[int]) -> str:
    items = numbers.elements() if isinstance(numbers, Counter) else numbers
    return " ".join(str(number) for number in sorted(items))


class _Unreadable(ValueError):
    """Not an expression."""


class _Parser:
    """total = product (+|- product)*; product = atom (*|/ atom)*; atom = number | ( total ); None divides by 0."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens, self.at = tokens, 0
        self.numbers: list[int] = []
        self.operations = 0

    def total(self, depth: int) -> Fraction | None:
        value = self._product(depth)
        while self._next() in ("+", "-"):
            sign = self._take()
            right = self._product(depth)
            value = None if value is None or right is None else value + right if sign == "+" else value - right
        return value

    def _product(self, depth: int) -> Fraction | None:
        value = self._atom(depth)
        while self._next() in ("*", "/"):
            sign = self._take()
            right = self._atom(depth)
            if value is None or right is None or (sign == "/" and not right):
                value = None
            else:
                value = value * right if sign == "*" else value / right
        return value

    def _atom(self, depth: int) -> Fraction | None:
        token = self._next()
        if depth > DEEPEST or not token or token in "+-*/)":
            raise _Unreadable
        self.at += 1
        if token == "(":
            value = self.total(depth + 1)
            if self._next() != ")":
                raise _Unreadable
            self.at += 1
            return value
        if len(token) > 12:
            raise _Unreadable
        self.numbers.append(int(token))
        return Fraction(int(token))

    def _next(self) -> str:
        return self._tokens[self.at] if self.at < len(self._tokens) else ""

    def _take(self) -> str:
        self.at += 1
        self.operations += 1
        return self._tokens[self.at - 1]
