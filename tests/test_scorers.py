"""Reward models as scorers: equal to a plain full forward pass, every token once, all formats, all errors."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path as FilePath
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    BertConfig,
    BertForTokenClassification,
    GPT2Config,
    GPT2ForTokenClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    MistralConfig,
    MistralForTokenClassification,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
    Qwen2ForTokenClassification,
    Qwen2Model,
)

from reason.scorers import load_scorer, save_scorer
from reason.scorers.render import line_ends
from reason.types import BackendError, Finish, Path, Problem, Score, Step, UsageError

WIDTH = 32
CHAT = (
    "{{ '<bos>' }}{% for m in messages %}{{ '<' + m['role'] + '>\n' + m['content'] + '<end>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>\n' }}{% endif %}"
)
TRIMMING_CHAT = CHAT.replace("m['content']", "m['content'] | trim")
SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def byte_tokenizer(chat: str | None = None, *, shuffled: bool = False) -> PreTrainedTokenizerFast:
    """Bytes, four special tokens and one merge; `shuffled` gives every byte another id."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet(), reverse=shuffled)
    special = ["<eos>", "<bos>", "<end>", "<pad>"]
    vocabulary = {piece: i for i, piece in enumerate([*special, *alphabet, "ab"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")
    fast.add_special_tokens({"additional_special_tokens": ["<bos>", "<end>"]})
    if chat is not None:
        fast.chat_template = chat
    return fast


TOKENIZER = byte_tokenizer()
EOS = TOKENIZER.eos_token_id
VOCABULARY = len(TOKENIZER)


def own_parts() -> tuple[Any, nn.Linear]:
    """A random backbone and head whose weights are float16 numbers, so that saving them loses nothing."""
    torch.manual_seed(0)
    backbone = Qwen2Model(Qwen2Config(vocab_size=VOCABULARY, max_position_embeddings=256, eos_token_id=EOS, **SIZES))
    head = nn.Linear(WIDTH, 1)
    for module in (backbone, head):
        module.half().float().eval()
    with torch.no_grad():
        head.weight *= 16
    return backbone, head


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> FilePath:
    folder = tmp_path_factory.mktemp("own")
    backbone, head = own_parts()
    return save_scorer(folder, backbone, head, TOKENIZER, kind="process", prompt={"template": "{question}\n"})


@pytest.fixture(scope="module")
def own_outcome(tmp_path_factory: pytest.TempPathFactory) -> FilePath:
    folder = tmp_path_factory.mktemp("outcome")
    backbone, head = own_parts()
    return save_scorer(folder, backbone, head, TOKENIZER, kind="outcome", prompt={"template": "{question}\n"})


def save_classifier(folder: FilePath, model: Any, chat: str | None = None) -> FilePath:
    model.eval().save_pretrained(folder)
    byte_tokenizer(chat).save_pretrained(folder)
    return folder


def step(text: str, finish: Finish = Finish.STEP, *, ids: bool = True) -> Step:
    tokens = TOKENIZER.encode(text, add_special_tokens=False) + ([EOS] if finish is Finish.STOP else [])
    return Step(text, tuple(tokens) if ids else (), finish=finish)


def path(question: str, *texts: str, done: bool = False, ids: bool = True) -> Path:
    steps = [
        step(text, Finish.STOP if done and i == len(texts) - 1 else Finish.STEP, ids=ids)
        for i, text in enumerate(texts)
    ]
    return Path(Problem(question, question), tuple(steps))


def judge(scorer: Any, paths: Sequence[Path]) -> list[Score]:
    return asyncio.run(scorer.judge(paths))


def tokens_of(one: Path) -> list[int]:
    """The sequence that our own format defines, spelled out."""
    text = TOKENIZER.encode(f"{one.problem.question}\n{one.text}", add_special_tokens=False)
    return [*text, EOS] if one.complete else text


@torch.inference_mode()
def plain_values(one: Path) -> list[float]:
    """The value of each line by one full forward pass, read where our own format says."""
    backbone, head = own_parts()
    tokens = tokens_of(one)
    logits = head(backbone(torch.tensor([tokens])).last_hidden_state)[0, :, 0]
    newline = TOKENIZER.encode("\n")[0]
    start = len(TOKENIZER.encode(one.problem.question + "\n"))
    ends = {i for i in range(start, len(tokens)) if tokens[i] == newline} | {len(tokens) - 1}
    return [float(torch.sigmoid(logits[i])) for i in sorted(ends)]


PATHS = [
    path("Q", "1 + 2 = 3\n"),
    path("Q", "1 + 2 = 3\n", "3 + 4 = 7\n"),
    path("Q", "1 + 2 = 3\n", "3 + 4 = 7\n", "Answer: 7", done=True),
    path("Q", "1 + 2 = 3\n", "3 + 4 = 8\n", "Answer: 8", done=True),
    path("Other", "1 + 2 = 3\n", "Answer: 3", done=True),
    path("Other", "1 + 2 = 3\nAnswer: 3", done=True),
]


def test_own_format_equals_a_full_forward_pass(own: FilePath) -> None:
    for one, score in zip(PATHS, judge(load_scorer(own), PATHS), strict=True):
        assert score.parts == pytest.approx(plain_values(one), abs=1e-5)
        assert len(score.steps) == len(one.steps)
        assert score.value == score.steps[-1] == score.parts[-1]
        assert score.error is None


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [("last", lambda v: v[-1]), ("min", min), ("product", math.prod), ("mean", lambda v: sum(v) / len(v))],
)
def test_aggregations(own: FilePath, aggregate: str, expected: Any) -> None:
    whole = path("Q", "1 + 2 = 3\n3 + 4 = 7\n", "Answer: 7", done=True)
    [score] = judge(load_scorer(own, aggregate=aggregate), [whole])
    values = plain_values(whole)
    assert score.value == pytest.approx(expected(values), abs=1e-5)
    assert score.steps == pytest.approx((expected(values[:2]), values[2]), abs=1e-5)


def test_paths_of_one_step_and_of_many_agree_line_by_line(own: FilePath) -> None:
    scorer = load_scorer(own)
    lines, whole = judge(scorer, [PATHS[4], PATHS[5]])
    assert lines.parts == whole.parts == lines.steps
    assert (lines.tokens > 0, whole.tokens) == (True, 0)


def distinct_prefixes(paths: Sequence[Path]) -> int:
    return len({tuple(tokens[: i + 1]) for tokens in map(tokens_of, paths) for i in range(len(tokens))})


def test_a_token_passes_once(own: FilePath) -> None:
    scorer = load_scorer(own)
    first = judge(scorer, [PATHS[0], PATHS[0]])
    assert [score.tokens for score in first] == [len(tokens_of(PATHS[0])), 0]
    assert [score.tokens for score in judge(scorer, [PATHS[1]])] == [len("3 + 4 = 7\n")]
    rest = judge(scorer, PATHS)
    assert sum(score.tokens for score in (*first, *rest)) + len("3 + 4 = 7\n") == distinct_prefixes(PATHS)
    assert [score.tokens for score in judge(scorer, PATHS)] == [0] * len(PATHS)


LINES = st.sampled_from(["1 + 2 = 3\n", "1 + 2 = 4\n", "ab\n", "a\n", "\n", "x\n\n", "two\nlines\n", "cut", "é\n"])


@st.composite
def trees(draw: st.DrawFn) -> list[list[Path]]:
    """Random trees over two problems, judged in random calls; some paths complete, some twice."""
    nodes = [Path(Problem(name, name)) for name in ("Q", "Other question")]
    paths: list[Path] = []
    for _ in range(draw(st.integers(1, 8))):
        parent = nodes[draw(st.integers(0, len(nodes) - 1))]
        finish = draw(st.sampled_from([Finish.STEP, Finish.STEP, Finish.STOP, Finish.LENGTH]))
        child = parent.then(step(draw(LINES), finish, ids=draw(st.booleans())))
        paths.append(child)
        if child.open:
            nodes.append(child)
    order = draw(st.permutations([*paths, *draw(st.lists(st.sampled_from(paths), max_size=3))]))
    cut = draw(st.integers(0, len(order)))
    return [calls for calls in (order[:cut], order[cut:]) if calls]


SHARED: dict[str, Any] = {}


@settings(max_examples=60, deadline=None)
@given(trees())
def test_random_trees_are_exact_incremental_and_batch_invariant(own: FilePath, calls: list[list[Path]]) -> None:
    scorer = SHARED.setdefault("scorer", load_scorer(own))
    scorer._reader._prefix.clear()
    spent = 0
    for call in calls:
        scores = judge(scorer, call)
        spent += sum(score.tokens for score in scores)
        for one, score in zip(call, scores, strict=True):
            alone = SHARED.setdefault(one.text + one.problem.id + one.finish.value, plain_values(one)[-1])
            assert score.value == pytest.approx(alone, abs=1e-5)
            assert len(score.steps) == len(one.steps)
            assert score.steps[-1] == score.value
    assert spent == distinct_prefixes([one for call in calls for one in call])


def test_one_at_a_time_equals_all_at_once(own: FilePath) -> None:
    together = judge(load_scorer(own), PATHS)
    scorer = load_scorer(own)
    alone = [judge(scorer, [one])[0] for one in reversed(PATHS)][::-1]
    for left, right in zip(together, alone, strict=True):
        assert left.parts == pytest.approx(right.parts, abs=1e-5)


def test_a_small_cache_costs_tokens_and_nothing_else(own: FilePath) -> None:
    size = 2 * 2 * 16 * 4
    scorer = load_scorer(own, memory_gib=60 * size / 1024**3)
    for _ in range(2):
        for one in PATHS:
            [score] = judge(scorer, [one])
            assert score.parts == pytest.approx(plain_values(one), abs=1e-5)
    [score] = judge(scorer, [path("Q", "1" * 100)])
    assert math.isnan(score.value)
    assert "longer than the scorer's context" in str(score.error)


def test_what_cannot_be_judged_is_unscored(own: FilePath, own_outcome: FilePath) -> None:
    failed = Path(Problem("Q", "Q"), (step("1\n"), Step("", finish=Finish.ERROR, error="server down")))
    empty = Path(Problem("Q", "Q"), (Step("", finish=Finish.BUDGET),))
    for folder in (own, own_outcome):
        scores = judge(load_scorer(folder), [Path(Problem("Q", "Q")), failed, empty, path("Q", "1" * 300), PATHS[0]])
        told = ["no steps", "server down", "no text", "takes 256"]
        for score, words in zip(scores, told, strict=False):
            assert math.isnan(score.value)
            assert score.tokens == 0
            assert words in str(score.error)
        assert all(map(math.isnan, scores[1].steps))
        assert scores[4].scored


def test_a_step_without_text_keeps_the_value(own: FilePath) -> None:
    cut = Path(Problem("Q", "Q"), (step("1 + 2 = 3\n"), Step("", finish=Finish.BUDGET)))
    [score] = judge(load_scorer(own), [cut])
    assert score.steps == (score.value, score.value)
    assert len(score.parts) == 1


def test_values_that_are_not_numbers_are_unscored(own: FilePath, tmp_path: FilePath) -> None:
    backbone, head = own_parts()
    with torch.no_grad():
        head.weight.fill_(math.nan)
    save_scorer(tmp_path, backbone, head, TOKENIZER, kind="process", prompt={})
    [score] = judge(load_scorer(tmp_path), [PATHS[0]])
    assert math.isnan(score.value)
    assert "not a number" in str(score.error)


def test_a_failing_model_is_a_backend_error(own: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer: Any = load_scorer(own)

    def fail(sequences: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(scorer._reader._prefix, "forward", fail)
    with pytest.raises(BackendError, match="out of memory"):
        judge(scorer, PATHS)


def test_own_outcome_reads_the_end(own_outcome: FilePath) -> None:
    scorer = load_scorer(own_outcome)
    for one, score in zip(PATHS, judge(scorer, PATHS), strict=True):
        assert score.value == pytest.approx(plain_values(one)[-1], abs=1e-5)
        assert score.steps == ()
    assert sum(score.tokens for score in judge(scorer, PATHS)) == 0


class TestTokens:
    def test_text_without_ids_is_tokenised(self, own: FilePath) -> None:
        with_ids, without = judge(
            load_scorer(own), [PATHS[2], path("Q", *[s.text for s in PATHS[2].steps], done=True, ids=False)]
        )
        assert with_ids.parts == without.parts
        assert without.tokens == 0

    def test_sampled_ids_are_kept_where_they_spell_the_text(self, own: FilePath) -> None:
        split = (*TOKENIZER.encode("a"), *TOKENIZER.encode("b"), *TOKENIZER.encode("\n"))
        scorer: Any = load_scorer(own)
        rendered = scorer._form.render(Path(Problem("Q", "Q"), (Step("ab\n", split),)))
        assert rendered.tokens[2:] == split != tuple(TOKENIZER.encode("ab\n"))

    def test_ids_of_another_tokenizer_are_replaced(self, own: FilePath) -> None:
        foreign = byte_tokenizer(shuffled=True)
        lines = [Step(s.text, tuple(foreign.encode(s.text)), finish=s.finish) for s in PATHS[2].steps]
        lines.append(Step("big\n", (100_000, 100_001), finish=Finish.LENGTH))
        scorer: Any = load_scorer(own, policy=SimpleNamespace(tokenizer=foreign))  # type: ignore[arg-type]
        rendered = scorer._form.render(Path(PATHS[2].problem, tuple(lines)))
        assert list(rendered.tokens) == [*tokens_of(PATHS[2]), *TOKENIZER.encode("big\n")]

    def test_a_policy_with_the_same_tokenizer_is_trusted(self, own: FilePath) -> None:
        half = TOKENIZER.encode("é")[:1]
        one = Path(Problem("Q", "Q"), (Step("", tuple(half)),))
        policy = SimpleNamespace(tokenizer=byte_tokenizer())
        trusting: Any = load_scorer(own, policy=policy)  # type: ignore[arg-type]
        checking: Any = load_scorer(own)
        assert trusting._form.render(one).tokens[2:] == tuple(half)
        assert checking._form.render(one).tokens[2:] == ()

    def test_the_tokenizer_file_rules(self, own: FilePath) -> None:
        scorer: Any = load_scorer(own)
        assert scorer._form.speller.tokenizer.backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()

    @pytest.mark.parametrize(
        ("pieces", "ends"),
        [
            (["a", "\n", "b", "\n"], [1, 3]),
            (["a", "\n", "b", ""], [1, 3]),
            (["a", "\n", "\n", "b"], [2, 3]),
            (["\n", "a", "\n"], [2]),
            (["a", "\n", ""], [2]),
            (["\n"], [0]),
            (["a.\n", " ", "b"], [0, 2]),
            (["a", "b"], [1]),
            ([], []),
        ],
    )
    def test_line_ends(self, pieces: list[str], ends: list[int]) -> None:
        assert line_ends(pieces, ("\n",)) == ends

    def test_line_ends_of_longer_marks(self) -> None:
        assert line_ends(["a", "\n", "b", "\n", "\n", "c"], ("\n\n",)) == [4, 5]
        assert line_ends(["a", "\n"], ()) == [1]

    def test_count_tokens_bounds_the_cost(self, own: FilePath, own_outcome: FilePath) -> None:
        for folder in (own, own_outcome):
            scorer: Any = load_scorer(folder)
            assert [scorer.count_tokens(one) for one in PATHS] == [len(tokens_of(one)) for one in PATHS]


CLASSIFIERS = {
    "qwen2": lambda labels: Qwen2ForTokenClassification(Qwen2Config(vocab_size=VOCABULARY, num_labels=labels, **SIZES)),
    "llama": lambda labels: LlamaForTokenClassification(LlamaConfig(vocab_size=VOCABULARY, num_labels=labels, **SIZES)),
    "mistral": lambda labels: MistralForTokenClassification(
        MistralConfig(vocab_size=VOCABULARY, num_labels=labels, sliding_window=8, **SIZES)
    ),
    "gpt2": lambda labels: GPT2ForTokenClassification(
        GPT2Config(vocab_size=VOCABULARY, num_labels=labels, n_embd=WIDTH, n_layer=2, n_head=2)
    ),
}


@torch.inference_mode()
def classify(model: Any, tokens: Sequence[int]) -> torch.Tensor:
    """Probabilities of being right, by the model's own full forward pass: [tokens] or [1]."""
    logits = model(input_ids=torch.tensor([tokens])).logits[0].float()
    logits = logits if logits.dim() == 2 else logits[None]
    return torch.sigmoid(logits[:, 0]) if logits.shape[1] == 1 else logits.softmax(-1)[:, 1]


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize("family", CLASSIFIERS)
def test_token_classification(family: str, labels: int, tmp_path: FilePath) -> None:
    torch.manual_seed(1)
    model = CLASSIFIERS[family](labels)
    scorer: Any = load_scorer(save_classifier(tmp_path, model))
    scores = judge(scorer, PATHS)
    assert sum(score.tokens for score in scores) < sum(len(tokens_of(one)) for one in PATHS)
    for one, score in zip(PATHS, scores, strict=True):
        tokens = [token for token in tokens_of(one) if token != EOS]
        values = classify(model, tokens)
        ends = [i for i in range(len(one.problem.question) + 1, len(tokens)) if tokens[i] == TOKENIZER.encode("\n")[0]]
        ends += [] if ends and ends[-1] == len(tokens) - 1 else [len(tokens) - 1]
        assert score.parts == pytest.approx(values[ends].tolist(), abs=1e-5)


def test_token_classification_with_a_chat_template(tmp_path: FilePath) -> None:
    torch.manual_seed(1)
    model = CLASSIFIERS["qwen2"](2)
    scorer = load_scorer(save_classifier(tmp_path, model, CHAT))
    tokenizer = byte_tokenizer(CHAT)
    question = [{"role": "user", "content": "Q"}]
    asked = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    tokens = tokenizer.encode(asked + PATHS[0].text, add_special_tokens=False)
    [score] = judge(scorer, PATHS[:1])
    assert score.value == pytest.approx(float(classify(model, tokens)[-1]), abs=1e-5)


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize("chat", [CHAT, TRIMMING_CHAT])
@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_sequence_classification_with_a_chat_template(family: str, chat: str, labels: int, tmp_path: FilePath) -> None:
    torch.manual_seed(2)
    kinds = {
        "qwen2": (Qwen2ForSequenceClassification, Qwen2Config),
        "llama": (LlamaForSequenceClassification, LlamaConfig),
    }
    architecture, config = kinds[family]
    pad = TOKENIZER.pad_token_id
    model = architecture(config(vocab_size=VOCABULARY, num_labels=labels, pad_token_id=pad, **SIZES))
    scorer: Any = load_scorer(save_classifier(tmp_path, model, chat))
    tokenizer = byte_tokenizer(chat)
    spaced = [*PATHS, path("Q", " 1 + 2 = 3 \n", " \n", done=True), path("Q", "\n", "ab \n", ids=False)]
    rows = []
    for one in spaced:
        messages = [{"role": "user", "content": one.problem.question}, {"role": "assistant", "content": one.text}]
        text = str(tokenizer.apply_chat_template(messages, tokenize=False))
        rows.append(tokenizer.encode(text, add_special_tokens=False))
    scores = judge(scorer, spaced)
    for one, tokens, score in zip(spaced, rows, scores, strict=True):
        assert list(scorer._form.render(one).tokens) == tokens
        assert score.value == pytest.approx(float(classify(model, tokens)[0]), abs=1e-5)
    longest = max(map(len, rows))
    for pads in (lambda n: ([], [pad] * n), lambda n: ([pad] * n, [])):
        batch = [pads(longest - len(row))[0] + row + pads(longest - len(row))[1] for row in rows]
        mask = torch.tensor([[float(token != pad) for token in row] for row in batch])
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor(batch), attention_mask=mask).logits
        padded = torch.sigmoid(logits[:, 0]) if labels == 1 else logits.softmax(-1)[:, 1]
        assert [score.value for score in scores] == pytest.approx(padded.tolist(), abs=1e-4)


def test_a_raw_sequence_classifier_reads_the_last_token(tmp_path: FilePath) -> None:
    torch.manual_seed(2)
    config = Qwen2Config(vocab_size=VOCABULARY, num_labels=1, pad_token_id=TOKENIZER.pad_token_id, **SIZES)
    model = Qwen2ForSequenceClassification(config)
    [score] = judge(load_scorer(save_classifier(tmp_path, model)), [PATHS[2]])
    tokens = [token for token in tokens_of(PATHS[2]) if token != EOS]
    assert score.value == pytest.approx(float(classify(model, tokens)[0]), abs=1e-5)
    assert score.steps == ()


class TestErrors:
    def refuse(self, words: str, spec: Any, **options: Any) -> None:
        with pytest.raises(UsageError) as caught:
            load_scorer(spec, **options)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_names(self, tmp_path: FilePath) -> None:
        self.refuse("there is no scorer 'proces'", "proces")
        self.refuse("no such directory", tmp_path / "missing")
        self.refuse("cannot be loaded from the hub", "nobody/nothing")
        self.refuse("no config.json", tmp_path)
        (tmp_path / "file").write_text("")
        self.refuse("is a file", tmp_path / "file")

    def test_a_policy_is_no_scorer(self, tmp_path: FilePath) -> None:
        model = Qwen2ForCausalLM(Qwen2Config(vocab_size=VOCABULARY, **SIZES))
        self.refuse("holds a language model (Qwen2ForCausalLM): pass it as the model", save_classifier(tmp_path, model))

    def test_options(self, own: FilePath, own_outcome: FilePath) -> None:
        self.refuse("no aggregation 'max'; choose one of last, min, product, mean", own, aggregate="max")
        self.refuse("nothing to aggregate", own_outcome, aggregate="min")
        self.refuse("leave aggregate, device out", "arithmetic", aggregate="min", device="cpu")
        self.refuse("no device 'tpuu'", own, device="tpuu")
        self.refuse("no dtype 'int8'", own, dtype="int8")
        self.refuse("memory_gib is -1", own, memory_gib=-1)

    def test_bidirectional_models(self, tmp_path: FilePath) -> None:
        config = BertConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2)
        self.refuse("looks at later tokens", save_classifier(tmp_path, BertForTokenClassification(config)))

    def test_labels(self, tmp_path: FilePath) -> None:
        self.refuse("has 3 labels", save_classifier(tmp_path, CLASSIFIERS["qwen2"](3)))

    def test_a_tokenizer_of_another_model(self, tmp_path: FilePath) -> None:
        model = Qwen2ForTokenClassification(Qwen2Config(vocab_size=64, num_labels=1, **SIZES))
        self.refuse("do not belong together", save_classifier(tmp_path, model))

    def test_damaged_directories(self, own: FilePath, tmp_path: FilePath) -> None:
        def copy() -> None:
            for file in own.iterdir():
                (tmp_path / file.name).write_bytes(file.read_bytes())

        copy()
        (tmp_path / "model.safetensors").write_bytes(b"junk")
        self.refuse("not a safetensors file", tmp_path)
        copy()
        weights = load_file(own / "model.safetensors")
        save_file(
            {name: weight for name, weight in weights.items() if name != "head.bias"}, tmp_path / "model.safetensors"
        )
        self.refuse("does not fit config.json", tmp_path)
        (tmp_path / "model.safetensors").unlink()
        self.refuse("no model.safetensors", tmp_path)
        copy()
        (tmp_path / "tokenizer.json").unlink()
        (tmp_path / "tokenizer_config.json").unlink()
        self.refuse("holds no tokenizer", tmp_path)
        (tmp_path / "tokenizer.json").write_text("{}")
        self.refuse("cannot be read", tmp_path)
        copy()
        for content, words in (
            ("{", "cannot be read as JSON"),
            ("[]", "an object is needed"),
            ('{"scorer": "judge"}', "known are process, outcome"),
            ('{"scorer": "process", "read_at": "end"}', "read_at 'end'"),
            ('{"scorer": "process", "prompt": {"tempalte": ""}}', "unknown prompt fields tempalte"),
        ):
            (tmp_path / "reason.json").write_text(content)
            self.refuse(words, tmp_path)

    def test_saving(self, tmp_path: FilePath) -> None:
        backbone, head = own_parts()
        with pytest.raises(UsageError, match="'process' or 'outcome', not 'critic'"):
            save_scorer(tmp_path, backbone, head, TOKENIZER, kind="critic", prompt={})
        with pytest.raises(UsageError, match=r"needs nn\.Linear"):
            save_scorer(tmp_path, backbone, nn.Linear(WIDTH, 2), TOKENIZER, kind="process", prompt={})
        assert list(tmp_path.iterdir()) == []

    def test_files_of_our_own_format(self, own: FilePath) -> None:
        assert sorted(file.name for file in own.iterdir()) == [
            "config.json", "model.safetensors", "reason.json", "tokenizer.json", "tokenizer_config.json",
        ]  # fmt: skip
        weights = load_file(own / "model.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float16}
        assert weights["head.weight"].shape == (1, WIDTH)
        written = json.loads((own / "reason.json").read_text())
        assert (written["scorer"], written["read_at"]) == ("process", "step_end")
        assert written["prompt"]["template"] == "{question}\n"


def test_parameters_and_name(own: FilePath) -> None:
    scorer: Any = load_scorer(own)
    backbone, head = own_parts()
    assert scorer.parameters == sum(w.numel() for module in (backbone, head) for w in module.parameters())
    assert scorer.name == str(own)
