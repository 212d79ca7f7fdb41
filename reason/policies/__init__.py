"""Policies: what generates. `load` makes one from a name, `wrap` from a model or a function.

A policy is anything with `extend` and `capabilities` (`reason.types.Policy`). It may also have:

- `stream(paths, sampling)`: an async generator of (index, step), each as it is ready. The runner prefers it where steps
  are awaited one by one (`Extend.enough`, a budget of seconds); without it every path is then a call of its own. With
  a third parameter `unfinished`, a dict, a stream that is left early puts there what unfinished paths have, by index,
  as CANCELLED steps, which are then counted.
- `count_tokens(text)`: tokens of text without token ids: forced by a search, or of a backend that gives none.
- `prompt_tokens(problem)`: the prompt's length, so that a budget of FLOPs can allow for the worst prefill.
- `identity`: a text that differs wherever its steps would (model, prompt, settings), which a trace store keeps them by;
  without it they are kept by its class and capabilities, if these have a name.
- `choices(paths, options)`: async; for each path the natural-log probabilities of the options as its continuation (for
  P(Yes)), NaN where they cannot be had.

`Sampling.max_tokens` is for a whole solution, so a policy subtracts what the path already has (`path_tokens`), and ends
at the limit with Finish.LENGTH. A step or span that reaches `max_step_tokens` ends with Finish.STEP. A call that is
cancelled may answer, instead of raising, with the steps as far as they got, Finish.CANCELLED: they are then counted and
kept.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reason.policies.function import FunctionPolicy
from reason.types import MissingExtraError, Policy, UsageError

BUNDLED = Path(__file__).parent.parent / "models" / "policy"
FORMS = "'bundled', a directory with a config.json, 'hub:NAME', or 'ORGANISATION/NAME' from the hub"
SERVERS = ("vllm", "openai", "http", "https")


def load(name: str | os.PathLike[str], **options: Any) -> Policy:
    """A policy from a name.

    Args:
        name: "bundled", a directory that holds a Hugging Face causal language model, or a model's name on the hub
            ("hub:gpt2", "org/name").
        options: Handed to `TransformersPolicy.from_pretrained`.

    Raises:
        UsageError: There is no such model, or the name has no form that is known.
        MissingExtraError: torch or transformers is not installed.
    """
    text = os.fspath(name)
    scheme, colon, rest = text.partition(":")
    if colon and scheme in SERVERS:
        raise UsageError(f"model {text!r}: servers are not available in this version; pass {FORMS}")
    if text == "bundled":
        if not (BUNDLED / "config.json").is_file():
            raise UsageError("the bundled model is missing from this installation; install reason-toolkit again")
        return _from_pretrained(str(BUNDLED), options)
    folder = Path(text).expanduser()
    if text and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"the directory {text!r} holds no model (no config.json); pass {FORMS}")
        return _from_pretrained(str(folder), options)
    if folder.is_file():
        raise UsageError(f"{text!r} is a file; pass the model's directory")
    hub = rest if colon and scheme == "hub" else text if _looks_like_hub(text) else ""
    if not hub:
        raise UsageError(f"there is no model {text!r}: no such directory or name; pass {FORMS}")
    try:
        return _from_pretrained(hub, options)
    except OSError as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"model {hub!r} cannot be loaded from the hub ({reason:.200}); check the name and the network"
        ) from None


def wrap(model: Any, tokenizer: Any = None, **options: Any) -> Policy:
    """A policy from a Hugging Face model and its tokenizer, or from a function text -> text.

    Args:
        model: A causal language model, or a function (synchronous or not).
        tokenizer: The model's; not for a function.
        options: Handed to `TransformersPolicy` or `FunctionPolicy`.

    Raises:
        UsageError: It is neither, or the tokenizer is missing or too much.
        MissingExtraError: torch or transformers is not installed.
    """
    if isinstance(model, Policy) and not isinstance(model, type):
        raise UsageError(f"{type(model).__name__} is a policy already; pass it to reason.solve as it is")
    if hasattr(model, "forward") and hasattr(model, "config"):
        if tokenizer is None:
            raise UsageError("a model needs its tokenizer: reason.wrap(model, tokenizer)")
        policy: Policy = _local("TransformersPolicy")(model, tokenizer, **options)
        return policy
    if not callable(model) or isinstance(model, type):
        raise UsageError(
            f"cannot make a policy of {model!r:.60}; pass a Hugging Face model with its tokenizer, "
            "or a function text -> text"
        )
    if tokenizer is not None:
        raise UsageError("a function takes no tokenizer: reason.wrap(function)")
    return FunctionPolicy(model, **options)


def _from_pretrained(name: str, options: dict[str, Any]) -> Policy:
    policy: Policy = _local("TransformersPolicy").from_pretrained(name, **options)
    return policy


def _local(name: str) -> Any:
    """A member of `reason.policies.transformers`, which needs the extra `local`."""
    missing = [package for package in ("torch", "transformers") if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            f"running a model here needs {' and '.join(missing)}: pip install 'reason-toolkit[local]'"
        )
    from reason.policies import transformers

    return getattr(transformers, name)


def _looks_like_hub(text: str) -> bool:
    """`org/name` whose first part is no local folder, in which case a mistyped directory is likelier."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", text) is not None and not Path(text).parent.is_dir()


__all__ = ["FunctionPolicy", "load", "wrap"]
