"""A run that is ended anywhere and started again is the run that was never ended; a store changes no result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trace_runs import Ends, LoggingPolicy, LoggingScorer, LoggingStream, Paid, shown

import reason
from reason.policies.fake import fake_problems
from reason.trace import read
from reason.types import Outcome

PROBLEMS = fake_problems(3)
STRATEGIES: dict[str, Callable[[], Any]] = {
    "cot": reason.cot,
    "self_consistency": lambda: reason.self_consistency(6),
    "adaptive_consistency": lambda: reason.adaptive_consistency(12),
    "best_of_n": lambda: reason.best_of_n(6),
    "weighted_best_of_n": lambda: reason.weighted_best_of_n(6),
    "confidence_vote": lambda: reason.confidence_vote(5),
    "deepconf": lambda: reason.deepconf(6),
    "tournament": lambda: reason.tournament(4),
    "beam": lambda: reason.beam(4),
    "dvts": lambda: reason.dvts(4),
    "lookahead": lambda: reason.lookahead(4),
    "best_first": lambda: reason.best_first(4),
    "particles": lambda: reason.particles(4),
    "particle_gibbs": lambda: reason.particle_gibbs(4),
    "mcts": lambda: reason.mcts(4),
    "ab_mcts": lambda: reason.ab_mcts(4),
    "revision": lambda: reason.revision(3),
    "self_refine": lambda: reason.self_refine(3),
    "budget_forcing": lambda: reason.budget_forcing(3),
    "tree_of_thoughts": lambda: reason.tree_of_thoughts(3),
}


def run(name: str, paid: Paid, store: FilePath | None = None, *, stream: bool = False, **options: Any) -> list[Outcome]:
    search = STRATEGIES[name]()
    judged = bool({"scorer", "compare"} & getattr(search, "needs", frozenset()))
    policy = (LoggingStream if stream else LoggingPolicy)(paid, accuracy=0.6)
    scorer = LoggingScorer(paid) if judged else None
    return reason.solve(PROBLEMS, policy=policy, search=search, scorer=scorer, store=store, progress=False, **options)


def times(paid: Paid) -> int:
    return len(paid.steps) + len(paid.scores)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_store_changes_nothing_and_a_second_run_pays_nothing(name: str, stream: bool, tmp_path: FilePath) -> None:
    alone, kept = Paid(), Paid()
    without = shown(run(name, alone, stream=stream))
    assert shown(run(name, kept, tmp_path / "run.db", stream=stream)) == without
    assert (sorted(kept.steps), sorted(kept.scores)) == (sorted(alone.steps), sorted(alone.scores))
    before = times(kept)
    assert shown(run(name, kept, tmp_path / "run.db", stream=stream)) == without
    assert times(kept) == before


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_run_that_was_ended_goes_on_as_if_it_had_not_been(
    name: str, stream: bool, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    alone, paid = Paid(), Paid()
    whole = shown(run(name, alone, stream=stream))
    store = tmp_path_factory.mktemp("ended") / "run.db"
    for _ in range(data.draw(st.integers(1, 3), "interruptions")):
        paid.limit = data.draw(st.integers(0, times(alone)), "ends after")
        try:
            run(name, paid, store, stream=stream)
        except Ends:
            with read(store) as trace:
                assert trace.counts()["node"] <= len(paid.steps) + 100
    paid.limit = None
    assert shown(run(name, paid, store, stream=stream)) == whole
    if stream:  # every step that was paid for had landed
        assert len(paid.steps) == len(set(paid.steps))
