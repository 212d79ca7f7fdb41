"""One problem's nodes in the store: finding them, adding them, and which node a path ends at."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reason.budget import Meter
from reason.trace.keys import Hashes
from reason.trace.records import STEP, read_step, step_row
from reason.trace.store import Store
from reason.types import Finish, Path, Problem, Sampling, Step

WHOLE = (Finish.STEP, Finish.STOP, Finish.LENGTH)
OWN = f"""SELECT used.place, used.elapsed, node.id, node.parent, node.key, node.kind, {STEP}
FROM used JOIN node ON node.id = used.node WHERE used.search = ? AND used.problem = ? ORDER BY used.place"""
FIND = f"""SELECT id, parent, {STEP} FROM node WHERE key = ? AND kind = 'sampled'
AND finish IN ('step', 'stop', 'length') LIMIT 1"""
PARENT = "SELECT parent FROM node WHERE id = ?"
FIND_MADE = "SELECT id FROM node WHERE key = ? AND kind <> 'sampled' LIMIT 1"
ADD = f"""INSERT INTO node (key, problem, parent, depth, kind, question, policy, sampling, seed, {STEP}, session, at)
VALUES ({", ".join("?" * 20)})"""
USE = "INSERT INTO used (search, problem, place, node, elapsed) VALUES (?,?,?,?,?)"


@dataclass(frozen=True, slots=True)
class Known:
    """A step that is in the store.

    Attributes:
        node, parent: Its id and its parent's.
        step: The step.
        place: Its place in the order of landing.
        elapsed: Seconds after which it landed in this very search; None: it is another's.
        index: Where it is asked for.
    """

    node: int
    parent: int | None
    step: Step
    place: int
    elapsed: float | None = None
    index: int = -1


@dataclass(frozen=True, slots=True)
class Place:
    """A node that this search has met: its step, kept so that its id stays its own, and the node below which it is."""

    step: Step
    node: int
    parent: int | None


class Nodes:
    """See the module.

    Args:
        store, hashes: Where they are, and what they are found by.
        search, number, policy: Ids in the store of the search, the problem and the policy.
        problem: The problem.
        fresh: Whether the store holds nothing of the problem, so that nothing need be looked up.
    """

    def __init__(
        self, store: Store, hashes: Hashes, search: int, number: int, problem: Problem, policy: int, fresh: bool
    ) -> None:
        self._store, self._hashes, self._problem = store, hashes, problem
        self._search, self._number, self._policy, self._fresh = search, number, policy, fresh
        self._by_step: dict[int, list[Place]] = {}
        self._by_content: dict[tuple[int | None, str, bytes], list[Place]] = {}
        self._depths: dict[int, int] = {}
        self._used = set[int]()
        self._own: dict[bytes, Known] = {}
        self._cut: dict[bytes, Known] = {}
        self._places = 0
        for place, elapsed, node, parent, key, kind, *row in () if fresh else store.rows(OWN, (search, number)):
            self._places, step = place, read_step(row)
            self._used.add(node)
            if kind == "sampled" and step.finish is not Finish.ERROR:
                held = self._own if step.finish in WHOLE else self._cut
                held[key] = Known(node, parent, step, place, elapsed)

    def known(self, keys: Sequence[bytes]) -> list[Known]:
        """The whole steps that are in the store: this search's in the order in which they landed, then others'."""
        found = list[Known]()
        if self._fresh:
            return found
        for index, key in enumerate(keys):
            own = self._own.get(key)
            if own is not None:
                found.append(replace(own, index=index))
                continue
            for node, parent, *row in self._store.rows(FIND, (key,)):
                found.append(Known(node, parent, read_step(row), node, None, index))
        return sorted(found, key=lambda known: (known.elapsed is None, known.place))

    def cut(self, keys: Sequence[bytes], missing: Sequence[int]) -> list[Known]:
        """What this search has beyond its early stop or its seconds."""
        found = list[Known]()
        for index in missing:
            known = self._own.get(keys[index]) or self._cut.get(keys[index])
            if known is not None:
                found.append(replace(known, index=index))
        return found

    def take(self, taken: Sequence[tuple[Path, Known]], meter: Meter) -> None:
        """Note that the search has these steps, which are in the store."""
        with self._store.transaction():
            for path, known in taken:
                if known.elapsed is not None:
                    meter.resume(known.elapsed)
                self._place(path.problem.question, known.step, known.node, self._at(path, meter))
                self._use_line(known.node, known.parent, meter)

    def _use_line(self, node: int, parent: int | None, meter: Meter) -> None:
        """Note a node that another search made, and those above it."""
        line = list[int]()
        at: int | None = node
        while at is not None and at not in self._used:
            line.append(at)
            at = parent if at == node else self._store.rows(PARENT, (at,))[0][0]
        if line:
            self._use(line[::-1], meter)

    def add(self, landed: Sequence[tuple[Path, bytes, Step]], sampling: Sampling, meter: Meter) -> None:
        """Write steps that have landed."""
        if not landed:
            return
        with self._store.transaction(soon=True):
            drawn, nodes = self._store.sampling(sampling), list[int]()
            for path, key, step in landed:
                parent = self._at(path, meter)
                node = self._insert(key, "sampled", path.problem, parent, step, drawn, path.seed)
                self._place(path.problem.question, step, node, parent)
                nodes.append(node)
            self._use(nodes, meter)

    def of(self, path: Path, meter: Meter) -> int | None:
        """The node at which a path ends, None for one without steps; in a transaction, as it may have to be made."""
        return self._at(path, meter)

    def under(self, parent: int | None, step: Step, problem: Problem, meter: Meter) -> int:
        """The node of a step below another node (None: the question); made, as not sampled, if there is none."""
        for place in self._by_step.get(id(step), ()):
            if place.parent == parent:
                return place.node
        question = problem.question
        alike = self._by_content.get((parent, question, self._hashes.content(step)), [])
        for place in alike:
            if same(place.step, step):
                return place.node
        node = self._made("reopened" if alike else "forced", parent, step, problem, meter)
        self._place(question, step, node, parent)
        return node

    def _at(self, path: Path, meter: Meter) -> int | None:
        node: int | None = None
        for step in path.steps:
            node = self.under(node, step, path.problem, meter)
        return node

    def _made(self, kind: str, parent: int | None, step: Step, problem: Problem, meter: Meter) -> int:
        key = self._hashes.forced(problem, self._number, parent, step)
        found = [] if self._fresh else self._store.rows(FIND_MADE, (key,))
        node = int(found[0][0]) if found else self._insert(key, kind, problem, parent, step, None, None)
        if node not in self._used:
            self._use([node], meter)
        return node

    def _insert(
        self,
        key: bytes,
        kind: str,
        problem: Problem,
        parent: int | None,
        step: Step,
        sampling: int | None,
        seed: int | None,
    ) -> int:
        asked = None if problem.question == self._problem.question else self._store.question(problem.question)
        depth = 1 if parent is None else self._depths[parent] + 1
        policy = self._policy if kind == "sampled" else None
        head = (key, self._number, parent, depth, kind, asked, policy, sampling, seed)
        return self._store.write(ADD, (*head, *step_row(step), self._store.session, time.time()))

    def _use(self, nodes: Sequence[int], meter: Meter) -> None:
        elapsed, first = meter.elapsed, self._places + 1
        rows = [(self._search, self._number, place, node, elapsed) for place, node in enumerate(nodes, first)]
        self._store.write_all(USE, rows)
        self._used.update(nodes)
        self._places += len(nodes)

    def _place(self, question: str, step: Step, node: int, parent: int | None) -> None:
        place = Place(step, node, parent)
        self._depths[node] = 1 if parent is None else self._depths[parent] + 1
        self._by_step.setdefault(id(step), []).append(place)
        self._by_content.setdefault((parent, question, self._hashes.content(step)), []).append(place)


def same(one: Step, other: Step) -> bool:
    """Whether the steps differ at most in how they ended, which the search or a budget may have decided."""
    return one == other or replace(one, finish=other.finish) == other
