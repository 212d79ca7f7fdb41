r"""Comparing a prediction with a gold answer: the exact tier first, the symbolic tier for what it leaves open.

Policy (`Rules` changes all but the last two):

- Percent: a predicted `5\%` is 0.05, not 5. A gold `10\%` accepts 10 (the unit dropped) and 0.1.
- Decimals: a decimal equals an exact value that it rounds, from 6 places and 6 significant digits on; otherwise 0.33 is
  not 1/3, and two decimals are equal only exactly.
- Case is ignored in text and in choice letters A to J, never in variables.
- Units and currencies: one missing is dropped, two must be the same, nothing is converted.
- Order: lists and sets in any order, tuples in theirs; a bare list matches a tuple in its order.
- [0,1) is not (0,1), and a number in a base equals only the same number in that base.
- Names on the left of `=` are dropped when the other side has none; two variables must be the same.
"""

from __future__ import annotations

import re
import time

from reason.answers import exact
from reason.answers.algebra import Limit, Unreadable
from reason.answers.forms import read
from reason.answers.latex import LONGEST, THIN, THOUSANDS, clean
from reason.answers.shapes import Based, Colon, Text, Unread
from reason.answers.symbolic import Pool, Reply, default_pool
from reason.answers.verdict import DEFAULT_RULES, Grade, Rules, Verdict

MOST_SYMBOLIC = 6
_CHOICE = re.compile(r"(?:\\text\s*\{)?\(?[A-J]\)?\}?")
_NAMED = re.compile(r"(?:option|choice)\s+\(?([A-Ja-j])\)?\.?\Z|\(?([A-J])(?:[.:]|\)[.:]?)\s+\S", re.IGNORECASE)
"""A choice with its word or its text: "Option A", "(B) 12", "C. blue"."""
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{[a-z*]+\}")
_WORD = re.compile(r"\\text[a-z]*\s*\{[^}]*[A-Za-z]{2}|(?<![\\A-Za-z])[A-Za-z]{4,}")


def equal(
    gold: str | None, pred: str | None, *, rules: Rules = DEFAULT_RULES, symbolic: bool = True, pool: Pool | None = None
) -> Verdict:
    """Grade an extracted answer against the gold one.

    Args:
        gold: The gold answer as the data set has it.
        pred: The extracted answer, or None where there is none.
        rules: The comparison policy.
        symbolic: Whether to ask the symbolic tier about what the exact tier leaves open; without it, that is incorrect.
        pool: The symbolic tier's workers; None uses one shared pool.

    Returns:
        The verdict; no text makes it raise.

    Raises:
        BackendError: A symbolic worker is needed and cannot be started.
    """
    started = time.perf_counter()
    verdict, tier, reason = _graded(gold, pred, rules, symbolic, pool)
    return Verdict(verdict, tier, (time.perf_counter() - started) * 1e3, reason)


def _graded(
    gold: str | None, pred: str | None, rules: Rules, symbolic: bool, pool: Pool | None
) -> tuple[Grade, str, str]:
    if gold is None or not gold.strip():
        return Grade.GOLD_ERROR, "exact", "the gold answer is empty"
    if len(gold) > LONGEST:
        return Grade.GOLD_ERROR, "exact", f"the gold answer is longer than {LONGEST} characters"
    if pred is None or not pred.strip():
        return Grade.NO_ANSWER, "exact", ""
    if len(pred) > LONGEST:
        return Grade.LIMIT, "exact", f"longer than {LONGEST} characters"
    gold, pred = gold.strip(), pred.strip()
    if _CHOICE.fullmatch(gold) and (named := _NAMED.match(pred)):
        pred = named[named.lastindex or 1]
    if exact.identical(gold, pred, rules):
        return Grade.CORRECT, "exact", ""
    try:
        read(gold)
    except Limit as error:
        return Grade.GOLD_ERROR, "exact", f"the gold answer: {error}"
    oracle = _Oracle(pool, symbolic)
    try:
        found = _same(gold, pred, rules, oracle)
        forms = read(gold), read(pred)
    except (Limit, RecursionError) as error:
        return Grade.LIMIT, "exact", str(error)
    malformed = isinstance(forms[1], Unread) and forms[1].malformed
    closed = malformed or any(isinstance(form, Text | Based | Colon) for form in forms)
    if found is None and not oracle.replies and not closed:
        found = oracle(_surface(gold), _surface(pred))
    tier = "symbolic" if oracle.replies else "text" if any(isinstance(form, Text) for form in forms) else "exact"
    if found:
        return Grade.CORRECT, tier, ""
    if found is None and oracle.replies:
        worst = oracle.replies[-1]
        return worst.grade if worst.grade is not Grade.GOLD_ERROR else Grade.INCORRECT, tier, worst.reason
    if isinstance(forms[1], Unread) and not oracle.replies and not isinstance(forms[0], Unread):
        return Grade.UNPARSEABLE, tier, forms[1].reason
    return Grade.INCORRECT, tier, ""


def _same(gold: str, pred: str, rules: Rules, oracle: _Oracle) -> bool | None:
    try:
        return exact.same(gold, pred, rules=rules, decide=oracle)
    except (Unreadable, ArithmeticError):
        return None


def _surface(answer: str) -> str:
    """An answer as LaTeX for the symbolic tier."""
    return clean(answer).replace(THOUSANDS, "").replace(THIN, " ").replace("$", "")


def _wordy(text: str) -> bool:
    """Whether an answer holds words, which Math-Verify would read as products of letters."""
    return bool(_WORD.search(_ENVIRONMENT.sub("", text)))


class _Oracle:
    """Asks the symbolic tier about a pair and remembers what it said."""

    def __init__(self, pool: Pool | None, enabled: bool) -> None:
        self.pool = pool
        self.enabled = enabled
        self.replies: list[Reply] = []

    def __call__(self, gold: str, pred: str) -> bool | None:
        if not self.enabled or len(self.replies) >= MOST_SYMBOLIC or _wordy(gold) or _wordy(pred):
            return None
        pool = self.pool or default_pool()
        left = pool.timeout - sum(reply.seconds for reply in self.replies)
        if left <= 0:
            return None
        reply = pool.check(gold, pred, seconds=left)
        self.replies.append(reply)
        return {Grade.CORRECT: True, Grade.INCORRECT: False}.get(reply.grade)
