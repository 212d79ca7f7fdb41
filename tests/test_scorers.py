"""Reward models of our own format: equal to a plain full forward pass, and every token passes once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path as FilePath
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_scorers import (
    EOS,
    PATHS,
    TOKENIZER,
    byte_tokenizer,
    judge,
    own_parts,
    path,
    plain_values,
    sentence_tokenizer,
    step,
    tokens_of,
)

from reason import Sampling, solve
from reason.policies.fake import FakePolicy, fake_problems
from reason.scorers import load_scorer, save_scorer
from reason.scorers.render import Speller, line_ends
from reason.search import STRATEGIES
from reason.types import BackendError, Finish, Path, Problem, Step


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
        raise RuntimeError("a kernel is missing")

    monkeypatch.setattr(scorer._reader._prefix, "forward", fail)
    with pytest.raises(BackendError, match="a kernel is missing"):
        judge(scorer, PATHS)


def test_too_little_memory_for_all_at_once_halves_the_batch(own: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer: Any = load_scorer(own)
    forward, sizes = scorer._reader._prefix.forward, []

    def limited(sequences: Any) -> Any:
        sizes.append(len(sequences))
        if len(sequences) > limit:
            raise torch.OutOfMemoryError("out of memory")
        return forward(sequences)

    monkeypatch.setattr(scorer._reader._prefix, "forward", limited)
    limit = 2
    scores = judge(scorer, PATHS)
    assert sizes == [5, 2, 3, 1, 2]
    assert [score.value for score in scores] == pytest.approx([plain_values(one)[-1] for one in PATHS], abs=1e-5)
    limit = 0
    with pytest.raises(BackendError, match="out of memory"):
        judge(scorer, PATHS)


def test_a_cancelled_call_stops_between_pieces(own: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reason.scorers.render._PIECE_CHARACTERS", 1)
    scorer: Any = load_scorer(own)
    calls: list[int] = []
    forward = scorer._reader._prefix.forward

    async def cancelled() -> None:
        task = asyncio.ensure_future(scorer.judge(PATHS))

        def counted(sequences: Any) -> Any:
            calls.append(len(sequences))
            if len(calls) == 2:
                task.get_loop().call_soon_threadsafe(task.cancel)
            return forward(sequences)

        monkeypatch.setattr(scorer._reader._prefix, "forward", counted)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert len(calls) in (2, 3)
    monkeypatch.setattr(scorer._reader._prefix, "forward", forward)
    assert all(score.scored for score in judge(scorer, PATHS))


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

    def test_tokenizers_that_begin_with_a_space(self) -> None:
        speller = Speller(sentence_tokenizer(), size=400)
        lines = ["ab a\n", "a b\n", " ab"]
        parts = [speller.step(Step(line)) for line in lines]
        assert [speller.tokenizer.decode(ids) for ids in parts] == ["ab a\n", "a b\n", "ab"]
        assert "".join("".join(speller.tokenizer.convert_ids_to_tokens(ids)) for ids in parts) == (
            "ab▁a<0x0A>a▁b<0x0A>▁ab"
        )
        sampled = tuple(speller.tokenizer.convert_tokens_to_ids(["▁", "a", "b"]))
        assert speller.step(Step(" ab", sampled)) == sampled
        assert speller.step(Step("ab", sampled)) == speller.spell("ab") != sampled

    def test_a_stop_string_that_was_cut_is_not_read(self, own: FilePath) -> None:
        line = Step("Answer: 3", tuple(TOKENIZER.encode("Answer: 3\nQ:")), finish=Finish.STOP)
        policy = SimpleNamespace(tokenizer=byte_tokenizer())
        scorer: Any = load_scorer(own, policy=policy)  # type: ignore[arg-type]
        assert scorer._form.render(Path(Problem("Q", "Q"), (line,))).tokens[2:] == (*TOKENIZER.encode("Answer: 3"), EOS)

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


def test_parameters_and_name(own: FilePath) -> None:
    scorer: Any = load_scorer(own)
    backbone, head = own_parts()
    assert scorer.parameters == sum(w.numel() for module in (backbone, head) for w in module.parameters())
    assert scorer.name == str(own)


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_best_of_n", "beam", "mcts"])
def test_searches_score_no_more_than_they_generate(own: FilePath, strategy: str) -> None:
    problems = fake_problems(4, terms=5)
    prompts = sum(len(problem.question) + 1 for problem in problems)
    outcomes = solve(
        problems,
        policy=FakePolicy(),
        search=STRATEGIES[strategy](16),
        scorer=load_scorer(own),
        sampling=Sampling(max_tokens=120),
    )
    generated = sum(outcome.cost.generated_tokens for outcome in outcomes)
    assert 0 < sum(outcome.cost.scored_tokens for outcome in outcomes) <= generated + prompts
    assert not any(outcome.failures for outcome in outcomes)
    assert all(candidate.score == candidate.score for outcome in outcomes for candidate in outcome.candidates)
