"""Published reward models: equal to their cards' own steps, each token read once, one line where they do not fit."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_cards import (
    FAMILIES,
    ITEMS,
    PUBLISHED,
    at_once,
    card_values,
    made,
    stepped,
)
from tiny_scorers import judge

from reason.scorers import load_scorer
from reason.scorers.cards import CARDS, absent, card_named, card_prompt, cut
from reason.scorers.load import FORMATS
from reason.types import Path, Problem, Step, UsageError

STEPWISE = [family for family in FAMILIES if PUBLISHED[family].steps]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> FilePath:
    return tmp_path_factory.mktemp("cards")


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_values_are_the_cards(family: str, side: str, root: FilePath) -> None:
    folder, module, tokenizer = made(family, root)
    kind = PUBLISHED[family]
    expected = card_values(family, module, tokenizer, ITEMS, side)
    assert max(max(values) for values in expected) - min(min(values) for values in expected) > 0.1
    scores = judge(load_scorer(folder), [stepped(*item, kind.joined) for item in ITEMS])
    for score, values in zip(scores, expected, strict=True):
        assert score.value == pytest.approx(values[-1], abs=1e-5)
        assert score.steps == pytest.approx(tuple(values) if kind.steps else (), abs=1e-5)
        assert score.error is None


@pytest.mark.parametrize("family", STEPWISE)
def test_solutions_drawn_in_one_go_are_read_at_every_step(family: str, root: FilePath) -> None:
    folder, module, tokenizer = made(family, root)
    expected = card_values(family, module, tokenizer, ITEMS, "right")
    scores = judge(load_scorer(folder), [at_once(*item, PUBLISHED[family].joined) for item in ITEMS])
    for score, values in zip(scores, expected, strict=True):
        assert score.parts == pytest.approx(values, abs=1e-5)
        assert score.steps == (score.value,)


@pytest.mark.parametrize("family", STEPWISE)
def test_a_growing_path_costs_its_new_tokens(family: str, root: FilePath) -> None:
    folder, module, tokenizer = made(family, root)
    question, steps = ITEMS[-1]
    kind = PUBLISHED[family]
    scorer: Any = load_scorer(folder)
    [expected] = card_values(family, module, tokenizer, [(question, steps)], "right")
    whole = [ids[: places[-1] + 1] for ids, places in kind.inputs(tokenizer, question, steps)]
    spent = 0
    for count in range(1, len(steps) + 1):
        path = stepped(question, steps[:count], kind.joined, done=count == len(steps))
        [score] = judge(scorer, [path])
        assert score.steps == pytest.approx(tuple(expected[:count]), abs=1e-5)
        spent += score.tokens
        assert score.tokens <= scorer.count_tokens(path)
        assert spent == scorer.count_tokens(path)
    assert spent == len(whole[-1])
    assert judge(scorer, [path])[0].tokens == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_one_at_a_time_equals_all_at_once(family: str, root: FilePath) -> None:
    folder, _, _ = made(family, root)
    paths = [stepped(*item, PUBLISHED[family].joined) for item in ITEMS]
    together = judge(load_scorer(folder), paths)
    scorer = load_scorer(folder)
    alone = [judge(scorer, [path])[0] for path in reversed(paths)][::-1]
    assert [score.value for score in together] == pytest.approx([score.value for score in alone], abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_format_can_be_named_and_reason_json_can_name_it(family: str, root: FilePath, tmp_path: FilePath) -> None:
    folder, _, _ = made(family, root)
    form = family.removesuffix("-mistral")
    plain = tmp_path / "model"
    plain.mkdir()
    for file in folder.iterdir():
        (plain / file.name).write_bytes(file.read_bytes())
    path = stepped("What is 1 + 2?", ["1 + 2 = 3"], PUBLISHED[family].joined)
    [expected] = judge(load_scorer(folder), [path])
    [prefixed] = judge(load_scorer(f"{form}:{plain}"), [path])
    (plain / "reason.json").write_text(json.dumps({"scorer": form}))
    [named] = judge(load_scorer(plain), [path])
    assert prefixed.value == named.value == expected.value


def test_reason_json_changes_what_ends_a_step(root: FilePath, tmp_path: FilePath) -> None:
    folder, _, _ = made("qwen-prm", root)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    lines = at_once("What is 1 + 2?", ["1 + 2 = 3", "So it is 3"], "\n")
    assert len(judge(load_scorer(folder), [lines])[0].parts) == 1
    (tmp_path / "reason.json").write_text('{"prompt": {"step_end": ["\\n"]}}')
    [score] = judge(load_scorer(tmp_path), [lines])
    [paragraphs] = judge(load_scorer(folder), [at_once("What is 1 + 2?", ["1 + 2 = 3", "So it is 3"], "\n\n")])
    assert score.parts == paragraphs.parts


def test_reason_json_changes_the_system_turn(root: FilePath, tmp_path: FilePath) -> None:
    for family in ("qwen-prm", "qwen-rm", "rlhflow"):
        folder, _, _ = made(family, root)
        for file in folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "reason.json").write_text(json.dumps({"scorer": family, "prompt": {"system": "Judge."}}))
        path = stepped(*ITEMS[1], PUBLISHED[family].joined)
        scorers: list[Any] = [load_scorer(folder), load_scorer(tmp_path)]
        texts = [
            scorer._form.speller.tokenizer if family == "qwen-rm" else scorer._form.tokenizer for scorer in scorers
        ]
        spoken = [text.decode(scorer._form.render(path).tokens) for text, scorer in zip(texts, scorers, strict=True)]
        assert "Judge." not in spoken[0]
        assert "Judge." in spoken[1]
    (tmp_path / "reason.json").write_text('{"prompt": "no"}')
    with pytest.raises(UsageError, match="must be an object of prompt fields"):
        load_scorer(f"rlhflow:{tmp_path}")


def test_every_format_is_known_by_its_prefix() -> None:
    assert set(FORMATS) == set(CARDS)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("peiyi9979/math-shepherd-mistral-7b-prm", "math-shepherd"),
        ("RLHFlow/Llama3.1-8B-PRM-Mistral-Data", "rlhflow"),
        ("RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", "rlhflow"),
        ("RLHFlow/Llama3.1-8B-ORM-Deepseek-Data", "rlhflow-orm"),
        ("meta-llama/Llama-3.1-8B-Instruct", None),
        ("Qwen/Qwen2.5-0.5B", None),
        ("/data/rlhflow-prm/plain-model", None),
        ("math-shepherd/models/base/", None),
        ("./runs/math-shepherd-7b/", "math-shepherd"),
        ("/models/RLHFlow/Llama3.1-8B-PRM-Mistral-Data", "rlhflow"),
        ("Qwen/Qwen2.5-0.5B@math-shepherd", None),
    ],
)
def test_language_models_that_judge_are_known_by_name(name: str, form: str | None) -> None:
    assert card_named(name) == form


def test_an_existing_directory_is_no_hub_id(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "math-shepherd" / "base").mkdir(parents=True)
    assert card_named("math-shepherd/base") is None


def test_mistral_in_a_folder_above_changes_no_layout() -> None:
    assert card_prompt("rlhflow", "/mistral/model").step_end == ("\n\n",)
    assert card_prompt("rlhflow", "rlhflow:RLHFlow/Llama3.1-8B-PRM-Mistral-Data").step_end == ("\n",)


def test_a_model_type_that_only_its_own_code_knows(root: FilePath, tmp_path: FilePath) -> None:
    folder, _, _ = made("qwen-prm", root)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text()) | {"model_type": "qwen2_rm"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    path = stepped(*ITEMS[1], "\n\n")
    assert judge(load_scorer(tmp_path), [path]) == judge(load_scorer(folder), [path])


def test_a_language_model_with_a_value_head_is_read_as_one(root: FilePath, tmp_path: FilePath) -> None:
    folder, _, _ = made("skywork", root)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text()) | {"architectures": ["Qwen2ForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    path = stepped(*ITEMS[1], "\n")
    assert judge(load_scorer(tmp_path), [path])[0].value == judge(load_scorer(folder), [path])[0].value


class TestCut:
    def cut(self, *texts: str, ends: Sequence[str] = ("\n",)) -> list[tuple[str, int]]:
        return cut(Path(Problem("Q", "Q"), tuple(Step(text) for text in texts)), ends)

    def test_steps_end_at_separators_and_at_white_space(self) -> None:
        assert self.cut("a\n", "b\n") == [("a", 0), ("b", 1)]
        assert self.cut("a\nb\n", "c") == [("a", 0), ("b", 0), ("c", 1)]
        assert self.cut("a\n\n", "b") == [("a", 0), ("", 0), ("b", 1)]
        assert self.cut("a. ", "b. ", "c") == [("a. ", 0), ("b. ", 1), ("c", 2)]
        assert self.cut("a\n", "b\n", ends=("\n\n",)) == [("a\n", 0), ("b\n", 1)]
        assert self.cut("a\n\nb", ends=("\n\n",)) == [("a", 0), ("b", 0)]
        assert self.cut("a\nb", ends=()) == [("a\nb", 0)]

    def test_spans_inside_a_line_are_read_with_it(self) -> None:
        assert self.cut("4 * 1", "2 = 4", "8\nso", " 48") == [("4 * 12 = 48", 2), ("so 48", 3)]

    def test_a_last_step_without_text_holds_what_is_left(self) -> None:
        assert self.cut("4 * 1", "") == [("4 * 1", 1)]

    @given(st.lists(st.text(alphabet="ab \n", max_size=6), max_size=6))
    def test_no_text_is_lost_and_owners_rise(self, texts: list[str]) -> None:
        parts = self.cut(*texts)
        assert "".join(part for part, _ in parts) == "".join(texts).replace("\n", "")
        owners = [owner for _, owner in parts]
        assert owners == sorted(owners)
        assert all(0 <= owner < len(texts) for owner in owners)


PIECES = st.sampled_from(["1 + 2 = 3\n", "ab\n\n", "a\nb\n", "x. ", "  \n", "\n", "cut", "é ки + -\n", "<extra_0>\n"])
LOADED: dict[str, Any] = {}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(STEPWISE), st.lists(PIECES, min_size=1, max_size=5))
def test_any_path_has_a_value_for_every_step_and_costs_its_new_tokens(
    root: FilePath, family: str, texts: list[str]
) -> None:
    scorer = LOADED.setdefault(family, load_scorer(made(family, root)[0]))
    scorer._reader._prefix.clear()
    for count in range(1, len(texts) + 1):
        path = Path(Problem("Q", "What is + ?"), tuple(Step(text) for text in texts[:count]))
        [score] = judge(scorer, [path])
        if not any(part.replace("<extra_0>", "").strip() for part in texts[:count]):
            assert math.isnan(score.value) or family != "qwen-prm"
            continue
        assert score.scored
        assert len(score.steps) == count
        assert not any(map(math.isnan, score.steps))
        rendered = scorer._form.render(path)
        reads = [place for places in rendered.reads for place in places]
        assert reads == sorted(set(reads))
        assert reads[-1] == len(rendered.tokens) - 1 or family == "skywork"
    scorer._reader._prefix.clear()
    assert judge(scorer, [path])[0].steps == pytest.approx(score.steps, abs=1e-5, nan_ok=True)


class TestTagsInTheText:
    def test_a_tag_in_question_or_solution_marks_no_step(self, root: FilePath) -> None:
        for family, tag in (("qwen-prm", "<extra_0>"), ("math-shepherd", " ки")):
            folder, _, _ = made(family, root)
            joined = PUBLISHED[family].joined
            bare = stepped("What is it?", ["a b", "c"], joined)
            marked = stepped("What is it?", [f"a{tag} b", "c"], joined)
            scores = judge(load_scorer(folder), [bare, marked])
            assert scores[0].parts == scores[1].parts

    def test_a_tag_that_taking_one_out_puts_together_marks_no_step(self, root: FilePath) -> None:
        scorer = load_scorer(made("qwen-prm", root)[0])
        nested = "<extra<extra_0>_0>"
        nested = nested.replace("<extra_0>", nested)
        bare, marked = (stepped(f"What{tag}?", [f"x{tag}y", "c"], "\n\n") for tag in ("", nested))
        scores = judge(scorer, [bare, marked])
        assert scores[1].scored
        assert scores[0].parts == scores[1].parts

    def test_shepherds_bare_tag_is_taken_out_of_question_and_solution(self, root: FilePath) -> None:
        scorer: Any = load_scorer(made("math-shepherd", root)[0])
        bare = stepped("What is ?", ["a", "b"], "\n")
        for marked in (
            stepped("What is ки ?", ["a", "b"], "\n"),
            stepped("What is ки ки ?", ["ки a", "b"], "\n"),
            stepped("What is ?", ["a ки ки", "ки b ки"], "\n"),
        ):
            assert scorer._form.render(marked) == scorer._form.render(bare)

    def test_the_end_of_a_russian_word_is_no_tag(self, root: FilePath) -> None:
        folder, module, tokenizer = made("math-shepherd", root)
        item = ("What руки ?", ["руки a", "b"])
        [score] = judge(load_scorer(folder), [stepped(*item, "\n")])
        [expected] = card_values("math-shepherd", module, tokenizer, [item], "right")
        assert score.steps == pytest.approx(tuple(expected), abs=1e-5)

    @pytest.mark.parametrize("family", ["rlhflow", "rlhflow-orm"])
    def test_a_placeholder_in_the_text_is_text(self, family: str, root: FilePath) -> None:
        folder, module, tokenizer = made(family, root)
        words = ["a @@answer@@ b", "@@answer0##", "c @@answer@"]
        item = ("What is @@answer0## and @@answer1##?", words)
        [score] = judge(load_scorer(folder), [stepped(*item, PUBLISHED[family].joined)])
        [expected] = card_values(family, module, tokenizer, [item], "right")
        assert score.value == pytest.approx(expected[-1], abs=1e-5)

    @given(st.lists(st.text(alphabet="@a0#", max_size=8), max_size=4))
    def test_a_placeholder_is_found_where_it_was_put(self, texts: list[str]) -> None:
        mark = absent("a", *texts)
        assert mark.join(texts).split(mark) == (texts or [""])

    def test_empty_lines_keep_their_line_break_in_skyworks_layout(self, root: FilePath) -> None:
        folder, _, tokenizer = made("skywork", root)
        scorer: Any = load_scorer(folder)
        rendered = scorer._form.render(at_once("Q", ["a", "", "b"], "\n"))
        ids = tokenizer.encode("<|endoftext|>Q\na\n", add_special_tokens=False)
        assert rendered.tokens == (*ids, *tokenizer.encode("\n"), *tokenizer.encode("b"), *tokenizer.encode("\n"))
        assert rendered.reads == ((len(ids) - 1, len(ids) + 2),)
