"""How the values of a solution's lines become one; `reason.scorers.process` says where each comes from.

last     the value after the last line (Snell et al., 2408.03314)
min      the worst line (Lightman et al., 2305.20050, as an alternative; Wang et al., 2312.08935)
product  all lines right, as if independent (Lightman et al.)
mean     the average line
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from reason.types import Score, UsageError

Values: TypeAlias = NDArray[np.float64]
"""Values in [0, 1]: [lines]."""

AGGREGATIONS: Mapping[str, Callable[[Values], float]] = {
    "last": lambda values: float(values[-1]),
    "min": lambda values: float(values.min()),
    "product": lambda values: float(values.prod()),
    "mean": lambda values: float(values.mean()),
}


def aggregation(name: str) -> Callable[[Values], float]:
    """The function of that name: line values [lines] -> one value.

    Raises:
        UsageError: There is none.
    """
    if name not in AGGREGATIONS:
        raise UsageError(f"there is no aggregation {name!r}; choose one of {', '.join(AGGREGATIONS)}")
    return AGGREGATIONS[name]


def aggregated_anew(score: Score, name: str) -> Score:
    """The score that the same scorer would have given with another aggregation.

    Raises:
        UsageError: The score does not hold what that takes: it has no line values, its value is none of their
            aggregations (it was calibrated, say), or its steps are of several lines each.
    """
    aggregate = aggregation(name)
    if not score.scored:
        return score
    lines = np.array(score.parts)
    if not len(lines):
        raise UsageError(f"aggregate {name} needs the values of a solution's lines, which this scorer did not give")
    if score.value not in [way(lines) for way in AGGREGATIONS.values()]:
        raise UsageError(f"aggregate {name} cannot be had from values that are more than an aggregate of their lines'")
    if len(score.steps) == 1:
        steps: tuple[float, ...] = (aggregate(lines),)
    elif len(score.steps) == len(lines):
        steps = score.parts
    else:
        raise UsageError(
            f"aggregate {name} cannot be had from {len(lines)} line values of {len(score.steps)} steps: "
            "which line stands in which step was not kept"
        )
    return replace(score, value=aggregate(lines), steps=steps)
