"""What `reason compare` does: several kept runs on the problems they share, side by side and paired with the first.

Runs that differ in their seed alone are one entry, whose value for a problem is the mean over seeds; more of them make
the draws' noise smaller and show how large it is. All figures are over the problems that every run could be graded on,
so that no run is flattered by the problems it lacks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reason.evals.curve import samples_of, shown_k
from reason.evals.frontier import Rate, accuracy_per, frontier_shares, on_frontier
from reason.evals.metrics import bootstrap_ci, resampled_families
from reason.evals.paired import Paired, compare_paired, holm
from reason.evals.stored import StoredRun, common, families_of
from reason.evals.variance import Variance, clustered_error, coded, decompose, standard_error
from reason.types import UsageError

KILO, TERA = 1e3, 1e12
NOT_OF_THE_METHOD = ("seed", "problem_seed", "version", "out")


@dataclass(frozen=True, slots=True)
class Entry:
    """A run, or runs that differ in their seed alone.

    Attributes:
        name: The run's name; the first one's, where there are several.
        runs: One per seed.
        values: The mean outcome of each shared problem over the seeds.
        by_seed: The outcomes of each shared problem, one per seed. Shape [problems][seeds].
        tokens, flops: The mean cost of each shared problem.
    """

    name: str
    runs: tuple[StoredRun, ...]
    values: tuple[float, ...]
    by_seed: tuple[tuple[float, ...], ...]
    tokens: tuple[float, ...]
    flops: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """An entry's figures.

    Attributes:
        name, strategy, n: Which it is.
        seeds: How many runs it joins.
        accuracy, low, high: With its 95 % interval.
        se: Standard error; clustered where problems come in families.
        seed_sd: Standard deviation of the accuracy between seeds; NaN for one.
        tokens, flops: Per problem.
        per_kilotoken, per_teraflop: Accuracy for a thousand tokens, for 10^12 FLOPs.
        frontier: Share of bootstrap samples in which no other entry beats it for at most its tokens.
        variance: Between and within problems, over the seeds or else the run's independent samples; None without.
    """

    name: str
    strategy: str
    n: int
    seeds: int
    accuracy: float
    low: float
    high: float
    se: float
    seed_sd: float
    tokens: float
    flops: float
    per_kilotoken: Rate
    per_teraflop: Rate
    frontier: float
    variance: Variance | None


@dataclass(frozen=True, slots=True)
class Against:
    """An entry compared with the baseline.

    Attributes:
        name, baseline: Which they are.
        paired: Entry minus baseline.
        holm: The p-value adjusted for the number of comparisons.
    """

    name: str
    baseline: str
    paired: Paired
    holm: float


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the compute-optimal frontier.

    Attributes:
        name: The entry.
        k: How many of the strategy's samples; None for the whole run.
        tokens, accuracy: Per problem.
        sure: Share of bootstrap samples of the problems in which it lies on the frontier.
    """

    name: str
    k: int | None
    tokens: float
    accuracy: float
    sure: float


@dataclass(frozen=True, slots=True)
class Compared:
    """Everything that `reason compare` tells.

    Attributes:
        task: The runs' task.
        problems: Problems that all runs could be graded on.
        left_out: Problems that some run lacks or could not be graded on.
        families: How many families they fall into; None where they are independent.
        lines: One per entry.
        against: One per entry but the baseline.
        frontier: What no other entry, at any k that its samples tell, beats for at most its tokens; by rising tokens.
    """

    task: str
    problems: int
    left_out: int
    families: int | None
    lines: tuple[Line, ...]
    against: tuple[Against, ...]
    frontier: tuple[Point, ...]

    def data(self) -> dict[str, Any]:
        """For JSON; NaN is null there."""
        return nulled(asdict(self))  # type: ignore[no-any-return]


def compare_runs(
    runs: Sequence[StoredRun], *, baseline: str | None = None, k: int | None = None, each: bool = False
) -> Compared:
    """Compare kept runs.

    Args:
        runs: At least one, of one task.
        baseline: The entry that the others are compared with; None is the first.
        k: Compare what the strategies are expected to do with k of their n samples.
        each: Keep runs apart that differ in their seed alone.

    Raises:
        UsageError: The runs cannot be compared: other tasks or data, no shared problem, no such baseline, a k that some
            run does not allow.
    """
    values = [run.values(k) for run in runs]
    shared = common(runs)
    known = [problem for problem in shared if not any(math.isnan(found[problem]) for found in values)]
    if not known:
        raise UsageError("no problem could be graded in every run: look at the runs' failures first")
    everything = {row.problem for run in runs for row in run.records}
    groups = [[place] for place in range(len(runs))] if each else _groups(runs)
    entries = [_entry([runs[i] for i in group], [values[i] for i in group], known, k) for group in groups]
    families = families_of(known)
    shares = frontier_shares([entry.tokens for entry in entries], [entry.values for entry in entries])
    lines = [_line(entry, share, families) for entry, share in zip(entries, shares, strict=True)]
    count = None if families is None else len(set(families))
    against = _against(entries, baseline, families)
    task = str(runs[0].config.get("task") or "")
    left_out = len(everything) - len(known)
    points = tuple(_frontier(entries, known, k))
    return Compared(task, len(known), left_out, count, tuple(lines), tuple(against), points)


def _frontier(entries: Sequence[Entry], known: Sequence[str], k: int | None) -> list[Point]:
    """The frontier over the entries and, where those are runs of independent samples, over every k that is shown."""
    rows: list[tuple[str, int | None, Sequence[float], Sequence[float]]] = []
    for entry in entries:
        rows.append((entry.name, k, entry.tokens, entry.values))
        run = entry.runs[0]
        if k is not None or len(entry.runs) > 1 or run.selection is None:
            continue
        try:
            outcomes = run.over_k()
        except UsageError:
            continue
        for fewer in shown_k(run.n)[:-1]:
            costs = run.costs(fewer)
            values = [outcomes[problem][fewer - 1] for problem in known]
            rows.append((entry.name, fewer, [costs[problem] for problem in known], values))
    costs_all, values_all = [row[2] for row in rows], [row[3] for row in rows]
    shares = frontier_shares(costs_all, values_all)
    means = [(float(np.mean(row[2])), float(np.mean(row[3]))) for row in rows]
    best = on_frontier([tokens for tokens, _ in means], [accuracy for _, accuracy in means])
    found = [
        Point(row[0], row[1], tokens, accuracy, share)
        for row, (tokens, accuracy), share, kept in zip(rows, means, shares, best, strict=True)
        if kept
    ]
    return sorted(found, key=lambda point: (point.tokens, point.name))


def _groups(runs: Sequence[StoredRun]) -> list[list[int]]:
    """The places of runs that differ in their seed alone, and hold the same problems."""
    groups: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        config = {key: value for key, value in run.config.items() if key not in NOT_OF_THE_METHOD}
        same = json.dumps([config, sorted(row.problem for row in run.records)], sort_keys=True, default=str)
        groups.setdefault(same if run.config else f"alone {place}", []).append(place)
    return list(groups.values())


def _entry(
    runs: Sequence[StoredRun], values: Sequence[Mapping[str, float]], known: Sequence[str], k: int | None
) -> Entry:
    by_seed = tuple(tuple(found[problem] for found in values) for problem in known)
    tokens, flops = ([run.costs(k, flops=kind) for run in runs] for kind in (False, True))
    return Entry(
        runs[0].name,
        tuple(runs),
        tuple(math.fsum(row) / len(row) for row in by_seed),
        by_seed,
        tuple(math.fsum(cost[problem] for cost in tokens) / len(runs) for problem in known),
        tuple(math.fsum(cost[problem] for cost in flops) / len(runs) for problem in known),
    )


def _line(entry: Entry, share: float, families: Sequence[str] | None) -> Line:
    if families is None:
        low, high = bootstrap_ci(entry.values)
        error = standard_error(entry.values)
    else:
        scored, codes = coded(entry.values, families)
        low, high = map(float, np.quantile(resampled_families(scored, codes, 10_000, 0), [0.025, 0.975]))
        error = clustered_error(entry.values, families)
    means = np.array(entry.by_seed).mean(axis=0)
    first = entry.runs[0]
    return Line(
        entry.name,
        first.strategy,
        first.n,
        len(entry.runs),
        float(np.mean(entry.values)),
        low,
        high,
        error,
        float(means.std(ddof=1)) if len(means) > 1 else math.nan,
        float(np.mean(entry.tokens)),
        float(np.mean(entry.flops)),
        accuracy_per(entry.values, entry.tokens, unit=KILO),
        accuracy_per(entry.values, entry.flops, unit=TERA),
        share,
        _variance(entry),
    )


def _variance(entry: Entry) -> Variance | None:
    """Over the seeds; for one run of independent samples, over those."""
    rows: Sequence[Sequence[float]] = entry.by_seed
    if len(entry.runs) == 1:
        run = entry.runs[0]
        if run.selection is None or run.n < 2:
            return None
        try:
            samples = samples_of([row for row in run.records if row.scored], run.n)
        except UsageError:
            return None
        rows = [[float(good) for good in one.correct] for one in samples]
    try:
        return decompose(rows)
    except UsageError:
        return None


def _against(entries: Sequence[Entry], baseline: str | None, families: Sequence[str] | None) -> list[Against]:
    names = [entry.name for entry in entries]
    if baseline is not None and baseline not in names:
        raise UsageError(f"--baseline {baseline!r:.80} is none of the runs: pass one of {', '.join(names)[:300]}")
    base = entries[0 if baseline is None else names.index(baseline)]
    others = [entry for entry in entries if entry is not base]
    found = [compare_paired(entry.values, base.values, families=families) for entry in others]
    adjusted = holm([pair.p for pair in found])
    return [Against(entry.name, base.name, pair, p) for entry, pair, p in zip(others, found, adjusted, strict=True)]


def nulled(data: Any) -> Any:
    """The data for JSON: tuples are lists, NaN and infinities null."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: nulled(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [nulled(value) for value in data]
    return data
