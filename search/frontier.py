"""Accuracy against tokens as a concave curve: which options are worth their price, and how curves add up.

An option costs tokens and gives a probability of being right. Of a set of options only those on the upper concave
envelope are ever best: at a price per token, the best option is the vertex whose incoming slope is at least the price
and whose outcoming slope is below it. Where chance decides which of several curves one gets, the best that can be had
on average is the curve of their segments, each weighted by its chance, in the order of falling slope (their weighted
Minkowski sum). So the value of "look further, then decide" is a curve of the same kind, and a whole sequential plan is
solved backwards exactly, for all prices at once.

Over several problems with a common budget the same holds: taking segments by falling slope is optimal wherever the
budget ends between two segments, and short of the optimum by less than one segment's gain where it ends within one
(Dantzig's bound for the knapsack; Everett 1963 for prices).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Point:
    """An option, or a vertex of a curve.

    Attributes:
        tokens: What it costs, on average.
        accuracy: How often it is right.
        option: Which option it is.
    """

    tokens: float
    accuracy: float
    option: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a curve.

    Attributes:
        slope: Accuracy per token.
        tokens, accuracy: What it adds.
    """

    slope: float
    tokens: float
    accuracy: float


def envelope(points: Sequence[Point]) -> tuple[Point, ...]:
    """The upper concave envelope: from the cheapest point to the most accurate one, with falling positive slopes.

    Of points with the same cost the most accurate counts, and of equal ones the first.
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.tokens, -point.accuracy)):
        if kept and point.accuracy <= kept[-1].accuracy:
            continue
        while len(kept) > 1 and slope(kept[-2], kept[-1]) <= slope(kept[-2], point):
            kept.pop()
        kept.append(point)
    return tuple(kept)


def slope(left: Point, right: Point) -> float:
    """Accuracy per token from one point to the next."""
    return (right.accuracy - left.accuracy) / (right.tokens - left.tokens)


def segments(curve: Sequence[Point]) -> list[Segment]:
    """The pieces of a curve, by falling slope."""
    return [
        Segment(slope(left, right), right.tokens - left.tokens, right.accuracy - left.accuracy)
        for left, right in pairwise(curve)
    ]


def average(parts: Sequence[tuple[float, Sequence[Point]]], tokens: float, option: int) -> list[Point]:
    """The best that can be had where curve i is met with probability w_i, after paying so many tokens.

    Args:
        parts: (w_i, curve i); the probabilities sum to 1.
        tokens: Paid before one knows which.
        option: What the points are labelled.
    """
    pieces = [
        (piece.slope, chance * piece.tokens, chance * piece.accuracy)
        for chance, curve in parts
        if chance > 0
        for piece in segments(curve)
    ]
    cost = tokens + math.fsum(chance * curve[0].tokens for chance, curve in parts if chance > 0)
    right = math.fsum(chance * curve[0].accuracy for chance, curve in parts if chance > 0)
    points = [Point(cost, right, option)]
    for _, more, better in sorted(pieces, key=lambda piece: -piece[0]):
        cost, right = cost + more, right + better
        points.append(Point(cost, right, option))
    return points


def at_price(curve: Sequence[Point], price: float, *, ties: bool) -> Point:
    """The best point of a concave curve at a price per token.

    Args:
        curve: By rising cost.
        price: Accuracy that a token must bring.
        ties: Whether a segment that is just worth its price, but for rounding, is taken.
    """
    least = price * (1 - ROUNDING if ties else 1 + ROUNDING)
    chosen = curve[0]
    for point in curve[1:]:
        if slope(chosen, point) < least or (not ties and slope(chosen, point) == least):
            break
        chosen = point
    return chosen


def price_of(curve: Sequence[Point], tokens: float) -> tuple[float, float]:
    """The price at which a curve costs so many tokens, and the share of cases that should take ties.

    Returns:
        (price, share): taking, at this price, ties in that share of the cases costs the tokens on average; (0, 1) where
        the whole curve costs less, and an infinite price where even its first point costs more.
    """
    if tokens < curve[0].tokens:
        return math.inf, 0.0
    for left, right in pairwise(curve):
        if tokens < right.tokens:
            worth = slope(left, right)
            low, high = (at_price(curve, worth, ties=ties) for ties in (False, True))
            return worth, min(max((tokens - low.tokens) / (high.tokens - low.tokens), 0.0), 1.0)
    return 0.0, 1.0


def spend(curves: Sequence[Sequence[Point]], tokens: float) -> list[Point]:
    """Choose a point on every curve, to the greatest sum of accuracies that greedy finds within the tokens.

    Segments are taken by falling slope (ties in the curves' order) while they fit; one that does not fit ends its own
    curve, and cheaper ones of others may still follow. Every curve's first point is taken regardless.
    """
    at = [0] * len(curves)
    left = tokens - math.fsum(curve[0].tokens for curve in curves)
    order = sorted(
        (-piece.slope, index, step) for index, curve in enumerate(curves) for step, piece in enumerate(segments(curve))
    )
    for _, index, step in order:
        more = curves[index][step + 1].tokens - curves[index][step].tokens
        if at[index] == step and more <= left:
            at[index] = step + 1
            left -= more
    return [curve[step] for curve, step in zip(curves, at, strict=True)]


def relaxed(curves: Sequence[Sequence[Point]], tokens: float) -> float:
    """The greatest sum of accuracies where a segment may be taken in part: an upper bound of what `spend` can find."""
    left = tokens - math.fsum(curve[0].tokens for curve in curves)
    total = math.fsum(curve[0].accuracy for curve in curves)
    for piece in sorted((piece for curve in curves for piece in segments(curve)), key=lambda piece: -piece.slope):
        part = min(max(left / piece.tokens, 0.0), 1.0)
        total += part * piece.accuracy
        left -= part * piece.tokens
    return total
