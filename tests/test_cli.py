"""The command line: what it prints, its JSON, its exit codes, and one clear line for every wrong use."""

from __future__ import annotations

import importlib
import json
import pathlib
from collections.abc import Sequence

import pytest

import reason.resolve
from reason.cli import main
from reason.policies.fake import FakePolicy, FakeScorer
from reason.search import STRATEGIES, Strategy, best_of_n
from reason.types import Capabilities, Finish, Path, Sampling, Step

QUESTION = "2 + 3 + 4 + 5"
SUMMARY = (
    "task strategy n model scorer seed problems correct accuracy ci95 generated_tokens scored_tokens seconds unscored "
    "truncated no_answer curve"
).split()


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake policy and scorer stand in for the bundled ones."""
    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: FakePolicy())
    monkeypatch.setattr("reason.scorers.load_scorer", lambda name, **_: FakeScorer())


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_solve_prints_answer_steps_confidence_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, "solve", QUESTION, "--strategy", "beam")
    assert (code, err) == (0, "")
    assert "2 + 3 = 5" in out
    assert "0.900" in out
    assert "Answer      14" in out
    assert "Confidence" in out
    assert "tokens generated" in out


@pytest.mark.parametrize("strategy", ["cot", "self_consistency", "best_of_n", "weighted_best_of_n", "beam", "mcts"])
def test_solve_json_is_one_object(capsys: pytest.CaptureFixture[str], strategy: str) -> None:
    code, out, _ = told(capsys, "solve", QUESTION, "--strategy", strategy, "--n", "8", "--json", "--seed", "3")
    data = json.loads(out)
    assert code == 0
    assert data["strategy"] == strategy
    assert (data["n"], data["seed"], data["model"]) == (8, 3, "bundled")
    assert data["scorer"] == (None if strategy in ("cot", "self_consistency") else "process")
    assert data["generated_tokens"] > 0
    assert data["steps"][-1]["text"].endswith(f"Answer: {data['answer']}")
    assert 0 <= data["confidence"] <= 1


def test_the_same_seed_gives_the_same_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [json.loads(told(capsys, "solve", QUESTION, "--json", "--seed", seed)[1]) for seed in ("1", "1", "2")]
    for run in runs:
        del run["seconds"], run["seed"]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("strategy", ["beam", "mcts", "best_of_n"])
def test_tree_prints_why_branches_ended(capsys: pytest.CaptureFixture[str], strategy: str) -> None:
    code, out, _ = told(capsys, "solve", QUESTION, "--strategy", strategy, "--tree")
    assert code == 0
    assert QUESTION in out
    assert "complete (the answer)" in out
    if strategy != "best_of_n":
        assert "pruned" in out or "never extended" in out or "complete  " in out


def test_tree_json_holds_the_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = told(capsys, "solve", QUESTION, "--strategy", "mcts", "--tree", "--json")
    assert len(json.loads(out)["tree"]["nodes"]) > 4


def test_the_question_can_come_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "question").write_text("1 + 1\n")
    with (tmp_path / "question").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        _, out, _ = told(capsys, "solve", "-", "--json")
    assert json.loads(out)["question"] == "1 + 1"


class _Hostile:
    capabilities = Capabilities("hostile")

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        return [Step("[bold]\x1b[2Jcleared[/bold]\nAnswer: [blink]7", finish=Finish.STOP) for _ in paths]


def test_model_text_cannot_reach_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: _Hostile())
    code, out, _ = told(capsys, "solve", QUESTION, "--tree", "--strategy", "self_consistency")
    assert code == 0
    assert "\x1b" not in out
    assert "[bold]\\x1b[2Jcleared[/bold]" in out


def test_eval_ends_with_one_json_object(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    code, out, _ = told(
        capsys,
        "eval",
        "toy:TASK",
        "--strategy",
        "best_of_n",
        "--n",
        "4",
        "--limit",
        "6",
        "--out",
        str(tmp_path / "r"),
        "--json",
    )
    data = json.loads(out.splitlines()[-1])
    assert code == 0
    assert list(data) == SUMMARY
    assert (data["task"], data["strategy"], data["n"], data["problems"]) == ("toy", "best_of_n", 4, 6)
    assert data["ci95"][0] <= data["accuracy"] == data["correct"] / 6 <= data["ci95"][1]
    assert data["scored_tokens"] > 0
    assert len((tmp_path / "r" / "results.jsonl").read_text().splitlines()) == 6
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["accuracy"] == data["accuracy"]


def test_eval_again_does_nothing_again(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    command = ("eval", "toy:TASK", "--strategy", "cot", "--limit", "5", "--out", str(tmp_path / "r"), "--json")
    first = json.loads(told(capsys, *command)[1])
    before = (tmp_path / "r" / "results.jsonl").read_bytes()
    code, out, err = told(capsys, *command)
    assert code == 0
    assert json.loads(out) == first
    assert "5 of 5 problems are already in" in err
    assert (tmp_path / "r" / "results.jsonl").read_bytes() == before


def test_eval_refuses_another_runs_folder(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    command = ("eval", "toy:TASK", "--strategy", "cot", "--limit", "5", "--out", str(tmp_path / "r"))
    assert told(capsys, *command)[0] == 0
    code, _, err = told(capsys, *command, "--seed", "1")
    assert code == 2
    assert "seed 0 there, 1 now" in err
    assert "--out" in err


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    stopped = {"at": 3}

    def interrupt(path: Path) -> str | None:
        if path.problem.id == f"fake-{stopped['at']}":
            raise KeyboardInterrupt
        return None

    command = ("eval", "toy:TASK", "--strategy", "cot", "--limit", "80", "--out", str(tmp_path / "r"), "--json")
    whole = json.loads(told(capsys, *command[:-3], "--out", str(tmp_path / "whole"), "--json")[1])
    stopped["at"] = 70
    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: FakePolicy(error=interrupt))
    code, out, err = told(capsys, *command)
    kept = len((tmp_path / "r" / "results.jsonl").read_text().splitlines())
    assert (code, out) == (130, "")
    assert 0 < kept < 80
    assert f"{kept} of 80 problems are done" in err
    assert "run the same command again" in err
    stopped["at"] = -1
    resumed = json.loads(told(capsys, *command)[1])
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}


def test_options_reach_the_strategy_and_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    command = ("solve", QUESTION, "--strategy", "beam", "--n", "8", "--json", "--tree")
    plain = json.loads(told(capsys, *command)[1])
    wide = json.loads(told(capsys, *command, "--set", "branch=8", "--set", "max-steps=1")[1])
    assert plain["set"] == {}
    assert wide["set"] == {"branch": 8, "max_steps": 1}
    depths = [len(data["tree"]["nodes"]) for data in (plain, wide)]
    assert depths[0] > depths[1]


def test_options_are_settings_of_a_results_folder(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    command = ("eval", "toy:TASK", "--strategy", "mcts", "--n", "2", "--limit", "3", "--out", str(tmp_path / "r"))
    assert told(capsys, *command, "--set", "branch=2", "--json")[0] == 0
    assert json.loads((tmp_path / "r" / "config.json").read_text())["set"] == {"branch": 2}
    assert "3 of 3 problems are already in" in told(capsys, *command, "--set", "branch=2", "--json")[2]
    for others in ((), ("--set", "branch=3")):
        code, _, err = told(capsys, *command, *others)
        assert code == 2
        assert "set {'branch': 2} there" in err


def test_words_of_a_strategys_name_may_have_either_mark(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(told(capsys, "solve", QUESTION, "--strategy", "weighted-best-of-n", "--n", "4", "--json")[1])
    assert found["strategy"] == "weighted_best_of_n"


def test_a_fitted_table_is_a_strategy(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def from_file(file: str, n: int, **options: object) -> Strategy:
        asked.append((file, n, options))
        return best_of_n(n)

    monkeypatch.setattr(importlib.import_module("reason.search.compute_optimal"), "from_file", from_file)
    command = ("solve", QUESTION, "--strategy", "compute-optimal=a/table.json", "--n", "4", "--json")
    code, out, _ = told(capsys, *command, "--set", "price=0.5")
    assert code == 0
    assert asked[-1] == ("a/table.json", 4, {"price": 0.5, "model": "bundled", "scorer": "process"})
    assert json.loads(out)["strategy"] == "compute_optimal=a/table.json"


def test_listings_name_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "strategies")
    assert code == 0
    assert all(name in out for name in (*STRATEGIES, "compute_optimal=FILE", "branch="))
    entries = json.loads(told(capsys, "strategies", "--json")[1])
    assert [entry["name"] for entry in entries][: len(STRATEGIES)] == list(STRATEGIES)
    [one] = json.loads(told(capsys, "strategies", "best-of-n", "--json")[1])
    assert one["options"]["select"] == "naive"
    assert one["needs"] == ["scorer"]
    assert "rlhflow:DIRECTORY" in told(capsys, "scorers")[1]
    assert json.loads(told(capsys, "scorers", "oracle", "--json")[1])[0]["needs"] == ["gold answers"]


def test_help_names_all_strategies(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("solve", "eval"):
        out = told(capsys, command, "--help")[1]
        assert all(name in out for name in STRATEGIES)


WRONG = {
    "unknown option of a strategy": (("solve", QUESTION, "--strategy", "beam", "--set", "brnch=2"), "mean branch?"),
    "option of a wrong type": (("solve", QUESTION, "--strategy", "beam", "--set", "branch=x"), "a whole number"),
    "option out of range": (("solve", QUESTION, "--strategy", "beam", "--set", "branch=0"), "branch=0"),
    "option without a value": (("solve", QUESTION, "--set", "select"), "KEY=VALUE"),
    "table that is not there": (
        ("solve", QUESTION, "--strategy", "compute-optimal=nowhere"),
        "cannot be read as a table",
    ),
    "table of another strategy": (("solve", QUESTION, "--strategy", "beam=x"), "unknown strategy 'beam=x'"),
    "listing of no strategy": (("strategies", "beem"), "there is no strategy 'beem'"),
    "unknown strategy": (("solve", QUESTION, "--strategy", "beem"), "did you mean beam?"),
    "strategy that is no module": (("solve", QUESTION, "--strategy", "nowhere:f"), "cannot be imported"),
    "unknown option": (("solve", QUESTION, "--nonsense"), "No such option"),
    "unknown command": (("slove", QUESTION), "No such command"),
    "empty question": (("solve", "  "), "the question is empty"),
    "n = 0": (("solve", QUESTION, "--n", "0"), "--n 1 or more"),
    "n of a wrong type": (("solve", QUESTION, "--n", "many"), "valid int"),
    "budget 0": (("solve", QUESTION, "--budget-tokens", "0"), "--budget-tokens"),
    "budget not a number": (("solve", QUESTION, "--budget-seconds", "nan"), "--budget-seconds"),
    "negative temperature": (("solve", QUESTION, "--temperature", "-1"), "temperature"),
    "no scorer for best-of-n": (("solve", QUESTION, "--strategy", "best_of_n", "--scorer", "none"), "--scorer"),
    "scorer for a strategy without": (
        ("solve", QUESTION, "--strategy", "cot", "--scorer", "process"),
        "uses no scorer",
    ),
    "oracle without gold answers": (("solve", QUESTION, "--scorer", "oracle"), "--scorer process"),
    "rule scorer for a task without rules": (("eval", "toy:TASK", "--scorer", "verifier"), "the task toy"),
    "aggregate without a scorer": (("solve", QUESTION, "--strategy", "cot", "--aggregate", "min"), "needs a scorer"),
    "folder that cannot be": (("eval", "toy:TASK", "--out", "/dev/null/x"), "--out '/dev/null/x' cannot be used"),
    "unknown task": (("eval", "gsm9k"), "gsm8k"),
    "limit 0": (("eval", "toy:TASK", "--limit", "0"), "--limit 1 or more"),
    "no data": (("eval", "gsm8k", "--data", "/nonexistent"), "--data"),
    "demo without problems": (("demo", "--limit", "0"), "--limit 1 or more"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_one_clear_line_and_exit_code_2(capsys: pytest.CaptureFixture[str], case: str) -> None:
    arguments, expected = WRONG[case]
    code, out, err = told(capsys, *arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err
    if err.startswith("error:"):
        assert len(err.splitlines()) == 1


def test_a_policy_that_cannot_continue_is_refused_for_step_strategies(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: FakePolicy(partial=False))
    code, _, err = told(capsys, "solve", QUESTION, "--strategy", "beam")
    assert code == 2
    assert "best_of_n" in err


def test_an_unexpected_error_is_one_line_and_debug_raises_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(name: str) -> None:
        raise ZeroDivisionError("something\nbroke")

    monkeypatch.setattr(reason.resolve, "find_policy", explode)
    code, _, err = told(capsys, "solve", QUESTION)
    assert (code, err) == (1, "error: ZeroDivisionError: something broke (run with --debug for the traceback)\n")
    with pytest.raises(ZeroDivisionError):
        main(["solve", QUESTION, "--debug"])


def test_running_out_of_memory_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(name: str) -> None:
        raise MemoryError

    monkeypatch.setattr(reason.resolve, "find_policy", explode)
    code, _, err = told(capsys, "solve", QUESTION)
    assert code == 1
    assert "--n" in err


def test_a_strategy_of_ones_own_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "mine_for_cli.py").write_text(
        "from reason.search import best_of_n\ndef build(n):\n    return best_of_n(n)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    code, out, _ = told(capsys, "solve", QUESTION, "--strategy", "mine_for_cli:build", "--n", "3", "--json")
    assert code == 0
    assert json.loads(out)["strategy"] == "mine_for_cli:build"
    assert len(json.loads(out)["candidates"]) == 3


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "--help")
    assert code == 0
    assert all(name in out for name in ("solve", "eval", "demo"))
