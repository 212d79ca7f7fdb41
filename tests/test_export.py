"""Traces written as tables, and read back: what was sampled, bit by bit."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import pytest

import reason.resolve
from reason.cli import main
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.rows import write_rows
from reason.run import solve
from reason.search import STRATEGIES
from reason.trace import read
from reason.trace.tables import COLUMNS, table
from reason.types import Outcome

PROBLEMS = fake_problems(4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, dict[str, list[Outcome]]]:
    """A store of several searches, and their outcomes."""
    file = tmp_path_factory.mktemp("run") / "trace.db"
    found = {}
    for name in ("best_of_n", "mcts", "budget_forcing"):
        scorer = FakeScorer(noise=0.5) if name != "budget_forcing" else None
        found[name] = solve(
            PROBLEMS, policy=FakePolicy(accuracy=0.6), search=STRATEGIES[name](6), scorer=scorer, store=file
        )
    return file, found


def rows(file: pathlib.Path) -> list[dict[str, Any]]:
    """The rows of an exported file."""
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]
    parquet = pytest.importorskip("pyarrow.parquet")
    held: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    return held


def exported(source: pathlib.Path, to: pathlib.Path, *more: str) -> list[dict[str, Any]]:
    assert main(["export", str(source), "--to", str(to), *more]) == 0
    return rows(to)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("what", COLUMNS)
def test_every_table_reads_back_as_it_is(
    what: str, suffix: str, run: tuple[pathlib.Path, Any], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    found = exported(run[0], tmp_path / f"rows{suffix}", "--what", what)
    assert f"{len(found):,} {what}" in capsys.readouterr().out
    with read(run[0]) as trace:
        held = list(table(trace, what))
    assert [list(row) for row in found] == [list(COLUMNS[what])] * len(held)
    assert repr([[known(value) for value in row.values()] for row in found]) == repr(
        [[known(row[name]) for name in COLUMNS[what]] for row in held]
    )


def known(value: Any) -> Any:
    """The value as a file holds it."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return [known(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", ["best_of_n", "mcts", "budget_forcing"])
def test_paths_are_those_that_were_sampled(
    name: str, run: tuple[pathlib.Path, dict[str, list[Outcome]]], tmp_path: pathlib.Path
) -> None:
    found = exported(run[0], tmp_path / "paths.jsonl")
    for outcome in run[1][name]:
        mine = [row for row in found if (row["strategy"], row["problem"]) == (name, outcome.problem.id)]
        spelled = {(tuple(row["token_ids"]), tuple(row["logprobs"]), tuple(row["steps"])) for row in mine}
        for item in outcome.candidates:
            logprobs = tuple(value for step in item.path.steps for value in step.logprobs)
            assert (item.path.token_ids, logprobs, tuple(step.text for step in item.path.steps)) in spelled
        for row in mine:
            assert sum(row["step_tokens"]) == len(row["token_ids"])
            assert row["question"] == outcome.problem.question
            assert row["gold"] == outcome.problem.answer
        if outcome.path is not None:
            [chosen] = [row for row in mine if row["chosen"]]
            assert (chosen["answer"], "".join(chosen["steps"])) == (outcome.answer, outcome.path.text)


def test_an_outcome_reads_back_as_it_was(run: tuple[pathlib.Path, dict[str, list[Outcome]]]) -> None:
    with read(run[0]) as trace:
        for search, outcomes in zip(trace.searches(), run[1].values(), strict=True):
            held = {item.problem.id: item for item in map(trace.outcome, trace.outcomes(search.number))}
            assert [spelled(held[outcome.problem.id]) for outcome in outcomes] == list(map(spelled, outcomes))


def spelled(outcome: Outcome) -> tuple[object, ...]:
    """An outcome, with its solutions' tokens; of equal steps drawn twice, which one was prefilled is not kept."""
    steps = [
        (step.text, step.token_ids, step.logprobs, step.finish, step.tail)
        for item in outcome.candidates
        for step in item.path.steps
    ]
    scores = [(item.answer, repr(item.score), item.weight, item.steps) for item in outcome.candidates]
    return (outcome.answer, outcome.path and outcome.path.text, repr(outcome.confidence), outcome.cost, steps, scores)


def test_nodes_are_a_tree_with_its_statistics(
    run: tuple[pathlib.Path, dict[str, list[Outcome]]], tmp_path: pathlib.Path
) -> None:
    found = [row for row in exported(run[0], tmp_path / "n.jsonl", "--what", "nodes") if row["strategy"] == "mcts"]
    for outcome in run[1]["mcts"]:
        mine = [row for row in found if row["problem"] == outcome.problem.id]
        numbers = {row["node"]: row for row in mine}
        assert all(row["parent"] is None or row["parent"] in numbers for row in mine)
        assert all(row["depth"] == 1 + (numbers[row["parent"]]["depth"] if row["parent"] else 0) for row in mine)
        visits = sorted(outcome.tree.visits[at] for at in range(1, len(outcome.tree)))
        placed = [row for row in mine if row["visits"] is not None]
        assert {row["visits"] for row in placed} <= set(visits)
        assert any(row["chosen"] for row in placed)
        assert all(row["score"] is None or 0 <= row["score"] <= 1 for row in mine)


def test_candidates_and_problems_are_the_outcomes(
    run: tuple[pathlib.Path, dict[str, list[Outcome]]], tmp_path: pathlib.Path
) -> None:
    candidates = exported(run[0], tmp_path / "c.jsonl", "--what", "candidates")
    problems = exported(run[0], tmp_path / "p.jsonl", "--what", "problems")
    for name, outcomes in run[1].items():
        for outcome in outcomes:
            where = (name, outcome.problem.id)
            mine = [row for row in candidates if (row["strategy"], row["problem"]) == where]
            assert [(row["text"], row["answer"], row["weight"]) for row in mine] == [
                (item.path.text, item.answer, item.weight) for item in outcome.candidates
            ]
            [row] = [row for row in problems if (row["strategy"], row["problem"]) == where]
            assert (row["answer"], row["done"], row["generated_tokens"]) == (
                outcome.answer,
                True,
                outcome.cost.generated_tokens,
            )


def test_a_results_folder_will_do(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: FakePolicy())
    command = ["eval", "toy:TASK", "--limit", "3", "--out", str(tmp_path / "r"), "--strategy", "self_consistency"]
    assert main([*command, "--n", "2"]) == 0
    assert len(exported(tmp_path / "r", tmp_path / "paths.jsonl")) == 6


def test_wrong_use_is_one_line(
    run: tuple[pathlib.Path, Any], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.jsonl").write_text("mine")
    (tmp_path / "folder").mkdir()
    cases = {
        "neither .jsonl nor .parquet": (run[0], "rows.csv", "nodes"),
        "exists: pass another file": (run[0], "there.jsonl", "nodes"),
        "must be one of 'nodes', 'paths', 'candidates', 'problems'": (run[0], "rows.jsonl", "trees"),
        "is no folder": (run[0], "no/rows.jsonl", "nodes"),
        "there is no trace store": (tmp_path / "none.db", "rows.jsonl", "nodes"),
        "'trace.db'": (tmp_path / "folder", "rows.jsonl", "nodes"),
        "not a SQLite file": (tmp_path / "there.jsonl", "rows.jsonl", "nodes"),
    }
    for said, (source, to, what) in cases.items():
        assert main(["export", str(source), "--to", str(tmp_path / to), "--what", what]) == 2
        err = capsys.readouterr().err
        assert said.strip("'") in err
        assert err.count("\n") == 1
    assert (tmp_path / "there.jsonl").read_text() == "mine"
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_large_store_is_written_row_by_row(run: tuple[pathlib.Path, Any], tmp_path: pathlib.Path) -> None:
    with read(run[0]) as trace:
        stream = table(trace, "nodes")
        first = next(stream)
        assert write_rows(tmp_path / "rest.jsonl", COLUMNS["nodes"], stream) > 0
    assert list(first)[:3] == ["search", "strategy", "problem"]
