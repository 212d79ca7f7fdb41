"""The options that `reason solve` and `reason eval` share, and what they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from reason.types import Problem, Sampling, UsageError

if TYPE_CHECKING:
    from reason.budget import Budget
    from reason.resolve import Setup

SOLVING, SAMPLING, LIMITS = "Strategy", "Sampling", "Budget per problem"

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


def budget_of(tokens: int | None, scorer_tokens: int | None, flops: float | None, seconds: float | None) -> Budget:
    from reason.budget import Budget

    given = {"tokens": tokens, "scorer-tokens": scorer_tokens, "flops": flops, "seconds": seconds}
    for name, value in given.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"--budget-{name} is {value:g}: pass a number above 0, or leave it out for no limit")
    return Budget(tokens, scorer_tokens, flops, seconds)


def given(ctx: typer.Context, name: str) -> bool:
    """Whether the option stands on the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def check_scorer(chosen: Setup, problems: Sequence[Problem]) -> None:
    """Let the scorer refuse problems that it cannot judge, where it knows how to."""
    validate = getattr(chosen.judge, "validate", None)
    if validate is not None:
        validate(problems)


def sampling_of(chosen: Setup, *given: float | None) -> Sampling:
    """The policy's default sampling with what the command line says."""
    from reason.resolve import default_sampling

    names = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "max_step_tokens")
    changes: dict[str, Any] = {name: value for name, value in zip(names, given, strict=True) if value is not None}
    return replace(default_sampling(chosen.policy), **changes)
