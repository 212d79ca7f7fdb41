"""Compute-optimal search on the toy world, with a table tuned on other problems of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path as FilePath

import pytest
import tuned
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import Recorder

from reason.budget import Budget
from reason.policies.fake import FakeScorer, fake_problems
from reason.run import solve
from reason.search import best_of_n
from reason.search.compute_optimal import (
    MORE,
    Plan,
    bundled_table,
    compute_optimal,
    curves_of,
    from_file,
    load_table,
    needs_of,
    restricted,
    share_of,
    table_file,
)
from reason.search.table import STOP, Arm, Stage, Table, read, to_json, write
from reason.types import Outcome, Problem, UsageError


def run(search, problems, *, judge=True, **options) -> list[Outcome]:
    scorer = tuned.scorer() if judge else None
    return solve(
        problems,
        policy=tuned.policy(),
        search=search,
        scorer=scorer,
        sampling=tuned.SAMPLING,
        progress=False,
        **options,
    )


def recorded(search, problem: Problem, **options) -> tuple[Recorder, Outcome]:
    record = Recorder(tuned.policy(), tuned.scorer(), **options)
    return record, record.solve(search, problem)


def leaves(plan: Plan, ladder: int) -> list[tuple[float, float]]:
    """By brute force: accuracy and tokens of every deterministic policy on a ladder with at most two stages."""
    start, after = plan.table.ladders[ladder]
    found = [(arm.accuracy[0], arm.tokens[0]) for arm in start.arms]
    rows = [(0.0, start.more[0])]
    for cell, chance in enumerate(start.following[0]):
        rows = [
            (right + chance * arm.accuracy[cell], tokens + chance * arm.tokens[cell])
            for right, tokens in rows
            for arm in after.arms
        ]
    return found + rows


@st.composite
def small_tables(draw) -> Table:
    cells = draw(st.integers(1, 3))
    part = st.integers(0, 10).map(lambda value: value / 10)
    cost = st.integers(1, 50).map(float)

    def arm(name: str, n: int, width: int) -> Arm:
        right = tuple(draw(part) for _ in range(width))
        return Arm(name, n, "naive", right, right, tuple(0.0 if name == STOP else draw(cost) for _ in range(width)))

    start = tuple(arm("beam", n, 1) for n in range(2, 2 + draw(st.integers(1, 2))))
    after = (arm(STOP, 0, cells), *(arm("beam", n, cells) for n in range(2, 2 + draw(st.integers(1, 2)))))
    shares = [draw(st.integers(1, 5)) for _ in range(cells)]
    following = (tuple(share / sum(shares) for share in shares),)
    difficulty = tuned.table().ladders[0][1].difficulty
    stages = (
        Stage(None, None, (9.0,), (0.5,), start, (draw(cost),), following),
        Stage(("best_of_n", 1), difficulty, (3.0,) * cells, (0.5,) * cells, after),
    )
    return Table("fake", "fake", "toy", 10.0, (stages,))


@settings(max_examples=60)
@given(small_tables(), st.floats(0, 0.05))
def test_a_plan_is_optimal_at_its_price(table, price):
    """Backwards over curves equals trying every policy."""
    plan = Plan(table, 1, price)
    best = max(right - price * tokens for right, tokens in leaves(plan, 0))
    right, tokens = plan.expected
    assert right - price * tokens == pytest.approx(best, abs=1e-6)


@settings(max_examples=60)
@given(small_tables(), st.floats(1, 12))
def test_a_plan_costs_its_budget(table, n):
    plan = Plan(table, n)
    _, tokens = plan.expected
    assert tokens <= max(n * table.solution_tokens, plan.root[0].tokens) + 1e-6
    if plan.root[0].tokens <= n * table.solution_tokens <= plan.root[-1].tokens:
        assert tokens == pytest.approx(n * table.solution_tokens, rel=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_following_the_plan_costs_and_brings_what_it_expects(n):
    """On the calibration problems themselves, but for shrinkage."""
    from reason.evals.calibrate import simulate

    rows = simulate(tuned.table(), tuned.cases(), tuned.settings(), n)
    plan = Plan(tuned.table(), n)
    right, tokens = plan.expected
    assert sum(row[1] for row in rows) / len(rows) == pytest.approx(tokens, rel=0.15)
    assert sum(row[0] for row in rows) / len(rows) == pytest.approx(right, abs=0.08)


def test_more_budget_never_expects_less():
    expected = [Plan(tuned.table(), n).expected for n in (1, 2, 3, 4, 6, 8, 12)]
    assert expected == sorted(expected)
    assert [row[0] for row in expected] == sorted(row[0] for row in expected)


def test_it_beats_best_of_n_at_equal_tokens():
    problems = tuned.mixed(90, seed=5)
    mine = run(compute_optimal(tuned.table(), 4), problems)
    other = run(best_of_n(4), problems)
    spent = [sum(outcome.cost.generated_tokens for outcome in rows) for rows in (mine, other)]
    right = [sum(outcome.answer == outcome.problem.answer for outcome in rows) for rows in (mine, other)]
    assert spent[0] < 1.15 * spent[1]
    assert right[0] > right[1]


def test_going_on_with_best_of_n_gives_the_very_samples_of_best_of_n():
    table = restricted(tuned.table(), ["best_of_n"])
    problems = tuned.mixed(30, seed=6)
    fixed = {outcome.problem.id: outcome for outcome in run(best_of_n(8), problems)}
    sizes = set()
    for outcome in run(compute_optimal(table, 4), problems):
        mine = [item.path.text for item in outcome.candidates]
        assert mine == [item.path.text for item in fixed[outcome.problem.id].candidates][: len(mine)]
        sizes.add(len(mine))
        if len(mine) == 8:
            assert outcome.answer == fixed[outcome.problem.id].answer
    assert len(sizes) > 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 300), st.integers(1, 10), st.sampled_from([None, 1, 3, 9]))
def test_nothing_is_extended_or_judged_twice_and_everything_paid_for_is_a_candidate(index, n, steps_left):
    problem = tuned.mixed(6, seed=index)[index % 6]
    record, outcome = recorded(compute_optimal(tuned.table(), n), problem, steps_left=steps_left)
    closed = {path.text for path in record.results if path.complete}
    assert closed == {item.path.text for item in outcome.candidates if item.path.complete}
    scores = {path.text: score.value for path, score in zip(record.judged, record.scores, strict=True)}
    for item in outcome.candidates:
        if item.path.complete:
            assert item.score == scores[item.path.text]
    whole = [item for item in outcome.candidates if item.path.complete and item.answer]
    if whole:
        assert outcome.path is not None
        assert max(item.score for item in whole) == next(i.score for i in whole if i.path is outcome.path)


def test_failed_and_unscored_samples_are_survived():
    problem = tuned.mixed(6, seed=1)[5]
    record = Recorder(tuned.policy(), FakeScorer(error=lambda path: "broken"))
    outcome = record.solve(compute_optimal(tuned.table(), 4), problem)
    assert outcome.answer is not None
    assert all(math.isnan(item.score) for item in outcome.candidates)
    record = Recorder(tuned.policy(), tuned.scorer(), fail=lambda index: True)
    outcome = record.solve(compute_optimal(tuned.table(), 4), problem)
    assert (outcome.answer, outcome.path) == (None, None)


@pytest.mark.parametrize("concurrency", [1, 7, 64])
def test_concurrency_changes_nothing(concurrency):
    problems = tuned.mixed(20, seed=8)
    first, second = (run(compute_optimal(tuned.table(), 3), problems, seed=3, concurrency=c) for c in (16, concurrency))
    for left, right in zip(first, second, strict=True):
        assert [i.path.text for i in left.candidates] == [i.path.text for i in right.candidates]
        assert (left.answer, left.cost.generated_tokens) == (right.answer, right.cost.generated_tokens)


@pytest.mark.parametrize("tokens", [5, 40, 120, 1000])
def test_budgets_are_hard_and_the_answer_is_the_best_paid_for(tokens):
    for outcome in run(compute_optimal(tuned.table(), 8), tuned.mixed(12, seed=9), budget=Budget(tokens=tokens)):
        assert outcome.cost.generated_tokens <= tokens
        whole = [item for item in outcome.candidates if item.path.complete]
        if whole:
            best = max(item.score for item in whole)
            assert next(item.score for item in whole if item.answer == outcome.answer) <= best
            assert outcome.answer in {item.answer for item in whole if item.score == best}


def test_decided_problems_end_early():
    easy, hard = (fake_problems(20, terms=terms, seed=2) for terms in (2, 7))
    search = compute_optimal(tuned.table(("best_of_n",)), 4)
    counts = [[len(outcome.candidates) for outcome in run(search, group)] for group in (easy, hard)]
    assert sum(counts[0]) < sum(counts[1])


def test_without_a_scorer():
    table = tuned.table(("self_consistency",), False)
    search = compute_optimal(table, 4)
    assert search.needs == frozenset()
    outcomes = run(search, tuned.mixed(12, seed=3), judge=False)
    assert all(outcome.answer is not None for outcome in outcomes)


def test_the_options_take_effect():
    table = tuned.table()
    assert Plan(table, 8, price=1.0).expected[1] < Plan(table, 8, price=0.0).expected[1]
    assert compute_optimal(table).needs == needs_of(table) == {"scorer", "partial"}
    only = compute_optimal(table, 4, strategies=["best_of_n"])
    assert only.needs == {"scorer"}
    assert {arm.strategy for ladder in restricted(table, ["beam"]).ladders for s in ladder for arm in s.arms} == {
        STOP,
        "beam",
    }
    cheap, dear = (
        sum(o.cost.generated_tokens for o in run(compute_optimal(table, 8, price=price), tuned.mixed(12)))
        for price in (1.0, 0.0)
    )
    assert cheap < dear


def test_shares_are_even_and_the_problems_own():
    shares = [share_of(Problem(str(index), "q")) for index in range(2000)]
    assert sum(shares) / len(shares) == pytest.approx(0.5, abs=0.02)
    assert share_of(Problem("7", "other")) == shares[7]


def test_curves_offer_more_only_before_the_last_stage():
    for ladder in tuned.table().ladders:
        *early, last = curves_of(ladder)
        assert all(point.option != MORE for curve in last for point in curve)
        assert any(point.option == MORE for stage in early for curve in stage for point in curve)


def test_a_table_survives_its_file(tmp_path: FilePath):
    file = tmp_path / "table.json"
    write(tuned.table(), file)
    found = load_table(file)
    assert to_json(found) == to_json(tuned.table())
    assert Plan(found, 4).expected == pytest.approx(Plan(tuned.table(), 4).expected, rel=1e-3)
    problems = tuned.mixed(10, seed=4)
    mine, other = (run(search, problems) for search in (from_file(file, 4), compute_optimal(found, 4)))
    assert [outcome.answer for outcome in mine] == [outcome.answer for outcome in other]


def test_another_model_or_scorer_is_refused(tmp_path: FilePath):
    file = tmp_path / "table.json"
    write(tuned.table(), file)
    from_file(file, 4, model="fake", scorer="fake")
    with pytest.raises(UsageError, match="fitted with model 'fake' and this run has 'other'"):
        from_file(file, 4, model="other")
    with pytest.raises(UsageError, match="fitted with scorer 'fake' and this run has 'verifier'"):
        from_file(file, 4, scorer="verifier")


def change(path: str, value: object):
    def edit(data):
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        inside = data
        for part in parents:
            inside = inside[part]
        inside[last] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change("format", "other"), "its format is not"),
        (change("version", 99), "its version is 99"),
        (change("ladders", []), "no ladder"),
        (change("ladders.0", {}), "a ladder is no list"),
        (change("ladders.0.0.arms", []), "the arms of stage 0"),
        (change("ladders.0.1.arms.0.strategy", "beam"), "n is 0 for beam"),
        (change("ladders.0.0.arms.0.strategy", "magic"), "unknown strategy 'magic'"),
        (change("ladders.0.0.arms.0.select", "first"), "unknown selection 'first'"),
        (change("ladders.0.0.arms.0.accuracy", [2.0]), "accuracy holds 2.0"),
        (change("ladders.0.0.arms.0.tokens", [-1]), "tokens holds -1"),
        (change("ladders.0.0.arms.0.tokens", [float("nan")]), "tokens holds nan"),
        (change("ladders.0.0.arms.0.tokens", [1, 2]), "not a list of 1"),
        (change("ladders.0.0.following.0.0", 0.9), "does not give each of"),
        (change("ladders.0.0.look", ["beam", 2]), "look or difficulty"),
        (change("ladders.0.1.look", ["best_of_n", 0]), "n is 0 for best_of_n"),
        (change("ladders.0.2.look", ["best_of_n", 1]), "1 samples after 1"),
        (change("ladders.0.1.difficulty.edges", [0.5, 0.5]), "rows of inner edges|edges do not rise"),
        (change("ladders.0.1.difficulty.features", ["magic"]), "its features are"),
        (change("ladders.0.1.difficulty.success.weights", [0.0]), "weights is"),
        (change("solution_tokens", 0), "solution_tokens holds 0"),
        (change("model", 3), "model is 3, not str"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: FilePath, edit, message):
    data = json.loads(json.dumps(to_json(tuned.table())))
    edit(data)
    file = tmp_path / "table.json"
    file.write_text(json.dumps(data))
    with pytest.raises(UsageError, match=message):
        load_table(file)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"format": "x"}'])
def test_what_is_no_table_is_refused(tmp_path: FilePath, text):
    file = tmp_path / "table.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"table\.json"):
        read(file, ["beam"])


def test_a_missing_file_is_refused(tmp_path: FilePath):
    with pytest.raises(UsageError, match="cannot be read as a table"):
        from_file(tmp_path / "none.json")


def test_bad_arguments():
    table = tuned.table()
    with pytest.raises(UsageError, match=r"n=0\.5"):
        compute_optimal(table, 0.5)
    with pytest.raises(UsageError, match="price=-1"):
        compute_optimal(table, price=-1)
    with pytest.raises(UsageError, match="the table has beam, best_of_n"):
        compute_optimal(table, strategies=["mcts"])
    assert replace(table, scorer=None).check(model="fake") is None


def test_the_bundled_table_is_there_and_names_its_command():
    table = load_table()
    assert (table.model, table.scorer, table.task) == ("bundled", "process", "word_problems")
    assert str(table.made["command"]).startswith("reason tune word_problems")
    assert "--split train" in str(table.made["command"])
    accuracy, tokens = Plan(table, 8).expected
    assert tokens == pytest.approx(8 * table.solution_tokens, rel=1e-6)
    assert accuracy > max(arm.accuracy[0] for arm in table.ladders[0][0].arms if arm.strategy == "best_of_n")
    assert from_file(bundled_table(), 8, model="bundled", scorer="process").needs == {"scorer", "partial"}


def test_names_of_tables():
    assert str(table_file("compute_optimal=some/table.json")) == str(FilePath("some/table.json"))
    assert table_file("compute_optimal") == bundled_table()


def test_strategies_without_any_plan_are_refused():
    arm = Arm("beam", 4, "naive", (0.5,), (0.5,), (90.0,))
    look, stop = Arm("best_of_n", 4, "naive", (0.4,), (0.4,), (70.0,)), Arm(STOP, 0, "naive", (0.3,), (0.3,), (0.0,))
    start = Stage(None, None, (9.0,), (0.3,), (look,), (20.0,), ((1.0,),))
    last = Stage(("best_of_n", 1), None, (9.0,), (0.3,), (stop, arm))
    table = replace(tuned.table(), ladders=((start, last),))
    with pytest.raises(UsageError, match=r"none of the table's plans does with these alone; .*: best_of_n"):
        compute_optimal(table, 4, strategies=["beam"])
    assert compute_optimal(table, 4, strategies=["best_of_n"]).needs == {"scorer"}


def test_a_run_without_a_scorer_compares_none(tmp_path: FilePath):
    file = tmp_path / "table.json"
    write(tuned.table(("self_consistency",), False), file)
    assert from_file(file, 4, model=None, scorer=None).needs == frozenset()
    with pytest.raises(UsageError, match="this run has 'fake'"):
        from_file(file, 4, scorer="fake")
