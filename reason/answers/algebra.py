"""Exact arithmetic on expressions: sums of rational multiples of powers of atoms, and quotients of such sums.

A monomial is a product of atoms with rational exponents, a polynomial a mapping from monomials to Fractions, a `Ratio`
a quotient of two polynomials. Atoms are strings: `#p` is the prime p under a root, `@…` an opaque term (a function
value, a root of a sum; `@+…` one that is positive), anything else a symbol. Roots of integers are split into primes, i
squared is -1, exponents add up, and quotients are compared by cross-multiplication, so two expressions without opaque
atoms are equal exactly if their difference is the empty polynomial. Symbols under a root count as positive. Nothing
here grows without a bound: `Limit` is raised instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import TypeAlias

Mono: TypeAlias = tuple[tuple[str, Fraction], ...]
Poly: TypeAlias = dict[Mono, Fraction]

MAX_BITS = 8_192
MAX_TERMS = 200
MAX_POWER = 64
LARGEST_PRIME = 10_000
UNIT: Mono = ()
ONE = Fraction(1)


class Unreadable(ValueError):
    """The text is not an expression this tier can read."""


class Malformed(Unreadable):
    """The text is no expression in any reading: a bracket is missing, an operator has nothing to work on."""


class Limit(ValueError):
    """The expression is larger than this tier works with."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quotient of polynomials; `bottom` is the polynomial 1 unless it has several terms."""

    top: Poly
    bottom: Poly

    @property
    def rational(self) -> Fraction | None:
        """The value if it is a rational number."""
        if len(self.bottom) > 1 or len(self.top) > 1:
            return None
        if not self.top:
            return Fraction(0)
        return self.top.get(UNIT)

    @property
    def opaque(self) -> bool:
        """Whether an opaque atom occurs (or a factor that may not be prime): other in form may be equal in value."""
        return any(
            atom[0] == "@" or (atom[0] == "#" and int(atom[1:]) > LARGEST_PRIME**2)
            for part in (self.top, self.bottom)
            for mono in part
            for atom, _ in mono
        )

    @property
    def key(self) -> str:
        """A canonical text; equal texts mean equal values."""
        top = written(self.top)
        return top if len(self.bottom) == 1 else f"({top})/({written(self.bottom)})"


def constant(value: Fraction) -> Ratio:
    """A rational number."""
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise Limit("number too large")
    return Ratio({UNIT: value} if value else {}, {UNIT: ONE})


def symbol(name: str) -> Ratio:
    """A variable, a named constant, or an opaque atom."""
    return Ratio({((name, ONE),): ONE}, {UNIT: ONE})


def written(poly: Poly) -> str:
    """A polynomial as canonical text."""
    return "+".join(
        f"{value}" + "".join(f"*{atom}^{power}" for atom, power in mono) for mono, value in sorted(poly.items())
    )


def add(left: Ratio, right: Ratio) -> Ratio:
    """Sum."""
    if left.bottom == right.bottom:
        return quotient(_sum(left.top, right.top), left.bottom)
    top = _sum(_product(left.top, right.bottom), _product(right.top, left.bottom))
    return quotient(top, _product(left.bottom, right.bottom))


def negate(value: Ratio) -> Ratio:
    """Minus the value."""
    return Ratio({mono: -factor for mono, factor in value.top.items()}, value.bottom)


def multiply(left: Ratio, right: Ratio) -> Ratio:
    """Product."""
    return quotient(_product(left.top, right.top), _product(left.bottom, right.bottom))


def divide(left: Ratio, right: Ratio) -> Ratio:
    """Quotient; raises Unreadable on division by zero."""
    return quotient(_product(left.top, right.bottom), _product(left.bottom, right.top))


def quotient(top: Poly, bottom: Poly) -> Ratio:
    """A normalised quotient: a one-term denominator is multiplied into the numerator."""
    if not bottom:
        raise Unreadable("division by zero")
    if not top:
        return Ratio({}, {UNIT: ONE})
    if len(bottom) == 1:
        ((mono, factor),) = bottom.items()
        if mono == UNIT and factor == 1:
            return Ratio(top, bottom)
        inverse = {tuple((atom, -power) for atom, power in mono): 1 / factor}
        return Ratio(_product(top, inverse), {UNIT: ONE})
    lead = bottom[min(bottom)]
    return Ratio(
        {mono: value / lead for mono, value in top.items()}, {mono: value / lead for mono, value in bottom.items()}
    )


def power(base: Ratio, exponent: Fraction) -> Ratio:
    """A rational power; an irrational root of a sum becomes an opaque atom."""
    if exponent.denominator == 1:
        return _integer_power(base, exponent.numerator)
    if len(base.bottom) == 1 and len(base.top) == 1:
        ((mono, factor),) = base.top.items()
        if not any(_even_root(name, inner, exponent) for name, inner in mono):
            return _monomial_power(mono, factor, exponent)
    if not base.top:
        if exponent < 0:
            raise Unreadable("division by zero")
        return base
    whole, part = divmod(exponent, 1)
    root = Ratio({((f"@({base.key})", part),): ONE}, {UNIT: ONE})
    return multiply(_integer_power(base, int(whole)), root) if whole else root


def _even_root(name: str, inner: Fraction, exponent: Fraction) -> bool:
    """Whether a root would lose a symbol's sign: √(x²) is |x|, not x."""
    return not positive(name) and name != "i" and inner.numerator % 2 == 0 and exponent.denominator % 2 == 0


def _integer_power(base: Ratio, exponent: int) -> Ratio:
    if exponent < 0:
        return _integer_power(divide(constant(ONE), base), -exponent)
    value = base.rational
    if value is not None:
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        if abs(value) != 1 and value and (bits - 1 or 1) * exponent > MAX_BITS:
            return symbol(f"@({value})^{exponent}")
        return constant(value**exponent if abs(value) != 1 else value ** (exponent % 2))
    if exponent > MAX_POWER and (len(base.top) > 1 or len(base.bottom) > 1):
        raise Limit("power too large")
    if len(base.top) == 1 and len(base.bottom) == 1:
        ((mono, factor),) = base.top.items()
        scaled = _integer_power(constant(factor), exponent)
        return multiply(scaled, _tidy([(atom, inner * exponent) for atom, inner in mono]))
    result = constant(ONE)
    for bit in bin(exponent)[2:]:
        result = multiply(result, result)
        if bit == "1":
            result = multiply(result, base)
    return result


def _monomial_power(mono: Mono, factor: Fraction, exponent: Fraction) -> Ratio:
    atoms = [(atom, inner * exponent) for atom, inner in mono]
    sign = ONE
    if factor < 0:
        if exponent.denominator % 2:
            sign = Fraction(-1) if exponent.numerator % 2 else ONE
        elif exponent.denominator == 2:
            atoms.append(("i", Fraction(exponent.numerator)))
        else:
            return symbol(f"@({written({mono: factor})})^{exponent}")
    for whole, side in ((abs(factor.numerator), 1), (factor.denominator, -1)):
        atoms += [(f"#{prime}", times * exponent * side) for prime, times in factors(whole)]
    return multiply(constant(sign), _tidy(atoms))


def positive(atom: str) -> bool:
    """Whether an atom is known to be a positive number (or zero, for an absolute value)."""
    return atom[0] == "#" or atom.startswith("@+") or atom in ("\\pi", "e")


def factors(whole: int) -> list[tuple[int, int]]:
    """Prime factors and their exponents; what trial division leaves is kept whole, as a square where it is one."""
    found = []
    candidate = 2
    while candidate * candidate <= whole and candidate <= LARGEST_PRIME:
        times = 0
        while whole % candidate == 0:
            whole //= candidate
            times += 1
        if times:
            found.append((candidate, times))
        candidate += 1 if candidate == 2 else 2
    if whole > 1:
        root = isqrt(whole)
        found.append((root, 2) if root * root == whole else (whole, 1))
    return found


def _tidy(atoms: list[tuple[str, Fraction]]) -> Ratio:
    """A product of atoms: like atoms joined, whole powers of primes and of i multiplied out."""
    joined: dict[str, Fraction] = {}
    for atom, exponent in atoms:
        joined[atom] = joined.get(atom, Fraction(0)) + exponent
    factor = ONE
    kept = []
    for atom, exponent in sorted(joined.items()):
        if atom[0] == "#":
            whole, exponent = divmod(exponent, 1)
            if whole:
                if int(atom[1:]).bit_length() * abs(whole) > MAX_BITS:
                    raise Limit("power too large")
                factor *= Fraction(int(atom[1:])) ** int(whole)
        elif atom == "i" and exponent.denominator == 1:
            turns = exponent.numerator % 4
            factor *= -1 if turns in (2, 3) else 1
            exponent = Fraction(turns % 2)
        if exponent:
            kept.append((atom, exponent))
    return Ratio({tuple(kept): factor}, {UNIT: ONE})


def _sum(left: Poly, right: Poly) -> Poly:
    total = dict(left)
    for mono, value in right.items():
        value += total.pop(mono, 0)
        if value:
            total[mono] = value
    return total


def _product(left: Poly, right: Poly) -> Poly:
    if len(left) * len(right) > MAX_TERMS * 20:
        raise Limit("too many terms")
    if len(right) == 1 and UNIT in right:
        factor = right[UNIT]
        return left if factor == 1 else {mono: value * factor for mono, value in left.items()}
    total: Poly = {}
    for first, one in left.items():
        for second, other in right.items():
            if first and second:
                ((mono, extra),) = _tidy([*first, *second]).top.items()
            elif not first and not second:
                mono, extra = UNIT, ONE
            else:
                ((mono, extra),) = _tidy([*first, *second]).top.items()
            value = total.pop(mono, Fraction(0)) + one * other * extra
            if value.numerator.bit_length() > MAX_BITS * 2 or value.denominator.bit_length() > MAX_BITS * 2:
                raise Limit("number too large")
            if value:
                total[mono] = value
    if len(total) > MAX_TERMS:
        raise Limit("too many terms")
    return total


def equal_ratios(left: Ratio, right: Ratio) -> bool:
    """Whether two quotients are the same by cross-multiplication."""
    if left.top == right.top and left.bottom == right.bottom:
        return True
    if left.bottom == right.bottom:
        return False
    return _product(left.top, right.bottom) == _product(right.top, left.bottom)


def proportional(left: Poly, right: Poly, *, positive: bool = False) -> bool:
    """Whether one polynomial is a (positive) rational multiple of the other."""
    if left.keys() != right.keys():
        return False
    if not left:
        return True
    lead = min(left)
    scale = left[lead] / right[lead]
    return (scale > 0 or not positive) and all(value == scale * right[mono] for mono, value in left.items())
