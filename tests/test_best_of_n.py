"""Best-of-n, and the selections that every strategy shares."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import recorder

from reason.policies.fake import FakeScorer, fake_problems
from reason.search.best_of_n import best_of_n, majority_best_of_n, weighted_best_of_n
from reason.search.select import SELECTIONS, choose, complete_first, conclude, path_value
from reason.types import Candidate, Finish, Path, Problem, Score, Step, UsageError

PROBLEM = Problem("p", "q")


def item(answer: str | None, score: float = math.nan, finish: Finish = Finish.STOP) -> Candidate:
    return Candidate(Path(PROBLEM, (Step(f"Answer: {answer}", finish=finish),)), answer, score)


@pytest.mark.parametrize("select", SELECTIONS)
def test_matches_the_definition(select):
    for seed in range(10):
        problem = fake_problems(1, seed=seed)[0]
        record = recorder(0.5, noise=0.8, seed=seed)
        outcome = record.solve(best_of_n(12, select), problem)
        votes: dict[str, float] = {}
        for candidate in outcome.candidates:
            weight = {"naive": 0.0, "weighted": candidate.score, "majority": 1.0}[select]
            votes[candidate.answer] = votes.get(candidate.answer, 0.0) + weight
        best = max(outcome.candidates, key=lambda candidate: candidate.score)
        assert outcome.answer == (best.answer if select == "naive" else max(votes, key=lambda answer: votes[answer]))
        in_group = [candidate for candidate in outcome.candidates if candidate.answer == outcome.answer]
        assert outcome.path is max(in_group, key=lambda candidate: candidate.score).path


def test_all_n_are_kept_with_their_scores_and_equal_ones_judged_once():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.6, branch=2)
    outcome = record.solve(best_of_n(16), problem)
    assert [candidate.path.text for candidate in outcome.candidates] == [path.text for path in record.results]
    assert all(candidate.score == record.scorer.score(candidate.path).value for candidate in outcome.candidates)
    assert len(record.judged) == len({path.text for path in record.results}) <= 4


def test_unscored_ranks_last_and_weighs_nothing():
    candidates = [item("7"), item("7"), item("7"), item("8", 0.01)]
    for select in ("naive", "weighted"):
        outcome = conclude(PROBLEM, candidates, select)
        assert (outcome.answer, outcome.confidence, outcome.failures) == ("8", 1.0, ())
        assert [candidate.weight for candidate in outcome.candidates] == [0, 0, 0, 0.01]
    assert conclude(PROBLEM, candidates, "majority").answer == "7"


def test_nothing_scored_falls_back_to_the_majority_and_says_so():
    outcome = recorder_with_broken_scorer().solve(best_of_n(9), fake_problems(1)[0])
    answers = [candidate.answer for candidate in outcome.candidates]
    assert answers.count(outcome.answer) == max(answers.count(answer) for answer in answers)
    assert [(failure.where, "majority" in failure.message) for failure in outcome.failures] == [("search", True)]


def recorder_with_broken_scorer():
    record = recorder(0.5)
    record.scorer = FakeScorer(error=lambda path: "broken")
    return record


def test_truncated_needs_an_answer_and_loses_ties():
    truncated, complete = item("3", 0.5, Finish.LENGTH), item("4", 0.5)
    assert conclude(PROBLEM, [truncated, complete], "naive").answer == "4"
    assert conclude(PROBLEM, [item("3", 0.6, Finish.LENGTH), complete], "naive").answer == "3"
    assert conclude(PROBLEM, [item(None, 0.9, Finish.LENGTH), complete], "weighted").answer == "4"
    assert complete_first([truncated, complete]) == [1]
    assert complete_first([truncated, item(None, 0.4)]) == [0, 1]


def test_ties_go_to_the_first_and_zero_scores_still_vote():
    assert conclude(PROBLEM, [item("5"), item("6"), item("6"), item("5")], "majority").answer == "5"
    assert conclude(PROBLEM, [item("5", 0.3), item("6", 0.3)], "naive").answer == "5"
    assert conclude(PROBLEM, [item("5", 0.0), item("6", 0.0), item("6", 0.0)], "weighted").answer == "6"


def test_no_candidate_and_no_answer():
    empty = conclude(PROBLEM, [], "naive")
    assert (empty.answer, empty.path, empty.failures) == (None, None, ())
    silent = conclude(PROBLEM, [item(None, 0.2), item(None, 0.4)], "weighted")
    assert (silent.answer, silent.path) == (None, silent.candidates[1].path)
    assert math.isnan(silent.confidence)


scores = st.one_of(st.just(math.nan), st.floats(0, 1))


@given(st.lists(st.tuples(st.sampled_from(["1", "2", "1.0", None]), scores), max_size=8), st.sampled_from(SELECTIONS))
def test_choice_is_always_sound(pairs, select):
    candidates = [item(answer, score) for answer, score in pairs]
    choice = choose(candidates, select)
    assert (choice.index is None) == (not candidates)
    if any(candidate.answer for candidate in candidates):
        assert candidates[choice.index].answer
        assert 0 <= choice.confidence <= 1 + 1e-12
    scored = [c for c in candidates if c.answer and not math.isnan(c.score)]
    if scored and select == "naive":
        assert candidates[choice.index].score == max(c.score for c in scored)


@pytest.mark.parametrize(
    ("aggregate", "value"), [(None, 0.7), ("last", 0.2), ("min", 0.2), ("product", 0.05), ("mean", 0.4)]
)
def test_step_values_aggregate(aggregate, value):
    assert path_value(Score(0.7, (0.5, 0.5, 0.2)), aggregate) == pytest.approx(value)
    assert math.isnan(path_value(Score(math.nan, (0.5,)), aggregate))
    assert path_value(Score(0.7), aggregate) == 0.7


@given(
    st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), st.floats(0.01, 1)), min_size=1, max_size=9),
    st.sampled_from([0.0, 0.5, 2.0, 5.0]),
)
def test_weights_are_powers_of_the_scores(pairs, power):
    run = best_of_n(len(pairs), "weighted", power=power)(PROBLEM)
    texts = [f"So {index}.\nAnswer: {answer}" for index, (answer, _) in enumerate(pairs)]
    next(run)
    work = run.send([Step(text, finish=Finish.STOP) for text in texts])
    scores = dict(zip(texts, (value for _, value in pairs), strict=True))
    with pytest.raises(StopIteration) as end:
        run.send([Score(scores[path.text]) for path in work.paths])
    votes: dict[str, float] = {}
    for answer, value in pairs:
        votes[answer] = votes.get(answer, 0.0) + value**power
    assert votes[end.value.value.answer] == pytest.approx(max(votes.values()))


def test_power_goes_from_the_majority_to_the_best():
    for seed in range(10):
        problem = fake_problems(1, seed=seed)[0]

        def outcome(search, seed=seed, problem=problem):
            return recorder(0.5, noise=0.8, seed=seed).solve(search, problem)

        best, majority = outcome(best_of_n(12)), outcome(majority_best_of_n(12))
        assert outcome(weighted_best_of_n(12, power=math.inf)).path == best.path
        assert outcome(weighted_best_of_n(12, power=0)).path == majority.path
    assert outcome(weighted_best_of_n(12)).path == outcome(best_of_n(12, "weighted")).path


def test_names_and_needs():
    assert [best_of_n(2, select).name for select in SELECTIONS] == [
        "best_of_n",
        "weighted_best_of_n",
        "majority_best_of_n",
    ]
    assert weighted_best_of_n(2).needs == {"scorer"}


def test_bad_arguments():
    with pytest.raises(UsageError, match="n=-1: must be an integer"):
        best_of_n(-1)
    with pytest.raises(UsageError, match="select='best': must be one of 'naive', 'weighted', 'majority'"):
        best_of_n(2, "best")
    with pytest.raises(UsageError, match="power=2 with select='naive': only select='weighted' weighs"):
        best_of_n(2, power=2)
    with pytest.raises(UsageError, match="power=-1"):
        weighted_best_of_n(2, power=-1)


def test_failures_and_budget():
    problem = fake_problems(1)[0]
    outcome = recorder(fail=lambda index: index % 2 == 0, steps_left=3).solve(best_of_n(10), problem)
    assert (len(outcome.candidates), outcome.stopped) == (3, "budget")
