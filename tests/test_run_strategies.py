"""Every strategy under the real runner: budgets, seeds and failures hold for all of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.budget import Budget
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.run import solve
from reason.search import STRATEGIES
from reason.types import Outcome, Problem, Sampling

NAMES = st.sampled_from(sorted(STRATEGIES))
PROBLEMS = fake_problems(3)


def run(name: str, problems: list[Problem], **options: object) -> list[Outcome]:
    given = {"policy": FakePolicy(accuracy=0.6), "scorer": FakeScorer(noise=0.4), **options}
    return solve(problems, search=STRATEGIES[name](8), **given)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    name=NAMES,
    tokens=st.one_of(st.none(), st.integers(1, 600)),
    scored=st.one_of(st.none(), st.integers(1, 400)),
    flops=st.one_of(st.none(), st.integers(1000, 2_000_000)),
)
def test_budgets_are_hard_and_every_strategy_concludes(
    name: str, tokens: int | None, scored: int | None, flops: int | None
) -> None:
    budget = Budget(tokens, scored, flops)
    for outcome in run(name, PROBLEMS, budget=budget, sampling=Sampling(max_tokens=70)):
        assert outcome.stopped in ("done", "budget")
        assert outcome.cost.generated_tokens <= (tokens or math.inf)
        assert outcome.cost.scored_tokens <= (scored or math.inf)
        assert outcome.cost.flops <= (flops or math.inf)


@settings(max_examples=25, deadline=None)
@given(name=NAMES, seed=st.integers(0, 2**63), concurrency=st.integers(1, 3), tokens=st.sampled_from([None, 90, 400]))
def test_results_do_not_depend_on_what_else_runs(name: str, seed: int, concurrency: int, tokens: int | None) -> None:
    def answers(outcomes: list[Outcome]) -> list[object]:
        return [(o.answer, o.confidence, o.candidates, o.cost.generated_tokens, o.stopped) for o in outcomes]

    budget = Budget(tokens=tokens)
    together = answers(run(name, PROBLEMS, seed=seed, concurrency=concurrency, budget=budget))
    alone = [answers(run(name, [problem], seed=seed, budget=budget))[0] for problem in PROBLEMS]
    assert repr(together) == repr(alone)


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_answer_survives_failures(name: str) -> None:
    policy = FakePolicy(accuracy=0.9, error=lambda path: "flaky" if path.seed % 5 == 0 else None)
    scorer = FakeScorer(error=lambda path: "flaky" if len(path.text) % 7 == 0 else None)
    outcomes = run(name, fake_problems(12), policy=policy, scorer=scorer, retries=0)
    assert all(outcome.stopped == "done" for outcome in outcomes)
    assert any(outcome.failures for outcome in outcomes)
    assert sum(outcome.answer == outcome.problem.answer for outcome in outcomes) >= 7


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"cot"}))
def test_more_budget_is_never_paid_back_with_fewer_tokens(name: str) -> None:
    spent = [
        sum(outcome.cost.generated_tokens for outcome in run(name, PROBLEMS, budget=Budget(tokens=tokens)))
        for tokens in (20, 80, 320, 1280)
    ]
    assert spent == sorted(spent)
    assert spent[0] == 3 * 20
