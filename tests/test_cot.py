"""Chain of thought."""

from __future__ import annotations

from recording import recorder

from reason.policies.fake import fake_problems
from reason.search import STRATEGIES, cot
from reason.types import Finish


def test_greedy_takes_the_likeliest_line_every_time():
    problem = fake_problems(1)[0]
    record = recorder(0.4)
    outcome = record.solve(cot(), problem)
    assert outcome.answer == problem.answer
    assert outcome.path is outcome.candidates[0].path
    assert outcome.confidence == 1.0
    assert (len(record.extended), record.judged) == (1, [])


def test_sampling_differs_between_seeds():
    problem = fake_problems(1, terms=6)[0]
    texts = {recorder(0.4, seed=seed).solve(cot(greedy=False), problem).path.text for seed in range(5)}
    assert len(texts) > 1


def test_failure_and_budget_are_data():
    problem = fake_problems(1)[0]
    failed = recorder(fail=lambda index: True).solve(cot(), problem)
    assert (failed.answer, failed.path, failed.candidates, failed.stopped) == (None, None, (), "done")
    unpaid = recorder(steps_left=0).solve(cot(), problem)
    assert (unpaid.answer, unpaid.candidates, unpaid.stopped) == (None, (), "budget")


def test_a_sampled_chain_is_closed():
    outcome = recorder().solve(cot(greedy=False), fake_problems(1)[0])
    assert outcome.path.finish is Finish.STOP


def test_needs_nothing():
    assert STRATEGIES["cot"](16).needs == frozenset()
