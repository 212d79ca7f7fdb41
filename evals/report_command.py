"""What `reason report` does: read kept runs, write the page and the figures."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Any

from reason.evals.compare_runs import compare_runs, nulled
from reason.evals.report_disagree import PAGE as TREES
from reason.evals.report_disagree import disagreements, known_problems, trees
from reason.evals.report_figure import save
from reason.evals.report_page import START, Part, run_page
from reason.evals.report_panels import LeftOut, Panel, Told, panels
from reason.evals.stored import StoredRun, read_runs
from reason.show import json_line, plain
from reason.types import UsageError

PAGE = "report.html"
FACTS = ("model", "scorer", "aggregate", "set", "seed", "limit", "split", "temperature", "max_tokens", "version")


def run_report(folders: Sequence[FilePath], *, out: FilePath | None, figures: FilePath | None, as_json: bool) -> int:
    """Write the report, say where, and return the exit code 0.

    Args:
        folders: The runs, or folders above several.
        out: The page; None is report.html in the first folder.
        figures: A folder for every figure as SVG and PNG; None writes none.
        as_json: Print one JSON object instead of lines.

    Raises:
        UsageError: As `read_runs` and `compare_runs`; or `out` or `figures` cannot be written, or is something else.
        MissingExtraError: matplotlib is not installed.
    """
    runs = read_runs(folders)
    file = folders[0] / PAGE if out is None else out
    refuse_other(file)
    if figures is not None and figures.exists() and not figures.is_dir():
        raise UsageError(f"--figures {str(figures)!r:.200} is a file: pass a folder")
    by_task: dict[str, list[StoredRun]] = {}
    for run in runs:
        by_task.setdefault(str(run.config.get("task")), []).append(run)
    parts = [part_of(group, file) for group in by_task.values()]
    write(file, run_page(parts, facts(runs)))
    drawn = [] if figures is None else write_figures(parts, figures)
    if as_json:
        print(json_line(_data(file, drawn, parts)))
        return 0
    shown = sum(isinstance(made, Panel) for part in parts for made in part.made)
    print(plain(f"{file} ({len(runs)} run{'s' if len(runs) != 1 else ''}, {shown} figures)"))
    for name in drawn:
        print(plain(str(name)))
    for part in parts:
        for made in part.made:
            if isinstance(made, LeftOut):
                print(plain(f"left out: {made.heading}: {made.why}"))
    return 0


def part_of(runs: Sequence[StoredRun], report: FilePath) -> Part:
    """What the page tells of these runs of one task.

    Raises:
        UsageError: As `compare_runs`.
    """
    told = gather(runs)
    found = tuple(disagreements(told, report)) if len(runs) > 1 else None
    treeless = tuple(run.name for run in runs if not trees(run.folder / TREES))
    return Part(told.compared, tuple(panels(told)), found, treeless)


def gather(runs: Sequence[StoredRun]) -> Told:
    """What the figures are computed from.

    Raises:
        UsageError: As `compare_runs`.
    """
    compared = compare_runs(runs, each=True)
    shared = set.intersection(*({row.problem for row in run.records if row.scored} for run in runs))
    known = tuple(row.problem for row in runs[0].records if row.problem in shared)
    return Told(tuple(runs), compared, known, known_problems(runs))


def facts(runs: Sequence[StoredRun]) -> list[tuple[str, str]]:
    """Each run with the settings that tell what it is."""
    found = []
    for run in runs:
        known = [f"{name} {run.config[name]}" for name in FACTS if run.config.get(name) is not None]
        found.append((run.name, ", ".join(known)[:400] or "settings unknown"))
    return found


def refuse_other(file: FilePath) -> None:
    """Leave alone what is no report.

    Raises:
        UsageError: It is a folder, or a file of something else.
    """
    if file.is_dir():
        raise UsageError(f"--out {str(file)!r:.200} is a folder: pass a file, such as {str(file / PAGE)!r:.200}")
    if not file.exists():
        return
    found = b""
    with contextlib.suppress(OSError), file.open("rb") as held:
        found = held.read(len(START))
    if found != START.encode():
        raise UsageError(f"{str(file)!r:.200} exists and is no page of reason report: pass another --out, or remove it")


def write(file: FilePath, text: str) -> None:
    """Write the page, whole or not at all.

    Raises:
        UsageError: It cannot be written there.
    """
    draft = file.with_name(f"{file.name}.part")
    try:
        draft.write_text(text, "utf-8", newline="\n")
        os.replace(draft, file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise UsageError(
            f"--out {str(file)!r:.200} cannot be written ({error.strerror or error}): pass another --out"
        ) from error


def write_figures(parts: Sequence[Part], folder: FilePath) -> list[FilePath]:
    """Every figure as SVG and PNG; the task's name is in the file's where there are several.

    Raises:
        UsageError: The folder cannot be written.
    """
    drawn = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, part in enumerate(parts, 1):
            task = re.sub("[^A-Za-z0-9_-]+", "-", part.compared.task)[:40]
            before = f"{number}-{task}-" if len(parts) > 1 else ""
            for made in part.made:
                if isinstance(made, Panel):
                    for kind in ("svg", "png"):
                        file = folder / f"{before}{made.name}.{kind}"
                        save(made.series, made.frame, file)
                        drawn.append(file)
    except OSError as error:
        raise UsageError(
            f"--figures {str(folder)!r:.200} cannot be written ({error.strerror or error}): pass another folder"
        ) from error
    return drawn


def _data(file: FilePath, drawn: Sequence[FilePath], parts: Sequence[Part]) -> dict[str, Any]:
    """The numbers for JSON; NaN is null."""
    found: dict[str, Any] = nulled(
        {
            "out": str(file),
            "files": [str(name) for name in drawn],
            "tasks": [
                {
                    "compared": asdict(part.compared),
                    "figures": {made.name: asdict(made) for made in part.made if isinstance(made, Panel)},
                    "left_out": {made.name: made.why for made in part.made if isinstance(made, LeftOut)},
                    "disagreements": None if part.disagreements is None else [asdict(x) for x in part.disagreements],
                }
                for part in parts
            ],
        }
    )
    return found
