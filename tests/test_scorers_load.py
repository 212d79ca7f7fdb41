"""What `load_scorer` and `save_scorer` refuse, and the files of our own format."""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_scorers import CLASSIFIERS, SIZES, TOKENIZER, VOCABULARY, WIDTH, judge, own_parts, path, save_classifier
from torch import nn
from transformers import (
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForTokenClassification,
)

from reason.scorers import load_scorer, save_scorer
from reason.scorers.load import members_of
from reason.types import UsageError


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

    def test_empty_members(self) -> None:
        self.refuse("'process+' has no name in place 2 of the 2", "process+")
        self.refuse("'+arithmetic' has no name in place 1 of the 2", "+arithmetic")
        self.refuse("'numeric++arithmetic' has no name in place 2 of the 3", "numeric++arithmetic")
        self.refuse("there is no scorer 'proces'", "arithmetic+proces")

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

    def test_labels(self, tmp_path: FilePath) -> None:
        self.refuse("has 3 labels", save_classifier(tmp_path, CLASSIFIERS["qwen2"](3)))

    def test_a_head_that_is_not_in_the_weights(self, tmp_path: FilePath) -> None:
        save_classifier(tmp_path, CLASSIFIERS["qwen2"](1))
        weights = load_file(tmp_path / "model.safetensors")
        renamed = {name.replace("score.", "score.out."): weight for name, weight in weights.items()}
        save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
        self.refuse("lacks 2 of the weights of Qwen2ForTokenClassification, such as score.bias", tmp_path)

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


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("process+outcome", ["process", "outcome"]),
        ("schema:a+b.json", ["schema:a+b.json"]),
        ("calibrated:a+b+c.json+process", ["calibrated:a+b+c.json", "process"]),
        ("verifier+regex:\\d+", ["verifier", "regex:\\d+"]),
        ("regex:a+process", ["regex:a+process"]),
        ("pairs:regex:a+", ["pairs:regex:a+"]),
        ("schema:a.json+mod:check", ["schema:a.json", "mod:check"]),
        ("rlhflow:org/a+org/b@main", ["rlhflow:org/a", "org/b@main"]),
        ("pairs:process+judge:bundled", ["pairs:process", "judge:bundled"]),
        ("arithmetic+nothing", ["arithmetic", "nothing"]),
    ],
)
def test_where_a_name_is_split(name: str, members: list[str]) -> None:
    assert members_of(name) == members
    assert [members_of(member) for member in members] == [[member] for member in members]


def test_files_with_a_plus_in_their_name(tmp_path: FilePath) -> None:
    place = tmp_path / "a+process"
    place.mkdir()
    (tmp_path / "s+process").write_text('{"type": "object"}')
    for one in (str(place), f"rlhflow:{place}", f"schema:{tmp_path / 's+process'}"):
        assert members_of(one) == [one]
        assert members_of(f"arithmetic+{one}+outcome") == ["arithmetic", one, "outcome"]


def test_a_pattern_with_a_plus_is_one_member_of_an_ensemble() -> None:
    [score] = judge(load_scorer("arithmetic+regex:x+y"), [path("Q", "1 + 2 = 3\nxxy\n", done=True)])
    assert score.value == 1.0


def test_the_hub_gives_every_kind_of_tokenizer(monkeypatch: pytest.MonkeyPatch, tmp_path: FilePath) -> None:
    asked: list[str] = []

    def snapshot(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(UsageError):
        load_scorer("nobody/nothing")
    assert {"vocab.txt", "merges.txt", "spm.model", "sentencepiece.bpe.model", "tokenizer.model"} <= set(asked)
    assert not any("bin" in pattern or "py" in pattern for pattern in asked)
