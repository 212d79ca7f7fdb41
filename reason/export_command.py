"""`reason export`: a trace as JSON lines or Parquet."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer


def export(
    run: Annotated[FilePath, typer.Argument(help="The folder that reason eval --out wrote, or a trace store.")],
    to: Annotated[FilePath, typer.Option(help="The file, .jsonl or .parquet; an existing one is left alone.")],
    what: Annotated[
        str,
        typer.Option(
            help="nodes (every step), paths (every solution from first to last token), candidates or problems.",
            metavar="TABLE",
        ),
    ] = "paths",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write what a run holds as a table, token ids and log-probabilities as they were sampled."""
    from reason.evals.results import store_file
    from reason.rows import check_file, write_rows
    from reason.search.strategy import one_of
    from reason.trace import read
    from reason.trace.tables import COLUMNS, table

    one_of("what", what, tuple(COLUMNS))
    check_file(to)
    with read(store_file(run) if run.is_dir() else run) as trace:
        count = write_rows(to, COLUMNS[what], table(trace, what))
    print(f"{to}: {count:,} {what}")
