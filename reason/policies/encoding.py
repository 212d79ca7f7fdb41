"""Prompts, forced text and paths as tokens."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reason.prompts import Prompt
from reason.types import Path, UsageError

_PROMPTS_KEPT = 4096
_TEXTS_KEPT = 4096


class Encoder:
    """Tokens of what a policy is given.

    Sampled tokens are never made from text again. Text that came without tokens (a search's forced text, another
    backend's steps) is tokenised by itself, so that it is the same tokens wherever it stands.

    Args:
        tokenizer: The model's.
        prompt: How questions are asked.
        context: The model's context, or None.
    """

    def __init__(self, tokenizer: Any, prompt: Prompt, context: int | None) -> None:
        self._tokenizer, self._prompt, self._context = tokenizer, prompt, context
        self._prompts: OrderedDict[str, tuple[int, NDArray[np.int64]]] = OrderedDict()
        self._texts: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._keys = 0

    def prompt(self, question: str, *, fitting: bool = True) -> tuple[int, NDArray[np.int64]]:
        """A key and the tokens of the prompt; equal keys mean equal tokens. `fitting` refuses those beyond the context.

        Raises:
            UsageError: The question does not fit the context, or the prompt is empty.
        """
        if question not in self._prompts:
            self._add(question)
        self._prompts.move_to_end(question)
        key, tokens = self._prompts[question]
        if fitting and self._context is not None and len(tokens) >= self._context:
            raise UsageError(
                f"the question takes {len(tokens)} tokens with its prompt, but the model's context is {self._context}; "
                "shorten the question or the prompt, or use a model with a longer context"
            )
        return key, tokens

    def _add(self, question: str) -> None:
        tokens = np.array(self._prompt.render(question, self._tokenizer), dtype=np.int64)
        if not len(tokens):
            raise UsageError("the prompt renders to no tokens; give the template some text around {question}")
        self._keys += 1
        self._prompts[question] = (self._keys, tokens)
        if len(self._prompts) > _PROMPTS_KEPT:
            self._prompts.popitem(last=False)

    def text(self, text: str) -> tuple[int, ...]:
        """The tokens of text by itself."""
        if text in self._texts:
            self._texts.move_to_end(text)
            return self._texts[text]
        self._texts[text] = tuple(int(token) for token in self._tokenizer.encode(text, add_special_tokens=False))
        if len(self._texts) > _TEXTS_KEPT:
            self._texts.popitem(last=False)
        return self._texts[text]

    def path(self, path: Path) -> tuple[int, ...]:
        """All tokens of a path after its prompt."""
        if all(step.token_ids or not step.text for step in path.steps):
            return path.token_ids
        tokens: list[int] = []
        for step in path.steps:
            tokens += step.token_ids or self.text(step.text)
        return tuple(tokens)
