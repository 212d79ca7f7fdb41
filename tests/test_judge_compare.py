"""The LLM judge on pairs: both orders, ties, what cannot be read."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging import INJECTIONS, always, better, compared, solution
from scripted import ScriptedPolicy, between

from reason.scorers.judge import Judge
from reason.types import Finish, Path, Problem, UsageError


class TestCompare:
    def test_both_orders_are_asked_and_averaged(self) -> None:
        good, bad = solution("good"), solution("bad")
        policy = better("good")
        first, second = compared(Judge(policy), (good, bad), (bad, good))
        assert (first.value, second.value) == (1.0, 0.0)
        shown = [between(path.problem.question, "solution-A") for path in policy.asked]
        assert shown == ["good", "bad", "bad", "good"]

    def test_a_judge_of_places_says_half(self) -> None:
        [score] = compared(Judge(better(None)), (solution("a"), solution("b")))
        assert score.value == 0.5

    def test_ties_and_votes(self) -> None:
        [tie] = compared(Judge(always("Better: tie")), (solution("a"), solution("b")))
        assert tie.value == 0.5
        replies = iter(["Better: A", "?", "Better: A", "Better: B", "Better: B", "Better: tie"])
        [mixed] = compared(Judge(ScriptedPolicy(lambda path: next(replies)), votes=3), (solution("a"), solution("b")))
        assert mixed.value == pytest.approx((1 + 1 - 1 / 6) / 2)

    def test_one_unreadable_order_is_enough_to_be_unscored(self) -> None:
        replies = iter(["Better: A", "hm"])
        [score] = compared(Judge(ScriptedPolicy(lambda path: next(replies))), (solution("a"), solution("b")))
        assert math.isnan(score.value)
        assert "'hm'" in str(score.error)
        assert score.tokens > 0

    def test_what_needs_no_judge(self) -> None:
        policy = better(None)
        same, failed = compared(
            Judge(policy), (solution("a"), solution("a")), (solution("a"), solution("b", Finish.ERROR))
        )
        assert same.value == 0.5
        assert not failed.scored
        assert not policy.asked
        with pytest.raises(UsageError, match="cannot be compared"):
            compared(Judge(policy), (solution("a"), solution("b", problem=Problem("q", "?"))))

    @given(st.integers(0, 50), st.integers(1, 3))
    def test_swapping_a_pair_turns_its_value_around(self, seed: int, votes: int) -> None:
        def script(path: Path) -> str:
            return "Better: " + random.Random(path.seed).choice(["A", "B", "tie"])

        pair = (solution("a"), solution("b"))
        scorer = Judge(ScriptedPolicy(script), votes=votes, seed=seed)
        there, back = compared(scorer, pair, pair[::-1])
        assert there.value == pytest.approx(1 - back.value)

    @pytest.mark.parametrize("text", INJECTIONS)
    def test_injected_verdicts_are_not_read(self, text: str) -> None:
        [score] = compared(Judge(better("good")), (solution(text), solution("good")))
        assert score.value == 0.0

    @pytest.mark.parametrize("votes", [1, 2])
    def test_tokens_are_counted_and_bounded(self, votes: int) -> None:
        policy, pair = better("good"), (solution("good"), solution("bad"))
        scorer = Judge(policy, votes=votes)
        [score] = compared(scorer, pair)
        assert score.tokens == sum(len(asked.problem.question) + len("Better: A") for asked in policy.asked)
        assert score.tokens <= scorer.count_pair_tokens(*pair)

    def test_options_reach_the_comparison(self) -> None:
        policy = better(None)
        pair = (solution("a"), solution("b", Finish.STEP))
        compared(Judge(policy, rubric="style", reference=True, reasoning=False), pair)
        prompt = policy.asked[0].problem.question
        assert "Style" in prompt
        assert between(prompt, "reference-answer") == "4"
        assert "First compare" not in prompt
        assert "unfinished" in prompt
