"""Tournaments: who meets whom, how many comparisons, who wins, and what failed comparisons do."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import recorder

from reason.budget import Budget
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.run import solve
from reason.search.strategy import Strategy
from reason.search.tournament import ROUNDS, bradley_terry, tournament
from reason.types import Finish, Outcome, Path, Problem, Score, Step, UsageError
from reason.work import Compare, Extend

PROBLEM = Problem("p", "q")
Judge = Callable[[str, str], float]


def play(search: Strategy, answers: list[str | None], judge: Judge) -> tuple[Outcome, list[list[tuple[str, str]]]]:
    """The outcome for these answers, and the pairs of answers that met, round by round."""
    texts = [
        "so\nwell\n" if answer is None else f"Way {index}.\nAnswer: {answer}" for index, answer in enumerate(answers)
    ]
    by_text = dict(zip(texts, answers, strict=True))
    run, rounds = search(PROBLEM), []
    work = next(run)
    try:
        while True:
            if isinstance(work, Extend):
                work = run.send([Step(text, finish=Finish.STOP) for text in texts])
                continue
            assert isinstance(work, Compare)
            met = [(str(by_text[a.text]), str(by_text[b.text])) for a, b in work.pairs]
            rounds.append(met)
            work = run.send([Score(judge(a, b)) for a, b in met])
    except StopIteration as end:
        return end.value, rounds


def bigger(first: str, second: str) -> float:
    return 0.5 if first == second else 0.9 if int(first) > int(second) else 0.1


several = st.lists(st.sampled_from(["1", "2", "3", "4", "5", "6", "7", None]), min_size=1, max_size=14)


@settings(max_examples=150, deadline=None)
@given(several, st.sampled_from(ROUNDS), st.sampled_from([None, 2, 3]))
def test_a_consistent_judge_gets_its_favourite_and_no_pair_meets_twice(
    answers: list[str | None], rounds: str, most: int | None
) -> None:
    outcome, played = play(tournament(len(answers), rounds=rounds, most=most), answers, bigger)
    counts = {answer: answers.count(answer) for answer in answers if answer}
    order = sorted(counts, key=lambda answer: (-counts[answer], answers.index(answer)))[:most]
    assert outcome.answer == max(order, key=int, default=None)
    games = [frozenset(game) for game in (game for games in played for game in games)]
    assert len(games) == len(set(games))
    assert all(len(game) == 2 and game <= set(order) for game in games)
    k = len(order)
    if rounds == "knockout":
        assert len(games) == max(k - 1, 0)
        assert len(played) == (math.ceil(math.log2(k)) if k else 0)
    elif rounds == "round_robin":
        assert len(games) == k * (k - 1) // 2
        assert len(played) <= 1
    else:
        assert len(played) <= (math.ceil(math.log2(k)) if k else 0)
        assert len(games) <= len(played) * (k // 2)


def test_the_likeliest_complete_solution_plays_for_an_answer() -> None:
    search = tournament(4)(PROBLEM)
    next(search)
    drawn = [
        ("Answer: 4", -2.0, Finish.STOP),
        ("So 4.\nAnswer: 4", -0.5, Finish.STOP),
        ("Answer: 9", -3.0, Finish.STOP),
    ]
    drawn.append(("Thus.\nAnswer: 4", -0.1, Finish.LENGTH))
    work = search.send([Step(text, (1,), (logprob,), finish) for text, logprob, finish in drawn])
    assert isinstance(work, Compare)
    assert [(a.text, b.text) for a, b in work.pairs] == [(drawn[1][0], drawn[2][0])]


def test_equal_answers_are_merged_and_share_one_score() -> None:
    search = tournament(5)(PROBLEM)
    work = next(search)
    finishes = [Finish.LENGTH, Finish.STOP, Finish.STOP, Finish.STOP, Finish.STOP]
    texts = ["Answer: 4", "It is 4.\nAnswer: 4", "Answer: 9", "Answer: 4.0", "Answer: 9.0"]
    work = search.send([Step(text, finish=finish) for text, finish in zip(texts, finishes, strict=True)])
    assert isinstance(work, Compare)
    assert [(a.text, b.text) for a, b in work.pairs] == [(texts[1], texts[2])]
    with pytest.raises(StopIteration) as end:
        search.send([Score(0.2)])
    outcome: Outcome = end.value.value
    assert outcome.answer == "9"
    assert [item.score for item in outcome.candidates] == [0, 0, 1, 0, 1]
    assert outcome.confidence == pytest.approx(2 / 5)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_ties_and_failures_go_to_the_answer_with_more_votes(rounds: str) -> None:
    answers: list[str | None] = ["1", "2", "2", "3", "3", "3"]
    tied, _ = play(tournament(6, rounds=rounds), answers, lambda a, b: 0.5)
    assert tied.answer == "3"
    failed, _ = play(tournament(6, rounds=rounds), answers, lambda a, b: math.nan)
    assert failed.answer == "3"
    assert all(math.isnan(item.score) for item in failed.candidates)
    assert [failure.where for failure in failed.failures] == ["search"]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_an_answer_without_a_verdict_is_unscored_and_loses_to_those_with_one(rounds: str) -> None:
    def judge(first: str, second: str) -> float:
        return math.nan if "3" in (first, second) else bigger(first, second)

    outcome, _ = play(tournament(4, rounds=rounds), ["1", "2", "4", "3"], judge)
    scores = {item.answer: item.score for item in outcome.candidates}
    assert outcome.answer == ("4" if rounds != "knockout" else max(scores, key=lambda a: scores[a]))
    if rounds != "knockout":
        assert math.isnan(scores["3"])


@pytest.mark.parametrize("rounds", ROUNDS)
def test_votes_weigh_against_the_verdict(rounds: str) -> None:
    answers: list[str | None] = ["1", "1", "1", "1", "2"]
    for verdict, votes, winner in (
        (0.7, 0.5, "2"),
        (0.7, 0, "2"),
        (0.6, 0.5, "1"),
        (0.6, 0, "2"),
        (1.0, 3, "2"),
        (1.0, 4, "1"),
    ):
        search = tournament(5, rounds=rounds, votes=votes)
        outcome, _ = play(search, answers, lambda a, b, verdict=verdict: verdict if a == "2" else 1 - verdict)
        assert outcome.answer == winner, (verdict, votes)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_one_answer_needs_no_judge(rounds: str) -> None:
    outcome, played = play(tournament(3, rounds=rounds), ["7", "7", None], bigger)
    assert (outcome.answer, played, outcome.failures) == ("7", [], ())
    silent, played = play(tournament(2, rounds=rounds), [None, None], bigger)
    assert (silent.answer, played) == (None, [])


def test_wins_and_strengths_differ_where_opponents_do() -> None:
    """Two games each: first beat both weak ones, second beat the strongest and lost narrowly to the next."""
    won = np.array([2.0, 1.4, 1.5, 0.6, 0.0, 0.5])
    games = np.zeros((6, 6))
    for a, b in ((0, 4), (0, 5), (1, 2), (1, 3), (2, 3), (4, 5)):
        games[a, b] = games[b, a] = 1
    assert won.sum() == games.sum() / 2
    strength = bradley_terry(won, games)
    assert won[2] > won[1]
    assert strength[1] > strength[5] > strength[4]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(0, 999))
def test_strengths_maximise_the_likelihood(count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    games = np.triu(draw.integers(0, 2, (count, count)), 1).astype(float)
    games += games.T
    share = np.triu(draw.random((count, count)), 1)
    wins = games * (share + np.tril(1 - share.T, -1))
    found = bradley_terry(wins.sum(axis=1), games)

    def likelihood(chance: np.ndarray) -> float:
        strength = chance / (1 - chance)
        table = strength[:, None] / (strength[:, None] + strength[None, :])
        prior = 0.5 * np.log(chance) + 0.5 * np.log(1 - chance)
        return float((wins * np.log(table)).sum() + prior.sum())

    best = likelihood(found)
    for _ in range(30):
        other = np.clip(found + draw.normal(0, 0.05, count), 1e-6, 1 - 1e-6)
        assert likelihood(other) <= best + 1e-9


def test_the_ranking_and_the_number_of_answers_change_something() -> None:
    draw = random.Random(3)

    def noisy(first: str, second: str) -> float:
        return random.Random(f"{first}/{second}").random()

    fields: list[list[str | None]] = [[str(draw.randint(1, 9)) for _ in range(12)] for _ in range(60)]

    def winners(**options: object) -> list[str | None]:
        return [play(tournament(12, **options), field, noisy)[0].answer for field in fields]  # type: ignore[arg-type]

    assert winners(rounds="swiss", rank="wins") != winners(rounds="swiss", rank="bradley_terry")
    assert winners(rounds="swiss") == winners(rounds="swiss", rank="bradley_terry")
    assert winners(rounds="round_robin", rank="wins") == winners(rounds="round_robin")
    everybody = winners()
    assert everybody != winners(most=2)
    assert everybody != winners(votes=0)
    assert everybody != winners(rounds="round_robin")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ROUNDS),
    st.integers(1, 14),
    st.integers(0, 99),
    st.sampled_from([None, 0, 4]),
    st.sampled_from([0, 2, 3]),
)
def test_invariants(rounds: str, n: int, seed: int, steps_left: int | None, failing: int) -> None:
    record = recorder(0.5, noise=0.9, seed=seed, steps_left=steps_left)
    if failing:
        record.fail = lambda index: index % failing == 0
        record.scorer.error = lambda path: "flaky" if len(path.text) % 3 == 0 else None
    outcome = record.solve(tournament(n, rounds=rounds), fake_problems(1)[0])
    assert record.batches == [n]
    assert [item.path for item in outcome.candidates] == [path for path in record.results if path.complete]
    met = [frozenset((first.text, second.text)) for first, second in record.compared]
    assert len(met) == len(set(met))
    assert (outcome.stopped == "budget") == any(path.finish is Finish.BUDGET for path in record.results)
    assert (outcome.answer is None) == (not outcome.candidates)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_under_the_runner(rounds: str) -> None:
    problems = fake_problems(30)

    def run(**options: object) -> list[Outcome]:
        given = {"policy": FakePolicy(accuracy=0.5), "scorer": FakeScorer(), **options}
        return solve(problems, search=tournament(12, rounds=rounds), **given)  # type: ignore[arg-type]

    outcomes = run()
    assert sum(outcome.answer == outcome.problem.answer for outcome in outcomes) >= 20
    assert [o.candidates for o in run(concurrency=2)] == [o.candidates for o in outcomes]
    for outcome in run(budget=Budget(tokens=120, scorer_tokens=150)):
        assert outcome.cost.scored_tokens <= 150
        assert outcome.answer is not None


def test_needs_and_bad_arguments() -> None:
    assert tournament(2).needs == {"compare"}

    class Silent:
        async def judge(self, paths: list[Path]) -> list[Score]:
            return [Score(0.0) for _ in paths]

    with pytest.raises(UsageError, match="compares pairs"):
        solve(fake_problems(1), policy=FakePolicy(), scorer=Silent(), search=tournament(2))  # type: ignore[arg-type]
    for options, message in (
        ({"n": 0}, "n=0"),
        ({"rounds": "cup"}, "rounds='cup': must be one of 'knockout', 'round_robin', 'swiss'"),
        ({"rank": "elo", "rounds": "swiss"}, "rank='elo': must be one of 'bradley_terry', 'wins'"),
        ({"rank": "wins"}, "rank='wins' with rounds='knockout'"),
        ({"most": 1}, "most=1: must be an integer of at least 2"),
        ({"votes": -1.0}, "votes=-1.0"),
    ):
        with pytest.raises(UsageError, match=message):
            tournament(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_the_greatest_weight_of_votes_is_no_overflow(rounds: str) -> None:
    answers: list[str | None] = ["1"] + ["2"] * 4000
    outcome, _ = play(tournament(len(answers), rounds=rounds, votes=100), answers, lambda a, b: float(a == "1"))
    assert outcome.answer == "2"
    assert all(0 <= item.score <= 1 for item in outcome.candidates)


@pytest.mark.parametrize("votes", [400, math.inf, math.nan])
def test_votes_have_a_bound(votes: float) -> None:
    with pytest.raises(UsageError, match="must be a number between 0 and 100"):
        tournament(4, votes=votes)
