"""What must never be accepted, and that a comparison is symmetric and sees every digit, sign and unit."""

from __future__ import annotations

from fractions import Fraction

import near_misses
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reason.answers import equal, grade
from reason.answers.algebra import Limit
from reason.answers.forms import read
from reason.answers.shapes import Unread

PAIRS = near_misses.MATH_VERIFY + [pair for pairs in near_misses.NEAR_MISSES.values() for pair in pairs]
ONE_WAY = {("5", r"5\%"), ("50", r"50\%")}
"""A gold percent accepts the bare number; a predicted percent is not one."""


@pytest.mark.parametrize(("gold", "pred"), PAIRS)
def test_near_misses_are_wrong_in_either_order_with_the_symbolic_tier(gold: str, pred: str) -> None:
    assert not equal(gold, pred).correct
    assert (gold, pred) in ONE_WAY or not equal(pred, gold).correct


@pytest.mark.parametrize(("gold", "pred"), PAIRS[::3])
def test_near_misses_are_wrong_in_a_box_and_in_dress(gold: str, pred: str) -> None:
    assert not grade(gold, rf"So the answer is \boxed{{{pred}}}.").correct
    assert "$" in pred or not equal(gold, f"${pred}$").correct


@pytest.mark.parametrize("text", sorted({text for pair in PAIRS for text in pair}))
def test_every_one_of_them_equals_itself(text: str) -> None:
    assert equal(text, text).correct
    assert equal(text, f" {text} ").correct


WHOLE = st.integers(1, 10**9)


@settings(deadline=None)
@given(WHOLE, st.integers(0, 8), st.integers(0, 9))
def test_one_other_digit_is_another_number(number: int, place: int, digit: int) -> None:
    digits = str(number)
    place %= len(digits)
    changed = digits[:place] + str(digit) + digits[place + 1 :]
    assume(int(changed) != number)
    dresses = (
        "{}", "{}.0", "${}$", r"{} \text{{ cm}}", "x={}", r"\frac{{{}}}{{7}}", r"\sqrt{{{}+\sqrt2}}", r"\sin {}x",
        "({},2)", r"\{{1,{}\}}", r"[0,{})", r"{}\pi", r"x^{{2}}+{}", "x<{}", r"\begin{{pmatrix}}1\\{}\end{{pmatrix}}",
    )  # fmt: skip
    for dress in dresses:
        assert not equal(dress.format(digits), dress.format(changed), symbolic=False).correct, (dress, digits, changed)
        assert equal(dress.format(digits), dress.format(digits) + " ", symbolic=False).correct


@settings(deadline=None)
@given(WHOLE)
def test_another_sign_is_another_number(number: int) -> None:
    for dress in ("{}", r"\frac{{{}}}{{7}}", "{}x", r"{}\sqrt2", "(1,{})", "{} m", r"\frac1{{{}}}", "{}^3"):
        positive, negative = dress.format(number), dress.format(f"({-number})" if "^" in dress else -number)
        assert not equal(positive, negative, symbolic=False).correct
        assert not equal(negative, positive, symbolic=False).correct


UNITS = ["cm", "mm", "km", "kg", "inches", "feet", "hours", "dollars", "cents", "cm^2", "cm^3", "degrees"]


@settings(deadline=None)
@given(WHOLE, st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_units_are_equal_to_themselves_and_to_none(number: int, first: str, second: str) -> None:
    gold, pred = f"{number} {first}", rf"{number}\text{{ {second.split('^')[0]}}}" + second[len(second.split("^")[0]) :]
    assert equal(gold, pred, symbolic=False).correct == (first == second)
    assert equal(gold, str(number), symbolic=False).correct
    assert equal(str(number), pred, symbolic=False).correct


TERMS = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(["x", "y", "n", r"\pi", "e", r"\sqrt{2}", r"\sqrt{x+1}", r"\sin x", r"\cos x", r"2^{x}", r"\ln x"]),
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda pair: f"({pair[0]})+({pair[1]})"),
        pairs.map(lambda pair: f"({pair[0]})({pair[1]})"),
        pairs.map(lambda pair: rf"\frac{{{pair[0]}}}{{{pair[1]}}}"),
        inner.map(lambda part: f"-({part})"),
        inner.map(lambda part: f"({part})^{{2}}"),
    )


EXPRESSIONS = st.recursive(TERMS, combined, max_leaves=6)


@settings(deadline=None, max_examples=200)
@given(EXPRESSIONS, EXPRESSIONS)
def test_comparison_is_symmetric(first: str, second: str) -> None:
    assert equal(first, second, symbolic=False).correct == equal(second, first, symbolic=False).correct


@settings(deadline=None, max_examples=200)
@given(EXPRESSIONS, st.fractions(-3, 3, max_denominator=9))
def test_expressions_equal_their_rewritings_and_nothing_shifted(text: str, shift: Fraction) -> None:
    try:
        assume(not isinstance(read(text), Unread))
    except Limit:
        return
    assert equal(text, f"({text})+0", symbolic=False).correct
    assert equal(text, rf"\frac{{2({text})}}{{2}}", symbolic=False).correct
    moved = rf"({text})+({shift})"
    assert equal(text, moved, symbolic=False).correct == (shift == 0)
