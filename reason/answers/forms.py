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

from reason.answers import algebra, evaluate, parse
from reason.answers.algebra import Malformed, Ratio, Unreadable
from reason.answers.latex import clean, is_word, plain, tokenize
from reason.answers.names import is_name, is_variable, name_of
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
)
from reason.answers.units import CURRENCIES, unit_of

_SEPARATORS = frozenset((",", ";", r"\and", r"\or", r"\quad"))
_COMPARISONS = {"<": "<", ">": ">", r"\le": "<=", r"\ge": ">=", r"\ne": "!=", "=": "="}
_OPERATORS = frozenset((r"\sum", r"\prod", r"\int", r"\lim"))
_MATRICES = frozenset("matrix pmatrix bmatrix Bmatrix smallmatrix array".split())
_BASED = re.compile(
    r"\(?(-?[0-9A-Z.]*\d[0-9A-Z]*)\)?_\s*\{?\s*(?:\\text(?:rm)?\{|\\mathrm\{)?\s*"
    r"(\d{1,2}|two|three|four|five|six|seven|eight|nine|ten)\s*\}*\Z"
)
_BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_REVERSED = re.compile(r"(?=\]|.*\[\Z)([\[\]])([^()\[\]]*)([\[\]])\Z")
_SIDES = {"[": "[", "]": "(", "] ": "]", "[ ": ")"}
"""The open ends of ]0, 1[, which is (0, 1)."""
_PLAIN = re.compile(r"(-?)(\d{1,15}(?:\.\d{1,15})?)\Z", re.ASCII)
_OPENING = {"(": 1, "[": 1, "{": 1, r"\{": 1, ")": -1, "]": -1, "}": -1, r"\}": -1}
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]+\Z")


@lru_cache(maxsize=8_192)
def read(answer: str, commas: str = "thousands") -> Form:
    """The structure of an answer.

    Args:
        answer: As extracted.
        commas: See `reason.answers.latex.tokenize`.

    Raises:
        Limit: The answer is longer, deeper or larger than any tier works with.
    """
    plain_number = _PLAIN.match(answer)
    if plain_number:
        return _plain(plain_number[1], plain_number[2])
    text = clean(answer)
    reversed_ = _REVERSED.match(text)
    if reversed_:
        text = _SIDES[reversed_[1]] + reversed_[2] + _SIDES[reversed_[3] + " "]
    based = _BASED.match(text) if "_" in text and len(text) < 300 else None
    if based:
        base = int(_BASES.get(based[2], 0) or based[2])
        sign = "-" if based[1].startswith("-") else ""
        return Based(sign + (based[1].lstrip("-0") or "0"), base)
    words = plain(text)
    if _WORDS.match(words) and is_word(words.replace(" ", "").replace("-", "").replace("'", "")):
        separated = re.search(r"\b(?:and|or)\b", words)
        if not separated:
            return _SPOKEN.get(words.casefold()) or Text(words)
    try:
        tokens = tokenize(text, commas=commas)
        return _items(tokens)
    except Unreadable as error:
        return Unread(text, str(error), isinstance(error, Malformed))


def _plain(sign: str, digits: str) -> Form:
    """A number in digits: most answers."""
    node = parse.number(digits)
    if not sign:
        return Quantity(node, algebra.constant(node.value), source=digits)
    return Quantity(parse.Op("neg", (node,)), algebra.constant(-node.value), source=f"- {digits}")


def _items(tokens: Sequence[str]) -> Form:
    tokens = _unbraced(tokens)
    rows = _split(tokens, {";", r"\and", r"\or"})
    if len(rows) > 1 and all("," in row and "=" in row for row in rows):
        return Many("list", tuple(Group("(", ")", _each(row)) for row in rows))
    items = _each(tokens)
    if not items:
        raise Unreadable("empty")
    return items[0] if len(items) == 1 else Many("list", items)


def _each(tokens: Sequence[str]) -> tuple[Form, ...]:
    """The comma-separated parts; one that stands for several (±) counts as several."""
    found: list[Form] = []
    for part in _split(tokens, _SEPARATORS):
        form = _one(part)
        if isinstance(form, Many) and form.kind == "list":
            found += form.items
        elif isinstance(form, Assign) and isinstance(form.value, Many) and form.value.kind == "list":
            found += [Assign(form.name, value) for value in form.value.items]
        else:
            found.append(form)
    return tuple(found)


def _unbraced(tokens: Sequence[str]) -> Sequence[str]:
    while len(tokens) > 1 and tokens[0] == "{" and _closes(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def _split(tokens: Sequence[str], separators: frozenset[str] | set[str]) -> list[list[str]]:
    """Split outside brackets; empty parts are dropped."""
    if separators.isdisjoint(tokens):
        return [list(tokens)] if tokens else []
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += _OPENING.get(token, 0)
        if token.startswith(("\\begin:", "\\end:")):
            depth += 1 if token.startswith("\\begin:") else -1
        if depth == 0 and token in separators:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _closes(tokens: Sequence[str], start: int) -> int:
    depth = 0
    for index in range(start, len(tokens)):
        depth += _OPENING.get(tokens[index], 0)
        if depth == 0:
            return index
    return -1


def _one(tokens: Sequence[str]) -> Form:
    tokens = _unbraced(tokens)
    members = _split(tokens, {r"\in"})
    if len(members) == 2 and is_name(members[0]):
        return Assign(name_of(members[0]), _items(members[1]))
    if any(token in _COMPARISONS or token == r"\approx" for token in tokens):
        related = _related(tokens)
        if related is not None:
            return related
    united = _split(tokens, {r"\cup"})
    if len(united) > 1:
        return Many("union", tuple(_one(part) for part in united))
    ratio = _split(tokens, {":"})
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
    if first == r"\{" and last == r"\}" and _closes(tokens, 0) == len(tokens) - 1:
        if any(token in ("|", ":") for token in tokens):
            raise Unreadable("a set by its condition")
        return Many("set", _each(tokens[1:-1]))
    if first.startswith("\\begin:") and first[7:] in _MATRICES and last == f"\\end:{first[7:]}":
        return _matrix(tokens[1:-1])
    return None


def _enclosed(tokens: Sequence[str]) -> Sequence[str] | None:
    return tokens[1:-1] if tokens[-1] in (")", "]") and _closes(tokens, 0) == len(tokens) - 1 else None


def _bracketed(left: str, inner: Sequence[str], right: str) -> Form | None:
    if inner and inner[0].startswith("\\begin:"):
        return _grouped(inner)
    items = _each(inner) if inner else ()
    if len(items) == 1 and left == "(" and right == ")" and "," not in inner:
        return items[0] if not isinstance(items[0], Quantity) else None
    if len(items) > 1 and left == "[" and all(isinstance(item, Group) and item.left == "[" for item in items):
        return Matrix(tuple(item.items for item in items if isinstance(item, Group)))
    return Group(left, right, items)


def _matrix(tokens: Sequence[str]) -> Form:
    rows = _split(tokens, {"\\\\"})
    found = tuple(tuple(_one(cell) for cell in _split(row, {"&"})) for row in rows)
    if not found or len({len(row) for row in found}) != 1:
        raise Unreadable("a ragged matrix")
    return Matrix(found)


def _related(tokens: Sequence[str]) -> Form | None:
    rounded = _split(tokens, {r"\approx"})
    if len(rounded) > 1:
        return _one(rounded[1] if is_name(rounded[0]) else rounded[0])
    sides: list[list[str]] = [[]]
    ops: list[str] = []
    depth = 0
    for token in tokens:
        depth += _OPENING.get(token, 0)
        if depth == 0 and token in _COMPARISONS:
            ops.append(_COMPARISONS[token])
            sides.append([])
        else:
            sides[-1].append(token)
    if not ops:
        return None
    if not all(sides):
        raise Unreadable("a relation with an empty side")
    if set(ops) == {"="}:
        return _equation(sides)
    if "=" in ops or ("!=" in ops and len(ops) > 1):
        raise Unreadable("a mixed chain of relations")
    return _inequality(sides, ops)


def _equation(sides: list[list[str]]) -> Form:
    left, right = sides[0], sides[-1]
    if len(sides) > 2:
        return Assign(name_of(left), _one(right)) if is_name(left) else _one(right)
    if is_name(left):
        return Assign(name_of(left), _one(right), _relation("=", left, right))
    if is_name(right):
        return Assign(name_of(right), _one(left), _relation("=", left, right))
    if not _has_symbols(left) and not _has_symbols(right):
        return _one(right)
    relation = _relation("=", left, right)
    if any(token in _OPERATORS for token in left) or (relation is not None and not relation.difference.top):
        return _one(right)
    if relation is None:
        raise Unreadable("an equation")
    return relation


def _has_symbols(tokens: Sequence[str]) -> bool:
    names = {"\\pi"}
    return any(
        token.isalpha() or (token[0] == "\\" and token[1:] in parse.GREEK and token not in names) for token in tokens
    )


def _relation(op: str, left: Sequence[str], right: Sequence[str]) -> Relation | None:
    try:
        sides = [evaluate.exact(parse.parse(side)) for side in (left, right)]
    except Unreadable:
        return None
    if op in (">", ">="):
        sides.reverse()
        op = op.replace(">", "<")
    difference = algebra.add(sides[0], algebra.negate(sides[1]))
    return Relation(op, difference, source_of([*left, {"<=": r"\le", "!=": r"\ne"}.get(op, op), *right]))


def _inequality(sides: list[list[str]], ops: list[str]) -> Form:
    relations = [_relation(op, sides[index], sides[index + 1]) for index, op in enumerate(ops)]
    found = [relation for relation in relations if relation is not None]
    if len(found) < len(relations):
        raise Unreadable("an inequality")
    if len(found) == 1:
        return _interval(found[0]) or found[0]
    if len(found) == 2 and ops[0][0] == ops[1][0] and is_variable(sides[1]):
        low, high = (sides[0], sides[2]) if ops[0][0] == "<" else (sides[2], sides[0])
        ends = ops if ops[0][0] == "<" else ops[::-1]
        left, right = ("[" if "=" in ends[0] else "("), ("]" if "=" in ends[1] else ")")
        return Assign(name_of(sides[1]), Group(left, right, (_one(low), _one(high))))
    return Many("all", tuple(found))


def _interval(relation: Relation) -> Form | None:
    """A linear inequality in one symbol as an interval."""
    top, bottom = relation.difference.top, relation.difference.bottom
    unknown = [mono for mono in top if any(atom[0] not in "#@" and atom not in ("\\pi", "e") for atom, _ in mono)]
    if relation.op not in ("<", "<=") or len(bottom) > 1 or len(unknown) != 1:
        return None
    ((_, exponent), *more) = unknown[0]
    if exponent != 1 or more:
        return None
    slope = top[unknown[0]]
    rest = Ratio({mono: value for mono, value in top.items() if mono != unknown[0]}, bottom)
    bound = _measured(algebra.divide(algebra.negate(rest), algebra.constant(slope)))
    infinity = algebra.symbol("\\infty")
    closed = relation.op == "<="
    name = unknown[0][0][0]
    if slope > 0:
        return Assign(name, Group("(", "]" if closed else ")", (_measured(algebra.negate(infinity)), bound)))
    return Assign(name, Group("[" if closed else "(", ")", (bound, _measured(infinity))))


def _reals() -> Form:
    infinity = algebra.symbol("\\infty")
    return Group("(", ")", (_measured(algebra.negate(infinity)), _measured(infinity)))


def _measured(ratio: Ratio) -> Quantity:
    return Quantity(parse.Sym(ratio.key), ratio)


def _quantity(tokens: Sequence[str]) -> Form:
    tokens = list(tokens)
    unit = ""
    while tokens and tokens[0] in CURRENCIES:
        unit = CURRENCIES[tokens.pop(0)]
    if len(tokens) > 2 and tokens[0] in "+-" and tokens[1] in CURRENCIES:
        unit = CURRENCIES[tokens.pop(1)]
    tokens, trailing = unit_of(tokens)
    unit = trailing or unit
    if not tokens and trailing:
        raise Unreadable("a unit alone")
    if any(token[0] == '"' for token in tokens):
        if all(token[0] == '"' or token.isalnum() or token in ",.'-()" for token in tokens):
            return Text(plain(" ".join(token.lstrip('"') for token in tokens)))
        raise Unreadable("words inside an expression")
    node = parse.parse(tokens)
    return Quantity(node, evaluate.exact(node), "" if unit == "%" else unit, unit == "%", source_of(tokens))


def source_of(tokens: Sequence[str]) -> str:
    """Tokens as LaTeX again."""
    names = {r"\asin": r"\arcsin", r"\acos": r"\arccos", r"\atan": r"\arctan", "*": r"\cdot"}
    return " ".join(names.get(token, token) for token in tokens)


_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_SPOKEN: dict[str, Form] = {
    "infinity": _measured(algebra.symbol("\\infty")),
    **{word: _quantity([str(number)]) for number, word in enumerate(_NUMBERS)},
    **{word: _reals() for word in ("all real numbers", "all reals", "all real", "real numbers", "the real numbers")},
}
