"""Results folders with a trace: what is added to one pays only for what is new, and nothing of it is overwritten."""

from __future__ import annotations

import json
import pathlib

import pytest

import reason.resolve
from reason.cli import main
from reason.evals.results import ADDED, STORE, place_of, shared, store_file
from reason.policies.fake import FakePolicy, FakeScorer
from reason.trace import Store, read
from reason.types import UsageError

CONFIG = {"task": "toy", "seed": 0, "strategy": "best_of_n", "n": 4, "scorer": "process", "budget": {}}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> tuple[list[FakePolicy], list[FakeScorer]]:
    """The policies and scorers that commands load, in order."""
    policies, scorers = list[FakePolicy](), list[FakeScorer]()

    def policy(name: str) -> FakePolicy:
        policies.append(FakePolicy(accuracy=0.6))
        return policies[-1]

    def scorer(name: str, **_: object) -> FakeScorer:
        scorers.append(FakeScorer(noise=0.5 if name == "process" else 0.7))
        return scorers[-1]

    monkeypatch.setattr(reason.resolve, "find_policy", policy)
    monkeypatch.setattr("reason.scorers.load_scorer", scorer)
    return policies, scorers


def run(folder: pathlib.Path, *more: str) -> int:
    return main(["eval", "toy:TASK", "--limit", "6", "--out", str(folder), *more])


def summary(folder: pathlib.Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "summary.json").read_text())
    del found["seconds"]
    return found


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file() and file.name != STORE}


def test_more_samples_pay_for_those_alone(
    made: tuple[list[FakePolicy], list[FakeScorer]], tmp_path: pathlib.Path
) -> None:
    folder, whole = tmp_path / "r", tmp_path / "whole"
    assert run(folder, "--n", "4") == 0
    before = files(folder)
    assert run(folder, "--n", "10", "--resume") == 0
    assert files(folder) == before
    assert run(whole, "--n", "10") == 0
    assert [sum(policy.calls) for policy in made[0]] == [24, 36, 60]
    assert summary(folder / "best_of_n-n10") | {"prefilled_tokens": 0, "flops": 0, "scored_tokens": 0} == summary(
        whole
    ) | {"prefilled_tokens": 0, "flops": 0, "scored_tokens": 0}
    assert len((folder / "best_of_n-n10" / "results.jsonl").read_text().splitlines()) == 6
    assert not (folder / "best_of_n-n10" / STORE).exists()
    assert store_file(folder / "best_of_n-n10") == folder / STORE


def test_other_strategies_scorers_and_options_share_the_trace(
    made: tuple[list[FakePolicy], list[FakeScorer]], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "r"
    assert run(folder, "--n", "4", "--strategy", "self_consistency") == 0
    for more in (
        ("--strategy", "best_of_n"),
        ("--strategy", "weighted_best_of_n", "--set", "power=2"),
        ("--strategy", "best_of_n", "--scorer", "outcome"),
        ("--strategy", "self_consistency", "--budget-tokens", "100000"),
    ):
        assert run(folder, "--n", "4", "--resume", *more) == 0
        assert sum(made[0][-1].calls) == 0
    assert [sum(scorer.calls) > 0 for scorer in made[1]] == [True, False, True]
    names = sorted(place.name for place in folder.iterdir() if place.is_dir())
    assert [name.rpartition("-")[0] for name in names] == [
        "best_of_n-n4",
        "best_of_n-n4",
        "self_consistency-n4",
        "weighted_best_of_n-n4",
    ]
    capsys.readouterr()
    assert run(folder, "--n", "4", "--resume", "--strategy", "best_of_n") == 0
    assert "6 of 6 problems are already in" in capsys.readouterr().out
    with read(folder / STORE) as trace:
        assert len(trace.searches()) == 5


@pytest.mark.usefixtures("made")
def test_without_the_flag_another_configuration_is_refused_and_the_flag_named(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "r", "--n", "4") == 0
    capsys.readouterr()
    for more, said in (
        (("--n", "8"), "(n 4 there, 8 now): pass --resume to add this one to it, another --out, or remove it"),
        (("--n", "4", "--seed", "1"), "seed 0 there, 1 now): pass another --out"),
        (("--n", "4", "--seed", "1", "--resume"), "seed 0 there, 1 now): pass another --out"),
        (("--n", "8", "--temperature", "0.5", "--resume"), "sampling"),
    ):
        assert run(tmp_path / "r", *more) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1


@pytest.mark.usefixtures("made")
def test_flags_without_a_folder_and_folders_in_use_are_refused(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag in ("--resume", "--no-trace"):
        assert main(["eval", "toy:TASK", "--limit", "2", flag]) == 2
        assert f"{flag} is about a results folder: pass --out" in capsys.readouterr().err
    assert run(tmp_path / "r", "--n", "2") == 0
    before = files(tmp_path / "r")
    capsys.readouterr()
    with Store(tmp_path / "r" / STORE):
        assert run(tmp_path / "r", "--n", "2") == 2
    err = capsys.readouterr().err
    assert "being written by another run" in err
    assert err.count("\n") == 1
    assert files(tmp_path / "r") == before


@pytest.mark.usefixtures("made")
def test_no_trace(tmp_path: pathlib.Path) -> None:
    assert run(tmp_path / "with", "--n", "2") == 0
    assert run(tmp_path / "without", "--n", "2", "--no-trace") == 0
    assert sorted(files(tmp_path / "without")) == ["config.json", "results.jsonl", "summary.json"]
    assert (tmp_path / "with" / STORE).exists()
    assert not (tmp_path / "without" / STORE).exists()
    assert summary(tmp_path / "with") == summary(tmp_path / "without")


def test_a_scorer_that_cannot_be_told_from_others_needs_a_name_or_no_trace(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Nameless:
        def __init__(self) -> None:
            self.judge = FakeScorer().judge

    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: FakePolicy())
    monkeypatch.setattr("reason.scorers.load_scorer", lambda name, **_: Nameless())
    assert run(tmp_path / "r", "--n", "2", "--strategy", "best_of_n") == 2
    err = capsys.readouterr().err
    assert "Nameless cannot be told from other scorers" in err
    assert "--no-trace" in err
    assert not (tmp_path / "r").exists()
    assert run(tmp_path / "r", "--n", "2", "--strategy", "best_of_n", "--no-trace") == 0


def test_resume_begins_where_there_is_nothing(
    made: tuple[list[FakePolicy], list[FakeScorer]], tmp_path: pathlib.Path
) -> None:
    assert run(tmp_path / "r", "--n", "2", "--resume") == 0
    assert run(tmp_path / "r", "--n", "2", "--resume") == 0
    assert [sum(policy.calls) for policy in made[0]] == [12, 0]


def test_records_that_were_lost_are_made_again_for_nothing(
    made: tuple[list[FakePolicy], list[FakeScorer]], tmp_path: pathlib.Path
) -> None:
    assert run(tmp_path / "r", "--n", "4") == 0
    was = summary(tmp_path / "r")
    (tmp_path / "r" / "results.jsonl").unlink()
    (tmp_path / "r" / "summary.json").unlink()
    assert run(tmp_path / "r", "--n", "4") == 0
    assert summary(tmp_path / "r") == was
    assert (sum(made[0][1].calls), sum(made[1][1].calls)) == (0, 0)


def test_solve_keeps_what_it_paid_for(
    made: tuple[list[FakePolicy], list[FakeScorer]], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["solve", "2 + 3 + 4 + 5", "--n", "4", "--json", "--out", str(tmp_path / "one.db")]
    told = []
    for _ in range(2):
        assert main(command) == 0
        told.append(json.loads(capsys.readouterr().out))
        del told[-1]["seconds"]
    assert told[0] == told[1]
    assert [sum(policy.calls) for policy in made[0]] == [4, 0]
    with read(tmp_path / "one.db") as trace:
        [held] = trace.problems()
    assert held.problem.question == "2 + 3 + 4 + 5"
    (tmp_path / "text.db").write_text("mine, and long enough to be a file of some length")
    for place, said in (("text.db", "no trace store"), ("no/one.db", "cannot be")):
        assert main([*command[:-1], str(tmp_path / place)]) == 2
        assert said in capsys.readouterr().err
    assert (tmp_path / "text.db").read_text().startswith("mine")


def write(folder: pathlib.Path, config: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))


def test_where_an_evaluation_goes(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "r"
    assert place_of(folder, CONFIG, resume=True) == folder
    write(folder, CONFIG)
    assert place_of(folder, CONFIG, resume=True) == folder
    assert place_of(folder, CONFIG | {"n": 8}, resume=True) == folder / "best_of_n-n8"
    assert place_of(folder, CONFIG | {"strategy": "cot"}, resume=True) == folder / "cot-n4"
    others = [
        CONFIG | {"set": {"power": 2}},
        CONFIG | {"set": {"power": 3}},
        CONFIG | {"scorer": None},
        CONFIG | {"strategy": "my.module:a/b"},
        CONFIG | {"n": None, "total_tokens": 500},
    ]
    places = [place_of(folder, config, resume=True) for config in others]
    assert len(set(places)) == len(others)
    assert all(place.parent == folder and "/" not in place.name for place in places)
    assert places[3].name.startswith("my.module-a-b-n4-")
    assert places[4].name == "best_of_n-t500"
    assert shared(CONFIG) == {"task": "toy", "seed": 0}
    assert not set(shared(CONFIG)) & set(ADDED)
    write(folder / "cot-n4", CONFIG)
    with pytest.raises(UsageError, match="cot-n4 holds results of another run"):
        place_of(folder, CONFIG | {"strategy": "cot"}, resume=True)


def test_a_store_in_the_folder_above_belongs_only_to_what_was_added_there(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "r", CONFIG)
    (tmp_path / STORE).touch()
    assert store_file(tmp_path / "r") == tmp_path / "r" / STORE
    write(tmp_path, CONFIG | {"seed": 1})
    assert store_file(tmp_path / "r") == tmp_path / "r" / STORE
    write(tmp_path, CONFIG | {"n": 8})
    assert store_file(tmp_path / "r") == tmp_path / STORE
