"""The runner with a real engine and scorer (tiny random weights): budgets, seeds, cancellation."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest
import torch
from tiny_scorers import EOS, SIZES, VOCABULARY, byte_tokenizer, own_parts
from transformers import Qwen2Config, Qwen2ForCausalLM

import reason
from reason import Budget, Outcome, Path, Problem, Sampling, Score
from reason.scorers.store import save_scorer
from reason.search import STRATEGIES

SAMPLING = Sampling(temperature=1.0, max_tokens=24, max_step_tokens=8)
PROBLEMS = [Problem(f"p{index}", f"What is {index} + {index}?") for index in range(5)]


@pytest.fixture(scope="module")
def model() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(vocab_size=VOCABULARY, max_position_embeddings=256, eos_token_id=EOS, **SIZES)
    ).eval()


@pytest.fixture
def policy(model: Qwen2ForCausalLM) -> reason.Policy:
    return reason.wrap(model, byte_tokenizer(), memory_gib=0.05)


@pytest.fixture(scope="module")
def scorer_directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("scorer")
    backbone, head = own_parts()
    prompt = {"template": "{question}\n"}
    save_scorer(folder, backbone, head, byte_tokenizer(), kind="process", prompt=prompt)
    return str(folder)


class Comparing:
    """A scorer that compares by what it judges, for the strategies that need pairs."""

    def __init__(self, directory: str) -> None:
        self.scorer = reason.load_scorer(directory)
        self.parameters, self.count_tokens = self.scorer.parameters, self.scorer.count_tokens  # type: ignore[attr-defined]

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        return await self.scorer.judge(paths)

    async def compare(self, pairs: Sequence[tuple[Path, Path]]) -> list[Score]:
        judged = await self.judge([path for pair in pairs for path in pair])
        both = zip(judged[::2], judged[1::2], strict=True)
        return [Score(0.5 + (one.value - two.value) / 2, tokens=one.tokens + two.tokens) for one, two in both]


@pytest.fixture
def scorer(scorer_directory: str) -> reason.Scorer:
    return Comparing(scorer_directory)


def results(outcomes: list[Outcome]) -> list[str]:
    """What was sampled and how it was judged, to four digits (batched arithmetic differs in the last ones)."""
    return [repr([(c.path.token_ids, round(c.score, 4), c.path.finish) for c in o.candidates]) for o in outcomes]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_runs_and_costs_something(name: str, policy: reason.Policy, scorer: reason.Scorer) -> None:
    search = STRATEGIES[name](4)
    outcomes = reason.solve(PROBLEMS, policy=policy, search=search, scorer=scorer, sampling=SAMPLING)
    assert [outcome.stopped for outcome in outcomes] == ["done"] * 5
    for outcome in outcomes:
        cost = outcome.cost
        assert cost.generated_tokens > 0
        assert (cost.scored_tokens > 0) == bool({"scorer", "compare"} & search.needs)
        assert cost.flops > 2 * policy.capabilities.parameters * cost.generated_tokens


@pytest.mark.parametrize("name", STRATEGIES)
def test_results_do_not_depend_on_concurrency(name: str, model: Qwen2ForCausalLM, scorer_directory: str) -> None:
    def run(concurrency: int, budget: Budget) -> list[str]:
        outcomes = reason.solve(
            PROBLEMS,
            policy=reason.wrap(model, byte_tokenizer(), memory_gib=0.05),
            scorer=Comparing(scorer_directory),
            search=STRATEGIES[name](4),
            sampling=SAMPLING,
            concurrency=concurrency,
            budget=budget,
        )
        return results(outcomes)

    for budget in (Budget(), Budget(tokens=50)):
        assert run(5, budget) == run(1, budget)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(
    "budget", [Budget(tokens=30), Budget(scorer_tokens=60), Budget(flops=2e6), Budget(seconds=0.001)]
)
def test_budgets_are_hard(name: str, budget: Budget, policy: reason.Policy, scorer: reason.Scorer) -> None:
    search = STRATEGIES[name](4)
    outcomes = reason.solve(PROBLEMS, policy=policy, search=search, scorer=scorer, sampling=SAMPLING, budget=budget)
    for outcome in outcomes:
        assert outcome.stopped in ("done", "budget")
        assert outcome.cost.generated_tokens <= (budget.tokens or 10**9)
        assert outcome.cost.scored_tokens <= (budget.scorer_tokens or 10**9)
        assert outcome.cost.flops <= (budget.flops or 1e18)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_keeps_what_is_done_and_leaves_the_engine_usable(policy: reason.Policy) -> None:
    kept: list[Outcome] = []

    def finished(outcome: Outcome) -> None:
        kept.append(outcome)
        os.kill(os.getpid(), signal.SIGINT)

    search = reason.self_consistency(n=3)
    with pytest.raises(KeyboardInterrupt):
        reason.solve(PROBLEMS, policy=policy, search=search, sampling=SAMPLING, on_outcome=finished, concurrency=2)
    assert len(kept) == 1
    after = reason.solve(PROBLEMS, policy=policy, search=search, sampling=SAMPLING)
    again = next(outcome for outcome in after if outcome.problem == kept[0].problem)
    assert results([again]) == results(kept)
