"""Scorers that are named with what they need: `judge:MODEL`, `genrm:MODEL`, `critic:MODEL`, `regex:PATTERN`,
`schema:FILE`. MODEL is anything that `reason.load` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reason.policies import load, wrap
from reason.prompts import Prompt
from reason.scorers.critic import Critic
from reason.scorers.genrm import GenRM
from reason.scorers.judge import Judge
from reason.scorers.pattern import Regex
from reason.scorers.schema import JsonSchema
from reason.types import Policy, Scorer, UsageError


def judging_policy(model: str, **options: Any) -> Policy:
    """A policy that is asked as it stands: through its chat template where it has one, without a task's own prompt.

    Args:
        model: Anything that `reason.load` takes.
        options: Of `reason.load`.
    """
    policy: Any = load(model, **options)
    tokenizer = getattr(policy, "tokenizer", None)
    if tokenizer is None or not isinstance(getattr(policy, "prompt", None), Prompt):
        return policy  # type: ignore[no-any-return]
    prompt = Prompt(chat=bool(getattr(tokenizer, "chat_template", None)))
    return wrap(policy.model, tokenizer, prompt=prompt, name=policy.capabilities.name)


PREFIXES: Mapping[str, Callable[[str], Scorer]] = {
    "judge": lambda model: Judge(judging_policy(model), name=f"judge:{model}"),
    "genrm": lambda model: GenRM(judging_policy(model), name=f"genrm:{model}"),
    "critic": lambda model: Critic(judging_policy(model), name=f"critic:{model}"),
    "regex": Regex,
    "schema": JsonSchema,
}


def from_prefix(name: str) -> Scorer:
    """The scorer that a name with a prefix stands for.

    Raises:
        UsageError: Nothing follows the prefix, or what follows it cannot work.
    """
    prefix, _, rest = name.partition(":")
    if not rest:
        raise UsageError(f"the scorer {name!r} is not complete: pass judge:MODEL, regex:PATTERN or schema:FILE")
    return PREFIXES[prefix](rest)
