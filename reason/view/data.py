"""What the page shows, as plain data, and its compact JSON: columns of numbers and texts instead of objects.

A text is a string or, where it holds mathematics, a list of strings and of places in the block's table of formulas.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from reason.types import Finish
from reason.view.mathml import Formulas

Text: TypeAlias = str | list[str | int]
FINISHES = tuple(finish.value for finish in Finish)
KINDS = ("step", "solution", "answer", "line")
PREVIEW = 400
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Node:
    """One row of a problem's tree.

    Attributes:
        parent: Index of the node above it, lower than its own; -1 for a top row.
        text: What it adds to the path.
        kind: "step"; "solution" for a whole one; "answer" for the solutions that agree on an answer; "line" for a part
            of a solution that has a score of its own.
        finish: A `Finish` value.
        value, mean: Its score, and the mean of what was found at and below it; NaN where unknown.
        visits, copies, tokens: Simulations through it, equal samples merged into it, tokens it added.
        pruned, chosen: Whether a beam dropped it; whether it lies on the answer's path.
        logprob: Sum of its tokens' log-probabilities in nats; NaN where unknown.
        token_ids, logprobs: Token by token, where known.
        note: More about it, in words: a weight, what failed.
    """

    parent: int
    text: str
    kind: str = "step"
    finish: str = "step"
    value: float = math.nan
    mean: float = math.nan
    visits: int = 0
    copies: int = 1
    tokens: int = 0
    pruned: bool = False
    chosen: bool = False
    logprob: float = math.nan
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Vote:
    """What stood behind one answer: its weight and how many solutions; `chosen` marks the one that won."""

    answer: str | None
    weight: float
    solutions: int
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A problem in the table.

    Attributes:
        id, question, answer, gold: As in `Outcome`.
        verdict: A grade's name, "failed", or empty where nothing graded it.
        state: "running", "interrupted" or "done".
        stopped: "done", "budget" or "error"; empty while it is not done.
        tokens, scored_tokens, seconds: What it cost so far.
        failures: How many.
    """

    id: str
    question: str
    answer: str | None = None
    gold: str | None = None
    verdict: str = ""
    state: str = "done"
    stopped: str = ""
    tokens: int = 0
    scored_tokens: int = 0
    seconds: float = 0.0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class ProblemView:
    """Everything about one problem: its tree, its votes, and facts as (name, value) pairs."""

    question: str
    nodes: Sequence[Node]
    answer: str | None = None
    gold: str | None = None
    votes: tuple[Vote, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    failures: tuple[str, ...] = ()
    prompt: str | None = None
    done: bool = True


@dataclass(frozen=True, slots=True)
class RunView:
    """What the run is.

    Attributes:
        title: The heading.
        totals: (name, value) pairs under it.
        facts: (section, (name, value) pairs): the configuration, the versions.
        rows: The problems, in their order.
        notes: What a reader must know, one sentence each.
    """

    title: str
    totals: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def run_json(run: RunView, formulas: Formulas) -> dict[str, Any]:
    """The run and its table; questions are cut to what a row can show."""
    rows = [
        [
            row.id,
            formulas.split(row.question[:PREVIEW]),
            formulas.answer(_cut(row.answer)),
            formulas.answer(_cut(row.gold)),
            row.verdict,
            row.state,
            row.stopped,
            row.tokens,
            row.scored_tokens,
            _number(row.seconds, 2),
            row.failures,
        ]
        for row in run.rows
    ]
    return {
        "title": run.title,
        "totals": run.totals,
        "facts": run.facts,
        "notes": run.notes,
        "rows": rows,
        "math": formulas.taken(),
    }


def problem_json(view: ProblemView, formulas: Formulas) -> dict[str, Any]:
    """One problem without its single tokens."""
    nodes = view.nodes
    return {
        "question": formulas.split(view.question),
        "answer": formulas.answer(view.answer),
        "gold": formulas.answer(view.gold),
        "votes": [
            [formulas.answer(vote.answer), _number(vote.weight, 4), vote.solutions, int(vote.chosen)]
            for vote in view.votes
        ],
        "facts": view.facts,
        "failures": view.failures,
        "prompt": view.prompt,
        "done": view.done,
        "parent": [node.parent for node in nodes],
        "text": [formulas.split(node.text) for node in nodes],
        "kind": [KINDS.index(node.kind) for node in nodes],
        "finish": [FINISHES.index(node.finish) for node in nodes],
        "flags": [int(node.pruned) + 2 * int(node.chosen) for node in nodes],
        "value": _numbers((node.value for node in nodes), 4),
        "mean": _numbers((node.mean for node in nodes), 4),
        "visits": [node.visits for node in nodes],
        "copies": [node.copies for node in nodes],
        "tokens": [node.tokens for node in nodes],
        "logprob": _numbers((node.logprob for node in nodes), 3),
        "notes": {str(index): node.note for index, node in enumerate(nodes) if node.note},
        "math": formulas.taken(),
    }


def tokens_json(view: ProblemView) -> list[Any]:
    """The token ids and log-probabilities of each node; 0 where it has none."""
    return [
        [list(node.token_ids), _numbers(node.logprobs, 3)] if node.token_ids or node.logprobs else 0
        for node in view.nodes
    ]


def dump(data: Any) -> str:
    """Compact JSON that is safe inside a script element, whatever its texts hold: it has no `<` and no surrogates."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _cut(text: str | None) -> str | None:
    return text if text is None else text[:PREVIEW]


def _number(value: float, places: int) -> float | int | None:
    if not math.isfinite(value):
        return None
    rounded = round(value, places)
    return int(rounded) if rounded == int(rounded) else rounded


def _numbers(values: Iterable[float], places: int) -> list[float | int | None]:
    return [_number(value, places) for value in values]
