"""`reason grade`: what it writes, every option, and that an interrupted run continues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reason import grade_command
from reason.cli import main

ROWS: list[dict[str, Any]] = [
    {"id": 1, "gold": "1/2", "pred": "so \\boxed{0.5}"},
    {"id": 2, "gold": "5", "pred": "it is 6"},
    {"id": 3, "gold": "", "pred": "it is 6"},
    {"id": 4, "gold": 7.0, "pred": None},
    {"id": 5, "gold": "3 + 4 = 7\n#### 7", "pred": "Answer: 7"},
]


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "in.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def run(folder: Path, rows: list[dict[str, Any]], *options: str) -> list[dict[str, Any]]:
    source = written(folder, rows)
    assert main(["grade", "--in", str(source), "--out", str(folder / "out.jsonl"), *options]) == 0
    return [json.loads(line) for line in (folder / "out.jsonl").read_text("utf-8").splitlines()]


def verdicts(folder: Path, gold: str, pred: str, *options: str) -> list[str]:
    return [row["verdict"] for row in run(folder, [{"gold": gold, "pred": pred}], *options)]


def test_every_row_comes_back_with_its_verdict(tmp_path: Path) -> None:
    graded = run(tmp_path, ROWS)
    assert [row["verdict"] for row in graded] == ["correct", "incorrect", "gold_error", "no_answer", "correct"]
    first = graded[0]
    assert first.items() >= ROWS[0].items()
    assert first["extracted"] == "0.5"
    assert ROWS[0]["pred"][slice(*first["span"])] == "0.5"
    assert (first["tier"], first["method"]) == ("exact", "boxed")
    assert first["milliseconds"] > 0
    assert graded[2]["detail"] == "the gold answer is empty"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_the_summary_counts_scored_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, ROWS, "--json")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["rows"], told["scored"], told["correct"], told["accuracy"]) == (5, 4, 2, 0.5)
    assert told["verdicts"] == {"correct": 2, "incorrect": 1, "no_answer": 1, "gold_error": 1}
    assert told["tiers"] == {"exact": 5}
    run(tmp_path, ROWS)
    shown = capsys.readouterr().out
    assert "2 of 4 scored rows correct: 50.0%" in shown
    assert "gold_error" in shown


def test_an_empty_file_has_no_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, [], "--json") == []
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["rows"], told["accuracy"], told["median_ms"]) == (0, None, None)
    assert run(tmp_path, []) == []


@pytest.mark.parametrize(
    ("option", "gold", "pred", "without"),
    [
        (("--strict",), "5", "Answer: 5", "correct"),
        (("--percent-is-unit",), "20", r"20\%", "incorrect"),
        (("--decimals", "2"), "1/3", "0.33", "incorrect"),
        (("--tolerance", "0.01"), "3.16", "3.14", "incorrect"),
        (("--ordered",), "1, 2", r"\boxed{2, 1}", "correct"),
        (("--units-required",), "5 cm", "5", "correct"),
        (("--case-sensitive",), "Red", "red", "correct"),
        (("--exact-only",), r"\int_0^1 x\,dx", r"\frac{1}{2}", "correct"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_every_option_changes_a_verdict(
    tmp_path: Path, option: tuple[str, ...], gold: str, pred: str, without: str
) -> None:
    assert verdicts(tmp_path, gold, pred) == [without]
    (changed,) = verdicts(tmp_path, gold, pred, *option)
    assert (changed == "correct") != (without == "correct")


def test_fields_may_have_other_names(tmp_path: Path) -> None:
    graded = run(tmp_path, [{"answer": "5", "text": "it is 5"}], "--gold", "answer", "--pred", "text")
    assert graded[0]["verdict"] == "correct"


def test_an_interrupted_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = written(tmp_path, ROWS), tmp_path / "out.jsonl"
    arguments = ["grade", "--in", str(source), "--out", str(out)]
    real = grade_command.grade
    seen: list[str | None] = []

    def interrupted(gold: str | None, text: str | None, **options: Any) -> Any:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(text)
        return real(gold, text, **options)

    monkeypatch.setattr(grade_command, "grade", interrupted)
    assert main(arguments) == 130
    assert not out.exists()
    part = tmp_path / "out.jsonl.part"
    assert len(part.read_text("utf-8").splitlines()) == 3
    part.write_text(part.read_text("utf-8") + '{"id": 4, "cut', "utf-8")

    again: list[str | None] = []

    def counted(gold: str | None, text: str | None, **options: Any) -> Any:
        again.append(text)
        return real(gold, text, **options)

    monkeypatch.setattr(grade_command, "grade", counted)
    assert main(arguments) == 0
    assert len(again) == 2
    assert [json.loads(line)["id"] for line in out.read_text("utf-8").splitlines()] == [1, 2, 3, 4, 5]


def test_a_part_of_another_policy_or_input_is_not_continued(tmp_path: Path) -> None:
    source, out = written(tmp_path, ROWS[:1]), tmp_path / "out.jsonl"
    (tmp_path / "out.jsonl.part").write_text('{"verdict": "incorrect"}\n', "utf-8")
    (tmp_path / "out.jsonl.part.json").write_text("{}", "utf-8")
    assert main(["grade", "--in", str(source), "--out", str(out)]) == 0
    assert [json.loads(line)["verdict"] for line in out.read_text("utf-8").splitlines()] == ["correct"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: list, not an object"),
        ('{"gold": "1"}', "no field 'pred'"),
        ('{"gold": "1", "pred": ["a"]}', "the field 'pred' is"),
        ('{"gold": true, "pred": "a"}', "the field 'gold' is"),
        ('{"gold": NaN, "pred": "a"}', "the field 'gold' is"),
        ("[" * 100_000, "line 2: not JSON"),
    ],
    ids=["cut", "list", "missing", "array", "bool", "nan", "deep"],
)
def test_a_malformed_row_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, told: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"gold": "1", "pred": "1"}\n' + line + "\n", "utf-8")
    assert main(["grade", "--in", str(source), "--out", str(tmp_path / "out.jsonl")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--in", "missing.jsonl", "--out", "o"), "is not a file"),
        (("--in", "in.jsonl", "--out", "in.jsonl"), "is the input"),
        (("--in", "in.jsonl", "--out", "nowhere/o.jsonl"), "a folder that exists"),
        (("--in", "in.jsonl", "--out", "o", "--tolerance", "2"), "tolerance is 2"),
        (("--in", "in.jsonl", "--out", "o", "--decimals", "-1"), "decimals is -1"),
    ],
    ids=["missing", "same", "folder", "tolerance", "decimals"],
)
def test_wrong_use_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, ROWS)
    assert main(["grade", *options]) == 2
    assert told in capsys.readouterr().err


def test_text_that_is_no_utf8_or_holds_half_a_character_is_survived(tmp_path: Path) -> None:
    graded = run(tmp_path, [{"gold": "\ud800", "pred": "\ud800 \x00 \u202e5"}])
    assert graded[0]["verdict"] != "correct"
    source = tmp_path / "latin.jsonl"
    source.write_bytes(b'{"gold": "\xe9", "pred": "1"}\n')
    assert main(["grade", "--in", str(source), "--out", str(tmp_path / "o.jsonl")]) == 2
