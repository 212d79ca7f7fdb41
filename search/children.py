"""Sampling steps: what beam search and tree search share.

Each parent is extended by some steps; equal siblings are merged before anything is judged, so they neither fill a beam
nor cost the scorer twice; what is left is judged, each path once in its life.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from reason.search.select import UNSCORED, judge_unique, path_value
from reason.search.sparing import extend_sparingly
from reason.search.tree import Tree
from reason.search.units import STEP, Unit
from reason.types import Finish, Path, Score
from reason.work import Results, Work


@dataclass(frozen=True, slots=True)
class Child:
    """A new step below a parent.

    Attributes:
        path: The parent's path with the step.
        copies: How many equal siblings it stands for.
        mass: The sum of their length-normalised probabilities, exp(mean token log-probability) as in openr; 1 each
            where log-probabilities are unknown.
        score: Its judgement.
        value: The judgement as one number, NaN if unscored.
    """

    path: Path
    copies: int = 1
    mass: float = 1.0
    score: Score = UNSCORED
    value: float = math.nan


def sample_children(
    parents: Sequence[Path], counts: Sequence[int], unit: Unit = STEP, novelty: float = 0.0
) -> Generator[Work, Results, tuple[list[list[Child]], bool]]:
    """Extend each parent by `counts` steps, or other units, and merge equal siblings.

    Args:
        parents: Open paths.
        counts: Steps for each.
        unit: What is a step.
        novelty: Above 0, `counts` are the most, and a parent is extended again only while the chance that a sample is
            new is at least this (`reason.search.sparing`).

    Returns:
        The children of each parent, in order of first appearance, and whether the budget cut any of the steps.
    """
    families = [merge(family) for family in (yield from extend_sparingly(parents, counts, novelty, unit))]
    cut = any(child.path.finish is Finish.BUDGET for family in families for child in family)
    return families, cut


def merge(siblings: Sequence[Path]) -> list[Child]:
    """Siblings as children, equal ones as one, in order of first appearance."""
    merged: dict[tuple[str, Finish], Child] = {}
    for path in siblings:
        step = path.steps[-1]
        mass = math.exp(step.logprob / len(step.logprobs)) if step.logprobs else 1.0
        known = merged.get((step.text, step.finish))
        if known is None:
            merged[step.text, step.finish] = Child(path, 1, mass)
        else:
            merged[step.text, step.finish] = Child(known.path, known.copies + 1, known.mass + mass)
    return list(merged.values())


def judge_children(
    families: Sequence[Sequence[Child]],
    aggregate: str | None = None,
    known: dict[tuple[str, Finish], Score] | None = None,
) -> Generator[Work, Results, list[list[Child]]]:
    """The same children with their scores, judged in one batch; see `judge_unique`."""
    scores = iter((yield from judge_unique([child.path for family in families for child in family], known)))
    return [[scored(child, next(scores), aggregate) for child in family] for family in families]


def scored(child: Child, score: Score, aggregate: str | None) -> Child:
    """The child with its judgement."""
    return Child(child.path, child.copies, child.mass, score, path_value(score, aggregate))


def attach(tree: Tree, parent: int, child: Child) -> int:
    """Record a child in the tree; returns its node."""
    return tree.add(
        parent,
        child.path.steps[-1],
        mass=child.mass,
        copies=child.copies,
        value=child.value,
        step_values=child.score.steps,
    )
