"""Lookahead: real rollouts, paid for once, judged at their end; brute force, and what it may never do."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import Recorder, optimum, recorder

from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.search import STRATEGIES, beam, lookahead
from reason.types import Finish, Path, Step, UsageError


@dataclass
class Watched(Recorder):
    """Notes which extensions were greedy."""

    cold: list[bool] = field(default_factory=list)

    def _extend(self, work):
        self.cold += [work.temperature == 0] * len(work.paths)
        return super()._extend(work)


def watched(accuracy, branch=3, *, noise, seed=0):
    return Watched(FakePolicy(accuracy=accuracy, branch=branch), FakeScorer(noise=noise), seed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_wide_enough_finds_the_optimum(seed, depth):
    problem = fake_problems(1, terms=4, seed=seed)[0]
    record = recorder(0.4, noise=0.9, seed=seed)
    best, value = optimum(record.policy, record.scorer, problem)
    outcome = record.solve(lookahead(27 * 30 * (1 + depth), 30, depth=depth, balance=0, finish=81), problem)
    assert outcome.path.text == best
    assert max(candidate.score for candidate in outcome.candidates) == value
    assert len(outcome.candidates) == 27


def rolled_out(policy, path, depth):
    """The path `depth` greedy steps further."""
    for _ in range(depth):
        if path.open:
            line = max(policy.lines(path.problem.question, path.text), key=lambda option: option[1])[0]
            path = path.then(Step(line, finish=Finish.STEP if line.endswith("\n") else Finish.STOP))
    return path


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_child_is_worth_what_its_greedy_continuation_is(depth):
    problem = fake_problems(1, terms=4)[0]
    record = recorder(0.4, branch=3, noise=0.9)
    tree = record.solve(lookahead(16, 4, depth=depth, balance=0), problem).tree
    sampled = [node for node in range(1, len(tree)) if tree.mass[node]]
    assert len(sampled) > 4
    for node in sampled:
        leaf = rolled_out(record.policy, tree.path(node), depth)
        assert tree.value[node] == record.scorer.score(leaf).value
    best = {node for node in tree.children(0) if tree.samples[node]}
    dropped = {node for node in tree.children(0) if tree.mass[node]} - best
    assert min(tree.value[node] for node in best) >= max((tree.value[node] for node in dropped), default=0)


def test_only_leaves_are_judged_and_rollouts_are_greedy():
    problem = fake_problems(1, terms=4)[0]
    record = watched(0.4, branch=4, noise=0.9)
    record.solve(lookahead(16, 4, depth=1), problem)
    assert all(len(path.steps) != 1 for path in record.judged)
    for path, cold in zip(record.results, record.cold, strict=True):
        if cold:
            before = Path(problem, path.steps[:-1])
            assert path.text == rolled_out(record.policy, before, 1).text


def test_a_rollout_that_ends_is_a_solution():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.4, branch=4)
    outcome = record.solve(lookahead(60, 4, depth=8, max_steps=1), problem)
    firsts = {path.steps[0].text for path in record.results}
    assert len(outcome.candidates) == len(firsts) > 1
    assert all(candidate.path.complete for candidate in outcome.candidates)
    assert outcome.answer is not None


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 20),
    branch=st.integers(1, 6),
    depth=st.integers(0, 4),
    seed=st.integers(0, 999),
    select=st.sampled_from(["naive", "weighted", "majority"]),
    aggregate=st.sampled_from([None, "min", "product", "last", "mean"]),
    reuse=st.booleans(),
    broken=st.integers(2, 9),
)
def test_finished_paths_are_left_alone(n, branch, depth, seed, select, aggregate, reuse, broken):
    record = recorder(0.5, noise=0.9, seed=seed, fail=lambda index: index % broken == 0)
    search = lookahead(n, min(branch, n), depth=depth, select=select, aggregate=aggregate, reuse=reuse)
    outcome = record.solve(search, fake_problems(1, seed=seed)[0])
    texts = [(candidate.path.text, candidate.path.finish) for candidate in outcome.candidates]
    assert len(set(texts)) == len(texts), "a finished path was duplicated"
    finished = {path.text for path in record.results if path.complete}
    assert finished == {candidate.path.text for candidate in outcome.candidates if candidate.path.complete}
    judged = {path.text for path in record.judged}
    assert finished <= judged


@settings(deadline=None, max_examples=40)
@given(n=st.integers(4, 20), depth=st.integers(0, 4), seed=st.integers(0, 999))
def test_a_level_costs_n_steps_and_no_rollout_is_paid_twice(n, depth, seed):
    problem = fake_problems(1, terms=5, seed=seed)[0]
    record = watched(0.5, noise=0.9, seed=seed)
    tree = record.solve(lookahead(n, 4, depth=depth, finish=n), problem).tree
    levels = len({tree.depth[node] for node in range(len(tree)) if tree.samples[node]})
    # A level may find more to roll out than those before it did: at most all of its own steps.
    assert len(record.results) <= levels * n + n * depth
    assert len({path.text for path in ahead(record)}) == len(ahead(record))


def ahead(record):
    """What was asked for at temperature 0."""
    return [path for path, cold in zip(record.extended, record.cold, strict=True) if cold]


def test_plain_beam_without_depth():
    problem = fake_problems(1, terms=5)[0]
    left, right = (recorder(0.4, branch=4, noise=0.9, seed=2) for _ in range(2))
    ahead = left.solve(lookahead(16, 4, depth=0, novelty=0), problem)
    plain = right.solve(beam(16, 4, novelty=0, finish=4), problem)
    assert ahead.candidates == plain.candidates
    assert left.batches == right.batches


def test_reuse_makes_the_greedy_step_a_child_for_nothing():
    problem = fake_problems(1, terms=5)[0]
    free = {}
    for reuse in (True, False):
        record = recorder(0.2, branch=5, noise=0.9, seed=1)
        tree = record.solve(lookahead(8, 2, reuse=reuse), problem).tree
        free[reuse] = sum(tree.copies[node] == 0 for node in range(len(tree)))
    assert free[True] > 0 == free[False]


def test_the_rollout_of_a_kept_path_is_taken_up_again():
    problem = fake_problems(1, terms=5)[0]
    record = watched(0.95, branch=2, noise=0.1)
    record.solve(lookahead(9, 3, depth=2), problem)
    greedy = rolled_out(record.policy, Path(problem), 9)
    along = [path for path in ahead(record) if greedy.text.startswith(path.text)]
    assert [len(path.steps) for path in along] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "option",
    [
        {"depth": 2},
        {"max_steps": 2},
        {"aggregate": "mean"},
        {"select": "majority"},
        {"balance": 0},
        {"finish": 1},
        {"novelty": 0},
    ],
)
def test_options_change_something(option):
    problem = fake_problems(1, terms=5, seed=1)[0]
    plain, other = (recorder(0.35, branch=4, noise=0.9, seed=4) for _ in range(2))
    left = plain.solve(lookahead(24, 4), problem)
    right = other.solve(lookahead(24, 4, **option), problem)
    assert (left.candidates, plain.batches, left.confidence) != (right.candidates, other.batches, right.confidence)


def test_falling_values_bound_by_a_paths_own_value_not_by_its_rollouts():
    problem = fake_problems(1, terms=5)[0]
    for seed in range(6):
        left, right = (recorder(0.5, branch=4, noise=0.9, seed=seed) for _ in range(2))
        bounded = left.solve(lookahead(16, 4, aggregate="min", finish=16), problem)
        free = right.solve(lookahead(16, 4, aggregate="min", select="weighted", finish=16), problem)
        assert max(item.score for item in bounded.candidates) == max(item.score for item in free.candidates)
        assert len(left.results) <= len(right.results)


@pytest.mark.parametrize("steps", [0, 3, 20, 40])
def test_the_budget_leaves_the_best_of_what_was_paid_for(steps):
    record = recorder(0.5, steps_left=steps)
    outcome = record.solve(lookahead(24, 4, depth=2), fake_problems(1, terms=9)[0])
    assert outcome.stopped == "budget"
    assert len(record.results) <= steps + 24
    assert (outcome.answer is not None) == (steps > 0)


def test_unscored_paths_rank_last_and_everything_may_fail():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.4, branch=3, noise=0.9)
    first = {line for line, _ in record.policy.lines(problem.question)[1:]}
    record.scorer = FakeScorer(noise=0.9, error=lambda path: "broken" if path.steps[0].text in first else None)
    outcome = record.solve(lookahead(16, 16), problem)
    assert outcome.path.steps[0].text not in first
    record = recorder(fail=lambda index: True)
    outcome = record.solve(lookahead(8, 2), problem)
    assert (outcome.answer, outcome.path, outcome.candidates) == (None, None, ())
    # Where only rollouts fail, the children themselves are judged.
    record = recorder(fail=lambda index: index >= 8)
    outcome = record.solve(lookahead(16, 4, max_steps=1), problem)
    assert not any(math.isnan(candidate.score) for candidate in outcome.candidates)


def test_the_same_seed_gives_the_same_tree():
    problem = fake_problems(1)[0]
    trees = [recorder(noise=0.9, seed=seed).solve(lookahead(), problem).tree.to_dict() for seed in (1, 1, 2)]
    assert trees[0] == trees[1] != trees[2]


def test_bad_arguments():
    with pytest.raises(UsageError, match="depth=-1: must be an integer of at least 0"):
        lookahead(depth=-1)
    with pytest.raises(UsageError, match="branch=4 with n=3: branch may not exceed n"):
        lookahead(3, 4)
    assert STRATEGIES["lookahead"](2).needs == {"scorer", "partial"}
