"""Scorers: what judges. `load_scorer` makes one from a name or a directory, `verifier` from a rule.

A scorer is anything with `judge(paths)` (`reason.types.Scorer`). It may also have:

- `parameters`: its model's parameter count, for FLOPs accounting;
- `name` and `oracle` (it knows the gold answers), for reports;
- `count_tokens(path)`: the most tokens that judging the path can cost, for budgets of scorer tokens;
- `compare(pairs)`: async; for each pair of paths a score whose value is the probability that the first is better, for
  strategies that compare; and `count_pair_tokens(first, second)`, as `count_tokens`;
- `validate(problems)`: raises UsageError where it cannot judge these problems.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from reason.scorers.load import load_scorer
from reason.scorers.verifier import ArithmeticVerifier, Verifier, verifier

if TYPE_CHECKING:
    from reason.scorers.cache import cached
    from reason.scorers.calibration import Calibration, calibrate, fit
    from reason.scorers.ensembles import ensemble
    from reason.scorers.outcome import OutcomeScorer
    from reason.scorers.process import ProcessScorer
    from reason.scorers.store import save_scorer

_LAZY = {
    "cached": "reason.scorers.cache",
    "Calibration": "reason.scorers.calibration",
    "calibrate": "reason.scorers.calibration",
    "fit": "reason.scorers.calibration",
    "ensemble": "reason.scorers.ensembles",
    "OutcomeScorer": "reason.scorers.outcome",
    "ProcessScorer": "reason.scorers.process",
    "save_scorer": "reason.scorers.store",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'reason.scorers' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


__all__ = [
    "ArithmeticVerifier",
    "Calibration",
    "OutcomeScorer",
    "ProcessScorer",
    "Verifier",
    "cached",
    "calibrate",
    "ensemble",
    "fit",
    "load_scorer",
    "save_scorer",
    "verifier",
]
