"""Beam search against brute force, and what it may never do."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import optimum, recorder

from reason.policies.fake import FakeScorer, fake_problems
from reason.search import STRATEGIES, beam
from reason.search.beam import level_steps, shares
from reason.types import Finish, UsageError


@pytest.mark.parametrize("seed", range(4))
def test_wide_enough_finds_the_optimum(seed):
    problem = fake_problems(1, terms=4, seed=seed)[0]
    record = recorder(0.4, noise=0.9, seed=seed)
    best, value = optimum(record.policy, record.scorer, problem)
    outcome = record.solve(beam(27 * 30, 30, select="naive", balance=0, finish=81), problem)
    assert outcome.path.text == best
    assert max(candidate.score for candidate in outcome.candidates) == value
    assert len(outcome.candidates) == 27


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 20),
    branch=st.integers(1, 6),
    seed=st.integers(0, 999),
    select=st.sampled_from(["naive", "weighted", "majority"]),
    aggregate=st.sampled_from([None, "min", "product", "last", "mean"]),
    refill=st.booleans(),
    broken=st.integers(2, 9),
)
def test_finished_paths_are_left_alone(n, branch, seed, select, aggregate, refill, broken):
    record = recorder(0.5, noise=0.9, seed=seed, fail=lambda index: index % broken == 0)
    search = beam(n, min(branch, n), select=select, aggregate=aggregate, refill=refill)
    outcome = record.solve(search, fake_problems(1, seed=seed)[0])
    texts = [(candidate.path.text, candidate.path.finish) for candidate in outcome.candidates]
    assert len(set(texts)) == len(texts), "a finished path was duplicated"
    assert all(size <= n for size in record.batches), "a level cost more than n steps"
    new = {(path.text, path.finish) for path in record.results if path.finish is not Finish.ERROR}
    assert {(path.text, path.finish) for path in record.judged} == new
    finished = {path.text for path in record.results if path.complete}
    assert finished == {candidate.path.text for candidate in outcome.candidates if candidate.path.complete}


def test_keeps_the_best_children_of_each_level():
    problem = fake_problems(1, terms=4)[0]
    record = recorder(0.4, branch=4, noise=0.9)
    outcome = record.solve(beam(12, 4, refill=False, novelty=0, finish=3), problem)
    tree = outcome.tree
    for depth in (1, 2):
        level = [node for node in range(len(tree)) if tree.depth[node] == depth]
        kept = [node for node in level if not tree.pruned[node]]
        assert sorted(kept) == sorted(sorted(level, key=lambda node: -tree.value[node])[:3])
        assert all(bool(tree.samples[node]) != bool(tree.pruned[node]) for node in level)
    assert record.batches == [12, 12, 12, 12]


def test_equal_siblings_are_merged_before_they_are_judged():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.9, branch=2)
    outcome = record.solve(beam(16, 4), problem)
    tree = outcome.tree
    for node in range(len(tree)):
        texts = [tree.steps[child].text for child in tree.children(node)]
        assert len(set(texts)) == len(texts)
        assert sum(tree.copies[child] for child in tree.children(node)) == tree.samples[node]
    assert len(record.judged) == len(tree) - 1


def test_finished_paths_give_up_their_slot():
    problem = fake_problems(1, terms=2)[0]
    record = recorder(0.3, branch=8)
    four = record.solve(beam(16, 4, novelty=0, finish=4), problem)
    assert Counter(candidate.path.complete for candidate in four.candidates) == {True: 4}
    assert len(record.batches) == 2
    two = recorder(0.3, branch=8).solve(beam(16, 4, novelty=0), problem)
    assert len(two.candidates) == 2


def test_falling_values_bound_what_is_still_worth_extending():
    problem = fake_problems(1, terms=5)[0]
    bounded, free = (recorder(0.5, branch=4, noise=0.9, seed=3) for _ in range(2))
    left = bounded.solve(beam(16, 4, select="naive", aggregate="min", finish=16), problem)
    right = free.solve(beam(16, 4, select="weighted", aggregate="min", finish=16), problem)
    best = max(candidate.score for candidate in right.candidates)
    assert max(candidate.score for candidate in left.candidates) == best
    assert len(bounded.extended) <= len(free.extended)


@pytest.mark.parametrize("steps", [0, 3, 12, 20])
def test_the_budget_leaves_the_best_of_what_was_paid_for(steps):
    problem = fake_problems(1, terms=4)[0]
    record = recorder(0.5, steps_left=steps)
    outcome = record.solve(beam(16, 4, finish=4), problem)
    assert outcome.stopped == "budget"
    assert len(record.results) <= steps + 16
    assert (outcome.answer is not None) == (steps > 0)
    if steps:
        best = max(record.scores[index].value for index, path in enumerate(record.judged) if path.text)
        assert outcome.path is not None
        assert max(candidate.score for candidate in outcome.candidates) <= best


def test_steps_that_would_hardly_be_new_are_kept_for_unsure_levels():
    sure, plain = recorder(0.97, branch=4), recorder(0.97, branch=4)
    problem = fake_problems(1, terms=5)[0]
    saved = sure.solve(beam(16, 4, novelty=0.1), problem)
    assert saved.answer == plain.solve(beam(16, 4, novelty=0), problem).answer == problem.answer
    assert len(sure.extended) * 4 < len(plain.extended)
    for novelty in (0.0, 0.05, 0.3):
        record = recorder(0.5, branch=8, noise=0.5)
        tree = record.solve(beam(16, 4, novelty=novelty, finish=16), problem).tree
        spent = [0] * 6
        for node in range(len(tree)):
            spent[tree.depth[node]] += tree.samples[node]
        for level in range(6):
            assert sum(spent[: level + 1]) <= 16 * (level + 1)
    carried = recorder(0.9, branch=4, noise=0.5)
    tree = carried.solve(beam(16, 4, novelty=0.08, finish=16), problem).tree
    spent = [sum(tree.samples[node] for node in range(len(tree)) if tree.depth[node] == depth) for depth in range(5)]
    assert max(spent) > 16 > min(spent)


def test_unscored_paths_rank_last():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.4, branch=3, noise=0.9)
    first = {line for line, _ in record.policy.lines(problem.question)[1:]}
    record.scorer = FakeScorer(noise=0.9, error=lambda path: "broken" if path.steps[0].text in first else None)
    outcome = record.solve(beam(8, 8), problem)
    assert outcome.path.steps[0].text not in first
    assert not math.isnan(outcome.candidates[0].score)
    blind = recorder(0.4, branch=3)
    blind.scorer = FakeScorer(error=lambda path: "broken")
    outcome = blind.solve(beam(8, 2), problem)
    assert all(math.isnan(candidate.score) for candidate in outcome.candidates)
    assert outcome.answer is not None
    assert "majority" in outcome.failures[0].message


def test_everything_fails():
    record = recorder(fail=lambda index: True)
    outcome = record.solve(beam(8, 2), fake_problems(1)[0])
    assert (outcome.answer, outcome.path, outcome.candidates, len(record.extended)) == (None, None, (), 8)


def test_the_same_seed_gives_the_same_tree():
    problem = fake_problems(1)[0]
    trees = [recorder(noise=0.9, seed=seed).solve(beam(), problem).tree.to_dict() for seed in (1, 1, 2)]
    assert trees[0] == trees[1] != trees[2]


def test_shares():
    assert shares(16, [0.5], 2) == [16]
    assert shares(16, [0.9, 0.1, 0.0, math.nan], 0) == [4, 4, 4, 4]
    assert shares(16, [0.9, 0.5, 0.2], 0) == [6, 5, 5]
    assert shares(16, [0.8, 0.2], 1) == [12, 4]
    assert shares(16, [0.8, 0.2], 2) == [14, 2]
    assert shares(8, [0.8, math.nan, 0.0], 0.0) == [3, 3, 2]
    assert shares(3, [0.9, 0.1, 0.1], 5) == [1, 1, 1]


@given(st.integers(1, 12), st.lists(st.one_of(st.just(math.nan), st.floats(0, 1)), min_size=1), st.floats(0, 8))
def test_shares_spend_the_level_exactly(spare, values, balance):
    counts = shares(len(values) + spare, values, balance)
    assert sum(counts) == len(values) + spare
    assert min(counts) >= 1


def test_level_steps():
    assert level_steps(16, 4, 4, 4, refill=True) == 16
    assert level_steps(16, 4, 3, 4, refill=True) == 16
    assert level_steps(16, 4, 2, 3, refill=True) == 12
    assert level_steps(16, 4, 3, 4, refill=False) == 12
    assert level_steps(16, 4, 4, 16, refill=True) == 16
    assert level_steps(7, 1, 1, 1, refill=True) == 7


def test_better_paths_get_more_steps():
    problem = fake_problems(1, terms=5)[0]
    counts = []
    for balance in (0.0, 4.0):
        record = recorder(0.4, branch=4, noise=0.5)
        tree = record.solve(beam(16, 4, balance=balance, novelty=0), problem).tree
        level = [node for node in range(len(tree)) if tree.depth[node] == 1 and tree.samples[node]]
        counts.append([tree.samples[node] for node in sorted(level, key=lambda node: -tree.value[node])])
    assert max(counts[0]) - min(counts[0]) <= 1
    assert counts[1][0] > max(counts[0])


def test_bad_arguments():
    with pytest.raises(UsageError, match="branch=4 with n=3: branch may not exceed n; pass a larger n or branch=3"):
        beam(3, 4)
    with pytest.raises(UsageError, match="aggregate='max'"):
        beam(aggregate="max")
    assert STRATEGIES["beam"](2).needs == {"scorer", "partial"}
