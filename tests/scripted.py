"""Policies that say what a test's script says: judges, verifiers and critics without a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from reason.types import Capabilities, Finish, Path, Sampling, Step

Script = Callable[[Path], str | Step]


class ScriptedPolicy:
    """Replies `script(path)`; the path's problem holds the prompt and its seed differs by sample.

    Tokens are bytes. The prompt is prefilled at every call, as if nothing were cached.

    Attributes:
        asked: Every path, in order.
        samplings: The sampling of every call.
    """

    def __init__(self, script: Script, *, token_ids: bool = True, logprobs: bool = False) -> None:
        self.script = script
        self.capabilities = Capabilities("scripted", True, token_ids, logprobs, 1000)
        self.asked: list[Path] = []
        self.samplings: list[Sampling] = []

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        self.asked += paths
        self.samplings.append(sampling)
        return [self._step(path, sampling) for path in paths]

    def _step(self, path: Path, sampling: Sampling) -> Step:
        said = self.script(path)
        if isinstance(said, Step):
            return said
        limit = sampling.max_tokens - math.ceil(len(path.text) / 4)
        tokens = tuple(said.encode())[:limit]
        finish = Finish.STOP if len(tokens) == len(said.encode()) else Finish.LENGTH
        if not self.capabilities.token_ids:
            return Step(said, finish=finish)
        logprobs = (-0.5,) * len(tokens) if self.capabilities.logprobs else ()
        text = bytes(tokens).decode(errors="ignore")
        return Step(text, tokens, logprobs, finish, len(path.problem.question.encode()))


class WeighingPolicy(ScriptedPolicy):
    """Also tells the log-probabilities of given continuations: `weigh(path, option)`."""

    def __init__(self, script: Script, weigh: Callable[[Path, str], float]) -> None:
        super().__init__(script)
        self.weigh = weigh
        self.weighed: list[Path] = []

    async def choices(self, paths: Sequence[Path], options: Sequence[str]) -> list[tuple[float, ...]]:
        self.weighed += paths
        return [tuple(self.weigh(path, option) for option in options) for path in paths]


def between(prompt: str, kind: str) -> str:
    """What stands between a kind of marks in a prompt."""
    head = prompt.index(f"<{kind}-")
    start = prompt.index(">\n", head) + 2
    tag = prompt[head + 1 : start - 2]
    return prompt[start : prompt.index(f"\n</{tag}>", start)]
