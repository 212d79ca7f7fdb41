"""Resampling: from weighted particles to equally weighted ones, each copied n · weight times on average.

Douc, Cappé and Moulines (2005) compare the four schemes: multinomial (n independent draws), residual (the whole parts
of n · weight for sure, the rest by independent draws), stratified (one point in each n-th of the unit interval) and
systematic (the same point in each). All are unbiased; systematic gives a particle floor or ceil of n · weight copies.

Every scheme is applied to the particles in random order, so that no particle is special. `conditional_ancestors` draws
from the same law given that one particle has a copy at least, as conditional SMC needs (Andrieu, Doucet and Holenstein
2010; Chopin and Singh 2015): the copies are size-biased, which for a point in that particle's interval means that the
point is uniform there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random

SCHEMES = ("systematic", "stratified", "residual", "multinomial")


def normalized(log_weights: Sequence[float]) -> list[float]:
    """Weights that sum to 1; all zero if every particle is dead (-inf)."""
    most = max(log_weights, default=-math.inf)
    if most == -math.inf:
        return [0.0] * len(log_weights)
    weights = [math.exp(value - most) for value in log_weights]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def effective_size(weights: Sequence[float]) -> float:
    """1 / sum of squares: so many equally weighted particles estimate as well (Kong et al. 1994)."""
    squares = math.fsum(weight * weight for weight in weights)
    return 1.0 / squares if squares else 0.0


def ancestors(scheme: str, weights: Sequence[float], count: int, draw: Random) -> list[int]:
    """`count` indices, index i on average count · weights[i] times, in random order.

    Args:
        scheme: One of `SCHEMES`.
        weights: Summing to 1.
        count: How many to draw.
        draw: Where randomness comes from.
    """
    return _resampled(scheme, weights, count, draw, None)


def conditional_ancestors(scheme: str, weights: Sequence[float], count: int, draw: Random, kept: int) -> list[int]:
    """What `ancestors` gives where its first index happens to be `kept`, which must have a positive weight."""
    return _resampled(scheme, weights, count, draw, kept)


def _resampled(scheme: str, weights: Sequence[float], count: int, draw: Random, kept: int | None) -> list[int]:
    order = list(range(len(weights)))
    draw.shuffle(order)
    bounds = list(accumulate(weights[index] for index in order))
    at = None if kept is None else order.index(kept)
    chosen = [order[position] for position in _SCHEMES[scheme](bounds, count, draw, at)]
    if kept is not None:
        chosen.remove(kept)
    draw.shuffle(chosen)
    return chosen if kept is None else [kept, *chosen]


def _point(bounds: Sequence[float], draw: Random, at: int | None) -> float:
    """A uniform point of the whole interval, or of one position's part of it."""
    low, high = (0.0, bounds[-1]) if at is None else (bounds[at - 1] if at else 0.0, bounds[at])
    return low + draw.random() * (high - low)


def _find(bounds: Sequence[float], points: Sequence[float]) -> list[int]:
    """The position of each point; rounding never leads to one without weight."""
    last = next(position for position in range(len(bounds)) if bounds[position] == bounds[-1])
    found: list[int] = []
    position = 0
    for point in points:
        while position < last and bounds[position] <= point:
            position += 1
        found.append(position)
    return found


def _multinomial(bounds: Sequence[float], count: int, draw: Random, at: int | None) -> list[int]:
    free = [_point(bounds, draw, None) for _ in range(count - (at is not None))]
    return ([] if at is None else [at]) + _find(bounds, sorted(free))


def _systematic(bounds: Sequence[float], count: int, draw: Random, at: int | None) -> list[int]:
    width = bounds[-1] / count
    point = _point(bounds, draw, at)
    stratum = min(int(point / width), count - 1)
    return _strata(bounds, [point + (index - stratum) * width for index in range(count)], stratum, at)


def _stratified(bounds: Sequence[float], count: int, draw: Random, at: int | None) -> list[int]:
    width = bounds[-1] / count
    points = [(index + draw.random()) * width for index in range(count)]
    stratum = 0
    if at is not None:
        point = _point(bounds, draw, at)
        stratum = min(int(point / width), count - 1)
        points[stratum] = point
    return _strata(bounds, points, stratum, at)


def _strata(bounds: Sequence[float], points: Sequence[float], stratum: int, at: int | None) -> list[int]:
    found = _find(bounds, points)
    if at is not None:
        found[stratum] = at
    return found


def _residual(bounds: Sequence[float], count: int, draw: Random, at: int | None) -> list[int]:
    total = bounds[-1]
    shares = [count * (high - low) / total for low, high in zip([0.0, *bounds], bounds, strict=False)]
    sure = [int(share + 1e-9) for share in shares]
    chosen = [position for position, copies in enumerate(sure) for _ in range(copies)]
    left = count - len(chosen)
    if not left:
        if at is not None and not sure[at]:
            chosen[draw.randrange(count)] = at
        return chosen
    rest = list(accumulate(max(share - copies, 0.0) for share, copies in zip(shares, sure, strict=True)))
    forced = at is not None and draw.random() * shares[at] >= sure[at]
    return chosen + _multinomial(rest, left, draw, at if forced else None)


_SCHEMES: dict[str, Callable[[Sequence[float], int, Random, int | None], list[int]]] = {
    "systematic": _systematic,
    "stratified": _stratified,
    "residual": _residual,
    "multinomial": _multinomial,
}
