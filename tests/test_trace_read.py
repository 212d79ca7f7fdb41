"""What is read from a trace store is what was written, bit by bit."""

from __future__ import annotations

import math
import sqlite3
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_runs import Paid, run, shown

import reason
from reason import Finish, Path, Problem, Sampling, Score, Step
from reason.policies.fake import FakePolicy
from reason.trace import Store, read
from reason.trace.records import read_score, read_step, score_row, step_row


@pytest.fixture
def file(tmp_path: FilePath) -> FilePath:
    return tmp_path / "run.db"


@pytest.mark.parametrize("name", ["best_of_n", "mcts", "beam", "revision", "tournament", "budget_forcing", "ab_mcts"])
def test_outcomes_come_back_as_they_were(name: str, file: FilePath) -> None:
    outcomes = run(getattr(reason, name)(5), Paid(), file)
    with read(file) as trace:
        [search] = trace.searches()
        assert search.strategy == name
        for outcome, stored in zip(outcomes, trace.outcomes(search.number), strict=True):
            assert repr(trace.outcome(stored)) == repr(replace(outcome, tree=None))
            rows = trace.tree(search.number, stored.problem)
            if outcome.tree is None:
                assert not rows
                continue
            assert len(rows) == len(outcome.tree)
            for row in rows[1:]:
                assert row.node is not None
                assert trace.node(row.node).step.text == outcome.tree.steps[row.place].text
                assert (row.visits, row.copies, row.chosen) == (
                    outcome.tree.visits[row.place],
                    outcome.tree.copies[row.place],
                    outcome.tree.chosen[row.place],
                )
                above = rows[row.parent or 0].node
                assert trace.node(row.node).parent == above or outcome.tree.whole


ODD = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)
NUMBERS = st.lists(st.floats(allow_nan=True), max_size=5).map(tuple)
STEPS = st.builds(
    Step,
    text=ODD,
    token_ids=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5).map(tuple),
    logprobs=NUMBERS,
    finish=st.sampled_from(Finish),
    prefilled=st.integers(0, 2**40),
    error=st.none() | ODD,
    confidences=NUMBERS,
    tail=st.integers(0, 3),
    shared=st.integers(0, 9),
)
SCORES = st.builds(
    Score,
    value=st.floats(allow_nan=True),
    steps=NUMBERS,
    tokens=st.integers(0, 2**40),
    explanation=ODD,
    error=st.none() | ODD,
    parts=NUMBERS,
)


def bits(value: Any) -> Any:
    """NaN equal to NaN, and 0.0 not to -0.0."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("d", value)
    return tuple(map(bits, value)) if isinstance(value, tuple) else value


@given(step=STEPS, score=SCORES)
def test_steps_and_scores_come_back_bit_by_bit(step: Step, score: Score) -> None:
    connection = sqlite3.connect(":memory:")
    for row, back in ((step_row(step), read_step), (score_row(score), read_score)):
        marks = ", ".join("?" * len(row))
        found = back(connection.execute(f"SELECT {marks}", row).fetchone())  # type: ignore[operator]
        given = step if isinstance(found, Step) else score
        for name in type(given).__slots__:
            assert bits(getattr(found, name)) == bits(getattr(given, name)), name
    connection.close()


def test_texts_that_are_no_unicode_come_back(file: FilePath) -> None:
    odd = "a\ud800b\0c\u202e<script>"

    class Odd(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            return [Step(odd, finish=Finish.STOP) for _ in paths]

    problem = Problem("p", f"What is {odd}?", odd, {"n": [1, {"x": None}]})
    outcomes = run(reason.self_consistency(2), Paid(), file, policy=Odd(), problems=[problem])
    assert shown(run(reason.self_consistency(2), Paid(), file, policy=Odd(), problems=[problem])) == shown(outcomes)
    with read(file) as trace:
        [stored] = trace.problems()
        assert stored.problem == problem
        [outcome] = trace.outcomes()
        assert trace.outcome(outcome).path == outcomes[0].path


def test_a_store_is_shared_by_runs_one_after_the_other(file: FilePath) -> None:
    paid = Paid()
    with Store(file) as store:
        run(reason.self_consistency(3), paid, store)
        run(reason.self_consistency(5), paid, store)
        with read(file) as trace:
            assert trace.being_written()
            assert trace.counts()["outcome"] == 6
    assert len(paid.steps) == 15
    with read(file) as trace:
        assert len(trace.meta().sessions) == 1
        assert trace.meta().software["python"]
        before = trace.changed()
        run(reason.self_consistency(6), paid, file)
        assert trace.changed() != before
