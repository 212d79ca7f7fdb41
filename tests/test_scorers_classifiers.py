"""Reward models of the Hugging Face kinds: equal to the model's own full forward pass."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

import pytest
import torch
from tiny_scorers import (
    CHAT,
    CLASSIFIERS,
    EOS,
    PATHS,
    SIZES,
    TOKENIZER,
    TRIMMING_CHAT,
    VOCABULARY,
    byte_tokenizer,
    classify,
    judge,
    path,
    save_classifier,
    tokens_of,
)
from transformers import (
    LlamaConfig,
    LlamaForSequenceClassification,
    Qwen2Config,
    Qwen2ForSequenceClassification,
)

from reason.scorers import load_scorer


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
    spaced += [path("What are @@solution@@ and @@solution0##?", "a @@solution0## b", done=True)]
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
