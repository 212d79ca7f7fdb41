"""Generative scorers and combinations driven by real searches: same outcome however it is run, budgets kept."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from scripted import ScriptedPolicy, WeighingPolicy, between

import reason
from reason.policies.fake import FakePolicy, fake_problems
from reason.scorers import ArithmeticVerifier, Cascade, Critic, GenRM, Judge, WeightedSum, cached
from reason.search import beam, best_of_n, mcts, tournament
from reason.types import Outcome, Path

PROBLEMS = fake_problems(3, terms=4)


def wavering(path: Path) -> str:
    """A judge whose verdict hangs on its seed alone, unreadable now and then."""
    draw = random.Random(path.seed)
    if draw.random() < 0.1:
        return "I cannot tell."
    return f"Score: {draw.randint(1, 10)}"


def yes_or_no(path: Path) -> str:
    return f"Verdict: {random.Random(path.seed).choice(['Yes', 'No'])}"


def recomputing(path: Path) -> str:
    """A critic that recomputes each line of the toy world."""
    for line in between(path.problem.question, "solution").splitlines():
        number, _, words = line.lstrip("[").partition("] ")
        left, equals, right = words.partition(" = ")
        if equals and sum(map(int, left.split(" + "))) != int(right):
            return f'Problem in step {number}: "{words}": wrong\nFirst wrong step: {number}'
    return "First wrong step: none"


def preferring_right(path: Path) -> str:
    """A judge of pairs that counts right lines."""
    shown = [between(path.problem.question, f"solution-{name}") for name in "AB"]
    points = []
    for text in shown:
        sums = [line.partition(" = ") for line in text.splitlines() if " = " in line]
        points.append(sum(sum(map(int, left.split(" + "))) == int(right) for left, _, right in sums))
    return "Better: " + ("tie" if points[0] == points[1] else "A" if points[0] > points[1] else "B")


def scorers() -> dict[str, Any]:
    weighing = WeighingPolicy(yes_or_no, lambda path, option: -float(len(path.text) % 7 + len(option)))
    return {
        "judge": Judge(ScriptedPolicy(wavering), votes=2),
        "genrm": GenRM(ScriptedPolicy(yes_or_no), votes=3),
        "weighing": GenRM(weighing, votes=2),
        "critic": Critic(ScriptedPolicy(recomputing)),
        "sum": WeightedSum([ArithmeticVerifier(), Judge(ScriptedPolicy(wavering))], missing="skip"),
        "cascade": Cascade(ArithmeticVerifier(), Judge(ScriptedPolicy(wavering))),
    }


def told(outcomes: list[Outcome]) -> list[Any]:
    return [(o.answer, [(c.path.text, str(c.score)) for c in o.candidates], o.cost.scored_tokens) for o in outcomes]


@pytest.mark.parametrize("name", list(scorers()))
@pytest.mark.parametrize("search", [best_of_n(6), beam(4), mcts(4)], ids=["best_of_n", "beam", "mcts"])
def test_the_outcome_does_not_depend_on_how_it_is_run(name: str, search: Any) -> None:
    def run(**options: Any) -> list[Any]:
        policy = FakePolicy(accuracy=0.5)
        return told(reason.solve(PROBLEMS, policy=policy, search=search, scorer=scorers()[name], **options))

    base = run()
    assert run(concurrency=1) == base
    again = reason.asolve(PROBLEMS, policy=FakePolicy(accuracy=0.5), search=search, scorer=scorers()[name])
    assert told(asyncio.run(again)) == base  # type: ignore[arg-type]
    alone = [
        told(reason.solve([one], policy=FakePolicy(accuracy=0.5), search=search, scorer=scorers()[name]))[0]
        for one in PROBLEMS
    ]
    assert alone == base


@pytest.mark.parametrize("name", list(scorers()))
@pytest.mark.parametrize("limit", [1, 3000, 10_000])
def test_scorer_budgets_are_kept(name: str, limit: int) -> None:
    outcomes = reason.solve(
        PROBLEMS,
        policy=FakePolicy(accuracy=0.5),
        search=best_of_n(6),
        scorer=scorers()[name],
        budget=reason.Budget(scorer_tokens=limit),
    )
    assert all(outcome.cost.scored_tokens <= limit for outcome in outcomes)
    assert all(outcome.answer is not None for outcome in outcomes)


def test_a_good_critic_guides_a_search_as_a_process_reward() -> None:
    def right(scorer: Any) -> int:
        policy = FakePolicy(accuracy=0.5)
        found = reason.solve(fake_problems(12), policy=policy, search=beam(8), scorer=scorer)
        return sum(outcome.answer == outcome.problem.answer for outcome in found)

    assert right(Critic(ScriptedPolicy(recomputing))) >= 11
    assert right(Judge(ScriptedPolicy(wavering))) < 9


def test_a_judge_decides_a_tournament() -> None:
    judge = Judge(ScriptedPolicy(preferring_right))
    policy = FakePolicy(accuracy=0.6)
    found = reason.solve(fake_problems(12), policy=policy, search=tournament(8), scorer=judge)
    best = [any(item.answer == o.problem.answer for item in o.candidates) for o in found]
    assert [outcome.answer == outcome.problem.answer for outcome in found] == best
    assert all(outcome.cost.scored_tokens > 0 for outcome in found)


def test_judgements_can_be_cached() -> None:
    policy = ScriptedPolicy(lambda path: f"Score: {random.Random(path.seed).randint(1, 10)}")
    judge = cached(Judge(policy))
    for _ in range(2):
        reason.solve(PROBLEMS, policy=FakePolicy(), search=best_of_n(4), scorer=judge)
    texts = [between(path.problem.question, "solution") for path in policy.asked]
    questions = [between(path.problem.question, "problem") for path in policy.asked]
    assert len(set(zip(questions, texts, strict=True))) == len(texts)
