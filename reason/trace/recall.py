"""The call cache: what a search asks for is taken from the store if it is there, else asked for and stored as it lands.

It stands between the driver and the caller (`reason.calls`), one `Recall` for each problem of a `Recording`. A search
that runs with an empty store has exactly what it has without one; one that was killed goes on as if it had not been:

- An extension is found by policy, question, steps, sampling and seed, a judgement by scorer, path and how often this
  search has asked for it before (`reason.trace.keys`); both with the tokens they took, so costs and budgets are those
  of an uninterrupted run. Another search on the same problems shares what is alike.
- What landed is given in the order in which it landed, and `Extend.enough` is asked after each, so an early stop comes
  where it came. What was cancelled then is given back as far as it had got, to the same search only; another search's
  steps beyond its own early stop are not taken.
- A budget of seconds goes on where it stood when the last step landed; what it had cut stays cut.
- Steps that failed and paths without a score are stored too, but asked for again.

Prefix caches do not survive the process: what is asked for after a resume may report more prefilled and scored tokens
than it would have without the interruption. They were paid for, so they are counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reason.budget import Budgets, Meter
from reason.calls import Enough, Landed, Scored
from reason.identity import (
    budget_of,
    class_name,
    options_of,
    plain,
    plain_json,
    policy_identity,
    scorer_identity,
    strategy_name,
)
from reason.trace.keys import Hashes, digest, raw
from reason.trace.nodes import Known, Nodes
from reason.trace.outcomes import begin, write_outcome
from reason.trace.records import SCORE, read_score, score_row
from reason.trace.store import Store, stored
from reason.types import Failure, Finish, Outcome, Path, Policy, Problem, Sampling, Score, Scorer, Step
from reason.work import Search

CANCELLED = Step("", finish=Finish.CANCELLED)
LATE = Step("", finish=Finish.BUDGET)
BEGUN_BEFORE = "SELECT 1 FROM problem JOIN outcome ON outcome.problem = problem.id WHERE problem.name = ? LIMIT 1"
FIND_SCORE = f"SELECT {SCORE} FROM score WHERE key = ? AND value IS NOT NULL LIMIT 1"
ADD_SCORE = f"INSERT INTO score (key, scorer, node, other, {SCORE}, session, at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"


class Calls(Protocol):
    """What the driver needs of `reason.calls.Caller`, and of what stands before it."""

    async def extend(
        self,
        paths: Sequence[Path],
        sampling: Sampling,
        failures: list[Failure],
        *,
        enough: Enough | None = None,
        deadline: float | None = None,
        landed: Landed | None = None,
    ) -> list[Step]: ...

    async def judge(
        self, paths: Sequence[Path], failures: list[Failure], *, landed: Scored | None = None
    ) -> list[Score]: ...

    async def compare(
        self, pairs: Sequence[tuple[Path, Path]], failures: list[Failure], *, landed: Scored | None = None
    ) -> list[Score]: ...


@dataclass(frozen=True, slots=True)
class Recording:
    """One search of a store: what all its problems share.

    Attributes:
        store: Where it is written.
        search, policy, scorer: Their ids in the store.
        names: The identities of policy and scorer.
    """

    store: Store
    search: int
    policy: int
    scorer: int | None
    names: tuple[str, str | None]

    def start(self, problem: Problem, calls: Calls, meter: Meter) -> Recall:
        """Begin or resume the search on a problem."""
        with self.store.transaction():
            number = self.store.problem(problem)
            fresh = not self.store.rows(BEGUN_BEFORE, (stored(problem.id),))
            begin(self.store, self.search, number)
        return Recall(self, problem, number, calls, meter, fresh)


def recording(
    store: Store,
    *,
    policy: Policy,
    search: Search,
    scorer: Scorer | None,
    sampling: Sampling,
    budget: Budgets,
    seed: int,
) -> Recording:
    """The search's place in the store, found or made; arguments as in `reason.solve`.

    Raises:
        UsageError: Policy or scorer cannot be told from others.
    """
    by, judged_by = policy_identity(policy), None if scorer is None else scorer_identity(scorer)
    with store.transaction():
        policy_id = store.interned("policy", "identity", by, about=plain_json(_about_policy(policy)))
        about = plain_json(_about_scorer(scorer))
        scorer_id = None if judged_by is None else store.interned("scorer", "identity", judged_by, about=about)
        described: dict[str, Any] = {
            "strategy": strategy_name(search),
            "options": plain_json(options_of(search)),
            "policy": policy_id,
            "scorer": scorer_id,
            "sampling": store.sampling(sampling),
            "budget": plain_json(budget_of(budget)),
            "seed": str(seed),
        }
        identified = plain_json({**described, "policy": by, "scorer": judged_by, "sampling": plain(sampling)})
        key = digest(b"search", raw(identified))
        number = store.interned("search", "key", key, **described, created=time.time())
    return Recording(store, number, policy_id, scorer_id, (by, judged_by))


def _about_policy(policy: Policy) -> dict[str, Any]:
    prompt = getattr(policy, "prompt", None)
    shown = getattr(prompt, "to_dict", None)
    return {
        "class": class_name(policy),
        "capabilities": plain(policy.capabilities),
        "prompt": plain(shown()) if callable(shown) else None,
    }


def _about_scorer(scorer: Scorer | None) -> dict[str, Any]:
    parameters = getattr(scorer, "parameters", 0)
    return {
        "class": class_name(scorer),
        "name": getattr(scorer, "name", None),
        "parameters": parameters if isinstance(parameters, int | float) else 0,
    }


class Recall:
    """One problem of a recording: extensions and judgements, from the store or from the calls behind it.

    Args:
        recording, problem, number: The search, the problem and its id in the store.
        calls: Who is asked for what is missing.
        meter: The problem's, whose clock goes on where the store's last step left it.
        fresh: Whether the store holds nothing of the problem.
    """

    def __init__(
        self, recording: Recording, problem: Problem, number: int, calls: Calls, meter: Meter, fresh: bool
    ) -> None:
        self._recording, self._number, self._calls, self._meter = recording, number, calls, meter
        self._store = recording.store
        self._hashes = Hashes(*recording.names)
        self._nodes = Nodes(recording.store, self._hashes, recording.search, number, problem, recording.policy, fresh)
        self._fresh, self._asked = fresh, Counter[bytes]()

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
        """As `Caller.extend`; `landed` is not called."""
        keys = [self._hashes.extension(path, sampling) for path in paths]
        steps: list[Step | None] = [None] * len(paths)
        decided = self._replay(paths, keys, steps, enough)
        late = self._meter.late()
        missing = [index for index, step in enumerate(steps) if step is None]
        if (decided or late) and missing:
            self._take(self._nodes.cut(keys, missing), paths, steps)
            ending = CANCELLED if decided else LATE
            steps = [ending if step is None else step for step in steps]
        elif missing:
            await self._ask(paths, keys, sampling, failures, steps, missing, enough)
        return [step for step in steps if step is not None]

    def _replay(
        self, paths: Sequence[Path], keys: Sequence[bytes], steps: list[Step | None], enough: Enough | None
    ) -> bool:
        """Put known steps in their places, in the order in which they landed; whether that is enough already."""
        taken, decided = list[Known](), False
        for known in self._nodes.known(keys):
            steps[known.index] = known.step
            taken.append(known)
            if enough is not None and enough(steps):
                decided = True
                break
        self._take(taken, paths, steps)
        return decided

    def _take(self, taken: Sequence[Known], paths: Sequence[Path], steps: list[Step | None]) -> None:
        for known in taken:
            steps[known.index] = known.step
        if taken:
            self._nodes.take([(paths[known.index], known) for known in taken], self._meter)

    async def _ask(
        self,
        paths: Sequence[Path],
        keys: Sequence[bytes],
        sampling: Sampling,
        failures: list[Failure],
        steps: list[Step | None],
        missing: Sequence[int],
        enough: Enough | None,
    ) -> None:
        """Ask for the missing steps, store them as they land, and put them in their places."""
        kept = set[int]()

        def landed(items: Sequence[tuple[int, Step]]) -> None:
            new = [(missing[place], step) for place, step in items if place not in kept]
            kept.update(place for place, _ in items)
            self._nodes.add([(paths[at], keys[at], step) for at, step in new], sampling, self._meter)

        def told(some: Sequence[Step | None]) -> bool:
            for index, step in zip(missing, some, strict=True):
                steps[index] = step
            return enough is not None and enough(steps)

        got = await self._calls.extend(
            [paths[index] for index in missing],
            sampling,
            failures,
            enough=told if enough else None,
            deadline=self._meter.deadline,
            landed=landed,
        )
        for index, step in zip(missing, got, strict=True):
            steps[index] = step
        landed([(place, step) for place, step in enumerate(got) if place not in kept and worth_keeping(step)])

    async def judge(
        self, paths: Sequence[Path], failures: list[Failure], *, landed: Scored | None = None
    ) -> list[Score]:
        """As `Caller.judge`; `landed` is not called."""
        return await self._score([(path,) for path in paths], paths, failures, self._calls.judge)

    async def compare(
        self, pairs: Sequence[tuple[Path, Path]], failures: list[Failure], *, landed: Scored | None = None
    ) -> list[Score]:
        """As `Caller.compare`; `landed` is not called."""
        return await self._score(pairs, pairs, failures, self._calls.compare)

    async def _score(
        self,
        about: Sequence[tuple[Path, ...]],
        items: Sequence[Any],
        failures: list[Failure],
        call: Callable[..., Awaitable[list[Score]]],
    ) -> list[Score]:
        keys = [self._judgement(paths) for paths in about]
        scores = [self._known_score(key) for key in keys]
        missing = [index for index, score in enumerate(scores) if score is None]
        if missing:

            def landed(got: Sequence[Score]) -> None:
                with self._store.transaction():
                    for index, score in zip(missing, got, strict=True):
                        self._keep_score(keys[index], about[index], score)

            got = await call([items[index] for index in missing], failures, landed=landed)
            for index, score in zip(missing, got, strict=True):
                scores[index] = score
        return [score for score in scores if score is not None]

    def _judgement(self, paths: Sequence[Path]) -> bytes:
        known = [self._hashes.path(path) for path in paths]
        whole = b"".join(known)
        times = self._asked[whole]
        self._asked[whole] += 1
        return self._hashes.judgement(known, times)

    def _known_score(self, key: bytes) -> Score | None:
        found = [] if self._fresh else self._store.rows(FIND_SCORE, (key,))
        return read_score(found[0]) if found else None

    def _keep_score(self, key: bytes, paths: Sequence[Path], score: Score) -> None:
        nodes = [self._nodes.of(path, self._meter) for path in paths]
        first, other = nodes[0], nodes[1] if len(nodes) > 1 else None
        row = (key, self._recording.scorer, first, other, *score_row(score), self._store.session, time.time())
        self._store.write(ADD_SCORE, row)

    def finish(self, outcome: Outcome) -> None:
        """Write what the search came to."""
        with self._store.transaction():
            write_outcome(self._store, self._nodes, self._recording.search, self._number, outcome, self._meter)


def worth_keeping(step: Step) -> bool:
    """Whether anything was paid for the step, or it says what failed."""
    return bool(step.text or step.token_ids or step.prefilled or step.finish not in (Finish.CANCELLED, Finish.BUDGET))
