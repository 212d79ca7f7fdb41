"""The options of `reason compare`; what it does stands in `reason.evals.compare_command`."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[FilePath], typer.Argument(help="--out folders of reason eval, or folders above several.")],
    baseline: Annotated[
        str | None, typer.Option(help="The run that the others are compared with. Default: the first.", metavar="NAME")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="Compare as if only k samples had been drawn.")] = None,
    each: Annotated[bool, typer.Option("--each", help="Do not join runs that differ in their seed alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The last line of the output is one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Compare kept runs on the problems they share: paired differences, price, noise."""
    from reason.evals.compare_command import run_compare

    raise typer.Exit(run_compare(runs, baseline=baseline, k=k, each=each, as_json=as_json))
