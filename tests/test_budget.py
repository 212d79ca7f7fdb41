"""Budgets are hard, of all four kinds, and end a search with the best answer so far."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.budget import Budget, Meter, Rates, estimate_tokens, path_tokens, step_tokens
from reason.policies.fake import FakePolicy, FakeScorer, StreamingFakePolicy, fake_problems
from reason.run import solve
from reason.types import (
    BackendError,
    Candidate,
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
from reason.work import Search, SearchRun, exhausted, extend, judge


def search(n: int, until: Until, enough: int | None = None) -> Search:
    """n chains to the end, judged at every stop, until nothing is open."""

    def run(problem: Problem) -> SearchRun:
        paths, done = [Path(problem)] * n, list[Candidate]()
        decided = None if enough is None else lambda steps: sum(step is not None for step in steps) >= enough
        while paths:
            paths = yield from extend(paths, until, enough=decided)
            if exhausted(paths):
                return Outcome(problem, None, None, candidates=tuple(done))
            scores = yield from judge(paths)
            found = [Candidate(p, p.text, s.value) for p, s in zip(paths, scores, strict=True)]
            done += [candidate for candidate in found if not candidate.path.open]
            paths = [path for path in paths if path.open]
        return Outcome(problem, None, None, candidates=tuple(done))

    return run


UNTIL = st.sampled_from([Until.STEP, Until.END])


@settings(max_examples=60, deadline=None)
@given(tokens=st.integers(1, 700), n=st.integers(1, 8), most=st.integers(1, 90), until=UNTIL, step=st.integers(1, 30))
def test_generated_tokens_never_pass_the_budget_and_are_used_up(
    tokens: int, n: int, most: int, until: Until, step: int
) -> None:
    sampling = Sampling(max_tokens=most, max_step_tokens=step)
    problems = fake_problems(3)

    def run(budget: Budget, concurrency: int) -> list[Outcome]:
        return solve(
            problems,
            policy=FakePolicy(),
            scorer=FakeScorer(),
            search=search(n, until),
            sampling=sampling,
            budget=budget,
            concurrency=concurrency,
        )

    free, limited, serial = run(Budget(), 3), run(Budget(tokens=tokens), 3), run(Budget(tokens=tokens), 1)
    for whole, outcome, alone in zip(free, limited, serial, strict=True):
        spent = outcome.cost.generated_tokens
        assert spent <= tokens
        assert outcome.candidates == alone.candidates
        if whole.cost.generated_tokens <= tokens:
            assert outcome.stopped == "done"
            assert outcome.candidates == whole.candidates
        else:
            assert outcome.stopped == "budget"
            assert spent == tokens or until is Until.STEP


@settings(max_examples=40, deadline=None)
@given(tokens=st.integers(1, 500), incremental=st.booleans(), until=UNTIL)
def test_scored_tokens_never_pass_the_budget(tokens: int, incremental: bool, until: Until) -> None:
    outcomes = solve(
        fake_problems(3),
        policy=FakePolicy(),
        scorer=FakeScorer(incremental=incremental),
        search=search(4, until),
        budget=Budget(scorer_tokens=tokens),
    )
    for outcome in outcomes:
        assert outcome.cost.scored_tokens <= tokens
        unscored = any(math.isnan(candidate.score) for candidate in outcome.candidates)
        assert outcome.stopped == "budget" or not unscored
        assert outcome.failures == ()


def test_an_unpaid_judgement_says_so() -> None:
    seen: list[Score] = []

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * 3)
        seen.extend((yield from judge(paths)))
        return Outcome(problem, None, None)

    scorer = FakeScorer()
    [outcome] = solve(fake_problems(1), policy=FakePolicy(), search=run, scorer=scorer, budget=Budget(scorer_tokens=70))
    assert [score.scored for score in seen] == [True, False, False]
    assert [score.error for score in seen] == [None, "budget", "budget"]
    assert outcome.stopped == "budget"


@settings(max_examples=60, deadline=None)
@given(
    flops=st.integers(1, 1_000_000),
    until=UNTIL,
    policy_parameters=st.sampled_from([1, 100, 3000]),
    scorer_parameters=st.sampled_from([0, 1000]),
)
def test_flops_never_pass_the_budget(flops: int, until: Until, policy_parameters: int, scorer_parameters: int) -> None:
    outcomes = solve(
        fake_problems(2),
        policy=FakePolicy(parameters=policy_parameters),
        scorer=FakeScorer(parameters=scorer_parameters, incremental=False),
        search=search(4, until),
        budget=Budget(flops=flops),
        sampling=Sampling(max_tokens=80),
    )
    for outcome in outcomes:
        cost = outcome.cost
        assert cost.flops <= flops
        tokens = cost.generated_tokens + cost.prefilled_tokens
        assert cost.flops == 2 * policy_parameters * tokens + 2 * scorer_parameters * cost.scored_tokens


def test_flops_with_prompt_tokens_of_the_policys_own() -> None:
    class Dressed(FakePolicy):
        """Its prompt is 500 tokens longer than the question."""

        def prompt_tokens(self, problem: Problem) -> int:
            return len(problem.question) + 500

        def _prefill(self, question: str) -> int:
            return super()._prefill(question) and len(question) + 500

    for limit in (600_000, 1_100_000, 5_000_000):
        [outcome] = solve(
            fake_problems(1),
            policy=Dressed(),
            search=search(2, Until.END),
            scorer=FakeScorer(parameters=0),
            budget=Budget(flops=limit),
        )
        assert outcome.cost.flops <= limit
        assert (outcome.cost.generated_tokens > 0) == (limit > 2 * 1000 * 514)


@pytest.mark.parametrize("kind", [FakePolicy, StreamingFakePolicy])
def test_seconds_cancel_what_is_in_flight_and_keep_what_landed(kind: type[FakePolicy]) -> None:
    class Stalling(kind):  # type: ignore[valid-type, misc]
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            self.latency = 0.0 if len(self.calls) < 2 else 600.0
            return list(await super().extend(paths, sampling))

        def _step(self, path: Path, sampling: Sampling) -> Step:
            self.latency = 0.0 if self.landed < 1 else 600.0
            self.landed += 1
            return super()._step(path, sampling)

        landed = 0

    policy = Stalling()
    [outcome] = solve(
        fake_problems(1), policy=policy, search=search(4, Until.END), scorer=FakeScorer(), budget=Budget(seconds=0.5)
    )
    assert outcome.stopped == "budget"
    finishes = [candidate.path.finish for candidate in outcome.candidates]
    assert finishes == [Finish.STOP] * 2 + [Finish.BUDGET] * 2
    assert policy.cancelled == 2
    assert outcome.cost.generated_tokens == sum(len(c.path.token_ids) for c in outcome.candidates) > 0


def test_seconds_end_a_slow_judgement() -> None:
    scorer = FakeScorer(latency=600)
    outcomes = solve(
        fake_problems(2), policy=FakePolicy(), search=search(2, Until.END), scorer=scorer, budget=Budget(seconds=0.05)
    )
    assert [outcome.stopped for outcome in outcomes] == ["budget", "budget"]
    assert all(math.isnan(candidate.score) for outcome in outcomes for candidate in outcome.candidates)


def test_a_judgement_that_is_too_late_leaves_the_queue() -> None:
    class Blocking(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            if paths[0].problem.id == "fake-0":
                await asyncio.sleep(600)
            return await super().extend(paths, sampling)

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * (9 if problem.id == "fake-0" else 3))
        scores = yield from judge([path for path in paths if path.finish is not Finish.BUDGET])
        return Outcome(problem, None, None, candidates=tuple(Candidate(paths[0], None, s.value) for s in scores))

    scorer = FakeScorer()
    outcomes = solve(
        fake_problems(2), policy=Blocking(), search=run, scorer=scorer, budget=Budget(seconds=0.1), concurrency=2
    )
    assert [outcome.stopped for outcome in outcomes] == ["budget", "budget"]
    assert len(outcomes[1].candidates) == 3
    assert scorer.calls == []


def test_a_rule_costs_no_scorer_tokens() -> None:
    class Rule:
        parameters = 0

        async def judge(self, paths: Sequence[Path]) -> list[Score]:
            return [Score(1.0) for _ in paths]

    [outcome] = solve(
        fake_problems(1),
        policy=FakePolicy(),
        search=search(3, Until.END),
        scorer=Rule(),
        budget=Budget(scorer_tokens=1),
    )
    assert outcome.stopped == "done"
    assert [candidate.score for candidate in outcome.candidates] == [1.0] * 3


def test_when_the_seconds_are_over_nothing_more_is_sent() -> None:
    policy = FakePolicy()

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * 2)
        return Outcome(problem, None, None, candidates=tuple(Candidate(path, None) for path in paths))

    [outcome] = solve(fake_problems(1), policy=policy, search=run, budget=Budget(seconds=1e-9))
    assert [candidate.path.finish for candidate in outcome.candidates] == [Finish.BUDGET] * 2
    assert policy.calls == []


def test_ample_limits_change_nothing() -> None:
    problems = fake_problems(4)

    def run(budget: Budget) -> list[tuple[Candidate, ...]]:
        outcomes = solve(
            problems, policy=FakePolicy(), search=search(4, Until.STEP), scorer=FakeScorer(), budget=budget
        )
        assert all(outcome.stopped == "done" for outcome in outcomes)
        return [outcome.candidates for outcome in outcomes]

    assert run(Budget(tokens=10**9, scorer_tokens=10**9, flops=1e18, seconds=3600.0)) == run(Budget())


def test_waves_run_in_parallel_while_they_fit() -> None:
    policy = FakePolicy()
    solve(
        fake_problems(1),
        policy=policy,
        search=search(8, Until.END),
        scorer=FakeScorer(),
        budget=Budget(tokens=300),
        sampling=Sampling(max_tokens=60),
    )
    assert policy.calls[:2] == [5, 1]
    assert sum(policy.calls) == 7


def test_enough_sees_all_waves() -> None:
    policy = FakePolicy()
    [outcome] = solve(
        fake_problems(1),
        policy=policy,
        search=search(8, Until.END, enough=6),
        scorer=FakeScorer(),
        budget=Budget(tokens=300),
        sampling=Sampling(max_tokens=60),
    )
    finishes = [candidate.path.finish for candidate in outcome.candidates]
    assert finishes == [Finish.STOP] * 6 + [Finish.CANCELLED] * 2
    assert outcome.stopped == "done"


def test_a_policy_that_overruns_is_named() -> None:
    class Overrun(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            return [Step("x" * 100, (1,) * 100, finish=Finish.STOP) for _ in paths]

    with pytest.raises(BackendError, match=r"Overrun.extend generated more than the 20 tokens"):
        solve(
            fake_problems(1),
            policy=Overrun(),
            search=search(2, Until.END),
            scorer=FakeScorer(),
            budget=Budget(tokens=20),
        )


def test_a_search_that_never_concludes_is_stopped() -> None:
    def run(problem: Problem) -> SearchRun:
        while True:
            yield from extend([Path(problem)])

    [outcome] = solve(fake_problems(1), policy=FakePolicy(), search=run, budget=Budget(tokens=5))
    assert outcome.stopped == "error"
    assert "after its budget had ended" in outcome.failures[0].message
    assert outcome.cost.generated_tokens == 5


@pytest.mark.parametrize("name", ["tokens", "scorer_tokens", "flops", "seconds"])
@pytest.mark.parametrize("value", [0, -3, True, "9", math.nan])
def test_a_budget_that_is_no_positive_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"budget {name} is .*it must be a .*number above 0, or None for no limit"):
        Budget(**{name: value})  # type: ignore[arg-type]


def test_tokens_are_whole() -> None:
    with pytest.raises(UsageError, match="a whole number"):
        Budget(tokens=1.5)  # type: ignore[arg-type]
    assert Budget(seconds=1.5).seconds == 1.5


def test_flops_need_a_parameter_count() -> None:
    with pytest.raises(UsageError, match="fake does not; use tokens"):
        solve(fake_problems(1), policy=FakePolicy(parameters=0), search=search(1, Until.END), budget=Budget(flops=1e6))


@settings(max_examples=200)
@given(
    tokens=st.integers(1, 60),
    requests=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=8),
    flops=st.one_of(st.none(), st.integers(1, 120)),
)
def test_admission_equals_its_definition(tokens: int, requests: list[tuple[int, int]], flops: int | None) -> None:
    meter = Meter(Budget(tokens=tokens, flops=flops), Rates(policy=1.0))
    new, prefill = [row[0] for row in requests], [row[1] for row in requests]

    def fits(count: int) -> bool:
        total = sum(new[:count])
        return total <= tokens and (flops is None or total + sum(prefill[:count]) <= flops)

    whole = max((count for count in range(1, len(new) + 1) if fits(count)), default=0)
    alone = max(0, min(tokens, new[0], tokens if flops is None else flops - prefill[0]))
    expected = (whole, new[whole - 1]) if whole else (1, alone) if alone else (0, 0)
    assert meter.admit_extend(new, prefill) == expected


def test_token_counts() -> None:
    assert [estimate_tokens("x" * length) for length in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert step_tokens(Step("abcdefgh", (1, 2, 3))) == 3
    assert step_tokens(Step("abcdefgh")) == 2
    assert step_tokens(Step("abcdefgh"), len) == 8
    path = Path(Problem("1", "q")).then(Step("abcde")).then(Step("abc", (1, 2)))
    assert path_tokens(path) == 4
