"""GSM-Symbolic: templates of GSM8K problems with new names and numbers (Mirzadeh et al. 2024, arXiv 2410.05229).

A row is GSM8K's (`question`, `answer` ending in `#### N`) with `id` (the template) and `instance`; the hub's copy is
apple/GSM-Symbolic with the configurations main, p1 (one clause more) and p2 (two more), our splits. The 50 instances of
a template are a family: their ids are `…/TEMPLATE.INSTANCE`, and `reason compare` clusters its errors by template.
"""

from __future__ import annotations

from dataclasses import replace

from reason.evals.tasks import gsm8k
from reason.evals.tasks.source import HubSource, Row
from reason.evals.tasks.task import FileTask, percent_where_asked
from reason.types import Problem

SPLITS = ("main", "p1", "p2")


def problem_of(row: Row, identity: str) -> Problem:
    """The problem in a row.

    Raises:
        ValueError: The answer has no `#### N` line.
    """
    plain = gsm8k.problem_of(row, f"{identity.rpartition('/')[0]}/{row['id']}.{row['instance']}")
    return replace(plain, meta={**plain.meta, "template": row["id"]})


TASK = FileTask(
    name="gsm_symbolic",
    read=problem_of,
    hub=HubSource(
        "apple/GSM-Symbolic",
        splits=dict.fromkeys(SPLITS, "test"),
        configs={split: (split,) for split in SPLITS},
    ),
    answer_format="hashes",
    rules=percent_where_asked,
    splits=SPLITS,
)
