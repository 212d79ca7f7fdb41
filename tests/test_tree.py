"""The tree's arrays against a naive tree that recomputes everything from the log of what happened."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import same

from reason.search.tree import NONE, Tree
from reason.types import Finish, Problem, Step

PROBLEM = Problem("p", "q")


@dataclass
class NaiveNode:
    parent: int
    terminal: bool = False
    mass: float = 1.0
    copies: int = 1
    value: float = math.nan
    children: list[int] = field(default_factory=list)
    sampled: bool = False
    samplable: bool = True


class NaiveTree:
    """The same search, written as its definition: nothing is kept up to date, everything is recomputed when needed."""

    def __init__(self, trust: float = 16.0, thrift: float = 0.05) -> None:
        self.nodes = [NaiveNode(NONE)]
        self.log: list[tuple[list[int], float]] = []
        self.pending: list[list[int]] = []
        self.trust, self.thrift = trust, thrift

    def line(self, node: int) -> list[int]:
        return [] if node == NONE else [*self.line(self.nodes[node].parent), node]

    def is_open(self, node: int) -> bool:
        known = self.nodes[node]
        return not known.terminal and (known.samplable or any(self.is_open(child) for child in known.children))

    def visits(self, node: int) -> int:
        return sum(node in line for line, _ in self.log)

    def values(self, node: int) -> list[float]:
        own = self.nodes[node].value
        below = [value for line, value in self.log if node in line and not math.isnan(value)]
        return below if math.isnan(own) else [own, *below]

    def virtual(self, node: int) -> int:
        return sum(node in line for line in self.pending)

    def score(self, parent: int, child: int, pull: float, share: float) -> float:
        known, values, pending = self.nodes[child], self.values(child), self.virtual(child)
        above = self.values(parent)
        default = math.fsum(above) / len(above) if above else 0.0
        mean = math.fsum(values) / (len(values) + pending) if values else default / (1 + pending)
        masses = math.fsum(self.nodes[other].mass for other in self.nodes[parent].children)
        return mean + pull * share * known.mass / masses / (1 + self.visits(child) + pending)

    def best_arm(self, node: int, exploration: float) -> int:
        children = [self.nodes[child] for child in self.nodes[node].children]
        pull = exploration * math.sqrt(self.visits(node) + self.virtual(node))
        scores, share = {}, 1.0
        if self.nodes[node].samplable:
            samples = sum(child.copies for child in children)
            fresh = (sum(child.copies == 1 for child in children) + 0.5) / (samples + 1)
            values = [child.value for child in children for _ in range(child.copies) if not math.isnan(child.value)]
            own = self.nodes[node].value
            if not math.isnan(own):
                value = (self.trust * own + math.fsum(values)) / (self.trust + len(values))
            else:
                value = math.fsum(values) / len(values) if values else 0.0
            scores[node] = fresh / (fresh + self.thrift) * value + fresh * pull / (1 + samples)
            share -= fresh
        scores |= {c: self.score(node, c, pull, share) for c in self.nodes[node].children if self.is_open(c)}
        return max(scores, key=lambda arm: scores[arm])

    def select(self, exploration: float) -> int:
        if not self.is_open(0):
            return NONE
        node = 0
        while self.nodes[node].sampled:
            arm = self.best_arm(node, exploration)
            if arm == node:
                break
            node = arm
        self.pending.append(self.line(node))
        self.nodes[node].samplable = False
        return node

    def backpropagate(self, node: int, value: float) -> None:
        line = self.line(node)
        self.pending.remove(line)
        self.log.append((line, value))


values = st.one_of(st.just(math.nan), st.floats(0, 1).map(lambda value: round(value, 3)))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 2.0]), st.integers(1, 4), st.floats(0, 1), st.floats(0, 0.5))
def test_selects_and_counts_as_the_naive_tree(seed, exploration, wave, unscored, terminal):
    draw = random.Random(seed)
    fast, slow = Tree(PROBLEM, capacity=1), NaiveTree()
    for _ in range(12):
        nodes = []
        for _ in range(wave):
            node = fast.select(exploration)
            assert node == slow.select(exploration)
            if node != NONE:
                nodes.append(node)
        assert len(set(nodes)) == len(nodes), "a wave repeats a node"
        for node in nodes:
            best = math.nan
            for _ in range(draw.randint(0 if slow.nodes[node].sampled else 1, 3)):
                best = sample(draw, fast, slow, node, unscored, terminal)
            fast.backpropagate(node, best)
            slow.backpropagate(node, best)
            if draw.random() < 0.5:
                fast.release(node)
                slow.nodes[node].samplable = True
    for node, known in enumerate(slow.nodes):
        assert fast.visits[node] == slow.visits(node)
        assert fast.values[node] == len(slow.values(node))
        assert fast.value_sum[node] == pytest.approx(math.fsum(slow.values(node)))
        assert bool(fast.open[node]) == slow.is_open(node)
        assert fast.copies[node] == known.copies
        assert fast.virtual[node] == 0
        assert list(fast.children(node)) == known.children


def sample(draw: random.Random, fast: Tree, slow: NaiveTree, node: int, unscored: float, terminal: float) -> float:
    """Sample one of five steps at the node in both trees; returns its value."""
    ends = draw.random() < terminal
    step = Step(f"{draw.randrange(5)}", finish=Finish.STOP if ends else Finish.STEP)
    known, mass = fast.find(node, step), draw.random()
    slow.nodes[node].sampled = True
    if known != NONE:
        fast.repeat(known, mass=mass)
        slow.nodes[known].mass += mass
        slow.nodes[known].copies += 1
        return slow.nodes[known].value
    value = math.nan if draw.random() < unscored else round(draw.random(), 3)
    slow.nodes[node].children.append(len(slow.nodes))
    slow.nodes.append(NaiveNode(node, ends, mass, 1, value, samplable=not ends))
    assert fast.add(node, step, mass=mass, value=value) == len(slow.nodes) - 1
    return value


def step(text: str, finish: Finish = Finish.STEP) -> Step:
    return Step(text, tuple(text.encode()), finish=finish)


def small_tree() -> Tree:
    tree = Tree(PROBLEM)
    left = tree.add(0, step("a"), mass=3.0, copies=3, value=0.5)
    tree.add(0, step("b"), value=0.25)
    tree.add(left, step("c", Finish.STOP), value=1.0)
    return tree


def test_a_walk_from_the_root_is_what_was_sampled():
    tree = small_tree()
    assert tree.lineage(3) == [0, 1, 3]
    assert tree.path(3).text == "ac"
    assert tree.path(3).complete
    assert tree.path(0).steps == ()
    assert [tree.prior(node) for node in range(4)] == [1.0, 0.75, 0.25, 1.0]


def test_closed_subtrees_are_not_entered_and_the_root_closes_last():
    tree = small_tree()
    tree.hold(0)
    tree.hold(1)
    assert [bool(tree.open[node]) for node in range(4)] == [True, False, True, False]
    assert tree.select() == 2
    assert tree.select() == NONE
    tree.backpropagate(2, math.nan)
    assert not tree.open[0]
    tree.release(2)
    assert tree.select() == 2


def test_pruning_closes_and_says_so():
    tree = small_tree()
    tree.hold(0)
    tree.hold(1)
    tree.prune(2)
    assert not tree.open[0]
    assert [tree.record(node)["pruned"] for node in range(4)] == [False, False, True, False]


def test_rollouts_are_no_samples():
    tree = small_tree()
    rollout = tree.add(2, step("xyz", Finish.STOP), value=0.9, rollout=True)
    assert (tree.samples[2], tree.prior(rollout), bool(tree.open[2])) == (0, 0.0, True)
    assert tree.find(2, step("xyz", Finish.STOP)) == NONE


def test_arrays_grow_and_keep_what_they_hold():
    tree = Tree(PROBLEM, capacity=1)
    for index in range(100):
        tree.add(index, step(str(index)), value=index / 100)
    assert len(tree) == 101
    assert tree.array("depth").tolist() == list(range(101))
    assert tree.array("parent").tolist() == list(range(-1, 100))
    assert all(same(tree.value[index + 1], index / 100) for index in range(100))


def test_json_and_networkx_tell_the_same():
    tree = small_tree()
    tree.choose(3)
    records = json.loads(json.dumps(tree.to_dict(), allow_nan=False))["nodes"]
    graph = tree.to_networkx()
    assert nx.is_arborescence(graph)
    assert [graph.nodes[node] for node in graph] == records
    assert [(record["parent"], record["id"]) for record in records[1:]] == sorted(graph.edges)
    assert [record["chosen"] for record in records] == [True, True, False, True]
    assert records[3] | {"finish": "stop", "tokens": 1, "value": 1.0, "open": False} == records[3]
