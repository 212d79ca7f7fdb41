"""Sines and cosines of multiples of 3 degrees as roots, so that `reason.answers.radicals` can compare them.

3k degrees is 36a + 30b + 45c degrees for whole numbers a, b, c (the greatest common divisor of 36, 30 and 45 is 3);
sines and cosines of 36, 30 and 45 degrees are roots, and the addition formulas give the rest.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from reason.answers import evaluate
from reason.answers.nodes import Node, Num, Op, Sym

_KINDS = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))


def without_angles(node: Node) -> Node:
    """The expression with such functions written as roots; others stay."""
    if isinstance(node, Num | Sym):
        return node
    if node.kind in _KINDS:
        return _rewritten(node)
    return Op(node.kind, tuple(without_angles(argument) for argument in node.args), node.name)


def _rewritten(node: Op) -> Node:
    angle = evaluate.turns(evaluate.exact(node.args[0]), 60)
    if angle is None:
        return node
    cosine, sine = _waves(angle % 120)
    one = _number(1)
    top, bottom = {
        "sin": (sine, one),
        "cos": (cosine, one),
        "tan": (sine, cosine),
        "cot": (cosine, sine),
        "sec": (one, cosine),
        "csc": (one, sine),
    }[node.kind]
    return top if bottom is one else Op("div", (top, bottom))


def _number(value: int) -> Node:
    return Num(Fraction(value))


def _root(value: Node) -> Node:
    return Op("root", (_number(2), value))


def _over(top: Node, bottom: int) -> Node:
    return Op("div", (top, _number(bottom)))


_FIVE = _root(_number(5))
_TWICE = Op("mul", (_number(2), _FIVE))
_PARTS = (
    (
        12,
        _over(Op("add", (_number(1), _FIVE)), 4),
        _over(_root(Op("add", (_number(10), Op("neg", (_TWICE,))))), 4),
    ),
    (10, _over(_root(_number(3)), 2), _over(_number(1), 2)),
    (15, _over(_root(_number(2)), 2), _over(_root(_number(2)), 2)),
)
"""36, 30 and 45 degrees in steps of 3 degrees, with cosine and sine."""


@lru_cache(maxsize=256)
def _waves(steps: int) -> tuple[Node, Node]:
    """Cosine and sine of an angle in steps of 3 degrees, by the fewest additions of the parts."""
    reached: dict[int, tuple[Node, Node]] = {0: (_number(1), _number(0))}
    waiting = [0]
    while steps not in reached:
        at = waiting.pop(0)
        for size, cosine, sine in _PARTS:
            for sign in (1, -1):
                there = (at + sign * size) % 120
                if there not in reached:
                    reached[there] = _sum(reached[at], (cosine, sine if sign > 0 else Op("neg", (sine,))))
                    waiting.append(there)
    return reached[steps]


def _sum(first: tuple[Node, Node], second: tuple[Node, Node]) -> tuple[Node, Node]:
    if first[1] == _number(0):
        return second
    across = Op("mul", (first[1], second[1]))
    cosine = Op("add", (Op("mul", (first[0], second[0])), Op("neg", (across,))))
    sine = Op("add", (Op("mul", (first[1], second[0])), Op("mul", (first[0], second[1]))))
    return cosine, sine
