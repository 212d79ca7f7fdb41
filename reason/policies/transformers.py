"""Any Hugging Face causal language model as a policy, decoded by the toolkit's own engine.

Calls from many asyncio tasks join one running batch (`reason.policies.engine`): a pump takes one decoding step at a
time and lets other tasks run in between. Finished rows resolve at once; cancelling a call removes its rows.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from reason.identity import identified
from reason.policies.encoding import Encoder
from reason.policies.engine import Engine
from reason.policies.likelihood import likelihoods
from reason.policies.loading import dtype_of, eos_tokens, load_model, logit_width
from reason.policies.memory import default_memory_gib
from reason.policies.rows import Row
from reason.policies.vocabulary import Vocabulary
from reason.policies.weights import tokenizer_hash, weights_hash
from reason.prompts import Prompt, default_prompt
from reason.types import BackendError, Capabilities, Finish, Path, Problem, Sampling, Step, Until, UsageError

_TURNS_AFTER_LANDING = 16
_CHOICE_PATHS = 64


@dataclass(slots=True, eq=False)
class _Call:
    """One `extend` in flight."""

    loop: asyncio.AbstractEventLoop
    rows: list[Row] = field(default_factory=list)
    landed: asyncio.Queue[tuple[int, Step] | BaseException] = field(default_factory=asyncio.Queue)
    left: int = 0

    def land(self, item: tuple[int, Step] | BaseException) -> None:
        self.left -= 1
        if asyncio._get_running_loop() is self.loop:
            self.landed.put_nowait(item)
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.landed.put_nowait, item)


class TransformersPolicy:
    """A policy over a Hugging Face causal language model.

    Args:
        model: The model, on its device and in its dtype; put into eval mode.
        tokenizer: Its tokenizer.
        prompt: How questions are asked; by default boxed answers through the tokenizer's chat template, or `cot`.
        memory_gib: Bound on keys and values. Default: a quarter of the available RAM, at most 2 GiB, on a CPU; 60 %
            of the free memory on a GPU.
        max_rows: Most paths decoded at once.
        name: For reports.
        plain_attention: Force the slow reference attention (True) or the fast one (False); None: fast where it
            reproduces the model's own forward pass.

    Raises:
        UsageError: The model is not a decoder with ordinary keys and values.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        *,
        prompt: Prompt | None = None,
        memory_gib: float | None = None,
        max_rows: int = 1024,
        name: str | None = None,
        plain_attention: bool | None = None,
    ) -> None:
        if memory_gib is not None and memory_gib <= 0:
            raise UsageError(f"memory_gib is {memory_gib}; it must be above 0 (leave it out for the default)")
        if max_rows < 1:
            raise UsageError(f"max_rows is {max_rows}; it must be at least 1")
        self.model, self.tokenizer = model.train(False), tokenizer
        self.prompt = default_prompt(tokenizer) if prompt is None else prompt
        config = model.config.get_text_config()
        self.context: int | None = getattr(config, "max_position_embeddings", None)
        self.vocabulary = Vocabulary(tokenizer, logit_width(model), eos_tokens(model, tokenizer))
        memory = default_memory_gib(model.device) if memory_gib is None else memory_gib
        self.engine = Engine(model, self.vocabulary, memory_gib=memory, max_rows=max_rows, plain=plain_attention)
        self._parameters = sum(weights.numel() for weights in model.parameters())
        self._name = name or str(getattr(config, "_name_or_path", "") or type(model).__name__)
        self.encoder = Encoder(tokenizer, self.prompt, self.context)
        self._calls: set[_Call] = set()
        self._pumps: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
        self._lock = threading.RLock()

    @classmethod
    def from_pretrained(
        cls,
        path: str | FilePath,
        *,
        dtype: str | torch.dtype | None = None,
        device: str | torch.device | None = None,
        trust_remote_code: bool = False,
        **settings: Any,
    ) -> TransformersPolicy:
        """Load a model directory or hub id; safetensors weights only.

        Args:
            path: A directory written by `save_pretrained`, or a hub id such as "Qwen/Qwen2.5-0.5B-Instruct".
            dtype: "float32", "bfloat16" or "float16". Default: float32 on a CPU, bfloat16 on a GPU.
            device: Default: the first GPU, or the CPU.
            trust_remote_code: Whether the repository's own Python code may run.
            **settings: As for the class.

        Raises:
            UsageError: Nothing loadable is there.
        """
        place = torch.device(device if device is not None else ("cuda" if torch.cuda.is_available() else "cpu"))
        kind = dtype_of(dtype, place)
        model, tokenizer = load_model(str(path), kind, trust_remote_code)
        directory = path if FilePath(path).is_dir() else None
        settings.setdefault("prompt", default_prompt(tokenizer, directory))
        settings.setdefault("name", FilePath(path).name if directory else str(path))
        return cls(nn.Module.to(model, place), tokenizer, **settings)

    @property
    def capabilities(self) -> Capabilities:
        """Partial answers, token ids, log-probabilities and confidences, with the model's size and context."""
        return Capabilities(
            name=self._name,
            partial=True,
            token_ids=True,
            logprobs=True,
            parameters=self._parameters,
            context=self.context,
            confidences=True,
        )

    @property
    def identity(self) -> str:
        """What its steps are kept by in a store: weights, tokenizer and prompt, whatever the model is called."""
        return identified(
            self,
            model=type(self.model).__name__,
            weights=weights_hash(self.model),
            tokenizer=tokenizer_hash(self.tokenizer),
            prompt=self.prompt,
        )

    def count_tokens(self, text: str) -> int:
        """Tokens of forced text."""
        return len(self.encoder.text(text))

    def prompt_tokens(self, problem: Problem) -> int:
        """Tokens of the problem's prompt, so that a budget of FLOPs can allow for its prefill."""
        return len(self.encoder.prompt(problem.question)[1])

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One continuation per path, same order and length.

        A step that reaches `max_step_tokens` ends as STEP, so that long lines are searched in spans; LENGTH means
        that the whole solution has reached `max_tokens` or the context. A limit may fall inside a character of
        several tokens: its text then belongs to the step that completes it, and is left out where none does.

        Raises:
            UsageError: A question does not fit the context, a path is finished, or a setting is out of range.
            BackendError: The model failed.
        """
        steps: list[Step | None] = [None] * len(paths)
        async for index, step in self.stream(paths, sampling):
            steps[index] = step
        return [step for step in steps if step is not None]

    async def choices(self, paths: Sequence[Path], options: Sequence[str]) -> list[tuple[float, ...]]:
        """Natural-log probability of each option as the continuation of each path, for every path in order.

        Options are tokenised by themselves (give " Yes" its space). NaN where a path does not fit the context with it.
        """
        tokens = [self.encoder.text(option) for option in options]
        found: list[tuple[float, ...]] = []
        for start in range(0, len(paths), _CHOICE_PATHS):
            with self._lock:
                found += self._choices(paths[start : start + _CHOICE_PATHS], tokens)
            await asyncio.sleep(0)
        return found

    def _choices(self, paths: Sequence[Path], options: Sequence[Sequence[int]]) -> list[tuple[float, ...]]:
        longest = max(map(len, options), default=0)
        sequences: list[NDArray[np.int64] | None] = []
        for path in paths:
            prompt = self.encoder.prompt(path.problem.question, fitting=False)[1]
            sequence = np.concatenate([prompt, np.array(self.encoder.path(path), dtype=np.int64)])
            fits = self.context is None or len(sequence) + longest <= self.context
            sequences.append(sequence if fits else None)
        fitting = [sequence for sequence in sequences if sequence is not None]
        found = iter(likelihoods(self.model, self.engine.prefixes, fitting, options))
        unknown = (math.nan,) * len(options)
        return [unknown if sequence is None else next(found) for sequence in sequences]

    async def stream(
        self, paths: Sequence[Path], sampling: Sampling, unfinished: dict[int, Step] | None = None
    ) -> AsyncIterator[tuple[int, Step]]:
        """As `extend`, yielding (index, step) as they land.

        Leaving the iteration cancels the rest, which leave what they have in `unfinished`, by index.
        """
        _check(sampling)
        loop = asyncio.get_running_loop()
        call = _Call(loop)
        rows: dict[int, Row] = {}
        ready: list[tuple[int, Step]] = []
        for index, path in enumerate(paths):
            row = self._row(path, sampling, call, index)
            if row.limit <= 0:
                ready.append((index, Step("", finish=Finish.LENGTH)))
            else:
                rows[index] = row
        call.rows, call.left = list(rows.values()), len(rows)
        try:
            with self._lock:
                if rows:
                    self._calls.add(call)
                    self.engine.waiting.extend(call.rows)
                    self._start(loop)
            for item in ready:
                yield item
            for _ in range(len(rows)):
                landed = await call.landed.get()
                if isinstance(landed, BaseException):
                    raise landed
                yield landed
        finally:
            with self._lock:
                if unfinished is not None:
                    unfinished.update(self._unfinished(call, rows))
                for row in call.rows:
                    row.gone = True
                self._calls.discard(call)

    def _unfinished(self, call: _Call, rows: dict[int, Row]) -> dict[int, Step]:
        """What the rows of a call that is left early have, those included that landed and were not waited for."""
        known = self.engine.so_far(call.rows)
        found = {index: known[id(row)] for index, row in rows.items() if id(row) in known}
        while not call.landed.empty():
            landed = call.landed.get_nowait()
            if isinstance(landed, tuple):
                found[landed[0]] = landed[1]
        return found

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        for other in [other for other in self._pumps if other.is_closed()]:
            del self._pumps[other]
        for call in [call for call in list(self._calls) if call.loop.is_closed()]:
            for row in call.rows:
                row.gone = True
            self._calls.discard(call)
        if loop not in self._pumps or self._pumps[loop].done():
            self._pumps[loop] = loop.create_task(self._pump(loop))

    async def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """Step the engine until no call of this event loop is left in it."""
        await asyncio.sleep(0)
        while any(call.loop is loop and call.left > 0 for call in list(self._calls)):
            with self._lock:
                landed = True
                try:
                    landed = self.engine.step()
                except Exception as error:
                    self._fail(error)
            # what landed passes through futures, the runner and a scorer before its next extension arrives here
            for _ in range(_TURNS_AFTER_LANDING if landed else 1):
                await asyncio.sleep(0)
        with self._lock:
            self.engine.purge()

    def _fail(self, error: Exception) -> None:
        self.engine.clear()
        text = f"{type(error).__name__}: {error}"
        for call in list(self._calls):
            call.land(BackendError(f"decoding with {self._name} failed: {text}"))
            call.left = 0
            self._calls.discard(call)

    def _row(self, path: Path, sampling: Sampling, call: _Call, index: int) -> Row:
        if not path.open:
            raise UsageError(f"a path that ended as {path.finish.value!r} cannot be extended; extend open paths only")
        key, prompt = self.encoder.prompt(path.problem.question)
        before = self.encoder.path(path)
        stepwise = sampling.until is Until.STEP
        bounded = sampling.until is not Until.END
        step_end = (sampling.step_end or self.prompt.step_end) if stepwise else ()
        stop = tuple(dict.fromkeys((*self.prompt.stop, *sampling.stop)))
        room = sampling.max_tokens - len(before)
        if self.context is not None:
            room = min(room, self.context - len(prompt) - len(before))
        limit, at_limit = room, Finish.LENGTH
        if bounded and sampling.max_step_tokens < room:
            limit, at_limit = sampling.max_step_tokens, Finish.STEP
        return Row(
            prompt=prompt,
            key=key,
            before=before,
            sampling=sampling,
            ends=self.vocabulary.ends(step_end, stop),
            limit=limit,
            at_limit=at_limit,
            earlier=path.text if (stop or step_end) else "",
            seed=path.seed,
            done=lambda step: call.land((index, step)),
        )


def _check(sampling: Sampling) -> None:
    checks = (
        (sampling.temperature >= 0, f"temperature is {sampling.temperature}; it must be 0 (greedy) or above"),
        (0 < sampling.top_p <= 1, f"top_p is {sampling.top_p}; it must be above 0 and at most 1 (off)"),
        (sampling.top_k >= 0, f"top_k is {sampling.top_k}; it must be 0 (off) or above"),
        (0 <= sampling.min_p <= 1, f"min_p is {sampling.min_p}; it must be between 0 (off) and 1"),
        (sampling.max_tokens >= 1, f"max_tokens is {sampling.max_tokens}; it must be at least 1"),
        (sampling.max_step_tokens >= 1, f"max_step_tokens is {sampling.max_step_tokens}; it must be at least 1"),
        (sampling.confidence >= -1, f"confidence is {sampling.confidence}; it must be 0 (off), above, or -1 (all)"),
        (all((*sampling.stop, *sampling.step_end)), "a stop or step_end string is empty; leave it out"),
    )
    for fine, message in checks:
        if not fine:
            raise UsageError(message)
