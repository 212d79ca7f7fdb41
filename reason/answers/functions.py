r"""Proving that two expressions with functions are equal, by one normal form.

Every trigonometric, hyperbolic and exponential function becomes powers of `exp` of single monomials, logarithms become
sums over primes and factors, general powers are split along their exponents, roots of sums keep a positive factor out.
What is left are atoms that `reason.answers.algebra` treats as free symbols, so that a difference that cancels is zero
for certain; one that does not cancel proves nothing. So `\sin 2x = 2 \sin x \cos x`, `2^{x+1} = 2 \cdot 2^x`,
`\ln 12 = 2 \ln 2 + \ln 3` and `1/\sqrt{x+1} = \sqrt{x+1}/(x+1)` are proved here.

Variables are real (z and w in an absolute value are not); a logarithm without its base has an unknown one.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from reason.answers import algebra, evaluate, radicals
from reason.answers.algebra import ONE, UNIT, Limit, Mono, Poly, Ratio, Unreadable
from reason.answers.nodes import Node, Num, Sym

MOST_ROUNDS = 4
_HALF = Fraction(1, 2)
_I, _E, _PI = (algebra.symbol(name) for name in ("i", "e", "\\pi"))
_TURN: Mono = (("\\pi", ONE), ("i", ONE))


def proved(left: Node, right: Node) -> bool:
    """Whether two expressions are certainly equal."""
    form = _Form()
    try:
        difference = algebra.add(form.value(left), algebra.negate(form.value(right)))
        return not form.reduced(difference).top
    except (Unreadable, Limit, ArithmeticError, RecursionError):
        return False


class _Form:
    """Normal forms that share one table of what their atoms stand for."""

    def __init__(self) -> None:
        self.roots: dict[str, Ratio] = {}
        self.logs: dict[str, Ratio] = {}
        self.exponents: dict[str, Ratio] = {}

    def value(self, node: Node) -> Ratio:
        """The normal form of an expression."""
        if isinstance(node, Num):
            return algebra.constant(node.value)
        if isinstance(node, Sym):
            return algebra.symbol(node.name)
        if node.kind == "abs":
            return self.absolute(node)
        if node.kind in ("sum", "prod"):
            return evaluate.exact(node)
        values = [self.value(argument) for argument in node.args]
        if node.kind == "pow":
            return self.power(*values)
        if node.kind == "root":
            degree = values[0].rational
            if degree is None or degree.denominator != 1 or not 2 <= degree <= 64:
                raise Unreadable("a root of unknown degree")
            return self.root(values[1], 1 / degree)
        rule = _RULES.get(node.kind)
        return rule(self, values) if rule is not None else evaluate.operation(node, values)

    def absolute(self, node: Node) -> Ratio:
        inside = self.value(node.args[0])  # type: ignore[union-attr]
        bounds = radicals.enclosure(node.args[0], 64)  # type: ignore[union-attr]
        if bounds is not None and (bounds[0] > 0 or bounds[1] < 0):
            return inside if bounds[0] > 0 else algebra.negate(inside)
        names = {atom for part in (inside.top, inside.bottom) for mono in part for atom, _ in mono}
        if names & {"z", "w"} or not all(map(_real, names)):
            return evaluate.operation(node, [inside])  # type: ignore[arg-type]
        return self.root(algebra.multiply(inside, inside), _HALF)

    def power(self, base: Ratio, exponent: Ratio) -> Ratio:
        whole = exponent.rational
        if whole is not None:
            return self.root(base, whole)
        if base.key == _E.key:
            return self.exp(exponent)
        if len(exponent.bottom) > 1:
            return algebra.symbol(f"@pow({base.key};{exponent.key})")
        factor, rest = self.split(base)
        result = algebra.constant(ONE)
        for mono, times in exponent.top.items():
            if mono == UNIT:
                result = algebra.multiply(result, self.root(base, times))
                continue
            name = algebra.written({mono: ONE})
            sign = "+" if all(_real(atom) for atom, _ in mono) else ""
            for prime, count in _primes(abs(factor)):
                result = algebra.multiply(result, _atom(f"@{sign}pow({prime};{name})", count * times))
            if factor < 0:
                result = algebra.multiply(result, _atom(f"@pow(-1;{name})", times))
            if rest.rational != 1:
                result = algebra.multiply(result, _atom(f"@pow({rest.key};{name})", times))
        return result

    def split(self, value: Ratio) -> tuple[Fraction, Ratio]:
        """A rational factor and the rest, whose leading coefficient is 1 in size: positive but for a lone number."""
        lone = value.rational
        if lone is not None:
            return lone, algebra.constant(ONE)
        factor = abs(value.top[min(value.top)])
        return factor, algebra.multiply(value, algebra.constant(1 / factor))

    def root(self, base: Ratio, exponent: Fraction) -> Ratio:
        """A rational power."""
        simple = len(base.top) == 1 and len(base.bottom) == 1
        if exponent.denominator == 1 or base.rational is not None or not base.top:
            return algebra.power(base, exponent)
        if simple:
            ((mono, _),) = base.top.items()
            if all(algebra.positive(atom) for atom, _ in mono):
                return algebra.power(base, exponent)
        factor, rest = self.split(base)
        name = f"@root({rest.key})"
        self.roots[name] = rest
        return algebra.multiply(algebra.power(algebra.constant(factor), exponent), _atom(name, exponent))

    def exp(self, exponent: Ratio) -> Ratio:
        if len(exponent.bottom) > 1:
            factor, rest = self.split(exponent)
            return _atom(f"@exp({rest.key})", factor)
        result = algebra.constant(ONE)
        for mono, times in exponent.top.items():
            result = algebra.multiply(result, self.exp_of(mono, times))
        return result

    def exp_of(self, mono: Mono, times: Fraction) -> Ratio:
        if mono == UNIT:
            return algebra.power(_E, times)
        if mono == _TURN:
            return _on_the_circle(times)
        if len(mono) == 1 and mono[0][0] in self.logs and mono[0][1] == 1:
            return self.root(self.logs[mono[0][0]], times)
        real = all(_real(atom) for atom, _ in mono)
        name = f"@{'+' if real else ''}exp({algebra.written({mono: ONE})})"
        if real:
            self.exponents[name] = Ratio({mono: ONE}, {UNIT: ONE})
        return _atom(name, times)

    def log(self, value: Ratio) -> Ratio:
        """The natural logarithm: of a product of positive numbers and one more factor, their sum."""
        if not value.top:
            raise Unreadable("the logarithm of zero")
        factor, rest = self.split(value)
        if factor < 0:
            return self.log_atom(value)
        total = algebra.constant(Fraction(0))
        for prime, count in _primes(factor):
            total = algebra.add(total, algebra.multiply(self.log_atom(_whole(prime)), algebra.constant(count)))
        if len(rest.top) > 1 or len(rest.bottom) > 1:
            return algebra.add(total, self.log_atom(rest))
        ((mono, sign),) = rest.top.items()
        if sign != 1:
            return self.log_atom(value)
        others = []
        for atom, exponent in mono:
            known = self.log_of(atom)
            if known is None:
                others.append((atom, exponent))
            else:
                total = algebra.add(total, algebra.multiply(known, algebra.constant(exponent)))
        if len(others) == 1 and others[0][1].numerator % 2 and others[0][0] != "i":
            ((atom, exponent),) = others
            inside = self.roots.get(atom, algebra.symbol(atom))
            part = algebra.multiply(self.log_atom(inside), algebra.constant(exponent))
            return algebra.add(total, part)
        return algebra.add(total, self.log_atom(Ratio({tuple(others): ONE}, {UNIT: ONE}))) if others else total

    def log_of(self, atom: str) -> Ratio | None:
        """The logarithm of a factor known to be positive."""
        if atom == "e":
            return algebra.constant(ONE)
        if atom in self.exponents:
            return self.exponents[atom]
        if atom[0] == "#":
            return self.log_atom(_whole(int(atom[1:])))
        return self.log_atom(algebra.symbol(atom)) if algebra.positive(atom) else None

    def log_atom(self, value: Ratio) -> Ratio:
        name = f"@ln({value.key})"
        self.logs[name] = value
        return algebra.symbol(name)

    def reduced(self, value: Ratio) -> Ratio:
        """A multiple of the value, by something that is not zero, in which no root occurs to a power of 1 or more."""
        for _ in range(MOST_ROUNDS):
            names = {atom for mono in value.top for atom, _ in mono if atom in self.roots}
            if not names:
                return value
            for name in sorted(names):
                value = self.without(value, name)
        return value

    def without(self, value: Ratio, name: str) -> Ratio:
        powers = {mono: dict(mono).get(name, Fraction(0)) for mono in value.top}
        lowest = min(power // 1 for power in powers.values())
        total = algebra.constant(Fraction(0))
        for mono, factor in value.top.items():
            whole, part = divmod(powers[mono] - lowest, 1)
            kept = [(atom, part if atom == name else power) for atom, power in mono]
            term: Poly = {tuple(sorted(pair for pair in kept if pair[1])): factor}
            expanded = algebra.power(self.roots[name], Fraction(int(whole)))
            total = algebra.add(total, algebra.multiply(Ratio(term, {UNIT: ONE}), expanded))
        return total


def _real(atom: str) -> bool:
    """Whether an atom stands for a real number wherever it has a value; a root may not."""
    return atom != "i" and "@exp(" not in atom and "root(" not in atom


def _atom(name: str, exponent: Fraction) -> Ratio:
    return Ratio({((name, exponent),): ONE}, {UNIT: ONE}) if exponent else algebra.constant(ONE)


def _whole(value: int) -> Ratio:
    return algebra.constant(Fraction(value))


def _primes(value: Fraction) -> list[tuple[int, Fraction]]:
    """Prime factors with exponents, negative below the fraction line; a large factor may stay whole."""
    sides = ((value.numerator, 1), (value.denominator, -1))
    return [(prime, Fraction(count * side)) for whole, side in sides for prime, count in algebra.factors(whole)]


def _on_the_circle(halves: Fraction) -> Ratio:
    """exp(iπ times a number)."""
    turn = halves % 2
    sign = Fraction(-1) if turn >= 1 else ONE
    twelfths = turn % 1 * 12
    if twelfths.denominator > 1:
        return algebra.multiply(algebra.constant(sign), _atom("@exp(i pi)", turn % 1))
    sine, cosine = evaluate.sine(int(twelfths)), evaluate.sine(int(twelfths) + 6)
    return algebra.multiply(algebra.constant(sign), algebra.add(cosine, algebra.multiply(_I, sine)))


def _waves(form: _Form, angle: Ratio) -> tuple[Ratio, Ratio]:
    """Sine and cosine."""
    turned = algebra.multiply(_I, angle)
    plus, minus = form.exp(turned), form.exp(algebra.negate(turned))
    twice = algebra.multiply(algebra.constant(Fraction(2)), _I)
    sine = algebra.divide(algebra.add(plus, algebra.negate(minus)), twice)
    return sine, algebra.multiply(algebra.add(plus, minus), algebra.constant(_HALF))


def _hyperbolic(form: _Form, values: list[Ratio]) -> tuple[Ratio, Ratio]:
    plus, minus = form.exp(values[0]), form.exp(algebra.negate(values[0]))
    half = algebra.constant(_HALF)
    sine = algebra.multiply(algebra.add(plus, algebra.negate(minus)), half)
    return sine, algebra.multiply(algebra.add(plus, minus), half)


def _quotient(pair: tuple[Ratio, Ratio]) -> Ratio:
    return algebra.divide(*pair)


def _logarithm(form: _Form, values: list[Ratio]) -> Ratio:
    base = form.log(values[1]) if len(values) > 1 else algebra.symbol("@unknown base")
    return algebra.divide(form.log(values[0]), base)


def _table(*pairs: tuple[str, str]) -> dict[Fraction, Fraction]:
    return {Fraction(square): Fraction(angle) for square, angle in pairs}


_ARCSINES = _table(("0", "0"), ("1/4", "1/6"), ("1/2", "1/4"), ("3/4", "1/3"), ("1", "1/2"))
_ARCTANGENTS = _table(("0", "0"), ("1/3", "1/6"), ("1", "1/4"), ("3", "1/3"))


def _inverse(name: str, table: dict[Fraction, Fraction]) -> Callable[[_Form, list[Ratio]], Ratio]:
    """An odd inverse function, at the values whose squares stand in the table a multiple of π."""

    def rule(form: _Form, values: list[Ratio]) -> Ratio:
        (value,) = values
        negative = bool(value.top) and value.top[min(value.top)] < 0
        if negative:
            value = algebra.negate(value)
        square = algebra.multiply(value, value).rational
        if square is not None and square in table and all(atom != "i" for mono in value.top for atom, _ in mono):
            found = algebra.multiply(_PI, algebra.constant(table[square]))
        else:
            found = algebra.symbol(f"@{name}({value.key})")
        return algebra.negate(found) if negative else found

    return rule


_arcsine = _inverse("asin", _ARCSINES)


def _arccosine(form: _Form, values: list[Ratio]) -> Ratio:
    right_angle = algebra.multiply(_PI, algebra.constant(_HALF))
    return algebra.add(right_angle, algebra.negate(_arcsine(form, values)))


_ONE = algebra.constant(ONE)
_RULES: dict[str, Callable[[_Form, list[Ratio]], Ratio]] = {
    "exp": lambda form, values: form.exp(values[0]),
    "ln": lambda form, values: form.log(values[0]),
    "log": _logarithm,
    "sin": lambda form, values: _waves(form, values[0])[0],
    "cos": lambda form, values: _waves(form, values[0])[1],
    "tan": lambda form, values: _quotient(_waves(form, values[0])),
    "cot": lambda form, values: _quotient(_waves(form, values[0])[::-1]),
    "sec": lambda form, values: algebra.divide(_ONE, _waves(form, values[0])[1]),
    "csc": lambda form, values: algebra.divide(_ONE, _waves(form, values[0])[0]),
    "sinh": lambda form, values: _hyperbolic(form, values)[0],
    "cosh": lambda form, values: _hyperbolic(form, values)[1],
    "tanh": lambda form, values: _quotient(_hyperbolic(form, values)),
    "asin": _arcsine,
    "acos": _arccosine,
    "atan": _inverse("atan", _ARCTANGENTS),
}
