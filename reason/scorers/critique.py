"""A critique of a solution: its form in words, and reading it strictly.

The solution is shown with numbered steps. A critique names each problem on a line of its own, with words quoted from
the step, and ends with the number of the first wrong step:

    48 + 6 is 54, not 53.
    Problem in step 2: "48 + 6 = 53": the sum is 54
    First wrong step: 2

or with `First wrong step: none`. Nothing else is a critique: every problem's quote must really stand in the step that
it names (white space aside), and the last line must name the first of the problems, or none if there are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reason.scorers.asking import last_line
from reason.types import Path

OPENING = "Problem in step "
FORM = (
    "Find every step that is wrong: recompute each calculation and check that each step follows from those before and "
    "from the problem. Think first. Then name each problem on a line of its own, quoting the words that are wrong "
    'exactly as they stand in the step, without its number:\nProblem in step 3: "the words": what is wrong with them\n'
    "Then end with one last line, the number of the first wrong step, or none if there is none:\n"
    "First wrong step: 3\nor\nFirst wrong step: none"
)
LONGEST_LINE = 4096
_FINAL = re.compile(r"first wrong step\s*:\s*(none|[0-9]{1,6})\s*\.?", re.IGNORECASE)
_PROBLEM = re.compile(r"[\s>*#-]*problem in step\s", re.IGNORECASE)
_HEAD = re.compile(r"[\s>*#-]*problem in step\s+([0-9]{1,6})\s*\**\s*:\s*\**\s*(?=[\"“])", re.IGNORECASE)
_AFTER_QUOTE = re.compile(r"\s*(?:$|[:;,.–—-]\s*)")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that a critique names.

    Attributes:
        step: The number of the step, from 1.
        quote: Words of that step.
        comment: What is wrong with them.
    """

    step: int
    quote: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Critique:
    """A critique that could be read.

    Attributes:
        text: As it was written.
        findings: Its problems, in the order named.
    """

    text: str
    findings: tuple[Finding, ...] = ()

    @property
    def first(self) -> int | None:
        """The number of the first wrong step, or None."""
        return min((finding.step for finding in self.findings), default=None)

    @property
    def body(self) -> str:
        """The critique without its last line, ending with a line break if there is any."""
        lines = self.text.rstrip().splitlines()[:-1]
        return "\n".join(lines) + "\n" if lines else ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a text is no critique."""

    why: str


def units_of(path: Path, split: str) -> list[tuple[int, str]]:
    """The numbered pieces of a solution, each with the index of its step: parts of steps, or with "" whole steps."""
    pieces = ((index, step.text.split(split) if split else [step.text]) for index, step in enumerate(path.steps))
    return [(index, text.strip()) for index, texts in pieces for text in texts if text.strip()]


def numbered(units: Sequence[tuple[int, str]]) -> str:
    """The pieces with their numbers; further lines of a piece are indented, so that none looks like a number."""
    return "\n".join(f"[{number}] {_indented(text)}" for number, (_, text) in enumerate(units, 1))


def read_critique(text: str, steps: Sequence[str]) -> Critique | Unreadable:
    """Read a critique of these steps."""
    final = _FINAL.fullmatch(last_line(text))
    if final is None:
        return Unreadable(f"the last line {last_line(text)!r:.60} does not name the first wrong step")
    findings = list[Finding]()
    for line in text.rstrip().splitlines()[:-1]:
        if _PROBLEM.match(line):
            finding = _read_finding(line, steps)
            if isinstance(finding, Unreadable):
                return finding
            findings.append(finding)
    critique = Critique(text, tuple(findings))
    said = None if final[1].lower() == "none" else int(final[1])
    if said != critique.first:
        return Unreadable(f"the last line says {final[1]}, but the first problem named is in step {critique.first}")
    return critique


def _read_finding(line: str, steps: Sequence[str]) -> Finding | Unreadable:
    head = _HEAD.match(line)
    if head is None or len(line) > LONGEST_LINE:
        return Unreadable(f"{line.strip()!r:.60} names no step with a quote")
    number = int(head[1])
    if not 1 <= number <= len(steps):
        return Unreadable(f"there is no step {number}: the solution has {len(steps)}")
    close = '"' if line[head.end()] == '"' else "”"
    step = _plain(steps[number - 1])
    end = line.rfind(close)
    while end > head.end():
        quote, rest = _plain(line[head.end() + 1 : end]), line[end + 1 :]
        if quote and quote in step and (after := _AFTER_QUOTE.match(rest)):
            return Finding(number, quote, rest[after.end() :].strip())
        end = line.rfind(close, 0, end)
    return Unreadable(f"{line.strip()!r:.60} quotes what does not stand in step {number}")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _indented(text: str) -> str:
    return "\n    ".join(text.splitlines())
