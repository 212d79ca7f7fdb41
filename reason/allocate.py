"""One budget of tokens for a whole set of problems, spent where it brings the most.

Every problem is somewhere on a ladder of the table (`reason.search.table`), from nothing known on; from there a concave
curve says what how many more tokens are worth (`reason.search.frontier`). In rounds:

1. over all problems the curves' segments are bought by falling accuracy per token while they fit what is left;
2. those that bought another look get it, all as one batch; when nobody wants one, the bought strategies are run, those
   that gain most per token first;
3. what was spent is deducted, what a problem turned out to be is put in its place, and the next round begins. So what
   decided problems leave over goes to the others, until nothing that is left is worth its tokens or fits.

No run starts without its own hard budget, and those of all runs in flight together never exceed what is left: the total
is never exceeded. A run may cost `SLACK` times what the table expects before it is cut; near the end fewer run at a
time, so that little is cut for fear of the total. Everybody's first and cheapest option comes first, and what the
others' will cost is held back for them. Each run is seeded by the round's number, the problem and its paths, so results
depend on nothing else.

Sources: Snell et al. 2408.03314 choose strategies by difficulty, problem by problem; Damani et al. 2410.04707 spread a
budget over a batch by greedy on estimated marginal gains, for best-of-k, in one round.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from reason.budget import Budget
from reason.checks import check_problems
from reason.progress import Report
from reason.run import SAMPLING, asolve, blocking
from reason.search.compute_optimal import MORE, Plan, State, needs_of, share_of
from reason.search.frontier import Point, envelope, spend
from reason.search.strategy import Strategy, at_least
from reason.search.table import SAMPLING as DRAWS
from reason.search.table import STOP, Arm, Stage, Table
from reason.trace.store import Store, opened
from reason.types import Cost, Failure, Outcome, Policy, Problem, Sampling, Scorer, UsageError
from reason.work import SearchRun

SLACK = 3.0
"""A run may cost this many times what the table expects."""

KEEP = -2
"""The option of leaving it at that."""


@dataclass(slots=True)
class Entry:
    """A problem and how far it has got.

    Attributes:
        state: What has been found.
        ladder, at, cell: Its ladder, its stage there, and its cell when it got there.
        accuracy: What the table expects of the strategy that was run last; None before one was run.
        ran: The arms that were run.
        cost, failures: Of all rounds.
        outcome: The last round's.
        closed: Whether its search failed, so that no more is spent on it.
    """

    state: State
    ladder: int
    at: int = 0
    cell: int = 0
    accuracy: float | None = None
    ran: set[tuple[str, int]] = field(default_factory=set)
    cost: Cost = field(default_factory=Cost)
    failures: list[Failure] = field(default_factory=list)
    outcome: Outcome | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """What is bought for a problem: the next look (arm None) or an arm.

    Attributes:
        entry: The problem.
        arm: What is run; None for the next stage's look.
        tokens: What the table expects it to cost.
        worth: Accuracy per token, by which runs are ordered; infinite for what a problem must have.
        floor: What a problem without anything needs at least.
    """

    entry: Entry
    arm: Arm | None
    tokens: float
    worth: float
    floor: float = 0.0


def solve_within(
    problems: Iterable[Problem],
    *,
    policy: Policy,
    table: Table,
    tokens: int,
    scorer: Scorer | None = None,
    sampling: Sampling = SAMPLING,
    seed: int = 0,
    concurrency: int = 64,
    retries: int = 2,
    progress: Report = None,
    store: Store | str | os.PathLike[str] | None = None,
) -> list[Outcome]:
    """Answer all problems with so many generated tokens together; see the module's docstring.

    Args:
        problems: With ids of their own and a question each.
        policy, scorer, sampling, seed, concurrency, retries: As in `reason.solve`.
        table: Fitted with this policy and scorer by `reason tune`; see `reason.search.compute_optimal.load_table`.
        tokens: What all problems may cost together; never exceeded.
        progress: None shows a bar on a terminal, True and False always and never; or a function that is called with
            (tokens spent, tokens, cost so far) after each round.
        store: As in `reason.solve`; every round is a search of its own there.

    Returns:
        One outcome for each problem, in their order; `stopped` is "budget" where the last run was cut, or nothing could
        be paid for.

    Raises:
        UsageError: An argument cannot work.
    """
    run = asolve_within(
        problems,
        policy=policy,
        table=table,
        tokens=tokens,
        scorer=scorer,
        sampling=sampling,
        seed=seed,
        concurrency=concurrency,
        retries=retries,
        progress=progress,
        store=store,
    )
    return blocking(run)


async def asolve_within(
    problems: Iterable[Problem],
    *,
    policy: Policy,
    table: Table,
    tokens: int,
    scorer: Scorer | None = None,
    sampling: Sampling = SAMPLING,
    seed: int = 0,
    concurrency: int = 64,
    retries: int = 2,
    progress: Report = None,
    store: Store | str | os.PathLike[str] | None = None,
) -> list[Outcome]:
    """`solve_within` for callers that have an event loop."""
    problems = list(problems)
    check_problems(problems)
    at_least("tokens", tokens)
    if (table.scorer is None) != (scorer is None):
        wanted = "no scorer" if table.scorer is None else f"the scorer {table.scorer!r}"
        raise UsageError(f"the table was fitted with {wanted}: pass scorer accordingly, or another table")
    plan = Plan(table, max(tokens / max(len(problems), 1) / table.solution_tokens, 1.0))
    entries = [Entry(State(problem, scorer is not None), plan.ladder(share_of(problem))) for problem in problems]
    needs, left, number = needs_of(table), tokens, 0
    with ExitStack() as stack:
        kept, ours = (None, False) if store is None else opened(store)
        if kept is not None and ours:
            stack.enter_context(kept)
        bar = stack.enter_context(Bar(progress, tokens))
        moves = _buy(plan, entries, left)
        while moves:
            batch, caps = _afford(moves, left, sampling)
            outcomes = await asolve(
                [move.entry.state.problem for move in batch],
                policy=policy,
                search=Strategy("compute_optimal", Round(plan, batch, f"round {number} of {tokens} tokens"), needs),
                scorer=scorer,
                sampling=sampling,
                budget=_budgets(batch, caps),
                seed=round_seed(seed, number),
                concurrency=concurrency,
                retries=retries,
                progress=False,
                store=kept,
            )
            for move, outcome in zip(batch, outcomes, strict=True):
                _note(move, outcome, plan)
            number += 1
            left = tokens - sum(entry.cost.generated_tokens for entry in entries)
            bar.spent(tokens - left, entries)
            waiting = moves[len(batch) :] if batch[0].worth == math.inf else []
            moves = waiting if left > 0 and waiting else _buy(plan, entries, left)
    return [_outcome(entry) for entry in entries]


def _id(move: Move) -> str:
    return move.entry.state.problem.id


def round_seed(seed: int, number: int) -> int:
    """The seed of a round."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0round\0{number}".encode(), digest_size=6).digest())


def _curve(plan: Plan, entry: Entry) -> tuple[Point, ...]:
    """What more tokens are worth to a problem; an option is an arm, MORE, or KEEP."""
    stage = plan.table.ladders[entry.ladder][entry.at]
    if entry.accuracy is None:
        curve = plan.curves[entry.ladder][entry.at][entry.cell]
        stops = {at for at, arm in enumerate(stage.arms) if arm.strategy == STOP}
        return tuple(replace(point, option=KEEP) if point.option in stops else point for point in curve)
    points = [Point(0.0, entry.accuracy, KEEP)]
    for at, arm in enumerate(stage.arms):
        drawn = arm.strategy in DRAWS and arm.n <= entry.state.drawn
        if arm.strategy != STOP and (arm.strategy, arm.n) not in entry.ran and not drawn:
            points.append(Point(_cost(entry, stage, arm), arm.accuracy[entry.cell], at))
    return envelope(points)


def _cost(entry: Entry, stage: Stage, arm: Arm) -> float:
    """What an arm costs from here: of a sampling strategy only the samples that are missing."""
    tokens = arm.tokens[entry.cell]
    if arm.strategy not in DRAWS:
        return tokens
    before = 0 if stage.look is None or stage.look[0] not in DRAWS else stage.look[1]
    return tokens * (arm.n - entry.state.drawn) / (arm.n - before)


def _buy(plan: Plan, entries: Sequence[Entry], left: int) -> list[Move]:
    """What is bought: first options and looks, or if there are none the arms, best first; nothing when all keep."""
    if left < 1:
        return []
    active = [entry for entry in entries if not entry.closed]
    curves = [_curve(plan, entry) for entry in active]
    moves = []
    for entry, curve, point in zip(active, curves, spend(curves, left), strict=True):
        if point.option == KEEP:
            continue
        stage = plan.table.ladders[entry.ladder][entry.at]
        first = entry.outcome is None
        arm = None if point.option == MORE else stage.arms[point.option]
        tokens = stage.more[entry.cell] if arm is None else point.tokens
        more = point.tokens - curve[0].tokens
        free = first or arm is None or not more
        worth = math.inf if free else (point.accuracy - curve[0].accuracy) / more
        moves.append(Move(entry, arm, tokens, worth, curve[0].tokens if first else 0.0))
    looks = [move for move in moves if move.worth == math.inf]
    return looks or sorted(moves, key=lambda move: -move.worth)


def _afford(moves: Sequence[Move], left: int, sampling: Sampling) -> tuple[list[Move], list[int]]:
    """The first moves that may run together, and the most that each may cost."""
    held = math.fsum(move.floor for move in moves)
    spare = left - held if left >= held else float(left)
    floors = left >= held
    caps: list[int] = []
    for move in moves:
        cap = math.ceil(max(SLACK * move.tokens, sampling.max_tokens))
        more = cap - (move.floor if floors else 0.0)
        if more > spare:
            break
        caps.append(cap)
        spare -= more
    if caps:
        return list(moves[: len(caps)]), caps
    alone = left - math.ceil(held - moves[0].floor) if floors else left
    return [moves[0]], [max(alone, 1)]


def _budgets(moves: Sequence[Move], caps: Sequence[int]) -> Callable[[Problem], Budget]:
    cap_of = dict(zip(map(_id, moves), caps, strict=True))
    return lambda problem: Budget(tokens=cap_of[problem.id])


class Round:
    """The search that makes a round's moves.

    Attributes:
        identity: What a store knows it by.
    """

    def __init__(self, plan: Plan, moves: Sequence[Move], identity: str) -> None:
        self._plan, self._moves, self.identity = plan, {_id(move): move for move in moves}, identity

    def __call__(self, problem: Problem) -> SearchRun:
        """Make the problem's move."""
        move = self._moves[problem.id]
        state = move.entry.state
        state.cut = False
        if move.arm is None:
            yield from state.look(self._plan.table.ladders[move.entry.ladder][move.entry.at + 1])
        else:
            yield from state.take(move.arm)
        return state.outcome()


def _note(move: Move, outcome: Outcome, plan: Plan) -> None:
    """Put the problem where the move has brought it."""
    entry = move.entry
    entry.cost += outcome.cost
    entry.failures += [failure for failure in outcome.failures if failure not in entry.failures]
    if outcome.stopped == "error":
        entry.closed = True
        entry.outcome = entry.outcome or outcome
        return
    entry.outcome = outcome
    if move.arm is None:
        entry.at += 1
        entry.cell = entry.state.cell(plan.table.ladders[entry.ladder][entry.at])
    else:
        entry.accuracy = move.arm.accuracy[entry.cell]
        entry.ran.add((move.arm.strategy, move.arm.n))


def _outcome(entry: Entry) -> Outcome:
    """What a problem came to."""
    if entry.outcome is None:
        return Outcome(entry.state.problem, None, None, stopped="budget")
    return replace(entry.outcome, cost=entry.cost, failures=tuple(entry.failures))


class Bar:
    """Shows the tokens spent, as `report` says."""

    def __init__(self, report: Report, tokens: int) -> None:
        self._report, self._tokens = report, tokens
        wanted = sys.stderr.isatty() if report is None else report is True
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not wanted)
        self._task: TaskID = self._bar.add_task("tokens", total=tokens)

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def spent(self, tokens: int, entries: Sequence[Entry]) -> None:
        """So many tokens have been spent."""
        self._bar.update(self._task, completed=tokens, description=f"{tokens:,} of {self._tokens:,} tokens")
        if callable(self._report):
            self._report(tokens, self._tokens, sum((entry.cost for entry in entries), Cost()))
