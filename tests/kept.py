"""Small kept runs for tests of what reads them."""

from __future__ import annotations

from pathlib import Path

from reason.evals.results import Results
from reason.evals.run import evaluate
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.search import STRATEGIES
from toy import TASK


def keep(folder: Path, strategy: str, n: int, *, seed: int = 0, count: int = 40, **config: object) -> Path:
    """A run as `reason eval --out` keeps it."""
    search = STRATEGIES[strategy](n)
    results = Results(folder, {"task": "toy", "strategy": strategy, "n": n, "model": "fake", "seed": seed, **config})
    evaluate(
        fake_problems(count),
        TASK.grade,
        policy=FakePolicy(accuracy=0.6),
        search=search,
        scorer=FakeScorer(noise=0.4) if search.needs else None,
        seed=seed,
        results=results,
    )
    return folder
