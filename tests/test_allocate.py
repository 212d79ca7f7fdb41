"""One budget for many problems: never exceeded, spent where it helps, the same under every concurrency."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path as FilePath

import pytest
import tuned
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.allocate import asolve_within, solve_within
from reason.cli import main
from reason.policies.fake import FakePolicy, FakeScorer
from reason.run import solve
from reason.search import best_of_n
from reason.search.table import STOP, write
from reason.types import Cost, Finish, Outcome, Problem, UsageError


def allocate(problems, tokens, **options) -> list[Outcome]:
    given = {"policy": tuned.policy(), "scorer": tuned.scorer(), "table": tuned.table(), "sampling": tuned.SAMPLING}
    return solve_within(problems, tokens=tokens, progress=False, **{**given, **options})


def spent(outcomes) -> int:
    return sum(outcome.cost.generated_tokens for outcome in outcomes)


def right(outcomes) -> int:
    return sum(outcome.answer == outcome.problem.answer for outcome in outcomes)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 12), st.integers(0, 50))
def test_the_total_is_never_exceeded(tokens, count, seed):
    outcomes = allocate(tuned.mixed(count, seed=seed), tokens, seed=seed)
    assert [outcome.problem.id for outcome in outcomes] == [problem.id for problem in tuned.mixed(count, seed=seed)]
    assert spent(outcomes) <= tokens


def test_everything_that_was_generated_is_accounted_for():
    class Counting(FakePolicy):
        tokens = 0

        async def extend(self, paths, sampling):
            steps = await super().extend(paths, sampling)
            Counting.tokens += sum(len(step.token_ids) for step in steps)
            return steps

    outcomes = allocate(tuned.mixed(20), 8000, policy=Counting(accuracy=tuned.ACCURACY, branch=tuned.BRANCH))
    assert Counting.tokens == spent(outcomes) <= 8000


def test_one_sample_each_is_enough_for_an_answer_to_each():
    problems = tuned.mixed(24, seed=2)
    one = solve(problems, policy=tuned.policy(), scorer=tuned.scorer(), search=best_of_n(1), sampling=tuned.SAMPLING)
    outcomes = allocate(problems, int(1.1 * spent(one)))
    assert all(outcome.answer is not None for outcome in outcomes)


def test_what_cannot_be_paid_for_has_no_answer_and_says_so():
    outcomes = allocate(tuned.mixed(8), 60)
    assert any(outcome.answer is not None for outcome in outcomes)
    for outcome in outcomes:
        if outcome.answer is None:
            assert outcome.stopped == "budget"


def test_more_tokens_answer_more():
    problems = tuned.mixed(60, seed=3)
    rows = [allocate(problems, tokens) for tokens in (2_500, 8_000, 40_000)]
    assert [right(outcomes) for outcomes in rows] == sorted(right(outcomes) for outcomes in rows)
    assert right(rows[2]) > right(rows[0]) + 10
    assert spent(rows[1]) > 0.8 * 8_000


def test_it_beats_the_same_budget_for_everybody():
    problems = tuned.mixed(60, seed=4)
    even = solve(problems, policy=tuned.policy(), scorer=tuned.scorer(), search=best_of_n(3), sampling=tuned.SAMPLING)
    assert right(allocate(problems, spent(even))) > right(even)


def test_hard_problems_get_more():
    outcomes = allocate(tuned.mixed(60, seed=5), 15_000)
    by_terms: dict[int, list[float]] = {}
    for outcome in outcomes:
        terms = len(outcome.problem.question.split(" + "))
        whole = [len(item.path.token_ids) for item in outcome.candidates if item.path.complete]
        by_terms.setdefault(terms, []).append(outcome.cost.generated_tokens * len(whole) / sum(whole))
    means = {terms: sum(sizes) / len(sizes) for terms, sizes in by_terms.items()}
    assert means[2] < means[5]


@pytest.mark.parametrize("concurrency", [1, 5, 64])
def test_concurrency_changes_nothing(concurrency):
    problems = tuned.mixed(18, seed=6)
    first, second = allocate(problems, 6_000), allocate(problems, 6_000, concurrency=concurrency)
    for left, other in zip(first, second, strict=True):
        assert [item.path.text for item in left.candidates] == [item.path.text for item in other.candidates]
        assert (left.answer, left.stopped) == (other.answer, other.stopped)
        assert left.cost.generated_tokens == other.cost.generated_tokens


def test_the_seed_takes_effect_and_asolve_within_gives_the_same():
    problems = tuned.mixed(10, seed=7)
    options = {"policy": tuned.policy(), "scorer": tuned.scorer(), "table": tuned.table(), "sampling": tuned.SAMPLING}
    inside = asyncio.run(asolve_within(problems, tokens=3_000, progress=False, **options))
    texts = [[item.path.text for item in outcome.candidates] for outcome in allocate(problems, 3_000)]
    assert texts == [[item.path.text for item in outcome.candidates] for outcome in inside]
    assert texts != [[item.path.text for item in outcome.candidates] for outcome in allocate(problems, 3_000, seed=1)]


def test_nothing_finished_is_sampled_again_in_later_rounds():
    """Rounds have seeds of their own: a second look does not repeat the first."""
    policy = tuned.policy()
    allocate(tuned.mixed(6, seed=8), 20_000, policy=policy)
    assert len(policy.seeds) == len(set(policy.seeds))


def test_failures_are_survived_and_named():
    problems = tuned.mixed(6, seed=9)
    broken = {problems[2].id}
    scorer = FakeScorer(noise=tuned.NOISE, error=lambda path: "broken" if path.problem.id in broken else None)
    outcomes = allocate(problems, 4_000, scorer=scorer, retries=0)
    assert outcomes[2].answer is not None
    assert {failure.message for failure in outcomes[2].failures} >= {"broken"}
    assert not outcomes[1].failures


def test_the_search_of_a_problem_may_fail():
    problems = tuned.mixed(6, seed=10)
    policy = FakePolicy(
        accuracy=0.6, branch=3, error=lambda path: "down" if path.problem.id == problems[1].id else None
    )
    outcomes = allocate(problems, 4_000, policy=policy, retries=0)
    assert outcomes[1].answer is None
    assert outcomes[1].failures
    assert all(outcome.answer is not None for outcome in outcomes if outcome.problem.id != problems[1].id)


def test_a_run_without_a_scorer():
    table = tuned.table(("self_consistency",), False)
    outcomes = allocate(tuned.mixed(10), 3_000, table=table, scorer=None)
    assert spent(outcomes) <= 3_000
    assert all(outcome.answer is not None for outcome in outcomes)


def test_progress_counts_tokens():
    told: list[tuple[int, int, Cost]] = []
    outcomes = allocate(tuned.mixed(6), 3_000)
    given = {"policy": tuned.policy(), "scorer": tuned.scorer(), "table": tuned.table(), "sampling": tuned.SAMPLING}
    solve_within(tuned.mixed(6), tokens=3_000, progress=lambda *row: told.append(row), **given)
    assert [row[0] for row in told] == sorted(row[0] for row in told)
    assert told[-1][:2] == (spent(outcomes), 3_000)
    assert told[-1][2].generated_tokens == spent(outcomes)


def test_whole_solutions_are_not_cut_while_tokens_are_left():
    outcomes = allocate(tuned.mixed(20, seed=11), 20_000)
    paths = [item.path for outcome in outcomes for item in outcome.candidates]
    assert sum(path.finish is Finish.BUDGET for path in paths) <= 0.02 * len(paths)


def test_bad_arguments():
    with pytest.raises(UsageError, match="tokens=0"):
        allocate(tuned.mixed(2), 0)
    with pytest.raises(UsageError, match="fitted with the scorer 'fake'"):
        allocate(tuned.mixed(2), 100, scorer=None)
    with pytest.raises(UsageError, match="stands twice"):
        allocate([Problem("1", "1 + 2"), Problem("1", "1 + 2")], 100)
    assert allocate([], 100) == []


def evaluation(folder: FilePath, *more: str) -> list[str]:
    """An evaluation of the toy task by the tuned table, in a folder."""
    table = folder / "table.json"
    if not table.exists():
        write(tuned.table(), table)
    return ["eval", "word_problems", "--limit", "6", "--strategy", f"compute_optimal={table}", *more]


def bundled(folder: FilePath) -> None:
    """The tuned table as one of the bundled model, to run the command with."""
    write(replace(tuned.table(), model="bundled", scorer="process", solution_tokens=50.0), folder / "table.json")


def test_the_command_shares_the_total(tmp_path: FilePath, capsys: pytest.CaptureFixture[str]):
    bundled(tmp_path)
    command = evaluation(tmp_path, "--total-tokens", "900", "--out", str(tmp_path / "run"), "--json")
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0 < told["generated_tokens"] <= 900
    assert told["problems"] == 6
    before = (tmp_path / "run" / "results.jsonl").read_text()
    assert main(command) == 0
    assert (tmp_path / "run" / "results.jsonl").read_text() == before
    assert main(evaluation(tmp_path, "--total-tokens", "800", "--out", str(tmp_path / "run"))) == 2
    assert "total_tokens 900 there, 800 now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--total-tokens", "0"), "--total-tokens is 0"),
        (("--total-tokens", "100", "--budget-tokens", "50"), "leave out --budget"),
        (("--total-tokens", "100", "--set", "price=0.5"), "leave out --set price"),
        (("--total-tokens", "100", "--set", "strategies=best_of_n"), "leave out --set strategies"),
        (("--total-tokens", "100", "--n", "16"), "leave out --n 16"),
        (
            ("--total-tokens", "100", "--strategy", "best_of_n"),
            "best_of_n has none: pass --strategy compute_optimal=FILE",
        ),
    ],
)
def test_wrong_totals_are_refused(tmp_path: FilePath, capsys: pytest.CaptureFixture[str], more, message):
    bundled(tmp_path)
    assert main(evaluation(tmp_path, *more)) == 2
    assert message in capsys.readouterr().err


def test_an_interrupted_total_starts_anew(
    tmp_path: FilePath, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The records of a part, as a kill between two of them leaves, are neither counted nor kept."""
    bundled(tmp_path)
    folder = tmp_path / "run"
    command = evaluation(tmp_path, "--total-tokens", "900", "--out", str(folder))
    assert main(command) == 0
    whole = [json.loads(line)["text"] for line in (folder / "results.jsonl").read_text().splitlines()]
    (folder / "results.jsonl").write_text("".join((folder / "results.jsonl").read_text().splitlines(True)[:2]))
    capsys.readouterr()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("reason.evals.within.solve_within", interrupted)
        assert main(command) == 130
    told = capsys.readouterr()
    assert "the same command starts anew" in told.err
    assert "continue" not in told.err
    assert "already in" not in told.err + told.out
    assert main(command) == 0
    assert [json.loads(line)["text"] for line in (folder / "results.jsonl").read_text().splitlines()] == whole


def test_a_store_spares_what_was_paid_for(tmp_path: FilePath):
    problems, policy = tuned.mixed(12), tuned.policy()
    was = allocate(problems, 3000, policy=policy, store=tmp_path / "trace.db")
    assert sum(policy.calls) > 0
    again = tuned.policy()
    now = allocate(problems, 3000, policy=again, store=tmp_path / "trace.db")
    assert sum(again.calls) == 0
    assert [(o.answer, o.path, o.cost.generated_tokens) for o in now] == [
        (o.answer, o.path, o.cost.generated_tokens) for o in was
    ]


def test_an_arm_that_costs_nothing_is_bought():
    def free(arm):
        return (
            arm
            if arm.strategy == STOP
            else replace(arm, accuracy=(1.0,) * len(arm.tokens), tokens=(0.0,) * len(arm.tokens))
        )

    table = tuned.table()
    ladders = tuple(
        tuple(stage if stage.look is None else replace(stage, arms=tuple(map(free, stage.arms))) for stage in ladder)
        for ladder in table.ladders
    )
    outcomes = allocate(tuned.mixed(6), 3000, table=replace(table, ladders=ladders))
    assert spent(outcomes) <= 3000
    assert all(len(outcome.candidates) > 1 for outcome in outcomes)
