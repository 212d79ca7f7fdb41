"""The running batch of the transformers policy: memory, cancellation, streaming, mixtures, failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest
import torch
from tiny_models import QUESTIONS, language_model, path, tokenizer

from reason.policies.decode import DecodePlan
from reason.policies.memory import GIB, layer_shapes, token_bytes
from reason.policies.transformers import TransformersPolicy
from reason.prompts import Prompt
from reason.types import BackendError, Finish, Path, Sampling, Step, Until, UsageError

SAMPLED = Sampling(temperature=1.0, max_tokens=30)
PATHS = [path(question, seed) for seed in range(8) for question in QUESTIONS]


def make(tokens: int = 20000, **settings: Any) -> TransformersPolicy:
    """A policy with memory for so many tokens, a third of them in the prefix cache."""
    model = language_model(settings.pop("name", "qwen2"))
    memory = tokens * token_bytes(layer_shapes(model), model.dtype) / GIB
    return TransformersPolicy(model, tokenizer(), prompt=Prompt(), memory_gib=memory, **settings)


def extend(policy: TransformersPolicy, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
    return asyncio.run(policy.extend(paths, sampling))


def tokens_of(steps: Sequence[Step]) -> list[tuple[int, ...]]:
    return [step.token_ids for step in steps]


@pytest.fixture(scope="module")
def expected() -> list[Step]:
    return extend(make(), PATHS, SAMPLED)


@pytest.mark.parametrize("tokens", [330, 600, 1500])
def test_little_memory_slows_but_changes_nothing(tokens: int, expected: list[Step]) -> None:
    policy = make(tokens)
    assert tokens_of(extend(policy, PATHS, SAMPLED)) == tokens_of(expected)
    engine = policy.engine
    pools = sum(pool.rows * pool.cap for pool in (engine._own, engine._shared))
    assert pools + engine.prefixes.store.capacity <= tokens + 1


def test_a_path_that_cannot_fit_is_an_error_step_and_others_go_on(expected: list[Step]) -> None:
    policy = make(100)
    steps = extend(policy, [path("5 + 6 = 11\n" * 12), PATHS[1]], SAMPLED)
    assert steps[0].finish is Finish.ERROR
    assert "memory_gib" in str(steps[0].error)
    assert steps[1].token_ids == expected[1].token_ids


def test_running_out_of_memory_halves_the_batch(monkeypatch: pytest.MonkeyPatch, expected: list[Step]) -> None:
    write = DecodePlan.write

    def limited(self: DecodePlan, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        if self.count > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        write(self, layer, keys, values)

    monkeypatch.setattr(DecodePlan, "write", limited)
    policy = make()
    assert tokens_of(extend(policy, PATHS, SAMPLED)) == tokens_of(expected)
    assert policy.engine.max_rows <= 5


def test_memory_for_no_row_at_all_is_an_error_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(DecodePlan, "write", never)
    steps = extend(make(), PATHS[:5], SAMPLED)
    assert [step.finish for step in steps] == [Finish.ERROR] * 5


def test_a_failing_model_fails_the_call_and_not_the_policy(
    monkeypatch: pytest.MonkeyPatch, expected: list[Step]
) -> None:
    policy = make()

    def broken(*_: Any) -> None:
        raise RuntimeError("shapes do not match")

    with monkeypatch.context() as patch:
        patch.setattr(DecodePlan, "write", broken)
        with pytest.raises(BackendError, match="shapes do not match"):
            extend(policy, PATHS, SAMPLED)
    assert tokens_of(extend(policy, PATHS, SAMPLED)) == tokens_of(expected)


def test_cancelled_calls_leave_the_batch(expected: list[Step]) -> None:
    policy = make()

    async def main() -> list[Step]:
        stays = asyncio.create_task(policy.extend(PATHS[:8], SAMPLED))
        leaves = asyncio.create_task(policy.extend(PATHS[8:], SAMPLED))
        for _ in range(6):
            await asyncio.sleep(0)
        assert len(policy.engine.table) > 8
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        for _ in range(40):
            await asyncio.sleep(0)
        assert len(policy.engine.table) <= 8
        return await stays

    assert tokens_of(asyncio.run(main())) == tokens_of(expected[:8])


def test_streams_yield_as_rows_land_and_can_be_left(expected: list[Step]) -> None:
    policy = make()

    async def main() -> tuple[list[int], int]:
        order = [index async for index, _ in policy.stream(PATHS, SAMPLED)]
        stream = policy.stream(PATHS, SAMPLED)
        first, step = await anext(aiter(stream))
        assert step.token_ids == expected[first].token_ids
        await stream.aclose()  # type: ignore[attr-defined]
        for _ in range(40):
            await asyncio.sleep(0)
        return order, len(policy.engine.table)

    order, left = asyncio.run(main())
    assert sorted(order) == list(range(len(PATHS)))
    lengths = [len(expected[index].token_ids) for index in order]
    assert lengths == sorted(lengths)
    assert left == 0


def test_calls_of_different_settings_share_a_batch() -> None:
    kinds = [
        Sampling(temperature=0.0, max_tokens=12),
        Sampling(temperature=1.3, top_k=5, max_tokens=25),
        Sampling(temperature=0.7, top_p=0.8, max_tokens=25, stop=("=",)),
        Sampling(temperature=1.0, min_p=0.1, until=Until.STEP, max_step_tokens=9),
        Sampling(temperature=1.0, until=Until.STEP, step_end=("+", " 1"), max_tokens=33),
    ]
    alone = [extend(make(), PATHS, kind) for kind in kinds]
    policy = make()

    async def main() -> list[list[Step]]:
        return await asyncio.gather(*(policy.extend(PATHS, kind) for kind in kinds))

    for one, many in zip(alone, asyncio.run(main()), strict=True):
        assert tokens_of(one) == tokens_of(many)
        assert [(s.text, s.finish) for s in one] == [(s.text, s.finish) for s in many]


def test_prefixes_survive_between_event_loops_until_evicted() -> None:
    policy = make()
    first = extend(policy, PATHS, SAMPLED)
    again = extend(policy, PATHS, SAMPLED)
    assert tokens_of(first) == tokens_of(again)
    assert sum(step.prefilled for step in first) > 0
    assert sum(step.prefilled for step in again) == 0
    small = make(120)
    extend(small, [path("1 + 1 = 2\n" * 3)], SAMPLED)
    for number in range(6):
        extend(small, [path(f"{number} * {number} = 2\n" * 3)], SAMPLED)
    assert extend(small, [path("1 + 1 = 2\n" * 3)], SAMPLED)[0].prefilled > 0
    assert extend(small, [path("1 + 1 = 2\n" * 3)], SAMPLED)[0].prefilled == 0


def test_threads_with_their_own_loops_share_a_policy(expected: list[Step]) -> None:
    policy = make()
    found: dict[int, list[Step]] = {}
    threads = [
        threading.Thread(target=lambda at=at: found.update({at: extend(policy, PATHS[at::4], SAMPLED)}))  # type: ignore[misc]
        for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at in range(4):
        assert tokens_of(found[at]) == tokens_of(expected[at::4])


def test_text_of_another_backend_can_be_continued() -> None:
    text = Step("4 * 2 = 8\n")
    tokens = Step(text.text, token_ids=tuple(tokenizer().encode(text.text)))
    policy = make()
    one, two = extend(policy, [path("3 * 4", 3, text), path("3 * 4", 3, tokens)], SAMPLED)
    assert one == replace(two, prefilled=one.prefilled)


def test_a_saved_model_is_loaded_back(tmp_path: FilePath) -> None:
    language_model("llama").save_pretrained(tmp_path)
    with pytest.raises(UsageError):
        TransformersPolicy.from_pretrained(tmp_path, memory_gib=0.01)
    tokenizer().save_pretrained(tmp_path)
    (tmp_path / "reason.json").write_text('{"prompt": {"template": "{question}\\n", "max_tokens": 50}}')
    policy = TransformersPolicy.from_pretrained(tmp_path, device="cpu", memory_gib=0.01)
    assert policy.model.dtype == torch.float32
    assert policy.prompt == Prompt(max_tokens=50)
    assert policy.capabilities.name == tmp_path.name
    assert tokens_of(extend(policy, PATHS[:6], SAMPLED)) == tokens_of(extend(make(name="llama"), PATHS[:6], SAMPLED))
    half = TransformersPolicy.from_pretrained(tmp_path, device="cpu", dtype="bfloat16", memory_gib=0.01)
    assert all(len(step.token_ids) > 0 for step in extend(half, PATHS, SAMPLED))
    with pytest.raises(UsageError, match="dtype 'int4'"):
        TransformersPolicy.from_pretrained(tmp_path, dtype="int4")
    (tmp_path / "config.json").unlink()
    with pytest.raises(UsageError, match=r"no config\.json"):
        TransformersPolicy.from_pretrained(tmp_path)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="memory_gib is 0"):
        TransformersPolicy(language_model("qwen2"), tokenizer(), memory_gib=0)
    with pytest.raises(UsageError, match="max_rows is 0"):
        make(max_rows=0)
    with pytest.raises(UsageError, match="temperature"):
        extend(make(), PATHS[:1], replace(SAMPLED, temperature=-1))
