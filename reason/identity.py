"""Who generated, who judged, and which search it was: texts that are equal exactly where results may be shared.

A policy or scorer says so itself in an optional member `identity`. Without one a policy is known by its class and its
capabilities if they hold a name, and a scorer by its class and its `name`; one that has neither is refused, because its
results could not be told from another's.

A search is known by its name and the values that its function closes over (n, a selection, settings), which also are
its options as shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from hashlib import blake2b
from typing import Any

from reason.budget import Budget, Budgets
from reason.types import Policy, Scorer, UsageError
from reason.work import Search

LONGEST = 400
DEPTH = 6
DEFAULT_NAME = "policy"


def identified(owner: object, **settings: Any) -> str:
    """An identity: the owner's class, and settings of plain values or of what has an identity itself."""
    return f"{class_name(owner)} {plain_json({name: plain(value) for name, value in settings.items()})}"


def check_identity(function: Callable[..., Any]) -> Any:
    """What a rule's function is known by: its name and what it closes over, and its code where it has no name."""
    code = getattr(function, "__code__", None)
    if code is None:
        return plain(function)
    name, inner = f"{function.__module__}.{function.__qualname__}", closure(function, 0)
    if "<" not in name:
        return [name, inner]
    said = [repr(const) for const in code.co_consts if const is None or isinstance(const, str | int | float | bytes)]
    hashed = blake2b(code.co_code + repr((code.co_names, said)).encode(), digest_size=16).hexdigest()
    return [name, inner, hashed]


def policy_identity(policy: Policy) -> str:
    """What the policy's steps are kept by.

    Raises:
        UsageError: It cannot be told from others.
    """
    own = getattr(policy, "identity", None)
    if isinstance(own, str) and own:
        return own
    known = policy.capabilities
    if known.name in ("", DEFAULT_NAME) or "<" in known.name:
        raise UsageError(
            f"{type(policy).__name__} cannot be told from other policies, so a store would mix their steps: "
            "give it a member identity = 'model and version', or a name (reason.wrap(function, name=...))"
        )
    return f"{class_name(policy)} {plain_json(asdict(known))}"


def scorer_identity(scorer: Scorer) -> str:
    """What the scorer's judgements are kept by.

    Raises:
        UsageError: It cannot be told from others.
    """
    own = getattr(scorer, "identity", None)
    if isinstance(own, str) and own:
        return own
    name = getattr(scorer, "name", None)
    if not isinstance(name, str) or not name or "<" in name:
        raise UsageError(
            f"{type(scorer).__name__} cannot be told from other scorers, so a store would mix their scores: "
            "give it a member identity = 'model and version', or a name"
        )
    return f"{class_name(scorer)} {name}"


def strategy_name(search: Search) -> str:
    """The search's name, or its function's."""
    named = getattr(search, "name", None)
    if isinstance(named, str) and named:
        return named
    function: Any = search
    return str(getattr(function, "__qualname__", type(search).__qualname__))


def options_of(search: Search) -> dict[str, Any]:
    """The values that the search was built with, as JSON data; long ones as a hash."""
    run = getattr(search, "run", search)
    found = closure(run, 0) if hasattr(run, "__code__") else plain(run, 0)
    if not isinstance(found, dict):
        found = {"value": found}
    flat = dict[str, Any]()
    for name, value in found.items():
        inner = value if isinstance(value, dict) and name == "settings" else {name: value}
        flat.update(inner)
    return {name: short(value) for name, value in flat.items()}


def budget_of(budget: Budgets) -> dict[str, Any]:
    """The budget as JSON data; of a function, its name."""
    if isinstance(budget, Budget):
        return asdict(budget)
    function: Any = budget
    return {"function": str(getattr(function, "__qualname__", type(budget).__qualname__))}


def closure(function: Callable[..., Any], depth: int) -> dict[str, Any]:
    """What a function closes over."""
    inner: Any = function
    names, cells = inner.__code__.co_freevars, inner.__closure__ or ()
    found = dict[str, Any]()
    for name, cell in zip(names, cells, strict=True):
        try:
            found[name] = plain(cell.cell_contents, depth + 1)
        except ValueError:  # not assigned yet
            found[name] = None
    return found


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON data, without anything that differs from process to process."""
    if value is None or isinstance(value, bool | int | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Enum):
        return value.name
    if depth > DEPTH:
        return class_name(value)
    if isinstance(value, Mapping):
        return {str(key): plain(held, depth + 1) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held, depth + 1) for held in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(held, depth + 1) for held in value), key=plain_json)
    return _object(value, depth)


def _object(value: Any, depth: int) -> Any:
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(own := getattr(value, "identity", None), str):
        return own
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name), depth + 1) for field in fields(value)}
    if hasattr(value, "__code__"):
        inner = closure(value, depth)
        name = f"{value.__module__}.{value.__qualname__}"
        return {"function": name, **inner} if inner else name
    if callable(getattr(value, "tolist", None)):
        return plain(value.tolist(), depth + 1)
    held = getattr(value, "__dict__", None)
    return {"class": class_name(value), **plain(held, depth + 1)} if held else class_name(value)


def spelled(value: Any) -> str:
    """A representation that is equal for equal data of any kind, in whatever order mappings and sets hold it."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{spelled(key)}: {spelled(held)}' for key, held in value.items()))}}}"
    if isinstance(value, set | frozenset):
        return f"set({', '.join(sorted(map(spelled, value)))})"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(spelled, value))})"
    listed = getattr(value, "tolist", None)  # arrays, whose own representation leaves numbers out
    return f"{type(value).__name__} {listed()!r}" if callable(listed) else repr(value)


def short(value: Any) -> Any:
    """The value, or a hash of one that is long."""
    text = plain_json(value)
    return value if len(text) <= LONGEST else f"blake2b:{blake2b(text.encode(), digest_size=16).hexdigest()}"


def plain_json(value: Any) -> str:
    """JSON that is equal for equal values."""
    return json.dumps(value, sort_keys=True, default=str)


def class_name(value: object) -> str:
    """A value's class with its module."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
