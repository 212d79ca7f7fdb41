"""A search run again on what a store holds: no model is loaded, nothing is paid for and nothing is written.

The search's own code runs (`reason.drive`); its extensions, judgements and comparisons are answered from the call cache
of the store (`reason.trace.keys`). So any strategy can be replayed, another one than was run too, as long as every call
it makes was paid for once: fewer samples, another selection, or another aggregation of step scores always can. A call
that is not in the store ends the replay with `NeverPaid`.

Exactness: tokens, log-probabilities, scores and costs are those of the run. What landed is given in the order in which
it landed, so a search that stops early stops where it did. Steps and scores that had failed for good fail again. Two
things are not known without the models: how many tokens a forced text has (it counts as none, which matters only where
a path with one reaches `max_tokens`), and what a judgement could have cost at most (so budgets in scorer tokens, FLOPs
or seconds cannot be replayed; the outcomes that such a run came to can be read).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reason.budget import Budget, Meter, estimate_tokens
from reason.calls import Caller, Enough, Landed, Scored
from reason.checks import check_run
from reason.contract import ContractError
from reason.drive import Driver
from reason.run import blocking
from reason.scorers.aggregation import aggregated_anew
from reason.trace import StoredSearch, Trace
from reason.trace.keys import Hashes
from reason.trace.nodes import Nodes
from reason.trace.records import SCORE, STEP, read_score, read_step
from reason.types import (
    Capabilities,
    Failure,
    Finish,
    Outcome,
    Path,
    Problem,
    Sampling,
    Score,
    Step,
    UsageError,
)
from reason.work import Search

FAILED_STEP = (
    f"SELECT {STEP} FROM node WHERE key = ? AND kind = 'sampled' AND finish = 'error' ORDER BY id DESC LIMIT 1"
)
ANY_SCORE = f"SELECT {SCORE} FROM score WHERE key = ? ORDER BY value IS NULL, id DESC LIMIT 1"
CANCELLED = Step("", finish=Finish.CANCELLED)


class NeverPaid(ContractError):
    """A search asked for a call that the store does not hold."""


@dataclass(frozen=True, slots=True)
class Source:
    """What answers a replay.

    Attributes:
        trace: The store.
        policy, scorer: The identities of whose calls are taken; scorer is None for none.
        capabilities: The policy's.
        parameters: The scorer's, for FLOPs accounting.
        search: The number of the stored search whose order of landing holds, 0 for a search that was never run.
        aggregate: How step scores become one instead of as they did; None: as they did.
    """

    trace: Trace
    policy: str
    scorer: str | None
    capabilities: Capabilities
    parameters: int = 0
    search: int = 0
    aggregate: str | None = None


def replay(
    problems: Sequence[Problem],
    *,
    source: Source,
    search: Search,
    sampling: Sampling,
    budget: Budget | None = None,
    seed: int = 0,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """What the search comes to on each problem, in their order.

    Args:
        problems: As they were run.
        source: Where calls are answered from.
        search, sampling, budget, seed: As in `reason.solve`.
        on_outcome: Called with each outcome.

    Raises:
        NeverPaid: The search needs what was never paid for.
        UsageError: The search does not fit policy or scorer, or the budget cannot be replayed.
    """
    budget = budget or Budget()
    if not replayable(budget):
        raise UsageError(
            "a budget in scorer tokens, FLOPs or seconds was spent as scorer, model and clock said, and cannot be "
            "replayed without them: replay the run as it is, or run it again"
        )
    policy, scorer = AbsentPolicy(source.capabilities), None
    if source.scorer is not None:
        scorer = AbsentScorer(source.parameters)
    check_run(problems, policy, search, scorer, sampling, budget, seed=seed, concurrency=1, retries=0)
    caller = Caller(policy, scorer, retries=0, seed=seed)
    numbers = {held.problem.id: held.number for held in source.trace.problems()}
    answering: Any = Replays(source, numbers)
    driver = Driver(policy, scorer, search, sampling, budget, seed, caller, lambda _: None, answering)

    async def drive() -> list[Outcome]:
        outcomes = list[Outcome]()
        for problem in problems:
            outcomes.append(await driver.drive(problem))
            if on_outcome is not None:
                on_outcome(outcomes[-1])
        return outcomes

    return blocking(drive())


def replayable(budget: Budget) -> bool:
    """Whether what the budget cut can be told from the store alone."""
    return budget == Budget(tokens=budget.tokens)


@dataclass(frozen=True, slots=True)
class Replays:
    """All problems of a replay; the counterpart of `reason.trace.recall.Recording`.

    Attributes:
        source: What answers.
        numbers: The problems' numbers in the store, by their ids.
    """

    source: Source
    numbers: Mapping[str, int]

    def start(self, problem: Problem, calls: object, meter: Meter) -> Replay:
        """Begin the search on a problem."""
        return Replay(self.source, problem, self.numbers.get(problem.id, 0))


class Replay:
    """One problem's calls, answered from the store; the counterpart of `reason.trace.recall.Recall`."""

    def __init__(self, source: Source, problem: Problem, number: int) -> None:
        self._source, self._problem, self._trace = source, problem, source.trace
        self._hashes = Hashes(source.policy, source.scorer)
        held: Any = source.trace  # of a store, nodes only read here
        self._nodes = Nodes(held, self._hashes, source.search, number, problem, 0, fresh=False)
        self._asked = Counter[bytes]()

    async def extend(
        self,
        paths: Sequence[Path],
        sampling: Sampling,
        failures: list[Failure],
        *,
        enough: Enough | None = None,
        deadline: float | None = None,
        landed: Landed | None = None,
    ) -> list[Step]:
        """One step per path."""
        keys = [self._hashes.extension(path, sampling) for path in paths]
        steps: list[Step | None] = [None] * len(paths)
        decided = False
        for known in self._nodes.known(keys):
            steps[known.index] = known.step
            decided = enough is not None and enough(steps)
            if decided:
                break
        missing = [index for index, step in enumerate(steps) if step is None]
        for known in self._nodes.cut(keys, missing) if decided else ():
            steps[known.index] = known.step
        return [
            step or (CANCELLED if decided else self._failed(key, path, failures))
            for step, key, path in zip(steps, keys, paths, strict=True)
        ]

    def _failed(self, key: bytes, path: Path, failures: list[Failure]) -> Step:
        """The step that failed for good where there is none."""
        for row in self._trace.rows(FAILED_STEP, (key,)):
            step = read_step(row)
            failures.append(Failure("extend", step.error or "no reason given"))
            return step
        after = f"after {len(path.steps)} steps" if path.steps else "from the question on"
        raise NeverPaid(f"a continuation of problem {self._problem.id!r:.60} {after} was never paid for")

    async def judge(
        self, paths: Sequence[Path], failures: list[Failure], *, landed: Scored | None = None
    ) -> list[Score]:
        """One score per path."""
        return [self._score("judge", "judgement", (path,), failures) for path in paths]

    async def compare(
        self, pairs: Sequence[tuple[Path, Path]], failures: list[Failure], *, landed: Scored | None = None
    ) -> list[Score]:
        """One score per pair."""
        return [self._score("compare", "comparison", pair, failures) for pair in pairs]

    def _score(self, verb: str, what: str, paths: tuple[Path, ...], failures: list[Failure]) -> Score:
        known = [self._hashes.path(path) for path in paths]
        whole = b"".join(known)
        times = self._asked[whole]
        self._asked[whole] += 1
        for asked in dict.fromkeys((times, 0)):  # asked for more often than the run did: nothing is paid again
            for row in self._trace.rows(ANY_SCORE, (self._hashes.judgement(known, asked),)):
                score = read_score(row)
                if score.error is not None:
                    failures.append(Failure(verb, score.error))
                return score if self._source.aggregate is None else aggregated_anew(score, self._source.aggregate)
        raise NeverPaid(f"a {what} of problem {self._problem.id!r:.60} was never paid for")

    def finish(self, outcome: Outcome) -> None:
        """Nothing is written."""


class AbsentPolicy:
    """Stands for the policy of a run: it can what that could, and is never asked."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities

    def count_tokens(self, text: str) -> int:
        """Tokens of text that has no token ids: as counted for backends without any, else forced and not known."""
        return 0 if self.capabilities.token_ids else estimate_tokens(text)

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """Never called."""
        raise NeverPaid("there is no policy in a replay")


class AbsentScorer:
    """Stands for the scorer of a run."""

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """Never called."""
        raise NeverPaid("there is no scorer in a replay")

    async def compare(self, pairs: Sequence[tuple[Path, Path]]) -> list[Score]:
        """Never called."""
        raise NeverPaid("there is no scorer in a replay")


def source_of(trace: Trace, search: StoredSearch, *, aggregate: str | None = None) -> Source:
    """What answers a replay with the policy and scorer of a stored search."""
    parameters = search.about_scorer.get("parameters", 0)
    known = capabilities_of(search.about_policy)
    return Source(trace, search.policy, search.scorer, known, parameters, search.number, aggregate)


def capabilities_of(about: Mapping[str, Any]) -> Capabilities:
    """The capabilities in a policy's description."""
    return Capabilities(**about["capabilities"])
