"""Sampling sparingly: fewer copies, no fewer different steps than their probability is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.policies.fake import FakePolicy, fake_problems
from reason.run import solve
from reason.search.sparing import extend_sparingly, further, unseen
from reason.types import Finish, Outcome, Path, Problem, Step, Until
from reason.work import SearchRun, extend

PROBLEM = fake_problems(1)[0]


def step(text: str, probability: float | None = None, finish: Finish = Finish.STEP) -> Step:
    return Step(text, (1,), () if probability is None else (math.log(probability),), finish)


def test_the_chance_of_a_new_step_is_what_the_sampled_ones_leave() -> None:
    assert unseen([]) == 1
    assert unseen([step("a", 0.7)]) == pytest.approx(0.3)
    assert unseen([step("a", 0.7), step("b", 0.2), step("a", 0.7)]) == pytest.approx(0.1)
    assert unseen([step("a", 0.7), step("a", 0.25, Finish.STOP)]) == pytest.approx(0.05)


def test_without_log_probabilities_it_is_the_share_seen_once() -> None:
    assert unseen([step("a")]) == 1
    assert unseen([step("a"), step("a")]) == 0
    assert unseen([step("a"), step("b"), step("a")]) == pytest.approx(1 / 3)


def test_as_many_again_up_to_the_share() -> None:
    rare = [step(str(index), 0.1) for index in range(3)]
    assert further([], 4, 0.2) == 1
    assert further(rare[:1], 8, 0.2) == 1
    assert further(rare, 8, 0.2) == 3
    assert further(rare, 4, 0.2) == 1
    assert further(rare, 3, 0.2) == 0
    assert further([step("a", 0.9)], 8, 0.2) == 0
    assert further(rare, 8, 0.0) == 5
    assert further([step("a", 0.1), Step("", finish=Finish.BUDGET)], 8, 0.2) == 0


def families(policy: FakePolicy, counts: Sequence[int], novelty: float, seed: int = 0) -> list[list[str]]:
    found: list[list[str]] = []

    def run(problem: Problem) -> SearchRun:
        grown = yield from extend_sparingly([Path(problem)] * len(counts), counts, novelty)
        found.extend([path.text for path in family] for family in grown)
        return Outcome(problem, None, None)

    solve([PROBLEM], policy=policy, search=run, seed=seed, progress=False)
    return found


@settings(max_examples=30, deadline=None)
@given(
    accuracy=st.floats(0.05, 0.95),
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    novelty=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_every_parent_gets_one_at_least_and_its_share_at_most(
    accuracy: float, counts: list[int], novelty: float, seed: int
) -> None:
    grown = families(FakePolicy(accuracy=accuracy), counts, novelty, seed)
    for family, count in zip(grown, counts, strict=True):
        assert 1 <= len(family) <= count
    if novelty == 0:
        assert [len(family) for family in grown] == counts


def test_a_sure_step_is_sampled_once_and_an_unsure_one_in_full() -> None:
    assert [len(family) for family in families(FakePolicy(accuracy=0.99), [8], 0.05)] == [1]
    assert [len(family) for family in families(FakePolicy(accuracy=0.3, branch=8), [8], 0.05)] == [8]


def test_novelty_zero_is_plain_sampling() -> None:
    policy, plain = FakePolicy(accuracy=0.5), list[str]()

    def run(problem: Problem) -> SearchRun:
        for path in (yield from extend([Path(problem)] * 4, Until.STEP)):
            plain.append(path.text)
        return Outcome(problem, None, None)

    solve([PROBLEM], policy=policy, search=run, progress=False)
    assert sorted(families(policy, [4], 0.0)[0]) == sorted(plain)
