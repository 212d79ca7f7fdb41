"""Mathematics in texts: what is found, what is converted, and that nothing unknown comes out, whatever goes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.view.data import dump
from reason.view.mathml import ATTRIBUTES, DEEPEST, ELEMENTS, LONGEST, MOST_ELEMENTS, Formulas, convert, spans

FOUND = {
    "$x^2$": ["$x^2$"],
    "a $x$ b \\(y\\) c \\[z\\] d $$w$$": ["$x$", "\\(y\\)", "\\[z\\]", "$$w$$"],
    "it is \\boxed{4{5}6}.": ["\\boxed{4{5}6}"],
    "\\begin{align} a &= b \\\\ c &= d \\end{align}": ["\\begin{align} a &= b \\\\ c &= d \\end{align}"],
    "costs $5 and $6": [],
    "from $5 to $10, or $20": [],
    "$12/hr and 3$ more": [],
    "pays $ 5 $": [],
    "it costs \\$5 and \\$6 $a$": ["$a$"],
    "$\\text{the price in dollars} = 5$": ["$\\text{the price in dollars} = 5$"],
    "$a\nb$": [],
    "$x": [],
    "\\(x": [],
    "\\boxed{x": [],
    "\\begin{tabular}a\\end{tabular}": [],
    "$" + "x" * (LONGEST + 9) + "$": [],
}
HOSTILE = [
    "\\def\\a{xx}\\a",
    "\\newcommand{\\a}{\\a\\a}\\a",
    "\\let\\a\\b",
    "{" * 500 + "}" * 500,
    "x^" * 500 + "x",
    "\\frac" * 300 + "1",
    "\\sqrt" * 400 + "x",
    "\\left(" * 300,
    "\\begin{matrix}" * 50,
    "^" * 900,
    "\\",
    "}",
    "\\right)",
    "\\frac{1}",
    "&&&&",
    "\x00\ud800",
]
FRAGMENTS = st.sampled_from(
    (
        "\\frac \\sqrt { } ^ _ $ \\( \\) \\[ \\] \\left( \\right) \\text{ \\mathbb{R} \\href{ \\style{ \\class{ "
        "\\color{red} \\unicode{x3c} \\boxed{ \\begin{matrix} \\end{matrix} & \\\\ <script> \" ' 1 x \\sum "
        "\\operatorname{ \\rule{1em}{9em} \\hspace{99em} \\kern9em \\phantom{ \\overline{ \\not = \\def \\a # % ~ "
        "\\limits \\prime \\mathrm{"
    ).split(" ")
)


def joined(split: str | list[str | int], table: list[list[Any]]) -> str:
    if isinstance(split, str):
        return split
    return "".join(piece if isinstance(piece, str) else table[piece][0] for piece in split)


def check(tree: Any, depth: int = 0) -> int:
    """Assert that all of it is known; returns the number of elements."""
    tag, attributes, *children = tree
    assert tag in ELEMENTS
    assert depth <= 2 * DEEPEST
    for key, value in (attributes or {}).items():
        assert key in ATTRIBUTES or (key, value) == ("mathvariant", "normal")
        assert isinstance(value, str)
        assert len(value) <= 60
    return 1 + sum(check(child, depth + 1) for child in children if not isinstance(child, str))


@pytest.mark.parametrize("text", FOUND, ids=lambda text: text[:30])
def test_mathematics_is_told_from_prices(text: str) -> None:
    assert [text[start:end] for start, end in spans(text)] == FOUND[text]


def test_conversion() -> None:
    assert convert("$\\frac{1}{2}$") == [
        "math",
        {"display": "inline"},
        ["mrow", 0, ["mfrac", 0, ["mrow", 0, ["mn", 0, "1"]], ["mrow", 0, ["mn", 0, "2"]]]],
    ]
    shown = convert("\\[\\mathbb{R}, \\mathbf{x}, \\mathcal{L}, \\mathfrak{g}\\]")
    assert shown is not None
    assert shown[1] == {"display": "block"}
    assert all(char in json.dumps(shown, ensure_ascii=False) for char in "ℝ𝐱ℒ𝔤")
    assert "menclose" in json.dumps(convert("\\boxed{42}"))


def test_markup_in_formulas_is_text() -> None:
    tree = convert("$\\text{<img src=x onerror=alert(1)>} a < b$")
    assert tree is not None
    check(tree)
    assert "<img\\u00a0src=x\\u00a0onerror=alert(1)>" in json.dumps(tree)


@pytest.mark.parametrize("latex", ["\\href{javascript:alert(1)}{x}", "\\style{color:red}{x}", "\\rule{99em}{99em}"])
def test_attributes_that_do_something_are_dropped(latex: str) -> None:
    tree = convert(f"${latex}$")
    if tree is not None:
        check(tree)
        assert "javascript" not in json.dumps(tree)
        assert "red" not in json.dumps(tree)
        assert "99em" not in json.dumps(tree)


@pytest.mark.parametrize("latex", HOSTILE, ids=lambda text: ascii(text[:14]))
def test_hostile_formulas_end_as_text_or_as_little(latex: str) -> None:
    tree = convert(f"\\({latex}\\)")
    assert tree is None or check(tree) <= MOST_ELEMENTS


@pytest.mark.parametrize("latex", [*HOSTILE[:3], "\\nosuchcommand{x}"])
def test_macros_and_unknown_commands_leave_text(latex: str) -> None:
    assert convert(f"${latex}$") is None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(FRAGMENTS, st.text(max_size=4)), max_size=24).map("".join))
def test_whatever_goes_in_only_known_elements_come_out(text: str) -> None:
    formulas = Formulas()
    split = formulas.split(text)
    table = formulas.taken()
    assert joined(split, table) == text
    for source, tree in table:
        assert source in text
        check(tree)
    shown = dump([split, table])
    assert "<" not in shown
    assert json.loads(shown) == [split, table]


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_a_block_of_data_is_the_data_and_cannot_end_its_element(text: str) -> None:
    shown = dump({"text": text, "more": text + "</script><!--\ud800"})
    assert "<" not in shown
    shown.encode("utf-8")
    assert json.loads(shown) == {"text": text, "more": text + "</script><!--\ud800"}


def test_equal_formulas_are_held_once() -> None:
    formulas = Formulas()
    assert formulas.split("$x$ and $x$ and $y$") == [0, " and ", 0, " and ", 1]
    assert [source for source, _ in formulas.taken()] == ["$x$", "$y$"]
    assert formulas.split("$y$") == [0]
    assert len(formulas.taken()) == 1


def test_an_answer_of_latex_is_mathematics_without_delimiters() -> None:
    formulas = Formulas()
    shown = [formulas.answer(text) for text in ("\\frac{1}{2}", "42", "x > 3", "C:\\temp is here", "$x$", None)]
    assert shown == [[0], "42", "x > 3", "C:\\temp is here", [1], None]
    assert [source for source, _ in formulas.taken()] == ["\\frac{1}{2}", "$x$"]


def test_no_time_left_leaves_text() -> None:
    assert Formulas(0.0).split("$x$") == "$x$"
