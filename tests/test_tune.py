"""The fit of the table against hand computation; runs, resuming and the command."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path as FilePath

import pytest
import tuned

from reason.answers import Grade, Verdict, equal, extract
from reason.cli import main
from reason.evals.calibrate import Case, Run, Settings, chosen, cross_validate, fit, repetitions, simulate, view
from reason.evals.subsets import expected_best, expected_majority
from reason.evals.tune import (
    Records,
    Work,
    arms_of,
    cases_of,
    check_strategies,
    collect,
    runs_for,
    settings_for,
)
from reason.policies.fake import FakePolicy
from reason.search.compute_optimal import load_table
from reason.search.difficulty import Sign
from reason.search.table import STOP
from reason.types import Problem, UsageError
from toy import TASK


def run_of(*rows: tuple[int | None, float, bool], tokens: int = 10, right: bool = False) -> Run:
    """A run of candidates (group, score, correct) of 10 tokens each."""
    signs = tuple(Sign(group, score, True, tokens, -1.0) for group, score, _ in rows)
    return Run(right, tokens * len(rows), signs, tuple(good for *_, good in rows))


EASY = Case("easy", run_of((0, 0.9, True), (0, 0.8, True)), 2, {("beam", 2): [run_of((0, 0.9, True), right=True)]})
HARD = Case("hard", run_of((1, 0.6, False), (0, 0.7, True)), 2, {("beam", 2): [run_of((1, 0.8, False), tokens=30)]})
HAND = Settings(
    (("best_of_n", 1), ("best_of_n", 2), ("self_consistency", 2), ("beam", 2)),
    {"best_of_n": "naive", "self_consistency": "majority", "beam": "naive", STOP: "naive"},
    ((("best_of_n", 1),),),
    bins=1,
    inner=1,
    shrinkage=0.0,
)


def test_the_table_by_hand():
    """Two problems, two samples each: every number follows from their records."""
    table = fit([EASY, HARD], HAND, model="m", scorer="s", task="t", made={})
    start, after = table.ladders[0]
    assert table.solution_tokens == 10
    first = sum(one.order[0] == 1 for one in repetitions([HARD], 0)) / len(repetitions([HARD], 0))
    arms = {(arm.strategy, arm.n): arm for arm in start.arms}
    assert arms["best_of_n", 1].measured == (pytest.approx(0.5 + 0.5 * first),)
    assert arms["best_of_n", 2].measured == (1.0,)
    assert arms["self_consistency", 2].measured == (pytest.approx(0.5 + 0.5 * first),)  # ties go to the first
    assert arms["beam", 2].measured == (0.5,)
    assert [arms[key].tokens[0] for key in arms] == [10, 20, 20, 20]
    assert (start.more, start.following) == ((10.0,), ((1.0,),))
    arms = {(arm.strategy, arm.n): arm for arm in after.arms}
    assert list(arms) == [(STOP, 0), ("best_of_n", 2), ("self_consistency", 2), ("beam", 2)]
    assert arms[STOP, 0].measured == (pytest.approx(0.5 + 0.5 * first),)
    assert arms["best_of_n", 2].tokens == (10.0,)
    assert arms["beam", 2].measured == (0.5,)  # the hard problem's beam outscores its right sample
    assert after.problems == (2.0,)
    assert after.success == (pytest.approx(0.5 + 0.5 * (1 - first)),)


def test_without_shrinkage_accuracy_is_the_measured_share_and_with_much_it_is_the_trend():
    measured, shrunk = (
        fit(tuned.cases(), replace(tuned.settings(), shrinkage=weight), model="m", scorer="s", task="t", made={})
        for weight in (0.0, 1e9)
    )
    spread = []
    for table in (measured, shrunk):
        for arm in table.ladders[0][1].arms:
            assert all(0 <= share <= 1 for share in arm.accuracy)
        spread.append(table.ladders[0][1].arms[0])
    assert spread[0].accuracy == pytest.approx(spread[0].measured)
    assert spread[1].accuracy != pytest.approx(spread[1].measured, abs=1e-3)
    stage = shrunk.ladders[0][1]
    means = [
        sum(p * value for p, value in zip(stage.problems, row, strict=True))
        for row in (spread[1].accuracy, spread[0].measured)
    ]
    assert means[0] == pytest.approx(means[1], rel=1e-3)  # the trend keeps the mean


def test_the_first_n_samples_are_worth_what_the_exact_expectation_says():
    """Random orders against `reason.evals.metrics`, which enumerates."""
    case = tuned.cases()[4]
    settings = replace(tuned.settings(), arms=(("best_of_n", 3), ("self_consistency", 3)))
    settings = replace(settings, selections={"best_of_n": "naive", "self_consistency": "majority", STOP: "naive"})
    rows = [view(one, (), settings).right for seed in range(60) for one in repetitions([case], seed)]
    scores = [sign.score for sign in case.samples.signs]
    groups = [sign.group for sign in case.samples.signs]
    exact = expected_best(scores, case.samples.correct)[2], expected_majority(groups, case.samples.correct)[2]
    for at in range(2):
        assert sum(row[at] for row in rows) / len(rows) == pytest.approx(exact[at], abs=0.06)


def test_joined_candidates_are_chosen_among_as_the_search_does():
    cut = Sign(0, 0.9, False, 10, -1.0)
    whole = Sign(1, 0.5, True, 10, -1.0)
    assert not chosen([cut, whole], [True, False], "naive", searched=True)
    assert chosen([cut, whole], [True, False], "naive", searched=False)
    assert not chosen([Sign(None, 0.5, True, 1, math.nan)], [True], "naive", searched=True)


def test_cross_validation_judges_each_problem_by_a_table_without_it():
    cases, settings = tuned.cases()[:30], tuned.settings(bins=2)
    found = cross_validate(cases, settings, (1, 4), folds=3)
    assert set(found) == {1, 4}
    assert all(len(rows) == 30 for rows in found.values())
    table = fit(
        [case for at, case in enumerate(cases) if at % 3 != 1], settings, model="", scorer=None, task="", made={}
    )
    expected = simulate(table, [case for at, case in enumerate(cases) if at % 3 == 1], settings, 4)
    assert found[4][1::3] == expected


def test_the_samples_are_run_once_and_other_strategies_at_every_size():
    works = runs_for(("best_of_n", "self_consistency", "beam", "cot"), (1, 2, 4), judged=True, repeats=2)
    assert works == [
        Work("best_of_n", 4),
        *(Work("beam", n, repeat) for n in (2, 4) for repeat in (0, 1)),
        Work("cot", 1, 0),
        Work("cot", 1, 1),
    ]
    assert arms_of(("self_consistency",), (1, 4)) == [("self_consistency", 1), ("self_consistency", 4)]
    assert len({work.seed(0) for work in works} | {work.seed(1) for work in works}) == 2 * len(works)


def test_ladders():
    ladders = settings_for(("best_of_n", "beam"), (1, 2, 4, 8, 16), judged=True, samples=3, bins=4, seed=0).ladders
    assert ladders == (
        (("best_of_n", 1), ("best_of_n", 2), ("best_of_n", 3)),
        (("beam", 2), ("beam", 4), ("beam", 8)),
        (("best_of_n", 1), ("beam", 4), ("beam", 8)),
    )


def gather(records: Records, policy: FakePolicy, count: int = 12) -> list[Case]:
    problems, works = tuned.mixed(count, seed=1), runs_for(("best_of_n", "beam"), (1, 2, 4), judged=True, repeats=1)
    collect(works, problems, records, task=TASK, policy=policy, scorer=tuned.scorer(), sampling=tuned.SAMPLING, seed=3)
    return cases_of(works, problems, records)


def test_interrupted_runs_go_on_where_they_stopped(tmp_path: FilePath):
    whole = gather(Records(None, {}), tuned.policy())
    file = tmp_path / "runs.jsonl"
    gather(Records(file, {"seed": 3}), tuned.policy(), count=5)
    file.write_text(file.read_text() + '{"torn')
    policy = tuned.policy()
    assert gather(Records(file, {"seed": 3}), policy) == whole
    assert 0 < sum(policy.calls) < 7 * (4 + 2 * 20 + 4 * 20)
    again = tuned.policy()
    assert gather(Records(file, {"seed": 3}), again) == whole
    assert again.calls == []
    with pytest.raises(UsageError, match="seed 3 there, 4 now"):
        Records(file, {"seed": 4})


def test_problems_that_failed_or_cannot_be_graded_are_left_out():
    records = Records(None, {})
    problems = tuned.mixed(12, seed=1)
    broken = problems[3].id
    policy = FakePolicy(accuracy=0.6, branch=3, error=lambda path: "down" if path.problem.id == broken else None)
    cases = gather(records, policy)
    assert broken not in {case.problem for case in cases}
    assert len(cases) == 11


@pytest.mark.parametrize("undecided", [Grade.TIMEOUT, Grade.LIMIT, Grade.GOLD_ERROR])
def test_comparisons_that_were_not_decided_are_not_wrong_answers(undecided: Grade, monkeypatch: pytest.MonkeyPatch):
    problems = tuned.mixed(12, seed=1)
    graded: dict[str, int] = {}

    def grade(problem: Problem, text: str) -> Verdict:
        graded[problem.id] = graded.get(problem.id, 0) + 1
        broken = problem.id == problems[3].id and graded[problem.id] == 2
        return Verdict(undecided) if broken else equal(problem.answer, extract(text).answer)

    monkeypatch.setattr(TASK, "grade", grade, raising=False)
    records = Records(None, {})
    assert [case.problem for case in gather(records, tuned.policy())] == [
        problem.id for problem in problems if problem is not problems[3]
    ]
    labels = [item[2] for row in records.rows.values() for item in row["candidates"]]
    assert labels.count(None) == 1
    assert sum(not row["usable"] for row in records.rows.values()) == 1


@pytest.mark.parametrize("text", ["\u2028 \u0085", "\ud800"])
def test_any_answer_is_kept(tmp_path: FilePath, text: str):
    file = tmp_path / "runs.jsonl"
    row = {"strategy": "cot", "n": 1, "repeat": 0, "problem": text, "candidates": [[text]]}
    Records(file, {}).add(row)
    for _ in range(2):
        assert list(Records(file, {}).rows.values()) == [row]
    old = {**row, "problem": "old"} if text == "\ud800" else row
    file.write_text(file.read_text() + json.dumps(old, ensure_ascii=text == "\ud800") + "\n", "utf-8")
    assert old in Records(file, {}).rows.values()


def test_runs_are_kept_when_rewriting_them_fails(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "runs.jsonl"
    Records(file, {}).add({"strategy": "cot", "n": 1, "repeat": 0, "problem": "p", "candidates": []})
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UsageError, match=r"No space left on device.*another --out or --runs"):
        Records(file, {})
    assert file.read_bytes() == before


def test_a_file_that_cannot_be_is_refused():
    with pytest.raises(UsageError, match=r"the runs cannot be kept in '/dev/null/x'.*--out"):
        Records(FilePath("/dev/null/x"), {})


@pytest.mark.parametrize(
    ("names", "judged", "partial", "message"),
    [
        ((), True, True, "no strategies"),
        (("magic",), True, True, "unknown strategy 'magic'"),
        (("beam",), False, True, "beam needs a scorer"),
        (("beam",), True, False, "beam extends partial solutions"),
    ],
)
def test_strategies_that_cannot_be_tuned_are_refused(names, judged, partial, message):
    with pytest.raises(UsageError, match=message):
        check_strategies(names, judged=judged, partial=partial)


def command(folder: FilePath, *more: str) -> list[str]:
    options = ["--limit", "12", "--seed", "9", "--split", "train", "--n", "1,2", "--samples", "2", "--bins", "2"]
    return ["tune", "word_problems", "--out", str(folder / "table.json"), *options, *more]


def test_the_command_and_what_it_writes(tmp_path: FilePath, capsys: pytest.CaptureFixture[str]):
    """On the bundled model: tune, solve by the table, and tune again from the runs."""
    assert main(command(tmp_path, "--json")) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["problems"] == 12
    assert [row["n"] for row in told["chosen"]] == [1, 2]
    table = load_table(tmp_path / "table.json")
    assert (table.model, table.scorer, table.task) == ("bundled", "process", "word_problems")
    assert "--seed 9" in str(table.made["command"])
    assert table.made["calibration_problems"] == 12
    before = (tmp_path / "table.runs.jsonl").read_text()
    assert main(command(tmp_path, "--json")) == 0
    assert (tmp_path / "table.runs.jsonl").read_text() == before
    assert load_table(tmp_path / "table.json") == table
    capsys.readouterr()
    question = "Ada has 4 boxes with 12 pens in each. Then Ada buys 6 more. How many pens does Ada have now?"
    strategy = f"compute_optimal={tmp_path / 'table.json'}"
    assert main(["solve", question, "--strategy", strategy, "--n", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["answer"] == "54"
    assert main(["solve", question, "--strategy", strategy, "--n", "2", "--scorer", "outcome"]) == 2
    assert "fitted with scorer 'process'" in capsys.readouterr().err
    assert main(command(tmp_path, "--temperature", "0.5")) == 2
    assert "holds runs of something else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--n", "1,x"), "n is 'x'"),
        (("--samples", "4"), "samples is 4 and the largest n 2"),
        (("--bins", "0"), "bins is '0'"),
        (("--limit", "5"), "5 problems are too few"),
        (("--strategies", "magic"), "unknown strategy 'magic'"),
        (("--scorer", "none", "--strategies", "beam"), "beam needs a scorer"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: FilePath, capsys: pytest.CaptureFixture[str], more, message):
    assert main(command(tmp_path, *more)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "table.json").exists()
