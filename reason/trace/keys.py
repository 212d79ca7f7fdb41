"""What a call is known by: hashes of who was asked, about what, and how.

- An extension: policy, problem (id, question, task data), the steps so far, sampling, seed.
- A judgement: scorer, problem (its gold answer too, which oracles read), the steps with their finishes and
  log-probabilities, and how often this search had asked for it before (a scorer with a memory answers for less then).
- A comparison: the same of both paths.

A step counts with its text and its tokens without the tail (`Step.tail`), so that a path that was taken up again
(`Path.reopened`) still is the path it was. Keys begin with a hash of the problem's id, so that those of one problem lie
together in the store's indexes.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from reason.identity import spelled
from reason.types import Path, Problem, Sampling, Step

SIZE = 16
PREFIX = 4


def digest(*parts: bytes, size: int = SIZE) -> bytes:
    """A hash of the parts and their lengths, so that no two lists of parts are confused."""
    lengths = ",".join([str(len(part)) for part in parts])
    return blake2b(b"".join((lengths.encode(), b";", *parts)), digest_size=size).digest()


def raw(text: str) -> bytes:
    """The text's bytes, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def question_key(problem: Problem) -> bytes:
    """What a policy is asked: without the gold answer, which it never sees."""
    return digest(b"question", raw(problem.id), raw(problem.question), raw(meta_text(problem.meta)))


def meta_text(meta: Mapping[str, Any]) -> str:
    """Task data as JSON: equal for equal data, and for what is read back from it."""
    return json.dumps(_plain(meta), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if value is None or type(value) in (bool, int, float, str):
        return value
    return spelled(value)


def problem_key(problem: Problem) -> bytes:
    """The whole problem."""
    return digest(b"problem", question_key(problem), raw(repr(problem.answer)))


@lru_cache(maxsize=256)
def settings_of(sampling: Sampling) -> str:
    """The sampling as JSON."""
    return json.dumps(asdict(sampling), sort_keys=True)


def ints(values: Iterable[int]) -> bytes:
    """Token ids as little-endian int32."""
    return _bytes(array("i", values))


def floats(values: Iterable[float]) -> bytes:
    """Numbers as little-endian float64."""
    return _bytes(array("d", values))


def _bytes(numbers: array[Any]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def to_ints(blob: bytes) -> tuple[int, ...]:
    """The numbers that `ints` wrote."""
    return tuple(_array("i", blob))


def to_floats(blob: bytes) -> tuple[float, ...]:
    """The numbers that `floats` wrote."""
    return tuple(_array("d", blob))


def _array(code: str, blob: bytes) -> array[Any]:
    numbers: array[Any] = array(code)
    numbers.frombytes(blob)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def step_content(step: Step) -> bytes:
    """What a step adds to its path, however it ended."""
    kept = step.token_ids[: len(step.token_ids) - step.tail] if step.tail else step.token_ids
    return digest(raw(step.text), ints(kept))


def step_judged(step: Step) -> bytes:
    """All of a step that a scorer may read."""
    return digest(
        raw(step.text),
        step.finish.value.encode(),
        ints(step.token_ids),
        floats(step.logprobs),
        floats(step.confidences),
        b"%d" % step.tail,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A problem with its hashes: of its id, as a policy sees it, and whole."""

    kept: Problem
    prefix: bytes
    question: bytes
    problem: bytes


class Hashes:
    """Keys of one problem's paths; hashes of steps and questions are made once.

    Args:
        policy, scorer: Their identities.
    """

    def __init__(self, policy: str, scorer: str | None) -> None:
        self._policy, self._scorer = raw(policy), raw(scorer or "")
        self._content: dict[int, tuple[Step, bytes]] = {}
        self._judged: dict[int, tuple[Step, bytes]] = {}
        self._asked: dict[int, Asked] = {}
        self._samplings: dict[int, tuple[Sampling, bytes]] = {}

    def content(self, step: Step) -> bytes:
        """As `step_content`."""
        known = self._content.get(id(step))
        if known is None:
            known = self._content[id(step)] = (step, step_content(step))
        return known[1]

    def extension(self, path: Path, sampling: Sampling) -> bytes:
        """What the next step of a seeded path is known by."""
        known = self._samplings.get(id(sampling))
        if known is None:
            known = self._samplings[id(sampling)] = (sampling, raw(settings_of(sampling)))
        asked = self._problem(path.problem)
        steps = b"".join([self.content(step) for step in path.steps])
        parts = (b"extend", self._policy, asked.question, steps, known[1], b"%d" % path.seed)
        return asked.prefix + digest(*parts, size=SIZE - PREFIX)

    def path(self, path: Path) -> bytes:
        """What a path is known by to a scorer."""
        steps = list[bytes]()
        for step in path.steps:
            known = self._judged.get(id(step))
            if known is None:
                known = self._judged[id(step)] = (step, step_judged(step))
            steps.append(known[1])
        asked = self._problem(path.problem)
        return asked.prefix + digest(asked.problem, b"".join(steps), size=SIZE - PREFIX)

    def judgement(self, paths: Sequence[bytes], times: int) -> bytes:
        """What a judgement of one path, or a comparison of two, is known by when it was asked for so often before."""
        return paths[0][:PREFIX] + digest(b"judge", self._scorer, *paths, b"%d" % times, size=SIZE - PREFIX)

    def forced(self, problem: Problem, number: int, parent: int | None, step: Step) -> bytes:
        """What a step that was not sampled as it is is known by, under a node of the problem of that number."""
        parts = (b"forced", b"%d %d" % (number, parent or 0), raw(problem.question), step_judged(step))
        return self._problem(problem).prefix + digest(*parts, size=SIZE - PREFIX)

    def _problem(self, problem: Problem) -> Asked:
        known = self._asked.get(id(problem))
        if known is None:
            prefix = digest(raw(problem.id), size=PREFIX)
            known = self._asked[id(problem)] = Asked(problem, prefix, question_key(problem), problem_key(problem))
        return known
