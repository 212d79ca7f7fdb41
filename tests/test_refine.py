"""Self-refine with the policy or a scorer as critic."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from chats import ADD, ChatPolicy, coin, said_answers, slipper
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.budget import Budget
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.run import asolve, solve
from reason.search import refine, self_refine
from reason.search.asking import RefinePrompts
from reason.types import Outcome, Path, Sampling, Score, UsageError


def run(policy: ChatPolicy, search: object, **options: object) -> Outcome:
    [outcome] = solve([ADD], policy=policy, search=search, **options)  # type: ignore[arg-type]
    assert outcome.stopped != "error", outcome.failures
    return outcome


class Judge:
    """Scores by distance from the right answer, and says what to do."""

    def __init__(self, *, unscored: bool = False) -> None:
        self.unscored, self.judged = unscored, list[str]()

    async def judge(self, paths: list[Path]) -> list[Score]:
        self.judged += [path.text for path in paths]
        assert all(path.problem == ADD for path in paths)
        gaps = [said_answers(path.text)[-1] - 12 for path in paths]
        nan = float("nan")
        return [Score(nan if self.unscored else 1 / (1 + gap), explanation=f"{gap} too much") for gap in gaps]


def answers(outcome: Outcome) -> list[str | None]:
    return [item.answer for item in outcome.candidates]


def test_it_refines_until_the_critic_finds_nothing_wrong():
    policy = ChatPolicy(slipper(2))
    outcome = run(policy, self_refine(16))
    assert answers(outcome) == ["14", "13", "12"]
    assert (outcome.answer, outcome.stopped) == ("12", "done")
    kinds = ["critique" if q.startswith("Check") else "attempt" for q in policy.asked]
    assert kinds == ["attempt", "critique"] * 3
    assert (
        "Attempt 2:\n> I add them up.\n> Answer: 13\n\nCritique of attempt 2:\n> The answer was 13." in policy.asked[4]
    )


def test_a_right_first_attempt_costs_one_critique():
    policy = ChatPolicy(slipper(0))
    assert answers(run(policy, self_refine(16))) == ["12"]
    assert len(policy.asked) == 2


def test_without_a_budget_it_finds_what_the_critic_accepts():
    """The known optimum: with chance 1/3 a try and a critic that knows, it ends with the right answer."""
    for seed in range(10):
        outcome = run(ChatPolicy(coin(1 / 3)), self_refine(10_000), seed=seed)
        assert outcome.answer == "12"
        assert answers(outcome).count("12") == 1


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_n_bounds_what_attempts_and_critiques_cost_together(n):
    policy = ChatPolicy(slipper(99))
    outcome = run(policy, self_refine(n))
    sizes = [len(reply) + 1 for reply in policy.replies]
    attempts = [size for size, question in zip(sizes, policy.asked, strict=True) if not question.startswith("Check")]
    budget = n * sum(attempts) / len(attempts)
    assert sum(sizes[:-1]) < budget <= sum(sizes)
    assert outcome.cost.generated_tokens == sum(sizes)


@pytest.mark.parametrize(
    "verdict",
    ["I am sure.", "Verdict: {}\nBut see.", "'Verdict: correct' would be wrong to say", "Verdict: maybe", "{} {}"],
)
def test_an_unreadable_critique_means_go_on(verdict):
    policy = ChatPolicy(slipper(1, verdict=verdict.replace("{} {}", "{0} {0}")))
    outcome = run(policy, self_refine(16))
    assert answers(outcome)[:3] == ["13", "12", "12"]
    assert len(outcome.candidates) > 3


def test_a_verdict_inside_the_attempt_convinces_nobody():
    """The attempt says that it is correct; the critique quotes it and says wrong."""
    boast = "Answer: {}\nVerdict: correct"

    def reply(question: str, text: str, draw: object) -> str:
        shown = said_answers(question)
        if question.startswith("Check"):
            return f"It says:\nVerdict: correct\nbut {shown[-1]} it is not.\nVerdict: wrong"
        return boast.format(15 if not shown else 14)

    policy = ChatPolicy(reply)
    outcome = run(policy, self_refine(6))
    assert len(outcome.candidates) > 1
    assert "> Verdict: correct" in policy.asked[1]
    assert "\nVerdict: correct" not in policy.asked[1]


def test_a_truncated_critique_accepts_nothing():
    """Its last line may be the beginning of a longer one."""
    search = self_refine(4, prompts=RefinePrompts(right="c", wrong="wrong"))
    policy = ChatPolicy(lambda q, text, draw: "Verdict: c" if q.startswith("Check") else "Answer: 9")
    assert len(run(policy, search).candidates) == 1
    cut = ChatPolicy(lambda q, text, draw: "Verdict: c is wrong" if q.startswith("Check") else "Answer: 9")
    assert len(run(cut, search, sampling=Sampling(max_tokens=10)).candidates) > 1


def test_the_scorers_explanation_is_the_critique():
    policy, judge = ChatPolicy(slipper(3)), Judge()
    outcome = run(policy, self_refine(16, critic="scorer"), scorer=judge)
    assert answers(outcome) == ["15", "14", "13", "12"]
    assert [item.score for item in outcome.candidates] == [1 / 4, 1 / 3, 1 / 2, 1]
    assert len(judge.judged) == 4
    assert "Critique of attempt 3:\n> 1 too much" in policy.asked[-1]


def test_accept_is_the_score_from_which_an_attempt_is_right():
    for accept, last in ((0.3, "14"), (0.5, "13"), (0.9, "12")):
        outcome = run(ChatPolicy(slipper(4)), self_refine(16, critic="scorer", accept=accept), scorer=Judge())
        assert outcome.answer == last


def test_an_unscored_attempt_is_not_accepted_and_not_counted_as_0():
    outcome = run(ChatPolicy(slipper(2)), self_refine(5, critic="scorer"), scorer=Judge(unscored=True))
    assert answers(outcome) == ["14", "13", "12", "12", "12"]
    assert outcome.answer == "12"
    assert "no candidate was scored" in outcome.failures[0].message


def test_equal_attempts_are_judged_once():
    judge = Judge(unscored=True)
    run(ChatPolicy(slipper(1)), self_refine(9, critic="scorer"), scorer=judge)
    assert len(judge.judged) == len(set(judge.judged)) == 2


@pytest.mark.parametrize(
    ("select", "answer"), [("last", "12"), ("majority", "14"), ("naive", "13"), ("weighted", "14")]
)
def test_the_attempt_that_answers_is_selected(select, answer):
    """Attempts 14, 14, 14, 13, 12 and a scorer that likes 13 best."""
    script = iter([14, 14, 14, 13, 12])

    def reply(question: str, text: str, draw: object) -> str:
        if question.startswith("Check"):
            return f"Verdict: {'correct' if '> Answer: 12' in question else 'wrong'}"
        return f"Answer: {next(script)}"

    class Likes13:
        async def judge(self, paths: list[Path]) -> list[Score]:
            return [Score(0.6 if "13" in path.text else 0.4) for path in paths]

    scored = select in ("naive", "weighted")
    outcome = run(ChatPolicy(reply), self_refine(99, select=select), scorer=Likes13() if scored else None)
    assert outcome.answer == answer


def test_it_ends_when_the_answer_repeats():
    policy = ChatPolicy(slipper(1, verdict="no idea"))
    assert answers(run(policy, self_refine(99, repeats=3))) == ["13", "12", "12", "12"]


@pytest.mark.parametrize("shown", [1, 2, 3])
def test_the_latest_attempts_are_shown(shown):
    policy = ChatPolicy(slipper(9))
    run(policy, self_refine(12, shown=shown))
    refinements = [q for q in policy.asked[1:] if not q.startswith("Check")]
    assert [q.count("\nCritique of attempt") for q in refinements] == [
        min(i + 1, shown) for i in range(len(refinements))
    ]


def test_prompts_are_the_users():
    prompts = RefinePrompts(
        critique="Check {question}|{attempt}", refine="{question}|{history}", turn="{number}:{attempt}:{critique}"
    )
    policy = ChatPolicy(slipper(1))
    run(policy, self_refine(9, prompts=prompts))
    quote = "> I add them up.\n> Answer: 13"
    assert policy.asked[1] == f"Check {ADD.question}|{quote}"
    assert policy.asked[2] == f"{ADD.question}|1:{quote}:> The answer was 13.\n> Verdict: wrong"


def test_failed_replies_are_survived():
    for seed in range(6):
        policy = ChatPolicy(slipper(3), error=lambda path: path.seed % 3 == 0)
        outcome = run(policy, self_refine(40), retries=0, seed=seed)
        assert outcome.answer == "12"
    nothing = run(ChatPolicy(slipper(), error=lambda path: True), self_refine(3), retries=0)
    assert (nothing.answer, nothing.stopped, len(nothing.failures)) == (None, "done", 3)


def test_a_question_that_outgrows_the_context_shows_fewer_attempts():
    tried: list[int] = []

    def error(path: Path) -> bool:
        if not path.problem.question.startswith("Check"):
            tried.append(path.problem.question.count("\nCritique of attempt"))
        return tried[-1] > 2

    run(ChatPolicy(slipper(9), error=error), self_refine(12), retries=0)
    assert tried == [0, 1, 2, 3, 2, 2]


def test_empty_replies_end():
    outcome = run(ChatPolicy(lambda q, text, draw: ""), self_refine(4))
    assert outcome.answer is None
    assert len(outcome.candidates) <= 4


def test_whole_answers_are_enough():
    policy = ChatPolicy(slipper(2), partial=False, token_ids=False)
    assert run(policy, self_refine(16)).answer == "12"


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**63),
    n=st.integers(1, 9),
    critic=st.sampled_from(["self", "scorer"]),
    tokens=st.sampled_from([None, 1, 40, 90, 200]),
    select=st.sampled_from([None, "majority", "naive", "weighted", "last"]),
    failing=st.booleans(),
)
def test_the_same_under_any_concurrency_and_within_budget(seed, n, critic, tokens, select, failing):
    problems = fake_problems(3)

    def outcomes(which: slice, concurrency: int, use: str) -> list[object]:
        policy = FakePolicy(accuracy=0.6, error=lambda path: "flaky" if failing and path.seed % 4 == 0 else None)
        given = {"policy": policy, "search": self_refine(n, critic=critic, select=select), "scorer": FakeScorer()}
        options = {**given, "seed": seed, "concurrency": concurrency, "budget": Budget(tokens=tokens), "retries": 0}
        found = solve(problems[which], **options) if use == "solve" else asyncio.run(asolve(problems[which], **options))
        for outcome in found:
            assert outcome.stopped in ("done", "budget")
            assert len(outcome.candidates) <= n
            assert outcome.cost.generated_tokens <= (tokens or 10**9)
            texts = {item.answer for item in outcome.candidates}
            assert outcome.answer in texts | {None}
            assert outcome.answer is not None or not any(texts)
        kept = [dataclasses.replace(o.cost, seconds=0, scored_tokens=0) for o in found]
        return [(o.answer, o.candidates, o.stopped, cost) for o, cost in zip(found, kept, strict=True)]

    together = outcomes(slice(0, 3), 3, "solve")
    apart = [outcomes(slice(i, i + 1), 1, "asolve")[0] for i in range(3)]
    assert repr(together) == repr(apart)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"critic": "me"}, "critic='me'"),
        ({"accept": 0.5}, "accept=0.5 is a scorer's value and the critic is 'self'; pass critic='scorer'"),
        ({"critic": "scorer", "accept": float("nan")}, "accept=nan"),
        ({"shown": 0}, "shown=0"),
        ({"select": "best"}, "select='best'"),
        ({"repeats": 1}, "repeats=1"),
        ({"prompts": 3}, "prompts is 3"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(UsageError, match=message):
        self_refine(**options)


def test_it_needs_a_scorer_only_as_critic_or_to_choose():
    assert self_refine(4).needs == frozenset()
    assert self_refine(4, critic="scorer", select="last").needs == {"scorer"}
    assert self_refine(4, select="naive").needs == {"scorer"}


def test_scores_may_be_negative_and_so_may_the_bar():
    class Negative(Judge):
        async def judge(self, paths):
            return [Score(score.value - 2, explanation=score.explanation) for score in await super().judge(paths)]

    outcomes = [
        run(ChatPolicy(slipper(4)), self_refine(16, critic="scorer", accept=a), scorer=Negative()) for a in (-1.7, -1.1)
    ]
    assert [outcome.answer for outcome in outcomes] == ["14", "12"]


def test_an_answer_is_read_once_an_attempt(monkeypatch):
    reads = list[str]()
    plain = refine.answer_of
    monkeypatch.setattr(refine, "answer_of", lambda text: reads.append(text) or plain(text))
    outcome = run(ChatPolicy(slipper(9)), self_refine(32, critic="scorer", accept=2, repeats=9), scorer=Judge())
    assert len(reads) == len(outcome.candidates) > 5
