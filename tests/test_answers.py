r"""Equality: what counts as the same answer, what must never, and that nothing is raised.

The negative list holds every false positive that FIELD measurements found in Math-Verify.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.answers import Grade, Rules, equal

SAME = [
    # numbers
    ("7425000", "7,425,000"), ("1000", "1 000"), ("1000", "1000.0"), ("12345678", r"12\,345\,678"), ("1,234", "1234"),
    ("32349", r"32,\! 349"), ("14916", "14{,}916"), ("0.4", ".4"), ("-5", "-5."), ("7", "007"), ("100000", "1e5"),
    ("1500", r"1.5 \times 10^3"), ("2.75", "2,75"), ("0,125", "0.125"), ("1000", "$10^3$"), ("12", "twelve"),
    # fractions
    ("1/3", r"\frac13"), ("1/3", r"\dfrac{1}{3}"), ("1/3", r"\cfrac{2}{6}"), ("-10/9", r"\frac{-10}{9}"),
    ("2.5", r"\frac52"),
    (r"1\frac{4}{5}", "9/5"), ("3 1/2", "3.5"), (r"918\frac{1}{2}", "918.5"), ("1/3", r"0.\overline{3}"),
    ("1/12", "0.0833333333"), (r"\sqrt{2}", "1.4142135623730951"), (r"\pi", "3.14159265"),
    # roots, powers, constants
    (r"2\sqrt{3}", r"\sqrt{12}"), (r"\frac{\sqrt2}{2}", r"\frac{1}{\sqrt 2}"), (r"\sqrt2-1", r"\frac{1}{1+\sqrt{2}}"),
    ("2**(1/4)", r"\sqrt{\sqrt{2}}"), (r"\sqrt[3]{16}", r"2\sqrt[3]{2}"), ("(1+i)^2", "2i"),
    (r"\frac{9}{4}\pi", r"\frac94\pi"),
    (r"\sin 30^\circ", r"\frac12"), (r"\binom{5}{2}", "10"), ("5!", "120"), (r"\log_2 8", "3"),
    # expressions
    ("(x+1)^2", "x^2+2x+1"), (r"\frac{x^2-1}{x-1}", "x+1"), ("2 C L", "2LC"), (r"\cos \theta_1", r"\cos \theta _1"),
    ("x^4 - 2x", "-2*x + x**4"), (r"\frac{a}{b}+\frac{c}{d}", r"\frac{ad+bc}{bd}"),
    # percent, units, currency, degrees, times, bases
    (r"10\%", "10"), ("0.335", "33.5%"), (r"28\%", "28 percent"), (r"\$18.90", "18.9"), ("18.90 dollars", r"\$18.90"),
    ("15 cm^2", r"15\mbox{ cm}^2"), ("125 miles", "125"), ("5 inches", r"5\text{ inch}"), ("90", r"90^\circ"),
    (r"90^{\circ}", "90 degrees"), ("12:30", "12:30 p.m."), ("204_5", "204_{5}"),
    (r"\frac13", r"\frac{1}{3}\text{ meters}"),
    # text
    ("Evelyn", r"\text{Evelyn}"), ("even", r"\text{Even}"), ("C", r"\text{(C)}"), ("C", "c"), (r"\mathrm{E}", "E"),
    ("C", "C. 12"), ("B", "(B) 5 apples"), ("A", "Option A"), ("RED", "red"),
    (r"\text{6 people}", "6"), (r"\text{4:30 p.m.}", "4:30 PM"), ("5 million", "5,000,000"), ("twenty", "20"),
    ("8 square cm", "8 cm^2"), (r"f^{-1}(x)=x+1", "x+1"), (r"\frac{dy}{dx}=2x", "2x"), (r"\approx 3.14", "3.14"),
    # a leading sign of equality, quotients of units, base ten
    ("17", "= 17"), (r"3 \cdot 10^8 \text{ m/s}", "3e8 m/s"), ("9.8 m/s^2", "9.8"), ("12_{10}", "12"),
    # structure
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac\pi2)"), ("(1, 9/2)", "(1,4.5)"), ("3, 5, 7", "7,5,3"),
    (r"\{1,2,3\}", "3,2,1"), ("1, 2", r"1 \text{ and } 2"), ("21,16", "16 or 21"),
    (r"1 \pm \sqrt{19}", r"1+\sqrt{19},1-\sqrt{19}"),
    (r"(0,9) \cup (9,36)", r"(9,36)\cup(0,9)"), ("x=5", "5"), ("k = 45, n = 2", "n=2, k=45"), ("(p,q)=(3,2)", "(3,2)"),
    ("p=5,q=2;p=7,q=2", "(5,2),(7,2)"), (r"x \in [-2,7]", "[-2, 7]"), ("AB=4,CD=5", "4, 5"), ("V_1:V_2=11:21", "11:21"),
    (r"\begin{pmatrix} 1/5 \\ -2 \end{pmatrix}", r"\begin{bmatrix}0.2\\-2\end{bmatrix}"), ("3:4", "6:8"),
    # equations and inequalities
    ("2x+4y-3=0", r"y=-\frac{1}{2}x+\frac{3}{4}"), ("x^2/4+y^2/3=1", "3x^2+4y^2=12"), ("y = 2x + 3", "2x+3"),
    ("2 = x", "2"),
    ("f(x)=x^2+1", "f(t)=t^2+1"), ("f(n)=1", "f(x)=1"),
    ("x < 1", "-x > -1"), (r"x \geq 5", r"5 \leq x"), ("x != 3", r"x \neq 3"), ("-793 < a < 10", "(-793, 10)"),
    (r"[2,\infty)", r"k \ge 2"), (r"x<1 \text{ or } x>3", r"(-\infty,1)\cup(3,\infty)"), ("f(2) < f(1)", "f(1) > f(2)"),
]  # fmt: skip

DIFFERENT = [
    # Math-Verify's false positives
    ("10^{-20}", "10^{-21}"), ("1/2^{99}", "1/2^{98}"), ("Evelyn", "nylevE"), ("10 cm", "10 m"), ("1011_2", "1011"),
    ("5", r"5\%"), ("100000", "1"), ("1e5", "1"),
    # numbers
    ("5", "5.001"), ("1/3", "0.333"), ("3.15", "3.14159"), (r"\pi", "3.14"), ("12", "(1,2)"), ("12", "1,2"),
    ("32349", "32, 349"),
    ("9999999999999999", "10000000000000000"), ("10^{100}", "10^{100}+1"), ("2^{1000}", "2^{1001}"),
    ("3,4", "3.4"), ("0,1", "1/10"), ("0,4", "0.4"),
    (r"1\frac12", r"\frac12"), (r"1\sqrt{19}", "1"), ("4", r"4\sqrt{2}"), ("0.000001", "0.0000010001"), ("12", "12x"),
    ("10^{-9}", "0.000000"), ("1000000.3", "1000000+1/3"),
    # text
    ("odd", r"\text{oddd}"), ("cat", "act"), ("d", r"\text{E}"), ("x", "X"), (r"\mathrm{E}*2", "E"), ("Ann", "Bob"),
    ("equivalent_but_other_format", "other_but_equivalent_format"), ("east", "3"), ("3", "east"),
    # units and kinds
    ("10 cm", "100 mm"), ("1 hour", "60 minutes"), ("5 dollars", "5 cents"), ("15 cm^2", "15 cm^3"), ("12:00", "1:00"),
    ("12:30", "1230"), ("1011_2", "11"), ("204_5", "204_6"), ("3:4", "4:3"), ("8 inches^2", "8 inches^3"),
    # structure
    ("(1,2)", "(2,1)"), ("[0,1)", "(0,1)"), ("[0,1)", "[0,1]"), ("1,2,3", "1,2"), ("1,1,2", "1,2,2"),
    (r"\{1,2\}", "(1,2)"),
    (r"\pm 2021", "2021"), ("x=1, y=2", "x=2, y=1"), ("x=1", "y=1"), (r"\sqrt{67},-\sqrt{85}", r"\sqrt{67}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}"), ("(0;0;0),(1;2;3)", "(0,0,0),(1,2,4)"),
    # expressions, equations, inequalities
    ("f(x)=1/x", "f(y)=1/x"),
    ("x+2n+1", "x+1"), ("7 = 11a+c", "11a+c"), ("a+3z=0", "0"), ("x^2+y^2=1", "x^2+y^2=2"), ("x > 5", "x < 5"),
    ("x<2", r"x\le 2"),
    (r"\sin x", r"\cos x"), (r"\sin(10^{-20})", r"\sin(10^{-21})"), (r"1-\frac1e", r"1+\frac1e"),
    ("f(2) < f(1)", "f(1) < f(2)"),
    (r"F_n = \sum_{k=0}^{n-1} F_k F_{n-k-1}", r"F_n = \sum_{k=0}^{n-2} F_k F_{n-k-2}"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "pred"), SAME)
def test_the_same_answer_in_another_dress_is_correct_without_the_symbolic_tier(gold: str, pred: str) -> None:
    assert equal(gold, pred, symbolic=False).verdict is Grade.CORRECT


@pytest.mark.parametrize(("gold", "pred"), DIFFERENT)
def test_different_answers_are_never_correct_even_with_the_symbolic_tier(gold: str, pred: str) -> None:
    assert not equal(gold, pred).correct


@pytest.mark.parametrize("answer", sorted({text for pair in SAME + DIFFERENT for text in pair}))
def test_every_answer_equals_itself(answer: str) -> None:
    assert equal(answer, answer).correct
    assert equal(answer, f"${answer}$").correct or "$" in answer


def test_percent_is_a_unit_only_where_the_rules_say_so() -> None:
    assert not equal("20", r"20\%").correct
    assert equal("20", r"20\%", rules=Rules(percent_is_unit=True)).correct
    assert not equal("20", r"21\%", rules=Rules(percent_is_unit=True)).correct


def test_rounding_needs_as_many_places_as_the_rules_say() -> None:
    assert not equal("1/3", "0.33").correct
    assert equal("1/3", "0.33", rules=Rules(decimals=2)).correct
    assert not equal("1/3", "0.34", rules=Rules(decimals=2)).correct


def test_case_matters_only_where_the_rules_say_so() -> None:
    assert equal("Red", "red").correct
    assert not equal("Red", "red", rules=Rules(case_sensitive=True)).correct


def test_verdicts_say_what_is_wrong_with_the_input() -> None:
    assert equal("5", None).verdict is Grade.NO_ANSWER
    assert equal("5", "  ").verdict is Grade.NO_ANSWER
    assert equal("", "5").verdict is Grade.GOLD_ERROR
    assert equal(None, None).verdict is Grade.GOLD_ERROR
    assert not equal("", "5").scored
    assert equal("5", "1" * 5_000).verdict is Grade.LIMIT
    assert equal("5", "1" * 300).verdict is Grade.LIMIT
    assert equal("1" * 300, "5").verdict is Grade.GOLD_ERROR
    assert equal("1" * 300, "1" * 300).verdict is Grade.CORRECT
    assert equal("5", "(" * 100 + "5" + ")" * 100).verdict is Grade.LIMIT
    assert equal("5", r"\frac{5}{", symbolic=False).verdict is Grade.UNPARSEABLE
    assert equal("even", "odd").tier == "text"
    assert equal("5", "6").verdict is Grade.INCORRECT


NUMBERS = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=1000)


def dresses(value: Fraction) -> list[str]:
    top, bottom = value.numerator, value.denominator
    found = [
        f"{top}/{bottom}",
        rf"\frac{{{top}}}{{{bottom}}}",
        rf"$\dfrac{{{3 * top}}}{{{3 * bottom}}}$",
        f"{top}({bottom})^{{-1}}",
    ]
    if bottom == 1:
        found += [str(top), f"{top:,}", f"{top}.00", rf"{top}\text{{ cm}}", f"x = {top}", rf"\text{{{top}}}"]
    if value > 1 and bottom > 1:
        found.append(rf"{top // bottom}\frac{{{top % bottom}}}{{{bottom}}}")
    return found


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_rational_numbers_in_any_dress_compare_as_numbers(first: Fraction, second: Fraction) -> None:
    for left in dresses(first):
        for right in dresses(second):
            assert equal(left, right, symbolic=False).correct == (first == second), (left, right)
        for right in dresses(first):
            assert equal(left, right, symbolic=False).correct, (left, right)


@settings(deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=2, max_size=4), st.lists(st.integers(-4, 4), min_size=2, max_size=4))
def test_polynomials_compare_by_value_not_by_writing(first: list[int], second: list[int]) -> None:
    def expanded(roots: list[int]) -> str:
        coefficients = [1]
        for root in roots:
            shifted = [*coefficients, 0]
            coefficients = [a - root * b for a, b in zip(shifted, [0, *coefficients], strict=True)]
        degree = len(coefficients) - 1
        return "+".join(f"({value})x^{{{degree - place}}}" for place, value in enumerate(coefficients))

    factored = "".join(f"(x-({root}))" for root in first)
    assert equal(expanded(first), factored, symbolic=False).correct
    assert equal(expanded(second), factored, symbolic=False).correct == (sorted(first) == sorted(second))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.text(alphabet=r"0123456789xy+-*/^_{}()[]\,.$%! fracsqrtpmcupin", max_size=60))
def test_no_text_makes_it_raise(gold: str, pred: str) -> None:
    equal(gold, pred, symbolic=False)
    equal(pred, gold, symbolic=False)
    if pred.strip():
        assert equal(pred, pred, symbolic=False).correct
