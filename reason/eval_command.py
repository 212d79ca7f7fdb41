"""The options of `reason eval`; what it does stands in `reason.evals.command` and `reason.evals.sweep`."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer

from reason.cli_options import (
    Aggregate,
    BudgetFlops,
    BudgetScorerTokens,
    BudgetSeconds,
    BudgetTokens,
    Debug,
    Json,
    MaxStepTokens,
    MaxTokens,
    MinP,
    Model,
    N,
    ScorerName,
    Seed,
    Set,
    Strategy,
    Temperature,
    TopK,
    TopP,
    TotalTokens,
    given,
)
from reason.types import UsageError

WHICH, RUN = "Which problems", "Run"
WITH_CONFIG = ("config", "out", "max_concurrency", "dry_run", "as_json", "debug")


def evaluate(
    ctx: typer.Context,
    task: Annotated[
        str | None, typer.Argument(help="A benchmark (gsm8k, math500, …), FILE.jsonl, or module:object.")
    ] = None,
    model: Model = "bundled",
    strategy: Strategy = None,
    set_: Set = None,
    n: N = 16,
    scorer: ScorerName = None,
    aggregate: Aggregate = None,
    limit: Annotated[int | None, typer.Option(help="How many. Default: all.", rich_help_panel=WHICH)] = None,
    sample_id: Annotated[
        list[str] | None,
        typer.Option(help="Only the problem of this id, as often as needed.", metavar="ID", rich_help_panel=WHICH),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Which part. Default: the task's test split.", rich_help_panel=WHICH)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="JSON lines or their directory. Default: REASON_DATA_DIR, else the hub."),
    ] = None,
    config: Annotated[
        FilePath | None,
        typer.Option(help="A TOML of many tasks and strategies (docs/evaluate.md), instead of one.", metavar="FILE"),
    ] = None,
    out: Annotated[
        FilePath | None, typer.Option(help="Results folder with the trace; the same command continues it.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Another strategy, n, scorer or budget adds to --out and pays only what is new."),
    ] = False,
    no_trace: Annotated[bool, typer.Option("--no-trace", help="Keep no trace in the results folder.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what it would cost, by a few problems, and stop.")
    ] = False,
    seed: Seed = 0,
    seeds: Annotated[
        str | None,
        typer.Option(help="Run with each: 1,2,3. They seed the sampling; --seed still draws the problems."),
    ] = None,
    max_concurrency: Annotated[int, typer.Option(help="Problems open at a time.", rich_help_panel=RUN)] = 64,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    min_p: MinP = None,
    max_tokens: MaxTokens = None,
    max_step_tokens: MaxStepTokens = None,
    budget_tokens: BudgetTokens = None,
    budget_scorer_tokens: BudgetScorerTokens = None,
    budget_flops: BudgetFlops = None,
    budget_seconds: BudgetSeconds = None,
    total_tokens: TotalTokens = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a strategy on a task: accuracy with its 95 % interval, and what it cost."""
    for name, wanted in (("resume", resume), ("no-trace", no_trace)):
        if wanted and out is None and config is None:
            raise UsageError(f"--{name} is about a results folder: pass --out FOLDER, or leave it out")
    from reason.evals.prepare import Asked, Prepared
    from reason.evals.sweep import combinations_of, numbers, read_sweep
    from reason.evals.sweep_command import SweepCommand

    if config is not None:
        _check_config_alone(ctx)
        sweep = read_sweep(config)
        many = SweepCommand(combinations_of(sweep), out, sweep.trace, max_concurrency)
        raise typer.Exit(many.run(dry_run=dry_run, as_json=as_json))
    if task is None:
        raise UsageError("nothing to evaluate: pass a task (reason eval word_problems), or --config FILE.toml")
    if total_tokens is not None and given(ctx, "n"):
        raise UsageError(f"--total-tokens is the budget of all problems together: leave out --n {n}")
    asked = Asked(
        task=task,
        model=model,
        strategy=strategy,
        set=tuple(set_ or ()),
        n=n,
        scorer=scorer,
        aggregate=aggregate,
        limit=limit,
        sample_id=tuple(sample_id or ()),
        split=split,
        data=data,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        max_tokens=max_tokens,
        max_step_tokens=max_step_tokens,
        budget_tokens=budget_tokens,
        budget_scorer_tokens=budget_scorer_tokens,
        budget_flops=budget_flops,
        budget_seconds=budget_seconds,
        total_tokens=total_tokens,
    )
    if seeds is not None:
        if resume:
            raise UsageError("--resume adds to one run's folder and --seeds makes one for each: leave one of them out")
        each = asked.with_seeds(numbers("--seeds", seeds))
        many = SweepCommand(each, out, not no_trace, max_concurrency, flat=True)
        raise typer.Exit(many.run(dry_run=dry_run, as_json=as_json))
    if dry_run:
        alone = SweepCommand((asked,), out, not no_trace, max_concurrency, alone=True, resume=resume)
        raise typer.Exit(alone.run(dry_run=True, as_json=as_json))
    command = Prepared().command(asked, out=out, resume=resume, trace=not no_trace, concurrency=max_concurrency)
    raise typer.Exit(command.run(as_json=as_json))


def _check_config_alone(ctx: typer.Context) -> None:
    """Refuse what a configuration file says itself.

    Raises:
        UsageError: Naming the options.
    """
    others = [name for name in ctx.params if given(ctx, name) and name not in WITH_CONFIG]
    if others:
        named = ", ".join(name.strip("_").replace("_", "-") for name in others)
        raise UsageError(f"--config holds the settings of all runs: leave out {named}, or write it into the file")
