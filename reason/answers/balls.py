"""Numbers with certain error bounds: what refutes an equality.

An expression is evaluated at a sample point in ball arithmetic: a complex double and a radius that covers every
rounding and every error of the arguments (a function's by a bound of its derivative over the ball). Two expressions
whose balls are apart at one point are different; balls that touch prove nothing. The mathematics library's own
functions are taken to be right to four units in the last place.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b

from reason.answers import evaluate, series
from reason.answers.algebra import Limit, Unreadable
from reason.answers.nodes import Node, Num, Op, Sym

POINTS = (1, 2, 3)
ULPS = 2.0**-50
TINY = 1e-300
"""Covers underflow."""
LARGEST_POWER = 64


@dataclass(frozen=True, slots=True)
class Ball:
    """All numbers within `rad` of `mid`; `real` where only the real ones are meant."""

    mid: complex
    rad: float = 0.0
    real: bool = True


def differ(left: Node, right: Node) -> bool:
    """Whether two expressions certainly have different values at some sample point."""
    for point in POINTS:
        try:
            if apart(ball(left, point), ball(right, point)):
                return True
        except Unreadable:
            continue
    return False


def apart(left: Ball, right: Ball) -> bool:
    """Whether no number is in both."""
    slack = left.rad + right.rad + ULPS * (abs(left.mid) + abs(right.mid)) + TINY
    return abs(left.mid - right.mid) > slack


def ball(node: Node, point: int | None) -> Ball:
    """The value with every symbol replaced by a real number drawn from its name and `point`.

    Raises:
        Unreadable: It has no value there, or none that can be bounded; with None for `point`, it has a variable.
    """
    try:
        found = _value(node, point)
    except (ArithmeticError, ValueError, Limit) as error:
        raise Unreadable(str(error)) from error
    if not (cmath.isfinite(found.mid) and math.isfinite(found.rad)):
        raise Unreadable("no finite value")
    return found


def _value(node: Node, point: int | None) -> Ball:
    if isinstance(node, Num):
        return _exactly(node.value)
    if isinstance(node, Sym):
        return _symbol(node.name, point)
    if node.kind in ("sum", "prod"):
        return _series(node, point)
    if node.kind == "call":
        keys = [evaluate.exact(argument) for argument in node.args]
        if any(key.opaque or len(key.bottom) > 1 for key in keys):
            raise ValueError("a function of an open expression")
        return _sample(f"{node.name}({','.join(key.key for key in keys)})", point)
    if node.kind == "pow":
        return _power(_value(node.args[0], point), node.args[1], point)
    if node.kind == "root":
        return _root(_value(node.args[1], point), evaluate.exact(node.args[0]).rational)
    rule = _RULES.get(node.kind)
    if rule is None:
        raise ValueError(f"no number for {node.kind}")
    return rule([_value(argument, point) for argument in node.args])


def _series(node: Op, point: int | None) -> Ball:
    """A short sum or product over whole numbers, term by term."""
    ends = [evaluate.exact(end).rational for end in node.args[1:]]
    if len(ends) != 2 or ends[0] is None or ends[1] is None or ends[0].denominator != 1:
        raise ValueError("an open series")
    if ends[1] - ends[0] >= series.longest(node.args[0]):
        raise ValueError("a long series")
    body = series.with_functions(node.args[0], node.name)
    values = [
        _value(series.replaced(body, node.name, Num(Fraction(index))), point)
        for index in range(int(ends[0]), int(ends[1]) + 1)
    ]
    if node.kind == "sum":
        return _add(values)
    result = _ONE
    for value in values:
        result = _multiply([result, value])
    return result


def _exactly(value: Fraction) -> Ball:
    number = float(value)
    exact = Fraction(number) == value
    return Ball(complex(number), 0.0 if exact else abs(number) * ULPS + TINY)


_CONSTANTS = {
    "\\pi": Ball(complex(math.pi), math.pi * ULPS),
    "e": Ball(complex(math.e), math.e * ULPS),
    "i": Ball(1j, 0.0, False),
}


def _symbol(name: str, point: int | None) -> Ball:
    if name == "\\infty":
        raise ValueError("infinity")
    return _CONSTANTS.get(name) or _sample(name, point)


def _sample(name: str, point: int | None) -> Ball:
    if point is None:
        raise ValueError("a variable")
    digest = blake2b(f"{point}:{name}".encode(), digest_size=6).digest()
    return Ball(complex(0.4 + 1.9 * int.from_bytes(digest) / 2**48))


def _add(values: list[Ball]) -> Ball:
    size = math.fsum(abs(value.mid) for value in values)
    rad = math.fsum(value.rad for value in values) + len(values) * ULPS * size
    return Ball(sum((value.mid for value in values), 0j), rad, all(value.real for value in values))


def _negate(values: list[Ball]) -> Ball:
    return Ball(-values[0].mid, values[0].rad, values[0].real)


def _multiply(values: list[Ball]) -> Ball:
    left, right = values
    mid = left.mid * right.mid
    size, other = abs(left.mid), abs(right.mid)
    rad = size * right.rad + other * left.rad + left.rad * right.rad + ULPS * size * other + TINY
    return Ball(mid, rad * (1 + ULPS), left.real and right.real)


def _divide(values: list[Ball]) -> Ball:
    top, bottom = values
    least = abs(bottom.mid) - bottom.rad
    if least <= 0:
        raise ZeroDivisionError("a divisor that may be zero")
    mid = top.mid / bottom.mid
    rad = (top.rad + abs(mid) * bottom.rad) / least + ULPS * abs(mid) + TINY
    return Ball(mid, rad * (1 + ULPS), top.real and bottom.real)


def _power(base: Ball, exponent: Node, point: int | None) -> Ball:
    whole = evaluate.exact(exponent).rational
    if whole is not None and whole.denominator == 1 and abs(whole) <= LARGEST_POWER:
        return _integer_power(base, int(whole))
    if whole is not None and whole.denominator <= LARGEST_POWER and abs(whole.numerator) <= LARGEST_POWER:
        return _integer_power(_root(base, Fraction(whole.denominator)), whole.numerator)
    return _exp([_multiply([_value(exponent, point), _log([base])])])


def _integer_power(base: Ball, exponent: int) -> Ball:
    if exponent < 0:
        return _divide([Ball(1 + 0j), _integer_power(base, -exponent)])
    result = Ball(1 + 0j)
    for bit in bin(exponent)[2:]:
        result = _multiply([result, result])
        if bit == "1":
            result = _multiply([result, base])
    return result


def _root(value: Ball, degree: Fraction | None) -> Ball:
    """A root as answers mean it: real of a real number where there is one."""
    if degree is None or degree.denominator != 1 or degree < 1:
        raise ValueError("a root of unknown degree")
    if degree == 1 or (value.mid == 0 and value.rad == 0):
        return value
    least = abs(value.mid) - value.rad
    if least <= 0 or (not value.real and not _off_the_cut(value)):
        raise ValueError("a root near zero or a branch cut")
    size = abs(value.mid) ** (1 / int(degree))
    slope = least ** (1 / int(degree) - 1) / int(degree)
    if value.real and (value.mid.real > 0 or degree % 2):
        return Ball(complex(math.copysign(size, value.mid.real)), value.rad * slope + 4 * ULPS * size + TINY)
    mid = size * cmath.exp(1j * cmath.phase(value.mid) / int(degree))
    return Ball(mid, value.rad * slope + 8 * ULPS * size + TINY, False)


def _off_the_cut(value: Ball) -> bool:
    return value.mid.real > value.rad or abs(value.mid.imag) > value.rad


def _exp(values: list[Ball]) -> Ball:
    (value,) = values
    mid = complex(math.exp(value.mid.real)) if value.real else cmath.exp(value.mid)
    size = abs(mid)
    return Ball(mid, size * math.expm1(value.rad) * (1 + ULPS) + ULPS * size + TINY, value.real)


def _log(values: list[Ball]) -> Ball:
    (value,) = values
    least = abs(value.mid) - value.rad
    if least <= 0 or (not value.real and not _off_the_cut(value)):
        raise ValueError("a logarithm near zero or a branch cut")
    positive = value.real and value.mid.real > 0
    mid = complex(math.log(value.mid.real)) if positive else cmath.log(value.mid)
    return Ball(mid, value.rad / least * (1 + ULPS) + ULPS * abs(mid) + TINY, positive)


def _logarithm(values: list[Ball]) -> Ball:
    if len(values) == 1:
        raise ValueError("a logarithm without its base")
    return _divide([_log([values[0]]), _log([values[1]])])


def _entire(real: Callable[[float], float], complex_: Callable[[complex], complex]) -> Callable[[list[Ball]], Ball]:
    """sin, cos, sinh or cosh, whose derivatives are at most e to the size of the argument's moving part."""

    def rule(values: list[Ball]) -> Ball:
        (value,) = values
        mid = complex(real(value.mid.real)) if value.real else complex_(value.mid)
        circular = real in (math.sin, math.cos)
        moving = abs(value.mid.imag if circular else value.mid.real) + value.rad
        slope = 1.0 if circular and value.real else math.cosh(moving)
        return Ball(mid, value.rad * slope * (1 + ULPS) + ULPS * abs(mid) + TINY, value.real)

    return rule


_sin, _cos = _entire(math.sin, cmath.sin), _entire(math.cos, cmath.cos)
_sinh, _cosh = _entire(math.sinh, cmath.sinh), _entire(math.cosh, cmath.cosh)
_ONE = Ball(1 + 0j)


def _inverse(function: Callable[[float], float]) -> Callable[[list[Ball]], Ball]:
    """asin, acos or atan of a real number."""

    def rule(values: list[Ball]) -> Ball:
        (value,) = values
        if not value.real:
            raise ValueError("an inverse function of a complex number")
        far = abs(value.mid.real) + value.rad
        if function is math.atan:
            slope = 1.0
        elif far < 1:
            slope = 1 / math.sqrt((1 - far) * (1 + far)) * (1 + ULPS)
        elif far == 1 and value.rad == 0:
            slope = 0.0
        else:
            raise ValueError("an inverse function near the end of its domain")
        mid = function(value.mid.real)
        return Ball(complex(mid), value.rad * slope + ULPS * abs(mid) + TINY)

    return rule


def _absolute(values: list[Ball]) -> Ball:
    size = abs(values[0].mid)
    return Ball(complex(size), values[0].rad + ULPS * size + TINY)


def _rounding(function: Callable[[float], int]) -> Callable[[list[Ball]], Ball]:
    def rule(values: list[Ball]) -> Ball:
        (value,) = values
        low, high = function(value.mid.real - value.rad), function(value.mid.real + value.rad)
        if low != high or not value.real or abs(low) > 2**52:
            raise ValueError("a rounded number at a step")
        return Ball(complex(low))

    return rule


def _whole(value: Ball) -> int:
    if value.rad or not value.real or value.mid.real != int(value.mid.real) or not 0 <= value.mid.real <= 10**6:
        raise ValueError("not a whole number")
    return int(value.mid.real)


def _factorial(values: list[Ball]) -> Ball:
    number = _whole(values[0])
    if number > 170:
        raise OverflowError("a large factorial")
    return _exactly(Fraction(math.factorial(number)))


def _binomial(values: list[Ball]) -> Ball:
    top, bottom = (_whole(value) for value in values)
    if min(bottom, abs(top - bottom)) > 1_000:
        raise OverflowError("a large binomial")
    return _exactly(Fraction(math.comb(top, bottom)))


_RULES: dict[str, Callable[[list[Ball]], Ball]] = {
    "add": _add,
    "neg": _negate,
    "mul": _multiply,
    "div": _divide,
    "fact": _factorial,
    "binom": _binomial,
    "abs": _absolute,
    "log": _logarithm,
    "ln": _log,
    "exp": _exp,
    "floor": _rounding(math.floor),
    "ceil": _rounding(math.ceil),
    "sin": _sin,
    "cos": _cos,
    "tan": lambda values: _divide([_sin(values), _cos(values)]),
    "cot": lambda values: _divide([_cos(values), _sin(values)]),
    "sec": lambda values: _divide([_ONE, _cos(values)]),
    "csc": lambda values: _divide([_ONE, _sin(values)]),
    "asin": _inverse(math.asin),
    "acos": _inverse(math.acos),
    "atan": _inverse(math.atan),
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": lambda values: _divide([_sinh(values), _cosh(values)]),
}
