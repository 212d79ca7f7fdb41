"""`reason compare`: kept runs lined up, paired, joined over seeds, and refused where they cannot be compared."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from kept import keep

from reason.cli import main
from reason.evals.compare_runs import compare_runs
from reason.evals.curve import curve_of, expected_over_k
from reason.evals.frontier import on_frontier
from reason.evals.metrics import mcnemar
from reason.evals.record import Record
from reason.evals.results import Results
from reason.evals.run import evaluate
from reason.evals.stored import families_of, family_of, read_runs
from reason.policies.fake import FakePolicy
from reason.search import STRATEGIES
from reason.types import Problem, UsageError
from toy import TASK


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for strategy, n in (("cot", 1), ("self_consistency", 6), ("best_of_n", 6), ("beam", 4)):
        keep(tmp_path / f"{strategy}-{n}", strategy, n)
    return tmp_path


def test_the_figures_are_those_of_the_records(runs: Path) -> None:
    stored = read_runs([runs / "cot-1", runs / "best_of_n-6"])
    found = compare_runs(stored)
    first, second = ([float(row.correct) for row in run.records] for run in stored)
    assert [line.name for line in found.lines] == ["cot-1", "best_of_n-6"]
    assert [line.accuracy for line in found.lines] == [np.mean(first), np.mean(second)]
    assert found.lines[1].tokens == np.mean([row.generated_tokens for row in stored[1].records])
    assert found.lines[0].flops == np.mean([row.flops for row in stored[0].records])
    [pair] = found.against
    assert (pair.name, pair.baseline) == ("best_of_n-6", "cot-1")
    assert pair.paired.p == pytest.approx(mcnemar(second, first))
    assert pair.paired.mean == pytest.approx(np.mean(second) - np.mean(first))
    assert (found.problems, found.left_out, found.families) == (40, 0, None)


def test_a_folder_above_several_runs_stands_for_all_of_them(runs: Path) -> None:
    found = compare_runs(read_runs([runs]), baseline="cot-1")
    assert [line.name for line in found.lines] == ["beam-4", "best_of_n-6", "cot-1", "self_consistency-6"]
    assert [pair.name for pair in found.against] == ["beam-4", "best_of_n-6", "self_consistency-6"]
    assert all(pair.holm >= pair.paired.p for pair in found.against)
    sure = [line.frontier > 0.99 for line in found.lines]
    here = on_frontier([line.tokens for line in found.lines], [line.accuracy for line in found.lines])
    assert all(kept for kept, certain in zip(here, sure, strict=True) if certain)


def test_runs_that_were_added_to_one_are_found_below_it(runs: Path) -> None:
    keep(runs / "cot-1" / "mcts-4", "mcts", 4)
    assert [run.name for run in read_runs([runs / "cot-1"])] == ["cot-1", "mcts-4"]
    assert [run.name for run in read_runs([runs / "cot-1", runs / "cot-1" / "mcts-4"])] == ["cot-1", "mcts-4"]


def test_problems_that_one_run_lacks_are_left_out_of_all(runs: Path) -> None:
    keep(runs / "short", "cot", 1, count=15)
    rows = (runs / "short" / "results.jsonl").read_text().splitlines()
    failed = {**json.loads(rows[0]), "verdict": "failed"}
    (runs / "short" / "results.jsonl").write_text("\n".join([json.dumps(failed), *rows[1:]]) + "\n")
    found = compare_runs(read_runs([runs / "short", runs / "best_of_n-6"]))
    assert (found.problems, found.left_out) == (14, 26)


def test_runs_that_differ_in_their_seed_are_one_entry_with_its_spread(runs: Path) -> None:
    for seed in (1, 2):
        keep(runs / f"again-{seed}", "self_consistency", 6, seed=seed)
    folders = [runs / "self_consistency-6", runs / "again-1", runs / "again-2", runs / "cot-1"]
    joined = compare_runs(read_runs(folders))
    apart = compare_runs(read_runs(folders), each=True)
    assert [line.seeds for line in joined.lines] == [3, 1]
    assert [line.name for line in joined.lines] == ["self_consistency-6", "cot-1"]
    accuracies = [line.accuracy for line in apart.lines[:3]]
    assert joined.lines[0].accuracy == pytest.approx(np.mean(accuracies))
    assert joined.lines[0].seed_sd == pytest.approx(np.std(accuracies, ddof=1))
    variance = joined.lines[0].variance
    assert variance is not None
    assert variance.samples == 3
    assert math.isnan(apart.lines[0].seed_sd)
    assert joined.against[0].paired.test == "bootstrap"


def test_k_compares_what_fewer_samples_would_have_given(runs: Path) -> None:
    stored = read_runs([runs / "self_consistency-6", runs / "best_of_n-6"])
    found = compare_runs(stored, k=2)
    for line, run, name in zip(found.lines, stored, ("majority", "naive"), strict=True):
        curve = curve_of(run.records, 6)
        assert line.accuracy == pytest.approx(curve[name]["mean"][1], abs=1e-6)
        assert line.tokens == pytest.approx(curve["tokens"][1], abs=0.1)
    whole = compare_runs(stored, k=6).lines[1]
    assert whole.accuracy == pytest.approx(compare_runs(stored).lines[1].accuracy)
    for k, complaint in ((7, "k is 7 and the run drew n = 6"), (0, "k is 0")):
        with pytest.raises(UsageError, match=complaint):
            compare_runs(stored, k=k)
    for folder in ("beam-4", "cot-1"):
        with pytest.raises(UsageError, match="does not follow from this run"):
            compare_runs(read_runs([runs / folder]), k=1)
    with pytest.raises(UsageError, match="allow no 'naive' selection: use one of"):
        expected_over_k(stored[0].records, 6, "naive")


def test_the_frontier_is_over_every_k_that_the_samples_tell(runs: Path) -> None:
    stored = read_runs([runs])
    points = compare_runs(stored).frontier
    every = []
    for run in stored:
        sizes = [1, 2, 4, None] if run.selection else [None]
        for k in sizes:
            values, tokens = run.values(k), run.costs(k)
            every.append((run.name, k, float(np.mean(list(tokens.values()))), float(np.mean(list(values.values())))))
    best = on_frontier([row[2] for row in every], [row[3] for row in every])
    expected = [row for row, kept in zip(every, best, strict=True) if kept]
    assert {(point.name, point.k) for point in points} == {row[:2] for row in expected}
    assert [point.tokens for point in points] == pytest.approx(sorted(row[2] for row in expected))
    assert [point.accuracy for point in points] == sorted(point.accuracy for point in points)
    assert all(0 < point.sure <= 1 for point in points)
    whole = compare_runs(read_runs([runs / "best_of_n-6"]), k=3).frontier
    assert [(point.name, point.k) for point in whole] == [("best_of_n-6", 3)]


def test_families_are_in_the_ids() -> None:
    assert family_of("gsm_symbolic/main/12.3") == "gsm_symbolic/main/12"
    assert family_of("gsm8k/test/12") is None
    assert families_of(["t/s/1.0", "t/s/1.1", "t/s/2"]) == ["t/s/1", "t/s/1", "t/s/2"]
    assert families_of(["t/s/1.0", "t/s/2.0"]) is None


def test_families_make_the_figures_clustered(runs: Path) -> None:
    for name in ("cot-1", "best_of_n-6"):
        file = runs / name / "results.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for place, row in enumerate(rows):
            row["problem"] = f"toy/test/{place % 10}.{place // 10}"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = compare_runs(read_runs([runs / "cot-1", runs / "best_of_n-6"]))
    assert found.families == 10
    assert found.against[0].paired.test == "bootstrap over families"


def test_runs_that_cannot_be_compared_are_refused(runs: Path, tmp_path: Path) -> None:
    keep(runs / "other", "cot", 1, task="another")
    keep(tmp_path / "x" / "cot-1", "cot", 1)
    changed = tmp_path / "x" / "cot-1" / "results.jsonl"
    changed.write_text(changed.read_text().replace('"gold": "', '"gold": "1'))
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "results.jsonl").write_text('{"problem": "p"')
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "results.jsonl").write_text('{"problem": "p"}\n')
    cot = runs / "cot-1"
    for folders, complaint in (
        ([cot, runs / "other"], "different tasks"),
        ([cot, tmp_path / "x" / "cot-1"], "of different data"),
        ([cot, cot], "given twice"),
        ([tmp_path / "nowhere"], "is not a folder"),
        ([tmp_path / "empty"], "holds no results.jsonl"),
        ([tmp_path / "torn"], "no finished problem"),
        ([tmp_path / "strange"], "is not a record"),
    ):
        with pytest.raises(UsageError, match=complaint):
            compare_runs(read_runs(folders))
    with pytest.raises(UsageError, match="none of the runs"):
        compare_runs(read_runs([cot]), baseline="nothing")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"samples": [["4", True]]}, "not a record"),
        ({"samples": 3}, "not a record"),
        ({"flops": "many"}, "flops is 'many'"),
        ({"generated_tokens": None}, "generated_tokens is None"),
        ({"generated_tokens": -1}, "generated_tokens is -1"),
    ],
)
def test_a_broken_record_is_named_by_its_line(runs: Path, change: dict[str, object], complaint: str) -> None:
    file = runs / "cot-1" / "results.jsonl"
    lines = file.read_text().splitlines()
    lines[4] = json.dumps({**json.loads(lines[4]), **change})
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UsageError, match="line 5") as caught:
        read_runs([runs / "cot-1"])
    assert complaint in str(caught.value)


def test_fields_of_later_versions_are_left_out(runs: Path) -> None:
    file = runs / "cot-1" / "results.jsonl"
    file.write_text(
        "".join(json.dumps({**json.loads(line), "new": 1}) + "\n" for line in file.read_text().splitlines())
    )
    assert len(read_runs([runs / "cot-1"])[0].records) == 40


def test_other_problems_have_nothing_in_common(runs: Path) -> None:
    results = Results(runs / "far", {"task": "toy", "strategy": "cot", "n": 1, "seed": 0})
    problem = Problem("far", "2 + 2", "4")
    evaluate([problem], TASK.grade, policy=FakePolicy(), search=STRATEGIES["cot"](1), results=results)
    with pytest.raises(UsageError, match="no problem in common"):
        compare_runs(read_runs([runs / "cot-1", runs / "far"]))


def test_the_command_prints_tables_and_json(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["compare", str(runs), "--baseline", "cot-1"]) == 0
    printed = capsys.readouterr().out
    assert "toy: 40 problems that every run was graded on" in printed
    assert "against cot-1, problem by problem (McNemar)" in printed
    assert all(name in printed for name in ("beam-4", "best_of_n-6", "self_consistency-6", "between"))
    assert max(map(len, printed.splitlines())) <= 80
    assert main(["compare", str(runs / "best_of_n-6"), str(runs / "self_consistency-6"), "--k", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out.splitlines()[-1])
    assert told["lines"][0]["seed_sd"] is None
    assert told["against"][0]["paired"]["test"] == "bootstrap"
    assert "expected of 3 samples each" in err
    assert main(["compare", str(runs / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_names_grow_until_they_differ(tmp_path: Path) -> None:
    for folder in ("a/run", "b/run"):
        keep(tmp_path / folder, "cot", 1, count=3)
    assert [run.name for run in read_runs([tmp_path / "a" / "run", tmp_path / "b" / "run"])] == ["a/run", "b/run"]


def test_records_keep_their_type(runs: Path) -> None:
    [run] = read_runs([runs / "best_of_n-6"])
    assert all(isinstance(row, Record) for row in run.records)
    assert run.selection == "naive"
