"""Runs made up for the page's tests and benchmark."""

from __future__ import annotations

import math
import pathlib
import random

from reason.view.data import Node, ProblemView, Row, RunView, Vote
from reason.view.page import page

STEPS = (
    "Ada has {a} boxes with {b} pens in each, so she has ${a} \\times {b}$ pens.\n",
    "Then she buys {a} more: {b} + {a} = {c}.\n",
    "So \\(x^2 - {a}x + {b} = 0\\), hence \\[x = \\frac{{{a} \\pm \\sqrt{{{c} - {b}}}}}{{2}}.\\]\n",
    "Half of ${a} is ${b}, and a third of it is ${c}.\n",
    "The answer is \\boxed{{\\frac{{{a}}}{{{b}}}}}.\n",
)


def sample_step(draw: random.Random) -> str:
    """A step of its own, most with mathematics in it."""
    a, b, c = (draw.randrange(2, 999) for _ in range(3))
    return draw.choice(STEPS).format(a=a, b=b, c=c)


def sample_tree(nodes: int, seed: int = 0, *, tokens: int = 12) -> tuple[Node, ...]:
    """A tree of so many steps, deep and wide, with a chosen path."""
    draw = random.Random(seed)
    parents = [-1]
    while len(parents) < nodes:
        parents.append(draw.randrange(max(-1, len(parents) - 40), len(parents)))
    with_children = set(parents)
    chosen, at = set[int](), nodes - 1
    while at >= 0:
        chosen.add(at)
        at = parents[at]
    made = list[Node]()
    for index, parent in enumerate(parents):
        leaf = index not in with_children
        finish = draw.choice(("stop", "stop", "length", "step", "error")) if leaf and index < nodes - 1 else "step"
        logprobs = tuple(-draw.expovariate(3.0) for _ in range(tokens))
        made.append(
            Node(
                parent,
                sample_step(draw),
                finish="stop" if index == nodes - 1 else finish,
                value=draw.random(),
                mean=draw.random(),
                visits=draw.randrange(1, 200),
                copies=draw.randrange(1, 4),
                tokens=tokens,
                pruned=leaf and finish == "step" and draw.random() < 0.5,
                chosen=index in chosen,
                logprob=math.fsum(logprobs),
                token_ids=tuple(draw.randrange(50_000) for _ in range(tokens)),
                logprobs=logprobs,
                note="the server answered 503" if finish == "error" else "",
            )
        )
    return tuple(made)


def sample_problem(question: str = "What is $1 + 1$?", nodes: int = 50, seed: int = 0) -> ProblemView:
    """A finished problem."""
    return ProblemView(
        question,
        sample_tree(nodes, seed),
        answer="54",
        gold="54",
        votes=(Vote("54", 3.0, 4, chosen=True), Vote("52", 1.0, 2), Vote(None, 0.5, 1)),
        facts=(("generated tokens", "1,204"), ("seconds", "1.3")),
        failures=("extend: the server answered 503",),
        prompt=f"Question: {question}\nAnswer:",
    )


def sample_run(questions: list[str]) -> RunView:
    """The table of so many finished problems."""
    rows = tuple(
        Row(
            f"p-{index}",
            question,
            answer=str(index % 7),
            gold=str(index % 5),
            verdict="correct" if index % 7 == index % 5 else "incorrect",
            stopped="budget" if index % 11 == 10 else "done",
            tokens=100 + 37 * index % 1000,
            seconds=index / 10,
            failures=index % 13 == 12,
        )
        for index, question in enumerate(questions)
    )
    facts = (("Run", (("strategy", "beam"), ("n", "16"))), ("Versions", (("reason-toolkit", "0.1.0"),)))
    return RunView("toy: beam, n 16", (("accuracy", "70 %"), ("problems", str(len(rows)))), facts, rows)


def write(folder: pathlib.Path, run: RunView, problems: list[ProblemView]) -> str:
    """Write a page into the folder; returns its address."""
    file = folder / "page.html"
    file.write_bytes(page(run, problems).encode())
    return file.as_uri()
