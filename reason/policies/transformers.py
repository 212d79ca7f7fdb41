"""Any Hugging Face causal language model as a policy, decoded by the toolkit's own engine.

Calls from many asyncio tasks join one running batch (`reason.policies.engine`): a pump takes one decoding step at a
time and lets other tasks run in between. Finished rows resolve at once; cancelling a call removes its rows.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from reason.policies.engine import Engine
from reason.policies.memory import default_memory_gib
from reason.policies.rows import Row
from reason.policies.tokenizer import load_tokenizer
from reason.policies.vocabulary import Vocabulary
from reason.prompts import Prompt, default_prompt
from reason.types import BackendError, Capabilities, Finish, Path, Problem, Sampling, Step, Until, UsageError

_PROMPTS_KEPT = 4096
_TURNS_AFTER_LANDING = 16


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
        self.vocabulary = Vocabulary(tokenizer, _logit_width(model), _eos(model, tokenizer))
        memory = default_memory_gib(model.device) if memory_gib is None else memory_gib
        self.engine = Engine(model, self.vocabulary, memory_gib=memory, max_rows=max_rows, plain=plain_attention)
        self._parameters = sum(weights.numel() for weights in model.parameters())
        self._name = name or str(getattr(config, "_name_or_path", "") or type(model).__name__)
        self._prompts: OrderedDict[str, tuple[int, NDArray[np.int64]]] = OrderedDict()
        self._keys = 0
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
        kind = _dtype(dtype, place)
        model, tokenizer = _load(str(path), kind, trust_remote_code)
        directory = path if FilePath(path).is_dir() else None
        settings.setdefault("prompt", default_prompt(tokenizer, directory))
        settings.setdefault("name", FilePath(path).name if directory else str(path))
        return cls(nn.Module.to(model, place), tokenizer, **settings)

    @property
    def capabilities(self) -> Capabilities:
        """Partial answers, token ids and log-probabilities, with the model's size and context."""
        return Capabilities(
            name=self._name,
            partial=True,
            token_ids=True,
            logprobs=True,
            parameters=self._parameters,
            context=self.context,
        )

    def prompt_tokens(self, problem: Problem) -> int:
        """Tokens of the problem's prompt, so that a budget of FLOPs can allow for its prefill."""
        return len(self._rendered(problem.question)[1])

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        """One continuation per path, same order and length.

        A step that reaches `max_step_tokens` ends as STEP, so that long lines are searched in spans; LENGTH means
        that the whole solution has reached `max_tokens` or the context.

        Raises:
            UsageError: A question does not fit the context, a path is finished, or a setting is out of range.
            BackendError: The model failed.
        """
        steps: list[Step | None] = [None] * len(paths)
        async for index, step in self.stream(paths, sampling):
            steps[index] = step
        return [step for step in steps if step is not None]

    async def stream(self, paths: Sequence[Path], sampling: Sampling) -> AsyncIterator[tuple[int, Step]]:
        """As `extend`, yielding (index, step) as they land. Leaving the iteration cancels the rest."""
        _check(sampling)
        loop = asyncio.get_running_loop()
        call = _Call(loop)
        rows: list[Row] = []
        ready: list[tuple[int, Step]] = []
        for index, path in enumerate(paths):
            row = self._row(path, sampling, call, index)
            if row.limit <= 0:
                ready.append((index, Step("", finish=Finish.LENGTH)))
            else:
                rows.append(row)
        call.rows, call.left = rows, len(rows)
        try:
            with self._lock:
                if rows:
                    self._calls.add(call)
                    self.engine.waiting.extend(rows)
                    self._start(loop)
            for item in ready:
                yield item
            for _ in range(len(rows)):
                landed = await call.landed.get()
                if isinstance(landed, BaseException):
                    raise landed
                yield landed
        finally:
            for row in rows:
                row.gone = True
            self._calls.discard(call)

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
        key, prompt = self._rendered(path.problem.question)
        before = self._path_tokens(path)
        stepwise = sampling.until is Until.STEP
        step_end = (sampling.step_end or self.prompt.step_end) if stepwise else ()
        stop = tuple(dict.fromkeys((*self.prompt.stop, *sampling.stop)))
        room = sampling.max_tokens - len(before)
        if self.context is not None:
            room = min(room, self.context - len(prompt) - len(before))
        limit, at_limit = room, Finish.LENGTH
        if stepwise and sampling.max_step_tokens < room:
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

    def _rendered(self, question: str) -> tuple[int, NDArray[np.int64]]:
        """A key and the tokens of the prompt; equal keys mean equal tokens."""
        if question in self._prompts:
            self._prompts.move_to_end(question)
            return self._prompts[question]
        tokens = np.array(self.prompt.render(question, self.tokenizer), dtype=np.int64)
        if not len(tokens):
            raise UsageError("the prompt renders to no tokens; give the template some text around {question}")
        if self.context is not None and len(tokens) >= self.context:
            raise UsageError(
                f"the question takes {len(tokens)} tokens with its prompt, but the model's context is {self.context}; "
                "shorten the question or the prompt, or use a model with a longer context"
            )
        self._keys += 1
        self._prompts[question] = (self._keys, tokens)
        if len(self._prompts) > _PROMPTS_KEPT:
            self._prompts.popitem(last=False)
        return self._prompts[question]

    def _path_tokens(self, path: Path) -> tuple[int, ...]:
        """The path's sampled tokens; text that came without tokens (another backend's) is tokenised."""
        if all(step.token_ids or not step.text for step in path.steps):
            return path.token_ids
        tokens: list[int] = []
        for step in path.steps:
            tokens += step.token_ids or self.tokenizer.encode(step.text, add_special_tokens=False)
        return tuple(tokens)


def _check(sampling: Sampling) -> None:
    checks = (
        (sampling.temperature >= 0, f"temperature is {sampling.temperature}; it must be 0 (greedy) or above"),
        (0 < sampling.top_p <= 1, f"top_p is {sampling.top_p}; it must be above 0 and at most 1 (off)"),
        (sampling.top_k >= 0, f"top_k is {sampling.top_k}; it must be 0 (off) or above"),
        (0 <= sampling.min_p <= 1, f"min_p is {sampling.min_p}; it must be between 0 (off) and 1"),
        (sampling.max_tokens >= 1, f"max_tokens is {sampling.max_tokens}; it must be at least 1"),
        (sampling.max_step_tokens >= 1, f"max_step_tokens is {sampling.max_step_tokens}; it must be at least 1"),
        (all((*sampling.stop, *sampling.step_end)), "a stop or step_end string is empty; leave it out"),
    )
    for fine, message in checks:
        if not fine:
            raise UsageError(message)


def _logit_width(model: PreTrainedModel) -> int:
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    weight = getattr(head, "weight", None)
    return int(weight.shape[0]) if weight is not None else int(model.config.get_text_config().vocab_size)


def _eos(model: PreTrainedModel, tokenizer: Any) -> set[int]:
    """End-of-sequence tokens: the generation configuration's, the model's and the tokenizer's."""
    found: set[int] = set()
    generation = getattr(model, "generation_config", None)
    for value in (
        getattr(generation, "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
        getattr(tokenizer, "eos_token_id", None),
    ):
        if value is not None:
            found.update(value if isinstance(value, list | tuple) else [value])
    return found


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise UsageError(f"dtype {dtype!r} is not known; choose one of {', '.join(known)}")
    return known[dtype]


def _load(path: str, dtype: torch.dtype, trust_remote_code: bool) -> tuple[PreTrainedModel, Any]:
    looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1 or "\\" in path
    if looks_local and not FilePath(path).is_dir():
        raise UsageError(f"there is no model directory {path!r}; pass a directory with config.json, or a hub id")
    if FilePath(path).is_dir() and not (FilePath(path) / "config.json").is_file():
        raise UsageError(f"{path!r} holds no config.json; pass a directory written by save_pretrained")
    try:
        AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
        tokenizer = load_tokenizer(path, trust_remote_code=trust_remote_code)
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype, use_safetensors=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"no causal language model could be loaded from {path!r} ({first}); pass a directory with config.json, "
            "safetensors weights and a tokenizer, or a hub id that this machine can reach"
        ) from error
    return model, tokenizer
