"""`reason report`: kept runs as one page that loads and runs nothing, with figures computed from the runs."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, find_browser
from hypothesis import given
from hypothesis import strategies as st
from kept import keep

from reason.cli import main
from reason.evals.compare_runs import compare_runs
from reason.evals.curve import expected_over_k
from reason.evals.record import FAILED, Record
from reason.evals.report_command import facts, gather, part_of
from reason.evals.report_disagree import Disagreement, Said, disagreements, link, trees
from reason.evals.report_figure import Frame, Point, Series
from reason.evals.report_page import START, Part, run_page
from reason.evals.report_panels import LeftOut, Panel, Told, _quintiles, panels, rate
from reason.evals.results import Results
from reason.evals.run import evaluate
from reason.evals.stored import StoredRun, read_runs
from reason.policies.fake import FakePolicy, FakeScorer, fake_problems
from reason.search import STRATEGIES
from reason.types import Problem
from toy import TASK

pytest.importorskip("matplotlib")

ALL = {"accuracy", "frontier", "difficulty", "confidence", "scores", "length", "rates"}
HOSTILE = (
    "</style></td><script>document.title='run'</script><img src=x onerror=alert(1)>\" style=\"x\x00\u202e$\\frac{$"
)

ROW = Record(
    problem="p",
    verdict="correct",
    answer="1",
    gold="1",
    text="",
    finish="stop",
    stopped="done",
    confidence=None,
    candidates=1,
    truncated_candidates=0,
    unanswered_candidates=0,
    unscored_candidates=0,
    generated_tokens=1,
    prefilled_tokens=1,
    scored_tokens=0,
    flops=0.0,
    seconds=0.0,
    elapsed=0.0,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for strategy, n in (("cot", 1), ("self_consistency", 6), ("best_of_n", 6), ("beam", 4)):
        keep(folder / f"{strategy}-{n}", strategy, n)
    return folder


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with a trace, and the first with its page of trees."""
    folder = tmp_path_factory.mktemp("traced")
    for strategy, n in (("cot", 1), ("best_of_n", 4)):
        results = Results(folder / strategy, {"task": "toy", "strategy": strategy, "n": n})
        scorer = FakeScorer(noise=0.4) if n > 1 else None
        evaluate(
            fake_problems(20),
            TASK.grade,
            policy=FakePolicy(accuracy=0.6),
            search=STRATEGIES[strategy](n),
            scorer=scorer,
            results=results,
            store=folder / strategy / "trace.db",
        )
    assert main(["view", str(folder / "cot")]) == 0
    return folder


def of(told: Told) -> dict[str, Panel | LeftOut]:
    return {made.name: made for made in panels(told)}


def panel(told: Told, name: str) -> Panel:
    found = of(told)[name]
    assert isinstance(found, Panel)
    return found


def changed(run: StoredRun, **values: Any) -> StoredRun:
    return replace(run, records=tuple(replace(row, **values) for row in run.records))


def test_a_report_has_every_figure_and_lists_what_is_left_out(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs)]) == 0
    said = capsys.readouterr().out
    text = (runs / "report.html").read_text("utf-8")
    assert str(runs / "report.html") in said
    shown = set(re.findall(r'<section id="t0-([a-z]+)">', text))
    assert shown - {"disagreements"} <= ALL
    assert {"accuracy", "frontier", "difficulty", "confidence", "scores", "length", "disagreements"} <= shown
    assert ("left out: Cut off and unanswered" in said) is ("rates" not in shown)
    for run in ("cot-1", "self_consistency-6", "best_of_n-6", "beam-4"):
        assert run in text


def test_the_page_is_self_contained(runs: Path, tmp_path: Path) -> None:
    assert main(["report", str(runs), "--out", str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text("utf-8")
    assert text.startswith(START)
    assert "default-src 'none'" in text
    assert "<script" not in text
    assert " style=" not in text
    assert not re.search(r"@import|<link|<img|<iframe|\burl\((?!#)", text)
    for address in re.findall(r'\b(?:href|src)="([^"]*)"', text):
        assert address.startswith("#"), address
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= set(ids)
    assert not (tmp_path / "r.html.part").exists()


def test_accuracy_is_that_of_the_records_and_of_their_samples(runs: Path) -> None:
    told = gather(read_runs([runs]))
    drawn = {item.name.split(",")[0]: item for item in panel(told, "accuracy").series}
    by_name = {run.name: run for run in told.runs}
    for name in ("cot-1", "beam-4"):
        [point] = drawn[name].points
        records = by_name[name].records
        assert point.y == sum(row.correct for row in records) / len(records)
        assert point.x == sum(row.generated_tokens for row in records) / len(records)
        assert point.low <= point.y <= point.high
    run = by_name["best_of_n-6"]
    expected = expected_over_k(run.records, 6, "naive")
    for k, point in zip((1, 2, 4, 6), drawn["best_of_n-6"].points, strict=True):
        assert point.y == pytest.approx(sum(values[k - 1] for values in expected) / len(expected))


def test_the_frontier_is_that_of_compare(runs: Path) -> None:
    stored = read_runs([runs])
    made = panel(gather(stored), "frontier")
    found = compare_runs(stored, each=True).frontier
    steps = made.series[-1].points
    assert [(point.x, point.y) for point in steps[:-1]] == [(point.tokens, point.accuracy) for point in found]
    assert len(made.tables[0].rows) == len(found)


def test_a_run_looks_the_same_in_every_figure(runs: Path) -> None:
    told = gather(read_runs([runs]))
    order = [run.name for run in told.runs]
    for name in ("accuracy", "difficulty", "confidence", "scores", "length"):
        for place, item in enumerate(panel(told, name).series):
            assert order[place if item.look is None else item.look] == item.name.split(",")[0]


def test_calibration_counts_what_was_right(runs: Path) -> None:
    told = gather(read_runs([runs / "self_consistency-6"]))
    [item] = panel(told, "confidence").series
    rows = told.runs[0].records
    assert panel(told, "confidence").tables[0].rows[0][1] == str(len(rows))
    assert all(point.low <= point.y <= point.high for point in item.points)
    assert min(row.confidence or 0 for row in rows) <= item.points[0].x
    assert isinstance(of(told)["scores"], LeftOut), "a vote has no scores"


def test_the_tasks_own_levels_come_before_fifths(runs: Path) -> None:
    told = gather(read_runs([runs / "self_consistency-6"]))
    levels = {name: Problem(name, "?", meta={"level": 1 + place % 3}) for place, name in enumerate(told.known)}
    made = panel(replace(told, problems=levels), "difficulty")
    assert [name.split("\n")[0] for name in made.frame.names] == ["1", "2", "3"]
    good = {row.problem: row.correct for row in told.runs[0].records}
    for level, point in enumerate(made.series[0].points, 1):
        members = [good[name] for name, problem in levels.items() if problem.meta["level"] == level]
        assert point.y == sum(members) / len(members)
    many = {name: Problem(name, "?", meta={"level": 1 + place % 8}) for place, name in enumerate(told.known)}
    assert "fifths" in panel(replace(told, problems=many), "difficulty").text, "five problems a level are too few"
    levels.popitem()
    assert "fifths" in panel(replace(told, problems=levels), "difficulty").text


@given(st.dictionaries(st.text(max_size=4), st.sampled_from((0.0, 0.2, 1 / 3, 0.5, 0.9, 1.0)), min_size=1))
def test_fifths_split_no_ties_and_rise(rates: dict[str, float]) -> None:
    groups = list(_quintiles(rates).values())
    assert sorted(name for group in groups for name in group) == sorted(rates)
    assert 1 <= len(groups) <= 5
    for lower, upper in pairwise(groups):
        assert max(rates[name] for name in lower) < min(rates[name] for name in upper)


def test_rates_and_lengths_are_those_of_the_records(runs: Path) -> None:
    [run] = read_runs([runs / "cot-1"])
    rows = list(run.records)
    rows[:4] = [replace(row, finish="length") for row in rows[:4]]
    rows[4:6] = [replace(row, answer=None, verdict="no_answer") for row in rows[4:6]]
    rows[6] = replace(rows[6], verdict=FAILED)
    told = gather([replace(run, records=tuple(rows))])
    cut, none, failed = (item.points[0].y for item in panel(told, "rates").series)
    assert (cut, none, failed) == (4 / 40, 2 / 40, 1 / 40)
    lengths = panel(told, "length").series[0].points
    assert [point.x for point in lengths] == sorted(len(row.text) for row in told.of(told.runs[0]))
    assert lengths[-1].y == 1


def test_figures_that_make_no_sense_are_left_out_with_a_reason(runs: Path) -> None:
    [run] = read_runs([runs / "cot-1"])
    bare = changed(run, text="", confidence=None, generated_tokens=0)
    few = replace(bare, records=bare.records[:5])
    found = of(gather([few]))
    assert {name for name, made in found.items() if isinstance(made, LeftOut)} == ALL
    text = run_page([part_of([few], Path("report.html"))], facts([few]))
    assert text.count("<li>") >= len(ALL)
    assert "<svg" not in text
    for made in found.values():
        assert isinstance(made, LeftOut)
        assert made.why in text.replace("&#x27;", "'")
        assert "\n" not in made.why


def test_disagreements_are_ranked_and_link_to_the_trees(traced: Path, tmp_path: Path) -> None:
    told = gather(read_runs([traced]))
    found = disagreements(told, traced / "report.html")
    assert found
    spreads = [item.spread for item in found]
    assert spreads == sorted(spreads, reverse=True)
    rows = [{row.problem: row for row in run.records} for run in told.runs]
    differ = [name for name in told.known if len({kept[name].correct for kept in rows}) > 1]
    assert {item.problem for item in found} <= set(differ)
    assert len(found) == min(15, len(differ))
    numbers = trees(traced / "cot" / "view.html")
    assert len(numbers) == 20
    for item in found:
        assert item.question == told.problems[item.problem].question
        by_run = {said.run: said for said in item.said}
        assert by_run["cot"].tree == f"./cot/view.html#problem-{numbers[item.problem]}"
        assert by_run["best_of_n"].tree == ""
        assert item.spread == pytest.approx(abs(by_run["cot"].rate - by_run["best_of_n"].rate))
    assert part_of(told.runs, traced / "report.html").treeless == ("best_of_n",)


def test_rates_of_records() -> None:
    assert rate(ROW) == 1
    assert rate(replace(ROW, samples=(("1", True, None), ("2", False, None), (None, False, None)))) == 1 / 3


def test_figures_are_written_as_svg_and_png(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, folder = tmp_path / "r.html", tmp_path / "figures"
    assert main(["report", str(runs), "--out", str(out), "--figures", str(folder), "--json"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    [task] = data["tasks"]
    assert data["out"] == str(out)
    assert sorted(data["files"]) == sorted(map(str, folder.iterdir()))
    assert {Path(name).stem for name in data["files"]} == set(task["figures"])
    assert set(task["figures"]) | set(task["left_out"]) == ALL
    assert len(task["compared"]["lines"]) == 4
    for file in folder.iterdir():
        start = file.read_bytes()
        if file.suffix == ".svg":
            assert "#010101" not in start.decode()
            assert ElementTree.fromstring(start).tag.endswith("svg")
        else:
            assert start.startswith(b"\x89PNG")


def test_runs_of_several_tasks_stand_one_after_the_other(runs: Path, tmp_path: Path) -> None:
    keep(tmp_path / "other", "cot", 1, task="another task")
    out, folder = tmp_path / "r.html", tmp_path / "figures"
    assert main(["report", str(runs), str(tmp_path / "other"), "--out", str(out), "--figures", str(folder)]) == 0
    text = out.read_text("utf-8")
    assert "Runs on toy, another task" in text
    assert 'id="t1-accuracy"' in text
    assert (folder / "2-another-task-accuracy.svg").exists()


def test_a_page_is_replaced_and_nothing_else(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, run = tmp_path / "r.html", str(runs / "cot-1")
    assert main(["report", run, "--out", str(out)]) == 0
    assert main(["report", run, "--out", str(out)]) == 0
    out.write_text("<!doctype html>\n<html><p>mine")
    assert main(["report", run, "--out", str(out)]) == 2
    assert "no page of reason report" in capsys.readouterr().err
    assert out.read_text().endswith("mine")


def test_what_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, file = str(runs / "cot-1"), tmp_path / "file"
    file.write_text("x")
    other = keep(tmp_path / "other", "cot", 1, seed=7)
    rows = [json.loads(line) for line in (other / "results.jsonl").read_text().splitlines()]
    (other / "results.jsonl").write_text("".join(json.dumps(row | {"gold": "0"}) + "\n" for row in rows))
    for arguments, word in (
        ([str(tmp_path / "none")], "is not a folder"),
        ([run, run], "given twice"),
        ([run, "--out", str(tmp_path)], "is a folder"),
        ([run, "--out", str(tmp_path / "no" / "r.html")], "cannot be written"),
        ([run, "--out", str(tmp_path / "r.html"), "--figures", str(file)], "is a file"),
        ([run, str(other)], "different data"),
    ):
        assert main(["report", *arguments]) == 2
        said = capsys.readouterr().err.strip()
        assert word in said
        assert "\n" not in said
    assert not (tmp_path / "r.html").exists()


def hostile_part() -> Part:
    """A part whose every text tries to be markup."""
    points = (Point(0.5, 0.5, 0.4, 0.6),)
    made = Panel(
        "accuracy", "Accuracy", "text", Frame("t", "x", "names", (HOSTILE,)), (Series(HOSTILE, points, "bars"),)
    )
    said = (Said(HOSTILE, HOSTILE, "correct", 1.0, 0.5, link(Path(HOSTILE.replace("\x00", "")), Path("r.html"), 1)),)
    run = StoredRun(HOSTILE, Path("x"), {"task": HOSTILE, "strategy": HOSTILE, "model": HOSTILE}, (ROW,))
    compared = compare_runs([run], each=True)
    return Part(compared, (made,), (Disagreement(HOSTILE, HOSTILE, HOSTILE, 1.0, said),), (HOSTILE,))


def test_hostile_text_stays_text() -> None:
    text = run_page([hostile_part()], [(HOSTILE, HOSTILE)])
    assert "<script" not in text
    assert "<img" not in text
    assert " style=" not in text.replace("&quot; style=", "").replace('" style="x', "")
    assert "\x00" not in text
    assert "\u202e" not in text
    assert text.count("</style>") == 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if find_browser() is None:
        pytest.skip("no Chromium")
    with Browser() as opened:
        yield opened


def opened(browser: Browser, file: Path) -> None:
    browser.events.clear()
    browser.call("Page.navigate", url=file.as_uri())
    browser.wait(f"location.href === {json.dumps(file.as_uri())} && document.readyState === 'complete'")


def test_in_a_browser_hostile_text_does_nothing(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "r.html"
    file.write_text(run_page([hostile_part()], [(HOSTILE, HOSTILE)]), "utf-8")
    opened(browser, file)
    assert browser.errors() == []
    assert browser.requests() == [file.as_uri()]
    assert browser.run("document.querySelectorAll('script, img, iframe').length") == 0
    assert browser.run("document.title").startswith("Runs on </style>")
    assert browser.run("getComputedStyle(document.querySelector('svg text')).fontSize") != ""


def test_in_a_browser_the_page_fits_and_follows_the_scheme(browser: Browser, runs: Path, tmp_path: Path) -> None:
    file, long = tmp_path / "r.html", tmp_path / ("a-long-name-of-a-run-" * 5)
    shutil.copytree(runs / "best_of_n-6", long)
    assert main(["report", str(runs), str(long), "--out", str(file)]) == 0
    opened(browser, file)
    assert browser.errors() == []
    wide = "getComputedStyle(document.querySelector('.wide')).display"
    for width, shown in ((390, "none"), (1440, "block")):
        browser.resize(width, 900)
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run(wide) == shown
    colour = "getComputedStyle(document.querySelector('figure text')).fill"
    light = browser.run(colour)
    browser.scheme(dark=True)
    assert browser.run(colour) != light, "a figure's colours are variables that the policy lets through"
    browser.scheme(dark=False)
    browser.paper(tmp_path / "r.pdf")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")


def test_in_a_browser_a_link_opens_the_tree(browser: Browser, traced: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a run's folder"
    shutil.copytree(traced, folder)
    assert main(["report", str(folder)]) == 0
    opened(browser, folder / "report.html")
    problem = browser.run("document.querySelector('article h3').textContent")
    address = browser.run("document.querySelector('article a').href")
    browser.open(address)
    assert problem in browser.run("document.body.innerText")
