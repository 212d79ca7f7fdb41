"""The runner: order, merging, seeds, retries, failures as data, cancellation, notebooks."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import signal
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason import calls
from reason.policies.fake import FakePolicy, FakeScorer, StreamingFakePolicy, fake_problems
from reason.run import asolve, solve
from reason.types import (
    BackendError,
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
from reason.work import Extend, Search, SearchRun, extend, judge


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "BACKOFF_SECONDS", 0.0)


def sample(n: int, enough: int | None = None) -> Search:
    """n whole solutions, unjudged; with `enough` it stops waiting once so many are there."""

    def run(problem: Problem) -> SearchRun:
        decided = None if enough is None else lambda steps: sum(step is not None for step in steps) >= enough
        paths = yield from extend([Path(problem)] * n, enough=decided)
        return Outcome(problem, paths[0].text, paths[0], candidates=tuple(Candidate(p, p.text) for p in paths))

    return run


def sample_and_judge(n: int) -> Search:
    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * n)
        scores = yield from judge(paths)
        found = tuple(Candidate(p, p.text, s.value) for p, s in zip(paths, scores, strict=True))
        return Outcome(problem, paths[0].text, paths[0], candidates=found)

    return run


def stepwise(n: int) -> Search:
    """n chains, step by step, each step judged."""

    def run(problem: Problem) -> SearchRun:
        paths, done = [Path(problem)] * n, list[Path]()
        while paths:
            paths = yield from extend(paths, Until.STEP)
            yield from judge(paths)
            done += [path for path in paths if not path.open]
            paths = [path for path in paths if path.open]
        return Outcome(problem, done[0].text, done[0], candidates=tuple(Candidate(p, p.text) for p in done))

    return run


def texts(outcomes: Sequence[Outcome]) -> list[list[str]]:
    return [[candidate.path.text for candidate in outcome.candidates] for outcome in outcomes]


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


def test_many_problems_are_in_flight_at_once_and_no_more_than_asked() -> None:
    policy = FakePolicy(latency=0.01)
    solve(fake_problems(20), policy=policy, search=sample(4), concurrency=5)
    assert policy.peak == 5 * 4
    assert policy.calls == [4] * 20


def test_judgements_of_many_problems_are_one_call() -> None:
    scorer = FakeScorer()
    solve(fake_problems(30), policy=FakePolicy(latency=0.01), search=sample_and_judge(4), scorer=scorer)
    assert sum(scorer.calls) == 120
    assert len(scorer.calls) <= 3


def test_one_slow_problem_does_not_hold_up_the_others_judgements() -> None:
    class Uneven(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            if paths[0].problem.id == "fake-0":
                await slow.wait()
            return await super().extend(paths, sampling)

    done: list[str] = []

    def finished(outcome: Outcome) -> None:
        done.append(outcome.problem.id)
        if len(done) == 39:
            slow.set()

    slow = asyncio.Event()
    solve(fake_problems(40), policy=Uneven(), search=sample_and_judge(2), scorer=FakeScorer(), on_outcome=finished)
    assert done[-1] == "fake-0"


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


@pytest.mark.parametrize("fails", [1, 2])
def test_a_failed_call_is_tried_again(fails: int) -> None:
    problems = fake_problems(1)
    expected = texts(solve(problems, policy=FakePolicy(), search=sample(3)))
    policy, scorer = FakePolicy(fail_first=fails), FakeScorer(fail_first=fails)
    outcomes = solve(problems, policy=policy, search=sample_and_judge(3), scorer=scorer)
    assert texts(outcomes) == expected
    assert outcomes[0].failures == ()
    assert len(policy.calls) == fails + 1


def test_what_fails_for_good_is_data_and_the_run_goes_on() -> None:
    policy = FakePolicy(error=lambda path: "no luck" if path.problem.id == "fake-1" else None)
    outcomes = solve(fake_problems(3), policy=policy, search=sample(2), retries=1)
    assert [len(outcome.failures) for outcome in outcomes] == [0, 2, 0]
    failure = outcomes[1].failures[0]
    assert (failure.where, failure.message, failure.attempts) == ("extend", "no luck", 2)
    assert outcomes[1].candidates[0].path.steps[0].error == "no luck"
    assert outcomes[1].candidates[0].path.finish is Finish.ERROR


def test_only_the_steps_that_failed_are_asked_for_again() -> None:
    failed: list[int] = []

    def once(path: Path) -> str | None:
        if path.seed % 2 and path.seed not in failed:
            failed.append(path.seed)
            return "first time"
        return None

    problems = fake_problems(1)
    policy = FakePolicy(error=once)
    assert texts(solve(problems, policy=policy, search=sample(9))) == texts(
        solve(problems, policy=FakePolicy(), search=sample(9))
    )
    assert policy.calls == [9, len(failed)]


def test_one_bad_path_in_a_merged_judgement_costs_only_itself() -> None:
    class Fussy(FakeScorer):
        async def judge(self, paths: Sequence[Path]) -> list[Score]:
            if any(path.problem.id == "fake-2" for path in paths):
                raise RuntimeError("cannot read this")
            return await super().judge(paths)

    outcomes = solve(fake_problems(4), policy=FakePolicy(), search=sample_and_judge(2), scorer=Fussy(), retries=1)
    assert [all(not math.isnan(c.score) for c in outcome.candidates) for outcome in outcomes] == [
        True,
        True,
        False,
        True,
    ]
    assert [failure.message for failure in outcomes[2].failures] == ["RuntimeError: cannot read this"] * 2
    assert {failure.attempts for failure in outcomes[2].failures} == {3}


def test_running_out_of_memory_is_a_failure_like_any_other() -> None:
    class Full(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            if paths[0].problem.id == "fake-0":
                raise MemoryError
            return await super().extend(paths, sampling)

    outcomes = solve(fake_problems(2), policy=Full(), search=sample(2))
    assert [failure.message for failure in outcomes[0].failures] == ["MemoryError"] * 2
    assert outcomes[1].failures == ()


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


def test_failed_scores_are_nan_and_recorded() -> None:
    scorer = FakeScorer(error=lambda path: "unreadable")
    [outcome] = solve(fake_problems(1), policy=FakePolicy(), search=sample_and_judge(2), scorer=scorer)
    assert all(math.isnan(candidate.score) for candidate in outcome.candidates)
    assert [(failure.where, failure.attempts) for failure in outcome.failures] == [("judge", 1)] * 2
    assert scorer.calls == [2]


@pytest.mark.parametrize("kind", [FakePolicy, StreamingFakePolicy])
def test_enough_cancels_what_is_in_flight(kind: type[FakePolicy]) -> None:
    class Uneven(kind):  # type: ignore[valid-type, misc]
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            self.latency = 0.005 if len(self.calls) < 3 else 60.0
            return list(await super().extend(paths, sampling))

    policy = Uneven(latency=0.001)
    [outcome] = solve(fake_problems(1), policy=policy, search=sample(6, enough=3))
    finishes = [candidate.path.finish for candidate in outcome.candidates]
    assert finishes == [Finish.STOP] * 3 + [Finish.CANCELLED] * 3
    assert policy.cancelled == 3
    assert outcome.stopped == "done"


def test_enough_that_is_never_said_changes_nothing() -> None:
    problems = fake_problems(5)
    expected = texts(solve(problems, policy=FakePolicy(), search=sample(4)))
    for policy in (FakePolicy(), StreamingFakePolicy()):
        assert texts(solve(problems, policy=policy, search=sample(4, enough=99))) == expected


def test_a_policy_may_answer_its_cancellation_with_what_it_has() -> None:
    class Partial(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            try:
                self.calls.append(1)
                await asyncio.sleep(0 if len(self.calls) == 1 else 60)
            except asyncio.CancelledError:
                return [Step("half", (1, 2), finish=Finish.CANCELLED)]
            return await super().extend(paths, sampling)

    [outcome] = solve(fake_problems(1), policy=Partial(), search=sample(3, enough=1))
    assert [c.path.text for c in outcome.candidates[1:]] == ["half", "half"]
    assert [c.path.finish for c in outcome.candidates[1:]] == [Finish.CANCELLED] * 2
    assert outcome.cost.generated_tokens == len(outcome.candidates[0].path.token_ids) + 4


def test_a_stream_is_resumed_where_it_broke() -> None:
    class Breaking(StreamingFakePolicy):
        async def stream(self, paths, sampling):  # type: ignore[no-untyped-def, override]
            self.calls.append(len(paths))
            for index, path in enumerate(paths):
                if index == 2:
                    raise ConnectionError("gone")
                yield index, self._step(path, sampling)

    policy, problems = Breaking(), fake_problems(1)
    outcomes = solve(problems, policy=policy, search=sample(5, enough=5))
    assert policy.calls == [5, 3, 1]
    assert texts(outcomes) == texts(solve(problems, policy=FakePolicy(), search=sample(5)))

    policy = Breaking()
    [outcome] = solve(problems, policy=policy, search=sample(7, enough=7), retries=1)
    assert [candidate.path.finish for candidate in outcome.candidates[4:]] == [Finish.ERROR] * 3
    assert outcome.failures[0].message == "ConnectionError: gone"


def test_a_stream_that_ends_early_is_named() -> None:
    class Short(StreamingFakePolicy):
        async def stream(self, paths, sampling):  # type: ignore[no-untyped-def, override]
            yield 0, self._step(paths[0], sampling)

    with pytest.raises(BackendError, match=r"Short.stream ended without a step for 3 of 4"):
        solve(fake_problems(1), policy=Short(), search=sample(4, enough=4))


def test_wrong_lengths_are_named() -> None:
    class Shorter(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            return (await super().extend(paths, sampling))[1:]

    class Nothing(FakeScorer):
        async def judge(self, paths: Sequence[Path]) -> list[Score]:
            return None  # type: ignore[return-value]

    with pytest.raises(BackendError, match=r"Shorter.extend returned a list of 3 for 4 paths"):
        solve(fake_problems(2), policy=Shorter(), search=sample(4))
    with pytest.raises(BackendError, match=r"Nothing.judge returned NoneType for \d+ paths"):
        solve(fake_problems(2), policy=FakePolicy(), search=sample_and_judge(4), scorer=Nothing())


def test_usage_errors_of_a_backend_reach_the_caller_untried() -> None:
    class Strict(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            self.calls.append(len(paths))
            raise UsageError("the question is longer than the context")

    policy = Strict()
    with pytest.raises(UsageError, match="longer than the context"):
        solve(fake_problems(1), policy=policy, search=sample(2))
    assert policy.calls == [2]


def test_usage_errors_of_a_scorer_reach_the_caller_too() -> None:
    class Strict(FakeScorer):
        async def judge(self, paths: Sequence[Path]) -> list[Score]:
            raise UsageError("no gold answers")

    class Picky(FakeScorer):
        def validate(self, problems: Sequence[Problem]) -> None:
            raise UsageError(f"cannot judge {problems[0].id}")

    policy = FakePolicy()
    with pytest.raises(UsageError, match="no gold answers"):
        solve(fake_problems(5), policy=policy, search=sample_and_judge(2), scorer=Strict())
    with pytest.raises(UsageError, match="cannot judge fake-0"):
        solve(fake_problems(5), policy=policy, search=sample_and_judge(2), scorer=Picky())
    assert len(policy.calls) == 5


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


def needing(*needs: str) -> Search:
    search = sample(2)
    search.needs = frozenset(needs)  # type: ignore[attr-defined]
    search.name = "greedy_search"  # type: ignore[attr-defined]
    return search


def refusals() -> dict[str, tuple[dict[str, object], str]]:
    return {
        "text": ({"problems": ["What is 1 + 1?"]}, r"problem 0 is 'What is 1 \+ 1\?'; pass reason.Problem"),
        "empty": ({"problems": [Problem("a", " \n")]}, "problem 'a' has an empty question"),
        "twice": ({"problems": [Problem("a", "x"), Problem("a", "y")]}, "problem id 'a' stands twice"),
        "policy": ({"policy": "bundled"}, "policy is 'bundled'.*reason.load"),
        "policy class": ({"policy": FakePolicy}, "policy is <class"),
        "search": ({"search": "best_of_n"}, "search is 'best_of_n'; pass a strategy"),
        "builder": ({"search": lambda problem: sample(2)}, "search returned function for a problem, not a generator"),
        "scorer": ({"scorer": "process"}, "scorer is 'process'; it needs judge"),
        "no scorer": ({"search": needing("scorer")}, "greedy_search needs a scorer and none was given"),
        "unsaid scorer": ({"search": sample_and_judge(2)}, "asked for scores and no scorer was given"),
        "partial": (
            {"search": needing("partial"), "policy": FakePolicy(partial=False)},
            "greedy_search works step by step and fake cannot continue",
        ),
        "budget": ({"budget": 100}, r"budget is 100; pass reason.Budget\(tokens="),
        "concurrency": ({"concurrency": 0}, "concurrency is 0"),
        "retries": ({"retries": -1}, "retries is -1"),
        "seed": ({"seed": "x"}, "seed is 'x'"),
        "sampling": ({"sampling": {"temperature": 1}}, "sampling is {'temperature': 1}"),
        "temperature": ({"sampling": Sampling(temperature=-1)}, "sampling temperature is -1"),
        "top_p": ({"sampling": Sampling(top_p=0)}, "sampling top_p is 0"),
        "top_k": ({"sampling": Sampling(top_k=-1)}, "sampling top_k is -1"),
        "min_p": ({"sampling": Sampling(min_p=1)}, "sampling min_p is 1"),
        "max_tokens": ({"sampling": Sampling(max_tokens=0)}, "sampling max_tokens is 0"),
        "max_step_tokens": ({"sampling": Sampling(max_step_tokens=0)}, "sampling max_step_tokens is 0"),
        "stop": ({"sampling": Sampling(stop="x")}, "sampling stop is 'x'; it must be a tuple of strings"),  # type: ignore[arg-type]
        "empty stop": ({"sampling": Sampling(stop=("",))}, r"sampling stop is \(''"),
        "step_end": ({"sampling": Sampling(step_end="x")}, "sampling step_end is 'x'"),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("name", refusals())
def test_what_cannot_work_is_refused_in_one_line_before_any_work(name: str) -> None:
    arguments, message = refusals()[name]
    policy = FakePolicy()
    given: dict[str, object] = {"problems": fake_problems(2), "policy": policy, "search": sample(2), **arguments}
    problems = given.pop("problems")
    with pytest.raises(UsageError, match=message) as caught:
        solve(problems, **given)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert name == "unsaid scorer" or policy.calls == []


def test_a_search_that_yields_or_returns_nonsense_is_named() -> None:
    def yields(problem: Problem) -> SearchRun:
        yield 3  # type: ignore[misc]
        return Outcome(problem, None, None)

    def returns(problem: Problem) -> SearchRun:
        yield from extend([Path(problem)])
        return None  # type: ignore[return-value]

    with pytest.raises(UsageError, match="search yielded int"):
        solve(fake_problems(1), policy=FakePolicy(), search=yields)
    with pytest.raises(UsageError, match="search returned NoneType; it must return an Outcome"):
        solve(fake_problems(1), policy=FakePolicy(), search=returns)


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
