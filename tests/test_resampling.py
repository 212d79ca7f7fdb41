"""Resampling: unbiased in every scheme, and conditional on a survivor exactly as the definition says."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.search.resampling import SCHEMES, ancestors, conditional_ancestors, effective_size, normalized

WEIGHTS = st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(any).map(lambda raw: [w / sum(raw) for w in raw])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("weights", [[0.5, 0.3, 0.2], [0.01, 0.0, 0.6, 0.39], [0.25] * 4, [1.0]])
def test_expected_copies_are_n_times_the_weight(scheme, weights):
    draw, rounds, count = Random(1), 4000, 5
    totals = Counter(index for _ in range(rounds) for index in ancestors(scheme, weights, count, draw))
    for index, weight in enumerate(weights):
        deviation = math.sqrt(count * weight * (1 - weight) / rounds)
        assert totals[index] / rounds == pytest.approx(count * weight, abs=4 * deviation + 1e-9)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_place_is_as_likely_to_hold_a_particle(scheme):
    draw, rounds, weights = Random(2), 4000, [0.5, 0.3, 0.2]
    places = [Counter() for _ in range(4)]
    for _ in range(rounds):
        for place, index in zip(places, ancestors(scheme, weights, 4, draw), strict=True):
            place[index] += 1
    for place in places:
        for index, weight in enumerate(weights):
            assert place[index] / rounds == pytest.approx(weight, abs=4 * math.sqrt(weight * (1 - weight) / rounds))


@given(weights=WEIGHTS, count=st.integers(1, 20), seed=st.integers(0, 999))
def test_copies_stay_within_what_the_scheme_promises(weights, count, seed):
    for scheme in SCHEMES:
        chosen = ancestors(scheme, weights, count, Random(seed))
        copies = Counter(chosen)
        assert len(chosen) == count
        for index, weight in enumerate(weights):
            share = count * weight
            if scheme == "systematic":
                assert math.floor(share - 1e-9) <= copies[index] <= math.ceil(share + 1e-9)
            if scheme == "stratified":
                assert math.floor(share - 1e-9) - 1 <= copies[index] <= math.ceil(share + 1e-9) + 1
            if scheme == "residual":
                assert copies[index] >= math.floor(share - 1e-9)
            assert weight > 0 or not copies[index]


@given(weights=WEIGHTS, count=st.integers(1, 20), seed=st.integers(0, 999), data=st.data())
def test_the_kept_one_survives_whatever_its_weight(weights, count, seed, data):
    kept = data.draw(st.integers(0, len(weights) - 1))
    for scheme in SCHEMES:
        chosen = conditional_ancestors(scheme, weights, count, Random(seed), kept)
        assert chosen[0] == kept
        assert len(chosen) == count
        assert all(weights[index] > 0 or index == kept for index in chosen)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kept", [0, 2])
def test_conditional_is_the_unconditional_law_given_the_first_ancestor(scheme, kept):
    weights, count, rounds = [0.5, 0.35, 0.15], 3, 12000
    draw = Random(3)
    seen = Counter(tuple(sorted(conditional_ancestors(scheme, weights, count, draw, kept))) for _ in range(rounds))
    law: Counter[tuple[int, ...]] = Counter()
    accepted = 0
    while accepted < rounds:
        chosen = ancestors(scheme, weights, count, draw)
        if chosen[0] == kept:
            law[tuple(sorted(chosen))] += 1
            accepted += 1
    for outcome in law | seen:
        share = law[outcome] / rounds
        assert seen[outcome] / rounds == pytest.approx(share, abs=6 * math.sqrt(share * (1 - share) / rounds) + 1e-3)


def test_schemes_differ_in_variance():
    weights, rounds = [0.4, 0.3, 0.2, 0.1], 2000
    spread = {}
    for scheme in SCHEMES:
        draw = Random(4)
        counts = [ancestors(scheme, weights, 8, draw).count(0) for _ in range(rounds)]
        spread[scheme] = sum((count - 3.2) ** 2 for count in counts) / rounds
    assert spread["systematic"] < spread["stratified"] < spread["multinomial"]
    assert spread["residual"] < spread["multinomial"]


def test_weights():
    assert normalized([-math.inf, -math.inf]) == [0.0, 0.0]
    assert normalized([1e5, 1e5, -math.inf]) == [0.5, 0.5, 0.0]
    assert normalized([]) == []
    assert effective_size([0.25] * 4) == pytest.approx(4)
    assert effective_size([1.0, 0.0]) == 1
    assert effective_size([0.0, 0.0]) == 0


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=20))
def test_normalized_and_effective_size_keep_their_bounds(logs):
    weights = normalized(logs)
    assert math.fsum(weights) == pytest.approx(1)
    assert 1 - 1e-9 <= effective_size(weights) <= len(logs) + 1e-9
