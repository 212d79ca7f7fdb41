"""The options of `reason replay`; what it does stands in `reason.evals.replay_command`."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer


def replay(
    run: Annotated[FilePath, typer.Argument(help="The folder that reason eval --out wrote.")],
    select: Annotated[
        str | None,
        typer.Option(help="Choose among the run's samples by naive, weighted or majority.", metavar="HOW"),
    ] = None,
    k: Annotated[
        int | None, typer.Option("--k", help="Budget in whole solutions. Default: the run's n.", metavar="K")
    ] = None,
    aggregate: Annotated[
        str | None, typer.Option(help="How step scores become one: last, min, product, mean.", metavar="HOW")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Any strategy whose every call was paid for.", metavar="NAME")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="An option of the strategy, as often as needed.", metavar="KEY=VALUE"),
    ] = None,
    scorer: Annotated[
        str | None, typer.Option(help="Whose scores, where the trace holds several scorers'.", metavar="NAME")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The last line of the output is one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Select anew among what a run paid for, without loading a model."""
    from reason.evals.replay_command import ReplayCommand, Wanted

    wanted = Wanted(strategy, tuple(set_ or ()), select, k, aggregate, scorer)
    raise typer.Exit(ReplayCommand(run, wanted).run(as_json=as_json))
