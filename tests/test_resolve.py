"""Names to scorers: the task's own rule, and names that cannot be."""

from __future__ import annotations

import asyncio

import pytest

from reason.policies.fake import fake_problems
from reason.resolve import find_policy, find_scorer, scorer_choices
from reason.scorers import ArithmeticVerifier, Pairs
from reason.types import Finish, Path, Problem, Step, UsageError
from toy import Toy


class Checked(Toy):
    """A task with a rule of its own."""

    def check(self, problem: Problem, text: str) -> bool:
        return text.endswith("!")


class Arithmetical(Toy):
    checkable = True


class ArithmeticalChecked(Checked):
    checkable = True


def solution(text: str) -> Path:
    return Path(fake_problems(1)[0], (Step(text, finish=Finish.STOP),))


@pytest.mark.parametrize("checkable", [False, True])
def test_the_verifier_is_the_tasks_own_rule(checkable: bool) -> None:
    task = Checked()
    task.checkable = checkable
    scorer = find_scorer("verifier", task=task)
    scores = asyncio.run(scorer.judge([solution("2 + 2 = 5!"), solution("2 + 2 = 4")]))
    assert [score.value for score in scores] == [1.0, 0.0]
    assert "verifier" in scorer_choices(task)


def test_it_is_so_within_other_scorers() -> None:
    right, wrong = solution("2 + 2 = 5!"), solution("2 + 2 = 4")
    scores = asyncio.run(find_scorer("verifier+verifier", task=Checked()).judge([right, wrong]))
    assert [score.value for score in scores] == [1.0, 0.0]
    pairs = find_scorer("pairs:verifier", task=Checked())
    assert isinstance(pairs, Pairs)
    assert [score.value for score in asyncio.run(pairs.judge([right, wrong]))] == [1.0, 0.0]
    mixed = find_scorer("arithmetic+verifier", task=ArithmeticalChecked())
    [score] = asyncio.run(mixed.judge([solution("2 + 2 = 5\nyes!")]))
    assert score.value == 0.5


def test_without_one_it_recomputes_the_arithmetic() -> None:
    for task in (None, Arithmetical()):
        assert isinstance(find_scorer("verifier", task=task), ArithmeticVerifier)
    assert isinstance(find_scorer("arithmetic", task=Arithmetical()), ArithmeticVerifier)
    with pytest.raises(UsageError, match="the task toy has no rule"):
        find_scorer("verifier", task=Toy())
    with pytest.raises(UsageError, match="the task toy has no rule"):
        find_scorer("arithmetic", task=Checked())


def test_a_rule_has_nothing_to_aggregate() -> None:
    for task in (None, Checked()):
        with pytest.raises(UsageError, match="leave aggregate out"):
            find_scorer("verifier", aggregate="min", task=task)


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 300 + "/y", "math-shepherd:" + "x" * 5000])
def test_a_very_long_name_is_wrong_use(name: str) -> None:
    with pytest.raises(UsageError) as error:
        find_scorer(name)
    assert "Errno" not in str(error.value)


def test_a_very_long_name_of_a_model_is_wrong_use() -> None:
    with pytest.raises(UsageError) as error:
        find_policy("x" * 5000)
    assert "Errno" not in str(error.value)


def test_an_error_of_the_system_names_the_scorer_and_what_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str, **_: object) -> None:
        raise OSError(36, "File name too long", name)

    monkeypatch.setattr("reason.scorers.load_scorer", fails)
    with pytest.raises(UsageError) as error:
        find_scorer("x" * 5000)
    assert "cannot be loaded (File name too long): pass --scorer process" in str(error.value)
    assert len(str(error.value)) < 300
