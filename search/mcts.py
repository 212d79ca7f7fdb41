"""Monte-Carlo tree search over reasoning steps.

A simulation selects a node by PUCT, samples `branch` steps there, merges equal ones, evaluates what is new and backs
the best of it up. `wave` simulations go together: their steps are one batch, their judgements another.

Sources: PUCT and the mean backup of AlphaZero (Silver et al. 1712.01815); priors from length-normalised probabilities
and merged siblings (openr, Wang et al. 2410.09671); evaluation of steps by a process reward model instead of rollouts
(rStar-Math, 2501.04519), by rollouts (OmegaPRM, 2406.06592), or by the rollouts' agreement (rStar, 2408.06195).

Deviations:

- Nothing finished is simulated again: finished steps are closed, and so are nodes with nothing left to sample below.
  AlphaZero's free visits to terminal nodes are only counted where visits choose the answer (`final="visits"`).
- The value backed up is the best new step's, not the node's own: all siblings are judged anyway, and an answer needs
  one good continuation, not a good average. AlphaZero backs up the leaf's own value, OmegaPRM its rollouts' mean.
- A node can be sampled again (see `reason.search.tree`): a hard step needs more samples than an easy one.
- A wave takes only nodes that promise about as much as its first (`slack`): one far behind can wait for what the wave
  finds.
- n counts whole solutions, so that strategies compare at equal cost: simulations go on until their steps have cost as
  much as n solutions of the mean length found. With branch 4 and problems of four steps these are n simulations.
- The answer is the best-scored solution's, not the most visited child's; `final` offers the others.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from reason.answers import answer_of, vote
from reason.search.arrays import NONE
from reason.search.children import Child, attach, judge_children, sample_children, scored
from reason.search.pool import Pool, Solution
from reason.search.select import (
    UNSCORED,
    check_aggregate,
    complete_first,
    conclude,
    judge_unique,
    paid_for,
)
from reason.search.spending import Spending
from reason.search.strategy import PARTIAL, SCORER, Strategy, at_least, number, one_of
from reason.search.tree import Tree
from reason.search.visits import by_visits
from reason.types import Finish, Outcome, Path, Problem, Score, UsageError
from reason.work import Results, SearchRun, Work, extend

VALUES = ("scorer", "rollout", "mixed", "agreement")
FINALS = ("value", "vote", "visits")
_SELECT = {"vote": "weighted", "value": "naive", "visits": "majority"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `mcts`."""

    n: int
    branch: int
    simulations: int | None
    root_branch: int
    wave: int
    exploration: float
    novelty: float
    virtual_loss: float
    trust: float
    thrift: float
    slack: float
    value: str
    mix: float
    final: str
    aggregate: str | None
    max_depth: int


def mcts(
    n: int = 16,
    branch: int = 4,
    *,
    simulations: int | None = None,
    root_branch: int | None = None,
    wave: int = 4,
    exploration: float = 0.3,
    novelty: float = 0.0,
    virtual_loss: float = 1.0,
    trust: float = 16.0,
    thrift: float = 0.05,
    slack: float = 0.5,
    value: str = "scorer",
    mix: float = 0.5,
    final: str | None = None,
    aggregate: str | None = None,
    max_depth: int = 64,
) -> Strategy:
    """Tree search with a budget of n whole solutions.

    Args:
        n: The budget: steps may cost as much as n solutions.
        branch: Steps sampled by a simulation.
        simulations: End after so many simulations, if the budget has not ended them before.
        root_branch: Steps sampled by the first simulation; None: `branch`.
        wave: Simulations that are run as one batch.
        exploration: PUCT's constant c.
        novelty: A node is sampled again while the estimated probability that a sample is new is at least this; 0 is
            always, 1 never.
        virtual_loss: Value-0 visits that a simulation in flight counts as.
        trust: Samples that a node's own value is worth when the value of sampling there again is estimated.
        thrift: The novelty (see above) at which that value is halved, since a repeated step brings nothing.
        slack: A node joins a wave only if its value is at least this share of the first one's; 0 always fills waves.
        value: "scorer": the steps' judgements; "rollout": the judgement of one continuation to the end, for scorers
            that cannot judge unfinished paths; "mixed": both; "agreement": the share of the answers so far that equal
            the rollout's, which needs no scorer.
        mix: Weight of the rollout in "mixed".
        final: The answer: "value" is the best-scored solution's, "vote" the vote of all solutions by their scores,
            "visits" the one at the end of the most visited branches, weighed by the chance of a walk in proportion to
            visits. None: "value", or "vote" with `value="agreement"`.
        aggregate: How step values become a path's value ("last", "min", "product", "mean"); None: as the scorer does.
        max_depth: Steps of a path at most.

    Raises:
        UsageError: An argument is out of range, or `final="value"` with `value="agreement"`, which scores no path.
    """
    for name, count in (("n", n), ("branch", branch), ("wave", wave), ("max_depth", max_depth)):
        at_least(name, count)
    if simulations is not None:
        at_least("simulations", simulations)
    roots = branch if root_branch is None else at_least("root_branch", root_branch)
    number("exploration", exploration)
    number("novelty", novelty, 0, 1)
    number("virtual_loss", virtual_loss)
    number("trust", trust)
    number("thrift", thrift)
    number("slack", slack, 0, 1)
    number("mix", mix, 0, 1)
    one_of("value", value, VALUES)
    if final is None:
        final = "vote" if value == "agreement" else "value"
    one_of("final", final, FINALS)
    check_aggregate(aggregate)
    if value == "agreement" and final == "value":
        raise UsageError("final='value' with value='agreement': no path is scored; pass final='vote' or 'visits'")
    settings = Settings(
        n,
        branch,
        simulations,
        roots,
        wave,
        exploration,
        novelty,
        virtual_loss,
        trust,
        thrift,
        slack,
        value,
        mix,
        final,
        aggregate,
        max_depth,
    )

    def run(problem: Problem) -> SearchRun:
        return _run(problem, settings)

    return Strategy("mcts", run, frozenset({PARTIAL} if value == "agreement" else {SCORER, PARTIAL}))


@dataclass(slots=True)
class _State:
    """A search under way.

    Attributes:
        tree, settings, spending: What they say.
        paths: The open paths by node.
        pool: The solutions found.
        known: Every judgement, by text and finish.
        tally: How often each answer was found; for agreement.
        simulations: Simulations done.
        cut: Whether the run's budget ended a step.
    """

    tree: Tree
    settings: Settings
    spending: Spending
    paths: dict[int, Path]
    pool: Pool = field(default_factory=Pool)
    known: dict[tuple[str, Finish], Score] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=dict)
    simulations: int = 0
    cut: bool = False


def _run(problem: Problem, settings: Settings) -> SearchRun:
    tree = Tree(problem, virtual_loss=settings.virtual_loss, trust=settings.trust, thrift=settings.thrift)
    state = _State(tree, settings, Spending(settings.n), {0: Path(problem)})
    while not state.cut:
        nodes, counts = _select_wave(state)
        if not nodes:
            # A first solution also tells what the budget pays for: maybe more simulations.
            if state.spending.solutions or not (yield from _finish_best(state)):
                break
            continue
        families, state.cut = yield from sample_children([state.paths[node] for node in nodes], counts)
        fresh = [_without_known(state, node, family) for node, family in zip(nodes, families, strict=True)]
        values = yield from _evaluate(state, nodes, fresh)
        for node, value in zip(nodes, values, strict=True):
            tree.backpropagate(node, value)
            if settings.novelty < 1 and tree.novelty(node) >= settings.novelty:
                tree.release(node)
        state.simulations += len(nodes)
    return _conclude(problem, state)


def _select_wave(state: _State) -> tuple[list[int], list[int]]:
    """Nodes to sample at, all different, and how many steps at each: none once the budget is spent."""
    settings, tree = state.settings, state.tree
    nodes: list[int] = []
    counts: list[int] = []
    left = state.spending.left()
    wave = settings.wave
    if settings.simulations is not None:
        wave = min(wave, settings.simulations - state.simulations)
    while len(nodes) < wave and left > 0:
        if settings.final == "visits":
            tree.revisit(settings.exploration)
        node = tree.select(settings.exploration)
        if node == NONE:
            break
        if nodes and not _promise(tree, node) >= settings.slack * _promise(tree, nodes[0]):
            tree.deselect(node)
            break
        count = settings.root_branch if node == 0 and not tree.samples[0] else settings.branch
        nodes.append(node)
        counts.append(min(count, left))
        left -= counts[-1]
        if settings.value != "scorer":
            left -= state.spending.rollout_steps([tree.depth[node] + 1])
    return nodes, counts


def _promise(tree: Tree, node: int) -> float:
    """The value expected of a simulation at the node; 0 if unknown."""
    value = tree.sample_value(node) if tree.samples[node] else tree.mean_value(node)
    return 0.0 if math.isnan(value) else value


def _without_known(state: _State, node: int, family: Sequence[Child]) -> list[Child]:
    """The children that are new at the node; the others are counted with their equals."""
    fresh: list[Child] = []
    for child in family:
        step = child.path.steps[-1]
        state.spending.step(child.path, child.copies)
        known = state.tree.find(node, step)
        if known == NONE:
            fresh.append(child)
        else:
            state.tree.repeat(known, mass=child.mass, copies=child.copies)
            state.pool.keep(known, child)
    return fresh


def _evaluate(
    state: _State, nodes: Sequence[int], families: Sequence[Sequence[Child]]
) -> Generator[Work, Results, list[float]]:
    """Judge and record the new children, roll out where asked; returns each node's value to back up."""
    settings = state.settings
    judged: Sequence[Sequence[Child]] = families
    if settings.value in ("scorer", "mixed"):
        judged = yield from judge_children(families, settings.aggregate, state.known)
    elif settings.value == "rollout":
        ends = [[child for child in family if not child.path.open] for family in families]
        done = iter(
            [child for family in (yield from judge_children(ends, settings.aggregate, state.known)) for child in family]
        )
        judged = [[child if child.path.open else next(done) for child in family] for family in families]
    best = [_record(state, node, family) for node, family in zip(nodes, judged, strict=True)]
    if settings.value == "scorer":
        return [value for value, _ in best]
    rolled = yield from _roll_out(state, [start for _, start in best if start != NONE])
    return [_combine(settings, value, rolled.get(start, math.nan)) for value, start in best]


def _record(state: _State, node: int, family: Sequence[Child]) -> tuple[float, int]:
    """Add the children to the tree; returns the best value among them and the open child to roll out from (or NONE)."""
    values: list[float] = []
    start, start_rank = NONE, (-math.inf, -math.inf)
    for child in family:
        at = attach(state.tree, node, child)
        value = child.value
        if child.path.open and len(child.path.steps) < state.settings.max_depth:
            state.paths[at] = child.path
            rank = (-math.inf if math.isnan(value) else value, child.mass)
            if start == NONE or rank > start_rank:
                start, start_rank = at, rank
        elif child.path.open:
            state.tree.hold(at)
        elif paid_for(child.path):
            state.pool.keep(at, child)
            value = _agreement(state, child.path) if state.settings.value == "agreement" else value
        if not math.isnan(value):
            values.append(value)
    return max(values, default=math.nan), start


def _roll_out(state: _State, starts: Sequence[int]) -> Generator[Work, Results, dict[int, float]]:
    """Continue each node to the end once; the values by node."""
    ends = yield from extend([state.paths[start] for start in starts])
    state.cut = state.cut or any(path.finish is Finish.BUDGET for path in ends)
    agreement = state.settings.value == "agreement"
    scores = [UNSCORED] * len(ends) if agreement else (yield from judge_unique(ends, state.known))
    values: dict[int, float] = {}
    for start, path, score in zip(starts, ends, scores, strict=True):
        child = scored(Child(path), score, state.settings.aggregate)
        state.spending.rollout(path)
        at = state.tree.add(start, path.steps[-1], value=child.value, step_values=child.score.steps, rollout=True)
        state.pool.keep(at, child)
        values[start] = _agreement(state, child.path) if agreement else child.value
        state.tree.note(start, values[start])
    return values


def _agreement(state: _State, path: Path) -> float:
    """Count the path's answer; the share of the answers so far that equal it, NaN if it has none."""
    own = answer_of(path.text)
    if not own:
        return math.nan
    known = list(state.tally)
    equals = vote([own, *known], [0.0, *(float(state.tally[answer]) for answer in known)])
    group = next(group for group in equals if 0 in group.members)
    first = known[group.members[1] - 1] if len(group.members) > 1 else own
    state.tally[first] = state.tally.get(first, 0) + 1
    return (group.weight + 1) / sum(state.tally.values())


def _combine(settings: Settings, value: float, rolled: float) -> float:
    if math.isnan(value) or math.isnan(rolled):
        return rolled if math.isnan(value) else value
    if settings.value == "mixed":
        return (1 - settings.mix) * value + settings.mix * rolled
    return max(value, rolled)


def _finish_best(state: _State) -> Generator[Work, Results, bool]:
    """Nothing is complete yet: take the best open path to its end; returns whether that gave a solution."""
    leaves = sorted(_leaves(state), key=lambda node: _rank(state.tree, node))
    yield from _roll_out(state, leaves[:1])
    return state.spending.solutions > 0


def _leaves(state: _State) -> list[int]:
    return [node for node in state.paths if not state.tree.samples[node]]


def _rank(tree: Tree, node: int) -> tuple[bool, float, int]:
    value = tree.mean_value(node)
    return math.isnan(value), 0.0 if math.isnan(value) else -value, node


def _conclude(problem: Problem, state: _State) -> Outcome:
    settings, tree = state.settings, state.tree
    solutions = state.pool.solutions()
    if not any(solution.candidate().answer for solution in solutions):
        leaves = [node for node in _leaves(state) if node]
        solutions += [Solution(Child(state.paths[node], value=tree.value[node]), [node], 1) for node in leaves]
    candidates = [solution.candidate() for solution in solutions]
    among = complete_first(candidates)
    weights: list[float] | None = None
    pick = None
    if settings.final == "visits" and solutions:
        pick, weights = by_visits(tree, [solution.nodes for solution in solutions], among)
    elif settings.value == "agreement":
        weights = [float(solution.count) for solution in solutions]
    outcome = conclude(
        problem,
        candidates,
        "majority" if settings.value == "agreement" else _SELECT[settings.final],
        weights=weights,
        among=among,
        pick=pick,
        tree=tree,
        stopped="budget" if state.cut else "done",
    )
    for solution in solutions:
        if solution.child.path is outcome.path:
            tree.choose(solution.nodes[-1])
    return outcome
