"""`reason export`: a trace as JSON lines or Parquet, a run in the formats of other evaluation tools."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer


def export(
    run: Annotated[FilePath, typer.Argument(help="The folder that reason eval --out wrote, or a trace store.")],
    to: Annotated[FilePath, typer.Option(help="The file, .jsonl, .parquet or .json; an existing one is left alone.")],
    what: Annotated[
        str,
        typer.Option(
            help="nodes (every step), paths (every solution from first to last token), candidates or problems; or, as "
            "one .json of a finished run, inspect (a log for inspect view) or lm-eval (results).",
            metavar="TABLE",
        ),
    ] = "paths",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write what a run holds: as a table with token ids and log-probabilities as sampled, or for another tool."""
    from reason.evals.export_logs import FORMATS, write_log
    from reason.evals.results import store_file
    from reason.rows import check_file, write_rows
    from reason.search.strategy import one_of
    from reason.trace import read
    from reason.trace.tables import COLUMNS, table

    one_of("what", what, (*COLUMNS, *FORMATS))
    if what in FORMATS:
        print(write_log(run, to, what))
        return
    check_file(to)
    with read(store_file(run) if run.is_dir() else run) as trace:
        count = write_rows(to, COLUMNS[what], table(trace, what))
    print(f"{to}: {count:,} {what}")
