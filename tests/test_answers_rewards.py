"""The reward function, called as TRL's trainers call it; and grading whole texts."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from reason.answers import Rules, gold_answer, grade
from reason.answers.rewards import answer_reward, completion_text
from reason.types import UsageError

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gsm8k_verifiers.py"

# What TRL passes besides the completions: everything by keyword, one entry per completion.
TRL = {"prompts": ["q"] * 4, "completion_ids": [[1], [2], [3], [4]], "trainer_state": None, "log_metric": print}


def test_texts_and_a_gold_column_give_floats() -> None:
    reward = answer_reward()
    found = reward(
        completions=[r"\boxed{0.5}", "Answer: 3", "no idea", "5"], answer=["1/2", "4", "4", None], level=[1] * 4, **TRL
    )
    assert found == [1.0, 0.0, 0.0, None]
    assert all(value is None or type(value) is float for value in found)


def test_conversations_are_read_by_their_last_assistant_message() -> None:
    completions = [
        [{"role": "assistant", "content": r"\boxed{5}"}],
        [
            {"role": "assistant", "content": "4"},
            {"role": "tool", "content": "5"},
            {"role": "assistant", "content": "6"},
        ],
        [{"role": "assistant", "content": [{"type": "text", "text": "Answer: "}, {"type": "text", "text": "5"}]}],
        [{"role": "assistant", "content": None}],
    ]
    assert answer_reward()(completions=completions, answer=["5"] * 4, **TRL) == [1.0, 0.0, 1.0, 0.0]
    assert completion_text([]) == ""
    assert completion_text([{"role": "user", "content": "5"}]) == ""


def test_every_argument_does_something() -> None:
    texts, gold = ["Answer: 20%", r"\boxed{20}"], ["20", "20"]
    assert answer_reward()(completions=texts, answer=gold) == [0.0, 1.0]
    assert answer_reward(rules=Rules(percent_is_unit=True))(completions=texts, answer=gold) == [1.0, 1.0]
    assert answer_reward(right=2.0, wrong=-1.0)(completions=texts, answer=gold) == [-1.0, 2.0]
    assert answer_reward(column="solution")(completions=texts, solution=["20%", "#### 20"]) == [1.0, 1.0]
    assert answer_reward(strict=True)(completions=["Answer: 5", r"\boxed{5}"], answer=["5", "5"]) == [0.0, 1.0]
    assert answer_reward(name="accuracy").__name__ == "accuracy"
    assert answer_reward(symbolic=False)(completions=[r"\boxed{\frac12}"], answer=[r"\int_0^1 x dx"]) == [0.0]


def test_wrong_use_is_refused() -> None:
    with pytest.raises(UsageError, match="needs the column 'answer', the batch has gold"):
        answer_reward()(completions=["1"], gold=["1"])
    with pytest.raises(UsageError, match="2 completions and 1 gold"):
        answer_reward()(completions=["1", "2"], answer=["1"])
    with pytest.raises(UsageError, match="right=nan"):
        answer_reward(right=math.nan)
    with pytest.raises(UsageError, match="got int"):
        answer_reward()(completions=[5], answer=["5"])


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("2 boys and 3 girls", "2 boys and 3 girls"),
        (r"So $x = \boxed{4}$.", "4"),
        ("3 + 4 = 7\n#### 7", "7"),
        ("The answer is 5.", "5"),
        ("We add.\nA: 18", "18"),
        ("  odd $n$ ", "odd $n$"),
        (None, None),
    ],
)
def test_a_gold_answer_may_be_a_solution_that_marks_it(gold: str | None, answer: str | None) -> None:
    assert gold_answer(gold) == answer


def test_a_text_that_is_the_gold_answer_is_correct() -> None:
    graded = grade("odd $n$", " odd $n$")
    assert graded.correct
    assert graded.extracted.answer == graded.gold == "odd $n$"
    assert not grade("odd $n$", "odd $n$", strict=True).correct


def test_gsm8k_figures_count_what_the_grader_says(tmp_path: Path) -> None:
    gsm8k_verifiers = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
    models = {key: {"solution": "so\nA: 18", "is_correct": True} for key in gsm8k_verifiers.MODELS}
    models["6b_finetuning"] = {"solution": "so\nA: 1,800", "is_correct": True}
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / gsm8k_verifiers.FILE).write_text(json.dumps({"ground_truth": "It is\nA: 18", **models}))
    rows = gsm8k_verifiers.load(tmp_path)
    found = gsm8k_verifiers.figures(rows)
    assert found["6b_finetuning"] == {"correct": 0, "percent": 0.0, "disagreements": 1}
    assert found["175b_verification"] == {"correct": 1, "percent": 100.0, "disagreements": 0}
    with pytest.raises(SystemExit, match="error: no example_model"):
        gsm8k_verifiers.load(tmp_path / "elsewhere")
