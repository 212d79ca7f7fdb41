"""`reason eval` over many tasks, strategies and seeds: what runs, what is skipped, what it would cost, what is not."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

import reason.resolve
from reason.cli import main
from reason.evals.compare_runs import compare_runs
from reason.evals.results import STORE, store_file
from reason.evals.stored import read_runs
from reason.evals.sweep import OF_STRATEGY, OF_TASK, TOP, combinations_of, read_sweep
from reason.policies.fake import FakePolicy, FakeScorer
from reason.trace import read

SWEEP = """
limit = 6
seeds = [1, 2]
tasks = ["toy:TASK"]

[[strategies]]
strategy = "cot"
n = 1

[[strategies]]
strategy = "best_of_n"
n = [2, 4]
"""


@pytest.fixture(autouse=True)
def policies(monkeypatch: pytest.MonkeyPatch) -> list[FakePolicy]:
    """The policies that commands load, in order."""
    loaded = list[FakePolicy]()

    def policy(name: str) -> FakePolicy:
        loaded.append(FakePolicy(accuracy=0.6))
        return loaded[-1]

    monkeypatch.setattr(reason.resolve, "find_policy", policy)
    monkeypatch.setattr("reason.scorers.load_scorer", lambda name, **_: FakeScorer(noise=0.5))
    return loaded


def file(folder: pathlib.Path, text: str = SWEEP) -> str:
    path = folder / "sweep.toml"
    path.write_text(text)
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main(["eval", *arguments, "--json"])
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    return code, json.loads(lines[-1]) if lines else {}, printed.err


def test_every_combination_has_a_folder_and_runs_of_a_group_share_a_trace(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], policies: list[FakePolicy]
) -> None:
    out = tmp_path / "out"
    code, data, printed = told(capsys, "--config", file(tmp_path), "--out", str(out))
    assert code == 0
    assert len(policies) == 1
    runs = [f"toy-TASK-limit6-seed{seed}/{run}" for seed in (1, 2) for run in ("cot-n1", "best_of_n-n2-process")]
    assert {*runs} < {run["run"] for run in data["runs"]}
    assert [run["evaluated"] for run in data["runs"]] == [6] * 6
    assert all((out / run["run"] / "summary.json").is_file() for run in data["runs"])
    assert "best_of_n-n4-process" in printed
    for group in out.iterdir():
        assert store_file(group / "best_of_n-n4-process") == group / STORE
        assert not (group / "best_of_n-n4-process" / STORE).exists()
    with read(out / "toy-TASK-limit6-seed1" / STORE) as trace:
        assert len(trace.searches()) == 3
    assert main(["replay", str(out / "toy-TASK-limit6-seed1" / "best_of_n-n4-process")]) == 0


def test_a_shared_trace_changes_neither_answers_nor_tokens(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], policies: list[FakePolicy]
) -> None:
    shared = told(capsys, "--config", file(tmp_path), "--out", str(tmp_path / "shared"))[1]["runs"]
    alone = told(capsys, "--config", file(tmp_path, "trace = false" + SWEEP), "--out", str(tmp_path / "alone"))[1]
    assert not list(tmp_path.glob(f"alone/**/{STORE}"))
    for one, other in zip(shared, alone["runs"], strict=True):
        kept = ("run", "correct", "generated_tokens", "no_answer")
        assert {key: one[key] for key in kept} == {key: other[key] for key in kept}


def test_what_is_done_is_skipped_and_what_is_new_is_added(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    first = told(capsys, "--config", file(tmp_path), "--out", str(out))[1]["runs"]
    more = file(tmp_path, SWEEP.replace("[2, 4]", "[2, 4, 8]"))
    _, data, _ = told(capsys, "--config", more, "--out", str(out))
    assert [run["evaluated"] for run in data["runs"]] == [0, 0, 0, 0, 0, 0, 6, 6]
    assert [{**run, "evaluated": 6} for run in data["runs"][:6]] == first


def test_an_interrupted_sweep_goes_on(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("reason.evals.command.evaluate", interrupted)
        code, _, err = told(capsys, "--config", file(tmp_path), "--out", str(out))
    assert code == 130
    assert "interrupted in run 1 of 6" in err
    assert "run the same command again" in err
    assert told(capsys, "--config", file(tmp_path), "--out", str(out))[0] == 0


def test_seeds_vary_the_sampling_alone_and_compare_joins_them(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ("toy:TASK", "--strategy", "best_of_n", "--n", "2", "--limit", "8", "--out", str(out))
    code, data, _ = told(capsys, *command, "--seeds", "1,2,3")
    assert code == 0
    runs = read_runs([out])
    assert sorted(path.name for path in out.iterdir()) == ["seed-1", "seed-2", "seed-3"]
    assert len({run.config["problems"] for run in runs}) == 1
    assert len({tuple(row.text for row in run.records) for run in runs}) == 3
    [line] = compare_runs(runs).lines
    assert line.seeds == 3
    [joined] = data["over_seeds"]
    assert joined["seeds"] == [1, 2, 3]
    assert joined["accuracy"] == pytest.approx(line.accuracy)
    assert joined["sd"] == pytest.approx(line.seed_sd)


def test_seeds_without_a_folder_and_the_problems_that_seed_draws(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "toy:TASK", "--strategy", "cot", "--limit", "3", "--seed", "5", "--out", str(tmp_path / "a"))
    assert told(capsys, "toy:TASK", "--strategy", "cot", "--limit", "3", "--seeds", "1,2")[0] == 0
    told(
        capsys, *("toy:TASK", "--strategy", "cot", "--limit", "3"), "--seed", "5", "--seeds", "5,6", "--out",
        str(tmp_path / "b"),
    )  # fmt: skip
    [plain], seeded = read_runs([tmp_path / "a"]), read_runs([tmp_path / "b"])
    assert {run.config["problems"] for run in seeded} == {plain.config["problems"]}
    assert compare_runs([plain, seeded[1]]).lines[0].seeds == 2


def test_sample_ids_choose_problems(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, data, _ = told(
        capsys, "toy:TASK", "--strategy", "cot", "--sample-id", "fake-7", "--sample-id", "fake-2", "--out", str(out)
    )
    assert (code, data["problems"]) == (0, 2)
    assert {row.problem for row in read_runs([out])[0].records} == {"fake-2", "fake-7"}


@pytest.mark.parametrize("more", [(), ("--seeds", "1")])
def test_max_concurrency_is_how_many_problems_are_open(
    more: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reason.evals import run

    seen = list[int]()
    solve = run.solve

    def spied(*given: Any, concurrency: int, **named: Any) -> Any:
        seen.append(concurrency)
        return solve(*given, concurrency=concurrency, **named)

    monkeypatch.setattr(run, "solve", spied)
    command = ("toy:TASK", "--strategy", "cot", "--limit", "3", *more)
    assert told(capsys, *command, "--max-concurrency", "3")[0] == 0
    assert told(capsys, *command)[0] == 0
    assert seen == [3, 64]


def test_a_dry_run_tells_the_cost_and_keeps_nothing(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, dry, printed = told(capsys, "--config", file(tmp_path), "--out", str(out), "--dry-run")
    assert (code, out.exists()) == (0, False)
    assert "4 probed" in printed
    assert {run["source"] for run in dry["runs"]} == {"4 probed"}
    real = told(capsys, "--config", file(tmp_path), "--out", str(out))[1]["runs"]
    for told_before, came in zip(dry["runs"], real, strict=True):
        assert told_before["left"] == 6
        assert told_before["generated_tokens"] == pytest.approx(came["generated_tokens"], rel=0.25)
        assert told_before["seconds"] > 0
    assert dry["generated_tokens"] == sum(run["generated_tokens"] for run in dry["runs"])
    after = told(capsys, "--config", file(tmp_path), "--out", str(out), "--dry-run")[1]
    assert {(run["source"], run["left"], run["generated_tokens"]) for run in after["runs"]} == {("done", 0, 0)}


def test_a_dry_run_goes_by_what_is_done(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ("toy:TASK", "--strategy", "best_of_n", "--n", "2", "--limit", "6", "--out", str(out))
    assert told(capsys, *command)[0] == 0
    rows = (out / "results.jsonl").read_text().splitlines(keepends=True)
    (out / "results.jsonl").write_text("".join(rows[:4]))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    [run] = told(capsys, *command, "--dry-run")[1]["runs"]
    tokens = sum(json.loads(row)["generated_tokens"] for row in rows[:4])
    assert (run["source"], run["left"], run["generated_tokens"]) == ("4 done here", 2, round(tokens / 2))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


WRONG_FILES = {
    "unknown key": ("limits = 3\n" + SWEEP, "unknown key 'limits', the nearest is limit"),
    "unknown key of a strategy": (
        SWEEP + "scorerr = 'x'",
        "strategies, entry 2: unknown key 'scorerr', the nearest is s",
    ),
    "key of a task at a strategy": (SWEEP + "split = 'x'", "unknown key 'split'"),
    "no tasks": ("strategies = ['cot']", "tasks is missing"),
    "tasks that are no list": ("tasks = 'toy'\nstrategies = ['cot']", "tasks is 'toy'"),
    "a task without a name": ("tasks = [{ limit = 3 }]\nstrategies = ['cot']", "tasks, entry 1 names no task"),
    "text for a number": (SWEEP.replace("n = 1\n", "n = 'one'\n"), "n is 'one': write a whole number, or a list"),
    "no n": (SWEEP.replace("[2, 4]", "[]"), "n is []"),
    "the same seed twice": (SWEEP.replace("[1, 2]", "[1, 1]"), "different whole numbers"),
    "not TOML": ("tasks = [", "is not TOML"),
    "the same run twice": (SWEEP.replace("[2, 4]", "[2, 2]"), "in the sweep twice"),
    "an unknown strategy": (SWEEP.replace('"cot"', '"cott"'), "unknown strategy 'cott'"),
    "an n of 0": (SWEEP.replace("[2, 4]", "[2, 0]"), "n is 0"),
    "a trace that is neither": ("trace = 1\n" + SWEEP, "trace is 1"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_one_line_and_nothing_runs(
    case: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = WRONG_FILES[case]
    code, _, err = told(capsys, "--config", file(tmp_path, text), "--out", str(tmp_path / "out"))
    assert (code, err.count("\n")) == (2, 1)
    assert said in err
    assert not (tmp_path / "out").exists()


WRONG = {
    "a sample that is not there": (("toy:TASK", "--sample-id", "fake-77"), "pass --sample-id fake-7"),
    "samples and a limit": (("toy:TASK", "--sample-id", "fake-7", "--limit", "3"), "leave out --limit 3"),
    "seeds that are none": (("toy:TASK", "--seeds", "1,x"), "--seeds is '1,x'"),
    "seeds and resume": (("toy:TASK", "--seeds", "1", "--resume", "--out", "x"), "leave one of them out"),
    "no concurrency": (("toy:TASK", "--max-concurrency", "0"), "--max-concurrency 1 or more"),
    "no task": ((), "pass a task"),
    "a task beside a config": (("toy:TASK", "--config", "x.toml"), "leave out task"),
    "an option beside a config": (("--config", "x.toml", "--n", "3"), "leave out n"),
    "no such config": (("--config", "/nonexistent/x.toml"), "cannot be read"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options_are_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, said = WRONG[case]
    code, _, err = told(capsys, *arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def test_keys_of_tasks_and_strategies_go_before_those_at_the_top(tmp_path: pathlib.Path) -> None:
    text = """
    n = 3
    limit = 5
    model = ["a", "b"]
    tasks = [{ task = "x.jsonl", limit = 2, sample_id = ["q"] }, "y"]
    strategies = ["cot", { strategy = "beam", n = 4, set = { width = 2, novel = true, sizes = [1, 2] } }]
    """
    found = combinations_of(read_sweep(pathlib.Path(file(tmp_path, text))))
    assert [(one.task, one.strategy, one.model) for one in found] == [
        (task, strategy, model) for task in ("x.jsonl", "y") for strategy in ("cot", "beam") for model in ("a", "b")
    ]
    assert [(one.n, one.limit) for one in found[::2]] == [(3, 2), (4, 2), (3, 5), (4, 5)]
    assert found[2].set == ("width=2", "novel=true", "sizes=1,2")
    assert found[0].sample_id == ("q",)


def test_the_file_in_the_documentation_is_read(tmp_path: pathlib.Path) -> None:
    page = (pathlib.Path(__file__).parent.parent / "docs" / "evaluate.md").read_text("utf-8")
    text = page.split("```toml\n")[1].split("```")[0]
    found = combinations_of(read_sweep(pathlib.Path(file(tmp_path, text))))
    assert len(found) == 16
    table = page.split("| where | keys |")[1].split("\n\n")[0]
    assert all(f"`{key}`" in table for key in {*TOP, *OF_TASK, *OF_STRATEGY})
