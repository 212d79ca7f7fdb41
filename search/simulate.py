"""What one wave of a tree search does after its nodes are chosen: judge, record, roll out, and value what it found.

`reason.search.mcts` describes the algorithm; here are its settings, its state, and the evaluation of new steps.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass, field

from reason.answers import answer_of, vote
from reason.answers.keys import key
from reason.search.arrays import NONE
from reason.search.children import Child, attach, judge_children, scored
from reason.search.pool import Pool
from reason.search.select import UNSCORED, judge_unique, paid_for
from reason.search.spending import Spending
from reason.search.tree import Tree
from reason.search.units import Unit
from reason.types import Finish, Path, Problem, Score, Step
from reason.work import Results, Work, extend


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `mcts`."""

    n: int
    branch: int
    simulations: int | None
    root_branch: int
    unit: Unit
    wave: int
    rule: str
    exploration: float
    first_play: float | None
    widening: tuple[float, float] | None
    novelty: float
    virtual_loss: float
    trust: float
    thrift: float
    slack: float
    value: str
    mix: float
    rollout_temperature: float | None
    final: str
    bound: float
    aggregate: str | None
    max_depth: int

    def tree(self, problem: Problem) -> Tree:
        """An empty tree that selects as the settings say."""
        return Tree(
            problem,
            virtual_loss=self.virtual_loss,
            trust=self.trust,
            thrift=self.thrift,
            rule=self.rule,
            first_play=self.first_play,
            widening=self.widening,
        )


@dataclass(slots=True)
class State:
    """A search under way.

    Attributes:
        tree, settings, spending: What they say.
        pool: The solutions found.
        known: Every judgement, by text and finish.
        tally: How often each answer was found; for agreement.
        named: The answer in the tally by its normal form.
        answers: Answers found, equal ones included.
        simulations: Simulations done.
        cut: Whether the run's budget ended a step.
        check_at: After how many simulations it can next be decided.
    """

    tree: Tree
    settings: Settings
    spending: Spending
    pool: Pool = field(default_factory=Pool)
    known: dict[tuple[str, Finish], Score] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=dict)
    named: dict[Hashable, str] = field(default_factory=dict)
    answers: int = 0
    simulations: int = 0
    cut: bool = False
    check_at: int = 0


def without_known(state: State, node: int, family: Sequence[Child]) -> list[Child]:
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


def evaluate(
    state: State, nodes: Sequence[int], families: Sequence[Sequence[Child]]
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
    rolled = yield from roll_out(state, [start for _, start in best if start != NONE])
    return [_combine(settings, value, rolled.get(start, math.nan)) for value, start in best]


def _record(state: State, node: int, family: Sequence[Child]) -> tuple[float, int]:
    """Add the children to the tree; returns the best value among them and the open child to roll out from (or NONE)."""
    values: list[float] = []
    start, start_rank = NONE, (-math.inf, -math.inf)
    for child in family:
        at = attach(state.tree, node, child)
        value = child.value
        if child.path.open and len(child.path.steps) < state.settings.max_depth:
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


def roll_out(state: State, starts: Sequence[int]) -> Generator[Work, Results, dict[int, float]]:
    """Continue each node to the end once; the values by node."""
    ends = yield from extend(
        [state.tree.path(start) for start in starts], temperature=state.settings.rollout_temperature
    )
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


def _agreement(state: State, path: Path) -> float:
    """Count the path's answer; the share of the answers so far that equal it, NaN if it has none."""
    own = answer_of(path.text)
    if not own:
        return math.nan
    form = key(own)
    first = state.named.get(form)
    if first is None:
        first, count = _first_like(state, own, form)
    else:
        count = state.tally[first]
    state.tally[first] = state.tally.get(first, 0) + 1
    state.answers += 1
    return (count + 1) / state.answers


def _first_like(state: State, own: str, form: Hashable) -> tuple[str, float]:
    """The answer in the tally that equals this one, or itself, and how often it was found."""
    known = list(state.tally)
    equals = vote([own, *known], [0.0, *(float(state.tally[answer]) for answer in known)])
    group = next(group for group in equals if 0 in group.members)
    first = known[group.members[1] - 1] if len(group.members) > 1 else own
    if len(group.members) < 3:
        state.named[form] = first
    return first, group.weight


def _combine(settings: Settings, value: float, rolled: float) -> float:
    if math.isnan(value) or math.isnan(rolled):
        return rolled if math.isnan(value) else value
    if settings.value == "mixed":
        return (1 - settings.mix) * value + settings.mix * rolled
    return max(value, rolled)


def finish_best(state: State) -> Generator[Work, Results, bool]:
    """Nothing is complete yet: take the best open path to its end; returns whether that gave a solution."""
    leaves = sorted(open_leaves(state.tree), key=lambda node: _rank(state.tree, node))
    yield from roll_out(state, leaves[:1])
    return state.spending.solutions > 0


def open_leaves(tree: Tree) -> list[int]:
    """Nodes whose paths could go on and were never sampled at, those at the greatest depth included."""
    return [node for node in last_places(tree) if not tree.samples[node]]


def last_places(tree: Tree) -> list[int]:
    """Nodes whose paths could go on and below which there is nothing, or every step failed."""
    return [
        node
        for node, step in enumerate(tree.steps)
        if (step is None or step.finish is Finish.STEP) and all(_failed(tree.steps[at]) for at in tree.children(node))
    ]


def _failed(step: Step | None) -> bool:
    return step is not None and step.finish in (Finish.ERROR, Finish.CANCELLED)


def _rank(tree: Tree, node: int) -> tuple[bool, float, int]:
    value = tree.mean_value(node)
    return math.isnan(value), 0.0 if math.isnan(value) else -value, node
