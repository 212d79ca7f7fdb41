"""The options of `reason calibrate`; what it does stands in `reason.evals.calibration_command`."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer

from reason.types import UsageError


def calibrate(
    out: Annotated[FilePath, typer.Option(help="The calibration, a JSON file.")],
    scorer: Annotated[str, typer.Option(help="What to calibrate, as for eval.", metavar="NAME")] = "process",
    task: Annotated[
        str, typer.Option(help="A benchmark (gsm8k, math500, …), FILE.jsonl, or module:object.")
    ] = "word_problems",
    method: Annotated[str, typer.Option(help="isotonic, temperature or platt.", metavar="HOW")] = "isotonic",
    labels: Annotated[
        str, typer.Option(help="solutions (by their answers) or steps (by completions from there).", metavar="OF")
    ] = "solutions",
    plot: Annotated[FilePath | None, typer.Option(help="Reliability diagram, .svg or .png.")] = None,
    model: Annotated[str, typer.Option(help="Samples the solutions.", metavar="NAME")] = "bundled",
    aggregate: Annotated[
        str | None, typer.Option(help="How step scores become one: last, min, product, mean.", metavar="HOW")
    ] = None,
    n: Annotated[int, typer.Option("--n", help="Solutions of every problem.")] = 16,
    limit: Annotated[int, typer.Option(help="How many problems.")] = 200,
    held_out: Annotated[float, typer.Option(help="Share of the problems that the figures are of.")] = 0.5,
    split: Annotated[str | None, typer.Option(help="Which problems. Default: the task's test split.")] = None,
    data: Annotated[str | None, typer.Option(help="As for eval.")] = None,
    seed: Annotated[int, typer.Option(help="Of problems, sampling and what is held out.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The last line of the output is one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Make a scorer's values probabilities; measures on held-out problems what that changes."""
    from reason.evals.calibration_command import CalibrateCommand
    from reason.evals.tasks import load as load_task

    if limit < 2:
        raise UsageError(f"limit is {limit}: pass --limit 2 or more, some problems to fit on and some to measure on")
    found = load_task(task)
    problems = found.load(limit=limit, seed=seed, data=data, split=split)
    command = CalibrateCommand(
        found, problems, model, scorer, aggregate, method, labels, n, held_out, seed, out, plot, split, data
    )
    raise typer.Exit(command.run(as_json=as_json))
