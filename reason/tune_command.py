"""The options of `reason tune`; what it does stands in `reason.evals.tune_command`."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer

from reason.types import UsageError


def tune(
    task: Annotated[str, typer.Argument(help="A benchmark (gsm8k, math500, …), FILE.jsonl, or module:object.")],
    out: Annotated[FilePath, typer.Option(help="The table, a JSON file.")],
    model: Annotated[str, typer.Option(help="As for eval.", metavar="NAME")] = "bundled",
    scorer: Annotated[
        str | None, typer.Option(help="As for eval. Default: process with the bundled model.", metavar="NAME")
    ] = None,
    strategies: Annotated[
        str | None,
        typer.Option(
            help="What to choose from. Default: best_of_n,self_consistency,beam with a scorer, else self_consistency.",
            metavar="A,B,…",
        ),
    ] = None,
    n: Annotated[str, typer.Option("--n", help="Budgets in whole solutions.", metavar="1,2,…")] = "1,2,4,8,16,32",
    samples: Annotated[int, typer.Option(help="Most samples to judge the difficulty by.")] = 4,
    repeats: Annotated[int, typer.Option(help="Runs of every strategy that is no sampling; more, less noise.")] = 1,
    bins: Annotated[int, typer.Option(help="Bins of difficulty.")] = 6,
    limit: Annotated[int, typer.Option(help="How many calibration problems.")] = 400,
    split: Annotated[
        str | None, typer.Option(help="Which problems; not those that results will be reported on.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="As for eval.")] = None,
    seed: Annotated[int, typer.Option(help="Of problems and sampling.")] = 0,
    runs: Annotated[
        FilePath | None, typer.Option(help="File of runs to keep and continue. Default: beside the table.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="New tokens of one solution.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The last line of the output is one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Fit the table by which --strategy compute_optimal=TABLE chooses strategy and size per problem."""
    from dataclasses import replace

    from reason.evals.tasks import load as load_task
    from reason.evals.tune_command import TuneCommand
    from reason.resolve import BUNDLED, NO_SCORER, default_sampling, find_policy, find_scorer

    sizes = tuple(sorted({_whole("n", part) for part in n.split(",")}))
    for name, value in (("samples", samples), ("repeats", repeats), ("bins", bins), ("limit", limit)):
        _whole(name, str(value))
    if samples > max(sizes):
        raise UsageError(f"samples is {samples} and the largest n {max(sizes)}: pass --samples {max(sizes)} or fewer")
    found = load_task(task)
    wanted = "process" if scorer is None and model == BUNDLED else None if scorer == NO_SCORER else scorer
    usual = "best_of_n,self_consistency,beam" if wanted is not None else "self_consistency"
    names = tuple(dict.fromkeys(part.strip().replace("-", "_") for part in (strategies or usual).split(",") if part))
    problems = found.load(limit=limit, seed=seed, data=data, split=split)
    policy = find_policy(model)
    judge = None if wanted is None else find_scorer(wanted, task=found, policy=policy)
    changes = {"temperature": temperature, "max_tokens": max_tokens}
    given = {key: value for key, value in changes.items() if value is not None}
    sampling = replace(default_sampling(policy), **given)  # type: ignore[arg-type]
    kept = runs if runs is not None else out.with_name(f"{out.stem}.runs.jsonl")
    extra = {"limit": limit, "split": split, "data": data}
    command = TuneCommand(
        found,
        problems,
        model,
        wanted,
        policy,
        judge,
        sampling,
        seed,
        names,
        sizes,
        samples,
        repeats,
        bins,
        out,
        kept,
        extra,
    )
    raise typer.Exit(command.run(as_json=as_json))


def _whole(name: str, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise UsageError(
            f"{name} is {text!r}: pass whole numbers above 0, such as --{name} {'1,2,4' if name == 'n' else 4}"
        )
    return value
