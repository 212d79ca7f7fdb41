"""An expression tree as an exact `Ratio`: rational arithmetic, roots, and opaque atoms for what is neither."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from reason.answers import algebra, series
from reason.answers.algebra import Ratio, Unreadable
from reason.answers.nodes import Node, Num, Op, Sym

LARGEST_FACTORIAL = 200
LARGEST_BINOMIAL = 1_000
LARGEST_SHIFT = 12


def exact(node: Node) -> Ratio:
    """The exact value.

    Raises:
        Unreadable: Undefined (division by zero).
        Limit: Too large to write out.
    """
    if isinstance(node, Num):
        return algebra.constant(node.value)
    if isinstance(node, Sym):
        return algebra.symbol(node.name)
    if node.kind in ("sum", "prod") and len(node.args) == 3:
        return series.exact(node)
    return operation(node, [exact(argument) for argument in node.args])


def operation(node: Op, values: list[Ratio]) -> Ratio:
    """The exact value of an operation on exact values; errors as for `exact`."""
    rule = _EXACT.get(node.kind)
    if rule is not None:
        return rule(values)
    if node.kind == "call":
        return algebra.symbol(f"{node.name}({','.join(value.key for value in values)})")
    if node.kind in ("sum", "prod"):
        return algebra.symbol(f"@{node.kind}[{node.name}]({values[0].key})")
    if node.kind in ("floor", "ceil"):
        whole = values[0].rational
        if whole is not None:
            return algebra.constant(Fraction(math.floor(whole) if node.kind == "floor" else math.ceil(whole)))
    return _function(node.kind, values)


def _total(values: list[Ratio]) -> Ratio:
    total = values[0]
    for value in values[1:]:
        total = algebra.add(total, value)
    return total


def _power(values: list[Ratio]) -> Ratio:
    base, exponent = values
    whole = exponent.rational
    if whole is not None:
        if not base.top and whole <= 0:
            raise Unreadable("a power of zero")
        if (base.rational is None and abs(whole.numerator) > algebra.MAX_BITS) or whole.denominator > 64:
            return algebra.symbol(f"@pow({base.key};{exponent.key})")
        return algebra.power(base, whole)
    if base.rational == 1:
        return base
    return algebra.symbol(f"@pow({base.key};{exponent.key})")


def _root(values: list[Ratio]) -> Ratio:
    degree = values[0].rational
    if degree is None or degree.denominator != 1 or not 2 <= degree <= 64:
        raise Unreadable("a root of unknown degree")
    return algebra.power(values[1], Fraction(1, int(degree)))


def _factorial(values: list[Ratio]) -> Ratio:
    """Of a number; else of the variable part, times what a whole number added to it brings: (n+2)! = (n+2)(n+1)n!."""
    value = values[0].rational
    if value is None:
        return _shifted_factorial(values[0])
    if value > LARGEST_FACTORIAL:
        return algebra.symbol(f"@fact({values[0].key})")
    if value.denominator != 1 or value < 0:
        raise Unreadable("factorial of a non-integer")
    return algebra.constant(Fraction(math.factorial(int(value))))


def _shifted_factorial(value: Ratio) -> Ratio:
    shift = value.top.get(algebra.UNIT, Fraction(0)) if len(value.bottom) == 1 else Fraction(0)
    if shift.denominator != 1 or abs(shift) > LARGEST_SHIFT:
        shift = Fraction(0)
    rest = algebra.add(value, algebra.constant(-shift))
    result = algebra.symbol(f"@fact({rest.key})")
    for step in range(abs(int(shift))):
        one = algebra.add(rest, algebra.constant(Fraction(step + 1 if shift > 0 else -step)))
        result = algebra.multiply(result, one) if shift > 0 else algebra.divide(result, one)
    return result


def _double_factorial(values: list[Ratio]) -> Ratio:
    value = values[0].rational
    if value is None or value > LARGEST_FACTORIAL:
        return algebra.symbol(f"@fact2({values[0].key})")
    if value.denominator != 1 or value < 0:
        raise Unreadable("double factorial of a non-integer")
    return algebra.constant(Fraction(math.prod(range(int(value), 0, -2))))


def _binomial(values: list[Ratio]) -> Ratio:
    top, bottom = values[0].rational, values[1].rational
    if top is None or bottom is None:
        return _open_binomial(*values)
    if top > LARGEST_BINOMIAL:
        return algebra.symbol(f"@binom({values[0].key};{values[1].key})")
    if top.denominator != 1 or bottom.denominator != 1 or top < 0 or bottom < 0:
        raise Unreadable("binomial of non-integers")
    return algebra.constant(Fraction(math.comb(int(top), int(bottom))))


def _open_binomial(top: Ratio, bottom: Ratio) -> Ratio:
    """A polynomial over a small whole number, factorials otherwise."""
    whole = bottom.rational
    if whole is not None and whole.denominator == 1 and 0 <= whole <= LARGEST_SHIFT:
        result = algebra.constant(Fraction(1, math.factorial(int(whole))))
        for step in range(int(whole)):
            result = algebra.multiply(result, algebra.add(top, algebra.constant(Fraction(-step))))
        return result
    rest = algebra.add(top, algebra.negate(bottom))
    return algebra.divide(_factorial([top]), algebra.multiply(_factorial([bottom]), _factorial([rest])))


def _absolute(values: list[Ratio]) -> Ratio:
    value = values[0].rational
    return algebra.symbol(f"@+abs({values[0].key})") if value is None else algebra.constant(abs(value))


_EXACT: dict[str, Callable[[list[Ratio]], Ratio]] = {
    "add": _total,
    "neg": lambda values: algebra.negate(values[0]),
    "mul": lambda values: algebra.multiply(values[0], values[1]),
    "div": lambda values: algebra.divide(values[0], values[1]),
    "pow": _power,
    "root": _root,
    "fact": _factorial,
    "fact2": _double_factorial,
    "binom": _binomial,
    "abs": _absolute,
}


def _function(name: str, values: list[Ratio]) -> Ratio:
    if name in ("log", "ln") and (values[0].rational == 1):
        return algebra.constant(Fraction(0))
    if name == "ln" and values[0].key == algebra.symbol("e").key:
        return algebra.constant(Fraction(1))
    if name == "log" and len(values) == 2:
        found = _whole_logarithm(values[0].rational, values[1].rational)
        if found is not None:
            return algebra.constant(Fraction(found))
    known = _trigonometric(name, values[0])
    if known is not None:
        return known
    return algebra.symbol(f"@{name}({';'.join(value.key for value in values)})")


def _trigonometric(name: str, angle: Ratio) -> Ratio | None:
    """The value at a multiple of π/12, as roots; None for any other angle or function."""
    if name not in ("sin", "cos", "tan", "cot", "sec", "csc"):
        return None
    twelfths = turns(angle, 12)
    if twelfths is None:
        return None
    above, along = sine(twelfths), sine(twelfths + 6)
    one = algebra.constant(Fraction(1))
    top, bottom = {
        "sin": (above, one),
        "cos": (along, one),
        "tan": (above, along),
        "cot": (along, above),
        "sec": (one, along),
        "csc": (one, above),
    }[name]
    return algebra.divide(top, bottom)


def turns(angle: Ratio, parts: int) -> int | None:
    """An angle in whole parts of π; None where it is no such multiple."""
    found = algebra.divide(algebra.multiply(angle, algebra.constant(Fraction(parts))), algebra.symbol("\\pi")).rational
    return None if found is None or found.denominator != 1 else found.numerator


def sine(twelfths: int) -> Ratio:
    """Sine of a number of twelfths of π: combinations of √2, √3 and √6 over four."""
    sign, place = (1, twelfths % 24) if twelfths % 24 < 12 else (-1, twelfths % 24 - 12)
    place = min(place, 12 - place)
    terms = {0: (), 1: ((1, 6), (-1, 2)), 2: ((2, 1),), 3: ((2, 2),), 4: ((2, 3),), 5: ((1, 6), (1, 2)), 6: ((4, 1),)}
    total = algebra.constant(Fraction(0))
    for factor, radicand in terms[place]:
        root = algebra.power(algebra.constant(Fraction(radicand)), Fraction(1, 2))
        total = algebra.add(total, algebra.multiply(algebra.constant(Fraction(sign * factor, 4)), root))
    return total


def _whole_logarithm(value: Fraction | None, base: Fraction | None) -> int | None:
    if value is None or base is None or base <= 1 or value <= 0:
        return None
    if value < 1:
        inverse = _whole_logarithm(1 / value, base)
        return None if inverse is None else -inverse
    if value.denominator != 1:
        return None
    scale = math.log(base.numerator) - math.log(base.denominator)
    exponent = round(math.log(value.numerator) / scale) if scale else -1
    return exponent if 0 <= exponent <= 512 and base**exponent == value else None
