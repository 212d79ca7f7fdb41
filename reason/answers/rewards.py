r"""Answer correctness as a reward function, in the calling convention of TRL's trainers.

    from trl import GRPOTrainer
    from reason.answers.rewards import answer_reward

    trainer = GRPOTrainer(..., reward_funcs=answer_reward(column="answer"))

TRL calls a reward function with keyword arguments: `prompts`, `completions`, `completion_ids`, `trainer_state` and
every other column of the data set, each a list with one entry per completion. A completion is a text, or a list of
messages (`{"role": …, "content": …}`) of a conversation. The function returns one float per completion; None leaves a
completion out (a gold answer that cannot be used says nothing about the model). TRL itself is not imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from reason.answers.grading import grade
from reason.answers.symbolic import Pool
from reason.answers.verdict import DEFAULT_RULES, Rules
from reason.types import UsageError


class Reward(Protocol):
    """What TRL's trainers accept as a reward function."""

    __name__: str

    def __call__(self, *, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """One reward per completion, None where there is nothing to reward."""
        ...


def answer_reward(
    *,
    column: str = "answer",
    right: float = 1.0,
    wrong: float = 0.0,
    strict: bool = False,
    rules: Rules = DEFAULT_RULES,
    symbolic: bool = True,
    pool: Pool | None = None,
    name: str = "answer_reward",
) -> Reward:
    r"""A reward function: `right` where the completion's answer equals the gold one, `wrong` elsewhere.

    Args:
        column: The data set's column of gold answers (or of solutions that mark them, such as GSM8K's).
        right, wrong: The two rewards; no answer, an unreadable one and one over a limit are wrong.
        strict: Accept only an answer in `\boxed{…}`.
        rules: The comparison policy.
        symbolic: Whether to ask the symbolic tier about what the exact tier leaves open.
        pool: The symbolic tier's workers; None uses one shared pool.
        name: What TRL logs it as.

    Returns:
        The function. It raises UsageError where the column is missing or of another length than the completions.
    """
    for title, value in (("right", right), ("wrong", wrong)):
        if not math.isfinite(value):
            raise UsageError(f"answer_reward got {title}={value}: pass a finite number.")

    def reward(*, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        golds = columns.get(column)
        if golds is None:
            has = ", ".join(sorted(columns)) or "none"
            raise UsageError(f"answer_reward needs the column {column!r}, the batch has {has}: pass column=….")
        if len(golds) != len(completions):
            raise UsageError(f"answer_reward got {len(completions)} completions and {len(golds)} gold answers.")
        found: list[float | None] = []
        for gold, completion in zip(golds, completions, strict=True):
            expected = None if gold is None else str(gold)
            verdict = grade(
                expected, completion_text(completion), rules=rules, strict=strict, symbolic=symbolic, pool=pool
            ).verdict
            found.append((right if verdict.correct else wrong) if verdict.scored else None)
        return found

    reward.__name__ = reward.__qualname__ = name
    return reward


def completion_text(completion: Any) -> str:
    """The text of a completion: a string, or what the assistant says last in a list of messages.

    Raises:
        UsageError: Neither of the two.
    """
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Sequence) and all(isinstance(message, Mapping) for message in completion):
        said = [message.get("content") for message in completion if message.get("role", "assistant") == "assistant"]
        return _content(said[-1]) if said else ""
    raise UsageError(f"a completion is a text or a list of messages, got {type(completion).__name__}.")


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return ""
