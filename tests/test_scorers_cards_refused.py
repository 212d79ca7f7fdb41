"""Published reward models: what does not fit is refused in one line; weights in shards and their index."""

from __future__ import annotations

import json
import math
from pathlib import Path as FilePath
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_cards import (
    FAMILIES,
    ITEMS,
    llama_tokenizer,
    made,
    mistral_tokenizer,
    published,
    qwen_tokenizer,
    stepped,
)
from tiny_scorers import SIZES, judge
from transformers import Qwen2Config, Qwen2ForCausalLM

from reason.scorers import load_scorer
from reason.scorers.heads import tensor_files
from reason.types import UsageError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> FilePath:
    return tmp_path_factory.mktemp("cards")


class TestErrors:
    def refuse(self, words: str, spec: Any, **options: Any) -> None:
        with pytest.raises(UsageError) as caught:
            load_scorer(spec, **options)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_heads_of_another_shape(self, tmp_path: FilePath) -> None:
        folder, _, _ = published("qwen-prm", tmp_path, **{"score.2.weight": torch.zeros(1, 32)})
        self.refuse("its head score.2.weight is [1, 32] and must be [2, 32]", folder)
        folder, _, _ = published("skywork", tmp_path, **{"v_head.summary.weight": torch.zeros(1, 16)})
        self.refuse("its head v_head.summary.weight is [1, 16] and must be [1, 32]", folder)

    def test_missing_weights(self, tmp_path: FilePath) -> None:
        folder, _, _ = published("qwen-prm", tmp_path)
        weights = load_file(folder / "model.safetensors")
        save_file({k: v for k, v in weights.items() if k != "score.0.bias"}, folder / "model.safetensors")
        self.refuse("has no weight score.0.bias", folder)
        weights = {k: v for k, v in weights.items() if k != "model.norm.weight"}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        self.refuse("lacks 1 of the weights of Qwen2Model, such as norm.weight", folder)

    def test_missing_tokens(self, tmp_path: FilePath) -> None:
        folder, _, _ = published("qwen-prm", tmp_path)
        qwen_tokenizer(tag=False).save_pretrained(folder)
        self.refuse("no token '<extra_0>'", folder)
        folder, _, _ = published("math-shepherd", tmp_path)
        mistral_tokenizer(tag=False).save_pretrained(folder)
        self.refuse("no token 'ки'", folder)
        llama_tokenizer().save_pretrained(folder)
        self.refuse("has no token", folder)

    def test_missing_and_wrong_templates(self, tmp_path: FilePath) -> None:
        folder, _, _ = published("rlhflow", tmp_path)
        (folder / "chat_template.jinja").unlink()
        self.refuse("no chat template; copy the chat_template", folder)
        (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
        self.refuse("keeps 0 of 2 answers", folder)
        folder, _, _ = published("qwen-prm", tmp_path)
        (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
        self.refuse("keeps 0 of 2 step tags", folder)

    def test_pickled_weights_only(self, tmp_path: FilePath) -> None:
        folder, _, _ = published("math-shepherd", tmp_path)
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        self.refuse("holds only pytorch_model.bin, a pickle", folder)
        (folder / "pytorch_model.bin").unlink()
        self.refuse("holds no weights and no model.safetensors", folder)

    def test_damaged_weights(self, tmp_path: FilePath) -> None:
        folder, _, _ = published("qwen-prm", tmp_path)
        (folder / "model.safetensors").write_bytes(b"junk")
        self.refuse("cannot be read", folder)

    def test_a_plain_language_model(self, tmp_path: FilePath) -> None:
        model = Qwen2ForCausalLM(Qwen2Config(vocab_size=300, **SIZES))
        model.save_pretrained(tmp_path)
        self.refuse("FORMAT:DIRECTORY if it judges (qwen-prm", tmp_path)
        self.refuse("no such directory or name", f"rlhflow:{tmp_path / 'missing'}")

    def test_aggregation_of_whole_solutions(self, root: FilePath) -> None:
        self.refuse("nothing to aggregate", made("rlhflow-orm", root)[0], aggregate="min")

    def test_contexts_that_overflow_are_unscored(self, root: FilePath) -> None:
        for family in FAMILIES:
            [score] = judge(load_scorer(made(family, root)[0]), [stepped("Q", ["1" * 1200], "\n")])
            assert math.isnan(score.value)
            assert "the scorer's model takes 1024; lower max_tokens" in str(score.error)


def test_shards(root: FilePath, tmp_path: FilePath) -> None:
    folder, _, _ = made("qwen-prm", root)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, tmp_path / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, held in shards.items() for name in held}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    path = stepped(*ITEMS[2], "\n\n")
    assert judge(load_scorer(tmp_path), [path]) == judge(load_scorer(folder), [path])


class TestIndex:
    def index(self, folder: FilePath, files: Any) -> FilePath:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
        return folder

    def refuse(self, words: str, folder: FilePath) -> None:
        with pytest.raises(UsageError) as caught:
            tensor_files(folder)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_missing_shard(self, root: FilePath, tmp_path: FilePath) -> None:
        self.refuse("names b.safetensors, which is not in", self.index(tmp_path, {"x": "b.safetensors"}))
        for family in ("qwen-prm", "math-shepherd"):
            for file in made(family, root)[0].iterdir():
                (tmp_path / file.name).write_bytes(file.read_bytes())
            (tmp_path / "model.safetensors").rename(tmp_path / "a.safetensors")
            with pytest.raises(UsageError, match="copy the missing file there"):
                load_scorer(f"{family}:{tmp_path}")

    @pytest.mark.parametrize(
        "file", ["../x.safetensors", "/x.safetensors", "a/b.safetensors", "..", "", "a\\b.safetensors"]
    )
    def test_files_elsewhere(self, file: str, tmp_path: FilePath) -> None:
        self.refuse("named without a directory", self.index(tmp_path, {"x": file}))

    def test_what_is_no_index(self, tmp_path: FilePath) -> None:
        self.refuse("cannot be read", self.index(tmp_path, []))
        (tmp_path / "model.safetensors.index.json").write_text("[]")
        self.refuse("cannot be read", tmp_path)

    def test_damaged_shards(self, root: FilePath, tmp_path: FilePath) -> None:
        folder, _, _ = made("qwen-prm", root)
        for file in folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "model.safetensors").unlink()
        (tmp_path / "a.safetensors").write_bytes(b"junk")
        self.index(tmp_path, dict.fromkeys(tensor_files(folder), "a.safetensors"))
        with pytest.raises(UsageError, match="cannot be read"):
            load_scorer(tmp_path)
