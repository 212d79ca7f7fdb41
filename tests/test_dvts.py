"""Diverse verifier tree search against brute force, and what it may never do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import optimum, recorder

from reason.policies.fake import FakeScorer, fake_problems
from reason.search import STRATEGIES, dvts
from reason.types import Finish, Path, Score, Step, UsageError


@pytest.mark.parametrize("seed", range(4))
def test_one_subtree_for_every_first_step_and_enough_samples_finds_the_greedy_optimum(seed):
    problem = fake_problems(1, terms=4, seed=seed)[0]
    record = recorder(0.4, noise=0.9, seed=seed)
    outcome = record.solve(dvts(120, 40, slack=0, novelty=0), problem)
    greedy = []
    for line, _ in record.policy.lines(problem.question):
        text = line
        while not text.splitlines()[-1].startswith("Answer"):
            options = [text + next_line for next_line, _ in record.policy.lines(problem.question, text)]
            text = max(options, key=lambda option: record.scorer.score(path_of(problem, option)).value)
        greedy.append(text)
    assert {candidate.path.text for candidate in outcome.candidates} == set(greedy)


def path_of(problem, text):
    lines = text.splitlines(keepends=True)
    return Path(problem, tuple(Step(line) for line in lines))


def test_enough_subtrees_find_the_optimum():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.4, noise=0.9, seed=3)
    best, value = optimum(record.policy, record.scorer, problem)
    outcome = record.solve(dvts(12 * 20, 20, slack=0), problem)
    assert outcome.path.text == best
    assert max(candidate.score for candidate in outcome.candidates) == value
    assert len(outcome.candidates) == 9


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 20),
    branch=st.integers(1, 6),
    seed=st.integers(0, 999),
    select=st.sampled_from(["naive", "weighted", "majority"]),
    aggregate=st.sampled_from([None, "min", "product", "last", "mean"]),
    slack=st.sampled_from([0.0, 0.5, 1.0]),
    broken=st.integers(2, 9),
)
def test_finished_paths_are_left_alone(n, branch, seed, select, aggregate, slack, broken):
    record = recorder(0.5, noise=0.9, seed=seed, fail=lambda index: index % broken == 0)
    search = dvts(n, min(branch, n), select=select, aggregate=aggregate, slack=slack)
    outcome = record.solve(search, fake_problems(1, seed=seed)[0])
    texts = [(candidate.path.text, candidate.path.finish) for candidate in outcome.candidates]
    assert len(set(texts)) == len(texts), "a finished path was duplicated"
    levels = {len(path.steps) for path in record.extended}
    assert len(record.extended) <= n * len(levels), "a level cost more than n steps"
    new = {(path.text, path.finish) for path in record.results if path.finish is not Finish.ERROR}
    assert {(path.text, path.finish) for path in record.judged} == new
    finished = {path.text for path in record.results if path.complete}
    assert finished == {candidate.path.text for candidate in outcome.candidates if candidate.path.complete}


def stands(outcome):
    """The depth-1 nodes below which something was sampled."""
    tree = outcome.tree
    return [node for node in tree.children(0) if tree.samples[node]]


def test_subtrees_begin_differently():
    problem = fake_problems(1, terms=5)[0]
    diverse, same = (recorder(0.9, branch=4, noise=0.1, seed=2) for _ in range(2))
    apart = diverse.solve(dvts(16, 4, slack=0), problem)
    together = same.solve(dvts(16, 4, slack=1), problem)
    assert len(stands(apart)) == min(len(list(apart.tree.children(0))), 4) > len(stands(together))
    assert len(stands(together)) == 1


def test_subtrees_that_must_share_a_step_part_on_the_next_level():
    problem = fake_problems(1, terms=6)[0]
    record = recorder(0.5, branch=2, noise=0.1)
    outcome = record.solve(dvts(16, 4, slack=0), problem)
    tree = outcome.tree
    below = [node for node in range(len(tree)) if tree.depth[node] == 2 and tree.samples[node]]
    assert len(stands(outcome)) == 2
    assert len(below) == 4


def test_every_subtree_takes_the_best_of_its_own_steps():
    problem = fake_problems(1, terms=4)[0]
    record = recorder(0.3, branch=9, noise=0.9)
    tree = record.solve(dvts(9, 3, slack=0), problem).tree
    for node in (node for node in range(len(tree)) if tree.depth[node] in (1, 2) and tree.samples[node]):
        children = list(tree.children(node))
        if all(tree.steps[child].finish is Finish.STEP for child in children):
            [taken] = [child for child in children if tree.samples[child]]
            assert tree.value[taken] == max(tree.value[child] for child in children)
            assert all(tree.pruned[child] for child in children if child != taken)


def test_what_even_subtrees_would_leave_is_shared_out():
    record = recorder(0.5, branch=9)
    record.solve(dvts(16, 5, novelty=0), fake_problems(1, terms=4)[0])
    assert record.batches[0] == 16


def test_a_first_step_far_worse_than_the_best_is_not_taken():
    problem = fake_problems(1, terms=5)[0]
    begun = {}
    for slack in (0.0, 0.5, 0.9, 1.0):
        record = recorder(0.3, branch=6, noise=0.1, seed=1)
        outcome = record.solve(dvts(24, 4, slack=slack), problem)
        good = record.policy.lines(problem.question)[0][0]
        begun[slack] = [outcome.tree.steps[node].text == good for node in stands(outcome)]
    assert begun[0.0].count(False) >= 4
    assert begun[0.5] == begun[0.9] == begun[1.0] == [True]


def test_scores_may_be_negative():
    problem = fake_problems(1, terms=4)[0]
    for slack, first in ((0.0, 3), (0.5, 1)):
        record = recorder(0.4, branch=3)
        record.scorer = FakeScorer(good=0.9, bad=0.1)
        plain = record.scorer.score

        def moved(path, plain=plain):
            score = plain(path)
            return Score(score.value - 1, tuple(value - 1 for value in score.steps))

        record.scorer.score = moved
        outcome = record.solve(dvts(24, 6, slack=slack), problem)
        assert len(stands(outcome)) == first
        assert outcome.answer == problem.answer


def test_steps_that_would_hardly_be_new_are_kept_for_later_levels():
    problem = fake_problems(1, terms=5)[0]
    thrifty, wasteful = (recorder(0.97, branch=2) for _ in range(2))
    thrifty.solve(dvts(16, 4), problem)
    wasteful.solve(dvts(16, 4, novelty=0), problem)
    assert len(thrifty.results) < len(wasteful.results) / 2


def test_falling_values_end_subtrees_that_the_pool_beats():
    problem = fake_problems(1, terms=5)[0]
    left, right = (recorder(0.5, branch=4, noise=0.9, seed=3) for _ in range(2))
    bounded = left.solve(dvts(16, 2, aggregate="min"), problem)
    free = right.solve(dvts(16, 2, aggregate="min", select="weighted"), problem)
    assert max(item.score for item in bounded.candidates) == max(item.score for item in free.candidates)
    assert len(left.results) <= len(right.results)


@pytest.mark.parametrize("option", [{"max_steps": 2}, {"aggregate": "mean"}, {"select": "majority"}])
def test_options_change_something(option):
    problem = fake_problems(1, terms=5, seed=1)[0]
    plain, other = (recorder(0.35, branch=4, noise=0.9, seed=4) for _ in range(2))
    assert plain.solve(dvts(16, 4), problem) != other.solve(dvts(16, 4, **option), problem)


@pytest.mark.parametrize("steps", [0, 3, 20, 40])
def test_the_budget_leaves_the_best_of_what_was_paid_for(steps):
    record = recorder(0.5, steps_left=steps)
    outcome = record.solve(dvts(16, 4), fake_problems(1, terms=4)[0])
    assert outcome.stopped == "budget"
    assert len(record.results) <= steps + 16
    assert (outcome.answer is not None) == (steps > 0)


def test_unscored_paths_rank_last_and_everything_may_fail():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.4, branch=3, noise=0.9)
    first = {line for line, _ in record.policy.lines(problem.question)[1:]}
    record.scorer = FakeScorer(noise=0.9, error=lambda path: "broken" if path.steps[0].text in first else None)
    outcome = record.solve(dvts(8, 8), problem)
    assert outcome.path.steps[0].text not in first
    assert not math.isnan(outcome.candidates[0].score)
    record = recorder(fail=lambda index: True)
    outcome = record.solve(dvts(8, 2), problem)
    assert (outcome.answer, outcome.path, outcome.candidates, len(record.extended)) == (None, None, (), 8)


def test_the_same_seed_gives_the_same_tree():
    problem = fake_problems(1)[0]
    trees = [recorder(noise=0.9, seed=seed).solve(dvts(), problem).tree.to_dict() for seed in (1, 1, 2)]
    assert trees[0] == trees[1] != trees[2]


def test_bad_arguments():
    with pytest.raises(UsageError, match="branch=4 with n=3: branch may not exceed n"):
        dvts(3, 4)
    with pytest.raises(UsageError, match="select='best'"):
        dvts(select="best")
    assert STRATEGIES["dvts"](2).needs == {"scorer", "partial"}
