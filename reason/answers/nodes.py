"""Expression trees."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Num:
    """A written number; `places` are its decimal places, None for an integer."""

    value: Fraction
    places: int | None = None


@dataclass(frozen=True, slots=True)
class Sym:
    """A symbol with its subscripts and primes."""

    name: str


@dataclass(frozen=True, slots=True)
class Op:
    """An operation.

    Attributes:
        kind: add, neg, mul, div, pow, root (degree, radicand), fact, fact2, abs, binom, floor, ceil, sum, prod, call,
            or a function's name.
        args: What it applies to.
        name: The name of a call, the range of a series.
    """

    kind: str
    args: tuple[Node, ...]
    name: str = ""


Node: TypeAlias = Num | Sym | Op
