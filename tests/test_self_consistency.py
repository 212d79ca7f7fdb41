"""Self-consistency."""

from __future__ import annotations

from collections import Counter

import pytest
from recording import recorder

from reason.policies.fake import fake_problems
from reason.search import self_consistency
from reason.types import UsageError


@pytest.mark.parametrize("seed", range(8))
def test_is_the_majority_of_what_was_sampled(seed):
    problem = fake_problems(1)[0]
    record = recorder(0.5, seed=seed)
    outcome = record.solve(self_consistency(9), problem)
    answers = [path.text.rsplit("Answer: ")[1] for path in record.results]
    [(best, count)] = Counter(answers).most_common(1)
    assert (outcome.answer, outcome.confidence) == (best, pytest.approx(count / 9))
    assert [item.answer for item in outcome.candidates] == answers
    assert record.batches == [9]
    assert record.judged == []


def test_failed_samples_do_not_vote():
    outcome = recorder(fail=lambda index: index < 6).solve(self_consistency(9), fake_problems(1)[0])
    assert len(outcome.candidates) == 3
    assert sum(item.weight for item in outcome.candidates) == 3


def test_the_budget_leaves_the_majority_of_what_was_paid_for():
    outcome = recorder(steps_left=4).solve(self_consistency(9), fake_problems(1)[0])
    assert (len(outcome.candidates), outcome.stopped) == (4, "budget")
    assert outcome.answer is not None


def test_one_sample_at_least():
    with pytest.raises(UsageError, match="n=0: must be an integer of at least 1; pass n=1 or more"):
        self_consistency(0)
