"""Benchmarks of scorers: formats, the published figures against brute force, failures, and the command."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest

from reason.cli import main
from reason.evals import tasks
from reason.evals.scorer_bench import (
    BATCH,
    best_of,
    best_threshold,
    first_below,
    first_error,
    judge_all,
    kind_of,
    sample_paths,
    step_path,
    step_values,
    valid_steps,
)
from reason.types import BackendError, Finish, Path, Problem, Score, UsageError

PROCESS = [
    {
        "id": f"gsm8k-{index}",
        "generator": "g",
        "problem": f"What is {index} + 1?",
        "steps": ["We add.", f"{index} + 1 = {index + 2 * (index % 2)}", "That is it."],
        "final_answer_correct": False,
        "label": label,
    }
    for index, label in enumerate([1, -1, 0, -1, 2])
]
PRM = [
    {
        "idx": "a",
        "original_question": "q",
        "original_process": ["s"],
        "question": "What?",
        "modified_question": "What now?",
        "modified_process": ["one", "two", "three"],
        "modified_steps": [2],
        "error_steps": wrong,
        "reason": "r",
        "classification": kind,
    }
    for wrong, kind in (([2], "circular"), ([1, 3], "circular"), ([], "multi_solutions"))
]
BEST = [
    {"question": "1 + 1?", "answer": "2", "samples": ["Answer: 2", "Answer: 3", "Answer: 2"]},
    {"prompt": "Say hi", "chosen": ["hi"], "rejected": ["no", "bye"], "subset": "Focus", "id": "1"},
    {
        "question": "2 + 1?",
        "ground_truth": "2 + 1 = <<2+1=3>>3\nA: 3",
        "6b": {"is_correct": False, "solution": "It is 4.\nA: 4"},
        "175b": {"is_correct": True, "solution": "It is three.\nA: 3"},
        "other": {"is_correct": True, "solution": "They are 3 in all.\nA: 3"},
    },
]


class Words:
    """Values each step, and the whole, by the number of its letters."""

    def __init__(self, broken: frozenset[str] = frozenset(), steps: bool = True) -> None:
        self.broken, self.steps = broken, steps

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        if any(path.problem.question in self.broken for path in paths):
            raise RuntimeError("out of\nmemory")
        found = [tuple(len(step.text.strip()) / 20 for step in path.steps) for path in paths]
        return [Score(values[-1], values if self.steps else ()) for values in found]


def write(path: FilePath, rows: list[dict[str, Any]]) -> FilePath:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def load(name: str, folder: FilePath) -> list[Problem]:
    rows = {"processbench": PROCESS, "prmbench": PRM, "best_of_n": BEST}[name]
    return tasks.load(name).load(data=str(write(folder / f"{name}.jsonl", rows)))


def test_the_gold_answers_score_1(tmp_path: FilePath) -> None:
    for name in ("processbench", "prmbench", "best_of_n"):
        task = tasks.load(name)
        for problem in load(name, tmp_path):
            verdict = task.grade(problem, rf"\boxed{{{problem.answer}}}")
            assert verdict.correct or problem.answer is None
            assert not task.grade(problem, r"\boxed{77}").correct


def test_what_the_rows_become(tmp_path: FilePath) -> None:
    process, prm, best = (load(name, tmp_path) for name in ("processbench", "prmbench", "best_of_n"))
    assert [problem.answer for problem in process] == ["1", "-1", "0", "-1", "2"]
    assert "<paragraph_2>\nThat is it.\n</paragraph_2>" in process[0].question
    assert [problem.answer for problem in prm] == ["1", "0", "-1"]
    assert [problem.meta["valid"] for problem in prm][:2] == [[True, False, True], [False, True, False]]
    assert prm[0].meta["problem"] == "What now?"
    assert [problem.answer for problem in best] == ["2", None, "3"]
    assert best[1].meta["samples"] == [("hi", True), ("no", False), ("bye", False)]
    assert best[2].meta["samples"][1] == ("It is three.\nA: 3", True)
    assert [kind_of(rows) for rows in (process, prm, best)] == ["first_error", "valid_steps", "best_of_n"]
    with pytest.raises(UsageError, match="measure no scorer"):
        kind_of([Problem("p", "q", "1")])


def test_steps_are_a_path_of_paragraphs_without_the_gold_answer(tmp_path: FilePath) -> None:
    path = step_path(load("processbench", tmp_path)[0])
    assert [step.text for step in path.steps] == ["We add.\n\n", "0 + 1 = 0\n\n", "That is it."]
    assert [step.finish for step in path.steps] == [Finish.STEP, Finish.STEP, Finish.STOP]
    assert (path.problem.question, path.problem.answer) == ("What is 0 + 1?", None)


def test_first_error_f1_is_the_harmonic_mean_of_the_two_accuracies() -> None:
    generator = np.random.default_rng(0)
    values = [generator.random(generator.integers(1, 6)) for _ in range(80)]
    labels = [int(generator.integers(-1, len(row))) for row in values]
    for threshold in (0.1, 0.4, 0.8):
        found = [next((i for i, v in enumerate(row) if v < threshold), -1) for row in values]
        assert found == [first_below(row, threshold) for row in values]
        wrong = [a == b for a, b in zip(found, labels, strict=True) if b >= 0]
        right = [a == b for a, b in zip(found, labels, strict=True) if b < 0]
        accuracies = sum(wrong) / len(wrong), sum(right) / len(right)
        told = first_error([*values, None], [*labels, 0], threshold)
        assert (told.on_wrong, told.on_right) == pytest.approx(accuracies)
        assert told.f1 == pytest.approx(2 * accuracies[0] * accuracies[1] / sum(accuracies) if sum(accuracies) else 0.0)
        assert told.low <= told.f1 <= told.high
        assert (told.problems, told.unscored) == (80, 1)
    perfect = [np.array([1.0] * 3) if label < 0 else np.array([1.0] * label + [0.0]) for label in (2, -1, 0)]
    assert first_error(perfect, [2, -1, 0], 0.5).f1 == 1.0
    assert first_error(perfect[:2], [2, 1], 0.5).on_right != first_error(perfect[:2], [2, 1], 0.5).on_right  # NaN
    assert math.isnan(first_error([None], [1], 0.5).f1)


def test_the_prm_score_is_the_mean_of_both_f1s() -> None:
    generator = np.random.default_rng(1)
    values = [generator.random(5) for _ in range(40)]
    labels = [(generator.random(5) < 0.7).tolist() for _ in range(40)]
    kinds = ["a" if place % 2 else "b" for place in range(40)]
    told = valid_steps([*values, None], [*labels, [True]], [*kinds, "a"], 0.4)

    def f1(taken: list[bool], truth: list[bool]) -> float:
        both = sum(a and b for a, b in zip(taken, truth, strict=True))
        precision, recall = both / sum(taken), both / sum(truth)
        return 2 * precision * recall / (precision + recall)

    taken = [bool(v >= 0.4) for row in values for v in row]
    truth = [bool(v) for row in labels for v in row]
    expected = f1(taken, truth), f1([not v for v in taken], [not v for v in truth])
    assert (told.f1_valid, told.f1_wrong) == pytest.approx(expected)
    assert told.score == pytest.approx(sum(expected) / 2)
    assert told.low < told.score < told.high
    assert (set(told.kinds), told.problems, told.unscored) == ({"a", "b"}, 40, 1)
    half = [place for place in range(40) if place % 2]
    alone = valid_steps([values[i] for i in half], [labels[i] for i in half], ["a"] * 20, 0.4)
    assert told.kinds["a"] == pytest.approx(alone.score)
    assert math.isnan(valid_steps([None], [[True]], ["a"], 0.5).score)


def test_the_best_threshold_is_the_best_of_those_tried() -> None:
    values = [np.array([0.9, 0.8]), np.array([0.9, 0.3]), None]
    labels = [-1, 1, -1]
    best = best_threshold(values, lambda threshold: first_error(values, labels, threshold).f1)
    assert first_error(values, labels, best).f1 == 1.0
    assert math.isnan(best_threshold(values, lambda _: math.nan))


def test_best_of_n_is_the_scorers_choice_over_all_subsets(tmp_path: FilePath) -> None:
    problems = load("best_of_n", tmp_path)
    paths = [sample_paths(problem) for problem in problems]
    scores = [asyncio.run(Words().judge(own)) for own in paths]
    told = best_of(problems, scores, tasks.load("best_of_n"))
    assert told["k"] == [1, 2, 3]
    # 2 of 3 right, all values equal; the right one is the shortest but one; the longest of 3 is right
    assert told["naive"]["mean"][2] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert told["pass"]["mean"] == pytest.approx([(2 / 3 + 1 / 3 + 2 / 3) / 3, (1 + 2 / 3 + 1) / 3, 1.0])
    assert told["majority"]["mean"][2] == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert 0 <= told["auc_within"] <= 1


def test_a_batch_that_fails_is_unscored_and_the_rest_goes_on(tmp_path: FilePath) -> None:
    problems = load("processbench", tmp_path) * (BATCH // 5 + 1)
    marked = [*problems[:BATCH], Problem("x", "broken", "0", {"steps": ["a"], "problem": "broken", "label": 0})]
    done: list[int] = []
    scores = judge_all(Words(frozenset({"broken"})), [step_path(problem) for problem in marked], done.append)
    assert done == [BATCH, BATCH + 1]
    assert (scores[-1].error, scores[0].error) == ("out of memory", None)
    values = step_values(marked, scores)
    assert values[-1] is None
    assert values[0] is not None
    with pytest.raises(BackendError, match="judged nothing: out of memory"):
        judge_all(Words(frozenset({"broken"})), [step_path(marked[-1])])
    with pytest.raises(UsageError, match="no values for steps"):
        step_values(problems, judge_all(Words(steps=False), [step_path(problem) for problem in problems]))


@pytest.mark.parametrize(
    ("name", "row", "complaint"),
    [
        ("processbench", {"problem": "p", "steps": ["a"], "label": 1}, "neither -1 nor the index of one of 1"),
        ("processbench", {"problem": "p", "steps": "a", "label": 0}, "must be a list of texts"),
        ("processbench", {"problem": "p", "steps": ["a"], "label": True}, "neither -1"),
        ("prmbench", {"question": "p", "modified_process": ["a"], "error_steps": [2]}, "not numbers from 1 to 1"),
        ("prmbench", {"question": "p", "error_steps": []}, "'modified_process' is missing"),
        ("best_of_n", {"question": "p"}, "there are no samples"),
        ("best_of_n", {"question": "p", "samples": ["a"]}, "no label and there is no answer"),
        ("best_of_n", {"question": "p", "samples": [3]}, "a sample must be text"),
        ("best_of_n", {"question": "", "samples": ["a"]}, "must be non-empty text"),
    ],
)
def test_malformed_rows(name: str, row: dict[str, Any], complaint: str, tmp_path: FilePath) -> None:
    with pytest.raises(UsageError, match=rf"rows\.jsonl:1: not a {name} row") as caught:
        tasks.load(name).load(data=str(write(tmp_path / "rows.jsonl", [row])))
    assert complaint in str(caught.value)


class TestCommand:
    @pytest.fixture(autouse=True)
    def scorer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def found(name: str, **options: object) -> Words:
            assert options["aggregate"] in (None, "min")
            return Words(steps=name == "process")

        monkeypatch.setattr("reason.resolve.find_scorer", found)
        monkeypatch.setenv("COLUMNS", "80")

    def run(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
        assert main(["score", *map(str, arguments), "--json"]) == 0
        out, err = capsys.readouterr()
        assert max(map(len, err.splitlines())) <= 80
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told

    def test_steps(self, tmp_path: FilePath, capsys: pytest.CaptureFixture[str]) -> None:
        data = write(tmp_path / "gsm8k.jsonl", PROCESS)
        told = self.run(capsys, "processbench", "--data", data)
        assert (told["kind"], told["problems"], told["at"]["threshold"]) == ("first_error", 5, 0.5)
        assert told["hindsight"]["f1"] >= told["at"]["f1"]
        other = self.run(capsys, "processbench", "--data", data, "--threshold", 0.36)
        assert other["at"] != told["at"]
        assert self.run(capsys, "processbench", "--data", data, "--limit", 3, "--seed", 1)["problems"] == 3

    def test_valid_steps(self, tmp_path: FilePath, capsys: pytest.CaptureFixture[str]) -> None:
        told = self.run(capsys, "prmbench", "--data", write(tmp_path / "test.jsonl", PRM), "--threshold", 0.2)
        assert told["kind"] == "valid_steps"
        assert set(told["at"]["kinds"]) == {"circular", "multi_solutions"}

    def test_samples(self, tmp_path: FilePath, capsys: pytest.CaptureFixture[str]) -> None:
        data = write(tmp_path / "test.jsonl", BEST)
        told = self.run(capsys, "best_of_n", "--data", data, "--scorer", "outcome", "--aggregate", "min")
        assert told["naive"]["mean"][0] == pytest.approx(told["pass"]["mean"][0])

    def test_options_that_do_not_fit(self, tmp_path: FilePath, capsys: pytest.CaptureFixture[str]) -> None:
        steps, samples = write(tmp_path / "gsm8k.jsonl", PROCESS), write(tmp_path / "best.jsonl", BEST)
        for arguments, complaint in (
            (["best_of_n", "--data", samples, "--threshold", 0.5], "leave it out with best_of_n"),
            (["processbench", "--data", steps, "--aggregate", "min"], "this benchmark is of steps"),
            (["processbench", "--data", steps, "--scorer", "outcome"], "no values for steps"),
            (["processbench", "--data", steps, "--split", "test"], "no split 'test'"),
            (["word_problems", "--limit", 2], "measure no scorer"),
        ):
            assert main(["score", *map(str, arguments)]) == 2
            assert complaint in capsys.readouterr().err
