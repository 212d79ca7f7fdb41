"""Runs that `reason eval --out` kept: reading them back, and lining several up problem by problem."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from reason.evals.curve import check_k, expected_over_k
from reason.evals.record import Record
from reason.evals.results import FIELDS, NEEDED, read_lines
from reason.search import STRATEGIES
from reason.types import UsageError


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it lies in its folder.

    Attributes:
        name: The folder's name, with as many of its parents as tell it from the other runs.
        folder: Where it lies.
        config: What `reason eval` was asked for.
        records: One per problem, in the order in which they finished.
    """

    name: str
    folder: FilePath
    config: Mapping[str, Any]
    records: tuple[Record, ...]

    @property
    def strategy(self) -> str:
        """The strategy's name, empty if unknown."""
        return str(self.config.get("strategy") or "")

    @property
    def n(self) -> int:
        """The budget in whole solutions; 0 where it was another."""
        found = self.config.get("n")
        return found if isinstance(found, int) else 0

    @property
    def selection(self) -> str | None:
        """How the strategy selects among independent samples; None if it does not."""
        build = STRATEGIES.get(self.strategy)
        return build(max(1, self.n)).selection if build is not None and self.n else None

    def values(self, k: int | None = None) -> dict[str, float]:
        """Each problem's outcome, 1 or 0, NaN where it could not be graded.

        Args:
            k: The expected outcome had the strategy drawn only k samples; None is the run's own.

        Raises:
            UsageError: k is given and the strategy does not select among independent samples, or k > n.
        """
        if k is None:
            return {row.problem: float(row.correct) if row.scored else math.nan for row in self.records}
        found = self.over_k(k)
        return {problem: values[k - 1] for problem, values in found.items()}

    def over_k(self, k: int = 1) -> dict[str, list[float]]:
        """Each problem's expected outcome had the strategy drawn only 1, 2 … n samples.

        Args:
            k: How many are asked about.

        Raises:
            UsageError: The strategy does not select among independent samples, or k > n.
        """
        if self.selection is None:
            raise UsageError(
                f"{self.name}: what {self.strategy or 'an unknown strategy'} would do with k samples does not follow "
                "from this run, since it decides what to sample by what it has: leave out --k, or the run"
            )
        try:
            check_k(k, self.n)
            found = expected_over_k(self.records, self.n, self.selection)
        except UsageError as error:
            raise UsageError(f"{self.name}: {error}") from error
        return {row.problem: values for row, values in zip(self.records, found, strict=True)}

    def costs(self, k: int | None = None, *, flops: bool = False) -> dict[str, float]:
        """Each problem's generated tokens, or FLOPs; with k, the share that k of the n samples cost on average."""
        share = 1.0 if k is None or not self.n else k / self.n
        return {row.problem: share * (row.flops if flops else row.generated_tokens) for row in self.records}


def read_runs(folders: Sequence[FilePath]) -> list[StoredRun]:
    """The runs in these folders and in the folders one below them, each once.

    Raises:
        UsageError: A folder holds no run, a file of it cannot be read, or two arguments are the same folder.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError(f"the same folder was given twice ({', '.join(map(str, folders))[:200]}): name each once")
    places = list({place.resolve(): place for folder in folders for place in _places(folder)}.values())
    names = _names(places)
    return [_read(place, name) for place, name in zip(places, names, strict=True)]


def _places(folder: FilePath) -> list[FilePath]:
    own = [folder] if (folder / "results.jsonl").is_file() else []
    below = sorted(path.parent for path in folder.glob("*/results.jsonl")) if folder.is_dir() else []
    if not own and not below:
        what = "holds no results.jsonl" if folder.is_dir() else "is not a folder"
        raise UsageError(
            f"{str(folder)!r:.120} {what}: pass the --out folder of a reason eval, or the one above several"
        )
    return [*own, *below]


def _names(places: Sequence[FilePath]) -> list[str]:
    """The shortest endings of the paths that differ."""
    parts = [place.resolve().parts for place in places]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return ["/".join(part) for part in parts]


def _read(folder: FilePath, name: str) -> StoredRun:
    try:
        config_file = folder / "config.json"
        config = json.loads(config_file.read_text("utf-8")) if config_file.is_file() else {}
        rows = read_lines(folder / "results.jsonl")
    except (OSError, ValueError) as error:
        raise UsageError(f"the run {str(folder)!r:.120} cannot be read ({error}): pass another folder") from error
    records: dict[str, Record] = {}
    for number, row in rows:
        try:
            record = _record(row)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{folder / 'results.jsonl'}, line {number} is not a record of reason eval ({error}): pass its --out"
            ) from error
        records[record.problem] = record
    if not records:
        raise UsageError(f"the run {str(folder)!r:.120} has no finished problem yet: run it first")
    return StoredRun(name, folder, config if isinstance(config, dict) else {}, tuple(records.values()))


def _record(row: Any) -> Record:
    """The record of a line; fields that are not known are left out.

    Raises:
        TypeError, ValueError: It is none.
    """
    missing = sorted(NEEDED - set(row)) if isinstance(row, dict) else ["everything"]
    if missing:
        raise ValueError(f"without {', '.join(missing[:3])}")
    kept = {key: value for key, value in row.items() if key in FIELDS}
    for name in ("generated_tokens", "flops"):
        if isinstance(row[name], bool) or not isinstance(row[name], int | float) or not 0 <= row[name] < math.inf:
            raise ValueError(f"{name} is {row[name]!r:.40}")
    given = row.get("samples")
    samples = None if given is None else tuple((answer, bool(correct), value) for answer, correct, value in given)
    return Record(**{**kept, "failures": tuple(row.get("failures") or ()), "samples": samples})


def common(runs: Sequence[StoredRun]) -> list[str]:
    """The problems that all runs have, in the first one's order.

    Raises:
        UsageError: The runs are of different tasks, or have no problem in common.
    """
    tasks = list(dict.fromkeys(str(run.config.get("task")) for run in runs))
    if len(tasks) > 1:
        raise UsageError(f"the runs are of different tasks ({', '.join(tasks)}): compare runs of one task at a time")
    golds: dict[str, str | None] = {}
    shared = set.intersection(*({row.problem for row in run.records} for run in runs))
    for run in runs:
        for row in run.records:
            if row.problem in shared and golds.setdefault(row.problem, row.gold) != row.gold:
                raise UsageError(
                    f"{row.problem} has the answer {row.gold!r:.40} in {run.name} and {golds[row.problem]!r:.40} in "
                    "another run: they are of different data; pass runs of the same --data, --limit and --seed"
                )
    if not shared:
        raise UsageError(
            "the runs have no problem in common: pass runs of the same --data and --limit, and of the same --seed "
            "where it draws the problems (generated tasks, --limit)"
        )
    return [row.problem for row in runs[0].records if row.problem in shared]


def family_of(problem: str) -> str | None:
    """The family in a problem's id, `task/split/FAMILY.MEMBER`; None where it is in none."""
    head, dot, _ = problem.rpartition(".")
    return head if dot and "/" in head else None


def families_of(problems: Sequence[str]) -> list[str] | None:
    """Each problem's family (its own where it is in none), or None where no problem shares one with another."""
    found = [family_of(problem) or problem for problem in problems]
    return found if len(set(found)) < len(found) else None
