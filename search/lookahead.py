"""Beam search in which a step is valued by where it leads: `depth` greedy steps ahead.

Snell et al. 2408.03314, section 5. On every level:

1. steps are sampled below the kept paths and equal siblings are merged, as in `reason.search.beam`;
2. each different child is continued by up to `depth` steps at temperature 0, and only the last of them is judged: its
   value is the child's;
3. the best children are kept and the search goes on from them, as if nothing had been rolled out.

A level costs n steps with its rollouts: with depth 1 and nothing merged, n / 2 children and as many steps ahead.

Deviations: search-and-learn's lookahead rolls out and then judges the child itself, so it changes nothing; the leaf is
judged here. A rollout that ends is a solution and goes to the pool, since it was paid for. The greedy continuation of
a path is generated once: rollouts of its descendants take it up where it passes through them, and with `reuse` the
first step of it is one more child of a kept path, at no cost (it is what sampling would give most often). How many
steps a level samples follows what rollouts have cost so far, so that what merging and reuse save on them is spent;
steps that would hardly be new are kept for later levels (`reason.search.sparing`). With a falling aggregation (min,
product) and naive selection, paths whose own value the pool beats are dropped.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

from reason.search.beam import shares
from reason.search.children import Child, sample_children, scored
from reason.search.pool import Pool
from reason.search.select import SELECTIONS, check_aggregate, judge_unique, path_value
from reason.search.stepping import FALLING, Entry, back_up, best_complete, ending, lost, record
from reason.search.strategy import PARTIAL, SCORER, Strategy, at_least, number, one_of
from reason.search.tree import Tree
from reason.types import Finish, Path, Problem, Score, Step, Until, UsageError
from reason.work import Results, SearchRun, Work, extend


@dataclass(slots=True)
class _State:
    """A search under way.

    Attributes:
        tree, pool: What they say.
        frontier: The open paths, best first.
        stuck: Open paths below which every step failed.
        slots: Finished paths among the kept ones that still have to be found.
        known: Every judgement, by text and finish.
        greedy: The greedy next step of open paths, by text.
        sampled, ahead: Steps sampled, and generated in rollouts.
        allowed: Steps that the levels so far might cost.
        cut: Whether the run's budget ended a step.
    """

    tree: Tree
    slots: int
    frontier: list[Entry]
    stuck: list[Entry] = field(default_factory=list)
    pool: Pool = field(default_factory=Pool)
    known: dict[tuple[str, Finish], Score] = field(default_factory=dict)
    greedy: dict[str, Step] = field(default_factory=dict)
    sampled: int = 0
    ahead: int = 0
    allowed: float = 0.0
    cut: bool = False


def lookahead(
    n: int = 16,
    branch: int | None = None,
    *,
    depth: int = 1,
    max_steps: int = 64,
    select: str = "naive",
    aggregate: str | None = None,
    balance: float = 4.0,
    reuse: bool = True,
    finish: int | None = None,
    novelty: float | None = None,
) -> Strategy:
    """Beam search with greedy rollouts of `depth` steps, within a budget of n whole solutions.

    Args:
        n: Steps per level, rollouts included.
        branch: Steps sampled per kept path, on average. None: 4, or n if that is less.
        depth: Greedy steps ahead of each child; 0 is plain beam search.
        max_steps: Levels at most.
        select: How the pool of finished paths gives the answer: "naive", "weighted" or "majority".
        aggregate: How step values become a path's value ("last", "min", "product", "mean"); None: as the scorer does.
        balance: Power of a path's value in proportion to which it gets steps; 0 shares them evenly.
        reuse: Whether the greedy step that was rolled out of a kept path is one of its children.
        finish: Kept paths that end before the search does; None: as many as are kept where nothing is merged.
        novelty: A path is extended again only while the chance that a step is new is at least this; 0 is always. None:
            0.1, or 1.6 / n if that is less.

    Raises:
        UsageError: An argument is out of range; branch may not exceed n.
    """
    at_least("n", n)
    branch = at_least("branch", min(4, n) if branch is None else branch)
    at_least("depth", depth, 0)
    at_least("max_steps", max_steps)
    one_of("select", select, SELECTIONS)
    check_aggregate(aggregate)
    number("balance", balance)
    worth = number("novelty", min(0.1, 1.6 / n) if novelty is None else novelty, 0, 1)
    if branch > n:
        raise UsageError(f"branch={branch} with n={n}: branch may not exceed n; pass a larger n or branch={n}")
    width = max(n // (branch * (1 + depth)), 1)
    target = at_least("finish", width if finish is None else finish)

    def run(problem: Problem) -> SearchRun:
        state = _State(Tree(problem), target, [Entry(0, Child(Path(problem)))])
        for _ in range(max_steps):
            paths = [entry.child.path for entry in state.frontier]
            state.allowed += n * min(width, state.slots) / width
            total = max(_level_steps(state, depth), len(paths))
            counts = shares(total, [entry.child.value for entry in state.frontier], balance)
            families, state.cut = yield from sample_children(paths, counts, novelty=worth)
            state.sampled += sum(child.copies for family in families for child in family)
            if reuse:
                families = [_with_greedy(state, *pair) for pair in zip(paths, families, strict=True)]
            judged = yield from _look_ahead(state, families, 0 if state.cut else depth, aggregate)
            _grow(state, judged)
            _keep(state, max(total // branch, 1), aggregate if select == "naive" and aggregate in FALLING else None)
            if not state.frontier or state.cut:
                break
        return ending(problem, state.tree, state.pool, select, leaves=state.frontier or state.stuck, cut=state.cut)

    return Strategy("lookahead", run, frozenset({SCORER, PARTIAL}))


def _level_steps(state: _State, depth: int) -> int:
    """Steps to sample so that they and their rollouts cost what is allowed."""
    rollout = (state.ahead + depth) / (state.sampled + 1)
    return max(int((state.allowed - state.sampled - state.ahead) / (1 + rollout) + 1e-9), 1)


def _with_greedy(state: _State, path: Path, family: Sequence[Child]) -> list[Child]:
    """The family with the greedy step of the path, where it is known and was not sampled; it costs nothing (again)."""
    step = state.greedy.get(path.text)
    if step is None or any(_key(child.path.steps[-1]) == _key(step) for child in family):
        return list(family)
    mass = math.exp(step.logprob / len(step.logprobs)) if step.logprobs else 1.0
    return [*family, Child(path.then(step), 0, mass)]


def _key(step: Step) -> tuple[str, Finish]:
    return step.text, step.finish


def _look_ahead(
    state: _State, families: Sequence[Sequence[Child]], depth: int, aggregate: str | None
) -> Generator[Work, Results, list[list[tuple[Child, Path]]]]:
    """Roll every child out and judge where that leads: each child with its leaf, valued by it."""
    leaves = [child.path for family in families for child in family]
    for _ in range(depth):
        unknown = {leaf.text: leaf for leaf in leaves if leaf.open and leaf.text not in state.greedy}
        ahead = yield from extend(list(unknown.values()), Until.STEP, temperature=0.0)
        state.ahead += len(ahead)
        for text, path in zip(unknown, ahead, strict=True):
            if path.finish is Finish.BUDGET:
                state.cut = True
            elif path.finish not in (Finish.ERROR, Finish.CANCELLED):
                state.greedy[text] = path.steps[-1]
        leaves = [_advanced(state, leaf) for leaf in leaves]
    scores = yield from judge_unique(leaves, state.known)
    pairs = iter(zip(leaves, scores, strict=True))
    judged = []
    for family in families:
        ends = [next(pairs) for _ in family]
        judged.append(
            [(scored(child, score, aggregate), leaf) for child, (leaf, score) in zip(family, ends, strict=True)]
        )
    return judged


def _advanced(state: _State, leaf: Path) -> Path:
    step = state.greedy.get(leaf.text) if leaf.open else None
    return leaf if step is None else leaf.then(step)


def _grow(state: _State, judged: Sequence[Sequence[tuple[Child, Path]]]) -> None:
    """Record children and rollouts; `state.frontier` becomes all new children, ranked."""
    grown: list[Entry] = []
    for entry, family in zip(state.frontier, judged, strict=True):
        state.tree.hold(entry.node)
        children = [child for child, _ in family]
        found = record(state.tree, state.pool, entry.node, children)
        back_up(state.tree, entry.node, children)
        state.stuck += [entry] if lost(children) else []
        for new, (child, leaf) in zip(found, family, strict=True):
            at = new.node
            for index in range(len(child.path.steps), len(leaf.steps)):
                last = index + 1 == len(leaf.steps)
                value = child.value if last else math.nan
                at = state.tree.add(at, leaf.steps[index], value=value, rollout=True)
            if leaf is not child.path and not leaf.open:
                state.pool.keep(at, replace(child, path=leaf, copies=1))
        grown += found
    state.frontier = sorted(grown, key=lambda entry: entry.rank)


def _keep(state: _State, width: int, bound: str | None) -> None:
    """Keep the best open children, less one for every finished one ranked among them, and prune the others.

    Args:
        state: The search.
        width: Paths to keep at most.
        bound: The falling aggregation under which paths that the pool beats are dropped; None: none is.
    """
    ranked = [entry for entry in state.frontier if entry.usable]
    beaten = best_complete(state.pool)
    state.slots -= sum(entry.child.path.complete for entry in ranked[: min(width, state.slots)])
    promising = [e for e in ranked if e.child.path.open and not (bound and _own_value(e.child, bound) <= beaten)]
    state.frontier = promising[: max(min(width, state.slots), 0)]
    alive = {entry.node for entry in state.frontier}
    for entry in ranked:
        if entry.child.path.open and entry.node not in alive:
            state.tree.prune(entry.node)


def _own_value(child: Child, aggregate: str) -> float:
    """The child's value without what was rolled out of it: no continuation can be worth more."""
    steps = child.score.steps[: len(child.path.steps)]
    return path_value(replace(child.score, steps=steps), aggregate)
