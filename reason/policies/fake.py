"""A policy and a scorer for a toy world that is known exactly: for tests, documentation and timing the framework.

The world is repeated addition. A question such as `2 + 3 + 4` is solved one line a term, `2 + 3 = 5`, `5 + 4 = 9`, and
a final `Answer: 9`. On every line the policy draws one of `branch` results: the right one with probability `accuracy`,
or the right one plus 1, 2, … `branch - 1`, equally likely. Hence, for T terms:

- the tree is finite: branch ** (T - 1) solutions of T steps each (`lines` gives the children of any prefix);
- the optimum is the path without a wrong line, sampled with probability accuracy ** (T - 1);
- errors are never negative and carry along, so a solution with a wrong line never reaches the gold answer.

Tokens are bytes (`ord`) and `EOS` is 256, so a line's tokens are its UTF-8 bytes; each has its exact conditional
log-probability, so a line's tokens add up to the choice's. Each draw depends on `path.seed` and the path's text alone,
never on the batch.

    >>> from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
    >>> problem = fake_problems(1)[0]
    >>> policy, scorer = FakePolicy(accuracy=0.5), FakeScorer()
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence

from reason.types import BackendError, Capabilities, Finish, Path, Problem, Sampling, Score, Step, Until, UsageError

EOS = 256


def fake_problems(count: int, *, terms: int = 4, seed: int = 0) -> list[Problem]:
    """Addition problems with gold answers; ids are "fake-0", "fake-1", …"""
    draw = random.Random(f"{seed}/{terms}")
    numbers = [[draw.randint(1, 9) for _ in range(terms)] for _ in range(count)]
    return [Problem(f"fake-{i}", " + ".join(map(str, row)), str(sum(row))) for i, row in enumerate(numbers)]


def terms_of(question: str) -> list[int]:
    """The numbers to add: those of `a + b + …`, or for any other text three digits derived from it."""
    if re.fullmatch(r"\d+( \+ \d+)+", question):
        return [int(term) for term in question.split(" + ")]
    return [1 + byte % 9 for byte in hashlib.blake2b(question.encode(), digest_size=3).digest()]


def correct_lines(question: str, text: str) -> list[bool]:
    """For every line of a solution so far, the unfinished one included: whether it and all before it are right."""
    terms, right, verdicts = terms_of(question), True, []
    total = terms[0]
    for index, line in enumerate(text.splitlines()):
        if index + 1 < len(terms):
            expected = f"{total} + {terms[index + 1]} = {total + terms[index + 1]}"
            total += terms[index + 1]
        else:
            expected = f"Answer: {total}"
        right = right and line == expected
        verdicts.append(right)
    return verdicts


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
        self.capabilities = Capabilities("fake", partial, token_ids, logprobs, parameters)
        self.calls: list[int] = []
        self.seeds: list[int] = []
        self.peak = self.cancelled = self._in_flight = 0
        self._prefilled: set[str] = set()

    def lines(self, question: str, text: str = "") -> list[tuple[str, float]]:
        """The next whole line after `text` (which ends at a line's end) and its probability, for every possible one."""
        terms, lines = terms_of(question), text.splitlines()
        total = int(lines[-1].rpartition("= ")[2]) if lines else terms[0]
        if len(lines) + 1 >= len(terms):
            return [(f"Answer: {total}", 1.0)] if len(lines) + 1 == len(terms) else []
        term = terms[len(lines) + 1]
        wrong = (1 - self.accuracy) / (self.branch - 1) if self.branch > 1 else 0.0
        odds = [self.accuracy if self.branch > 1 else 1.0] + [wrong] * (self.branch - 1)
        return [(f"{total} + {term} = {total + term + error}\n", odds[error]) for error in range(self.branch)]

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
        text, logprobs, finish = self._sample(path, sampling)
        tokens = list(text.encode()) + [EOS] * (finish is Finish.STOP)
        return Step(
            text,
            tuple(tokens) if known.token_ids else (),
            tuple(logprobs) if known.logprobs else (),
            finish,
            self._prefill(path.problem.question),
        )

    def _prefill(self, question: str) -> int:
        if question in self._prefilled:
            return 0
        self._prefilled.add(question)
        return len(question.encode())

    def _sample(self, path: Path, sampling: Sampling) -> tuple[str, list[float], Finish]:
        question, before = path.problem.question, path.text
        used = len(path.token_ids) if self.capabilities.token_ids else len(before.encode())
        limit = sampling.max_tokens - used
        if sampling.until is Until.STEP:
            limit = min(limit, sampling.max_step_tokens)
        draw = random.Random(f"{path.seed}/{before}")
        added, logprobs, finish = "", list[float](), Finish.STEP
        while finish is Finish.STEP:
            line, odds = self._line(question, before + added, sampling, draw)
            added += line
            logprobs += odds
            if not line.endswith("\n"):
                finish = Finish.STOP
                logprobs.append(0.0)
            if sampling.until is Until.STEP or len(logprobs) >= limit:
                break
        if len(logprobs) > limit:
            cut_by_step = limit < sampling.max_tokens - used
            return added[: max(limit, 0)], logprobs[: max(limit, 0)], Finish.STEP if cut_by_step else Finish.LENGTH
        return added, logprobs, finish if sampling.until is Until.STEP or finish is Finish.STOP else Finish.LENGTH

    def _line(self, question: str, text: str, sampling: Sampling, draw: random.Random) -> tuple[str, list[float]]:
        """The rest of the current line and its tokens' log-probabilities."""
        whole, _, begun = text.rpartition("\n")
        options = self.lines(question, whole + "\n" if whole else "")
        options = [(line[len(begun) :], odds) for line, odds in options if line.startswith(begun)] or [("", 1.0)]
        line = _choose(options, sampling, draw)
        left, logprobs = options, list[float]()
        for end in range(1, len(line) + 1):
            mass = math.fsum(odds for _, odds in left)
            left = [option for option in left if option[0][:end] == line[:end]]
            logprobs.append(math.log(math.fsum(odds for _, odds in left) / mass) if mass else 0.0)
        return line, logprobs


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
