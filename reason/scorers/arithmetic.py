"""Finds the equations in a line of a solution and recomputes them exactly.

A line such as `4 * 12 = 48`, `So 48/2 = 24 clips` or `<<48/2=24>>` is cut into runs of numbers, operators,
parentheses and equals signs; a run with at least one operation and two complete sides is an equation. All is rational
arithmetic on a parser of its own (sums of products of signed powers); nothing is ever evaluated as code.

What counts as right: every two neighbouring sides are equal; where one is a plain decimal of d > 0 places, the other
may differ from it by half a unit of its last place (`10 / 3 = 3.33`). `p%` is p hundredths; where it stands alone on
a side it may also mean p (`15 / 60 * 100 = 25%`), and a percentage added to a plain number is not read. A run that
touches a letter or a sign it does not know (`2x = 8`, `sqrt(4) + 1 = 3`), or that continues a word (`apples + 3 =
8`), is left alone; so is a side before a remainder (`10 / 4 = 2 remainder 2`) and a number next to a colon and another
(`12:30`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

LONGEST_LINE = 4096
MOST_DIGITS = 64
DEEPEST = 64
LARGEST_POWER = 64

_TOKEN = re.compile(
    r"(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|\.\d+)|(?P<op>\*\*|[-+*/^()=%−–×·÷])|(?P<money>[$€£])"
    r"|(?P<space>[^\S\n]+)|(?P<times>(?<=[\d)\s])[xX](?=\s*[$€£(]?\d))"
)
_SAME = {"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "**": "^"}
_SPOKEN = frozenset(
    "times of plus minus by over twice half double triple squared cubed and less more than root".split()
)
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_REMAINDER = re.compile(
    r"r\.?\s*\d|[.,;]?\s*(?:[a-z]+[.,;]?\s+){0,3}?(?:remainder|rem\.?)\s*(?:of|is|[:=])?\s*\d", re.IGNORECASE
)
_MINUTES = re.compile(r"(?<=\d):\d")
_CLOCK = re.compile(r"\d:$")
_TOUCHING = re.compile(r"[\w^\\!|{}~&@#∑∏√]")


class _Unreadable(ValueError):
    """Not an expression that this module computes."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an equation.

    Attributes:
        value: Its exact value.
        operations: How many operations it has.
        places: Decimals of a side that is a plain number, else None.
        percent: Whether it is a plain percentage.
    """

    value: Fraction
    operations: int
    places: int | None
    percent: bool = False


def check_line(line: str) -> bool | None:
    """Whether every equation in the line holds; None if there is none that can be recomputed."""
    verdicts = [_holds(sides) for sides in equations(line)]
    return all(verdicts) if verdicts else None


def equations(line: str) -> list[list[Side]]:
    """The equations in a line, each as its sides from left to right (two or more, one of them with an operation)."""
    if len(line) > LONGEST_LINE:
        return []
    found = []
    for run in _runs(_BULLET.sub("", line)):
        sides = _sides(run)
        if len(sides) > 1 and any(side.operations for side in sides):
            found.append(sides)
    return found


def _holds(sides: Sequence[Side]) -> bool:
    return all(_equal(left, right) for left, right in pairwise(sides))


def _equal(left: Side, right: Side) -> bool:
    if left.percent != right.percent:
        spelled = [
            replace(side, value=side.value * 100, percent=False) if side.percent else side for side in (left, right)
        ]
        if _equal(*spelled):
            return True
    slack = max(_slack(left), _slack(right))
    return abs(left.value - right.value) <= slack


def _slack(side: Side) -> Fraction:
    """Half a unit of the last place of a plain decimal."""
    return Fraction(1, 2 * 10**side.places) / (100 if side.percent else 1) if side.places else Fraction(0)


def _runs(line: str) -> list[list[str]]:
    """Maximal stretches of numbers, operators and equals signs, without those that belong to something unreadable."""
    runs: list[list[str]] = []
    current: list[str] = []
    start = at = 0
    while at <= len(line):
        match = _TOKEN.match(line, at) if at < len(line) else None
        if match is None:
            if current and _stands_alone(line, start, current):
                runs.append(_without_last(current) if _goes_on(line, at) else _cut(current, line[at - 1 : at + 2]))
            current, at = [], at + 1
            continue
        if match.lastgroup not in ("space", "money"):
            start = start if current else at
            text = "*" if match.lastgroup == "times" else match.group()
            current.append(_SAME.get(text, text))
        at = match.end()
    return runs


def _stands_alone(line: str, start: int, run: Sequence[str]) -> bool:
    """Whether nothing before the run belongs to it."""
    before = line[:start].rstrip("$€£")
    if before and (_TOUCHING.match(before[-1]) or _CLOCK.search(before)):
        return False
    word = re.search(r"(\w+)\s*$", before[-40:])
    if word is None:
        return True
    return word.group(1).lower() not in _SPOKEN and (run[0][0].isdigit() or run[0][0] in "(.=")


def _cut(run: list[str], edge: str) -> list[str]:
    """The run without a last side that goes on in what follows it, as in `3 + 5 = 2x` (units such as `8kg` are fine).

    Args:
        run: The tokens.
        edge: The last character that was read and the next two.
    """
    unit = len(edge) == 3 and edge[1:].isalpha()
    if edge[:1] in tuple("0123456789)") and _TOUCHING.match(edge, 1) and not unit:
        return _without_last(run)
    return run


def _goes_on(line: str, at: int) -> bool:
    """Whether a remainder or the minutes of a time follow there."""
    return bool(_REMAINDER.match(line, at) or _MINUTES.match(line, at))


def _without_last(run: list[str]) -> list[str]:
    return run[: len(run) - run[::-1].index("=")] if "=" in run else []


def _sides(run: Sequence[str]) -> list[Side]:
    """The sides of a run; an unreadable one at either end is dropped, one in the middle spoils the run."""
    parts: list[list[str]] = [[]]
    for token in run:
        if token == "=":
            parts.append([])
        else:
            parts[-1].append(token)
    for end in (0, -1):
        while parts and not parts[end]:
            parts.pop(end)
    try:
        return [_side(part) for part in parts]
    except (_Unreadable, ZeroDivisionError):
        return []


def _side(tokens: Sequence[str]) -> Side:
    parser = _Parser(tokens)
    value = parser.total(0)
    if parser.at != len(tokens):
        raise _Unreadable
    plain = [token for token in tokens if token not in "+-%"]
    places = len(plain[0].partition(".")[2]) if len(plain) == 1 and not parser.operations else None
    return Side(value, parser.operations, places, places is not None and tokens[-1] == "%")


class _Parser:
    """Recursive descent: total = product (± product)*, product = power (×÷ power)*, power = atom [^ integer]."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self.operations = 0

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def total(self, depth: int) -> Fraction:
        value = self.product(depth)
        percent = self.tokens[self.at - 1] == "%"
        while self._peek() in ("+", "-"):
            operator = self._take()
            right = self.product(depth)
            if (self.tokens[self.at - 1] == "%") != percent:
                raise _Unreadable
            value = value + right if operator == "+" else value - right
            self.operations += 1
        return value

    def product(self, depth: int) -> Fraction:
        value = self.power(depth)
        while self._peek() in ("*", "/", "("):
            operator = "*" if self._peek() == "(" else self._take()
            right = self.power(depth)
            value = value * right if operator == "*" else value / right
            self.operations += 1
        return value

    def power(self, depth: int) -> Fraction:
        if depth > DEEPEST:
            raise _Unreadable
        if self._peek() in ("+", "-"):
            sign = -1 if self._take() == "-" else 1
            return sign * self.power(depth + 1)
        base = self.atom(depth)
        if self._peek() != "^":
            return base
        self._take()
        exponent = self.power(depth + 1)
        size = max(abs(base.numerator), base.denominator).bit_length()
        if exponent.denominator != 1 or abs(exponent) > LARGEST_POWER or size > 4 * MOST_DIGITS:
            raise _Unreadable
        self.operations += 1
        return base ** int(exponent)

    def atom(self, depth: int) -> Fraction:
        token = self._peek()
        if token == "(":
            self._take()
            value = self.total(depth + 1)
            if self._peek() != ")":
                raise _Unreadable
            self._take()
        elif token and (token[0].isdigit() or token[0] == "."):
            digits = self._take().replace(",", "")
            if len(digits) > MOST_DIGITS:
                raise _Unreadable
            value = Fraction(digits)
        else:
            raise _Unreadable
        if self._peek() == "%":
            self._take()
            value /= 100
        return value
