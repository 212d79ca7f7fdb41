"""One decoding step of a running batch: one token is fed to every row (each stands for all that share its lane).

A row's keys and values lie in two parts: those of its prompt (all but the last token), one copy for all rows with
that prompt, and its own continuation. Attention runs over each part (the prompt's with all rows of the group against
the one copy) and the two are merged by their softmax normalisers, as in FlashAttention's split (arXiv 2205.14135,
section 3.1) and Hydragen (arXiv 2402.05099).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from reason.policies.attention import Rules, plain_masks, running
from reason.policies.lanes import sorted_by
from reason.policies.pools import Index, Pool

_MASKED = -1e30
_TILE_ROWS = 256
_GROUP_COST = 64


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows map to shared prefixes; made anew when rows or groups change.

    Attributes:
        group: [rows] group of each row.
        rank: [rows] place of each row in its group.
        members: [groups, width] row of each member, padded with row 0; groups attend together in this shape.
        extra: Groups with more members than that, and those members, which attend group by group.
        prefix: [groups] prefix lengths.
    """

    group: Index
    rank: Index
    members: Index
    extra: tuple[tuple[int, Index], ...]
    prefix: Index


def layout(group: Index, prefix: Index) -> Layout:
    """The layout of rows with these groups, whose prefixes have these lengths."""
    count = np.bincount(group, minlength=len(prefix))
    width = _bulk_width(count)
    order, first, rank = sorted_by(group, len(prefix))
    members = np.zeros((len(prefix), width), dtype=np.int64)
    bulk = np.flatnonzero(rank < width)
    members[group[bulk], rank[bulk]] = bulk
    extra = tuple(
        (int(large), order[first[large] + width : first[large] + count[large]])
        for large in np.flatnonzero(count > width)
    )
    return Layout(group, rank, members, extra, prefix)


def _bulk_width(count: Index) -> int:
    """How many members of every group attend together so that padding and single groups cost least."""
    sizes = np.unique(count)
    excess = np.maximum(count[None] - sizes[:, None], 0)
    cost = len(count) * sizes + excess.sum(1) + _GROUP_COST * (excess > 0).sum(1)
    return int(sizes[np.argmin(cost)])


class DecodePlan:
    """One token per row: writes to the rows' pool and attends to the group's prefix and the row's own tokens.

    Args:
        rows: Pool of continuations; `length[r]` tokens of row r are stored before this step.
        groups: Pool of shared prefixes.
        where: The layout.
        length: [rows].
    """

    def __init__(self, rows: Pool, groups: Pool, where: Layout, length: Index) -> None:
        self.rows, self.groups, self.where, self.length = rows, groups, where, length
        self.count = len(length)
        self.device = rows.device
        self.longest = int(length.max()) + 1
        self.prefix = int(where.prefix.max())
        self.uniform = bool((length == length[0]).all())
        self._tiles = self._split()
        self._cache: dict[tuple[str, int, int], Tensor] = {}

    def _split(self) -> list[tuple[int, int, int]]:
        """(first row, last row, tokens) of runs of rows that attend together: shorter ones apart from longer ones."""
        if self.uniform or self.longest * self.count <= 1.15 * float((self.length + 1).sum()):
            return [(0, self.count, self.longest)]
        size = max(_TILE_ROWS, -(-self.count // 4))
        starts = range(0, self.count, size)
        return [(a, min(a + size, self.count), int(self.length[a : a + size].max()) + 1) for a in starts]

    def write(self, layer: int, keys: Tensor, values: Tensor) -> None:
        heads = self.rows.shapes[layer].heads
        for pool, new in zip((self.rows.keys[layer], self.rows.values[layer]), (keys, values), strict=True):
            new = new.reshape(self.count * heads, -1).to(pool.dtype)
            if self.uniform:
                pool[: self.count * heads, self.longest - 1] = new
            else:
                pool.view(-1, pool.shape[-1]).index_copy_(0, self._at(layer), new)

    def _at(self, layer: int) -> Tensor:
        key = ("at", self.rows.shapes[layer].heads, 0)
        if key not in self._cache:
            self._cache[key] = self.rows.index(layer, np.arange(self.count), self.length).view(-1)
        return self._cache[key]

    def attend(self, layer: int, query: Tensor, rules: Rules) -> Tensor:
        heads, width = query.shape[1], query.shape[3]
        kv_heads = self.rows.shapes[layer].heads
        rep = heads // kv_heads
        q = query.reshape(self.count * kv_heads, rep, width) * rules.scaling
        own = self._own(layer, q, rules)
        parts = own if not self.prefix else _merge(own, self._shared(layer, q, rules))
        out, top, total = parts
        if rules.sinks is not None:
            sinks = rules.sinks.float().view(1, kv_heads, rep).expand(self.count, -1, -1).reshape(-1, rep, 1)
            total = total + torch.exp(sinks - top)
        return (out / total.to(out.dtype)).view(self.count, 1, heads, -1)

    def _own(self, layer: int, q: Tensor, rules: Rules) -> tuple[Tensor, Tensor, Tensor]:
        heads = self.rows.shapes[layer].heads
        parts = []
        for first, last, seen in self._tiles:
            run = slice(first * heads, last * heads)
            bias = self._own_bias(first, last, seen, rules.window)
            keys, values = self.rows.keys[layer][run, :seen], self.rows.values[layer][run, :seen]
            parts.append(_part(q[run], keys, values, bias, heads, rules.softcap))
        if len(parts) == 1:
            return parts[0]
        out, top, total = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return out, top, total

    def _own_bias(self, first: int, last: int, seen: int, window: int | None) -> Tensor | None:
        """[rows, seen] of what a row may not see of its own tokens; None if nothing."""
        lengths = self.length[first:last] + 1
        hidden = int(lengths.min()) < seen
        if not hidden and (window is None or seen <= window):
            return None
        key = ("own", first, window or 0)
        if key not in self._cache:
            at, length = torch.arange(seen)[None], torch.from_numpy(lengths)[:, None]
            dark = at >= length
            if window is not None:
                dark |= at < length - window
            self._cache[key] = _bias(dark, self.device)
        return self._cache[key]

    def _shared(self, layer: int, q: Tensor, rules: Rules) -> tuple[Tensor, Tensor, Tensor]:
        heads = self.groups.shapes[layer].heads
        groups, wide = self.where.members.shape
        _, rep, width = q.shape
        to, back = self._moves(heads)
        grouped = q.view(self.count * heads, rep * width).index_select(0, to)
        runs = [(0, groups, wide, self.where.members, self.where.prefix, self.prefix)]
        for group, rows in self.where.extra:
            prefix = self.where.prefix[group : group + 1]
            runs.append((group, group + 1, len(rows), rows[None], prefix, max(1, int(prefix[0]))))
        parts, first = [], 0
        for start, stop, size, members, prefix, seen in runs:
            last = first + (stop - start) * heads * size
            run = slice(start * heads, stop * heads)
            keys, values = self.groups.keys[layer][run, :seen], self.groups.values[layer][run, :seen]
            bias = self._shared_bias((start, size), members, prefix, seen, rules.window)
            if bias is not None and bias.dim() == 3:
                bias = bias.repeat_interleave(rep, dim=1)
            part = _part(grouped[first:last].view(-1, size * rep, width), keys, values, bias, heads, rules.softcap)
            parts.append(tuple(tensor.reshape(last - first, -1) for tensor in part))
            first = last
        out, top, total = (
            (tensors[0] if len(tensors) == 1 else torch.cat(tensors)).index_select(0, back)
            for tensors in zip(*parts, strict=True)
        )
        shape = (self.count * heads, rep, -1)
        return out.view(shape), top.view(shape), total.view(shape)

    def _moves(self, heads: int) -> tuple[Tensor, Tensor]:
        """Flat (row, head) of each query in the order (group, head, member), extra ones last; and the way back."""
        to, back = ("to", heads, 0), ("back", heads, 0)
        if to not in self._cache:
            where, head = self.where, np.arange(heads)
            wide = where.members.shape[1]
            moves = [(where.members[:, None, :] * heads + head[None, :, None]).reshape(-1)]
            place = (where.group[:, None] * heads + head[None]) * wide + where.rank[:, None]
            base = len(moves[0])
            for _, rows in where.extra:
                moves.append((rows[None] * heads + head[:, None]).reshape(-1))
                place[rows] = base + head[None] * len(rows) + np.arange(len(rows))[:, None]
                base += heads * len(rows)
            self._cache[to] = torch.from_numpy(np.concatenate(moves)).to(self.device)
            self._cache[back] = torch.from_numpy(place.reshape(-1)).to(self.device)
        return self._cache[to], self._cache[back]

    def _shared_bias(
        self, run: tuple[int, int], members: Index, lengths: Index, seen: int, window: int | None
    ) -> Tensor | None:
        """[groups, seen], or [groups, members, seen] where a window matters, of what may not be seen."""
        reach = window is not None and self.prefix + self.longest > window
        if not reach and bool((lengths == seen).all()):
            return None
        key = (f"shared {run}", int(reach), window or 0)
        if key not in self._cache:
            at, prefix = torch.arange(seen), torch.from_numpy(lengths)
            dark = at[None] >= prefix[:, None]
            if reach and window is not None:
                position = prefix[:, None] + torch.from_numpy(self.length)[torch.from_numpy(members)]
                dark = dark[:, None] | (at[None, None] <= position[..., None] - window)
            self._cache[key] = _bias(dark, self.device)
        return self._cache[key]

    def gather(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of every row as one padded tensor, [rows, heads, prefix + longest, width]."""
        heads = self.rows.shapes[layer].heads
        groups = len(self.where.prefix)
        group = torch.from_numpy(self.where.group).to(self.device)
        both = []
        pairs = ((self.groups.keys, self.rows.keys), (self.groups.values, self.rows.values))
        for shared, own in pairs:
            width = own[layer].shape[-1]
            prefix = shared[layer][: groups * heads, : self.prefix].reshape(groups, heads, self.prefix, width)
            tail = own[layer][: self.count * heads, : self.longest].reshape(self.count, heads, self.longest, width)
            both.append(torch.cat([prefix[group], tail], dim=2))
        return both[0], both[1]

    def mask(self, window: int | None) -> Tensor:
        """Bool [rows, 1, 1, prefix + longest] for `gather`."""
        prefix = torch.from_numpy(self.where.prefix[self.where.group])[:, None]
        length = torch.from_numpy(self.length)[:, None]
        shared, own = torch.arange(self.prefix)[None], torch.arange(self.longest)[None]
        position = torch.cat([shared.expand(self.count, -1), prefix + own], dim=1)
        seen = torch.cat([shared < prefix, own <= length], dim=1)
        if window is not None:
            seen &= position > prefix + length - window
        return seen[:, None, None].to(self.device)


Parts = tuple[Tensor, Tensor, Tensor]


def _bias(dark: Tensor, device: torch.device) -> Tensor:
    return torch.zeros(dark.shape).masked_fill_(dark, _MASKED).to(device)


def _part(q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, heads: int, softcap: float | None) -> Parts:
    """Attention over one part, not yet normalised.

    Args:
        q: [n * heads, m, width], scaled.
        keys, values: [n * heads, seen, width].
        bias: [n, seen] or [n, m, seen], or None.

    Returns:
        Weighted values [n * heads, m, width], largest scores and sums of exponentials, [n * heads, m, 1] in float32.
    """
    scores = torch.bmm(q, keys.transpose(1, 2)).float()
    if softcap is not None:
        scores = torch.tanh(scores.div_(softcap)).mul_(softcap)
    if bias is not None:
        bias = bias[:, None] if bias.dim() == 3 else bias[:, None, None]
        scores.view(len(bias), heads, *scores.shape[1:]).add_(bias)
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp_()
    return torch.bmm(weights.to(values.dtype), values), top, weights.sum(-1, keepdim=True)


def _merge(a: Parts, b: Parts) -> Parts:
    """Two parts of one softmax as one."""
    top = torch.maximum(a[1], b[1])
    left, right = torch.exp(a[1] - top), torch.exp(b[1] - top)
    out = (a[0] * left.to(a[0].dtype)).add_(b[0] * right.to(b[0].dtype))
    return out, top, a[2] * left + b[2] * right


def decode(
    model: PreTrainedModel, plan: DecodePlan, tokens: NDArray[np.int64], positions: Index, *, plain: bool
) -> Tensor:
    """Logits [rows, vocab] after feeding one token per row at the given positions."""
    device = plan.device
    with running(model, plan, plain=plain) as cache:
        out = model(
            input_ids=torch.from_numpy(tokens).to(device)[:, None],
            position_ids=torch.from_numpy(positions).to(device)[:, None],
            attention_mask=plain_masks(model, plan) if plain else None,
            past_key_values=cache,
            use_cache=True,
        )
    logits: Tensor = out.logits[:, -1]
    return logits
