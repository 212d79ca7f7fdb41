"""Tasks: loading from a file, a folder and the environment, subsets, malformed rows, grading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reason.answers import Grade
from reason.evals import tasks
from reason.evals.tasks import FileTask
from reason.evals.tasks.source import HubSource
from reason.types import UsageError

GSM8K = [
    {
        "question": f"Ada has {n} pens and buys 2. How many?",
        "answer": f"{n} + 2 = <<{n}+2={n + 2}>>{n + 2}\n#### {n + 2}",
    }
    for n in range(1, 21)
]
MATH500 = [
    {"problem": "What is $1/2 + 1/4$?", "answer": r"\frac{3}{4}", "subject": "Prealgebra", "level": 1},
    {"problem": "What percent of 50 is 10?", "answer": "20", "subject": "Prealgebra", "level": 2},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("REASON_DATA_DIR", raising=False)
    for name, rows in (("gsm8k", GSM8K), ("math500", MATH500)):
        write(tmp_path / name / "test.jsonl", rows)
    return tmp_path


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")


def test_a_file_its_folder_the_data_folder_and_the_environment_give_the_same_problems(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tasks.load("gsm8k")
    from_file = task.load(data=str(folder / "gsm8k" / "test.jsonl"))
    assert len(from_file) == 20
    assert (from_file[0].id, from_file[0].answer, from_file[0].meta["steps"]) == ("gsm8k/test/0", "3", 1)
    assert task.load(data=str(folder / "gsm8k")) == from_file
    assert task.load(data=str(folder)) == from_file
    monkeypatch.setenv("REASON_DATA_DIR", str(folder))
    assert task.load() == from_file


def test_a_limit_draws_a_seeded_subset_in_order(folder: Path) -> None:
    task = tasks.load("gsm8k")
    every = task.load(data=str(folder))
    some = task.load(data=str(folder), limit=5, seed=1)
    assert some == task.load(data=str(folder), limit=5, seed=1)
    assert some != task.load(data=str(folder), limit=5, seed=2)
    assert [problem for problem in every if problem in some] == some
    assert task.load(data=str(folder), limit=99) == every


def test_gsm8k_grades_its_own_format_and_others(folder: Path) -> None:
    task = tasks.load("gsm8k")
    problem = task.load(data=str(folder))[0]
    assert task.grade(problem, "1 + 2 = 3\n#### 3").correct
    assert task.grade(problem, "1 + 2 = 3\nAnswer: 3").correct
    assert task.grade(problem, r"She has \boxed{3} pens.").correct
    assert task.grade(problem, "She has 4 pens.").verdict is Grade.INCORRECT
    assert task.grade(problem, "I have no idea how to do this one.").verdict is Grade.NO_ANSWER


def test_math500_takes_percent_as_the_unit_where_the_question_asks_for_it(folder: Path) -> None:
    task = tasks.load("math500")
    fraction, percent = task.load(data=str(folder))
    assert task.grade(fraction, r"\boxed{0.75}").correct
    assert not task.grade(fraction, r"\boxed{\frac{3}{4}\%}").correct
    assert task.grade(percent, r"\boxed{20\%}").correct
    assert percent.meta == {"subject": "Prealgebra", "level": 2}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("not json", "not JSON"),
        ("[1, 2]", "a list, not an object"),
        ('{"question": "q"}', "'answer' is missing"),
        ('{"question": "q", "answer": "no marker"}', "#### N"),
        ('{"question": "", "answer": "#### 3"}', "non-empty text"),
        ('{"question": 5, "answer": "#### 3"}', "non-empty text"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(folder: Path, line: str, complaint: str) -> None:
    path = folder / "bad.jsonl"
    path.write_text(json.dumps(GSM8K[0]) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.jsonl:3") as caught:
        tasks.load("gsm8k").load(data=str(path))
    assert complaint in str(caught.value)


def test_missing_and_empty_data_are_refused_with_the_remedy(folder: Path) -> None:
    task = tasks.load("gsm8k")
    with pytest.raises(UsageError, match="does not exist"):
        task.load(data=str(folder / "nowhere"))
    with pytest.raises(UsageError, match="holds none of the files"):
        task.load(data=str(folder / "math500"), split="train")
    (folder / "empty.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="has no rows"):
        task.load(data=str(folder / "empty.jsonl"))
    (folder / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        task.load(data=str(folder / "binary.jsonl"))
    with pytest.raises(UsageError, match="no split 'dev'"):
        task.load(data=str(folder), split="dev")
    with pytest.raises(UsageError, match="limit is 0"):
        task.load(data=str(folder), limit=0)


def test_without_data_and_without_the_hub_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(UsageError, match=r"--data PATH .* REASON_DATA_DIR"):
        tasks.load("gsm8k").load()


def test_a_hub_that_fails_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    class Hub:
        @staticmethod
        def load_dataset(*_: object, **__: object) -> None:
            raise OSError("no\nnetwork")

    monkeypatch.setitem(__import__("sys").modules, "datasets", Hub)
    with pytest.raises(UsageError, match=r"openai/gsm8k could not be loaded from the hub \(no network\): pass --data"):
        tasks.load("gsm8k").load()


def test_rows_from_the_hub_are_problems_too(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    asked: list[tuple[object, ...]] = []

    class Hub:
        @staticmethod
        def load_dataset(name: str, config: str | None, split: str) -> list[dict[str, Any]]:
            asked.append((name, config, split))
            return GSM8K

    monkeypatch.setitem(__import__("sys").modules, "datasets", Hub)
    assert len(tasks.load("gsm8k").load(split="train")) == 20
    assert asked == [("openai/gsm8k", "main", "train")]


def test_names_resolve_through_the_table_or_module_and_object() -> None:
    assert tasks.load("math500").name == "math500"
    assert tasks.load("reason.evals.tasks.gsm8k:TASK").name == "gsm8k"
    for name, complaint in (
        ("gsm9k", "use one of word_problems, gsm8k, math500"),
        ("no_such_module:TASK", "cannot be imported"),
        ("reason.evals.tasks.gsm8k:NOTHING", "cannot be imported"),
        ("reason.evals.tasks.gsm8k:problem_of", "is not a task"),
        ("reason.evals.tasks:FileTask", "is not a task"),
    ):
        with pytest.raises(UsageError, match=complaint):
            tasks.load(name)


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
def test_every_task_has_what_the_command_line_needs(name: str) -> None:
    task = tasks.load(name)
    assert isinstance(task, tasks.Task)
    assert task.name == name
    assert task.splits


def test_a_task_of_ones_own_is_one_expression(tmp_path: Path) -> None:
    from reason.types import Problem

    write(tmp_path / "mine.jsonl", [{"q": "1+1?", "a": "2"}])
    task = FileTask("mine", lambda row, identity: Problem(identity, row["q"], row["a"]), HubSource("nobody/mine"))
    [problem] = task.load(data=str(tmp_path))
    assert task.grade(problem, "The answer is 2.").correct
