"""Reading equations and inequalities: names with values, relations, and intervals where a variable has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from reason.answers import algebra, evaluate, parse
from reason.answers.algebra import Ratio, Unreadable
from reason.answers.brackets import OPENING, split
from reason.answers.names import is_name, is_variable, name_of
from reason.answers.shapes import Assign, Form, Group, Many, Quantity, Relation, measured, source_of

COMPARISONS = {"<": "<", ">": ">", r"\le": "<=", r"\ge": ">=", r"\ne": "!=", "=": "="}
INEQUALITIES = frozenset(("<", ">", r"\le", r"\ge"))
_SERIES = frozenset((r"\sum", r"\prod", r"\int", r"\lim"))
_CONSTANTS = ("\\pi", "e")
_INFINITY = algebra.symbol("\\infty")
_MINUS_INFINITY = algebra.negate(_INFINITY)
One = Callable[[Sequence[str]], Form]
"""Reads the form of one side."""


def related(tokens: Sequence[str], one: One) -> Form | None:
    """The form of tokens that hold a comparison; None where it stands inside brackets only.

    Raises:
        Unreadable: A chain or a side that this tier does not know.
    """
    rounded = split(tokens, {r"\approx"})
    if rounded and tokens[0] == r"\approx":
        return one(rounded[0])
    if len(rounded) > 1:
        return one(rounded[1] if is_name(rounded[0]) else rounded[0])
    sides: list[list[str]] = [[]]
    ops: list[str] = []
    depth = 0
    for token in tokens:
        depth += OPENING.get(token, 0)
        if depth == 0 and token in COMPARISONS:
            ops.append(COMPARISONS[token])
            sides.append([])
        else:
            sides[-1].append(token)
    if not ops:
        return None
    if ops == ["="] and not sides[0] and sides[1]:
        return one(sides[1])
    if not all(sides):
        raise Unreadable("a relation with an empty side")
    if set(ops) == {"="}:
        return _equation(sides, one)
    if "=" in ops or ("!=" in ops and len(ops) > 1):
        raise Unreadable("a mixed chain of relations")
    return _inequality(sides, ops, one)


def _equation(sides: list[list[str]], one: One) -> Form:
    left, right = sides[0], sides[-1]
    if len(sides) > 2:
        return Assign(name_of(left), one(right)) if is_name(left) else one(right)
    if is_name(left):
        return Assign(name_of(left), one(right), _relation("=", left, right))
    if is_name(right):
        return Assign(name_of(right), one(left), _relation("=", left, right))
    if not _has_symbols(left) and not _has_symbols(right):
        return one(right)
    relation = _relation("=", left, right)
    if any(token in _SERIES for token in left) or (relation is not None and not relation.difference.top):
        return one(right)
    if relation is None:
        raise Unreadable("an equation")
    return relation


def _has_symbols(tokens: Sequence[str]) -> bool:
    return any(
        token.isalpha() or (token[0] == "\\" and token[1:] in parse.GREEK and token != "\\pi") for token in tokens
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


def _inequality(sides: list[list[str]], ops: list[str], one: One) -> Form:
    if len(ops) == 2 and ops[0][0] == ops[1][0] and ops[0][0] in "<>":
        ordered = (sides, ops) if ops[0][0] == "<" else (sides[::-1], ops[::-1])
        between = _between(ordered[0], [op.replace(">", "<") for op in ordered[1]], one)
        if between is not None:
            return between
    relations = [_relation(op, sides[index], sides[index + 1]) for index, op in enumerate(ops)]
    found = [relation for relation in relations if relation is not None]
    if len(found) < len(relations):
        raise Unreadable("an inequality")
    if len(found) > 1:
        return Many("all", tuple(found))
    (relation,) = found
    return _distance(sides, ops[0]) or _interval(relation) or relation


def _between(sides: list[list[str]], ops: list[str], one: One) -> Form | None:
    """`low < x < high`, also with a linear expression, its absolute value or a function value in the middle."""
    low, middle, high = sides
    brackets = ("[" if "=" in ops[0] else "("), ("]" if "=" in ops[1] else ")")
    if is_variable(middle) or (is_name(middle) and not is_name(low) and not is_name(high)):
        return Assign(name_of(middle), Group(*brackets, (one(low), one(high))))
    inside = _inside_bars(middle)
    line = _line(middle if inside is None else inside)
    ends = [_constant(side) for side in (low, high)]
    if line is None or ends[0] is None or ends[1] is None:
        return None
    if inside is None:
        return _solved(line, ends[0], ends[1], brackets)
    if (ends[0].rational or Fraction(-1)) <= 0:
        return None
    right = _solved(line, ends[0], ends[1], brackets)
    left = _solved(line, algebra.negate(ends[1]), algebra.negate(ends[0]), _mirrored(brackets))
    return Assign(right.name, Many("union", (left.value, right.value)))


def _distance(sides: list[list[str]], op: str) -> Form | None:
    """`|x - 3| < 5` and the like as an interval or two half-lines."""
    if op in (">", ">="):
        sides, op = sides[::-1], op.replace(">", "<")
    if op not in ("<", "<="):
        return None
    for place, (bars, other) in enumerate((sides, sides[::-1])):
        inside, bound = _inside_bars(bars), _constant(other)
        line = None if inside is None else _line(inside)
        if line is None or bound is None or (bound.rational or Fraction(-1)) <= 0:
            continue
        closed = "=" in op
        if place == 0:
            ends = ("[", "]") if closed else ("(", ")")
            return _solved(line, algebra.negate(bound), bound, ends)
        far = _solved(line, bound, _INFINITY, ("[" if closed else "(", ")"))
        near = _solved(line, _MINUS_INFINITY, algebra.negate(bound), ("(", "]" if closed else ")"))
        return Assign(far.name, Many("union", (near.value, far.value)))
    return None


def _inside_bars(tokens: Sequence[str]) -> Sequence[str] | None:
    bars = len(tokens) > 2 and tokens[0] == "|" and tokens[-1] == "|" and "|" not in tokens[1:-1]
    return tokens[1:-1] if bars else None


def _constant(tokens: Sequence[str]) -> Ratio | None:
    try:
        value = evaluate.exact(parse.parse(tokens))
    except Unreadable:
        return None
    return None if _unknowns(value) else value


def _unknowns(value: Ratio) -> set[str]:
    """Names of the variables (and opaque terms) in a value."""
    names = {atom for part in (value.top, value.bottom) for mono in part for atom, _ in mono}
    return {name for name in names if name[0] != "#" and name not in (*_CONSTANTS, "\\infty")}


Line = tuple[str, Fraction, Ratio]
"""A variable, its coefficient and a constant: what is linear in one variable."""


def _line(tokens: Sequence[str]) -> Line | None:
    try:
        return line_of(evaluate.exact(parse.parse(tokens)))
    except Unreadable:
        return None


def line_of(value: Ratio) -> Line | None:
    """The parts of a value that is linear in one variable; None for any other."""
    unknown = _unknowns(value)
    if len(unknown) != 1 or len(value.bottom) > 1:
        return None
    (name,) = unknown
    mono = ((name, Fraction(1)),)
    slope = value.top.get(mono)
    rest = {other: factor for other, factor in value.top.items() if other != mono}
    if name[0] == "@" or slope is None or any(atom == name for other in rest for atom, _ in other):
        return None
    return name, slope, Ratio(rest, value.bottom)


def _solved(line: Line, low: Ratio, high: Ratio, brackets: tuple[str, str]) -> Assign:
    """The interval of the variable where the line lies between two values."""
    name, slope, _ = line
    ends = [_at(line, end) for end in (low, high)]
    if slope < 0:
        ends.reverse()
        brackets = _mirrored(brackets)
    return Assign(name, Group(*brackets, (measured(ends[0]), measured(ends[1]))))


def _at(line: Line, value: Ratio) -> Ratio:
    _, slope, offset = line
    if value.key in (_INFINITY.key, _MINUS_INFINITY.key):
        return value if slope > 0 else algebra.negate(value)
    return algebra.divide(algebra.add(value, algebra.negate(offset)), algebra.constant(slope))


def _mirrored(brackets: tuple[str, str]) -> tuple[str, str]:
    return {")": "(", "]": "["}[brackets[1]], {"(": ")", "[": "]"}[brackets[0]]


def _interval(relation: Relation) -> Form | None:
    """A linear inequality in one variable as a half-line."""
    line = line_of(relation.difference) if relation.op in ("<", "<=") else None
    if line is None:
        return None
    closed = "]" if relation.op == "<=" else ")"
    return _solved(line, _MINUS_INFINITY, algebra.constant(Fraction(0)), ("(", closed))


def half_lines(forms: Sequence[Form]) -> Form | None:
    """Two half-lines of one variable joined by "and" as the interval between them; None for anything else."""
    if len(forms) != 2 or not all(isinstance(form, Assign) for form in forms):
        return None
    lower = upper = None
    for form in forms:
        group = form.value if isinstance(form, Assign) else form
        if not isinstance(group, Group) or len(group.items) != 2:
            return None
        ends = [item.ratio.key if isinstance(item, Quantity) else "" for item in group.items]
        if ends[1] == _INFINITY.key:
            lower = group
        elif ends[0] == _MINUS_INFINITY.key:
            upper = group
    first, second = forms
    if lower is None or upper is None or not isinstance(first, Assign) or not isinstance(second, Assign):
        return None
    if first.name != second.name:
        return None
    return replace(first, value=Group(lower.left, upper.right, (lower.items[0], upper.items[1])))
