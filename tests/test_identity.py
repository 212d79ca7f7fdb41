"""Identities: equal where results may be shared, different where they may not, refused where that cannot be told."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

import reason
from reason import Budget, Capabilities, Path, Problem, Sampling, Score, Step
from reason.answers import Grade, Verdict
from reason.identity import budget_of, options_of, plain_json, policy_identity, scorer_identity, strategy_name
from reason.policies.fake import FakePolicy, FakeScorer
from reason.policies.weights import weights_hash
from reason.scorers import Cascade, Game24, GenRM, Judge, Pairs, Product, Regex, WeightedSum, cached, calibrate
from reason.scorers.calibration import Calibration
from reason.scorers.critic import Critic
from reason.scorers.ensembles import ensemble
from reason.scorers.verifier import Verifier
from reason.search import STRATEGIES
from reason.types import UsageError


class Plain:
    """A policy and scorer of a user's own."""

    def __init__(self, called: str = "policy", **members: Any) -> None:
        self.capabilities = Capabilities(called)
        vars(self).update(members)

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        return []

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        return []


def ask(text: str) -> str:
    return text


def check(problem: Problem, text: str) -> Verdict:
    return Verdict(Grade.CORRECT)


FIRST, SECOND = FakePolicy(accuracy=0.5), FakePolicy(accuracy=0.6)
A, B = FakeScorer(good=0.9), FakeScorer(good=0.8)
POLICIES: dict[str, Callable[[], Any]] = {
    "fake": lambda: FakePolicy(accuracy=0.5),
    "fake of another accuracy": lambda: FakePolicy(accuracy=0.6),
    "fake without tokens": lambda: FakePolicy(accuracy=0.5, token_ids=False),
    "function": lambda: reason.wrap(ask),
    "function with another prompt": lambda: reason.wrap(ask, template="Q: {question}"),
    "function with a name": lambda: reason.wrap(lambda text: text, name="my model 2"),
    "own identity": lambda: Plain(identity="model 1"),
    "another of its own": lambda: Plain(identity="model 2"),
    "own name": lambda: Plain("my model"),
    "another name": lambda: Plain("your model"),
}
CALIBRATIONS = (Calibration("platt", 1.5), Calibration("platt", 2.0))
SCORERS: dict[str, Callable[[], Any]] = {
    "fake": lambda: FakeScorer(good=0.9),
    "fake of another value": lambda: FakeScorer(good=0.8),
    "own identity": lambda: Plain(identity="model 1"),
    "own name": lambda: Plain(name="mine"),
    "judge": lambda: Judge(FIRST),
    "judge by another model": lambda: Judge(SECOND),
    "judge of style": lambda: Judge(FIRST, rubric="style"),
    "judge on another scale": lambda: Judge(FIRST, scale="probability"),
    "judge with votes": lambda: Judge(FIRST, votes=3),
    "judge at another temperature": lambda: Judge(FIRST, votes=3, temperature=0.9),
    "judge with another seed": lambda: Judge(FIRST, votes=3, seed=1),
    "judge with more room": lambda: Judge(FIRST, max_tokens=2048),
    "judge with gold answers": lambda: Judge(FIRST, reference=True),
    "judge without reasons": lambda: Judge(FIRST, scale="probability", reasoning=False),
    "genrm": lambda: GenRM(FIRST),
    "genrm without words": lambda: GenRM(FIRST, cot=False),
    "critic": lambda: Critic(FIRST),
    "critic of other steps": lambda: Critic(FIRST, split=""),
    "sum": lambda: WeightedSum([A, B]),
    "sum with other weights": lambda: WeightedSum([A, B], [0.2, 0.8]),
    "sum of others": lambda: WeightedSum([B, A]),
    "sum without the unscored": lambda: WeightedSum([A, B], missing="skip"),
    "product": lambda: Product([A, B]),
    "cascade": lambda: Cascade(A, B),
    "cascade with another bar": lambda: Cascade(A, B, threshold=0.5),
    "ensemble": lambda: ensemble([A, B]),
    "ensemble of others": lambda: ensemble([B, A]),
    "pairs": lambda: Pairs(A),
    "pairs by difference": lambda: Pairs(A, odds=False),
    "rule": lambda: Verifier(check),
    "rule as oracle": lambda: Verifier(check, oracle=True),
    "rule without a name": lambda: Verifier(lambda problem, text: Verdict(Grade.CORRECT)),
    "another without a name": lambda: Verifier(lambda problem, text: Verdict(Grade.INCORRECT)),
    "expression": lambda: Regex("a+"),
    "another expression": lambda: Regex("b+"),
    "expression for the answer": lambda: Regex("a+", answer=True),
    "game": lambda: Game24(),
    "countdown": lambda: Game24(every=False),
    "arithmetic": lambda: reason.load_scorer("arithmetic"),
    "calibrated": lambda: calibrate(A, CALIBRATIONS[0]),
    "calibrated otherwise": lambda: calibrate(A, CALIBRATIONS[1]),
}


def test_policies_differ_where_their_steps_do() -> None:
    found = {name: policy_identity(make()) for name, make in POLICIES.items()}
    assert found == {name: policy_identity(make()) for name, make in POLICIES.items()}
    assert len(set(found.values())) == len(found)


def test_scorers_differ_where_their_scores_do() -> None:
    found = {name: scorer_identity(make()) for name, make in SCORERS.items()}
    assert found == {name: scorer_identity(make()) for name, make in SCORERS.items()}
    assert len(set(found.values())) == len(found), found
    assert scorer_identity(cached(A)) == scorer_identity(A)


@pytest.mark.parametrize("policy", [Plain(), Plain(""), reason.wrap(lambda text: text)])
def test_a_policy_that_cannot_be_told_from_others_is_refused(policy: Any, tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=r"cannot be told from other.*name"):
        reason.solve([Problem("1", "1 + 1")], policy=policy, search=reason.cot(), store=tmp_path / "run.db")


def test_a_partial_function_needs_a_name() -> None:
    with pytest.raises(UsageError, match="name='model and version'"):
        policy_identity(reason.wrap(functools.partial(ask)))
    assert policy_identity(reason.wrap(functools.partial(ask), name="mine"))


@pytest.mark.parametrize("make", [lambda scorer: scorer, cached, Pairs, lambda scorer: ensemble([A, scorer])])
def test_a_scorer_that_cannot_be_told_from_others_is_refused_within_others_too(make: Any) -> None:
    with pytest.raises(UsageError, match=r"Plain cannot be told from other scorers.*identity"):
        scorer_identity(make(Plain()))


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_are_known_by_what_they_were_built_with(name: str) -> None:
    build = STRATEGIES[name]
    assert strategy_name(build(8)) == name
    assert options_of(build(8)) == options_of(build(8))
    assert name == "cot" or options_of(build(8)) != options_of(build(9))
    assert len(plain_json(options_of(build(8)))) < 3000


def test_identities_are_those_of_another_process() -> None:
    script = (
        "from reason.identity import *; import reason; from reason.search import STRATEGIES\\n"
        "from reason.policies.fake import FakePolicy\\n"
        "print(plain_json([options_of(make(8)) for make in STRATEGIES.values()]), policy_identity(FakePolicy()))"
    ).replace("\\n", "\n")
    lines = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    here = plain_json([options_of(make(8)) for make in STRATEGIES.values()])
    assert lines == {f"{here} {policy_identity(FakePolicy())}\n"}


def test_own_searches_and_budgets() -> None:
    def search(n: int) -> Any:
        def run(problem: Problem) -> Any:
            yield n

        return run

    assert options_of(search(3)) == {"n": 3}
    assert strategy_name(search(3)).endswith("search.<locals>.run")
    assert budget_of(Budget(tokens=5))["tokens"] == 5
    assert "lambda" in budget_of(lambda problem: Budget())["function"]


def test_the_weights_hash_is_that_of_the_model() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 300), nn.LayerNorm(300))
    before = weights_hash(model)
    assert weights_hash(model) == before
    with torch.no_grad():
        model[1].bias += 0.01
    assert weights_hash(model) != before
    assert weights_hash(model.to(torch.bfloat16)) != before
    assert weights_hash(nn.Linear(4, 4, device="meta")) != weights_hash(nn.Linear(5, 4, device="meta"))


def test_a_changed_scorer_is_another(tmp_path: Any) -> None:
    one = Judge(FIRST)
    assert scorer_identity(one) != scorer_identity(Judge(FIRST, rubric=replace(one.rubric, criterion="Brevity.")))


def test_the_bundled_models_are_known_by_their_weights_and_options() -> None:
    policy, again = reason.load("bundled"), reason.load("bundled", max_rows=8)
    assert policy_identity(policy) == policy_identity(again)
    other = reason.wrap(policy.model, policy.tokenizer, prompt=replace(policy.prompt, template="Q: {question}\n"))
    assert policy_identity(other) != policy_identity(policy)
    scorers = [reason.load_scorer("process"), reason.load_scorer("process", aggregate="min")]
    found = {scorer_identity(scorer) for scorer in (*scorers, reason.load_scorer("outcome"))}
    assert len(found) == 3
    assert scorer_identity(reason.load_scorer("process")) == scorer_identity(scorers[0])
