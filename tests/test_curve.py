"""Accuracy at every k from one run of n: against runs of k, and refused where it would be wrong."""

from __future__ import annotations

import json
import math
import pathlib
from itertools import combinations

import pytest

from reason.budget import Budget
from reason.cli import main
from reason.evals.curve import curve_of, sampled, shown_k
from reason.evals.record import Record, record_of
from reason.evals.results import Results
from reason.evals.run import evaluate
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.run import solve
from reason.search import STRATEGIES, adaptive_consistency, beam, best_of_n, self_consistency
from reason.search.best_of_n import majority_best_of_n, weighted_best_of_n
from reason.search.select import conclude
from reason.search.strategy import Strategy
from reason.types import Candidate, Finish, Outcome, Path, Problem, Step, UsageError
from toy import TASK

PROBLEMS = fake_problems(40)


def records(search: Strategy, **options: object) -> list[Record]:
    given = {"policy": FakePolicy(accuracy=0.6), "scorer": FakeScorer(noise=0.9), **options}
    if search.needs == frozenset():
        given["scorer"] = None
    return evaluate(PROBLEMS, TASK.grade, search=search, **given)  # type: ignore[arg-type]


def accuracy(rows: list[Record]) -> float:
    return sum(row.correct for row in rows) / len(rows)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (best_of_n, "naive"),
        (weighted_best_of_n, "weighted"),
        (majority_best_of_n, "majority"),
        (self_consistency, "majority"),
    ],
)
def test_the_curve_ends_at_the_runs_accuracy_and_foretells_smaller_runs(build, name: str) -> None:  # type: ignore[no-untyped-def]
    rows = records(build(8))
    told = curve_of(rows, 8)
    ends = told[name]["mean"][-1]
    assert ends == pytest.approx(accuracy(rows), abs=0.04 if name == "majority" else 1e-6)
    for k in (2, 5):
        seeds = [accuracy(records(build(k), seed=seed)) for seed in range(12)]
        assert told[name]["mean"][k - 1] == pytest.approx(sum(seeds) / 12, abs=0.08)
    assert told["k"] == list(range(1, 9))
    assert told["tokens"][-1] == pytest.approx(sum(row.generated_tokens for row in rows) / 40, abs=0.1)
    assert ("naive" in told) == (build is not self_consistency)


def test_the_curve_is_the_mean_over_all_subsets() -> None:
    rows = records(best_of_n(6))
    told = curve_of(rows, 6)
    for k in (1, 3, 6):
        shares = []
        for row in rows:
            assert row.samples is not None
            for drawn in combinations(row.samples, k):
                best = max(drawn, key=lambda item: item[2])
                shares.append(best[1])
        assert told["naive"]["mean"][k - 1] == pytest.approx(sum(shares) / len(shares), abs=1e-6)
        assert told["naive"]["exact"]


def test_weighted_curves_weigh_as_the_strategy_does() -> None:
    plain, spread = records(weighted_best_of_n(8)), records(weighted_best_of_n(8, power=50))
    best = curve_of(records(best_of_n(8)), 8)["naive"]["mean"]
    assert curve_of(plain, 8)["weighted"] != curve_of(spread, 8)["weighted"]
    assert curve_of(spread, 8)["weighted"]["mean"] == pytest.approx(best, abs=0.03)


def test_failed_samples_count_as_wrong() -> None:
    flaky = FakePolicy(accuracy=1.0, error=lambda path: "flaky" if path.seed % 2 else None)
    outcomes = solve(PROBLEMS, policy=flaky, search=self_consistency(6), retries=0)
    rows = [record_of(outcome, TASK.grade, judged=False, elapsed=0.0, selection="majority") for outcome in outcomes]
    told = curve_of(rows, 6)
    assert 0.3 < told["pass"]["mean"][0] < 0.7
    assert told["pass"]["mean"][-1] > 0.9


def test_samples_are_graded_once_for_each_answer() -> None:
    seen = []

    def grade(problem: Problem, text: str):  # type: ignore[no-untyped-def]
        seen.append(text)
        return TASK.grade(problem, text)

    problem = Problem("p", "2 + 2", "4")
    paths = [Path(problem, (Step(f"Answer: {a}", finish=Finish.STOP),)) for a in ("4", "5", "4", "4")]
    candidates = [Candidate(path, path.text[8:], 0.5) for path in paths]
    candidates.append(Candidate(Path(problem, (Step("so\nwell\n", finish=Finish.STOP),)), None, math.nan))
    outcome: Outcome = conclude(problem, candidates, "naive")
    assert sampled(outcome, grade, "naive") == (
        ("4", True, 0.5),
        ("5", False, 0.5),
        ("4", True, 0.5),
        ("4", True, 0.5),
        (None, False, None),
    )
    assert len(seen) == 2
    assert sampled(outcome, grade, None) is None


def test_refused_where_it_would_be_wrong() -> None:
    for search in (adaptive_consistency(6), beam(4)):
        with pytest.raises(UsageError, match="decides what to sample next, or when to stop"):
            curve_of(records(search), 6)
    with pytest.raises(UsageError, match="a budget cut this run"):
        curve_of(records(best_of_n(6), budget=Budget(tokens=60)), 6)
    with pytest.raises(UsageError, match="at least one problem"):
        curve_of([], 6)


def test_which_strategies_have_one() -> None:
    selections = {name: build(4).selection for name, build in STRATEGIES.items() if build(4).selection}
    assert selections == {
        "self_consistency": "majority",
        "best_of_n": "naive",
        "weighted_best_of_n": "weighted",
        "majority_best_of_n": "majority",
    }


def test_a_resumed_run_has_the_curve_of_an_uninterrupted_one(tmp_path: pathlib.Path) -> None:
    def run(count: int) -> list[Record]:
        results = Results(tmp_path, {"task": "toy"})
        policy, scorer = FakePolicy(accuracy=0.6), FakeScorer(noise=0.9)
        return evaluate(
            PROBLEMS[:count], TASK.grade, policy=policy, search=best_of_n(6), scorer=scorer, results=results
        )

    run(15)
    assert json.dumps(curve_of(run(40), 6)) == json.dumps(curve_of(records(best_of_n(6)), 6))


def test_shown() -> None:
    assert [shown_k(n) for n in (1, 2, 6, 16)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8, 16]]


@pytest.mark.parametrize("strategy", ["best_of_n", "mcts"])
def test_reason_eval_prints_and_tells_it(
    strategy: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr("reason.resolve.find_policy", lambda name: FakePolicy(accuracy=0.6))
    monkeypatch.setattr("reason.scorers.load_scorer", lambda name, **_: FakeScorer())
    command = ["eval", "toy:TASK", "--strategy", strategy, "--n", "6", "--limit", "8", "--out", str(tmp_path / "r")]
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out.splitlines()[-1])
    kept = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert told["curve"] == kept["curve"]
    if strategy == "mcts":
        assert told["curve"] is None
        assert "expected accuracy" not in err
        return
    assert told["curve"]["k"] == [1, 2, 3, 4, 5, 6]
    assert told["curve"]["naive"]["mean"][-1] == pytest.approx(told["accuracy"], abs=1e-6)
    rows = err[err.index("expected accuracy") :].splitlines()
    assert rows[1].split() == ["k", "tokens", "any", "correct", "majority", "best", "weighted"]
    assert [row.split()[0] for row in rows[2:6]] == ["1", "2", "4", "6"]
