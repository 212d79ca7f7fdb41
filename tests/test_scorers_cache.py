"""The score cache and ensembles: nothing is judged twice, what fails is tried again, values are combined one by one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_scorers import judge, path

from reason import Sampling, solve
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.scorers import cached, ensemble, load_scorer
from reason.scorers.cache import path_key
from reason.search import STRATEGIES
from reason.types import BackendError, Finish, Path, Problem, Score, Step, UsageError

NAN = math.nan


class Counting:
    """Scores a path by its length; costs one token a character, and says what it was asked."""

    parameters = 7
    name = "counting"

    def __init__(self, fails: int = 0) -> None:
        self.asked: list[str] = []
        self.fails = fails
        self.gate: asyncio.Event | None = None

    def count_tokens(self, path: Path) -> int:
        return len(path.text)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        if self.gate is not None:
            await self.gate.wait()
        self.asked += [one.text for one in paths]
        if self.fails:
            self.fails -= 1
            raise RuntimeError("server down")
        return [Score(len(one.text) / 100, tokens=len(one.text)) for one in paths]

    async def compare(self, pairs: Sequence[tuple[Path, Path]]) -> list[Score]:
        self.asked += [f"{first.text}|{second.text}" for first, second in pairs]
        return [Score(0.5 + (len(first.text) - len(second.text)) / 100, tokens=9) for first, second in pairs]


class Fixed:
    """Gives every path the same score."""

    def __init__(self, score: Score, parameters: int = 0) -> None:
        self.score, self.parameters = score, parameters
        self.name = f"fixed {score.value}"

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        return [self.score for _ in paths]


class TestCache:
    def test_hits_cost_nothing(self) -> None:
        inner = Counting()
        scorer: Any = cached(inner)
        one, two = path("Q", "a\n"), path("Q", "a\n", "bb\n")
        first = judge(scorer, [one, two, one])
        assert [score.tokens for score in first] == [2, 5, 0]
        assert [score.value for score in first] == [0.02, 0.05, 0.02]
        assert [score.tokens for score in judge(scorer, [two, one])] == [0, 0]
        assert inner.asked == ["a\n", "a\nbb\n"]
        assert (scorer.hits, scorer.misses) == (3, 2)
        assert (scorer.count_tokens(one), scorer.count_tokens(path("Q", "new"))) == (0, 3)

    def test_what_a_path_is_known_by(self) -> None:
        base = path("Q", "ab\n", "c")
        same = [base.seeded(5), Path(base.problem, tuple(replace(step, prefilled=3) for step in base.steps))]
        other = [
            path("Other", "ab\n", "c"),
            path("Q", "ab\nc"),
            path("Q", "ab\n", "c", done=True),
            path("Q", "ab\n", "c", ids=False),
            Path(Problem("Q", "another question"), base.steps),
            Path(replace(base.problem, answer="7"), base.steps),
            Path(replace(base.problem, answer="None"), base.steps),
            Path(replace(base.problem, meta={"numbers": [1, 2]}), base.steps),
            Path(replace(base.problem, meta={"numbers": ["1", 2]}), base.steps),
            Path(replace(base.problem, meta={"numbers": np.arange(5000)}), base.steps),
            Path(replace(base.problem, meta={"numbers": np.arange(5000) % 4999}), base.steps),
            Path(base.problem, (*base.steps, Step(""))),
        ]
        assert {path_key(one) for one in same} == {path_key(base)}
        assert len({path_key(one) for one in [base, *other]}) == 1 + len(other)

    def test_the_order_of_task_data_is_no_part_of_the_key(self) -> None:
        first = {"a": {"x": 1, "y": {"b", "c", "d"}}, "b": 2}
        second = {"b": 2, "a": {"y": {"d", "c", "b"}, "x": 1}}
        keys = {path_key(Path(Problem("Q", "Q", meta=meta))) for meta in (first, second)}
        assert len(keys) == 1

    def test_another_gold_answer_is_judged_anew(self) -> None:
        scorer = cached(load_scorer("oracle"))
        problems = [Problem("Q", "1 + 2?", gold) for gold in ("3", "4")]
        steps = (Step("The answer is 3", finish=Finish.STOP),)
        assert [judge(scorer, [Path(one, steps)])[0].value for one in problems] == [1.0, 0.0]

    def test_surrogates_have_keys_too(self) -> None:
        assert path_key(Path(Problem("Q", "\ud800"))) != path_key(Path(Problem("Q", "\ud801")))

    def test_the_least_recently_used_leave(self) -> None:
        inner = Counting()
        scorer = cached(inner, size=2)
        a, b, c = (path("Q", text) for text in "abc")
        for one in (a, b, a, c, a, b):
            judge(scorer, [one])
        assert inner.asked == ["a", "b", "c", "b"]
        with pytest.raises(UsageError, match="size=0"):
            cached(inner, size=0)

    def test_unscored_paths_are_tried_again(self) -> None:
        inner = Fixed(Score(NAN, error="busy", tokens=4))
        scorer = cached(inner)
        assert judge(scorer, [path("Q", "a")])[0].error == "busy"
        inner.score = Score(0.5, tokens=4)
        assert judge(scorer, [path("Q", "a")])[0].value == 0.5

    def test_failures_pass_through_and_leave_nothing_behind(self) -> None:
        inner = Counting(fails=1)
        scorer = cached(inner)
        with pytest.raises(RuntimeError, match="server down"):
            judge(scorer, [path("Q", "a")])
        assert judge(scorer, [path("Q", "a")])[0].value == 0.01

    def test_calls_at_the_same_time_ask_once(self) -> None:
        inner = Counting()
        scorer = cached(inner)
        a, b, c = (path("Q", text) for text in "abc")

        async def run() -> list[list[Score]]:
            inner.gate = asyncio.Event()
            tasks = [asyncio.ensure_future(scorer.judge(batch)) for batch in ([a, b], [b, c], [a, b, c])]
            await asyncio.sleep(0)
            inner.gate.set()
            return await asyncio.gather(*tasks)

        results = asyncio.run(run())
        assert sorted(inner.asked) == ["a", "b", "c"]
        assert [[score.value for score in scores] for scores in results] == [[0.01] * 2, [0.01] * 2, [0.01] * 3]
        assert sum(score.tokens for scores in results for score in scores) == 3

    def test_who_waits_for_a_failed_or_cancelled_call_asks_itself(self) -> None:
        for cancel in (False, True):
            inner = Counting(fails=0 if cancel else 1)
            scorer = cached(inner)

            async def run(inner: Counting = inner, scorer: Any = scorer, cancel: bool = cancel) -> list[Score]:
                inner.gate = asyncio.Event()
                first = asyncio.ensure_future(scorer.judge([path("Q", "a")]))
                await asyncio.sleep(0)
                second = asyncio.ensure_future(scorer.judge([path("Q", "a")]))
                await asyncio.sleep(0)
                if cancel:
                    first.cancel()
                inner.gate.set()
                result = await second
                with pytest.raises((RuntimeError, asyncio.CancelledError)):
                    await first
                return list(result)

            assert asyncio.run(run())[0].value == 0.01

    def test_comparisons_are_remembered(self) -> None:
        inner = Counting()
        scorer: Any = cached(inner)
        pair = (path("Q", "aa"), path("Q", "b"))
        for tokens in (9, 0):
            [score] = asyncio.run(scorer.compare([pair]))
            assert (score.value, score.tokens) == (0.51, tokens)
        assert asyncio.run(scorer.compare([pair[::-1]]))[0].value == 0.49
        assert inner.asked == ["aa|b", "b|aa"]

    def test_it_has_what_its_scorer_has(self) -> None:
        scorer: Any = cached(Counting())
        assert (scorer.parameters, scorer.name) == (7, "counting")
        assert hasattr(scorer, "compare")
        assert not hasattr(cached(Fixed(Score(1.0))), "compare")
        assert not hasattr(cached(Fixed(Score(1.0))), "validate")
        bare: Any = cached(Fixed(Score(1.0)))
        assert bare.count_tokens(path("Q", "abc")) == 0
        large: Any = cached(Fixed(Score(1.0), parameters=5))
        assert large.count_tokens(path("Q", "abc")) == 4

    @given(st.lists(st.lists(st.text(alphabet="ab", max_size=3), max_size=4), max_size=6))
    def test_it_changes_no_value_and_asks_each_path_once(self, calls: list[list[str]]) -> None:
        inner, plain = Counting(), Counting()
        scorer = cached(inner)
        for texts in calls:
            paths = [path("Q", text) for text in texts]
            got, expected = judge(scorer, paths), judge(plain, paths)
            assert [score.value for score in got] == [score.value for score in expected]
        assert len(inner.asked) == len(set(inner.asked))
        assert set(inner.asked) == {text for texts in calls for text in texts}

    @pytest.mark.parametrize("strategy", ["best_of_n", "beam", "mcts"])
    def test_a_search_again_costs_no_scorer_tokens(self, strategy: str) -> None:
        problems, scorer = fake_problems(3, terms=4), cached(Counting())
        runs = [
            solve(
                problems,
                policy=FakePolicy(),
                search=STRATEGIES[strategy](4),
                scorer=scorer,
                sampling=Sampling(max_tokens=120),
            )
            for _ in range(2)
        ]
        assert [outcome.answer for outcome in runs[0]] == [outcome.answer for outcome in runs[1]]
        assert sum(outcome.cost.scored_tokens for outcome in runs[0]) > 0
        assert sum(outcome.cost.scored_tokens for outcome in runs[1]) == 0


SCORES = st.builds(
    lambda value, steps, tokens: Score(value, tuple(steps), tokens),
    st.one_of(st.just(NAN), st.floats(0, 1)),
    st.lists(st.floats(0, 1), min_size=2, max_size=2),
    st.integers(0, 9),
)


def combined(scores: Sequence[Score], kind: str = "mean", **options: Any) -> Score:
    return judge(ensemble([Fixed(score) for score in scores], kind, **options), [path("Q", "a")])[0]


class TestEnsemble:
    def test_mean_minimum_and_spread(self) -> None:
        scores = [Score(0.2), Score(0.6), Score(1.0)]
        assert combined(scores).value == pytest.approx(0.6)
        assert combined(scores, weights=[1, 0, 3]).value == pytest.approx(0.8)
        assert combined(scores, "min").value == 0.2
        std = math.sqrt(0.32 / 3)
        assert combined(scores, "uncertainty").value == pytest.approx(0.6 - std)
        assert combined(scores, "uncertainty", penalty=0.5).value == pytest.approx(0.6 - 0.5 * std)
        assert combined(scores, "uncertainty", spread="variance").value == pytest.approx(0.6 - 0.32 / 3)
        weighed = combined(scores[::2], "uncertainty", weights=[1, 3], spread="variance").value
        assert weighed == pytest.approx(0.8 - (0.36 + 3 * 0.04) / 4)

    def test_steps_and_lines_are_combined_where_all_have_them(self) -> None:
        both = [Score(0.5, (0.2, 0.5), parts=(0.2, 0.5)), Score(1.0, (0.4, 1.0), parts=(0.4, 0.7, 1.0))]
        score = combined(both)
        assert score.steps == pytest.approx((0.3, 0.75))
        assert score.parts == ()
        assert combined([*both, Score(0.1)]).steps == ()
        assert combined([*both, Score(NAN)]).steps == pytest.approx((0.3, 0.75))
        assert combined([both[0], replace(both[0], steps=(NAN, 0.7))]).steps == pytest.approx((0.2, 0.6))

    def test_a_member_that_fails_is_left_out_with_its_weight(self) -> None:
        assert combined([Score(NAN, error="down"), Score(0.6)], weights=[9, 1]).value == 0.6
        lost = combined([Score(NAN, error="down", tokens=2), Score(NAN, error="late", tokens=3)])
        assert math.isnan(lost.value)
        assert lost.tokens == 5
        assert lost.error == "no member of the ensemble scored it: down; late"

    def test_a_member_whose_call_fails_is_left_out_unless_all_do(self) -> None:
        down = Counting(fails=1)
        assert judge(ensemble([down, Fixed(Score(0.7))]), [path("Q", "a")])[0].value == 0.7
        with pytest.raises(RuntimeError, match="server down"):
            judge(ensemble([Counting(fails=1), Counting(fails=1)]), [path("Q", "a")])

        class Wrong(Fixed):
            async def judge(self, paths: Sequence[Path]) -> list[Score]:
                if self.parameters:
                    raise UsageError("no such paths")
                return [self.score]

        with pytest.raises(BackendError, match="returned a list of 1 for 2 paths"):
            judge(ensemble([Wrong(Score(0.1)), Counting()]), [path("Q", "a"), path("Q", "b")])
        with pytest.raises(UsageError, match="no such paths"):
            judge(ensemble([Wrong(Score(0.1), parameters=1), Counting()]), [path("Q", "a")])

    @given(st.lists(SCORES, min_size=2, max_size=4), st.sampled_from(["mean", "min", "uncertainty"]))
    def test_values_lie_among_the_members_and_tokens_add_up(self, scores: list[Score], kind: str) -> None:
        score = combined(scores, kind)
        assert score.tokens == sum(one.tokens for one in scores)
        known = [one.value for one in scores if one.scored]
        assert score.scored == bool(known)
        if known:
            assert score.value <= max(known) + 1e-9
            assert score.value >= (min(known) - 1e-9 if kind != "uncertainty" else min(known) - 1)
            assert len(score.steps) == 2

    def test_what_an_ensemble_reports(self) -> None:
        scorer: Any = ensemble([Counting(), Fixed(Score(1.0)), Fixed(Score(1.0), parameters=10)], "min")
        assert scorer.parameters == 9
        assert scorer.name == "min(counting, fixed 1.0, fixed 1.0)"
        assert scorer.count_tokens(path("Q", "abc")) == 3 + 0 + 4
        assert not scorer.oracle
        oracle: Any = load_scorer("arithmetic+oracle")
        assert (oracle.name, oracle.oracle, oracle.parameters) == ("arithmetic+oracle", True, 0)
        with pytest.raises(UsageError, match="has none"):
            oracle.validate([Problem("Q", "Q")])
        named: Any = ensemble([Counting(), Counting()], name="two")
        assert named.name == "two"

    def test_names_with_a_plus_are_the_mean(self) -> None:
        text = "4 * 12 = 48\nAnswer: 48"
        problem = Problem("Q", "4 * 12?", "48")
        whole = Path(problem, (Step(text, finish=Finish.STOP),))
        wrong = Path(problem, (Step(text.replace("48", "49"), finish=Finish.STOP),))
        assert [score.value for score in judge(load_scorer("arithmetic+oracle"), [whole, wrong])] == [1.0, 0.0]
        with pytest.raises(UsageError, match="no scorer 'nothing'"):
            load_scorer("arithmetic+nothing")
        with pytest.raises(UsageError, match="leave aggregate out"):
            load_scorer("arithmetic+oracle", aggregate="min")

    def test_a_search_runs_with_one(self) -> None:
        problems = fake_problems(3, terms=4)
        scorer = ensemble([FakeScorer(), FakeScorer()], "uncertainty")
        outcomes = solve(problems, policy=FakePolicy(), search=STRATEGIES["beam"](8), scorer=scorer)
        assert all(outcome.answer for outcome in outcomes)

    @pytest.mark.parametrize(
        ("scorers", "kind", "options", "words"),
        [
            (1, "mean", {}, "two scorers or more, not 1"),
            (2, "median", {}, "kind='median'"),
            (2, "min", {"weights": [1, 2]}, "takes no weights"),
            (2, "mean", {"weights": [1]}, "one for each of the 2 scorers"),
            (2, "mean", {"weights": [0, 0]}, "some above 0"),
            (2, "mean", {"weights": [1, -1]}, "must be a number at least 0"),
            (2, "mean", {"penalty": 2.0}, "belong to kind='uncertainty'"),
            (2, "min", {"spread": "variance"}, "belong to kind='uncertainty'"),
            (2, "uncertainty", {"penalty": -1.0}, "penalty=-1"),
            (2, "uncertainty", {"spread": "range"}, "spread='range'"),
        ],
    )
    def test_wrong_arguments(self, scorers: int, kind: str, options: dict[str, Any], words: str) -> None:
        with pytest.raises(UsageError) as caught:
            ensemble([Fixed(Score(0.5))] * scorers, kind, **options)
        assert words in str(caught.value)
