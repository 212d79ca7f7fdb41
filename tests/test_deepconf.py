"""DeepConf online: against a naive reading of the paper, token by token; what it saves; its invariants."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import recorder

from reason.budget import Budget
from reason.policies.fake import FakePolicy, fake_problems
from reason.run import solve
from reason.search import self_consistency
from reason.search.deepconf import deepconf
from reason.search.strategy import Strategy
from reason.types import Finish, Outcome, Path, Problem, Step, Until, UsageError
from reason.work import Extend

PROBLEM = Problem("p", "q")
Script = tuple[str, list[float]]


def play(search: Strategy, scripts: list[Script]) -> tuple[Outcome, list[int]]:
    """The outcome when the policy writes these solutions, one after another; and how many tokens of each it wrote."""
    written = [0] * len(scripts)
    fresh = iter(range(len(scripts)))

    def step(path: Path, work: Extend) -> Step:
        index = path.token_ids[0] if path.steps else next(fresh)
        answer, logprobs = scripts[index]
        start = written[index]
        end = len(logprobs) if work.until is Until.END else min(start + (work.tokens or 0), len(logprobs))
        written[index] = end
        last = end == len(logprobs)
        text = f"Answer: {answer}" if last else "so "
        return Step(text, (index,) * (end - start), tuple(logprobs[start:end]), Finish.STOP if last else Finish.STEP)

    run = search(PROBLEM)
    work = next(run)
    try:
        while True:
            assert isinstance(work, Extend)
            work = run.send([step(path, work) for path in work.paths])
    except StopIteration as end:
        return end.value, written


def naive(
    scripts: list[Script], warmup: int, keep: float, window: int, span: int, consensus: float
) -> tuple[str, list[int]]:
    """One solution after another, as the paper has it, every sum written out."""

    def lowest(logprobs: list[float]) -> float:
        ends = range(min(window, len(logprobs)), len(logprobs) + 1)
        return min(sum(logprobs[max(end - window, 0) : end]) / min(window, end) for end in ends)

    warm = [math.exp(lowest(logprobs)) for _, logprobs in scripts[:warmup]]
    bar = float(np.quantile(warm, 1 - keep))
    votes: dict[str, float] = {}
    written = [len(logprobs) for _, logprobs in scripts[:warmup]] + [0] * (len(scripts) - warmup)
    for (answer, _), value in zip(scripts[:warmup], warm, strict=True):
        if value >= bar - 1e-12:
            votes[answer] = votes.get(answer, 0.0) + value
    for index in range(warmup, len(scripts)):
        if votes and max(votes.values()) >= consensus * sum(votes.values()):
            break
        ranked = sorted([*votes.values(), 0.0], reverse=True)
        if votes and ranked[0] - ranked[1] > len(scripts) - index:
            break
        answer, logprobs = scripts[index]
        while written[index] < len(logprobs):
            written[index] = min(written[index] + span, len(logprobs))
            if written[index] >= window and math.exp(lowest(logprobs[: written[index]])) < bar - 1e-12:
                break
        else:
            value = math.exp(lowest(logprobs))
            if value >= bar - 1e-12:
                votes[answer] = votes.get(answer, 0.0) + value
    best = max(votes.values())
    return "/".join(sorted(answer for answer, count in votes.items() if count >= best - 1e-12)), written


scripts_of = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "3"]),
        st.lists(st.sampled_from([-0.0, -0.25, -0.5, -1.0, -2.0, -3.0]), min_size=1, max_size=14),
    ),
    min_size=2,
    max_size=10,
)


@settings(max_examples=200, deadline=None)
@given(
    scripts_of,
    st.integers(1, 5),
    st.sampled_from([0.1, 0.25, 0.5, 0.9, 1.0]),
    st.integers(1, 5),
    st.integers(1, 6),
    st.sampled_from([0.6, 0.8, 0.95, 1.0]),
)
def test_is_the_papers_algorithm_looked_at_span_by_span(
    scripts: list[Script], warmup: int, keep: float, window: int, span: int, consensus: float
) -> None:
    n = len(scripts)
    warmup = min(warmup, n)
    search = deepconf(n, warmup=warmup, keep=keep, window=window, span=span, wave=1, consensus=consensus)
    outcome, written = play(search, scripts)
    best, expected = naive(scripts, warmup, keep, window, span, consensus)
    assert written == expected
    assert outcome.answer in best.split("/")
    whole = [index for index, (_, logprobs) in enumerate(scripts) if written[index] == len(logprobs)]
    assert [item.path.token_ids[0] for item in outcome.candidates] == whole


def test_shares_are_of_the_warm_ups_mean_length() -> None:
    scripts = [("1", [-1.0] * 30), ("2", [-1.0] * 50), ("3", [-1.0, -9.0] + [-1.0] * 40), ("3", [-1.0] * 40)]
    _, written = play(deepconf(4, warmup=2, keep=1.0, window=0.1, span=0.2, wave=1, consensus=1.0), scripts)
    assert written == [30, 50, 8, 40]


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(1, 14),
    wave=st.integers(1, 5),
    keep=st.sampled_from([0.1, 0.5, 1.0]),
    span=st.sampled_from([1, 3, 0.1, 0.5, 100]),
    seed=st.integers(0, 999),
    steps_left=st.one_of(st.none(), st.integers(0, 40)),
    failing=st.sampled_from([0, 3]),
    top=st.sampled_from([0, 3]),
)
def test_invariants(
    n: int, wave: int, keep: float, span: float, seed: int, steps_left: int | None, failing: int, top: int
) -> None:
    record = recorder(0.6, seed=seed, steps_left=steps_left)
    if failing:
        record.fail = lambda index: index % failing == 1
    outcome = record.solve(deepconf(n, wave=wave, keep=keep, span=span, top=top), fake_problems(1)[0])
    started = [path for path in record.extended if not path.steps]
    assert len(started) <= n
    assert all(size <= wave for size in record.batches[1:])
    ended = [path for path in record.results if path.finish is Finish.STOP]
    complete = [item.path for item in outcome.candidates if item.path.complete]
    assert complete == ended
    assert record.judged == []
    assert (outcome.stopped == "budget") == any(path.finish is Finish.BUDGET for path in record.results)
    assert (outcome.answer is not None) or not complete


def test_saves_tokens_at_no_loss_of_accuracy() -> None:
    problems, policy = fake_problems(150), FakePolicy(accuracy=0.5, branch=5)

    def measure(search: Strategy) -> tuple[int, int]:
        outcomes = solve(problems, policy=policy, search=search)
        correct = sum(outcome.answer == outcome.problem.answer for outcome in outcomes)
        return correct, sum(outcome.cost.generated_tokens for outcome in outcomes)

    majority, full = measure(self_consistency(16))
    correct, tokens = measure(deepconf(16, span=4))
    assert correct > majority
    assert tokens < 0.8 * full


@pytest.mark.parametrize(
    "options",
    [
        {"warmup": 3},
        {"keep": 1.0},
        {"window": 1},
        {"span": 1},
        {"wave": 1},
        {"consensus": 0.6},
        {"power": 0.0},
        {"top": 2},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_option_changes_something(options: dict[str, float]) -> None:
    def told(search: Strategy) -> list[object]:
        outcomes = solve(fake_problems(12), policy=FakePolicy(accuracy=0.5), search=search)
        return [(o.answer, round(o.confidence, 9), o.cost.generated_tokens) for o in outcomes]

    assert told(deepconf(12)) != told(deepconf(12, **options))  # type: ignore[arg-type]


def test_confidences_are_asked_for_in_every_request() -> None:
    for top, expected in ((0, None), (20, 20)):
        run = deepconf(4, top=top, keep=1.0)(PROBLEM)
        work = next(run)
        steps = [Step(f"Answer: {i}", (1, 2), (-0.1, -0.1), Finish.STOP, confidences=(1.0, 1.0)) for i in range(2)]
        assert isinstance(work, Extend)
        assert work.confidence == expected
        work = run.send(steps)
        assert isinstance(work, Extend)
        assert (work.confidence, work.until, work.tokens) == (expected, Until.SPAN, 1)


def test_without_a_single_answer_the_unfinished_may_hold_one() -> None:
    outcomes = solve(
        fake_problems(1), policy=FakePolicy(), search=deepconf(4, warmup=1, span=8), budget=Budget(tokens=30)
    )
    assert outcomes[0].stopped == "budget"
    assert outcomes[0].cost.generated_tokens <= 30


def test_a_warm_up_that_fails_sets_no_bar() -> None:
    record = recorder(0.6, fail=lambda index: index < 4)
    outcome = record.solve(deepconf(8), fake_problems(1)[0])
    assert len(outcome.candidates) == 4
    assert outcome.answer is not None


def test_needs_and_bad_arguments() -> None:
    assert deepconf(4).needs == {"logprobs", "partial"}
    with pytest.raises(UsageError, match="log-prob"):
        solve(fake_problems(1), policy=FakePolicy(logprobs=False), search=deepconf(4))
    for options, message in (
        ({"n": 0}, "n=0"),
        ({"n": 4, "warmup": 5}, "warmup=5 with n=4: the warm-up is part of the n"),
        ({"warmup": 0}, "warmup=0"),
        ({"keep": 0.0}, "keep=0.0: must be above 0"),
        ({"window": -1}, "window=-1"),
        ({"span": 1.5}, "span=1.5: from 1 on it counts tokens"),
        ({"wave": 0}, "wave=0"),
        ({"consensus": 0.4}, "consensus=0.4: must be a number between 0.5 and 1"),
        ({"power": -2.0}, "power=-2.0"),
        ({"top": -3}, "top=-3"),
    ):
        with pytest.raises(UsageError, match=message):
            deepconf(**options)  # type: ignore[arg-type]


def test_half_of_the_votes_is_no_consensus():
    with pytest.raises(UsageError, match=r"consensus=0\.5: half of the votes is no majority"):
        deepconf(8, consensus=0.5)
