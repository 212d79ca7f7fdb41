"""Sequential revision: the policy sees its earlier attempts and tries again; chains of attempts side by side.

Snell et al. 2408.03314, section 6. n attempts are spread evenly over `parallel` chains. A chain's first attempt is an
ordinary solution; for each later one the policy is shown the chain's latest `shown` attempts (4 in the paper). With a
scorer the answer is chosen in each chain first, then among the chains' winners (hierarchical, as in the paper); a
majority is taken over all attempts at once, since a vote among few chains has little to count.

Deviations:

- The paper fine-tunes a revision model on its own wrong attempts; any chat model is asked in words instead
  (`reason.search.asking.RevisionPrompts`), so it may also spoil a right attempt: choose over the whole chain.
- An attempt's thinking is not shown again, nor are attempts that failed or came out empty. After a failure one attempt
  fewer is shown, in case the question has outgrown the model's context.
- A chain can end early, when the same answer has come `repeats` times in a row. A majority that the attempts still to
  come cannot overturn ends the search.

n counts attempts: each is one whole solution. What the longer questions cost is in the outcome's prefilled tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reason.answers import answer_of, vote
from reason.search.asking import RevisionPrompts, check_prompts, fill, quoted, said
from reason.search.select import SELECTIONS, Choice, candidate, choose, conclude, judge_unique, paid_for
from reason.search.strategy import SCORER, Strategy, at_least, one_of
from reason.types import Candidate, Finish, Outcome, Path, Problem, UsageError
from reason.work import SearchRun, ask, extend

SELECT = (*SELECTIONS, "last")
PROMPTS = RevisionPrompts()


@dataclass(slots=True)
class Chain:
    """Attempts, each made in view of those before it.

    Attributes:
        length: How many it may make.
        shown: How many of its attempts it is shown.
        made: How many it has made, failed ones included.
        attempts: The solutions among them.
        answers: Those of the attempts, None where there is none.
        misses: Failed attempts since the last solution.
        settled: The answer has repeated itself often enough.
    """

    length: int
    shown: int
    made: int = 0
    attempts: list[Path] = field(default_factory=list)
    answers: list[str | None] = field(default_factory=list)
    misses: int = 0
    settled: bool = False


def revision(
    n: int = 16,
    parallel: int = 1,
    *,
    shown: int = 4,
    select: str = "majority",
    hierarchical: bool | None = None,
    repeats: int | None = None,
    prompts: RevisionPrompts = PROMPTS,
) -> Strategy:
    """n attempts in chains of revisions.

    Args:
        n: Attempts of all chains together: the budget in whole solutions.
        parallel: Chains; n // parallel attempts each, and one more in the first n % parallel chains.
        shown: Earlier attempts that the policy sees, the latest ones.
        select: "majority" votes; "naive" takes the best-scored attempt and "weighted" the answer with the highest sum
            of scores (both need a scorer); "last" takes each chain's last attempt, and the majority of those.
        hierarchical: Choose in each chain first, then among the chains' winners; None: with a scorer only. For "last"
            it is always so.
        repeats: A chain ends once the same answer has come so many times in a row; None: it does not.
        prompts: What the policy is asked.

    Raises:
        UsageError: An argument is out of range; parallel may not exceed n.
    """
    at_least("n", n)
    at_least("parallel", parallel)
    at_least("shown", shown)
    one_of("select", select, SELECT)
    check_prompts(prompts, RevisionPrompts)
    if repeats is not None:
        at_least("repeats", repeats, 2)
    if parallel > n:
        raise UsageError(f"parallel={parallel} with n={n}: every chain needs an attempt; pass parallel={n} or less")
    if select == "last" and hierarchical is False:
        raise UsageError("hierarchical=False with select='last': the last attempt is each chain's own; leave it out")
    scored = select in ("naive", "weighted")
    levels = parallel > 1 and (scored if hierarchical is None else bool(hierarchical))

    def run(problem: Problem) -> SearchRun:
        chains = [Chain(n // parallel + (index < n % parallel), shown) for index in range(parallel)]
        cut = False
        while not cut and (going := [c for c in chains if c.made < c.length and not c.settled]):
            paths = yield from extend([_next(problem, chain, prompts) for chain in going])
            cut = any(path.finish is Finish.BUDGET for path in paths)
            for chain, path in zip(going, paths, strict=True):
                _add(chain, path.under(problem), repeats)
            if select == "majority" and not levels and _decided(chains):
                break
        solutions = [path for chain in chains for path in chain.attempts]
        scores = (yield from judge_unique(solutions)) if scored else None
        candidates = [candidate(p) for p in solutions] if scores is None else list(map(candidate, solutions, scores))
        return _choose(problem, candidates, chains, select, levels, "budget" if cut else "done")

    name = "revision" if parallel == 1 else "parallel_revision"
    return Strategy(name, run, frozenset({SCORER}) if scored else frozenset())


def _next(problem: Problem, chain: Chain, prompts: RevisionPrompts) -> Path:
    """The question for a chain's next attempt."""
    texts = [text for path in chain.attempts if (text := quoted(said(path.text)))]
    first = max(len(texts) - chain.shown, 0)
    if first == len(texts):
        return Path(problem)
    blocks = [fill(prompts.attempt, number=i + 1, attempt=texts[i]) for i in range(first, len(texts))]
    return ask(problem, fill(prompts.revise, question=problem.question, attempts="\n\n".join(blocks)))


def _add(chain: Chain, path: Path, repeats: int | None) -> None:
    chain.made += 1
    if paid_for(path):
        chain.attempts.append(path)
        chain.answers.append(answer_of(path.text))
        chain.misses = 0
    elif chain.attempts:
        chain.misses += 1
        chain.shown = fewer(min(chain.shown, len(chain.attempts)), chain.misses)
    chain.settled = settled(chain.answers, repeats)


def fewer(shown: int, misses: int) -> int:
    """How many attempts are shown after a failure: one fewer, but none only if one alone has failed twice in a row."""
    return max(shown - 1, int(misses < 2))


def settled(answers: Sequence[str | None], repeats: int | None) -> bool:
    """Whether the last `repeats` answers are there and equal."""
    if repeats is None or len(answers) < repeats or None in answers[-repeats:]:
        return False
    return len(vote(answers[-repeats:])) == 1


def _decided(chains: Sequence[Chain]) -> bool:
    """Whether no answer can overtake the leading one in the attempts that are still to come."""
    coming = sum(chain.length - chain.made for chain in chains if not chain.settled)
    groups = vote([answer for chain in chains for answer in chain.answers])
    counts = [group.weight for group in groups if group.answer is not None]
    return bool(counts) and counts[0] - max(counts[1:], default=0.0) > coming


def _choose(
    problem: Problem, candidates: Sequence[Candidate], chains: Sequence[Chain], select: str, levels: bool, stopped: str
) -> Outcome:
    """The outcome; `candidates` are the chains' attempts, one chain after another."""
    rule = "majority" if select == "last" else select
    if select != "last" and not levels:
        return conclude(problem, candidates, rule, stopped=stopped)
    winners, start = list[int](), 0
    for chain in chains:
        members = range(start, start + len(chain.attempts))
        start = members.stop
        if select == "last":
            winners += [index for index in members if candidates[index].answer][-1:]
        else:
            winners += _winner(choose(candidates, rule, among=members))
    if len(chains) == 1:
        return conclude(problem, candidates, rule, pick=winners[0] if winners else None, stopped=stopped)
    return conclude(problem, candidates, rule, among=winners or None, stopped=stopped)


def _winner(choice: Choice) -> list[int]:
    return [] if choice.index is None else [choice.index]
