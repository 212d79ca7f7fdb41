"""DeepConf online: solutions that lose confidence are not written to their end.

Fu et al. 2508.15260, algorithm 2 (their warm-up is 16 solutions, keep 90 or 10 %, the consensus 95 %):

1. `warmup` whole solutions are sampled. The bar is that confidence of their least confident groups which the share
   `keep` of them reaches.
2. The others are written in spans, `wave` of them at a time. One whose least confident group falls below the bar is
   left as it is: it does not vote and costs no more.
3. What reached the bar, of the warm-up too, votes with its confidence. Sampling ends after n solutions, or as soon as
   one answer has the share `consensus` of the votes.

Deviations: what a token's confidence is, and the window, as in `reason.search.confidence`; a window or span below 1 is
a share of the mean length of the warm-up's solutions. The bar is looked at after every span, not every token, so that
any backend can do it; the vote is looked at after every span too, and sampling also ends when no solution to come can
overtake the leader, where votes are probabilities and so at most 1. Measured on the bundled model (200 training-like
problems; a majority vote of 16 answers 50 %, of 64 53 %): 54 % at 63 % of its tokens with n = 16, 57 % at 48 % with
n = 64. With `top=20` 44 and 50 %, with `top=20, keep=0.9` 51 and 54 % at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reason.answers import vote
from reason.search.confidence import (
    check_top,
    check_window,
    group_means,
    is_plain,
    token_confidences,
    width,
)
from reason.search.confidence_vote import check_share
from reason.search.select import candidate, conclude, paid_for, powered
from reason.search.strategy import LOGPROBS, PARTIAL, Strategy, at_least, number
from reason.types import Candidate, Finish, Outcome, Path, Problem, Until, UsageError
from reason.work import SearchRun, extend

WARMUP = 16
LENGTH = 1024
"""Assumed of a solution where no sample of the warm-up came back."""


def deepconf(
    n: int = 16,
    *,
    warmup: int | None = None,
    keep: float = 0.25,
    window: float = 0.1,
    span: float = 0.1,
    wave: int = 4,
    consensus: float = 0.95,
    power: float = 1.0,
    top: int = 0,
) -> Strategy:
    """Confidence-weighted vote that stops writing solutions once their confidence falls.

    Args:
        n: Solutions at most.
        warmup: Whole solutions that set the bar; None: half of n, at most 16.
        keep: Share of the warm-up's solutions that reach the bar, in (0, 1].
        window: Tokens of a group, or below 1 a share of the warm-up's mean length.
        span: Tokens between two looks at a solution, or below 1 a share of the warm-up's mean length.
        wave: Solutions written at a time after the warm-up.
        consensus: Share of the votes that ends the sampling, in (0.5, 1].
        power: A vote counts confidence ** power; 0 counts each as one.
        top: The likeliest tokens that a token's confidence is taken over; 0: the sampled token's log-probability.

    Raises:
        UsageError: An argument is out of range.
    """
    first = max(min(at_least("n", n) // 2, WARMUP), 1) if warmup is None else at_least("warmup", warmup)
    if first > n:
        raise UsageError(f"warmup={first} with n={n}: the warm-up is part of the n; pass a larger n or warmup={n}")
    at_least("wave", wave)
    check_share("keep", keep)
    check_window("window", window)
    check_window("span", span)
    if not number("consensus", consensus, 0.5, 1.0) > 0.5:
        raise UsageError("consensus=0.5: half of the votes is no majority; pass a number above 0.5, 0.95 for example")
    number("power", power)
    confidence = check_top(top) or None

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * first, confidence=confidence)
        bar = _bar(paths, keep, window, span, power, top)
        finished = [bar.candidate(path) for path in paths if paid_for(path)]
        active, started, cut = list[Path](), first, _cut(paths)
        while not cut and not bar.enough(finished, n - started + len(active), consensus):
            fresh = min(wave - len(active), n - started)
            active += [Path(problem)] * fresh
            started += fresh
            active = yield from extend(active, Until.SPAN, tokens=bar.span, confidence=confidence)
            cut = _cut(active)
            finished += [bar.candidate(path) for path in active if not path.open and paid_for(path)]
            active = [path for path in active if path.open and bar.holds(path)]
        return _conclude(problem, bar, finished, active, cut)

    return Strategy("deepconf", run, frozenset({LOGPROBS, PARTIAL}))


@dataclass(frozen=True, slots=True)
class _Bar:
    """What a solution must hold, and what its vote counts.

    Attributes:
        plain: Whether log-probabilities stand for confidences.
        least: The confidence that every group must reach; 0 where the warm-up gave none.
        window, span: In tokens.
        power: Of the confidence in a vote.
    """

    plain: bool
    least: float
    window: int
    span: int
    power: float

    def value(self, path: Path) -> float:
        """The confidence of the path's least confident group, 0 or above; NaN without tokens."""
        return _lowest(path, self.plain, self.window)

    def holds(self, path: Path) -> bool:
        """Whether the unfinished path may go on: it has no whole group yet, or none below the bar."""
        return len(token_confidences(path, self.plain)) < self.window or not self.value(path) < self.least

    def votes(self, candidates: Sequence[Candidate]) -> dict[int, float]:
        """What each candidate counts that has an answer and reached the bar."""
        able = [index for index, item in enumerate(candidates) if item.answer and item.score >= self.least]
        values = [candidates[index].score for index in able]
        weights = [value**self.power for value in values] if self.plain else powered(values, self.power)
        return dict(zip(able, weights, strict=True))

    def enough(self, finished: Sequence[Candidate], left: int, consensus: float) -> bool:
        """Whether the vote has its consensus, or none of the solutions left can change it."""
        if not left:
            return True
        votes = self.votes(finished)
        groups = vote([finished[index].answer for index in votes], list(votes.values()))
        total = math.fsum(group.weight for group in groups)
        if not total > 0:
            return False
        leader, runner_up, *_ = [group.weight for group in groups] + [0.0]
        return leader >= consensus * total or (self.plain and leader - runner_up > left)

    def candidate(self, path: Path) -> Candidate:
        """The path as a candidate, scored by its confidence."""
        return candidate(path, value=self.value(path))


def _bar(paths: Sequence[Path], keep: float, window: float, span: float, power: float, top: int) -> _Bar:
    plain = is_plain(paths, top)
    whole = [path for path in paths if paid_for(path)]
    lengths = [len(token_confidences(path, plain)) for path in whole]
    length = sum(lengths) / len(lengths) if any(lengths) else LENGTH
    tokens = width(window, length)
    values = [_lowest(path, plain, tokens) for path in whole]
    known = [value for value in values if not math.isnan(value)]
    least = float(np.quantile(known, 1 - keep)) if known else 0.0
    return _Bar(plain, least, tokens, width(span, length), power)


def _lowest(path: Path, plain: bool, window: int) -> float:
    means = group_means(token_confidences(path, plain), window)
    if not len(means):
        return math.nan
    return math.exp(means.min()) if plain else float(means.min())


def _cut(paths: Sequence[Path]) -> bool:
    return any(path.finish is Finish.BUDGET for path in paths)


def _conclude(problem: Problem, bar: _Bar, finished: Sequence[Candidate], active: Sequence[Path], cut: bool) -> Outcome:
    """The vote; unfinished solutions count only where no finished one has an answer."""
    candidates = list(finished)
    if not any(item.answer for item in candidates):
        candidates += [bar.candidate(path) for path in active]
    votes = bar.votes(candidates)
    return conclude(
        problem,
        candidates,
        "weighted",
        weights=[votes.get(index, 0.0) for index in range(len(candidates))],
        among=sorted(votes) or None,
        stopped="budget" if cut else "done",
    )
