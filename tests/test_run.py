"""The runner: order, seeds, limits, failures as data, notebooks, Ctrl-C, progress."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import signal
import threading
from collections.abc import Sequence

import pytest
from chains import sample, sample_and_judge, stepwise, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.run import asolve, solve
from reason.types import (
    Candidate,
    Capabilities,
    Cost,
    Finish,
    Outcome,
    Path,
    Problem,
    Sampling,
    Score,
    Step,
    Until,
    UsageError,
)
from reason.work import Extend, SearchRun, extend


def test_outcomes_stand_in_the_problems_order() -> None:
    problems = fake_problems(20)
    done: list[str] = []
    outcomes = solve(
        problems,
        policy=FakePolicy(),
        search=sample(3),
        concurrency=7,
        on_outcome=lambda outcome: done.append(outcome.problem.id),
    )
    assert [outcome.problem for outcome in outcomes] == problems
    assert sorted(done) == sorted(problem.id for problem in problems)
    assert all(outcome.stopped == "done" and not outcome.failures for outcome in outcomes)
    assert solve([], policy=FakePolicy(), search=sample(3)) == []


@settings(max_examples=25, deadline=None)
@given(
    concurrency=st.integers(1, 9),
    order=st.permutations(range(6)),
    chosen=st.integers(1, 6),
    seed=st.integers(-(2**70), 2**70),
)
def test_seeds_depend_on_nothing_but_run_problem_and_index(
    concurrency: int, order: list[int], chosen: int, seed: int
) -> None:
    problems = fake_problems(6, terms=5)

    def run(some: list[Problem], limit: int) -> dict[str, list[str]]:
        outcomes = solve(
            some, policy=FakePolicy(), search=stepwise(3), scorer=FakeScorer(), seed=seed, concurrency=limit
        )
        return {outcome.problem.id: found for outcome, found in zip(outcomes, texts(outcomes), strict=True)}

    alone = {key: found for problem in problems for key, found in run([problem], 1).items()}
    together = run([problems[index] for index in order][:chosen], concurrency)
    assert together == {key: alone[key] for key in together}


def test_copies_problems_and_runs_get_different_seeds() -> None:
    first, second = FakePolicy(), FakePolicy()
    solve(fake_problems(5), policy=first, search=sample(8), seed=1)
    solve(fake_problems(5), policy=second, search=sample(8), seed=2)
    assert len(set(first.seeds + second.seeds)) == 80
    assert all(0 <= seed < 2**63 for seed in first.seeds)


def test_seeds_are_pinned() -> None:
    policy = FakePolicy()
    solve([Problem("p", "1 + 2")], policy=policy, search=sample(2), seed=7)
    assert policy.seeds == [1703972313617333959, 754779116575903844]
    digest = hashlib.blake2b(b"7\0p\0" + bytes(7) + b"\1", digest_size=8).digest()
    assert policy.seeds[1] == int.from_bytes(digest) >> 1


def test_temperature_and_until_reach_the_policy() -> None:
    seen: list[Sampling] = []

    class Recording(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            seen.append(sampling)
            return await super().extend(paths, sampling)

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)], Until.STEP, temperature=0.0)
        paths = yield from extend(paths)
        return Outcome(problem, None, paths[0])

    [outcome] = solve(fake_problems(1), policy=Recording(), search=run, sampling=Sampling(temperature=0.5))
    assert [(sampling.until, sampling.temperature) for sampling in seen] == [(Until.STEP, 0.0), (Until.END, 0.5)]
    assert outcome.path is not None
    assert len(outcome.path.steps) == 2


def test_max_tokens_holds_for_the_whole_solution() -> None:
    problems = fake_problems(4, terms=6)
    whole = solve(problems, policy=FakePolicy(), search=sample(4), sampling=Sampling(max_tokens=25))
    steps = solve(
        problems, policy=FakePolicy(), search=stepwise(4), scorer=FakeScorer(), sampling=Sampling(max_tokens=25)
    )
    for outcome in whole + steps:
        assert outcome.stopped == "done"
        for candidate in outcome.candidates:
            assert len(candidate.path.token_ids) == 25
            assert candidate.path.finish is Finish.LENGTH


def test_a_path_at_its_cap_ends_without_a_call() -> None:
    policy = FakePolicy()

    def run(problem: Problem) -> SearchRun:
        long = Path(problem).then(Step("x" * 8, tuple(b"x" * 8)))
        paths = yield from extend([long, Path(problem), long])
        return Outcome(problem, None, None, candidates=tuple(Candidate(path, None) for path in paths))

    [outcome] = solve(fake_problems(1), policy=policy, search=run, sampling=Sampling(max_tokens=8))
    assert [candidate.path.finish for candidate in outcome.candidates] == [Finish.LENGTH] * 3
    assert [len(candidate.path.token_ids) for candidate in outcome.candidates] == [8, 8, 8]
    assert policy.calls == [1]


def test_cost_adds_up() -> None:
    [outcome] = solve(fake_problems(1), policy=FakePolicy(), search=sample_and_judge(4), scorer=FakeScorer())
    generated = sum(len(candidate.path.token_ids) for candidate in outcome.candidates)
    cost = outcome.cost
    question = len(outcome.problem.question)
    assert (cost.generated_tokens, cost.prefilled_tokens) == (generated, question)
    assert question < cost.scored_tokens <= generated + question
    assert cost.flops == 2000 * (generated + question + cost.scored_tokens)
    assert cost.seconds > 0


def test_text_without_token_ids_is_counted_too() -> None:
    class Own(FakePolicy):
        def count_tokens(self, text: str) -> int:
            return len(text.split())

    for policy, count in (
        (FakePolicy(token_ids=False), lambda text: math.ceil(len(text) / 4)),
        (Own(token_ids=False), lambda text: len(text.split())),
    ):
        [outcome] = solve(fake_problems(1), policy=policy, search=sample(3))
        assert outcome.cost.generated_tokens == sum(count(candidate.path.text) for candidate in outcome.candidates)


def test_a_search_that_breaks_is_an_outcome() -> None:
    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)])
        if problem.id == "fake-1":
            raise ZeroDivisionError("search bug")
        return Outcome(problem, "1", paths[0])

    outcomes = solve(fake_problems(3), policy=FakePolicy(), search=run)
    assert [outcome.stopped for outcome in outcomes] == ["done", "error", "done"]
    assert outcomes[1].failures[0].message == "ZeroDivisionError: search bug"
    assert outcomes[1].failures[0].where == "search"
    assert outcomes[1].cost.generated_tokens > 0


def test_extending_a_finished_path_is_the_searchs_error() -> None:
    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)])
        paths = yield from extend(paths)
        return Outcome(problem, None, None)

    [outcome] = solve(fake_problems(1), policy=FakePolicy(), search=run)
    assert outcome.stopped == "error"
    assert "had ended (stop)" in outcome.failures[0].message


def test_what_on_outcome_raises_ends_the_run() -> None:
    def full(outcome: Outcome) -> None:
        raise OSError("disk full")

    policy = FakePolicy(latency=0.001)
    with pytest.raises(OSError, match="disk full"):
        solve(fake_problems(9), policy=policy, search=sample(2), on_outcome=full, concurrency=2)
    assert len(policy.calls) < 9


def test_solve_works_inside_a_running_loop() -> None:
    async def cell() -> list[Outcome]:
        return solve(fake_problems(3), policy=FakePolicy(latency=0.001), search=sample(2))

    outcomes = asyncio.run(cell())
    assert texts(outcomes) == texts(solve(fake_problems(3), policy=FakePolicy(), search=sample(2)))

    async def wrong() -> list[Outcome]:
        return solve([Problem("1", " ")], policy=FakePolicy(), search=sample(2))

    with pytest.raises(UsageError, match="empty question"):
        asyncio.run(wrong())


@pytest.mark.skipif(not hasattr(signal, "raise_signal") or os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("notebook", [False, True])
def test_ctrl_c_keeps_what_is_done(notebook: bool) -> None:
    class Endless(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            self.latency = 0.0 if paths[0].problem.id in ("fake-0", "fake-3") else 600.0
            return await super().extend(paths, sampling)

    kept: list[str] = []

    def finished(outcome: Outcome) -> None:
        kept.append(outcome.problem.id)
        if len(kept) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    policy = Endless()

    def run() -> None:
        solve(fake_problems(6), policy=policy, search=sample(2), on_outcome=finished)

    async def cell() -> None:
        run()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell()) if notebook else run()
    assert sorted(kept) == ["fake-0", "fake-3"]
    assert policy.cancelled == sum(policy.calls) - 2 * 2 > 0
    assert not [thread for thread in threading.enumerate() if thread.name == "reason-solve"]


def test_cancelling_asolve_cancels_what_is_in_flight() -> None:
    policy = FakePolicy(latency=600)

    async def main() -> None:
        task = asyncio.create_task(asolve(fake_problems(4), policy=policy, search=sample(2)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert policy.cancelled == 8


def test_progress_is_reported_to_a_function() -> None:
    seen: list[tuple[int, int, int]] = []

    def report(done: int, total: int, cost: Cost) -> None:
        seen.append((done, total, cost.generated_tokens))

    outcomes = solve(fake_problems(3), policy=FakePolicy(), search=sample(2), progress=report)
    assert [row[:2] for row in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[-1][2] == sum(outcome.cost.generated_tokens for outcome in outcomes)


def test_the_bar_shows_only_when_asked_or_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    solve(fake_problems(3), policy=FakePolicy(), search=sample(2))
    solve(fake_problems(3), policy=FakePolicy(), search=sample(2), progress=False)
    assert capsys.readouterr() == ("", "")
    solve(fake_problems(3), policy=FakePolicy(), search=sample(2), progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "3/3" in shown.err
    assert "tokens" in shown.err


def test_empty_work_costs_nothing() -> None:
    def run(problem: Problem) -> SearchRun:
        assert (yield Extend(())) == []
        return Outcome(problem, None, None)

    policy = FakePolicy()
    [outcome] = solve(fake_problems(1), policy=policy, search=run)
    assert outcome.stopped == "done"
    assert policy.calls == []


def test_plain_classes_are_enough() -> None:
    class Echo:
        capabilities = Capabilities("echo")

        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            return [Step(path.problem.question, finish=Finish.STOP) for path in paths]

    class Constant:
        async def judge(self, paths: Sequence[Path]) -> list[Score]:
            return [Score(1.0) for _ in paths]

    [outcome] = solve([Problem("1", "hello")], policy=Echo(), search=sample_and_judge(1), scorer=Constant())
    assert outcome.answer == "hello"
    assert outcome.cost.flops == 0
