"""How the values of a solution's lines become one; `reason.scorers.process` says where each comes from.

last     the value after the last line (Snell et al., 2408.03314)
min      the worst line (Lightman et al., 2305.20050, as an alternative; Wang et al., 2312.08935)
product  all lines right, as if independent (Lightman et al.)
mean     the average line
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from reason.types import UsageError

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
