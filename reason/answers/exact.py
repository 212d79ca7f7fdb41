"""First tier: exact comparison of two answers by structure and value, without a computer algebra system.

`same` says True, False or None (undecided: an opaque term, or something unread). Values are compared as quotients of
polynomials over the rationals (`reason.answers.algebra`); where opaque terms remain, numbers at sample points can still
tell two expressions apart. A list matches a list or a set in any order, and a tuple in its own order.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeAlias

from reason.answers import algebra, decimals, nodes, series
from reason.answers.algebra import Limit
from reason.answers.balls import differ
from reason.answers.forms import read
from reason.answers.functions import proved
from reason.answers.keys import INTEGER, distinct, without_common
from reason.answers.latex import LONGEST, is_word, plain, undressed
from reason.answers.radicals import same_constant
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
from reason.answers.verdict import DEFAULT_RULES, Rules

Decide: TypeAlias = Callable[[str, str], bool | None]
"""Settles a pair of LaTeX expressions that this tier cannot."""

_THOUSANDS = re.compile(r"[^\d]*[1-9]\d{0,2}(?:,\d{3})+(?!\d)")
_AMBIGUOUS = re.compile(r"[^(\[{]*\d,\d")
LONGEST_LIST = 256
SECONDS = 1.0
"""After which no further pair of expressions with functions or roots of sums is compared."""
_WORDS = re.compile(r"[A-Za-z]+(?:[ -][A-Za-z]+)*")
_CHOICE = re.compile(r"[A-Ja-j]")


def never(gold: str, pred: str) -> bool | None:
    """Leave an undecided pair undecided."""
    return None


def same(gold: str, pred: str, *, rules: Rules = DEFAULT_RULES, decide: Decide = never) -> bool | None:
    """Whether two answers are equal; None where this tier cannot say.

    Args:
        gold: The gold answer; its kind settles percent and unit questions.
        pred: The answer to compare with it.
        rules: The comparison policy.
        decide: Asked about pairs of expressions whose equality is open.

    Raises:
        Limit: One of them is too large to compare.
    """
    if INTEGER.match(gold) and INTEGER.match(pred) and not rules.tolerance:
        return int(gold) == int(pred)
    if identical(gold, pred, rules):
        return True
    matcher = Matcher(rules, decide)
    result = matcher.match(read(gold), read(pred))
    if result:
        return True
    for first, second in _readings(gold, pred):
        if matcher.match(first, second):
            return True
    return result


def identical(gold: str, pred: str, rules: Rules = DEFAULT_RULES) -> bool:
    """Whether two answers are the same text up to dressing."""
    if gold == pred:
        return True
    return max(len(gold), len(pred)) <= LONGEST and _bare(gold, rules) == _bare(pred, rules)


def _bare(answer: str, rules: Rules) -> str:
    """The text without dressing; what is only words, without case and outer punctuation too."""
    text = undressed(answer)
    if _CHOICE.fullmatch(text):
        return text if rules.case_sensitive else text.casefold()
    words = plain(text)
    if _WORDS.fullmatch(words) and is_word(re.sub("[ -]", "", words)):
        return words if rules.case_sensitive else words.casefold()
    return text


def _readings(gold: str, pred: str) -> list[tuple[Form, Form]]:
    """Other readings of a comma between digits: a list, or a decimal comma against a plain decimal."""
    found: list[tuple[Form, Form]] = []
    for text, other, swap in ((gold, pred, False), (pred, gold, True)):
        if not _AMBIGUOUS.match(text) or _AMBIGUOUS.match(other):
            continue
        against = read(other)
        if isinstance(against, Many | Group):
            reading = read(text, "separators")
        elif isinstance(against, Quantity) and isinstance(against.node, nodes.Num) and against.node.places is not None:
            if _THOUSANDS.match(text):
                continue
            reading = read(text, "decimal")
        else:
            continue
        found.append((against, reading) if swap else (reading, against))
    return found


class Matcher:
    """Compares forms under one policy."""

    def __init__(self, rules: Rules, decide: Decide) -> None:
        self.rules = rules
        self.decide = decide
        self.deadline = time.monotonic() + SECONDS

    def match(self, gold: Form, pred: Form) -> bool | None:
        """Whether the two are equal; None where that is open."""
        if isinstance(gold, Unread) or isinstance(pred, Unread):
            return None
        if isinstance(gold, Assign) or isinstance(pred, Assign):
            return self.assigned(gold, pred)
        if isinstance(gold, Many) or isinstance(pred, Many):
            return self.several(gold, pred)
        match gold, pred:
            case Quantity(), Quantity():
                return self.quantities(gold, pred)
            case Text(left), Text(right):
                return self.words(left, right)
            case Based(), Based():
                return gold == pred
            case Colon(left_parts), Colon(right_parts):
                return self.ratios(left_parts, right_parts)
            case Group(), Group():
                return gold.left == pred.left and gold.right == pred.right and self.in_order(gold.items, pred.items)
            case Matrix(left_rows), Matrix(right_rows):
                if [len(row) for row in left_rows] != [len(row) for row in right_rows]:
                    return False
                return self.in_order([c for row in left_rows for c in row], [c for row in right_rows for c in row])
            case Relation(), Relation():
                return self.relations(gold, pred)
        return self.mismatched(gold, pred)

    def words(self, left: str, right: str) -> bool:
        return left == right or (not self.rules.case_sensitive and left.casefold() == right.casefold())

    def mismatched(self, gold: Form, pred: Form) -> bool | None:
        """Different kinds are different answers; only an expression may still turn out to be a matrix."""
        if isinstance(gold, Text) or isinstance(pred, Text):
            return _letters(gold) == _letters(pred) != "" and not self.rules.case_sensitive
        if isinstance(gold, Matrix) or isinstance(pred, Matrix):
            other = pred if isinstance(gold, Matrix) else gold
            return None if isinstance(other, Quantity) and other.ratio.rational is None else False
        return False

    def in_order(self, gold: Sequence[Form], pred: Sequence[Form]) -> bool | None:
        if len(gold) != len(pred):
            return False
        open_ = False
        for left, right in zip(gold, pred, strict=True):
            found = self.match(left, right)
            if found is False:
                return False
            open_ = open_ or found is None
        return None if open_ else True

    def in_any_order(self, gold: Sequence[Form], pred: Sequence[Form]) -> bool | None:
        if len(gold) > LONGEST_LIST or len(pred) > LONGEST_LIST:
            raise Limit(f"more than {LONGEST_LIST} items")
        once = distinct(gold), distinct(pred)
        if len(once[0]) == len(gold) or len(once[1]) == len(pred):
            gold, pred = once
        if len(gold) != len(pred):
            return False
        if not self.rules.case_sensitive:
            gold, pred = without_common(gold, pred)
        rest = list(pred)
        open_ = False
        for left in gold:
            verdicts: list[bool | None] = []
            for right in rest:
                verdicts.append(self.match(left, right))
                if verdicts[-1]:
                    break
            if verdicts and verdicts[-1]:
                rest.pop(len(verdicts) - 1)
            elif None in verdicts:
                open_ = True
            else:
                return False
        return None if open_ else True

    def several(self, gold: Form, pred: Form) -> bool | None:
        left, right = _items(gold), _items(pred)
        if any(isinstance(form, Many) and form.kind == "all" for form in (gold, pred)) and type(gold) is not type(pred):
            return None
        kinds = {form.kind for form in (gold, pred) if isinstance(form, Many)}
        groups = [form for form in (gold, pred) if isinstance(form, Group)]
        if "all" in kinds and len(kinds) > 1:
            return None
        if groups and "set" not in kinds and "union" not in kinds:
            group, many = groups[0], (pred if groups[0] is gold else gold)
            items = _items(many)
            plain_ = not any(isinstance(item, Group) for item in items)
            return self.in_order(group.items, items) if plain_ and len(group.items) == len(items) else False
        if groups:
            return False
        if (
            "union" in kinds
            and kinds - {"union"}
            and not all(isinstance(_value(item), Group | Many) for item in (*left, *right))
        ):
            return False
        names = [{item.name for item in side if isinstance(item, Assign)} for side in (left, right)]
        if sorted(map(len, names))[0] == 0 and sorted(map(len, names))[1] > 1:
            return self.in_order(left, right)
        if self.rules.ordered and kinds == {"list"} and not (names[0] and names[1]):
            return self.in_order(left, right)
        return self.in_any_order(left, right)

    def assigned(self, gold: Form, pred: Form) -> bool | None:
        if isinstance(gold, Assign) and isinstance(pred, Assign):
            if gold.name == pred.name and _solved(gold) and _solved(pred):
                return self.match(gold.value, pred.value)
            if gold.equation and pred.equation and self.relations(gold.equation, pred.equation):
                return True
            if gold.name != pred.name and _variable(gold.name) and _variable(pred.name):
                return False
            if gold.name != pred.name and gold.equation and pred.equation and _general(gold) and _general(pred):
                return False
            return self.match(gold.value, _renamed(pred, gold))
        named, other = (gold, pred) if isinstance(gold, Assign) else (pred, gold)
        assert isinstance(named, Assign)
        if isinstance(other, Relation) and named.equation is not None:
            return self.relations(named.equation, other)
        return self.match(
            gold.value if isinstance(gold, Assign) else gold, pred.value if isinstance(pred, Assign) else pred
        )

    def relations(self, gold: Relation, pred: Relation) -> bool | None:
        if gold.op != pred.op:
            return False
        signed = gold.op in ("<", "<=")
        left, right = gold.difference, pred.difference
        if (
            len(left.bottom) == 1
            and len(right.bottom) == 1
            and algebra.proportional(left.top, right.top, positive=signed)
        ):
            return True
        if left.opaque or right.opaque or len(left.bottom) > 1 or len(right.bottom) > 1:
            return self.decide(gold.source, pred.source)
        return False

    def ratios(self, gold: Sequence[Form], pred: Sequence[Form]) -> bool | None:
        plainly = self.in_order(gold, pred)
        if plainly or len(gold) != len(pred) or _clock(gold) or _clock(pred):
            return plainly
        left, right = [rational(part) for part in gold], [rational(part) for part in pred]
        if None in left or None in right or 0 in (left[0], right[0]):
            return plainly
        return [part / left[0] for part in left if part is not None and left[0]] == [
            part / right[0] for part in right if part is not None and right[0]
        ]

    def quantities(self, gold: Quantity, pred: Quantity) -> bool | None:
        if gold.percent != pred.percent:
            hundredth = algebra.constant(Fraction(1, 100))
            if gold.percent:
                scaled = algebra.multiply(gold.ratio, hundredth)
                return self.values(gold, pred) or algebra.equal_ratios(scaled, pred.ratio)
            if algebra.equal_ratios(algebra.multiply(pred.ratio, hundredth), gold.ratio):
                return True
            return self.values(gold, pred) if self.rules.percent_is_unit else False
        if gold.unit and pred.unit and gold.unit != pred.unit:
            return False
        if self.rules.units_required and gold.unit and not pred.unit:
            return False
        found = self.values(gold, pred)
        if not found and bool(gold.unit) != bool(pred.unit) and len(gold.unit + pred.unit) == 1:
            with_symbol = [
                algebra.multiply(q.ratio, algebra.symbol(q.unit)) if q.unit else q.ratio for q in (gold, pred)
            ]
            return algebra.equal_ratios(*with_symbol) or found
        return found

    def values(self, gold: Quantity, pred: Quantity) -> bool | None:
        if (
            algebra.equal_ratios(gold.ratio, pred.ratio)
            or decimals.rounds(pred, gold, self.rules.decimals)
            or decimals.rounds(gold, pred, self.rules.decimals)
        ):
            return True
        if self.rules.tolerance and decimals.near(gold, pred, self.rules.tolerance):
            return True
        if isinstance(gold.node, nodes.Sym) and isinstance(pred.node, nodes.Sym):
            left, right = gold.node.name, pred.node.name
            return (
                len(left) == len(right) == 1 and left.casefold() == right.casefold() <= "j" and self.words(left, right)
            )
        if not gold.ratio.opaque and not pred.ratio.opaque:
            return False
        if time.monotonic() > self.deadline:
            raise Limit(f"more than {SECONDS:g} s for many expressions")
        if differ(gold.node, pred.node) or any(differ(*pair) for pair in series.samples(gold.node, pred.node)):
            return False
        constants = same_constant(gold.node, pred.node)
        if constants is not None:
            return constants
        if proved(gold.node, pred.node):
            return True
        return self.decide(gold.source, pred.source)


def _letters(form: Form) -> str:
    """Words without case; an expression of letters alone (`RED`) counts as one."""
    text = form.text if isinstance(form, Text) else form.source if isinstance(form, Quantity) else ""
    return text.replace(" ", "").casefold() if all(part.isalpha() for part in text.split()) else ""


def _value(form: Form) -> Form:
    return form.value if isinstance(form, Assign) else form


def _items(form: Form) -> tuple[Form, ...]:
    return form.items if isinstance(form, Many) else (form,)


_CALL = re.compile(r"[A-Za-z]\(([A-Za-z])\)")


def _renamed(named: Assign, like: Assign) -> Form:
    """The value of `f(t) = …` with the argument of `f(x) = …`."""
    own, other = _CALL.fullmatch(named.name), _CALL.fullmatch(like.name)
    if own is None or other is None or own[1] == other[1] or not isinstance(named.value, Quantity):
        return named.value
    swapped = {own[1]: other[1], other[1]: own[1]}
    return read(" ".join(swapped.get(token, token) for token in named.value.source.split(" ")))


def _variable(name: str) -> bool:
    return len(name) == 1 or "_" in name


def _solved(named: Assign) -> bool:
    """Whether the value does not hold the name again, so that two equations are equal exactly if their values are."""
    return isinstance(named.value, Quantity) and named.name not in named.value.source.replace(" ", "")


def _general(named: Assign) -> bool:
    """Whether this is an equation between variables, not a name with a value: neither f(x) = … nor AB = 5."""
    value = named.value
    return (
        "(" not in named.name and isinstance(value, Quantity) and any(part.isalpha() for part in value.source.split())
    )


def _clock(parts: Sequence[Form]) -> bool:
    """Whether this may be a time of day: hours and two-digit minutes."""
    last = parts[-1]
    return isinstance(last, Quantity) and len(last.source) == 2 and last.source.isdigit() and len(parts) == 2
