"""The comparison behind `reason demo`: shared samples, fair charges, paired differences, the page it writes."""

from __future__ import annotations

import json
import pathlib

import pytest

import reason.evals.demo as demo
from reason.evals.compare import BEAM, BEST, GREEDY, MAJORITY, MCTS, WEIGHTED, Comparison, compare, differences
from reason.evals.run import evaluate
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.search import best_of_n
from reason.types import UsageError
from toy import TASK


def run(count: int = 12, n: int = 4) -> Comparison:
    return compare(
        fake_problems(count),
        TASK.grade,
        policy=FakePolicy(accuracy=0.6),
        new_scorer=lambda: FakeScorer(noise=0.2),
        n=n,
    )


def test_the_strategies_come_in_order_with_every_problem() -> None:
    comparison = run()
    assert [line.strategy for line in comparison.lines] == [GREEDY, MAJORITY, BEST, WEIGHTED, BEAM, MCTS]
    ids = [problem.id for problem in fake_problems(12)]
    assert all([record.problem for record in line.records] == ids for line in comparison.lines)


def test_selections_share_their_samples_and_are_charged_with_them() -> None:
    comparison = run()
    drawn, best, weighted = (comparison.line(name) for name in (MAJORITY, BEST, WEIGHTED))
    for majority, naive, summed in zip(drawn.records, best.records, weighted.records, strict=True):
        assert majority.generated_tokens == naive.generated_tokens == summed.generated_tokens > 0
        assert majority.scored_tokens == 0
        assert naive.scored_tokens == summed.scored_tokens > 0
        assert naive.elapsed >= majority.elapsed
    texts = [[item.path.text for item in outcome.candidates] for outcome in comparison.samples]
    assert all(record.text in kept for record, kept in zip(best.records, texts, strict=True))


def test_best_of_n_on_shared_samples_equals_best_of_n_on_its_own() -> None:
    alone = evaluate(
        fake_problems(12),
        TASK.grade,
        policy=FakePolicy(accuracy=0.6),
        search=best_of_n(4),
        scorer=FakeScorer(noise=0.2),
    )
    shared = run().line(BEST).records
    told = [(record.text, record.answer, record.generated_tokens, record.scored_tokens) for record in alone]
    assert told == [(r.text, r.answer, r.generated_tokens, r.scored_tokens) for r in shared]


def test_differences_are_paired_and_against_what_came_before() -> None:
    comparison = run()
    found = differences(comparison, BEST)
    assert [(item.strategy, item.baseline) for item in found] == [(WEIGHTED, BEST), (BEAM, BEST), (MCTS, BEST)]
    for item in found:
        mine, base = comparison.line(item.strategy).summary(), comparison.line(BEST).summary()
        assert item.mean == pytest.approx(mine["accuracy"] - base["accuracy"])
        assert item.low <= item.mean <= item.high
    assert len(differences(comparison, GREEDY)) == 5


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "load_task", lambda name: TASK)
    monkeypatch.setattr(demo, "find_policy", lambda name: FakePolicy(accuracy=0.6))
    monkeypatch.setattr(demo, "find_scorer", lambda name, **_: FakeScorer(noise=0.2))


@pytest.mark.usefixtures("toy")
def test_the_demo_prints_the_table_and_writes_the_report(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    pytest.importorskip("matplotlib")
    assert demo.run_demo(out=tmp_path / "demo", limit=8, n=4, seed=0, as_json=False) == 0
    printed = capsys.readouterr().out
    for name in demo.labels(4).values():
        assert name in printed
    assert "report.html" in printed
    page = (tmp_path / "demo" / "report.html").read_text("utf-8")
    assert "weighted best-of-4" in page
    assert "majority of k, k = 1 … 4" in page
    data = json.loads((tmp_path / "demo" / "results.json").read_text("utf-8"))
    assert [line["strategy"] for line in data["strategies"]] == [GREEDY, MAJORITY, BEST, WEIGHTED, BEAM, MCTS]


@pytest.mark.usefixtures("toy")
def test_the_demo_ends_with_json_when_asked(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    pytest.importorskip("matplotlib")
    demo.run_demo(out=tmp_path, limit=4, n=2, seed=1, as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert data["config"]["seed"] == "1"
    assert len(data["differences"]) == 8


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(("limit", "n"), [(0, 4), (4, 0)])
def test_the_demo_refuses_nothing_to_do(limit: int, n: int, tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        demo.run_demo(out=tmp_path, limit=limit, n=n, seed=0, as_json=False)
