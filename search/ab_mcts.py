"""AB-MCTS: at every node Thompson sampling decides whether to go wider or deeper.

Inoue et al. 2503.04412, AB-MCTS-A (node aggregation). A node has two arms: GEN samples one more child, CONT goes on
with one of the children there are. Each arm has a posterior of its score (Gaussian or Beta, `reason.search.beliefs`):
GEN's observations are the scores of the node's children, CONT's those of all later descendants. From the root on, one
draw of each decides; under CONT one draw per child decides which, its observations being its own score and those of
all below it; this goes on until GEN is chosen. The new child's score is observed by the GEN above it and by every CONT
on the way. The paper's nodes are whole answers, a child being a revision of its parent's (`unit="answer"`); here a node
can also be a step, a sentence or a span of tokens.

Deviations:

- `wave` selections go together. One in flight counts as observations of value 0 on its way (`virtual_loss`), and at
  most `branch` of a wave sample at the same node, so a wave spreads instead of choosing one node over and over.
- A finished path is no arm under CONT, and a node without open children has no CONT. A wave may come out smaller.
- Equal siblings are merged: every sample is observed, the child is there once and is judged once. GEN's draw is
  discounted where a new child is unlikely (`thrift`, see `reason.search.tree`); 0 leaves that out.
- A revision that equals an answer of the tree is kept, but not revised again: the prompt would be the same.
- n counts whole solutions, as in `reason.search.mcts`. Draws are seeded by the problem's id and all sampled texts.
- Scores outside [0, 1] are clipped by "beta". The root's arms start from the same prior as all others.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from random import Random

from reason.search.arrays import NONE
from reason.search.beliefs import MODELS, Beliefs, Beta, Gaussian, Model
from reason.search.children import Child, attach, judge_children, merge, sample_children, scored
from reason.search.pool import Pool, Solution
from reason.search.select import SELECTIONS, check_aggregate, complete_first, conclude, judge_unique
from reason.search.simulate import last_places, open_leaves
from reason.search.spending import Spending
from reason.search.strategy import PARTIAL, SCORER, Strategy, at_least, number, one_of
from reason.search.tree import Tree
from reason.search.units import UNITS, Unit, unit_of
from reason.types import Finish, Outcome, Path, Problem, Score, UsageError
from reason.work import Results, SearchRun, Work, ask, extend

REVISE = """{question}

An earlier attempt at an answer:

{attempt}

Check the attempt, and write a better answer, complete from the start."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `ab_mcts`; `unit` is None for whole answers."""

    n: int
    model: Model
    unit: Unit | None
    wave: int
    branch: int
    thrift: float
    virtual_loss: float
    select: str
    bound: float
    aggregate: str | None
    max_depth: int
    revise: str


def ab_mcts(
    n: int = 16,
    *,
    model: str = "gaussian",
    prior: tuple[float, float] | None = None,
    unit: str = "step",
    span: int = 32,
    wave: int = 4,
    branch: int = 2,
    thrift: float = 0.05,
    virtual_loss: float = 1.0,
    select: str = "naive",
    bound: float = 1.0,
    aggregate: str | None = None,
    max_depth: int = 64,
    revise: str = REVISE,
) -> Strategy:
    """Tree search that widens or deepens by Thompson sampling, with a budget of n whole solutions.

    Args:
        n: The budget: samples may cost as much as n solutions.
        model: The posteriors: "gaussian", or "beta" for scores in [0, 1].
        prior: The mean that is expected before anything is seen, and how many observations that is worth; None: the
            paper's, 0.5 and 1 for "beta" (Jeffreys' prior), 0 and 1 for "gaussian".
        unit: What a node is: "step", "sentence", "span" of tokens, or a whole "answer".
        span: Tokens of a node with `unit="span"`.
        wave: Samples that are drawn as one batch.
        branch: Samples of a wave at the same node at most.
        thrift: The novelty at which a draw for sampling is halved; 0: no discount.
        virtual_loss: Observations of value 0 that a selection in flight counts as.
        select: How the solutions give the answer: "naive", "weighted" or "majority".
        bound: The greatest value there is: with "naive" the search ends once a complete solution has it.
        aggregate: How step values become a path's value ("last", "min", "product", "mean"); None: as the scorer does.
        max_depth: Nodes of a path at most.
        revise: The question that asks for a revision, with {question} and {attempt}; for `unit="answer"`.

    Raises:
        UsageError: An argument is out of range.
    """
    for name, count in (("n", n), ("wave", wave), ("branch", branch), ("max_depth", max_depth)):
        at_least(name, count)
    one_of("unit", unit, (*UNITS, "answer"))
    at_least("span", span)
    for name, value in (("thrift", thrift), ("virtual_loss", virtual_loss), ("bound", bound)):
        number(name, value)
    one_of("select", select, SELECTIONS)
    check_aggregate(aggregate)
    if "{question}" not in revise or "{attempt}" not in revise:
        raise UsageError(f"revise={revise!r}: must say where {{question}} and {{attempt}} stand; write both into it")
    settings = Settings(
        n,
        _model(one_of("model", model, MODELS), prior),
        None if unit == "answer" else unit_of(unit, span),
        wave,
        branch,
        thrift,
        virtual_loss,
        select,
        bound,
        aggregate,
        max_depth,
        revise,
    )

    def run(problem: Problem) -> SearchRun:
        return _run(problem, settings)

    return Strategy("ab_mcts", run, frozenset({SCORER} if unit == "answer" else {SCORER, PARTIAL}))


def _model(name: str, prior: tuple[float, float] | None) -> Model:
    if prior is None:
        return Beta() if name == "beta" else Gaussian()
    if not isinstance(prior, Sequence) or isinstance(prior, str) or len(prior) != 2:
        raise UsageError(f"prior={prior!r}: must be a pair (mean, weight); pass prior=(0.5, 1), for example")
    least, most = (0.0, 1.0) if name == "beta" else (-math.inf, math.inf)
    mean, weight = number("prior[0]", prior[0], least, most), number("prior[1]", prior[1], 1e-6)
    return Beta(max(mean * weight, 1e-6), max((1 - mean) * weight, 1e-6)) if name == "beta" else Gaussian(mean, weight)


@dataclass(slots=True)
class _State:
    """A search under way; `sampling` counts the selections in flight by the node where they ended."""

    problem: Problem
    settings: Settings
    tree: Tree
    beliefs: Beliefs
    spending: Spending
    random: Random
    pool: Pool = field(default_factory=Pool)
    known: dict[tuple[str, Finish], Score] = field(default_factory=dict)
    sampling: dict[int, int] = field(default_factory=dict)
    digest: bytes = b""
    answers: int = 0
    cut: bool = False

    def reseed(self, texts: Sequence[str]) -> None:
        """Let the coming draws depend on what has been sampled, and on nothing else."""
        parts = "".join(f"{len(text)}:{text}" for text in texts)
        self.digest = hashlib.blake2b(self.digest + parts.encode(), digest_size=16).digest()
        self.random.seed(int.from_bytes(self.digest))

    def left(self) -> int:
        """Samples that the budget still pays for."""
        if self.settings.unit is None:
            return self.settings.n - self.answers
        return self.spending.left()

    def decided(self) -> bool:
        """Whether no solution can beat the best one there is."""
        return self.settings.select == "naive" and self.pool.best == self.settings.bound


def _run(problem: Problem, settings: Settings) -> SearchRun:
    tree = Tree(problem, virtual_loss=settings.virtual_loss, thrift=settings.thrift, whole=settings.unit is None)
    beliefs = Beliefs(tree, settings.model, settings.virtual_loss)
    state = _State(problem, settings, tree, beliefs, Spending(settings.n), Random(0))
    state.reseed([problem.id])
    while not state.cut and not state.decided():
        nodes = _select_wave(state)
        if not nodes:
            if state.spending.solutions or not (yield from _finish_best(state)):
                break
            continue
        families = yield from _sample(state, nodes, [state.sampling[node] for node in nodes])
        state.reseed([child.path.text for family in families for child in family])
        fresh = [
            [c for c in family if tree.find(node, c.path.steps[-1]) == NONE]
            for node, family in zip(nodes, families, strict=True)
        ]
        judged = yield from judge_children(fresh, settings.aggregate, state.known)
        for node, family, new in zip(nodes, families, judged, strict=True):
            _record(state, node, family, new)
        state.sampling.clear()
    return _conclude(state)


def _select_wave(state: _State) -> list[int]:
    """The nodes to sample at, each once; `state.sampling` says how often."""
    for _ in range(min(state.settings.wave, state.left())):
        node = _select(state)
        if node == NONE:
            break
        state.sampling[node] = state.sampling.get(node, 0) + 1
        if state.sampling[node] == state.settings.branch:
            state.tree.hold(node)
    return list(state.sampling)


def _select(state: _State) -> int:
    """Walk down by Thompson sampling to a node to sample at; NONE if nothing is open."""
    tree, beliefs, random = state.tree, state.beliefs, state.random
    if not tree.open[0]:
        return NONE
    node = 0
    while True:
        wider, deeper = bool(tree.samplable[node]), tree.ways[node] > tree.samplable[node]
        if wider and deeper:
            here = state.sampling.get(node, 0)
            draw = beliefs.draw_made(node, random, here)
            draw = draw * tree.thrifty(tree.novelty(node)) if draw > 0 else draw
            wider = draw >= beliefs.draw_deeper(node, random, tree.virtual[node] - here)
        tree.virtual[node] += 1
        if wider:
            return node
        node = beliefs.best_child(node, random)


def _sample(state: _State, nodes: Sequence[int], counts: Sequence[int]) -> Generator[Work, Results, list[list[Child]]]:
    """The new children of each node, equal ones merged."""
    parents = [state.tree.path(node) for node in nodes]
    if state.settings.unit is not None:
        families, state.cut = yield from sample_children(parents, counts, state.settings.unit)
        for family in families:
            for child in family:
                state.spending.step(child.path, child.copies)
        return families
    prompts = [_prompt(state, path) for path, count in zip(parents, counts, strict=True) for _ in range(count)]
    answers = [path.under(state.problem) for path in (yield from extend(prompts))]
    for path in answers:
        state.spending.rollout(path)
    state.answers += len(answers)
    state.cut = any(path.finish is Finish.BUDGET for path in answers)
    given = iter(answers)
    return [merge([next(given) for _ in range(count)]) for count in counts]


def _prompt(state: _State, path: Path) -> Path:
    """The path on which an answer, or the revision of one, is asked for."""
    if not path.steps:
        return path
    question = state.settings.revise.replace("{question}", state.problem.question).replace(
        "{attempt}", path.text.strip()
    )
    return ask(state.problem, question)


def _record(state: _State, node: int, family: Sequence[Child], judged: Sequence[Child]) -> None:
    """Add the new children, count the known ones, observe all of them and back them up."""
    tree, new = state.tree, {id(child.path): child for child in judged}
    values: list[float] = []
    for found in family:
        child = new.get(id(found.path))
        if child is None:
            at = tree.find(node, found.path.steps[-1])
            tree.repeat(at, mass=found.mass, copies=found.copies)
        else:
            at = _add(state, node, child)
        state.pool.keep(at, child or found)
        state.beliefs.observe(node, tree.value[at], found.copies)
        values += [tree.value[at]] * found.copies
    for value in values:
        tree.backpropagate(node, value)
    tree.release(node)


def _add(state: _State, node: int, child: Child) -> int:
    tree = state.tree
    at = attach(tree, node, child)
    if tree.open[at]:
        again = state.settings.unit is None and (child.path.text, child.path.finish) in state.pool
        if again or tree.depth[at] >= state.settings.max_depth:
            tree.hold(at)
    return at


def _finish_best(state: _State) -> Generator[Work, Results, bool]:
    """Nothing is complete yet: take the best open path to its end; returns whether that gave a solution."""
    leaves = open_leaves(state.tree)
    if state.settings.unit is None or not leaves:
        return False
    start = max(leaves, key=lambda node: (-math.inf if math.isnan(v := state.tree.value[node]) else v, -node))
    [path] = yield from extend([state.tree.path(start)])
    state.cut = path.finish is Finish.BUDGET
    [score] = yield from judge_unique([path], state.known)
    child = scored(Child(path), score, state.settings.aggregate)
    state.spending.rollout(path)
    at = state.tree.add(start, path.steps[-1], value=child.value, step_values=child.score.steps, rollout=True)
    state.pool.keep(at, child)
    return state.spending.solutions > 0


def _conclude(state: _State) -> Outcome:
    solutions = state.pool.solutions()
    if not any(solution.candidate().answer for solution in solutions):
        leaves = [node for node in last_places(state.tree) if node]
        solutions += [
            Solution(Child(state.tree.path(node), value=state.tree.value[node]), [node], 1) for node in leaves
        ]
    candidates = [solution.candidate() for solution in solutions]
    outcome = conclude(
        state.problem,
        candidates,
        state.settings.select,
        among=complete_first(candidates),
        tree=state.tree,
        stopped="budget" if state.cut else "done",
    )
    for solution in solutions:
        if solution.child.path is outcome.path:
            state.tree.choose(solution.nodes[-1])
    return outcome
