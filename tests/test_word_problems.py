from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.evals import tasks
from reason.evals.tasks.word_problems import (
    EVENTS,
    LARGEST,
    MAX_STEPS,
    STARTS,
    TASK,
    WordProblems,
    generate,
)
from reason.types import UsageError

OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: Fraction(a, b),
}


@given(
    split=st.sampled_from(["train", "test", "templates"]),
    seed=st.integers(0, 5),
    index=st.integers(0, 10**9),
    steps=st.none() | st.integers(1, MAX_STEPS),
)
def test_every_solution_is_right_and_of_the_asked_difficulty(split, seed, index, steps):
    problem = generate(split, seed, index, steps=steps)
    assert len(problem.lines) == (steps or len(problem.lines)) <= MAX_STEPS
    for line in problem.lines:
        left, operator, right, _, result = line.split()
        assert OPERATIONS[operator](int(left), int(right)) == int(result)
        assert 1 <= int(result) <= LARGEST
    assert problem.lines[-1].endswith(f"= {problem.answer}")
    assert problem.solution.splitlines() == [*problem.lines, f"Answer: {problem.answer}"]


@given(seed=st.integers(0, 5), index=st.integers(0, 10**6))
def test_a_problem_is_a_function_of_split_seed_and_index(seed, index):
    assert generate("test", seed, index) == generate("test", seed, index)
    assert generate("test", seed, index) != generate("train", seed, index)


def test_numbers_of_a_solution_stand_in_the_question_or_were_computed():
    for index in range(300):
        problem = generate("test", 3, index)
        words = problem.question.replace(".", " ").replace(",", " ").replace("?", " ").split()
        known = {int(word) for word in words if word.isdigit()}
        for line in problem.lines:
            left, _, right, _, result = line.split()
            assert {int(left), int(right)} <= known
            known.add(int(result))


def test_the_templates_split_uses_no_training_sentence():
    from reason.evals.tasks import word_problems as module

    names = [name for name in vars(module) if name.isupper()]
    families = [
        value
        for name in names
        if isinstance(value := getattr(module, name), tuple)
        and len(value) == 2
        and all(isinstance(v, tuple) for v in value)
    ]
    assert len(families) == len(STARTS) + len(EVENTS) + 3
    for kept, held_out in families:
        assert kept
        assert held_out
        assert not set(kept) & set(held_out)


def test_all_difficulties_are_about_equally_frequent():
    counts = [0] * (MAX_STEPS + 1)
    for index in range(4000):
        counts[len(generate("train", 0, index).lines)] += 1
    assert counts[0] == 0
    assert min(counts[1:]) > 400


def test_the_task_grades_and_loads():
    task = tasks.load("word_problems")
    problems = task.load(limit=20, seed=7)
    assert [p.id for p in problems] == [f"word_problems/test/7/{i}" for i in range(20)]
    for problem in problems:
        assert task.grade(problem, problem.meta["solution"]).correct
        assert not task.grade(problem, f"Answer: {int(problem.answer) + 1}").correct
    assert len(TASK.load()) == 500
    assert {p.meta["steps"] for p in WordProblems(steps=4).load(limit=9)} == {4}


@pytest.mark.parametrize("wrong", [{"split": "dev"}, {"limit": 0}, {"data": "somewhere"}])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TASK.load(**wrong)
