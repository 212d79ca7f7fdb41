"""Tokens to an expression tree.

A recursive-descent parser over the tokens of one expression (no separators, relations or units in it): sums, products
with and without a sign, fractions, powers, roots, factorials, binomials, absolute values, function values, mixed
numbers. What it does not know raises Unreadable and is left to the symbolic tier.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from reason.answers.algebra import Limit, Malformed, Unreadable
from reason.answers.brackets import closes
from reason.answers.latex import DEEPEST
from reason.answers.nodes import Node, Num, Op, Sym

GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega pi hbar ell infty "
    "nabla partial".split()
)
UNARY = frozenset("sin cos tan cot sec csc asin acos atan sinh cosh tanh log ln exp arg".split())
ACCENTS = frozenset("overline bar hat vec tilde overrightarrow widehat dot ddot mathbb".split())
STOPS = frozenset(("", "+", "-", ")", "]", "}", r"\}", r"\rfloor", r"\rceil", ","))
ENDINGS = STOPS | {"*", "/", "|", "^", "_", "!"}


DEGREE = Op("div", (Sym("\\pi"), Num(Fraction(180))))


def parse(tokens: Sequence[str]) -> Node:
    """The tree of an expression.

    Raises:
        Unreadable: Not an expression this parser knows.
        Limit: Nested too deeply.
    """
    parser = _Parser(tokens)
    node = parser.sum()
    if parser.at != len(parser.tokens):
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
            elif token in STOPS or (token == "|" and self.bars):
                return node
            else:
                mixed = self.mixed(node)
                if mixed is None:
                    self.side_by_side(node)
                    mixed = Op("mul", (node, self.factor()))
                node = mixed

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

    def side_by_side(self, node: Node) -> None:
        """Refuse what nobody writes as a product: `3 1`, `x2`, a whole number before an improper fraction."""
        token = self.peek()
        variable = isinstance(node, Sym) and node.name not in ("i", "\\pi")
        if token[0].isdigit() and (variable or isinstance(node, Num)):
            raise Malformed(f"{token} right after a number or a variable")
        if isinstance(node, Num) and node.places is None and token == r"\frac" and self.at:
            start, part = self.at, self.factor()
            self.at = start
            if isinstance(part, Op) and all(isinstance(side, Num) for side in part.args):
                raise Malformed("a whole number before an improper fraction")

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
                degrees = self.degrees()
                node = Op("mul", (node, DEGREE)) if degrees else Op("pow", (node, self.script()))
            elif token == "!":
                self.take()
                double = self.peek() == "!"
                if double:
                    self.take()
                    if self.peek() == "!":
                        raise Unreadable("a multifactorial")
                node = Op("fact2" if double else "fact", (node,))
            elif token == "*" and self.tokens[self.at + 1 : self.at + 2] == ["*"]:
                self.at += 2
                node = Op("pow", (node, self.signed()))
            elif token == "_" and isinstance(node, Op) and node.kind == "pow" and isinstance(node.args[0], Sym):
                self.take()
                node = Op("pow", (Sym(f"{node.args[0].name}_{self.raw()}"), node.args[1]))
            else:
                return node

    def degrees(self) -> bool:
        r"""Whether a degree sign stands here; it is taken."""
        for sign in (("{", r"\circ", "}"), (r"\circ",)):
            if tuple(self.tokens[self.at : self.at + len(sign)]) == sign:
                self.at += len(sign)
                return True
        return False

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
            raise Malformed("something is missing")
        if token[0].isdigit() or (token[0] == "." and len(token) > 1):
            return number(token)
        if token in ("(", "[", "{"):
            return self.bracketed(token)
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

    def bracketed(self, opened: str) -> Node:
        node = self.sum()
        end = {"(": ")", "[": "]", "{": "}"}[opened]
        if self.peek() == "," and opened != "{":
            start = self.at - 1
            close = closes([opened, *self.tokens[self.at :]], 0)
            if close >= 0 and self.tokens[start + close] != end:
                raise Malformed("an interval inside an expression")
        self.expect(end)
        return node

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
        if self.peek() == "(" and ((name[0] in "fghFGHPWQpq" and self.called()) or self.at_zero(name)):
            self.take()
            arguments = [self.sum()]
            while self.peek() == ",":
                self.take()
                arguments.append(self.sum())
            self.expect(")")
            return Op("call", tuple(arguments), name)
        return Sym(name)

    def at_zero(self, name: str) -> bool:
        """Whether a value at a number follows: `V(0)` is never a product, `I(2)` with a capital letter seldom."""
        inside = self.tokens[self.at + 1 : self.at + 3]
        return inside == ["0", ")"] or (name[0].isupper() and inside[1:] == [")"] and inside[0].isdigit())

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
        parts: list[str] = []
        while self.at < len(self.tokens):
            token = self.take()
            depth += {"{": 1, "}": -1}.get(token, 0)
            if depth == 0:
                return "".join(parts)
            if token not in ("{", "}"):
                parts.append(token.lstrip('\\"'))
        raise Malformed("unclosed subscript")

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
        if name in ("sum", "prod"):
            return self.series(name)
        if name in ("lfloor", "lceil"):
            inside = self.sum()
            self.expect({"lfloor": r"\rfloor", "lceil": r"\rceil"}[name])
            return Op(name[1:], (inside,))
        if name in ACCENTS:
            return self.symbol(f"{name}{{{self.raw()}}}")
        if name == "Delta" and len(self.peek()) == 1 and self.peek().isalpha():
            return self.symbol("Delta " + self.take())
        if name in ("Gamma", "zeta") and self.peek() == "(":
            return self.special(name)
        if name in GREEK:
            return self.symbol("\\" + name)
        raise Unreadable(f"unknown command {name!r}")

    def special(self, name: str) -> Node:
        """Γ of a number or an expression as a factorial; ζ is left to the symbolic tier."""
        if name == "zeta":
            raise Unreadable("the zeta function")
        return Op("fact", (Op("add", (self.atom(), Num(Fraction(-1)))),))

    def series(self, name: str) -> Node:
        """A sum or product over an index; its body ends at the next + or -. A range of another form is kept as text."""
        marks: dict[str, list[str]] = {}
        while self.peek() in ("_", "^"):
            mark = self.take()
            start = self.at
            self.raw()
            marks[mark] = [*self.tokens[start : self.at]]
        low, high = (self.inner(marks.get(mark, [])) for mark in "_^")
        if len(low) > 2 and low[1] == "=" and low[0].isalpha() and "=" not in low[2:] and high:
            ends = (parse(low[2:]), parse(high))
            return Op(name, (self.product(), *ends), low[0])
        return Op(name, (self.product(),), " ".join(mark + "".join(marks[mark]) for mark in sorted(marks)))

    @staticmethod
    def inner(tokens: list[str]) -> list[str]:
        """The tokens of a script without its braces."""
        return tokens[1:-1] if tokens[:1] == ["{"] else tokens

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
            if name not in ("sin", "cos", "tan") or base is not None:
                raise Unreadable("an inverse function")
            return Op(f"a{name}", (inside,))
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
