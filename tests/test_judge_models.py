"""Generative scorers on a real (tiny, random) language model: probabilities against a plain forward pass, tokens."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import pytest
import torch
from tiny_models import VOCAB, tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

from reason.policies import wrap
from reason.prompts import Prompt
from reason.scorers import Critic, ForceSampling, GenRM, Judge
from reason.scorers.critique import OPENING
from reason.types import Finish, Path, Policy, Problem, Sampling, Score, Step

TEXTS = ("2 + 2 = 4\nAnswer: 4", "2 * 2 = 5\nAnswer: 5", "Answer: 4")


@cache
def model() -> Any:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        initializer_range=0.4,
        eos_token_id=0,
    )
    return Qwen2ForCausalLM(config).eval()


def policy() -> Policy:
    return wrap(model(), tokenizer(), prompt=Prompt())


def paths() -> list[Path]:
    problem = Problem("p", "What is 2 + 2?", "4")
    return [Path(problem, (Step(text, finish=Finish.STOP),)) for text in TEXTS]


def judged(scorer: Any, *items: Path) -> list[Score]:
    scores: list[Score] = asyncio.run(scorer.judge(items))
    return scores


def by_forward(prompt: str, option: str) -> float:
    """The option's log-probability after the prompt, in one plain pass."""
    before = tokenizer().encode(prompt + "\n") + tokenizer().encode("Verdict:")
    after = tokenizer().encode(option)
    with torch.no_grad():
        logits = model()(torch.tensor([before + after])).logits[0].log_softmax(-1)
    return float(sum(logits[len(before) - 1 + place, token] for place, token in enumerate(after)))


def test_the_probability_of_yes_is_the_models() -> None:
    asked: Any = policy()
    seen: list[Path] = []
    choices = asked.choices

    async def recorded(items: list[Path], options: Any) -> Any:
        seen.extend(items)
        return await choices(items, options)

    asked.choices = recorded
    scores = judged(GenRM(asked, cot=False), *paths())
    for item, score in zip(seen, scores, strict=True):
        yes, no = (by_forward(item.problem.question, option) for option in (" Yes", " No"))
        expected = torch.tensor([yes, no]).softmax(0)[0].item()
        assert score.value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "build", [lambda p: GenRM(p, cot=False), lambda p: Judge(p, scale="probability", reasoning=False)]
)
def test_a_probability_does_not_depend_on_its_batch(build: Any) -> None:
    together = judged(build(policy()), *paths())
    for item, score in zip(paths(), together, strict=True):
        [alone] = judged(build(policy()), item)
        assert alone.value == pytest.approx(score.value, abs=1e-5)


def test_tokens_are_counted_and_bounded() -> None:
    for build in (
        lambda p: Judge(p, max_tokens=24),
        lambda p: Judge(p, votes=3, max_tokens=24, scale="probability"),
        lambda p: GenRM(p, votes=2, max_tokens=24),
        lambda p: GenRM(p, cot=False),
        lambda p: Critic(p, votes=2, max_tokens=24),
        lambda p: Critic(p, max_tokens=24, search=ForceSampling()),
    ):
        scorer: Any = build(policy())
        for item, score in zip(paths(), judged(scorer, *paths()), strict=True):
            assert 0 < score.tokens <= scorer.count_tokens(item)
            assert score.scored or score.error


def test_equal_prompts_are_prefilled_once() -> None:
    once, thrice = (judged(Judge(policy(), votes=n, temperature=0.7, max_tokens=8), paths()[0])[0] for n in (1, 3))
    assert thrice.tokens <= once.tokens + 2 * 8


def test_forced_text_begins_the_reply() -> None:
    """What a round of force sampling asks for: the model goes on after the opening."""
    start = Path(Problem("p", "Find it.")).forced(OPENING)
    asked: Any = policy()
    [step] = asyncio.run(asked.extend([start.seeded(3)], Sampling(temperature=0, max_tokens=20)))
    ids = tokenizer().encode("Find it.\n") + tokenizer().encode(OPENING)
    with torch.no_grad():
        first = int(model()(torch.tensor([ids])).logits[0, -1].argmax())
    assert step.token_ids[0] == first
