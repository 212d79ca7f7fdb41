"""Options from the command line are read as the builders' annotations say, and refused in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from reason.listing import FORMS, scorers, strategies
from reason.options import options_of, read_options, recorded, revived, shown
from reason.scorers import load
from reason.scorers.load import BUNDLED, FORMATS, RULES
from reason.search import STRATEGIES
from reason.types import UsageError


@dataclass(frozen=True, slots=True)
class Words:
    ask: str = "What?"
    marks: tuple[str, ...] = ("a",)


def build(
    n: int,
    branch: int = 4,
    *,
    share: float = 0.5,
    flag: bool = True,
    name: str | None = None,
    pair: tuple[float, float] | None = None,
    marks: Sequence[str] = ("\n",),
    size: int | float = 1,
    way: Literal["bfs", "dfs"] = "bfs",
    words: Words = Words(),
    function: Callable[[int], int] | None = None,
) -> dict[str, Any]:
    """Gives back what it was given."""
    return locals()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("branch=8", 8),
        ("branch=-1", -1),
        ("share=2", 2.0),
        ("share=inf", math.inf),
        ("flag=no", False),
        ("flag=True", True),
        ("name=none", None),
        ("name=x=y z", "x=y z"),
        ("pair=1,.5", (1.0, 0.5)),
        ("pair=None", None),
        ("marks=. ,;", (". ", ";")),
        ("marks=", ()),
        ("size=2", 2),
        ("size=2.5", 2.5),
        ("way=dfs", "dfs"),
    ],
)
def test_values_are_read_by_their_types(given: str, expected: object) -> None:
    values = read_options("mine", build, [given])
    assert values == {given.partition("=")[0]: expected}
    assert type(next(iter(values.values()))) is type(expected)
    assert build(3, **values)["n"] == 3
    text = json.dumps(recorded(values), allow_nan=False)
    assert revived(build, json.loads(text)) == values


def test_a_dataclass_is_a_json_file(tmp_path: Path) -> None:
    file = tmp_path / "words.json"
    file.write_text('{"ask": "Why?", "marks": ["b", "c"]}')
    values = read_options("mine", build, [f"words={file}"])
    assert values == {"words": Words("Why?", ("b", "c"))}
    assert recorded(values) == {"words": {"ask": "Why?", "marks": ["b", "c"]}}
    assert revived(build, recorded(values)) == values
    with pytest.raises(UsageError, match="the recorded option wards is none of branch, share"):
        revived(build, {"wards": 1})
    file.write_text('{"answer": 1}')
    for wrong in (file, tmp_path / "missing.json"):
        with pytest.raises(UsageError, match=r"words must be a JSON file with some of ask, marks"):
            read_options("mine", build, [f"words={wrong}"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["branhc=8"],
            r"--set branhc=8: mine has no option branhc \(did you mean branch\?\); mine takes branch=4, share",
        ),
        (["n=8"], "mine has no option n"),
        (["function=f"], "mine has no option function"),
        (["branch"], "write an option as KEY=VALUE"),
        (["=3"], "write an option as KEY=VALUE"),
        (["branch=2.5"], "branch must be a whole number"),
        (["branch=none"], "branch must be a whole number"),
        (["share=nan"], "share must be a number"),
        (["flag=maybe"], "flag must be true or false"),
        (["pair=1"], "pair must be 2 values with commas between them or none"),
        (["pair=1,x"], "pair must be a number or none"),
        (["way=up"], "way must be one of bfs, dfs"),
        (["branch=1", "branch=2"], "branch is set twice"),
    ],
)
def test_wrong_ones_are_refused_in_one_line_with_what_there_is(given: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_options("mine", build, given)
    assert "\n" not in str(caught.value)
    assert "branch=4, share=0.5, flag=true, name=none" in str(caught.value)


def test_defaults_are_shown_as_they_would_be_written() -> None:
    assert [option.shown for option in options_of(build).values()] == [
        "branch=4",
        "share=0.5",
        "flag=true",
        "name=none",
        "pair=none",
        'marks="\\n"',
        "size=1",
        "way=bfs",
        "words=Words",
    ]
    assert shown("x" * 99) == "x" * 23 + "…"
    assert options_of(len) == {}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_option_of_every_strategy_can_be_set_to_its_default(name: str) -> None:
    known = options_of(STRATEGIES[name])
    plain = {key: option.default for key, option in known.items() if isinstance(option.default, int | float | str)}
    given = [f"{key}={shown(value) if not isinstance(value, str) else value}" for key, value in plain.items()]
    values = read_options(name, STRATEGIES[name], given)
    assert values == plain
    assert STRATEGIES[name](16, **values).name == STRATEGIES[name](16).name


def test_listings_are_complete() -> None:
    listed = {entry.name: entry for entry in strategies()}
    assert {*STRATEGIES, "compute_optimal=FILE"} - {"compute_optimal"} == set(listed)
    assert all(entry.summary.endswith(".") and len(entry.summary) < 110 for entry in listed.values())
    assert listed["beam"].needs == ("partial", "scorer")
    judges = {entry.name for entry in scorers()}
    assert {f"{form}:DIRECTORY" for form in FORMATS} <= judges
    assert set(FORMS) == set(FORMATS)
    assert {*RULES, *BUNDLED} - judges == {"verifier", "bundled", "bundled-outcome"}  # second names of listed ones
    assert {name.partition(":")[0] for name in judges} >= set(getattr(load, "PREFIXED", ()))
    for entry in (*strategies(), *scorers()):
        json.dumps(entry.data(), allow_nan=False)
        assert entry.summary
