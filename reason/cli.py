"""The command line: `reason solve`, `reason eval`, `reason view`, `reason demo`, `reason strategies`, `reason scorers`.

Errors of use are one line on stderr and exit code 2; failures one line and exit code 1 (`--debug` shows the traceback);
Ctrl-C keeps what is done and exits with 130.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from reason.calibrate_command import calibrate
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
    NamesStrategies,
    ScorerName,
    Seed,
    Set,
    Strategy,
    Temperature,
    TopK,
    TopP,
    budget_of,
    check_scorer,
    sampling_of,
)
from reason.compare_command import compare
from reason.eval_command import evaluate
from reason.export_command import export
from reason.grade_command import grade_file
from reason.replay_command import replay
from reason.report_command import report
from reason.scaling_command import scaling
from reason.score_command import score
from reason.tune_command import tune
from reason.types import MissingExtraError, Problem, ReasonError, UsageError
from reason.view_command import view

if TYPE_CHECKING:
    from reason.listing import Entry

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Spend compute at test time to make a language model a better reasoner.",
)

# Typer carries its own copy of Click and exports only some of its errors.
COMMAND_LINE_ERROR: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


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
    budget = budget_of(budget_tokens, budget_scorer_tokens, budget_flops, budget_seconds)
    chosen = setup(model=model, strategy=strategy, n=n, scorer=scorer, aggregate=aggregate, options=set_ or ())
    sampling = sampling_of(chosen, temperature, top_p, top_k, min_p, max_tokens, max_step_tokens)
    problem = Problem("question", text.strip())
    check_scorer(chosen, [problem])
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


app.command(name="eval", cls=NamesStrategies)(evaluate)


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
app.command()(report)
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
