"""The trace store: what is shared between runs, what is not, and what comes back."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest
from trace_runs import PROBLEMS, Ends, LoggingPolicy, LoggingScorer, LoggingStream, Paid, run, shown

import reason
from reason import Budget, Finish, Path, Problem, Sampling, Step
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.trace import Store, StoreError, read
from reason.types import BackendError, Outcome
from reason.work import SearchRun, ask, extend, judge


@pytest.fixture
def file(tmp_path: FilePath) -> FilePath:
    return tmp_path / "run.db"


def test_a_greater_n_and_another_strategy_only_add_work(file: FilePath) -> None:
    paid = Paid()
    run(reason.best_of_n(4), paid, file)
    assert (len(paid.steps), len(paid.scores)) == (12, len(set(paid.scores)))
    assert shown(run(reason.best_of_n(10), paid, file)) == shown(run(reason.best_of_n(10), Paid()))
    assert len(paid.steps) == 30
    judged = len(paid.scores)
    assert shown(run(reason.self_consistency(10), paid, file)) == shown(run(reason.self_consistency(10), Paid()))
    assert shown(run(reason.weighted_best_of_n(10), paid, file)) == shown(run(reason.weighted_best_of_n(10), Paid()))
    assert (len(paid.steps), len(paid.scores)) == (30, judged)
    assert shown(run(reason.beam(4), paid, file)) == shown(run(reason.beam(4), Paid()))
    assert len(paid.steps) > 30
    with read(file) as trace:
        assert [(search.strategy, search.options["n"]) for search in trace.searches()] == [
            ("best_of_n", 4),
            ("best_of_n", 10),
            ("self_consistency", 10),
            ("weighted_best_of_n", 10),
            ("beam", 4),
        ]
        assert all(outcome.done for outcome in trace.outcomes())
        assert len(list(trace.outcomes())) == 15


def test_more_problems_only_add_work(file: FilePath) -> None:
    paid, more = Paid(), fake_problems(6)
    run(reason.self_consistency(4), paid, file)
    assert shown(run(reason.self_consistency(4), paid, file, problems=more[::-1])) == shown(
        run(reason.self_consistency(4), Paid(), problems=more[::-1])
    )
    assert len(paid.steps) == 24


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"sampling": Sampling(temperature=0.5)},
        {"sampling": Sampling(max_tokens=30)},
        {"policy": LoggingPolicy(Paid(), accuracy=0.5)},
        {"problems": [replace(problem, question=f"1 + {problem.question}") for problem in PROBLEMS]},
    ],
)
def test_what_differs_is_never_shared(change: dict[str, Any], file: FilePath) -> None:
    """The same ids, even, of another task's questions."""
    search = reason.self_consistency(4)
    run(search, Paid(), file)
    assert shown(run(search, Paid(), file, **change)) == shown(run(search, Paid(), **change))


@pytest.mark.parametrize(
    "change",
    [
        {"scorer": FakeScorer(good=0.8, incremental=False)},
        {"problems": [replace(problem, meta={"level": 5}) for problem in PROBLEMS]},
        {"problems": [replace(problem, answer="12") for problem in PROBLEMS]},
    ],
)
def test_scores_of_another_scorer_or_problem_are_never_shared(change: dict[str, Any], file: FilePath) -> None:
    paid = Paid()
    run(reason.best_of_n(4), paid, file)
    before = len(paid.scores)
    assert shown(run(reason.best_of_n(4), paid, file, **change)) == shown(run(reason.best_of_n(4), Paid(), **change))
    assert ("scorer" in change) or len(paid.scores) == 2 * before


def test_a_corrected_gold_answer_costs_no_step(file: FilePath) -> None:
    paid = Paid()
    run(reason.self_consistency(4), paid, file)
    run(reason.self_consistency(4), paid, file, problems=[replace(problem, answer="7") for problem in PROBLEMS])
    assert len(paid.steps) == 12


BUDGETS = [
    Budget(tokens=60),
    Budget(tokens=150),
    Budget(scorer_tokens=300),
    Budget(flops=400_000),
    Budget(tokens=200, scorer_tokens=500),
]


@pytest.mark.parametrize("name", ["best_of_n", "beam", "mcts", "particles", "adaptive_consistency"])
@pytest.mark.parametrize("budget", BUDGETS)
def test_budgets_are_those_of_an_uninterrupted_run(name: str, budget: Budget, file: FilePath) -> None:
    search = getattr(reason, name)(6)
    alone, paid = Paid(), Paid()
    whole = shown(run(search, alone, budget=budget))
    total = len(alone.steps) + len(alone.scores)
    for limit in (total // 3, total // 2):
        paid.limit = limit
        try:
            run(search, paid, file, budget=budget)
        except Ends:
            continue
    paid.limit = None
    assert shown(run(search, paid, file, budget=budget)) == whole
    assert shown(run(search, paid, file, budget=budget)) == whole
    roomy = Budget(tokens=10_000)
    assert shown(run(search, paid, file, budget=roomy)) == shown(run(search, Paid(), budget=roomy))


class Unfinished(LoggingStream):
    """Steps land one by one; those that are cancelled leave half of what they have."""

    async def stream(  # type: ignore[override]
        self, paths: Sequence[Path], sampling: Sampling, unfinished: dict[int, Step] | None = None
    ) -> AsyncIterator[tuple[int, Step]]:
        left = dict(enumerate(paths))
        try:
            for index, path in enumerate(paths):
                await asyncio.sleep(self.latency)
                del left[index]
                yield index, self._step(path, sampling)
        finally:
            for index, path in left.items():
                step = FakePolicy._step(self, path, sampling)
                half = len(step.text) // 2
                cut = replace(step, text=step.text[:half], token_ids=step.token_ids[:half], tail=0)
                if unfinished is not None and half:
                    unfinished[index] = replace(cut, logprobs=step.logprobs[:half], finish=Finish.CANCELLED)


def test_an_early_stop_comes_where_it_came_with_what_was_cut_off(file: FilePath) -> None:
    def search(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * 9, enough=lambda steps: sum(map(bool, steps)) == 4)
        return Outcome(problem, None, paths[0], candidates=tuple(reason.Candidate(path, None) for path in paths))

    alone, paid = Paid(), Paid()
    policy = Unfinished(alone, accuracy=0.9)
    whole = shown(run(search, alone, policy=policy))
    assert "cancelled" in repr(whole)
    kept = Unfinished(paid, accuracy=0.9)
    assert shown(run(search, paid, file, policy=kept)) == whole
    before = len(paid.steps)
    assert shown(run(search, paid, file, policy=kept)) == whole
    assert len(paid.steps) == before
    for limit in range(1, before, 2):
        again, other = Paid(), file.with_name(f"{limit}.db")
        again.limit = limit
        with pytest.raises(Ends):
            run(search, again, other, policy=Unfinished(again, accuracy=0.9))
        again.limit = None
        assert shown(run(search, again, other, policy=Unfinished(again, accuracy=0.9))) == whole
        assert len(again.steps) == before


def test_an_early_stop_does_not_take_what_another_search_sampled_beyond_it(file: FilePath) -> None:
    paid, every = Paid(), reason.self_consistency(12)
    sparing, policy = reason.adaptive_consistency(12, stream=True), LoggingStream(paid)
    run(every, paid, file, policy=policy)
    alone = run(sparing, Paid(), policy=LoggingStream(Paid()))
    shared = run(sparing, paid, file, policy=policy)
    assert [outcome.answer for outcome in shared] == [outcome.answer for outcome in alone]
    assert [len(outcome.candidates) for outcome in shared] <= [12, 12, 12]
    assert sum(outcome.cost.generated_tokens for outcome in shared) < sum(
        outcome.cost.generated_tokens for outcome in run(every, paid, file, policy=policy)
    )
    assert len(paid.steps) == 36


def two_rounds(problem: Problem) -> SearchRun:
    first = yield from extend([Path(problem)] * 3)
    second = yield from extend([Path(problem)] * 2)
    paths = (*first, *second)
    return Outcome(problem, None, first[0], candidates=tuple(reason.Candidate(path, None) for path in paths))


def later(file: FilePath, change: str = "") -> None:
    """Let what is in the store have landed 2,000 seconds later."""
    connection = sqlite3.connect(file)
    connection.execute("UPDATE used SET elapsed = elapsed + 2000")
    if change:
        connection.execute(change)
    connection.commit()
    connection.close()


def test_seconds_go_on_where_they_stood(file: FilePath) -> None:
    budget, paid, policy = Budget(seconds=1000), Paid(), LoggingStream(Paid())
    paid.limit = 3
    options: dict[str, Any] = {"policy": LoggingStream(paid), "budget": budget, "problems": PROBLEMS[:1]}
    with pytest.raises(Ends):
        run(two_rounds, paid, file, **options)
    later(file)
    [outcome] = run(two_rounds, paid, file, **options)
    assert (len(paid.steps), outcome.stopped) == (3, "budget")
    assert [item.path.finish for item in outcome.candidates][3:] == [Finish.BUDGET] * 2
    assert outcome.cost.seconds > 2000
    paid.limit = None
    whole = run(two_rounds, paid, file, **(options | {"budget": Budget()}))
    assert shown(whole) == shown(run(two_rounds, Paid(), policy=policy, problems=PROBLEMS[:1]))
    assert len(paid.steps) == 5


def test_what_the_seconds_cut_stays_cut(file: FilePath) -> None:
    paid = Paid()
    options: dict[str, Any] = {"policy": LoggingStream(paid), "budget": Budget(seconds=1000), "problems": PROBLEMS[:1]}
    whole = run(two_rounds, paid, file, **options)
    later(file, "UPDATE node SET finish = 'budget' WHERE id = 3")
    [outcome] = run(two_rounds, paid, file, **options)
    assert [item.path.finish for item in outcome.candidates][2:] == [Finish.BUDGET] * 3
    assert outcome.candidates[2].path.text == whole[0].candidates[2].path.text
    assert len(paid.steps) == 5
    again = run(two_rounds, paid, file, **(options | {"budget": Budget()}))
    assert shown(again) == shown(whole)
    assert len(paid.steps) == 6


def test_failed_steps_and_scores_are_tried_again(file: FilePath) -> None:
    paid = Paid()
    broken = {"steps": True, "scores": True}

    def step_fails(path: Path) -> str | None:
        return "down" if broken["steps"] and path.seed % 2 else None

    def score_fails(path: Path) -> str | None:
        return "down" if broken["scores"] and len(path.text) % 2 else None

    def solve() -> list[Outcome]:
        policy, scorer = LoggingPolicy(paid, error=step_fails), LoggingScorer(paid, error=score_fails)
        return run(reason.best_of_n(8), paid, file, policy=policy, scorer=scorer, retries=0)

    failed = solve()
    assert all(outcome.failures for outcome in failed)
    with read(file) as trace:
        nodes = [node for outcome in trace.outcomes() for node in trace.nodes(outcome.search, outcome.problem)]
        assert {node.step.error for node in nodes if node.step.finish is Finish.ERROR} == {"down"}
        scores = [score for outcome in trace.outcomes() for score in trace.scores(outcome.search, outcome.problem)]
        assert {score.error for score in scores if math.isnan(score.value)} == {"down"}
    good = len([node for node in nodes if node.step.finish is not Finish.ERROR])
    broken["steps"] = broken["scores"] = False
    before = len(paid.steps)
    assert shown(solve()) == shown(run(reason.best_of_n(8), Paid()))
    assert len(paid.steps) - before == 24 - good


def test_what_an_attempt_brought_is_kept_though_others_fail(file: FilePath) -> None:
    class Flaky(LoggingPolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            steps = await super().extend(paths, sampling)
            if len(self.calls) > 1:
                raise Ends("the run was ended")
            bad = Step("", finish=Finish.ERROR, error="down")
            return [bad if index % 2 else step for index, step in enumerate(steps)]

    with pytest.raises(Ends):
        run(reason.self_consistency(8), Paid(), file, policy=Flaky(Paid()), problems=PROBLEMS[:1])
    paid = Paid()
    run(reason.self_consistency(8), paid, file, policy=LoggingPolicy(paid), problems=PROBLEMS[:1])
    assert len(paid.steps) <= 8


def test_a_scorer_with_a_memory_is_asked_as_often_as_without_a_store(file: FilePath) -> None:
    """The second judgement of an equal path costs what the scorer says, not what the first cost."""

    def twice(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)])
        for _ in range(3):
            yield from judge([*paths, *paths])
        return Outcome(problem, None, paths[0])

    def solve(store: FilePath | None) -> list[Outcome]:
        return run(twice, Paid(), store, scorer=FakeScorer(incremental=True))

    alone = shown(solve(None))
    assert shown(solve(file)) == alone
    assert shown(solve(file)) == alone


def test_questions_of_a_search_forced_text_and_reopened_paths(file: FilePath) -> None:
    def talk(problem: Problem) -> SearchRun:
        asked = yield from extend([ask(problem, "4 + 4")] * 2)
        first = yield from extend([Path(problem)])
        again = yield from extend([path.reopened().forced("Wait\n") for path in first] * 2)
        moved = [path.under(problem) for path in asked]
        yield from judge([*asked, *moved, *again])
        return Outcome(
            problem, "8", again[0], candidates=tuple(reason.Candidate(path, "8") for path in (*moved, *again))
        )

    paid = Paid()
    whole = shown(run(talk, Paid(), scorer=LoggingScorer(Paid())))
    for _ in range(2):
        assert shown(run(talk, paid, file, scorer=LoggingScorer(paid))) == whole
    assert len(paid.steps) == 15
    with read(file) as trace:
        [search] = trace.searches()
        outcomes = list(trace.outcomes(search.number))
        nodes = list(trace.nodes(search.number, outcomes[0].problem))
        assert [trace.outcome(stored).candidates for stored in outcomes] == [
            outcome.candidates for outcome in run(talk, paid, scorer=LoggingScorer(paid))
        ]
        assert len(list(trace.scores(search.number, outcomes[0].problem))) == 6
    assert {node.question for node in nodes} == {None, "4 + 4"}
    forced = [node for node in nodes if node.forced]
    assert [node.reopened for node in forced] == [True, False]
    first, wait = forced
    sampled = next(node for node in nodes if not node.question)
    assert (first.parent, first.step.text) == (None, sampled.step.text)
    assert (wait.parent, wait.step.text) == (first.number, "Wait\n")
    assert [node.parent for node in nodes if node.depth == 3] == [wait.number] * 2


def test_a_run_that_failed_leaves_its_problems_begun(file: FilePath) -> None:
    paid = Paid()
    paid.limit = 0
    with pytest.raises(Ends):
        run(reason.self_consistency(3), paid, file)
    with read(file) as trace:
        assert [(outcome.done, outcome.stopped) for outcome in trace.outcomes()] == [(False, "")] * 3
        assert not list(trace.nodes(1, 1))


def test_a_backend_that_breaks_its_protocol_is_still_an_error(file: FilePath) -> None:
    class Short(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            return []

    with pytest.raises(BackendError, match="one result for each"):
        run(reason.self_consistency(3), Paid(), file, policy=Short())


@pytest.mark.parametrize("backend", [LoggingPolicy, LoggingStream])
def test_one_path_that_breaks_every_call_costs_only_itself(backend: Any, file: FilePath) -> None:
    bad = list[int]()

    class Breaks(backend):  # type: ignore[misc]
        def _step(self, path: Path, sampling: Sampling) -> Step:
            bad.append(path.seed) if not bad else None
            if path.seed == bad[0]:
                raise ValueError("cannot")
            step: Step = super()._step(path, sampling)
            return step

    def solve(store: FilePath | None) -> list[Outcome]:
        return run(reason.self_consistency(6), Paid(), store, policy=Breaks(Paid()), problems=PROBLEMS[:1], retries=1)

    alone = shown(solve(None))
    assert alone[0][0].count("Candidate(") == 6 - alone[0][0].count("Failure(") == 5
    assert shown(solve(file)) == alone


def problems_in(file: FilePath) -> int:
    with read(file) as trace:
        return len(list(trace.problems()))


def test_what_lands_in_one_turn_is_written_at_its_end(file: FilePath) -> None:
    seen = list[int]()

    async def main(store: Store) -> None:
        for problem in fake_problems(3):
            with store.transaction(soon=True):
                store.problem(problem)
            seen.append(problems_in(file))
        await asyncio.sleep(0)
        seen.append(problems_in(file))
        with store.transaction(soon=True):
            store.problem(Problem("soon", "?"))
        with store.transaction():
            store.problem(Problem("now", "?"))
        seen.append(problems_in(file))
        with store.transaction(soon=True):
            store.problem(Problem("last", "?"))

    with Store(file) as store:
        asyncio.run(main(store))
    assert [*seen, problems_in(file)] == [0, 0, 0, 3, 5, 6]


def test_without_an_event_loop_all_is_written_at_once(file: FilePath) -> None:
    with Store(file) as store:
        with store.transaction(soon=True):
            store.problem(PROBLEMS[0])
        assert problems_in(file) == 1


def test_what_could_not_be_written_soon_is_told_by_the_next_write(file: FilePath) -> None:
    class Full:
        """A connection whose transactions cannot be ended."""

        def __init__(self, real: sqlite3.Connection) -> None:
            self.real, self.full = real, True

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "COMMIT" and self.full:
                raise sqlite3.OperationalError("database or disk is full")
            return self.real.execute(statement, *values)

    async def main(store: Store) -> None:
        full = Full(store._connection)
        store._connection = full  # type: ignore[assignment]
        with store.transaction(soon=True):
            store.problem(PROBLEMS[0])
        await asyncio.sleep(0)
        full.full = False
        with pytest.raises(StoreError, match="full"), store.transaction(soon=True):
            store.problem(PROBLEMS[1])

    with pytest.raises(StoreError, match="full"), Store(file) as store:
        asyncio.run(main(store))
    assert problems_in(file) == 0
