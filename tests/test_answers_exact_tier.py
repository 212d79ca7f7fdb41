"""The exact tier's own mathematics against something else that knows: floats, brute force, known identities."""

from __future__ import annotations

import cmath
import math
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reason.answers import Rules, equal
from reason.answers.algebra import Unreadable
from reason.answers.angles import without_angles
from reason.answers.balls import Ball, apart, ball, differ
from reason.answers.forms import read
from reason.answers.nodes import Node, Num, Op, Sym
from reason.answers.radicals import enclosure, same_constant, whole_root
from reason.answers.shapes import Quantity


def node(text: str) -> Node:
    form = read(text)
    assert isinstance(form, Quantity)
    return form.node


PROVED = [
    # functions
    (r"\tan^2 y+1", r"\sec^2 y"), (r"\sin 2x", r"2\sin x\cos x"), ("2^{x+1}", r"2\cdot 2^x"), ("4^x", "2^{2x}"),
    (r"\ln 12", r"2\ln 2+\ln 3"), (r"\log_2 3", r"\frac{\ln 3}{\ln 2}"), (r"\frac{\log 8}{\log 2}", "3"),
    (r"\log_4 8", r"\frac32"), (r"e^{\ln x}", "x"), (r"\cosh^2 x-\sinh^2 x", "1"), (r"e^{i\pi}+1", "0"),
    (r"\arccos x+\arcsin x", r"\frac\pi2"), (r"\arctan 1", r"\frac\pi4"), (r"\sin^{-1}\frac12", r"\frac\pi6"),
    (r"\frac{\sin x}{1+\cos x}", r"\tan\frac{x}{2}"), (r"\cos(a+b)", r"\cos a\cos b-\sin a\sin b"),
    (r"\sin^4 x", r"\frac{3-4\cos 2x+\cos 4x}{8}"), (r"(-1)^{n+1}", "-(-1)^n"), (r"\ln\sqrt x", r"\frac12\ln x"),
    (r"\{1, \sin(2x)\}", r"\{2\sin x\cos x, 1\}"), ("|2x|", "2|x|"), (r"\sqrt{x^2}", "|x|"), ("|x|^2", "x^2"),
    # roots
    (r"\frac{1}{\sqrt{x+1}}", r"\frac{\sqrt{x+1}}{x+1}"), (r"\sqrt{4x+4}", r"2\sqrt{x+1}"),
    (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"), (r"\sqrt[3]{2+\sqrt5}+\sqrt[3]{2-\sqrt5}", "1"), ("(-8)^{1/3}", "-2"),
    (r"\frac{1}{\sqrt2+\sqrt3+\sqrt5}", r"\frac{2\sqrt3+3\sqrt2-\sqrt{30}}{12}"), (r"|1-\sqrt2|", r"\sqrt2-1"),
    (r"\cos 36^\circ", r"\frac{1+\sqrt5}{4}"), (r"\tan 18^\circ", r"\frac{\sqrt{25-10\sqrt5}}{5}"),
    (r"\sqrt{10007\cdot10009}", r"\sqrt{10007}\sqrt{10009}"),
    # series, factorials
    (r"\sum_{k=1}^{10}k^2", "385"), (r"\sum_{k=1}^{n}x^k", r"\sum_{j=0}^{n-1}x^{j+1}"), (r"\prod_{k=1}^{5}k", "120"),
    (r"\sum_{k=1}^3 a_k", "a_1+a_2+a_3"), (r"\sum_{k=0}^{n-1}F_kF_{n-k-1}", r"\sum_{i=0}^{n-1}F_{n-i-1}F_i"),
    ("(n+1)!", "(n+1)n!"), (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"), (r"\binom{n}{k}", r"\binom{n}{n-k}"), ("7!!", "105"),
    (r"\Gamma(5)", "24"),
    (r"\sum_{i=1}^{3}\sum_{j=1}^{2}ij", "18"),
    # matrices
    (
        r"\begin{pmatrix}6&8\\10&12\end{pmatrix}",
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}+\begin{pmatrix}5&6\\7&8\end{pmatrix}",
    ),
    (
        r"\begin{pmatrix}1&0\\0&1\end{pmatrix}",
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}\begin{pmatrix}1&2\\3&4\end{pmatrix}^{-1}",
    ),
    (r"\begin{pmatrix}1+t\\2-t\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}+t\begin{pmatrix}1\\-1\end{pmatrix}"),
    ("-2", r"\begin{vmatrix}1&2\\3&4\end{vmatrix}"), ("-2", r"\det\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}^T"),
    # intervals and inequalities
    ("|x-3|<5", "(-2,8)"), ("|x|>2", r"(-\infty,-2)\cup(2,\infty)"), (r"|2x+1|\ge 3", r"x\le -2 or x\ge 1"),
    ("-1<2x+3<5", "(-2,1)"), (r"-1\le 3-x<5", "(-2,4]"), ("x>1 and x<5", "1<x<5"), ("0<f(x)<1", "(0,1)"),
    (r"1\le|z|\le\frac32", r"z\in[-\frac32,-1]\cup[1,\frac32]"), ("(0,1)", "]0,1["), ("[0,1)", "[0;1["),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "pred"), PROVED)
def test_identities_are_proved_without_the_symbolic_tier(gold: str, pred: str) -> None:
    for first, second in ((gold, pred), (pred, gold)):
        verdict = equal(first, second, symbolic=False)
        assert (verdict.verdict, verdict.tier) == ("correct", "exact")


def test_decimals_of_a_constant_are_right_to_their_last_place() -> None:
    for text, digits in ((r"\sqrt2", "1.414213562373095048801688724"), (r"\pi", "3.141592653589793238462643383"),
                         ("e", "2.718281828459045235360287471"), (r"\sin 1", "0.8414709848")):  # fmt: skip
        assert equal(text, digits, symbolic=False).correct
        assert not equal(text, digits[:-1] + str((int(digits[-1]) + 5) % 10), symbolic=False).correct


def test_the_rules_for_tolerance_order_and_units() -> None:
    assert not equal("100", "101").correct
    assert equal("100", "101", rules=Rules(tolerance=0.01)).correct
    assert not equal("100", "102", rules=Rules(tolerance=0.01)).correct
    assert equal(r"\pi", "3.14", rules=Rules(tolerance=0.01)).correct
    assert not equal("0", "0.001", rules=Rules(tolerance=0.5)).correct
    assert equal("(1,2)", "(1.001,2)", rules=Rules(tolerance=0.01)).correct
    assert equal("1,2", "2,1").correct
    assert not equal("1,2", "2,1", rules=Rules(ordered=True)).correct
    assert equal(r"\{1,2\}", r"\{2,1\}", rules=Rules(ordered=True)).correct
    assert equal("5 cm", "5").correct
    assert not equal("5 cm", "5", rules=Rules(units_required=True)).correct
    assert equal("5", "5 cm", rules=Rules(units_required=True)).correct
    assert equal("5 cm", r"5\text{ cm}", rules=Rules(units_required=True)).correct


ROOTS = st.recursive(
    st.integers(1, 12).map(lambda value: Num(Fraction(value))),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: Op("add", pair)),
        st.tuples(inner, inner).map(lambda pair: Op("mul", pair)),
        st.tuples(inner, inner).map(lambda pair: Op("div", pair)),
        inner.map(lambda value: Op("neg", (value,))),
        inner.map(lambda value: Op("root", (Num(Fraction(2)), Op("abs", (value,))))),
        inner.map(lambda value: Op("root", (Num(Fraction(3)), value))),
    ),
    max_leaves=5,
)


def number(tree: Node) -> float:
    if isinstance(tree, Num):
        return float(tree.value)
    assert isinstance(tree, Op)
    values = [number(argument) for argument in tree.args]
    match tree.kind:
        case "add":
            return values[0] + values[1]
        case "mul":
            return values[0] * values[1]
        case "div":
            return values[0] / values[1]
        case "neg":
            return -values[0]
        case "abs":
            return abs(values[0])
    return math.copysign(abs(values[1]) ** (1 / values[0]), values[1])


@settings(deadline=None)
@given(ROOTS, ROOTS)
def test_radicals_agree_with_floats_and_enclose_them(first: Node, second: Node) -> None:
    try:
        left, right = number(first), number(second)
    except ZeroDivisionError:
        return
    found = same_constant(first, second)
    if abs(left - right) > 1e-6 * max(1.0, abs(left), abs(right)) and found is not None:
        assert found is False
    if found:
        assert math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    bounds = enclosure(first, 40)
    if bounds is not None:
        assert bounds[0] - Fraction(1, 10**6) * (1 + abs(bounds[0])) <= left
        assert left <= bounds[1] + Fraction(1, 10**6) * (1 + abs(bounds[1]))
    assert same_constant(first, first) is not False


@settings(deadline=None)
@given(ROOTS)
def test_a_square_of_a_sum_is_its_expansion(tree: Node) -> None:
    two = Op("root", (Num(Fraction(2)), Num(Fraction(2))))
    total = Op("add", (tree, two))
    squared = Op("mul", (total, total))
    middle = Op("mul", (Num(Fraction(2)), Op("mul", (tree, two))))
    expanded = Op("add", (Op("mul", (tree, tree)), Op("add", (middle, Num(Fraction(2))))))
    assert same_constant(squared, expanded) is not False
    assert same_constant(squared, Op("add", (expanded, Num(Fraction(1, 10**30))))) is not True


@given(st.integers(0, 10**60), st.integers(2, 9))
def test_whole_roots_are_floors(value: int, degree: int) -> None:
    found = whole_root(value, degree)
    assert found**degree <= value < (found + 1) ** degree


@pytest.mark.parametrize("steps", range(0, 120, 7))
def test_angles_in_steps_of_three_degrees(steps: int) -> None:
    angle = node(rf"\frac{{{steps}\pi}}{{60}}")
    for name, function in (("sin", math.sin), ("cos", math.cos)):
        bounds = enclosure(without_angles(Op(name, (angle,))), 60)
        assert bounds is not None
        assert math.isclose(float(bounds[0]), function(steps * math.pi / 60), abs_tol=1e-12)


SMALL = st.floats(-3, 3).map(lambda value: round(value, 3))
FUNCTIONS = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "exp": cmath.exp, "ln": cmath.log, "sinh": cmath.sinh,
    "cosh": cmath.cosh, "tanh": cmath.tanh, "atan": cmath.atan, "asin": cmath.asin, "acos": cmath.acos,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@settings(deadline=None)
@given(value=SMALL)
def test_balls_hold_the_function_value(name: str, value: float) -> None:
    try:
        found = ball(Op(name, (Num(Fraction(str(value))),)), None)
        expected = FUNCTIONS[name](complex(value))
    except (Unreadable, ValueError):
        return
    assert not apart(found, Ball(expected, 1e-14 * max(1.0, abs(expected))))
    assert found.rad <= 1e-11 * max(1.0, abs(expected)) or name == "tan"


def test_numbers_refute_only_what_differs() -> None:
    assert differ(node(r"\sin x"), node(r"\cos x"))
    assert not differ(node(r"\sin^2 x+\cos^2 x"), node("1"))
    assert not differ(node(r"\sin(x+2\pi)"), node(r"\sin x"))
    assert not differ(node(r"f(2x)"), node(r"f(\frac{4x}{2})"))
    assert not differ(node("1+10^{-30}x"), node("1"))
    assert not differ(node(r"e^{100}\sin x-e^{100}\sin x"), node("0"))
    with pytest.raises(Unreadable):
        ball(Sym("x"), None)
    with pytest.raises(Unreadable):
        ball(node(r"\frac{1}{\sin^2 x+\cos^2 x-1}"), 1)


def fibonacci(count: int) -> int:
    first, second = 0, 1
    for _ in range(count):
        first, second = second, first + second
    return first


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(-3, 3))
def test_sums_are_written_out_as_python_does(last: int, shift: int) -> None:
    total = sum((index + shift) ** 2 for index in range(1, last + 1))
    text = rf"\sum_{{k=1}}^{{{last}}}(k+({shift}))^2"
    assert equal(str(total), text, symbolic=False).correct
    assert not equal(str(total + 1), text, symbolic=False).correct


ENTRIES = st.lists(st.lists(st.integers(-5, 5), min_size=3, max_size=3), min_size=3, max_size=3)


def shown(rows: list[list[int]]) -> str:
    cells = r"\\".join("&".join(map(str, row)) for row in rows)
    return rf"\begin{{pmatrix}}{cells}\end{{pmatrix}}"


@settings(deadline=None)
@given(ENTRIES, ENTRIES)
def test_matrix_arithmetic_is_that_of_lists(first: list[list[int]], second: list[list[int]]) -> None:
    added = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)]
    product = [[sum(a * row[at] for a, row in zip(line, second, strict=True)) for at in range(3)] for line in first]
    assert equal(shown(added), f"{shown(first)}+{shown(second)}", symbolic=False).correct
    assert equal(shown(product), f"{shown(first)}{shown(second)}", symbolic=False).correct
    changed = [[value + (row == column == 1) for column, value in enumerate(line)] for row, line in enumerate(product)]
    assert not equal(shown(changed), f"{shown(first)}{shown(second)}", symbolic=False).correct


@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(-5, 5), st.integers(-9, 9))
def test_linear_inequalities_are_solved(low: int, high: int, slope: int, offset: int) -> None:
    assume(low < high and slope != 0)
    ends = sorted((Fraction(low - offset, slope), Fraction(high - offset, slope)))
    text = f"{low} < {slope}x + ({offset}) < {high}"
    assert equal(f"({ends[0]},{ends[1]})", text, symbolic=False).correct
    assert not equal(f"[{ends[0]},{ends[1]})", text, symbolic=False).correct


FRACTIONS = (
    r"\frac{#}{%}", r"\dfrac{#}{%}", r"\tfrac{#}{%}", r"\cfrac{#}{%}", "#/%", r"$\frac{#}{%}$",
    r"\left(\frac{#}{%}\right)",
    r"\displaystyle\frac{#}{%}", r"\frac {#} {%}", r"{#}/{%}", r"\(\frac{#}{%}\)", r"\frac{#\cdot 3}{%\cdot 3}",
    r"\text{$\frac{#}{%}$}", r"\boxed{\frac{#}{%}}", r"# \div %", r"#\cdot\frac{1}{%}", r"\frac{#}{%}.",
    r"x=\frac{#}{%}",
)  # fmt: skip


@settings(deadline=None)
@given(st.integers(1, 99), st.integers(2, 99))
def test_a_fraction_in_many_dresses(top: int, bottom: int) -> None:
    plain = f"{top}/{bottom}"
    for dress in FRACTIONS:
        text = dress.replace("#", str(top)).replace("%", str(bottom))
        assert equal(plain, text, symbolic=False).correct, text
        assert equal(text, plain, symbolic=False).correct, text
        assert not equal(f"{top + 1}/{bottom}", text, symbolic=False).correct, text
