"""How fast the engine decodes: best-of-16 and a 4x4 beam search against `model.generate`, in one run on one machine.

    python -m benchmarks.decode          # or: python benchmarks/decode.py [--prompts 64] [--rounds 2] [--model DIR]

Tokens are useful ones: up to and including the end token. `generate` draws 16 samples of all prompts in one batch, as
its users do (`num_return_sequences=16`). Each round measures the machine's matrix-multiply rate and the three in turn;
the engine's prefix cache is emptied before each. Without a model directory, a random model of the bundled shape is made
to end its lines and solutions at random. `--clock cpu --threads 1` counts this process's CPU time instead of the wall
clock, which is what can be compared on a machine that others use. Prints a table and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

sys.path.insert(0, str(FilePath(__file__).resolve().parent.parent))

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

import reason
from reason.evals.tasks.word_problems import generate as make_problem
from reason.policies.transformers import TransformersPolicy
from reason.prompts import Prompt
from reason.search import beam, best_of_n
from reason.training.arithmetic import train_tokenizer
from reason.types import Path, Problem, Sampling, Score

SAMPLES = 16
TEMPERATURE = 0.9
LIMIT = 160
BUNDLED = FilePath(reason.__file__).resolve().parent / "models" / "policy"
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
now = time.perf_counter


@dataclass(frozen=True, slots=True)
class Rate:
    """Useful tokens and the seconds that they took."""

    tokens: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.tokens / self.seconds


class HashScorer:
    """A scorer that costs nothing: a number in [0, 1) from the path's tokens."""

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        return [Score((hash(path.token_ids) & 0xFFFF) / 65536) for path in paths]


def random_model() -> tuple[Qwen2ForCausalLM, PreTrainedTokenizerFast, Prompt]:
    """The bundled shape with random weights; a hook gives the end token and the newline fixed probabilities."""
    torch.manual_seed(0)
    problems = [make_problem("train", 0, index) for index in range(2000)]
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=train_tokenizer(problems, 512))  # type: ignore[no-untyped-call]
    end, newline = 0, tokenizer.encode("\n")[0]
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    config = Qwen2Config(
        vocab_size=512,
        hidden_size=192,
        intermediate_size=640,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
    )
    model = Qwen2ForCausalLM(config).train(False)

    def ragged(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        level = logits.logsumexp(-1)
        logits[..., end], logits[..., newline] = level - 4.1, level - 2.4
        return logits

    model.lm_head.register_forward_hook(ragged)
    return model, tokenizer, Prompt(max_tokens=LIMIT)


def load(directory: str | None) -> tuple[Any, Any, Prompt, str]:
    """Model, tokenizer, prompt and what they are."""
    place = FilePath(directory) if directory else BUNDLED
    if (place / "config.json").is_file():
        policy = TransformersPolicy.from_pretrained(place)
        return policy.model, policy.tokenizer, policy.prompt, str(place.name)
    model, tokenizer, prompt = random_model()
    return model, tokenizer, prompt, "random weights of the bundled shape"


def matmul_rate() -> float:
    """The machine's float32 matrix-multiply rate, FLOP/s."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    rates = []
    for _ in range(8):
        start = now()
        torch.mm(a, b)
        rates.append(2 * 2048**3 / (now() - start))
    return statistics.median(rates)


def run_generate(model: Any, tokenizer: Any, prompt: Prompt, problems: Sequence[Problem]) -> Rate:
    """`generate` on all prompts at once, left-padded."""
    ids = [prompt.render(problem.question, tokenizer) for problem in problems]
    width = max(map(len, ids))
    end = model.config.eos_token_id
    batch = torch.tensor([[end] * (width - len(row)) + row for row in ids])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids])
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True,
        temperature=TEMPERATURE,
        top_k=0,
        top_p=1.0,
        max_new_tokens=LIMIT,
        num_return_sequences=SAMPLES,
        eos_token_id=end,
        pad_token_id=end,
    )
    start = now()
    with torch.inference_mode():
        out = model.generate(batch, attention_mask=mask, generation_config=settings)
    seconds = now() - start
    tokens = 0
    for row in out[:, width:].tolist():
        tokens += row.index(end) + 1 if end in row else len(row)
    return Rate(tokens, seconds)


def run_search(policy: TransformersPolicy, problems: Sequence[Problem], search: Any) -> Rate:
    """A strategy over all problems at once through `reason.solve`."""
    sampling = Sampling(temperature=TEMPERATURE, max_tokens=LIMIT)
    policy.engine.prefixes.clear()
    start = now()
    outcomes = reason.solve(problems, policy=policy, search=search, scorer=HashScorer(), sampling=sampling)
    seconds = now() - start
    failed = [outcome.failures for outcome in outcomes if outcome.failures]
    if failed:
        raise SystemExit(f"the run failed: {failed[0]}")
    return Rate(sum(outcome.cost.generated_tokens for outcome in outcomes), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default=None, help="a model directory; default: the bundled policy")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    options = parser.parse_args()
    global now
    now = CLOCKS[options.clock]
    if options.threads:
        torch.set_num_threads(options.threads)
    model, tokenizer, prompt, name = load(options.model)
    problems = [
        Problem(f"bench-{index}", make_problem("test", 7, index, steps=3 + index % 4).question)
        for index in range(options.prompts)
    ]

    policy = TransformersPolicy(model, tokenizer, prompt=prompt)
    sections: dict[str, Callable[[], Rate]] = {
        "generate": lambda: run_generate(model, tokenizer, prompt, problems),
        "best_of_16": lambda: run_search(policy, problems, best_of_n(SAMPLES)),
        "beam_4x4": lambda: run_search(policy, problems, beam(SAMPLES, 4)),
    }
    run_generate(model, tokenizer, prompt, problems[:2])
    run_search(policy, problems, best_of_n(SAMPLES))
    run_search(policy, problems, beam(SAMPLES, 4))
    found: dict[str, list[Rate]] = {section: [] for section in sections}
    matmul: list[float] = []
    for _ in range(options.rounds):
        for section, measure in sections.items():
            matmul.append(matmul_rate())
            found[section].append(measure())
    settings = {"model": name, "prompts": options.prompts, "clock": options.clock, "threads": torch.get_num_threads()}
    report(found, statistics.median(matmul), sum(p.numel() for p in model.parameters()), settings)


def report(found: dict[str, list[Rate]], peak: float, weights: int, settings: dict[str, Any]) -> None:
    """The table and the JSON line."""
    rates = {section: sum(r.tokens for r in got) / sum(r.seconds for r in got) for section, got in found.items()}
    print(", ".join(f"{key} {value}" for key, value in settings.items()) + f", {weights / 1e6:.1f}M parameters")
    print(f"matrix-multiply rate {peak / 1e9:.0f} GFLOP/s")
    print(f"{'':12}{'tokens':>10}{'seconds':>10}{'tokens/s':>10}{'x generate':>12}{'of matmul':>11}")
    for section, got in found.items():
        rate = rates[section]
        print(
            f"{section:12}{sum(r.tokens for r in got):>10}{sum(r.seconds for r in got):>10.1f}{rate:>10.0f}"
            f"{rate / rates['generate']:>12.2f}{2 * weights * rate / peak:>11.1%}"
        )
    print(
        json.dumps(
            {
                "best_of_16_vs_generate": round(rates["best_of_16"] / rates["generate"], 3),
                "beam_vs_best_of_16": round(rates["beam_4x4"] / rates["best_of_16"], 3),
                "matmul_share": round(2 * weights * rates["best_of_16"] / peak, 4),
                "tokens_per_second": {section: round(rate) for section, rate in rates.items()},
                **settings,
            }
        )
    )


if __name__ == "__main__":
    main()
