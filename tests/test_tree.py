"""The tree's arrays against a naive tree that recomputes everything from the log of what happened."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from typing import Any

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

    def __init__(
        self,
        rule: str = "puct",
        widening: tuple[float, float] | None = None,
        first_play: float | None = None,
        trust: float = 16.0,
        thrift: float = 0.05,
    ) -> None:
        self.nodes = [NaiveNode(NONE)]
        self.log: list[tuple[list[int], float]] = []
        self.pending: list[list[int]] = []
        self.rule, self.widening, self.first_play = rule, widening, first_play
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

    def mean(self, parent: int, child: int) -> float:
        values, pending, above = self.values(child), self.virtual(child), self.values(parent)
        default = math.fsum(above) / len(above) if above else 0.0
        return math.fsum(values) / (len(values) + pending) if values else default / (1 + pending)

    def score(self, parent: int, child: int, exploration: float, share: float) -> float:
        known, pending = self.nodes[child], self.virtual(child)
        plays, total = self.visits(child) + pending, self.visits(parent) + self.virtual(parent)
        if self.rule == "puct":
            prior = known.mass / math.fsum(self.nodes[other].mass for other in self.nodes[parent].children)
            return self.mean(parent, child) + exploration * share * prior * math.sqrt(total) / (1 + plays)
        plays += not math.isnan(known.value)
        if not plays:
            return math.inf if self.first_play is None else self.first_play
        return self.mean(parent, child) + exploration * math.sqrt(math.log(1 + total) / plays)

    def again(self, node: int, exploration: float) -> tuple[float, float]:
        """The score of sampling at the node again, and the probability that this brings something new."""
        children = [self.nodes[child] for child in self.nodes[node].children]
        samples, total = sum(child.copies for child in children), self.visits(node) + self.virtual(node)
        fresh = (sum(child.copies == 1 for child in children) + 0.5) / (samples + 1)
        values = [child.value for child in children for _ in range(child.copies) if not math.isnan(child.value)]
        own, kept = self.nodes[node].value, fresh / (fresh + self.thrift)
        if not math.isnan(own):
            value = (self.trust * own + math.fsum(values)) / (self.trust + len(values))
        else:
            value = math.fsum(values) / len(values) if values else 0.0
        if self.rule == "puct":
            return kept * value + fresh * exploration * math.sqrt(total) / (1 + samples), fresh
        return kept * (value + exploration * math.sqrt(math.log(1 + total) / samples)), fresh

    def best_arm(self, node: int, exploration: float) -> int:
        samples = sum(self.nodes[child].copies for child in self.nodes[node].children)
        ready = self.nodes[node].samplable
        scores, share = {}, 1.0
        if self.widening is not None:
            k, alpha = self.widening
            if ready and samples < max(1, math.floor(k * (self.visits(node) + self.virtual(node) + 1) ** alpha)):
                return node
        elif ready:
            scores[node], fresh = self.again(node, exploration)
            share -= fresh
        scores |= {c: self.score(node, c, exploration, share) for c in self.nodes[node].children if self.is_open(c)}
        if not scores:
            return node if ready and not self.virtual(node) else NONE
        return max(scores, key=lambda arm: (scores[arm], self.nodes[arm].mass if scores[arm] == math.inf else 0.0))

    def select(self, exploration: float) -> int:
        if not self.is_open(0):
            return NONE
        node = 0
        while self.nodes[node].sampled:
            arm = self.best_arm(node, exploration)
            if arm == NONE:
                return NONE
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


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 2**32),
    rule=st.sampled_from(["puct", "uct"]),
    widening=st.sampled_from([None, (1.0, 0.5), (3.0, 0.25), (0.5, 1.0), (2.0, 0.0)]),
    first_play=st.sampled_from([None, 0.4]),
    exploration=st.sampled_from([0.0, 0.3, 2.0]),
    wave=st.integers(1, 4),
    unscored=st.floats(0, 1),
    terminal=st.floats(0, 0.5),
)
def test_selects_and_counts_as_the_naive_tree(seed, rule, widening, first_play, exploration, wave, unscored, terminal):
    draw = random.Random(seed)
    fast = Tree(PROBLEM, rule=rule, widening=widening, first_play=first_play)
    slow = NaiveTree(rule, widening, first_play)
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


def test_uct_is_the_formula():
    """Two children played 3 and 1 times, their judgements included: Q + c sqrt(ln N / n) by hand."""
    for exploration, expected in ((0.1, 1), (0.5, 2)):
        tree = Tree(PROBLEM, rule="uct")
        left, right = (tree.add(0, step(text), value=value) for text, value in (("a", 0.6), ("b", 0.4)))
        tree.hold(0)
        tree.backpropagate(left, 0.9, selected=False)
        tree.backpropagate(left, 0.3, selected=False)
        scores = [0.6 + exploration * math.sqrt(math.log(3) / 3), 0.4 + exploration * math.sqrt(math.log(3) / 1)]
        assert (scores[0] > scores[1]) == (expected == left)
        assert tree.select(exploration) == expected == (left if scores[0] > scores[1] else right)


def test_puct_is_the_formula():
    for exploration, expected in ((0.2, 1), (1.0, 2)):
        tree = Tree(PROBLEM)
        tree.add(0, step("a"), value=0.6, mass=1.0)
        tree.add(0, step("b"), value=0.4, mass=3.0)
        tree.hold(0)
        tree.backpropagate(1, 0.6, selected=False)
        tree.backpropagate(1, 0.6, selected=False)
        scores = [0.6 + exploration * 0.25 * math.sqrt(2) / 3, 0.4 + exploration * 0.75 * math.sqrt(2) / 1]
        assert tree.select(exploration) == expected == 1 + (scores[1] > scores[0])


def test_what_was_never_played_comes_first_or_stands_at_its_urgency():
    def selected(**options: Any) -> int:
        tree = Tree(PROBLEM, rule="uct", **options)
        tree.add(0, step("a"), value=0.9)
        tree.add(0, step("b"), mass=1.0)
        tree.add(0, step("c"), mass=2.0)
        tree.hold(0)
        return tree.select(0.1)

    assert selected() == 3
    assert selected(first_play=1.0) == 2
    assert selected(first_play=0.5) == 1


def test_widening_waits_for_what_is_in_flight():
    tree = Tree(PROBLEM, widening=(1.0, 0.5))
    assert tree.select() == 0
    child = tree.add(0, step("a"), value=0.5)
    tree.backpropagate(0, 0.5)
    tree.release(0)
    assert [tree.allowance(visits) for visits in (1, 3, 4, 9)] == [1, 1, 2, 3]
    assert tree.select() == child
    assert tree.select() == NONE, "the one child is in flight, and a second is not allowed yet"
    assert tree.virtual[0] == 1
    tree.backpropagate(child, 0.5)
    assert tree.select() == 0, "nothing below is open: the child was not released"


def test_whole_solutions_stay_open_for_revision():
    tree = Tree(PROBLEM, whole=True)
    first = tree.add(0, step("a", Finish.STOP))
    second = tree.add(first, step("b", Finish.STOP))
    cut = tree.add(first, step("c", Finish.LENGTH))
    assert [bool(tree.open[node]) for node in (first, second, cut)] == [True, True, False]
    assert [tree.path(node).text for node in range(4)] == ["", "a", "b", "c"]


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


@pytest.mark.parametrize("width", [1, 32, 33, 34, 200])
def test_a_wide_nodes_children_are_found(width):
    tree = Tree(PROBLEM)
    tree.add(0, step("0"), value=0.1, rollout=True)
    nodes = [tree.add(0, step(str(index))) for index in range(width)]
    assert [tree.find(0, step(str(index))) for index in range(width)] == nodes
    assert tree.find(0, step("0", Finish.STOP)) == tree.find(0, step(str(width))) == NONE


def test_arrays_grow_and_keep_what_they_hold():
    tree = Tree(PROBLEM)
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
