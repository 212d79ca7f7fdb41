r"""Sums and products over an index: written out where the range is short, by one canonical index where it is not.

`\sum_{k=a}^{b} f(k)` is `Op("sum", (f, a, b), "k")`. A name whose subscript holds the index (`F_{n-k}`) is a function
of that subscript. The index is shifted to start at 0 and renamed by its depth, so that equal writings have equal keys.
"""

from __future__ import annotations

import re
from fractions import Fraction

from reason.answers import algebra, evaluate, parse
from reason.answers.algebra import Limit, Ratio, Unreadable
from reason.answers.nodes import Node, Num, Op, Sym

LONGEST = (200, 14, 3)
"""Most terms that are written out, by how many series stand inside each other in the body."""
_INDEX = re.compile(r"\\?[A-Za-z]+|\d+|.")
_SAMPLES = (4, 7)


def exact(node: Op) -> Ratio:
    """The value of a series, or an opaque term with a canonical key.

    Raises:
        Unreadable: The range has no value.
        Limit: Too large to write out.
    """
    body, low, high = node.args
    first, last = evaluate.exact(low).rational, evaluate.exact(high).rational
    indexed = with_functions(body, node.name)
    if first is not None and last is not None:
        if first.denominator != 1 or last.denominator != 1:
            raise Unreadable("a range between fractions")
        if last - first < longest(body):
            return _written_out(node.kind, indexed, node.name, int(first), int(last))
    shifted = Op("add", (Sym(f"·{_depth(body)}"), low))
    inside = evaluate.exact(replaced(indexed, node.name, shifted))
    length = evaluate.exact(Op("add", (high, Op("neg", (low,)))))
    return algebra.symbol(f"@{node.kind}[0..{length.key}]({inside.key})")


def _written_out(kind: str, body: Node, name: str, first: int, last: int) -> Ratio:
    total = algebra.constant(Fraction(kind == "prod"))
    for index in range(first, last + 1):
        value = evaluate.exact(replaced(body, name, Num(Fraction(index))))
        total = algebra.multiply(total, value) if kind == "prod" else algebra.add(total, value)
    return total


def longest(body: Node) -> int:
    """Most terms of a series over this body that are written out."""
    depth = _depth(body)
    return LONGEST[depth] if depth < len(LONGEST) else 1


def _depth(node: Node) -> int:
    if isinstance(node, Num | Sym):
        return 0
    return max((_depth(argument) for argument in node.args), default=0) + (node.kind in ("sum", "prod"))


def replaced(node: Node, name: str, by: Node) -> Node:
    """The expression with a symbol replaced; an inner series over the same index keeps its own."""
    if isinstance(node, Num):
        return node
    if isinstance(node, Sym):
        return by if node.name == name else node
    if node.kind in ("sum", "prod") and len(node.args) == 3 and node.name == name:
        body, *ends = node.args
        return Op(node.kind, (body, *(replaced(end, name, by) for end in ends)), name)
    found = Op(node.kind, tuple(replaced(argument, name, by) for argument in node.args), node.name)
    return _as_name(found) if found.kind == "call" and found.name.endswith("_") else found


def _as_name(call: Op) -> Node:
    """`F_(3)` is the name F_3."""
    value = evaluate.exact(call.args[0]).rational
    whole = value is not None and value.denominator == 1
    return Sym(f"{call.name}{value}") if whole else call


def with_functions(node: Node, index: str) -> Node:
    """The expression with names such as `F_{n-k}` as functions of their subscript, where that holds the index."""
    if isinstance(node, Num):
        return node
    if isinstance(node, Sym):
        base, mark, subscript = node.name.partition("_")
        tokens = _tokens(subscript) if mark else []
        return Op("call", (parse.parse(tokens),), f"{base}_") if index in tokens else node
    return Op(node.kind, tuple(with_functions(argument, index) for argument in node.args), node.name)


def _tokens(subscript: str) -> list[str]:
    found: list[str] = []
    for token in _INDEX.findall(subscript.replace(" ", "")):
        found += list(token) if token.isalpha() else [token]
    return found


def bounds(node: Node) -> set[str]:
    """Names of the variables that must be whole numbers: in ranges of series, factorials and binomials."""
    if isinstance(node, Num | Sym):
        return set()
    found = set().union(*(bounds(argument) for argument in node.args))
    if node.kind in ("sum", "prod") and len(node.args) == 3:
        found |= _names(node.args[1]) | _names(node.args[2])
    if node.kind in ("fact", "fact2", "binom"):
        found |= _names(node)
    return found


def _names(node: Node) -> set[str]:
    if isinstance(node, Num):
        return set()
    if isinstance(node, Sym):
        return {node.name}
    return set().union(*(_names(argument) for argument in node.args))


def samples(left: Node, right: Node) -> list[tuple[Node, Node]]:
    """Two expressions with whole numbers for the variables of their ranges: other values there, other expressions."""
    names = bounds(left) | bounds(right)
    if not 1 <= len(names) <= 2 or "\\infty" in names:
        return []
    try:
        return [_at(left, right, sorted(names), sample) for sample in _SAMPLES]
    except (Unreadable, Limit):
        return []


def _at(left: Node, right: Node, names: list[str], sample: int) -> tuple[Node, Node]:
    pair = [left, right]
    for place, name in enumerate(names):
        value = Num(Fraction(sample + place))
        pair = [replaced(with_functions(side, name), name, value) for side in pair]
    return pair[0], pair[1]
