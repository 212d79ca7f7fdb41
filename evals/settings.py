"""The configuration of a results folder, read back: what `reason replay` goes by."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reason.budget import Budget
from reason.types import Sampling, Until, UsageError


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run was asked for.

    Attributes:
        task: What the task is loaded by.
        model, strategy, scorer: Names; scorer is None where none was used.
        n: The budget in whole solutions; None where a total was shared.
        seed, sampling, budget: As in `reason.solve`.
        options: What the strategy was built with besides n, as JSON data.
        aggregate: How step scores became one; None: the scorer's own way.
        total_tokens: The budget shared by all problems, or None.
        data: The whole configuration.
    """

    task: str
    model: str
    strategy: str
    scorer: str | None
    n: int | None
    seed: int
    sampling: Sampling
    budget: Budget
    options: Mapping[str, Any] = field(default_factory=dict)
    aggregate: str | None = None
    total_tokens: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def read_settings(folder: pathlib.Path) -> Settings:
    """The settings in a results folder.

    Raises:
        UsageError: It is no results folder, or another version's.
    """
    file = folder / "config.json"
    try:
        data = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{str(folder)!r:.200} is no results folder (it has no config.json): pass one that reason eval --out made"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(file)!r:.200} cannot be read ({' '.join(str(error).split()):.200})") from error
    try:
        return settings_of(data)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{file} is not the configuration of an evaluation by this version ({error}): pass another folder"
        ) from error


def settings_of(data: Any) -> Settings:
    """The settings that a configuration states.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    sampling = dict(data["sampling"])
    for name in ("stop", "step_end"):
        sampling[name] = tuple(sampling[name])
    sampling["until"] = Until(sampling["until"])
    return Settings(
        data.get("source", data["task"]),
        data["model"],
        data["strategy"],
        data["scorer"],
        data["n"],
        data["seed"],
        Sampling(**sampling),
        Budget(**data["budget"]),
        data.get("set", {}),
        data.get("aggregate"),
        data.get("total_tokens"),
        data,
    )
