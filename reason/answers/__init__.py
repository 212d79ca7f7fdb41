r"""Answers: finding them in text, comparing them, voting over them.

    from reason.answers import equal, extract, grade, vote

    grade("54", "48 + 6 = 54\nAnswer: 54").correct     # True
    extract("48 + 6 = 54\nAnswer: 54").answer          # '54'
    equal(r"\frac{1}{2}", "0.5").correct               # True, by the exact tier
    equal(r"\tan^2 x + 1", r"\sec^2 x").correct        # True, by the exact tier
    equal(r"\int_0^1 x\,dx", r"\frac12").tier          # 'symbolic'
    [group.answer for group in vote(["2", "1/2", "0.5"])]  # ['1/2', '2']

The exact tier reads numbers, expressions, lists, sets, intervals, tuples, matrices, equations, inequalities, units and
text into normal forms and decides nearly everything in about 0.1 ms; what it leaves open goes to Math-Verify in a
killable, memory-limited worker process. The comparison policy stands in `reason.answers.equality`; `Rules` changes it.
Model text never reaches `eval`, `sympify` or `parse_expr`.
"""

from reason.answers.equality import equal
from reason.answers.extract import Extracted, answer_of, extract
from reason.answers.grading import Graded, gold_answer, grade
from reason.answers.symbolic import Pool
from reason.answers.verdict import DEFAULT_RULES, Grade, Rules, Verdict
from reason.answers.vote import Group, vote

__all__ = [
    "DEFAULT_RULES",
    "Extracted",
    "Grade",
    "Graded",
    "Group",
    "Pool",
    "Rules",
    "Verdict",
    "answer_of",
    "equal",
    "extract",
    "gold_answer",
    "grade",
    "vote",
]
