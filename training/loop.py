"""A small, resumable training loop for models that fit one process.

The caller gives the loss of step t as a function of t alone (its batch is drawn from (seed, t)), so a run that was
killed continues from its last checkpoint with the same batches, learning rates and losses. Checkpoints are written to a
temporary file and renamed.

Schedule: linear warm-up, constant, then linear decay to zero over the last `decay` share of the steps (WSD, Hu et al.
2024, arXiv:2404.06395).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Schedule:
    """Length and learning rates of a run.

    Attributes:
        steps: Optimiser steps.
        lr: Peak learning rate of AdamW.
        warmup: Steps of linear warm-up.
        decay: Share of the steps over which the rate falls linearly to zero.
        weight_decay: On matrices only.
        clip: Largest gradient norm.
    """

    steps: int
    lr: float = 2e-3
    warmup: int = 100
    decay: float = 0.4
    weight_decay: float = 0.05
    clip: float = 1.0

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        falling = max(1, round(self.steps * self.decay))
        return self.lr * min(1.0, (step + 1) / self.warmup, (self.steps - step) / falling)


def _optimizer(model: nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": schedule.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.98), fused=True)


def _save(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    scratch = file.with_suffix(".tmp")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, scratch)
    os.replace(scratch, file)


def fit(
    model: nn.Module,
    loss_at: Callable[[int], dict[str, Tensor]],
    schedule: Schedule,
    folder: Path,
    *,
    save_every: int = 250,
    log_every: int = 50,
    evaluate: Callable[[], dict[str, float]] | None = None,
    evaluate_every: int = 500,
) -> None:
    """Train in place; resume from `folder` if it holds a checkpoint.

    Args:
        model: What is trained.
        loss_at: The losses of a step by name; the entry "loss" is minimised, all are logged.
        schedule: Steps and learning rates.
        folder: Gets checkpoint.pt (own state, read with weights_only) and log.jsonl.
        save_every: Steps between checkpoints.
        log_every: Steps between log lines (means over the interval).
        evaluate: Measured every `evaluate_every` steps and at the end; logged.
        evaluate_every: Steps between evaluations.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, log = folder / "checkpoint.pt", folder / "log.jsonl"
    optimizer = _optimizer(model, schedule)
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    model.train()
    sums: dict[str, float] = {}
    began = time.monotonic()
    for step in range(start, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        losses = loss_at(step)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        done = step + 1
        last = done == schedule.steps
        if done % log_every == 0 or last:
            count = (done - 1) % log_every + 1
            row: dict[str, float] = {name: round(total / count, 5) for name, total in sums.items()}
            row |= {"step": done, "seconds": round(time.monotonic() - began, 1)}
            sums = {}
            if evaluate is not None and (done % evaluate_every == 0 or last):
                model.eval()
                row |= evaluate()
                model.train()
            with log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
        if done % save_every == 0 or last:
            _save(checkpoint, model, optimizer, done)
    model.eval()
