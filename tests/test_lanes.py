"""Copies of a path that draw the same tokens are decoded as one, and draw what they would have drawn apart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import NAMES, language_model, path, tokenizer

from reason.policies.lanes import leads, part, sorted_by
from reason.policies.transformers import TransformersPolicy
from reason.prompts import Prompt
from reason.types import Path, Sampling, Step, Until

SURE = Sampling(temperature=0.3, max_tokens=24)
KINDS = (SURE, replace(SURE, top_k=3), replace(SURE, temperature=0.0), replace(SURE, confidence=5))


def policy_of(name: str = "llama", *, merge: bool, plain: bool | None = None, **settings: float) -> TransformersPolicy:
    made = TransformersPolicy(
        language_model(name),
        tokenizer(),
        prompt=Prompt("{question}\n", step_end=("\n",)),
        plain_attention=plain,
        **settings,  # type: ignore[arg-type]
    )
    made.engine.merge = merge
    return made


def copies(question: str, count: int, before: str = "") -> list[Path]:
    steps = (Step(before, tuple(tokenizer().encode(before))),) if before else ()
    return [Path(path(question).problem, steps, seed) for seed in range(count)]


def extend(policy: TransformersPolicy, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
    return asyncio.run(policy.extend(paths, sampling))


def told(steps: Sequence[Step]) -> list[tuple[object, ...]]:
    return [(step.text, step.token_ids, step.finish, step.tail) for step in steps]


def beginnings(steps: Sequence[Step]) -> int:
    """How many tokens are drawn from different contexts."""
    return len({step.token_ids[:end] for step in steps for end in range(len(step.token_ids))})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plain", [False, True])
def test_merged_copies_draw_what_they_draw_apart(name: str, plain: bool) -> None:
    paths = [*copies("3 + 4", 12), *copies("5 * 5", 3, "5 * 5 = 2"), *copies("3 + 4", 4, "3 +")]
    for sampling in (SURE, replace(SURE, until=Until.STEP, max_step_tokens=7)):
        merged = extend(policy_of(name, merge=True, plain=plain), paths, sampling)
        apart = extend(policy_of(name, merge=False, plain=plain), paths, sampling)
        assert told(merged) == told(apart)
        for one, other in zip(merged, apart, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert sum(step.shared for step in apart) == 0
        assert sum(step.shared for step in merged) > 0


def test_each_beginning_is_computed_once() -> None:
    steps = extend(policy_of(merge=True), copies("3 + 4", 16), SURE)
    computed = sum(len(step.token_ids) - step.shared for step in steps)
    assert computed == beginnings(steps) < sum(len(step.token_ids) for step in steps)


def test_greedy_copies_cost_one() -> None:
    first, *others = extend(policy_of(merge=True), copies("3 + 4", 8), replace(SURE, temperature=0.0))
    assert first.shared == 0
    assert all(step.shared == len(step.token_ids) for step in others)
    assert told(others) == told([first]) * 7


def test_copies_of_different_settings_stay_apart() -> None:
    paths = copies("3 + 4", 6)
    alone = [extend(policy_of(merge=True), paths, kind) for kind in KINDS]
    policy = policy_of(merge=True)

    async def main() -> list[list[Step]]:
        return await asyncio.gather(*(policy.extend(paths, kind) for kind in KINDS))

    for one, many in zip(alone, asyncio.run(main()), strict=True):
        assert told(one) == told(many)
        for first, second in zip(one, many, strict=True):
            assert first.confidences == pytest.approx(second.confidences, abs=1e-4)
            assert first.shared == second.shared


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_few_rows_and_little_memory_change_nothing(rows: int) -> None:
    paths = [*copies("3 + 4", 9), *copies("5 * 5", 9)]
    expected = told(extend(policy_of(merge=False), paths, SURE))
    assert told(extend(policy_of(merge=True, max_rows=rows), paths, SURE)) == expected
    tight = policy_of(merge=True)
    tight.engine.pool_tokens = 150
    assert told(extend(tight, paths, SURE)) == expected


def test_a_cancelled_copy_leaves_its_lane_to_the_others() -> None:
    paths = copies("3 + 4", 8)
    expected = told(extend(policy_of(merge=True), paths, SURE))
    policy = policy_of(merge=True)

    async def main() -> list[Step]:
        leaves = asyncio.create_task(policy.extend(paths[:3], SURE))
        stays = asyncio.create_task(policy.extend(paths[3:], SURE))
        for _ in range(6):
            await asyncio.sleep(0)
        leaves.cancel()
        return await stays

    assert told(asyncio.run(main())) == expected[3:]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=20))
def test_parting_keeps_what_agrees_and_nothing_else(rows: list[tuple[int, int]]) -> None:
    known = sorted({lane for lane, _ in rows})
    lane = np.array([known.index(lane) for lane, _ in rows])
    token, count = np.array([token for _, token in rows]), len(known)
    number, parents = part(lane, token, count)
    assert len(set(number.tolist())) == count + len(parents) == len(set(zip(lane, token, strict=True)))
    for one in range(len(rows)):
        assert number[one] == lane[one] or parents[number[one] - count] == lane[one]
        for other in range(one):
            together = (lane[one], token[one]) == (lane[other], token[other])
            assert (number[one] == number[other]) == together
    _, _, rank = sorted_by(lane, count)
    assert rank.tolist() == [lane[:at].tolist().count(value) for at, value in enumerate(lane.tolist())]
    assert leads(lane, count).tolist() == [lane.tolist().index(value) for value in range(count)]
