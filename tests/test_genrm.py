"""GenRM: verification in words, votes, and P(yes) where it can be weighed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from judging import always, belief, judged, solution
from scripted import ScriptedPolicy, WeighingPolicy, between

from reason.policies import wrap
from reason.scorers.genrm import GenRM
from reason.scorers.judge import Judge
from reason.scorers.yesno import read_yes_no
from reason.types import Finish, Policy, Problem, Sampling, Score, UsageError


class TestGenRM:
    def test_the_share_of_votes_where_nothing_is_weighed(self) -> None:
        replies = iter(["It holds.\nVerdict: Yes", "Verdict: No", "hm", "Verdict: Yes"])
        [score] = judged(GenRM(ScriptedPolicy(lambda path: next(replies))), solution("4"))
        assert score.value == pytest.approx(2 / 3)
        assert score.explanation == "It holds.\nVerdict: Yes"

    def test_token_probabilities_are_averaged_over_verifications(self) -> None:
        replies = iter(["No errors.\nVerdict: Yes", "hm", "There are.\nVerdict: No", "**Verdict:** Yes."])
        beliefs = {"No errors.\nVerdict:": 0.9, "There are.\nVerdict:": 0.4, "**Verdict:**": 0.8}
        policy = WeighingPolicy(
            lambda path: next(replies), lambda path, option: belief(beliefs[path.text])(path, option)
        )
        [score] = judged(GenRM(policy), solution("4"))
        assert score.value == pytest.approx((0.9 + 0.4 + 0.8) / 3)
        assert [path.text for path in policy.weighed] == list(beliefs)

    def test_without_verification_a_weighing_policy_samples_nothing(self) -> None:
        policy = WeighingPolicy(lambda path: "?", belief(0.3))
        [score] = judged(GenRM(policy, cot=False), solution("4"))
        assert score.value == pytest.approx(0.3)
        assert not policy.asked
        assert policy.weighed[0].text == "Verdict:"
        voting = always("Verdict: Yes")
        [voted] = judged(GenRM(voting, cot=False, votes=2), solution("4"))
        assert voted.value == 1.0
        assert "step by step. Then end" not in voting.asked[0].problem.question

    @pytest.mark.parametrize(
        ("reply", "before"),
        [
            ("İİİ yes, no.\nVerdict: Yes", "İİİ yes, no.\nVerdict:"),
            ("İ\n**Verdict:** NO.", "İ\n**Verdict:**"),
            ("No doubt.\nVerdict: Y*es*", "No doubt.\nVerdict:"),
        ],
    )
    def test_the_verdict_is_weighed_right_before_it(self, reply: str, before: str) -> None:
        policy = WeighingPolicy(lambda path: reply, lambda path, option: -1.0)
        [score] = judged(GenRM(policy, votes=1), solution("4"))
        assert score.value == 0.5
        assert [path.text for path in policy.weighed] == [before]

    def test_letters_beyond_ascii_are_no_verdict(self) -> None:
        assert read_yes_no("Verdict: Yeſ") is None

    def test_votes_cost_nothing_where_nothing_is_sampled(self) -> None:
        policy = WeighingPolicy(lambda path: "", lambda path, option: -1.0)
        bounds = set()
        for votes in (1, 5):
            scorer = Judge(policy, scale="probability", reasoning=False, votes=votes, max_tokens=1)
            [score] = judged(scorer, solution("4"))
            bounds.add(scorer.count_tokens(solution("4")))
            assert score.tokens <= min(bounds)
        assert len(bounds) == 1
        assert len(policy.weighed) == 2

    def test_impossible_options_are_unscored(self) -> None:
        nothing = WeighingPolicy(lambda path: "Verdict: Yes", lambda path, option: -math.inf)
        for scorer in (GenRM(nothing), GenRM(nothing, cot=False)):
            [score] = judged(scorer, solution("4"))
            assert not score.scored
            assert "possible" in str(score.error)
        sure = WeighingPolicy(lambda path: "", lambda path, option: 0.0 if option == " Yes" else -math.inf)
        assert judged(GenRM(sure, cot=False), solution("4"))[0].value == 1.0
        never = WeighingPolicy(lambda path: "", lambda path, option: 0.0 if option == " No" else -math.inf)
        assert judged(GenRM(never, cot=False), solution("4"))[0].value == 0.0

    def test_options(self) -> None:
        policy = always("Verdict: Yes")
        scorer = GenRM(policy, votes=3, reference=True, temperature=0.2, max_tokens=99, seed=5)
        judged(scorer, solution("4"), solution("4", Finish.STEP))
        assert len(policy.asked) == 6
        assert policy.samplings[0] == Sampling(temperature=0.2, max_tokens=99)
        assert between(policy.asked[0].problem.question, "reference-answer") == "4"
        assert "so far" in policy.asked[3].problem.question
        assert scorer.oracle
        with pytest.raises(UsageError, match="q has none"):
            scorer.validate([Problem("q", "?")])
        other = always("Verdict: Yes")
        judged(GenRM(other, votes=3, seed=6), solution("4"))
        assert {path.seed for path in other.asked}.isdisjoint(path.seed for path in policy.asked)

    def test_a_function_can_judge(self) -> None:
        def verify(prompt: str) -> str:
            return "Verdict: Yes" if "2 + 2 = 4" in prompt else "Verdict: No"

        policy: Policy = wrap(verify)
        scores: Sequence[Score] = judged(GenRM(policy, votes=2), solution("2 + 2 = 4"), solution("5"))
        assert [score.value for score in scores] == [1.0, 0.0]
