"""Finished runs in the formats of lm-evaluation-harness and inspect_ai; inspect_ai itself reads the latter back."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import pytest

import reason.resolve
from reason.cli import main
from reason.evals.stored import read_runs
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems


@pytest.fixture(params=[(), ("--no-trace",)], ids=["trace", "no trace"])
def run(request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of a finished run."""
    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: FakePolicy(accuracy=0.6))
    monkeypatch.setattr("reason.scorers.load_scorer", lambda name, **_: FakeScorer(noise=0.5))
    folder = tmp_path / "run"
    command = ["eval", "toy:TASK", "--strategy", "best_of_n", "--n", "2", "--limit", "9", "--seed", "4"]
    assert main([*command, "--out", str(folder), *request.param]) == 0
    return folder


def exported(run: pathlib.Path, what: str, name: str = "log.json") -> dict[str, Any]:
    to = run.parent / name
    assert main(["export", str(run), "--to", str(to), "--what", what]) == 0
    found: dict[str, Any] = json.loads(to.read_text())
    return found


def test_lm_eval_results_have_accuracy_and_standard_error(run: pathlib.Path) -> None:
    data, summary = exported(run, "lm-eval"), json.loads((run / "summary.json").read_text())
    share = summary["accuracy"]
    assert 0 < share < 1
    assert data["results"]["toy"] == {
        "alias": "toy",
        "exact_match,none": share,
        "exact_match_stderr,none": pytest.approx(math.sqrt(share * (1 - share) / 8)),
    }
    assert data["n-samples"] == {"toy": {"original": 9, "effective": 9}}
    assert {*data["configs"]} == {*data["versions"]} == {*data["n-shot"]} == {*data["higher_is_better"]} == {"toy"}
    assert data["config"]["model_args"]["strategy"] == "best_of_n"
    assert (data["model_name"], data["config"]["random_seed"]) == ("bundled", 4)


def test_inspect_log_holds_every_problem(run: pathlib.Path) -> None:
    data, [stored] = exported(run, "inspect"), read_runs([run])
    questions = {problem.id: problem.question for problem in fake_problems(9, seed=4)}
    assert (data["version"], data["status"], len(data["samples"])) == (2, "success", 9)
    for sample, row in zip(data["samples"], stored.records, strict=True):
        assert (sample["id"], sample["input"], sample["target"]) == (row.problem, questions[row.problem], row.gold)
        assert sample["output"]["completion"] == sample["messages"][-1]["content"] == row.text
        assert sample["scores"]["exact_match"]["value"] == ("C" if row.correct else "I")
        assert sample["scores"]["exact_match"]["answer"] == row.answer


def test_inspect_ai_reads_the_log(run: pathlib.Path) -> None:
    log_module = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed: pip install inspect-ai")
    data = exported(run, "inspect", "2026-01-02T03-04-05_toy.json")
    file = run.parent / "2026-01-02T03-04-05_toy.json"
    log = log_module.read_eval_log(str(file))
    summary = json.loads((run / "summary.json").read_text())
    assert log.status == "success"
    assert log.eval.model == "bundled"
    assert log.results.scores[0].metrics["accuracy"].value == summary["accuracy"]
    assert [sample.id for sample in log.samples] == [sample["id"] for sample in data["samples"]]
    assert [sample.output.completion for sample in log.samples] == [
        sample["output"]["completion"] for sample in data["samples"]
    ]
    assert sum(sample.scores["exact_match"].value == "C" for sample in log.samples) == summary["correct"]
    assert log.samples[0].output.choices[0].stop_reason == "stop"
    assert [found.name.rsplit("/", 1)[-1] for found in log_module.list_eval_logs(str(run.parent))] == [file.name]


def test_problems_that_failed_or_could_not_be_graded_are_not_scored(run: pathlib.Path) -> None:
    file = run / "results.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0] |= {"verdict": "failed", "failures": ["extend: out of order"], "finish": "", "text": ""}
    rows[1] |= {"verdict": "gold_error", "gold": None}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = exported(run, "inspect")
    assert [sample["scores"] for sample in data["samples"][:2]] == [None, None]
    assert data["samples"][0]["error"]["message"] == "extend: out of order"
    assert data["samples"][1]["error"] is None
    assert data["samples"][1]["target"] == ""
    [score] = data["results"]["scores"]
    assert (score["scored_samples"], score["unscored_samples"]) == (7, 2)
    assert data["results"]["completed_samples"] == 8
    assert exported(run, "lm-eval", "other.json")["n-samples"]["toy"] == {"original": 9, "effective": 7}


def test_a_name_that_inspect_view_would_not_list_is_told(run: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(run, "inspect")
    assert "inspect view lists it" in capsys.readouterr().out
    exported(run, "inspect", "2026-01-02T03-04-05_toy.json")
    assert "inspect view lists it" not in capsys.readouterr().out


@pytest.mark.parametrize("what", ["lm-eval", "inspect"])
def test_wrong_use_is_one_line(run: pathlib.Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    there = run.parent / "there.json"
    there.write_text("{}")
    (run / "unfinished").mkdir()
    for name in ("config.json", "results.jsonl"):
        (run / "unfinished" / name).write_bytes((run / name).read_bytes())
    cases = {
        (str(run), "x.jsonl"): "pass --to FILE.json",
        (str(run), "there.json"): "exists: pass another file",
        (str(run), "no/x.json"): "cannot be written",
        (str(run / "results.jsonl"), "x.json"): "is no folder",
        (str(run.parent), "x.json"): "is no results folder",
        (str(run / "unfinished"), "x.json"): "is not finished",
    }
    for (folder, name), said in cases.items():
        capsys.readouterr()
        assert main(["export", folder, "--to", str(run.parent / name), "--what", what]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    assert there.read_text() == "{}"
