"""Reward models that look at later tokens: equal to their own full pass, every sequence whole, spared by the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path as FilePath
from typing import Any

import pytest
import torch
from tiny_scorers import PATHS, TOKENIZER, VOCABULARY, WIDTH, byte_tokenizer, judge, path, save_classifier
from tokenizers import processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)

from reason.scorers import cached, load_scorer
from reason.types import Path

SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 100,
    "initializer_range": 0.3,
}
PAD = TOKENIZER.pad_token_id


def bert(kind: Any, labels: int) -> Any:
    torch.manual_seed(0)
    return kind(BertConfig(vocab_size=VOCABULARY, num_labels=labels, pad_token_id=PAD, **SIZES))


def roberta(kind: Any, labels: int) -> Any:
    torch.manual_seed(0)
    config = RobertaConfig(vocab_size=VOCABULARY, num_labels=labels, pad_token_id=2, type_vocab_size=1, **SIZES)
    return kind(config)


def save(folder: FilePath, model: Any) -> FilePath:
    """The model with a tokenizer that frames texts and pairs of texts, `<bos>` first and `<end>` after each."""
    save_classifier(folder, model)
    tokenizer = byte_tokenizer()
    special = [("<bos>", tokenizer.convert_tokens_to_ids("<bos>")), ("<end>", tokenizer.convert_tokens_to_ids("<end>"))]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <end>", pair="<bos> $A <end> $B:1 <end>:1", special_tokens=special
    )
    tokenizer.save_pretrained(folder)
    return folder


def framed(one: Path) -> tuple[list[int], list[int]]:
    """The pair's tokens and token types, spelled out."""
    ids = {name: TOKENIZER.convert_tokens_to_ids(name) for name in ("<bos>", "<end>")}
    question, text = (TOKENIZER.encode(part, add_special_tokens=False) for part in (one.problem.question, one.text))
    first = [ids["<bos>"], *question, ids["<end>"]]
    return [*first, *text, ids["<end>"]], [0] * len(first) + [1] * (len(text) + 1)


@torch.inference_mode()
def chances(model: Any, rows: Sequence[tuple[list[int], list[int]]], typed: bool) -> torch.Tensor:
    """The model's own probabilities of being right, one row after the other."""
    found = []
    for tokens, types in rows:
        more = {"token_type_ids": torch.tensor([types])} if typed else {}
        logits = model(input_ids=torch.tensor([tokens]), **more).logits[0]
        found.append(logits[..., 0].sigmoid() if logits.shape[-1] == 1 else logits.softmax(-1)[..., 1])
    return torch.stack(found) if found[0].dim() == 0 else torch.cat(found)


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize(
    ("make", "kind"), [(bert, BertForSequenceClassification), (roberta, RobertaForSequenceClassification)]
)
def test_pairs_of_question_and_solution(
    make: Callable[[Any, int], Any], kind: Any, labels: int, tmp_path: FilePath
) -> None:
    model = make(kind, labels)
    scores = judge(load_scorer(save(tmp_path, model)), PATHS)
    expected = chances(model, [framed(one) for one in PATHS], make is bert).tolist()
    assert [score.value for score in scores] == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 0.01
    assert scores[0].steps == ()


@pytest.mark.parametrize(
    ("make", "kind"), [(bert, BertForTokenClassification), (roberta, RobertaForTokenClassification)]
)
def test_lines_are_read_on_the_whole_solution(make: Callable[[Any, int], Any], kind: Any, tmp_path: FilePath) -> None:
    model = make(kind, 2)
    scorer: Any = load_scorer(save(tmp_path, model))
    for one, score in zip(PATHS, judge(scorer, PATHS), strict=True):
        rendered = scorer._form.render(one)
        ends = [place for places in rendered.reads for place in places]
        types = [int(i >= rendered.start) for i in range(len(rendered.tokens))]
        values = chances(model, [(list(rendered.tokens), types)], make is bert)
        assert score.parts == pytest.approx(values[ends].tolist(), abs=1e-5)
        assert len(score.steps) == len(one.steps)


def test_every_judgement_costs_the_whole_sequence_unless_it_is_cached(tmp_path: FilePath) -> None:
    model = bert(BertForTokenClassification, 1)
    scorer: Any = load_scorer(save(tmp_path, model))
    assert scorer.parameters == sum(weight.numel() for weight in model.parameters())
    for _ in range(2):
        first, again = judge(scorer, [PATHS[2], PATHS[2]])
        assert (first.tokens, again.tokens) == (scorer.count_tokens(PATHS[2]), 0)
    remembering: Any = cached(scorer)
    [first] = judge(remembering, [PATHS[2]])
    [again] = judge(remembering, [PATHS[2]])
    assert (first.tokens, again.tokens) == (scorer.count_tokens(PATHS[2]), 0)
    assert remembering.count_tokens(PATHS[2]) == 0
    assert first.parts == again.parts


def test_batches_change_nothing(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = load_scorer(save(tmp_path, roberta(RobertaForTokenClassification, 2)))
    together = judge(scorer, PATHS)
    monkeypatch.setattr("reason.scorers.reader.PACK_TOKENS", 1)
    alone = judge(scorer, PATHS)
    for left, right in zip(together, alone, strict=True):
        assert left.parts == pytest.approx(right.parts, abs=1e-5)


@pytest.mark.parametrize(("make", "context"), [(bert, 100), (roberta, 97)])
def test_what_is_longer_than_the_context_is_unscored(
    make: Callable[[Any, int], Any], context: int, tmp_path: FilePath
) -> None:
    kind = BertForSequenceClassification if make is bert else RobertaForSequenceClassification
    scorer = load_scorer(save(tmp_path, make(kind, 1)))
    fits, longer = judge(scorer, [path("Q", "1" * (context - 4)), path("Q", "1" * (context - 3))])
    assert fits.scored
    assert f"takes {context}" in str(longer.error)
