"""Adaptive self-consistency: sample until the majority is sure enough, at most n solutions.

Solutions come in waves. After each wave the answers so far are counted and sampling ends as soon as

- "beta", "dirichlet": the leader is the most probable answer with probability `threshold` (Adaptive-Consistency,
  Aggarwal et al. 2305.11860; `reason.search.posterior` has the formulas and how they are computed);
- "unanimous": all answers of one wave are the same (ESC, Li et al. 2401.10480, a window of `wave` samples);
- "certain": no answer can overtake the leader any more. The answer is that of the full vote, always.

Every rule also stops when the result is certain. What remains is the majority vote of `self_consistency`.

`stream` asks for all n at once instead and looks at what has landed, whenever `wave` more have; what is in flight when
the rule says stop is cancelled. That takes one round trip instead of n / wave, but which solutions landed first, hence
what was sampled and sometimes the answer, depends on timing: short solutions vote sooner. Waves depend on seeds alone
and are the default. An engine that decodes all n side by side has nearly finished them when the first ones land, so
that streaming saves little there; it pays with a server that answers one by one.

Deviations: the paper looks after every sample (`wave=1`), here after four by default. Its Dirichlet criterion draws
samples and knows only the answers seen; here it is integrated, and one unseen answer takes part, so that a single
answer is not certain at once. The posterior is about the policy's most probable answer, not about what the remaining
votes would say, and it is looked at repeatedly; a Bayesian's statement keeps its probability under such stopping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reason.answers import Group, answer_of, vote
from reason.search.posterior import beta_lead, decided, dirichlet_lead
from reason.search.select import candidate, conclude, paid_for
from reason.search.strategy import Strategy, at_least, number, one_of
from reason.types import Finish, Outcome, Path, Problem, Step, UsageError
from reason.work import SearchRun, extend

STOPS = ("beta", "dirichlet", "unanimous", "certain")
_THRESHOLD = 0.95
_POSTERIORS = ("beta", "dirichlet")

Rule = Callable[[Sequence[Group], Sequence[str | None]], bool]
"""From the vote so far and the answers of the last wave to whether that is enough."""


def adaptive_consistency(
    n: int = 16, *, wave: int = 4, stop: str = "beta", threshold: float | None = None, stream: bool = False
) -> Strategy:
    """Majority vote over as many sampled solutions as it takes, at most n.

    Args:
        n: Solutions to sample at most.
        wave: Solutions between two looks at the vote.
        stop: When the vote is sure enough: "beta", "dirichlet", "unanimous" or "certain" (see the module).
        threshold: The probability that "beta" and "dirichlet" ask for; None: 0.95.
        stream: Sample all at once and cancel the rest, instead of in waves; the result then depends on timing.

    Raises:
        UsageError: An argument is out of range, or a threshold was given to a rule that has none.
    """
    at_least("n", n)
    at_least("wave", wave)
    rule = _rule(one_of("stop", stop, STOPS), threshold, wave)

    def run(problem: Problem) -> SearchRun:
        if stream:
            paths = yield from extend([Path(problem)] * n, enough=_Watch(rule, wave))
            return _conclude(problem, paths)
        paths, answers = list[Path](), list[str | None]()
        while len(paths) < n:
            landed = yield from extend([Path(problem)] * min(wave, n - len(paths)))
            paths += landed
            answers += [_answer(path) for path in landed]
            groups = vote(answers)
            if _cut(landed) or decided(groups, n - len(paths)) or rule(groups, answers[-wave:]):
                break
        return _conclude(problem, paths)

    return Strategy("adaptive_consistency", run)


class _Watch:
    """Looks at the vote of what has landed, every `wave` landings."""

    def __init__(self, rule: Rule, wave: int) -> None:
        self._rule, self._wave = rule, wave
        self._answers: dict[int, str | None] = {}
        self._next = wave

    def __call__(self, steps: Sequence[Step | None]) -> bool:
        for index, step in enumerate(steps):
            if step is not None and index not in self._answers:
                self._answers[index] = _answer(Path(_NOBODY, (step,)))
        if len(self._answers) < self._next:
            return False
        self._next = len(self._answers) + self._wave
        groups = vote([self._answers.get(index) for index in range(len(steps))])
        free = next((index for index in range(len(steps)) if index not in self._answers), len(steps))
        left = len(steps) - len(self._answers)
        return decided(groups, left, free) or self._rule(groups, list(self._answers.values())[-self._wave :])


_NOBODY = Problem("", "")


def _rule(stop: str, threshold: float | None, wave: int) -> Rule:
    if stop not in _POSTERIORS and threshold is not None:
        raise UsageError(
            f"threshold={threshold!r} with stop={stop!r}: that rule has no threshold; leave it out, or pass stop='beta'"
        )
    if stop == "unanimous" and wave < 2:
        raise UsageError("wave=1 with stop='unanimous': one answer always agrees with itself; pass wave=2 or more")
    sure = number("threshold", _THRESHOLD if threshold is None else threshold, 0.5, 1.0)

    def certain(groups: Sequence[Group], last: Sequence[str | None]) -> bool:
        return False

    def unanimous(groups: Sequence[Group], last: Sequence[str | None]) -> bool:
        return len(last) == wave and _counts(vote(last)) == [wave]

    def beta(groups: Sequence[Group], last: Sequence[str | None]) -> bool:
        leader, runner_up, *_ = (*_counts(groups), 0, 0)
        return leader > 0 and beta_lead(leader, runner_up) >= sure

    def dirichlet(groups: Sequence[Group], last: Sequence[str | None]) -> bool:
        counts = _counts(groups)
        return bool(counts) and dirichlet_lead((*counts, 0)) >= sure

    return {"certain": certain, "unanimous": unanimous, "beta": beta, "dirichlet": dirichlet}[stop]


def _counts(groups: Sequence[Group]) -> list[int]:
    """How often each answer was given, most frequent first."""
    return [len(group.members) for group in groups if group.answer is not None]


def _answer(path: Path) -> str | None:
    return answer_of(path.text) if paid_for(path) else None


def _cut(paths: Sequence[Path]) -> bool:
    return any(path.finish is Finish.BUDGET for path in paths)


def _conclude(problem: Problem, paths: Sequence[Path]) -> Outcome:
    candidates = [candidate(path) for path in paths if paid_for(path)]
    return conclude(problem, candidates, "majority", stopped="budget" if _cut(paths) else "done")
