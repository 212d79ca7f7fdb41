"""The recipe of the bundled models: `python -m reason.training.bundled --work DIR` rebuilds them from nothing on a CPU.

Stages, each resumable and seeded (a stage whose result exists is skipped):

1. policy: a small Qwen2 model learns word problems (loss on the solution only), then word problems and packs of single
   equation lines in turn; a copy forgets some arithmetic, so that the policy errs in a way that search can mend.
2. backbone: another copy goes on learning until it reads and computes much better than the policy.
3. labels: the policy solves fresh training problems; every step gets the share of 8 completions from there that end in
   the right answer (Math-Shepherd, Wang et al. 2023, arXiv:2312.08935, eq. 4, soft estimation).
4. process, outcome: a head on the frozen backbone (`reason.scorers.surprise`) learns the labels, for the outcome model
   the final verdicts alone.
5. export: fp16 safetensors, tokenizer, reason.json and a card with the measured figures.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from reason.evals.tasks.word_problems import TASK, generate
from reason.run import solve
from reason.scorers.store import save_scorer
from reason.training.arithmetic import (
    END,
    END_ID,
    NONE,
    Batch,
    ProblemBatches,
    Row,
    collate,
    equation_batch,
    solution_row,
    train_tokenizer,
)
from reason.training.card import TEMPERATURE, last_log_row, measure_policy, write_cards
from reason.training.labels import monte_carlo
from reason.training.loop import Schedule, fit
from reason.training.process_reward import ValueModel, batch_auc, fit_head
from reason.types import Problem, Sampling

VOCABULARY = 640
POLICY_STEPS = 3200
POLISH_STEPS = 600
RESULTS_LEARNED = 0.1
READER_SHARE = 0.35
PACKS_FROM = 1500
READER_STEPS = 900
BACKBONE_STEPS = 2400
LABEL_PROBLEMS = 1200
LABEL_CHUNK = 100
COMPLETIONS = 10_000
MEASURE_PROBLEMS = 200
PROMPT = "{question}\n"
BATCH = 32
SEED = 0
MODELS = Path(__file__).resolve().parent.parent / "reason" / "models"


def config(vocabulary: int) -> Qwen2Config:
    """The architecture of the policy and of the scorers' backbone: 2.2 million parameters."""
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
        attn_implementation="eager",  # type: ignore[call-arg]  # short sequences: the fused kernel's backward pass is slower on a CPU
    )


def lm_loss(model: Qwen2ForCausalLM, batch: Batch) -> Tensor:
    """Mean next-token loss over the marked positions, in nats."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[:, :-1][batch.lm[:, 1:]])
    return cross_entropy(logits.float(), batch.ids[:, 1:][batch.lm[:, 1:]])


def forced_accuracy(model: Qwen2ForCausalLM, batches: list[Batch]) -> float:
    """Share of gold solutions that greedy decoding would reproduce token for token."""
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
    state = {
        name: value.contiguous() for name, value in model.state_dict().items() if not name.endswith("lm_head.weight")
    }
    save_file(state, str(file))


def load_weights(model: nn.Module, file: Path) -> None:
    """The counterpart of `save_weights`."""
    model.load_state_dict(load_file(str(file)), strict=False)


def train_base(work: Path, tokenizer: Tokenizer, steps: int) -> Qwen2ForCausalLM:
    """Stage 1."""
    torch.manual_seed(SEED)
    model = Qwen2ForCausalLM(config(tokenizer.get_vocab_size()))
    file = work / "policy" / "model.safetensors"
    if file.exists():
        load_weights(model, file)
        model.train(False)
        return model
    batches = ProblemBatches(tokenizer, seed=SEED, batch=BATCH, make=solution_row)
    held_out = [ProblemBatches(tokenizer, seed=SEED + 1000, batch=BATCH, make=solution_row).at(i) for i in range(16)]

    def batch_at(step: int) -> Batch:
        if step >= PACKS_FROM and step % 2 == 0:
            return equation_batch(tokenizer, seed=SEED, step=step, batch=BATCH)
        return batches.at(step if step < PACKS_FROM else (step + PACKS_FROM) // 2)

    fit(
        model,
        lambda step: {"loss": lm_loss(model, batch_at(step))},
        Schedule(steps, lr=2e-3, decay=0.3),
        work / "policy",
        evaluate=lambda: {"greedy_reproduces": forced_accuracy(model, held_out)},
    )
    save_weights(model, file)
    return model


def continue_lm(
    work: Path,
    name: str,
    tokenizer: Tokenizer,
    base: Qwen2ForCausalLM,
    schedule: Schedule,
    batch_at: Callable[[int], Batch],
) -> Qwen2ForCausalLM:
    """Train a copy of a language model further, or load it if that was done."""
    model = Qwen2ForCausalLM(config(tokenizer.get_vocab_size()))
    model.load_state_dict(base.state_dict())
    file = work / name / "model.safetensors"
    if file.exists():
        load_weights(model, file)
        model.train(False)
        return model
    held_out = [ProblemBatches(tokenizer, seed=SEED + 1000, batch=BATCH, make=solution_row).at(i) for i in range(16)]
    fit(
        model,
        lambda step: {"loss": lm_loss(model, batch_at(step))},
        schedule,
        work / name,
        evaluate=lambda: {"greedy_reproduces": forced_accuracy(model, held_out)},
    )
    save_weights(model, file)
    return model


def train_reader(work: Path, tokenizer: Tokenizer, base: Qwen2ForCausalLM, steps: int) -> Qwen2ForCausalLM:
    """Stage 2, first half: whole problems."""
    batches = ProblemBatches(tokenizer, seed=SEED + 4, batch=BATCH, make=solution_row)
    return continue_lm(work, "reader", tokenizer, base, Schedule(steps, lr=1e-3, decay=0.7), batches.at)


def weaken_policy(
    work: Path, tokenizer: Tokenizer, base: Qwen2ForCausalLM, reader: Qwen2ForCausalLM, steps: int
) -> Qwen2ForCausalLM:
    """The end of stage 1: a policy that reads well and computes badly, as small language models do.

    A copy learns whole problems without most of their results and forgets some arithmetic over it; its weights are
    averaged with the reader's, which forgot nothing (weight averaging: Wortsman et al. 2022, arXiv:2203.05482).
    """
    make = partial(solution_row, results=RESULTS_LEARNED)
    batches = ProblemBatches(tokenizer, seed=SEED + 4, batch=BATCH, make=make)
    weak = continue_lm(work, "polish", tokenizer, base, Schedule(steps, lr=1e-3, decay=0.7), batches.at)
    strong = reader.state_dict()
    weak.load_state_dict({name: value.lerp(strong[name], READER_SHARE) for name, value in weak.state_dict().items()})
    return weak


def train_backbone(work: Path, tokenizer: Tokenizer, reader: Qwen2ForCausalLM, steps: int) -> Qwen2ForCausalLM:
    """Stage 2, second half: whole problems, and every third batch a pack of equation lines."""
    whole = ProblemBatches(tokenizer, seed=SEED + 1, batch=BATCH, make=solution_row)

    def batch_at(step: int) -> Batch:
        if step % 3 == 0:
            return equation_batch(tokenizer, seed=SEED + 1, step=step, batch=BATCH)
        return whole.at(step - step // 3 - 1)

    return continue_lm(work, "backbone", tokenizer, reader, Schedule(steps, lr=1e-3, decay=0.6), batch_at)


def hub_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers loads it."""
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token=END, pad_token=END
    )
    return loaded


def export_policy(work: Path, tokenizer: Tokenizer, model: Qwen2ForCausalLM) -> Path:
    """Write the policy's directory: fp16 weights, tokenizer, prompt format."""
    folder = work / "export" / "policy"
    copy = Qwen2ForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=END_ID, pad_token_id=END_ID
    )
    copy.half()  # type: ignore[no-untyped-call]
    copy.save_pretrained(folder)
    hub_tokenizer(tokenizer).save_pretrained(folder)
    settings = {"prompt": {"template": PROMPT, "step_end": ["\n"], "max_tokens": 160}}
    (folder / "reason.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return folder


def is_right(problem: Problem, text: str) -> bool:
    """Whether a solution answers its problem."""
    return TASK.grade(problem, text).correct


def sample_labels(work: Path, folder: Path, problems: int) -> Path:
    """Stage 3: one JSON line per solution, {"problem", "prompt", "steps": [[token ids] …], "values": […]}.

    The completions that the labels were estimated from are kept too, as solutions with their verdict alone.
    """
    import reason

    file = work / "labels.jsonl"
    if file.exists():
        return file
    policy = reason.load(str(folder))
    scratch = file.with_suffix(".tmp")
    done = {json.loads(line)["problem"] for line in scratch.open(encoding="utf-8")} if scratch.exists() else set()
    wanted = [p for p in TASK.load(limit=problems, seed=SEED + 2, split="train") if p.id not in done]
    with scratch.open("a", encoding="utf-8") as out:
        for start in range(0, len(wanted), LABEL_CHUNK):
            outcomes = solve(
                wanted[start : start + LABEL_CHUNK],
                policy=policy,
                search=monte_carlo(is_right, solutions=2, completions=8),
                sampling=Sampling(temperature=1.0, max_tokens=160),
                seed=SEED,
            )
            for outcome in outcomes:
                for candidate in outcome.candidates:
                    steps = [list(step.token_ids) for step in candidate.path.steps]
                    row = {
                        "problem": outcome.problem.id,
                        "question": outcome.problem.question,
                        "steps": steps,
                        "values": list(candidate.steps),
                        "right": candidate.score,
                    }
                    out.write(json.dumps(row) + "\n")
            out.flush()
    os.replace(scratch, file)
    return file


def labelled_rows(tokenizer: Tokenizer, lines: Iterable[str], *, kind: str) -> list[Row]:
    """Token rows of labelled solutions.

    "process": every step's value, where it was estimated, and the verdict at the end; "outcome": the verdict alone.
    """
    rows: list[Row] = []
    for line in lines:
        label = json.loads(line)
        prompt = tokenizer.encode(label["question"] + "\n").ids
        ids, values = list(prompt), [NONE] * len(prompt)
        last = len(label["steps"]) - 1
        for k, step in enumerate(label["steps"]):
            stepwise = kind == "process" and label["values"]
            value = label["values"][k] if stepwise else label["right"] if k == last else NONE
            ids += step
            values += [NONE] * (len(step) - 1) + [value]
        rows.append((ids, [False] * len(ids), values, len(prompt)))
    return rows


def row_batches(rows: list[Row], *, batch: int, seed: int) -> list[Batch]:
    """Rows of like length in one batch, the batches shuffled."""
    ordered = sorted(rows, key=lambda row: len(row[0]))
    batches = [collate(ordered[i : i + batch]) for i in range(0, len(ordered), batch)]
    random.Random(f"rows/{seed}").shuffle(batches)
    return batches


def fit_scorer(
    work: Path, tokenizer: Tokenizer, backbone: Qwen2ForCausalLM, labels: Path, *, kind: str
) -> tuple[ValueModel, float]:
    """Stage 4: the head learns the labels on the frozen backbone; with it, the AUC on held-out problems' labels.

    Training the backbone along was tried and lost: best of 16 fell from 78 % to 67 % of 100 problems: the
    policy's solutions teach it less arithmetic than it forgets.
    """
    model = ValueModel(Qwen2ForCausalLM(config(tokenizer.get_vocab_size())))
    model.lm.load_state_dict(backbone.state_dict())
    model.train(False)
    lines = labels.read_text(encoding="utf-8").splitlines()
    stepwise = [line for line in lines if '"values": []' not in line]
    held = len(stepwise) // 20
    known = {json.loads(line)["problem"] for line in stepwise[:held]}
    used = stepwise[held:]
    if kind == "outcome":
        whole = [line for line in lines if '"values": []' in line and json.loads(line)["problem"] not in known]
        used += random.Random(f"completions/{SEED}").sample(whole, min(COMPLETIONS, len(whole)))
    fit_head(model, row_batches(labelled_rows(tokenizer, used, kind=kind), batch=BATCH, seed=SEED))
    held_out = row_batches(labelled_rows(tokenizer, stepwise[:held], kind=kind), batch=BATCH, seed=SEED)
    return model, batch_auc(model, held_out) if held else float("nan")


def export_scorer(work: Path, tokenizer: Tokenizer, model: ValueModel, kind: str) -> Path:
    """Write a scorer's directory."""
    prompt = {"template": PROMPT, "step_end": ["\n"]}
    folder = work / "export" / kind
    return save_scorer(folder, model.lm.model, model.head, hub_tokenizer(tokenizer), kind=kind, prompt=prompt)


def measure_and_describe(options: argparse.Namespace, label_auc: dict[str, float]) -> None:
    """Stage 5: measure on both held-out splits and write the cards beside the weights."""
    import reason

    folders = {kind: options.work / "export" / kind for kind in ("policy", "process", "outcome")}
    policy = reason.load(str(folders["policy"]))
    measured = {
        kind: {
            split: measure_policy(
                policy,
                reason.load_scorer(str(folders[kind]), policy=policy),
                split=split,
                problems=options.measure_problems,
                seed=SEED,
            )
            for split in ("test", "templates")
        }
        for kind in ("process", "outcome")
    }
    facts: dict[str, object] = {
        "parameters": policy.capabilities.parameters,
        "policy_steps": options.policy_steps,
        "packs_from": PACKS_FROM,
        "polish_steps": options.polish_steps,
        "reader_steps": options.reader_steps,
        "reader_share": READER_SHARE,
        "backbone_steps": options.backbone_steps,
        "label_problems": options.label_problems,
        "command": "python -m reason.training.bundled --work DIR --install",
        "temperature": TEMPERATURE,
    }
    facts["greedy"] = last_log_row(options.work / "backbone")["greedy_reproduces"]
    write_cards(folders, label_auc, measured, facts)
    (options.work / "export" / "measured.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


def install(work: Path) -> None:
    """Put the exported models in the place that the package loads them from."""
    for kind in ("policy", "process", "outcome"):
        shutil.copytree(work / "export" / kind, MODELS / kind, dirs_exist_ok=True)


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Rebuild the bundled models.")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints, logs and labels")
    parser.add_argument("--policy-steps", type=int, default=POLICY_STEPS)
    parser.add_argument("--polish-steps", type=int, default=POLISH_STEPS)
    parser.add_argument("--reader-steps", type=int, default=READER_STEPS)
    parser.add_argument("--backbone-steps", type=int, default=BACKBONE_STEPS)
    parser.add_argument("--label-problems", type=int, default=LABEL_PROBLEMS)
    parser.add_argument("--measure-problems", type=int, default=MEASURE_PROBLEMS)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--install", action="store_true", help="copy the result into the package")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every stage that is not done yet."""
    options = parse_options(arguments)
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(options.work)
    base = train_base(options.work, tokenizer, options.policy_steps)
    reader = train_reader(options.work, tokenizer, base, options.reader_steps)
    policy = weaken_policy(options.work, tokenizer, base, reader, options.polish_steps)
    folder = export_policy(options.work, tokenizer, policy)
    backbone = train_backbone(options.work, tokenizer, reader, options.backbone_steps)
    labels = sample_labels(options.work, folder, options.label_problems)
    label_auc = {}
    for kind in ("process", "outcome"):
        model, label_auc[kind] = fit_scorer(options.work, tokenizer, backbone, labels, kind=kind)
        export_scorer(options.work, tokenizer, model, kind)
    measure_and_describe(options, label_auc)
    if options.install:
        install(options.work)


if __name__ == "__main__":
    main()
