"""Rule verifiers: exact arithmetic on lines, checks, the oracle, and what they refuse."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.answers import Grade, Verdict
from reason.evals.tasks.word_problems import TASK, generate
from reason.policies.fake import FakeScorer
from reason.scorers import ArithmeticVerifier, load_scorer, verifier
from reason.scorers.arithmetic import check_line, equations
from reason.types import Finish, Path, Problem, Score, Step, UsageError

PROBLEM = Problem("p", "What is 2 + 3 + 4?", "9")


def path(*texts: str, finish: Finish = Finish.STOP, problem: Problem = PROBLEM) -> Path:
    last = len(texts) - 1
    return Path(problem, tuple(Step(t, finish=finish if i == last else Finish.STEP) for i, t in enumerate(texts)))


def judge(scorer: Any, *paths: Path) -> list[Score]:
    return asyncio.run(scorer.judge(paths))


RIGHT = """4 * 12 = 48
48 + 6 = 54
So 48/2 = 24 clips
48/2 = <<48/2=24>>24 clips
10 / 3 = 3.33
$5 * 3 = $15
5*$2=$10
1,000 + 1 = 1,001
20% * 50 = 10
15/60 = 25%
15/60*100 = 25%
1/3 = 33.3%
5%+3%=8%
2 x 3 = 6
2(3)=6
(1+2)*(3+4)=21
-3 + 5 = 2
7 - 9 = -2
12 ÷ 4 = 3
3 × 4 = 12
8 − 5 = 3
2^3 + 1 = 9
2 ** 3 = 8
3 + 5 = 2 * 4 = 8
0.1 + 0.2 = 0.3
1/2 + 1/2 = 1
total = 3 + 4 = 7
3 + 5 = 8kg
3 + 4 = 7.
1. 3 + 4 = 7
- 3 + 4 = 7
Step 1: 3 + 4 = 7""".splitlines()
WRONG = """4 * 12 = 49
<<48/2=25>>25
10/3 = 3.3334
10/3=3
2 x 3 = 7
3 + 5 = 2 * 4 = 9
3 + 4 = 7, 7 * 2 = 15
total = 3 + 4 = 8
1) 3 + 4 = 8""".splitlines()
LEFT_ALONE = [
    *"""Answer: 54
2x = 8
x + 3 = 8
5 apples + 3 = 8
sqrt(4) + 1 = 3
apples + 3 + 4 = 8
half of 4 + 1 = 3
3 times 4 + 2 = 14
1/0 = 3
9**9**9**9 = 1
5 = 5
= 5 + 3
3 + 4 =
1 + 2 = 3_4
3 + 5 = 2^n
3 + 5 = 8x
26=5+3x
75=(3/2)x
100/5 = 5A/5
3 + 4 = total
100 - 20% = 80
2 + 2 = 4!
$\\frac{1}{2} + 3 = 4$""".splitlines(),
    "(" * 5000 + "1 + 1 = 2",
    "(" * 100 + "1" + ")" * 100 + " + 1 = 2",
    "9" * 100 + " + 1 = 2",
    "1 + 1 = 2 " * 1000,
    "",
]


class TestArithmetic:
    @pytest.mark.parametrize("line", RIGHT)
    def test_right(self, line: str) -> None:
        assert check_line(line) is True

    @pytest.mark.parametrize("line", WRONG)
    def test_wrong(self, line: str) -> None:
        assert check_line(line) is False

    @pytest.mark.parametrize("line", LEFT_ALONE)
    def test_left_alone(self, line: str) -> None:
        assert check_line(line) is None

    @pytest.mark.parametrize(
        "line",
        [
            "10 / 4 = 2 remainder 2",
            "10 / 4 = 2 r 2",
            "10 / 4 = 2 R2",
            "10/4 = 2r2",
            "10 / 4 = 2, with a remainder of 2",
            "10 / 4 = 2 (remainder 2)",
            "10 / 4 = 2 each, remainder: 2",
            "12:30 + 2 = 14",
            "2 + 11 = 12:30",
        ],
    )
    def test_remainders_and_times_are_left_alone(self, line: str) -> None:
        assert check_line(line) is None

    def test_what_looks_like_them_is_read(self) -> None:
        assert check_line("So: 30 + 2 = 33") is False
        assert check_line("8 - 3 = 6 remaining apples") is False
        assert check_line("8 - 3 = 6 red apples") is False
        assert check_line("20 / 8 = 10 / 5 = 2 remainder 0") is False

    @given(st.text(alphabet="0123456789+-*/^()=.%x $,ab\n×<>", max_size=60))
    def test_any_text_gets_a_verdict(self, line: str) -> None:
        assert check_line(line) in (True, False, None)

    @given(st.data())
    def test_random_expressions_have_their_value(self, data: st.DataObject) -> None:
        """Against a naive evaluator: the tree is built with its value, then printed with all parentheses."""

        def build(depth: int) -> tuple[str, Fraction]:
            if depth == 0 or data.draw(st.booleans()):
                number = data.draw(st.integers(0, 99))
                return str(number), Fraction(number)
            (left, a), (right, b) = build(depth - 1), build(depth - 1)
            operator = data.draw(st.sampled_from("+-*/" if b else "+-*"))
            value = {"+": a + b, "-": a - b, "*": a * b}.get(operator) if operator != "/" else a / b
            assert value is not None
            return f"({left}) {operator} ({right})", value

        (left, a), (right, b) = build(3), build(2)
        text = f"({left}) + ({right}) = 0"
        [[side, zero]] = equations(text)
        assert side.value == a + b
        assert check_line(text) is (a + b == zero.value)

    @given(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=2, max_size=6), st.data())
    def test_precedence_without_parentheses(self, numbers: list[int], data: st.DataObject) -> None:
        """Against two naive passes, products then sums, both from left to right."""
        operators = [data.draw(st.sampled_from("+-*/")) for _ in numbers[1:]]
        terms = [(1, Fraction(numbers[0]))]
        for operator, number in zip(operators, numbers[1:], strict=True):
            if operator in "*/":
                sign, value = terms[-1]
                terms[-1] = (sign, value * number if operator == "*" else value / number)
            else:
                terms.append((1 if operator == "+" else -1, Fraction(number)))
        line = str(numbers[0]) + "".join(f" {o} {n}" for o, n in zip(operators, numbers[1:], strict=True))
        [[side, _]] = equations(f"{line} = 0")
        assert side.value == sum(sign * value for sign, value in terms)

    def test_every_gold_solution_of_the_generator_holds(self) -> None:
        for index in range(200):
            assert all(check_line(line) for line in generate("test", 3, index).lines)


class TestArithmeticVerifier:
    def test_steps_and_lines(self) -> None:
        good = path("2 + 3 = 5\n", "5 + 4 = 9\n", "Answer: 9")
        bad = path("2 + 3 = 6\n", "So\n", "6 + 4 = 10\nAnswer: 10")
        [right, wrong] = judge(ArithmeticVerifier(), good, bad)
        assert right.value == 1.0
        assert right.steps[:2] == (1.0, 1.0)
        assert math.isnan(right.steps[2])
        assert wrong.value == 0.0
        assert wrong.steps[0] == 0.0
        assert wrong.steps[2] == 1.0
        assert math.isnan(wrong.steps[1])
        assert len(wrong.parts) == 4
        assert wrong.tokens == 0

    def test_open_paths_and_nothing_to_check(self) -> None:
        [open_, empty, prose, failed] = judge(
            ArithmeticVerifier(),
            path("2 + 3 = 5\n", finish=Finish.STEP),
            Path(PROBLEM),
            path("Let me think.\n"),
            Path(PROBLEM, (Step("", finish=Finish.ERROR, error="boom"),)),
        )
        assert open_.value == 1.0
        assert all(not score.scored and score.error for score in (empty, prose, failed))
        assert "boom" in str(failed.error)

    def test_latex_is_refused_with_the_remedy(self) -> None:
        latex = [Problem("m/1", r"Find $\frac{1}{2} + x$ if $x = 3$."), Problem("m/2", "Find $x$."), PROBLEM]
        with pytest.raises(UsageError, match="2 of these 3 problems are LaTeX"):
            ArithmeticVerifier().validate(latex)
        ArithmeticVerifier().validate([PROBLEM, Problem("g", "She sells it for $2 and then for $3, why?")])


class TestChecks:
    def test_bools_floats_and_verdicts(self) -> None:
        answers: dict[str, Any] = {
            "a": True, "b": False, "c": 0.25, "d": 1, "e": 2, "f": math.nan, "g": "yes",
            "h": Verdict(Grade.CORRECT), "i": Verdict(Grade.NO_ANSWER), "j": Verdict(Grade.TIMEOUT),
        }  # fmt: skip
        scorer: Any = verifier(lambda problem, text: answers[text], name="table")
        scores = judge(scorer, *map(path, answers))
        values = [1.0, 0.0, 0.25, 1.0, None, None, None, 1.0, 0.0, None]
        assert [score.value if score.scored else None for score in scores] == values
        assert all(score.error for score, value in zip(scores, values, strict=True) if value is None)
        assert scorer.name == "table"
        assert not scorer.oracle

    def test_only_finished_paths_are_checked(self) -> None:
        calls: list[str] = []

        def check(problem: Problem, text: str) -> bool:
            calls.append(text)
            return True

        scores = judge(verifier(check), *(path(finish.value, finish=finish) for finish in Finish), Path(PROBLEM))
        assert calls == ["stop", "length", "budget"]
        assert [score.scored for score in scores] == [False, True, True, True, False, False, False]

    def test_a_failing_check_is_data(self) -> None:
        [score] = judge(verifier(lambda problem, text: 1 / 0 > 1), path("x"))
        assert not score.scored
        assert "ZeroDivisionError" in str(score.error)

    def test_tasks(self) -> None:
        own = SimpleNamespace(name="own", checkable=True, check=lambda problem, text: text == "yes", grade=None)
        assert [s.value for s in judge(verifier(own), path("yes"), path("no"))] == [1.0, 0.0]
        assert isinstance(verifier(TASK), ArithmeticVerifier)
        plain: Any = SimpleNamespace(name="plain", checkable=False, grade=lambda problem, text: Verdict(Grade.CORRECT))
        with pytest.raises(UsageError, match="plain has no check that works without its gold answers"):
            verifier(plain)
        assert judge(verifier(plain, gold=True), path("x"))[0].value == 1.0

    def test_the_oracle(self) -> None:
        scorer: Any = verifier(gold=True)
        right, wrong, none = judge(scorer, path("Answer: 9"), path("Answer: 8"), path("well"))
        assert (right.value, wrong.value, none.value) == (1.0, 0.0, 0.0)
        assert (scorer.oracle, scorer.name, scorer.parameters) == (True, "oracle", 0)
        with pytest.raises(UsageError, match="q has none"):
            scorer.validate([PROBLEM, Problem("q", "?")])
        [unknown] = judge(scorer, path("Answer: 9", problem=Problem("q", "?")))
        assert not unknown.scored

    def test_nothing_to_check_by(self) -> None:
        with pytest.raises(UsageError, match="needs something to check by"):
            verifier()
        with pytest.raises(UsageError, match="drop one of the two"):
            verifier(lambda problem, text: True, gold=True)


def check_length(problem: Problem, text: str) -> float:
    """A check that `module:name` finds."""
    return min(len(text), 10) / 10


def make_scorer() -> FakeScorer:
    return FakeScorer()


class TestLoading:
    @pytest.fixture(autouse=True)
    def module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = ModuleType("my_scorers")
        module.__dict__.update(check=check_length, make=make_scorer, made=FakeScorer(), kind=FakeScorer, number=3)
        monkeypatch.setitem(sys.modules, "my_scorers", module)

    def test_names(self) -> None:
        assert isinstance(load_scorer("arithmetic"), ArithmeticVerifier)
        oracle: Any = load_scorer("oracle")
        assert oracle.oracle

    @pytest.mark.parametrize("name", ["make", "made", "kind"])
    def test_scorers_from_a_module(self, name: str) -> None:
        assert isinstance(load_scorer(f"my_scorers:{name}"), FakeScorer)

    def test_a_check_from_a_module(self) -> None:
        scorer: Any = load_scorer("my_scorers:check")
        assert scorer.name == "my_scorers:check"
        assert judge(scorer, path("12345"))[0].value == 0.5

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("my_scorers:number", "is not a scorer"),
            ("my_scorers:nothing", "cannot be imported"),
            ("no_such:x", "cannot be imported"),
        ],
    )
    def test_errors(self, name: str, words: str) -> None:
        with pytest.raises(UsageError, match=words):
            load_scorer(name)


def test_scorers_without_models_need_no_torch() -> None:
    """In a fresh interpreter, importing and using a rule verifier leaves torch alone."""
    code = (
        "import sys, asyncio; from reason.scorers import load_scorer; from reason.types import *;"
        "s = load_scorer('arithmetic'); asyncio.run(s.judge([Path(Problem('a', 'b'), (Step('1 + 1 = 2'),))]));"
        "assert 'torch' not in sys.modules"
    )
    command: Sequence[str] = [sys.executable, "-W", "error", "-c", code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stderr == ""
