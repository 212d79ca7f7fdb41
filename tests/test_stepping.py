"""What step searches share: what is left of them where every step fails, and what a refused step is worth."""

from __future__ import annotations

import pytest
from recording import recorder

from reason.policies.fake import FakePolicy, fake_problems
from reason.run import solve
from reason.search import STRATEGIES
from reason.search.select import judge_unique, worth_judging
from reason.types import Finish, Path, Problem, Score, Step
from reason.work import Judge

PROBLEM = Problem("p", "1 + 2")
SCRIPT = {"": "So\n", "So\n": "The sum is 7.\nAnswer: 7\n"}


class Failing(FakePolicy):
    """Says two steps, then fails."""

    async def extend(self, paths, sampling):
        failed = Step("", finish=Finish.ERROR, error="down")
        return [Step(SCRIPT[path.text], (1,), finish=Finish.STEP) if path.text in SCRIPT else failed for path in paths]


class Even:
    """Everything is as good."""

    async def judge(self, paths):
        return [Score(0.5, (0.5,) * len(path.steps)) for path in paths]


@pytest.mark.parametrize("name", ["beam", "dvts", "lookahead", "particles", "particle_gibbs", "best_first"])
def test_where_every_step_of_a_level_fails_the_answer_is_read_from_the_steps_before(name):
    [outcome] = solve([PROBLEM], policy=Failing(), scorer=Even(), search=STRATEGIES[name](8))
    assert (outcome.answer, outcome.stopped) == ("7", "done")
    assert outcome.path.text == SCRIPT[""] + SCRIPT["So\n"]
    assert outcome.failures


REFUSED = Path(PROBLEM, (Step("Answer: 7\n", finish=Finish.STEP), Step("", finish=Finish.BUDGET)))
CUT = Path(PROBLEM, (Step("So\n", finish=Finish.STEP), Step("Answer: 7", finish=Finish.BUDGET)))


def test_what_the_budget_refused_is_not_judged_and_has_its_parents_score():
    assert worth_judging(CUT)
    assert not worth_judging(REFUSED)
    assert judged([REFUSED, CUT], {}) == ([CUT], [None, 0.2])
    known = {("Answer: 7\n", Finish.STEP): Score(0.9)}
    assert judged([REFUSED, CUT], known) == ([CUT], [0.9, 0.2])


def judged(paths, known):
    """Which paths are judged, as 0.2, and the scores."""
    run, asked = judge_unique(paths, known), []
    try:
        work = next(run)
        while True:
            assert isinstance(work, Judge)
            asked += work.paths
            work = run.send([Score(0.2)] * len(work.paths))
    except StopIteration as stop:
        return asked, [score.value if score.scored else None for score in stop.value]


@pytest.mark.parametrize("name", ["beam", "dvts", "lookahead", "particles", "best_first", "mcts"])
@pytest.mark.parametrize("steps", [3, 9, 20, 40])
def test_no_step_that_the_budget_refused_is_judged(name, steps):
    record = recorder(0.4, steps_left=steps)
    record.solve(STRATEGIES[name](16), fake_problems(1, terms=5)[0])
    assert record.judged
    assert all(path.steps[-1].text for path in record.judged)
