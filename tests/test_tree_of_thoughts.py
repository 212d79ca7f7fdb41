"""Tree of thoughts on a scripted chat model that plays the game of 24, and on one that adds."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import random
import re
from collections import Counter
from fractions import Fraction

import pytest
from chats import (
    ABC,
    EASY,
    PUZZLES,
    ChatPolicy,
    Puzzler,
    asked,
    coin,
    expression,
    kind,
    right,
    scripted,
    solvable,
    solved,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.answers import vote
from reason.budget import Budget
from reason.policies.fake import FakePolicy, fake_problems
from reason.run import asolve, solve
from reason.search import cot, tree_of_thoughts
from reason.types import Finish, Path, Problem, Step, UsageError


def left_of(path: Path) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, re.findall(r"\(left: ([^)]*)\)", path.text)[-1].split()))


@pytest.mark.parametrize("search", ["bfs", "dfs"])
@pytest.mark.parametrize("evaluate", ["value", "vote"])
def test_with_every_move_and_a_judge_that_knows_every_puzzle_is_solved(search, evaluate):
    """The known optimum; the last one is (8 / (3 - 8 / 3)), which needs fractions."""
    strategy = tree_of_thoughts(10_000, search=search, evaluate=evaluate, propose=99, depth=3, votes=1)
    policy = ChatPolicy(Puzzler(99))
    for outcome in solve(PUZZLES, policy=policy, search=strategy):
        assert right(outcome.path), outcome.path
        assert outcome.path.complete
        steps = [step.text for step in outcome.path.steps]
        assert [solvable(left_of(Path(EASY, (Step(step),)))) for step in steps[:3]] == [True] * 3
        assert outcome.answer == f"{expression(steps[:3])} = 24"


def test_breadth_first_solves_what_chain_of_thought_does_not():
    """As in the paper: b = 5 and a good but fallible judge."""
    chains = solve(PUZZLES, policy=ChatPolicy(Puzzler()), search=cot(greedy=False))
    trees = solve(PUZZLES, policy=ChatPolicy(Puzzler(12, 0.9)), search=tree_of_thoughts(100, keep=5, depth=3), seed=1)
    assert sum(right(outcome.path) for outcome in chains) == 0
    assert sum(right(outcome.path) for outcome in trees) >= 4


def test_a_breadth_first_search_asks_as_the_paper_does():
    letters = {"propose": "p", "value": "v", "answer": "a", "check": "c"}
    checked = set()
    for seed in range(12):
        policy = ChatPolicy(Puzzler(4))
        strategy = tree_of_thoughts(10_000, propose=4, keep=2, votes=2, depth=3, select="weighted")
        outcome = solved(policy, strategy, seed=seed)
        plan = "".join(letters[name] for name in asked(policy))
        assert plan.startswith("p" + "v" * 8 + "pp")
        contested = len(vote([candidate.answer for candidate in outcome.candidates])) > 1
        assert re.fullmatch(r"pv+ppv+ppv+aa" + "cccc" * contested, plan)
        assert len(outcome.candidates) == 2
        checked.add(contested)
    assert checked == {True, False}


def test_the_best_states_are_kept():
    """Every state grown is among the best of its level by the judge, which knows."""
    for seed in range(5):
        policy = ChatPolicy(Puzzler(6))
        solved(policy, tree_of_thoughts(10_000, propose=6, keep=3, votes=1, depth=2, select="weighted"), seed=seed)
        shown = [re.findall(r"^> (.*)", question, re.MULTILINE) for question in policy.asked]
        level = {
            steps[-1] for steps, name in zip(shown, asked(policy), strict=True) if name == "value" if len(steps) == 1
        }
        grown = {steps[-1] for steps, name in zip(shown, asked(policy), strict=True) if name == "propose" and steps}
        hope = {step: solvable(left_of(Path(EASY, (Step(step),)))) for step in level}
        assert len(grown) == 3
        assert sum(hope[step] for step in grown) == min(3, sum(hope.values()))


def test_a_solution_judged_best_by_all_ends_the_search():
    policy = scripted({**ABC, "propose": "1. a\n2. Answer: 7"})
    outcome = solved(policy, tree_of_thoughts(1000, depth=3))
    assert outcome.answer == "7"
    assert asked(policy).count("propose") == 1
    voted = scripted({**ABC, "propose": "1. a\n2. Answer: 7"})
    solved(voted, tree_of_thoughts(1000, depth=3, select="majority"))
    assert asked(voted).count("propose") > 1


def test_depth_first_prunes_backtracks_and_stops():
    script = {
        "propose": "1. a\n2. b\n3. c",
        **{f"value {name}": word for name, word in zip("abcdef", "likely sure impossible".split() * 2, strict=True)},
        "propose b": "1. c",
        "propose a": "1. e",
        "answer": "Answer: 1",
        "check": "sure",
    }
    policy = scripted(script)
    outcome = solved(policy, tree_of_thoughts(1000, search="dfs", depth=2))
    assert outcome.path.text == "a\ne\nAnswer: 1"
    grown = [re.findall(r"^> (.*)", q, re.MULTILINE) for q in policy.asked if kind(q) == "propose"]
    assert grown == [[], ["b"], ["a"]]
    assert outcome.tree.pruned[3]


def test_the_threshold_prunes_in_both_searches():
    for search, options in (("bfs", {}), ("dfs", {"solutions": 9})):
        found = [
            {c.path.steps[0].text.strip() for c in solved(scripted({**ABC, "check": "likely"}), strategy).candidates}
            for strategy in (
                tree_of_thoughts(1000, search=search, depth=1, threshold=t, **options) for t in (0.0, 0.5, 1.0)
            )
        ]
        assert found == [{"a", "b", "c"}, {"a", "b"}, {"a"}]


def test_solutions_end_a_depth_first_search():
    for count in (1, 2, 3):
        script = {**ABC, "check": "likely", "value c": "likely"}
        outcome = solved(scripted(script), tree_of_thoughts(1000, search="dfs", depth=1, solutions=count))
        assert len(outcome.candidates) == count


def test_keep_bounds_the_states_of_a_level_and_the_children_that_are_tried():
    script = {**ABC, "check": "impossible", "value b": "sure", "value c": "sure"}
    for search in ("bfs", "dfs"):
        for keep in (1, 2, 3):
            outcome = solved(scripted(script), tree_of_thoughts(1000, search=search, depth=1, keep=keep))
            assert len(outcome.candidates) == keep


def test_select_chooses_among_the_solutions():
    script = {**ABC, "answer a": "Answer: 1", "answer b": "Answer: 2", "answer c": "Answer: 2"}

    def reply(question: str, text: str, draw: random.Random) -> str:
        steps = re.findall(r"^> (.*)", question, re.MULTILINE)
        return script.get(f"{kind(question)} {steps[-1] if steps else ''}".strip()) or script[kind(question)]

    script["check"] = "likely"
    answers = [
        solved(ChatPolicy(reply), tree_of_thoughts(1000, depth=1, select=select)).answer
        for select in ("naive", "weighted", "majority")
    ]
    assert answers == ["1", "2", "2"]


@pytest.mark.parametrize("search", ["bfs", "dfs"])
@pytest.mark.parametrize("n", [1, 4, 16, 40])
def test_n_bounds_what_everything_costs(search, n):
    for seed in range(4):
        policy = ChatPolicy(Puzzler(8, 0.7))
        outcome = solved(policy, tree_of_thoughts(n, search=search, depth=3), seed=seed)
        solution = max(sum(len(step.text) for step in c.path.steps) for c in outcome.candidates)
        first = len(policy.replies[0])
        assert outcome.cost.generated_tokens <= n * solution + max(first, 4 * solution)
        assert outcome.path is not None


def test_more_budget_lets_more_states_be_grown():
    grown = []
    for n in (4, 16, 64, 256):
        policy = ChatPolicy(Puzzler(8, 0.7))
        solved(policy, tree_of_thoughts(n, depth=3, select="majority"))
        grown.append(asked(policy).count("propose"))
    assert grown == sorted(grown)
    assert grown[0] < grown[-1] == 1 + 5 + 5


def test_without_readable_thoughts_it_samples_plain_solutions():
    problem = Problem("add", "What is 3 + 4 + 5?", "12")
    policy = ChatPolicy(coin(0.6))
    outcome = solved(policy, tree_of_thoughts(16), problem)
    assert asked(policy) == ["propose"] * 2 + ["plain"] * 14
    assert outcome.answer == Counter(c.answer for c in outcome.candidates).most_common(1)[0][0]
    assert "plain solutions were sampled instead" in outcome.failures[0].message


def test_failed_replies_are_survived():
    strategy = tree_of_thoughts(200, depth=3, propose=12)
    for seed in range(4):
        policy = ChatPolicy(Puzzler(12), error=lambda path: path.seed % 5 == 0)
        outcome = solved(policy, strategy, seed=seed, retries=0)
        assert outcome.stopped == "done"
        assert outcome.path is not None
        assert outcome.failures
    nothing = solved(ChatPolicy(Puzzler(), error=lambda path: True), tree_of_thoughts(3), retries=0)
    assert (nothing.answer, nothing.candidates, nothing.stopped) == (None, (), "done")


def test_a_budget_leaves_the_best_of_what_it_paid_for():
    for tokens in range(50, 2500, 150):
        policy = ChatPolicy(Puzzler(8))
        outcome = solved(policy, tree_of_thoughts(100, depth=3), budget=Budget(tokens=tokens))
        assert outcome.cost.generated_tokens <= tokens
        if outcome.stopped == "budget" and len(outcome.tree.steps) > 1:
            assert outcome.path is not None
            depth = len(outcome.path.steps)
            deepest = max(outcome.tree.depth[i] for i in range(len(outcome.tree.steps)))
            assert outcome.path.complete or outcome.path.finish is Finish.BUDGET or depth <= deepest


def test_whole_answers_are_enough():
    policy = ChatPolicy(Puzzler(99), partial=False, token_ids=False)
    assert right(solved(policy, tree_of_thoughts(10_000, propose=99, depth=3)).path)


def test_the_outcome_reads_as_a_solution_of_the_problem():
    outcome = solved(ChatPolicy(Puzzler(20)), tree_of_thoughts(1000, propose=20, depth=3))
    assert outcome.path.problem == EASY
    assert [step.finish for step in outcome.path.steps] == [Finish.STEP] * 3 + [Finish.STOP]
    chosen = [i for i in range(len(outcome.tree.steps)) if outcome.tree.chosen[i]]
    assert [outcome.tree.steps[i].text for i in chosen[1:]] == [step.text for step in outcome.path.steps]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**63),
    n=st.sampled_from([1, 3, 16, 50]),
    search=st.sampled_from(["bfs", "dfs"]),
    generate=st.sampled_from(["propose", "sample"]),
    evaluate=st.sampled_from(["value", "vote"]),
    select=st.sampled_from(["naive", "weighted", "majority"]),
    tokens=st.sampled_from([None, 1, 90, 400, 1500]),
    failing=st.booleans(),
)
def test_the_same_under_any_concurrency_and_within_budget(seed, n, search, generate, evaluate, select, tokens, failing):
    options = {"search": search, "generate": generate, "evaluate": evaluate, "select": select}

    def outcomes(which: slice, concurrency: int, use: str) -> list[object]:
        policy = ChatPolicy(Puzzler(5, 0.7), error=lambda path: failing and path.seed % 4 == 0)
        given = {"policy": policy, "search": tree_of_thoughts(n, depth=3, keep=2, **options), "retries": 0}
        runs = {**given, "seed": seed, "concurrency": concurrency, "budget": Budget(tokens=tokens)}
        found = solve(PUZZLES[which], **runs) if use == "solve" else asyncio.run(asolve(PUZZLES[which], **runs))
        for outcome in found:
            assert outcome.stopped in ("done", "budget"), outcome.failures
            assert outcome.cost.generated_tokens <= (tokens or 10**9)
            texts = [(item.path.text, item.path.finish) for item in outcome.candidates]
            assert outcome.path is None or (outcome.path.text, outcome.path.finish) in texts
            assert outcome.path is not None or not texts
        kept = [dataclasses.replace(o.cost, seconds=0) for o in found]
        return [(o.answer, o.candidates, o.stopped, cost) for o, cost in zip(found, kept, strict=True)]

    together = outcomes(slice(0, 3), 3, "solve")
    apart = [outcomes(slice(i, i + 1), 1, "asolve")[0] for i in range(3)]
    assert repr(together) == repr(apart)


def test_it_runs_on_a_model_that_understands_nothing():
    for outcome in solve(fake_problems(8), policy=FakePolicy(accuracy=0.9), search=tree_of_thoughts(8)):
        assert outcome.answer == outcome.problem.answer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"search": "best"}, "search='best'"),
        ({"generate": "x"}, "generate='x'"),
        ({"evaluate": "x"}, "evaluate='x'"),
        ({"select": "last"}, "select='last'"),
        ({"propose": 0}, "propose=0"),
        ({"keep": 0}, "keep=0"),
        ({"votes": 0}, "votes=0"),
        ({"depth": 0}, "depth=0"),
        ({"threshold": -1.0}, "threshold=-1.0"),
        ({"solutions": 2}, "solutions=2 ends a depth-first search; pass search='dfs' or leave it out"),
        ({"search": "dfs", "solutions": 0}, "solutions=0"),
        ({"prompts": {}}, "prompts is {}"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(UsageError, match=message):
        tree_of_thoughts(**options)


@pytest.mark.parametrize("cut", [Finish.LENGTH, Finish.BUDGET])
def test_a_truncated_solution_does_not_beat_a_complete_one_by_its_parents_value(cut):
    """What is complete was judged, without a word that could be read."""
    script = {**ABC, "propose": "1. a\n2. b", "check": "well"}
    policy = scripted(script)

    class Cut(ChatPolicy):
        def step(self, path, sampling):
            step = policy.step(path, sampling)
            if kind(path.problem.question) != "answer":
                return step
            first = "> a" in path.problem.question
            return Step("Answer: 1", finish=cut) if first else Step("Answer: 2", finish=Finish.STOP)

    outcome = solved(Cut(policy.reply), tree_of_thoughts(1000, depth=1, keep=2))
    assert outcome.path.complete
    assert outcome.answer == "2"
    if cut is Finish.LENGTH:
        assert all(math.isnan(item.score) for item in outcome.candidates)
