"""What a policy or scorer must return, and what is said where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reason.types import BackendError, Finish, Score, Step


class ContractError(BackendError):
    """A policy or scorer broke its protocol: trying again would not help, so the run ends."""


def step_error(step: Step) -> str | None:
    """What failed, for a step that did."""
    return None if step.finish is not Finish.ERROR else step.error or "no reason given"


def no_error(_: Score) -> str | None:
    """A score is taken as it is: an unscorable path stays so when asked again."""
    return None


def describe(error: BaseException) -> str:
    """The exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def checked(results: object, items: Sequence[object], backend: object, verb: str) -> list[Any]:
    """The results, if they are a list with one for each path.

    Raises:
        ContractError: Otherwise, naming the class and the lengths.
    """
    if isinstance(results, list) and len(results) == len(items):
        return results
    got = f"a list of {len(results)}" if isinstance(results, list) else f"{type(results).__name__}"
    raise ContractError(
        f"{type(backend).__name__}.{verb} returned {got} for {len(items)} {'pairs' if verb == 'compare' else 'paths'}; "
        "it must return a list with one result for each, in their order"
    )
