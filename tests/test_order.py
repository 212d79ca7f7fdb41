"""What a search's request means: tokens, words, spans, questions of its own, pairs, and a budget for each problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.budget import Budget
from reason.policies.fake import EOS, FakePolicy, FakeScorer, StreamingFakePolicy, fake_problems
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
from reason.work import Search, SearchRun, ask, compare, extend, judge

PROBLEM = Problem("p", "2 + 3 + 4", "9")
START = Path(PROBLEM)


class Recording(FakePolicy):
    """Keeps what it was told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.told: list[Sampling] = []

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        self.told.append(sampling)
        return await super().extend(paths, sampling)


def once(until: Until, start: Path = START, n: int = 1, **wishes: Any) -> Search:
    """A search that makes one request."""

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([start] * n, until, **wishes)
        return Outcome(problem, None, paths[0], candidates=tuple(Candidate(path, None) for path in paths))

    return run


def path_of(outcome: Outcome) -> Path:
    assert outcome.path is not None, outcome.failures
    return outcome.path


@settings(max_examples=60, deadline=None)
@given(tokens=st.integers(1, 40), most=st.integers(1, 40), until=st.sampled_from(Until), budget=st.integers(0, 30))
def test_tokens_limit_a_continuation_and_say_how_it_ended(tokens: int, most: int, until: Until, budget: int) -> None:
    limits = Budget(tokens=budget) if budget else Budget()
    [outcome] = solve(
        [PROBLEM],
        policy=FakePolicy(accuracy=1.0),
        search=once(until, tokens=tokens),
        sampling=Sampling(max_tokens=most),
        budget=limits,
    )
    whole = "2 + 3 = 5\n5 + 4 = 9\nAnswer: 9"
    aim = whole[: whole.index("\n") + 1] if until is Until.STEP else whole + chr(EOS)
    size = min(tokens, most, budget or 99, len(aim))
    path = path_of(outcome)
    assert len(path.token_ids) == size
    if budget and budget < min(tokens, most, len(aim)):
        assert (path.finish, outcome.stopped) == (Finish.BUDGET, "budget")
    elif size == len(aim):
        assert path.finish is (Finish.STEP if until is Until.STEP else Finish.STOP)
    elif until is Until.END or most <= tokens:
        assert path.finish is Finish.LENGTH
    else:
        assert path.finish is Finish.STEP


def test_requests_reach_the_policy_as_sampling() -> None:
    policy = Recording()
    base = Sampling(max_tokens=500, max_step_tokens=77, stop=("X",), step_end=("\n",), confidence=3)
    wishes: dict[str, Any] = {
        "tokens": 9,
        "stop": ("Y",),
        "step_end": (". ", "\n"),
        "confidence": 0,
        "temperature": 0.1,
    }
    for until in Until:
        solve([PROBLEM], policy=policy, search=once(until), sampling=base)
        solve([PROBLEM], policy=policy, search=once(until, **wishes), sampling=base)
    plain, told = policy.told[::2], policy.told[1::2]
    for until, sampling in zip(Until, plain, strict=True):
        assert (sampling.until, sampling.max_step_tokens, sampling.stop) == (until, 77, ("X",))
        assert (sampling.step_end, sampling.confidence, sampling.max_tokens) == (("\n",), 3, 500)
    for sampling in told:
        assert (sampling.max_step_tokens, sampling.max_tokens, sampling.stop) == (9, 500, ("Y",))
        assert (sampling.step_end, sampling.confidence, sampling.temperature) == ((". ", "\n"), 0, 0.1)
    assert [sampling.until for sampling in told] == [Until.STEP, Until.SPAN, Until.SPAN]


def test_a_shortened_continuation_is_seen_as_ended_while_it_lands() -> None:
    seen: list[list[Finish | None]] = []

    def enough(steps: Sequence[Step | None]) -> bool:
        seen.append([None if step is None else step.finish for step in steps])
        return steps[0] is not None

    policy = StreamingFakePolicy()
    [outcome] = solve([PROBLEM], policy=policy, search=once(Until.END, n=3, tokens=4, enough=enough))
    assert seen[0] == [Finish.LENGTH, None, None]
    assert [candidate.path.finish for candidate in outcome.candidates] == [Finish.LENGTH] + [Finish.CANCELLED] * 2


@pytest.mark.parametrize(
    ("wishes", "message"),
    [({"stop": ("",)}, "sampling stop"), ({"temperature": -1.0}, "temperature is -1"), ({"confidence": -2}, "is -2")],
)
def test_what_cannot_be_asked_for_is_named(wishes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        solve([PROBLEM], policy=FakePolicy(), search=once(Until.END, **wishes))


def test_a_request_for_no_tokens_is_the_searchs_error() -> None:
    [outcome] = solve([PROBLEM], policy=FakePolicy(), search=once(Until.SPAN, tokens=0))
    assert outcome.stopped == "error"
    assert "at least 1" in outcome.failures[0].message


def test_forced_text_counts_for_the_length_and_costs_nothing() -> None:
    forced = Path(PROBLEM).forced("2 + 3 = 5\n")
    [outcome] = solve([PROBLEM], policy=FakePolicy(), search=once(Until.END, forced), sampling=Sampling(max_tokens=15))
    path = path_of(outcome)
    assert path.finish is Finish.LENGTH
    assert len(path.steps[-1].token_ids) == outcome.cost.generated_tokens == 5
    [ended] = solve([PROBLEM], policy=FakePolicy(), search=once(Until.END, forced), sampling=Sampling(max_tokens=10))
    assert (path_of(ended).finish, ended.cost.generated_tokens) == (Finish.LENGTH, 0)


def test_another_question_costs_the_problem_that_is_solved_and_keeps_its_seeds() -> None:
    def run(problem: Problem) -> SearchRun:
        other = ask(problem, "Add 5 + 5, please")
        [first] = yield from extend([other], Until.STEP)
        assert first.problem.question == "Add 5 + 5, please"
        [again] = yield from extend([first.under(problem)])
        return Outcome(problem, None, again, candidates=(Candidate(first, None),))

    policy = FakePolicy(accuracy=1.0)
    free = solve([PROBLEM], policy=policy, search=run)[0]
    assert free.candidates[0].path.text == "5 + 5 = 10\n"
    assert free.cost.prefilled_tokens == len("Add 5 + 5, please") + len(PROBLEM.question)
    plain = FakePolicy()
    solve([PROBLEM], policy=plain, search=once(Until.END, n=2))
    assert policy.seeds == plain.seeds
    for tokens in range(1, free.cost.generated_tokens):
        limited = solve([PROBLEM], policy=FakePolicy(accuracy=1.0), search=run, budget=Budget(tokens=tokens))[0]
        assert limited.cost.generated_tokens <= tokens
        assert limited.stopped in ("budget", "error")  # the search extends a path that the budget ended


@settings(max_examples=40, deadline=None)
@given(budget=st.integers(1, 500), questions=st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_flops_hold_for_questions_of_any_length(budget: int, questions: list[int]) -> None:
    def run(problem: Problem) -> SearchRun:
        paths = [ask(problem, "1 + 1 " + "x" * size) for size in questions]
        paths = yield from extend([path for path in paths for _ in range(2)])
        return Outcome(problem, None, paths[0])

    flops = 2000.0 * budget
    [outcome] = solve([PROBLEM], policy=FakePolicy(), search=run, budget=Budget(flops=flops))
    assert outcome.cost.flops <= flops


def test_a_question_of_the_searchs_own_may_fail() -> None:
    class Narrow(FakePolicy):
        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            if any(len(path.problem.question) > 40 for path in paths):
                raise UsageError("the question is longer than the context")
            return await super().extend(paths, sampling)

        def prompt_tokens(self, problem: Problem) -> int:
            if len(problem.question) > 40:
                raise UsageError("the question is longer than the context")
            return len(problem.question)

    def run(problem: Problem) -> SearchRun:
        paths = [Path(problem), ask(problem, "x" * 50), ask(problem, "1 + 2"), Path(problem)]
        paths = yield from extend(paths)
        return Outcome(problem, None, paths[0], candidates=tuple(Candidate(path, None) for path in paths))

    for budget in (Budget(), Budget(flops=1e9)):
        [outcome] = solve([PROBLEM], policy=Narrow(), search=run, budget=budget)
        finishes = [candidate.path.finish for candidate in outcome.candidates]
        assert finishes == [Finish.STOP, Finish.ERROR, Finish.STOP, Finish.STOP]
        assert [failure.where for failure in outcome.failures] == ["extend"]
    with pytest.raises(UsageError, match="longer than the context"):
        solve([Problem("long", "y" * 50)], policy=Narrow(), search=run)


def pairs(n: int, needs: frozenset[str] = frozenset()) -> Search:
    """Compares n solutions with the first."""

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * n)
        scores = yield from compare([(path, paths[0]) for path in paths])
        assert (yield from compare([])) == []
        return Outcome(
            problem,
            None,
            None,
            candidates=tuple(Candidate(p, None, s.value) for p, s in zip(paths, scores, strict=True)),
        )

    run.needs = needs  # type: ignore[attr-defined]
    run.name = "pairs"  # type: ignore[attr-defined]
    return run


def test_pairs_are_compared_in_calls_shared_by_problems() -> None:
    scorer = FakeScorer()
    outcomes = solve(fake_problems(20), policy=FakePolicy(latency=0.001), search=pairs(4), scorer=scorer)
    assert sum(scorer.calls) == 80
    assert len(scorer.calls) <= 3
    values = {candidate.score for outcome in outcomes for candidate in outcome.candidates}
    assert values == {0.1, 0.5, 0.9}
    assert all(outcome.candidates[0].score == 0.5 and outcome.cost.scored_tokens > 0 for outcome in outcomes)


def test_comparisons_are_tried_again_and_fail_as_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reason.calls.BACKOFF_SECONDS", 0.0)
    [outcome] = solve([PROBLEM], policy=FakePolicy(), search=pairs(3), scorer=FakeScorer(fail_first=2))
    assert outcome.failures == ()
    [outcome] = solve([PROBLEM], policy=FakePolicy(), search=pairs(3), scorer=FakeScorer(error=lambda path: "no"))
    assert [(failure.where, failure.message) for failure in outcome.failures] == [("compare", "no")] * 3
    assert all(math.isnan(candidate.score) for candidate in outcome.candidates)

    class Short(FakeScorer):
        async def compare(self, pairs: Sequence[tuple[Path, Path]]) -> list[Score]:
            return []

    with pytest.raises(BackendError, match=r"Short\.compare returned a list of 0 for 3 pairs"):
        solve([PROBLEM], policy=FakePolicy(), search=pairs(3), scorer=Short())


@settings(max_examples=40, deadline=None)
@given(tokens=st.integers(1, 600), incremental=st.booleans(), own=st.booleans())
def test_comparisons_keep_the_scorers_budget(tokens: int, incremental: bool, own: bool) -> None:
    class Own(FakeScorer):
        def count_pair_tokens(self, first: Path, second: Path) -> int:
            return 1000

    kind = Own if own else FakeScorer
    [outcome] = solve(
        [PROBLEM],
        policy=FakePolicy(),
        search=pairs(4),
        scorer=kind(incremental=incremental),
        budget=Budget(scorer_tokens=tokens),
    )
    assert outcome.cost.scored_tokens <= tokens
    unpaid = any(math.isnan(candidate.score) for candidate in outcome.candidates)
    assert outcome.stopped == ("budget" if unpaid else "done")
    assert unpaid or not own


def test_needs_are_checked_before_anything_is_paid() -> None:
    class Plain:
        async def judge(self, paths: Sequence[Path]) -> list[Score]:
            return [Score(1.0)] * len(paths)

    policy = FakePolicy(logprobs=False)
    needing, unsure = pairs(2, frozenset({"compare"})), pairs(2, frozenset({"logprobs"}))
    with pytest.raises(UsageError, match="pairs compares pairs of solutions and there is no scorer; pass one with"):
        solve([PROBLEM], policy=policy, search=needing)
    with pytest.raises(UsageError, match="pairs compares pairs of solutions and the scorer Plain cannot"):
        solve([PROBLEM], policy=policy, search=needing, scorer=Plain())
    with pytest.raises(UsageError, match="pairs needs token log-probabilities and fake gives none"):
        solve([PROBLEM], policy=policy, search=unsure, scorer=FakeScorer())
    assert policy.calls == []
    with pytest.raises(UsageError, match="the search compares pairs and the scorer Plain cannot"):
        solve([PROBLEM], policy=policy, search=pairs(2), scorer=Plain())


def test_every_problem_may_have_a_budget_of_its_own() -> None:
    problems, asked = fake_problems(5), list[str]()

    def budget(problem: Problem) -> Budget:
        asked.append(problem.id)
        return Budget() if problem is problems[0] else Budget(tokens=7 * (1 + problems.index(problem)))

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * 3)
        yield from judge(paths)
        return Outcome(problem, None, paths[0])

    outcomes = solve(problems, policy=FakePolicy(), search=run, scorer=FakeScorer(), budget=budget, concurrency=2)
    assert asked == [problem.id for problem in problems]
    assert [outcome.stopped for outcome in outcomes] == ["done"] + ["budget"] * 4
    assert [outcome.cost.generated_tokens for outcome in outcomes[1:]] == [14, 21, 28, 35]
    for wrong, message in ((lambda problem: 7, "budget is 7"), (lambda problem: Budget(flops=1e9), "flops needs")):
        with pytest.raises(UsageError, match=message):
            solve(problems, policy=FakePolicy(parameters=0), search=run, scorer=FakeScorer(), budget=wrong)  # type: ignore[arg-type]
