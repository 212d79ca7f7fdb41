"""Where kept runs disagree most, problem by problem, with the place of each search tree in the run's `view.html`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from urllib.parse import quote

from reason.evals.report_panels import Told, rate
from reason.evals.results import store_file
from reason.evals.stored import StoredRun
from reason.trace import read
from reason.types import Problem, ReasonError

MOST = 15
PAGE = "view.html"
ROWS = '<script type="application/json" id="data-run">'
PIECE = 1 << 20
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Said:
    """What one run said to a problem.

    Attributes:
        run: Its name.
        answer, verdict: Of the chosen solution.
        rate: The share of its samples that are right, or of its one answer.
        confidence: Share of the vote; None where undefined.
        tree: The problem's place in the run's page, relative to the report; empty without a page.
    """

    run: str
    answer: str | None
    verdict: str
    rate: float
    confidence: float | None
    tree: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A problem that some run answers correctly and another not.

    Attributes:
        problem, question, gold: The question is empty where no trace has it.
        spread: The largest pass rate of a run minus the smallest.
        said: One per run.
    """

    problem: str
    question: str
    gold: str | None
    spread: float
    said: tuple[Said, ...]


def disagreements(told: Told, report: FilePath, *, most: int = MOST) -> list[Disagreement]:
    """The worst first: by the spread of the pass rates, then by how sure the runs that are wrong are.

    Args:
        told: The runs.
        report: The page that will link to the trees.
        most: How many at most.
    """
    records = [{row.problem: row for row in told.of(run)} for run in told.runs]
    places = [trees(run.folder / PAGE) for run in told.runs]
    found = []
    for problem in told.known:
        rows = [kept[problem] for kept in records]
        if len({row.correct for row in rows}) < 2:
            continue
        shares = [rate(row) for row in rows]
        sure = max(row.confidence or 0.0 for row in rows if not row.correct)
        found.append((min(shares) - max(shares), -sure, problem))
    kept = sorted(found, key=lambda item: item[:2])[:most]
    return [
        Disagreement(
            problem,
            told.problems[problem].question if problem in told.problems else "",
            records[0][problem].gold,
            -spread,
            tuple(
                Said(
                    run.name,
                    rows[problem].answer,
                    rows[problem].verdict,
                    rate(rows[problem]),
                    rows[problem].confidence,
                    link(run.folder / PAGE, report, places[place].get(problem)),
                )
                for place, (run, rows) in enumerate(zip(told.runs, records, strict=True))
            ),
        )
        for spread, _, problem in kept
    ]


def trees(page: FilePath) -> dict[str, int]:
    """Problem id -> its number, from 1, in a page of `reason view`; empty if there is none or it is none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError), page.open(encoding="utf-8") as file:
        text, start = "", -1
        while piece := file.read(PIECE):
            text += piece
            start = text.find(ROWS) if start < 0 else start
            end = text.find("</script>", start) if start >= 0 else -1
            if end >= 0:
                rows = json.loads(text[start + len(ROWS) : end])["rows"]
                return {str(row[0]): number for number, row in enumerate(rows, 1)}
            if len(text) > MOST_BYTES:
                break
    return {}


def link(page: FilePath, report: FilePath, number: int | None) -> str:
    """The address of a problem's tree, relative to the report; empty without a number."""
    if number is None:
        return ""
    try:
        path = os.path.relpath(page.resolve(), report.resolve().parent).replace(os.sep, "/")
        address = quote(path if path.startswith("../") else f"./{path}")
    except ValueError:
        address = page.resolve().as_uri()
    return f"{address}#problem-{number}"


def known_problems(runs: Sequence[StoredRun]) -> Mapping[str, Problem]:
    """The problems in the runs' traces, by id; those of a trace that cannot be read are left out."""
    found: dict[str, Problem] = {}
    for store in dict.fromkeys(store_file(run.folder) for run in runs):
        if not store.is_file():
            continue
        with contextlib.suppress(ReasonError, OSError, ValueError), contextlib.closing(read(store)) as trace:
            found |= {item.problem.id: item.problem for item in trace.problems()}
    return found
