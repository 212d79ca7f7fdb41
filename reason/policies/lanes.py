"""Lanes: rows whose tokens are the same so far are decoded as one.

Copies of a path start in one lane. Every step feeds one token per lane and draws one per row, each with the row's own
random number, from the lane's one distribution; rows that drew different tokens part, each with a copy of the keys and
values so far. So n samples of one prompt cost what their different beginnings cost, and are what n rows of their own
would have drawn.
"""

from __future__ import annotations

import numpy as np

from reason.policies.pools import Index


def leads(lane: Index, count: int) -> Index:
    """[count] the first row of each lane, where `lane` is [rows]."""
    lead = np.empty(count, dtype=np.int64)
    lead[lane[::-1]] = np.arange(len(lane))[::-1]
    return lead


def sorted_by(value: Index, count: int) -> tuple[Index, Index, Index]:
    """Rows in the order of their values, which are below `count`.

    Returns:
        [rows] the rows in that order, [count] where each value begins in it, and [rows] how many rows of its value
        stand before each row.
    """
    sizes = np.bincount(value, minlength=count)
    order, first = np.argsort(value, kind="stable"), np.cumsum(sizes) - sizes
    rank = np.empty(len(value), dtype=np.int64)
    rank[order] = np.arange(len(value)) - first[value[order]]
    return order, first, rank


def part(lane: Index, token: Index, count: int) -> tuple[Index, Index]:
    """Part rows of a lane that drew different tokens.

    Returns:
        [rows] their new lanes: one part of each lane keeps its number, the others get numbers from `count` on; and the
        lane that each of those new ones comes from.
    """
    if len(lane) == count:
        return lane, lane[:0]
    width = int(token.max()) + 1
    pairs, which = np.unique(lane * width + token, return_inverse=True)
    parent = pairs // width
    new = np.concatenate([[False], parent[1:] == parent[:-1]])
    number = parent.copy()
    number[new] = count + np.arange(int(new.sum()))
    return number[which], parent[new]
