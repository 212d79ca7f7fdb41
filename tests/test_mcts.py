"""MCTS against brute force, a golden tree, and what it may never do.

`REASON_GOLDEN=write pytest tests/test_mcts.py` rewrites the golden tree.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path as File

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import optimum, recorder

from reason.policies.fake import FakePolicy, FakeScorer, correct_lines, fake_problems
from reason.search import ab_mcts, mcts, simulate
from reason.search.mcts import FINALS, VALUES
from reason.search.spending import Spending
from reason.search.tree import Tree
from reason.search.units import SENTENCE_ENDS, UNITS
from reason.search.visits import most_visited, visit_shares
from reason.types import Finish, Path, Problem, Step, UsageError

GOLDEN = File(__file__).parent / "golden" / "mcts.json"


@pytest.mark.parametrize("seed", range(4))
def test_with_enough_simulations_it_finds_the_optimum(seed):
    problem = fake_problems(1, terms=4, seed=seed)[0]
    record = recorder(0.4, noise=0.9, seed=seed)
    best, value = optimum(record.policy, record.scorer, problem)
    outcome = record.solve(mcts(400, exploration=1.0, bound=math.inf), problem)
    assert outcome.path.text == best
    assert max(candidate.score for candidate in outcome.candidates) == value
    assert len(outcome.candidates) > 10


@pytest.mark.parametrize("rule", ["puct", "uct"])
@pytest.mark.parametrize("widening", [None, (1.0, 0.5), (4.0, 0.25)])
@pytest.mark.parametrize("unit", UNITS)
def test_every_rule_and_unit_finds_the_optimum(rule, widening, unit):
    problem = fake_problems(1, terms=3, seed=5)[0]
    record = recorder(0.4, noise=0.9, seed=3)
    best, value = optimum(record.policy, record.scorer, problem)
    search = mcts(300, rule=rule, widening=widening, unit=unit, span=9, exploration=1.0, bound=math.inf)
    outcome = record.solve(search, problem)
    assert outcome.path.text == best
    assert max(candidate.score for candidate in outcome.candidates) == value
    lengths = {len(path.steps[-1].token_ids) for path in record.results if path.open}
    assert (
        max(lengths) == 9 if unit == "span" else all(path.text.endswith("\n") for path in record.results if path.open)
    )


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 12),
    branch=st.integers(1, 5),
    rule=st.sampled_from(["puct", "uct"]),
    widening=st.tuples(st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([0.0, 0.3, 0.7, 1.0])),
    unit=st.sampled_from(UNITS),
    value=st.sampled_from(VALUES),
    seed=st.integers(0, 999),
)
def test_no_node_is_wider_than_its_visits_allow(n, branch, rule, widening, unit, value, seed):
    record = recorder(0.5, noise=0.9, seed=seed)
    search = mcts(n, branch, rule=rule, widening=widening, unit=unit, span=8, wave=1, value=value)
    tree = record.solve(search, fake_problems(1, seed=seed)[0]).tree
    for node in range(len(tree)):
        if any(tree.open[child] for child in tree.children(node)):
            assert tree.samples[node] <= tree.allowance(tree.visits[node])


def shape(**options):
    """The texts and values of a tree, sampled with these options."""
    problem = fake_problems(1, terms=5, seed=4)[0]
    record = recorder(0.5, noise=0.9, seed=4)
    tree = record.solve(mcts(**{"n": 8, "bound": math.inf} | options), problem).tree
    return [(node["parent"], node["text"], node["mean_value"]) for node in tree.to_dict()["nodes"]]


@pytest.mark.parametrize(
    ("base", "options"),
    [
        ({}, {"rule": "uct"}),
        ({}, {"exploration": 3.0}),
        ({"rule": "uct"}, {"exploration": 3.0}),
        ({"rule": "uct", "value": "rollout", "exploration": 0.3}, {"first_play": 0.3}),
        ({}, {"widening": (2, 0.5)}),
        ({"widening": (2, 0.5)}, {"widening": (3, 0.5)}),
        ({"widening": (2, 0.5)}, {"widening": (2, 0.9)}),
        ({}, {"unit": "span"}),
        ({"unit": "span"}, {"span": 5}),
        ({"value": "rollout"}, {"rollout_temperature": 0.0}),
        ({}, {"root_branch": 7}),
        ({}, {"wave": 1}),
        ({}, {"slack": 0.0}),
        ({}, {"trust": 0.0}),
        ({}, {"thrift": 1.0}),
        ({}, {"novelty": 0.5}),
        ({}, {"virtual_loss": 30.0}),
        ({"value": "mixed"}, {"mix": 0.0}),
        ({}, {"max_depth": 2}),
        ({}, {"aggregate": "min"}),
    ],
)
def test_every_option_changes_the_tree(base, options):
    assert shape(**base) != shape(**base | options)


def test_sentences_end_where_sentences_do():
    policy = Sentences()
    problem = Problem("p", "q")
    record = recorder()
    record.policy = policy
    record.scorer = FakeScorer(error=lambda path: "blind")
    record.solve(mcts(2, unit="sentence"), problem)
    assert {step_end for step_end in policy.asked if step_end} == {SENTENCE_ENDS}
    with pytest.raises(UsageError, match="unit='word': must be one of 'step', 'sentence', 'span'"):
        mcts(unit="word")


class Sentences(FakePolicy):
    """Notes which strings end a step."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, ...]] = []

    async def extend(self, paths, sampling):
        self.asked.append(sampling.step_end)
        return await super().extend(paths, sampling)


def test_greedy_rollouts_are_right_from_a_right_start():
    problem = fake_problems(1, terms=5)[0]
    record = recorder(0.5, branch=2)
    tree = record.solve(mcts(6, value="rollout", rollout_temperature=0.0), problem).tree
    rollouts = [node for node in range(1, len(tree)) if tree.mass[node] == 0]
    starts = [tree.path(tree.parent[node]) for node in rollouts]
    right = [all(correct_lines(problem.question, path.text)) for path in starts]
    assert any(right)
    for node, good in zip(rollouts, right, strict=True):
        assert (tree.path(node).text.endswith(f"Answer: {problem.answer}")) == good


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("final", FINALS)
def test_every_way_to_value_and_to_choose(value, final):
    if (value, final) == ("agreement", "value"):
        with pytest.raises(UsageError, match="no path is scored; pass final='vote' or 'visits'"):
            mcts(value=value, final=final)
        return
    problem = fake_problems(1, terms=4)[0]
    record = recorder(0.6)
    search = mcts(12, value=value, final=final)
    outcome = record.solve(search, problem)
    assert search.needs == ({"partial"} if value == "agreement" else {"scorer", "partial"})
    assert outcome.answer == problem.answer or value == "agreement"
    assert 0 < outcome.confidence <= 1
    assert outcome.failures == ()
    if value == "agreement":
        assert record.judged == []
    if value == "rollout":
        assert all(path.complete for path in record.judged)
    if final == "visits":
        assert math.fsum(candidate.weight for candidate in outcome.candidates) == pytest.approx(1)


@settings(deadline=None, max_examples=80)
@given(
    n=st.integers(1, 12),
    branch=st.integers(1, 6),
    wave=st.integers(1, 6),
    novelty=st.sampled_from([0.0, 0.1, 0.3, 1.0]),
    exploration=st.sampled_from([0.0, 0.3, 3.0]),
    slack=st.sampled_from([0.0, 0.5, 1.0]),
    value=st.sampled_from(VALUES),
    seed=st.integers(0, 999),
    broken=st.integers(2, 9),
)
def test_finished_paths_are_left_alone(n, branch, wave, novelty, exploration, slack, value, seed, broken):
    record = recorder(0.5, noise=0.9, seed=seed, fail=lambda index: index % broken == 0)
    search = mcts(n, branch, wave=wave, novelty=novelty, exploration=exploration, slack=slack, value=value)
    outcome = record.solve(search, fake_problems(1, seed=seed)[0])
    tree = outcome.tree
    steps = [node for node in range(1, len(tree)) if tree.mass[node] > 0]
    texts = [(tree.parent[node], tree.steps[node].text, tree.steps[node].finish) for node in steps]
    assert len(set(texts)) == len(texts), "siblings repeat"
    assert sum(tree.copies[node] for node in steps) == sum(tree.samples[node] for node in range(len(tree)))
    assert not any(tree.open[node] or tree.samples[node] for node in steps if tree.steps[node].finish != Finish.STEP)
    assert all(tree.virtual[node] == 0 for node in range(len(tree)))
    finished = {path.text for path in record.results if path.complete}
    assert finished == {candidate.path.text for candidate in outcome.candidates if candidate.path.complete}


def tokens(paths) -> int:
    return sum(len(path.steps[-1].token_ids) for path in paths)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("n", [4, 16])
def test_costs_what_n_solutions_cost(n, value):
    problem = fake_problems(1, terms=6)[0]
    record = recorder(0.5, noise=0.9)
    outcome = record.solve(mcts(n, value=value, bound=math.inf), problem)
    done = [len(candidate.path.token_ids) for candidate in outcome.candidates if candidate.path.complete]
    solution = sum(done) / len(done)
    assert n * solution * 0.8 <= tokens(record.results) <= (n + 1) * solution


def test_each_token_is_judged_once():
    problem = fake_problems(1, terms=6)[0]
    record = recorder(0.5, noise=0.9)
    record.solve(mcts(16), problem)
    assert sum(score.tokens for score in record.scores) <= tokens(record.results) + len(problem.question)


def test_a_wave_is_one_batch_of_distinct_nodes():
    problem = fake_problems(1, terms=5)[0]
    record = recorder(0.4, branch=4, noise=0.9)
    record.solve(mcts(16, 2, wave=6, novelty=1, slack=0), problem)
    start = 0
    for size in record.batches:
        texts = [path.text for path in record.extended[start : start + size]]
        assert all(texts.count(text) == 2 for text in texts), "a wave repeats a node"
        start += size
    assert max(record.batches) == 12


def test_ends_when_the_tree_is_explored():
    problem = fake_problems(1, terms=3)[0]
    record = recorder(0.5, branch=2)
    outcome = record.solve(mcts(200, 8, novelty=0.2), problem)
    assert len(outcome.candidates) == 4
    assert not outcome.tree.open[0]
    assert len(record.extended) <= 200


@pytest.mark.parametrize("count", [1, 5])
def test_simulations_end_it_too(count):
    problem = fake_problems(1, terms=6)[0]
    record = recorder(0.5)
    outcome = record.solve(mcts(100, 3, simulations=count), problem)
    assert outcome.tree.visits[0] == count
    assert outcome.answer is not None


def test_widening_spends_where_steps_are_hard():
    """With the same budget, sampling nodes again finds right lines that a fixed number of children misses."""
    found = {}
    for novelty in (0.0, 1.0):
        right = 0
        for seed in range(12):
            problem = fake_problems(1, terms=5, seed=seed)[0]
            record = recorder(0.2, branch=6, noise=0.1, seed=seed)
            right += record.solve(mcts(24, novelty=novelty), problem).answer == problem.answer
        found[novelty] = right
    assert found[0.0] > found[1.0] + 2


def test_a_tree_without_solutions_has_its_best_leaf_finished():
    problem = fake_problems(1, terms=6)[0]
    for search in (mcts(8, max_depth=2, novelty=1), ab_mcts(8, max_depth=2), ab_mcts(8, max_depth=1)):
        outcome = recorder(0.5).solve(search, problem)
        assert outcome.path.complete
        assert outcome.answer is not None


@pytest.mark.parametrize("steps", [0, 1, 6, 30])
def test_the_budget_leaves_the_best_of_what_was_paid_for(steps):
    problem = fake_problems(1, terms=6)[0]
    record = recorder(0.5, steps_left=steps)
    outcome = record.solve(mcts(16), problem)
    assert outcome.stopped == "budget"
    assert (outcome.answer is not None) == (steps > 0)
    assert sum(path.finish is Finish.BUDGET for path in record.results) <= 16


def test_unscored_steps_and_a_broken_scorer():
    problem = fake_problems(1, terms=4)[0]
    record = recorder(0.5)
    record.scorer = FakeScorer(error=lambda path: "broken" if len(path.steps) % 2 else None)
    outcome = record.solve(mcts(16), problem)
    assert outcome.answer == problem.answer
    blind = recorder(0.5)
    blind.scorer = FakeScorer(error=lambda path: "broken")
    outcome = blind.solve(mcts(16), problem)
    assert outcome.answer is not None
    assert "majority" in outcome.failures[0].message


def test_where_every_step_fails_from_a_level_on_the_answer_is_read_from_what_there_was():
    record = recorder(0.9, fail=lambda index: index >= 40)
    outcome = record.solve(mcts(64, branch=4), fake_problems(1, terms=6)[0])
    assert not any(path.complete for path in record.results)
    assert outcome.answer
    assert outcome.path.steps


def test_a_policy_that_always_fails_ends():
    record = recorder(fail=lambda index: True)
    outcome = record.solve(mcts(16), fake_problems(1)[0])
    assert (outcome.answer, outcome.path, outcome.candidates) == (None, None, ())
    assert len(record.extended) <= 16 * 2


def test_nothing_finished_yet_is_finished_first():
    problem = fake_problems(1, terms=9)[0]
    record = recorder(0.5)
    outcome = record.solve(mcts(16, simulations=2), problem)
    assert outcome.path.complete
    assert len(outcome.path.steps) < 9
    assert outcome.tree.chosen[outcome.tree.lineage(len(outcome.tree) - 1)[1]] in (0, 1)


def test_visit_shares_are_a_walks_probabilities():
    tree = Tree(Problem("p", "q"))
    left, right = (tree.add(0, Step(text)) for text in "ab")
    ends = [tree.add(node, Step(text, finish=Finish.STOP)) for node, text in ((left, "c"), (left, "d"), (right, "e"))]
    for node in (ends[0], ends[0], ends[0], ends[1], ends[2]):
        tree.backpropagate(node, 1.0, selected=False)
    assert visit_shares(tree, ends) == pytest.approx([5 / 7 * 4 / 6, 5 / 7 * 2 / 6, 2 / 7])
    assert visit_shares(tree, ends[:1]) == [1.0]
    assert most_visited(tree, ends) == ends[0]
    assert most_visited(tree, ends[1:]) == ends[1]


def test_the_same_seed_gives_the_same_tree():
    problem = fake_problems(1)[0]
    trees = [recorder(noise=0.9, seed=seed).solve(mcts(), problem).tree.to_dict() for seed in (1, 1, 2)]
    assert trees[0] == trees[1] != trees[2]


def test_golden_tree():
    problem = fake_problems(1, terms=3)[0]
    search = mcts(3, 3, wave=2, exploration=0.5, value="mixed")
    tree = recorder(0.5, noise=0.5, seed=7).solve(search, problem).tree.to_dict()
    if os.environ.get("REASON_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(tree, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert tree["problem"] == golden["problem"]
    assert len(tree["nodes"]) == len(golden["nodes"])
    for node, expected in zip(tree["nodes"], golden["nodes"], strict=True):
        assert node == {
            name: pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
            for name, value in expected.items()
        }


def test_bad_arguments():
    with pytest.raises(UsageError, match="wave=0: must be an integer of at least 1"):
        mcts(wave=0)
    with pytest.raises(UsageError, match="mix=2: must be a number between 0 and 1"):
        mcts(mix=2)
    with pytest.raises(UsageError, match="value='rollouts': must be one of 'scorer', 'rollout'"):
        mcts(value="rollouts")
    with pytest.raises(UsageError, match="exploration=-1: must be a number at least 0"):
        mcts(exploration=-1)
    with pytest.raises(UsageError, match=r"widening=2: must be a pair \(k, alpha\)"):
        mcts(widening=2)
    with pytest.raises(UsageError, match=r"widening\[1\]=1.5: must be a number between 0 and 1"):
        mcts(widening=(1, 1.5))
    with pytest.raises(UsageError, match="rule='ucb': must be one of 'puct', 'uct'"):
        mcts(rule="ucb")
    with pytest.raises(UsageError, match="span=0: must be an integer of at least 1"):
        mcts(unit="span", span=0)


def test_agreement_compares_only_answers_of_a_new_form(monkeypatch):
    compared = list[int]()
    plain = simulate.vote
    monkeypatch.setattr(simulate, "vote", lambda *given: compared.append(len(given[0])) or plain(*given))
    answers = ["7", "8", "7.0", "$7$", "x + 1", "8", "1 + x", "7"] * 3
    state = simulate.State(Tree(Problem("p", "q")), None, Spending(1))
    for index, answer in enumerate(answers):
        path = Path(Problem("p", "q"), (Step(f"Answer: {answer}", finish=Finish.STOP),))
        groups = plain(answers[: index + 1])
        share = next(len(group.members) for group in groups if index in group.members) / (index + 1)
        assert simulate._agreement(state, path) == share
    assert len(compared) <= 5
