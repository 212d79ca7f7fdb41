"""How confident a policy was of what it wrote, from its own token distributions: no second model.

DeepConf (Fu et al. 2508.15260). A token's confidence is high where the policy was sure of it. A group is a window of
consecutive tokens, one for each place where it fits (a shorter solution is one group), its confidence their mean. A
solution's confidence is one of `MEASURES`:

- "mean": of all tokens; "tail": of the last window;
- "lowest": of its least confident group; "bottom": the mean of the least confident tenth of its groups.

The window is a number of tokens, or below 1 a share of the solution's length: a tenth is 5 tokens of a short solution
and the paper's 2,048 of one with 20,000.

`top` says what a token's confidence is. With k > 0 it is the paper's, minus the mean log-probability of the k most
likely tokens (there, 20), from backends that give it (`Step.confidences`). With 0 it is the log-probability of the
sampled token, and a solution's confidence is its exponential: a geometric mean of probabilities, positive as well, in
the same order. That is also the deviation where a backend has no distributions; paths that are compared are measured
one way or the other, all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reason.search.strategy import at_least, number
from reason.types import Path, UsageError

MEASURES = ("lowest", "bottom", "tail", "mean")
BOTTOM = 0.1

Floats = NDArray[np.float64]


def check_window(name: str, value: float) -> float:
    """The window, if it is a share below 1 or a whole number of tokens.

    Raises:
        UsageError: It is neither.
    """
    if number(name, value) >= 1:
        if value != int(value):
            raise UsageError(
                f"{name}={value!r}: from 1 on it counts tokens; pass {name}={int(value)}, or a share below 1"
            )
    elif not value > 0:
        raise UsageError(
            f"{name}={value!r}: must be a share above 0 or a number of tokens; pass {name}=0.1, for example"
        )
    return value


def check_top(value: int) -> int:
    """The number of likeliest tokens, if it is one: 0 for the sampled token, -1 for the whole vocabulary.

    Raises:
        UsageError: It is not.
    """
    return value if value == -1 else at_least("top", value, 0)


def width(window: float, length: float) -> int:
    """The window in tokens, for a solution of so many."""
    return max(round(window * length), 1) if window < 1 else int(window)


def is_plain(paths: Sequence[Path], top: int) -> bool:
    """Whether log-probabilities must stand for confidences: they were asked for, or some path has no others."""
    return not top or any(len(step.confidences) < len(step.logprobs) for path in paths for step in path.steps)


def token_confidences(path: Path, plain: bool) -> Floats:
    """One value per token: its log-probability if `plain`, else its confidence."""
    return np.array([value for step in path.steps for value in (step.logprobs if plain else step.confidences)], float)


def group_means(values: Floats, tokens: int) -> Floats:
    """The mean of every window of so many consecutive tokens; of all tokens, where there are fewer."""
    size = min(tokens, len(values))
    if not size:
        return np.empty(0)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    return np.asarray((sums[size:] - sums[:-size]) / size, float)


def measured(values: Floats, measure: str, window: float) -> float:
    """One of `MEASURES` over a solution's tokens; NaN without tokens."""
    if not len(values):
        return math.nan
    tokens = width(window, len(values))
    if measure in ("mean", "tail"):
        return float(values.mean() if measure == "mean" else values[-tokens:].mean())
    means = np.sort(group_means(values, tokens))
    return float(means[0] if measure == "lowest" else means[: max(int(len(means) * BOTTOM), 1)].mean())


def confidences(paths: Sequence[Path], measure: str, window: float, top: int) -> list[float]:
    """The confidence of each path, 0 or above; NaN for one without log-probabilities."""
    plain = is_plain(paths, top)
    found = [measured(token_confidences(path, plain), measure, window) for path in paths]
    return [math.exp(value) for value in found] if plain else found
