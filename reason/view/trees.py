"""The rows of a problem's tree from what the trace store has of its search.

A finished tree search shows its tree. A finished search without one shows its solutions under the answers that they
voted for, with the steps that were scored. What is still running shows its steps as they landed, equal ones merged.
What a search asked beside that (critiques, comparisons, revisions) comes last, under a row of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from reason.answers import Group, vote
from reason.trace import StoredCandidate, StoredNode, StoredOutcome, StoredScore, TreeNode
from reason.types import Step
from reason.view.data import Node, Vote

OTHER = "Asked beside the solutions"


def node_of(step: Step, parent: int, finish: str | None = None) -> Node:
    """A step's row, without statistics."""
    logprob = math.fsum(step.logprobs) if step.logprobs else math.nan
    return Node(
        parent,
        step.text,
        finish=finish or step.finish.value,
        tokens=len(step.token_ids),
        logprob=logprob,
        token_ids=step.token_ids,
        logprobs=step.logprobs,
        note=step.error or "",
    )


def values_of(scores: Iterable[StoredScore]) -> dict[int, StoredScore]:
    """Each node's latest judgement."""
    return {score.node: score for score in scores if score.node is not None and score.other is None}


def searched(
    tree: Sequence[TreeNode], nodes: Mapping[int, StoredNode], scores: Mapping[int, StoredScore]
) -> tuple[list[Node], set[int]]:
    """The rows of a finished tree search and the stored nodes that they show; the root, the question, is left out."""
    rows, shown = list[Node](), set[int]()
    for item in tree[1:]:
        if item.node is None or item.node not in nodes:
            continue
        stored = nodes[item.node]
        shown.add(item.node)
        whole = item.depth > 1 and stored.parent is None
        row = node_of(stored.step, (item.parent or 0) - 1, item.finish)
        rows.append(
            replace(
                row,
                kind="solution" if whole else "step",
                value=item.value,
                mean=item.mean_value,
                visits=item.visits,
                copies=item.copies,
                pruned=item.pruned,
                chosen=item.chosen,
                note=_joined(_said(stored), _explained(scores.get(item.node))),
            )
        )
    return rows, shown


def landed(nodes: Iterable[StoredNode], scores: Mapping[int, StoredScore]) -> list[Node]:
    """The rows of a search that is not done: its steps in the order in which they came, equal siblings merged."""
    rows = list[Node]()
    places = dict[int, int]()
    known = dict[tuple[int, str, str], int]()
    for stored in nodes:
        parent = -1 if stored.parent is None else places.get(stored.parent, -1)
        score = scores.get(stored.number)
        value = math.nan if score is None else score.value
        key = (parent, stored.step.text, stored.step.finish.value)
        place = known.get(key)
        if place is None:
            place = known[key] = len(rows)
            row = node_of(stored.step, parent)
            rows.append(replace(row, value=value, mean=math.nan, note=_joined(_said(stored), _explained(score))))
        else:
            first = rows[place]
            value = first.value if math.isnan(value) else value
            rows[place] = replace(first, copies=first.copies + 1, value=value)
        places[stored.number] = place
    return rows


def voted(
    candidates: Sequence[StoredCandidate], nodes: Mapping[int, StoredNode], outcome: StoredOutcome
) -> tuple[list[Node], set[int]]:
    """The rows of a search without a tree and the stored nodes that they show.

    Answers stand on top, below each its solutions, equal ones merged, and below a solution its scored steps or lines.
    """
    rows, shown = list[Node](), set[int]()
    ends = (outcome.node, outcome.finish)
    for group in groups(candidates):
        won = group.answer is not None and group.answer == outcome.answer
        top, count = len(rows), len(group.members)
        title = "No answer" if group.answer is None else f"Answer {group.answer}"
        said = f"{count} solution{'s' if count != 1 else ''} · weight {group.weight:.3g}"
        rows.append(Node(-1, title, kind="answer", chosen=won, note=said))
        known = dict[tuple[str, str], int]()
        for index in group.members:
            item = candidates[index]
            line = _line(item.node, nodes)
            shown.update(stored.number for stored in line)
            chosen = (item.node, item.finish) == ends
            key = ("".join(stored.step.text for stored in line), item.finish)
            place = known.setdefault(key, len(rows))
            if place < len(rows):
                same = rows[place]
                rows[place] = replace(same, copies=same.copies + 1, chosen=same.chosen or chosen)
            else:
                rows += _solution(item, line, len(rows), top, chosen=chosen)
    return rows, shown


def _solution(item: StoredCandidate, line: Sequence[StoredNode], at: int, top: int, *, chosen: bool) -> list[Node]:
    """A candidate's row and, where its steps or lines have scores, theirs."""
    steps = [stored.step for stored in line]
    text = "".join(step.text for step in steps)
    tokens = tuple(token for step in steps for token in step.token_ids)
    whole = Step(text, tokens, tuple(value for step in steps for value in step.logprobs))
    error = next((step.error for step in steps if step.error), "") or ""
    weight = "" if item.weight == 1 else f"weight {item.weight:.3g}"
    head = node_of(whole, top, item.finish)
    rows = [replace(head, kind="solution", value=item.score, chosen=chosen, note=_joined(weight, error))]
    for parts in ([step.text for step in steps], text.split("\n")):
        shown = [part for part in parts if part.strip()]
        if len(shown) == len(item.steps) > 1:
            scored = zip(shown, item.steps, strict=True)
            return rows + [Node(at, part, kind="line", value=value) for part, value in scored]
    return rows


def beside(rows: list[Node], nodes: Sequence[StoredNode], shown: set[int], scores: Mapping[int, StoredScore]) -> None:
    """Add what the search asked beside what the rows show; samples equal to a shown one are shown by it."""
    rest = _unlike(nodes, shown)
    if not rest:
        return
    top = len(rows)
    rows.append(Node(-1, OTHER, kind="answer", note=f"{len(rest)} step{'s' if len(rest) != 1 else ''}"))
    for row in landed(rest, scores):
        rows.append(replace(row, parent=top if row.parent < 0 else top + 1 + row.parent))


def _unlike(nodes: Sequence[StoredNode], shown: set[int]) -> list[StoredNode]:
    """The nodes that are neither shown nor equal to one that is: the same text and end after equal steps."""
    kinds = dict[tuple[int, str, str], int]()
    kind_of = dict[int, int]()
    for node in nodes:
        above = -1 if node.parent is None else kind_of.get(node.parent, -1)
        key = (above, node.step.text, node.step.finish.value)
        kind_of[node.number] = kinds.setdefault(key, len(kinds))
    covered = {kind_of[number] for number in shown if number in kind_of}
    return [node for node in nodes if kind_of[node.number] not in covered]


def groups(candidates: Sequence[StoredCandidate]) -> Sequence[Group]:
    """The candidates by equal answers, the heaviest first."""
    weights = [0.0 if math.isnan(item.weight) else item.weight for item in candidates]
    return vote([item.answer for item in candidates], weights)


def votes(candidates: Sequence[StoredCandidate], answer: str | None) -> tuple[Vote, ...]:
    """What stood behind each answer."""
    return tuple(
        Vote(group.answer, group.weight, len(group.members), group.answer is not None and group.answer == answer)
        for group in groups(candidates)
    )


def _line(number: int | None, nodes: Mapping[int, StoredNode]) -> list[StoredNode]:
    line = list[StoredNode]()
    while number is not None and number in nodes:
        line.append(nodes[number])
        number = nodes[number].parent
    return line[::-1]


def _said(stored: StoredNode) -> str:
    asked = "" if stored.question is None else f"asked: {stored.question}"
    return _joined("put there by the search" if stored.forced else "", stored.step.error or "", asked)


def _explained(score: StoredScore | None) -> str:
    return "" if score is None else _joined(score.explanation, f"not scored: {score.error}" if score.error else "")


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)
