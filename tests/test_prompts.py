"""Prompts: formats, chat templates, JSON, and exact continuation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path as FilePath

import pytest
from tiny_models import tokenizer

from reason.prompts import FORMATS, Example, Prompt, default_prompt, named
from reason.types import UsageError

CHAT = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</{{ m['role'] }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.mark.parametrize("name", list(FORMATS))
def test_formats_hold_the_question_and_survive_json(name: str) -> None:
    prompt = named(name)
    assert "How {many}?" in prompt.text("How {many}?")
    assert Prompt.from_dict(json.loads(json.dumps(prompt.to_dict()))) == prompt
    assert Prompt.from_dict({"format": name, "max_tokens": 7}) == replace(prompt, max_tokens=7)


def test_formats_say_what_they_are() -> None:
    assert named("cot").text("Why?").endswith("A: Let's think step by step.")
    assert "\\boxed{}" in named("boxed").text("Why?")
    assert named("think").text("Why?").endswith("<think>\n")
    shots = named("few-shot").text("Why?")
    assert shots.count("Q: ") == 4
    assert shots.endswith("Q: Why?\nA: ")
    assert named("few-shot").stop == ("\nQ:",)


def test_examples_carry_the_trigger() -> None:
    prompt = Prompt(template="Q: {question}\nA: ", trigger="Think.", examples=(Example("1+1?", "It is 2."),))
    assert prompt.text("2+2?") == "Q: 1+1?\nA: Think. It is 2.\n\nQ: 2+2?\nA: Think."


def test_raw_text_is_encoded_once_without_an_end_token() -> None:
    words = tokenizer()
    ids = Prompt(template="{question}\n").render("3 * 4", words)
    assert words.decode(ids) == "3 * 4\n"
    assert words.eos_token_id not in ids


def test_chat_template_of_the_tokenizer_is_used() -> None:
    words = tokenizer()
    prompt = Prompt(chat=True, system="Be brief.", trigger="<think>\n", examples=(Example("1+1", "2"),))
    with pytest.raises(UsageError, match="no chat template"):
        prompt.render("2+2", words)
    words.chat_template = CHAT
    try:
        assert words.decode(prompt.render("2+2", words)) == (
            "<system>Be brief.</system><user>1+1</user><assistant>2</assistant><user>2+2</user><assistant><think>\n"
        )
        assert default_prompt(words) == replace(named("boxed"), chat=True)
    finally:
        words.chat_template = None
    assert default_prompt(words) == named("cot")


def test_a_model_directory_brings_its_prompt(tmp_path: FilePath) -> None:
    data = {"prompt": {"template": "{question}\n", "step_end": ["\n"], "max_tokens": 160}}
    (tmp_path / "reason.json").write_text(json.dumps(data))
    assert default_prompt(tokenizer(), tmp_path) == Prompt(max_tokens=160)
    (tmp_path / "reason.json").write_text("{")
    with pytest.raises(UsageError, match="not valid JSON"):
        default_prompt(tokenizer(), tmp_path)


def test_bad_prompts_are_refused() -> None:
    with pytest.raises(UsageError, match="question"):
        Prompt(template="nothing here")
    with pytest.raises(UsageError, match="empty"):
        named("plain").text(" \n")
    with pytest.raises(UsageError, match="empty"):
        named("plain").messages("")
    with pytest.raises(UsageError, match="choose one of"):
        named("fancy")
    with pytest.raises(UsageError, match="unknown prompt fields tempalte"):
        Prompt.from_dict({"tempalte": "{question}"})
    with pytest.raises(UsageError, match="at least 1"):
        Prompt(max_tokens=0)
    with pytest.raises(UsageError, match="cannot be empty"):
        Prompt(step_end=("",))
