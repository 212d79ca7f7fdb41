"""How sure a running vote is of its leader: closed forms against numeric integration, brute force and simulation."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.answers import vote
from reason.search.posterior import beta_lead, decided, dirichlet_lead


def beta_by_simpson(a: int, b: int, points: int = 2001) -> float:
    """The integral of the Beta(1 + a, 1 + b) density over [1/2, 1]."""
    scale = math.exp(math.lgamma(a + b + 2) - math.lgamma(a + 1) - math.lgamma(b + 1))
    width = 0.5 / (points - 1)
    total = 0.0
    for index in range(points):
        x = 0.5 + index * width
        factor = 1 if index in (0, points - 1) else 4 if index % 2 else 2
        total += factor * scale * x**a * (1 - x) ** b
    return total * width / 3


@given(st.integers(0, 40), st.integers(0, 40))
def test_beta_equals_numeric_integration(a: int, b: int) -> None:
    assert beta_lead(a, b) == pytest.approx(beta_by_simpson(a, b), abs=1e-9)
    assert beta_lead(a, b) + beta_lead(b, a) == pytest.approx(1)


def test_beta_known_values() -> None:
    assert beta_lead(0, 0) == 0.5
    assert beta_lead(4, 0) == 31 / 32
    assert beta_lead(3, 1) == 13 / 16
    assert beta_lead(500, 500) == 0.5
    assert beta_lead(2000, 0) == 1.0


def dirichlet_exactly(counts: list[int]) -> Fraction:
    """The integral in closed form: the product of (1 - e^-x sum x^m / m!) multiplied out, term by term."""
    terms = {(0, 0): Fraction(1)}
    for count in counts[1:]:
        grown: dict[tuple[int, int], Fraction] = dict(terms)
        for (rate, degree), factor in terms.items():
            for m in range(count + 1):
                key = rate + 1, degree + m
                grown[key] = grown.get(key, Fraction(0)) - factor / math.factorial(m)
        terms = grown
    leader = counts[0]
    whole = Fraction(0)
    for (rate, degree), factor in terms.items():
        whole += factor * math.factorial(leader + degree) / Fraction(rate + 1) ** (leader + degree + 1)
    return whole / math.factorial(leader)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 14), min_size=1, max_size=5))
def test_dirichlet_equals_the_integral_in_closed_form(counts: list[int]) -> None:
    assert dirichlet_lead(counts) == pytest.approx(float(dirichlet_exactly(counts)), abs=1e-9)


@given(st.integers(0, 300), st.integers(0, 300))
def test_dirichlet_of_two_is_beta(a: int, b: int) -> None:
    assert dirichlet_lead([a, b]) == pytest.approx(beta_lead(a, b), abs=1e-6 if max(a, b) > 60 else 1e-9)


def test_dirichlet_of_equals_is_even() -> None:
    assert dirichlet_lead([7] * 5) == pytest.approx(1 / 5, abs=1e-9)


letters = st.sampled_from(["1", "2", "3", None])


@settings(max_examples=150, deadline=None)
@given(st.lists(letters, max_size=5), st.integers(0, 4))
def test_decided_is_exactly_what_no_continuation_can_change(answers: list[str | None], left: int) -> None:
    def winner(found: list[str | None]) -> str | None:
        return vote(found)[0].answer

    ends = [winner([*answers, *rest]) for rest in product(["1", "2", "3", "4", None], repeat=left) if answers or left]
    never_changes = bool(answers) and len(set(ends)) == 1 and ends[0] is not None
    if left:
        assert decided(vote(answers), left) == never_changes


@settings(max_examples=150, deadline=None)
@given(st.lists(letters, min_size=1, max_size=6), st.data())
def test_decided_with_gaps_is_never_wrong(answers: list[str | None], data: st.DataObject) -> None:
    gaps = data.draw(st.sets(st.integers(0, len(answers) - 1), min_size=1, max_size=3))
    landed = [None if index in gaps else answer for index, answer in enumerate(answers)]
    ends = set()
    for rest in product(["1", "2", "3", "4", None], repeat=len(gaps)):
        filled = list(landed)
        for index, answer in zip(sorted(gaps), rest, strict=True):
            filled[index] = answer
        ends.add(vote(filled)[0].answer)
    assert decided(vote(landed), len(gaps), min(gaps)) <= (len(ends) == 1)


def test_stopping_at_a_probability_keeps_it() -> None:
    """Two answers, a uniform prior: where sampling stops at 90 %, the leader is the likelier one 90 % of the time."""
    draw = random.Random(5)
    stopped = right = 0
    for _ in range(4000):
        share, a, b = draw.random(), 0, 0
        for _ in range(40):
            a, b = (a + 1, b) if draw.random() < share else (a, b + 1)
            if beta_lead(max(a, b), min(a, b)) >= 0.9:
                stopped += 1
                right += (a > b) == (share > 0.5)
                break
    assert stopped > 3000
    assert right / stopped >= 0.9
