"""Regular expressions and JSON schemas on model text, and the scorers' names."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import math
import pathlib
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.scorers import Critic, Game24, GenRM, JsonSchema, Judge, Regex, load_scorer
from reason.scorers import named as named_module
from reason.scorers import schema as schema_module
from reason.scorers.checking import Checker
from reason.scorers.schema import NotJson, json_of
from reason.types import BackendError, Finish, MissingExtraError, Path, Problem, Score, Step, UsageError

needs_jsonschema = pytest.mark.skipif(find_spec("jsonschema") is None, reason="needs the extra verify")
SCHEMA = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
}


def path(text: str, finish: Finish = Finish.STOP) -> Path:
    return Path(Problem("p", "?"), (Step(text, finish=finish),))


def judged(scorer: Any, *texts: str) -> list[Score]:
    scores: list[Score] = asyncio.run(scorer.judge([path(text) for text in texts]))
    return scores


def values(scorer: Any, *texts: str) -> list[float]:
    return [score.value for score in judged(scorer, *texts)]


class TestRegex:
    def test_modes(self) -> None:
        texts = ("ab", "xab", "abx")
        assert values(Regex("ab"), *texts) == [1.0, 1.0, 1.0]
        assert values(Regex("ab", mode="match"), *texts) == [1.0, 0.0, 1.0]
        assert values(Regex("ab", mode="fullmatch"), *texts) == [1.0, 0.0, 0.0]
        assert values(Regex("(?i)AB"), "ab") == [1.0]
        [found] = judged(Regex("b+"), "abbb")
        assert found.explanation == "matches 'bbb'"

    def test_the_answer_alone(self) -> None:
        scorer = Regex(r"\d+", mode="fullmatch", answer=True)
        assert values(scorer, "It is 3 + 4. Answer: 7", "Answer: x", "") == [1.0, 0.0, 0.0]

    def test_a_text_made_for_the_pattern_is_unscored_and_the_next_is_judged(self) -> None:
        scorer = Regex(r"(a+)+b", seconds=0.2)
        slow, quick = judged(scorer, "a" * 40 + "c", "aab")
        assert math.isnan(slow.value)
        assert "longer than 0.2 s" in str(slow.error)
        assert quick.value == 1.0

    def test_open_and_failed_paths(self) -> None:
        scores = asyncio.run(Regex("x").judge([path("x", finish) for finish in Finish]))
        assert [finish.value for finish, s in zip(Finish, scores, strict=True) if s.scored] == [
            "stop",
            "length",
            "budget",
        ]

    def test_refused(self) -> None:
        for pattern in ("(", "a{99999999999}", "*"):
            with pytest.raises(UsageError, match="no regular expression"):
                Regex(pattern)
        with pytest.raises(UsageError, match="mode"):
            Regex("a", mode="find")
        with pytest.raises(UsageError, match="seconds"):
            Regex("a", seconds=0)

    def test_names(self) -> None:
        assert (Regex("a").name, Regex("a", name="x").name, Regex("a").parameters, Regex("a").oracle) == (
            "regex:a", "x", 0, False,
        )  # fmt: skip


SHARED = Regex("^[^x]*$", mode="search")


@given(st.text())
def test_a_pattern_sees_the_very_text(text: str) -> None:
    assert values(SHARED, text) == [float("x" not in text)]


class TestWorker:
    def test_a_worker_that_does_not_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reason.scorers.checking.SCRIPT", pathlib.Path("/nonexistent"))
        with pytest.raises(BackendError, match="did not start"):
            Checker(1.0).ask({})

    def test_the_worker_ends_with_its_scorer(self) -> None:
        scorer = Regex("a")
        values(scorer, "a")
        [process] = scorer._checker._held
        assert process.poll() is None
        del scorer
        gc.collect()
        assert process.poll() is not None

    def test_close_and_go_on(self) -> None:
        checker = Checker(1.0)
        job = {"kind": "pattern", "pattern": "a", "flags": 0, "mode": "search", "text": "a"}
        assert checker.ask(job) == {"found": "a"}
        checker.close()
        checker.close()
        assert checker.ask(job) == {"found": "a"}
        assert "KeyError" in checker.ask({"kind": "other"})["failed"]

    def test_loading_the_library_costs_no_job_its_time(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
    ) -> None:
        """By a stand-in for jsonschema that takes 0.4 s of the processor to load."""
        files = {
            "jsonschema/__init__.py": "import time\nwhile time.process_time() < 0.4: pass",
            "jsonschema/exceptions.py": "class SchemaError(Exception): pass",
            "jsonschema/validators.py": "class Draft202012Validator:\n    check_schema = print\n"
            "def validator_for(*_, **__): return Draft202012Validator",
            "referencing.py": "Registry = dict",
        }
        (tmp_path / "jsonschema").mkdir()
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        job = {"kind": "schema", "schema": True, "value": None, "formats": False}
        assert Checker(0.1, ("schema",)).ask(job) == {"errors": []}
        assert "longer than 0.1 s" in Checker(0.1).ask(job)["limit"]


class TestJson:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
        )
    )
    def test_round_trip(self, value: Any) -> None:
        text = json.dumps(value, indent=1)
        assert json_of(text) == value
        assert json_of(f"Well.\n```json\n{text}\n```\nDone.") == value
        assert json_of(f"```\n[1]\n```\n```JSON\n{text}") == value
        assert json_of(f"<think>[]</think>{text}") == value

    def test_fences_are_read_in_order(self) -> None:
        other = "```python\nx = {}\n```\n"
        assert json_of(other + "```json\n[1]\n```\n" + other) == [1]
        assert json_of(other + "```\n[1]\n```") == [1]
        assert json_of("~~~json\n[1]\n~~~") == [1]

    @given(st.text())
    def test_any_text_is_read_without_a_crash(self, text: str) -> None:
        with contextlib.suppress(NotJson):
            json_of(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "{'a': 1}",
            "NaN",
            "[Infinity]",
            "1e999",
            "[-1e999]",
            '{"a": 1, "a": 2}',
            "the answer is {}",
            "[" * 100_000,
            "9" * 10_000,
            "x" * 2_000_000,
        ],
    )
    def test_what_is_no_json(self, text: str) -> None:
        with pytest.raises(NotJson):
            json_of(text)


class TestSchema:
    def test_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(schema_module, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match=r"reason-toolkit\[verify\]"):
            JsonSchema(SCHEMA)

    @needs_jsonschema
    def test_values(self, tmp_path: pathlib.Path) -> None:
        file = tmp_path / "person.json"
        file.write_text(json.dumps(SCHEMA))
        texts = ('{"name": "Ada", "age": 36}', '```json\n{"name": "Ada", "age": -1}\n```', '{"name": 1}', "Ada is 36.")
        for scorer in (JsonSchema(SCHEMA), JsonSchema(file), load_scorer(f"schema:{file}")):
            scores = judged(scorer, *texts)
            assert [score.value for score in scores] == [1.0, 0.0, 0.0, 0.0]
            assert scores[0].explanation == "fulfils the schema"
            assert "$.age: -1 is less than" in scores[1].explanation
            assert "no JSON" in scores[3].explanation
        assert JsonSchema(SCHEMA).name == "schema"
        assert JsonSchema(SCHEMA, name="x").name == "x"

    @needs_jsonschema
    def test_formats(self) -> None:
        wanted = {"type": "string", "format": "date"}
        assert values(JsonSchema(wanted), '"tomorrow"') == [1.0]
        assert values(JsonSchema(wanted, formats=True), '"tomorrow"', '"2026-11-22"') == [0.0, 1.0]

    @needs_jsonschema
    def test_slow_patterns_and_remote_references_are_unscored(self) -> None:
        slow, quick = judged(JsonSchema({"pattern": "^(a+)+$"}, seconds=0.5), json.dumps("a" * 40 + "b"), '"aa"')
        assert "longer than 0.5 s" in str(slow.error)
        assert quick.value == 1.0
        [remote] = judged(JsonSchema({"$ref": "http://127.0.0.1:9/schema.json"}), "1")
        assert math.isnan(remote.value)
        assert "Unresolvable" in str(remote.error)

    @needs_jsonschema
    def test_a_limit_is_not_called_a_broken_schema(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Checker, "ask", lambda *_: {"limit": "longer than 2 s"})
        with pytest.raises(UsageError, match="pass more seconds") as caught:
            JsonSchema(SCHEMA)
        assert "no JSON schema" not in str(caught.value)

    @needs_jsonschema
    def test_refused(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(UsageError, match="is no JSON schema"):
            JsonSchema({"type": "person"})
        with pytest.raises(UsageError, match="cannot be read"):
            JsonSchema(tmp_path / "missing.json")
        with pytest.raises(UsageError, match="seconds"):
            JsonSchema(SCHEMA, seconds=-1)


class TestNames:
    @pytest.mark.parametrize("name", ["numeric", "symbolic", "game24", "countdown"])
    def test_rules(self, name: str) -> None:
        scorer: Any = load_scorer(name)
        assert scorer.name == name
        assert isinstance(scorer, Game24) == (name in ("game24", "countdown"))

    def test_patterns_keep_their_signs(self) -> None:
        scorer: Any = load_scorer("regex:a+:b")
        assert scorer.name == "regex:a+:b"
        assert values(scorer, "aa:b", "a") == [1.0, 0.0]
        assert values(load_scorer("regex:" + "a" * 5000), "a" * 5000) == [1.0]

    def test_judges_are_loaded_with_a_prompt_of_their_own(self) -> None:
        pytest.importorskip("torch")
        kinds = {"judge": Judge, "genrm": GenRM, "critic": Critic}
        for prefix, kind in kinds.items():
            scorer: Any = load_scorer(f"{prefix}:bundled")
            assert isinstance(scorer, kind)
            assert scorer.name == f"{prefix}:bundled"
            assert scorer.parameters > 0
        policy: Any = named_module.judging_policy("bundled")
        assert policy.prompt.template == "{question}\n"
        assert policy.encoder.prompt is not None

    def test_the_bundled_model_judges_to_no_end_but_without_a_crash(self) -> None:
        """The tiny model cannot judge: whatever it replies is unscored or a value in [0, 1]."""
        pytest.importorskip("torch")
        policy = named_module.judging_policy("bundled")
        asked = [path("2 + 2 = 4\nAnswer: 4"), path("2 + 2 = 5\nAnswer: 5")]
        for scorer in (Judge(policy, max_tokens=16), GenRM(policy, votes=2, max_tokens=16), GenRM(policy, cot=False)):
            for item, score in zip(asked, asyncio.run(scorer.judge(asked)), strict=True):
                assert not score.scored or 0 <= score.value <= 1
                assert score.tokens <= scorer.count_tokens(item)

    @pytest.mark.parametrize(
        ("name", "options", "words"),
        [
            ("judge:", {}, "is not complete"),
            ("judge:nothing-here", {}, "there is no model"),
            ("regex:(", {}, "no regular expression"),
            ("judge:bundled", {"aggregate": "min"}, "leave aggregate out"),
            ("judge", {}, "there is no scorer 'judge'"),
        ],
    )
    def test_refused(self, name: str, options: dict[str, Any], words: str) -> None:
        with pytest.raises(UsageError, match=words):
            load_scorer(name, **options)
