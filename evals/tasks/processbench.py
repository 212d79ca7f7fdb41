r"""ProcessBench: where is the first wrong step of a solution (Zheng et al. 2024, arXiv 2412.06559).

A row is `problem`, `steps` (a list) and `label`, the index of the first wrong step or -1; optionally `id`, `generator`
and `final_answer_correct`. Splits: gsm8k, math, olympiadbench, omnimath, files of these names (JSON lines or an array);
the hub's copy is Qwen/ProcessBench.

`reason score processbench --scorer …` measures a scorer of steps: the first step whose value is below a threshold is
its answer. `reason eval processbench` asks a model for the index, as the paper does with critics.
"""

from __future__ import annotations

from collections.abc import Sequence

from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, text_field
from reason.types import Problem

SPLITS = ("gsm8k", "math", "olympiadbench", "omnimath")


def problem_of(row: Row, identity: str) -> Problem:
    """The solution in a row, asked about.

    Raises:
        ValueError: The steps are no texts, or the label is the index of none of them.
    """
    steps = texts(row["steps"], "steps")
    label = row["label"]
    if not isinstance(label, int) or isinstance(label, bool) or not -1 <= label < len(steps):
        raise ValueError(f"the label {label!r:.40} is neither -1 nor the index of one of {len(steps)} steps")
    problem = text_field(row, "problem").strip()
    meta = {name: row[name] for name in ("generator", "final_answer_correct") if name in row}
    return Problem(
        identity, question(problem, steps), str(label), {**meta, "problem": problem, "steps": steps, "label": label}
    )


def texts(value: object, name: str) -> list[str]:
    """A list of texts, at least one.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, list) or not value or not all(isinstance(step, str) for step in value):
        raise ValueError(f"the field {name!r} must be a list of texts, got {value!r:.60}")
    return list(value)


def question(problem: str, steps: Sequence[str]) -> str:
    """What a critic is asked."""
    numbered = "\n".join(f"<paragraph_{index}>\n{step}\n</paragraph_{index}>" for index, step in enumerate(steps))
    return (
        f"A math problem and a solution, whose paragraphs are numbered from 0, are given.\n\n[Problem]\n{problem}\n\n"
        f"[Solution]\n{numbered}\n\nCheck the solution paragraph by paragraph. Answer with the number of the first "
        r"paragraph that holds an error, or -1 if none does, in \boxed{}."
    )


TASK = FileTask(name="processbench", read=problem_of, hub=HubSource("Qwen/ProcessBench"), splits=SPLITS)
