"""Confidence of a solution, and the votes that filter, weigh and rank by it, against the formulas spelled out."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import recorder

from reason.policies.fake import FakePolicy, fake_problems
from reason.run import solve
from reason.search import best_of_n, self_consistency
from reason.search.confidence import MEASURES, confidences, group_means, measured, width
from reason.search.confidence_vote import confidence_vote, mean_logprob, most_confident, self_certainty
from reason.search.select import powered
from reason.search.strategy import Strategy
from reason.types import Finish, Outcome, Path, Problem, Step, UsageError
from reason.work import Extend

PROBLEM = Problem("p", "q")
values = st.lists(st.floats(-9, 9), min_size=1, max_size=30)


def solution(answer: str | None, logprobs: list[float], given: list[float] | None = None) -> Path:
    text = "I would say\nwell,\n" if answer is None else f"Answer: {answer}"
    step = Step(text, tuple(range(len(logprobs))), tuple(logprobs), Finish.STOP, confidences=tuple(given or ()))
    return Path(PROBLEM, (step,))


def outcome_of(search: Strategy, paths: list[Path]) -> tuple[Outcome, Extend]:
    """The search's outcome when the policy samples these solutions."""
    run = search(PROBLEM)
    work = next(run)
    assert isinstance(work, Extend)
    try:
        run.send([path.steps[-1] for path in paths])
    except StopIteration as end:
        return end.value, work
    raise AssertionError("it went on")


@given(values, st.integers(1, 40))
def test_groups_are_the_means_of_all_windows(found: list[float], tokens: int) -> None:
    windows = [found[at : at + tokens] for at in range(len(found) - tokens + 1)] or [found]
    means = group_means(np.array(found), tokens)
    assert means == pytest.approx([sum(window) / len(window) for window in windows], abs=1e-9)


@given(values, st.integers(1, 40))
def test_measures_by_their_definition(found: list[float], tokens: int) -> None:
    windows = [found[at : at + tokens] for at in range(len(found) - tokens + 1)] or [found]
    means = sorted(sum(window) / len(window) for window in windows)
    tenth = means[: max(len(means) // 10, 1)]
    expected = {
        "mean": sum(found) / len(found),
        "tail": sum(found[-tokens:]) / len(found[-tokens:]),
        "lowest": means[0],
        "bottom": sum(tenth) / len(tenth),
    }
    for measure in MEASURES:
        assert measured(np.array(found), measure, tokens) == pytest.approx(expected[measure], abs=1e-9)


def test_windows_below_one_are_shares_of_the_length() -> None:
    assert [width(0.1, length) for length in (1, 14, 26, 50, 20_480)] == [1, 1, 3, 5, 2048]
    assert width(7, 50) == 7


def test_log_probabilities_stand_in_for_all_where_one_has_no_confidences() -> None:
    sure, unsure = solution("1", [-0.5, -0.1], [3.0, 5.0]), solution("2", [-2.0, -1.0])
    assert confidences([sure], "mean", 0.1, 20) == [4.0]
    assert confidences([sure, unsure], "mean", 0.1, 20) == pytest.approx([math.exp(-0.3), math.exp(-1.5)])
    assert confidences([sure], "mean", 0.1, 0) == pytest.approx([math.exp(-0.3)])
    assert math.isnan(confidences([solution("1", [])], "mean", 0.1, 0)[0])


def test_self_certainty_is_the_divergence_from_uniform_but_for_a_constant() -> None:
    draw = np.random.default_rng(0)
    found, expected = [], []
    for _ in range(6):
        p = draw.dirichlet(np.ones(50), size=7)
        found.append(float((-np.log(p)).mean()))
        expected.append(float((1 / 50 * np.log(1 / 50 / p)).sum(axis=1).mean()))
    assert np.array(found) - np.array(expected) == pytest.approx(np.full(6, math.log(50)))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["1", "2", "3", None]), st.floats(-4, 0)), min_size=1, max_size=12),
    st.sampled_from([0.1, 0.3, 0.5, 0.9, 1.0]),
    st.sampled_from([0.0, 1.0, 3.0]),
)
def test_the_vote_by_its_definition(pairs: list[tuple[str | None, float]], keep: float, power: float) -> None:
    paths = [solution(answer, [value]) for answer, value in pairs]
    outcome, _ = outcome_of(confidence_vote(len(pairs), keep=keep, power=power), paths)
    assert [item.score for item in outcome.candidates] == pytest.approx([math.exp(value) for _, value in pairs])
    voters = [index for index, (answer, _) in enumerate(pairs) if answer]
    if not voters:
        assert outcome.answer is None
        return
    ranked = sorted(voters, key=lambda index: (-outcome.candidates[index].score, index))
    kept = ranked[: max(math.ceil(keep * len(voters) - 1e-9), 1)]
    votes: dict[str, float] = {}
    for index in sorted(kept):
        answer = pairs[index][0]
        votes[answer] = votes.get(answer, 0.0) + outcome.candidates[index].score ** power
    assert votes[outcome.answer] == pytest.approx(max(votes.values()))
    assert outcome.confidence == pytest.approx(votes[outcome.answer] / sum(votes.values()))
    assert [index for index, item in enumerate(outcome.candidates) if item.weight > 0] == sorted(kept)
    assert any(outcome.path is paths[index] or outcome.path == paths[index] for index in kept)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), st.floats(-4, 0)), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.5, 1.2, 40.0, math.inf]),
)
def test_borda_by_its_definition(pairs: list[tuple[str, float]], power: float) -> None:
    paths = [solution(answer, [value], [value + 5]) for answer, value in pairs]
    outcome, work = outcome_of(self_certainty(len(pairs), power=power), paths)
    assert work.confidence == -1
    n = len(pairs)
    order = sorted(range(n), key=lambda index: (-outcome.candidates[index].score, index))
    votes: dict[str, float] = {}
    for rank, index in enumerate(order, 1):
        if power < math.inf:
            votes[pairs[index][0]] = votes.get(pairs[index][0], 0.0) + float(n - rank + 1) ** power
    if power == math.inf:
        votes[pairs[order[0]][0]] = 1.0
    assert votes[outcome.answer] == pytest.approx(max(votes.values()))


def test_mean_logprob_takes_the_least_perplexing_solution_with_an_answer() -> None:
    paths = [solution("1", [-0.4, -0.6]), solution("1", [-0.5]), solution("2", [-0.2, -0.5]), solution(None, [-0.1])]
    assert outcome_of(mean_logprob(4), paths)[0].answer == "2"
    assert outcome_of(mean_logprob(4, power=0), paths)[0].answer == "1"


def test_the_extremes_are_the_majority_and_the_most_confident_one() -> None:
    for seed in range(12):
        policy, problems = FakePolicy(accuracy=0.6), fake_problems(4)
        majority = solve(problems, policy=policy, search=self_consistency(9), seed=seed)
        for search in (confidence_vote(9, keep=1, power=0), self_certainty(9, power=0), mean_logprob(9, power=0)):
            voted = solve(problems, policy=policy, search=search, seed=seed)
            assert [outcome.confidence for outcome in voted] == [outcome.confidence for outcome in majority]
        for search in (confidence_vote(9, keep=0.01), mean_logprob(9)):
            for outcome in solve(problems, policy=policy, search=search, seed=seed):
                best = max(outcome.candidates, key=lambda item: item.score)
                assert (outcome.path, outcome.confidence) == (best.path, 1.0)


@pytest.mark.parametrize(
    "options",
    [{"measure": "tail"}, {"window": 1}, {"keep": 1.0}, {"power": 9.0}, {"top": 3}],
    ids=lambda options: next(iter(options)),
)
def test_every_option_changes_something(options: dict[str, object]) -> None:
    draw = random.Random(4)
    base, changed = [], []
    for _ in range(60):
        paths = []
        for _ in range(9):
            tokens = [-draw.expovariate(1) for _ in range(20)]
            paths.append(solution(str(draw.randint(1, 3)), tokens, [draw.random() for _ in tokens]))
        base.append(outcome_of(confidence_vote(9), paths)[0].answer)
        changed.append(outcome_of(confidence_vote(9, **options), paths)[0].answer)  # type: ignore[arg-type]
    assert base != changed


def test_confidences_are_asked_for_where_they_are_used() -> None:
    paths = [solution("1", [-0.1])]
    assert [outcome_of(confidence_vote(1, top=top), paths)[1].confidence for top in (0, 20)] == [None, 20]
    assert outcome_of(mean_logprob(1), paths)[1].confidence is None


BUILDERS = st.sampled_from([confidence_vote, self_certainty, mean_logprob])


@settings(max_examples=60, deadline=None)
@given(BUILDERS, st.integers(1, 12), st.integers(0, 99), st.sampled_from([None, 0, 3]), st.sampled_from([0, 2]))
def test_invariants(builder, n: int, seed: int, steps_left: int | None, failing: int) -> None:  # type: ignore[no-untyped-def]
    record = recorder(0.6, seed=seed, steps_left=steps_left)
    if failing:
        record.fail = lambda index: index % failing == 0
    outcome = record.solve(builder(n), fake_problems(1)[0])
    assert (record.batches, record.judged) == ([n], [])
    assert [item.path for item in outcome.candidates] == [path for path in record.results if path.complete]
    assert all(0 <= item.score <= 1 or builder is self_certainty for item in outcome.candidates)
    assert (outcome.stopped == "budget") == any(path.finish is Finish.BUDGET for path in record.results)
    assert (outcome.answer is None) == (not outcome.candidates)


def test_unmeasured_solutions_rank_last_and_weigh_nothing() -> None:
    paths = [solution("1", []), solution("1", []), solution("2", [-3.0])]
    for search in (confidence_vote(3, keep=1), self_certainty(3), mean_logprob(3)):
        assert outcome_of(search, paths)[0].answer == "2"
        outcome, _ = outcome_of(search, [solution("2", []), solution("1", []), solution("1", [])])
        assert (outcome.answer, [failure.where for failure in outcome.failures]) == ("1", ["search"])


def test_a_policy_without_log_probabilities_is_refused() -> None:
    for search in (confidence_vote(3), self_certainty(3), mean_logprob(3)):
        assert search.needs == {"logprobs"}
        with pytest.raises(UsageError, match="log-prob"):
            solve(fake_problems(1), policy=FakePolicy(logprobs=False), search=search)


def test_confident_solutions_are_better_ones() -> None:
    """A wrong line of the toy world is less likely than the right one, so likelier solutions are right more often."""
    problems, policy = fake_problems(150), FakePolicy(accuracy=0.5, branch=5)

    def correct(search: Strategy) -> int:
        return sum(o.answer == o.problem.answer for o in solve(problems, policy=policy, search=search))

    majority = correct(self_consistency(8))
    assert correct(mean_logprob(8)) > majority
    assert correct(confidence_vote(8)) > majority


def test_powered_and_most_confident() -> None:
    assert powered([0.5, 0.25, math.nan, -1.0], 2) == [1.0, 0.25, 0.0, 0.0]
    assert powered([0.0, 0.0], 1) == [0.0, 0.0]
    assert powered([0.5, 0.0, math.nan], 0) == [1.0, 1.0, 0.0]
    assert most_confident([0.1, 0.9, 0.9, 0.5], 0.5) == [1, 2]
    assert most_confident([0.1, 0.1], 0.01) == [0]
    assert most_confident([], 0.5) == []


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (confidence_vote, {"n": 0}, "n=0"),
        (confidence_vote, {"measure": "max"}, "measure='max': must be one of 'lowest'"),
        (confidence_vote, {"window": 0}, "window=0: must be a share above 0 or a number of tokens"),
        (confidence_vote, {"window": 2.5}, "window=2.5: from 1 on it counts tokens; pass window=2"),
        (confidence_vote, {"keep": 0}, "keep=0: must be above 0"),
        (confidence_vote, {"keep": 1.5}, "keep=1.5: must be a number between 0 and 1"),
        (confidence_vote, {"power": -1}, "power=-1"),
        (confidence_vote, {"top": -2}, "top=-2"),
        (self_certainty, {"power": -1}, "power=-1"),
        (mean_logprob, {"n": -1}, "n=-1"),
    ],
)
def test_bad_arguments(build, options, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message):
        build(**options)
    assert best_of_n(1).needs == {"scorer"}
