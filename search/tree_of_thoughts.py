"""Tree of thoughts: a chat model proposes next steps, judges them itself, and the search keeps the promising ones.

Yao et al. 2305.10601. A thought is a step of a solution. New thoughts come from a proposal (several in one reply) or
from samples; they are judged one by one with words worth 20, 1 and 0.001 as in the released code (sure, likely,
impossible), or by votes among them. Breadth-first search keeps the best `keep` states of each level; depth-first search
follows the best child, prunes those worth no more than `threshold`, and backtracks. Where a solution lacks its final
answer at the end, it is asked for. No scorer and no continuing of partial answers is needed.

Deviations:

- Values are means over the readable judgements (the released code sums them, and takes an unreadable one for 0); a
  state without any is unscored and ranks last, but is never pruned.
- Equal states are merged (the released code gives the second one value 0), and judged once in a search, as there.
- Finished solutions leave the frontier, are judged by a prompt of their own, and the best of them answers; one judged
  best by all ends the search. Depth-first search ends with `solutions` unpruned ones (the paper: a number of steps).
- n bounds the cost, which the paper does not: all replies together may cost as much as n solutions (of the mean size
  found; before one is found, of `depth` thoughts and an answer). What is left is shared over the levels to come: a
  level that cannot pay for `keep` states grows fewer, and judges no more than it can pay for. Only the last batch can
  exceed n, and the final answers, which are always asked for. The paper's settings for the game of 24 take n near 100.
- If no thought can be read from the first replies, what is left of n goes to plain solutions and their majority.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

from reason.answers import answer_of, vote
from reason.search.asking import Account, check_prompts
from reason.search.select import SELECTIONS, candidate, complete_first, conclude, paid_for
from reason.search.strategy import Strategy, at_least, number, one_of
from reason.search.thoughts import State, Thinker, ThoughtPrompts
from reason.search.tree import Tree
from reason.types import Failure, Finish, Outcome, Path, Problem, UsageError
from reason.work import Results, SearchRun, Work, extend

SEARCHES = ("bfs", "dfs")
GENERATE = ("propose", "sample")
EVALUATE = {"value": 3, "vote": 5}
THRESHOLD = {"value": 0.5, "vote": 0.0}
FIRST_TRIES = 2
PROMPTS = ThoughtPrompts()
UNREAD = Failure("search", "no thought could be read from the replies: plain solutions were sampled instead")


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `tree_of_thoughts`."""

    n: int
    search: str
    generate: str
    propose: int
    keep: int
    evaluate: str
    votes: int
    depth: int
    threshold: float
    solutions: int
    select: str
    prompts: ThoughtPrompts


@dataclass(slots=True)
class _Search:
    """One search.

    Attributes:
        pool: Finished solutions; idle: states that were not grown further, in the order they were left.
    """

    settings: Settings
    thinker: Thinker
    tree: Tree
    pool: list[State] = field(default_factory=list)
    idle: list[State] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether nothing more may be paid for."""
        return self.thinker.cut or self.thinker.account.over

    def decided(self) -> bool:
        """Whether a finished solution has the greatest value there is, so that none can beat it."""
        if self.settings.evaluate != "value" or self.settings.select != "naive":
            return False
        most = max(worth for _, worth in self.settings.prompts.judgements)
        return any(state.value >= most for state in self.pool)


def tree_of_thoughts(
    n: int = 16,
    *,
    search: str = "bfs",
    generate: str = "propose",
    propose: int = 8,
    keep: int = 5,
    evaluate: str = "value",
    votes: int | None = None,
    depth: int = 4,
    threshold: float | None = None,
    solutions: int | None = None,
    select: str = "naive",
    prompts: ThoughtPrompts = PROMPTS,
) -> Strategy:
    """Search over thoughts within the budget of n whole solutions.

    Args:
        n: The budget: all replies may cost as much as n solutions.
        search: "bfs", level by level, or "dfs", with backtracking.
        generate: "propose": next thoughts come several in a reply; "sample": one by one.
        propose: Next thoughts of a state.
        keep: Breadth-first, the states kept on a level; depth-first, the children of a state that are tried.
        evaluate: "value" judges thoughts one by one, "vote" against each other.
        votes: Judgements of a thought, or votes; None: 3 judgements or 5 votes.
        depth: Thoughts of a solution at most, without the final answer.
        threshold: States worth no more are pruned; None: none breadth-first, and depth-first those at 0.5 (by votes:
            those without any).
        solutions: Finished solutions that end a depth-first search; None: 1.
        select: Which solution answers: "naive" the best judged, "weighted" the answer with the highest sum of values,
            "majority" the most frequent answer.
        prompts: What the policy is asked, and how its replies are read.

    Raises:
        UsageError: An argument is out of range, or `solutions` is given to a breadth-first search.
    """
    one_of("search", search, SEARCHES)
    one_of("generate", generate, GENERATE)
    one_of("evaluate", evaluate, tuple(EVALUATE))
    one_of("select", select, SELECTIONS)
    check_prompts(prompts, ThoughtPrompts)
    if solutions is not None and search != "dfs":
        raise UsageError(f"solutions={solutions!r} ends a depth-first search; pass search='dfs' or leave it out")
    repeats = EVALUATE[evaluate] if votes is None else votes
    enough = 1 if solutions is None else solutions
    counts = {"n": n, "propose": propose, "keep": keep, "votes": repeats, "depth": depth, "solutions": enough}
    for name, count in counts.items():
        at_least(name, count)
    bar = (
        (THRESHOLD[evaluate] if search == "dfs" else -math.inf) if threshold is None else number("threshold", threshold)
    )
    settings = Settings(n, search, generate, propose, keep, evaluate, repeats, depth, bar, enough, select, prompts)

    def run(problem: Problem) -> SearchRun:
        state = _Search(settings, Thinker(problem, prompts, Account(n), depth), Tree(problem))
        first = yield from _first(state)
        if first is None:
            return (yield from _plain(state, problem))
        yield from (_breadth if search == "bfs" else _depth)(state, first)
        return (yield from _conclude(state, problem))

    return Strategy("tree_of_thoughts", run)


def _first(state: _Search) -> Generator[Work, Results, list[State] | None]:
    """The first level, judged; None if no thought could be read."""
    root = State(Path(state.thinker.problem))
    for _ in range(FIRST_TRIES):
        children = yield from _grow(state, [root], state.settings.depth)
        if children or state.pool:
            return children
        if state.ended:
            break
    return None


def _grow(state: _Search, states: Sequence[State], levels: int) -> Generator[Work, Results, list[State]]:
    """The new states below these, judged with this level's share of the budget; finished ones go to the pool.

    Args:
        state: The search.
        states: What to grow.
        levels: Levels still to come, this one included.
    """
    settings, thinker = state.settings, state.thinker
    account = thinker.account
    spent = account.spent
    families = yield from thinker.grow(states, settings.propose, sample=settings.generate == "sample")
    known = set[str]()
    fresh = list[State]()
    for parent, family in zip(states, families, strict=True):
        for child in family:
            if (key := thinker.key(child) + "\0" * child.path.complete) not in known:
                known.add(key)
                child.node = parent.node
                fresh.append(child)
    share = (_left(state) + account.spent - spent) / (levels + 1) - (account.spent - spent)
    if not thinker.cut:
        judged = thinker.value if settings.evaluate == "value" else thinker.vote
        judging = [child for child in fresh if child.path.open or settings.evaluate == "value"]
        yield from judged(judging, settings.votes, share)
    for child in fresh:
        child.node = state.tree.add(child.node, child.path.steps[-1], value=child.value)
        if child.path.complete:
            _finished(state, child)
    return [child for child in fresh if child.path.open]


def _finished(state: _Search, solution: State) -> None:
    state.pool.append(solution)
    state.thinker.account.found(solution.cost)


def _ranked(states: Sequence[State]) -> list[State]:
    """Best first: by value, unscored ones last, the earliest of equals first."""
    return sorted(states, key=lambda s: -s.value if not math.isnan(s.value) else math.inf)


def _kept(state: _Search, states: Sequence[State]) -> list[State]:
    """The best `keep` states that are not pruned."""
    alive = [s for s in _ranked(states) if not s.value <= state.settings.threshold]
    for s in states:
        if s not in alive[: state.settings.keep]:
            state.tree.prune(s.node)
            state.idle.append(s)
    return alive[: state.settings.keep]


def _breadth(state: _Search, frontier: list[State]) -> Generator[Work, Results, None]:
    settings, account = state.settings, state.thinker.account
    grown = 1
    for level in range(1, settings.depth):
        frontier = _kept(state, frontier)
        if not frontier or state.ended or state.decided():
            break
        share = _left(state) / (settings.depth - level + 1)
        wide = max(int(share * grown / account.spent), 1)
        state.idle += frontier[wide:]
        parents = frontier[:wide]
        frontier = yield from _grow(state, parents, settings.depth - level)
        grown += len(parents)
        if not frontier:
            state.idle += parents
    frontier = _kept(state, frontier)
    wide = max(int(account.left), 0 if state.pool else 1)
    state.idle += frontier[wide:]
    if not state.decided():
        yield from _answer(state, frontier[:wide])


def _depth(state: _Search, first: list[State]) -> Generator[Work, Results, None]:
    settings = state.settings
    stack, visited = _kept(state, first)[::-1], set[tuple[int, str]]()
    while stack and not state.ended and not state.decided() and _unpruned(state) < settings.solutions:
        here = stack.pop()
        level = len(here.path.steps)
        if (level, state.thinker.key(here)) in visited:
            continue
        visited.add((level, state.thinker.key(here)))
        if level >= settings.depth:
            yield from _answer(state, [here])
            continue
        children = yield from _grow(state, [here], settings.depth - level)
        if not children:
            state.idle.append(here)
        stack += _kept(state, children)[::-1]
    state.idle += stack


def _unpruned(state: _Search) -> int:
    return sum(not solution.value <= state.settings.threshold for solution in state.pool)


def _answer(state: _Search, states: Sequence[State]) -> Generator[Work, Results, None]:
    """Ask for the final answers of these states and judge the solutions; states that get none are left idle."""
    thinker = state.thinker
    solutions = list[State]()
    if states and not thinker.cut:
        solutions = yield from thinker.finish(states)
    for solution in solutions:
        _finished(state, solution)
    if state.settings.evaluate == "value" and not state.ended and (state.settings.search == "dfs" or _contested(state)):
        complete = [solution for solution in solutions if solution.path.complete]
        yield from thinker.value(complete, state.settings.votes, _left(state))
        for solution in solutions:
            solution.value = solution.value if solution.path.complete else math.nan
    for solution in solutions:
        solution.node = state.tree.add(solution.node, solution.path.steps[-1], value=solution.value)
    done = {solution.path.steps[:-1] for solution in solutions}
    state.idle += [here for here in states if here.path.steps not in done]


def _contested(state: _Search) -> bool:
    """Whether judging the solutions can change the answer."""
    answers = [answer_of(solution.path.text) for solution in state.pool]
    return state.settings.select != "majority" and len(vote(answers)) > 1


def _left(state: _Search) -> float:
    """What is left of the budget, as a cost."""
    return state.thinker.account.left * state.thinker.account.mean


def _conclude(state: _Search, problem: Problem) -> Generator[Work, Results, Outcome]:
    if not state.pool:
        deepest = sorted(state.idle, key=lambda here: -len(here.path.steps))
        yield from _answer(state, _ranked(deepest)[:1])
    if state.settings.evaluate == "vote" and not state.ended and _contested(state):
        yield from state.thinker.vote(state.pool, state.settings.votes, _left(state))
        for solution in state.pool:
            state.tree.note(solution.node, solution.value)
    found = state.pool or _ranked(state.idle)[:1]
    candidates = [candidate(here.path, value=here.value) for here in found]
    stopped = "budget" if state.thinker.cut else "done"
    among = complete_first(candidates)
    outcome = conclude(problem, candidates, state.settings.select, among=among, tree=state.tree, stopped=stopped)
    for here in found:
        if here.path is outcome.path:
            state.tree.choose(here.node)
    return outcome


def _plain(state: _Search, problem: Problem) -> Generator[Work, Results, Outcome]:
    """The majority of plain solutions, for what is left of the budget."""
    if state.thinker.cut:
        return conclude(problem, [], "majority", tree=state.tree, stopped="budget")
    account = state.thinker.account
    paths = yield from extend([Path(problem)] * max(int(account.left), 1))
    cut = any(path.finish is Finish.BUDGET for path in paths)
    candidates = [candidate(path) for path in paths if paid_for(path)]
    outcome = conclude(problem, candidates, "majority", tree=state.tree, stopped="budget" if cut else "done")
    return replace(outcome, failures=(*outcome.failures, UNREAD))
