r"""Grading what a model wrote: extraction, then comparison.

    from reason.answers import grade

    graded = grade("1/2", r"So the chance is \boxed{0.5}.")
    graded.verdict.correct, graded.extracted.answer, graded.extracted.span   # True, '0.5', (24, 27)

A gold answer may be a whole solution: where it holds a box, a `####` line or an "answer is", that is taken; a text of
several lines without one is read as a model's would be; anything else is the answer as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

from reason.answers.equality import equal
from reason.answers.extract import Extracted, extract
from reason.answers.symbolic import Pool
from reason.answers.verdict import DEFAULT_RULES, Rules, Verdict

_MARKED = frozenset(("boxed", "marker", "hashes"))


@dataclass(frozen=True, slots=True)
class Graded:
    """A verdict and the answer it is about.

    Attributes:
        verdict: The grade, its tier, its time and its reason.
        extracted: What was read as the prediction's answer, how and where.
        gold: What was read as the gold answer.
    """

    verdict: Verdict
    extracted: Extracted
    gold: str | None

    @property
    def correct(self) -> bool:
        """Whether the answer equals the gold one."""
        return self.verdict.correct


def gold_answer(gold: str | None) -> str | None:
    """The answer that a data set's gold field holds."""
    if gold is None:
        return None
    found = extract(gold)
    solution = found.method in _MARKED or (found.answer is not None and "\n" in gold.strip())
    return found.answer if solution else gold.strip()


def grade(
    gold: str | None,
    text: str | None,
    *,
    rules: Rules = DEFAULT_RULES,
    strict: bool = False,
    symbolic: bool = True,
    pool: Pool | None = None,
) -> Graded:
    r"""Grade a solution's text against a gold answer.

    Args:
        gold: The gold answer, or a gold solution that marks it.
        text: What the model wrote; None counts as no answer.
        rules: The comparison policy.
        strict: Accept only an answer in `\boxed{…}`.
        symbolic: Whether to ask the symbolic tier about what the exact tier leaves open.
        pool: The symbolic tier's workers; None uses one shared pool.

    Raises:
        BackendError: A symbolic worker is needed and cannot be started.
    """
    expected = gold_answer(gold)
    found = extract(text or "", strict=strict)
    if gold and text and not strict and (text := text.strip()) == gold.strip() and found.answer != expected:
        found = Extracted(expected, "whole", (0, len(text)))
    verdict = equal(expected, found.answer, rules=rules, symbolic=symbolic, pool=pool)
    return Graded(verdict, found, expected)
