"""The grader on other graders' own test cases and on benchmarks' gold answers, where that data is at hand."""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reason.answers import Grade, Rules, equal, extract
from reason.evals import tasks

SHARED = Path(os.environ.get("REASON_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def rows(path: str) -> list[dict[str, Any]]:
    file = SHARED / path
    if not file.exists():
        pytest.skip(f"{file} is not here; set REASON_SHARED to a folder that holds {path}")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def graded(case: dict[str, Any]) -> bool:
    precision = case.get("precision")
    rules = Rules(decimals=precision) if isinstance(precision, int) else Rules()
    return equal(extract(case["gold"]).answer, extract(case["pred"]).answer, rules=rules).correct


def test_untagged_cases_of_other_graders() -> None:
    cases = [case for case in rows("grader/cases.jsonl") if not (case.get("tag") or case.get("tags"))]
    results = [(graded(case), case["expected"]) for case in cases]
    right = sum(got == expected for got, expected in results)
    assert right / len(cases) >= 0.98
    assert not [case["gold"] for case, (got, expected) in zip(cases, results, strict=True) if got and not expected]


FILES = {
    "math500": "math500", "math": "math", "gsm8k": "gsm8k", "svamp": "svamp", "minerva": "minerva_math",
    "olympiadbench": "olympiadbench", "mawps": "mawps",
}  # fmt: skip


@pytest.mark.parametrize("name", list(FILES))
def test_gold_answers_grade_themselves_correct(name: str) -> None:
    rows(f"data/{FILES[name]}/test.jsonl")
    task = tasks.load(name)
    wrong = []
    for problem in task.load(data=str(SHARED / "data" / FILES[name])):
        verdict = task.grade(problem, rf"So it is \boxed{{{problem.answer}}}.")
        if not verdict.correct:
            assert verdict.verdict is not Grade.GOLD_ERROR or verdict.reason
            wrong += [problem.answer] * verdict.scored
    assert not wrong


def test_recorded_gsm8k_solutions_give_the_published_verifier_figures() -> None:
    rows("data/gsm8k/example_model_solutions.jsonl")
    script = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "gsm8k_verifiers.py")))
    found = script.figures(script.load(SHARED / "data"))
    assert [row["percent"] for row in found.values()] == [21.7, 39.0, 34.7, 56.3]
    assert [row["disagreements"] for row in found.values()] == [0, 0, 0, 0]


@pytest.mark.parametrize("name", ["gsm8k", "math500"])
def test_reference_solutions_are_graded_correct(name: str) -> None:
    rows(f"data/{name}/test.jsonl")
    task = tasks.load(name)
    for problem in task.load(data=str(SHARED / "data")):
        text = problem.meta["solution"] + (f"\n#### {problem.answer}" if name == "gsm8k" else "")
        assert task.grade(problem, text).correct, problem.id
