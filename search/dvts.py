"""Diverse verifier tree search: independent subtrees, greedy by value in each.

Beeching, Tunstall and Rush (2024), "Scaling test-time compute with open models", and the reference search-and-learn.

1. n // branch subtrees stand at the root; on every level each samples its share of n steps and all are judged;
2. each goes on with the best of its own steps; subtrees at one place part where there are other good ones;
3. a subtree whose best step is an end is done; every solution seen on the way is in the pool;
4. the pool selects the answer once no subtree is left.

Deviations: nothing in the reference keeps its subtrees from beginning with the same step, where they repeat each other.
Here a subtree takes the best of its steps that no other has taken, then the best that another one sampled and left,
and shares a step, the one with the fewest subtrees, only where the others are worth less than `slack` times the best:
where all but one first step are wrong, different ones would be wasted (measured). Subtrees that share a step part later
by the same rule. The n % branch steps that n // branch even subtrees would leave are shared out, and steps that would
hardly be new are kept for later levels (`reason.search.sparing`). The reference answers with the last level's siblings
only, and completes paths that are cut at its last level; here all solutions that were paid for are candidates and
nothing is extended past its end. With a falling aggregation (min, product) and naive selection a subtree ends when the
pool beats it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reason.search.beam import shares
from reason.search.children import Child, judge_children, sample_children
from reason.search.pool import Pool
from reason.search.select import SELECTIONS, check_aggregate
from reason.search.stepping import FALLING, Entry, back_up, best_complete, ending, lost, record
from reason.search.strategy import PARTIAL, SCORER, Strategy, at_least, number, one_of
from reason.search.tree import Tree
from reason.types import Finish, Path, Problem, Score, UsageError
from reason.work import SearchRun


@dataclass(slots=True)
class _State:
    """A search under way.

    Attributes:
        tree, pool: What they say.
        subtrees: Where each subtree stands that is not done.
        stuck: Where every step of a subtree failed.
        known: Every judgement, by text and finish.
        saved: Steps that the levels so far might have sampled and did not.
        cut: Whether the run's budget ended a step.
    """

    tree: Tree
    subtrees: list[Entry]
    stuck: list[Entry] = field(default_factory=list)
    pool: Pool = field(default_factory=Pool)
    known: dict[tuple[str, Finish], Score] = field(default_factory=dict)
    saved: int = 0
    cut: bool = False


def dvts(
    n: int = 16,
    branch: int | None = None,
    *,
    max_steps: int = 64,
    select: str = "naive",
    aggregate: str | None = None,
    slack: float = 0.5,
    novelty: float | None = None,
) -> Strategy:
    """Diverse verifier tree search with a budget of n whole solutions.

    Args:
        n: Steps per level while all subtrees go on: the budget in whole solutions.
        branch: Steps that a subtree samples per level; there are n // branch subtrees. None: 4, or n if that is less.
        max_steps: Levels at most.
        select: How the pool of finished paths gives the answer: "naive", "weighted" or "majority".
        aggregate: How step values become a path's value ("last", "min", "product", "mean"); None: as the scorer does.
        slack: Subtrees at one place take different steps only if worth at least this share of the best there; 0 parts
            them always, 1 never but for equal values.
        novelty: A path is extended again only while the chance that a step is new is at least this; 0 is always. None:
            0.2, or 3.2 / n if that is less.

    Raises:
        UsageError: An argument is out of range; branch may not exceed n.
    """
    at_least("n", n)
    branch = at_least("branch", min(4, n) if branch is None else branch)
    at_least("max_steps", max_steps)
    one_of("select", select, SELECTIONS)
    check_aggregate(aggregate)
    number("slack", slack, 0, 1)
    worth = number("novelty", min(0.2, 3.2 / n) if novelty is None else novelty, 0, 1)
    if branch > n:
        raise UsageError(f"branch={branch} with n={n}: branch may not exceed n; pass a larger n or branch={n}")
    width = n // branch

    def run(problem: Problem) -> SearchRun:
        state = _State(Tree(problem), [Entry(0, Child(Path(problem)))] * width)
        for _ in range(max_steps):
            places = [entry.child.path for entry in state.subtrees]
            total = max(n * len(places) // width, len(places)) + state.saved
            counts = shares(total, [1.0] * len(places), 0.0)
            families, state.cut = yield from sample_children(places, counts, novelty=worth)
            state.saved = total - sum(child.copies for family in families for child in family)
            grown = _grow(state, (yield from judge_children(families, aggregate, state.known)))
            _descend(state, grown, slack)
            if select == "naive" and aggregate in FALLING:
                beaten = best_complete(state.pool)
                state.subtrees = [entry for entry in state.subtrees if not entry.child.value <= beaten]
            if state.cut or not state.subtrees:
                break
        leaves = _distinct(state.subtrees or state.stuck)
        return ending(problem, state.tree, state.pool, select, leaves=leaves, cut=state.cut)

    return Strategy("dvts", run, frozenset({SCORER, PARTIAL}))


def _grow(state: _State, families: Sequence[Sequence[Child]]) -> list[list[Entry]]:
    """Record what each subtree sampled; returns its new steps, best first."""
    grown: list[list[Entry]] = []
    for entry, family in zip(state.subtrees, families, strict=True):
        state.tree.hold(entry.node)
        found = [new for new in record(state.tree, state.pool, entry.node, family) if new.usable]
        back_up(state.tree, entry.node, family)
        state.stuck += [entry] if lost(family) else []
        grown.append(sorted(found, key=lambda new: new.rank))
    return grown


def _descend(state: _State, grown: Sequence[Sequence[Entry]], slack: float) -> None:
    """Move each subtree to a step; drop those that are done or have none."""
    taken: Counter[int] = Counter()
    chosen: list[Entry | None] = []
    for place, family in zip(state.subtrees, grown, strict=True):
        enough = _enough(_beside(state, grown, place), slack)
        step = next((entry for entry in family if not taken[entry.node] and _value(entry) >= enough), None)
        taken.update([step.node] if step else [])
        chosen.append(step)
    for index, place in enumerate(state.subtrees):
        if chosen[index] is None:
            step = chosen[index] = _least_taken(_beside(state, grown, place), taken, slack)
            taken.update([step.node] if step else [])
    state.subtrees = [entry for entry in chosen if entry is not None and entry.child.path.open]
    for entry in (entry for family in grown for entry in family):
        if entry.child.path.open and not taken[entry.node]:
            state.tree.prune(entry.node)


def _beside(state: _State, grown: Sequence[Sequence[Entry]], place: Entry) -> list[Entry]:
    """All that was sampled by the subtrees at one place."""
    pairs = zip(state.subtrees, grown, strict=True)
    return [entry for other, family in pairs if other.node == place.node for entry in family]


def _least_taken(entries: Sequence[Entry], taken: Mapping[int, int], slack: float) -> Entry | None:
    """The best of the good open steps that the fewest subtrees have taken, or of those that ended and none has."""
    enough = _enough(entries, slack)
    good = [entry for entry in entries if _value(entry) >= enough]
    usable = [entry for entry in good if entry.child.path.open or not taken[entry.node]]
    return min(usable, key=lambda entry: (taken[entry.node], entry.rank), default=None)


def _value(entry: Entry) -> float:
    return -math.inf if math.isnan(entry.child.value) else entry.child.value


def _enough(entries: Sequence[Entry], slack: float) -> float:
    """The least value of a good step among these."""
    best = max((_value(entry) for entry in entries), default=-math.inf)
    return best - (1.0 - slack) * abs(best) if slack and best > -math.inf else -math.inf


def _distinct(entries: Sequence[Entry]) -> list[Entry]:
    return list({entry.node: entry for entry in entries}.values())
