"""Statistics against brute force over all subsets, closed forms and known values."""

from __future__ import annotations

import math
import random
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from reason.evals.metrics import auc, auc_within, bootstrap_ci, mcnemar, paired_bootstrap, paired_p, pass_at_k
from reason.evals.subsets import (
    Samples,
    curves,
    expected_best,
    expected_majority,
    expected_pass,
    expected_weighted,
    group_ids,
)
from reason.search.select import choose
from reason.types import Candidate, Finish, Path, Problem, Step, UsageError


def random_samples(seed: int, n: int) -> Samples:
    generator = random.Random(seed)
    answers = tuple(generator.choice(["1", "2", "3", "3.0", None]) for _ in range(n))
    scores = tuple(generator.choice([0.0, 0.25, 0.5, 0.75, math.nan]) for _ in range(n))
    return Samples(answers, tuple(answer in ("3", "3.0") for answer in answers), scores)


def by_brute_force(samples: Samples, select: str, k: int) -> float:
    """Mean over every ordered draw of k samples of what the search's own selection would pick."""
    path = Path(Problem("p", "q"), (Step("s", finish=Finish.STOP),))
    results = []
    for drawn in permutations(range(len(samples.answers)), k):
        candidates = [Candidate(path, samples.answers[i], samples.scores[i]) for i in drawn]
        if not any(candidate.answer for candidate in candidates):
            results.append(False)
            continue
        index = choose(candidates, select).index
        results.append(samples.correct[drawn[index]] if index is not None else False)
    return sum(results) / len(results)


@pytest.mark.parametrize("seed", range(8))
def test_majority_and_weighted_equal_the_searchs_own_choice_over_all_ordered_draws(seed: int) -> None:
    samples = random_samples(seed, 6)
    groups = group_ids(samples.answers)
    majority = expected_majority(groups, samples.correct)
    weighted, error = expected_weighted(groups, samples.correct, samples.scores)
    assert not error.any()
    for k in range(1, 7):
        assert majority[k - 1] == pytest.approx(by_brute_force(samples, "majority", k))
        assert weighted[k - 1] == pytest.approx(by_brute_force(samples, "weighted", k))


@pytest.mark.parametrize("seed", range(8))
def test_naive_equals_the_searchs_own_choice_over_all_ordered_draws(seed: int) -> None:
    samples = random_samples(seed, 6)
    scored = Samples(samples.answers, samples.correct, tuple(0.1 if math.isnan(s) else s for s in samples.scores))
    expected = expected_best(scored.scores, scored.correct, [answer is not None for answer in scored.answers])
    for k in range(1, 7):
        assert expected[k - 1] == pytest.approx(by_brute_force(scored, "naive", k))


def test_unscored_samples_rank_last() -> None:
    expected = expected_best([math.nan, 0.1], [True, False])
    assert list(expected) == [0.5, 0.0]


@pytest.mark.parametrize(("n", "correct"), [(5, 2), (7, 0), (6, 6), (9, 1)])
def test_pass_at_k_equals_the_share_of_subsets_with_a_correct_sample(n: int, correct: int) -> None:
    labels = [index < correct for index in range(n)]
    closed = expected_pass(labels)
    for k in range(1, n + 1):
        share = np.mean([any(labels[i] for i in subset) for subset in combinations(range(n), k)])
        assert pass_at_k(n, correct, k) == pytest.approx(share)
        assert closed[k - 1] == pytest.approx(share)


def test_majority_of_many_samples_stays_a_probability_and_meets_its_ends() -> None:
    groups: list[int | None] = [index % 7 if index % 5 else None for index in range(200)]
    correct = [group == 3 for group in groups]
    expected = expected_majority(groups, correct)
    assert expected[0] == pytest.approx(np.mean(correct))
    assert np.all((expected >= 0) & (expected <= 1 + 1e-9))


def test_weighted_by_permutations_is_close_to_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = random_samples(3, 10)
    groups = group_ids(samples.answers)
    exact, none = expected_weighted(groups, samples.correct, samples.scores)
    monkeypatch.setattr("reason.evals.subsets.MOST_SUBSETS", 0)
    drawn, error = expected_weighted(groups, samples.correct, samples.scores, permutations=20_000)
    again, _ = expected_weighted(groups, samples.correct, samples.scores, permutations=20_000)
    assert not none.any()
    assert 0 < error.max() < 0.004
    assert np.all(np.abs(exact - drawn) <= 4 * error + 1e-12)
    assert np.array_equal(drawn, again)


def test_curves_join_problems_and_leave_scores_out_where_there_are_none() -> None:
    found = curves([random_samples(seed, 8) for seed in range(5)])
    assert set(found) == {"pass", "majority", "naive", "weighted"}
    for curve in found.values():
        assert curve.k == tuple(range(1, 9))
        assert all(low <= mean <= high for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True))
        assert curve.mean[0] == pytest.approx(found["pass"].mean[0])
    unscored = curves([Samples(("1", "2"), (True, False))])
    assert set(unscored) == {"pass", "majority"}


def test_bootstrap_interval_covers_as_promised() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        low, high = bootstrap_ci(list(generator.random(80) < 0.4), resamples=500, seed=trial)
        covered += low <= 0.4 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_bootstrap_matches_the_normal_interval_and_skips_unscored() -> None:
    values = [float(value) for value in np.random.default_rng(1).normal(2.0, 1.0, 400)]
    low, high = bootstrap_ci([*values, math.nan])
    half = 1.96 * np.std(values) / 20
    assert low == pytest.approx(np.mean(values) - half, abs=0.02)
    assert high == pytest.approx(np.mean(values) + half, abs=0.02)
    assert bootstrap_ci(values, seed=3) == bootstrap_ci(values, seed=3)
    assert all(map(math.isnan, bootstrap_ci([math.nan])))


@pytest.mark.parametrize("n", [1, 5, 50])
def test_all_right_and_all_wrong_have_the_exact_binomial_interval(n: int) -> None:
    for end in (0, 1):
        exact = stats.binomtest(end * n, n).proportion_ci(0.95, method="exact")
        assert bootstrap_ci([float(end)] * n) == pytest.approx((exact.low, exact.high))
        curve = curves([Samples(("1", "2"), (bool(end), bool(end)))] * n)["pass"]
        assert (curve.low[0], curve.high[0]) == pytest.approx((exact.low, exact.high))
    wider = stats.binomtest(0, n).proportion_ci(0.99, method="exact")
    assert bootstrap_ci([0.0] * n, level=0.99) == pytest.approx((wider.low, wider.high))
    assert bootstrap_ci([0.5] * n) == (0.5, 0.5)


def test_paired_bootstrap_is_tighter_than_unpaired_and_signed() -> None:
    first = [1.0] * 60 + [0.0] * 40
    second = [1.0] * 50 + [0.0] * 50
    mean, low, high = paired_bootstrap(first, second)
    assert mean == pytest.approx(0.1)
    assert 0 < low < 0.1 < high < 0.2
    assert paired_p(first, second) < 0.01
    back = paired_bootstrap(second, first)
    assert back.mean == pytest.approx(-mean)
    assert paired_bootstrap(first, first) == (0.0, 0.0, 0.0)
    assert paired_p(first, first) == 1.0
    assert paired_p(first, second) == paired_p(second, first)


def test_mcnemar_known_values() -> None:
    assert mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]) == pytest.approx(2 * 0.5**5)
    assert mcnemar([1, 0], [1, 0]) == 1.0
    assert mcnemar([1] * 3 + [0] * 9, [0] * 3 + [1] * 9) == pytest.approx(0.14599609375)


def test_auc_is_the_share_of_pairs_ranked_right() -> None:
    generator = random.Random(5)
    scores = [generator.choice([0.1, 0.2, 0.3, 0.4]) for _ in range(40)]
    labels = [generator.random() < 0.4 for _ in scores]
    pairs = [
        (a > b) + 0.5 * (a == b)
        for a, good in zip(scores, labels, strict=True)
        for b, other in zip(scores, labels, strict=True)
        if good and not other
    ]
    assert auc(scores, labels) == pytest.approx(sum(pairs) / len(pairs))
    assert auc([*scores, math.nan], [*labels, True]) == pytest.approx(sum(pairs) / len(pairs))
    assert math.isnan(auc([1.0], [True]))


def test_auc_within_a_problem_sees_what_the_overall_one_hides() -> None:
    scores = [0.9, 0.8, 0.2, 0.1]
    labels = [True, True, False, False]
    assert auc(scores, labels) == 1.0
    assert auc_within(scores, labels, ["a", "a", "b", "b"])[1] == 0
    mean, problems = auc_within([0.9, 0.8, 0.2, 0.1], [False, True, True, False], ["a", "a", "b", "b"])
    assert (mean, problems) == (0.5, 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: pass_at_k(4, 1, 5),
        lambda: pass_at_k(4, 5, 2),
        lambda: paired_bootstrap([1.0], [1.0, 0.0]),
        lambda: paired_p([1.0], []),
        lambda: mcnemar([1.0], []),
        lambda: auc([1.0], []),
        lambda: auc_within([1.0], [True], []),
        lambda: bootstrap_ci([1.0], level=2.0),
        lambda: bootstrap_ci([1.0], resamples=0),
        lambda: curves([]),
        lambda: Samples((), ()),
        lambda: Samples(("1",), (True,), (0.1, 0.2)),
    ],
)
def test_misuse_is_refused_with_a_usage_error(call) -> None:
    with pytest.raises(UsageError):
        call()
