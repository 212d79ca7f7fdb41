"""A builder's keyword options from the command line: `KEY=VALUE`, read as the builder's annotations say.

Whole numbers, numbers, text, true and false are written as they are, none stands for None, several values have commas
between them, and an option that is a dataclass (a strategy's prompts) is a JSON file with its fields. Options of other
types (functions) can only be given in Python.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reason.types import UsageError

_SHOWN = 24
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class Option:
    """A keyword option of a builder.

    Attributes:
        name: The keyword.
        kind: Its annotation, evaluated.
        default: Its default, or `inspect.Parameter.empty`.
    """

    name: str
    kind: Any
    default: Any

    @property
    def shown(self) -> str:
        """`name=default`, as it could be written."""
        return self.name if self.default is inspect.Parameter.empty else f"{self.name}={shown(self.default)}"

    def read(self, text: str) -> Any:
        """The value that the text stands for.

        Raises:
            ValueError: Saying what it must be.
        """
        return _read(text, self.kind)


def shown(value: Any) -> str:
    """A default in the notation of the command line, on one short line."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if dataclasses.is_dataclass(value):
        return type(value).__name__
    if isinstance(value, tuple | list):
        return ",".join(map(shown, value))
    text = f"{value:g}" if isinstance(value, float) else str(value)
    line = json.dumps(text, ensure_ascii=False) if "\n" in text or " " in text else text
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def options_of(build: Callable[..., Any], skip: int = 1) -> dict[str, Option]:
    """The options of a builder that can be written down, after its first `skip` parameters."""
    try:
        hints = typing.get_type_hints(build)
        parameters = list(inspect.signature(build).parameters.values())[skip:]
    except (TypeError, ValueError, NameError):
        return {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = [Option(p.name, hints.get(p.name, str), p.default) for p in parameters if p.kind in named]
    return {option.name: option for option in found if _readable(option.kind)}


def read_options(name: str, build: Callable[..., Any], given: Sequence[str], *, skip: int = 1) -> dict[str, Any]:
    """The keyword arguments that `KEY=VALUE` texts stand for.

    Args:
        name: What the builder makes, for messages.
        build: The builder.
        given: The texts.
        skip: How many first parameters are no options.

    Raises:
        UsageError: One has no such form, names no option or an option twice, or has a value of another type.
    """
    known, values = options_of(build, skip), dict[str, Any]()
    takes = f"{name} takes {', '.join(option.shown for option in known.values())}" if known else f"{name} takes none"
    for text in given:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise UsageError(f"--set {text}: write an option as KEY=VALUE; {takes}")
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise UsageError(f"--set {text}: {name} has no option {key}{hint}; {takes}")
        if key in values:
            raise UsageError(f"--set {text}: {key} is set twice, leave one out; {takes}")
        try:
            values[key] = known[key].read(value)
        except ValueError as error:
            raise UsageError(f"--set {text}: {key} must be {error}; {takes}") from None
    return values


def recorded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON data, to be kept with a run's settings."""
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return json.loads(json.dumps(dataclasses.asdict(value)))
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _members(kind: Any) -> list[Any]:
    """The alternatives of a union, or the one type."""
    return list(typing.get_args(kind)) if typing.get_origin(kind) in (typing.Union, types.UnionType) else [kind]


def _readable(kind: Any) -> bool:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if len(_members(kind)) > 1:
        return any(_readable(part) for part in parts if part is not types.NoneType)
    if origin in (tuple, Sequence, list):
        return all(part is ... or part in (int, float, str, bool) for part in parts)
    return kind in (int, float, str, bool) or origin is typing.Literal or dataclasses.is_dataclass(kind)


def _read(text: str, kind: Any) -> Any:
    members = _members(kind)
    if len(members) > 1:
        if types.NoneType in members and text.strip().lower() == "none":
            return None
        wanted, failures = [part for part in members if part is not types.NoneType and _readable(part)], []
        for part in wanted:
            try:
                return _read(text, part)
            except ValueError as error:
                failures.append(str(error))
        raise ValueError(" or ".join(dict.fromkeys([*failures, *(["none"] if types.NoneType in members else [])])))
    return _read_one(text, kind)


def _read_one(text: str, kind: Any) -> Any:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        if text not in parts:
            raise ValueError(f"one of {', '.join(map(str, parts))}")
        return text
    if origin in (tuple, Sequence, list):
        return _read_several(text, parts)
    if dataclasses.is_dataclass(kind):
        return _read_file(text, kind)
    if kind is bool:
        if text.strip().lower() not in _TRUE + _FALSE:
            raise ValueError("true or false")
        return text.strip().lower() in _TRUE
    if kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if value != value:
            raise ValueError("a whole number" if kind is int else "a number")
        return value
    return text


def _read_several(text: str, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    texts = text.split(",") if text else []
    fixed = bool(parts) and ... not in parts and len(parts) > 1
    if fixed and len(texts) != len(parts):
        raise ValueError(f"{len(parts)} values with commas between them")
    kinds = parts if fixed else (parts[:1] or (str,)) * len(texts)
    return tuple(_read_one(item, kind) for item, kind in zip(texts, kinds, strict=True))


def _read_file(text: str, kind: Any) -> Any:
    names = [entry.name for entry in dataclasses.fields(kind) if entry.init]
    wanted = f"a JSON file with some of {', '.join(names)}"
    try:
        data = json.loads(Path(text).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{wanted} ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict) or not set(data) <= set(names):
        raise ValueError(wanted)
    return kind(**{key: _tuples(value) for key, value in data.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def revived(build: Callable[..., Any], values: Mapping[str, Any], *, skip: int = 1) -> dict[str, Any]:
    """The keyword arguments that `recorded` made JSON of.

    Args:
        build: The builder whose annotations say what they are.
        values: What was recorded.
        skip: How many first parameters of the builder are no options.

    Raises:
        UsageError: The builder has no such option.
    """
    known = options_of(build, skip)
    if unknown := sorted(set(values) - set(known)):
        raise UsageError(f"the recorded option {unknown[0]} is none of {', '.join(known) or 'none'}: record it anew")
    return {key: _revived(value, _members(known[key].kind)) for key, value in values.items()}


def _revived(value: Any, kinds: Sequence[Any]) -> Any:
    if isinstance(value, Mapping):
        held = next(kind for kind in kinds if dataclasses.is_dataclass(kind) and isinstance(kind, type))
        return held(**{key: _tuples(item) for key, item in value.items()})
    if isinstance(value, str) and float in kinds and str not in kinds:
        return float(value)
    return _tuples(value)
