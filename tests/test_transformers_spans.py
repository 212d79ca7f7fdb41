"""Spans, reopened and forced paths, confidences, choices: exact, against runs that were never cut and plain passes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_models import CONTEXT, QUESTIONS, VOCAB, language_model, path, tokenizer

from reason.budget import Budget
from reason.policies import engine as engine_module
from reason.policies.decode import DecodePlan
from reason.policies.transformers import TransformersPolicy
from reason.prompts import Prompt
from reason.run import solve
from reason.types import Candidate, Finish, Outcome, Path, Problem, Sampling, Step, Until, UsageError
from reason.work import SearchRun, extend

SAMPLED = Sampling(temperature=1.0, max_tokens=40)
PATHS = [path(question, seed) for seed in range(12) for question in QUESTIONS]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def make(name: str = "qwen2", **settings: Any) -> TransformersPolicy:
    return TransformersPolicy(language_model(name), tokenizer(), prompt=Prompt(), **{"memory_gib": 0.05, **settings})


def extended(policy: TransformersPolicy, paths: Sequence[Path], sampling: Sampling) -> list[Path]:
    """The paths with their next steps; they keep their seeds."""
    steps = asyncio.run(policy.extend(paths, sampling))
    return [at.then(step).seeded(at.seed) for at, step in zip(paths, steps, strict=True)]


def logits_of(name: str, at: Path, tokens: Sequence[int]) -> torch.Tensor:
    """The plain model's logits at the places of the last `tokens` of the path's question and `tokens`."""
    prompt = Prompt().render(at.problem.question, tokenizer())
    with torch.no_grad():
        logits: torch.Tensor = language_model(name)(torch.tensor([[*prompt, *tokens]]), use_cache=False).logits[0]
    return logits[len(prompt) - 1 : -1].float()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_spans_add_up_to_the_whole_even_inside_characters(size: int) -> None:
    policy, span = make(), replace(SAMPLED, until=Until.SPAN, max_step_tokens=size)
    whole = extended(make(), PATHS, SAMPLED)
    paths, sizes = list(PATHS), set()
    while any(at.open for at in paths):
        going = [at for at in paths if at.open]
        found = {id(at): new for at, new in zip(going, extended(policy, going, span), strict=True)}
        paths = [found.get(id(at), at) for at in paths]
        sizes |= {len(new.steps[-1].token_ids) for new in found.values() if new.open}
    assert sizes == {size}
    assert [at.token_ids for at in paths] == [at.token_ids for at in whole]
    assert [at.text for at in paths] == [at.text for at in whole]
    assert [at.finish for at in paths] == [at.finish for at in whole]
    assert any(not step.text and step.token_ids for at in paths for step in at.steps[:-1]) or size > 1


def test_spans_ignore_step_ends_and_heed_stop_strings() -> None:
    span = replace(SAMPLED, until=Until.SPAN, max_step_tokens=30, step_end=("=",))
    spans = extended(make(), PATHS, span)
    assert any("=" in at.text[:-1] for at in spans)
    stopped = extended(make(), PATHS, replace(span, stop=("=",)))
    assert all("=" not in at.text for at in stopped)
    assert any(at.complete for at in stopped)


@pytest.mark.parametrize("stop", ["=", " ", "1", "+ 2", "Answer:"])
def test_reopening_after_a_stop_string_goes_on_as_if_it_had_never_ended(stop: str) -> None:
    free = extended(make(), PATHS, SAMPLED)
    ended = extended(make(), PATHS, replace(SAMPLED, stop=(stop,)))
    pairs = [both for both in zip(ended, free, strict=True) if both[0].token_ids != both[1].token_ids]
    assert stop != "=" or len(pairs) > 5
    again = extended(make(), [at.reopened().seeded(at.seed) for at, _ in pairs], SAMPLED)
    for (at, whole), gone_on in zip(pairs, again, strict=True):
        step, reopened = at.steps[-1], at.reopened()
        assert reopened.open
        assert 0 <= step.tail <= len(step.token_ids)
        assert len(reopened.token_ids) == len(at.token_ids) - step.tail
        words = tokenizer().decode(reopened.token_ids)
        assert words.startswith(at.text.rstrip("\ufffd"))
        assert len(tokenizer().decode(reopened.token_ids[:-1]).rstrip("\ufffd")) < len(at.text) or not at.text
        assert gone_on.token_ids == whole.token_ids
        torch.testing.assert_close(_logprobs(gone_on), _logprobs(whole), **TOLERANCE)
        if words == at.text:  # the stop string began with a token
            assert gone_on.text == whole.text


def test_a_stop_string_that_begins_inside_a_token_keeps_the_token() -> None:
    words = make().vocabulary
    tokens = tokenizer().encode("Answer: 7")
    assert words.tail([], tokens, "Answer: 7") == 0
    assert words.tail([], tokens, "") == len(tokens)
    pieces = [words.text([], [token]) for token in tokens]
    long = next(at for at, piece in enumerate(pieces) if len(piece) > 1)
    inside = "".join(pieces[:long]) + pieces[long][0]
    assert words.tail([], tokens, inside) == len(tokens) - long - 1


def _logprobs(at: Path) -> torch.Tensor:
    return torch.tensor([value for step in at.steps for value in step.logprobs])


def test_reopening_after_the_end_token_and_forcing_text_goes_on_as_if_it_had_never_ended() -> None:
    free = extended(make(), [path(QUESTIONS[0], seed) for seed in range(200)], replace(SAMPLED, max_tokens=30))
    ended = [at for at in free if at.complete][:8]
    assert ended
    for at in ended:
        assert at.steps[-1].tail == 1
        reopened = at.reopened()
        assert (reopened.text, reopened.token_ids) == (at.text, at.token_ids[:-1])
        forced = reopened.forced(" Wait, é").seeded(3)
        never = Path(at.problem, (Step(at.text, at.token_ids[:-1]),)).forced(" Wait, é").seeded(3)
        [again], [other] = extended(make(), [forced], SAMPLED), extended(make(), [never], SAMPLED)
        assert again.steps[-1] == other.steps[-1]
        tokens = [*at.token_ids[:-1], *tokenizer().encode(" Wait, é"), *again.steps[-1].token_ids]
        expected = logits_of("qwen2", at, tokens).log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]
        count = len(again.steps[-1].token_ids)
        torch.testing.assert_close(torch.tensor(again.steps[-1].logprobs), expected[-count:], **TOLERANCE)
        assert again.text == at.text + " Wait, é" + again.steps[-1].text


def test_forced_text_counts_exactly_for_the_length() -> None:
    policy, text = make(), "Answer: 7 €\n"
    size = len(tokenizer().encode(text))
    assert policy.count_tokens(text) == size

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem).forced(text)] * 20)
        return Outcome(problem, None, None, candidates=tuple(Candidate(at, None) for at in paths))

    [outcome] = solve([Problem("a", QUESTIONS[0])], policy=policy, search=run, sampling=replace(SAMPLED, max_tokens=20))
    lengths = {len(c.path.steps[-1].token_ids) for c in outcome.candidates if c.path.finish is Finish.LENGTH}
    assert lengths == {20 - size}
    assert outcome.cost.generated_tokens == sum(len(c.path.token_ids) for c in outcome.candidates)


@pytest.mark.parametrize("name", ["qwen2", "gemma2"])
def test_confidences_equal_a_plain_computation(name: str) -> None:
    policy, kinds = make(name, max_rows=5), (0, 1, 3, VOCAB - 1, VOCAB + 5, -1)

    async def main() -> list[list[Step]]:
        calls = [policy.extend(PATHS[:4], replace(SAMPLED, confidence=kind)) for kind in kinds]
        return await asyncio.gather(*calls)

    for kind, steps in zip(kinds, asyncio.run(main()), strict=True):
        for at, step in zip(PATHS[:4], steps, strict=True):
            if not kind:
                assert step.confidences == ()
                continue
            logprobs = logits_of(name, at, step.token_ids).log_softmax(-1)
            top = logprobs.topk(min(kind, VOCAB) if kind > 0 else VOCAB, dim=-1).values
            torch.testing.assert_close(torch.tensor(step.confidences), -top.mean(-1), **TOLERANCE)
    assert policy.capabilities.confidences
    with pytest.raises(UsageError, match="confidence is -2"):
        extended(policy, PATHS[:1], replace(SAMPLED, confidence=-2))


def test_confidences_are_computed_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("nobody asked")

    monkeypatch.setattr(engine_module, "confidences", never)
    assert extended(make(), PATHS[:3], SAMPLED)


OPTIONS = (" Yes", " No", "", "7 €\n", "Answer: 12 and some more")


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", ["qwen2", "gemma2", "gpt2"])
def test_choices_equal_a_plain_forward_pass(name: str, plain: bool) -> None:
    policy = make(name, plain_attention=plain)
    paths = [*PATHS[:4], *extended(policy, PATHS[4:8], replace(SAMPLED, until=Until.SPAN, max_step_tokens=9))]
    paths += [at.forced("Wait").then(Step("\n", (tokenizer().encode("\n")[0],))) for at in PATHS[:2]]
    found = asyncio.run(policy.choices(paths, OPTIONS))
    for at, odds in zip(paths, found, strict=True):
        before = [t for step in at.steps for t in step.token_ids or tokenizer().encode(step.text)]
        for option, value in zip(OPTIONS, odds, strict=True):
            tokens = tokenizer().encode(option)
            logprobs = logits_of(name, at, [*before, *tokens]).log_softmax(-1)[len(before) :]
            expected = float(logprobs.gather(1, torch.tensor(tokens, dtype=torch.long)[:, None]).sum())
            assert value == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert asyncio.run(policy.choices([], OPTIONS)) == []
    assert asyncio.run(policy.choices(paths[:2], ())) == [(), ()]


def test_choices_reuse_prefixes_and_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, fed = make(), list[int]()
    model = policy.model
    counted = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        fed.append(int(kwargs["input_ids"].numel()))
        return counted(*args, **kwargs)

    monkeypatch.setattr(model, "forward", forward)
    paths = extended(policy, PATHS[:8], replace(SAMPLED, until=Until.SPAN, max_step_tokens=9))
    fed.clear()
    used = policy.engine.prefixes.store.used
    first = asyncio.run(policy.choices(paths, (" Yes", " No")))
    sizes = [len(tokenizer().encode(option)) for option in (" Yes", " No")]
    assert fed == [sum(sizes) * len(paths)]
    assert policy.engine.prefixes.store.used == used
    assert asyncio.run(policy.choices(paths, (" Yes", " No"))) == first


def test_choices_in_little_memory_and_beyond_the_context() -> None:
    paths = [path(f"{a} + {b}") for a in range(9) for b in range(9)]
    ample = asyncio.run(make().choices(paths, OPTIONS))
    scarce = asyncio.run(make(memory_gib=0.0003).choices(paths, OPTIONS))
    for one, other in zip(ample, scarce, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4)
    long = path("x" * (2 * CONTEXT))
    odds = asyncio.run(make().choices([long, paths[0]], (" Yes",)))
    assert math.isnan(odds[0][0])
    assert odds[1] == pytest.approx(ample[0][:1], rel=1e-4)


@pytest.mark.parametrize("seconds", [False, True])
def test_what_is_cancelled_in_a_stream_is_counted(seconds: bool) -> None:
    def run(problem: Problem) -> SearchRun:
        decided = None if seconds else lambda steps: any(step is not None for step in steps)
        paths = yield from extend([Path(problem)] * 12, enough=decided)
        return Outcome(problem, None, None, candidates=tuple(Candidate(at, None) for at in paths))

    policy = make()
    budget = Budget(seconds=0.15) if seconds else Budget()
    sampling = replace(SAMPLED, max_tokens=150)
    [outcome] = solve([Problem("a", QUESTIONS[0])], policy=policy, search=run, sampling=sampling, budget=budget)
    cut = [c.path for c in outcome.candidates if c.path.finish in (Finish.CANCELLED, Finish.BUDGET)]
    assert cut or seconds
    assert all(at.token_ids for at in cut) or seconds
    assert outcome.cost.generated_tokens == sum(len(c.path.token_ids) for c in outcome.candidates) > 0


def test_after_running_out_of_memory_more_rows_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    write, most = DecodePlan.write, [5]

    def limited(self: DecodePlan, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        if self.count > most[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        write(self, layer, keys, values)

    monkeypatch.setattr(DecodePlan, "write", limited)
    monkeypatch.setattr(engine_module, "_CALM_STEPS", 4)
    paths, sampling = PATHS[:16], replace(SAMPLED, max_tokens=12)
    expected = [at.token_ids for at in extended(make(), paths, sampling)]
    policy = make(max_rows=16)
    assert [at.token_ids for at in extended(policy, paths, sampling)] == expected
    assert policy.engine.max_rows < 16
    most[0] = 1000
    for _ in range(4):
        assert [at.token_ids for at in extended(policy, paths, sampling)] == expected
    assert policy.engine.max_rows == 16
