"""The transformers policy: equal to `generate` and to a plain forward pass, whatever the batch around a path is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_models import CONTEXT, EOS, NAMES, QUESTIONS, language_model, path, tokenizer

from reason.policies.transformers import TransformersPolicy
from reason.prompts import Prompt
from reason.types import Finish, Path, Sampling, Step, Until, UsageError

PROMPT = Prompt()
GREEDY = Sampling(temperature=0.0, max_tokens=40)
SAMPLED = Sampling(temperature=1.0, max_tokens=30)


def make(name: str = "qwen2", **settings: Any) -> TransformersPolicy:
    return TransformersPolicy(language_model(name), tokenizer(), prompt=PROMPT, **{"memory_gib": 0.05, **settings})


def extend(policy: TransformersPolicy, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
    return asyncio.run(policy.extend(paths, sampling))


def prompt_ids(question: str) -> list[int]:
    return PROMPT.render(question, tokenizer())


def generate(name: str, question: str, limit: int) -> list[int]:
    ids = torch.tensor([prompt_ids(question)])
    with torch.no_grad():
        out = language_model(name).generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=limit
        )
    new: list[int] = out[0, ids.shape[1] :].tolist()
    return new


def forward_logprobs(name: str, question: str, tokens: Sequence[int]) -> torch.Tensor:
    prompt = prompt_ids(question)
    with torch.no_grad():
        logits = language_model(name)(torch.tensor([[*prompt, *tokens]]), use_cache=False).logits[0]
    return logits[len(prompt) - 1 : -1].log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_greedy_equals_generate_and_logprobs_a_forward_pass(name: str, plain: bool) -> None:
    policy = make(name, plain_attention=plain)
    steps = extend(policy, [path(q) for q in QUESTIONS], GREEDY)
    for question, step in zip(QUESTIONS, steps, strict=True):
        assert list(step.token_ids) == generate(name, question, 40)
        expected = forward_logprobs(name, question, step.token_ids)
        torch.testing.assert_close(torch.tensor(step.logprobs), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_all_these_models_take_the_fast_path(name: str) -> None:
    assert not make(name).engine.prefixes.plain


@pytest.mark.parametrize("name", ["qwen2", "mistral", "gpt2", "gemma2"])
def test_samples_share_a_prompt_and_equal_lone_ones(name: str) -> None:
    paths = [path(q, seed) for seed in range(9) for q in QUESTIONS]
    policy = make(name)
    together = extend(policy, paths, SAMPLED)
    assert sum(step.prefilled for step in together) == sum(len(prompt_ids(q)) - 1 for q in QUESTIONS)
    assert len({step.token_ids for step in together}) > 20
    for at, step in zip(paths, together, strict=True):
        torch.testing.assert_close(
            torch.tensor(step.logprobs),
            forward_logprobs(name, at.problem.question, step.token_ids),
            rtol=1e-4,
            atol=1e-4,
        )
    for index in (0, 5, 11, 35):
        assert extend(make(name), [paths[index]], SAMPLED)[0].token_ids == together[index].token_ids
    for few in (1, 3, 7):
        again = extend(make(name, max_rows=few), paths[:8], SAMPLED)
        assert [step.token_ids for step in again] == [step.token_ids for step in together[:8]]


@pytest.mark.parametrize("name", ["qwen2", "mistral", "gemma2"])
def test_groups_of_very_different_sizes(name: str) -> None:
    paths = [path(QUESTIONS[0], seed) for seed in range(90)] + [path(q, 7) for q in QUESTIONS[1:]]
    paths += [path(f"{a} + {b}", 7) for a in range(6) for b in range(6)]
    steps = extend(make(name), paths, SAMPLED)
    few = [*range(0, 90, 30), *range(90, len(paths), 7)]
    alone = extend(make(name, plain_attention=True), [paths[at] for at in few], SAMPLED)
    assert [step.token_ids for step in alone] == [steps[at].token_ids for at in few]


def test_joining_and_leaving_a_running_batch_changes_nothing() -> None:
    paths = [path(q, seed) for seed in range(4) for q in QUESTIONS]
    alone = extend(make(), paths, SAMPLED)
    policy = make()

    async def late(part: list[Path], after: int) -> list[Step]:
        for _ in range(after):
            await asyncio.sleep(0)
        return await policy.extend(part, SAMPLED)

    async def main() -> list[list[Step]]:
        return await asyncio.gather(*(late(paths[i : i + 2], 3 * i) for i in range(0, len(paths), 2)))

    joined = [step for part in asyncio.run(main()) for step in part]
    assert [step.token_ids for step in joined] == [step.token_ids for step in alone]


@pytest.mark.parametrize("name", ["qwen2", "mistral", "gemma2"])
def test_steps_of_a_tree_equal_one_run_and_prefill_nothing(name: str) -> None:
    policy = make(name)
    sampling = replace(SAMPLED, until=Until.STEP, max_step_tokens=5, max_tokens=30, temperature=0.0)
    paths = [path(q) for q in QUESTIONS]
    whole = extend(make(name), paths, replace(sampling, until=Until.END))
    first = True
    while any(p.open for p in paths):
        todo = [p for p in paths if p.open]
        steps = iter(extend(policy, todo, sampling))
        landed = [p.then(next(steps)) if p.open else p for p in paths]
        if not first:
            assert sum(p.steps[-1].prefilled for p, was in zip(landed, paths, strict=True) if was.open) == 0
        paths, first = landed, False
    assert [p.token_ids for p in paths] == [step.token_ids for step in whole]
    assert [p.text for p in paths] == [step.text for step in whole]
    assert [p.finish for p in paths] == [step.finish for step in whole]


def test_siblings_branch_from_one_parent() -> None:
    policy = make()
    short = replace(SAMPLED, until=Until.STEP, max_step_tokens=6)
    parent = path(QUESTIONS[0], 1)
    parent = parent.then(extend(policy, [parent], short)[0])
    children = extend(policy, [parent.seeded(seed) for seed in range(6)], short)
    assert sum(child.prefilled for child in children) == 0
    fresh = make()
    again = extend(fresh, [parent.seeded(seed) for seed in range(6)], short)
    assert [child.token_ids for child in again] == [child.token_ids for child in children]
    assert sum(child.prefilled for child in again) == len(prompt_ids(QUESTIONS[0])) + len(parent.token_ids) - 1


def test_finish_reasons_at_the_limit() -> None:
    policy = make()
    free = extend(policy, [path(QUESTIONS[0], seed) for seed in range(400)], replace(SAMPLED, max_tokens=120))
    stopped = next(step for step in free if step.finish is Finish.STOP and len(step.token_ids) > 2)
    seed = free.index(stopped)
    size = len(stopped.token_ids)
    assert stopped.token_ids[-1] == tokenizer().eos_token_id
    assert EOS not in stopped.text
    assert all(tokenizer().eos_token_id not in step.token_ids[:-1] for step in free)
    exact = extend(policy, [path(QUESTIONS[0], seed)], replace(SAMPLED, max_tokens=size))[0]
    assert exact.finish is Finish.STOP
    assert exact.token_ids == stopped.token_ids
    cut = extend(policy, [path(QUESTIONS[0], seed)], replace(SAMPLED, max_tokens=size - 1))[0]
    assert cut.finish is Finish.LENGTH
    assert cut.token_ids == stopped.token_ids[:-1]


def test_limits_count_the_whole_path_and_the_context() -> None:
    policy = make()
    step = Sampling(temperature=0.0, until=Until.STEP, max_step_tokens=4, max_tokens=10, step_end=("never",))
    at = path(QUESTIONS[1])
    sizes, finishes = [], []
    while at.open:
        at = at.then(extend(policy, [at], step)[0])
        sizes.append(len(at.steps[-1].token_ids))
        finishes.append(at.finish)
    assert sizes == [4, 4, 2]
    assert finishes == [Finish.STEP, Finish.STEP, Finish.LENGTH]
    used_up = path(QUESTIONS[1], 0, Step("x", token_ids=(5,) * 10, finish=Finish.STEP))
    assert extend(policy, [used_up], step)[0] == Step("", finish=Finish.LENGTH)
    long = extend(policy, [path(QUESTIONS[1], seed) for seed in range(20)], Sampling(temperature=1.0, max_tokens=9999))
    for found in long:
        if found.finish is Finish.LENGTH:
            assert len(prompt_ids(QUESTIONS[1])) + len(found.token_ids) == CONTEXT
    assert any(found.finish is Finish.LENGTH for found in long)


def test_boundaries_keep_whole_tokens_and_stop_strings_are_cut() -> None:
    policy = make()
    words = tokenizer()
    stepped = extend(
        policy,
        [path(q, s) for s in range(30) for q in QUESTIONS],
        Sampling(temperature=1.0, until=Until.STEP, max_tokens=90),
    )
    ended = [step for step in stepped if step.finish is Finish.STEP]
    assert ended
    for step in ended:
        before = words.decode(step.token_ids[:-1])
        assert "\n" in step.text
        assert "\n" not in before.lstrip("\n")
        assert step.text.startswith(before.rstrip("\ufffd"))
    free = extend(policy, [path(q, s) for s in range(30) for q in QUESTIONS], replace(SAMPLED, max_tokens=60))
    stop = next(step.text[9:12] for step in free if len(step.text) > 20 and step.text[9:12].isprintable())
    cut = extend(
        policy, [path(q, s) for s in range(30) for q in QUESTIONS], replace(SAMPLED, max_tokens=60, stop=(stop,))
    )
    assert any(stop in step.text for step in free)
    for was, now in zip(free, cut, strict=True):
        assert now.text == was.text.split(stop)[0]
        assert now.token_ids == was.token_ids[: len(now.token_ids)]
        assert (now.finish is Finish.STOP) == (stop in was.text or was.finish is Finish.STOP)


def test_bad_input_is_one_clear_line() -> None:
    policy = make()
    with pytest.raises(UsageError, match=r"takes \d+ tokens .* context is 192"):
        extend(policy, [path("long " * 200)], GREEDY)
    with pytest.raises(UsageError, match="empty"):
        extend(policy, [path("  ")], GREEDY)
    with pytest.raises(UsageError, match="cannot be extended"):
        extend(policy, [path("hi", 0, Step("x", finish=Finish.STOP))], GREEDY)
    with pytest.raises(UsageError, match="top_p is 0"):
        extend(policy, [path("hi")], replace(GREEDY, top_p=0))
    with pytest.raises(UsageError, match="no model directory"):
        TransformersPolicy.from_pretrained("./missing/model")
    assert extend(policy, [], GREEDY) == []


def test_capabilities_describe_the_model() -> None:
    found = make().capabilities
    assert found.partial
    assert found.token_ids
    assert found.logprobs
    assert found.context == CONTEXT
    assert found.parameters == sum(p.numel() for p in language_model("qwen2").parameters())
