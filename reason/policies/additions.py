"""The toy world of `reason.policies.fake`: sums solved term by term, one line each.

A question holds `a + b + …`; each line adds one term, `2 + 3 = 5`, the last says `Answer: 9`. A line that is neither
(text that a search forced, such as "Wait") makes the solution begin anew after it; blank lines mean nothing.
"""

from __future__ import annotations

import hashlib
import random
import re

from reason.types import Problem

_SUM = re.compile(r"(?<![\d+] )(?<!\d)\d+( \+ \d+)+(?!\d| =| \+)")
_LINE = re.compile(r"\d+ \+ \d+ = (\d+)|Answer: \d+")


def fake_problems(count: int, *, terms: int = 4, seed: int = 0) -> list[Problem]:
    """Addition problems with gold answers; ids are "fake-0", "fake-1", …"""
    draw = random.Random(f"{seed}/{terms}")
    numbers = [[draw.randint(1, 9) for _ in range(terms)] for _ in range(count)]
    return [Problem(f"fake-{i}", " + ".join(map(str, row)), str(sum(row))) for i, row in enumerate(numbers)]


def terms_of(question: str) -> list[int]:
    """The numbers to add: those of the first `a + b + …` in it, or without one three digits derived from the text."""
    found = _SUM.search(question)
    if found is not None:
        return [int(term) for term in found[0].split(" + ")]
    return [1 + byte % 9 for byte in hashlib.blake2b(question.encode(), digest_size=3).digest()]


def standing(question: str, text: str) -> tuple[int, int]:
    """How many lines of a solution stand after the whole lines of `text`, and their total."""
    start = terms_of(question)[0]
    lines, total = 0, start
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            lines, total = lines + 1, int(found[1] or total)
        elif line.strip():
            lines, total = 0, start
    return lines, total


def correct_lines(question: str, text: str) -> list[bool]:
    """For every line of a solution so far, the unfinished one included: whether it and all before it are right."""
    terms, index, right, verdicts = terms_of(question), 0, True, []
    total = terms[0]
    for line in text.splitlines():
        if not line.strip():
            verdicts.append(right)
            continue
        if index + 1 < len(terms):
            expected = f"{total} + {terms[index + 1]} = {total + terms[index + 1]}"
            total += terms[index + 1]
        else:
            expected = f"Answer: {total}"
        index, right = index + 1, right and line == expected
        verdicts.append(right)
        if _LINE.fullmatch(line) is None:
            index, total, right = 0, terms[0], True
    return verdicts
