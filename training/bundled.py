"""The recipe of the bundled models: `python -m reason.training.bundled --work DIR` rebuilds them from nothing on a CPU.

Stages, each resumable and seeded (a stage whose result exists is skipped):

1. policy: a small Qwen2 model learns word problems (loss on the solution only) and is stopped while it still errs.
2. backbone: a copy of it goes on learning to predict and to check arithmetic: whole problems mixed with packs of single
   equation lines, half of them with a planted error.
3. labels: the policy solves fresh training problems; every step gets the share of 8 completions from there that end in
   the right answer (Math-Shepherd, Wang et al. 2023, arXiv:2312.08935, eq. 4, soft estimation).
4. process, outcome: a value head on the backbone learns the labels; the outcome model learns the final verdicts.
5. export: fp16 safetensors, tokenizer, reason.json and a card with the measured figures.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import Qwen2Config, Qwen2ForCausalLM

from reason.evals.tasks.word_problems import generate
from reason.training.arithmetic import END_ID, Batch, ProblemBatches, equation_batch, train_tokenizer
from reason.training.loop import Schedule, fit
from reason.training.process_reward import ValueModel, batch_auc

VOCABULARY = 640
POLICY_STEPS = 3000
BACKBONE_STEPS = 8000
BATCH = 32
SEED = 0


def config(vocabulary: int) -> Qwen2Config:
    """The architecture of policy and scorer backbone: 2.2 million parameters, head width 64."""
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=192,
        intermediate_size=640,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END_ID,
        pad_token_id=END_ID,
    )


def lm_loss(model: Qwen2ForCausalLM, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean next-token loss over the marked positions, and the hidden states [batch, length, width] it came from."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[:, :-1][batch.lm[:, 1:]])
    return cross_entropy(logits.float(), batch.ids[:, 1:][batch.lm[:, 1:]]), hidden


def line_accuracy(model: Qwen2ForCausalLM, batches: list[Batch]) -> float:
    """Share of solution tokens predicted right, among digits of results only the whole line counts."""
    right = total = 0
    with torch.inference_mode():
        for batch in batches:
            predicted = model(input_ids=batch.ids, use_cache=False).logits[:, :-1].argmax(-1)
            wrong = ((predicted != batch.ids[:, 1:]) & batch.lm[:, 1:]).any(1)
            right += int((~wrong).sum())
            total += len(wrong)
    return right / total


def build_tokenizer(work: Path) -> Tokenizer:
    """The tokenizer, trained once."""
    file = work / "tokenizer.json"
    if not file.exists():
        train_tokenizer([generate("train", SEED, i) for i in range(20_000)], VOCABULARY).save(str(file))
    return Tokenizer.from_file(str(file))


def save_weights(model: nn.Module, file: Path) -> None:
    """All weights in float32; tied ones once."""
    state = {name: value.contiguous() for name, value in model.state_dict().items() if not name.endswith("lm_head.weight")}
    save_file(state, str(file))


def load_weights(model: nn.Module, file: Path) -> None:
    """The counterpart of `save_weights`."""
    model.load_state_dict(load_file(str(file)), strict=False)


def train_policy(work: Path, tokenizer: Tokenizer, steps: int) -> Qwen2ForCausalLM:
    """Stage 1."""
    torch.manual_seed(SEED)
    model = Qwen2ForCausalLM(config(tokenizer.get_vocab_size()))
    file = work / "policy" / "model.safetensors"
    if file.exists():
        load_weights(model, file)
        return model.eval()
    batches = ProblemBatches(tokenizer, seed=SEED, batch=BATCH)
    held_out = [ProblemBatches(tokenizer, seed=SEED + 1000, batch=BATCH).at(i) for i in range(16)]
    fit(
        model,
        lambda step: {"loss": lm_loss(model, batches.at(step))[0]},
        Schedule(steps, lr=2e-3),
        work / "policy",
        evaluate=lambda: {"solutions_right_when_forced": line_accuracy(model, held_out)},
    )
    save_weights(model, file)
    return model


def train_backbone(work: Path, tokenizer: Tokenizer, policy: Qwen2ForCausalLM, steps: int) -> ValueModel:
    """Stage 2: even steps take packs of equation lines, odd ones whole solutions, half of each with a planted error."""
    torch.manual_seed(SEED)
    lm = Qwen2ForCausalLM(policy.config)
    lm.load_state_dict(policy.state_dict())
    model = ValueModel(lm)
    file = work / "backbone" / "model.safetensors"
    if file.exists():
        load_weights(model, file)
        return model.eval()
    whole = ProblemBatches(tokenizer, seed=SEED + 1, batch=BATCH, checked=True)
    held_whole = [ProblemBatches(tokenizer, seed=SEED + 1001, batch=BATCH, checked=True).at(i) for i in range(12)]
    held_lines = [equation_batch(tokenizer, seed=SEED + 1001, step=i, batch=BATCH, lines=10) for i in range(6)]

    def batch_at(step: int) -> Batch:
        if step % 2:
            return whole.at(step // 2)
        return equation_batch(tokenizer, seed=SEED + 1, step=step, batch=BATCH, lines=10)

    fit(
        model,
        lambda step: model.losses(batch_at(step), lm_weight=1.0),
        Schedule(steps, lr=1.5e-3),
        work / "backbone",
        evaluate=lambda: {
            "line_auc": batch_auc(model, held_lines),
            "solution_auc": batch_auc(model, held_whole),
        },
    )
    save_weights(model, file)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild the bundled models.")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints, logs and labels")
    parser.add_argument("--policy-steps", type=int, default=POLICY_STEPS)
    parser.add_argument("--backbone-steps", type=int, default=BACKBONE_STEPS)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(options.work)
    policy = train_policy(options.work, tokenizer, options.policy_steps)
    train_backbone(options.work, tokenizer, policy, options.backbone_steps)


if __name__ == "__main__":
    main()
