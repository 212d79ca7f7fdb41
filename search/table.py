"""The table that compute-optimal search decides by: what every strategy is worth in every cell of difficulty.

`reason tune` writes it as JSON (`reason.evals.tune`); it is read with json alone and checked before it is used. It
holds ladders of stages. A ladder starts before anything is generated; each further stage adds a look, such as two more
samples or a small beam search. A problem at a stage is in one of its cells of difficulty, and may

- take one of the stage's arms: answer with what there is, sample on, or run another strategy;
- or go on to the next stage, for what its look costs, where it lands in each cell with some probability.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypeVar

from reason.search.difficulty import FEATURES, Difficulty, Logistic
from reason.search.select import SELECTIONS
from reason.types import UsageError

FORMAT = "reason compute-optimal table"
VERSION = 1
SAMPLING = {"best_of_n": "naive", "weighted_best_of_n": "weighted", "self_consistency": "majority"}
"""Strategies that draw n solutions and select among them: they go on from the samples that are there."""

STOP = "stop"
"""The arm that answers with what there is."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arm:
    """A strategy with its budget, and what it is worth at a stage.

    Attributes:
        strategy: Its name in `reason.search.STRATEGIES`, or STOP.
        n: Its budget in whole solutions, 0 for STOP; for sampling strategies the samples that are there included.
        select: How it chooses among its own candidates and those that are there: "naive", "weighted" or "majority".
        accuracy: How often its answer is right, by cell: the measured share, shrunk towards the trend over cells.
        measured: The measured share itself.
        tokens: What it costs from here on, by cell.
    """

    strategy: str
    n: int
    select: str
    accuracy: tuple[float, ...]
    measured: tuple[float, ...]
    tokens: tuple[float, ...]

    @property
    def label(self) -> str:
        """Such as "beam 8"."""
        return f"{self.strategy} {self.n}" if self.n else self.strategy


@dataclass(frozen=True, slots=True)
class Stage:
    """What is known after a look.

    Attributes:
        look: The strategy that was run to get here and its n; a sampling strategy goes on until it has n samples. None
            before the first look.
        difficulty: Places a problem in a cell; None before the first look, where there is one cell.
        problems: Calibration problems by cell, by their share of repetitions that fell into it.
        success: The mean probability, by cell, that one more sample is right.
        arms: What can be done; STOP is the first after a look.
        more: Tokens that the look of the next stage costs, by cell; empty for the last stage.
        following: Probability of each cell of the next stage, by cell.
    """

    look: tuple[str, int] | None
    difficulty: Difficulty | None
    problems: tuple[float, ...]
    success: tuple[float, ...]
    arms: tuple[Arm, ...]
    more: tuple[float, ...] = ()
    following: tuple[tuple[float, ...], ...] = ()


Ladder = tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """What compute-optimal search decides by.

    Attributes:
        model, scorer, task: What it was fitted on; scorer is None where nothing is judged.
        solution_tokens: What one whole solution costs on average.
        ladders: Each a sequence of stages, the first without a look.
        made: How it was made: command, version, seed, counts.
    """

    model: str
    scorer: str | None
    task: str
    solution_tokens: float
    ladders: tuple[Ladder, ...]
    made: Mapping[str, Any] = field(default_factory=dict)

    def check(self, *, model: str | None = None, scorer: str | None = None) -> None:
        """Refuse another model or scorer than the table was fitted on; None is not compared.

        Raises:
            UsageError: They differ.
        """
        for kind, mine, other in (("model", self.model, model), ("scorer", self.scorer, scorer)):
            if other is not None and other != mine:
                raise UsageError(
                    f"the table was fitted with {kind} {mine!r} and this run has {other!r}: its estimates would be "
                    f"wrong; pass --{kind} {mine or 'none'}, or fit one with reason tune"
                )


def to_json(table: Table) -> dict[str, Any]:
    """The table as JSON data."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": table.model,
        "scorer": table.scorer,
        "task": table.task,
        "made": dict(table.made),
        "solution_tokens": _short(table.solution_tokens),
        "ladders": [[_stage_json(stage) for stage in ladder] for ladder in table.ladders],
    }


def _stage_json(stage: Stage) -> dict[str, Any]:
    found = stage.difficulty
    difficulty = (
        None
        if found is None
        else {
            "features": list(FEATURES),
            "success": _logistic_json(found.success),
            "settled": _logistic_json(found.settled),
            "edges": list(found.edges),
            "inner": [list(edges) for edges in found.inner],
        }
    )
    return {
        "look": None if stage.look is None else list(stage.look),
        "difficulty": difficulty,
        "problems": _shorts(stage.problems),
        "success": _shorts(stage.success),
        "arms": [
            {
                "strategy": arm.strategy,
                "n": arm.n,
                "select": arm.select,
                "accuracy": _shorts(arm.accuracy),
                "measured": _shorts(arm.measured),
                "tokens": _shorts(arm.tokens),
            }
            for arm in stage.arms
        ],
        "more": _shorts(stage.more),
        "following": [_shorts(row) for row in stage.following],
    }


def _logistic_json(model: Logistic) -> dict[str, Any]:
    return {
        "bias": _short(model.bias),
        "weights": _shorts(model.weights),
        "means": _shorts(model.means),
        "scales": _shorts(model.scales),
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _shorts(values: Sequence[float]) -> list[float]:
    return [_short(value) for value in values]


def write(table: Table, file: FilePath) -> None:
    """Write the table as JSON, a row of numbers a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_pretty(to_json(table)) + "\n", "utf-8")


def _pretty(value: Any, indent: int = 0) -> str:
    """JSON with lists of plain values on one line."""
    inside, pad = " " * (indent + 1), " " * indent
    if isinstance(value, dict) and value:
        rows = (f"{inside}{json.dumps(key)}: {_pretty(item, indent + 1)}" for key, item in value.items())
        return "{\n" + ",\n".join(rows) + f"\n{pad}}}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[\n" + ",\n".join(inside + _pretty(item, indent + 1) for item in value) + f"\n{pad}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read(file: str | FilePath, strategies: Sequence[str]) -> Table:
    """The table in a file.

    Args:
        file: What `reason tune` wrote.
        strategies: The names that an arm may have.

    Raises:
        UsageError: There is no such file, or it is not a table that can be used; the message says what is wrong.
    """
    try:
        data = json.loads(FilePath(file).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{file} cannot be read as a table ({reason}): pass a file that reason tune wrote") from error
    try:
        return _Reader(strategies).table(data)
    except _WrongError as error:
        raise UsageError(f"{file} is no usable table ({error}): make it with reason tune") from error


class _WrongError(Exception):
    """What is wrong with the data."""


class _Reader:
    """Checks JSON data while turning it into a table."""

    def __init__(self, strategies: Sequence[str]) -> None:
        self._strategies = strategies

    def table(self, data: Any) -> Table:
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise _WrongError(f"its format is not {FORMAT!r}")
        if data.get("version") != VERSION:
            raise _WrongError(f"its version is {data.get('version')!r} and {VERSION} is understood")
        scorer = None if data.get("scorer") is None else _get(data, "scorer", str)
        ladders = tuple(self._ladder(item) for item in _get(data, "ladders", list))
        if not ladders:
            raise _WrongError("it has no ladder")
        return Table(
            _get(data, "model", str),
            scorer,
            _get(data, "task", str),
            _number(data, "solution_tokens", least=1e-9),
            ladders,
            _get(data, "made", dict),
        )

    def _ladder(self, data: Any) -> Ladder:
        if not isinstance(data, list):
            raise _WrongError("a ladder is no list")
        stages = tuple(self._stage(item, at) for at, item in enumerate(data))
        _check_ladder(stages)
        return stages

    def _stage(self, data: Any, at: int) -> Stage:
        if not isinstance(data, dict):
            raise _WrongError(f"stage {at} is no object")
        difficulty = None if data.get("difficulty") is None else _difficulty(_get(data, "difficulty", dict))
        cells = 1 if difficulty is None else difficulty.cells
        return Stage(
            None if data.get("look") is None else self._look(_get(data, "look", list)),
            difficulty,
            _numbers(data, "problems", cells, least=0.0),
            _numbers(data, "success", cells, least=0.0, most=1.0),
            tuple(self._arm(item, cells) for item in _get(data, "arms", list)),
            _numbers(data, "more", None, least=0.0),
            tuple(_row(row, "following", None, 0.0, 1.0) for row in _get(data, "following", list)),
        )

    def _look(self, data: Sequence[Any]) -> tuple[str, int]:
        named = dict(zip(("strategy", "n"), data, strict=False))
        name, n = _get(named, "strategy", str), _get(named, "n", int)
        if name != STOP and name not in self._strategies:
            raise _WrongError(f"unknown strategy {name!r}; there are {', '.join(self._strategies)}")
        if len(data) != 2 or n < (name != STOP):
            raise _WrongError(f"n is {n} for {name}")
        return name, n

    def _arm(self, data: Any, cells: int) -> Arm:
        if not isinstance(data, dict):
            raise _WrongError("an arm is no object")
        name, n = self._look([data.get("strategy"), data.get("n")])
        select = _get(data, "select", str)
        if select not in SELECTIONS:
            raise _WrongError(f"unknown selection {select!r}; there are {', '.join(SELECTIONS)}")
        accuracy, measured = (_numbers(data, key, cells, least=0.0, most=1.0) for key in ("accuracy", "measured"))
        return Arm(name, n, select, accuracy, measured, _numbers(data, "tokens", cells, least=0.0))


def _check_ladder(stages: Sequence[Stage]) -> None:
    drawn = 0
    for at, stage in enumerate(stages):
        cells, last = len(stage.problems), at + 1 == len(stages)
        following = 0 if last else len(stages[at + 1].problems)
        if (stage.look is None) != (at == 0) or (stage.difficulty is None) != (at == 0):
            raise _WrongError(f"stage {at} has {'a' if at == 0 else 'no'} look or difficulty")
        if not stage.arms or any(
            (arm.strategy == STOP) != (at > 0 and not arms) for arms, arm in enumerate(stage.arms)
        ):
            raise _WrongError(f"the arms of stage {at} do not {'leave out' if at == 0 else 'start with'} {STOP!r}")
        if len(stage.more) != (0 if last else cells) or len(stage.following) != len(stage.more):
            raise _WrongError(f"stage {at} has {len(stage.following)} rows of what follows for {cells} cells")
        for row in stage.following:
            if len(row) != following or abs(math.fsum(row) - 1) > 1e-3:
                raise _WrongError(f"a row of stage {at} does not give each of {following} cells its probability")
        if stage.look is not None and stage.look[0] in SAMPLING:
            if stage.look[1] <= drawn:
                raise _WrongError(f"stage {at} has {stage.look[1]} samples after {drawn}")
            drawn = stage.look[1]
        for arm in stage.arms:
            if arm.strategy in SAMPLING and arm.n <= drawn:
                raise _WrongError(f"stage {at} has {drawn} samples and offers {arm.label}")
    if not stages:
        raise _WrongError("a ladder has no stage")


def _difficulty(data: Mapping[str, Any]) -> Difficulty:
    if data.get("features") != list(FEATURES):
        raise _WrongError(f"its features are {data.get('features')!r:.80} and these are understood: {FEATURES}")
    edges = _numbers(data, "edges", None, least=0.0, most=1.0)
    inner = tuple(_row(row, "inner", None, 0.0, 1.0) for row in _get(data, "inner", list))
    if len(inner) != len(edges) + 1:
        raise _WrongError(f"{len(edges)} edges and {len(inner)} rows of inner edges")
    for row in (edges, *inner):
        if list(row) != sorted(set(row)):
            raise _WrongError(f"edges do not rise: {row}")
    return Difficulty(_logistic(data, "success"), _logistic(data, "settled"), edges, inner)


def _logistic(data: Mapping[str, Any], key: str) -> Logistic:
    row, count = _get(data, key, dict), len(FEATURES)
    return Logistic(
        _number(row, "bias"),
        _numbers(row, "weights", count),
        _numbers(row, "means", count),
        _numbers(row, "scales", count, least=1e-12),
    )


def _get(data: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = data.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _WrongError(f"{key} is {value!r:.60}, not {kind.__name__}")
    return value


def _number(data: Mapping[str, Any], key: str, least: float = -math.inf) -> float:
    return _row([data.get(key)], key, 1, least, math.inf)[0]


def _numbers(
    data: Mapping[str, Any], key: str, count: int | None, *, least: float = -math.inf, most: float = math.inf
) -> tuple[float, ...]:
    return _row(data.get(key), key, count, least, most)


def _row(value: Any, key: str, count: int | None, least: float, most: float) -> tuple[float, ...]:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise _WrongError(f"{key} is {value!r:.60}, not a list of {'numbers' if count is None else count}")
    for item in value:
        plain = isinstance(item, int | float) and not isinstance(item, bool)
        if not plain or not math.isfinite(item) or not least <= item <= most:
            raise _WrongError(f"{key} holds {item!r:.40}, which is no number between {least:g} and {most:g}")
    return tuple(map(float, value))
