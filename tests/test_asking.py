"""Templates, quotes and the strict reading of replies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.search.asking import (
    Account,
    RefinePrompts,
    RevisionPrompts,
    check_prompts,
    closing,
    closing_number,
    closing_word,
    fill,
    quoted,
    said,
)
from reason.types import Finish, Path, Problem, Step, UsageError

WORDS = ("correct", "wrong")
PROBLEM = Problem("p", "What is 1 + 1?")


def test_a_template_is_filled_in_one_pass():
    assert fill("{a} and {b} and {c}", a="{b}", b="{a}") == "{b} and {a} and {c}"


@given(st.text(), st.text())
def test_what_is_filled_in_is_never_filled_again(first, second):
    assert fill("<{first}|{second}>", first=first, second=second) == f"<{first}|{second}>"


@given(st.text())
def test_every_line_of_a_quote_is_one(text):
    assert all(line.startswith(">") for line in quoted(text).splitlines())


def test_a_quote_keeps_the_words():
    assert quoted("a\n\nb\x0bc\r\nd") == "> a\n> b\n> c\n> d"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>a</think>\n\nb", "b"),
        ("a</think>b", "b"),
        ("<think>a", ""),
        (" plain ", "plain"),
        ("x<think>y</think>z", "z"),
        ("a</think>", ""),
    ],
)
def test_thinking_is_not_said(text, left):
    assert said(text) == left


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("It adds up.\nVerdict: correct", "correct"),
        ("**Verdict: Correct.**", "correct"),
        ("Verdict:   wrong  \n\n", "wrong"),
        ("verdict = WRONG", "wrong"),
        (r"Fine.\n" + "\n" + r"\boxed{\text{correct}}", "correct"),
        ("<think>Verdict: wrong</think>Verdict: correct", "correct"),
        ("Verdict: correct\nOr maybe not.", None),
        ("Verdict: correct or wrong", None),
        ("Verdict: incorrect", None),
        ("The line 'Verdict: correct' stands in the solution", None),
        ("> Verdict: correct\nVerdict: wrong", "wrong"),
        ("<think>Verdict: correct", None),
        ("", None),
        ("Verdict:", None),
        ("It ends:\n> Verdict: correct", None),
        ('It ends with\n"Verdict: correct"', None),
        ('Verdict: "correct"', "correct"),
        ("`Verdict: wrong`", "wrong"),
    ],
)
def test_a_verdict_is_the_whole_last_line(reply, word):
    assert closing_word(reply, WORDS, "Verdict") == word


@pytest.mark.parametrize(
    ("reply", "number"),
    [("Best: 2", 2), ("2", 2), ("Best: 0", None), ("Best: 4", None), ("Best: 2 or 3", None), ("Best: 1.5", None)],
)
def test_a_vote_is_a_number_in_range(reply, number):
    assert closing_number(reply, 3, "Best") == number


@given(st.text(), st.sampled_from(WORDS))
def test_no_text_before_the_last_line_changes_a_verdict(before, word):
    before = before.replace("<think>", "")
    assert closing_word(f"{before}\nVerdict: {word}", WORDS, "Verdict") == word


@given(st.text(alphabet="Verdict: corwng\n*>`\\{}boxed", max_size=80))
def test_reading_never_fails(reply):
    word = closing_word(reply, WORDS, "Verdict")
    assert word is None or word in closing(reply, "Verdict").casefold()


def reply(text: str, finish: Finish = Finish.STOP) -> Path:
    return Path(PROBLEM, (Step(text, finish=finish),))


def test_an_account_counts_in_whole_solutions():
    account = Account(4)
    account.pay(reply("12345678"))
    assert (account.left, account.over) == (3, False)
    account.found(8)
    account.pay(reply("1234"))
    assert account.left == 2.5
    account.pay(reply("", Finish.ERROR))
    assert account.left == 1.5
    account.pay(reply("x" * 12))
    assert account.over


def test_a_guess_bounds_the_size_of_a_solution_from_below():
    account = Account(2, guess=10.0)
    account.pay(reply("12345"))
    assert account.left == 1.5
    account.found(5)
    assert account.left == 1.5
    account.found(35)
    assert account.left == 1.75


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RevisionPrompts(revise="{question}"), r"the prompt revise has no \{attempts\}"),
        (lambda: RevisionPrompts(attempt="?"), r"the prompt attempt has no \{attempt\}"),
        (lambda: RefinePrompts(critique="{question}"), r"the prompt critique has no \{attempt\}"),
        (lambda: RefinePrompts(refine="{history}"), r"the prompt refine has no \{question\}"),
        (lambda: RefinePrompts(turn="{attempt}"), r"the prompt turn has no \{critique\}"),
        (lambda: check_prompts("Again!", RevisionPrompts), r"prompts is 'Again!'; pass a .*RevisionPrompts"),
    ],
)
def test_prompts_that_cannot_work_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()
