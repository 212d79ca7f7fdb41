"""A store as rows: nodes, paths, candidates or problems, one after another, for `reason export`.

Every row names its search (a number, and the strategy) and its problem, since a store may hold many of both. Token ids
and log-probabilities are those that were sampled, bit by bit; unknown numbers are NaN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reason.rows import Kind, Row
from reason.trace.read import Trace
from reason.trace.rows import StoredNode, StoredOutcome, StoredProblem, StoredSearch, TreeNode
from reason.types import Path, Problem, Step

HEAD: Mapping[str, Kind] = {"search": "whole", "strategy": "text", "problem": "text"}
STEP: Mapping[str, Kind] = {"token_ids": "wholes", "logprobs": "reals"}

COLUMNS: Mapping[str, Mapping[str, Kind]] = {
    "nodes": {
        **HEAD,
        "node": "whole",
        "parent": "whole",
        "depth": "whole",
        "text": "text",
        **STEP,
        "confidences": "reals",
        "tail": "whole",
        "prefilled": "whole",
        "finish": "text",
        "error": "text",
        "forced": "truth",
        "reopened": "truth",
        "question": "text",
        "seed": "whole",
        "score": "real",
        "score_steps": "reals",
        "score_parts": "reals",
        "visits": "whole",
        "mean_value": "real",
        "prior": "real",
        "copies": "whole",
        "pruned": "truth",
        "chosen": "truth",
        "elapsed": "real",
    },
    "paths": {
        **HEAD,
        "question": "text",
        "gold": "text",
        "node": "whole",
        "steps": "texts",
        "step_tokens": "wholes",
        **STEP,
        "finish": "text",
        "score": "real",
        "step_scores": "reals",
        "answer": "text",
        "chosen": "truth",
    },
    "candidates": {
        **HEAD,
        "place": "whole",
        "node": "whole",
        "text": "text",
        "finish": "text",
        "answer": "text",
        "score": "real",
        "weight": "real",
        "step_scores": "reals",
        "chosen": "truth",
    },
    "problems": {
        **HEAD,
        "question": "text",
        "gold": "text",
        "meta": "text",
        "done": "truth",
        "answer": "text",
        "confidence": "real",
        "stopped": "text",
        "generated_tokens": "whole",
        "prefilled_tokens": "whole",
        "scored_tokens": "whole",
        "flops": "real",
        "seconds": "real",
        "failures": "texts",
    },
}
"""The columns of each table, with their kinds."""


def table(trace: Trace, what: str) -> Iterator[Row]:
    """The rows of a table, in the order in which the searches and their problems began.

    Args:
        trace: The store.
        what: A key of `COLUMNS`.
    """
    rows: Callable[[Trace, StoredSearch, StoredProblem, StoredOutcome], Iterator[dict[str, Any]]] = {
        "nodes": _nodes,
        "paths": _paths,
        "candidates": _candidates,
        "problems": _problems,
    }[what]
    problems = {held.number: held for held in trace.problems()}
    for search in trace.searches():
        for outcome in sorted(trace.outcomes(search.number), key=lambda held: held.problem):
            problem = problems[outcome.problem]
            head = {"search": search.number, "strategy": search.strategy, "problem": problem.problem.id}
            for row in rows(trace, search, problem, outcome):
                yield head | row


def _nodes(
    trace: Trace, search: StoredSearch, problem: StoredProblem, outcome: StoredOutcome
) -> Iterator[dict[str, Any]]:
    scores = {held.node: held for held in trace.scores(search.number, problem.number) if held.other is None}
    places = _places(trace, search.number, problem.number)
    for node in trace.nodes(search.number, problem.number):
        score, place, step = scores.get(node.number), places.get(node.number), node.step
        yield {
            "node": node.number,
            "parent": node.parent,
            "depth": node.depth,
            "text": step.text,
            "token_ids": step.token_ids,
            "logprobs": step.logprobs,
            "confidences": step.confidences,
            "tail": step.tail,
            "prefilled": step.prefilled,
            "finish": step.finish.value,
            "error": step.error,
            "forced": node.forced,
            "reopened": node.reopened,
            "question": node.question,
            "seed": node.seed,
            "score": math.nan if score is None else score.value,
            "score_steps": () if score is None else score.steps,
            "score_parts": () if score is None else score.parts,
            "visits": None if place is None else place.visits,
            "mean_value": None if place is None else place.mean_value,
            "prior": None if place is None else place.prior,
            "copies": None if place is None else place.copies,
            "pruned": None if place is None else place.pruned,
            "chosen": None if place is None else place.chosen,
            "elapsed": node.elapsed,
        }


def _places(trace: Trace, search: int, problem: int) -> dict[int, TreeNode]:
    """A node's place in the search tree, by its number; the first where equal steps were merged into several."""
    found = dict[int, TreeNode]()
    for place in trace.tree(search, problem):
        if place.node is not None:
            found.setdefault(place.node, place)
    return found


def _paths(
    trace: Trace, search: StoredSearch, problem: StoredProblem, outcome: StoredOutcome
) -> Iterator[dict[str, Any]]:
    """Every path from the question to a step that nothing follows, and to the end of every candidate.

    A solution that was taken up again goes on without the tokens of its end (`reason.Path.reopened`).
    """
    nodes = {node.number: node for node in trace.nodes(search.number, problem.number)}
    inner = {node.parent for node in nodes.values()}
    scores = {held.node: held for held in trace.scores(search.number, problem.number) if held.other is None}
    answers = {held.node: held for held in trace.candidates(search.number, problem.number)}
    for node in nodes.values():
        score, held = scores.get(node.number), answers.get(node.number)
        if node.number in inner and held is None:
            continue
        line = _line(nodes, node, problem.problem)
        yield {
            "question": problem.problem.question,
            "gold": problem.problem.answer,
            "node": node.number,
            "steps": [step.text for step in line],
            "step_tokens": [len(step.token_ids) for step in line],
            "token_ids": [token for step in line for token in step.token_ids],
            "logprobs": [value for step in line for value in step.logprobs],
            "finish": node.step.finish.value if held is None else held.finish,
            "score": math.nan if score is None else score.value,
            "step_scores": () if score is None else score.parts or score.steps,
            "answer": None if held is None else held.answer,
            "chosen": node.number == outcome.node,
        }


def _line(nodes: Mapping[int, StoredNode], node: StoredNode, problem: Problem) -> list[Step]:
    """The steps from the first to the node's, each as the path went on from it."""
    line = [node.step]
    while node.parent is not None:
        node = nodes[node.parent]
        line += Path(problem, (node.step,)).reopened().steps
    return line[::-1]


def _candidates(
    trace: Trace, search: StoredSearch, problem: StoredProblem, outcome: StoredOutcome
) -> Iterator[dict[str, Any]]:
    for held in trace.candidates(search.number, problem.number):
        yield {
            "place": held.place,
            "node": held.node,
            "text": "".join(node.step.text for node in trace.line(held.node)),
            "finish": held.finish,
            "answer": held.answer,
            "score": held.score,
            "weight": held.weight,
            "step_scores": held.steps,
            "chosen": held.node == outcome.node,
        }


def _problems(
    trace: Trace, search: StoredSearch, problem: StoredProblem, outcome: StoredOutcome
) -> Iterator[dict[str, Any]]:
    cost = outcome.cost
    yield {
        "question": problem.problem.question,
        "gold": problem.problem.answer,
        "meta": json.dumps(problem.problem.meta, sort_keys=True),
        "done": outcome.done,
        "answer": outcome.answer,
        "confidence": outcome.confidence,
        "stopped": outcome.stopped,
        "generated_tokens": cost.generated_tokens,
        "prefilled_tokens": cost.prefilled_tokens,
        "scored_tokens": cost.scored_tokens,
        "flops": cost.flops,
        "seconds": cost.seconds,
        "failures": [f"{failure.where}: {failure.message}" for failure in outcome.failures],
    }
