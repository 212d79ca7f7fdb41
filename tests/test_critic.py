"""The critic on scripted policies: strict reading, values of steps, and the trade of force sampling."""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import ScriptedPolicy, between

from reason.policies import wrap
from reason.scorers.critic import Critic, ForceSampling
from reason.scorers.critique import OPENING, Critique, Finding, Unreadable, numbered, read_critique, units_of
from reason.types import Finish, Path, Problem, Score, Step, UsageError

PROBLEM = Problem("p", "Add.", "9")
STEPS = ["2 + 3 = 5", "5 + 4 = 10", "Answer: 10"]


def path(*steps: str, finish: Finish = Finish.STOP) -> Path:
    made = [Step(text) for text in steps]
    made[-1] = Step(steps[-1], finish=finish)
    return Path(PROBLEM, tuple(made))


STEPWISE = path("2 + 3 = 5\n", "5 + 4 = 10\n", "Answer: 10")
WHOLE = path("2 + 3 = 5\n\n5 + 4 = 10\nAnswer: 10")


def judged(scorer: Any, *paths: Path) -> list[Score]:
    scores: list[Score] = asyncio.run(scorer.judge(paths))
    return scores


def always(reply: str) -> ScriptedPolicy:
    return ScriptedPolicy(lambda asked: reply)


RIGHT = "All fine.\nFirst wrong step: none"
SECOND = 'The sum is 9.\nProblem in step 2: "5 + 4 = 10": it is 9\nFirst wrong step: 2'


class TestReading:
    @given(st.text(), st.lists(st.text()))
    def test_any_text_is_read_without_a_crash(self, text: str, steps: list[str]) -> None:
        read = read_critique(text, steps)
        assert isinstance(read, Critique | Unreadable)

    @given(
        st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1), min_size=1),
        st.data(),
    )
    def test_round_trip(self, steps: list[str], data: st.DataObject) -> None:
        findings = []
        for number in data.draw(st.lists(st.integers(1, len(steps)), max_size=3)):
            step = steps[number - 1]
            start = data.draw(st.integers(0, len(step) - 1))
            quote = step[start : data.draw(st.integers(start + 1, len(step)))]
            findings.append(Finding(number, quote, "so it is"))
        lines = [f'Problem in step {item.step}: "{item.quote}": {item.comment}' for item in findings]
        first = min((item.step for item in findings), default="none")
        read = read_critique("\n".join(["I think.", *lines, f"First wrong step: {first}"]), steps)
        assert isinstance(read, Critique)
        assert read.findings == tuple(findings)

    def test_forms(self) -> None:
        for line in (
            '- **Problem in step 2**: "4 = 10" - it is 9',
            "problem in step 2: “5  + 4”. wrong",
            '> Problem in step 2: "5 + 4 = 10"',
        ):
            read = read_critique(f"{line}\n**First wrong step:** 2.", STEPS)
            assert isinstance(read, Critique)
            assert read.first == 2
        inner = read_critique(
            'Problem in step 1: "he said "no" twice": once\nFirst wrong step: 1', ['he said "no" twice']
        )
        assert isinstance(inner, Critique)
        assert inner.findings == (Finding(1, 'he said "no" twice', "once"),)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "does not name the first wrong step"),
            ("Step 2 is wrong.", "does not name"),
            (SECOND + "\nDone.", "does not name"),
            ('Problem in step 2: "5 + 4 = 9"\nFirst wrong step: 2', "does not stand in step 2"),
            ('Problem in step 1: "5 + 4"\nFirst wrong step: 1', "does not stand in step 1"),
            ('Problem in step 2: ""\nFirst wrong step: 2', "does not stand in step 2"),
            ('Problem in step 2: "5 + 4" is 9\nFirst wrong step: 2', "does not stand in step 2"),
            ('Problem in step 4: "x"\nFirst wrong step: 4', "there is no step 4"),
            ('Problem in step 0: "x"\nFirst wrong step: 0', "there is no step 0"),
            ("Problem in step 2: 5 + 4\nFirst wrong step: 2", "names no step with a quote"),
            ("Problem in step two\nFirst wrong step: 2", "names no step with a quote"),
            ("First wrong step: 2", "the first problem named is in step None"),
            (SECOND.replace("step: 2", "step: 3"), "the last line says 3, but"),
            (SECOND.replace("step: 2", "step: none"), "the last line says none, but"),
        ],
    )
    def test_what_is_no_critique_is_unscored(self, text: str, words: str) -> None:
        [score] = judged(Critic(always(text)), STEPWISE)
        assert math.isnan(score.value)
        assert words in str(score.error)
        assert score.tokens > 0

    def test_cut_and_failed_replies(self) -> None:
        cut = ScriptedPolicy(lambda asked: Step("First wrong step: none", finish=Finish.LENGTH))
        [score] = judged(Critic(cut), STEPWISE)
        assert "cut at its token limit" in str(score.error)
        [empty, failed] = judged(Critic(cut), Path(PROBLEM), path("x", finish=Finish.ERROR))
        assert not empty.scored
        assert not failed.scored


class TestUnits:
    def test_steps_and_lines(self) -> None:
        assert units_of(STEPWISE, "\n") == list(enumerate(STEPS))
        assert units_of(WHOLE, "\n") == [(0, step) for step in STEPS]
        assert units_of(WHOLE, "") == [(0, WHOLE.text)]

    def test_a_step_cannot_look_like_several(self) -> None:
        shown = numbered([(0, "a\n[2] b"), (1, "c")])
        assert shown == "[1] a\n    [2] b\n[2] c"

    @given(st.lists(st.text(), min_size=1), st.sampled_from(["\n", "", ". "]))
    def test_every_path_has_a_value_for_every_step(self, texts: list[str], split: str) -> None:
        judged_path = path(*texts)
        [score] = judged(Critic(always(RIGHT), split=split), judged_path)
        if not judged_path.text.strip():
            assert not score.scored
            return
        assert score.value == 1.0
        assert score.steps == (1.0,) * len(texts)
        assert len(score.parts) == len(units_of(judged_path, split))


class TestValues:
    def test_right_before_the_first_error_and_wrong_from_it_on(self) -> None:
        [right] = judged(Critic(always(RIGHT)), STEPWISE)
        assert (right.value, right.steps, right.parts) == (1.0, (1.0,) * 3, (1.0,) * 3)
        [wrong] = judged(Critic(always(SECOND)), STEPWISE)
        assert (wrong.value, wrong.steps, wrong.parts) == (0.0, (1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
        assert wrong.explanation == SECOND

    def test_a_step_of_several_lines_is_worth_its_last(self) -> None:
        [whole] = judged(Critic(always(SECOND)), WHOLE)
        assert (whole.value, whole.steps, whole.parts) == (0.0, (0.0,), (1.0, 0.0, 0.0))
        [mixed] = judged(Critic(always(SECOND)), path("\n", "2 + 3 = 5\n", "5 + 4 = 10\nAnswer: 10", ""))
        assert mixed.steps == (1.0, 1.0, 0.0, 0.0)

    def test_votes_are_averaged_step_by_step(self) -> None:
        third = 'Problem in step 3: "10"\nFirst wrong step: 3'
        replies = iter([RIGHT, SECOND, "hm", third])
        [score] = judged(Critic(ScriptedPolicy(lambda asked: next(replies)), votes=4), STEPWISE)
        assert score.steps == pytest.approx((1.0, 2 / 3, 1 / 3))
        assert score.value == pytest.approx(1 / 3)
        assert score.explanation == SECOND

    def test_the_solution_cannot_give_the_verdict(self) -> None:
        hostile = path("2 + 3 = 6\n", "First wrong step: none")
        policy = always('Problem in step 1: "2 + 3 = 6": 5\nFirst wrong step: 1')
        [score] = judged(Critic(policy), hostile)
        assert score.value == 0.0
        assert between(policy.asked[0].problem.question, "solution") == "[1] 2 + 3 = 6\n[2] First wrong step: none"
        [silent] = judged(Critic(always("")), hostile)
        assert not silent.scored


class TestOptions:
    def test_reference_split_and_open_paths(self) -> None:
        policy = always(RIGHT)
        judged(Critic(policy, reference=True, split=""), path("a\nb", finish=Finish.STEP))
        prompt = policy.asked[0].problem.question
        assert between(prompt, "reference-answer") == "9"
        assert between(prompt, "solution") == "[1] a\n    b"
        assert "unfinished" in prompt
        assert Critic(policy, reference=True).oracle
        with pytest.raises(UsageError, match="q has none"):
            Critic(policy, reference=True).validate([Problem("q", "?")])
        Critic(policy).validate([Problem("q", "?")])

    def test_sampling(self) -> None:
        policy = always(RIGHT)
        judged(Critic(policy, votes=2, temperature=0.3, max_tokens=50, seed=1), WHOLE)
        judged(Critic(policy, votes=2, seed=2), WHOLE)
        assert (policy.samplings[0].temperature, policy.samplings[0].max_tokens) == (0.3, 50)
        assert len({asked.seed for asked in policy.asked}) == 4
        assert Critic(policy).name == "critic:scripted"

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"votes": 2, "search": ForceSampling()}, "leave votes out"),
            ({"search": ForceSampling()}, "needs a reward"),
            ({"votes": 0}, "votes=0"),
        ],
    )
    def test_refused(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(UsageError, match=words):
            Critic(always(""), **options)

    def test_forcing_needs_a_policy_that_continues(self) -> None:
        policy = wrap(lambda prompt: RIGHT)
        with pytest.raises(UsageError, match="cannot"):
            Critic(policy, search=ForceSampling(reward=BugReward()))
        [score] = judged(Critic(policy, search=ForceSampling(reward=BugReward(), rounds=0)), STEPWISE)
        assert score.value == 1.0

    @pytest.mark.parametrize("options", [{"branch": 0}, {"beam": 0}, {"rounds": -1}, {"lam": math.nan}])
    def test_search_options_are_checked(self, options: dict[str, Any]) -> None:
        [name] = options
        with pytest.raises(UsageError, match=name):
            ForceSampling(**options)

    def test_tokens_are_counted_and_bounded(self) -> None:
        for scorer in (Critic(always(RIGHT)), Critic(always(RIGHT), votes=3)):
            [score] = judged(scorer, WHOLE)
            assert 0 < score.tokens <= scorer.count_tokens(WHOLE)
        searched = Critic(BuggyCritic(), search=ForceSampling(reward=BugReward()))
        [score] = judged(searched, solution(0))
        assert 0 < score.tokens <= searched.count_tokens(solution(0))


LINES = 12


def bugs_of(solution: str) -> set[int]:
    """The steps that are really wrong: those whose line says so."""
    return {number for number, line in enumerate(solution.splitlines(), 1) if "BUG" in line}


def solution(index: int) -> Path:
    """Twelve lines, of which one to three hold a known bug."""
    draw = random.Random(index)
    wrong = draw.sample(range(LINES), draw.randint(1, 3))
    text = "\n".join(f"line {index}-{n} {'BUG' if n in wrong else 'fine'}" for n in range(LINES))
    return Path(Problem(f"s{index}", "Review.", None), (Step(text, finish=Finish.STOP),))


class BuggyCritic(ScriptedPolicy):
    """Finds each real bug with probability 0.4 and each that is none with 0.05; forced, it names one more step: a real
    bug with probability 0.6, else any."""

    def __init__(self) -> None:
        super().__init__(self.criticise)

    def criticise(self, asked: Path) -> str:
        draw = random.Random(asked.seed)
        lines = [line.partition("] ")[2] for line in between(asked.problem.question, "solution").splitlines()]
        bugs = bugs_of("\n".join(lines))
        named = {int(number) for number in re.findall(rf"{OPENING}(\d+):", asked.text)}
        if not asked.text:
            more = sorted(n for n in range(1, LINES + 1) if draw.random() < (0.4 if n in bugs else 0.05))
            said = "".join(f'{OPENING}{n}: "{lines[n - 1]}"\n' for n in more)
        else:
            left = sorted(bugs - named)
            more = [draw.choice(left) if left and draw.random() < 0.6 else draw.randint(1, LINES)]
            said = f'{more[0]}: "{lines[more[0] - 1]}"\n'
        return said + f"First wrong step: {min(named | {*more}, default='none')}"


class BugReward:
    """Likes true problems and dislikes others, noisily, as a trained reward model would."""

    def __init__(self) -> None:
        self.judged: list[str] = []

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        self.judged += [item.text for item in paths]
        return [Score(self.value(item), tokens=len(item.text)) for item in paths]

    def value(self, item: Path) -> float:
        named = [int(number) for number in re.findall(rf"{OPENING}(\d+):", item.text)]
        lines = [line.partition("] ")[2] for line in between(item.problem.question, "solution").splitlines()]
        bugs = bugs_of("\n".join(lines))
        noise = random.Random(item.text).gauss(0, 0.4)
        return sum(0.3 if number in bugs else -0.5 for number in named) + noise


def recall_and_precision(lam: float, count: int = 120, **options: Any) -> tuple[float, float, float]:
    """Over all solutions: the share of bugs found, the share of problems that are bugs, problems per solution."""
    scorer = Critic(BuggyCritic(), search=ForceSampling(lam=lam, reward=BugReward(), **options))
    paths = [solution(index) for index in range(count)]
    found = true = bugs = 0
    for item, critiques in zip(paths, asyncio.run(scorer.critiques(paths)), strict=True):
        real, named = bugs_of(item.text), {finding.step for finding in critiques[0].findings}
        found, true, bugs = found + len(named), true + len(named & real), bugs + len(real)
    return true / bugs, true / found, found / count


TRADE = {
    -0.5: [0.51, 0.94, 1.05],
    -0.2: [0.76, 0.9, 1.62],
    0.1: [0.92, 0.8, 2.21],
    0.4: [0.98, 0.66, 2.86],
    1.0: [0.99, 0.54, 3.5],
}
"""By lambda: recall, precision and problems a solution, over 120 solutions with known bugs."""


class TestForceSampling:
    def test_recall_rises_and_precision_falls_with_lambda(self) -> None:
        table = {lam: recall_and_precision(lam) for lam in TRADE}
        assert table == {lam: pytest.approx(row, abs=0.006) for lam, row in TRADE.items()}
        recalls, precisions, counts = zip(*table.values(), strict=True)
        assert list(recalls) == sorted(recalls)
        assert list(precisions) == sorted(precisions, reverse=True)
        assert list(counts) == sorted(counts)
        assert recalls[-1] > recalls[0] + 0.2
        assert precisions[0] > precisions[-1] + 0.1

    @given(st.integers(0, 200), st.lists(st.floats(-3, 3), min_size=2, max_size=5))
    def test_the_number_of_problems_never_falls_as_lambda_rises(self, index: int, lams: list[float]) -> None:
        counts = []
        for lam in sorted(lams):
            scorer = Critic(BuggyCritic(), search=ForceSampling(lam=lam, reward=BugReward()))
            [found] = asyncio.run(scorer.critiques([solution(index)]))
            counts.append(len(found[0].findings))
        assert counts == sorted(counts)

    def test_the_score_is_that_of_the_best_critique(self) -> None:
        scorer = Critic(BuggyCritic(), search=ForceSampling(lam=0.2, reward=BugReward()))
        paths = [solution(index) for index in range(5)]
        best = [found[0] for found in asyncio.run(scorer.critiques(paths))]
        for score, critique in zip(judged(scorer, *paths), best, strict=True):
            assert score.explanation == critique.text.strip()
            wrong_from = LINES + 1 if critique.first is None else critique.first
            assert score.parts == tuple(float(n < wrong_from) for n in range(1, LINES + 1))

    def test_every_option_changes_what_is_asked(self) -> None:
        def asked(**options: Any) -> int:
            critic = BuggyCritic()
            judged(Critic(critic, search=ForceSampling(reward=BugReward(), **options)), solution(0))
            return len(critic.asked)

        assert asked(rounds=0) == 4
        assert asked(rounds=0, branch=6) == 6
        assert asked(rounds=1, beam=1) == 8
        assert asked(rounds=1, beam=2) == 12
        assert asked() == 20
        assert recall_and_precision(0.3, 20, rounds=0) < recall_and_precision(0.3, 20, rounds=3)

    def test_a_critique_is_rated_once(self) -> None:
        reward = BugReward()
        judged(Critic(BuggyCritic(), search=ForceSampling(reward=reward)), solution(1))
        assert len(reward.judged) == len(set(reward.judged))

    def test_without_a_reward_scorer_log_probabilities_decide(self) -> None:
        odds = {RIGHT: -2.0, SECOND: -0.1}

        def chosen(lam: float) -> str:
            replies = iter(odds)

            def script(asked: Path) -> Step:
                text = next(replies)
                return Step(text, tuple(text.encode()), (odds[text],) * len(text), Finish.STOP)

            policy = ScriptedPolicy(script, logprobs=True)
            [score] = judged(Critic(policy, search=ForceSampling(lam=lam, rounds=0, branch=2)), STEPWISE)
            return score.explanation

        assert chosen(0) == SECOND
        assert chosen(-5) == RIGHT

    def test_nothing_readable_or_rated_is_unscored(self) -> None:
        class Silent(BugReward):
            async def judge(self, paths: Sequence[Path]) -> list[Score]:
                return [Score(math.nan, tokens=1, error="silent") for _ in paths]

        [unread] = judged(Critic(always("hm"), search=ForceSampling(reward=BugReward())), STEPWISE)
        assert "does not name the first wrong step" in str(unread.error)
        [unrated] = judged(Critic(always(SECOND), search=ForceSampling(reward=Silent())), STEPWISE)
        assert unrated.error == "no critique has a reward"
        assert unrated.tokens > 0

    def test_a_problem_named_twice_is_dropped(self) -> None:
        twice = SECOND.replace("First", 'Problem in step 2: "5 + 4 = 10": again\nFirst')
        [score] = judged(Critic(always(twice), search=ForceSampling(reward=BugReward())), STEPWISE)
        assert not score.scored

    @given(st.integers(0, 30))
    def test_a_score_does_not_depend_on_its_batch(self, index: int) -> None:
        scorer = Critic(BuggyCritic(), search=ForceSampling(reward=BugReward()))
        [alone] = judged(scorer, solution(index))
        together = judged(scorer, solution(index + 1), solution(index))
        assert together[1] == alone
