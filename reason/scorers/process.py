"""Process reward models: a value after every step of a solution (Lightman et al., 2305.20050; Wang et al., 2312.08935).

A path is laid out by a format (`reason.scorers.render`), passed through the model incrementally
(`reason.scorers.reader`) and read at the end of every line. The values of the lines are aggregated over each step and
over the whole path: last, min, product or mean (`reason.scorers.aggregation`).

A path that grew by one step costs the tokens of that step. A search that extends to the end in one go gives paths of
one step with many lines; `Score.parts` has the value of each line.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reason.identity import identified
from reason.scorers.aggregation import aggregation
from reason.scorers.reader import Reads
from reason.scorers.render import Format, Values, judge_paths, layout_identity
from reason.types import Path, Score


class ProcessScorer:
    """Judges every step of a path.

    Args:
        reader: The model.
        form: How paths are laid out and read.
        aggregate: How a path's line values become one: last, min, product or mean.
        name: For reports.

    Attributes:
        parameters: Of the model, for FLOPs accounting.
    """

    def __init__(self, reader: Reads, form: Format, *, aggregate: str = "last", name: str = "process") -> None:
        self.aggregate = aggregate
        self._aggregate = aggregation(aggregate)
        self.name = name
        self.parameters = reader.parameters
        self._reader = reader
        self._form = form

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(
            self, model=self._reader.identity, layout=layout_identity(self._form), aggregate=self.aggregate
        )

    def count_tokens(self, path: Path) -> int:
        """The most tokens that judging this path can cost: all of them, if nothing is cached."""
        return len(self._form.render(path).tokens)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path: `value` aggregates `parts`, `steps` aggregates the parts of each step.

        NaN for a path without steps, a failed one, or one that is longer than the model's context; `error` says which.
        """
        return await judge_paths(self._reader, self._form, paths, self._score)

    def _score(self, values: Sequence[Values], tokens: int) -> Score:
        found = [self._aggregate(part) for part in values if len(part)]
        steps: list[float] = []
        for part in values:  # a step that was not read on its own has the value before it, at the beginning the next
            steps.append(self._aggregate(part) if len(part) else steps[-1] if steps else found[0])
        parts = np.concatenate(values)
        return Score(self._aggregate(parts), tuple(steps), tokens, parts=tuple(parts.tolist()))
