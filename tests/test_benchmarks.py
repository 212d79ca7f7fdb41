"""The benchmarks: made-up rows in each published format, and every task's own gold answers score 1.0."""

from __future__ import annotations

import json
import os
import random
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_rows import write

from reason.answers import Grade
from reason.evals import tasks
from reason.evals.stored import families_of
from reason.evals.tasks import game24
from reason.evals.tasks.countdown import LARGEST, SMALLEST, Countdown, generate
from reason.evals.tasks.task import boxed_answer, number_text
from reason.scorers.game24 import Game24, Puzzle, parse_expression, reachable, right
from reason.types import Problem, UsageError

DATA = Path(os.environ.get("REASON_DATA_DIR", "/nowhere"))

ROWS: dict[str, list[dict[str, Any]]] = {
    "gsm8k": [{"question": "Ann has 3 pens and buys 4. How many?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"}],
    "gsm_symbolic": [
        {"id": template, "instance": instance, "question": f"{instance} and 2?", "answer": f"so\n#### {instance + 2}"}
        for template in (4, 9)
        for instance in range(3)
    ],
    "gsm_hard": [
        {"input": "Ann has 3,141,592 pens. How many?", "code": "raise SystemExit", "target": 3141592.0},
        {"input": "A sixth of them?", "code": "", "target": 0.16666666666666666},
    ],
    "svamp": [
        {"ID": "x-1", "Body": "Ann has 3 pens", "Question": "How many pens?", "Answer": 3.0, "Type": "Addition"},
        {"ID": "x-2", "Body": "If Ann has 2.5 l,", "Question": "how many ml?", "Answer": "2500", "Type": "Other"},
    ],
    "asdiv": [
        {"body": "Ann has 9 apples.", "question": "How many?", "answer": "9 (apples)", "solution_type": "Addition"},
        {"body": "", "question": "How many of each?", "answer": "5 (dimes); 3 (nickels)", "formula": ""},
    ],
    "mawps": [
        {"input": "Ann had 2.75 dollars. How many?", "target": 2.75, "type": "addsub", "idx": 0},
        {"id": "m", "question": "Ann had 4. How many?", "result": "4", "chain": "<gadget>", "expression": "4"},
    ],
    "math500": [{"problem": "What is $1/2$?", "answer": r"\frac{1}{2}", "subject": "Algebra", "level": 2}],
    "math": [
        {"problem": "What is $2^5$?", "solution": r"It is $\boxed{32}$.", "level": "Level 1", "type": "Algebra"},
        {"problem": "What?", "solution": r"\boxed{\frac{1}{\sqrt{2}}}", "level": "Level ?", "type": "Number Theory"},
    ],
    "aime24": [{"id": 60, "problem": "Find n.", "solution": "…", "answer": "033", "url": "u", "year": "2024"}],
    "aime25": [{"problem": "Find m.", "answer": "588", "id": "0"}],
    "amc23": [{"id": 0, "question": "Find k.", "answer": "27.0", "url": "u"}, {"question": "Find l.", "answer": 36.0}],
    "olympiadbench": [
        {
            "question": "Find $x$.",
            "context": "Let $x^2=4$.",
            "final_answer": ["$2,-2$"],
            "subfield": "Algebra",
            "answer_type": "Numerical",
            "unit": None,
        },
        {"question": "Find $n$.", "context": None, "final_answer": ["$2^{k-n}$"], "is_multiple_answer": False},
    ],
    "minerva": [
        {"problem": "How far?", "solution": r"So $\boxed{1.6} \mathrm{~cm}$.", "type": "Astronomy", "idx": 0},
        {"question": "How long?", "answer": r"3.5e-4"},
    ],
    "commonsenseqa": [
        {
            "id": "q",
            "question": "Where do you put a plate?",
            "question_concept": "plate",
            "choices": {"label": list("ABCDE"), "text": ["table", "sky", "the river", "A. shoe", "ear"]},
            "answerKey": "A",
        }
    ],
    "game24": [{"Rank": str(rank), "Puzzles": "4 9 10 13", "AMT (s)": "4.4"} for rank in range(899, 903)],
}
SPLIT = {"game24": "all"}
WRITTEN = {"boxed": r"So the answer is \boxed{%s}.", "hashes": "so\n#### %s", "line": "so\nAnswer: %s"}


def load(name: str, folder: Path, split: str | None = None) -> list[Problem]:
    task = tasks.load(name)
    stem = {"game24": "24"}.get(name, split or task.splits[0])
    write(folder / name / f"{stem}.jsonl", ROWS[name])
    return task.load(data=str(folder), split=split)


def gold(task: tasks.Task, problem: Problem) -> str:
    return WRITTEN[task.answer_format] % problem.answer


def test_every_benchmark_is_tried_here() -> None:
    generated = {"word_problems", "countdown"}
    elsewhere = {"processbench", "prmbench", "best_of_n"}
    assert set(ROWS) == set(tasks.TASKS) - generated - elsewhere


@pytest.mark.parametrize("name", ROWS)
def test_the_gold_answers_score_1_and_others_0(name: str, tmp_path: Path) -> None:
    task = tasks.load(name)
    problems = load(name, tmp_path, SPLIT.get(name))
    assert len(problems) == len(ROWS[name])
    assert len({problem.id for problem in problems}) == len(problems)
    for problem in problems:
        assert task.grade(problem, gold(task, problem)).correct
        assert not task.grade(problem, gold(task, Problem("p", "q", "123454321"))).correct


@pytest.mark.parametrize("name", [name for name in ROWS if name != "word_problems"])
def test_local_data_where_there_is_some(name: str) -> None:
    task = tasks.load(name)
    try:
        problems = task.load(data=str(DATA))
    except UsageError as error:
        pytest.skip(f"no local data: {error}")
    wrong = [problem.id for problem in problems if not task.grade(problem, gold(task, problem)).correct]
    assert not wrong


def test_what_the_rows_become(tmp_path: Path) -> None:
    answers = {name: [p.answer for p in load(name, tmp_path, SPLIT.get(name))] for name in ROWS}
    assert answers["gsm_hard"] == ["3141592", "0.16666666666666666"]
    assert answers["svamp"] == ["3", "2500"]
    assert answers["asdiv"] == ["9", "5, 3"]
    assert answers["mawps"] == ["2.75", "4"]
    assert answers["math"] == ["32", r"\frac{1}{\sqrt{2}}"]
    assert answers["aime24"] == ["33"]
    assert answers["amc23"] == ["27", "36"]
    assert answers["minerva"] == ["1.6", "3.5e-4"]
    questions = [problem.question for problem in load("svamp", tmp_path)]
    assert questions == ["Ann has 3 pens. How many pens?", "If Ann has 2.5 l, how many ml?"]
    assert load("olympiadbench", tmp_path)[0].question == "Let $x^2=4$.\n\nFind $x$."
    assert load("asdiv", tmp_path)[1].question == "How many of each?"


def test_the_templates_of_gsm_symbolic_are_families(tmp_path: Path) -> None:
    problems = load("gsm_symbolic", tmp_path, "p1")
    assert [problem.id for problem in problems][:3] == [f"gsm_symbolic/p1/4.{instance}" for instance in range(3)]
    assert families_of([problem.id for problem in problems]) == ["gsm_symbolic/p1/4"] * 3 + ["gsm_symbolic/p1/9"] * 3


def test_math_by_level_and_subject(tmp_path: Path) -> None:
    every = load("math", tmp_path)
    task = tasks.load("math")
    assert task.load(data=str(tmp_path), split="level1") == every[:1]
    assert task.load(data=str(tmp_path), split="number_theory") == every[1:]
    assert [problem.meta["level"] for problem in every] == [1, None]
    with pytest.raises(UsageError, match="no problem of the split 'level5'"):
        task.load(data=str(tmp_path), split="level5")


def test_the_paper_s_puzzles_are_ranks_901_to_1000(tmp_path: Path) -> None:
    task = tasks.load("game24")
    load("game24", tmp_path, "all")
    assert [problem.meta["rank"] for problem in task.load(data=str(tmp_path))] == [901, 902]
    assert [problem.meta["rank"] for problem in task.load(data=str(tmp_path), split="train")] == [899, 900]
    table = tmp_path / "csv" / "24.csv"
    table.parent.mkdir()
    table.write_text("Rank,Puzzles,AMT (s)\r\n" + "".join(f"{rank},1 1 4 6,4.4\r\n" for rank in range(899, 903)))
    found = task.load(data=str(table.parent))
    assert [problem.id for problem in found] == ["game24/all/2", "game24/all/3"]
    assert found[0].meta == {"numbers": [1, 1, 4, 6], "target": 24, "rank": 901}


def test_puzzles_are_graded_by_rule_and_the_rule_is_the_verifier(tmp_path: Path) -> None:
    from reason.resolve import find_scorer

    task: Any = tasks.load("game24")
    [puzzle] = load("game24", tmp_path, "all")[:1]
    for text, grade in (
        ("Answer: (10 - 4) * (13 - 9) = 24", Grade.CORRECT),
        ("10 - 4 = 6 (left: 6 9 13)\n13 - 9 = 4 (left: 4 6)\n4 * 6 = 24 (left: 24)", Grade.CORRECT),
        ("Answer: (10 - 4) * 4 = 24", Grade.INCORRECT),
        ("Answer: 10 + 4 + 9 + 13", Grade.INCORRECT),
        ("Answer: 24", Grade.NO_ANSWER),
        ("no idea", Grade.NO_ANSWER),
        ("__import__('os').system('true')", Grade.NO_ANSWER),
    ):
        assert task.grade(puzzle, text).verdict is grade, text
        assert task.check(puzzle, text) == (grade is Grade.CORRECT)
    assert find_scorer("verifier", task=task) is not None
    written = Puzzle((4, 9, 10, 13), 24)
    assert right("(10 - 4) * (13 - 9)", written) == (True, "(10 - 4) * (13 - 9) = 24")
    assert not right("(10 - 4) * 4", written, every=False)[0]
    assert Game24(every=False) is not None


@settings(deadline=None)
@given(st.lists(st.integers(1, 13), min_size=4, max_size=4))
def test_a_solution_is_found_just_where_there_is_one(numbers: list[int]) -> None:
    found = game24.solution(tuple(numbers), 24)
    possible = reachable(tuple(sorted(map(Fraction, numbers))), Fraction(24), True)
    assert (found is not None) == possible
    if found is not None:
        parsed = parse_expression(found)
        assert parsed is not None
        assert (parsed.value, sorted(parsed.numbers)) == (24, sorted(numbers))


def test_countdown_is_a_function_of_split_seed_and_index() -> None:
    task = tasks.load("countdown")
    problems = task.load(limit=60, seed=3)
    assert problems == task.load(seed=3)[:60]
    assert not {p.question for p in problems} & {p.question for p in task.load(limit=60, seed=3, split="train")}
    for problem in problems:
        assert task.grade(problem, f"Answer: {problem.answer}").correct
        assert task.grade(problem, f"{problem.answer} = {problem.meta['target']}").correct
        assert not task.grade(problem, f"{problem.answer} + 1").correct
        assert SMALLEST <= problem.meta["target"] <= LARGEST
    assert {len(problem.meta["numbers"]) for problem in problems} == {3, 4, 5, 6}
    assert {len(p.meta["numbers"]) for p in Countdown(count=4).load(limit=9)} == {4}
    for call in (
        lambda: task.load(limit=0),
        lambda: task.load(data="x"),
        lambda: task.load(split="dev"),
        lambda: Countdown(count=9).load(),
    ):
        with pytest.raises(UsageError):
            call()


@settings(deadline=None)
@given(st.integers(), st.integers(3, 6))
def test_a_countdown_puzzle_has_its_solution(seed: int, count: int) -> None:
    numbers, target, expression = generate(random.Random(seed), count)
    parsed = parse_expression(expression)
    assert parsed is not None
    assert parsed.value == target
    assert all(parsed.numbers.count(number) <= numbers.count(number) for number in parsed.numbers)


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("The answer is (A).", Grade.CORRECT),
        ("Answer: A", Grade.CORRECT),
        (r"\boxed{A}", Grade.CORRECT),
        (r"\boxed{\text{A}}", Grade.CORRECT),
        ("Answer: A. table", Grade.CORRECT),
        ("Answer: table", Grade.CORRECT),
        ("It goes on it.\n(A)", Grade.CORRECT),
        ("Answer: B", Grade.INCORRECT),
        ("Answer: The river", Grade.INCORRECT),
        ("Answer: Z", Grade.NO_ANSWER),
        ("I do not know", Grade.NO_ANSWER),
        ("", Grade.NO_ANSWER),
    ],
)
def test_a_choice_is_named_by_letter_or_text(text: str, grade: Grade, tmp_path: Path) -> None:
    [problem] = load("commonsenseqa", tmp_path)
    assert tasks.load("commonsenseqa").grade(problem, text).verdict is grade
    assert "(C) the river" in problem.question


@pytest.mark.parametrize(
    ("name", "row", "complaint"),
    [
        ("gsm_hard", {"input": "q", "target": None}, "must be a number"),
        ("gsm_hard", {"input": "q", "target": True}, "must be a number"),
        ("svamp", {"Body": "", "Question": "q", "Answer": 1}, "'Body' must be non-empty"),
        ("asdiv", {"body": "b", "question": "q", "answer": "(apples)"}, "has no value"),
        ("mawps", {"input": 3, "target": 1}, "must be non-empty text"),
        ("mawps", {"target": 1}, "'input' is missing"),
        ("math", {"problem": "p", "solution": "none", "type": "t"}, "must hold the answer"),
        ("aime24", {"problem": "", "answer": 3}, "must be non-empty text"),
        ("aime25", {"problem": "p"}, "'answer' is missing"),
        ("olympiadbench", {"question": "q", "final_answer": []}, "must be a list of texts"),
        ("olympiadbench", {"question": "q", "final_answer": "2"}, "must be a list of texts"),
        ("minerva", {"problem": 1, "solution": r"\boxed{1}"}, "must be non-empty text"),
        ("commonsenseqa", {"question": "q", "choices": {"label": ["A"], "text": ["t"]}, "answerKey": "B"}, "none of"),
        ("game24", {"Puzzles": "4"}, "at least two whole numbers"),
        ("game24", {"Puzzles": "a b c d"}, "invalid literal"),
        ("gsm_symbolic", {"question": "q", "answer": "#### 1", "id": 3}, "'instance' is missing"),
    ],
)
def test_malformed_rows(name: str, row: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [row])
    with pytest.raises(UsageError, match=rf"rows\.jsonl:1: not a {name} row") as caught:
        tasks.load(name).load(data=str(file))
    assert complaint in str(caught.value)


def test_files_may_be_arrays_tables_and_have_other_folders(tmp_path: Path) -> None:
    rows = ROWS["minerva"]
    (tmp_path / "minerva_math").mkdir()
    (tmp_path / "minerva_math" / "test.json").write_text(json.dumps(rows, indent=1))
    assert len(tasks.load("minerva").load(data=str(tmp_path))) == 2
    lines = tmp_path / "lines.json"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(tasks.load("minerva").load(data=str(lines))) == 2
    table = tmp_path / "rows.csv"
    table.write_text('question,answer\r\n"one, or\r\ntwo?",2\r\n', newline="")
    assert tasks.load("minerva").load(data=str(table))[0].question == "one, or\r\ntwo?"
    for name, text, complaint in (
        ("bad.json", "[1]", r"bad\.json\[0\]: a int"),
        ("cut.json", "[{}", "not JSON"),
        ("wide.csv", "a,b\n1,2,3\n", "more cells"),
        ("torn.csv", 'a,b\n"1,2\n', "not CSV"),
        ("none.csv", "a,b\n", "has no rows"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match=complaint):
            tasks.load("minerva").load(data=str(tmp_path / name))


class Hub:
    """Stands for the hub's client and notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.rows: list[dict[str, Any]] = []

    def load_dataset(self, name: str, config: str | None, split: str) -> list[dict[str, Any]]:
        self.asked.append((name, config, split))
        return self.rows


@pytest.mark.parametrize(
    ("name", "split", "asked"),
    [
        ("gsm_symbolic", "p2", [("apple/GSM-Symbolic", "p2", "test")]),
        ("gsm_hard", None, [("reasoning-machines/gsm-hard", None, "train")]),
        ("svamp", None, [("ChilleD/SVAMP", None, "test")]),
        ("asdiv", None, [("EleutherAI/asdiv", None, "validation")]),
        ("aime24", None, [("HuggingFaceH4/aime_2024", None, "train")]),
        ("olympiadbench", None, [("Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train")]),
        ("commonsenseqa", None, [("tau/commonsense_qa", None, "validation")]),
    ],
)
def test_where_the_hub_has_them(
    name: str, split: str | None, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub()
    hub.rows = ROWS[name]
    monkeypatch.delenv("REASON_DATA_DIR", raising=False)
    monkeypatch.setitem(sys.modules, "datasets", hub)  # type: ignore[arg-type]
    assert len(tasks.load(name).load(split=split)) == len(ROWS[name])
    assert hub.asked == asked


def test_math_on_the_hub_is_seven_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    hub.rows = ROWS["math"]
    monkeypatch.delenv("REASON_DATA_DIR", raising=False)
    monkeypatch.setitem(sys.modules, "datasets", hub)  # type: ignore[arg-type]
    problems = tasks.load("math").load()
    assert len(problems) == 14 == len({problem.id for problem in problems})
    assert [config for _, config, _ in hub.asked][:2] == ["algebra", "counting_and_probability"]
    with pytest.raises(UsageError, match="game24 is not on the hub"):
        tasks.load("game24").load()


def test_numbers_as_gold_answers() -> None:
    for value, text in ((145.0, "145"), (1e6, "1000000"), (-3, "-3"), (0.1, "0.1"), (1e-7, "0.0000001"), (" 7 ", "7")):
        assert number_text(value) == text
    for bad in (None, True, float("nan"), float("inf"), "", [1]):
        with pytest.raises(ValueError, match="must be a number"):
            number_text(bad)
    assert boxed_answer(r"\boxed{1} then \boxed{2}.") == "2"
