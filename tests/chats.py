"""Scripted chat models for the tests of the strategies that ask: what they say is known exactly.

`ChatPolicy` turns a function (question, text so far, random numbers) -> rest of the reply into a policy. The worlds:

- `slipper`: adds numbers and slips by `slips`; shown an earlier attempt, it mends one slip of the latest. As a critic
  it tells right from wrong.
- `coin`: adds numbers and is right with some probability.
- `Puzzler`: plays the game of 24 with exact fractions.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from reason.budget import path_tokens
from reason.run import solve
from reason.scorers.game24 import Game24
from reason.types import Capabilities, Finish, Outcome, Path, Problem, Sampling, Step, Until

Reply = Callable[[str, str, random.Random], str]
EOS = 256
ADD = Problem("add", "What is 3 + 4 + 5?", "12")


class ChatPolicy:
    """A policy of a script; its tokens are bytes, and what it says depends on seed, question and text alone.

    Attributes:
        asked: Every question, in order; texts: what there was of each reply; replies: what was added.
    """

    def __init__(
        self, reply: Reply, *, partial: bool = True, token_ids: bool = True, error: Callable[[Path], bool] | None = None
    ) -> None:
        self.reply, self.error = reply, error
        self.capabilities = Capabilities("chat", partial, token_ids)
        self.asked: list[str] = []
        self.texts: list[str] = []
        self.replies: list[str] = []

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        return [self.step(path, sampling) for path in paths]

    def step(self, path: Path, sampling: Sampling) -> Step:
        question = path.problem.question
        if self.error is not None and self.error(path):
            return Step("", finish=Finish.ERROR, error="told to fail")
        draw = random.Random(f"{path.seed}/{question}/{path.text}")
        text = self.reply(question, path.text, draw)
        limit, closed = sampling.max_tokens - path_tokens(path), Finish.LENGTH
        if sampling.until is Until.SPAN and sampling.max_step_tokens < limit:
            limit, closed = sampling.max_step_tokens, Finish.STEP
        text, finish, tail = (text, Finish.STOP, 1) if len(text) < limit else (text[:limit], closed, 0)
        for stop in sampling.stop:
            if stop in text:
                text, finish, tail = text[: text.index(stop)], Finish.STOP, len(stop)
        self.asked.append(question)
        self.texts.append(path.text)
        self.replies.append(text)
        tokens = (*text.encode(), *[EOS] * tail) if self.capabilities.token_ids else ()
        return Step(text, tokens, finish=finish, tail=tail if tokens else 0)


def said_answers(text: str) -> list[int]:
    """The numbers after "Answer:" in a text."""
    return [int(found) for found in re.findall(r"Answer: (-?\d+)", text)]


def total(question: str) -> int:
    """The sum that a question asks for: the first one in it."""
    found = re.search(r"\d+( \+ \d+)+", question)
    return sum(map(int, found[0].split(" + "))) if found else 0


def slipper(slips: int = 3, verdict: str = "Verdict: {}") -> Reply:
    """Answers right + slips at first; shown attempts, one slip fewer than in the latest of them."""

    def reply(question: str, text: str, draw: random.Random) -> str:
        right = total(question)
        shown = said_answers(question)
        if question.startswith("Check"):
            return f"The answer was {shown[-1]}.\n" + verdict.format("correct" if shown[-1] == right else "wrong")
        answer = right + slips if not shown else max(shown[-1] - 1, right)
        return f"I add them up.\nAnswer: {answer}"

    return reply


def coin(chance: float) -> Reply:
    """Answers right with this probability, each time anew; else right + 1 to 3. As a critic it knows."""
    known = slipper()

    def reply(question: str, text: str, draw: random.Random) -> str:
        if question.startswith("Check"):
            return known(question, text, draw)
        error = 0 if draw.random() < chance else draw.randint(1, 3)
        return f"Answer: {total(question) + error}"

    return reply


def moves(numbers: Sequence[Fraction]) -> list[tuple[str, tuple[Fraction, ...]]]:
    """Every step from these numbers: its text and what is left."""
    found: dict[str, tuple[Fraction, ...]] = {}
    for i, j in itertools.permutations(range(len(numbers)), 2):
        a, b = numbers[i], numbers[j]
        rest = tuple(number for at, number in enumerate(numbers) if at not in (i, j))
        for sign, value in (("+", a + b), ("-", a - b), ("*", a * b), ("/", a / b if b else None)):
            if value is not None and (sign in "-/" or i < j):
                left = tuple(sorted((*rest, value)))
                found[f"{a} {sign} {b} = {value} (left: {' '.join(map(str, left))})"] = left
    return list(found.items())


def solvable(numbers: Sequence[Fraction]) -> bool:
    """Whether 24 can be reached, by trying everything."""
    if len(numbers) == 1:
        return numbers[0] == 24
    return any(solvable(left) for _, left in moves(numbers))


class Puzzler:
    """A chat model that plays the game of 24.

    It proposes `width` random steps, judges a state rightly with probability `insight`, and asked for a whole solution
    it makes random steps (as chain of thought without looking ahead does).
    """

    def __init__(self, width: int = 8, insight: float = 1.0) -> None:
        self.width, self.insight = width, insight

    def __call__(self, question: str, text: str, draw: random.Random) -> str:
        steps = re.findall(r"^> (.*\(left: .*\))$", question, re.MULTILINE)
        left = re.findall(r"\(left: ([^)]*)\)", steps[-1])[-1] if steps else re.findall(r"\[([^]]*)\]", question)[0]
        numbers = tuple(map(Fraction, left.split()))
        if "different next steps" in question or "Write the next step" in question:
            options = [line for line, _ in moves(numbers)]
            chosen = draw.sample(options, min(self.width, len(options)))
            return chosen[0] if "Write the next step" in question else _numbered(chosen)
        if "sure, likely or impossible" in question:
            hope = solvable(numbers) if draw.random() < self.insight else draw.random() < 0.5
            return f"I try.\n{'sure' if hope else 'impossible'}"
        if "most promising" in question:
            blocks = question.split("Choice ")[1:]
            states = [tuple(map(Fraction, re.findall(r"\(left: ([^)]*)\)", b)[-1].split())) for b in blocks]
            return f"Best: {next((i + 1 for i, state in enumerate(states) if solvable(state)), 1)}"
        while len(numbers) > 1:
            line, numbers = draw.choice(moves(numbers))
            steps.append(line)
        return "\n".join(steps) + f"\nAnswer: {expression(steps)} = {numbers[0]}"


def _numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{index + 1}. {line}" for index, line in enumerate(lines))


def expression(steps: Sequence[str]) -> str:
    """One expression for a chain of steps."""
    made: list[tuple[Fraction, str]] = []
    for step in steps:
        a, sign, b, value = re.match(r"(\S+) (\S) (\S+) = (\S+)", step).groups()  # type: ignore[union-attr]
        sides = []
        for side in (a, b):
            at = next((i for i, (number, _) in enumerate(made) if number == Fraction(side)), None)
            sides.append(side if at is None else made.pop(at)[1])
        made.append((Fraction(value), f"({sides[0]} {sign} {sides[1]})"))
    return made[-1][1] if made else "0"


def puzzle(*numbers: int) -> Problem:
    """A game of 24."""
    shown = " ".join(map(str, numbers))
    question = f"Use each of the numbers [{shown}] once, with + - * / and parentheses, to make 24."
    return Problem(f"24: {shown}", question, meta={"numbers": numbers, "target": 24})


PUZZLES = [puzzle(*n) for n in ((4, 5, 6, 10), (4, 9, 10, 13), (1, 4, 8, 8), (5, 5, 5, 9), (1, 5, 5, 5), (3, 3, 8, 8))]
EASY = PUZZLES[0]


def kind(question: str) -> str:
    names = {
        "different next steps": "propose",
        "Write the next step": "sample",
        "Check them": "value",
        "Is this solution right": "check",
        "most promising": "vote",
        "Go on from these": "answer",
    }
    return next((name for words, name in names.items() if words in question), "plain")


def asked(policy: ChatPolicy) -> list[str]:
    return [kind(question) for question in policy.asked]


def scripted(script: dict[str, str]) -> ChatPolicy:
    """Replies by kind of question; "value a" for the value of a state that ends with a."""

    def reply(question: str, text: str, draw: random.Random) -> str:
        steps = re.findall(r"^> (.*)", question, re.MULTILINE)
        name = kind(question)
        return script.get(f"{name} {steps[-1] if steps else ''}".strip(), script.get(name, ""))

    return ChatPolicy(reply)


WORDS = {"value a": "sure", "value b": "likely", "value c": "impossible", "check": "sure", "answer": "Answer: 1"}
ABC = {"propose": "1. a\n2. b\n3. c", **WORDS}


def solved(policy: ChatPolicy, search: object, problem: Problem = EASY, **options: object) -> Outcome:
    [outcome] = solve([problem], policy=policy, search=search, **options)  # type: ignore[arg-type]
    assert outcome.stopped != "error", outcome.failures
    return outcome


def right(path: Path | None) -> bool:
    return path is not None and asyncio.run(Game24().judge([path]))[0].value == 1
