"""The population of a particle filter: how particles are extended, weighed, resampled and counted.

The algorithm is told in `reason.search.particles`.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from random import Random

from reason.search.children import Child, judge_children, merge
from reason.search.pool import Pool
from reason.search.resampling import SCHEMES, ancestors, conditional_ancestors, effective_size, normalized
from reason.search.select import SELECTIONS, check_aggregate, paid_for
from reason.search.sparing import extend_sparingly
from reason.search.stepping import FALLING, Entry, back_up, best_complete, ending, record
from reason.search.strategy import at_least, number, one_of
from reason.search.tree import Tree
from reason.types import Finish, Outcome, Path, Problem, Score, UsageError
from reason.work import Results, Work

TARGETS = ("last", "all")
POTENTIALS = ("odds", "probability", "reward")
UNSAMPLED = (Finish.ERROR, Finish.CANCELLED, Finish.BUDGET)
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Rules:
    """The arguments of `reason.search.particles.particles`; see there."""

    resample: str
    ess: float
    temperature: float
    tempering: float
    target: str
    potential: str
    aggregate: str | None
    select: str
    max_steps: int
    novelty: float


def check_rules(rules: Rules) -> Rules:
    """The rules, if all are in range.

    Raises:
        UsageError: One is not.
    """
    one_of("resample", rules.resample, SCHEMES)
    number("ess", rules.ess, 0, 1)
    if not rules.temperature > 0:
        raise UsageError(f"temperature={rules.temperature!r}: must be above 0; pass temperature=1, for example")
    number("tempering", rules.tempering, 0, 1)
    one_of("target", rules.target, TARGETS)
    one_of("potential", rules.potential, POTENTIALS)
    check_aggregate(rules.aggregate)
    one_of("select", rules.select, SELECTIONS)
    at_least("max_steps", rules.max_steps)
    number("novelty", rules.novelty, 0, 1)
    return rules


@dataclass(frozen=True, slots=True)
class Particle:
    """A place that a particle is at.

    Attributes:
        entry: The path with its judgement, and its node.
        total: The log-potential of its target so far.
        dead: Whether its last step failed, or it was cut off without an answer.
        before: Where it came from.
    """

    entry: Entry
    total: float = 0.0
    dead: bool = False
    before: Particle | None = None

    @property
    def path(self) -> Path:
        return self.entry.child.path

    @property
    def open(self) -> bool:
        return self.path.open and not self.dead

    @property
    def failed(self) -> bool:
        return self.path.finish in (Finish.ERROR, Finish.CANCELLED)

    def trajectory(self) -> list[Particle]:
        """Every place on its way, from the root on."""
        places = [self]
        while places[-1].before is not None:
            places.append(places[-1].before)
        return places[::-1]


class Population:
    """Particles on one problem.

    Attributes:
        cut: Whether the run's budget ended a step.
    """

    def __init__(self, problem: Problem, rules: Rules) -> None:
        self.rules = rules
        self.cut = False
        self._tree = Tree(problem)
        self._pool = Pool()
        self._known: dict[tuple[str, Finish], Score] = {}
        self._root = Particle(Entry(0, Child(Path(problem))))
        self._now: list[Particle] = []
        self._weights: list[float] = []
        self._mass: dict[tuple[str, Finish], float] = {}
        self._copies: dict[tuple[str, Finish], float] = {}
        self._sampled = hashlib.blake2b(problem.id.encode(), digest_size=8)

    def sweep(self, size: int, kept: Sequence[Particle]) -> Generator[Work, Results, None]:
        """One particle filter from the root.

        Args:
            size: New particles.
            kept: Finished particles that take their steps once more, at no cost, and survive every resampling.
        """
        rules = self.rules
        lines = [particle.trajectory() for particle in kept]
        self._now = [self._root] * (len(kept) + size)
        logs = [0.0] * len(self._now)
        power = 0.0
        for level in range(1, rules.max_steps + 1):
            if not self._undecided():
                break
            before, self._now = self._now, (yield from self._step(lines, level))
            weaker, power = power, 1.0 - rules.tempering**level
            for index, (old, new) in enumerate(zip(before, self._now, strict=True)):
                logs[index] += -math.inf if new.dead else power * new.total - weaker * old.total
            if self.cut:
                break
            weights = normalized(logs)
            if self._undecided() and any(weights) and self._degenerate(weights):
                self._resample(weights, len(kept))
                logs = [0.0] * len(logs)
        rest = [(1.0 - power) * particle.total for particle in self._now]
        self._weights = normalized([log + more for log, more in zip(logs, rest, strict=True)])
        for particle, weight in zip(self._now, self._weights, strict=True):
            key = (particle.path.text, particle.path.finish)
            self._mass[key] = self._mass.get(key, 0.0) + weight
            self._copies[key] = self._copies.get(key, 0.0) + (not particle.dead)

    def drawn(self, count: int) -> list[Particle]:
        """So many finished particles, each drawn by weight; none where nothing is finished."""
        ended = [0.0 if particle.open else weight for particle, weight in zip(self._now, self._weights, strict=True)]
        return self._random().choices(self._now, ended, k=count) if any(ended) else []

    def outcome(self) -> Outcome:
        """The answer of everything found."""
        select = self.rules.select
        counts = {"weighted": self._mass, "majority": self._copies}.get(select)
        found = [solution.child.path for solution in self._pool.solutions()]
        ends = [particle for particle in self._now if particle.open]
        ends = ends or [particle.before for particle in self._now if particle.failed and particle.before]
        leaves = {particle.entry.node: particle.entry for particle in ends}
        return ending(
            self._tree.problem,
            self._tree,
            self._pool,
            select,
            leaves=list(leaves.values()),
            weights=None if counts is None else [counts.get((path.text, path.finish), 0.0) for path in found],
            cut=self.cut,
        )

    def _undecided(self) -> bool:
        """Whether something is open that could still matter."""
        best = -math.inf
        if self.rules.select == "naive" and self.rules.aggregate in FALLING:
            best = best_complete(self._pool)
        return any(particle.open and not particle.entry.child.value <= best for particle in self._now)

    def _step(self, lines: Sequence[Sequence[Particle]], level: int) -> Generator[Work, Results, list[Particle]]:
        """Where every particle is after one more step."""
        moved = [line[min(level, len(line) - 1)] for line in lines] + self._now[len(lines) :]
        going = [index for index in range(len(lines), len(moved)) if moved[index].open]
        families = yield from self._sample([moved[index] for index in going])
        self.cut = any(child.path.finish is Finish.BUDGET for [child] in families)
        for [child] in families:
            self._sampled.update(b"\0" + child.path.steps[-1].text.encode())
        judged = yield from judge_children(families, self.rules.aggregate, self._known)
        for index, family in zip(going, judged, strict=True):
            moved[index] = self._moved(moved[index], family)
        return moved

    def _sample(self, particles: Sequence[Particle]) -> Generator[Work, Results, list[list[Child]]]:
        """A step for each particle."""
        nodes = Counter(particle.entry.node for particle in particles)
        parents = {particle.entry.node: particle.path for particle in particles}
        families = yield from extend_sparingly(list(parents.values()), list(nodes.values()), self.rules.novelty)
        shared = {
            node: iter(self._shared_out(family, count))
            for (node, count), family in zip(nodes.items(), families, strict=True)
        }
        return [merge([next(shared[particle.entry.node])]) for particle in particles]

    def _shared_out(self, family: Sequence[Path], count: int) -> list[Path]:
        """A step for each of so many copies of a path; where fewer were sampled, in proportion to probability."""
        if len(family) == count:
            return list(family)
        found = merge([path for path in family if path.finish not in UNSAMPLED] or family)
        known = [child.path.steps[-1] for child in found]
        sure = all(step.logprobs for step in known)
        masses = [math.exp(step.logprob) if sure else child.copies for step, child in zip(known, found, strict=True)]
        weights = [mass / math.fsum(masses) for mass in masses]
        drawn = ancestors(self.rules.resample, weights, count, self._random())
        return [found[index].path for index in drawn]

    def _moved(self, particle: Particle, family: Sequence[Child]) -> Particle:
        node = particle.entry.node
        [entry] = record(self._tree, self._pool, node, family)
        self._tree.hold(node)
        back_up(self._tree, node, family)
        child = entry.child
        if child.path.finish is Finish.BUDGET and not child.path.steps[-1].text:
            return particle
        unscored = math.isnan(child.value)
        dead = not (child.path.open or paid_for(child.path)) or (unscored and child.path.finish is Finish.LENGTH)
        gain = 0.0 if unscored else self._log_potential(child.value)
        base = particle.total if unscored or self.rules.target == "all" else 0.0
        return Particle(entry, base + gain, dead, particle)

    def _log_potential(self, value: float) -> float:
        kind, temperature = self.rules.potential, self.rules.temperature
        if kind == "reward":
            return value / temperature
        if value < 0 or (kind == "odds" and value > 1):
            raise UsageError(f"the scorer gave {value:g}, which is no probability; pass potential='reward'")
        value = max(value, _LEAST)
        odds = kind == "odds"
        return (math.log(value) - (math.log(max(1.0 - value, _LEAST)) if odds else 0.0)) / temperature

    def _degenerate(self, weights: Sequence[float]) -> bool:
        ess = self.rules.ess
        return ess >= 1 or effective_size(weights) < ess * len(weights)

    def _resample(self, weights: Sequence[float], kept: int) -> None:
        scheme, draw, count = self.rules.resample, self._random(), len(weights)
        if kept == 1:
            chosen = conditional_ancestors(scheme, weights, count, draw, 0)
        else:
            chosen = [*range(kept), *ancestors(scheme, weights, count - kept, draw)]
        self._now = [self._now[index] for index in chosen]

    def _random(self) -> Random:
        """Randomness from everything sampled so far."""
        self._sampled.update(b"\1")
        return Random(int.from_bytes(self._sampled.digest()))
