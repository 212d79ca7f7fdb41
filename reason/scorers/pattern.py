"""A regular expression that a solution must match.

The pattern is the user's own, the text is a model's, and a pattern such as `(a+)+b` takes ages on a text made for it:
matching is done in a worker process with a limit on processor time (`reason.scorers.checking`), beyond which the path
is unscored.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence

from reason.answers import answer_of
from reason.identity import identified
from reason.scorers.checking import Checker
from reason.search.strategy import number, one_of
from reason.types import Finish, Path, Score, UsageError

MODES = ("search", "fullmatch", "match")
_JUDGED = (Finish.STOP, Finish.LENGTH, Finish.BUDGET)


class Regex:
    """1 for finished solutions that the pattern matches, else 0.

    Args:
        pattern: In Python's syntax; flags go into it, as in `(?i)yes`.
        mode: "search" finds it anywhere, "match" at the start, "fullmatch" demands that it is the whole text.
        answer: Whether to look at the extracted answer instead of the whole solution.
        seconds: Most processor time for one text.
        name: For reports.

    Raises:
        UsageError: The pattern is none, or an option is out of range.
    """

    parameters = 0
    oracle = False

    def __init__(
        self,
        pattern: str,
        *,
        mode: str = "search",
        answer: bool = False,
        seconds: float = 1.0,
        name: str | None = None,
    ) -> None:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise UsageError(f"{pattern!r:.80} is no regular expression ({error}): see Python's re module") from None
        self._pattern, self._mode, self._answer = pattern, one_of("mode", mode, MODES), answer
        self._checker = Checker(number("seconds", seconds, 0.01))
        self.name = name or f"regex:{pattern}"

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, pattern=self._pattern, mode=self._mode, answer=self._answer)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """0 or 1 per path; NaN for open and failed paths, and where matching took too long."""
        return await asyncio.to_thread(lambda: [self._score(path) for path in paths])

    def _score(self, path: Path) -> Score:
        if path.finish not in _JUDGED:
            return Score(math.nan, error=f"only finished solutions are matched; this path is at {path.finish.value!r}")
        text = answer_of(path.text) if self._answer else path.text
        if text is None:
            return Score(0.0, explanation="no answer")
        job = {"kind": "pattern", "pattern": self._pattern, "flags": 0, "mode": self._mode, "text": text}
        reply = self._checker.ask(job)
        if "found" not in reply:
            return Score(math.nan, error=f"matching was not decided: {reply.get('limit') or reply.get('failed')}")
        found = reply["found"]
        return Score(0.0, explanation="no match") if found is None else Score(1.0, explanation=f"matches {found!r}")
