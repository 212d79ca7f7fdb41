"""Extraction: each method, its span, what outranks what, and hostile text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.answers import answer_of, extract

FOUND = [
    ("4 * 12 = 48\n48 + 6 = 54\nAnswer: 54", "54", "marker"),
    ("So there are 3 left.\n#### 1,250", "1,250", "hashes"),
    (r"Hence $x = \boxed{\frac{1}{2}}$.", r"\frac{1}{2}", "boxed"),
    (r"First \boxed{3}. But that is wrong, so \boxed{4}.", "4", "boxed"),
    (r"The roots are \boxed{3} and \boxed{4}.", "3, 4", "boxed"),
    (r"The roots are $\boxed{3}$, $\boxed{4}$ \text{ or } $\boxed{5}$", "3, 4, 5", "boxed"),
    (r"\boxed{7} as found. We check it again and get \boxed{7}", "7", "boxed"),
    (r"\boxed{\text{it is } \{1, 2\}}", r"\text{it is } \{1, 2\}", "boxed"),
    (r"\fbox{12} students", "12", "boxed"),
    (r"That makes $\boxed{40}\%$.", r"40\%", "boxed"),
    (r"Let me box it: \boxed{91", "91", "boxed"),
    ("<think>Maybe \\boxed{3}?</think>So the answer is 4.", "4", "marker"),
    (
        r"\boxed{255} is the interest. Final Answer: The final answer is $10,455$. I hope it is correct.",
        "10,455",
        "marker",
    ),
    ("The answer is 42 because 6 * 7 = 42.", "42", "marker"),
    ("The final answer is $(0, 1)$. I hope it is correct.", "(0, 1)", "marker"),
    ("**Answer:** 12 apples", "12 apples", "marker"),
    ("The answer is: $12$ and $13$.", "12, 13", "marker"),
    ("Final Answer: The largest $n$ is 34.", "34", "marker"),
    ("Final Answer: Ben started 3 hours ago.", "3", "marker"),
    ("The correct answer is (B).", "(B)", "marker"),
    ("The answer: D, since A and B are even.", "D", "marker"),
    ("Final Answer:\n\n72", "72", "marker"),
    ("Answer: B) 5 apples", "B", "marker"),
    ("I think the answer is B because 3 is odd.", "B", "marker"),
    ("The correct option is (A).", "(A)", "marker"),
    (r"\frac{x+y}{xy}", r"\frac{x+y}{xy}", "whole"),
    ("The answer is 3.5 metres", "3.5 metres", "marker"),
    (r"\frac{10}{9}", r"\frac{10}{9}", "whole"),
    ("$1,000.99", "$1,000.99", "whole"),
    ("28 percent", "28 percent", "whole"),
    ("Wednesday", "Wednesday", "whole"),
    ("x = 5", "x = 5", "whole"),
    ("That gives $3x$ in all, so we have $x + 1$ here.", "x + 1", "math"),
    ("We add 3 and 4 to get\n\\[ 7 \\]", "7", "math"),
    ("The three boxes hold 3,000 pens, and 12 are left.", "12", "number"),
    ("It is not 10, it is 1,000.99m² in all", "1,000.99", "number"),
    ("The chance that she wins is 2/3.", "2/3", "number"),
    ("She saves 20% of it.", "20%", "number"),
    (r"The probability is \frac{1}{4}.", r"\frac{1}{4}", "math"),
    ("Answer: 8 (since 2 * 4 = 8)", "8", "marker"),
    ("Answer: 54</s>", "54", "marker"),
    ("它们一共有3 + 10 = 13只鸟。", "13", "number"),
]


@pytest.mark.parametrize(("text", "answer", "method"), FOUND, ids=[text[:30] for text, _, _ in FOUND])
def test_the_final_answer_is_found(text: str, answer: str, method: str) -> None:
    found = extract(text)
    assert (found.answer, found.method) == (answer, method)


@pytest.mark.parametrize(("text", "answer", "method"), FOUND, ids=[text[:30] for text, _, _ in FOUND])
def test_the_span_points_at_the_answer_in_the_whole_text(text: str, answer: str, method: str) -> None:
    prefix = "Let us see.\n" * 3000 + ("</think>" if "think" not in text else "")
    if method == "whole":
        prefix = "<think>hm</think>"
    found = extract(prefix + text)
    start, end = found.span
    marked = (prefix + text)[start:end]
    assert found.answer == answer
    first = answer.split(", ")[0].removesuffix(r"\%")
    assert marked.startswith(first)


@pytest.mark.parametrize(
    "text",
    ["", "   \n ", "I do not know what to do here.", "</think>", r"\boxed{}", "Correct \\frac{63}{400} but why"],
)
def test_no_answer_is_none_not_a_guess(text: str) -> None:
    assert extract(text).answer is None
    assert answer_of(text) is None


def test_strict_mode_takes_a_box_and_nothing_else() -> None:
    assert extract("The answer is 4.", strict=True).answer is None
    assert extract(r"\boxed{3}. Final answer: 4", strict=True).answer == "3"


def test_boxes_far_apart_are_not_a_list() -> None:
    assert answer_of(r"\boxed{1} is what one might think at first, and \boxed{2}") == "2"
    assert answer_of("\\boxed{1}\n\nSecond part:\n\n\\boxed{2}") == "2"
    assert answer_of(r"not \boxed{1} but and not \boxed{2}") == "2"


@pytest.mark.parametrize(
    "text",
    [
        "$" * 100_000,
        r"\boxed{" * 20_000,
        "{" * 100_000,
        "1" * 100_000,
        "1," * 50_000,
        r"\(" * 50_000,
        r"\[" * 50_000,
        "\n" * 100_000,
        "answer is " * 20_000,
        "#### " * 20_000,
        " 1/" * 30_000,
        "a" * 100_000,
        "\\" * 100_000,
    ],
    ids=lambda text: repr(text[:6]),
)
def test_hostile_text_is_scanned_in_linear_time(text: str) -> None:
    assert extract(text).method


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_survived_and_spans_lie_inside(text: str) -> None:
    found = extract(text)
    assert 0 <= found.span[0] <= found.span[1] <= len(text)
    assert (found.answer is None) == (found.method == "none")
