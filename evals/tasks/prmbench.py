"""PRMBench: which steps of a solution are valid, with one kind of error planted (Song et al. 2025, arXiv 2501.03124).

A row is `modified_question` (or `question`), `modified_process` (a list of steps), `error_steps` (their numbers from 1;
empty for the kind multi_solutions), and `classification`, the kind. The hub's copy is hitsmy/PRMBench_Preview, split
train. `reason score prmbench --scorer …` takes a step to be valid if its value is not below a threshold and tells the
PRMScore; `reason eval prmbench` asks a model for the first wrong step, as for ProcessBench.
"""

from __future__ import annotations

from reason.evals.tasks import processbench
from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, field_of
from reason.types import Problem


def problem_of(row: Row, identity: str) -> Problem:
    """The solution in a row, asked about.

    Raises:
        ValueError: The steps are no texts, or an error step is the number of none of them.
    """
    steps = processbench.texts(row["modified_process"], "modified_process")
    wrong = row["error_steps"] or []
    if not all(isinstance(number, int) and 1 <= number <= len(steps) for number in wrong):
        raise ValueError(f"the error steps {wrong!r:.60} are not numbers from 1 to {len(steps)}")
    problem = str(field_of(row, "modified_question", "question")).strip()
    valid = [number not in wrong for number in range(1, len(steps) + 1)]
    meta = {"problem": problem, "steps": steps, "valid": valid, "kind": str(row.get("classification", ""))}
    first = str(min(wrong) - 1 if wrong else -1)
    return Problem(identity, processbench.question(problem, steps), first, meta)


TASK = FileTask(name="prmbench", read=problem_of, hub=HubSource("hitsmy/PRMBench_Preview", splits={"test": "train"}))
