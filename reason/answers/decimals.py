"""Decimals against exact values: rounding to enough places, and tolerances."""

from __future__ import annotations

from fractions import Fraction

from reason.answers import balls, nodes, radicals
from reason.answers.algebra import Unreadable
from reason.answers.shapes import Quantity

PRECISION = 64
"""Bits beyond a decimal's own places."""
DOUBLE_DIGITS = 17
"""Significant digits up to which a decimal may be a double's, off in its last place."""


def rounds(decimal: Quantity, exact: Quantity, least: int) -> bool:
    """Whether the first is a written decimal that rounds or cuts the second, which is not one.

    Args:
        decimal: Has at least `least` places and significant digits.
        exact: Any constant.
        least: See `Rules.decimals`.
    """
    written = _decimal(decimal.node)
    if written is None or _decimal(exact.node) is not None:
        return False
    value, places = written
    digits = len(str(abs(value.numerator * 10**places // value.denominator)))
    if places < least or digits < least:
        return False
    unit = Fraction(1, 10**places)
    bounds = _bounds(exact, 4 * places + PRECISION)
    if bounds is None:
        return False
    low, high = bounds
    short = (low - value, high - value) if value > 0 else (value - high, value - low)
    cut = short[0] < unit and short[1] >= 0 and (high > 0) == (value > 0)
    slack = unit / 2
    if digits <= DOUBLE_DIGITS:
        slack = max(slack, abs(value) / 2**51)
    return cut or (low - value <= slack and value - high <= slack)


def near(gold: Quantity, pred: Quantity, tolerance: float) -> bool:
    """Whether two numbers differ by no more than this share of the gold one."""
    first, second = _bounds(gold, PRECISION), _bounds(pred, PRECISION)
    if first is None or second is None:
        return False
    truth, value = (first[0] + first[1]) / 2, (second[0] + second[1]) / 2
    return bool(abs(truth - value) <= abs(truth) * Fraction(str(tolerance)))


def _bounds(quantity: Quantity, bits: int) -> tuple[Fraction, Fraction] | None:
    """Lower and upper bound of a real constant: exact, or to so many bits for roots, pi and e, or a double's worth."""
    value = quantity.ratio.rational
    if value is not None:
        return value, value
    found = radicals.enclosure(quantity.node, bits)
    if found is not None:
        return found
    try:
        ball = balls.ball(quantity.node, None)
    except Unreadable:
        return None
    if not ball.real:
        return None
    middle, radius = Fraction(ball.mid.real), Fraction(ball.rad)
    return middle - radius, middle + radius


def _decimal(node: nodes.Node) -> tuple[Fraction, int] | None:
    """The value and the places of a written decimal."""
    if isinstance(node, nodes.Op) and node.kind == "neg":
        inner = _decimal(node.args[0])
        return None if inner is None else (-inner[0], inner[1])
    return (node.value, node.places) if isinstance(node, nodes.Num) and node.places is not None else None
