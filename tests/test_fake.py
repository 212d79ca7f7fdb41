"""The toy world is what its docstring says, so that what is proved on it is proved."""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.policies.fake import EOS, FakePolicy, FakeScorer, correct_lines, fake_problems, terms_of
from reason.types import Finish, Path, Problem, Sampling, Step, Until, UsageError

PROBLEM = Problem("p", "2 + 3 + 4", "9")


def draw(policy: FakePolicy, path: Path, **sampling: object) -> Path:
    return path.then(asyncio.run(policy.extend([path], Sampling(**sampling)))[0])  # type: ignore[arg-type]


def solutions(policy: FakePolicy, question: str) -> dict[str, float]:
    """Every solution and its probability, by walking `lines`."""
    found, open_texts = dict[str, float](), {"": 1.0}
    while open_texts:
        longer = dict[str, float]()
        for text, odds in open_texts.items():
            for line, chance in policy.lines(question, text):
                (longer if line.endswith("\n") else found)[text + line] = odds * chance
        open_texts = longer
    return found


def test_the_tree_is_finite_and_its_optimum_known() -> None:
    policy = FakePolicy(accuracy=0.6, branch=3)
    found = solutions(policy, PROBLEM.question)
    assert len(found) == 3**2
    assert math.isclose(sum(found.values()), 1.0)
    right = [text for text in found if text.endswith("Answer: 9")]
    assert right == ["2 + 3 = 5\n5 + 4 = 9\nAnswer: 9"]
    assert math.isclose(found[right[0]], 0.6**2)


def test_samples_follow_their_probabilities() -> None:
    policy = FakePolicy(accuracy=0.6, branch=3)
    expected = solutions(policy, PROBLEM.question)
    paths = [Path(PROBLEM, seed=seed) for seed in range(4000)]
    steps = asyncio.run(policy.extend(paths, Sampling(temperature=1.0)))
    counts = Counter(step.text for step in steps)
    assert set(counts) == set(expected)
    chi_square = sum((counts[text] - 4000 * odds) ** 2 / (4000 * odds) for text, odds in expected.items())
    assert chi_square < 26.1  # the 99.9 % point of 8 degrees of freedom
    for step in steps[:50]:
        assert math.isclose(step.logprob, math.log(expected[step.text]))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 12), limit=st.integers(1, 60))
def test_pieces_join_to_a_solution(seed: int, size: int, limit: int) -> None:
    policy, path = FakePolicy(), Path(PROBLEM)
    known = solutions(policy, PROBLEM.question)
    while path.open and len(path.token_ids) < limit:
        before = len(path.token_ids)
        path = draw(policy, path.seeded(seed), until=Until.STEP, max_step_tokens=size, max_tokens=limit)
        assert 0 < len(path.token_ids) - before <= min(size, limit - before)
    assert any(text.startswith(path.text) for text in known)
    if path.complete:
        assert math.isclose(path.logprob, math.log(known[path.text]), abs_tol=1e-9)
        assert path.token_ids == (*path.text.encode(), EOS)
    else:
        assert len(path.token_ids) == limit


def test_greedy_and_filters() -> None:
    policy = FakePolicy(accuracy=0.6, branch=3)
    for setting in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.5}, {"min_p": 0.9}):
        texts = {draw(policy, Path(PROBLEM, seed=seed), **setting).text for seed in range(30)}
        assert texts == {"2 + 3 = 5\n5 + 4 = 9\nAnswer: 9"}
    assert len({draw(policy, Path(PROBLEM, seed=seed), temperature=1.0).text for seed in range(99)}) == 9


def test_finishes() -> None:
    policy = FakePolicy()
    assert draw(policy, Path(PROBLEM)).finish is Finish.STOP
    assert draw(policy, Path(PROBLEM), until=Until.STEP).finish is Finish.STEP
    assert draw(policy, Path(PROBLEM), max_tokens=4).finish is Finish.LENGTH
    assert draw(policy, Path(PROBLEM), until=Until.STEP, max_step_tokens=4).finish is Finish.STEP


def test_any_question_is_a_problem() -> None:
    assert terms_of("What is love?") == terms_of("What is love?") != terms_of("What is life?")
    assert draw(FakePolicy(accuracy=1.0), Path(Problem("1", "What is love?"))).complete
    assert {problem.answer for problem in fake_problems(9)} == {
        str(sum(terms_of(problem.question))) for problem in fake_problems(9)
    }


def test_scores_judge_lines() -> None:
    scorer = FakeScorer(good=0.8, bad=0.3)
    path = Path(PROBLEM).then(Step("2 + 3 = 5\n5 + 4 = 10\n")).then(Step("Answer: 10", finish=Finish.STOP))
    score = scorer.score(path)
    assert (score.value, score.steps, score.parts) == (0.3, (0.3, 0.3), (0.8, 0.3, 0.3))
    assert score.tokens == scorer.count_tokens(path)
    assert scorer.score(path).tokens == 0
    assert correct_lines(PROBLEM.question, "2 + 3 = 5\n5 + 4 = 9\nAnswer: 9") == [True, True, True]
    assert FakeScorer(noise=0.2).score(path) == FakeScorer(noise=0.2).score(path)


def test_spans_ignore_lines_and_add_up() -> None:
    policy, path, sizes = FakePolicy(accuracy=1.0), Path(PROBLEM), list[int]()
    while path.open:
        path = draw(policy, path, until=Until.SPAN, max_step_tokens=7)
        sizes.append(len(path.steps[-1].token_ids))
    assert (path.text, path.finish) == ("2 + 3 = 5\n5 + 4 = 9\nAnswer: 9", Finish.STOP)
    assert sizes == [7, 7, 7, 7, 2]
    sampled = {draw(FakePolicy(), Path(PROBLEM, seed=s), until=Until.SPAN, max_step_tokens=12).text for s in range(40)}
    assert len(sampled) > 3
    assert all(len(text) == 12 for text in sampled)


def test_stop_strings_and_step_ends() -> None:
    policy = FakePolicy(accuracy=1.0)
    stopped = draw(policy, Path(PROBLEM), stop=("4 = ",))
    assert (stopped.text, stopped.finish, stopped.steps[-1].tail) == ("2 + 3 = 5\n5 + ", Finish.STOP, 4)
    assert stopped.token_ids == tuple(b"2 + 3 = 5\n5 + 4 = ")
    whole = draw(policy, stopped.reopened())
    assert whole.text == draw(policy, Path(PROBLEM)).text
    assert draw(policy, Path(PROBLEM), until=Until.STEP, step_end=("= ",)).text == "2 + 3 = "
    split = Path(PROBLEM).then(Step("2 + 3 =", tuple(b"2 + 3 =")))
    assert draw(policy, split, stop=("= 5",)).steps[-1].text == ""


def test_forced_text_begins_the_solution_anew() -> None:
    policy = FakePolicy(accuracy=1.0)
    ended = draw(policy, Path(PROBLEM))
    assert ended.steps[-1].tail == 1
    again = draw(policy, ended.reopened().forced("\nWait, "))
    assert again.text == ended.text + "\nWait, \n" + ended.text
    assert correct_lines(PROBLEM.question, again.text) == [True] * 3 + [False] + [True] * 3
    assert correct_lines(PROBLEM.question, "2 + 3 = 6\n\n6 + 4 = 10\nno\n2 + 3 = 5") == [False] * 4 + [True]
    assert policy.count_tokens("Wait") == 4
    limited = draw(policy, Path(PROBLEM).forced("2 + 3 = 5\n"), max_tokens=13)
    assert len(limited.steps[-1].token_ids) == 3


def test_questions_around_a_sum() -> None:
    for question in ("2 + 3 + 14", "Add 2 + 3 + 14.", "Task: 2 + 3 + 14\nFirst try:\n2 + 3 = 5\n5 + 14 = 20"):
        assert terms_of(question) == [2, 3, 14]
    assert terms_of("2 + 3 = 5") == terms_of("2 + 3 = 5")
    assert len(terms_of("12 + 30 = 42")) == 3


def test_confidences_are_means_over_the_possible_bytes() -> None:
    policy = FakePolicy(accuracy=0.6, branch=3)
    for count, expected in ((1, -math.log(0.6)), (2, -math.log(0.6 * 0.2) / 2), (-1, -math.log(0.6 * 0.2 * 0.2) / 3)):
        step = draw(policy, Path(PROBLEM), until=Until.STEP, confidence=count).steps[-1]
        sure = step.confidences
        assert len(sure) == len(step.token_ids)
        assert math.isclose(sure[8], expected)
        assert set(sure[:8]) | set(sure[9:]) == {0.0}
    assert draw(policy, Path(PROBLEM)).steps[-1].confidences == ()
    assert FakePolicy().capabilities.confidences
    assert draw(FakePolicy(logprobs=False), Path(PROBLEM), confidence=2).steps[-1].confidences == ()


def test_choices_are_the_probabilities_of_what_may_follow() -> None:
    policy = FakePolicy(accuracy=0.6, branch=3)
    start, later = Path(PROBLEM), Path(PROBLEM).forced("2 + 3 = 5\n5 +")
    options = ["2 + 3 = 5", "2 + 3 = 6\n6 + 4 = 10\n", "2 + 3 =", "", "?!", " 4 = 9\nAnswer: 9"]
    first, second = asyncio.run(policy.choices([start, later], options))
    unlikely = -math.log(257)
    assert first == pytest.approx([math.log(0.6), math.log(0.2 * 0.6), 0.0, 0.0, 2 * unlikely, 16 * unlikely])
    assert second[-1] == pytest.approx(math.log(0.6))


def test_comparisons_prefer_more_right_lines() -> None:
    scorer = FakeScorer(good=0.8, bad=0.3)
    right = Path(PROBLEM).then(Step("2 + 3 = 5\n5 + 4 = 9\nAnswer: 9", finish=Finish.STOP))
    half = Path(PROBLEM).then(Step("2 + 3 = 5\n5 + 4 = 10\nAnswer: 10", finish=Finish.STOP))
    wrong = Path(PROBLEM).then(Step("2 + 3 = 6\n6 + 4 = 10\nAnswer: 10", finish=Finish.STOP))
    pairs = [(right, wrong), (wrong, right), (half, wrong), (right, half), (half, half)]
    scores = asyncio.run(scorer.compare(pairs))
    assert [score.value for score in scores] == [0.8, 0.3, 0.8, 0.8, 0.55]
    noisy = FakeScorer(noise=0.4)
    values = [score.value for score in asyncio.run(noisy.compare(pairs))]
    assert values == [score.value for score in asyncio.run(noisy.compare(pairs))] != [0.9, 0.1, 0.9, 0.9, 0.5]


def test_arguments() -> None:
    with pytest.raises(UsageError, match="0 < accuracy"):
        FakePolicy(accuracy=0.0)
    with pytest.raises(UsageError, match="branch >= 1"):
        FakePolicy(branch=0)
