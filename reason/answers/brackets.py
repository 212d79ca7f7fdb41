"""Brackets in token lists: splitting outside them, finding the one that closes."""

from __future__ import annotations

from collections.abc import Sequence

OPENING = {"(": 1, "[": 1, "{": 1, r"\{": 1, ")": -1, "]": -1, "}": -1, r"\}": -1}


def unbraced(tokens: Sequence[str]) -> Sequence[str]:
    """The tokens without braces around all of them."""
    while len(tokens) > 1 and tokens[0] == "{" and closes(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def split(tokens: Sequence[str], separators: frozenset[str] | set[str]) -> list[list[str]]:
    """The parts between separators outside brackets; empty parts are dropped."""
    if separators.isdisjoint(tokens):
        return [list(tokens)] if tokens else []
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += OPENING.get(token, 0)
        if token.startswith(("\\begin:", "\\end:")):
            depth += 1 if token.startswith("\\begin:") else -1
        if depth == 0 and token in separators:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def closes(tokens: Sequence[str], start: int) -> int:
    """Index of the token that closes the bracket at `start`; -1 for none."""
    depth = 0
    for index in range(start, len(tokens)):
        depth += OPENING.get(tokens[index], 0)
        if depth == 0:
            return index
    return -1
