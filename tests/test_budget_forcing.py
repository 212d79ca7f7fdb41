"""Budget forcing of thinking models."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import Counter

import pytest
from chats import ADD, ChatPolicy
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.budget import Budget
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.run import asolve, solve
from reason.search import budget_forcing
from reason.types import Finish, Outcome, Path, Sampling, Score, UsageError

END = "</think>"
THOUGHTS = ["3 + 4 = 8, 8 + 5 = 13", " no: 3 + 4 = 7, 7 + 5 = 11", " no: 7 + 5 = 12", " yes: 12"]


def thinker(question: str, text: str, draw: random.Random) -> str:
    """Ends its thinking after each thought; goes on with the next after a "Wait"; answers with its last number."""
    thought, ended, said = text.partition(END)
    if ended:
        return (
            f" {thought.split()[-2 if 'Final' in thought else -1]}"
            if said.strip()
            else f"Answer: {thought.split()[-1]}"
        )
    done = text.count("Wait")
    return THOUGHTS[min(done, len(THOUGHTS) - 1)] + "\n" + END + "\n\nAnswer: none of this is reached"


def plain(question: str, text: str, draw: random.Random) -> str:
    """A model without thinking apart: its first solution is wrong, the one after "Wait" is right."""
    return "Answer: 13" if "Wait" not in text else ", 7 + 5 is 12.\nAnswer: 12"


def run(policy: ChatPolicy, search: object, **options: object) -> Outcome:
    [outcome] = solve([ADD], policy=policy, search=search, **options)  # type: ignore[arg-type]
    assert outcome.stopped != "error", outcome.failures
    return outcome


@pytest.mark.parametrize(("waits", "answer"), [(0, "13"), (1, "11"), (2, "12"), (3, "12"), (6, "12")])
def test_the_end_of_thinking_is_taken_back(waits, answer):
    policy = ChatPolicy(thinker)
    outcome = run(policy, budget_forcing(waits=waits))
    assert outcome.answer == answer
    text = outcome.path.text
    assert (text.count("Wait"), text.count(END)) == (waits, 1)
    assert text.startswith(THOUGHTS[0] + "\nWait" if waits else THOUGHTS[0])
    assert text.endswith(f"\n{END}\n\nAnswer: {answer}")
    assert outcome.path.complete


def test_what_was_taken_back_is_no_part_of_the_path_and_what_was_forced_was_not_sampled():
    outcome = run(ChatPolicy(thinker), budget_forcing(waits=1))
    sampled = [step for step in outcome.path.steps if step.token_ids]
    forced = [step.text for step in outcome.path.steps if not step.token_ids]
    assert forced == ["Wait", END + "\n\n"]
    assert [bytes(step.token_ids).decode() for step in sampled[:-1]] == [step.text for step in sampled[:-1]]
    assert len(sampled[-1].token_ids) == len(sampled[-1].text) + 1


def test_every_token_sampled_is_counted_and_no_other():
    policy = ChatPolicy(thinker)
    outcome = run(policy, budget_forcing(waits=2))
    ends = 3 * len(END) + 1
    assert outcome.cost.generated_tokens == sum(map(len, policy.replies)) + ends


def test_thinking_that_is_long_enough_is_left_alone():
    least = len(THOUGHTS[0]) + 5
    outcome = run(ChatPolicy(thinker), budget_forcing(waits=9, least=least))
    assert outcome.path.text.count("Wait") == 1
    assert run(ChatPolicy(thinker), budget_forcing(waits=9, least=1)).path.text.count("Wait") == 0


def test_thinking_that_is_too_long_is_cut_and_the_answer_forced():
    policy = ChatPolicy(lambda q, text, draw: " 12." if text.endswith("Final Answer:") else "hm 7 " * 100 + END)
    outcome = run(policy, budget_forcing(thinking=22))
    assert outcome.path.text == ("hm 7 " * 5)[:22] + f"\n{END}\n\nFinal Answer: 12."
    assert (outcome.answer, outcome.cost.generated_tokens) == ("12", 22 + 5)
    own = run(policy, budget_forcing(thinking=22, answer="Final Answer:", end="[/think]"))
    assert "[/think]\n\nFinal Answer: 12." in own.path.text


def test_the_words_are_the_users():
    def reply(question: str, text: str, draw: random.Random) -> str:
        return " 12" if text.endswith("So:") else ", I see it now" if "Hm" in text else "7<e> never read"

    outcome = run(ChatPolicy(reply), budget_forcing(wait="Hm", end="<e>", thinking=10, answer="So:"))
    assert outcome.path.text == "7\nHm, I see i\n<e>\n\nSo: 12"


def test_thinking_is_never_longer_than_allowed():
    """Chains of different lengths in one batch, each cut at its own limit."""
    lengths = [3, 9, 14, 40]

    def reply(question: str, text: str, draw: random.Random) -> str:
        if END in text:
            return " 1"
        length = draw.choice(lengths) if not text else 5
        return "x" * length + END

    for thinking in (1, 8, 14, 25):
        outcome = run(ChatPolicy(reply), budget_forcing(12, waits=3, thinking=thinking))
        for item in outcome.candidates:
            thought = item.path.text.partition(END)[0].replace("Wait", "").replace("\n", "")
            assert len(thought) <= thinking
            assert ("Final Answer:" in item.path.text) == (len(thought) == thinking)
        assert len(outcome.candidates) == 12


def test_an_end_that_a_limit_of_another_chain_cut_in_two_is_found():
    """In the second round 15 of 20 tokens are left to chain x, and chain a's end of thinking begins at its 12th."""

    def reply(question: str, text: str, draw: random.Random) -> str:
        if text == "":
            return draw.choice(["a", "x" * 5]) + END
        if text.endswith(END[:4]):
            return END[4:] + "\n\nAnswer: never read"
        if END in text:
            return "\n\nAnswer: 12" if text.startswith("a") else "Answer: 11"
        if text.startswith("x"):
            return END
        return "b" * 11 + END

    for seed in range(20):
        outcome = run(ChatPolicy(reply), budget_forcing(2, thinking=20), seed=seed)
        texts = sorted(item.path.text for item in outcome.candidates)
        if [text[0] for text in texts] == ["a", "x"]:
            break
    assert texts[0] == f"a\nWait{'b' * 11}{END}\n\nAnswer: 12"
    assert texts[1] == f"xxxxx\nWait\n{END}\n\nAnswer: 11"


def test_an_end_that_stands_in_the_forced_words_is_not_taken_for_the_models():
    policy = ChatPolicy(lambda q, text, draw: "so 12" if "a\n\n" in text else "hm" + "a")
    outcome = run(policy, budget_forcing(end="a", thinking=20))
    assert outcome.path.text == "hm\nWaithm\na\n\nso 12"


@pytest.mark.parametrize(("waits", "answer"), [(0, "13"), (1, "12"), (2, "12")])
def test_models_without_thinking_apart_have_the_end_of_the_solution_taken_back(waits, answer):
    outcome = run(ChatPolicy(plain), budget_forcing(end="", waits=waits))
    assert outcome.answer == answer
    assert outcome.path.text.count("\nWait") == waits
    assert END not in outcome.path.text
    assert outcome.path.complete


def test_an_end_of_sequence_inside_the_thinking_is_its_end():
    outcome = run(ChatPolicy(lambda q, text, draw: " 12" if END in text else "I give up"), budget_forcing(waits=1))
    assert outcome.path.text == f"I give up\nWaitI give up\n{END}\n\n 12"


def test_a_solution_stays_if_what_follows_fails_or_is_cut():
    for error in (lambda path: bool(path.steps), None):
        policy = ChatPolicy(plain, error=error)
        sampling = Sampling() if error else Sampling(max_tokens=len("Answer: 13\nWait") + 8)
        outcome = run(policy, budget_forcing(end=""), retries=0, sampling=sampling)
        assert (outcome.path.text, outcome.path.finish) == ("Answer: 13", Finish.STOP)
    cut = run(ChatPolicy(plain), budget_forcing(end=""), budget=Budget(tokens=14))
    assert (cut.answer, cut.stopped, len(cut.candidates)) == ("13", "budget", 1)


def test_thinking_stays_if_its_answer_fails():
    policy = ChatPolicy(thinker, error=lambda path: END in path.text)
    outcome = run(policy, budget_forcing(), retries=0)
    assert outcome.path.text.startswith(THOUGHTS[0])
    cut = run(policy, budget_forcing(thinking=10), retries=0)
    assert (cut.path.text, cut.path.finish) == (THOUGHTS[0][:10], Finish.LENGTH)
    assert run(ChatPolicy(thinker, error=lambda path: True), budget_forcing(3), retries=0).candidates == ()


def test_a_run_without_room_for_the_answer_keeps_the_thinking():
    outcome = run(ChatPolicy(thinker), budget_forcing(), sampling=Sampling(max_tokens=12))
    assert (outcome.path.text, outcome.path.finish) == (THOUGHTS[0][:12], Finish.LENGTH)


def test_chains_are_independent_and_vote():
    def reply(question: str, text: str, draw: random.Random) -> str:
        return f"Answer: {draw.choice([12, 12, 13, 14])}" if END in text else "hm" + END

    outcome = run(ChatPolicy(reply), budget_forcing(15))
    votes = Counter(item.answer for item in outcome.candidates)
    assert sum(votes.values()) == 15
    assert (outcome.answer, outcome.confidence) == ("12", votes["12"] / 15)


def test_a_scorer_may_choose():
    class Likes13:
        async def judge(self, paths: list[Path]) -> list[Score]:
            return [Score(float("13" in path.text)) for path in paths]

    def reply(question: str, text: str, draw: random.Random) -> str:
        return f"Answer: {draw.choice([12, 12, 13])}" if END in text else "hm" + END

    for select in ("naive", "weighted"):
        assert run(ChatPolicy(reply), budget_forcing(9, select=select), scorer=Likes13()).answer == "13"
        assert budget_forcing(2, select=select).needs == {"partial", "scorer"}


def test_a_policy_that_cannot_continue_is_refused():
    with pytest.raises(UsageError, match="partial"):
        run(ChatPolicy(thinker, partial=False), budget_forcing())
    assert budget_forcing().needs == {"partial"}


def test_backends_without_token_ids_are_forced_too():
    outcome = run(ChatPolicy(thinker, token_ids=False), budget_forcing(waits=2))
    assert outcome.answer == "12"


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**63),
    n=st.integers(1, 6),
    waits=st.integers(0, 2),
    thinking=st.sampled_from([None, 5, 30, 60]),
    end=st.sampled_from([END, ""]),
    tokens=st.sampled_from([None, 1, 40, 90, 200]),
    failing=st.booleans(),
)
def test_the_same_under_any_concurrency_and_within_budget(seed, n, waits, thinking, end, tokens, failing):
    problems = fake_problems(3)

    def outcomes(which: slice, concurrency: int, use: str) -> list[object]:
        policy = FakePolicy(accuracy=0.6, error=lambda path: "flaky" if failing and path.seed % 4 == 0 else None)
        search = budget_forcing(n, waits=waits, thinking=thinking, end=end, select="naive")
        given = {"policy": policy, "search": search, "scorer": FakeScorer()}
        options = {**given, "seed": seed, "concurrency": concurrency, "budget": Budget(tokens=tokens), "retries": 0}
        found = solve(problems[which], **options) if use == "solve" else asyncio.run(asolve(problems[which], **options))
        for outcome in found:
            assert outcome.stopped in ("done", "budget"), outcome.failures
            assert len(outcome.candidates) <= n
            assert outcome.cost.generated_tokens <= (tokens or 10**9)
            texts = {item.answer for item in outcome.candidates}
            assert outcome.answer in texts | {None}
            assert outcome.answer is not None or not any(texts)
            assert all(item.path.text.count("Wait") <= waits for item in outcome.candidates)
        kept = [dataclasses.replace(o.cost, seconds=0, scored_tokens=0) for o in found]
        return [(o.answer, o.candidates, o.stopped, cost) for o, cost in zip(found, kept, strict=True)]

    together = outcomes(slice(0, 3), 3, "solve")
    apart = [outcomes(slice(i, i + 1), 1, "asolve")[0] for i in range(3)]
    assert repr(together) == repr(apart)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"waits": -1}, "waits=-1"),
        ({"least": 0}, "least=0"),
        ({"thinking": 0}, "thinking=0"),
        ({"least": 9, "thinking": 8}, "least=9 with thinking=8: least may not exceed thinking"),
        ({"wait": ""}, "wait=''"),
        ({"answer": ""}, "answer=''"),
        ({"end": None}, "end=None"),
        ({"select": "best"}, "select='best'"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(UsageError, match=message):
        budget_forcing(**options)
