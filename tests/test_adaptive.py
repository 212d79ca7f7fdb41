"""Adaptive self-consistency: what the rules save, and that the answer stays that of the full vote."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import recorder

from reason.budget import Budget
from reason.policies.fake import FakePolicy, StreamingFakePolicy, fake_problems
from reason.run import solve
from reason.search import self_consistency
from reason.search.adaptive import STOPS, adaptive_consistency
from reason.search.select import candidate
from reason.search.strategy import Strategy
from reason.types import Finish, Outcome, Path, Problem, Step, UsageError
from reason.work import Extend, SearchRun, extend

PROBLEMS = fake_problems(40)


def run(search: Strategy, accuracy: float = 0.7, seed: int = 0, **options: object) -> list[Outcome]:
    given = {"policy": FakePolicy(accuracy=accuracy), "seed": seed, **options}
    return solve(PROBLEMS, search=search, **given)  # type: ignore[arg-type]


def tokens(outcomes: list[Outcome]) -> int:
    return sum(outcome.cost.generated_tokens for outcome in outcomes)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 24),
    wave=st.integers(1, 9),
    accuracy=st.sampled_from([0.4, 0.6, 0.8, 0.95]),
    seed=st.integers(0, 999),
)
def test_certain_never_changes_the_answer(n: int, wave: int, accuracy: float, seed: int) -> None:
    problem = PROBLEMS[seed % 40]
    full, lazy = recorder(accuracy, seed=seed), recorder(accuracy, seed=seed)
    whole = full.solve(self_consistency(n), problem)
    outcome = lazy.solve(adaptive_consistency(n, wave=wave, stop="certain"), problem)
    assert (outcome.answer, outcome.path.text) == (whole.answer, whole.path.text)
    assert [path.text for path in lazy.results] == [path.text for path in full.results[: len(lazy.results)]]
    assert len(lazy.results) <= n


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 24),
    wave=st.integers(1, 6),
    stop=st.sampled_from(STOPS),
    accuracy=st.sampled_from([0.4, 0.7, 0.95]),
    seed=st.integers(0, 999),
    steps_left=st.one_of(st.none(), st.integers(0, 20)),
    failing=st.sampled_from([0, 2, 3]),
)
def test_invariants(
    n: int, wave: int, stop: str, accuracy: float, seed: int, steps_left: int | None, failing: int
) -> None:
    record = recorder(accuracy, seed=seed, steps_left=steps_left)
    if failing:
        record.fail = lambda index: index % failing == 0
    wave += stop == "unanimous"
    outcome = record.solve(adaptive_consistency(n, wave=wave, stop=stop), PROBLEMS[0])
    paid = [path for path in record.results if path.complete]
    assert [candidate.path for candidate in outcome.candidates] == paid
    assert len(record.results) <= n
    assert all(batch == wave for batch in record.batches[:-1])
    assert (outcome.stopped == "budget") == any(path.finish is Finish.BUDGET for path in record.results)
    answers = [path.text.rsplit("Answer: ")[1] for path in paid]
    if answers:
        assert answers.count(outcome.answer) == max(map(answers.count, answers))


@pytest.mark.parametrize(
    ("stop", "least"), [("beta", 0.93), ("dirichlet", 0.93), ("unanimous", 0.93), ("certain", 1.0)]
)
def test_saves_tokens_and_keeps_the_answer(stop: str, least: float) -> None:
    agree = saved = full_tokens = 0
    for seed in range(3):
        full = run(self_consistency(32), 0.85, seed=seed)
        fewer = run(adaptive_consistency(32, stop=stop), 0.85, seed=seed)
        agree += sum(a.answer == b.answer for a, b in zip(full, fewer, strict=True))
        full_tokens += tokens(full)
        saved += tokens(full) - tokens(fewer)
    assert agree / (3 * len(PROBLEMS)) >= least
    assert saved / full_tokens > (0.2 if stop == "certain" else 0.5)


def test_thresholds_order_the_cost() -> None:
    for stop in ("beta", "dirichlet"):
        spent = [tokens(run(adaptive_consistency(32, stop=stop, threshold=t))) for t in (0.6, 0.9, 0.99, 1.0)]
        assert spent == sorted(spent)
        assert spent[0] < spent[-1]


def test_one_of_a_kind_is_not_enough_and_four_are() -> None:
    record = recorder(1.0)
    record.solve(adaptive_consistency(16), PROBLEMS[0])
    assert record.batches == [4]
    single = recorder(1.0)
    single.solve(adaptive_consistency(16, wave=1), PROBLEMS[0])
    assert single.batches == [1, 1, 1, 1]


def test_unanimous_looks_at_one_wave_alone() -> None:
    answers = iter(["1", "2", "3", "4", "5", "5", "5", "5", "6"])

    def drive(stop: str) -> int:
        search = adaptive_consistency(64, wave=2, stop=stop)(PROBLEMS[0])
        work, asked = next(search), 0
        try:
            while True:
                assert isinstance(work, Extend)
                asked += len(work.paths)
                work = search.send([Step(f"Answer: {next(answers)}", finish=Finish.STOP) for _ in work.paths])
        except StopIteration:
            return asked

    assert drive("unanimous") == 6


def test_the_budget_leaves_the_majority_of_what_was_paid_for() -> None:
    for outcome in run(adaptive_consistency(32, stop="certain"), 0.5, budget=Budget(tokens=200)):
        assert outcome.stopped in ("budget", "done")
        assert outcome.cost.generated_tokens <= 200
        assert outcome.answer is not None


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("stop", STOPS)
def test_streaming_cancels_what_is_in_flight(streaming: bool, stop: str) -> None:
    policy = (StreamingFakePolicy if streaming else FakePolicy)(accuracy=0.97, latency=0.001)
    [outcome] = solve([PROBLEMS[0]], policy=policy, search=adaptive_consistency(24, stop=stop, stream=True, wave=3))
    if streaming:
        assert policy.calls == [24]
        assert 0 < policy.cancelled <= 21
        assert len(outcome.candidates) == 24 - policy.cancelled
    assert outcome.answer == PROBLEMS[0].answer
    assert all(candidate.path.complete for candidate in outcome.candidates)


def test_streaming_in_order_stops_where_waves_stop() -> None:
    waves = run(adaptive_consistency(24, wave=3), 0.8)
    stream = run(adaptive_consistency(24, wave=3, stream=True), 0.8, policy=StreamingFakePolicy(accuracy=0.8))
    for one, other in zip(waves, stream, strict=True):
        assert [c.path.text for c in one.candidates] == [c.path.text for c in other.candidates]
        assert one.answer == other.answer


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(9)), st.lists(st.sampled_from(["1", "2", "3", None]), min_size=9, max_size=9))
def test_certain_while_streaming_never_changes_the_answer(order: list[int], answers: list[str | None]) -> None:
    whole = [Step(f"Answer: {answer}" if answer else "so\nwell\n", finish=Finish.STOP) for answer in answers]

    def outcome(search: Strategy, stop_early: bool) -> Outcome:
        generator = search(PROBLEMS[0])
        work = next(generator)
        assert isinstance(work, Extend)
        landed: list[Step | None] = [None] * 9
        for index in order:
            landed[index] = whole[index]
            if stop_early and work.enough is not None and work.enough(landed):
                break
        try:
            generator.send([step or Step("", finish=Finish.CANCELLED) for step in landed])
        except StopIteration as end:
            return end.value
        raise AssertionError("it went on")

    lazy = outcome(adaptive_consistency(9, wave=1, stop="certain", stream=True), True)
    assert lazy.answer == outcome(self_consistency(9), False).answer


def test_the_same_seed_gives_the_same_outcome_whatever_runs_beside_it() -> None:
    alone = [solve([p], policy=FakePolicy(), search=adaptive_consistency(12))[0] for p in PROBLEMS[:6]]
    for concurrency in (1, 5):
        together = solve(PROBLEMS[:6], policy=FakePolicy(), search=adaptive_consistency(12), concurrency=concurrency)
        assert [(o.answer, o.candidates) for o in together] == [(o.answer, o.candidates) for o in alone]


def test_nothing_answered() -> None:
    outcome = recorder(fail=lambda index: True).solve(adaptive_consistency(9), PROBLEMS[0])
    assert (outcome.answer, outcome.path, outcome.candidates) == (None, None, ())
    assert math.isnan(outcome.confidence)


def test_bad_arguments() -> None:
    for options, message in (
        ({"n": 0}, "n=0"),
        ({"wave": 0}, "wave=0"),
        ({"stop": "soon"}, "stop='soon': must be one of 'beta', 'dirichlet', 'unanimous', 'certain'"),
        ({"threshold": 0.3}, "threshold=0.3: must be a number between 0.5 and 1"),
        ({"threshold": 0.9, "stop": "certain"}, "that rule has no threshold"),
        ({"wave": 1, "stop": "unanimous"}, "one answer always agrees with itself"),
    ):
        with pytest.raises(UsageError, match=message.replace("(", r"\(")):
            adaptive_consistency(**options)  # type: ignore[arg-type]


def test_streaming_under_a_budget_generates_nothing_after_the_decision() -> None:
    policy = StreamingFakePolicy(accuracy=1.0)
    search = adaptive_consistency(32, wave=4, stream=True)
    [outcome] = solve([PROBLEMS[0]], policy=policy, search=search, budget=Budget(tokens=600))
    assert sum(policy.calls) == len(outcome.candidates) == 4
    assert outcome.stopped == "done"


def test_nothing_is_asked_again_once_it_is_enough() -> None:
    verdicts = list[bool]()

    def enough(steps: Sequence[Step | None]) -> bool:
        verdicts.append(not verdicts)
        return verdicts[-1]

    def search(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * 8, enough=enough)
        return Outcome(problem, None, None, candidates=tuple(map(candidate, paths)))

    policy = StreamingFakePolicy(accuracy=1.0)
    [outcome] = solve([PROBLEMS[0]], policy=policy, search=search, budget=Budget(tokens=10_000))
    assert verdicts == [True]
    assert sum(item.path.complete for item in outcome.candidates) < 8
