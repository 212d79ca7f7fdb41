"""Normal forms as hashable keys: what a vote groups by and a list is deduplicated by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence

from reason.answers.algebra import Limit
from reason.answers.forms import read
from reason.answers.latex import LONGEST, plain
from reason.answers.shapes import (
    Assign,
    Based,
    Colon,
    Form,
    Group,
    Many,
    Matrix,
    Quantity,
    Relation,
    Text,
    Unread,
    rational,
)

INTEGER = re.compile(r"[+-]?[0-9]{1,256}\Z")


def key(answer: str) -> Hashable:
    """A hashable normal form: answers with equal keys are equal (the converse is for `same` to find)."""
    text = answer.strip()
    if INTEGER.match(text):
        return int(text)
    if len(text) > LONGEST:
        return text
    try:
        form = read(text)
        value = rational(form)
        if value is None:
            return form_key(form)
        return value.numerator if value.denominator == 1 else value
    except (Limit, RecursionError):
        return plain(text)


def form_key(form: Form) -> str:
    match form:
        case Text(text):
            return f"text:{text.casefold()}"
        case Quantity():
            return f"{form.ratio.key}|{form.unit}{'%' if form.percent else ''}"
        case Based(digits, base):
            return f"{digits}_{base}"
        case Colon(parts):
            return ":".join(map(form_key, parts))
        case Group(left, right, items):
            return left + ",".join(map(form_key, items)) + right
        case Many(kind, items):
            return f"{kind}{{{','.join(sorted({form_key(item) for item in items}))}}}"
        case Matrix(rows):
            return "[" + ";".join(",".join(map(form_key, row)) for row in rows) + "]"
        case Relation(op, difference):
            return f"{difference.key}{op}0"
        case Assign(name, value):
            return f"{name}={form_key(value)}"
        case Unread(text):
            return f"unread:{plain(text)}"


def distinct(forms: Sequence[Form]) -> list[Form]:
    """The first of each normal form."""
    found: dict[str, Form] = {}
    for form in forms:
        found.setdefault(form_key(form), form)
    return list(found.values())


def without_common(gold: Sequence[Form], pred: Sequence[Form]) -> tuple[list[Form], list[Form]]:
    """Both lists without pairs of the same normal form."""
    counts = Counter(map(form_key, pred))
    common: Counter[str] = Counter()
    left = []
    for form in gold:
        name = form_key(form)
        if common[name] < counts[name]:
            common[name] += 1
        else:
            left.append(form)
    right = []
    for form in pred:
        name = form_key(form)
        if common[name]:
            common[name] -= 1
        else:
            right.append(form)
    return left, right
