"""A policy and a scorer for a toy world that is known exactly: for tests, documentation and timing the framework.

The world is repeated addition. A question such as `2 + 3 + 4` is solved one line a term, `2 + 3 = 5`, `5 + 4 = 9`, and
a final `Answer: 9`. On every line the policy draws one of `branch` results: the right one with probability `accuracy`,
or the right one plus 1, 2, … `branch - 1`, equally likely. Hence, for T terms:

- the tree is finite: branch ** (T - 1) solutions of T steps each (`lines` gives the children of any prefix);
- the optimum is the path without a wrong line, sampled with probability accuracy ** (T - 1);
- errors are never negative and carry along, so a solution with a wrong line never reaches the gold answer.

Tokens are bytes (`ord`) and `EOS` is 256, so a line's tokens are its UTF-8 bytes; each has its exact conditional
log-probability, so a line's tokens add up to the choice's; confidences are means over the bytes that are possible. Each
draw depends on `path.seed` and the path's text alone, never on the batch. Forced text of another world makes the
solution begin anew on the next line (`reason.policies.additions`).

    >>> from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
    >>> problem = fake_problems(1)[0]
    >>> policy, scorer = FakePolicy(accuracy=0.5), FakeScorer()
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reason.budget import estimate_tokens, path_tokens
from reason.identity import identified
from reason.policies.additions import correct_lines, fake_problems, standing, terms_of
from reason.policies.vocabulary import Ends, ending
from reason.types import BackendError, Capabilities, Finish, Path, Sampling, Score, Step, Until, UsageError

__all__ = ["EOS", "FakePolicy", "FakeScorer", "StreamingFakePolicy", "correct_lines", "fake_problems", "terms_of"]

EOS = 256
STEP_END = ("\n",)
NO_WATCH = np.zeros(0, dtype=np.bool_)


class FakePolicy:
    """Samples solutions of the toy world (see the module's docstring).

    Args:
        accuracy: Probability of the right result on a line.
        branch: Possible results of a line.
        latency: Seconds every call waits, as a server would.
        fail_first: So many calls raise BackendError before one works.
        error: Gives the message with which a path's extension fails, or None.
        partial, token_ids, logprobs, parameters: As in `Capabilities`.

    Attributes:
        calls: Rows of every call, in order of arrival.
        seeds: Seeds of every path that was asked for, in order of arrival.
        peak: Most rows that were in flight at once.
        cancelled: Rows whose call was cancelled.
    """

    def __init__(
        self,
        *,
        accuracy: float = 0.7,
        branch: int = 4,
        latency: float = 0.0,
        fail_first: int = 0,
        error: Callable[[Path], str | None] | None = None,
        partial: bool = True,
        token_ids: bool = True,
        logprobs: bool = True,
        parameters: int = 1000,
    ) -> None:
        if not 0 < accuracy <= 1 or branch < 1:
            raise UsageError(f"FakePolicy takes 0 < accuracy <= 1 and branch >= 1, not {accuracy} and {branch}")
        self.accuracy, self.branch, self.latency = accuracy, branch, latency
        self.fail_first, self.error = fail_first, error
        self.capabilities = Capabilities("fake", partial, token_ids, logprobs, parameters, confidences=logprobs)
        self.calls: list[int] = []
        self.seeds: list[int] = []
        self.peak = self.cancelled = self._in_flight = 0
        self._prefilled: set[str] = set()

    @property
    def identity(self) -> str:
        """What its steps are kept by in a store."""
        return identified(self, accuracy=self.accuracy, branch=self.branch, capabilities=self.capabilities)

    def lines(self, question: str, text: str = "") -> list[tuple[str, float]]:
        """The next whole line after `text` (which ends at a line's end) and its probability, for every possible one."""
        terms = terms_of(question)
        done, total = standing(question, text)
        if done + 1 >= len(terms):
            return [(f"Answer: {total}", 1.0)] if done + 1 == len(terms) else []
        term = terms[done + 1]
        wrong = (1 - self.accuracy) / (self.branch - 1) if self.branch > 1 else 0.0
        odds = [self.accuracy if self.branch > 1 else 1.0] + [wrong] * (self.branch - 1)
        return [(f"{total} + {term} = {total + term + error}\n", odds[error]) for error in range(self.branch)]

    def count_tokens(self, text: str) -> int:
        """Tokens of text without token ids."""
        return len(text.encode()) if self.capabilities.token_ids else estimate_tokens(text)

    async def choices(self, paths: Sequence[Path], options: Sequence[str]) -> list[tuple[float, ...]]:
        """Log-probability of each option as each path's continuation; an impossible byte is one of 257 equal ones."""
        if self.latency:
            await asyncio.sleep(self.latency)
        return [tuple(self._likelihood(path.problem.question, path.text, text) for text in options) for path in paths]

    def _likelihood(self, question: str, before: str, text: str) -> float:
        total = 0.0
        while text:
            options = [option for option in self._options(question, before) if option[0]]
            length = min([len(text), *(len(line) for line, _ in options)])
            mass = math.fsum(odds for line, odds in options if line[:length] == text[:length])
            if not mass:
                return total - len(text.encode()) * math.log(EOS + 1)
            total += math.log(mass / math.fsum(odds for _, odds in options))
            before, text = before + text[:length], text[length:]
        return total

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One continuation per path; see `reason.types.Policy`."""
        self._arrive(paths)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
        except asyncio.CancelledError:
            self.cancelled += len(paths)
            raise
        finally:
            self._in_flight -= len(paths)
        return [self._step(path, sampling) for path in paths]

    def _arrive(self, paths: Sequence[Path]) -> None:
        self.calls.append(len(paths))
        self.seeds += [path.seed for path in paths]
        if self.fail_first > 0:
            self.fail_first -= 1
            raise BackendError("the fake policy was told to fail")
        self._in_flight += len(paths)
        self.peak = max(self.peak, self._in_flight)

    def _step(self, path: Path, sampling: Sampling) -> Step:
        message = self.error(path) if self.error is not None else None
        if message is not None:
            return Step("", finish=Finish.ERROR, error=message)
        known = self.capabilities
        text, bytes_, chances, finish = self._sample(path, sampling)
        confidences = [chance.confidence(sampling.confidence) for chance in chances] if sampling.confidence else []
        return Step(
            text,
            tuple(bytes_) if known.token_ids else (),
            tuple(chance.logprob for chance in chances) if known.logprobs else (),
            finish,
            self._prefill(path.problem.question),
            confidences=tuple(confidences) if known.confidences else (),
            tail=len(bytes_) - len(text) if known.token_ids else 0,
        )

    def _prefill(self, question: str) -> int:
        if question in self._prefilled:
            return 0
        self._prefilled.add(question)
        return len(question.encode())

    def _sample(self, path: Path, sampling: Sampling) -> tuple[str, list[int], list[_Chance], Finish]:
        """The text, its bytes and those of its end, each byte's chances, and why it ended."""
        question, before = path.problem.question, path.text
        used = path_tokens(path, self.count_tokens) if self.capabilities.token_ids else len(before.encode())
        limit, at_limit = sampling.max_tokens - used, Finish.LENGTH
        if sampling.until is not Until.END and sampling.max_step_tokens < limit:
            limit, at_limit = sampling.max_step_tokens, Finish.STEP
        step_end = (sampling.step_end or STEP_END) if sampling.until is Until.STEP else ()
        ends = Ends(step_end, sampling.stop, frozenset(), NO_WATCH)
        draw = random.Random(f"{path.seed}/{before}")
        added, chances, ended, looked = "", list[_Chance](), False, 0
        while not ended and len(added) < limit:
            line, odds = self._line(question, before + added, sampling, draw)
            added, ended = added + line, not line.endswith("\n")
            chances += odds
            for size in _ends_at(added[:limit], looked, ends):
                found = ending(ends, before, added[:size])
                if found is not None:
                    return found[1], list(added[:size].encode()), chances[:size], found[0]
            looked = len(added)
        if ended and len(added) < limit:
            return added, [*added.encode(), EOS], [*chances, SURE], Finish.STOP
        limit = max(limit, 0)
        return added[:limit], list(added[:limit].encode()), chances[:limit], at_limit

    def _options(self, question: str, text: str) -> list[tuple[str, float]]:
        """How the current line may go on, and its probability; a line of another world is ended first."""
        whole, _, begun = text.rpartition("\n")
        options = self.lines(question, whole + "\n" if whole else "")
        going = [(line[len(begun) :], odds) for line, odds in options if line.startswith(begun)]
        return going or [("\n" if begun else "", 1.0)]

    def _line(self, question: str, text: str, sampling: Sampling, draw: random.Random) -> tuple[str, list[_Chance]]:
        """The rest of the current line and its bytes' chances."""
        options = self._options(question, text)
        line = _choose(options, sampling, draw)
        left, chances = options, list[_Chance]()
        for at, letter in enumerate(line):
            if len(left) == 1:
                chances += [SURE] * (len(line) - at)
                break
            odds = dict[str, float]()
            for option, chance in left:
                odds[option[at]] = odds.get(option[at], 0.0) + chance
            mass = math.fsum(odds.values())
            chances.append(_Chance(tuple(value / mass for value in odds.values()), odds[letter] / mass))
            left = [option for option in left if option[0][at] == letter]
        return line, chances


@dataclass(frozen=True, slots=True)
class _Chance:
    """The possible bytes' probabilities, and that of the one that was drawn."""

    odds: tuple[float, ...]
    drawn: float

    @property
    def logprob(self) -> float:
        return math.log(self.drawn)

    def confidence(self, count: int) -> float:
        """Minus the mean log-probability of the `count` (-1: all) likeliest possible bytes."""
        kept = sorted(self.odds, reverse=True)[: None if count < 0 else count]
        return -math.fsum(map(math.log, kept)) / len(kept)


SURE = _Chance((1.0,), 1.0)


def _ends_at(text: str, start: int, ends: Ends) -> list[int]:
    """Where after `start` a stop string or step end may be complete: after its last letter."""
    letters = {mark[-1] for mark in (*ends.step_end, *ends.stop)}
    return [at for at in range(start + 1, len(text) + 1) if text[at - 1] in letters] if letters else []


class StreamingFakePolicy(FakePolicy):
    """A FakePolicy whose steps land one by one, `latency` seconds apart, as `stream` allows."""

    async def stream(self, paths: Sequence[Path], sampling: Sampling) -> AsyncIterator[tuple[int, Step]]:
        """Yields (index, step) as each is ready."""
        self._arrive(paths)
        left = len(paths)
        try:
            for index, path in enumerate(paths):
                await asyncio.sleep(self.latency)
                left -= 1
                yield index, self._step(path, sampling)
        finally:
            self.cancelled += left
            self._in_flight -= len(paths)


def _choose(options: list[tuple[str, float]], sampling: Sampling, draw: random.Random) -> str:
    ranked = sorted(options, key=lambda option: -option[1])
    if sampling.temperature == 0:
        return ranked[0][0]
    weights = [odds ** (1 / sampling.temperature) for _, odds in ranked]
    if sampling.top_k:
        weights = weights[: sampling.top_k]
    total, nucleus = math.fsum(weights), 0
    while nucleus < len(weights) and (nucleus == 0 or math.fsum(weights[:nucleus]) < sampling.top_p * total):
        nucleus += 1
    weights = [weight for weight in weights[:nucleus] if weight >= sampling.min_p * weights[0]]
    return draw.choices(ranked[: len(weights)], weights)[0][0]


class FakeScorer:
    """Judges solutions of the toy world line by line.

    `Score.parts` has a value for every line: `good` while every line so far is right and `bad` from the first wrong one
    on, plus noise in [-noise / 2, noise / 2] that depends on the text up to there alone. A step has the value of its
    last line, and the path that of its last step.

    Args:
        good, bad: Values of a right and a wrong line.
        noise: Width of the noise; results are clipped to [0, 1].
        incremental: Whether prefixes that were judged before cost nothing (`Score.tokens`).
        latency: Seconds every call waits.
        fail_first: So many calls raise BackendError before one works.
        error: Gives the message with which a path's judgement fails, or None.
        parameters: For FLOPs accounting.

    Attributes:
        calls: Paths of every call, in order of arrival.
    """

    def __init__(
        self,
        *,
        good: float = 0.9,
        bad: float = 0.1,
        noise: float = 0.0,
        incremental: bool = True,
        latency: float = 0.0,
        fail_first: int = 0,
        error: Callable[[Path], str | None] | None = None,
        parameters: int = 1000,
    ) -> None:
        self.good, self.bad, self.noise, self.incremental = good, bad, noise, incremental
        self.latency, self.fail_first, self.error, self.parameters = latency, fail_first, error, parameters
        self.calls: list[int] = []
        self._seen: set[tuple[str, str]] = set()

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, good=self.good, bad=self.bad, noise=self.noise, incremental=self.incremental)

    def count_tokens(self, path: Path) -> int:
        """Tokens that judging the path costs with nothing cached."""
        return len(path.problem.question.encode()) + len(path.text.encode())

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path; see `reason.types.Scorer`."""
        self.calls.append(len(paths))
        if self.fail_first > 0:
            self.fail_first -= 1
            raise BackendError("the fake scorer was told to fail")
        if self.latency:
            await asyncio.sleep(self.latency)
        return [self.score(path) for path in paths]

    async def compare(self, pairs: Sequence[tuple[Path, Path]]) -> list[Score]:
        """Whether the first of two has more right lines than the second before its first wrong one: `good`, else `bad`.

        Equal ones are midway; the noise depends on the pair and its order.
        """
        self.calls.append(len(pairs))
        if self.fail_first > 0:
            self.fail_first -= 1
            raise BackendError("the fake scorer was told to fail")
        if self.latency:
            await asyncio.sleep(self.latency)
        return [self.compared(first, second) for first, second in pairs]

    def compared(self, first: Path, second: Path) -> Score:
        """The comparison, at once."""
        message = None if self.error is None else self.error(first) or self.error(second)
        if message is not None:
            return Score(math.nan, error=message)
        right = [correct_lines(path.problem.question, path.text).count(True) for path in (first, second)]
        value = (self.good + self.bad) / 2 if right[0] == right[1] else self.good if right[0] > right[1] else self.bad
        noise = self.noise * (_uniform(first.problem.id, first.text, second.text) - 0.5) if self.noise else 0.0
        return Score(min(1.0, max(0.0, value + noise)), tokens=self._charge(first) + self._charge(second))

    def score(self, path: Path) -> Score:
        """The path's score, at once."""
        message = self.error(path) if self.error is not None else None
        if message is not None:
            return Score(math.nan, error=message)
        verdicts = correct_lines(path.problem.question, path.text)
        prefix, parts, steps = "", list[float](), list[float]()
        for line, right in zip(path.text.splitlines(keepends=True), verdicts, strict=True):
            prefix += line
            noise = self.noise * (_uniform(path.problem.id, prefix) - 0.5) if self.noise else 0.0
            parts.append(min(1.0, max(0.0, (self.good if right else self.bad) + noise)))
        prefix = ""
        for step in path.steps:
            prefix += step.text
            lines = len(prefix.splitlines())
            steps.append(parts[lines - 1] if lines else self.good)
        value = steps[-1] if steps else self.good
        return Score(value, tuple(steps), self._charge(path), parts=tuple(parts))

    def _charge(self, path: Path) -> int:
        if not self.incremental:
            return self.count_tokens(path)
        tokens = 0
        prefix, pieces = "", [path.problem.question, *path.text.splitlines(keepends=True)]
        for piece in pieces:
            prefix += "\0" + piece
            if (path.problem.id, prefix) not in self._seen:
                self._seen.add((path.problem.id, prefix))
                tokens += len(piece.encode())
        return tokens


def _uniform(*parts: str) -> float:
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
