"""What a run shows while it works: a bar on a terminal, or the caller's own function."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from reason.types import Cost

Report: TypeAlias = bool | Callable[[int, int, Cost], None] | None
"""None: a bar if stderr is a terminal. True, False: always, never. A function: given (done, total, cost so far)."""

REFRESH_SECONDS = 0.2


class Progress:
    """Counts finished problems and generated tokens, and shows them as `report` says."""

    def __init__(self, report: Report, total: int) -> None:
        self._report, self._total = report, total
        self._done, self._tokens, self._cost = 0, 0, Cost()
        self._started = self._shown = time.monotonic()
        wanted = sys.stderr.isatty() if report is None else report is True
        self._bar = _bar() if wanted else None
        if self._bar is not None:
            self._task = self._bar.add_task("problems", total=total, rate="")

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show()
        if self._bar is not None:
            self._bar.stop()

    def generated(self, tokens: int) -> None:
        """Tokens have been generated."""
        self._tokens += tokens
        if self._bar is not None and time.monotonic() - self._shown > REFRESH_SECONDS:
            self._show()

    def finished(self, cost: Cost) -> None:
        """A problem is done."""
        self._done += 1
        self._cost += cost
        self._show()
        if callable(self._report):
            self._report(self._done, self._total, self._cost)

    def _show(self) -> None:
        if self._bar is None:
            return
        self._shown = time.monotonic()
        speed = self._tokens / max(self._shown - self._started, 1e-9)
        self._bar.update(self._task, completed=self._done, rate=f"{self._tokens:,} tokens, {speed:,.0f}/s")


def _bar() -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=False,
    )
