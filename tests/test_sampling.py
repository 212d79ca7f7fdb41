"""Token draws: filters as transformers' own, inverse sampling, and numbers that depend on seed and position alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from reason.policies.sampling import Filters, draw, keep, uniforms


def filters(rows: int, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> Filters:
    return Filters(
        torch.full((rows,), temperature),
        torch.full((rows,), top_k),
        torch.full((rows,), top_p),
        torch.full((rows,), min_p),
    )


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    vocab=st.integers(2, 40),
    temperature=st.floats(0.1, 3.0),
    top_k=st.integers(0, 12),
    top_p=st.floats(0.05, 1.0),
    min_p=st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]),
)
def test_filters_leave_what_transformers_warpers_leave(
    seed: int, vocab: int, temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    logits = torch.randn((3, vocab), generator=torch.Generator().manual_seed(seed)) * 3
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    if min_p:
        expected = MinPLogitsWarper(min_p)(None, expected)
    tempered = logits / temperature
    kept = keep(tempered, filters(3, temperature, top_k, top_p, min_p))
    probs = torch.where(kept, tempered, -torch.inf).softmax(-1)
    close = (probs - expected.softmax(-1)).abs().amax(-1) < 1e-5
    ordered = tempered.softmax(-1).sort(-1, descending=True).values
    on_edge = (ordered.cumsum(-1) - top_p).abs().amin(-1) < 1e-5
    assert bool((close | on_edge).all())


def test_numbers_depend_on_seed_and_position_alone() -> None:
    seeds = np.arange(1000, dtype=np.uint64)
    positions = np.arange(1000, dtype=np.int64) % 17
    found = uniforms(seeds, positions)
    order = np.random.default_rng(0).permutation(1000)
    assert (uniforms(seeds[order], positions[order]) == found[order]).all()
    assert uniforms(np.array([2**64 - 1], dtype=np.uint64), np.array([5]))[0] < 1


def test_numbers_are_uniform_along_seeds_and_positions() -> None:
    grid = np.stack([uniforms(np.full(2000, seed, dtype=np.uint64), np.arange(2000)) for seed in range(50)])
    assert grid.min() >= 0
    assert grid.max() < 1
    for values in (grid.ravel(), grid[7], grid[:, 3], grid[:, 1] - grid[:, 0] + 0.5):
        assert abs(values.mean() - 0.5) < 3.5 * 0.41 / np.sqrt(values.size)
    count = np.histogram(grid, bins=20, range=(0, 1))[0]
    assert ((count - grid.size / 20) ** 2 / (grid.size / 20)).sum() < 50
    assert abs(np.corrcoef(grid[:, :-1].ravel(), grid[:, 1:].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("settings_", [{}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.7}, {"min_p": 0.2}])
def test_draws_follow_the_distribution(settings_: dict[str, float]) -> None:
    logits = torch.tensor([0.3, 2.0, -1.0, 1.2, -torch.inf, 0.0]).expand(20000, -1)
    setting = filters(20000, **settings_)  # type: ignore[arg-type]
    uniform = torch.from_numpy(uniforms(np.arange(20000, dtype=np.uint64), np.zeros(20000, dtype=np.int64)))
    tokens, logprobs = (drawn[:, 0] for drawn in draw(logits, setting, uniform[:, None]))
    tempered = logits[:1] / setting.temperature[:1, None]
    kept = keep(tempered, Filters(*(f[:1] for f in (setting.temperature, setting.top_k, setting.top_p, setting.min_p))))
    expected = torch.where(kept, tempered, -torch.inf).softmax(-1)[0]
    share = torch.bincount(tokens, minlength=6) / 20000
    assert float((share - expected).abs().max()) < 0.012
    assert not share[expected == 0].any()
    torch.testing.assert_close(logprobs, logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0])


def test_rows_of_every_kind_mix_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn((64, 50), generator=torch.Generator().manual_seed(1))
    kinds = [
        filters(16, temperature=0.0),
        filters(16, temperature=0.7),
        filters(16, top_p=0.5),
        filters(16, top_k=2, min_p=0.1),
    ]
    mixed = Filters(
        *(torch.cat(parts) for parts in zip(*((k.temperature, k.top_k, k.top_p, k.min_p) for k in kinds), strict=True))
    )
    uniform = torch.rand((64, 3), generator=torch.Generator().manual_seed(2))
    tokens, _ = draw(logits, mixed, uniform)
    for index, kind in enumerate(kinds):
        rows = slice(16 * index, 16 * index + 16)
        assert torch.equal(draw(logits[rows], kind, uniform[rows])[0], tokens[rows])
    assert torch.equal(tokens[:16], logits[:16].argmax(-1, keepdim=True).expand(-1, 3))
    for one in range(3):
        assert torch.equal(draw(logits, mixed, uniform[:, one : one + 1])[0], tokens[:, one : one + 1])
    monkeypatch.setattr("reason.policies.sampling._CHUNK_ELEMENTS", 350)
    assert torch.equal(draw(logits, mixed, uniform)[0], tokens)


def test_the_largest_number_still_gives_a_possible_token() -> None:
    logits = torch.tensor([[0.0, 1.0, -torch.inf], [5.0, -torch.inf, -torch.inf]])
    tokens, _ = draw(logits, filters(2), torch.full((2, 1), 1 - 2.0**-24))
    assert tokens.tolist() == [[1], [0]]
