"""Tokens to an expression tree, and its two readings: an exact `Ratio` and a complex number at a sample point.

A recursive-descent parser over the tokens of one expression (no separators, relations or units in it): sums, products with
and without a sign, fractions, powers, roots, factorials, binomials, absolute values, function values, mixed numbers.
What it does not know raises Unreadable and is left to the symbolic tier.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from typing import TypeAlias

from reason.answers import algebra
from reason.answers.algebra import Limit, Ratio, Unreadable
from reason.answers.latex import DEEPEST

LARGEST_FACTORIAL = 200
LARGEST_BINOMIAL = 1_000
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau upsilon phi "
    "varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega pi hbar ell infty nabla partial".split()
)
UNARY = frozenset("sin cos tan cot sec csc asin acos atan sinh cosh tanh log ln exp arg".split())
ACCENTS = frozenset("overline bar hat vec tilde overrightarrow widehat dot ddot mathbb".split())
ENDINGS = frozenset(("+", "-", "*", "/", ")", "]", "}", r"\}", "|", "^", "_", "!", r"\pm", r"\mp"))


@dataclass(frozen=True, slots=True)
class Num:
    """A written number; `places` are its decimal places, None for an integer."""

    value: Fraction
    places: int | None = None


@dataclass(frozen=True, slots=True)
class Sym:
    """A symbol with its subscripts and primes."""

    name: str


@dataclass(frozen=True, slots=True)
class Op:
    """An operation: add, neg, mul, div, pow, root (degree, radicand), fact, abs, binom, call, or a function's name."""

    kind: str
    args: tuple[Node, ...]
    name: str = ""


Node: TypeAlias = Num | Sym | Op


def parse(tokens: Sequence[str]) -> Node:
    """The tree of an expression.

    Raises:
        Unreadable: Not an expression this parser knows.
        Limit: Nested too deeply.
    """
    parser = _Parser(tokens)
    node = parser.sum()
    if parser.at != len(tokens):
        raise Unreadable(f"unexpected {parser.peek()!r}")
    return node


class _Parser:
    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.bars = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise Unreadable(f"missing {token!r}")

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Limit("nested too deeply")
        terms = []
        while True:
            negative = False
            while self.peek() in ("+", "-"):
                negative ^= self.take() == "-"
            term = self.product()
            terms.append(Op("neg", (term,)) if negative else term)
            if self.peek() not in ("+", "-"):
                break
        self.depth -= 1
        return terms[0] if len(terms) == 1 else Op("add", tuple(terms))

    def product(self) -> Node:
        node = self.factor()
        while True:
            token = self.peek()
            if token == "*":
                self.take()
                if self.peek() == "*":
                    self.take()
                    node = Op("pow", (node, self.signed()))
                    continue
                node = Op("mul", (node, self.signed()))
            elif token == "/":
                self.take()
                node = Op("div", (node, self.signed()))
            elif token in ("", "+", "-", ")", "]", "}", r"\}") or (token == "|" and self.bars):
                return node
            else:
                mixed = self.mixed(node)
                node = mixed if mixed is not None else Op("mul", (node, self.factor()))

    def mixed(self, whole: Node) -> Node | None:
        r"""`1\frac{4}{5}` and `1 4/5` are mixed numbers, where the fraction is proper."""
        if not isinstance(whole, Num) or whole.places is not None or self.at == 0:
            return None
        start = self.at
        if self.peek() == r"\frac":
            part = self.factor()
        elif self.peek().isdigit() and self.at + 2 < len(self.tokens) and self.tokens[self.at + 1] == "/":
            part = Op("div", (number(self.tokens[self.at]), number(self.tokens[self.at + 2])))
            self.at += 3
        else:
            return None
        if isinstance(part, Op) and part.kind == "div":
            top, bottom = part.args
            if isinstance(top, Num) and isinstance(bottom, Num) and top.places is None and top.value < bottom.value:
                return Op("add", (whole, part))
        self.at = start
        return None

    def signed(self) -> Node:
        negative = False
        while self.peek() in ("+", "-"):
            negative ^= self.take() == "-"
        node = self.factor()
        return Op("neg", (node,)) if negative else node

    def factor(self) -> Node:
        node = self.atom()
        while True:
            token = self.peek()
            if token == "^":
                self.take()
                node = Op("pow", (node, self.script()))
            elif token == "!":
                self.take()
                node = Op("fact", (node,))
            elif token == "*" and self.tokens[self.at + 1 : self.at + 2] == ["*"]:
                self.at += 2
                node = Op("pow", (node, self.signed()))
            elif token == "_" and isinstance(node, Op) and node.kind == "pow" and isinstance(node.args[0], Sym):
                self.take()
                node = Op("pow", (Sym(f"{node.args[0].name}_{self.raw()}"), node.args[1]))
            else:
                return node

    def script(self) -> Node:
        """What stands after `^`: a group, or one token (one digit, in LaTeX)."""
        if self.peek() == "{":
            return self.braced()
        if self.peek() == "(":
            return self.atom()
        if self.peek() == "-":
            self.take()
            return Op("neg", (self.script(),))
        return self.argument(whole=True)

    def argument(self, *, whole: bool = False) -> Node:
        r"""A LaTeX argument: a group, or one character (`\frac13` is 1/3)."""
        token = self.peek()
        if token == "{":
            return self.braced()
        if token.isdigit() and len(token) > 1 and not whole:
            rest = [token[0], token[1:]]
            self.tokens = [*self.tokens[: self.at], *rest, *self.tokens[self.at + 1 :]]
        return self.atom()

    def braced(self) -> Node:
        self.expect("{")
        node = self.sum()
        self.expect("}")
        return node

    def atom(self) -> Node:
        token = self.take()
        if not token:
            raise Unreadable("something is missing")
        if token[0].isdigit() or token[0] == ".":
            return number(token)
        if token in ("(", "[", "{"):
            node = self.sum()
            self.expect({"(": ")", "[": "]", "{": "}"}[token])
            return node
        if token == "|":
            self.bars += 1
            node = self.sum()
            self.expect("|")
            self.bars -= 1
            return Op("abs", (node,))
        if token[0] == "\\" and len(token) > 1:
            return self.command(token[1:])
        if len(token) == 1 and token.isalpha():
            return self.symbol(token)
        raise Unreadable(f"unexpected {token!r}")

    def symbol(self, name: str) -> Node:
        """A symbol with subscripts and primes; a name before a parenthesis that holds no sum is a function value."""
        while True:
            if self.peek() == "_":
                self.take()
                name += "_" + self.raw()
            elif self.peek() in ("'", r"\prime"):
                self.take()
                name += "'"
            elif self.peek() == "^" and self.tokens[self.at + 1 : self.at + 2] == [r"\prime"]:
                self.at += 2
                name += "'"
            elif self.peek() == "^" and self.tokens[self.at + 1 : self.at + 4] == ["{", r"\prime", "}"]:
                self.at += 4
                name += "'"
            else:
                break
        if self.peek() == "(" and name[0] in "fghFGHPWQpq" and self.called():
            self.take()
            arguments = [self.sum()]
            while self.peek() == ",":
                self.take()
                arguments.append(self.sum())
            self.expect(")")
            return Op("call", tuple(arguments), name)
        return Sym(name)

    def called(self) -> bool:
        """Whether the parenthesis ahead holds an argument (`f(2)`, `f(x)`), not a factor of a product (`p(q+1)`)."""
        depth = 0
        for token in self.tokens[self.at :]:
            depth += {"(": 1, ")": -1}.get(token, 0)
            if depth == 0:
                return True
            if token in ("+", "-") and depth == 1 and self.tokens[self.at + 1] != token:
                return False
        return False

    def raw(self) -> str:
        """A subscript as text."""
        if self.peek() != "{":
            return self.take().lstrip("\\")
        depth = 0
        parts = []
        while self.at < len(self.tokens):
            token = self.take()
            depth += {"{": 1, "}": -1}.get(token, 0)
            if depth == 0:
                return "".join(parts)
            if token not in ("{", "}"):
                parts.append(token.lstrip('\\"'))
        raise Unreadable("unclosed subscript")

    def command(self, name: str) -> Node:
        if name == "frac":
            top = self.argument()
            return Op("div", (top, self.argument()))
        if name == "sqrt":
            degree: Node = Num(Fraction(2))
            if self.peek() == "[":
                self.take()
                degree = self.sum()
                self.expect("]")
            return Op("root", (degree, self.argument()))
        if name == "binom":
            top = self.argument()
            return Op("binom", (top, self.argument()))
        if name in UNARY:
            return self.function(name)
        if name in ACCENTS:
            return self.symbol(f"{name}{{{self.raw()}}}")
        if name == "Delta" and len(self.peek()) == 1 and self.peek().isalpha():
            return self.symbol("Delta " + self.take())
        if name in GREEK:
            return self.symbol("\\" + name)
        raise Unreadable(f"unknown command {name!r}")

    def function(self, name: str) -> Node:
        exponent: Node | None = None
        base: Node | None = None
        while self.peek() in ("^", "_"):
            if self.take() == "^":
                exponent = self.script()
            else:
                base = self.argument()
        if self.peek() in ("(", "[", "{", "|"):
            inside = self.atom()
        else:
            inside = self.factor()
            while self.peek() and self.peek() not in ENDINGS and not self._starts_function():
                inside = Op("mul", (inside, self.factor()))
        node: Node = Op(name, (inside,) if base is None else (inside, base))
        if exponent is None:
            return node
        if exponent in (Op("neg", (Num(Fraction(1)),)), Num(Fraction(-1))):
            raise Unreadable("an inverse function")
        return Op("pow", (node, exponent))

    def _starts_function(self) -> bool:
        return self.peek()[1:] in UNARY or self.peek() in ("(", r"\frac")


def number(token: str) -> Num:
    """A number token."""
    mantissa, _, exponent = token.lower().partition("e")
    if not all(part.isdigit() for part in mantissa.split(".", 1) if part):
        raise Unreadable(f"not a number: {token!r}")
    if exponent and abs(int(exponent)) > 2_000:
        raise Limit("exponent too large")
    places = len(mantissa.partition(".")[2]) if "." in mantissa else None
    if exponent:
        return Num(Fraction(mantissa) * Fraction(10) ** int(exponent))
    return Num(Fraction(mantissa), places)


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
        if base.rational is None and abs(whole.numerator) > algebra.MAX_BITS or whole.denominator > 64:
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
    if value is None:
        return algebra.symbol(f"@fact({values[0].key})")
    if value.denominator != 1 or value < 0:
        raise Unreadable("factorial of a non-integer")
    if value > LARGEST_FACTORIAL:
        raise Limit("factorial too large")
    return algebra.constant(Fraction(math.factorial(int(value))))


def _binomial(values: list[Ratio]) -> Ratio:
    top, bottom = values[0].rational, values[1].rational
    if top is None or bottom is None:
        return algebra.symbol(f"@binom({values[0].key};{values[1].key})")
    if top.denominator != 1 or bottom.denominator != 1 or top < 0 or bottom < 0:
        raise Unreadable("binomial of non-integers")
    if top > LARGEST_BINOMIAL:
        raise Limit("binomial too large")
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
    return algebra.symbol(f"@{name}({';'.join(value.key for value in values)})")


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
