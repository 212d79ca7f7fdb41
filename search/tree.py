"""The search tree: index-addressed, growing arrays; selection, expansion and backpropagation linear in depth.

Node 0 is the root (the problem); every other node holds one step, so a walk from the root concatenates to exactly what
was sampled. Children have greater indices than their parent and are chained in the order they were added.

A node is *open* while a simulation may still enter it: steps may be sampled at it, or one of its children is open. A
finished step is closed from the start and never entered; a node without a way on is closed, and so on up to the root.
`select` withdraws the node that it returns until `backpropagate`, so a wave of selections gives distinct nodes; the
virtual loss on the way down steers them apart (Chaslot et al. 2008; Segal 2010).

The statistics are AlphaZero's (Silver et al. 1712.01815): visits N, value sum W, prior P; `reason.search.rules` has the
selection rules. Deviations:

- A step's own value is known when it is created, because siblings are judged in one batch: it counts as the node's
  first value, but not as a visit. A NaN value counts as a visit only. A node without any value stands at its parent's
  mean.
- Language has no list of legal moves: a node's children are samples. While it is `released`, "sample more steps here"
  is one more arm (as the GEN node of AB-MCTS, 2503.04412, without its Bayesian fits). Its prior is `novelty`; its value
  is the mean of the samples' values so far, shrunk towards the node's own (if the node is good and its children are
  not, the good one is yet to be sampled), discounted where a new step is unlikely.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import networkx as nx

from reason.search.arrays import NONE, NodeArrays
from reason.search.rules import RULES
from reason.search.strategy import one_of
from reason.types import Finish, Path, Problem, Step

_WIDE = 32


class Tree(NodeArrays):
    """A tree of steps with search statistics.

    Each field is an array over nodes, `tree.array("visits")` for instance:

    - parent, first_child, last_child, next_sibling: node indices, -1 for none; depth: steps from the root;
    - visits: simulations that went through the node; values, value_sum, mean: number, sum and mean of the values they
      brought;
    - value: the node's own scorer value, NaN if unscored; copies: how many equal samples were merged into it; mass: the
      sum of their length-normalised probabilities, its prior once divided by the parent's mass_below;
    - samples, singles: steps sampled below it, and those seen once; scored, scored_sum: their values' number and sum;
    - samplable: steps may be sampled at it now; ways: open children, plus one if samplable; open: there is a way;
    - virtual: selections in flight; pruned: a beam dropped it; chosen: it lies on the answer's path.

    Args:
        problem: What the root stands for.
        virtual_loss: Value-0 visits that a selection in flight counts as.
        trust: Samples that a node's own value is worth when the value of sampling there again is estimated.
        thrift: The novelty at which that value is halved, since a repeated step brings nothing; 0: no discount.
        rule: "puct" or "uct", see `reason.search.rules`.
        first_play: Under UCT, the score of a child never played; None: it comes before all others.
        widening: (k, alpha) of progressive widening (Coulom 2007, Chaslot et al. 2008): a node in its N-th visit is
            sampled before anything else if it has fewer than k · N ** alpha samples, and else only if nothing below it
            is open. None: sampling is an arm, as described above.
        whole: Whether every node holds a whole solution, a revision of its parent's: a complete one is then open for
            revision, and a node's path is its own step alone.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        virtual_loss: float = 1.0,
        trust: float = 16.0,
        thrift: float = 0.05,
        rule: str = "puct",
        first_play: float | None = None,
        widening: tuple[float, float] | None = None,
        whole: bool = False,
    ) -> None:
        super().__init__()
        self.problem = problem
        self.virtual_loss = virtual_loss
        self.trust = trust
        self.thrift = thrift
        self.first_play = first_play
        self.widening = widening
        self.whole = whole
        self._rule = RULES[one_of("rule", rule, tuple(RULES))]
        self.steps: list[Step | None] = []
        self.step_values: list[tuple[float, ...]] = []
        self._index: dict[int, dict[tuple[str, Finish], int]] = {}
        self._append(None, ())

    def _append(self, step: Step | None, step_values: tuple[float, ...]) -> int:
        self.steps.append(step)
        self.step_values.append(step_values)
        return self.append_row()

    def add(
        self,
        parent: int,
        step: Step,
        *,
        mass: float = 1.0,
        copies: int = 1,
        value: float = math.nan,
        step_values: tuple[float, ...] = (),
        rollout: bool = False,
    ) -> int:
        """Append a child and return its index.

        A step that is no open step boundary closes the child. A rollout is closed too, and is not counted among the
        parent's samples: it is a whole continuation, not a step.
        """
        node = self._append(step, step_values)
        self.parent[node] = parent
        self.depth[node] = self.depth[parent] + 1
        self.mass[node], self.copies[node], self.value[node] = (0.0 if rollout else mass), copies, value
        if not math.isnan(value):
            self.values[node], self.value_sum[node], self.mean[node] = 1, value, value
        if self.first_child[parent] == NONE:
            self.first_child[parent] = node
        else:
            self.next_sibling[self.last_child[parent]] = node
        self.last_child[parent] = node
        if not rollout:
            self._count_sample(parent, mass, copies, value)
            self.singles[parent] += copies == 1
            self._note_step(parent, node, step)
        if rollout or step.finish is not (Finish.STOP if self.whole else Finish.STEP):
            self.samplable[node] = self.open[node] = False
            self.ways[node] = 0
        else:
            self._gain_way(parent)
        return node

    def repeat(self, node: int, *, mass: float = 1.0, copies: int = 1) -> None:
        """Count further samples equal to an existing child."""
        self.singles[self.parent[node]] -= self.copies[node] == 1
        self.copies[node] += copies
        self.mass[node] += mass
        self._count_sample(self.parent[node], mass, copies, self.value[node])

    def _count_sample(self, parent: int, mass: float, copies: int, value: float) -> None:
        self.mass_below[parent] += mass
        self.samples[parent] += copies
        if not math.isnan(value):
            self.scored[parent] += copies
            self.scored_sum[parent] += copies * value

    def find(self, parent: int, step: Step) -> int:
        """The child that an equal step made before, or NONE."""
        known = self._index.get(parent)
        if known is not None:
            return known.get((step.text, step.finish), NONE)
        for child in self.children(parent):
            made = self.steps[child]
            if made is not None and self.mass[child] and made.text == step.text and made.finish is step.finish:
                return child
        return NONE

    def _note_step(self, parent: int, node: int, step: Step) -> None:
        """Let wide nodes find their children without looking through them."""
        known = self._index.get(parent)
        if known is not None:
            known[step.text, step.finish] = node
        elif self.samples[parent] > _WIDE:
            sampled = [(child, self.steps[child]) for child in self.children(parent) if self.mass[child]]
            self._index[parent] = {(made.text, made.finish): child for child, made in sampled if made is not None}

    def children(self, node: int) -> Iterator[int]:
        """The node's children, in the order they were added."""
        child = self.first_child[node]
        while child != NONE:
            yield child
            child = self.next_sibling[child]

    def prior(self, node: int) -> float:
        """The node's share of its siblings' length-normalised probability; 1 for the root."""
        if node == 0:
            return 1.0
        below = self.mass_below[self.parent[node]]
        return self.mass[node] / below if below > 0 else 0.0

    def mean_value(self, node: int) -> float:
        """Q: the mean of the values seen at and below the node, NaN if none."""
        return self.mean[node]

    def select(self, exploration: float = 1.0) -> int:
        """Walk down to a node to sample at; NONE if nothing is open or all that is open waits for selections in flight.

        Leaves virtual loss on the way and withdraws the node; `backpropagate` takes both back.
        """
        if not self.open[0]:
            return NONE
        node = 0
        while True:
            arm = self._arm(node, exploration)
            if arm == NONE:
                self._withdraw(self.parent[node])
                return NONE
            self.virtual[node] += 1
            if arm == node:
                self.hold(node)
                return node
            node = arm

    def revisit(self, exploration: float = 1.0) -> None:
        """Walk down as if nothing were closed; where that ends at something finished, count its value again.

        This is what AlphaZero does at terminal nodes. It costs nothing, finds nothing, and lets visits gather on the
        best of what is finished, for a choice by visits.
        """
        node = 0
        while self.first_child[node] != NONE:
            arm = self._rule(self, node, exploration, closed=True, again=self.widening is None)
            if arm in (node, NONE):
                return
            node = arm
        if not self.open[node] and not self.virtual[node]:
            self.backpropagate(node, self.mean_value(node), selected=False)

    def deselect(self, node: int) -> None:
        """Take a selection back, as if it had not been made."""
        self.release(node)
        self._withdraw(node)

    def _withdraw(self, node: int) -> None:
        while node != NONE:
            self.virtual[node] -= 1
            node = self.parent[node]

    def _arm(self, node: int, exploration: float) -> int:
        """Where a simulation goes on from the node: a child, the node itself, or NONE where it must wait."""
        if not self.samples[node]:
            return node
        if self.widening is None:
            return self._rule(self, node, exploration)
        if self.samplable[node] and self.samples[node] < self.allowance(self.visits[node] + self.virtual[node] + 1):
            return node
        child = self._rule(self, node, exploration, again=False)
        if child == NONE and self.samplable[node] and not self.virtual[node]:
            return node
        return child

    def allowance(self, visits: int) -> int:
        """Samples that progressive widening allows a node in so many visits: k · N ** alpha, at least 1."""
        factor, power = self.widening or (math.inf, 0.0)
        return max(1, math.floor(min(factor * math.pow(visits, power), 1e9)))

    def room(self, node: int) -> int:
        """Samples that widening leaves at the node in the visit that was just selected; may be negative."""
        return self.allowance(self.visits[node] + self.virtual[node]) - self.samples[node]

    def novelty(self, node: int) -> float:
        """The estimated probability that one more sample at the node is a new step (Good 1953, smoothed by 1/2)."""
        return (self.singles[node] + 0.5) / (self.samples[node] + 1)

    def thrifty(self, novelty: float) -> float:
        """The share of a sample's value that is kept where a sample is new with probability `novelty`."""
        return novelty / (novelty + self.thrift) if self.thrift else 1.0

    def sample_value(self, node: int) -> float:
        """What one more sample at the node is expected to be worth: the samples' mean, shrunk to the node's own value.

        0 while nothing at the node has a value.
        """
        own, known, count = self.value[node], self.scored_sum[node], self.scored[node]
        if math.isnan(own):
            return known / count if count else 0.0
        weight = self.trust + count
        return (self.trust * own + known) / weight if weight else own

    def hold(self, node: int) -> None:
        """No step is sampled at the node until it is `released`."""
        if self.samplable[node]:
            self.samplable[node] = False
            self._lose_way(node)

    def release(self, node: int) -> None:
        """Steps may be sampled at the node again."""
        if not self.samplable[node]:
            self.samplable[node] = True
            self._gain_way(node)

    def backpropagate(self, node: int, value: float, *, selected: bool = True) -> None:
        """Count one simulation from the node up to the root; a NaN value counts as a visit only.

        Args:
            node: Where it ended.
            value: What it found.
            selected: Whether the node came from `select`, so that its virtual loss is taken back.
        """
        while node != NONE:
            self.note(node, value)
            if selected:
                self.virtual[node] -= 1
            node = self.parent[node]

    def note(self, node: int, value: float) -> None:
        """Count one visit, and its value unless NaN, at this node alone."""
        self.visits[node] += 1
        if not math.isnan(value):
            self.values[node] += 1
            self.value_sum[node] += value
            self.mean[node] = self.value_sum[node] / self.values[node]

    def prune(self, node: int) -> None:
        """Close the node, and record that a beam dropped it."""
        self.pruned[node] = True
        if self.open[node]:
            self.open[node] = False
            self._lose_way(self.parent[node])

    def _gain_way(self, node: int) -> None:
        self.ways[node] += 1
        while not self.open[node]:
            self.open[node] = True
            node = self.parent[node]
            if node == NONE:
                return
            self.ways[node] += 1

    def _lose_way(self, node: int) -> None:
        while node != NONE:
            self.ways[node] -= 1
            if self.ways[node] or not self.open[node]:
                return
            self.open[node] = False
            node = self.parent[node]

    def path(self, node: int) -> Path:
        """The steps from the root to the node; the node's own one where nodes hold whole solutions."""
        steps = [self.steps[at] for at in ([node] if self.whole else self.lineage(node))]
        return Path(self.problem, tuple(step for step in steps if step is not None))

    def lineage(self, node: int) -> list[int]:
        """The nodes from the root to the node, both included."""
        nodes = [node]
        while nodes[-1] > 0:
            nodes.append(self.parent[nodes[-1]])
        return nodes[::-1]

    def choose(self, node: int) -> None:
        """Mark the path to the node as the answer's."""
        for at in self.lineage(node):
            self.chosen[at] = True

    def to_dict(self) -> dict[str, Any]:
        """The tree as JSON data: the problem and one record per node; unknown numbers are None."""
        return {
            "problem": {"id": self.problem.id, "question": self.problem.question},
            "nodes": [self.record(node) for node in range(len(self))],
        }

    def record(self, node: int) -> dict[str, Any]:
        """One node's data, ready for JSON."""
        step = self.steps[node]
        return {
            "id": node,
            "parent": None if node == 0 else self.parent[node],
            "depth": self.depth[node],
            "text": step.text if step else "",
            "finish": step.finish.value if step else None,
            "tokens": len(step.token_ids) if step else 0,
            "logprob": step.logprob if step and step.logprobs else None,
            "prior": self.prior(node),
            "copies": self.copies[node],
            "value": _known(self.value[node]),
            "mean_value": _known(self.mean_value(node)),
            "visits": self.visits[node],
            "open": self.open[node],
            "pruned": bool(self.pruned[node]),
            "chosen": self.chosen[node],
        }

    def to_networkx(self) -> nx.DiGraph[int]:
        """A directed graph, edges from parent to child; nodes carry the fields of `record`."""
        graph: nx.DiGraph[int] = nx.DiGraph(problem=self.problem.id, question=self.problem.question)
        for node in range(len(self)):
            graph.add_node(node, **self.record(node))
            if node:
                graph.add_edge(self.parent[node], node)
        return graph


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
