"""Benchmarks, one file each. `load` turns a name into a task."""

from __future__ import annotations

import importlib

from reason.evals.tasks.task import FileTask, Task
from reason.types import UsageError

TASKS = {
    "word_problems": "reason.evals.tasks.word_problems:TASK",
    "gsm8k": "reason.evals.tasks.gsm8k:TASK",
    "math500": "reason.evals.tasks.math500:TASK",
}
"""Name on the command line -> `module:object`."""


def load(name: str) -> Task:
    """The task of that name.

    Args:
        name: A key of `TASKS`, or `module:object` for a task of one's own.

    Raises:
        UsageError: There is no such task, or the object is not one.
    """
    place = TASKS.get(name, name)
    module_name, colon, attribute = place.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"unknown task {name!r}: use one of {', '.join(TASKS)}, or module:object for your own.")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"task {name!r} cannot be imported ({error}): check the module and the object's name."
        ) from error
    if isinstance(found, type) or not isinstance(found, Task):
        raise UsageError(f"{place} is not a task: it needs name, answer_format, checkable, splits, load and grade.")
    return found


__all__ = ["TASKS", "FileTask", "Task", "load"]
