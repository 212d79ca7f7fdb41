"""The options of `reason score`; what it does stands in `reason.evals.scorer_command`."""

from __future__ import annotations

from typing import Annotated

import typer

from reason.types import UsageError


def score(
    task: Annotated[
        str, typer.Argument(help="processbench, prmbench, best_of_n (recorded samples), or module:object.")
    ],
    scorer: Annotated[str, typer.Option(help="What is measured, as for eval.", metavar="NAME")] = "process",
    threshold: Annotated[
        float | None, typer.Option(help="A step with a value below it counts as wrong. Default: 0.5.")
    ] = None,
    aggregate: Annotated[
        str | None, typer.Option(help="How step scores become one: last, min, product, mean.", metavar="HOW")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="How many problems. Default: all.")] = None,
    split: Annotated[str | None, typer.Option(help="Which problems. Default: the task's first.")] = None,
    data: Annotated[str | None, typer.Option(help="As for eval.")] = None,
    seed: Annotated[int, typer.Option(help="Of the subset and the intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The last line of the output is one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Measure a scorer on labelled solutions: first errors, valid steps, or the best of recorded samples."""
    from reason.evals.scorer_bench import BEST_OF_N, kind_of
    from reason.evals.scorer_command import ScoreCommand
    from reason.evals.tasks import load as load_task
    from reason.resolve import find_scorer

    found = load_task(task)
    problems = found.load(limit=limit, seed=seed, data=data, split=split)
    if aggregate is not None and kind_of(problems) != BEST_OF_N:
        raise UsageError(f"--aggregate {aggregate} joins step scores, and this benchmark is of steps: leave it out")
    judge = find_scorer(scorer, aggregate=aggregate, task=found)
    raise typer.Exit(ScoreCommand(found, problems, scorer, judge, threshold, seed).run(as_json=as_json))
