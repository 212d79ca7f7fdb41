"""Best-first search over steps: a priority queue of open paths, the most promising always next.

Koh et al. 2407.01476 (best-first tree search with a value function) and Q* (Wang et al. 2406.14283, A* over steps).

1. the `wave` most promising open paths leave the queue; `branch` steps are sampled below each and merged;
2. what is new is judged and queued by its value, solutions go to the pool;
3. it ends when the budget is spent, when a solution reaches `enough`, when nothing is open, or when no open path can
   beat the pool: with a falling aggregation (min, product) a path's value bounds all that can follow from it.

A path's priority is value + bonus · steps: with bonus 0 a search for the optimum, above it deeper paths come first, as
with the cost-to-go of Q*, which no process reward model tells.

Deviations: the sources expand a node once and then forget it. Steps are samples, not a list of actions: a path returns
to the queue with what one more sample there is expected to bring (`reason.search.tree`: the mean of its samples'
values, shrunk to its own, discounted where a new step is unlikely), so that the search is complete. The budget is n
solutions' worth of steps, not a number of expansions. While nothing is complete at its end, the best open path is
finished.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from reason.search.arrays import NONE
from reason.search.children import Child, judge_children, sample_children, scored
from reason.search.pool import Pool
from reason.search.select import SELECTIONS, check_aggregate, judge_unique
from reason.search.spending import Spending
from reason.search.stepping import FALLING, Entry, back_up, best_complete, ending, record
from reason.search.strategy import PARTIAL, SCORER, Strategy, at_least, number, one_of
from reason.search.tree import Tree
from reason.types import Finish, Path, Problem, Score
from reason.work import Results, SearchRun, Work, extend


@dataclass(frozen=True, slots=True)
class _Settings:
    """The arguments of `best_first`; see there."""

    branch: int
    wave: int
    bonus: float
    resample: bool
    enough: float
    novelty: float
    max_depth: int
    select: str
    aggregate: str | None


@dataclass(slots=True)
class _State:
    """A search under way.

    Attributes:
        tree, settings, spending, pool: What they say.
        queue: (minus priority, node, the path's own value) of open paths.
        paths: The open paths by node, those at `max_depth` included.
        known: Every judgement, by text and finish.
        cut: Whether the run's budget ended a step.
    """

    tree: Tree
    settings: _Settings
    spending: Spending
    paths: dict[int, Path]
    queue: list[tuple[float, int, float]] = field(default_factory=lambda: [(-math.inf, 0, math.inf)])
    pool: Pool = field(default_factory=Pool)
    known: dict[tuple[str, Finish], Score] = field(default_factory=dict)
    cut: bool = False


def best_first(
    n: int = 16,
    branch: int = 4,
    *,
    wave: int = 4,
    bonus: float = 0.0,
    resample: bool = True,
    thrift: float = 0.05,
    trust: float = 16.0,
    enough: float = math.inf,
    novelty: float | None = None,
    max_depth: int = 64,
    select: str = "naive",
    aggregate: str | None = None,
) -> Strategy:
    """Best-first search with a budget of n whole solutions.

    Args:
        n: The budget: steps may cost as much as n solutions.
        branch: Steps sampled at a path when its turn comes.
        wave: Paths taken from the queue at once.
        bonus: What each step of a path adds to its priority.
        resample: Whether a path returns to the queue for further samples; False: it is expanded once.
        thrift: The chance of a new step at which the priority of a returning path is halved; 0: no discount.
        trust: Samples that a path's own value is worth in the priority at which it returns.
        enough: A complete solution of this value ends the search.
        novelty: A path on its turn is extended again only while the chance that a step is new is at least this; 0 is
            always. None: 0.1, or 1.6 / n if that is less.
        max_depth: Steps of a path at most.
        select: How the pool of finished paths gives the answer: "naive", "weighted" or "majority".
        aggregate: How step values become a path's value ("last", "min", "product", "mean"); None: as the scorer does.

    Raises:
        UsageError: An argument is out of range.
    """
    for name, count in (("n", n), ("branch", branch), ("wave", wave), ("max_depth", max_depth)):
        at_least(name, count)
    number("bonus", bonus)
    number("thrift", thrift)
    number("trust", trust)
    number("enough", enough, -math.inf)
    worth = number("novelty", min(0.1, 1.6 / n) if novelty is None else novelty, 0, 1)
    one_of("select", select, SELECTIONS)
    check_aggregate(aggregate)
    settings = _Settings(branch, wave, bonus, resample, enough, worth, max_depth, select, aggregate)

    def run(problem: Problem) -> SearchRun:
        tree = Tree(problem, thrift=thrift, trust=trust)
        return _run(_State(tree, settings, Spending(n), {0: Path(problem)}))

    return Strategy("best_first", run, frozenset({SCORER, PARTIAL}))


def _run(state: _State) -> SearchRun:
    settings = state.settings
    while not state.cut and not best_complete(state.pool) >= settings.enough:
        nodes, counts = _next_wave(state)
        if not nodes:
            # A first solution also tells what the budget pays for: maybe more steps.
            if state.spending.solutions or not (yield from _finish_best(state)):
                break
            continue
        families, state.cut = yield from sample_children(
            [state.paths[node] for node in nodes], counts, novelty=settings.novelty
        )
        fresh = [_without_known(state, node, family) for node, family in zip(nodes, families, strict=True)]
        judged = yield from judge_children(fresh, settings.aggregate, state.known)
        for node, family in zip(nodes, judged, strict=True):
            _queue_children(state, node, family)
            back_up(state.tree, node, family)
            _return(state, node)
    leaves = [Entry(node, _leaf(state, node)) for node in state.paths if node and _last(state.tree, node)]
    return ending(state.tree.problem, state.tree, state.pool, settings.select, leaves=leaves, cut=state.cut)


def _next_wave(state: _State) -> tuple[list[int], list[int]]:
    """Nodes to sample at and how many steps at each: none once the budget is spent or nothing can beat the pool."""
    settings = state.settings
    bound = settings.select == "naive" and settings.aggregate in FALLING
    beaten = best_complete(state.pool) if bound else -math.inf
    nodes: list[int] = []
    counts: list[int] = []
    left = state.spending.left()
    while state.queue and len(nodes) < settings.wave and left > 0:
        _, node, own = heapq.heappop(state.queue)
        if own <= beaten:
            state.tree.prune(node)
            continue
        nodes.append(node)
        counts.append(min(settings.branch, left))
        left -= counts[-1]
    return nodes, counts


def _without_known(state: _State, node: int, family: Sequence[Child]) -> list[Child]:
    """The children that are new at the node; the others are counted with their equals."""
    fresh: list[Child] = []
    for child in family:
        state.spending.step(child.path, child.copies)
        at = state.tree.find(node, child.path.steps[-1])
        if at == NONE:
            fresh.append(child)
        else:
            state.tree.repeat(at, mass=child.mass, copies=child.copies)
            state.pool.keep(at, child)
    return fresh


def _queue_children(state: _State, node: int, family: Sequence[Child]) -> None:
    """Record new children and queue the open ones."""
    for entry in record(state.tree, state.pool, node, family):
        path, value = entry.child.path, entry.child.value
        if not path.open:
            continue
        state.paths[entry.node] = path
        if len(path.steps) >= state.settings.max_depth:
            state.tree.hold(entry.node)
            continue
        unscored = math.isnan(value)
        expected = state.tree.mean_value(node) if unscored else value
        _push(state, entry.node, 0.0 if math.isnan(expected) else expected, math.inf if unscored else value)


def _return(state: _State, node: int) -> None:
    """Queue a node again, by what one more sample there is expected to bring, unless nodes are expanded once."""
    tree = state.tree
    if not state.settings.resample:
        tree.hold(node)
        return
    own = tree.value[node]
    _push(state, node, tree.thrifty(tree.novelty(node)) * tree.sample_value(node), math.inf if math.isnan(own) else own)


def _push(state: _State, node: int, expected: float, own: float) -> None:
    """Queue an open path.

    Args:
        state: The search.
        node: Where the path ends.
        expected: What is hoped for.
        own: The path's value, which bounds what follows where values fall; inf if unknown.
    """
    priority = expected + state.settings.bonus * state.tree.depth[node]
    heapq.heappush(state.queue, (-priority, node, own))


def _leaf(state: _State, node: int) -> Child:
    return Child(state.paths[node], value=state.tree.value[node])


def _last(tree: Tree, node: int) -> bool:
    """Whether nothing was sampled at the node, or nothing but failures."""
    below = [tree.steps[child] for child in tree.children(node)]
    failed = all(step is not None and step.finish in (Finish.ERROR, Finish.CANCELLED) for step in below)
    return failed or not tree.samples[node]


def _finish_best(state: _State) -> Generator[Work, Results, bool]:
    """Nothing is complete yet: take the best open path to its end; returns whether that gave a solution."""
    entries = [Entry(node, _leaf(state, node)) for node in state.paths if not state.tree.samples[node]]
    best = sorted(entries, key=lambda entry: entry.rank)[:1]
    ends = yield from extend([entry.child.path for entry in best])
    state.cut = state.cut or any(path.finish is Finish.BUDGET for path in ends)
    scores = yield from judge_unique(ends, state.known)
    for entry, path, score in zip(best, ends, scores, strict=True):
        state.spending.rollout(path)
        child = scored(Child(path), score, state.settings.aggregate)
        at = state.tree.add(entry.node, path.steps[-1], value=child.value, step_values=score.steps, rollout=True)
        state.pool.keep(at, child)
    return state.spending.solutions > 0
