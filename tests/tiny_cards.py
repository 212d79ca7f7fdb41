"""Tiny random models of the published reward models, and what their model cards' own steps give for them.

The references below follow the cards line by line: they lay the text out anew, run one full forward pass of the whole
model over it (padded on either side of a batch), and read it where the card says. They share no code with
`reason.scorers`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import torch
from safetensors.torch import save_file
from tiny_scorers import SIZES, WIDTH, letters
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
)

from reason.types import Finish, Path, Problem, Step

SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
CHATML = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA = (
    "{{ '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n<|eot_id|>' }}"
    "{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim "
    "+ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA_SPECIAL = ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")


def qwen_tokenizer(*, tag: bool = True, bos: str | None = None) -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(["<extra_0>"] if tag else [])]
    return _byte_level(special, CHATML, eos_token="<|im_end|>", pad_token="<|endoftext|>", bos_token=bos)


def llama_tokenizer() -> PreTrainedTokenizerFast:
    return _byte_level(LLAMA_SPECIAL, LLAMA, eos_token="<|eot_id|>", pad_token="<|eot_id|>", merges=[("Ċ", "Ċ")])


def _byte_level(
    special: Sequence[str], chat: str, merges: Sequence[tuple[str, str]] = (), **named: Any
) -> PreTrainedTokenizerFast:
    made = [("a", "b"), ("Ġ", "="), *merges]
    pieces = [*letters(), *special, *(first + second for first, second in made)]
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=made))
    split = pre_tokenizers.Split(pattern=_regex(r"\s*[\r\n]+|[^\s]+|\s+"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    fast.add_special_tokens({"additional_special_tokens": list(special)})
    fast.chat_template = chat
    return fast


def _regex(pattern: str) -> Any:
    from tokenizers import Regex

    return Regex(pattern)


def mistral_tokenizer(*, tag: bool = True) -> PreTrainedTokenizerFast:
    """SentencePiece-like, with a beginning-of-sequence token and the card's ids: `+` 648, `-` 387, `ки` 12902."""
    pieces = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    pieces |= {"▁-": 387, "▁+": 648} | ({"▁ки": 12902, "ки": 12901} if tag else {})
    taken = set(pieces.values())
    free = (i for i in range(259, 12903) if i not in taken)
    pieces |= dict(
        zip([*"▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-=:.ки", "▁a"], free, strict=False)
    )
    pieces |= {f"<filler{i}>": i for i in free}
    merges = [("▁", "+"), ("▁", "-"), ("▁", "a"), *([("к", "и"), ("▁", "ки")] if tag else [])]
    tokenizer = Tokenizer(models.BPE(vocab=pieces, merges=merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(parts)
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


class QwenReward(nn.Module):
    """`Qwen2ForProcessRewardModel` (two labels) and `Qwen2ForRewardModel` (one): backbone, then Linear-ReLU-Linear."""

    def __init__(self, config: Any, labels: int) -> None:
        super().__init__()
        self.model = Qwen2Model(config)
        self.score = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, labels))
        self.config = config

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.score(self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state)


class ValueHeadModel(nn.Module):
    """Skywork's: a language model whose value head reads the last hidden states; language-model weights are kept."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        base = Qwen2ForCausalLM(config)
        self.model, self.lm_head = base.model, base.lm_head
        self.v_head = nn.ModuleDict({"summary": nn.Linear(WIDTH, 1)})
        self.config = config

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.v_head["summary"](hidden).squeeze(-1)


class Answers(nn.Module):
    """A causal language model: its logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


Inputs = list[list[int]]
Reading = Callable[[Any, Inputs, list[Any]], list[list[float]]]


@dataclass(frozen=True)
class Published:
    """A family: its tokenizer, its random model, its files' names, and what its card does.

    Attributes:
        tokenizer, model: Made anew.
        architecture: What config.json says.
        name: What its directory is called.
        inputs: The card's token sequences for (tokenizer, question, steps), and where it reads them.
        read: What the card does with the model's output at those places.
        steps: Whether it has a value for every step.
        joined: How the card's data joins steps.
    """

    tokenizer: Callable[[], Any]
    model: Callable[[Any], Any]
    architecture: str
    name: str
    inputs: Callable[[Any, str, Sequence[str]], list[tuple[list[int], list[int]]]]
    read: Callable[[Any, Any], torch.Tensor]
    joined: str = "\n"
    steps: bool = True


def _qwen_prm(tokenizer: Any, question: str, steps: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": question},
        {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
    ids = tokenizer.encode(text)
    separator = tokenizer.encode("<extra_0>")[0]
    return [(ids, [i for i, token in enumerate(ids) if token == separator])]


def _qwen_rm(tokenizer: Any, question: str, steps: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": question},
        {"role": "assistant", "content": "\n".join(steps)},
    ]
    ids = tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False), add_special_tokens=False)
    return [(ids, [len(ids) - 1])]


def _shepherd(tokenizer: Any, question: str, steps: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    output = " ки\n".join(steps) + " ки"
    ids = tokenizer.encode(f"{question} {output}")
    tag = tokenizer.encode("ки")[-1]
    return [(ids, [i for i, token in enumerate(ids) if token == tag])]


def _rlhflow(tokenizer: Any, question: str, steps: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    conversation: list[dict[str, str]] = []
    found = []
    for k, step in enumerate(steps):
        conversation.append({"role": "user", "content": question + " " + step if k == 0 else step})
        conversation.append({"role": "assistant", "content": "+"})
        text = tokenizer.apply_chat_template(conversation, tokenize=False)
        ids = tokenizer.encode(text, add_special_tokens=False)
        found.append((ids, [len(ids) - 3]))
    return found


def _rlhflow_orm(tokenizer: Any, question: str, steps: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    return _rlhflow(tokenizer, question, ["\n".join(steps)])


def _skywork(tokenizer: Any, question: str, steps: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    ids = tokenizer.encode(tokenizer.bos_token + question + "\n")
    places = []
    for step in steps:
        ids += [*tokenizer.encode(step), tokenizer.encode("\n")[-1]]
        places.append(len(ids) - 1)
    return [(ids, places)]


def _plus_minus(tokenizer: Any, logits: torch.Tensor) -> torch.Tensor:
    plus, minus = tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]
    return logits[..., [plus, minus]].softmax(-1)[..., 0]


def _card_ids(tokenizer: Any, logits: torch.Tensor) -> torch.Tensor:
    candidates = tokenizer.encode("+ -")[1:]
    assert candidates == [648, 387]
    assert tokenizer.encode("ки")[-1] == 12902
    return logits[..., candidates].softmax(-1)[..., 0]


def _config(kind: Any, tokenizer: Any, **more: Any) -> Any:
    """Weights so large that what stands before a token matters to what is read there."""
    size = len(tokenizer)
    return kind(
        vocab_size=size,
        pad_token_id=tokenizer.pad_token_id,
        max_position_embeddings=1024,
        initializer_range=0.3,
        **SIZES,
        **more,
    )


SHEPHERD = Published(
    mistral_tokenizer,
    lambda t: Answers(MistralForCausalLM(_config(MistralConfig, t, sliding_window=16))),
    "MistralForCausalLM",
    "math-shepherd-mistral-7b-prm",
    _shepherd,
    _card_ids,
)
PUBLISHED = {
    "qwen-prm": Published(
        qwen_tokenizer,
        lambda t: QwenReward(_config(Qwen2Config, t), 2),
        "Qwen2ForProcessRewardModel",
        "Qwen2.5-Math-PRM-7B",
        _qwen_prm,
        lambda t, logits: logits.softmax(-1)[..., 1],
        "\n\n",
    ),
    "qwen-rm": Published(
        qwen_tokenizer,
        lambda t: QwenReward(_config(Qwen2Config, t), 1),
        "Qwen2ForRewardModel",
        "Qwen2.5-Math-RM-72B",
        _qwen_rm,
        lambda t, logits: logits[..., 0].sigmoid(),
        steps=False,
    ),
    "math-shepherd": SHEPHERD,
    "rlhflow": Published(
        llama_tokenizer,
        lambda t: Answers(LlamaForCausalLM(_config(LlamaConfig, t))),
        "LlamaForCausalLM",
        "Llama3.1-8B-PRM-Deepseek-Data",
        _rlhflow,
        _plus_minus,
        "\n\n",
    ),
    "rlhflow-mistral": Published(
        llama_tokenizer,
        lambda t: Answers(LlamaForCausalLM(_config(LlamaConfig, t))),
        "LlamaForCausalLM",
        "RLHFlow--Llama3.1-8B-PRM-Mistral-Data",
        _rlhflow,
        _plus_minus,
    ),
    "rlhflow-orm": Published(
        llama_tokenizer,
        lambda t: Answers(LlamaForCausalLM(_config(LlamaConfig, t))),
        "LlamaForCausalLM",
        "Llama3.1-8B-ORM-Mistral-Data",
        _rlhflow_orm,
        _plus_minus,
        steps=False,
    ),
    "skywork": Published(
        lambda: qwen_tokenizer(tag=False, bos="<|endoftext|>"),
        lambda t: ValueHeadModel(_config(Qwen2Config, t)),
        "Qwen2ForPrmModel",
        "Skywork-o1-Open-PRM-Qwen-2.5-1.5B",
        _skywork,
        lambda t, values: values.sigmoid(),
    ),
}


def published(family: str, root: FilePath, **changes: Any) -> tuple[FilePath, Any, Any]:
    """A directory with a random model of the family, its module and its tokenizer."""
    kind = PUBLISHED[family]
    torch.manual_seed(0)
    tokenizer = kind.tokenizer()
    module = kind.model(tokenizer).eval()
    folder = root / kind.name
    folder.mkdir(exist_ok=True)
    weights = {name: weight.contiguous() for name, weight in module.state_dict().items()}
    if isinstance(module, Answers):
        weights = {name.removeprefix("model."): weight for name, weight in weights.items()}
    save_file({name: changes.get(name, weight) for name, weight in weights.items()}, folder / "model.safetensors")
    remote = {"AutoConfig": "configuration_rm.RMConfig", "AutoModel": "modeling_rm.RM", "AutoModelForCausalLM": "m.M"}
    config = module.config.to_diff_dict() | {"architectures": [kind.architecture], "auto_map": remote}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save_pretrained(folder)
    return folder, module, tokenizer


@torch.inference_mode()
def card_values(
    family: str, module: Any, tokenizer: Any, items: Sequence[tuple[str, Sequence[str]]], side: str
) -> list[list[float]]:
    """The values that the card's steps give each (question, steps), in one batch padded on that side."""
    kind = PUBLISHED[family]
    rows = [(i, *row) for i, (question, steps) in enumerate(items) for row in kind.inputs(tokenizer, question, steps)]
    width = max(len(ids) for _, ids, _ in rows)
    pad, ids, mask, shifts = tokenizer.pad_token_id, [], [], []
    for _, one, _ in rows:
        missing = width - len(one)
        shifts.append(missing if side == "left" else 0)
        ids.append([pad] * missing + one if side == "left" else one + [pad] * missing)
        mask.append([0] * missing + [1] * len(one) if side == "left" else [1] * len(one) + [0] * missing)
    values = kind.read(tokenizer, module(torch.tensor(ids), torch.tensor(mask)).float())
    found: list[list[float]] = [[] for _ in items]
    for (i, _, places), shift, row in zip(rows, shifts, values, strict=True):
        found[i] += [float(row[place + shift]) for place in places]
    return found


FAMILIES = list(PUBLISHED)
ITEMS = [
    ("What is 1 + 2?", ["1 + 2 = 3"]),
    ("What is 1 + 2?", ["1 + 2 = 3", "abc - ab"]),
    ("What is 1 + 2?", ["1 + 2 = 3", "abc - ab", "The answer is: 3"]),
    ("What is 1 + 2?", ["1 + 2 = 4", "The answer is: 4"]),
    ("How many?", ["Step 1: 4 * 12 = 48.", "Step 2: 48 + 6 = 54. é", "Step 3: so it is 54", "The answer is: 54"]),
]
MADE: dict[str, tuple[FilePath, Any, Any]] = {}


def made(family: str, root: FilePath) -> tuple[FilePath, Any, Any]:
    if family not in MADE:
        MADE[family] = published(family, root)
    return MADE[family]


def stepped(question: str, steps: Sequence[str], joined: str, *, done: bool = True) -> Path:
    """A path of one step of the search for each step of the card."""
    last = len(steps) - 1
    parts = [
        Step(step if i == last and done else step + joined, finish=Finish.STOP if i == last and done else Finish.STEP)
        for i, step in enumerate(steps)
    ]
    return Path(Problem(question, question), tuple(parts))


def at_once(question: str, steps: Sequence[str], joined: str) -> Path:
    return Path(Problem(question, question), (Step(joined.join(steps), finish=Finish.STOP),))
