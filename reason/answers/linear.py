r"""Matrices: reading their cells, and computing with them (sums, products, powers, transposes, determinants).

An expression such as `2\begin{pmatrix}…\end{pmatrix} + A^{-1}` is a sum of products; a product is read from left to
right as matrices and runs of other tokens, which must be numbers or other scalars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from reason.answers import algebra, evaluate, parse
from reason.answers.algebra import ONE, Limit, Ratio, Unreadable
from reason.answers.brackets import OPENING, split
from reason.answers.shapes import Form, Matrix, measured

MATRICES = frozenset("matrix pmatrix bmatrix Bmatrix smallmatrix array".split())
LARGEST = 6
LARGEST_INVERSE = 4
LARGEST_POWER = 20
MOST_TERMS = 300
Rows = list[list[Ratio]]
Value = Ratio | Rows


def cells(tokens: Sequence[str], one: Callable[[Sequence[str]], Form]) -> tuple[tuple[Form, ...], ...]:
    """The forms between `&` and `\\\\`.

    Raises:
        Unreadable: The rows differ in length.
    """
    found = tuple(tuple(one(cell) for cell in split(row, {"&"})) for row in split(tokens, {"\\\\"}))
    if not found or len({len(row) for row in found}) != 1:
        raise Unreadable("a ragged matrix")
    return found


def combined(tokens: Sequence[str]) -> Form:
    """The value of an expression with matrices.

    Raises:
        Unreadable: Not one this tier can compute.
    """
    try:
        value = _sum(tokens)
    except Limit as error:
        raise Unreadable(str(error)) from error
    if isinstance(value, Ratio):
        return measured(value)
    return Matrix(tuple(tuple(measured(cell) for cell in row) for row in value))


def _sum(tokens: Sequence[str]) -> Value:
    total: Value | None = None
    for negative, term in _terms(tokens):
        value = _product(term)
        value = _times(algebra.constant(-ONE), value) if negative else value
        total = value if total is None else _plus(total, value)
    if total is None:
        raise Unreadable("an empty sum")
    return total


def _terms(tokens: Sequence[str]) -> list[tuple[bool, list[str]]]:
    """The terms of a sum with their signs."""
    found: list[tuple[bool, list[str]]] = []
    term: list[str] = []
    negative, depth = False, 0
    for token in tokens:
        depth += OPENING.get(token, 0) + token.startswith("\\begin:") - token.startswith("\\end:")
        if depth == 0 and token in "+-" and (term or token == "-"):
            if term:
                found.append((negative, term))
                negative, term = False, []
            negative ^= token == "-"
        elif depth or token != "+":
            term.append(token)
    return [*found, (negative, term)]


def _product(tokens: list[str]) -> Value:
    result: Value = algebra.constant(ONE)
    at = 0
    determinant = False
    while at < len(tokens):
        token = tokens[at]
        if token in ("*", r"\det"):
            determinant = token == r"\det"
            at += 1
            continue
        if token.startswith("\\begin:"):
            value, at = _block(tokens, at)
            if determinant:
                value = _determinant(_square(value))
        elif token == "(" and any(inner.startswith("\\begin:") for inner in tokens[at : _close(tokens, at)]):
            end = _close(tokens, at)
            value, at = _sum(tokens[at + 1 : end]), end + 1
            value, at = _scripted(value, tokens, at)
        else:
            value, at = _scalar(tokens, at)
        determinant = False
        result = _multiplied(result, value)
    return result


def _close(tokens: Sequence[str], start: int) -> int:
    depth = 0
    for index in range(start, len(tokens)):
        depth += OPENING.get(tokens[index], 0)
        if depth == 0:
            return index
    raise Unreadable("an open bracket")


def _block(tokens: list[str], at: int) -> tuple[Value, int]:
    name = tokens[at][7:]
    end = next((index for index in range(at, len(tokens)) if tokens[index] == f"\\end:{name}"), -1)
    if end < 0 or (name not in MATRICES and name != "vmatrix"):
        raise Unreadable(f"an environment {name!r}")
    rows = split(tokens[at + 1 : end], {"\\\\"})
    value: Value = [[evaluate.exact(parse.parse(cell)) for cell in split(row, {"&"})] for row in rows]
    if not isinstance(value, list) or not value or len({len(row) for row in value}) != 1 or len(value) > LARGEST:
        raise Unreadable("a matrix this tier does not compute with")
    if name == "vmatrix":
        value = _determinant(_square(value))
    return _scripted(value, tokens, end + 1)


def _scripted(value: Value, tokens: list[str], at: int) -> tuple[Value, int]:
    """Powers and the transpose after a factor."""
    while at < len(tokens) and tokens[at] == "^":
        script = tokens[at + 1 : at + 2]
        at += 2
        if script == ["{"]:
            end = _close(tokens, at - 1)
            script, at = tokens[at:end], end + 1
        if isinstance(value, list) and script in (["T"], [r"\top"], ['"T']):
            value = [list(column) for column in zip(*value, strict=True)]
            continue
        power = evaluate.exact(parse.parse(script)).rational
        if power is None or power.denominator != 1 or abs(power) > LARGEST_POWER:
            raise Unreadable("a power of a matrix")
        value = _powered(value, int(power))
    return value, at


def _scalar(tokens: list[str], at: int) -> tuple[Value, int]:
    end = at
    while end < len(tokens) and not tokens[end].startswith("\\begin:") and tokens[end] != r"\det":
        if tokens[end] == "(":
            close = _close(tokens, end)
            if any(inner.startswith("\\begin:") for inner in tokens[end:close]):
                break
            end = close
        end += 1
    run = tokens[at:end]
    divided = run[0] == "/"
    while run and run[-1] == "*":
        run.pop()
    value = evaluate.exact(parse.parse(run[1:] if divided else run))
    return (algebra.divide(algebra.constant(ONE), value) if divided else value), end


def _plus(left: Value, right: Value) -> Value:
    if isinstance(left, Ratio) and isinstance(right, Ratio):
        return algebra.add(left, right)
    if isinstance(left, Ratio) or isinstance(right, Ratio) or _shape(left) != _shape(right):
        raise Unreadable("a sum of different shapes")
    return [[algebra.add(*pair) for pair in zip(*rows, strict=True)] for rows in zip(left, right, strict=True)]


def _shape(value: Rows) -> tuple[int, int]:
    return len(value), len(value[0])


def _times(factor: Ratio, value: Value) -> Value:
    if isinstance(value, Ratio):
        return algebra.multiply(factor, value)
    return [[algebra.multiply(factor, cell) for cell in row] for row in value]


def _multiplied(left: Value, right: Value) -> Value:
    if isinstance(left, Ratio):
        return _times(left, right)
    if isinstance(right, Ratio):
        return _times(right, left)
    if len(left[0]) != len(right):
        raise Unreadable("a product of shapes that do not fit")
    if sum(len(cell.top) + len(cell.bottom) for row in (*left, *right) for cell in row) > MOST_TERMS:
        raise Unreadable("a product of large matrices")
    columns = list(zip(*right, strict=True))
    return [[_dot(row, column) for column in columns] for row in left]


def _dot(row: Sequence[Ratio], column: Sequence[Ratio]) -> Ratio:
    total = algebra.constant(Fraction(0))
    for left, right in zip(row, column, strict=True):
        total = algebra.add(total, algebra.multiply(left, right))
    return total


def _square(value: Value) -> Rows:
    if isinstance(value, Ratio) or len(value) != len(value[0]):
        raise Unreadable("not a square matrix")
    return value


def _powered(value: Value, power: int) -> Value:
    if isinstance(value, Ratio):
        return algebra.power(value, Fraction(power))
    rows = _square(value)
    if power < 0:
        rows, power = _inverse(rows), -power
    size = len(rows)
    result: Value = [[algebra.constant(Fraction(one == other)) for other in range(size)] for one in range(size)]
    for _ in range(power):
        result = _multiplied(result, rows)
    return result


def _determinant(rows: Rows) -> Ratio:
    if len(rows) > LARGEST_INVERSE:
        raise Unreadable("a large determinant")
    if len(rows) == 1:
        return rows[0][0]
    total = algebra.constant(Fraction(0))
    for place, factor in enumerate(rows[0]):
        part = algebra.multiply(factor, _determinant(_minor(rows, 0, place)))
        total = algebra.add(total, algebra.negate(part) if place % 2 else part)
    return total


def _minor(rows: Rows, row: int, column: int) -> Rows:
    return [[*line[:column], *line[column + 1 :]] for index, line in enumerate(rows) if index != row]


def _inverse(rows: Rows) -> Rows:
    determinant = _determinant(rows)
    if len(rows) == 1:
        return [[algebra.divide(algebra.constant(ONE), determinant)]]
    size = range(len(rows))
    found = []
    for row in size:
        line = []
        for column in size:
            part = algebra.divide(_determinant(_minor(rows, column, row)), determinant)
            line.append(algebra.negate(part) if (row + column) % 2 else part)
        found.append(line)
    return found
