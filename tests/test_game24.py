"""Game of 24 and countdown: the grammar, expressions in solutions, step lines, reachability."""

from __future__ import annotations

import ast
import asyncio
import itertools
import math
import operator
import random
import re
import threading
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.scorers import game24
from reason.scorers.game24 import Game24, Puzzle, last_expression, parse_expression, puzzle_of, reachable
from reason.types import Finish, Path, Problem, Score, Step, UsageError

PROBLEM = Problem("g", "Use each number once to make 24.", None, {"numbers": [4, 9, 10, 13]})
COUNTDOWN = Problem("c", "Using the numbers [19, 36, 55, 7], create an equation that equals 65.")


def path(*steps: str, finish: Finish = Finish.STOP, problem: Problem = PROBLEM) -> Path:
    last = len(steps) - 1
    return Path(problem, tuple(Step(t, finish=finish if i == last else Finish.STEP) for i, t in enumerate(steps)))


def judged(scorer: Any, *paths: Path) -> list[Score]:
    scores: list[Score] = asyncio.run(scorer.judge(paths))
    return scores


def value(text: str, scorer: Game24 | None = None, problem: Problem = PROBLEM) -> float:
    return judged(scorer or Game24(), path(text, problem=problem))[0].value


Tree = Any


def trees() -> st.SearchStrategy[Tree]:
    """Expressions as nested tuples."""
    return st.recursive(
        st.integers(0, 99), lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner), max_leaves=6
    )


def written(tree: Tree) -> str:
    return str(tree) if isinstance(tree, int) else f"({written(tree[0])} {tree[1]} {written(tree[2])})"


def worth(tree: Tree) -> Fraction | None:
    """By the naive recursion."""
    if isinstance(tree, int):
        return Fraction(tree)
    left, right = worth(tree[0]), worth(tree[2])
    if left is None or right is None or (tree[1] == "/" and right == 0):
        return None
    return {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right, "/": lambda: left / right}[
        tree[1]
    ]()


def leaves(tree: Tree) -> list[int]:
    return [tree] if isinstance(tree, int) else leaves(tree[0]) + leaves(tree[2])


class TestGrammar:
    @given(trees())
    def test_round_trip(self, tree: Tree) -> None:
        parsed = parse_expression(written(tree))
        assert parsed is not None
        assert parsed.value == worth(tree)
        assert list(parsed.numbers) == leaves(tree)
        assert parsed.operations == len(leaves(tree)) - 1

    @given(st.text(alphabet="0123456789+-*/() ", max_size=20))
    def test_python_agrees_on_what_it_is_worth(self, text: str) -> None:
        """Every parsed text is what Python's own grammar reads, without powers, floor divisions and signs."""
        parsed = parse_expression(text)
        if parsed is not None and parsed.value is not None:
            node = ast.parse("".join(str(int(t)) if t.isdigit() else t for t in _tokens(text)), mode="eval").body
            assert _python(node) == parsed.value

    @given(st.text())
    def test_any_text_is_read_without_a_crash(self, text: str) -> None:
        parse_expression(text)
        last_expression(text)
        assert value(text) in (0.0, 1.0)
        puzzle_of(Problem("p", text))

    @pytest.mark.parametrize(
        "text",
        [
            "", "+", "1 +", "-3 + 4", "2 ** 3", "2 // 3", "(1", "1)", "()", "2(3)", "1 2", "a + 1", "1.5 + 2", "1e3",
            "__import__('os')", "2^3", "5!", "1" * 13, "(" * 40 + "1" + ")" * 40, "1+" * 300 + "1",
        ],
    )  # fmt: skip
    def test_what_is_no_expression(self, text: str) -> None:
        assert parse_expression(text) is None

    def test_division_by_zero_has_no_value(self) -> None:
        parsed = parse_expression("1 / (2 - 2) + 3")
        assert parsed is not None
        assert parsed.value is None


def _tokens(text: str) -> list[str]:
    return re.findall(r"\d+|[^\d\s]", text)


def _python(node: Any) -> Fraction:
    operations: dict[type, Any] = {
        ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    }  # fmt: skip
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int)
        return Fraction(node.value)
    found: Fraction = operations[type(node.op)](_python(node.left), _python(node.right))
    return found


RIGHT = r"""Answer: (10 - 4) * (13 - 9) = 24
(10-4)*(13-9)
The answer is (13 - 9) × (10 − 4).
Answer: 24 = (10 - 4) * (13 - 9)
\boxed{(10-4) \times (13-9)}
$(10 - 4) \cdot (13 - 9) = 24$
**Answer: (10 - 4) * (13 - 9) = 24**
1. (10 - 4) * (13 - 9) = 24
- (10 - 4) * (13 - 9) = 24.
(10 - 4) x (13 - 9) = 24
[10 - 4] * (13 - 9) = 24
(10 - 4) * (13 - 9) = 24 (done)
<think>1 + 1</think> (10 - 4) * (13 - 9) = 24
x = (10 - 4) * (13 - 9)""".splitlines()
WRONG = r"""
24
The answer is 24.
(10 - 4) * (13 - 9) = 25
(10 - 4) * (13 - 9) + 0 = 24
(10 - 4) * 4 = 24
(10 - 4) * (13 - 9) / 1
10 + 4 + 9 + 13 = 24
10 + 4 + 9 + 1 = 24
(4 + 10 + 9) * 13 ^ 0
-4 * (9 - 10 - 13) = 24
13 * 9 - 10 * 4
4 / (10 - 10)
(10 - 4) * (13 - 9)!
<think>(10 - 4) * (13 - 9) = 24</think> I do not know.""".splitlines()


class TestSolutions:
    @pytest.mark.parametrize("text", RIGHT)
    def test_right(self, text: str) -> None:
        [score] = judged(Game24(), path(text))
        assert score.value == 1.0, score.explanation

    @pytest.mark.parametrize("text", WRONG)
    def test_wrong(self, text: str) -> None:
        [score] = judged(Game24(), path(text))
        assert score.value == 0.0
        assert score.explanation

    def test_the_last_expression_counts(self) -> None:
        assert value("(10 - 4) * (13 - 9) = 24\n10 + 4 + 13 + 9 = 36") == 0.0
        assert value("10 + 4 + 13 + 9 = 36\n(10 - 4) * (13 - 9) = 24\nThat is it.") == 1.0
        assert value("13 + 9 = 22, so (10 - 4) * (13 - 9) = 24") == 1.0

    def test_fractions_are_exact(self) -> None:
        hard = Problem("f", "?", None, {"numbers": [3, 3, 8, 8]})
        assert value("8 / (3 - 8 / 3) = 24", problem=hard) == 1.0
        assert value("8 / 3 - 8 / 3", problem=hard) == 0.0

    def test_countdown_may_leave_numbers_out(self) -> None:
        scorer = Game24(every=False)
        assert value("Answer: 55 + 36 - 19 - 7 = 65", scorer, COUNTDOWN) == 1.0
        few = Problem("few", "Using the numbers [60, 5, 7], create an equation that equals 65.")
        assert value("60 + 5 = 65", scorer, few) == 1.0
        assert value("60 + 5 = 65", Game24(), few) == 0.0
        assert value("60 + 5 + 5 - 5 = 65", scorer, few) == 0.0
        assert (scorer.name, Game24().name, Game24(name="x").name) == ("countdown", "game24", "x")

    def test_what_is_unscored(self) -> None:
        none, failed, cancelled = judged(
            Game24(),
            path("1 + 1", problem=Problem("n", "Hello?")),
            path("x", finish=Finish.ERROR),
            path("x", finish=Finish.CANCELLED),
        )
        assert all(math.isnan(score.value) and score.error for score in (none, failed, cancelled))
        assert value("(10 - 4) * (13 - 9)") == 1.0
        [cut] = judged(Game24(), path("(10 - 4) * (13 - 9)", finish=Finish.LENGTH))
        assert cut.value == 1.0


STEPS = ["10 - 4 = 6 (left: 6 9 13)\n", "13 - 9 = 4 (left: 4 6)\n", "6 * 4 = 24 (left: 24)\n"]


class TestSteps:
    def test_a_chain_of_steps_is_a_solution(self) -> None:
        [score] = judged(Game24(), path(*STEPS))
        assert (score.value, score.steps) == (1.0, (1.0, 1.0, 1.0))
        [answered] = judged(Game24(), path(*STEPS, "Answer: (10 - 4) * (13 - 9) = 24"))
        assert answered.steps == (1.0,) * 4
        assert value("10 - 4 = 6\n13 - 9 = 4\n6 * 4 = 24") == 1.0
        assert value("10 - 4 = 6\n13 - 9 = 4\n6 * 5 = 24") == 0.0

    def test_open_paths_are_worth_their_steps(self) -> None:
        for count in range(1, 4):
            [score] = judged(Game24(), path(*STEPS[:count], finish=Finish.STEP))
            assert (score.value, score.steps) == (1.0, (1.0,) * count)
        [root] = judged(Game24(), Path(PROBLEM))
        assert (root.value, root.steps) == (1.0, ())

    @pytest.mark.parametrize(
        "step",
        [
            "10 - 4 = 7 (left: 7 9 13)", "10 - 5 = 5 (left: 4 5 9 13)", "10 - 4 = 6 (left: 6 9)",
            "10 + 10 = 20 (left: 20 4)",
            "10 - 4 = 6 (left: 6 9 13 x)", "10 / 0 = 0 (left: 1/0)",
        ],
    )  # fmt: skip
    def test_a_wrong_step_is_worth_nothing_and_all_after_it(self, step: str) -> None:
        [score] = judged(Game24(), path("Let us see.\n", step + "\n", "and so on\n", finish=Finish.STEP))
        assert score.steps == (1.0, 0.0, 0.0)
        assert "not a step from 4 9 10 13" in score.explanation or score.explanation == ""

    def test_fractions_and_thinking_aloud(self) -> None:
        thirds = Problem("t", "?", None, {"numbers": [3, 3, 8, 8]})
        chain = ["8 / 3 = 8/3 (left: 8/3, 3, 8)\n", "3 - 8/3 = 1/3 (left: 1/3 8)\n", "8 / 1/3 = 24 (left: 24)\n"]
        [score] = judged(Game24(), path(*chain, problem=thirds))
        assert score.value == 1.0
        [aloud] = judged(Game24(), path("10 + 4 = 14, no\n", "13 + 13 = 26?\n", finish=Finish.STEP))
        assert aloud.steps == (1.0, 1.0)

    def test_lookahead_tells_hopeless_states(self) -> None:
        start = path("13 * 10 = 130 (left: 4 9 130)\n", finish=Finish.STEP)
        [plain], [ahead] = judged(Game24(), start), judged(Game24(lookahead=True), start)
        assert (plain.value, ahead.value) == (1.0, 0.0)
        assert "cannot be reached" in ahead.explanation
        [good] = judged(Game24(lookahead=True), path(STEPS[0], finish=Finish.STEP))
        assert good.value == 1.0

    def test_lookahead_leaves_long_searches_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A state of six numbers is hopeful unseen; one of five is looked into, off the event loop."""
        asked, threads = list[int](), set[int]()

        def never(numbers: tuple[Fraction, ...], *_: object) -> bool:
            asked.append(len(numbers))
            threads.add(threading.get_ident())
            return False

        monkeypatch.setattr(game24, "reachable", never)
        six = Problem("s", "?", None, {"numbers": [1, 1, 1, 1, 1, 1], "target": 997})
        start = path("Well.", finish=Finish.STEP, problem=six)
        step = path("1 + 1 = 2 (left: 1 1 1 1 2)\n", finish=Finish.STEP, problem=six)
        scorer = Game24(lookahead=True)
        scorer.validate([six])
        assert [score.value for score in judged(scorer, start, step)] == [1.0, 0.0]
        assert asked == [5]
        assert threads.isdisjoint({threading.get_ident()})

    @given(st.lists(st.integers(1, 13), min_size=2, max_size=4), st.integers(0, 1000))
    def test_any_right_chain_is_followed(self, numbers: list[int], seed: int) -> None:
        """Random right steps keep their value; one with a result off by one loses it."""
        draw = random.Random(seed)
        left, lines = [Fraction(n) for n in numbers], list[str]()
        while len(left) > 1:
            draw.shuffle(left)
            first, second, *rest = left
            sign = draw.choice("+-*")
            result = {"+": first + second, "-": first - second, "*": first * second}[sign]
            left = [*rest, result]
            lines.append(f"{first} {sign} {second} = {result} (left: {' '.join(map(str, left))})\n")
        puzzle = Problem("p", "?", None, {"numbers": numbers, "target": int(left[0]) if left[0] >= 0 else 10**6})
        [score] = judged(Game24(), path(*lines, problem=puzzle))
        assert score.steps[:-1] == (1.0,) * (len(lines) - 1)
        assert score.value == float(left[0] >= 0)
        broken = [*lines[:-1], lines[-1].replace("= ", "= 1", 1)]
        [wrong] = judged(Game24(), path(*broken, finish=Finish.STEP, problem=puzzle))
        assert wrong.value == 0.0 or "= 1-" in broken[-1]


def brute(numbers: tuple[int, ...], target: int) -> bool:
    """All orders, operations and both shapes of three operations on four numbers; fewer by the same recursion."""
    if len(numbers) == 1:
        return numbers[0] == target
    for order in itertools.permutations(map(Fraction, numbers)):
        for signs in itertools.product("+-*/", repeat=3):
            a, b, c, d = order
            for shape in (((a, 0, b), 1, (c, 2, d)), (((a, 0, b), 1, c), 2, d)):
                if _shape(shape, signs) == target:
                    return True
            for shape in ((a, 0, (b, 1, (c, 2, d))), (a, 0, ((b, 1, c), 2, d)), ((a, 0, (b, 1, c)), 2, d)):
                if _shape(shape, signs) == target:
                    return True
    return False


def _shape(shape: Any, signs: tuple[str, ...]) -> Fraction | None:
    if isinstance(shape, Fraction):
        return shape
    left, right = _shape(shape[0], signs), _shape(shape[2], signs)
    sign = signs[shape[1]]
    if left is None or right is None or (sign == "/" and right == 0):
        return None
    return {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right, "/": lambda: left / right}[
        sign
    ]()


class TestReachable:
    @pytest.mark.parametrize("seed", range(6))
    def test_brute_force_agrees(self, seed: int) -> None:
        numbers = tuple(random.Random(seed).choices(range(1, 14), k=4))
        assert reachable(tuple(sorted(map(Fraction, numbers))), Fraction(24), True) == brute(numbers, 24)

    def test_known_ones(self) -> None:
        for numbers, possible in [
            ((3, 3, 8, 8), True),
            ((1, 5, 5, 5), True),
            ((1, 1, 1, 1), False),
            ((4, 4, 7, 7), True),
        ]:
            assert reachable(tuple(map(Fraction, numbers)), Fraction(24), True) is possible
        assert reachable((Fraction(1), Fraction(24)), Fraction(24), False)
        assert not reachable((Fraction(2), Fraction(24)), Fraction(24), True)


class TestPuzzles:
    @pytest.mark.parametrize(
        ("question", "puzzle"),
        [
            ("Use 4 9 10 13 to make 24.", Puzzle((4, 9, 10, 13), 24)),
            ("Using the numbers [19, 36, 55, 7], create an equation that equals 65.", Puzzle((19, 36, 55, 7), 65)),
            ("Numbers: 3, 3, 8 and 8. Target: 24", Puzzle((3, 3, 8, 8), 24)),
            ("4 9 10 13", Puzzle((4, 9, 10, 13), 24)),
            ("Game of 24: 4 9 10 13", Puzzle((4, 9, 10, 13), 24)),
            (
                "Use numbers and basic arithmetic operations (+ - * /) to obtain 24.\nInput: 1 1 4 6",
                Puzzle((1, 1, 4, 6), 24),
            ),
            ("Using 4 numbers 1 2 3 4, make 24", Puzzle((1, 2, 3, 4), 24)),
            ("Using the 4 given numbers 1 2 3 4, make 24", Puzzle((1, 2, 3, 4), 24)),
            ("Hello", None),
            ("Reach 24 with 24", None),
        ],
    )
    def test_questions(self, question: str, puzzle: Puzzle | None) -> None:
        assert puzzle_of(Problem("p", question)) == puzzle

    def test_meta_comes_first(self) -> None:
        assert puzzle_of(PROBLEM) == Puzzle((4, 9, 10, 13), 24)
        assert puzzle_of(Problem("p", "1 2 3 4", None, {"numbers": (5, 6), "target": 30})) == Puzzle((5, 6), 30)
        for wrong in ("5 6", [1.5, 2], [True, 2], [-1, 2], []):
            assert puzzle_of(Problem("p", "1 2 3 4", None, {"numbers": wrong})) is None

    def test_what_cannot_be_judged_is_refused(self) -> None:
        Game24().validate([PROBLEM, COUNTDOWN])
        with pytest.raises(UsageError, match="n has none"):
            Game24().validate([PROBLEM, Problem("n", "Hello?")])
        many = Problem("m", "?", None, {"numbers": [1] * 7})
        Game24().validate([many])
        with pytest.raises(UsageError, match="m has 7"):
            Game24(lookahead=True).validate([many])
