"""Rows written and read back are the same, bit by bit."""

from __future__ import annotations

import builtins
import json
import math
import pathlib
import tempfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.rows import check_file, write_rows
from reason.types import MissingExtraError, UsageError

COLUMNS = {"id": "text", "seed": "whole", "value": "real", "done": "truth", "tokens": "wholes", "logprobs": "reals"}
WHOLE, REAL = st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": TEXT,
            "seed": st.none() | WHOLE,
            "value": st.none() | REAL,
            "done": st.booleans(),
            "tokens": st.lists(WHOLE, max_size=5),
            "logprobs": st.lists(REAL, max_size=5),
        }
    ),
    max_size=20,
)


def read(file: pathlib.Path) -> list[dict[str, Any]]:
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    return rows


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@settings(deadline=None, max_examples=30)
@given(ROWS)
def test_round_trip(suffix: str, rows: list[dict[str, Any]]) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / f"rows{suffix}"
        assert write_rows(file, COLUMNS, iter(rows)) == len(rows)  # type: ignore[arg-type]
        found = read(file)
    assert found == rows
    assert repr([[row[name] for name in COLUMNS] for row in found]) == repr(
        [[row[name] for name in COLUMNS] for row in rows]
    )  # -0.0 too


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_unknown_numbers_are_null_and_any_text_survives(suffix: str, tmp_path: pathlib.Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    file = tmp_path / f"rows{suffix}"
    rows = [{"id": "a\u2028b\ud800", "value": math.nan, "logprobs": (0.1, math.nan)}]
    write_rows(file, {"id": "text", "value": "real", "logprobs": "reals"}, rows)
    [found] = read(file)
    assert (found["value"], found["logprobs"]) == (None, [0.1, None])
    assert found["id"] == ("a\u2028b\ud800" if suffix == ".jsonl" else "a\u2028b?")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rows.csv", "neither .jsonl nor .parquet"),
        ("there.jsonl", "exists: pass another file"),
        ("no/rows.jsonl", "is no folder: make it first"),
        ("x" * 5000 + ".jsonl", "cannot be written"),
    ],
)
def test_files_that_cannot_be_written_are_refused(name: str, said: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "there.jsonl").write_text("mine")
    with pytest.raises(UsageError, match=said):
        check_file(tmp_path / name)
    with pytest.raises(UsageError, match=said):
        write_rows(tmp_path / name, {"id": "text"}, [])
    assert [file.name for file in tmp_path.iterdir()] == ["there.jsonl"]
    assert (tmp_path / "there.jsonl").read_text() == "mine"


def test_replacing(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "there.jsonl"
    file.write_text("old")
    assert write_rows(file, {"id": "text"}, [{"id": "new"}], replace=True) == 1
    assert read(file) == [{"id": "new"}]


def test_rows_that_fail_leave_nothing(tmp_path: pathlib.Path) -> None:
    def rows():  # type: ignore[no-untyped-def]
        yield {"id": "a"}
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError):
        write_rows(tmp_path / "rows.jsonl", {"id": "text"}, rows())
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"reason-toolkit\[parquet\]"):
        check_file(tmp_path / "rows.parquet")
