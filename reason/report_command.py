"""The options of `reason report`; what it does stands in `reason.evals.report_command`."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer


def report(
    runs: Annotated[list[FilePath], typer.Argument(help="--out folders of reason eval, or folders above several.")],
    out: Annotated[FilePath | None, typer.Option(help="The page. Default: report.html in the first folder.")] = None,
    figures: Annotated[FilePath | None, typer.Option(help="Folder for every figure as SVG and PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The last line of the output is one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write kept runs as one page: accuracy, price, difficulty, calibration, length, failures, disagreements."""
    from reason.evals.report_command import run_report

    raise typer.Exit(run_report(runs, out=out, figures=figures, as_json=as_json))
