"""The two readings of an expression tree: an exact `Ratio`, and a complex number at a sample point."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from fractions import Fraction
from hashlib import blake2b

from reason.answers import algebra
from reason.answers.algebra import Ratio, Unreadable
from reason.answers.parse import Node, Num, Sym

LARGEST_FACTORIAL = 200
LARGEST_BINOMIAL = 1_000


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
    values = [exact(argument) for argument in node.args]
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
    value = values[0].rational
    if value is None or value > LARGEST_FACTORIAL:
        return algebra.symbol(f"@fact({values[0].key})")
    if value.denominator != 1 or value < 0:
        raise Unreadable("factorial of a non-integer")
    return algebra.constant(Fraction(math.factorial(int(value))))


def _double_factorial(values: list[Ratio]) -> Ratio:
    value = values[0].rational
    if value is None or value > LARGEST_FACTORIAL:
        return algebra.symbol(f"@fact2({values[0].key})")
    if value.denominator != 1 or value < 0:
        raise Unreadable("double factorial of a non-integer")
    return algebra.constant(Fraction(math.prod(range(int(value), 0, -2))))


def _binomial(values: list[Ratio]) -> Ratio:
    top, bottom = values[0].rational, values[1].rational
    if top is None or bottom is None or top > LARGEST_BINOMIAL:
        return algebra.symbol(f"@binom({values[0].key};{values[1].key})")
    if top.denominator != 1 or bottom.denominator != 1 or top < 0 or bottom < 0:
        raise Unreadable("binomial of non-integers")
    return algebra.constant(Fraction(math.comb(int(top), int(bottom))))


def _absolute(values: list[Ratio]) -> Ratio:
    value = values[0].rational
    return algebra.symbol(f"@abs({values[0].key})") if value is None else algebra.constant(abs(value))


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
    turns = algebra.divide(algebra.multiply(angle, algebra.constant(Fraction(12))), algebra.symbol("\\pi")).rational
    if turns is None or turns.denominator != 1:
        return None
    sine, cosine = _sine(turns.numerator), _sine(turns.numerator + 6)
    one = algebra.constant(Fraction(1))
    top, bottom = {
        "sin": (sine, one),
        "cos": (cosine, one),
        "tan": (sine, cosine),
        "cot": (cosine, sine),
        "sec": (one, cosine),
        "csc": (one, sine),
    }[name]
    return algebra.divide(top, bottom)


def _sine(twelfths: int) -> Ratio:
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
    exponent = round(math.log(value) / math.log(base)) if value.denominator == 1 else 0
    return exponent if 0 <= exponent <= 512 and base**exponent == value else None


def approximate(node: Node, point: int) -> complex:
    """The value with every symbol replaced by a number drawn from its name and `point`.

    Raises:
        Unreadable: It has no value there, or not one a double can hold.
    """
    try:
        value = _value(node, point)
    except (ArithmeticError, ValueError) as error:
        raise Unreadable(str(error)) from error
    if not cmath.isfinite(value):
        raise Unreadable("no finite value")
    return value


_CONSTANTS = {"\\pi": complex(math.pi), "e": complex(math.e), "i": 1j}


def _value(node: Node, point: int) -> complex:
    if isinstance(node, Num):
        return complex(float(node.value))
    if isinstance(node, Sym):
        if node.name == "\\infty":
            raise ValueError("infinity")
        return _CONSTANTS.get(node.name) or _sample(node.name, point)
    if node.kind == "call":
        arguments = [_value(argument, point) for argument in node.args]
        return _sample(f"{node.name}{[complex(round(v.real, 9), round(v.imag, 9)) for v in arguments]}", point)
    if node.kind in ("sum", "prod"):
        raise ValueError("a series")
    if node.kind not in _NUMERIC:
        raise ValueError(f"no number for {node.kind}")
    return _NUMERIC[node.kind]([_value(argument, point) for argument in node.args])


def _sample(name: str, point: int) -> complex:
    digest = blake2b(f"{point}:{name}".encode(), digest_size=6).digest()
    return complex(0.4 + 1.9 * int.from_bytes(digest) / 2**48)


def _real_factorial(values: list[complex]) -> complex:
    return complex(math.gamma(values[0].real + 1))


def _real_binomial(values: list[complex]) -> complex:
    top, bottom = values[0].real, values[1].real
    return complex(math.gamma(top + 1) / (math.gamma(bottom + 1) * math.gamma(top - bottom + 1)))


def _numeric_root(values: list[complex]) -> complex:
    degree, value = values[0].real, values[1]
    if value.imag == 0 and value.real < 0 and degree % 2 == 1:
        return complex(-((-value.real) ** (1 / degree)))
    return value ** (1 / degree) if degree != 2 else cmath.sqrt(value)


def _logarithm(values: list[complex]) -> complex:
    if len(values) == 1:
        raise ValueError("a logarithm without its base")
    return cmath.log(values[0]) / cmath.log(values[1])


_NUMERIC: dict[str, Callable[[list[complex]], complex]] = {
    "add": lambda values: sum(values, 0j),
    "neg": lambda values: -values[0],
    "mul": lambda values: values[0] * values[1],
    "div": lambda values: values[0] / values[1],
    "pow": lambda values: values[0] ** values[1],
    "root": _numeric_root,
    "fact": _real_factorial,
    "binom": _real_binomial,
    "abs": lambda values: complex(abs(values[0])),
    "log": _logarithm,
    "ln": lambda values: cmath.log(values[0]),
    "floor": lambda values: complex(math.floor(values[0].real + 1e-12)),
    "ceil": lambda values: complex(math.ceil(values[0].real - 1e-12)),
    "exp": lambda values: cmath.exp(values[0]),
    "arg": lambda values: complex(cmath.phase(values[0])),
    "sin": lambda values: cmath.sin(values[0]),
    "cos": lambda values: cmath.cos(values[0]),
    "tan": lambda values: cmath.tan(values[0]),
    "cot": lambda values: 1 / cmath.tan(values[0]),
    "sec": lambda values: 1 / cmath.cos(values[0]),
    "csc": lambda values: 1 / cmath.sin(values[0]),
    "asin": lambda values: cmath.asin(values[0]),
    "acos": lambda values: cmath.acos(values[0]),
    "atan": lambda values: cmath.atan(values[0]),
    "sinh": lambda values: cmath.sinh(values[0]),
    "cosh": lambda values: cmath.cosh(values[0]),
    "tanh": lambda values: cmath.tanh(values[0]),
}
