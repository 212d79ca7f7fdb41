"""What `reason view` reads from a trace store, what it writes, and one clear line for every wrong use."""

from __future__ import annotations

import json
import math
import os
import pathlib
import re
import webbrowser
from collections.abc import Sequence

import pytest

import reason
from reason.cli import main
from reason.policies.fake import FakePolicy, FakeScorer
from reason.search import STRATEGIES
from reason.show import ENDINGS
from reason.trace import Store
from reason.types import Finish, Outcome, Path, Problem, Sampling, Step
from reason.view.data import FINISHES, KINDS, ProblemView
from reason.view.mathml import ATTRIBUTES, ELEMENTS
from reason.view.source import Source, find_store

PROBLEMS = [Problem(f"p{at}", f"{at} + 3 + 4 + 5", str(at + 12)) for at in range(6)]


class NamedScorer(FakeScorer):
    name = "fake"


class Stopping(FakePolicy):
    """Is interrupted at its so-manieth call."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return await super().extend(paths, sampling)


def recorded(file: pathlib.Path, name: str, policy: FakePolicy | None = None, **options: object) -> list[Outcome]:
    search = STRATEGIES[name](**{"n": 8, **options})
    scorer = NamedScorer() if "scorer" in search.needs else None
    with Store(file, config={"task": "toy", "strategy": name, "n": 8}) as store:
        return reason.solve(
            PROBLEMS, policy=policy or FakePolicy(), search=search, scorer=scorer, store=store, progress=False
        )


def views(file: pathlib.Path) -> list[ProblemView]:
    source = Source(file)
    found = [source.problem(outcome) for outcome in source.outcomes()]
    source.close()
    return found


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["view", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    file = tmp_path_factory.mktemp("run") / "trace.db"
    recorded(file, "beam")
    return file


@pytest.mark.parametrize("name", ["beam", "mcts", "dvts"])
def test_a_tree_search_is_shown_as_its_tree(tmp_path: pathlib.Path, name: str) -> None:
    outcomes = recorded(tmp_path / "trace.db", name)
    for outcome, view in zip(outcomes, views(tmp_path / "trace.db"), strict=True):
        tree = outcome.tree
        rows = view.nodes[: len(tree) - 1]
        assert [row.text for row in rows] == [step.text for step in tree.steps[1:]]
        assert [row.parent for row in rows] == [parent - 1 for parent in tree.parent[1:]]
        assert [row.visits for row in rows] == tree.visits[1:]
        assert [row.copies for row in rows] == tree.copies[1:]
        assert [row.chosen for row in rows] == tree.chosen[1:]
        assert [row.pruned for row in rows] == [bool(pruned) for pruned in tree.pruned[1:]]
        assert [row.token_ids for row in rows] == [step.token_ids for step in tree.steps[1:]]
        for row, value in zip(rows, tree.value[1:], strict=True):
            assert row.value == value or math.isnan(row.value) == math.isnan(value)
        assert view.answer == outcome.answer


@pytest.mark.parametrize("name", ["best_of_n", "self_consistency", "cot", "revision"])
def test_a_search_without_a_tree_is_shown_by_its_votes(tmp_path: pathlib.Path, name: str) -> None:
    outcomes = recorded(tmp_path / "trace.db", name)
    for outcome, view in zip(outcomes, views(tmp_path / "trace.db"), strict=True):
        if outcome.tree is not None:
            continue
        solutions = [node for node in view.nodes if node.kind == "solution"]
        assert sum(node.copies for node in solutions) == len(outcome.candidates)
        assert {node.text for node in solutions} == {item.path.text for item in outcome.candidates}
        assert outcome.path is not None
        assert [node.text for node in solutions if node.chosen] == [outcome.path.text]
        assert sum(vote.solutions for vote in view.votes) == len(outcome.candidates)
        assert [vote.answer for vote in view.votes if vote.chosen] == [outcome.answer]
        if name == "best_of_n":
            lines = [node for node in view.nodes if node.kind == "line"]
            assert lines
            assert all(0 <= node.value <= 1 for node in lines)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategys_rows_are_a_tree(tmp_path: pathlib.Path, name: str) -> None:
    try:
        recorded(tmp_path / "trace.db", name)
    except (reason.UsageError, TypeError):
        pytest.skip("needs more than the fake policy and scorer have")
    for view in views(tmp_path / "trace.db"):
        assert view.nodes
        assert all(node.parent < index for index, node in enumerate(view.nodes))


def test_an_interrupted_run_is_shown_as_far_as_it_got(tmp_path: pathlib.Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        recorded(tmp_path / "trace.db", "mcts", Stopping(9))
    source = Source(tmp_path / "trace.db")
    run = source.run()
    assert {row.state for row in run.rows} >= {"interrupted"}
    assert any("interrupted" in note for note in run.notes)
    shown = [source.problem(outcome) for outcome in source.outcomes()]
    assert any(view.nodes for view in shown)
    assert not any(view.done for view in shown if not view.answer)
    source.close()


def test_a_run_that_is_being_written_is_running_and_its_stamps_change(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "trace.db"
    seen = list[tuple[object, str]]()

    class Watching(FakePolicy):
        source: Source | None = None

        async def extend(self, paths: Sequence[Path], sampling: Sampling) -> list[Step]:
            if len(self.calls) > 8:
                source = self.source = self.source or Source(file)
                outcomes = source.outcomes()
                assert "running" in {row.state for row in source.run(outcomes).rows}
                seen.append((source.state(), source.stamp(outcomes[0])))
            return await super().extend(paths, sampling)

    policy = Watching()
    recorded(file, "mcts", policy)
    assert len({state for state, _ in seen}) > 1
    assert len({stamp for _, stamp in seen}) > 1
    assert policy.source is not None
    policy.source.close()


def test_the_run_says_what_it_is(store: pathlib.Path) -> None:
    source = Source(store.parent)
    run = source.run()
    assert run.title == "toy: beam, n 8, model fake, scorer fake"
    assert dict(run.totals)["problems"] == "6"
    sections = dict(run.facts)
    assert dict(sections["Strategy"])["name"] == "beam"
    assert "python" in dict(sections["Versions"])
    assert [row.gold for row in run.rows] == [problem.answer for problem in PROBLEMS]
    assert all(row.verdict == ("correct" if row.answer == row.gold else "incorrect") for row in run.rows)
    source.close()


def test_verdicts_are_those_of_the_results_beside_the_store(tmp_path: pathlib.Path) -> None:
    recorded(tmp_path / "trace.db", "cot")
    lines = [json.dumps({"problem": problem.id, "verdict": "timeout"}) for problem in PROBLEMS[:2]]
    (tmp_path / "results.jsonl").write_text("\n".join(lines) + "\n")
    source = Source(tmp_path)
    assert [row.verdict for row in source.run().rows][:2] == ["timeout", "timeout"]
    (tmp_path / "results.jsonl").write_text(lines[0].replace("timeout", "limit") + "\n\n")
    assert source.run().rows[0].verdict == "limit"
    source.close()


def test_the_command_writes_one_page(capsys: pytest.CaptureFixture[str], store: pathlib.Path) -> None:
    code, out, err = told(capsys, str(store.parent))
    assert (code, err) == (0, "")
    assert out.startswith(str(store.parent / "view.html"))
    assert "6 problems" in out
    text = (store.parent / "view.html").read_text("utf-8")
    assert text.startswith("<!doctype html>")
    assert all(f'id="data-problem-{at}"' in text for at in range(6))
    assert not list(store.parent.glob("*.part"))
    assert told(capsys, str(store.parent))[0] == 0, "a page is written over"


def test_out_and_problem_and_open(
    capsys: pytest.CaptureFixture[str], store: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[str]()
    monkeypatch.setattr(webbrowser, "open", opened.append)
    file = tmp_path / "a page.html"
    code, out, _ = told(capsys, str(store), "--out", str(file), "--problem", "p3", "--problem", "p1", "--open")
    assert code == 0
    assert "2 problems" in out
    text = file.read_text("utf-8")
    assert "1 + 3 + 4 + 5" in text
    assert "2 + 3 + 4 + 5" not in text
    assert opened == [file.resolve().as_uri()]


def test_a_store_of_many_searches_shows_the_last_or_the_one_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    for name in ("cot", "self_consistency"):
        with Store(tmp_path / "trace.db") as held:
            reason.solve(PROBLEMS, policy=FakePolicy(), search=STRATEGIES[name](n=1), store=held, progress=False)
    for given, expected in (((), "self_consistency"), (("--search", "1"), "cot")):
        code, _, _ = told(capsys, str(tmp_path), "--out", str(tmp_path / "page.html"), *given)
        assert code == 0
        assert f"<title>{expected}" in (tmp_path / "page.html").read_text("utf-8")
    assert "The store holds 2 searches" in (tmp_path / "page.html").read_text("utf-8")
    code, _, err = told(capsys, str(tmp_path), "--search", "7")
    assert code == 2
    assert "no search 7" in err


def wrong(folder: pathlib.Path, store: pathlib.Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """Wrong uses and what their line must say."""
    (folder / "notes.txt").write_text("not a run")
    (folder / "empty").mkdir()
    (folder / "foreign.db").write_bytes(b"SQLite format 3\0" + b"\0" * 84)
    run, page = str(store), str(folder / "page.html")
    return {
        "missing": ((str(folder / "nothing"),), "there is no"),
        "no run": ((str(folder / "empty"),), "holds no trace store"),
        "text": ((str(folder / "notes.txt"),), "no trace store"),
        "foreign": ((str(folder / "foreign.db"),), "foreign.db"),
        "no folder": ((run, "--out", str(folder / "no" / "page.html")), "cannot be written"),
        "a folder": ((run, "--out", str(folder / "empty")), "is a folder"),
        "not writable": ((run, "--out", "/proc/page.html"), "cannot be written"),
        "the store": ((run, "--out", run), "is no page"),
        "a text": ((run, "--out", str(folder / "notes.txt")), "is no page"),
        "live with out": ((run, "--live", "--out", page), "leave out --out"),
        "live with problem": ((run, "--live", "--problem", "p1"), "leave out --out"),
        "port without live": ((run, "--port", "80"), "--live"),
        "port out of range": ((run, "--live", "--port", "99999"), "--port"),
        "unknown problem": ((run, "--problem", "p99"), "no problem 'p99'"),
        "unknown search": ((run, "--search", "2"), "--search"),
    }


CASES = (
    "missing, no run, text, foreign, no folder, a folder, not writable, the store, a text, live with out, "
    "live with problem, port without live, port out of range, unknown problem, unknown search"
).split(", ")


@pytest.mark.parametrize("case", CASES)
def test_wrong_use_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], store: pathlib.Path, tmp_path: pathlib.Path, case: str
) -> None:
    cases = wrong(tmp_path, store)
    assert sorted(cases) == sorted(CASES)
    arguments, expected = cases[case]
    before = store.read_bytes()
    code, out, err = told(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert expected in err
    assert len(err.splitlines()) == 1
    assert store.read_bytes() == before
    assert (tmp_path / "notes.txt").read_text() == "not a run"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_folder_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], store: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    tmp_path.chmod(0o500)
    code, _, err = told(capsys, str(store), "--out", str(tmp_path / "page.html"))
    tmp_path.chmod(0o700)
    assert code == 2
    assert "cannot be written" in err


def test_the_store_of_a_folder_is_found_by_name_or_by_kind(tmp_path: pathlib.Path, store: pathlib.Path) -> None:
    other = tmp_path / "mine.sqlite"
    other.write_bytes(store.read_bytes())
    assert find_store(tmp_path) == other
    (tmp_path / "trace.db").write_bytes(store.read_bytes())
    assert find_store(tmp_path) == tmp_path / "trace.db"


def test_results_beside_a_store_are_those_of_their_own_search(tmp_path: pathlib.Path) -> None:
    for n in (2, 4):
        with Store(tmp_path / "trace.db") as held:
            search = STRATEGIES["self_consistency"](n=n)
            reason.solve(PROBLEMS, policy=FakePolicy(), search=search, store=held, progress=False)
    (tmp_path / "results.jsonl").write_text(json.dumps({"problem": "p0", "verdict": "timeout", "elapsed": 2.5}) + "\n")
    (tmp_path / "config.json").write_text(json.dumps({"strategy": "self_consistency", "n": 2, "seed": 0}))
    shown = {}
    for number in (None, 1, 2):
        source = Source(tmp_path, number)
        shown[number] = (source.search.number, source.run().rows[0].verdict, dict(source.run().totals).get("seconds"))
        source.close()
    assert shown[None] == shown[1] == (1, "timeout", "2.5")
    assert shown[2][0] == 2
    assert shown[2][1] in ("correct", "incorrect")
    assert shown[2][2] is None


def test_the_script_and_the_package_say_the_same() -> None:
    folder = pathlib.Path(reason.__file__).parent / "view" / "page"
    text, tree = ((folder / name).read_text("utf-8") for name in ("text.js", "tree.js"))
    ends = re.search(r"const ENDS = (\[.*\]);", tree)
    assert ends is not None
    assert json.loads(ends[1]) == [ENDINGS.get(Finish(finish), "") for finish in FINISHES]
    lists = [
        " ".join(re.findall(r'"([^"]*)"', found)) for found in re.findall(r"new Set\(\((.*?)\)\.split", text, re.S)
    ]
    assert set(lists[0].split()) == ELEMENTS
    assert set(lists[1].split()) == {*ATTRIBUTES, "mathvariant"}
    names = ("SOLUTION", "ANSWERS", "LINE")
    assert [KINDS[int(re.findall(rf"{name} = (\d)", tree)[0])] for name in names] == ["solution", "answer", "line"]


def test_the_script_never_makes_markup_of_texts() -> None:
    folder = pathlib.Path(reason.__file__).parent / "view" / "page"
    script = "".join(file.read_text("utf-8") for file in sorted(folder.glob("*.js")))
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "DOMParser",
                 "srcdoc", "http:", "https:"):  # fmt: skip
        assert word not in script.replace("http://www.w3.org/1998/Math/MathML", ""), word
