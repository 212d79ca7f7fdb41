"""A table tuned on the toy world, for the tests of compute-optimal search."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from reason.evals.calibrate import Case, Settings, fit
from reason.evals.tune import Records, cases_of, collect, runs_for, settings_for
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.search.table import Table
from reason.types import Problem, Sampling
from toy import TASK

ACCURACY, BRANCH, NOISE = 0.6, 3, 0.5
SAMPLING = Sampling(temperature=1.0, max_tokens=200)
STRATEGIES = ("best_of_n", "beam")
SIZES = (1, 2, 4, 8)


def policy() -> FakePolicy:
    return FakePolicy(accuracy=ACCURACY, branch=BRANCH)


def scorer() -> FakeScorer:
    return FakeScorer(noise=NOISE)


def mixed(count: int, seed: int = 0) -> list[Problem]:
    """Problems of 2 to 7 terms, in turn."""
    found = []
    for index in range(count):
        problem = fake_problems(count, terms=2 + index % 6, seed=seed)[index]
        found.append(replace(problem, id=f"mixed-{seed}-{index}"))
    return found


@lru_cache(maxsize=4)
def cases(strategies: tuple[str, ...] = STRATEGIES, judged: bool = True, count: int = 72) -> tuple[Case, ...]:
    """Calibration runs."""
    problems, works = mixed(count, seed=100), runs_for(strategies, SIZES, judged=judged, repeats=1)
    records = Records(None, {})
    judge = scorer() if judged else None
    collect(works, problems, records, task=TASK, policy=policy(), scorer=judge, sampling=SAMPLING, seed=7)
    return tuple(cases_of(works, problems, records))


def settings(strategies: tuple[str, ...] = STRATEGIES, judged: bool = True, bins: int = 4) -> Settings:
    return settings_for(strategies, SIZES, judged=judged, samples=2, bins=bins, seed=0)


@lru_cache(maxsize=4)
def table(strategies: tuple[str, ...] = STRATEGIES, judged: bool = True) -> Table:
    """The table of these runs."""
    name = "fake" if judged else None
    made = {"command": "none"}
    return fit(
        cases(strategies, judged), settings(strategies, judged), model="fake", scorer=name, task="toy", made=made
    )
