"""Several strategies on the same problems, paired.

Self-consistency samples n solutions of every problem. Best-of-n and weighted best-of-n judge those same samples and
select among them, so that they differ by the selection alone; each is charged with the sampling and, where it uses
scores, with the judging. Beam search and MCTS sample for themselves, with n as their budget in whole solutions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reason.evals.metrics import paired_bootstrap
from reason.evals.record import Grader, Record, record_of, summarize
from reason.evals.run import evaluate
from reason.search import STRATEGIES
from reason.search.select import candidate, conclude, judge_unique
from reason.types import Cost, Outcome, Policy, Problem, Sampling, Scorer
from reason.work import Search, SearchRun

GREEDY, MAJORITY, BEST, WEIGHTED, BEAM, MCTS = (
    "cot",
    "self_consistency",
    "best_of_n",
    "weighted_best_of_n",
    "beam",
    "mcts",
)
SELECTION = {MAJORITY: "majority", BEST: "naive", WEIGHTED: "weighted"}


@dataclass(frozen=True, slots=True)
class Line:
    """A strategy's results.

    Attributes:
        strategy: Its name on the command line.
        records: One per problem, in the problems' order.
    """

    strategy: str
    records: tuple[Record, ...]

    def summary(self) -> dict[str, Any]:
        """See `reason.evals.record.summarize`."""
        return {"strategy": self.strategy, **summarize(self.records)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out.

    Attributes:
        n: The budget in whole solutions.
        lines: One per strategy, in the order they ran.
        samples: The judged samples of every problem, in the problems' order, for curves over k.
    """

    n: int
    lines: tuple[Line, ...]
    samples: tuple[Outcome, ...]

    def line(self, strategy: str) -> Line:
        """The strategy's results."""
        return next(line for line in self.lines if line.strategy == strategy)


OnProgress = Callable[[str, int, Sequence[Line]], None]


def compare(
    problems: Sequence[Problem],
    grade: Grader,
    *,
    policy: Policy,
    new_scorer: Callable[[], Scorer],
    n: int = 16,
    seed: int = 0,
    sampling: Sampling | None = None,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Run the six strategies.

    Args:
        problems, grade: What is answered, and how it is graded.
        policy, sampling, seed: As in `reason.solve`.
        new_scorer: Makes a scorer; each strategy gets its own, so that none is spared what another had judged before.
        n: The budget in whole solutions, for all but the greedy chain of thought.
        on_progress: Called with (strategy now running, problems done, finished lines).
    """
    lines: list[Line] = []

    def run(name: str, search: Search, judge: Scorer | None) -> tuple[list[Record], dict[str, Outcome]]:
        outcomes: dict[str, Outcome] = {}

        def done(_: Record, outcome: Outcome) -> None:
            outcomes[outcome.problem.id] = outcome
            if on_progress is not None:
                on_progress(name, len(outcomes), lines)

        if on_progress is not None:
            on_progress(name, 0, lines)
        records = evaluate(
            problems, grade, policy=policy, search=search, scorer=judge, sampling=sampling, seed=seed, on_record=done
        )
        return records, outcomes

    lines.append(Line(GREEDY, tuple(run(GREEDY, STRATEGIES[GREEDY](n), None)[0])))
    drawn, sampled = run(MAJORITY, STRATEGIES[MAJORITY](n), None)
    lines.append(Line(MAJORITY, tuple(drawn)))
    judging, judged = run(BEST, _judge_samples(sampled), new_scorer())
    samples = [judged[problem.id] for problem in problems]
    before = max((record.elapsed for record in drawn), default=0.0)
    for name in (BEST, WEIGHTED):
        selected = (_select(outcome, SELECTION[name]) for outcome in samples)
        rows = zip(selected, drawn, judging, strict=True)
        lines.append(Line(name, tuple(_charged(one, old, before, new.elapsed, grade) for one, old, new in rows)))
    for name in (BEAM, MCTS):
        lines.append(Line(name, tuple(run(name, STRATEGIES[name](n), new_scorer())[0])))
    return Comparison(n, tuple(lines), tuple(samples))


def _judge_samples(sampled: Mapping[str, Outcome]) -> Search:
    """A search that draws nothing: it judges the solutions that are already there."""

    def run(problem: Problem) -> SearchRun:
        paths = [item.path for item in sampled[problem.id].candidates]
        scores = yield from judge_unique(paths)
        candidates = [candidate(path, score) for path, score in zip(paths, scores, strict=True)]
        return conclude(problem, candidates, SELECTION[BEST])

    return run


def _select(outcome: Outcome, select: str) -> Outcome:
    """The outcome of another selection among the same candidates."""
    chosen = conclude(outcome.problem, outcome.candidates, select)
    return replace(chosen, cost=outcome.cost, stopped=outcome.stopped, failures=outcome.failures)


def _charged(outcome: Outcome, drawn: Record, before: float, elapsed: float, grade: Grader) -> Record:
    """The record of a selection, charged with the sampling (a record that ended `before` the judging) too."""
    sampling = Cost(drawn.generated_tokens, drawn.prefilled_tokens, drawn.scored_tokens, drawn.flops, drawn.seconds)
    whole = replace(outcome, cost=sampling + outcome.cost)
    return record_of(whole, grade, judged=True, elapsed=before + elapsed)


@dataclass(frozen=True, slots=True)
class Difference:
    """One strategy's accuracy minus another's, on the same problems.

    Attributes:
        strategy, baseline: Their names.
        mean: The difference, in [-1, 1].
        low, high: Its 95 % interval (paired bootstrap over problems).
    """

    strategy: str
    baseline: str
    mean: float
    low: float
    high: float


def differences(comparison: Comparison, baseline: str) -> list[Difference]:
    """Every later strategy against the baseline, over the problems that both could be graded on."""
    base = comparison.line(baseline)
    found = []
    for line in comparison.lines[comparison.lines.index(base) + 1 :]:
        pairs = [
            (float(mine.correct), float(other.correct))
            for mine, other in zip(line.records, base.records, strict=True)
            if mine.scored and other.scored
        ]
        if pairs:
            measured = paired_bootstrap([mine for mine, _ in pairs], [other for _, other in pairs])
            found.append(Difference(line.strategy, baseline, *measured))
    return found
