"""`reason strategies` and `reason scorers`: what can be named on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reason.options import Option, options_of, recorded
from reason.types import UsageError

MODEL_NEEDS = "torch, transformers"
FORMS: Mapping[str, str] = {
    "qwen-prm": "Qwen2.5-Math-PRM: the chance of each step, read at its end mark.",
    "qwen-rm": "Qwen2.5-Math-RM: one value for a whole solution.",
    "math-shepherd": "Math-Shepherd: a language model's + against - after each step.",
    "rlhflow": "RLHFlow process reward models: each step a chat turn, answered + or -.",
    "rlhflow-orm": "RLHFlow outcome reward models: the solution a chat turn, answered + or -.",
    "skywork": "Skywork-o1 process reward models: a value head at the ends of lines.",
}
PREFIXES: Mapping[str, tuple[str, str]] = {
    "judge": ("MODEL", "A language model as a judge of solutions, and of pairs of them."),
    "genrm": ("MODEL", "A language model that thinks, then says Yes or No: the chance of Yes."),
    "critic": ("MODEL", "A language model that looks for the first wrong step."),
    "regex": ("PATTERN", "1 for finished solutions that the regular expression matches, else 0."),
    "schema": ("FILE", "1 for finished solutions whose JSON fulfils the schema, else 0."),
}
GOLD = "gold answers"
RULE_NEEDS: Mapping[str, str] = {"oracle": GOLD, "numeric": GOLD, "symbolic": GOLD}
RULE_TEXTS: Mapping[str, str] = {
    "oracle": "The gold answer itself: 1 for a right answer, 0 for a wrong one.",
    "game24": "Checks game of 24, in which every number is used once.",
    "countdown": "Checks countdown, in which every number is used at most once.",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A name, and what there is to know of it.

    Attributes:
        name: As it is written on the command line.
        summary: One line.
        needs: What must be there.
        options: With their defaults.
    """

    name: str
    summary: str
    needs: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()

    def data(self) -> dict[str, Any]:
        """The entry as JSON data."""
        options = recorded({option.name: option.default for option in self.options})
        return {"name": self.name, "summary": self.summary, "needs": list(self.needs), "options": options}


def summary_of(thing: Callable[..., Any]) -> str:
    """The first line of its documentation."""
    made = thing.func if isinstance(thing, partial) else thing
    return (inspect.getdoc(made) or "").partition("\n")[0]


def strategies() -> list[Entry]:
    """The strategies, in the order of `reason.search.STRATEGIES`."""
    from reason.resolve import TUNED, needs_of
    from reason.search import STRATEGIES
    from reason.search.compute_optimal import compute_optimal

    found = [
        Entry(name, summary_of(build), tuple(sorted(needs_of(name))), tuple(options_of(build).values()))
        for name, build in STRATEGIES.items()
        if name != TUNED
    ]
    options = tuple(options_of(compute_optimal, skip=2).values())
    return [*found, Entry(f"{TUNED}=FILE", summary_of(compute_optimal), ("a table of reason tune",), options)]


def scorers() -> list[Entry]:
    """What `--scorer` takes; second names of the same are left out."""
    from reason.scorers import load
    from reason.scorers.load import RULES, load_scorer

    every = options_of(load_scorer)
    whole = tuple(option for name, option in every.items() if name != "aggregate")
    models, needs = tuple(every.values()), (MODEL_NEEDS,)
    found = [
        Entry("process", "The bundled process reward model: a value for every step.", needs, models),
        Entry("outcome", "The bundled outcome reward model: a value for a whole solution.", needs, whole),
        *(
            _rule(name, build)
            for at, (name, build) in enumerate(RULES.items())
            if build not in list(RULES.values())[:at]
        ),
        Entry("DIRECTORY", "A reward model in a directory, which says what it is.", needs, models),
        Entry("ORGANISATION/NAME", "A reward model of the hub, on this machine or downloaded.", needs, models),
    ]
    for form, text in FORMS.items():
        options = whole if form in ("qwen-rm", "rlhflow-orm") else models
        found.append(Entry(f"{form}:DIRECTORY", text, needs, options))
    for prefix in getattr(load, "PREFIXED", ()):
        rest, text = PREFIXES[prefix]
        found.append(Entry(f"{prefix}:{rest}", text, needs if rest == "MODEL" else ()))
    return [
        *found,
        Entry("calibrated:FILE", "A scorer whose values are calibrated by what reason calibrate wrote.", needs, models),
        Entry("A+B", "The mean of several scorers.", (), models),
        Entry("module:name", "A scorer, a function that makes one, or check(problem, text), of your own."),
    ]


def _rule(name: str, build: Callable[..., Any]) -> Entry:
    needs = (RULE_NEEDS[name],) if name in RULE_NEEDS else ()
    return Entry(name, RULE_TEXTS.get(name) or summary_of(build), needs)


def find(entries: Sequence[Entry], name: str, what: str) -> Entry:
    """The entry of that name.

    Raises:
        UsageError: There is none.
    """
    for entry in entries:
        if entry.name.partition("=")[0] == name.replace("-", "_") or entry.name == name:
            return entry
    raise UsageError(f"there is no {what} {name!r}: {', '.join(entry.name for entry in entries)}")


def print_entries(console: Console, entries: Sequence[Entry], how: str) -> None:
    """The entries as a table; `how` says how options are given."""
    table = Table(box=None, padding=(0, 2, 1, 0), show_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what it does", ratio=3)
    table.add_column("needs", ratio=1)
    table.add_column(f"options ({how})", ratio=4)
    for entry in entries:
        options = " ".join(option.shown for option in entry.options)
        table.add_row(
            Text(entry.name, style="bold"),
            Text(entry.summary),
            Text(", ".join(entry.needs)),
            Text(options, style="dim"),
        )
    console.print(table)
