"""`reason calibrate`: what it writes, its figures against a direct computation, its diagram, one line for wrong use."""

from __future__ import annotations

import json
import math
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest

import reason.evals.calibration_command as command
from reason.answers import Grade, Verdict
from reason.cli import main
from reason.evals.calibration_command import labelled_steps, parts
from reason.evals.reliability import Labelled, accuracy_effects, draw, error_effects, ranking, wilson
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.run import solve
from reason.scorers.calibration import Calibration, brier, expected_calibration_error, fit, read_calibration
from reason.scorers.verifier import verifier
from reason.search.best_of_n import best_of_n
from reason.types import Finish, Problem, UsageError
from toy import TASK


def timid(name: str, **_: Any) -> FakeScorer:
    """A scorer that knows what is right and says so with too little confidence."""
    return FakeScorer(good=0.55, bad=0.35, noise=0.2)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_policy", lambda name: FakePolicy())
    monkeypatch.setattr(command, "find_scorer", timid)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(("calibrate", *arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("method", ["isotonic", "temperature", "platt"])
def test_it_writes_a_calibration_that_helps(
    method: str, capsys: pytest.CaptureFixture[str], tmp_path: FilePath
) -> None:
    out = tmp_path / "c.json"
    given = ("--task", "toy:TASK", "--limit", "40", "--n", "8", "--method", method, "--out", str(out), "--json")
    code, printed, _ = told(capsys, *given)
    data = json.loads(printed.splitlines()[-1])
    assert code == 0
    effects = {row["name"]: row for row in data["held_out"]}
    assert list(effects) == ["ECE", "Brier", "best-of-n", "weighted vote", "majority vote"]
    assert effects["Brier"]["after"] < effects["Brier"]["before"]
    if method != "temperature":  # which cannot move values that lie on one side of one half across it
        assert effects["ECE"]["change_ci"][1] < 0
    assert effects["best-of-n"]["change"] == 0 == effects["majority vote"]["change"]
    assert effects["weighted vote"]["after"] >= effects["weighted vote"]["before"]
    calibration, scorer, aggregate = read_calibration(out)
    assert (calibration.method, scorer, aggregate) == (method, "process", None)
    assert json.loads(out.read_text())["problems"]["held_out"] == 20
    assert told(capsys, *given)[1] == printed


def test_the_table_names_the_file_to_use(capsys: pytest.CaptureFixture[str], tmp_path: FilePath) -> None:
    out, plot = tmp_path / "c.json", tmp_path / "deep" / "c.svg"
    code, printed, _ = told(
        capsys, "--task", "toy:TASK", "--limit", "12", "--n", "4", "--out", str(out), "--plot", str(plot)
    )
    assert code == 0
    assert f"--scorer calibrated:{out}" in printed
    assert "weighted vote" in printed
    assert "<svg" in plot.read_text("utf-8")


def test_steps_are_labelled_by_completions(capsys: pytest.CaptureFixture[str], tmp_path: FilePath) -> None:
    out = tmp_path / "c.json"
    code, printed, _ = told(
        capsys, "--task", "toy:TASK", "--limit", "16", "--n", "2", "--labels", "steps", "--out", str(out), "--json"
    )
    data = json.loads(printed.splitlines()[-1])
    assert code == 0
    assert [row["name"] for row in data["held_out"]] == ["ECE", "Brier"]
    assert data["calibration"]["fitted_on"] > 16


def test_labelled_steps_are_prefixes_with_their_share_of_right_completions() -> None:
    [problem] = fake_problems(1, terms=4)

    def check(problem: Any, text: str) -> bool:
        return TASK.grade(problem, text).correct

    [outcome] = solve([problem], policy=FakePolicy(), search=labelled_steps(check, 3), scorer=timid("process"))
    texts = [item.path.text for item in outcome.candidates]
    assert len(set(texts)) == len(texts)
    assert all(0 <= item.weight <= 1 and not math.isnan(item.score) for item in outcome.candidates)
    for item in outcome.candidates:
        if item.path.finish is Finish.STOP:
            assert item.weight == float(check(problem, item.path.text))
    assert sum(len(item.path.steps) == 1 for item in outcome.candidates) >= 1


@pytest.mark.parametrize("undecided", [Grade.TIMEOUT, Grade.LIMIT, Grade.GOLD_ERROR])
@pytest.mark.parametrize("labels", ["solutions", "steps"])
def test_what_could_not_be_compared_is_left_out(
    undecided: Grade, labels: str, capsys: pytest.CaptureFixture[str], tmp_path: FilePath, monkeypatch: Any
) -> None:
    """A problem without a verdict changes nothing, whichever part it is in."""
    problems = fake_problems(24, seed=0)
    fitting, held = parts(problems, 0.5, 0)
    undecidable = {fitting[0].id, held[0].id}
    plain = TASK.grade

    def grade(problem: Problem, text: str) -> Verdict:
        return Verdict(undecided) if problem.id in undecidable else plain(problem, text)

    labelled: list[Labelled] = []
    measured = command.error_effects

    def error_effects(items: Any, *args: Any, **options: Any) -> Any:
        labelled.extend(items)
        return measured(items, *args, **options)

    counted: list[int] = []
    accuracy = command.accuracy_effects

    def accuracy_effects(outcomes: Any, *args: Any) -> Any:
        counted.append(len(outcomes))
        return accuracy(outcomes, *args)

    monkeypatch.setattr(TASK, "grade", grade, raising=False)
    monkeypatch.setattr(command, "error_effects", error_effects)
    monkeypatch.setattr(command, "accuracy_effects", accuracy_effects)
    given = ("--limit", "24", "--n", "3", "--labels", labels, "--out", str(tmp_path / "c.json"), "--json")
    code, _, error = told(capsys, "--task", "toy:TASK", *given)
    assert code == 0, error
    known = {item.problem: [not math.isnan(label) for label in item.labels] for item in labelled}
    assert not any(known[held[0].id])
    assert all(any(shares) for problem, shares in known.items() if problem != held[0].id)
    assert counted == ([11] if labels == "solutions" else [])


def test_held_out_problems_that_cannot_be_graded_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TASK, "grade", lambda problem, text: Verdict(Grade.GOLD_ERROR), raising=False)
    code, _, error = told(capsys, "--task", "toy:TASK", "--limit", "8", "--n", "2", "--out", str(tmp_path / "c.json"))
    assert code == 2
    assert "none of the 4 held-out problems could be graded" in error


def sampled(count: int = 30) -> tuple[list[Labelled], list[Any]]:
    outcomes = solve(fake_problems(count), policy=FakePolicy(), search=best_of_n(6), scorer=timid("process"))
    items = [
        Labelled(
            outcome.problem.id,
            tuple(item.score for item in outcome.candidates),
            tuple(float(TASK.grade(outcome.problem, item.path.text).correct) for item in outcome.candidates),
        )
        for outcome in outcomes
    ]
    return items, outcomes


def test_errors_are_those_of_all_values_together() -> None:
    items, _ = sampled()
    values = [value for item in items for value in item.values]
    labels = [label for item in items for label in item.labels]
    calibration = fit(values, labels, "platt")
    error, square = error_effects(items, calibration)
    assert error.before == expected_calibration_error(values, labels)
    assert square.after == brier(calibration.apply(values), labels)
    assert error.change == error.after - error.before
    for effect in (error, square):
        for value, (low, high) in ((effect.before, effect.before_ci), (effect.change, effect.change_ci)):
            assert low <= value + 0.05
            assert value - 0.05 <= high
    assert error_effects(items, calibration) == [error, square]


def test_accuracies_are_those_of_the_strategies() -> None:
    _, outcomes = sampled()
    identity = Calibration("temperature")
    naive, weighted, majority = accuracy_effects(outcomes, TASK.grade, identity)
    chosen = [float(TASK.grade(outcome.problem, outcome.path.text).correct) for outcome in outcomes]
    assert naive.before == naive.after == np.mean(chosen)
    assert (weighted.change, majority.change) == (0, 0)
    sharp = accuracy_effects(outcomes, TASK.grade, Calibration("temperature", slope=30.0))
    assert sharp[1].after >= weighted.before


def test_ranking_is_the_share_of_pairs_in_order() -> None:
    items = [Labelled("a", (0.9, 0.2), (1.0, 0.0)), Labelled("b", (0.5, math.nan), (0.25, 1.0))]
    assert ranking(items) == 1.0


def test_wilsons_interval() -> None:
    low, high = wilson(0.5, 100)
    assert (low, high) == (pytest.approx(0.404, abs=1e-3), pytest.approx(0.596, abs=1e-3))
    assert wilson(0.0, 10)[0] == 0.0
    assert wilson(1.0, 10)[1] == pytest.approx(1.0)


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_diagram(ending: str, tmp_path: FilePath) -> None:
    items, _ = sampled(10)
    file = tmp_path / f"diagram.{ending}"
    draw(items, Calibration("temperature", slope=4.0), file, title="timid & <shy>")
    content = file.read_bytes()
    if ending == "png":
        assert content.startswith(b"\x89PNG")
        return
    text = content.decode()
    assert "timid &amp; &lt;shy&gt;" in text
    assert "calibrated (temperature): ECE" in text
    draw(items, Calibration("temperature", slope=4.0), file, title="timid & <shy>")
    assert file.read_bytes() == content


def test_parts_hold_every_problem_once_and_depend_on_the_seed() -> None:
    problems = fake_problems(20)
    fitting, held = parts(problems, 0.25, 0)
    assert (len(fitting), len(held)) == (15, 5)
    assert {problem.id for problem in (*fitting, *held)} == {problem.id for problem in problems}
    assert parts(list(reversed(problems)), 0.25, 0) == (fitting, held)
    assert parts(problems, 0.25, 1)[1] != held


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "magic"), "method='magic'"),
        (("--labels", "words"), "labels='words'"),
        (("--n", "0"), "n is 0"),
        (("--limit", "1"), "limit is 1"),
        (("--held-out", "1"), "leaves none to fit on"),
        (("--held-out", "0.001"), "leaves none to fit on"),
        (("--plot", "c.pdf"), "end its name in .svg or .png"),
        (("--plot", "/dev/null/c.svg"), "--plot '/dev/null/c.svg' cannot be written"),
        (("--out", "/dev/null/c.json"), "--out '/dev/null/c.json' cannot be written ('/dev/null' is not a folder)"),
        (("--out", "/"), "it is a folder"),
        (("--split", "none", "--task", "word_problems"), "no split 'none'"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str], tmp_path: FilePath
) -> None:
    given = ("--task", "toy:TASK", "--limit", "8", "--out", str(tmp_path / "c.json"))
    code, _, error = told(capsys, *given, *arguments)
    assert code == 2
    assert words in error
    assert error.count("\n") == 1


def test_what_knows_the_answers_has_nothing_to_calibrate(
    capsys: pytest.CaptureFixture[str], tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "find_scorer", lambda name, **_: verifier(gold=True))
    code, _, error = told(capsys, "--task", "toy:TASK", "--scorer", "oracle", "--out", str(tmp_path / "c.json"))
    assert code == 2
    assert "nothing to calibrate" in error


def test_the_tasks_own_rule_cannot_be_named_later(
    capsys: pytest.CaptureFixture[str], tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TASK, "check", lambda problem, text: True, raising=False)
    code, _, error = told(capsys, "--task", "toy:TASK", "--scorer", "verifier", "--out", str(tmp_path / "c.json"))
    assert code == 2
    assert "own rule of the task toy" in error


def test_scorers_of_one_value_cannot_be_fitted(
    capsys: pytest.CaptureFixture[str], tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "find_policy", lambda name: FakePolicy(accuracy=1.0))
    code, _, error = told(capsys, "--task", "toy:TASK", "--limit", "8", "--n", "2", "--out", str(tmp_path / "c.json"))
    assert code == 2
    assert "needs right and wrong ones" in error


def test_diagrams_end_in_svg_or_png(tmp_path: FilePath) -> None:
    with pytest.raises(UsageError, match=r"end its name in \.svg or \.png"):
        draw([], Calibration("temperature"), tmp_path / "c.pdf", title="")
