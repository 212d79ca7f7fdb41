"""What a search came to on a problem, as rows: the outcome, its candidates and the statistics of its tree."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

from reason.budget import Meter
from reason.trace.keys import floats
from reason.trace.nodes import Nodes
from reason.trace.store import Store, stored
from reason.types import Outcome

BEGUN, DONE = "begun", "done"
OUTCOME = """state, answer, node, finish, confidence, stopped, generated, prefilled, scored, flops, seconds, shared,
failures, at"""
ADD_BEGUN = f"INSERT OR IGNORE INTO outcome (search, problem, {OUTCOME}) VALUES ({', '.join('?' * 16)})"
ADD_OUTCOME = f"INSERT OR REPLACE INTO outcome (search, problem, {OUTCOME}) VALUES ({', '.join('?' * 16)})"
ADD_CANDIDATE = f"INSERT INTO candidate VALUES ({', '.join('?' * 9)})"
ADD_TREE = f"INSERT INTO tree VALUES ({', '.join('?' * 15)})"


def begin(store: Store, search: int, problem: int) -> None:
    """Note that the search on a problem has begun, unless it is known already; in a transaction."""
    row = (search, problem, BEGUN, None, None, None, None, "", 0, 0, 0, 0.0, 0.0, 0, "[]", time.time())
    store.write(ADD_BEGUN, row)


def write_outcome(store: Store, nodes: Nodes, search: int, problem: int, outcome: Outcome, meter: Meter) -> None:
    """Write an outcome in place of an earlier one of the same search and problem; in a transaction."""
    place, path, cost = (search, problem), outcome.path, outcome.cost
    for table in ("candidate", "tree"):
        store.write(f"DELETE FROM {table} WHERE search = ? AND problem = ?", place)
    row = (
        *place,
        DONE,
        None if outcome.answer is None else stored(outcome.answer),
        None if path is None else nodes.of(path, meter),
        None if path is None else path.finish.value,
        outcome.confidence,
        outcome.stopped,
        cost.generated_tokens,
        cost.prefilled_tokens,
        cost.scored_tokens,
        cost.flops,
        cost.seconds,
        cost.shared_tokens,
        json.dumps([asdict(failure) for failure in outcome.failures]),
        time.time(),
    )
    store.write(ADD_OUTCOME, row)
    candidates = [
        (
            *place,
            index,
            nodes.of(item.path, meter),
            item.path.finish.value,
            None if item.answer is None else stored(item.answer),
            item.score,
            item.weight,
            floats(item.steps),
        )
        for index, item in enumerate(outcome.candidates)
    ]
    store.write_all(ADD_CANDIDATE, candidates)
    if hasattr(outcome.tree, "steps") and hasattr(outcome.tree, "prior"):
        store.write_all(ADD_TREE, _tree_rows(nodes, place, outcome, meter))


def _tree_rows(nodes: Nodes, place: tuple[int, int], outcome: Outcome, meter: Meter) -> list[tuple[Any, ...]]:
    """One row for each node of the tree; the root has no node of the store."""
    tree: Any = outcome.tree
    found, rows = list[int | None](), list[tuple[Any, ...]]()
    for at in range(len(tree)):
        step, parent = tree.steps[at], tree.parent[at] if at else None
        above = None if parent is None or tree.whole else found[parent]
        found.append(None if step is None else nodes.under(above, step, tree.problem, meter))
        rows.append(
            (
                *place,
                at,
                parent,
                found[at],
                None if step is None else step.finish.value,
                tree.depth[at],
                tree.visits[at],
                tree.value[at],
                tree.mean_value(at),
                tree.prior(at),
                tree.copies[at],
                int(tree.open[at]),
                int(tree.pruned[at]),
                int(tree.chosen[at]),
            )
        )
    return rows
