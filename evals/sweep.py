"""Many tasks and strategies in one TOML file: what it says, as a list of evaluations.

Keys at the top hold for all runs; those of a task or strategy hold for its runs, and go before those at the top. `n`,
`seeds` and `model` may be lists, of which every value is combined with every other:

    model = "bundled"
    limit = 50
    seeds = [1, 2]
    tasks = ["word_problems", { task = "mine.jsonl", limit = 20 }]

    [[strategies]]
    strategy = "beam"
    n = [4, 16]
    set = { branch = 2 }
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path as FilePath
from typing import Any

from reason.evals.prepare import Asked
from reason.types import UsageError

TEXT, WHOLE, NUMBER, TEXTS, PAIRS = "text", "a whole number", "a number", "a list of texts", "a table"
KINDS = {
    "model": TEXT,
    "strategy": TEXT,
    "set": PAIRS,
    "n": WHOLE,
    "scorer": TEXT,
    "aggregate": TEXT,
    "limit": WHOLE,
    "sample_id": TEXTS,
    "split": TEXT,
    "data": TEXT,
    "seed": WHOLE,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": WHOLE,
    "min_p": NUMBER,
    "max_tokens": WHOLE,
    "max_step_tokens": WHOLE,
    "budget_tokens": WHOLE,
    "budget_scorer_tokens": WHOLE,
    "budget_flops": NUMBER,
    "budget_seconds": NUMBER,
    "total_tokens": WHOLE,
    "task": TEXT,
}
OF_TASK = ("task", "limit", "sample_id", "split", "data", "seed")
OF_STRATEGY = (
    *("strategy", "set", "n", "scorer", "aggregate", "total_tokens"),
    *(key for key in KINDS if key.startswith("budget_")),
)
LISTED = ("n", "model")
TOP = (*(key for key in KINDS if key not in ("task", "strategy", "set")), "seeds", "tasks", "strategies", "trace")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a file says.

    Attributes:
        common: The keys at the top that hold for all runs.
        tasks, strategies: The keys of each.
        seeds: Of the sampling; None: `seed` alone.
        trace: Whether traces are kept.
    """

    common: Mapping[str, Any]
    tasks: tuple[Mapping[str, Any], ...]
    strategies: tuple[Mapping[str, Any], ...]
    seeds: tuple[int, ...] | None
    trace: bool = True


def read_sweep(file: FilePath) -> Sweep:
    """Read a file.

    Raises:
        UsageError: It cannot be read, or a key or value in it is wrong.
    """
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"--config {str(file)!r:.120} cannot be read ({error.strerror or error}): pass a TOML file"
        ) from error
    except ValueError as error:
        raise UsageError(f"{file} is not TOML ({error}): mend it") from error
    _check_keys(str(file), data, TOP)
    common = {key: value for key, value in data.items() if key in KINDS}
    for key, value in common.items():
        _check_value(str(file), key, value)
    trace = data.get("trace", True)
    if not isinstance(trace, bool):
        raise UsageError(f"{file}: trace is {trace!r:.60}: write true or false")
    seeds = None
    if "seeds" in data:
        seeds = numbers(f"{file}: seeds", data["seeds"])
    return Sweep(
        common,
        _entries(file, data, "tasks", "task", OF_TASK),
        _entries(file, data, "strategies", "strategy", OF_STRATEGY),
        seeds,
        trace,
    )


def combinations_of(sweep: Sweep) -> tuple[Asked, ...]:
    """Every task with every strategy, model, n and seed, in this order.

    Raises:
        UsageError: The same evaluation is there twice.
    """
    found = list[Asked]()
    for task, strategy in product(sweep.tasks, sweep.strategies):
        common = sweep.common
        if "total_tokens" in strategy:
            common = {key: value for key, value in common.items() if key != "n"}
        said = {**common, **strategy, **task}
        said["set"] = tuple(f"{key}={_option(value)}" for key, value in said.get("set", {}).items())
        said["sample_id"] = tuple(said.get("sample_id", ()))
        lists = [_listed(said.pop(key)) if key in said else None for key in LISTED]
        names = [key for key, values in zip(LISTED, lists, strict=True) if values is not None]
        for values in product(*(values for values in lists if values is not None)):
            asked = Asked(**said, **dict(zip(names, values, strict=True)))
            found.extend([asked] if sweep.seeds is None else asked.with_seeds(sweep.seeds))
    twice = next((asked for asked in found if found.count(asked) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice.task} with {twice.strategy}, n {twice.n}, is in the sweep twice: name each once")
    return tuple(found)


def numbers(what: str, given: str | Sequence[Any]) -> tuple[int, ...]:
    """Whole numbers, each once, as "1,2,3" or a list.

    Raises:
        UsageError: They are not.
    """
    parts: Sequence[Any] = given.split(",") if isinstance(given, str) else given
    try:
        if not isinstance(parts, list) or any(isinstance(part, bool | float) for part in parts):
            raise TypeError
        found = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        found = ()
    if not found or len(set(found)) < len(found):
        raise UsageError(f"{what} is {given!r:.80}: give different whole numbers, such as 1,2,3")
    return found


def _entries(
    file: FilePath, data: Mapping[str, Any], key: str, name: str, allowed: Sequence[str]
) -> tuple[Mapping[str, Any], ...]:
    """The entries of a list of names and tables."""
    given = data.get(key)
    if not isinstance(given, list) or not given:
        raise UsageError(
            f'{file}: {key} is {"missing" if given is None else repr(given)[:60]}: write {key} = ["NAME", …] or '
            f"[[{key}]] tables"
        )
    found = list[Mapping[str, Any]]()
    for number, entry in enumerate(given, 1):
        place = f"{file}: {key}, entry {number}"
        entry = {name: entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict):
            raise UsageError(f"{place} is {entry!r:.60}: write a name or a table")
        _check_keys(place, entry, allowed)
        if name not in entry:
            raise UsageError(f'{place} names no {name}: write {name} = "NAME"')
        for inner, value in entry.items():
            _check_value(place, inner, value)
        found.append(entry)
    return tuple(found)


def _check_keys(place: str, given: Iterable[str], allowed: Sequence[str]) -> None:
    for key in given:
        if key not in allowed:
            nearest = difflib.get_close_matches(key, allowed, 1, 0.0)[0]
            raise UsageError(f"{place}: unknown key {key!r:.60}, the nearest is {nearest}; use {', '.join(allowed)}")


def _check_value(place: str, key: str, value: Any) -> None:
    values = _listed(value) if key in LISTED else [value]
    if not values or not all(_is(KINDS[key], one) for one in values):
        raise UsageError(
            f"{place}: {key} is {value!r:.60}: write {KINDS[key]}{', or a list of them' if key in LISTED else ''}"
        )


def _is(kind: str, value: Any) -> bool:
    if kind == TEXT:
        return isinstance(value, str)
    if kind == TEXTS:
        return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)
    if kind == PAIRS:
        return isinstance(value, dict) and all(isinstance(one, str | int | float | list) for one in value.values())
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (kind == NUMBER and isinstance(value, float))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _option(value: Any) -> str:
    """An option's value as it stands on the command line."""
    if isinstance(value, list):
        return ",".join(map(_option, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
