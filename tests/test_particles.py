"""Particle filtering and particle Gibbs: the posterior they estimate, known exactly, and what they may never do."""

from __future__ import annotations

import math
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import recorder, solutions

from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.search import STRATEGIES, particle_gibbs, particles
from reason.search.resampling import SCHEMES
from reason.types import Finish, Score, Step, UsageError


def posterior(record, problem, *, target="last", potential="odds", temperature=1.0):
    """By brute force: every solution's share of p(x) exp(g(x))."""
    gain = {"odds": lambda v: v / (1 - v), "probability": lambda v: v, "reward": math.exp}[potential]
    mass = {}
    for path, chance in solutions(record.policy, problem):
        values = record.scorer.score(path).steps
        values = values if target == "all" else values[-1:]
        mass[path.text] = chance * math.prod(gain(value) for value in values) ** (1 / temperature)
    total = sum(mass.values())
    return {text: share / total for text, share in mass.items()}


def estimate(outcome):
    total = math.fsum(candidate.weight for candidate in outcome.candidates)
    return {candidate.path.text: candidate.weight / total for candidate in outcome.candidates}


def distance(left, right):
    """Total variation."""
    return sum(abs(left.get(text, 0) - right.get(text, 0)) for text in left.keys() | right.keys()) / 2


class Early(FakePolicy):
    """Some solutions end after their second line."""

    def lines(self, question, text=""):
        options = super().lines(question, text)
        if len(text.splitlines()) == 2:
            return [(f"Answer: {len(text)}", 0.4), *((line, 0.6 * chance) for line, chance in options)]
        return [] if "Answer" in text else options


class Quick(FakePolicy):
    """The same world at temperature 1, whole lines at once: for thousands of particles."""

    def __init__(self, *, told=False, **options):
        super().__init__(**options)
        self.table, self.told = cache(self.lines), told

    async def extend(self, paths, sampling):
        steps = []
        for path in paths:
            options = self.table(path.problem.question, path.text)
            draw = random.Random(path.seed)
            [(line, chance)] = draw.choices(options, [chance for _, chance in options])
            known = (math.log(chance),) if self.told else ()
            steps.append(Step(line, (1,), known, Finish.STEP if line.endswith("\n") else Finish.STOP))
        return steps


def world(seed=0):
    """27 solutions, none of them with the posterior to itself."""
    record = recorder(0.4, branch=3, seed=seed)
    record.policy = Quick(accuracy=0.4, branch=3)
    record.scorer = FakeScorer(good=0.6, bad=0.35, noise=0.3)
    return record


def filtered(n=16, **options):
    """Weighed by value alone."""
    return particles(n, **{**PLAIN, **options})


def gibbs(n=16, **options):
    return particle_gibbs(n, **{**PLAIN, **options})


PLAIN = {"ess": 0.5, "temperature": 1.0, "target": "last"}
PROBLEM = fake_problems(1, terms=4)[0]
SMALL = fake_problems(1, terms=3)[0]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("ess", "tempering"), [(0, 0), (0.9, 0), (1, 0.5)])
def test_the_estimate_converges_to_the_posterior(scheme, ess, tempering):
    record = world()
    search = filtered(3000, resample=scheme, ess=ess, tempering=tempering, select="weighted")
    assert distance(estimate(record.solve(search, SMALL)), posterior(record, SMALL)) < 0.05


@pytest.mark.parametrize(
    "options",
    [
        {"target": "all"},
        {"target": "all", "ess": 1, "tempering": 0.7},
        {"temperature": 0.5},
        {"temperature": 3.0, "ess": 1},
        {"potential": "probability"},
        {"potential": "reward", "temperature": 0.1},
    ],
)
def test_every_target_has_the_posterior_that_it_says(options):
    record = world(1)
    chosen = {key: value for key, value in options.items() if key in ("target", "potential", "temperature")}
    expected = posterior(record, SMALL, **chosen)
    assert distance(expected, posterior(record, SMALL)) > 0.08
    found = estimate(record.solve(filtered(4000, select="weighted", **options), SMALL))
    assert distance(found, expected) < 0.05


def test_copies_that_share_the_steps_sampled_cost_little_and_estimate_the_same():
    record = world()
    record.policy.told = True
    search = filtered(3000, ess=0.9, select="weighted", novelty=0.02)
    assert distance(estimate(record.solve(search, SMALL)), posterior(record, SMALL)) < 0.05
    assert len(record.extended) < 3000 / 10


def test_one_filter_without_resampling_is_importance_sampling():
    record = world()
    outcome = record.solve(filtered(64, ess=0, select="weighted"), PROBLEM)
    ends = [path for path in record.results if path.complete]
    odds = {}
    for path in ends:
        value = record.scorer.score(path).value
        odds[path.text] = odds.get(path.text, 0) + value / (1 - value)
    total = sum(odds.values())
    assert estimate(outcome) == pytest.approx({text: share / total for text, share in odds.items()})


def test_resampling_follows_the_effective_sample_size():
    for ess, again in ((0.0, False), (1.0, True)):
        record = world()
        record.solve(filtered(32, ess=ess), PROBLEM)
        firsts = record.results[:32]
        begun = sorted(path.steps[0].text for path in record.extended[32:64])
        assert (begun != sorted(path.steps[0].text for path in firsts)) == again
    # Values that hardly differ leave the effective size above one half, but not above 0.999.
    for ess, again in ((0.5, False), (0.999, True)):
        record = world()
        record.scorer = FakeScorer(good=0.55, bad=0.45)
        record.solve(filtered(32, ess=ess), PROBLEM)
        begun = sorted(path.steps[0].text for path in record.extended[32:64])
        assert (begun != sorted(path.steps[0].text for path in record.results[:32])) == again


@pytest.mark.parametrize("seed", range(3))
def test_systematic_resampling_copies_in_proportion_to_weight(seed):
    record = world(seed)
    record.solve(filtered(40, ess=1), PROBLEM)
    firsts = [path.text for path in record.results[:40]]
    odds = {text: record.scorer.score(path).value for text, path in zip(firsts, record.results[:40], strict=True)}
    total = sum(odds[text] / (1 - odds[text]) for text in firsts)
    begun = [path.steps[0].text for path in record.extended[40:80]]
    for text in set(firsts):
        share = 40 * firsts.count(text) * odds[text] / (1 - odds[text]) / total
        # Of k equal particles each has the floor or the ceiling of its own share.
        assert abs(begun.count(text) - share) < firsts.count(text)


def test_weights_are_carried_until_the_next_resampling():
    # The first step decides; were its weight forgotten, the estimate would be the policy's.
    record = world()
    plain = FakeScorer(good=0.8, bad=0.2).score
    record.scorer.score = lambda path: Score(plain(path).steps[0], tuple([plain(path).steps[0]] * len(path.steps)))
    outcome = record.solve(filtered(3000, ess=0, select="weighted"), PROBLEM)
    assert distance(estimate(outcome), posterior(record, PROBLEM)) < 0.08
    right = record.policy.lines(PROBLEM.question)[0][0]
    mass = sum(share for text, share in estimate(outcome).items() if text.startswith(right))
    assert mass == pytest.approx(0.4 * 4 / (0.4 * 4 + 0.6 / 4), abs=0.03)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_particle_gibbs_leaves_the_posterior_invariant(scheme):
    problem = fake_problems(1, terms=3)[0]
    rounds = 2000
    found = {}
    for keep in (0, 1):
        record = recorder(seed=5)
        record.policy = Quick(accuracy=0.5, branch=2)
        record.scorer = FakeScorer(good=0.85, bad=0.4, noise=0.1)
        search = gibbs(2 * rounds, iterations=rounds, keep=keep, resample=scheme, ess=1, select="weighted")
        found[keep] = distance(estimate(record.solve(search, problem)), posterior(record, problem))
    assert found[1] < 0.05
    assert found[0] > 0.1, "two particles are not biased enough for this test to tell anything"


def test_particle_gibbs_is_invariant_with_adaptive_resampling_and_tempering():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(seed=5)
    record.policy = Quick(accuracy=0.5, branch=2)
    record.scorer = FakeScorer(good=0.85, bad=0.4, noise=0.1)
    search = gibbs(6000, iterations=3000, ess=0.8, tempering=0.6, select="weighted", target="all")
    assert distance(estimate(record.solve(search, problem)), posterior(record, problem, target="all")) < 0.05


def test_kept_particles_cost_nothing():
    problem = fake_problems(1, terms=5)[0]
    record = recorder(0.5, branch=3)
    record.solve(gibbs(12, iterations=3, keep=2), problem)
    assert all(size <= 4 + 2 for size in record.batches)
    roots = [path for path in record.extended if not path.steps]
    assert len(roots) == 12


@settings(deadline=None, max_examples=80)
@given(
    n=st.integers(1, 16),
    iterations=st.integers(1, 4),
    keep=st.integers(0, 3),
    seed=st.integers(0, 999),
    scheme=st.sampled_from(SCHEMES),
    ess=st.sampled_from([0.0, 0.5, 1.0]),
    tempering=st.sampled_from([0.0, 0.5]),
    target=st.sampled_from(["last", "all"]),
    select=st.sampled_from(["naive", "weighted", "majority"]),
    aggregate=st.sampled_from([None, "min", "product", "last", "mean"]),
    broken=st.integers(2, 9),
    mute=st.integers(2, 9),
)
def test_finished_paths_are_left_alone(
    n, iterations, keep, seed, scheme, ess, tempering, target, select, aggregate, broken, mute
):
    record = recorder(0.5, noise=0.9, seed=seed, fail=lambda index: index % broken == 0)
    record.scorer.error = lambda path: "mute" if len(path.text) % mute == 0 else None
    options = {
        "resample": scheme,
        "ess": ess,
        "tempering": tempering,
        "target": target,
        "select": select,
        "aggregate": aggregate,
    }
    search = gibbs(n, iterations=min(iterations, n), keep=keep, **options)
    outcome = record.solve(search, fake_problems(1, seed=seed)[0])
    texts = [(candidate.path.text, candidate.path.finish) for candidate in outcome.candidates]
    assert len(set(texts)) == len(texts), "a finished path was duplicated"
    new = {(path.text, path.finish) for path in record.results if path.finish is not Finish.ERROR}
    assert {(path.text, path.finish) for path in record.judged} == new
    finished = {path.text for path in record.results if path.complete}
    assert finished == {candidate.path.text for candidate in outcome.candidates if candidate.path.complete}
    assert len([path for path in record.extended if not path.steps]) == n


@given(n=st.integers(1, 12), ess=st.sampled_from([0.0, 0.7, 1.0]), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_a_level_costs_n_steps_at_most(n, ess, seed):
    record = recorder(0.5, noise=0.9, seed=seed)
    record.solve(filtered(n, ess=ess), fake_problems(1, terms=5)[0])
    assert record.batches[0] == n
    assert record.batches == sorted(record.batches, reverse=True)


def test_dropped_solutions_remain_candidates_and_weigh_nothing():
    kept = dropped = 0
    for seed in range(20):
        record = recorder(0.5, branch=4, noise=0.9, seed=seed)
        # Solutions end on different levels, so that ended particles are resampled with open ones.
        record.policy = Early(accuracy=0.5, branch=4)
        outcome = record.solve(filtered(16, ess=1, select="weighted"), fake_problems(1, terms=4, seed=seed)[0])
        finished = {path.text for path in record.results if path.complete}
        assert finished == {candidate.path.text for candidate in outcome.candidates}
        kept += sum(candidate.weight > 0 for candidate in outcome.candidates)
        dropped += sum(candidate.weight == 0 for candidate in outcome.candidates)
    assert kept > 20


def test_an_unscored_step_leaves_the_weight_and_a_failed_one_ends_the_particle():
    record = world()
    record.scorer = FakeScorer(error=lambda path: "broken")
    outcome = record.solve(filtered(200, ess=1, select="weighted"), PROBLEM)
    counts = {}
    for path in (path for path in record.results if path.complete):
        counts[path.text] = counts.get(path.text, 0) + 1 / 200
    assert estimate(outcome) == pytest.approx(counts)
    record = recorder(fail=lambda index: index < 8)
    outcome = record.solve(filtered(16, ess=0), PROBLEM)
    assert len(record.batches) > 1
    assert record.batches[1] == 8
    record = recorder(fail=lambda index: True)
    outcome = record.solve(gibbs(8), PROBLEM)
    assert (outcome.answer, outcome.path, outcome.candidates, len(record.extended)) == (None, None, (), 8)


def test_a_falling_aggregation_ends_it_when_nothing_open_can_win():
    saved = 0
    for seed in range(40):
        problem = fake_problems(1, terms=5, seed=seed)[0]
        left, right = (recorder(0.6, branch=4, noise=0.9, seed=seed) for _ in range(2))
        for record in (left, right):
            record.policy = Early(accuracy=0.6, branch=4)
        bounded = left.solve(filtered(3, aggregate="product", ess=1), problem)
        free = right.solve(filtered(3, aggregate="product", ess=1, select="weighted"), problem)
        best = max(candidate.score for candidate in bounded.candidates)
        assert best == max(candidate.score for candidate in free.candidates)
        saved += len(right.results) - len(left.results)
    assert saved > 0


@pytest.mark.parametrize(
    "option",
    [
        {"resample": "multinomial"},
        {"resample": "stratified"},
        {"resample": "residual"},
        {"ess": 0.0},
        {"temperature": 0.3},
        {"tempering": 0.8},
        {"target": "all"},
        {"potential": "probability"},
        {"aggregate": "mean"},
        {"select": "naive"},
        {"select": "majority"},
        {"max_steps": 2},
        {"novelty": 0.3},
    ],
)
@pytest.mark.parametrize("build", [filtered, gibbs])
def test_options_change_something(build, option):
    seen = []
    for given_options in ({}, option):
        record = world()
        outcome = record.solve(build(24, **{"ess": 1, "select": "weighted", **given_options}), PROBLEM)
        seen.append((outcome.confidence, outcome.path, [path.text for path in record.extended]))
    assert seen[0] != seen[1]


@pytest.mark.parametrize("option", [{"iterations": 4}, {"keep": 0}, {"keep": 3}])
def test_gibbs_options_change_something(option):
    seen = []
    for given_options in ({}, option):
        record = world()
        outcome = record.solve(gibbs(24, select="weighted", ess=1, **given_options), PROBLEM)
        seen.append((outcome.confidence, [path.text for path in record.extended]))
    assert seen[0] != seen[1]


@pytest.mark.parametrize("steps", [0, 3, 20, 40])
@pytest.mark.parametrize("build", [filtered, gibbs])
def test_the_budget_leaves_the_best_of_what_was_paid_for(build, steps):
    record = recorder(0.5, steps_left=steps)
    outcome = record.solve(build(16), fake_problems(1, terms=4)[0])
    assert outcome.stopped == "budget"
    assert len(record.results) <= steps + 16
    assert (outcome.answer is not None) == (steps > 0)


@pytest.mark.parametrize("build", [filtered, gibbs])
def test_the_same_seed_gives_the_same_tree(build):
    trees = [recorder(noise=0.9, seed=seed).solve(build(ess=1), PROBLEM).tree.to_dict() for seed in (1, 1, 2)]
    assert trees[0] == trees[1] != trees[2]


def test_bad_arguments():
    with pytest.raises(UsageError, match="temperature=0: must be above 0"):
        filtered(temperature=0)
    with pytest.raises(UsageError, match="ess=2: must be a number between 0 and 1"):
        filtered(ess=2)
    with pytest.raises(UsageError, match="resample='uniform': must be one of 'systematic'"):
        filtered(resample="uniform")
    with pytest.raises(UsageError, match="iterations=5 with n=4"):
        gibbs(4, iterations=5)
    record = world()
    record.scorer = FakeScorer(good=0.9)
    record.scorer.score = lambda path: Score(1.5)
    with pytest.raises(UsageError, match="pass potential='reward'"):
        record.solve(filtered(4), PROBLEM)
    for name in ("particles", "particle_gibbs"):
        assert STRATEGIES[name](1).needs == {"scorer", "partial"}
