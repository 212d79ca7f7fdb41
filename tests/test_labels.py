import math

import pytest

from reason.policies.fake import FakePolicy, fake_problems
from reason.run import solve
from reason.training.labels import monte_carlo
from reason.types import Finish, Sampling, UsageError


def is_right(problem, text):
    return text.splitlines()[-1] == f"Answer: {problem.answer}"


def label(policy, *, problems=6, seed=0, **options):
    return solve(
        fake_problems(problems),
        policy=policy,
        search=monte_carlo(is_right, **options),
        sampling=Sampling(temperature=1.0),
        seed=seed,
        progress=False,
    )


def test_labels_converge_to_the_exact_chance_of_success():
    """In the toy world a right prefix with k lines to go succeeds with accuracy ** k, a wrong one never."""
    for outcome in label(FakePolicy(accuracy=0.7), completions=600):
        [labelled] = [c for c in outcome.candidates if c.steps]
        terms = [int(n) for n in outcome.problem.question.split(" + ")]
        running, right = terms[0], True
        for k, (step, value) in enumerate(zip(labelled.path.steps, labelled.steps, strict=True)):
            if k + 1 < len(terms):
                running += terms[k + 1]
                right = right and step.text.strip().endswith(f"= {running}")
                expected = 0.7 ** (len(terms) - 2 - k) if right else 0.0
                assert abs(value - expected) <= 4 * math.sqrt(0.25 / 600)
        assert labelled.steps[-1] == float(right) == labelled.score
        assert running == sum(terms)


def test_the_same_seed_gives_the_same_labels_and_hard_labels_are_any():
    soft, again = label(FakePolicy(accuracy=0.5)), label(FakePolicy(accuracy=0.5))
    assert [[c.steps for c in o.candidates] for o in soft] == [[c.steps for c in o.candidates] for o in again]
    hard = label(FakePolicy(accuracy=0.5), hard=True)
    for a, b in zip(soft, hard, strict=True):
        for left, right in zip(a.candidates, b.candidates, strict=True):
            assert right.steps == tuple(float(v > 0) for v in left.steps)


def test_a_prefix_shared_by_solutions_is_completed_once():
    policy = FakePolicy(accuracy=1.0)
    [outcome] = label(policy, problems=1, solutions=5, completions=3)
    labelled = [c for c in outcome.candidates if c.steps]
    completions = [c for c in outcome.candidates if not c.steps]
    assert len(labelled) == 5
    open_prefixes = len(labelled[0].path.steps) - 1
    assert len(completions) == 3 * open_prefixes
    assert all(c.path.finish is Finish.STOP for c in outcome.candidates)
    assert all(c.score == 1.0 for c in outcome.candidates)


@pytest.mark.parametrize("wrong", ["solutions", "completions", "max_steps"])
def test_counts_below_one_are_refused(wrong):
    with pytest.raises(UsageError, match=wrong):
        monte_carlo(is_right, **{wrong: 0})
