"""Self-refine: solve, criticise, solve again in view of the critique, until the critique finds nothing wrong.

Madaan et al. 2303.17651. The critic is the policy itself, asked for a critique that ends with a verdict, or a scorer:
the explanation of its score is the critique and the score the verdict. The policy then sees the latest attempts, each
with its critique, and writes a new solution. It ends when the critic calls an attempt right, or when the replies,
critiques included, have cost as much as n solutions of the mean length so far (the last of them may exceed it).

Deviations:

- The paper's prompts are few-shot and task by task; these are zero-shot (`reason.search.asking.RefinePrompts`).
- The paper stops after a fixed number of rounds or on a stop phrase anywhere in the feedback; here the verdict must be
  the reply's whole last line, and a critique without one means "go on", not "right" and not "wrong".
- The paper shows the whole history; `shown` bounds it, and after a failed attempt one attempt fewer is shown, in case
  the question has outgrown the model's context.
- It can end early when the same answer has come `repeats` times in a row.
- The answer is the last attempt's (the paper's), or with a scorer as critic the best-scored attempt's.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field

from reason.answers import answer_of
from reason.search.asking import Account, RefinePrompts, check_prompts, fill, quoted, readable, said
from reason.search.revise import SELECT, fewer, settled
from reason.search.select import UNSCORED, candidate, conclude, judge_unique, paid_for
from reason.search.spending import size
from reason.search.strategy import SCORER, Strategy, at_least, number, one_of
from reason.types import Finish, Outcome, Path, Problem, Score, UsageError
from reason.work import Results, SearchRun, Work, ask, extend

CRITICS = ("self", "scorer")
ACCEPT = 0.9
PROMPTS = RefinePrompts()
NO_CRITIQUE = "(none)"


@dataclass(frozen=True, slots=True)
class _Settings:
    critic: str
    accept: float
    select: str
    repeats: int | None
    prompts: RefinePrompts


@dataclass(slots=True)
class _State:
    """Attempts so far with their critiques and scores, in order.

    Attributes:
        answers: Those of the attempts, None where there is none.
        known: The scores by text, for equal attempts.
        shown: How many of the attempts the policy is shown.
        misses: Failed attempts since the last solution.
        accepted: The critic called the last attempt right.
        cut: The budget ended a reply.
    """

    account: Account
    shown: int
    attempts: list[Path] = field(default_factory=list)
    answers: list[str | None] = field(default_factory=list)
    critiques: list[str] = field(default_factory=list)
    known: dict[tuple[str, Finish], Score] = field(default_factory=dict)
    misses: int = 0
    accepted: bool = False
    cut: bool = False


def self_refine(
    n: int = 16,
    *,
    critic: str = "self",
    accept: float | None = None,
    shown: int = 4,
    select: str | None = None,
    repeats: int | None = None,
    prompts: RefinePrompts = PROMPTS,
) -> Strategy:
    """Solve, criticise and refine within the budget of n whole solutions.

    Args:
        n: The budget: attempts and critiques may cost as much as n solutions.
        critic: "self": the policy; "scorer": the scorer, whose `Score.explanation` is the critique.
        accept: The score from which on a scorer as critic calls an attempt right; None: 0.9.
        shown: Earlier attempts and critiques that the policy sees, the latest ones.
        select: "last" takes the last attempt with an answer, "majority" votes over all; "naive" and "weighted" need a
            scorer. None: "last", or "naive" with a scorer as critic.
        repeats: It ends once the same answer has come so many times in a row; None: it does not.
        prompts: What the policy is asked.

    Raises:
        UsageError: An argument is out of range, or `accept` is given and the critic is not the scorer.
    """
    at_least("n", n)
    one_of("critic", critic, CRITICS)
    if accept is not None and critic != "scorer":
        raise UsageError(f"accept={accept!r} is a scorer's value and the critic is {critic!r}; pass critic='scorer'")
    bar = number("accept", ACCEPT if accept is None else accept, -math.inf)
    at_least("shown", shown)
    if repeats is not None:
        at_least("repeats", repeats, 2)
    chosen = ("naive" if critic == "scorer" else "last") if select is None else one_of("select", select, SELECT)
    check_prompts(prompts, RefinePrompts)
    settings = _Settings(critic, bar, chosen, repeats, prompts)

    def run(problem: Problem) -> SearchRun:
        state = _State(Account(n), shown)
        while True:
            yield from _attempt(problem, state, settings)
            if state.cut or state.account.over or settled(state.answers, repeats):
                break
            if len(state.critiques) < len(state.attempts):
                yield from _criticise(problem, state, settings)
            if state.cut or state.account.over or state.accepted:
                break
        return (yield from _conclude(problem, state, settings))

    judged = critic == "scorer" or chosen in ("naive", "weighted")
    return Strategy("self_refine", run, frozenset({SCORER}) if judged else frozenset())


def _attempt(problem: Problem, state: _State, settings: _Settings) -> Generator[Work, Results, None]:
    """One more solution; a failed one only costs."""
    prompts, start = settings.prompts, Path(problem)
    if state.attempts and state.shown:
        turns = [
            fill(
                prompts.turn,
                number=index + 1,
                attempt=quoted(said(state.attempts[index].text)) or quoted(NO_CRITIQUE),
                critique=quoted(state.critiques[index] or NO_CRITIQUE),
            )
            for index in range(max(len(state.attempts) - state.shown, 0), len(state.attempts))
        ]
        start = ask(problem, fill(prompts.refine, question=problem.question, history="\n\n".join(turns)))
    [path] = yield from extend([start])
    state.account.pay(path)
    state.cut = path.finish is Finish.BUDGET
    if paid_for(path):
        state.attempts.append(path.under(problem))
        state.answers.append(answer_of(path.text))
        state.misses = 0
        if path.text:
            state.account.found(size(path.steps[-1]))
    elif state.attempts:
        state.misses += 1
        state.shown = fewer(min(state.shown, len(state.attempts)), state.misses)


def _criticise(problem: Problem, state: _State, settings: _Settings) -> Generator[Work, Results, None]:
    """The last attempt's critique, and whether it is accepted."""
    attempt = state.attempts[-1]
    if settings.critic == "scorer":
        [score] = yield from judge_unique([attempt], state.known)
        state.critiques.append(score.explanation.strip())
        state.accepted = score.scored and score.value >= settings.accept
        return
    text = quoted(said(attempt.text)) or quoted(NO_CRITIQUE)
    [reply] = yield from extend(
        [ask(problem, fill(settings.prompts.critique, question=problem.question, attempt=text))]
    )
    state.account.pay(reply)
    state.cut = reply.finish is Finish.BUDGET
    state.critiques.append(said(reply.text) if readable(reply) else "")
    state.accepted = reply.complete and settings.prompts.verdict(reply.text) is True


def _conclude(problem: Problem, state: _State, settings: _Settings) -> Generator[Work, Results, Outcome]:
    select, attempts, scores = settings.select, state.attempts, [UNSCORED] * len(state.attempts)
    if select in ("naive", "weighted"):
        scores = yield from judge_unique(attempts, state.known)
    elif settings.critic == "scorer":
        scores = [state.known.get((path.text, path.finish), UNSCORED) for path in attempts]
    candidates = [candidate(path, score) for path, score in zip(attempts, scores, strict=True)]
    stopped = "budget" if state.cut else "done"
    if select != "last":
        return conclude(problem, candidates, select, stopped=stopped)
    answered = [index for index, item in enumerate(candidates) if item.answer]
    pick = answered[-1] if answered else None
    return conclude(problem, candidates, "majority", pick=pick, stopped=stopped)
