"""Benchmarks, one file each. `load` turns a name into a task."""

from __future__ import annotations

import importlib
from pathlib import Path

from reason.evals.tasks.own import OwnTask, is_file_name
from reason.evals.tasks.reasoning_gym import PREFIX, ReasoningGym
from reason.evals.tasks.task import FileTask, Task
from reason.types import UsageError

TASKS = {
    "word_problems": "reason.evals.tasks.word_problems:TASK",
    "gsm8k": "reason.evals.tasks.gsm8k:TASK",
    "math500": "reason.evals.tasks.math500:TASK",
    "gsm_symbolic": "reason.evals.tasks.gsm_symbolic:TASK",
    "gsm_hard": "reason.evals.tasks.gsm_hard:TASK",
    "svamp": "reason.evals.tasks.svamp:TASK",
    "asdiv": "reason.evals.tasks.asdiv:TASK",
    "mawps": "reason.evals.tasks.mawps:TASK",
    "math": "reason.evals.tasks.math:TASK",
    "aime24": "reason.evals.tasks.contests:AIME24",
    "aime25": "reason.evals.tasks.contests:AIME25",
    "amc23": "reason.evals.tasks.contests:AMC23",
    "olympiadbench": "reason.evals.tasks.olympiadbench:TASK",
    "minerva": "reason.evals.tasks.minerva:TASK",
    "commonsenseqa": "reason.evals.tasks.commonsenseqa:TASK",
    "game24": "reason.evals.tasks.game24:TASK",
    "countdown": "reason.evals.tasks.countdown:TASK",
    "processbench": "reason.evals.tasks.processbench:TASK",
    "prmbench": "reason.evals.tasks.prmbench:TASK",
    "best_of_n": "reason.evals.tasks.best_of_n:TASK",
}
"""Name on the command line -> `module:object`."""


def load(name: str) -> Task:
    """The task of that name.

    Args:
        name: A key of `TASKS`; a file of questions and answers (`reason.evals.tasks.own`); `reasoning_gym/NAME`; or
            `module:object` for a task of one's own.

    Raises:
        UsageError: There is no such task, or the object is not one.
    """
    if name.startswith(PREFIX):
        return ReasoningGym(name.removeprefix(PREFIX))
    if name not in TASKS and is_file_name(name):
        return OwnTask(Path(name).expanduser())
    place = TASKS.get(name, name)
    module_name, colon, attribute = place.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(
            f"unknown task {name!r}: use one of {', '.join(TASKS)}, a .jsonl file, or module:object for your own."
        )
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
