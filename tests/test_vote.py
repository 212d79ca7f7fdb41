"""Voting: grouping, order, ties, weights, and agreement with a naive vote."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.answers import Group, equal, vote
from reason.types import UsageError


def test_equal_answers_are_one_group_however_they_are_written() -> None:
    groups = vote(["0.5", r"\frac{1}{2}", "3", "1/2", r"50\%", "3.0"])
    assert [group.members for group in groups] == [(0, 1, 3, 4), (2, 5)]
    assert groups[0] == Group("0.5", (0, 1, 3, 4), 4.0)


def test_a_number_and_its_percentage_stay_apart() -> None:
    assert len(vote(["5", r"5\%", "10 cm", "10 m"])) == 4


def test_no_answer_never_wins_unless_there_is_none() -> None:
    groups = vote([None, "", "7", None], [5.0, 5.0, 0.1, 5.0])
    assert [group.answer for group in groups] == ["7", None]
    assert groups[1].members == (0, 1, 3)
    assert vote([None, None]) == [Group(None, (0, 1), 2.0)]
    assert vote([]) == []


def test_ties_go_to_the_answer_seen_first() -> None:
    assert [group.answer for group in vote(["2", "1", "1", "2"])] == ["2", "1"]
    assert [group.answer for group in vote(["1", "2"], [0.25, 0.25])] == ["1", "2"]


def test_weights_add_and_unscored_members_weigh_nothing() -> None:
    groups = vote(["1", "2", "2", "1"], [0.9, 0.5, 0.6, math.nan])
    assert [(group.answer, group.weight) for group in groups] == [("2", 1.1), ("1", 0.9)]
    assert groups[1].members == (0, 3)


def test_one_weight_per_answer_is_asked_for() -> None:
    with pytest.raises(UsageError, match="2 answers and 1 weights"):
        vote(["1", "2"], [1.0])


@settings(deadline=None)
@given(st.lists(st.sampled_from(["1", "2", "10", "1.0", None]), max_size=12))
def test_counts_equal_a_naive_count(answers: list[str | None]) -> None:
    counted = Counter(float(answer) for answer in answers if answer is not None)
    groups = vote(answers)
    assert {float(g.answer): len(g.members) for g in groups if g.answer is not None} == dict(counted)
    assert sorted(member for group in groups for member in group.members) == list(range(len(answers)))


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["1/2", "0.5", "x=2", "2", "(1,2)", r"\sqrt4", "1,2", r"\pi", "3.1415926536", "A", "a"]),
        max_size=9,
    )
)
def test_every_pair_within_a_group_is_equal_to_its_first_member(answers: list[str]) -> None:
    for group in vote(answers):
        for member in group.members:
            assert equal(group.answer, answers[member], symbolic=False).correct
