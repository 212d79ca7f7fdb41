"""The options of `reason scaling`; what it does stands in `reason.evals.scaling_command`."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer

from reason.types import UsageError


def scaling(
    source: Annotated[
        list[FilePath],
        typer.Argument(
            help="One CSV (columns: parameters, tokens, flops, loss, accuracy or error, test_tokens, test_flops, "
            "series, run), or --out folders of reason eval."
        ),
    ],
    cost: Annotated[
        str | None, typer.Option(help="What runs are fitted against: tokens or flops. Default: tokens.", metavar="OF")
    ] = None,
    out: Annotated[FilePath | None, typer.Option(help="The figure, .svg or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The last line of the output is one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Fit scaling laws: error against test-time or training compute, and Kaplan's L(N), L(D), L(C), L(N, D)."""
    from reason.evals.scaling_command import run_scaling

    if cost is not None and any(place.is_file() for place in source):
        raise UsageError(f"--cost {cost} is for results folders; a table is fitted against each of its columns")
    raise typer.Exit(run_scaling(source, cost=cost or "tokens", out=out, as_json=as_json))
