"""Outcomes and search trees on a terminal.

Model text is shown as data: rich markup in it has no effect, and control characters (a terminal would obey them) are
replaced by their escapes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as RichTree

from reason.answers import vote
from reason.search.tree import Tree
from reason.types import Candidate, Cost, Finish, Outcome

MOST_NODES = 400
ENDINGS = {
    Finish.STOP: "complete",
    Finish.LENGTH: "cut off by the token limit",
    Finish.BUDGET: "cut off by the budget",
    Finish.CANCELLED: "cancelled",
    Finish.ERROR: "failed",
}


def plain(text: str) -> str:
    """The text with control characters other than line breaks written as escapes."""
    return "".join(
        char if char == "\n" or char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def number(value: float | None) -> float | None:
    """The value for JSON, where NaN is null."""
    return None if value is None or math.isnan(value) else value


def score_text(value: float) -> Text:
    """A score in three places, green from .7, yellow from .4, red below; a dash where unscored."""
    if math.isnan(value):
        return Text.assemble(("    –", "dim"))
    return Text.assemble((f"{value:5.3f}", "green" if value >= 0.7 else "yellow" if value >= 0.4 else "red"))


def scored_lines(outcome: Outcome) -> list[tuple[str, float]]:
    """The chosen solution step by step, each with its score (NaN where the scorer gave none)."""
    if outcome.path is None:
        return []
    chosen = next((item for item in outcome.candidates if item.path == outcome.path), None)
    scores = chosen.steps if chosen is not None else ()
    for parts in ([step.text for step in outcome.path.steps], outcome.path.text.split("\n")):
        shown = [part.strip("\n") for part in parts if part.strip()]
        if len(shown) == len(scores):
            return list(zip(shown, scores, strict=True))
    return [(line, math.nan) for line in outcome.path.text.split("\n") if line.strip()]


def cost_line(cost: Cost) -> str:
    """What it cost, in one line."""
    parts = [f"{cost.generated_tokens:,} tokens generated"]
    if cost.scored_tokens:
        parts.append(f"{cost.scored_tokens:,} scored")
    if cost.prefilled_tokens:
        parts.append(f"{cost.prefilled_tokens:,} prefilled")
    if cost.flops:
        parts.append(f"{cost.flops / 1e9:,.1f} GFLOP")
    return " · ".join([*parts, f"{cost.seconds:.1f} s"])


def print_outcome(console: Console, outcome: Outcome, *, tree: bool = False) -> None:
    """The answer, the steps with their scores, the confidence and the cost; with `tree`, the search tree first."""
    if tree:
        console.print(tree_view(outcome), highlight=False)
        console.print()
    lines = scored_lines(outcome)
    if lines:
        grid = Table.grid(padding=(0, 2))
        for text, score in lines:
            grid.add_row(score_text(score), Text(plain(text)))
        console.print(Padding(grid, (0, 0, 1, 0)))
    if outcome.answer is None:
        console.print(Text("No answer was found.", style="bold yellow"))
    else:
        console.print(Text("Answer      ", style="dim") + Text(plain(outcome.answer), style="bold"))
    if not math.isnan(outcome.confidence):
        console.print(Text("Confidence  ", style="dim") + Text(confidence_line(outcome)))
    console.print(Text("Cost        ", style="dim") + Text(cost_line(outcome.cost)))
    if outcome.path is not None and outcome.path.finish in (Finish.LENGTH, Finish.BUDGET):
        console.print(Text(f"The solution was {ENDINGS[outcome.path.finish]}.", style="yellow"))
    if outcome.stopped == "budget":
        console.print(Text("The budget ended the search early: this is its best answer so far.", style="yellow"))
    for failure in outcome.failures:
        console.print(Text(plain(f"{failure.where}: {failure.message}"), style="yellow"))


def confidence_line(outcome: Outcome) -> str:
    """The share of the vote, and how many solutions agree."""
    share = f"{100 * outcome.confidence:.0f} %"
    if len(outcome.candidates) < 2:
        return share
    agreeing = sum(len(group.members) for group in _groups(outcome.candidates) if group.answer == outcome.answer)
    if not agreeing:
        return share
    return f"{share} of the vote; {agreeing} of {len(outcome.candidates)} solutions agree"


def _groups(candidates: Sequence[Candidate]) -> Sequence[Any]:
    return vote([item.answer for item in candidates], [item.weight for item in candidates])


def tree_view(outcome: Outcome) -> RenderableType:
    """The search tree; for strategies without one, the solutions under the answers they voted for."""
    if isinstance(outcome.tree, Tree):
        return _search_tree(outcome.tree)
    return _vote_tree(outcome)


def _search_tree(tree: Tree) -> RenderableType:
    root = RichTree(Text(plain(tree.problem.question)), guide_style="dim")
    places = {0: root}
    hidden = 0
    for node in _depth_first(tree):
        parent = places.get(tree.parent[node])
        if parent is None or len(places) > MOST_NODES:
            hidden += 1
            continue
        places[node] = parent.add(_node_text(tree, node))
    if not hidden:
        return root
    return Group(root, Text(f"… and {hidden} more nodes (all of them: --json --tree)", style="dim"))


def _depth_first(tree: Tree) -> Iterator[int]:
    stack = list(tree.children(0))[::-1]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(list(tree.children(node))[::-1])


def _node_text(tree: Tree, node: int) -> Text:
    told = tree.record(node)
    label = score_text(math.nan if told["value"] is None else told["value"]) + Text("  ")
    shown = " ⏎ ".join(line for line in plain(told["text"]).split("\n") if line.strip())
    label.append(shown or "(nothing)", style="bold" if told["chosen"] else "")
    notes = [f"visits {told['visits']}"] if told["visits"] else []
    if told["copies"] > 1:
        notes.append(f"drawn {told['copies']} times")
    notes.append(_ending(tree, node, told))
    return label + Text("  " + " · ".join(note for note in notes if note), style="dim")


def _ending(tree: Tree, node: int, told: Mapping[str, Any]) -> str:
    """Why nothing follows the node; empty where something does."""
    if any(True for _ in tree.children(node)):
        return ""
    step = tree.steps[node]
    finish = step.finish if step is not None else Finish.STEP
    if finish is Finish.ERROR and step is not None:
        return plain(f"failed: {step.error}")
    if finish is not Finish.STEP:
        return ENDINGS[finish] + (" (the answer)" if told["chosen"] else "")
    return "pruned" if told["pruned"] else "never extended"


def _vote_tree(outcome: Outcome) -> RichTree:
    root = RichTree(Text(plain(outcome.problem.question)), guide_style="dim")
    for group in _groups(outcome.candidates):
        chosen = group.answer is not None and group.answer == outcome.answer
        title = "no answer" if group.answer is None else plain(group.answer)
        label = Text(title, style="bold" if chosen else "") + Text(f"  weight {group.weight:.3g}", style="dim")
        branch = root.add(label)
        for index in group.members:
            item = outcome.candidates[index]
            text = " ⏎ ".join(line for line in plain(item.path.text).split("\n") if line.strip())
            ending = ENDINGS.get(item.path.finish, "open")
            picked = " (the answer)" if item.path == outcome.path else ""
            branch.add(score_text(item.score) + Text(f"  {text}") + Text(f"  {ending}{picked}", style="dim"))
    return root


def outcome_json(outcome: Outcome, *, tree: bool = False) -> dict[str, Any]:
    """The outcome as JSON data."""
    cost = outcome.cost
    data: dict[str, Any] = {
        "question": outcome.problem.question,
        "answer": outcome.answer,
        "confidence": number(outcome.confidence),
        "steps": [{"text": text, "score": number(score)} for text, score in scored_lines(outcome)],
        "stopped": outcome.stopped,
        "truncated": outcome.path is not None and outcome.path.finish in (Finish.LENGTH, Finish.BUDGET),
        "candidates": [
            {
                "answer": item.answer,
                "score": number(item.score),
                "weight": number(item.weight),
                "finish": str(item.path.finish),
                "text": item.path.text,
            }
            for item in outcome.candidates
        ],
        "generated_tokens": cost.generated_tokens,
        "prefilled_tokens": cost.prefilled_tokens,
        "scored_tokens": cost.scored_tokens,
        "flops": cost.flops,
        "seconds": round(cost.seconds, 3),
        "failures": [f"{failure.where}: {failure.message}" for failure in outcome.failures],
    }
    if tree:
        data["tree"] = outcome.tree.to_dict() if isinstance(outcome.tree, Tree) else None
    return data


def json_line(data: Any) -> str:
    """One line of JSON without NaN."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False)
