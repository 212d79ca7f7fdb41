"""Monte-Carlo tree search over reasoning steps.

A simulation selects a node by PUCT, samples `branch` steps there, merges equal ones, evaluates what is new and backs
the best of it up. `wave` simulations go together: their steps are one batch, their judgements another.

Sources: PUCT and the mean backup of AlphaZero (Silver et al. 1712.01815); priors from length-normalised probabilities
and merged siblings (openr, Wang et al. 2410.09671); evaluation of steps by a process reward model instead of rollouts
(rStar-Math, 2501.04519), by rollouts (OmegaPRM, 2406.06592), or by the rollouts' agreement (rStar, 2408.06195).

Options: UCT as the rule (Kocsis & Szepesvári 2006), progressive widening (Coulom 2007), sentences or spans of tokens
instead of steps; it ends early where the answer cannot change any more (`reason.search.decided`).

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
from collections.abc import Sequence

from reason.search.arrays import NONE
from reason.search.children import Child, sample_children
from reason.search.decided import decided
from reason.search.pool import Solution
from reason.search.rules import RULES
from reason.search.select import check_aggregate, complete_first, conclude
from reason.search.simulate import Settings, State, evaluate, finish_best, last_places, without_known
from reason.search.spending import Spending
from reason.search.strategy import PARTIAL, SCORER, Strategy, at_least, number, one_of
from reason.search.tree import Tree
from reason.search.units import unit_of
from reason.search.visits import by_visits
from reason.types import Outcome, Problem, UsageError
from reason.work import SearchRun

VALUES = ("scorer", "rollout", "mixed", "agreement")
FINALS = ("value", "vote", "visits")
_EXPLORATION = {"puct": 0.3, "uct": 0.1}
_SELECT = {"vote": "weighted", "value": "naive", "visits": "majority"}


def mcts(
    n: int = 16,
    branch: int = 4,
    *,
    simulations: int | None = None,
    root_branch: int | None = None,
    unit: str = "step",
    span: int = 32,
    wave: int = 4,
    rule: str = "puct",
    exploration: float | None = None,
    first_play: float | None = None,
    widening: tuple[float, float] | None = None,
    novelty: float = 0.0,
    virtual_loss: float = 1.0,
    trust: float = 16.0,
    thrift: float = 0.05,
    slack: float = 0.5,
    value: str = "scorer",
    mix: float = 0.5,
    rollout_temperature: float | None = None,
    final: str | None = None,
    bound: float = 1.0,
    aggregate: str | None = None,
    max_depth: int = 64,
) -> Strategy:
    """Tree search with a budget of n whole solutions.

    Args:
        n: The budget: steps may cost as much as n solutions.
        branch: Steps sampled by a simulation.
        simulations: End after so many simulations, if the budget has not ended them before.
        root_branch: Steps sampled by the first simulation; None: `branch`.
        unit: What a "step" is, here and in all other arguments: "step" as the policy ends them, "sentence" or "span".
        span: Tokens of a unit with `unit="span"`.
        wave: Simulations that are run as one batch.
        rule: "puct" or "uct"; see `reason.search.rules`.
        exploration: The rule's constant c; None: 0.3 for "puct", 0.1 for "uct".
        first_play: Under "uct", the score of a step that has neither a value nor a visit (first-play urgency); None:
            such steps come first.
        widening: (k, alpha): in its N-th visit a node is sampled first of all if it has fewer than k · N ** alpha
            samples, and else only if nothing below it is open. None: `novelty`, `trust` and `thrift` decide.
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
        rollout_temperature: Temperature of rollouts; None: the run's, 0: greedy.
        final: The answer: "value" is the best-scored solution's, "vote" the vote of all solutions by their scores,
            "visits" the one at the end of the most visited branches, weighed by the chance of a walk in proportion to
            visits. None: "value", or "vote" with `value="agreement"`.
        bound: The greatest value there is: the search ends once no simulation left could change the answer, see
            `reason.search.decided`.
        aggregate: How step values become a path's value ("last", "min", "product", "mean"); None: as the scorer does.
        max_depth: Steps of a path at most.

    Raises:
        UsageError: An argument is out of range, or `final="value"` with `value="agreement"`, which scores no path.
    """
    settings = Settings(
        n=n,
        branch=branch,
        simulations=simulations,
        root_branch=branch if root_branch is None else root_branch,
        unit=unit_of(unit, span),
        wave=wave,
        rule=one_of("rule", rule, tuple(RULES)),
        exploration=_EXPLORATION[rule] if exploration is None else exploration,
        first_play=first_play,
        widening=None if widening is None else check_widening(widening),
        novelty=novelty,
        virtual_loss=virtual_loss,
        trust=trust,
        thrift=thrift,
        slack=slack,
        value=one_of("value", value, VALUES),
        mix=mix,
        rollout_temperature=rollout_temperature,
        final=one_of("final", final or ("vote" if value == "agreement" else "value"), FINALS),
        bound=bound,
        aggregate=check_aggregate(aggregate),
        max_depth=max_depth,
    )
    _check(settings)

    def run(problem: Problem) -> SearchRun:
        return _run(problem, settings)

    return Strategy("mcts", run, frozenset({PARTIAL} if value == "agreement" else {SCORER, PARTIAL}))


def _check(settings: Settings) -> None:
    """Raises UsageError if an argument is out of range."""
    for name in ("n", "branch", "root_branch", "wave", "max_depth"):
        at_least(name, getattr(settings, name))
    for name in ("novelty", "slack", "mix"):
        number(name, getattr(settings, name), 0, 1)
    for name in ("exploration", "virtual_loss", "trust", "thrift", "bound"):
        number(name, getattr(settings, name))
    if settings.simulations is not None:
        at_least("simulations", settings.simulations)
    if settings.first_play is not None:
        number("first_play", settings.first_play, -math.inf)
    if settings.rollout_temperature is not None:
        number("rollout_temperature", settings.rollout_temperature)
    if settings.value == "agreement" and settings.final == "value":
        raise UsageError("final='value' with value='agreement': no path is scored; pass final='vote' or 'visits'")


def check_widening(widening: tuple[float, float]) -> tuple[float, float]:
    """The pair, if it is one: k at least 0 and alpha in [0, 1].

    Raises:
        UsageError: It is not.
    """
    if not isinstance(widening, Sequence) or isinstance(widening, str) or len(widening) != 2:
        raise UsageError(f"widening={widening!r}: must be a pair (k, alpha); pass widening=(2, 0.5), for example")
    factor, power = number("widening[0]", widening[0]), number("widening[1]", widening[1], 0, 1)
    return factor, power


def _run(problem: Problem, settings: Settings) -> SearchRun:
    tree = settings.tree(problem)
    state = State(tree, settings, Spending(settings.n))
    while not state.cut and not decided(state):
        nodes, counts = _select_wave(state)
        if not nodes:
            # A first solution also tells what the budget pays for: maybe more simulations.
            if state.spending.solutions or not (yield from finish_best(state)):
                break
            continue
        parents = [tree.path(node) for node in nodes]
        families, state.cut = yield from sample_children(parents, counts, settings.unit)
        fresh = [without_known(state, node, family) for node, family in zip(nodes, families, strict=True)]
        values = yield from evaluate(state, nodes, fresh)
        for node, value in zip(nodes, values, strict=True):
            tree.backpropagate(node, value)
            if settings.novelty < 1 and tree.novelty(node) >= settings.novelty:
                tree.release(node)
        if settings.final == "visits":
            for _ in nodes:
                tree.revisit(settings.exploration)
        state.simulations += len(nodes)
    return _conclude(problem, state)


def _select_wave(state: State) -> tuple[list[int], list[int]]:
    """Nodes to sample at, all different, and how many steps at each: none once the budget is spent."""
    settings, tree = state.settings, state.tree
    nodes: list[int] = []
    counts: list[int] = []
    left = state.spending.left()
    wave = settings.wave
    if settings.simulations is not None:
        wave = min(wave, settings.simulations - state.simulations)
    while len(nodes) < wave and left > 0:
        node = tree.select(settings.exploration)
        if node == NONE:
            break
        if nodes and not _promise(tree, node) >= settings.slack * _promise(tree, nodes[0]):
            tree.deselect(node)
            break
        count = settings.root_branch if node == 0 and not tree.samples[0] else settings.branch
        if settings.widening is not None:
            count = min(count, max(tree.room(node), 1))
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


def _conclude(problem: Problem, state: State) -> Outcome:
    settings, tree = state.settings, state.tree
    solutions = state.pool.solutions()
    if not any(solution.candidate().answer for solution in solutions):
        leaves = [node for node in last_places(tree) if node]
        solutions += [Solution(Child(tree.path(node), value=tree.value[node]), [node], 1) for node in leaves]
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
