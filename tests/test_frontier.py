"""Curves of accuracy against tokens, against brute force."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.search.frontier import Point, at_price, average, envelope, price_of, relaxed, segments, spend

costs = st.integers(0, 40).map(float)
shares = st.integers(0, 20).map(lambda value: value / 20)
points = st.lists(st.builds(Point, costs, shares, st.integers(0, 9)), min_size=1, max_size=6)
curves = points.map(envelope)


@given(points, st.floats(0, 1))
def test_the_best_option_at_any_price_is_on_the_envelope(options, price):
    best = max(point.accuracy - price * point.tokens for point in options)
    found = at_price(envelope(options), price, ties=True)
    assert found in options
    assert found.accuracy - price * found.tokens == pytest.approx(best, abs=1e-7)


@given(curves)
def test_envelopes_rise_with_falling_slopes(curve):
    slopes = [piece.slope for piece in segments(curve)]
    assert all(slope > 0 for slope in slopes)
    assert all(left > right for left, right in itertools.pairwise(slopes))


@given(curves, curves, st.integers(1, 9), st.floats(0, 0.5))
def test_averages_are_the_best_of_every_combination(first, second, tenths, price):
    chance = tenths / 10
    mixed = envelope(average([(chance, first), (1 - chance, second)], 3.0, 7))
    best = max(
        chance * (a.accuracy - price * a.tokens) + (1 - chance) * (b.accuracy - price * b.tokens)
        for a in first
        for b in second
    )
    found = at_price(mixed, price, ties=False)
    assert found.option == 7
    assert found.accuracy - price * (found.tokens - 3.0) == pytest.approx(best, abs=1e-6)


@given(curves, st.floats(0, 60))
def test_the_price_of_a_budget_spends_it(curve, tokens):
    price, share = price_of(curve, tokens)
    low, high = (at_price(curve, price, ties=ties).tokens for ties in (False, True))
    if tokens < curve[0].tokens:
        assert price == math.inf
    elif tokens >= curve[-1].tokens:
        assert (price, share, high) == (0.0, 1.0, curve[-1].tokens)
    else:
        assert low + share * (high - low) == pytest.approx(tokens, abs=1e-6)


@settings(max_examples=150)
@given(st.lists(curves, min_size=1, max_size=4), st.integers(0, 150))
def test_greedy_against_every_allocation(options, tokens):
    chosen = spend(options, tokens)
    cost, value = sum(p.tokens for p in chosen), sum(p.accuracy for p in chosen)
    least = sum(curve[0].tokens for curve in options)
    if tokens < least:
        assert chosen == [curve[0] for curve in options]
        return
    assert cost <= tokens
    affordable = [row for row in itertools.product(*options) if sum(p.tokens for p in row) <= tokens]
    best = max(sum(p.accuracy for p in row) for row in affordable)
    bound = relaxed(options, tokens)
    largest = max((piece.accuracy for curve in options for piece in segments(curve)), default=0.0)
    assert value <= best + 1e-9 <= bound + 1e-8
    assert value > bound - largest - 1e-9
    exact = {sum(p.tokens for p in row): row for row in affordable}
    if cost == tokens and cost in exact and value == pytest.approx(bound):
        assert value == pytest.approx(best)


@given(st.lists(curves, min_size=1, max_size=3), st.integers(0, 120))
def test_the_relaxed_optimum_is_the_dual_one(options, tokens):
    """Strong duality: the least over prices of what prices allow (Everett 1963)."""
    if tokens < sum(curve[0].tokens for curve in options):
        return
    prices = {0.0, *(piece.slope for curve in options for piece in segments(curve))}
    dual = min(
        price * tokens + sum(max(p.accuracy - price * p.tokens for p in curve) for curve in options) for price in prices
    )
    assert relaxed(options, tokens) == pytest.approx(dual, abs=1e-7)


def test_by_hand():
    curve = envelope([Point(0, 0.2), Point(10, 0.6, 1), Point(20, 0.7, 2), Point(15, 0.5, 3), Point(30, 0.7, 4)])
    assert [point.option for point in curve] == [0, 1, 2]
    assert price_of(curve, 15) == (pytest.approx(0.01), 0.5)
    assert at_price(curve, 0.02, ties=False).option == 1
    assert at_price(curve, 0.04, ties=False).option == 0
    assert at_price(curve, 0.04, ties=True).option == 1
    assert [point.option for point in spend([curve, curve], 25)] == [1, 1]
    assert [point.option for point in spend([curve, curve], 30)] == [2, 1]


@pytest.mark.parametrize("tokens", [3.0, 15.0, 29.0])
def test_segments_that_differ_by_rounding_alone_are_one_price(tokens):
    curve = [Point(0.0, 0.0), Point(10.0, 0.1), Point(20.0, 0.2 - 1e-13), Point(30.0, 0.3 - 3e-13), Point(40.0, 0.31)]
    price, share = price_of(curve, tokens)
    low, high = (at_price(curve, price, ties=ties).tokens for ties in (False, True))
    assert low + share * (high - low) == pytest.approx(tokens)
