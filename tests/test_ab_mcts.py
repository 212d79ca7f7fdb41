"""AB-MCTS: its beliefs against a recomputation from the log, its selection against the paper's, what it may never do.

`REASON_GOLDEN=write pytest tests/test_ab_mcts.py` rewrites the golden tree.
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import sys
from pathlib import Path as File

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import optimum, recorder

from reason import solve
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.search import ab_mcts
from reason.search.beliefs import Beliefs, Beta, Gaussian
from reason.search.tree import NONE, Tree
from reason.types import Finish, Problem, Score, Step, UsageError

GOLDEN = File(__file__).parent / "golden" / "ab_mcts.json"
UNITS = ("step", "sentence", "span", "answer")
PROBLEM = Problem("p", "q")


@pytest.mark.parametrize("model", ["gaussian", "beta"])
@pytest.mark.parametrize("unit", UNITS)
def test_with_enough_samples_it_finds_the_optimum(model, unit):
    problem = fake_problems(1, terms=3, seed=5)[0]
    record = recorder(0.4, noise=0.9, seed=3)
    best, value = optimum(record.policy, record.scorer, problem)
    outcome = record.solve(ab_mcts(400, model=model, unit=unit, span=9, bound=math.inf), problem)
    if unit == "answer":
        # Revisions are asked about another question: the fake policy answers that one.
        assert outcome.path.text == best
    assert max(candidate.score for candidate in outcome.candidates) >= value
    assert outcome.path.text in {path.text for path in record.judged}
    if unit != "answer":
        assert outcome.path.text == best


@settings(deadline=None, max_examples=80)
@given(
    n=st.integers(1, 12),
    wave=st.integers(1, 6),
    branch=st.integers(1, 4),
    model=st.sampled_from(["gaussian", "beta"]),
    unit=st.sampled_from(UNITS),
    thrift=st.sampled_from([0.0, 0.05, 1.0]),
    select=st.sampled_from(["naive", "weighted", "majority"]),
    seed=st.integers(0, 999),
    broken=st.integers(2, 9),
    mute=st.integers(2, 9),
)
def test_what_it_may_never_do(n, wave, branch, model, unit, thrift, select, seed, broken, mute):
    record = recorder(0.5, noise=0.9, seed=seed, fail=lambda index: index % broken == 0)
    record.scorer = FakeScorer(noise=0.9, error=lambda path: "mute" if len(path.text) % mute == 0 else None)
    search = ab_mcts(n, wave=wave, branch=branch, model=model, unit=unit, span=9, thrift=thrift, select=select)
    outcome = record.solve(search, fake_problems(1, seed=seed)[0])
    tree = outcome.tree
    steps = [node for node in range(1, len(tree)) if tree.mass[node] > 0]
    texts = [(tree.parent[node], tree.steps[node].text, tree.steps[node].finish) for node in steps]
    assert len(set(texts)) == len(texts), "siblings repeat"
    assert sum(tree.copies[node] for node in steps) == sum(tree.samples[node] for node in range(len(tree)))
    assert all(tree.virtual[node] == 0 for node in range(len(tree)))
    assert outcome.answer is None or any(candidate.answer == outcome.answer for candidate in outcome.candidates)
    finished = {path.text for path in record.results if path.complete}
    assert finished == {candidate.path.text for candidate in outcome.candidates if candidate.path.complete}
    if unit == "answer":
        assert len(record.extended) <= n
        assert all(len(path.steps) == 0 for path in record.extended)
        assert {path.problem.question for path in record.judged} <= {outcome.problem.question}
    else:
        assert not any(tree.samples[node] for node in steps if tree.steps[node].finish is not Finish.STEP)


@settings(deadline=None, max_examples=60)
@given(wave=st.integers(1, 8), branch=st.integers(1, 3), unit=st.sampled_from(UNITS), seed=st.integers(0, 999))
def test_a_wave_does_not_crowd_one_node(wave, branch, unit, seed):
    record = recorder(0.5, noise=0.9, seed=seed)
    record.solve(ab_mcts(6, wave=wave, branch=branch, unit=unit, span=9), fake_problems(1, seed=seed)[0])
    start = 0
    for size in record.batches:
        batch = [(path.problem.question, path.text) for path in record.extended[start : start + size]]
        assert size <= wave
        assert all(batch.count(item) <= branch for item in batch)
        start += size


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.floats(0, 0.5))
def test_beliefs_are_what_the_log_says(seed, unscored):
    """The paper's backup: GEN of the parent, CONT of every node further up, and each child's own record."""
    draw = random.Random(seed)
    tree = Tree(PROBLEM)
    beliefs = Beliefs(tree, Gaussian(), 0.0)
    log: list[tuple[int, float]] = []
    for index in range(40):
        parent = draw.randrange(len(tree))
        value = math.nan if draw.random() < unscored else draw.random()
        if draw.random() < 0.3 and tree.first_child[parent] != NONE:
            at = draw.choice(list(tree.children(parent)))
            tree.repeat(at)
        else:
            at = tree.add(parent, Step(str(index)), value=value)
        beliefs.observe(parent, tree.value[at])
        if not math.isnan(tree.value[at]):
            log.append((parent, tree.value[at]))
    for node in range(len(tree)):
        made = [value for parent, value in log if parent == node]
        deeper = [value for parent, value in log if node in tree.lineage(parent)[:-1]]
        for found, expected in ((beliefs.made(node), made), (beliefs.deeper(node), deeper)):
            assert found == pytest.approx((len(expected), math.fsum(expected), math.fsum(v * v for v in expected)))


def test_the_gaussian_posterior_is_murphys():
    scores = [0.2, 0.9, 0.4]
    mean, kappa, nu, scale = Gaussian(0.1, 2.0, 3.0, 0.5).posterior(3, sum(scores), sum(s * s for s in scores))
    average = statistics.fmean(scores)
    assert (kappa, nu) == (5.0, 6.0)
    assert mean == pytest.approx((2.0 * 0.1 + 3 * average) / 5)
    assert scale == pytest.approx(
        3.0 * 0.5 + sum((s - average) ** 2 for s in scores) + 3 * 2.0 / 5.0 * (0.1 - average) ** 2
    )


@pytest.mark.parametrize("model", [Gaussian(0.3, 1.0, 5.0, 0.2), Beta(1.5, 2.5)])
def test_draws_have_the_posteriors_moments(model):
    draw, scores = random.Random(0), [0.2, 0.9, 0.4, 0.7]
    data = (len(scores), sum(scores), sum(s * s for s in scores))
    drawn = [model.draw(draw, *data) for _ in range(40_000)]
    if isinstance(model, Beta):
        a, b = 1.5 + 2.2, 2.5 + 1.8
        mean, variance = a / (a + b), a * b / (a + b) ** 2 / (a + b + 1)
    else:
        mean, kappa, nu, scale = model.posterior(*data)
        variance = scale / kappa / (nu - 2)
    assert statistics.fmean(drawn) == pytest.approx(mean, abs=0.01)
    assert statistics.pvariance(drawn) == pytest.approx(variance, rel=0.06)


class Sure:
    """A model without doubt: the draw is the posterior mean of a prior worth one observation of 0.5."""

    def draw(self, random, count, total, squares):
        return (0.5 + total) / (1 + count)

    def fit(self, score):
        return score


def naive_choice(tree, log, thrift, pending):
    """Where AB-MCTS samples next when draws are means, recomputed from the log of (parent, score)."""

    def mean(values, extra):
        return (0.5 + math.fsum(values)) / (1 + len(values) + extra)

    def in_flight(node):
        return sum(node in tree.lineage(at) for at in pending)

    def worth(child):
        own = [] if math.isnan(tree.value[child]) else [tree.value[child]]
        return mean(own + [value for parent, value in log if child in tree.lineage(parent)], in_flight(child))

    node = 0
    while True:
        everyone = [child for child in tree.children(node) if tree.mass[child]]
        children = [child for child in everyone if tree.steps[child].finish is Finish.STEP]
        made = [value for parent, value in log if parent == node]
        deeper = [value for parent, value in log if node in tree.lineage(parent)[:-1]]
        samples, singles = sum(tree.copies[c] for c in everyone), sum(tree.copies[c] == 1 for c in everyone)
        novelty, here = (singles + 0.5) / (samples + 1), pending.count(node)
        wider = mean(made, here) * (novelty / (novelty + thrift) if thrift else 1.0)
        if not children or wider >= mean(deeper, in_flight(node) - here):
            return node
        node = max(children, key=worth)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 9999), wave=st.integers(1, 3), thrift=st.sampled_from([0.0, 0.05, 0.5]))
def test_it_selects_as_the_naive_version(seed, wave, thrift):
    module = sys.modules["reason.search.ab_mcts"]
    chosen: list[int] = []

    def checked(state):
        tree, log = state.tree, []
        for node in range(1, len(tree)):
            if tree.mass[node] and not math.isnan(tree.value[node]):
                log += [(tree.parent[node], tree.value[node])] * tree.copies[node]
        pending = [node for node, count in state.sampling.items() for _ in range(count)]
        expected = naive_choice(tree, log, thrift, pending)
        node = select(state)
        assert node == expected
        chosen.append(node)
        return node

    select = module._select
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_select", checked)
        patch.setattr(module, "_model", lambda name, prior: Sure())
        record = recorder(0.5, seed=seed)
        record.scorer = FakeScorer(good=0.7, bad=0.3, noise=0.5)
        record.solve(ab_mcts(4, wave=wave, branch=wave, thrift=thrift, bound=math.inf), fake_problems(1, seed=seed)[0])
    assert len(chosen) >= 4


def shape(**options):
    problem = fake_problems(1, terms=5, seed=4)[0]
    record = recorder(0.5, noise=0.9, seed=4)
    outcome = record.solve(ab_mcts(**{"n": 8, "bound": math.inf} | options), problem)
    nodes = outcome.tree.to_dict()["nodes"]
    return [(node["parent"], node["text"], node["value"]) for node in nodes], outcome.path.text


@pytest.mark.parametrize(
    ("base", "options"),
    [
        ({}, {"model": "beta"}),
        ({}, {"prior": (0.9, 2)}),
        ({}, {"prior": (0.0, 9)}),
        ({"model": "beta"}, {"prior": (0.9, 1)}),
        ({}, {"unit": "span"}),
        ({}, {"unit": "answer"}),
        ({"unit": "span"}, {"span": 5}),
        ({}, {"wave": 1}),
        ({}, {"branch": 1}),
        ({}, {"thrift": 2.0}),
        ({}, {"virtual_loss": 20.0}),
        ({}, {"aggregate": "min"}),
        ({}, {"max_depth": 2}),
        ({"unit": "answer"}, {"revise": "{question} + 1 {attempt}"}),
    ],
)
def test_every_option_has_an_effect(base, options):
    assert shape(**base) != shape(**base | options)


class Mostly2(FakePolicy):
    """Says something else every time; answers 3 once in four times and else 2."""

    async def extend(self, paths, sampling):
        return [Step(f"{p.seed}. Answer: {3 if p.seed % 4 == 0 else 2}", finish=Finish.STOP) for p in paths]


class Likes3:
    """Prefers the answer 3."""

    async def judge(self, paths):
        return [Score(0.6 if path.text.endswith("3") else 0.5) for path in paths]


@pytest.mark.parametrize(("select", "answer"), [("naive", "3"), ("weighted", "2"), ("majority", "2")])
def test_the_selection_decides(select, answer):
    record = recorder()
    record.policy, record.scorer = Mostly2(), Likes3()
    assert record.solve(ab_mcts(16, select=select), PROBLEM).answer == answer


class Reviser(FakePolicy):
    """Answers 0, and on revision one more than the attempt in the question."""

    def __init__(self) -> None:
        super().__init__(partial=False)
        self.questions: list[str] = []

    async def extend(self, paths, sampling):
        steps = []
        for path in paths:
            self.questions.append(path.problem.question)
            _, _, attempt = path.problem.question.partition("Answer: ")
            number = int(attempt.split()[0]) + 1 if attempt else 0
            steps.append(Step(f"Try {path.seed}. Answer: {number}", finish=Finish.STOP))
        return steps


class Closeness:
    """The answer over ten."""

    async def judge(self, paths):
        return [Score(int(path.text.rpartition(" ")[2]) / 10) for path in paths]


def test_whole_answers_are_revised_and_revisions_revised_again():
    policy = Reviser()
    search = ab_mcts(24, unit="answer", wave=2, branch=1)
    [outcome] = solve([Problem("p", "How many?")], policy=policy, scorer=Closeness(), search=search)
    assert search.needs == {"scorer"}
    assert len(policy.questions) <= 24
    assert int(outcome.answer) >= 3
    tree = outcome.tree
    for node in range(1, len(tree)):
        assert tree.path(node).text.endswith(f"Answer: {tree.depth[node] - 1}")
        assert len(tree.path(node).steps) == 1
    asked = [question for question in policy.questions if question != "How many?"]
    assert asked
    assert all(question.startswith("How many?") and "Try" in question for question in asked)
    assert outcome.path.problem.question == "How many?"


def test_ends_when_nothing_can_be_better():
    problem = fake_problems(1, terms=4)[0]
    record = recorder(0.9)
    record.scorer = FakeScorer(good=1.0, bad=0.0)
    outcome = record.solve(ab_mcts(100), problem)
    assert outcome.answer == problem.answer
    assert len(record.extended) < 60


@pytest.mark.parametrize("steps", [0, 1, 6, 30])
@pytest.mark.parametrize("unit", ["step", "answer"])
def test_the_budget_leaves_the_best_of_what_was_paid_for(steps, unit):
    problem = fake_problems(1, terms=6)[0]
    record = recorder(0.5, steps_left=steps)
    outcome = record.solve(ab_mcts(64, unit=unit), problem)
    assert outcome.stopped == "budget"
    assert (outcome.answer is not None) == (steps > 0)
    assert sum(path.finish is Finish.BUDGET for path in record.results) <= 4
    scored = [candidate.score for candidate in outcome.candidates if candidate.path.complete]
    if scored:
        assert max(scored) == next(c.score for c in outcome.candidates if c.path is outcome.path)


@pytest.mark.parametrize("n", [4, 16])
def test_costs_what_n_solutions_cost(n):
    problem = fake_problems(1, terms=6)[0]
    record = recorder(0.9, noise=0.9)
    outcome = record.solve(ab_mcts(n, bound=math.inf), problem)
    done = [len(candidate.path.token_ids) for candidate in outcome.candidates if candidate.path.complete]
    solution = sum(done) / len(done)
    spent = sum(len(path.steps[-1].token_ids) for path in record.results)
    assert n * solution * 0.7 <= spent <= (n + 1) * solution


def test_the_same_seed_gives_the_same_tree_however_it_is_run():
    problems = fake_problems(4, terms=4)
    trees = []
    for concurrency, seed in ((1, 3), (4, 3), (4, 4)):
        policy, scorer = FakePolicy(accuracy=0.5), FakeScorer(noise=0.5)
        random.seed(concurrency)
        outcomes = solve(problems, policy=policy, scorer=scorer, search=ab_mcts(6), seed=seed, concurrency=concurrency)
        trees.append([outcome.tree.to_dict() for outcome in outcomes])
    assert trees[0] == trees[1] != trees[2]


def test_a_policy_that_always_fails_ends():
    for unit in UNITS:
        record = recorder(fail=lambda index: True)
        outcome = record.solve(ab_mcts(16, unit=unit), fake_problems(1)[0])
        assert (outcome.answer, outcome.path, outcome.candidates) == (None, None, ())
        assert len(record.extended) <= 16 * 2


def test_golden_tree():
    problem = fake_problems(1, terms=3)[0]
    tree = recorder(0.5, noise=0.5, seed=7).solve(ab_mcts(4, wave=3), problem).tree.to_dict()
    if os.environ.get("REASON_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(tree, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert len(tree["nodes"]) == len(golden["nodes"])
    for node, expected in zip(tree["nodes"], golden["nodes"], strict=True):
        assert node == {
            name: pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
            for name, value in expected.items()
        }


def test_bad_arguments():
    with pytest.raises(UsageError, match="model='normal': must be one of 'gaussian', 'beta'"):
        ab_mcts(model="normal")
    with pytest.raises(UsageError, match=r"prior=1: must be a pair \(mean, weight\)"):
        ab_mcts(prior=1)
    with pytest.raises(UsageError, match=r"prior\[0\]=2: must be a number between 0 and 1"):
        ab_mcts(model="beta", prior=(2, 1))
    with pytest.raises(UsageError, match=r"must say where \{question\} and \{attempt\} stand"):
        ab_mcts(revise="Try again: {question}")
    with pytest.raises(UsageError, match="branch=0: must be an integer of at least 1"):
        ab_mcts(branch=0)
