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


def test_arguments() -> None:
    with pytest.raises(UsageError, match="0 < accuracy"):
        FakePolicy(accuracy=0.0)
    with pytest.raises(UsageError, match="branch >= 1"):
        FakePolicy(branch=0)
