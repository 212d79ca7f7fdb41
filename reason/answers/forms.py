"""Reading an answer's structure.

Lists, sets, unions, tuples, intervals, matrices, equations, inequalities, ratios, times, numbers in a base, quantities
with units, and text.

`read` never fails on what it does not know: that becomes `Unread`, which only the symbolic tier can compare. It raises
`Limit` on what no tier should touch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

from reason.answers import algebra, evaluate, linear, nodes, parse
from reason.answers.algebra import Limit, Malformed, Unreadable
from reason.answers.brackets import closes, split, unbraced
from reason.answers.latex import clean, is_word, plain, tokenize
from reason.answers.names import is_name, name_of
from reason.answers.relations import COMPARISONS, INEQUALITIES, half_lines, related
from reason.answers.shapes import (
    Assign,
    Based,
    Colon,
    Form,
    Group,
    Many,
    Matrix,
    Quantity,
    Text,
    Unread,
    measured,
    source_of,
)
from reason.answers.units import CURRENCIES, unit_of

_SEPARATORS = frozenset((",", ";", r"\and", r"\or", r"\quad"))
_BASED = re.compile(
    r"\(?(-?[0-9A-Z.]*\d[0-9A-Z]*)\)?_\s*\{?\s*(?:\\text(?:rm)?\{|\\mathrm\{)?\s*"
    r"(\d{1,2}|two|three|four|five|six|seven|eight|nine|ten)\s*\}*\Z"
)
_BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_REVERSED = re.compile(r"(?=\]|.*\[\Z)([\[\]])([^()\[\]]*)([\[\]])\Z")
_SIDES = {"[": "[", "]": "(", "] ": "]", "[ ": ")"}
"""The open ends of ]0, 1[, which is (0, 1)."""
_CAPITALS = re.compile(r"[A-Z]{3,}")
"""A name or an abbreviation: its letters are no factors."""
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_RATES = re.compile(
    r"\A([-+]?[\d.,]+(?:e[-+]?\d+|\s*(?:\\times|\\cdot)\s*10\^(?:\d|\{-?\d{1,3}\}))?)\s*"
    r"((?:[kc]?m|ft|mi)/(?:s(?:\^\{?2\}?)?|h|hr)|k?g/c?m\^\{?3\}?|rad/s|N/m)\Z"
)
"""A number and a quotient of units without \\text."""
_PLAIN = re.compile(r"(-?)(\d{1,15}(?:\.\d{1,15})?)\Z", re.ASCII)
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]+\Z")


def read(answer: str, commas: str = "thousands") -> Form:
    """The structure of an answer.

    Args:
        answer: As extracted.
        commas: See `reason.answers.latex.tokenize`.

    Raises:
        Limit: The answer is longer, deeper or larger than any tier works with.
    """
    found = _read(answer, commas)
    if isinstance(found, Limit):
        raise Limit(*found.args)
    return found


@lru_cache(maxsize=8_192)
def _read(answer: str, commas: str) -> Form | Limit:
    """As `read`; what is over a limit is remembered too, because finding that out takes longest."""
    plain_number = _PLAIN.match(answer)
    if plain_number:
        return _plain(plain_number[1], plain_number[2])
    try:
        return _structure(answer, commas)
    except Limit as error:
        return error.with_traceback(None)
    except RecursionError:
        return Limit("nested too deeply")


def forget() -> None:
    """Empty the cache of readings (for measurements)."""
    _read.cache_clear()


def _structure(answer: str, commas: str) -> Form:
    text = clean(answer)
    if "/" in text:
        text = _RATES.sub(r"\1\\text{ \2}", text)
    reversed_ = _REVERSED.match(text)
    if reversed_:
        text = _SIDES[reversed_[1]] + reversed_[2] + _SIDES[reversed_[3] + " "]
    based = _BASED.match(text) if "_" in text and len(text) < 300 else None
    if based:
        base = int(_BASES.get(based[2], 0) or based[2])
        if base == 10 and _PLAIN.match(based[1]):
            return _structure(based[1], commas)
        sign = "-" if based[1].startswith("-") else ""
        return Based(sign + (based[1].lstrip("-0") or "0"), base)
    words = plain(text)
    if _CAPITALS.fullmatch(words):
        return Text(words)
    if _WORDS.match(words) and is_word(words.replace(" ", "").replace("-", "").replace("'", "")):
        separated = re.search(r"\b(?:and|or)\b", words)
        if not separated:
            return _SPOKEN.get(words.casefold()) or Text(words)
    try:
        tokens = tokenize(text, commas=commas)
        return _items(tokens)
    except (Unreadable, ArithmeticError) as error:
        return Unread(text, str(error), isinstance(error, Malformed))


def _plain(sign: str, digits: str) -> Form:
    """A number in digits: most answers."""
    node = parse.number(digits)
    if not sign:
        return Quantity(node, algebra.constant(node.value), source=digits)
    return Quantity(nodes.Op("neg", (node,)), algebra.constant(-node.value), source=f"- {digits}")


def _items(tokens: Sequence[str]) -> Form:
    tokens = unbraced(tokens)
    parts = split(tokens, {r"\and"}) if r"\and" in tokens else []
    if len(parts) == 2 and all(not INEQUALITIES.isdisjoint(part) for part in parts):
        both = half_lines([_one(part) for part in parts])
        if both is not None:
            return both
    rows = split(tokens, {";", r"\and", r"\or"})
    if len(rows) > 1 and all("," in row and "=" in row for row in rows):
        return Many("list", tuple(Group("(", ")", _each(row)) for row in rows))
    items = _each(tokens)
    if not items:
        raise Unreadable("empty")
    return items[0] if len(items) == 1 else Many("list", items)


def _each(tokens: Sequence[str]) -> tuple[Form, ...]:
    """The comma-separated parts; one that stands for several (±) counts as several."""
    found: list[Form] = []
    for part in split(tokens, _SEPARATORS):
        form = _one(part)
        if isinstance(form, Many) and form.kind == "list":
            found += form.items
        elif isinstance(form, Assign) and isinstance(form.value, Many) and form.value.kind == "list":
            found += [Assign(form.name, value) for value in form.value.items]
        else:
            found.append(form)
    return tuple(found)


def _one(tokens: Sequence[str]) -> Form:
    tokens = unbraced(tokens)
    members = split(tokens, {r"\in"})
    if len(members) == 2 and is_name(members[0]):
        return Assign(name_of(members[0]), _items(members[1]))
    if any(token in COMPARISONS or token == r"\approx" for token in tokens):
        relation = related(tokens, _one)
        if relation is not None:
            return relation
    united = split(tokens, {r"\cup"})
    if len(united) > 1:
        return Many("union", tuple(_one(part) for part in united))
    ratio = split(tokens, {":"})
    if len(ratio) > 1:
        return Colon(tuple(_one(part) for part in ratio))
    grouped = _grouped(tokens)
    if grouped is not None:
        return grouped
    if r"\pm" in tokens or r"\mp" in tokens:
        return Many("list", tuple(_one(signed) for signed in _signs(tokens)))
    return _quantity(tokens)


def _signs(tokens: Sequence[str]) -> list[list[str]]:
    r"""Every reading of the ± signs; ∓ is the opposite of the ± before it."""
    places = [index for index, token in enumerate(tokens) if token == r"\pm"]
    if not 1 <= len(places) <= 3:
        raise Unreadable("plus-or-minus signs")
    found = []
    for signs in product("+-", repeat=len(places)):
        chosen = dict(zip(places, signs, strict=True))
        last = "+"
        line = []
        for index, token in enumerate(tokens):
            last = chosen.get(index, last)
            line.append(last if index in chosen else {"+": "-", "-": "+"}[last] if token == r"\mp" else token)
        found.append(line)
    return found


def _grouped(tokens: Sequence[str]) -> Form | None:
    if list(tokens) == [r"\emptyset"]:
        return Many("set", ())
    if list(tokens) == [r"\mathbb", "{", "R", "}"]:
        return _reals()
    if len(tokens) < 2:
        return None
    first, last = tokens[0], tokens[-1]
    if first in ("(", "[") and first != "|":
        inner = _enclosed(tokens)
        if inner is not None:
            return _bracketed(first, inner, last)
    if first == r"\{" and last == r"\}" and closes(tokens, 0) == len(tokens) - 1:
        if any(token in ("|", ":") for token in tokens):
            raise Unreadable("a set by its condition")
        return Many("set", _each(tokens[1:-1]))
    closing = [index for index, token in enumerate(tokens) if token.startswith("\\end:")]
    whole = closing == [len(tokens) - 1] and first[7:] == last[5:]
    if first.startswith("\\begin:") and first[7:] in linear.MATRICES and whole:
        return Matrix(linear.cells(tokens[1:-1], _one))
    return None


def _enclosed(tokens: Sequence[str]) -> Sequence[str] | None:
    return tokens[1:-1] if tokens[-1] in (")", "]") and closes(tokens, 0) == len(tokens) - 1 else None


def _bracketed(left: str, inner: Sequence[str], right: str) -> Form | None:
    if inner and inner[0].startswith("\\begin:"):
        return _grouped(inner)
    items = _each(inner) if inner else ()
    if len(items) == 1 and left == "(" and right == ")" and "," not in inner:
        return items[0] if not isinstance(items[0], Quantity) or "=" in inner else None
    if len(items) > 1 and left == "[" and all(isinstance(item, Group) and item.left == "[" for item in items):
        return Matrix(tuple(item.items for item in items if isinstance(item, Group)))
    return Group(left, right, items)


def _reals() -> Form:
    infinity = algebra.symbol("\\infty")
    return Group("(", ")", (measured(algebra.negate(infinity)), measured(infinity)))


def _quantity(tokens: Sequence[str]) -> Form:
    tokens = list(tokens)
    unit = ""
    while tokens and tokens[0] in CURRENCIES:
        unit = CURRENCIES[tokens.pop(0)]
    if len(tokens) > 2 and tokens[0] in "+-" and tokens[1] in CURRENCIES:
        unit = CURRENCIES[tokens.pop(1)]
    tokens, trailing = unit_of(tokens)
    scale, _, rest = trailing.partition(" ")
    if scale in _SCALES and tokens:
        tokens = [*tokens, "*", str(_SCALES[scale])]
        trailing = rest
    unit = trailing or unit
    if not tokens and trailing:
        raise Unreadable("a unit alone")
    if any(token[0] == '"' for token in tokens):
        if all(token[0] == '"' or token.isalnum() or token in ",.'-()" for token in tokens):
            return Text(plain(" ".join(token.lstrip('"') for token in tokens)))
        raise Unreadable("words inside an expression")
    if any(token.startswith("\\begin:") for token in tokens):
        return linear.combined(tokens)
    node = parse.parse(tokens)
    return Quantity(node, evaluate.exact(node), "" if unit == "%" else unit, unit == "%", source_of(tokens))


_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
_SPOKEN: dict[str, Form] = {
    "infinity": measured(algebra.symbol("\\infty")),
    **{word: _quantity([str(number)]) for number, word in enumerate(_NUMBERS)},
    **{word: _reals() for word in ("all real numbers", "all reals", "all real", "real numbers", "the real numbers")},
}
