"""How work reaches policy and scorer: merging, retries, cancellation, protocol."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from chains import sample, sample_and_judge, texts

from reason import calls
from reason.policies.fake import FakePolicy, FakeScorer, StreamingFakePolicy, fake_problems
from reason.run import solve
from reason.types import (
    BackendError,
    Finish,
    Outcome,
    Path,
    Problem,
    Sampling,
    Score,
    Step,
    UsageError,
)


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "BACKOFF_SECONDS", 0.0)


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

    [outcome] = solve(problems, policy=Breaking(), search=sample(7, enough=7), retries=0)
    assert [candidate.path.finish for candidate in outcome.candidates[2:]] == [Finish.ERROR] * 5
    assert outcome.failures[0].message == "ConnectionError: gone"


def test_what_a_stream_does_not_bring_is_at_last_asked_for_path_by_path() -> None:
    class Poisoned(StreamingFakePolicy):
        def _step(self, path: Path, sampling: Sampling) -> Step:
            if path.seed == poison:
                raise ConnectionError("gone")
            return super()._step(path, sampling)

    problems, policy = fake_problems(1), FakePolicy()
    whole = solve(problems, policy=policy, search=sample(7))
    poison = policy.seeds[1]
    [outcome] = solve(problems, policy=Poisoned(), search=sample(7, enough=7), retries=1)
    assert [candidate.path.finish is Finish.ERROR for candidate in outcome.candidates] == [False, True] + [False] * 5
    assert [item.path.text for item in outcome.candidates[2:]] == [item.path.text for item in whole[0].candidates[2:]]
    assert [(failure.message, failure.attempts) for failure in outcome.failures] == [("ConnectionError: gone", 3)]


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
