"""Scorers: what judges. `load_scorer` makes one from a name or a directory, `verifier` from a rule.

A scorer is anything with `judge(paths)` (`reason.types.Scorer`). It may also have:

- `parameters`: its model's parameter count, for FLOPs accounting;
- `name` and `oracle` (it knows the gold answers), for reports;
- `count_tokens(path)`: the most tokens that judging the path can cost, for budgets of scorer tokens;
- `compare(pairs)`: async; for each pair of paths a score whose value is the probability that the first is better, for
  strategies that compare; and `count_pair_tokens(first, second)`, as `count_tokens`;
- `validate(problems)`: raises UsageError where it cannot judge these problems;
- `identity`: a text that differs wherever its scores would (model, prompts, options), which a trace store keeps them
  by; without it they are kept by its class and `name`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from reason.scorers.load import load_scorer
from reason.scorers.verifier import ArithmeticVerifier, Verifier, numeric, symbolic, verifier

if TYPE_CHECKING:
    from reason.scorers.cache import cached
    from reason.scorers.calibration import Calibration, calibrate, fit
    from reason.scorers.code import UnitTests
    from reason.scorers.combine import Cascade, Product, WeightedSum
    from reason.scorers.critic import Critic, ForceSampling
    from reason.scorers.ensembles import ensemble
    from reason.scorers.game24 import Game24
    from reason.scorers.genrm import GenRM
    from reason.scorers.judge import Judge
    from reason.scorers.named import judging_policy
    from reason.scorers.outcome import OutcomeScorer
    from reason.scorers.pairs import Pairs
    from reason.scorers.pattern import Regex
    from reason.scorers.process import ProcessScorer
    from reason.scorers.rubrics import Rubric
    from reason.scorers.sandbox import Limits
    from reason.scorers.schema import JsonSchema
    from reason.scorers.store import save_scorer

_LAZY = {
    "cached": "reason.scorers.cache",
    "Calibration": "reason.scorers.calibration",
    "calibrate": "reason.scorers.calibration",
    "fit": "reason.scorers.calibration",
    "ensemble": "reason.scorers.ensembles",
    "Cascade": "reason.scorers.combine",
    "Critic": "reason.scorers.critic",
    "ForceSampling": "reason.scorers.critic",
    "Game24": "reason.scorers.game24",
    "GenRM": "reason.scorers.genrm",
    "JsonSchema": "reason.scorers.schema",
    "Judge": "reason.scorers.judge",
    "judging_policy": "reason.scorers.named",
    "Limits": "reason.scorers.sandbox",
    "OutcomeScorer": "reason.scorers.outcome",
    "Pairs": "reason.scorers.pairs",
    "Product": "reason.scorers.combine",
    "Regex": "reason.scorers.pattern",
    "Rubric": "reason.scorers.rubrics",
    "UnitTests": "reason.scorers.code",
    "WeightedSum": "reason.scorers.combine",
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
    "Cascade",
    "Critic",
    "ForceSampling",
    "Game24",
    "GenRM",
    "JsonSchema",
    "Judge",
    "Limits",
    "OutcomeScorer",
    "Pairs",
    "ProcessScorer",
    "Product",
    "Regex",
    "Rubric",
    "UnitTests",
    "Verifier",
    "WeightedSum",
    "cached",
    "calibrate",
    "ensemble",
    "fit",
    "judging_policy",
    "load_scorer",
    "numeric",
    "save_scorer",
    "symbolic",
    "verifier",
]
