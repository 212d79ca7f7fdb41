"""Comparisons made of values."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reason
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.scorers import Pairs
from reason.types import Finish, Path, Problem, Score, Step, UsageError

PROBLEM = Problem("p", "1 + 2")


class Told:
    """Values by text; counts what it is asked."""

    name = "told"

    def __init__(self, values: dict[str, float]) -> None:
        self.values, self.asked = values, list[str]()

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        self.asked += [path.text for path in paths]
        return [Score(self.values[path.text], tokens=5) for path in paths]


def path(text: str) -> Path:
    return Path(PROBLEM, (Step(text, finish=Finish.STOP),))


def compared(scorer: Pairs, *pairs: tuple[str, str]) -> list[Score]:
    return asyncio.run(scorer.compare([(path(first), path(second)) for first, second in pairs]))


@given(st.floats(0, 1), st.floats(0, 1))
def test_probabilities_are_odds(first: float, second: float) -> None:
    ab, ba = compared(Pairs(Told({"a": first, "b": second})), ("a", "b"), ("b", "a"))
    assert ab.value + ba.value == pytest.approx(1)
    if 0.001 < first < 0.999 and 0.001 < second < 0.999:
        assert ab.value == pytest.approx(first * (1 - second) / (first * (1 - second) + second * (1 - first)))


def test_strengths_are_taken_as_they_are() -> None:
    [score] = compared(Pairs(Told({"a": 3.0, "b": 1.0}), odds=False), ("a", "b"))
    assert score.value == pytest.approx(1 / (1 + math.exp(-2)))
    assert compared(Pairs(Told({"a": -1e6, "b": 1e6}), odds=False), ("a", "b"))[0].value == 0
    with pytest.raises(UsageError, match="odds=False"):
        compared(Pairs(Told({"a": 3.0, "b": 1.0})), ("a", "b"))


def test_every_path_is_judged_and_paid_for_once() -> None:
    told = Told({"a": 0.9, "b": 0.5, "c": 0.1})
    scores = compared(Pairs(told), ("a", "b"), ("b", "c"), ("a", "c"), ("a", "a"))
    assert sorted(told.asked) == ["a", "b", "c"]
    assert sum(score.tokens for score in scores) == 15
    assert scores[-1].value == 0.5


def test_unscored_paths_cannot_be_compared() -> None:
    [score] = compared(Pairs(Told({"a": math.nan, "b": 0.5})), ("a", "b"))
    assert not score.scored
    assert score.error


def test_a_reward_model_decides_a_tournament() -> None:
    problems = fake_problems(6)
    outcomes = reason.solve(
        problems,
        policy=FakePolicy(accuracy=0.6),
        scorer=Pairs(FakeScorer()),
        search=reason.tournament(8),
        progress=False,
    )
    best = reason.solve(
        problems, policy=FakePolicy(accuracy=0.6), scorer=FakeScorer(), search=reason.best_of_n(8), progress=False
    )
    assert [outcome.answer for outcome in outcomes] == [outcome.answer for outcome in best]


def test_by_name() -> None:
    assert isinstance(reason.load_scorer("pairs:arithmetic"), Pairs)
