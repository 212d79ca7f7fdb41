"""Exact comparison of real constants made of whole numbers, + - * /, roots, and sines of multiples of 3 degrees.

Two such constants are equal if and only if their difference is zero, and a difference that is not zero cannot be small:
a separation bound (Burnikel, Funke, Mehlhorn, Schirra and Schmitt, "A separation bound for real algebraic expressions",
ESA 2001) gives, from the way it is written, a number of bits below which it must be zero. The difference is evaluated
in interval arithmetic on whole numbers until it excludes zero or falls below that bound. π and e may occur where only a
value is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from reason.answers.algebra import Limit, Unreadable
from reason.answers.angles import without_angles
from reason.answers.nodes import Node, Num, Op, Sym

MOST_BITS = 12_000
LARGEST_POWER = 64
GUARD = 32
SLACK = 1e-6


class Undecided(ValueError):
    """Not a real radical constant, or one that needs too much precision."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Two whole numbers in units of 2 ** -bits."""

    low: int
    high: int


def same_constant(left: Node, right: Node) -> bool | None:
    """Whether two constants are equal; None where this cannot be said."""
    try:
        difference = Op("add", (without_angles(left), Op("neg", (without_angles(right),))))
        enough = _separation(difference)
        bits = 64
        while True:
            found = Evaluation(bits).value(difference)
            if found.low > 0 or found.high < 0:
                return False
            if bits >= enough + GUARD and max(-found.low, found.high).bit_length() < bits - enough:
                return True
            if bits > 2 * (enough + GUARD) or bits > MOST_BITS:
                return None
            bits = min(4 * bits, 2 * (math.ceil(enough) + GUARD) + 1)
    except (Undecided, Unreadable, Limit, ArithmeticError, RecursionError):
        return None


def enclosure(node: Node, bits: int) -> tuple[Fraction, Fraction] | None:
    """Bounds of a constant's value, about 2 ** -bits apart; None where this cannot be said."""
    try:
        found = Evaluation(bits + GUARD).value(node)
    except (Undecided, ArithmeticError, RecursionError):
        return None
    unit = 1 << (bits + GUARD)
    return Fraction(found.low, unit), Fraction(found.high, unit)


def _separation(node: Node) -> float:
    """Bits that a value of this writing must have if it is not zero."""
    radicals: dict[Node, int] = {}
    upper, lower = _bounds(node, radicals)
    degree = math.prod(radicals.values())
    bits = upper * (degree - 1) + lower + SLACK
    if bits > MOST_BITS / 2:
        raise Undecided("too much precision")
    return bits


def _bounds(node: Node, radicals: dict[Node, int]) -> tuple[float, float]:
    """Binary logarithms of u and l of the separation bound; collects the roots with their degrees."""
    if isinstance(node, Num):
        return _log(node.value.numerator), _log(node.value.denominator)
    if isinstance(node, Sym):
        raise Undecided("a symbol")
    if node.kind == "pow":
        return _power_bounds(node, radicals)
    if node.kind == "root":
        return _root_bounds(node, _bounds(node.args[1], radicals), _degree(node), radicals)
    parts = [_bounds(argument, radicals) for argument in node.args]
    upper, lower = parts[0]
    match node.kind:
        case "neg" | "abs":
            return upper, lower
        case "add":
            for up, low in parts[1:]:
                upper, lower = _log_sum(upper + low, up + lower), lower + low
            return upper, lower
        case "mul":
            return upper + parts[1][0], lower + parts[1][1]
        case "div":
            return upper + parts[1][1], lower + parts[1][0]
    raise Undecided(node.kind)


def _root_bounds(
    node: Node, inside: tuple[float, float], degree: int, radicals: dict[Node, int]
) -> tuple[float, float]:
    radicals[node] = degree
    upper, lower = inside
    if upper >= lower:
        return (upper + (degree - 1) * lower) / degree, lower
    return upper, ((degree - 1) * upper + lower) / degree


def _power_bounds(node: Op, radicals: dict[Node, int]) -> tuple[float, float]:
    exponent = _exponent(node)
    inside = _bounds(node.args[0], radicals)
    if exponent.denominator > 1:
        inside = _root_bounds(
            Op("root", (Num(Fraction(exponent.denominator)), node.args[0])), inside, exponent.denominator, radicals
        )
    upper, lower = (abs(exponent.numerator) * part for part in inside)
    return (upper, lower) if exponent > 0 else (lower, upper)


def _log(whole: int) -> float:
    return math.log2(abs(whole)) + SLACK if abs(whole) > 1 else 0.0


def _log_sum(first: float, second: float) -> float:
    high, low = max(first, second), min(first, second)
    return high + math.log2(1 + 2.0 ** (low - high)) + SLACK


def _degree(node: Op) -> int:
    degree = node.args[0]
    if not isinstance(degree, Num) or degree.value.denominator != 1 or not 2 <= degree.value <= LARGEST_POWER:
        raise Undecided("a root of unknown degree")
    return int(degree.value)


def _exponent(node: Op) -> Fraction:
    value = _fraction(node.args[1])
    if value is None or value == 0 or max(abs(value.numerator), value.denominator) > LARGEST_POWER:
        raise Undecided("an exponent")
    return value


def _fraction(node: Node) -> Fraction | None:
    if isinstance(node, Num):
        return node.value
    if isinstance(node, Sym):
        return None
    parts = [_fraction(argument) for argument in node.args]
    if node.kind == "neg" and parts[0] is not None:
        return -parts[0]
    if node.kind == "div" and parts[0] is not None and parts[1]:
        return parts[0] / parts[1]
    return None


class Evaluation:
    """Interval evaluation at a fixed number of bits; equal subexpressions once."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.known: dict[Node, Interval] = {}

    def value(self, node: Node) -> Interval:
        found = self.known.get(node)
        if found is None:
            found = self.known[node] = self._value(node)
        return found

    def _value(self, node: Node) -> Interval:
        if isinstance(node, Num):
            scaled = node.value.numerator << self.bits
            low = scaled // node.value.denominator
            return Interval(low, low + bool(scaled % node.value.denominator))
        if isinstance(node, Sym):
            return _constant(node.name, self.bits)
        if node.kind == "pow":
            return self.power(node)
        parts = [self.value(argument) for argument in node.args]
        first = parts[0]
        match node.kind:
            case "add":
                return Interval(sum(part.low for part in parts), sum(part.high for part in parts))
            case "neg":
                return Interval(-first.high, -first.low)
            case "abs":
                if first.low < 0 < first.high:
                    return Interval(0, max(-first.low, first.high))
                return first if first.low >= 0 else Interval(-first.high, -first.low)
            case "mul":
                return self.product(first, parts[1])
            case "div":
                return self.quotient(first, parts[1])
            case "root":
                return self.root(parts[1], _degree(node))
        raise Undecided(node.kind)

    def product(self, left: Interval, right: Interval) -> Interval:
        ends = [one * other for one in (left.low, left.high) for other in (right.low, right.high)]
        return Interval(min(ends) >> self.bits, -(-max(ends) >> self.bits))

    def quotient(self, top: Interval, bottom: Interval) -> Interval:
        if bottom.low <= 0 <= bottom.high:
            raise Undecided("a divisor that may be zero")
        ends = [(one << self.bits, other) for one in (top.low, top.high) for other in (bottom.low, bottom.high)]
        return Interval(min(one // other for one, other in ends), max(-(-one // other) for one, other in ends))

    def root(self, value: Interval, degree: int) -> Interval:
        if degree % 2 == 0 and value.low < 0:
            raise Undecided("an even root of what may be negative")
        return Interval(self._root(value.low, degree, up=False), self._root(value.high, degree, up=True))

    def _root(self, scaled: int, degree: int, *, up: bool) -> int:
        if scaled < 0:
            return -self._root(-scaled, degree, up=not up)
        inside = scaled << (self.bits * (degree - 1))
        found = whole_root(inside, degree)
        return found + (up and found**degree < inside)

    def power(self, node: Op) -> Interval:
        exponent = _exponent(node)
        base = self.value(node.args[0])
        if exponent.denominator > 1:
            base = self.root(base, exponent.denominator)
        result = Interval(1 << self.bits, 1 << self.bits)
        for _ in range(abs(exponent.numerator)):
            result = self.product(result, base)
        one = Interval(1 << self.bits, 1 << self.bits)
        return result if exponent > 0 else self.quotient(one, result)


def whole_root(value: int, degree: int) -> int:
    """The floor of a root of a whole number, by Newton's method."""
    if degree == 2 or value < 2:
        return math.isqrt(value) if degree == 2 else value
    guess = 1 << -(-value.bit_length() // degree)
    while True:
        better = ((degree - 1) * guess + value // guess ** (degree - 1)) // degree
        if better >= guess:
            return guess
        guess = better


@lru_cache(maxsize=64)
def _constant(name: str, bits: int) -> Interval:
    """π by Machin's formula, e by its series."""
    if name == "e":
        term = total = 1 << (bits + GUARD)
        count = 0
        while term:
            count += 1
            term //= count
            total += term
        return Interval((total >> GUARD) - 1, (total >> GUARD) + 2)
    if name != "\\pi":
        raise Undecided("a symbol")
    total = 4 * (4 * _arccotangent(5, bits + GUARD) - _arccotangent(239, bits + GUARD))
    return Interval((total >> GUARD) - 1, (total >> GUARD) + 2)


def _arccotangent(inverse: int, bits: int) -> int:
    term = (1 << bits) // inverse
    total, sign, odd = term, 1, 1
    while term:
        term //= inverse * inverse
        odd += 2
        sign = -sign
        total += sign * (term // odd)
    return total
