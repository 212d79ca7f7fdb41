"""The command line: `reason solve`, `reason eval`, `reason view`, `reason demo`, `reason strategies`, `reason scorers`.

Errors of use are one line on stderr and exit code 2; failures one line and exit code 1 (`--debug` shows the traceback);
Ctrl-C keeps what is done and exits with 130.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
from rich.console import Console

from reason.calibrate_command import calibrate
from reason.compare_command import compare
from reason.export_command import export
from reason.grade_command import grade_file
from reason.replay_command import replay
from reason.scaling_command import scaling
from reason.score_command import score
from reason.tune_command import tune
from reason.types import MissingExtraError, Problem, ReasonError, Sampling, UsageError
from reason.view_command import view

if TYPE_CHECKING:
    from reason.budget import Budget
    from reason.listing import Entry
    from reason.resolve import Setup

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Spend compute at test time to make a language model a better reasoner.",
)

SOLVING, SAMPLING, LIMITS = "Strategy", "Sampling", "Budget per problem"

# Typer carries its own copy of Click and exports only some of its errors.
COMMAND_LINE_ERROR: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

Model = Annotated[
    str, typer.Option(help="bundled, a model's directory or hub id.", rich_help_panel=SOLVING, metavar="NAME")
]
Strategy = Annotated[
    str | None,
    typer.Option(
        help="{strategies}, compute_optimal=FILE, or module:function. "
        "Default: best_of_n with a scorer, else self_consistency.",
        rich_help_panel=SOLVING,
        metavar="NAME",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="An option of the strategy (reason strategies lists them), as often as needed.",
        rich_help_panel=SOLVING,
        metavar="KEY=VALUE",
    ),
]
N = Annotated[int, typer.Option("--n", help="Budget in whole solutions.", rich_help_panel=SOLVING)]
ScorerName = Annotated[
    str | None,
    typer.Option(
        help="process, outcome, verifier (the task's rule), a scorer's directory, none, or what reason scorers lists. "
        "Default: process with the bundled model.",
        rich_help_panel=SOLVING,
        metavar="NAME",
    ),
]
Aggregate = Annotated[
    str | None,
    typer.Option(help="How step scores become one: last, min, product, mean.", rich_help_panel=SOLVING, metavar="HOW"),
]
Seed = Annotated[int, typer.Option(help="Seeds every random choice.", rich_help_panel=SOLVING)]
Temperature = Annotated[float | None, typer.Option(help="0 is greedy.", rich_help_panel=SAMPLING)]
TopP = Annotated[float | None, typer.Option(help="Nucleus filter, 1 is off.", rich_help_panel=SAMPLING)]
TopK = Annotated[int | None, typer.Option(help="Most likely tokens kept, 0 is off.", rich_help_panel=SAMPLING)]
MinP = Annotated[float | None, typer.Option(help="Min-p filter, 0 is off.", rich_help_panel=SAMPLING)]
MaxTokens = Annotated[int | None, typer.Option(help="New tokens of one solution.", rich_help_panel=SAMPLING)]
MaxStepTokens = Annotated[int | None, typer.Option(help="New tokens of one step.", rich_help_panel=SAMPLING)]
BudgetTokens = Annotated[int | None, typer.Option(help="Generated tokens.", rich_help_panel=LIMITS)]
BudgetScorerTokens = Annotated[int | None, typer.Option(help="Scored tokens.", rich_help_panel=LIMITS)]
BudgetFlops = Annotated[float | None, typer.Option(help="FLOPs, policy and scorer.", rich_help_panel=LIMITS)]
BudgetSeconds = Annotated[float | None, typer.Option(help="Wall-clock seconds.", rich_help_panel=LIMITS)]
TotalTokens = Annotated[
    int | None,
    typer.Option(
        help="Generated tokens of all problems together; needs compute_optimal.", rich_help_panel="Budget of the run"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The last line of the output is one JSON object.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class NamesStrategies(typer.core.TyperCommand):
    """A command whose help names the strategies, which are looked up when it is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from reason.search import STRATEGIES

        for option in self.params:
            text = getattr(option, "help", None)
            if text and "{strategies}" in text:
                option.help = text.replace("{strategies}", ", ".join(STRATEGIES))  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


@app.command(cls=NamesStrategies)
def solve(
    question: Annotated[str, typer.Argument(help="What to solve; - reads it from standard input.")],
    model: Model = "bundled",
    strategy: Strategy = None,
    set_: Set = None,
    n: N = 16,
    scorer: ScorerName = None,
    aggregate: Aggregate = None,
    seed: Seed = 0,
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
    out: Annotated[
        FilePath | None, typer.Option(help="Trace store, a file; what is in it already is not paid for again.")
    ] = None,
    tree: Annotated[bool, typer.Option("--tree", help="Print the search tree; a terminal shows it grow.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Answer one question, with its steps, their scores, the confidence and the cost."""
    from reason.growing import LiveTree
    from reason.options import recorded
    from reason.resolve import setup
    from reason.show import json_line, outcome_json, print_outcome

    text = sys.stdin.read() if question == "-" else question
    if not text.strip():
        raise UsageError(
            "the question is empty: pass it as one argument, in quotes, or - to read it from standard input"
        )
    budget = _budget(budget_tokens, budget_scorer_tokens, budget_flops, budget_seconds)
    chosen = setup(model=model, strategy=strategy, n=n, scorer=scorer, aggregate=aggregate, options=set_ or ())
    sampling = _sampling(chosen, temperature, top_p, top_k, min_p, max_tokens, max_step_tokens)
    problem = Problem("question", text.strip())
    _check_scorer(chosen, [problem])
    from reason.run import solve as run

    console = Console()
    with LiveTree(console, problem, wanted=tree and not as_json) as live:
        outcome = run(
            [problem],
            policy=chosen.policy,
            search=live.watch(chosen.search),
            scorer=chosen.judge,
            sampling=sampling,
            budget=budget,
            seed=seed,
            progress=False,
            store=out,
        )[0]
    if outcome.stopped == "error":
        raise ReasonError(outcome.failures[-1].message if outcome.failures else "the search failed")
    if not as_json:
        print_outcome(console, outcome, tree=tree)
        return
    told = {"model": chosen.model, "strategy": chosen.strategy, "n": n, "scorer": chosen.scorer, "seed": seed}
    told |= {"set": recorded(chosen.options)}
    print(json_line(told | outcome_json(outcome, tree=tree)))


@app.command(name="eval", cls=NamesStrategies)
def evaluate(
    ctx: typer.Context,
    task: Annotated[str, typer.Argument(help="A benchmark (gsm8k, math500, …), FILE.jsonl, or module:object.")],
    model: Model = "bundled",
    strategy: Strategy = None,
    set_: Set = None,
    n: N = 16,
    scorer: ScorerName = None,
    aggregate: Aggregate = None,
    limit: Annotated[int | None, typer.Option(help="How many problems. Default: all.")] = None,
    split: Annotated[str | None, typer.Option(help="Which problems. Default: the task's test split.")] = None,
    data: Annotated[
        str | None, typer.Option(help="JSON lines or their directory. Default: REASON_DATA_DIR, else the hub.")
    ] = None,
    out: Annotated[
        FilePath | None, typer.Option(help="Results folder with the trace; the same command continues it.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Another strategy, n, scorer or budget adds to --out and pays only what is new."),
    ] = False,
    no_trace: Annotated[bool, typer.Option("--no-trace", help="Keep no trace in the results folder.")] = False,
    seed: Seed = 0,
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
    for name, given in (("resume", resume), ("no-trace", no_trace)):
        if given and out is None:
            raise UsageError(f"--{name} is about a results folder: pass --out FOLDER, or leave it out")
    from reason.evals.command import EvalCommand
    from reason.evals.tasks import load as load_task
    from reason.options import recorded
    from reason.resolve import setup

    budget = _budget(budget_tokens, budget_scorer_tokens, budget_flops, budget_seconds)
    if total_tokens is not None and _given(ctx, "n"):
        raise UsageError(f"--total-tokens is the budget of all problems together: leave out --n {n}")
    found = load_task(task)
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}: pass --limit 1 or more, or leave it out for all problems")
    problems = found.load(limit=limit, seed=seed, data=data, split=split)
    chosen = setup(
        model=model, strategy=strategy, n=n, scorer=scorer, aggregate=aggregate, task=found, options=set_ or ()
    )
    sampling = _sampling(chosen, temperature, top_p, top_k, min_p, max_tokens, max_step_tokens)
    _check_scorer(chosen, problems)
    extra: dict[str, Any] = {"limit": limit, "split": split, "data": data, "aggregate": aggregate}
    if chosen.options:
        extra["set"] = recorded(chosen.options)
    if task != found.name:
        extra["source"] = task
    command = EvalCommand(
        found, problems, chosen, n, seed, sampling, budget, out, extra, total_tokens, resume, not no_trace
    )
    raise typer.Exit(command.run(as_json=as_json))


@app.command()
def demo(
    out: Annotated[FilePath, typer.Option(help="Folder of the report and the results.")] = FilePath("runs/demo"),
    limit: Annotated[int, typer.Option(help="How many held-out problems.")] = 100,
    n: Annotated[int, typer.Option("--n", help="Budget in whole solutions.")] = 16,
    seed: Seed = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare the strategies on the bundled models at the same budget; writes report.html."""
    from reason.evals.demo import run_demo

    raise typer.Exit(run_demo(out=out, limit=limit, n=n, seed=seed, as_json=as_json))


app.command()(calibrate)
app.command()(compare)
app.command()(scaling)
app.command()(score)
app.command()(tune)
app.command()(export)
app.command(name="grade")(grade_file)
app.command()(replay)
app.command()(view)


@app.command()
def strategies(
    name: Annotated[str | None, typer.Argument(help="Only this one.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the strategies: what each does and needs, and its options with their defaults."""
    from reason import listing

    _list(listing.strategies(), name, "strategy", "--set", as_json)


@app.command()
def scorers(
    name: Annotated[str | None, typer.Argument(help="Only this one.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the scorers: what each judges and needs, and its options with their defaults."""
    from reason import listing

    _list(listing.scorers(), name, "scorer", "load_scorer", as_json)


def _list(entries: Sequence[Entry], name: str | None, what: str, how: str, as_json: bool) -> None:
    from reason.listing import find, print_entries
    from reason.show import json_line

    chosen = entries if name is None else [find(entries, name, what)]
    if as_json:
        print(json_line([entry.data() for entry in chosen]))
    else:
        print_entries(Console(), chosen, how)


def _budget(tokens: int | None, scorer_tokens: int | None, flops: float | None, seconds: float | None) -> Budget:
    from reason.budget import Budget

    given = {"tokens": tokens, "scorer-tokens": scorer_tokens, "flops": flops, "seconds": seconds}
    for name, value in given.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"--budget-{name} is {value:g}: pass a number above 0, or leave it out for no limit")
    return Budget(tokens, scorer_tokens, flops, seconds)


def _given(ctx: typer.Context, name: str) -> bool:
    """Whether the option stands on the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _check_scorer(chosen: Setup, problems: Sequence[Problem]) -> None:
    """Let the scorer refuse problems that it cannot judge, where it knows how to."""
    validate = getattr(chosen.judge, "validate", None)
    if validate is not None:
        validate(problems)


def _sampling(chosen: Setup, *given: float | None) -> Sampling:
    """The policy's default sampling with what the command line says."""
    from reason.resolve import default_sampling

    names = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "max_step_tokens")
    changes: dict[str, Any] = {name: value for name, value in zip(names, given, strict=True) if value is not None}
    return replace(default_sampling(chosen.policy), **changes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # for module:function; last, so that it shadows nothing
    try:
        code = app(args=given, prog_name="reason", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", 130)
    except COMMAND_LINE_ERROR as error:
        return _say(f"error: {error.format_message()} (reason --help lists what there is)", error.exit_code)
    except Exception as error:
        if debug:
            raise
        return _say_error(error)
    return code if isinstance(code, int) else 0


def _say_error(error: Exception) -> int:
    line = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UsageError | MissingExtraError):
        return _say(f"error: {line}", 2)
    if isinstance(error, MemoryError):
        return _say(
            "error: out of memory: pass a smaller --n or --max-tokens; a run with --out continues where it stopped", 1
        )
    kind = "" if isinstance(error, ReasonError) else f"{type(error).__name__}: "
    return _say(f"error: {kind}{line} (run with --debug for the traceback)", 1)


def _say(line: str, code: int) -> int:
    from reason.show import plain

    print(plain(line), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
