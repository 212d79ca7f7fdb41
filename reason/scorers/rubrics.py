"""What a judge judges by: correctness, factuality, style, or the user's own words."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from reason.types import UsageError


@dataclass(frozen=True, slots=True)
class Rubric:
    """A criterion.

    Attributes:
        name: For reports.
        criterion: What makes a solution better, in words.
        question: The same as a question that can be answered by yes or no.
    """

    name: str
    criterion: str
    question: str


RUBRICS: dict[str, Rubric] = {
    "correctness": Rubric(
        "correctness",
        "Correctness. The best solution reaches the right answer by steps that are each true and follow from those "
        "before. Recompute every calculation. A wrong final answer deserves a low score however well it is written.",
        "Is the solution correct, in every step and in its final answer?",
    ),
    "factuality": Rubric(
        "factuality",
        "Factuality. Every claim about the world in the best solution is true and can be checked, and nothing is made "
        "up: no invented names, dates, quotations, sources or figures. A claim that is wrong weighs more than one that "
        "is missing; what is stated as uncertain and is uncertain is no fault.",
        "Is every factual claim in the solution true?",
    ),
    "style": Rubric(
        "style",
        "Style. The best solution is clear, well ordered, complete and no longer than it needs to be, in a tone that "
        "fits the question. Judge how it is written, not whether it is right.",
        "Is the solution clear, well ordered, complete and concise?",
    ),
}
"""The named rubrics."""


def find_rubric(named: str | Rubric) -> Rubric:
    """A rubric by its name, or one made of the user's own words (anything with a space in it).

    Raises:
        UsageError: A single word that is no rubric's name.
    """
    if isinstance(named, Rubric):
        return named
    if named in RUBRICS:
        return RUBRICS[named]
    if len(named.split()) > 1:
        return Rubric("own", named.strip(), "Does the solution meet this criterion?")
    close = difflib.get_close_matches(named, list(RUBRICS), 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise UsageError(f"there is no rubric {named!r}{hint}: pass {', '.join(RUBRICS)}, or a criterion in your own words")
