"""Drawing tokens: temperature, top-k, top-p and min-p, with one uniform number per token drawn.

The number comes from a counter: splitmix64 (Steele et al. 2014) over the path's seed and the token's position in its
solution, so a draw depends on nothing else in the batch. It is turned into a token by inverting the cumulative
distribution in vocabulary order, which needs no row of noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_CHUNK_ELEMENTS = 1 << 25


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def uniforms(seeds: NDArray[np.uint64], positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """One number in [0, 1) per row, a function of its seed and position alone."""
    with np.errstate(over="ignore"):
        key = _mix(seeds + _GOLDEN)
        bits = _mix(key + (positions.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


@dataclass(frozen=True, slots=True)
class Filters:
    """Per-row sampling settings, each [rows]; top_k 0, top_p 1 and min_p 0 are off; temperature 0 is greedy."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor


def keep(logits: Tensor, filters: Filters) -> Tensor:
    """Which tokens survive: bool [rows, vocab], for `logits` already divided by the temperature.

    In the order k, p, min-p, each on the distribution that the one before left, as transformers' warpers do. The most
    likely token always survives.
    """
    ordered, index = logits.sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(logits.shape[-1], device=logits.device)[None]
    size = torch.where(filters.top_k > 0, filters.top_k, logits.shape[-1])[:, None]
    kept = rank < size
    probs = ordered.masked_fill(~kept, -torch.inf).softmax(-1)
    before = probs.cumsum(-1) - probs
    kept &= (before < filters.top_p[:, None]) | (filters.top_p[:, None] >= 1)
    kept &= probs >= filters.min_p[:, None] * probs[:, :1]
    kept[:, 0] = True
    return torch.zeros_like(kept).scatter_(1, index, kept)


def draw(logits: Tensor, filters: Filters, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Sample tokens from each row's distribution.

    Args:
        logits: [rows, vocab] of the model, untempered.
        filters: Settings per row.
        uniform: [rows, draws] in [0, 1).

    Returns:
        Tokens [rows, draws] and their natural-log probabilities under the untempered, unfiltered distribution.
    """
    rows, vocab = logits.shape
    chunk = max(1, _CHUNK_ELEMENTS // vocab)
    if rows > chunk:
        parts = [
            draw(logits[i : i + chunk], Filters(*(f[i : i + chunk] for f in _fields(filters))), uniform[i : i + chunk])
            for i in range(0, rows, chunk)
        ]
        return torch.cat([tokens for tokens, _ in parts]), torch.cat([logprobs for _, logprobs in parts])
    logits = logits.float()
    greedy = (filters.temperature <= 0)[:, None]
    if bool(greedy.all()):
        tokens = logits.argmax(-1, keepdim=True).expand(uniform.shape)
    else:
        tokens = _inverse(logits / torch.where(greedy, 1.0, filters.temperature[:, None]), filters, uniform)
        if bool(greedy.any()):
            tokens = torch.where(greedy, logits.argmax(-1, keepdim=True), tokens)
    return tokens, logits.gather(1, tokens) - logits.logsumexp(-1, keepdim=True)


def confidences(logits: Tensor, counts: Tensor) -> Tensor:
    """How sure the model is at each row's place, in nats: the more, the surer.

    Args:
        logits: [rows, vocab], untempered.
        counts: [rows] how many of the most likely tokens count; 0 for none, -1 for the whole vocabulary.

    Returns:
        [rows] minus the mean log-probability of those tokens; 0 where none count.
    """
    rows, vocab = logits.shape
    chunk = max(1, _CHUNK_ELEMENTS // vocab)
    if rows > chunk:
        return torch.cat([confidences(logits[i : i + chunk], counts[i : i + chunk]) for i in range(0, rows, chunk)])
    found, logits = torch.zeros(rows, device=logits.device), logits.float()
    total = logits.logsumexp(-1)
    everything = (counts < 0) | (counts >= vocab)
    if bool(everything.any()):
        found = torch.where(everything, total - logits.mean(-1), found)
    some = (counts > 0) & ~everything
    if bool(some.any()):
        most = torch.where(some, counts, 1)
        sums = logits.topk(int(most.max()), dim=-1).values.cumsum(-1)
        found = torch.where(some, total - sums.gather(1, most[:, None] - 1)[:, 0] / most, found)
    return found


def _inverse(tempered: Tensor, filters: Filters, uniform: Tensor) -> Tensor:
    limited = (filters.top_k > 0) | (filters.top_p < 1) | (filters.min_p > 0)
    probs = tempered.softmax(-1)
    if bool(limited.all()):
        probs = probs * keep(tempered, filters)
    elif bool(limited.any()):
        rows = limited.nonzero()[:, 0]
        kept = keep(tempered[rows], Filters(*(f[rows] for f in _fields(filters))))
        probs[rows] = probs[rows] * kept
    cumulative = probs.cumsum(-1)
    total = cumulative[:, -1:]
    target = torch.minimum(uniform.to(total) * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True)


def _fields(filters: Filters) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return filters.temperature, filters.top_k, filters.top_p, filters.min_p
