"""Tasks of one's own: a file of two columns, and reasoning-gym as a source of problems."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from json_rows import write

from reason.cli import main
from reason.evals import tasks
from reason.evals.stored import families_of
from reason.policies.fake import FakePolicy
from reason.types import MissingExtraError, UsageError


class TestOwnFiles:
    def test_two_columns_are_a_task(self, tmp_path: Path) -> None:
        file = write(tmp_path / "mine.jsonl", [{"frage": "1 + 1?", "antwort": 2}, {"frage": "?", "antwort": "x^2"}])
        task = tasks.load(str(file))
        problems = task.load()
        assert task.name == "mine"
        assert [(p.id, p.answer) for p in problems] == [("mine/test/0", "2"), ("mine/test/1", "x^2")]
        assert all(task.grade(problem, rf"\boxed{{{problem.answer}}}").correct for problem in problems)
        assert task.load(limit=1, seed=4) == task.load(limit=1, seed=4)
        assert isinstance(task, tasks.Task)

    def test_ids_families_worked_answers_and_other_columns(self, tmp_path: Path) -> None:
        rows = [
            {"id": "a", "question": "q", "answer": "so\n#### 1", "level": 3},
            {"family": "f", "question": "q", "answer": 2},
            {"family": "f", "question": "r", "answer": 3},
        ]
        problems = tasks.load(str(write(tmp_path / "mine.jsonl", rows))).load()
        assert [p.id for p in problems] == ["mine/test/a", "mine/test/f.0", "mine/test/f.1"]
        assert (problems[0].answer, problems[0].meta) == ("1", {"level": 3})
        assert families_of([p.id for p in problems]) == ["mine/test/a", "mine/test/f", "mine/test/f"]

    @pytest.mark.parametrize(
        ("row", "complaint"),
        [
            ({"a": "q", "b": "1", "c": 2}, "which columns of a, b, c"),
            ({"question": "", "answer": "1"}, "the question must be non-empty text"),
            ({"question": "q", "answer": [1]}, "write the answer as text or a number"),
        ],
    )
    def test_rows_that_are_not_clear(self, row: dict[str, Any], complaint: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"mine\.jsonl:1") as caught:
            tasks.load(str(write(tmp_path / "mine.jsonl", [row]))).load()
        assert complaint in str(caught.value)

    def test_misuse(self, tmp_path: Path) -> None:
        twice = write(tmp_path / "mine.jsonl", [{"id": 1, "question": "q", "answer": 1}] * 2)
        for arguments, complaint in (
            ({}, "occurs twice"),
            ({"data": "x"}, "leave --data out"),
            ({"split": "train"}, "no split 'train'"),
        ):
            with pytest.raises(UsageError, match=complaint):
                tasks.load(str(twice)).load(**arguments)
        with pytest.raises(UsageError, match="cannot be read"):
            tasks.load(str(tmp_path / "none.jsonl")).load()

    def test_reason_eval_takes_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("reason.resolve.find_policy", lambda name: FakePolicy(accuracy=1.0))
        rows = [{"question": f"{n} + 1", "answer": n + 1, "family": n % 2} for n in range(6)]
        file = write(tmp_path / "mine.jsonl", rows)
        assert main(["eval", str(file), "--strategy", "self_consistency", "--n", "3", "--json"]) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (told["task"], told["problems"], told["unscored"]) == ("mine", 6, 0)


class TestReasoningGym:
    def test_rows_become_problems_and_its_scorers_are_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Made(list):  # type: ignore[type-arg]
            def score_answer(self, *_: object) -> None:
                raise AssertionError("its scorers run model text")

        def create_dataset(name: str, *, size: int, seed: int) -> Made:
            if name != "legs":
                raise ValueError(f"unknown {name}")
            return Made({"question": f"legs {seed + i}?", "answer": str(4 * i)} for i in range(size))

        module = types.ModuleType("reasoning_gym")
        monkeypatch.setattr(module, "create_dataset", create_dataset, raising=False)
        monkeypatch.setitem(sys.modules, "reasoning_gym", module)
        task = tasks.load("reasoning_gym/legs")
        problems = task.load(limit=3, seed=5)
        assert [(p.id, p.question, p.answer) for p in problems][1] == ("reasoning_gym/legs/5/1", "legs 6?", "4")
        assert all(task.grade(problem, rf"\boxed{{{problem.answer}}}").correct for problem in problems)
        assert len(task.load()) == 500
        with pytest.raises(UsageError, match="cannot make the data set 'arms'"):
            tasks.load("reasoning_gym/arms").load()
        for arguments in ({"data": "x"}, {"split": "train"}, {"limit": 0}):
            with pytest.raises(UsageError):
                task.load(**arguments)

    def test_without_the_library_the_remedy_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "reasoning_gym", None)
        with pytest.raises(MissingExtraError, match="pip install reasoning-gym"):
            tasks.load("reasoning_gym/legs").load()
