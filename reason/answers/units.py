"""Units: which trailing words are one, and which spellings are the same one.

The policy: a unit on one side only is dropped; units on both sides must be the same (after spelling), and nothing is
converted, so 10 cm equals 10 but neither 10 m nor 100 mm. A bare single letter after a number is a variable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
_SPELLINGS = {
    "percent": "%", "percentage": "%", "pct": "%", "percents": "%", "deg": "degree", "degrees": "degree",
    "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm", "meter": "m", "metre": "m",
    "kilometer": "km", "kilometre": "km", "inches": "inch", "in": "inch", "feet": "foot", "ft": "foot", "yd": "yard",
    "mi": "mile", "gram": "g", "kilogram": "kg", "milligram": "mg", "lb": "pound", "lbs": "pound", "oz": "ounce",
    "liter": "l", "litre": "l", "milliliter": "ml", "millilitre": "ml", "sec": "second", "min": "minute",
    "hr": "hour", "hrs": "hour", "usd": "dollar", "buck": "dollar", "eur": "euro", "gbp": "pound", "p.m": "pm",
    "a.m": "am", "newton": "n", "joule": "j", "watt": "w", "volt": "v", "hertz": "hz", "mins": "minute",
    "secs": "second", "rad": "radian", "unit": "", "cent": "¢",
}  # fmt: skip
GLUED = frozenset("cm mm km kg mg ml ft yd mi in lb lbs oz hr hrs min sec am pm mph kmh pct deg rad hz usd eur".split())
"""Units of several letters that may follow a number without \\text."""
_FUNCTIONS = frozenset((r"\sin", r"\cos", r"\tan", r"\cot", r"\sec", r"\csc"))
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3"}


def unit_of(tokens: list[str]) -> tuple[list[str], str]:
    """Split trailing unit tokens off an expression: what is left, and the unit ("" for none, "%" for percent)."""
    end = len(tokens)
    if not tokens or (tokens[-1][0].isdigit() and tokens[-2:-1] != ["^"]):
        return tokens, ""
    if tokens[-1] in CURRENCIES:
        return tokens[:-1], CURRENCIES[tokens[-1]]
    if tokens[-1] == "%":
        return tokens[:-1], "%"
    letters = [token for token in tokens[-1:] if token in ("C", "F", "K")]
    stem = tokens[: end - len(letters)]
    angle = any(token in _FUNCTIONS for token in stem)
    for tail in ((r"^", "{", r"\circ", "}"), (r"^", r"\circ"), (r"\circ",)):
        if not angle and len(stem) > len(tail) and tuple(stem[-len(tail) :]) == tail:
            return stem[: -len(tail)], "degree" + "".join(letters).lower()
    exponent = ""
    for tail in (("^", "{", "2", "}"), ("^", "2"), ("^", "{", "3", "}"), ("^", "3")):
        if len(tokens) > len(tail) + 1 and tuple(tokens[-len(tail) :]) == tail and tokens[-len(tail) - 1][0] == '"':
            exponent = "^" + tail[-1 if len(tail) == 2 else 2]
            end -= len(tail)
            break
    start = end
    while start and (tokens[start - 1][0] == '"' or _glued(tokens, start)):
        start -= 1
    if start == end or not start:
        return tokens, ""
    words = " ".join(token.lstrip('"').lstrip("\\") for token in tokens[start:end])
    return tokens[:start], normal_unit(words, exponent)


def _glued(tokens: Sequence[str], start: int) -> bool:
    """A function name that is a unit here: `5 min`."""
    return start >= 2 and tokens[start - 1] == r"\min" and tokens[start - 2][-1].isdigit()


def normal_unit(words: str, exponent: str = "") -> str:
    """One spelling for a unit."""
    kept = []
    for word in re.split(r"[\s\-]+", words.lower().strip(" .,")):
        power = _POWERS.get(word)
        if power:
            exponent = power
            continue
        word = word.strip(".,()")
        singular = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        kept.append(_SPELLINGS.get(word, _SPELLINGS.get(singular, singular)))
    while kept and kept[0] == "of":
        kept.pop(0)
    name = " ".join(word for word in kept if word)
    return name + exponent if name else ""
