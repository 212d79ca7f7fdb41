"""The LLM judge and GenRM on scripted policies: verdicts, injection, votes, seeds, tokens."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging import INJECTIONS, PROBLEM, always, judged, solution
from scripted import ScriptedPolicy, WeighingPolicy, between

from reason.scorers.asking import RETRIES, fenced, last_line, tag_of
from reason.scorers.genrm import GenRM
from reason.scorers.judge import Judge, read_better, read_points
from reason.scorers.rubrics import RUBRICS, Rubric, find_rubric
from reason.scorers.yesno import read_yes_no
from reason.types import BackendError, Finish, Path, Problem, Step, UsageError


class TestParsers:
    @given(st.text())
    def test_any_text_is_read_without_a_crash(self, text: str) -> None:
        points = read_points(text)
        assert points is None or 1 <= points <= 10
        assert read_yes_no(text) in (True, False, None)
        assert read_better(text) in (0.0, 0.5, 1.0, None)

    @given(
        st.text(),
        st.integers(1, 10),
        st.sampled_from(["Score: {}", "**Score:** {}", "score: {}/10.", "### Score: {} "]),
    )
    def test_points_round_trip_after_any_reasoning(self, reasoning: str, points: int, form: str) -> None:
        assert read_points(f"{reasoning}\n{form.format(points)}\n\n") == points

    @given(st.text(), st.booleans())
    def test_yes_no_round_trip(self, reasoning: str, says: bool) -> None:
        assert read_yes_no(f"{reasoning}\nVerdict: {'Yes' if says else 'no.'}") is says

    @pytest.mark.parametrize(
        "reply",
        [
            "", "7", "Score: 0", "Score: 11", "Score: 7 or 8", "Score: seven", "Score: 7\nI hope this helps.",
            "The score: 7", "Score: -3", "Score: 7/100", "Score: ٧", "[[7]]", "Score:", "Score: 1e1", "Score: <points>",
        ],
    )  # fmt: skip
    def test_what_is_no_score(self, reply: str) -> None:
        assert read_points(reply) is None

    def test_the_last_line_counts(self) -> None:
        assert read_points("Score: 9\nno, wait\nScore: 2") == 2
        assert read_yes_no("Verdict: Yes\nVerdict: No") is False
        assert read_better("Better: A\n**Better: tie**") == 0.5
        assert last_line("a\n `b` \n\n") == "b"


class TestFence:
    @given(st.lists(st.text(), min_size=1, max_size=3))
    def test_the_tag_stands_in_no_text(self, texts: list[str]) -> None:
        tag = tag_of(*texts)
        assert re.fullmatch("[0-9a-f]{16}", tag)
        assert not any(tag in text for text in texts)
        assert tag == tag_of(*texts)

    def test_another_text_has_another_tag(self) -> None:
        assert tag_of("a") != tag_of("b")
        assert tag_of("a", "b") != tag_of("ab")
        assert fenced("solution", " x\n", "t") == "<solution-t>\nx\n</solution-t>"

    @given(st.text(min_size=1).filter(str.strip))
    def test_what_is_judged_cannot_leave_its_fence(self, text: str) -> None:
        policy = always("Score: 3")
        judged(Judge(policy), solution(text))
        prompt = policy.asked[0].problem.question
        assert between(prompt, "solution") == text.strip()


class TestInjection:
    @pytest.mark.parametrize("text", INJECTIONS)
    def test_only_the_judges_own_last_line_is_read(self, text: str) -> None:
        [low] = judged(Judge(always("It is wrong.\nScore: 1")), solution(text))
        assert low.value == 0.0
        [silent] = judged(Judge(always("It asks me to say 10. I will not.")), solution(text))
        assert not silent.scored
        assert silent.error is not None
        quoting = always(f"The solution says:\n> {text}\nIt is wrong.\nVerdict: No")
        [no] = judged(Judge(quoting, scale="probability"), solution(text))
        assert no.value == 0.0

    @pytest.mark.parametrize("text", INJECTIONS)
    def test_verdicts_in_the_problem_are_fenced_too(self, text: str) -> None:
        policy = always("Score: 2")
        judged(Judge(policy), solution("5", problem=Problem("q", text)))
        assert between(policy.asked[0].problem.question, "problem") == text


class TestPoints:
    @pytest.mark.parametrize(("points", "value"), [(1, 0.0), (10, 1.0), (5.5, 0.5)])
    def test_points_become_a_value(self, points: float, value: float) -> None:
        [score] = judged(Judge(always(f"Fine.\nScore: {points}")), solution("4"))
        assert score.value == value
        assert score.explanation == f"Fine.\nScore: {points}"

    def test_unreadable_failed_and_cut_replies_are_unscored(self) -> None:
        for reply, words in [
            ("well", "no verdict in the last line 'well'"),
            ("", "no verdict"),
            (Step("", finish=Finish.ERROR, error="down"), "failed: down"),
            (Step("Score: 1", finish=Finish.LENGTH), "cut at its token limit"),
            (Step("Score: 1", finish=Finish.BUDGET), "cut by a budget"),
            (Step("Score: 1", finish=Finish.STEP), "left open"),
        ]:
            [score] = judged(Judge(always(reply)), solution("4"))
            assert math.isnan(score.value)
            assert words in str(score.error)

    def test_what_cannot_be_judged_is_not_asked_about(self) -> None:
        policy = always("Score: 5")
        paths = [Path(PROBLEM), solution("  "), solution("x", Finish.ERROR), solution("x", Finish.CANCELLED)]
        scores = judged(Judge(policy), *paths, solution("x"))
        assert [score.scored for score in scores] == [False] * 4 + [True]
        assert len(policy.asked) == 1
        assert judged(Judge(policy)) == []

    def test_open_paths_are_announced_as_unfinished(self) -> None:
        policy = always("Score: 5")
        judged(Judge(policy), solution("x"), solution("x", Finish.STEP))
        assert ["unfinished" in path.problem.question for path in policy.asked] == [False, True]

    def test_a_prompt_beyond_the_context_is_unscored(self) -> None:
        policy = always("Score: 5")
        policy.capabilities = type(policy.capabilities)("small", token_ids=True, context=1500)
        long, short = judged(Judge(policy), solution("x" * 2000), solution("x"))
        assert "does not fit the context of 1500" in str(long.error)
        assert short.scored
        weighing = WeighingPolicy(lambda path: "", lambda path, option: -1.0)
        weighing.capabilities = policy.capabilities
        long, short = judged(GenRM(weighing, cot=False), solution("x" * 2000), solution("x"))
        assert "does not fit the context of 1500" in str(long.error)
        assert short.value == 0.5

    def test_a_prompt_that_the_policy_refuses_is_unscored(self) -> None:
        class Refusing(WeighingPolicy):
            def prompt_tokens(self, problem: Problem) -> int:
                if "xxx" in problem.question:
                    raise UsageError("too long")
                return 10

        policy = Refusing(lambda path: "Verdict: Yes", lambda path, option: -1.0)
        for scorer in (GenRM(policy), GenRM(policy, cot=False), Judge(policy, scale="probability")):
            long, short = judged(scorer, solution("xxx"), solution("x"))
            assert (long.error, long.tokens) == ("too long", 0)
            assert short.value == 0.5
            assert scorer.count_tokens(solution("xxx")) > 0

    def test_failed_replies_are_asked_for_again_with_the_same_seed(self) -> None:
        replies = iter([Step("", finish=Finish.ERROR, error="busy"), "Score: 10", "Score: 4"])
        policy = ScriptedPolicy(lambda path: next(replies))
        first, second = judged(Judge(policy), solution("a"), solution("b"))
        assert (first.value, second.value) == pytest.approx((1 / 3, 1.0))
        assert [path.seed for path in policy.asked] == [
            policy.asked[0].seed,
            policy.asked[1].seed,
            policy.asked[0].seed,
        ]
        down = always(Step("", finish=Finish.ERROR, error="down"))
        judged(Judge(down), solution("a"))
        assert len(down.asked) == 3

    def test_backend_failures_are_the_runners_to_retry(self) -> None:
        def broken(path: Path) -> str:
            raise BackendError("down")

        with pytest.raises(BackendError):
            judged(Judge(ScriptedPolicy(broken)), solution("4"))


def wavering(path: Path) -> str:
    """Points from 1 to 10 by the seed; every fourth reply is unreadable."""
    draw = random.Random(path.seed)
    return "hm" if draw.random() < 0.25 else f"Score: {draw.randint(1, 10)}"


class TestVotes:
    def test_votes_are_averaged_over_the_readable_ones(self) -> None:
        replies = iter(["Score: 1", "no idea", "Score: 10", "Score: 4"])
        [score] = judged(Judge(ScriptedPolicy(lambda path: next(replies)), votes=4), solution("4"))
        assert score.value == pytest.approx((0 + 1 + 1 / 3) / 3)

    def test_temperature_follows_the_votes(self) -> None:
        for votes, given_temperature, used in [(1, None, 0.0), (3, None, 0.7), (1, 0.4, 0.4), (3, 1.0, 1.0)]:
            policy = always("Score: 5")
            judged(Judge(policy, votes=votes, temperature=given_temperature), solution("4"))
            assert policy.samplings[0].temperature == used
            assert len(policy.asked) == votes

    def test_seeds_differ_by_sample_text_problem_and_seed_alone(self) -> None:
        def seeds(seed: int, *paths: Path) -> list[int]:
            policy = always("Score: 5")
            judged(Judge(policy, votes=2, seed=seed), *paths)
            return [path.seed for path in policy.asked]

        one, other = solution("a"), solution("b", problem=Problem("q", "What is 2 + 2?"))
        assert len({*seeds(0, one), *seeds(1, one), *seeds(0, solution("b")), *seeds(0, other)}) == 8
        assert seeds(0, one, other) == seeds(0, one) + seeds(0, other)

    @given(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True), st.randoms(use_true_random=False))
    def test_a_score_does_not_depend_on_its_batch(self, texts: list[str], draw: random.Random) -> None:
        scorer = Judge(ScriptedPolicy(wavering), votes=3)
        together = dict(zip(texts, judged(scorer, *map(solution, texts)), strict=True))
        draw.shuffle(texts)
        for text in texts:
            [alone] = judged(scorer, solution(text))
            assert str(alone) == str(together[text])


class TestOptions:
    def prompt(self, path: Path | None = None, **options: Any) -> str:
        policy = always("Score: 5")
        judged(Judge(policy, **options), path or solution("4"))
        return policy.asked[0].problem.question

    def test_rubrics_reach_the_prompt(self) -> None:
        prompts = {name: self.prompt(rubric=name) for name in RUBRICS}
        assert len(set(prompts.values())) == len(RUBRICS)
        assert "made up" in prompts["factuality"]
        assert "Is it funny enough?" in self.prompt(rubric="Is it funny enough?")
        assert "Rhyme" in self.prompt(rubric=Rubric("rhyme", "Rhyme.", "Does it rhyme?"))
        with pytest.raises(UsageError, match=r"no rubric 'styl' \(did you mean style\?\)"):
            find_rubric("styl")

    def test_the_reference_is_shown_only_on_request(self) -> None:
        gold = solution("5", problem=Problem("p", "?", "the gold answer 4711"))
        assert "4711" not in self.prompt(gold)
        assert between(self.prompt(gold, reference=True), "reference-answer") == "the gold answer 4711"
        assert Judge(always(""), reference=True).oracle
        assert not Judge(always("")).oracle
        with pytest.raises(UsageError, match="q has none"):
            Judge(always(""), reference=True).validate([PROBLEM, Problem("q", "?")])
        Judge(always("")).validate([Problem("q", "?")])

    def test_reasoning_can_be_left_out(self) -> None:
        assert "First explain" in self.prompt()
        assert "First explain" not in self.prompt(reasoning=False)

    def test_max_tokens_cuts(self) -> None:
        [score] = judged(Judge(always("long " * 100 + "\nScore: 5"), max_tokens=20), solution("4"))
        assert "max_tokens=20" in str(score.error)

    def test_names(self) -> None:
        assert Judge(always("")).name == "judge:scripted"
        assert Judge(always(""), name="mine").name == "mine"
        assert GenRM(always("")).name == "genrm:scripted"

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"scale": "stars"}, "scale='stars'"),
            ({"votes": 0}, "votes=0"),
            ({"votes": 2, "temperature": 0}, "asks for equal replies"),
            ({"temperature": -1}, "temperature=-1"),
            ({"max_tokens": 0}, "max_tokens=0"),
            ({"seed": -1}, "seed=-1"),
        ],
    )
    def test_refused(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(UsageError, match=words):
            Judge(always(""), **options)

    def test_a_policy_is_needed(self) -> None:
        wrong: Any = "gpt"
        with pytest.raises(UsageError, match=r"reason\.load"):
            Judge(wrong)


class TestTokens:
    @pytest.mark.parametrize("scale", ["points", "probability"])
    @pytest.mark.parametrize("votes", [1, 3])
    def test_all_that_passed_is_counted_and_bounded(self, scale: str, votes: int) -> None:
        reply = "Score: 5" if scale == "points" else "Verdict: Yes"
        policy = always(reply)
        scorer = Judge(policy, scale=scale, votes=votes)
        [score] = judged(scorer, solution("4"))
        prompt = len(policy.asked[0].problem.question.encode())
        assert score.tokens == votes * (prompt + len(reply))
        assert score.tokens <= scorer.count_tokens(solution("4")) == votes * (1 + RETRIES) * (prompt + 1024)

    @pytest.mark.parametrize("last", ["Score: 5", Step("", finish=Finish.ERROR, error="busy")])
    def test_failed_attempts_are_charged_and_bounded(self, last: str | Step) -> None:
        failing = Step("half", (1, 2, 3, 4), finish=Finish.ERROR, error="busy", prefilled=100)
        replies = iter([failing, failing, last])
        scorer = Judge(ScriptedPolicy(lambda path: next(replies)))
        [score] = judged(scorer, solution("4"))
        assert score.tokens >= 208
        assert (score.tokens == 208) is not score.scored
        full = Step("x" * 1024, tuple(range(1024)), finish=Finish.ERROR, error="late", prefilled=741)
        worst = Judge(always(full))
        [score] = judged(worst, solution("4"))
        assert score.tokens == (1 + RETRIES) * (1024 + 741) <= worst.count_tokens(solution("4"))
        assert scorer.parameters == 1000

    def test_backends_without_tokens_are_estimated(self) -> None:
        policy = always("Score: 5", token_ids=False)
        [score] = judged(Judge(policy), solution("4"))
        assert score.tokens == -(-len(policy.asked[0].problem.question) // 4) + 2
        assert score.tokens <= Judge(policy).count_tokens(solution("4"))

    def test_unreadable_replies_cost_too(self) -> None:
        [score] = judged(Judge(always("hm")), solution("4"))
        assert score.tokens > 2

    def test_weighing_is_counted_and_bounded(self) -> None:
        policy = WeighingPolicy(lambda path: "Verdict: Yes", lambda path, option: -1.0)
        for scorer in (GenRM(policy), GenRM(policy, cot=False), Judge(policy, scale="probability", reasoning=False)):
            [score] = judged(scorer, solution("4"))
            assert 0 < score.tokens <= scorer.count_tokens(solution("4"))
