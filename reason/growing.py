"""A search's steps as they land, shown on a terminal while the search works.

`watched` stands between a search and its runner and passes everything on unchanged; what it sees, the extensions and
judgements, is all that a growing tree needs, whatever the strategy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text
from rich.tree import Tree as RichTree

from reason.search.strategy import Strategy
from reason.show import ENDINGS, plain, score_text
from reason.types import Finish, Path, Problem, Score, Step
from reason.work import Extend, Judge, Results, Search, SearchRun, Work

FRAMES_A_SECOND = 8
SPARE_LINES = 4
LEAST_LINES = 5
Seen = Callable[[Work, Results], None]


@dataclass(slots=True)
class Grown:
    """A step of the growing tree.

    Attributes:
        parent: Its parent's place; -1 for a first step.
        step: The step.
        value: Its latest score, NaN without.
        copies: Equal samples.
        below: Steps that continue it.
    """

    parent: int
    step: Step
    value: float = math.nan
    copies: int = 1
    below: int = 0


class Growing:
    """The steps that a search has drawn so far, equal siblings merged.

    Args:
        problem: What is searched; steps under questions of the search's own are left out.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.steps: list[Grown] = []
        self.tokens = 0
        self._places: dict[tuple[int, str, Finish], int] = {}

    def see(self, work: Work, results: Results) -> None:
        """Take in a request and what it brought."""
        if isinstance(work, Extend):
            for path, step in zip(work.paths, results, strict=True):
                if isinstance(step, Step):
                    self.tokens += len(step.token_ids)
                    if self._ours(path):
                        self._add(path, step)
        elif isinstance(work, Judge):
            for path, score in zip(work.paths, results, strict=True):
                if isinstance(score, Score) and self._ours(path):
                    self._score(path, score)

    def _ours(self, path: Path) -> bool:
        return path.problem.question == self.problem.question

    def _add(self, path: Path, step: Step) -> None:
        parent = self._at(path)
        place = self._places.get((parent, step.text, step.finish))
        if place is None:
            self._new(parent, step)
        else:
            self.steps[place].copies += 1

    def _new(self, parent: int, step: Step) -> int:
        place = len(self.steps)
        self.steps.append(Grown(parent, step))
        self._places[parent, step.text, step.finish] = place
        if parent >= 0:
            self.steps[parent].below += 1
        return place

    def _at(self, path: Path) -> int:
        """Where the path ends; steps that the search put there itself are added."""
        at = -1
        for step in path.steps:
            place = self._places.get((at, step.text, step.finish))
            at = self._new(at, step) if place is None else place
        return at

    def _score(self, path: Path, score: Score) -> None:
        at = self._at(path)
        if at >= 0 and score.scored:
            self.steps[at].value = score.value


def watched(search: Search, seen: Seen) -> Strategy:
    """The search, with every request and its results shown to `seen`."""

    def run(problem: Problem) -> SearchRun:
        inner = search(problem)
        results: Results | None = None
        try:
            while True:
                work = next(inner) if results is None else inner.send(results)
                results = yield work
                seen(work, results)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            inner.close()

    if isinstance(search, Strategy):
        return replace(search, run=run)
    return Strategy(getattr(search, "__name__", type(search).__name__), run)


class LiveTree:
    """The growing tree on a terminal, while it is entered; it takes its lines back at the end.

    Args:
        console: Where; nothing is shown where it is no terminal.
        problem: What is searched.
        wanted: Whether to show it at all.
    """

    def __init__(self, console: Console, problem: Problem, *, wanted: bool = True) -> None:
        self._console, self._on = console, wanted and console.is_terminal
        self._growing = Growing(problem)
        self._started = time.monotonic()
        self._live = Live(
            console=console, transient=True, get_renderable=self._shown, refresh_per_second=FRAMES_A_SECOND
        )

    def __enter__(self) -> LiveTree:
        if self._on:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def watch(self, search: Search) -> Search:
        """The search, shown as it goes; the search itself where nothing is shown."""
        return watched(search, self._growing.see) if self._on else search

    def _shown(self) -> RenderableType:
        seconds = time.monotonic() - self._started
        lines = max(LEAST_LINES, self._console.size.height - SPARE_LINES)
        return growing_view(self._growing, lines, self._console.size.width, seconds)


def growing_view(growing: Growing, lines: int, width: int, seconds: float) -> RenderableType:
    """The tree with its newest steps, and those above them, in at most so many lines of a terminal."""
    steps = growing.steps[:]
    kept = newest(steps, lines)
    question = plain(" ".join(growing.problem.question.split()))
    root = RichTree(Text(question, no_wrap=True, overflow="ellipsis"), guide_style="dim")
    places: dict[int, Any] = {-1: root}
    for place in sorted(kept):
        places[place] = places[steps[place].parent].add(_line(steps[place]))
    hidden = len(steps) - len(kept)
    more = f" · {hidden} earlier steps not shown" if hidden else ""
    status = f"{len(steps)} steps · {growing.tokens:,} tokens · {seconds:.0f} s{more}"
    return Group(root, Text(status, style="dim", no_wrap=True, overflow="ellipsis"))


def newest(steps: Sequence[Grown], lines: int) -> set[int]:
    """The newest steps whose lines of ancestors fit, each with all of them."""
    kept = set[int]()
    for place in range(len(steps) - 1, -1, -1):
        line = list[int]()
        at = place
        while at >= 0 and at not in kept:
            line.append(at)
            at = steps[at].parent
        if len(kept) + len(line) > lines:
            break
        kept.update(line)
    return kept


def _line(grown: Grown) -> Text:
    text = " ⏎ ".join(line for line in plain(grown.step.text).split("\n") if line.strip())
    label = score_text(grown.value) + Text("  ") + Text(text or "(nothing)")
    notes = [f"drawn {grown.copies} times"] if grown.copies > 1 else []
    if grown.step.finish is not Finish.STEP:
        notes.append(ENDINGS[grown.step.finish])
    label.append("  " + " · ".join(notes), style="dim")
    label.no_wrap, label.overflow = True, "ellipsis"
    return label
