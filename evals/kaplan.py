"""Loss against parameters N, data D and training compute C, in the forms of Kaplan et al. 2020 (arXiv 2001.08361).

- L(N) = (N_c / N)^α_N, where data does not limit: the best loss of each model size (equation 1.1).
- L(D) = (D_c / D)^α_D, where size does not: the best loss of each amount of data (equation 1.2).
- L(C) = (C_c / C)^α_C: along the runs that no run of less compute beats (equation 1.3; C is 6 N D where not given).
- L(N, D) = [(N_c / N)^(α_N / α_D) + D_c / D]^α_D, on all runs together (equation 1.5).

From the last follows how to spend C = 6 N D: the loss is least where N* = [(α_N / α_D) · N_c^(α_N / α_D) · C / (6 D_c)]
to the power 1 / (1 + α_N / α_D). This is the optimum of the fitted L(N, D) for runs that use each token once; the
paper's own N ∝ C^0.73 comes from equation 1.6, which counts optimisation steps at the critical batch size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reason.evals.leastsquares import minimize
from reason.evals.power_law import Interval, PowerLaw
from reason.types import UsageError

Floats = NDArray[np.float64]

FLOPS_PER_PARAMETER_TOKEN = 6
FEWEST_JOINT = 5
SAME_COST = 1e-3


@dataclass(frozen=True, slots=True)
class Trained:
    """A training run.

    Attributes:
        parameters: N, without embeddings.
        tokens: D, tokens trained on.
        loss: Test loss in nats per token, above 0.
    """

    parameters: float
    tokens: float
    loss: float


@dataclass(frozen=True, slots=True)
class Joint:
    """L(N, D).

    Attributes:
        n_critical, d_critical, n_exponent, d_exponent: N_c, D_c, α_N, α_D.
        n_exponent_ci, d_exponent_ci: 95 % intervals; NaN where the runs determine none.
        points: Runs fitted.
        r2: Share of the variance of log L that is explained.
        miss: Root mean square of the residuals of log L.
    """

    n_critical: float
    d_critical: float
    n_exponent: float
    d_exponent: float
    n_exponent_ci: Interval
    d_exponent_ci: Interval
    points: int
    r2: float
    miss: float

    def at(self, parameters: float, tokens: float) -> float:
        """The loss of a model of that size trained on that many tokens."""
        size = (self.n_critical / parameters) ** (self.n_exponent / self.d_exponent)
        return float((size + self.d_critical / tokens) ** self.d_exponent)

    def optimum(self, flops: float) -> tuple[float, float]:
        """Parameters and tokens of the least loss at 6 N D = flops."""
        ratio = self.n_exponent / self.d_exponent
        top = math.log(ratio) + ratio * math.log(self.n_critical)
        top += math.log(flops / (FLOPS_PER_PARAMETER_TOKEN * self.d_critical))
        parameters = math.exp(top / (1 + ratio))
        return parameters, flops / (FLOPS_PER_PARAMETER_TOKEN * parameters)

    @property
    def allocation(self) -> float:
        """p of N* ∝ C^p."""
        return self.d_exponent / (self.n_exponent + self.d_exponent)


def least(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The least loss at each x, by rising x: what L(N) and L(D) are fitted to."""
    found: dict[float, float] = {}
    for x, loss in points:
        found[x] = min(loss, found.get(x, math.inf))
    return sorted(found.items())


def envelope(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that none of at most their cost equals or beats, by rising cost: what L(C) is fitted to.

    Costs that differ by less than a thousandth count as equal.
    """
    kept: list[tuple[float, float]] = []
    for cost, loss in sorted(points):
        if kept and loss >= kept[-1][1]:
            continue
        if kept and cost < kept[-1][0] * (1 + SAME_COST):
            kept.pop()
        kept.append((cost, loss))
    return kept


def critical(law: PowerLaw) -> float:
    """N_c, D_c or C_c of a law without a floor: the x at which it gives a loss of 1."""
    return math.exp(min(700.0, math.log(law.scale) / law.exponent)) if law.exponent else math.inf


def joint(runs: Sequence[Trained]) -> Joint:
    """Fit L(N, D) to all runs, in log L.

    Raises:
        UsageError: Fewer than 5 runs, sizes or amounts of data that do not vary, or a value not above 0.
    """
    sizes, amounts = {run.parameters for run in runs}, {run.tokens for run in runs}
    if len(runs) < FEWEST_JOINT or len(sizes) < 2 or len(amounts) < 2:
        raise UsageError(
            f"L(N, D) got {len(runs)} runs of {len(sizes)} sizes and {len(amounts)} amounts of data: pass at least "
            f"{FEWEST_JOINT} runs in which both vary."
        )
    table = np.array([(run.parameters, run.tokens, run.loss) for run in runs], float)
    if not (np.isfinite(table).all() and (table > 0).all()):
        raise UsageError(
            "L(N, D) needs parameters, tokens and losses above 0 and finite: mend or leave out those rows."
        )
    logs = np.log(table)

    def residuals(values: Floats) -> Floats:
        return np.asarray(values[1] * _inner(values, logs[:, 0], logs[:, 1]) - logs[:, 2], float)

    solution = minimize(residuals, _starts(logs))
    alpha_n, alpha_d, log_n, log_d = (float(value) for value in solution.values)
    intervals = solution.intervals()
    spread = float(((logs[:, 2] - logs[:, 2].mean()) ** 2).sum())
    return Joint(
        math.exp(min(700.0, log_n)),
        math.exp(min(700.0, log_d)),
        alpha_n,
        alpha_d,
        intervals[0],
        intervals[1],
        len(runs),
        1 - solution.rss / spread if spread else math.nan,
        math.sqrt(solution.rss / len(runs)),
    )


def _inner(values: Floats, size: Floats, amount: Floats) -> Floats:
    """log[(N_c / N)^(α_N / α_D) + D_c / D] of the parameters (α_N, α_D, log N_c, log D_c)."""
    alpha_n, alpha_d, log_n, log_d = values
    with np.errstate(all="ignore"):
        return np.asarray(np.logaddexp(alpha_n / alpha_d * (log_n - size), log_d - amount), float)


def _starts(logs: Floats) -> list[list[float]]:
    """Exponents over the range that language models show; the constants where each part alone gives the least loss."""
    least = logs[:, 2].min()
    largest_n, largest_d = logs[:, 0].max(), logs[:, 1].max()
    return [
        [alpha_n, alpha_d, largest_n + (least - math.log(2)) / alpha_n, largest_d + (least - math.log(2)) / alpha_d]
        for alpha_n in (0.04, 0.08, 0.16, 0.35)
        for alpha_d in (0.05, 0.1, 0.2, 0.4)
    ]
