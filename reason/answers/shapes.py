"""The shapes an answer can have, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from reason.answers.algebra import Ratio
from reason.answers.nodes import Node, Sym


@dataclass(frozen=True, slots=True)
class Text:
    """Words; `text` is without dressing."""

    text: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """An expression with a unit; `percent` values are as written, not divided by 100."""

    node: Node
    ratio: Ratio
    unit: str = ""
    percent: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class Based:
    """A number written in a base."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Colon:
    """A ratio or a time."""

    parts: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A tuple, point or interval, told apart by its brackets."""

    left: str
    right: str
    items: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """Several answers: "list" (bare), "set" (in braces), "union" (of intervals) or "all" (of relations)."""

    kind: str
    items: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of entries."""

    rows: tuple[tuple[Form, ...], ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """`difference op 0`, with op one of =, <, <=, !=."""

    op: str
    difference: Ratio
    source: str = ""


@dataclass(frozen=True, slots=True)
class Assign:
    """`name = value`; `equation` is the same as a relation, where both sides are expressions."""

    name: str
    value: Form
    equation: Relation | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """What this tier cannot read, and why; `malformed` is no expression for any tier."""

    text: str
    reason: str
    malformed: bool = False


Form: TypeAlias = Text | Quantity | Based | Colon | Group | Many | Matrix | Relation | Assign | Unread


def rational(form: Form) -> Fraction | None:
    """The value of a plain rational number."""
    return form.ratio.rational if isinstance(form, Quantity) and not form.unit and not form.percent else None


def measured(ratio: Ratio) -> Quantity:
    """A value as a form."""
    return Quantity(Sym(ratio.key), ratio)


def source_of(tokens: Sequence[str]) -> str:
    """Tokens as LaTeX again."""
    names = {r"\asin": r"\arcsin", r"\acos": r"\arccos", r"\atan": r"\arctan", "*": r"\cdot"}
    return " ".join(names.get(token, token) for token in tokens)
