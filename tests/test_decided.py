"""An early end never changes the answer, and happens."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import recorder

from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.search import mcts
from reason.search.mcts import FINALS, VALUES
from reason.types import Finish, Problem, Step


@settings(deadline=None, max_examples=150)
@given(
    count=st.integers(1, 30),
    branch=st.integers(1, 4),
    wave=st.integers(1, 4),
    final=st.sampled_from(FINALS),
    value=st.sampled_from(VALUES),
    rule=st.sampled_from(["puct", "uct"]),
    accuracy=st.sampled_from([0.3, 0.7, 0.95]),
    noise=st.sampled_from([0.0, 0.9]),
    seed=st.integers(0, 10_000),
)
def test_an_early_end_never_changes_the_answer(count, branch, wave, final, value, rule, accuracy, noise, seed):
    if (value, final) == ("agreement", "value"):
        return
    problem = fake_problems(1, terms=3, seed=seed)[0]
    search = mcts(100, branch, simulations=count, wave=wave, final=final, value=value, rule=rule)
    early = recorder(accuracy, noise=noise, seed=seed)
    ended = early.solve(search, problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["reason.search.mcts"], "decided", lambda state: False)
        full = recorder(accuracy, noise=noise, seed=seed)
        whole = full.solve(search, problem)
    assert ended.answer == whole.answer
    assert early.extended == full.extended[: len(early.extended)]
    if final == "value":
        assert ended.path.text == whole.path.text


@pytest.mark.parametrize(
    ("final", "value"), [("value", "scorer"), ("visits", "scorer"), ("vote", "scorer"), ("vote", "agreement")]
)
def test_it_does_end_early(final, value):
    record = recorder()
    record.policy = OneAnswer()
    record.scorer = FakeScorer(good=1.0, bad=1.0)
    search = mcts(1000, 1, simulations=60, wave=2, final=final, value=value)
    outcome = record.solve(search, Problem("p", "1 + 1"))
    assert outcome.answer == "2"
    assert (len(record.extended) == 1) if final == "value" else (30 <= len(record.extended) < 120)


class OneAnswer(FakePolicy):
    """Says something else every time, and always answers 2."""

    async def extend(self, paths, sampling):
        return [Step(f"Say {path.seed}.\nAnswer: 2", finish=Finish.STOP) for path in paths]


def test_a_value_above_the_bound_decides_nothing():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.5)
    record.scorer = FakeScorer(good=1.0, bad=0.0)
    cheap = record.solve(mcts(8), problem)
    assert cheap.answer == problem.answer
    dear = recorder(0.5)
    dear.scorer = FakeScorer(good=1.0, bad=0.0)
    dear.solve(mcts(8, bound=0.5), problem)
    assert len(dear.extended) > len(record.extended)
