"""Sampling steps sparingly: no more copies of a step where the next one would hardly be new.

Where a path has one sensible continuation, sampling it `branch` times pays for the same text again and again. Here
every parent gets one step first, then as many again as it has, up to its share, and only while the chance that a sample
is new is at least `novelty`. That chance is 1 minus the summed probabilities of the different steps sampled so far,
from their log-probabilities; for a backend without them it is Good and Turing's estimate, the share of samples seen
once (Good 1953), from the second sample on.

Log-probabilities are the model's untempered ones, so below temperature 1 the chance of a new step is overestimated:
more is sampled than needed, never less.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Sequence

from reason.search.units import STEP, Unit
from reason.types import Finish, Path, Step
from reason.work import Results, Work, extend


def unseen(steps: Sequence[Step]) -> float:
    """The estimated chance that one more sample differs from all of these; 1 where nothing can be said.

    Failed steps say nothing.
    """
    steps = [step for step in steps if step.finish is not Finish.ERROR]
    kinds = Counter((step.text, step.finish) for step in steps)
    if steps and all(step.logprobs for step in steps):
        known = {(step.text, step.finish): math.exp(step.logprob) for step in steps}
        return max(1.0 - math.fsum(known.values()), 0.0)
    if len(steps) < 2:
        return 1.0
    return sum(count == 1 for count in kinds.values()) / len(steps)


def further(steps: Sequence[Step], count: int, novelty: float) -> int:
    """How many more steps to sample where so many of `count` are there."""
    if any(step.finish is Finish.BUDGET for step in steps) or unseen(steps) < novelty:
        return 0
    return min(max(len(steps), 1), count - len(steps)) if novelty else count - len(steps)


def extend_sparingly(
    parents: Sequence[Path], counts: Sequence[int], novelty: float, unit: Unit = STEP
) -> Generator[Work, Results, list[list[Path]]]:
    """Extend each parent by one step at least and `counts` at most; returns the extended paths of each parent."""
    families: list[list[Path]] = [[] for _ in parents]
    while True:
        wanted = [
            further([path.steps[-1] for path in family], count, novelty)
            for family, count in zip(families, counts, strict=True)
        ]
        if not any(wanted):
            return families
        copies = [path for path, count in zip(parents, wanted, strict=True) for _ in range(count)]
        extended = iter((yield from extend(copies, unit.until, tokens=unit.tokens, step_end=unit.step_end)))
        for family, count in zip(families, wanted, strict=True):
            family += [next(extended) for _ in range(count)]
