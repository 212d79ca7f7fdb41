"""Step-level beam search guided by a process scorer.

Snell et al. 2408.03314, section 5, and the reference search-and-learn (Beeching et al. 2024). Each level costs n steps:

1. the root is extended n times, later levels share n steps over the kept paths in proportion to value ** balance; a
   path gets its share only while another step is likely to be new, and what is left over goes to the next level;
2. equal siblings are merged, each different child is judged once;
3. the best n // branch children are kept, where finished ones move to the pool and give up their slot;
4. it ends when the slots are used up, no path is open, or none can beat the pool; the pool then selects the answer.
   The first half of the paths to finish are mostly the best ones, so by default they end it (measured).

So beam(16, 4) is 4 wide with 4 branches and costs, level by level, at most what 16 whole solutions cost.

Deviations: the references sample every path `branch` times, however sure its next step is; here steps that would
hardly be new are kept for levels that are less sure (`reason.search.sparing`). Sharing by value is REBASE's idea (Wu et
al. 2408.00724, there by softmax); balance 0 is the references' even split. The references clone or re-extend finished
beams to keep n of them, so that of 16 answers 4 differ; here a finished path is never extended, cloned or judged again.
Merged siblings leave their slots to other paths. With a falling aggregation (min, product) and naive selection, paths
that the pool already beats are dropped, since no further step can raise their value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

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
        slots: Finished paths that still have to be found.
        saved: Steps that the levels so far might have sampled and did not.
        frontier: The open paths, best first.
        stuck: Open paths below which every step failed.
        known: Every judgement, by text and finish.
        cut: Whether the run's budget ended a step.
    """

    tree: Tree
    slots: int
    saved: int = 0
    frontier: list[Entry] = field(default_factory=list)
    stuck: list[Entry] = field(default_factory=list)
    pool: Pool = field(default_factory=Pool)
    known: dict[tuple[str, Finish], Score] = field(default_factory=dict)
    cut: bool = False


def beam(
    n: int = 16,
    branch: int | None = None,
    *,
    max_steps: int = 64,
    select: str = "naive",
    aggregate: str | None = None,
    refill: bool = True,
    balance: float = 4.0,
    finish: int | None = None,
    novelty: float | None = None,
) -> Strategy:
    """Beam search over steps.

    Args:
        n: Steps per level: the budget in whole solutions.
        branch: Steps per kept path; n // branch paths are kept. None: 4, or n if that is less.
        max_steps: Levels at most.
        select: How the pool of finished paths gives the answer: "naive", "weighted" or "majority".
        aggregate: How step values become a path's value ("last", "min", "product", "mean"); None: as the scorer does.
        refill: Whether every level may spend its full share (n, less the share of slots that finished) when fewer paths
            than slots are left, and what the levels before it left over; False spends `branch` on each path at most.
        balance: Power of a path's value in proportion to which it gets steps; 0 shares them evenly.
        finish: Finished paths that end the search, each giving up one slot once fewer slots than that are needed; None:
            half of the n // branch kept, but 2 where there are as many.
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
    number("balance", balance)
    worth = number("novelty", min(0.2, 3.2 / n) if novelty is None else novelty, 0, 1)
    if branch > n:
        raise UsageError(f"branch={branch} with n={n}: branch may not exceed n; pass a larger n or branch={n}")
    width = n // branch
    target = at_least("finish", max(width // 2, min(width, 2)) if finish is None else finish)

    def run(problem: Problem) -> SearchRun:
        state = _State(Tree(problem), target)
        state.frontier = [Entry(0, Child(Path(problem)))]
        for level in range(max_steps):
            kept = [entry.child.path for entry in state.frontier]
            total = n if level == 0 else level_steps(n, width, len(kept), state.slots, refill) + state.saved * refill
            counts = shares(total, [entry.child.value for entry in state.frontier], balance)
            families, state.cut = yield from sample_children(kept, counts, novelty=worth)
            state.saved = total - sum(child.copies for family in families for child in family)
            _grow(state, (yield from judge_children(families, aggregate, state.known)))
            _keep(state, width, bound=select == "naive" and aggregate in FALLING)
            if not state.frontier or state.cut:
                break
        return ending(problem, state.tree, state.pool, select, leaves=state.frontier or state.stuck, cut=state.cut)

    return Strategy("beam", run, frozenset({SCORER, PARTIAL}))


def level_steps(n: int, width: int, paths: int, slots: int, refill: bool) -> int:
    """Steps of a level with so many paths and slots left."""
    filled = min(width, slots) if refill else paths
    return max(filled * n // width, paths)


def shares(total: int, values: Sequence[float], balance: float) -> list[int]:
    """How many of a level's steps each path gets, in proportion to value ** balance; one at least (largest remainder).

    Unscored and zero values count as the least value among the others.
    """
    known = [value for value in values if value > 0]
    least, most = min(known, default=1.0), max(known, default=1.0)
    weights = [((value if value > 0 else least) / most) ** balance for value in values]
    spare = total - len(values)
    exact = [spare * weight / math.fsum(weights) for weight in weights]
    counts = [1 + int(share) for share in exact]
    order = sorted(range(len(values)), key=lambda index: (int(exact[index]) - exact[index], index))
    for index in order[: total - sum(counts)]:
        counts[index] += 1
    return counts


def _grow(state: _State, families: Sequence[Sequence[Child]]) -> None:
    """Record every child; `state.frontier` becomes all new children, ranked."""
    grown: list[Entry] = []
    for entry, family in zip(state.frontier, families, strict=True):
        state.tree.hold(entry.node)
        grown += record(state.tree, state.pool, entry.node, family)
        back_up(state.tree, entry.node, family)
        state.stuck += [entry] if lost(family) else []
    state.frontier = sorted(grown, key=lambda entry: entry.rank)


def _keep(state: _State, width: int, *, bound: bool) -> None:
    """Keep the best open children, less one for every finished one ranked among them, and prune the others."""
    ranked = [entry for entry in state.frontier if entry.usable]
    beaten = best_complete(state.pool) if bound else -math.inf
    state.slots -= sum(entry.child.path.complete for entry in ranked[: min(width, state.slots)])
    promising = [e for e in ranked if e.child.path.open and not e.child.value <= beaten]
    state.frontier = promising[: max(min(width, state.slots), 0)]
    alive = {entry.node for entry in state.frontier}
    for entry in ranked:
        if entry.child.path.open and entry.node not in alive:
            state.tree.prune(entry.node)
