"""Replaying a run gives what the run gave, without a model, and says in one line what was never paid for."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace as changed
from fractions import Fraction
from typing import Any

import pytest

import reason.resolve
from reason.budget import Budget
from reason.cli import main
from reason.evals.replay import NeverPaid, replay, source_of
from reason.evals.run import evaluate
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.run import solve
from reason.search import STRATEGIES, best_of_n, self_consistency
from reason.search.strategy import Strategy
from reason.trace import read
from reason.types import Candidate, Outcome, Path, Problem, Sampling, UsageError
from toy import TASK

ROOT = pathlib.Path(__file__).parent.parent
PROBLEMS = fake_problems(8)


def told(outcome: Outcome) -> str:
    """All of an outcome but its tree and the clock."""
    return repr(changed(outcome, tree=None, cost=changed(outcome.cost, seconds=0.0)))


def again(file: pathlib.Path, search: Strategy, *, budget: Budget | None = None, like: int = 0) -> list[Outcome]:
    """The search replayed on the store's problems, with the policy and scorer of its search number `like`."""
    with read(file) as trace:
        source = source_of(trace, trace.searches()[like])
        problems = [held.problem for held in trace.problems()]
        return replay(problems, source=source, search=search, sampling=Sampling(), budget=budget, seed=3)


def live(
    file: pathlib.Path, search: Strategy, policy: FakePolicy | None = None, scorer: Any = None, **more: Any
) -> list[Outcome]:
    judged = scorer or (FakeScorer(noise=0.5) if search.needs & {"scorer", "compare"} else None)
    asked = policy or FakePolicy(accuracy=0.6)
    return solve(PROBLEMS, policy=asked, search=search, scorer=judged, seed=3, store=file, **more)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_comes_to_the_same_again(name: str, tmp_path: pathlib.Path) -> None:
    was = live(tmp_path / "trace.db", STRATEGIES[name](6))
    assert list(map(told, again(tmp_path / "trace.db", STRATEGIES[name](6)))) == list(map(told, was))


@pytest.mark.parametrize("name", ["best_of_n", "beam", "mcts", "adaptive_consistency"])
def test_what_failed_fails_again_and_a_token_budget_cuts_where_it_cut(name: str, tmp_path: pathlib.Path) -> None:
    policy = FakePolicy(accuracy=0.6, error=lambda path: "flaky" if path.seed % 7 == 0 else None)
    scorer = FakeScorer(noise=0.5, error=lambda path: "unreadable" if "5" in path.text[:3] else None)
    search, budget = STRATEGIES[name](6), Budget(tokens=150)
    was = live(tmp_path / "trace.db", search, policy, scorer, retries=0, budget=budget)
    assert any(outcome.failures for outcome in was)
    assert any(outcome.stopped == "budget" for outcome in was)
    found = again(tmp_path / "trace.db", STRATEGIES[name](6), budget=budget)
    assert list(map(told, found)) == list(map(told, was))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_fewer_samples_are_a_smaller_run(k: int, tmp_path: pathlib.Path) -> None:
    live(tmp_path / "large.db", best_of_n(6, "weighted"))
    small = live(tmp_path / "small.db", best_of_n(k))
    for was, now in zip(small, again(tmp_path / "large.db", best_of_n(k)), strict=True):
        assert (now.answer, now.path, now.cost.generated_tokens) == (was.answer, was.path, was.cost.generated_tokens)
        assert [item.score for item in now.candidates] == [item.score for item in was.candidates]


def test_what_was_never_paid_for_ends_it(tmp_path: pathlib.Path) -> None:
    live(tmp_path / "trace.db", self_consistency(4))
    with pytest.raises(NeverPaid, match="a continuation of problem 'fake-0' from the question on was never paid for"):
        again(tmp_path / "trace.db", self_consistency(5))
    with pytest.raises(UsageError, match="best_of_n needs a scorer"):
        again(tmp_path / "trace.db", best_of_n(4))


def test_scores_that_were_never_paid_for_end_it(tmp_path: pathlib.Path) -> None:
    live(tmp_path / "trace.db", best_of_n(2))
    live(tmp_path / "trace.db", self_consistency(4))
    with pytest.raises(NeverPaid, match="a judgement of problem 'fake-0' was never paid for"):
        again(tmp_path / "trace.db", best_of_n(4))


def test_task_data_of_any_kind_is_found_again(tmp_path: pathlib.Path) -> None:
    data = {"numbers": (3, 4.5), "names": {"b", "a"}, "cells": {2: "x", 10: ("y", None)}, "share": Fraction(1, 3)}
    problem = changed(PROBLEMS[0], meta=data)
    [was] = solve([problem], policy=FakePolicy(accuracy=0.6), search=self_consistency(3), store=tmp_path / "trace.db")
    with read(tmp_path / "trace.db") as trace:
        [held] = trace.problems()
        assert held.problem.meta["numbers"] == [3, 4.5]
        source = source_of(trace, trace.searches()[0])
        for asked in (problem, held.problem):
            [now] = replay([asked], source=source, search=self_consistency(3), sampling=Sampling())
            assert [item.path.text for item in now.candidates] == [item.path.text for item in was.candidates]


def test_nothing_is_written(tmp_path: pathlib.Path) -> None:
    live(tmp_path / "trace.db", best_of_n(4))
    before = (tmp_path / "trace.db").read_bytes()
    again(tmp_path / "trace.db", best_of_n(3))
    assert (tmp_path / "trace.db").read_bytes() == before


@pytest.mark.parametrize("budget", [Budget(scorer_tokens=100), Budget(flops=1e9), Budget(seconds=9.0)])
def test_budgets_that_the_models_decide_are_refused(budget: Budget, tmp_path: pathlib.Path) -> None:
    live(tmp_path / "trace.db", best_of_n(4), budget=budget)
    with pytest.raises(UsageError, match="cannot be replayed without them"):
        again(tmp_path / "trace.db", best_of_n(4), budget=budget)


@pytest.mark.parametrize("aggregate", ["last", "min", "product", "mean"])
def test_another_aggregation_is_what_the_bundled_scorer_would_have_given(
    aggregate: str, tmp_path: pathlib.Path
) -> None:
    pytest.importorskip("torch")
    policy, problems, search = reason.load("bundled"), word_problems(4), best_of_n(4, "weighted")
    scorer, file = reason.load_scorer("process"), tmp_path / "trace.db"
    solve(problems, policy=policy, search=search, scorer=scorer, store=file, concurrency=1)
    scorer = reason.load_scorer("process", aggregate=aggregate)
    was = solve(problems, policy=policy, search=search, scorer=scorer, concurrency=1)
    with read(file) as trace:
        source = source_of(trace, trace.searches()[0], aggregate=aggregate)
        now = replay(problems, source=source, search=search, sampling=Sampling())
    for one, other in zip(was, now, strict=True):
        assert [judged(item) for item in one.candidates] == [judged(item) for item in other.candidates]
        assert (one.answer, one.confidence) == (other.answer, other.confidence)


def judged(item: Candidate) -> tuple[object, ...]:
    return item.path.text, item.path.logprob, item.answer, item.score, item.weight, item.steps


def word_problems(count: int) -> list[Problem]:
    from reason.evals.tasks import load

    return load("word_problems").load(limit=count)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: FakePolicy(accuracy=0.6))
    monkeypatch.setattr("reason.scorers.load_scorer", lambda name, **_: FakeScorer(noise=1.6))


def run(folder: pathlib.Path, *more: str) -> None:
    assert main(["eval", "toy:TASK", "--limit", "8", "--n", "6", "--out", str(folder), *more]) == 0


def replayed(capsys: pytest.CaptureFixture[str], folder: pathlib.Path, *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["replay", str(folder), "--json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which a command is refused."""
    capsys.readouterr()
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def summary(folder: pathlib.Path) -> dict[str, Any]:
    """What a run said of itself, without the clock."""
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    del found["seconds"]
    return found


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("name", ["self_consistency", "best_of_n", "weighted_best_of_n", "mcts", "beam", "cot"])
def test_the_tables_of_a_finished_run_are_the_live_ones(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    run(tmp_path / "r", "--strategy", name)
    assert replayed(capsys, tmp_path / "r") == summary(tmp_path / "r")


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("select", "name"), [("naive", "best_of_n"), ("weighted", "weighted_best_of_n"), ("majority", "majority_best_of_n")]
)
def test_another_selection_is_what_its_run_would_have_given(
    select: str, name: str, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    run(tmp_path / "was", "--strategy", "best_of_n")
    run(tmp_path / "other", "--strategy", name)
    names = {"strategy": "best_of_n", "set": {"select": select}}
    assert replayed(capsys, tmp_path / "was", "--select", select) == summary(tmp_path / "other") | names


@pytest.mark.usefixtures("fakes")
def test_options_strategies_and_sizes(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    run(tmp_path / "r", "--strategy", "weighted_best_of_n", "--set", "power=2")
    was = summary(tmp_path / "r")
    assert replayed(capsys, tmp_path / "r") == was
    spread = replayed(capsys, tmp_path / "r", "--set", "power=0")
    assert spread["set"] == {"power": 0.0}
    assert spread["curve"]["weighted"] != was["curve"]["weighted"]
    small = replayed(capsys, tmp_path / "r", "--k", "3")
    assert (small["n"], small["curve"]["k"]) == (3, [1, 2, 3])
    assert small["generated_tokens"] < was["generated_tokens"]
    vote = replayed(capsys, tmp_path / "r", "--strategy", "self_consistency")
    assert (vote["scorer"], vote["scored_tokens"]) == (None, 0)
    assert vote["curve"]["majority"] == was["curve"]["majority"]
    worst = replayed(capsys, tmp_path / "r", "--aggregate", "min")
    assert worst["aggregate"] == "min"
    assert worst["curve"]["naive"] != was["curve"]["naive"]


@pytest.mark.usefixtures("fakes")
def test_a_run_without_scores_takes_those_that_were_added(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "r"
    run(folder, "--strategy", "self_consistency")
    assert replayed(capsys, folder, "--select", "majority") == summary(folder)
    assert "the store holds no scores" in refused(capsys, "replay", str(folder), "--select", "naive")
    run(folder, "--strategy", "best_of_n", "--resume")
    found = replayed(capsys, folder, "--strategy", "best_of_n")
    assert found | {"scorer": "process"} == summary(folder / next(iter(added(folder))))
    assert replayed(capsys, folder / next(iter(added(folder)))) == summary(folder / next(iter(added(folder))))
    assert "not one scorer 'other'" in refused(
        capsys, "replay", str(folder), "--strategy", "best_of_n", "--scorer", "other"
    )
    assert replayed(capsys, folder, "--strategy", "best_of_n", "--scorer", "FakeScorer")["scorer"] == "FakeScorer"


def added(folder: pathlib.Path) -> list[str]:
    return sorted(place.name for place in folder.iterdir() if place.is_dir())


@pytest.mark.usefixtures("fakes")
def test_budgets_of_the_scorer_are_told_as_they_were(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "r"
    run(folder, "--strategy", "best_of_n", "--budget-scorer-tokens", "60")
    assert replayed(capsys, folder) == summary(folder)
    assert "cannot be replayed without them" in refused(capsys, "replay", str(folder), "--k", "2")


@pytest.mark.usefixtures("fakes")
def test_wrong_use_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "r"
    run(folder, "--strategy", "best_of_n")
    cases: dict[str, Sequence[str]] = {
        "pay for what is missing with reason eval … --strategy mcts --n 6": ("--strategy", "mcts"),
        "n = 7: a continuation of problem 'fake-0' from the question on was never paid for": ("--k", "7"),
        "--k 1 or more": ("--k", "0"),
        "must be one of 'naive', 'weighted', 'majority'": ("--select", "best"),
        "leave one out": ("--select", "naive", "--strategy", "beam"),
        "no aggregation 'max'": ("--aggregate", "max"),
        "--aggregate min: self_consistency uses no scores": ("--aggregate", "min", "--strategy", "self_consistency"),
        "--scorer x: self_consistency uses no scores": ("--scorer", "x", "--strategy", "self_consistency"),
        "unknown strategy 'beem'": ("--strategy", "beem"),
        "has no option wide": ("--set", "wide=3"),
    }
    for said, more in cases.items():
        assert said in refused(capsys, "replay", str(folder), *more)
    assert "is no results folder" in refused(capsys, "replay", str(tmp_path / "none"))
    (tmp_path / "one.db").write_bytes(b"")
    assert "is no results folder" in refused(capsys, "replay", str(tmp_path / "one.db"))
    run(tmp_path / "bare", "--strategy", "cot", "--no-trace")
    assert "there is no trace store" in refused(capsys, "replay", str(tmp_path / "bare"))
    (folder / "config.json").write_text("{}")
    assert "is not the configuration of an evaluation by this version" in refused(capsys, "replay", str(folder))


def test_a_run_in_part_gives_the_tables_of_what_is_finished(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    def interrupt(path: Path) -> str | None:
        if path.problem.id == "fake-70":
            raise KeyboardInterrupt
        return None

    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: FakePolicy(error=interrupt))
    command = ["eval", "toy:TASK", "--strategy", "cot", "--limit", "80", "--out", str(tmp_path / "r")]
    assert main(command) == 130
    capsys.readouterr()
    assert main(["replay", str(tmp_path / "r"), "--json"]) == 0
    out, err = capsys.readouterr()
    done = json.loads(out.splitlines()[-1])["problems"]
    assert 0 < done < 80
    assert f"{done} of 80 problems are finished" in err


def test_questions_that_did_not_fit_and_searches_that_failed_count_as_they_did(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    class Short(FakePolicy):
        def prompt_tokens(self, problem: Problem) -> int:
            return 100 if problem.id == "fake-1" else 10

    def short(name: str) -> FakePolicy:
        policy = Short(accuracy=0.6)
        policy.capabilities = changed(policy.capabilities, context=90)
        return policy

    monkeypatch.setattr(reason.resolve, "find_policy", short)
    monkeypatch.setattr("reason.scorers.load_scorer", lambda name, **_: FakeScorer(noise=0.5))
    run(tmp_path / "r", "--strategy", "best_of_n")
    was = summary(tmp_path / "r")
    assert was["no_answer"] == 1
    assert replayed(capsys, tmp_path / "r") == was
    assert replayed(capsys, tmp_path / "r", "--k", "2")["no_answer"] == 1


def test_evaluate_enters_all_problems_in_their_order(tmp_path: pathlib.Path) -> None:
    evaluate(PROBLEMS, TASK.grade, policy=FakePolicy(), search=self_consistency(2), store=tmp_path / "trace.db")
    with read(tmp_path / "trace.db") as trace:
        assert [held.problem for held in trace.problems()] == PROBLEMS
        assert all(outcome.done for outcome in trace.outcomes())


@pytest.mark.usefixtures("fakes")
def test_no_model_code_is_imported(tmp_path: pathlib.Path) -> None:
    run(tmp_path / "r", "--strategy", "best_of_n")
    script = (
        "import sys; from reason.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 3 * any(name in sys.modules for name in ('torch', 'transformers', 'tokenizers')))"
    )
    paths = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    for more in ([], ["--aggregate", "mean", "--select", "weighted"], ["--strategy", "self_consistency"]):
        done = subprocess.run(
            [sys.executable, "-c", script, "replay", str(tmp_path / "r"), *more],
            env=paths,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
