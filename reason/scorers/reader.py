"""Reads a scorer's values off token sequences so that every token goes through its model once.

A causal model's hidden state after a token depends on the tokens up to it and on nothing that follows. The prefix
model therefore keeps, beside the keys and values of every token it computed, what the head says after it: a path
judged before costs nothing, an extended one its new tokens, and paths of one call share their common prefixes.

A model that looks at later tokens (an encoder) has no such states: `WholeReader` passes every sequence through it
anew, and `reason.scorers.cached` spares it what was judged before.

Work runs in one thread per reader, so an event loop stays responsive and nothing runs twice at a time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, inference_mode, nn, tensor

from reason.policies.memory import GIB, default_memory_gib
from reason.policies.prefix import Encoded, PrefixModel
from reason.policies.weights import weights_hash
from reason.scorers.surprise import SurpriseHead
from reason.types import BackendError, ReasonError, UsageError

Rows: TypeAlias = NDArray[np.float64]
"""Logits [positions, labels]."""

Result = TypeVar("Result")
Item = TypeVar("Item")
PACK_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read off one sequence.

    Attributes:
        rows: Logits [positions, labels], in the order of the positions asked for.
        tokens: Tokens that passed through the model for it.
    """

    rows: Rows
    tokens: int


class Reads(Protocol):
    """What a scorer reads its values with: `Reader` or `WholeReader`."""

    parameters: int
    context: int

    @property
    def identity(self) -> str:
        """A hash of the model."""
        ...

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do blocking work in the reader's thread."""
        ...

    def read(
        self,
        sequences: Sequence[tuple[int, ...]],
        positions: Sequence[Sequence[int]],
        starts: Sequence[int] | None = None,
    ) -> list[Reading]:
        """The logits at the given positions of each sequence."""
        ...


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
        self._modules = (backbone, head)
        self._prefix = PrefixModel(backbone, max_bytes=int(gib * GIB), head=logits)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")
        self.parameters = sum(weight.numel() for module in (backbone, head) for weight in module.parameters())
        limit = getattr(backbone.config.get_text_config(), "max_position_embeddings", None)
        self.context = min(limit or self._prefix.store.max_slots, self._prefix.store.max_slots)

    @property
    def identity(self) -> str:
        """A hash of the model."""
        return weights_hash(*self._modules)

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
        return in_halves(self._prefix.forward, sequences)


class WholeReader:
    """A classifier that looks at later tokens: every sequence passes through it whole, padded on the right.

    Args:
        model: A transformers token or sequence classifier, in evaluation mode, on its device.
        padding: A token id to pad with; it is masked.
        types: Whether the model tells question and solution apart by token types.

    Attributes:
        parameters: Of the model, for FLOPs accounting.
        context: Longest sequence in tokens.
    """

    def __init__(self, model: Any, *, padding: int = 0, types: bool = False) -> None:
        self._model, self._padding, self._types = model, padding, types
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")
        self.parameters = sum(weight.numel() for weight in model.parameters())
        config = model.config.get_text_config()
        limit = getattr(config, "max_position_embeddings", None) or sys.maxsize
        shifted = "roberta" in config.model_type  # positions begin behind the padding token's
        self.context = limit - (config.pad_token_id or 0) - 1 if shifted else limit

    @property
    def identity(self) -> str:
        """A hash of the model."""
        return weights_hash(self._model)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do blocking work in the reader's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def read(
        self,
        sequences: Sequence[tuple[int, ...]],
        positions: Sequence[Sequence[int]],
        starts: Sequence[int] | None = None,
    ) -> list[Reading]:
        """As `Reader.read`; a sequence classifier gives its one row for whatever positions are asked for."""
        begins = [1] * len(sequences) if starts is None else starts
        order = dict(zip(sequences, begins, strict=True))
        rows = dict(zip(order, in_halves(self._forward, list(order.items())), strict=True))
        spent = {sequence: len(sequence) for sequence in order}
        readings = []
        for one, places in zip(sequences, positions, strict=True):
            found = rows[one][list(places)] if rows[one].ndim == 2 else np.tile(rows[one], (len(places), 1))
            readings.append(Reading(found, spent.pop(one, 0)))
        return readings

    def _forward(self, items: list[tuple[tuple[int, ...], int]]) -> list[Rows]:
        """The logits of each sequence: [length, labels], or [labels] for the whole of it."""
        found: list[Rows] = []
        rows = max(1, PACK_TOKENS // max((len(one) for one, _ in items), default=1))
        for first in range(0, len(items), rows):
            batch = items[first : first + rows]
            width = max(len(one) for one, _ in batch)
            ids = [[*one, *[self._padding] * (width - len(one))] for one, _ in batch]
            mask = [[int(i < len(one)) for i in range(width)] for one, _ in batch]
            given = {"input_ids": ids, "attention_mask": mask}
            if self._types:
                given["token_type_ids"] = [[int(start <= i < len(one)) for i in range(width)] for one, start in batch]
            with inference_mode():
                tensors = {name: tensor(value, device=self._model.device) for name, value in given.items()}
                logits = self._model(**tensors).logits
            each = logits.double().cpu().numpy()
            found += [row[: len(one)] if row.ndim == 2 else row for (one, _), row in zip(batch, each, strict=True)]
        return found


def in_halves(work: Callable[[list[Item]], list[Result]], items: list[Item]) -> list[Result]:
    """Do the work, in halves where memory does not suffice for all at once.

    Raises:
        BackendError: The model failed on a part.
    """
    try:
        return work(items)
    except ReasonError:
        raise
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        if len(items) == 1 or "memory" not in reason:
            raise BackendError(f"the scorer's model failed on {len(items)} sequences: {reason:.300}") from error
    middle = len(items) // 2
    return in_halves(work, items[:middle]) + in_halves(work, items[middle:])
