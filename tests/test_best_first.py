"""Best-first search against brute force, and what it may never do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import recorder, solutions

from reason.policies.fake import FakeScorer, fake_problems
from reason.search import STRATEGIES, best_first
from reason.types import Finish, UsageError


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("aggregate", ["last", "min", "product"])
def test_with_enough_budget_it_finds_the_optimum(seed, aggregate):
    problem = fake_problems(1, terms=4, seed=seed)[0]
    record = recorder(0.4, noise=0.15, seed=seed)
    outcome = record.solve(best_first(400, aggregate=aggregate), problem)
    best = max(worth(record, problem, aggregate))
    assert max(candidate.score for candidate in outcome.candidates) == best
    assert outcome.path.text == max(outcome.candidates, key=lambda candidate: candidate.score).path.text


def worth(record, problem, aggregate):
    join = {"last": lambda steps: steps[-1], "min": min, "product": math.prod}[aggregate]
    return [join(record.scorer.score(path).steps) for path, _ in solutions(record.policy, problem)]


def test_a_falling_aggregation_bounds_the_search_without_losing_the_best():
    problem = fake_problems(1, terms=4)[0]
    bounded, free = (recorder(0.4, noise=0.15) for _ in range(2))
    options = {"branch": 40, "wave": 1, "resample": False, "aggregate": "product"}
    left = bounded.solve(best_first(400, **options), problem)
    right = free.solve(best_first(400, **options, select="weighted"), problem)
    best = max(worth(bounded, problem, "product"))
    assert max(item.score for item in left.candidates) == max(item.score for item in right.candidates) == best
    assert len(right.candidates) == 27
    assert len(bounded.results) < len(free.results) / 4
    tree = left.tree
    untouched = [node for node in range(1, len(tree)) if not tree.samples[node]]
    assert len(untouched) > 3
    assert all(tree.value[node] <= best for node in untouched)


def test_the_most_promising_path_is_always_next():
    problem = fake_problems(1, terms=5)[0]
    record = recorder(0.4, branch=4, noise=0.9)
    record.solve(best_first(8, 3, wave=1, resample=False, novelty=0), problem)
    known, done = {"": math.inf}, set()
    values = {path.text: score.value for path, score in zip(record.judged, record.scores, strict=True)}
    at = 0
    for size in record.batches:
        [text] = {path.text for path in record.extended[at : at + size]}
        assert known[text] == max(value for other, value in known.items() if other not in done)
        done.add(text)
        known |= {path.text: values[path.text] for path in record.results[at : at + size] if path.open}
        at += size


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 12),
    branch=st.integers(1, 6),
    wave=st.integers(1, 5),
    seed=st.integers(0, 999),
    select=st.sampled_from(["naive", "weighted", "majority"]),
    aggregate=st.sampled_from([None, "min", "product", "last", "mean"]),
    bonus=st.sampled_from([0.0, 0.2]),
    resample=st.booleans(),
    broken=st.integers(2, 9),
)
def test_finished_paths_are_left_alone(n, branch, wave, seed, select, aggregate, bonus, resample, broken):
    record = recorder(0.5, noise=0.9, seed=seed, fail=lambda index: index % broken == 0)
    search = best_first(
        n, branch, wave=wave, select=select, aggregate=aggregate, bonus=bonus, resample=resample, max_depth=7
    )
    outcome = record.solve(search, fake_problems(1, seed=seed)[0])
    texts = [(candidate.path.text, candidate.path.finish) for candidate in outcome.candidates]
    assert len(set(texts)) == len(texts), "a finished path was duplicated"
    assert all(size <= branch * wave for size in record.batches)
    new = {(path.text, path.finish) for path in record.results if path.finish is not Finish.ERROR}
    assert {(path.text, path.finish) for path in record.judged} == new
    finished = {path.text for path in record.results if path.complete}
    assert finished <= {candidate.path.text for candidate in outcome.candidates}


@settings(deadline=None, max_examples=40)
@given(n=st.integers(2, 20), seed=st.integers(0, 99), wave=st.integers(1, 6))
def test_it_costs_what_n_solutions_do(n, seed, wave):
    problem = fake_problems(1, terms=5, seed=seed)[0]
    record = recorder(0.5, branch=4, noise=0.9, seed=seed)
    record.solve(best_first(n, wave=wave), problem)
    spent = sum(len(path.steps[-1].token_ids) for path in record.results)
    whole = [sum(len(step.token_ids) for step in path.steps) for path in record.results if path.complete]
    assert whole
    assert spent <= (n + 1) * max(whole) + 4 * wave * 20


def test_without_a_solution_the_best_path_is_finished():
    problem = fake_problems(1, terms=9)[0]
    record = recorder(0.5, noise=0.9)
    outcome = record.solve(best_first(1), problem)
    assert outcome.path.complete
    assert outcome.answer is not None


@pytest.mark.parametrize(
    "option",
    [
        {"branch": 2},
        {"wave": 1},
        {"bonus": 0.5},
        {"resample": False},
        {"thrift": 2.0},
        {"trust": 0.0},
        {"max_depth": 2},
        {"novelty": 0},
        {"aggregate": "mean"},
        {"select": "majority"},
    ],
)
def test_options_change_something(option):
    problem = fake_problems(1, terms=4, seed=1)[0]
    plain, other = (recorder(0.35, branch=4, noise=0.9, seed=4) for _ in range(2))
    left = plain.solve(best_first(24), problem)
    right = other.solve(best_first(24, **option), problem)
    assert (left.confidence, plain.batches, [path.text for path in plain.extended]) != (
        right.confidence,
        other.batches,
        [path.text for path in other.extended],
    )


def test_a_good_enough_solution_ends_it():
    problem = fake_problems(1, terms=4)[0]
    record, free = (recorder(0.5) for _ in range(2))
    outcome = record.solve(best_first(64, enough=0.7), problem)
    free.solve(best_first(64), problem)
    assert outcome.answer == problem.answer
    assert len(record.results) < len(free.results) / 2


def test_bonus_goes_deep_first():
    problem = fake_problems(1, terms=8)[0]
    reached = {}
    for bonus in (0.0, 1.0):
        record = recorder(0.5, branch=4, noise=0.9)
        record.solve(best_first(16, wave=1, bonus=bonus), problem)
        reached[bonus] = next(index for index, path in enumerate(record.results) if path.complete)
    assert reached[1.0] < reached[0.0]


@pytest.mark.parametrize("steps", [0, 3, 20, 40])
def test_the_budget_leaves_the_best_of_what_was_paid_for(steps):
    record = recorder(0.5, steps_left=steps)
    outcome = record.solve(best_first(16, 4), fake_problems(1, terms=4)[0])
    assert outcome.stopped == "budget"
    assert len(record.results) <= steps + 16
    assert (outcome.answer is not None) == (steps > 0)


def test_unscored_paths_stand_at_their_parents_mean_and_everything_may_fail():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.4, branch=3, noise=0.9)
    record.scorer = FakeScorer(error=lambda path: "broken")
    outcome = record.solve(best_first(8), problem)
    assert outcome.answer is not None
    assert all(math.isnan(candidate.score) for candidate in outcome.candidates)
    record = recorder(fail=lambda index: True)
    outcome = record.solve(best_first(8, 2), problem)
    assert (outcome.answer, outcome.path, outcome.candidates) == (None, None, ())


def test_the_same_seed_gives_the_same_tree():
    problem = fake_problems(1)[0]
    trees = [recorder(noise=0.9, seed=seed).solve(best_first(), problem).tree.to_dict() for seed in (1, 1, 2)]
    assert trees[0] == trees[1] != trees[2]


def test_bad_arguments():
    with pytest.raises(UsageError, match="wave=0: must be an integer of at least 1"):
        best_first(wave=0)
    with pytest.raises(UsageError, match="thrift=-1"):
        best_first(thrift=-1)
    assert STRATEGIES["best_first"](2).needs == {"scorer", "partial"}


@pytest.mark.parametrize("depth", [1, 2])
def test_where_nothing_may_go_deeper_the_best_path_is_finished(depth):
    record = recorder(0.5, noise=0.9)
    outcome = record.solve(best_first(4, max_depth=depth, resample=False), fake_problems(1, terms=5)[0])
    assert outcome.path.complete
    assert outcome.answer is not None
