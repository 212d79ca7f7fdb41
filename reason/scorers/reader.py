"""Reads a scorer's values off token sequences so that every token goes through its model once.

A causal model's hidden state after a token depends on the tokens up to it and on nothing that follows. The prefix
model therefore keeps, beside the keys and values of every token it computed, what the head says after it: a path
judged before costs nothing, an extended one its new tokens, and paths of one call share their common prefixes.

Work runs in one thread per reader, so an event loop stays responsive and nothing runs twice at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, inference_mode, nn

from reason.policies.memory import GIB, default_memory_gib
from reason.policies.prefix import Encoded, PrefixModel
from reason.scorers.surprise import SurpriseHead
from reason.types import BackendError, ReasonError, UsageError

Rows: TypeAlias = NDArray[np.float64]
"""Logits [positions, labels]."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read off one sequence.

    Attributes:
        rows: Logits [positions, labels], in the order of the positions asked for.
        tokens: Tokens that passed through the model for it.
    """

    rows: Rows
    tokens: int


class Reader:
    """A causal backbone, a head on its hidden states, and the memory of both.

    Args:
        backbone: A causal transformers model without head, in evaluation mode, on its device.
        head: Hidden states [tokens, width] -> logits [tokens, labels].
        memory_gib: Bound on the stored keys and values; None: the engine's default for the device.

    Attributes:
        parameters: Of backbone and head, for FLOPs accounting.
        context: Longest sequence in tokens.
    """

    def __init__(self, backbone: Any, head: nn.Module, *, memory_gib: float | None = None) -> None:
        gib = default_memory_gib(backbone.device) if memory_gib is None else memory_gib
        if gib <= 0:
            raise UsageError(f"memory_gib is {gib}; give the scorer's cache more than 0, such as 0.5")

        def logits(hidden: Tensor) -> Tensor:
            return head(hidden).float()  # type: ignore[no-any-return]

        self._head = head if isinstance(head, SurpriseHead) else None
        self._prefix = PrefixModel(backbone, max_bytes=int(gib * GIB), head=logits)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")
        self.parameters = sum(weight.numel() for module in (backbone, head) for weight in module.parameters())
        limit = getattr(backbone.config.get_text_config(), "max_position_embeddings", None)
        self.context = min(limit or self._prefix.store.max_slots, self._prefix.store.max_slots)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do blocking work in the reader's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def read(
        self,
        sequences: Sequence[tuple[int, ...]],
        positions: Sequence[Sequence[int]],
        starts: Sequence[int] | None = None,
    ) -> list[Reading]:
        """The logits at the given positions of each sequence; equal sequences are computed once.

        Args:
            sequences: Token ids, each of 1 to `context`.
            positions: For each sequence, indices into it.
            starts: For each sequence, where the solution begins; a `SurpriseHead` needs it.

        Raises:
            BackendError: The model failed; what was computed before is kept.
        """
        order = dict.fromkeys(sequences)
        encoded = dict(zip(order, self._encode(list(order)), strict=True))
        readings = []
        spent = {sequence: part.computed for sequence, part in encoded.items()}
        begins = [1] * len(sequences) if starts is None else starts
        for sequence, places, begin in zip(sequences, positions, begins, strict=True):
            values = encoded[sequence].values
            if values is None:
                raise BackendError("the prefix model returned no values for a sequence; it needs a head")
            if self._head is not None:
                with inference_mode():
                    values = self._head.logits(values, sequence, max(begin, 1))
            rows = values[list(places)].double().cpu().numpy()
            readings.append(Reading(rows, spent.pop(sequence, 0)))
        return readings

    def _encode(self, sequences: list[tuple[int, ...]]) -> list[Encoded]:
        """Pass sequences through the model, in halves where memory does not suffice for all at once."""
        try:
            return self._prefix.forward(sequences)
        except ReasonError:
            raise
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            if len(sequences) == 1 or "memory" not in reason:
                raise BackendError(f"the scorer's model failed on {len(sequences)} sequences: {reason:.300}") from error
        middle = len(sequences) // 2
        return self._encode(sequences[:middle]) + self._encode(sequences[middle:])
