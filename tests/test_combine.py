"""Sums, products and cascades of scorers, the answer oracles, and what each passes through."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason import run
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.scorers import Cascade, Product, WeightedSum, numeric, symbolic
from reason.search import best_of_n
from reason.types import Finish, Path, Problem, Score, Scorer, Step, UsageError

PROBLEM = Problem("p", "?", "12")
NAN = math.nan


def path(*texts: str, finish: Finish = Finish.STOP, problem: Problem = PROBLEM) -> Path:
    last = len(texts) - 1
    return Path(problem, tuple(Step(t, finish=finish if i == last else Finish.STEP) for i, t in enumerate(texts)))


class Table:
    """Gives each text its score, and records what it was asked."""

    def __init__(self, scores: dict[str, Score | float], name: str = "table", **members: Any) -> None:
        self._scores, self.name = scores, name
        self.asked: list[str] = []
        self.__dict__.update(members)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        self.asked += [item.text for item in paths]
        found = [self._scores[item.text] for item in paths]
        return [
            score if isinstance(score, Score) else Score(score, error=None if score == score else "lost")
            for score in found
        ]


def judged(scorer: Any, *paths: Path) -> list[Score]:
    scores: list[Score] = asyncio.run(scorer.judge(paths))
    return scores


def alike(left: float, right: float) -> bool:
    return left == pytest.approx(right, nan_ok=True)


class TestSumAndProduct:
    def test_values(self) -> None:
        left, right = Table({"x": 0.5, "y": 1.0}), Table({"x": 0.2, "y": 0.0})
        paths = [path("x"), path("y")]
        assert [score.value for score in judged(WeightedSum([left, right]), *paths)] == pytest.approx([0.35, 0.5])
        assert [score.value for score in judged(WeightedSum([left, right], [2, -1]), *paths)] == pytest.approx([0.8, 2])
        assert [score.value for score in judged(Product([left, right]), *paths)] == pytest.approx([0.1, 0.0])

    @given(
        st.lists(st.tuples(st.floats(-2, 2), st.one_of(st.floats(0, 1), st.just(NAN))), min_size=1, max_size=5),
        st.sampled_from(["nan", "skip"]),
    )
    def test_the_rules_of_what_is_missing(self, rows: list[tuple[float, float]], missing: str) -> None:
        """Against the rules spelled out."""
        parts: list[Scorer] = [Table({"x": value}) for _, value in rows]
        weights = [weight for weight, _ in rows]
        [total] = judged(WeightedSum(parts, weights, missing=missing), path("x"))
        [product] = judged(Product(parts, missing=missing), path("x"))
        known = [(weight, value) for weight, value in rows if not math.isnan(value)]
        if len(known) < len(rows) and (missing == "nan" or not known):
            assert math.isnan(total.value)
            assert math.isnan(product.value)
            assert "table: lost" in str(total.error)
            return
        expected = sum(weight * value for weight, value in known)
        used = math.fsum(weight for weight, _ in known)
        if len(known) < len(rows) and used:
            expected *= math.fsum(weights) / used
        assert total.value == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert product.value == pytest.approx(math.prod(value for _, value in known))
        assert total.error is None

    def test_steps_are_combined_where_all_have_them(self) -> None:
        steps = path("a", "b")
        full = Table({"ab": Score(0.4, (0.8, 0.4), 3, parts=(0.8, 0.4))})
        other = Table({"ab": Score(0.5, (0.5, 0.5), 4, parts=(0.5, 0.5))})
        none = Table({"ab": Score(0.5)})
        [both] = judged(Product([full, other]), steps)
        assert both.steps == pytest.approx((0.4, 0.2))
        assert both.parts == pytest.approx((0.4, 0.2))
        assert both.tokens == 7
        [mean] = judged(WeightedSum([full, other]), steps)
        assert mean.steps == pytest.approx((0.65, 0.45))
        for without in (Product([full, none]), WeightedSum([full, none])):
            [score] = judged(without, steps)
            assert score.steps == ()
            assert score.parts == ()

    def test_steps_of_what_is_left_out(self) -> None:
        full, lost = Table({"ab": Score(0.4, (0.8, 0.4))}), Table({"ab": NAN})
        [kept] = judged(Product([full, lost], missing="skip"), path("a", "b"))
        assert (kept.value, kept.steps) == (0.4, (0.8, 0.4))
        [gone] = judged(Product([full, lost]), path("a", "b"))
        assert not gone.scored
        unsure = Table({"ab": Score(0.4, (NAN, 0.4))})
        [partly] = judged(Product([full, unsure]), path("a", "b"))
        assert math.isnan(partly.steps[0])
        assert partly.steps[1] == pytest.approx(0.16)

    def test_explanations_are_kept(self) -> None:
        left = Table({"x": Score(1, explanation="good")}, "left")
        right = Table({"x": Score(1, explanation="fine")}, "right")
        assert judged(Product([left, right]), path("x"))[0].explanation == "left: good\nright: fine"

    @pytest.mark.parametrize(
        ("build", "words"),
        [
            (lambda: WeightedSum([]), "at least one scorer"),
            (lambda: Product([]), "at least one scorer"),
            (lambda: WeightedSum([Table({})], [1, 2]), "1 scorers need 1 finite weights"),
            (lambda: WeightedSum([Table({})], [math.inf]), "finite"),
            (lambda: WeightedSum([Table({})], missing="zero"), "missing='zero'"),
            (lambda: Product([Table]), "is no scorer"),  # type: ignore[list-item]
            (lambda: Cascade(Table({}), "process"), "is no scorer"),  # type: ignore[arg-type]
            (lambda: Cascade(Table({}), Table({}), threshold=NAN), "threshold"),
        ],
    )
    def test_refused(self, build: Any, words: str) -> None:
        with pytest.raises(UsageError, match=words):
            build()


class TestCascade:
    def test_what_the_first_rejects_is_not_paid_for(self) -> None:
        first = Table(
            {"bad": Score(0.0, (0.0,), 1, "wrong"), "good": Score(1.0, (), 1, "right"), "open": Score(NAN, (), 1)}
        )
        then = Table({"good": Score(0.7, (0.7,), 10, "likely"), "open": Score(0.6, (0.6,), 10)})
        scores = judged(Cascade(first, then), path("bad"), path("good"), path("open"))
        assert then.asked == ["good", "open"]
        assert scores[0] == Score(0.0, (0.0,), 1, "wrong")
        assert scores[1] == Score(0.7, (0.7,), 11, "right\nlikely")
        assert scores[2] == Score(0.6, (0.6,), 11)
        assert judged(Cascade(first, then), path("bad"))[0].value == 0.0
        assert then.asked == ["good", "open"]

    def test_threshold(self) -> None:
        first, then = Table({"x": 0.5}), Table({"x": 0.9})
        values = [judged(Cascade(first, then, threshold=t), path("x"))[0].value for t in (0.4, 0.5, 0.6)]
        assert values == [0.9, 0.5, 0.5]

    def test_a_rule_spares_a_models_tokens_in_a_run(self) -> None:
        problems, policy = fake_problems(4), FakePolicy(accuracy=0.4)
        search = best_of_n(8)
        dear: Scorer = FakeScorer(incremental=False)
        rule = numeric()
        plain = run.solve(problems, policy=policy, search=search, scorer=dear)
        spared = run.solve(problems, policy=policy, search=search, scorer=Cascade(rule, dear))
        for problem, outcome in zip(problems, spared, strict=True):
            if problem.answer in {item.answer for item in outcome.candidates}:
                assert outcome.answer == problem.answer
        assert sum(a.cost.scored_tokens for a in spared) < sum(a.cost.scored_tokens for a in plain)


class TestMembers:
    def test_they_are_passed_through(self) -> None:
        rule = Table({}, "rule", parameters=0)
        model = Table({}, "model", parameters=50, count_tokens=lambda item: 7)
        plain = Table({}, "plain")
        oracle = Table({}, "oracle", oracle=True)
        for made in (WeightedSum([rule, model]), Product([rule, model]), Cascade(rule, model)):
            assert (made.parameters, made.oracle, made.count_tokens(path("xyz"))) == (50, False, 7)
        assert Product([model, plain]).count_tokens(path("xyz")) == 7 + 4
        assert Cascade(rule, oracle).oracle
        assert WeightedSum([rule, model], [1, 0.5]).name == "1*rule + 0.5*model"
        assert (Product([rule, model]).name, Cascade(rule, model).name) == ("rule * model", "rule then model")
        assert Product([rule], name="mine").name == WeightedSum([rule], name="mine").name == "mine"
        assert Cascade(rule, model, name="mine").name == "mine"

    def test_every_part_validates(self) -> None:
        for made in (WeightedSum([Table({}), numeric()]), Product([numeric()]), Cascade(Table({}), numeric())):
            made.validate([PROBLEM])
            with pytest.raises(UsageError, match="q has none"):
                made.validate([Problem("q", "?")])


class TestOracles:
    @pytest.mark.parametrize(
        ("gold", "text", "exact", "near"),
        [
            ("12", "Answer: 12", 1.0, 1.0),
            ("12", "Answer: 12.0", 1.0, 1.0),
            ("12", "Answer: 12.05", 0.0, 1.0),
            ("12", "Answer: 13", 0.0, 0.0),
            ("12", "well", 0.0, 0.0),
            ("1/3", "Answer: 0.33", 0.0, 1.0),
            ("0", "Answer: 0.005", 0.0, 1.0),
            ("-4", r"\boxed{-4.01}", 0.0, 1.0),
            ("x + 1", "Answer: 12", NAN, NAN),
        ],
    )
    def test_numeric(self, gold: str, text: str, exact: float, near: float) -> None:
        item = path(text, problem=Problem("p", "?", gold))
        assert alike(judged(numeric(), item)[0].value, exact)
        assert alike(judged(numeric(tolerance=0.01), item)[0].value, near)

    def test_symbolic(self) -> None:
        item = path(r"Answer: $2x + 2$", problem=Problem("p", "?", "2(x+1)"))
        assert judged(symbolic(), item)[0].value == 1.0
        assert judged(symbolic(), path("Answer: 3", problem=Problem("p", "?", "2(x+1)")))[0].value == 0.0

    def test_they_know_the_answers(self) -> None:
        for made, name in ((numeric(), "numeric"), (symbolic(), "symbolic")):
            assert (made.oracle, made.name) == (True, name)
            with pytest.raises(UsageError, match="q has none"):
                made.validate([Problem("q", "?")])
        assert (numeric(name="a").name, symbolic(name="b").name) == ("a", "b")
        with pytest.raises(UsageError, match="tolerance"):
            numeric(tolerance=-1)
