"""Budget forcing with a real engine (tiny random weights): what is reopened, forced and counted."""

from __future__ import annotations

import pytest
import torch
from tiny_scorers import EOS, SIZES, VOCABULARY, byte_tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

import reason
from reason import Problem, Sampling

PROBLEMS = [Problem(f"p{index}", f"What is {index} + {index}?") for index in range(12)]
VOWELS = ("a", "e", "i", "o")


@pytest.fixture(scope="module")
def policy() -> reason.Policy:
    torch.manual_seed(0)
    config = Qwen2Config(vocab_size=VOCABULARY, max_position_embeddings=512, eos_token_id=EOS, **SIZES)
    return reason.wrap(Qwen2ForCausalLM(config).eval(), byte_tokenizer(), memory_gib=0.05)


@pytest.mark.parametrize("end", VOWELS)
def test_ends_are_taken_back_and_long_thinking_is_cut(end: str, policy: reason.Policy) -> None:
    search = reason.budget_forcing(waits=2, thinking=60, end=end, wait="Wait", answer="So:")
    sampling = Sampling(temperature=1.0, max_tokens=160)
    taken_back = cut = 0
    for outcome in reason.solve(PROBLEMS, policy=policy, search=search, sampling=sampling, seed=ord(end)):
        [item] = outcome.candidates
        steps = item.path.steps
        waits = sum(step.text.endswith("Wait") and not step.token_ids for step in steps)
        sampled = sum(len(step.token_ids) for step in steps)
        assert 0 <= outcome.cost.generated_tokens - sampled <= waits + 1
        closings = [index for index, step in enumerate(steps) if not step.token_ids and f"{end}\n\n" in step.text]
        assert len(closings) == 1
        before = steps[: closings[0]]
        assert sum(len(step.token_ids) for step in before) <= 60
        assert all(end not in step.text for step in before if step.token_ids)
        assert waits <= 2
        assert steps[closings[0]].text.endswith("So:") == (sum(len(step.token_ids) for step in before) == 60)
        taken_back += waits
        cut += steps[closings[0]].text.endswith("So:")
    assert taken_back
    assert cut
