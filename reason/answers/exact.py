"""First tier: exact comparison without a computer algebra system."""

from __future__ import annotations

import re
from collections.abc import Hashable
from fractions import Fraction

_INTEGER = re.compile(r"[+-]?\d{1,256}\Z")
_DECIMAL = re.compile(r"([+-]?)(\d{0,256})\.(\d{1,256})\Z")
_FRACTION = re.compile(r"([+-]?\d{1,256})/(\d{1,256})\Z")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?\Z")


def key(answer: str) -> Hashable:
    """A hashable normal form: equal keys mean equal answers."""
    text = answer.strip()
    if _INTEGER.match(text):
        return Fraction(int(text))
    text = text.strip("$ .").removeprefix("\\$").replace("\\!", "").replace("{,}", ",")
    if _GROUPED.match(text):
        text = text.replace(",", "")
    if _INTEGER.match(text) or _DECIMAL.match(text):
        return Fraction(text)
    fraction = _FRACTION.match(text)
    if fraction and int(fraction[2]):
        return Fraction(int(fraction[1]), int(fraction[2]))
    return " ".join(text.casefold().split())


def same(gold: str, pred: str) -> bool | None:
    """Whether two answers are equal; None where this tier cannot say."""
    return key(gold) == key(pred)
