"""The growing tree: what it takes in, what of it fits a terminal, and that watching changes nothing."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

import reason
import reason.resolve
from reason.cli import main
from reason.growing import Growing, Grown, LiveTree, growing_view, newest, watched
from reason.policies.fake import FakePolicy, FakeScorer
from reason.search import STRATEGIES, Strategy, beam, best_of_n, mcts
from reason.types import Finish, Outcome, Path, Problem, Score, Step
from reason.work import Extend, Judge

PROBLEM = Problem("p", "2 + 3 + 4 + 5", "14")


def solved(search: reason.search.Strategy, *, judged: bool = True) -> Outcome:
    scorer = FakeScorer() if judged else None
    return reason.solve([PROBLEM], policy=FakePolicy(), search=search, scorer=scorer, progress=False)[0]


def printed(growing: Growing, lines: int, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(growing_view(growing, lines, width, 1.0))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize("name", ["mcts", "beam", "best_of_n", "self_consistency", "revision"])
def test_watching_changes_nothing_and_sees_every_token(name: str) -> None:
    search = STRATEGIES[name](n=6)
    growing = Growing(PROBLEM)
    watching = watched(search, growing.see)
    assert (watching.needs, watching.name, watching.selection) == (search.needs, search.name, search.selection)
    judged = "scorer" in search.needs
    plain, seen = solved(search, judged=judged), solved(watching, judged=judged)
    assert seen.answer == plain.answer
    assert seen.candidates == plain.candidates
    assert growing.tokens == seen.cost.generated_tokens
    assert growing.steps


def test_a_tree_search_is_seen_as_its_tree() -> None:
    growing = Growing(PROBLEM)
    outcome = solved(watched(beam(n=8), growing.see))
    tree = outcome.tree
    held = sorted((tree.steps[at].text, tree.depth[at]) for at in range(1, len(tree)))
    depths = list[int]()
    for grown in growing.steps:
        depths.append(1 if grown.parent < 0 else depths[grown.parent] + 1)
    assert sorted(zip([grown.step.text for grown in growing.steps], depths, strict=True)) == held
    assert any(grown.value == grown.value for grown in growing.steps)


def test_equal_samples_are_one_line_and_scores_land_on_it() -> None:
    growing = Growing(PROBLEM)
    path, step = Path(PROBLEM), Step("a\n")
    growing.see(Extend((path, path)), [step, Step("a\n")])
    growing.see(Judge((path.then(step),)), [Score(0.75)])
    growing.see(Extend((path.then(step),)), [Step("b", finish=Finish.STOP)])
    growing.see(Extend((Path(Problem("p", "another question")),)), [Step("critique")])
    assert [(grown.parent, grown.copies, grown.below) for grown in growing.steps] == [(-1, 2, 1), (0, 1, 0)]
    shown = printed(growing, 10)
    assert "0.750  a  drawn 2 times" in shown
    assert "b  complete" in shown
    assert "critique" not in shown
    assert "2 steps" in shown


def test_only_the_newest_lines_are_shown_with_all_above_them() -> None:
    steps = [Grown(-1 if at < 50 else at - 50, Step(f"s{at}\n")) for at in range(100)]
    for lines in (1, 2, 5, 20):
        kept = newest(steps, lines)
        assert len(kept) <= lines
        assert all(steps[at].parent < 0 or steps[at].parent in kept for at in kept)
    assert newest(steps, 20) == {*range(90, 100), *range(40, 50)}
    growing = Growing(PROBLEM)
    growing.steps = steps
    shown = printed(growing, 20)
    assert "80 earlier steps not shown" in shown
    assert len(shown.splitlines()) == 22


def test_each_step_is_one_line_and_cannot_reach_the_terminal() -> None:
    growing = Growing(PROBLEM)
    growing.see(Extend((Path(PROBLEM),)), [Step("\x1b[2J[bold]x[/bold]\n" + "y" * 500)])
    shown = printed(growing, 10)
    assert "\x1b" not in shown
    assert "\\x1b[2J[bold]x[/bold]" in shown
    assert len(shown.splitlines()) == 3


def test_a_terminal_shows_it_growing_and_takes_its_lines_back() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, height=20, color_system=None)
    with LiveTree(console, PROBLEM) as live:
        solved(live.watch(mcts(n=4)))
    assert "steps · " in file.getvalue()
    assert file.getvalue().rstrip("\n").endswith("\x1b[2K")


def test_what_is_no_terminal_is_left_alone() -> None:
    file = io.StringIO()
    search = best_of_n(n=2)
    with LiveTree(Console(file=file), PROBLEM) as live:
        assert live.watch(search) is search
    with LiveTree(Console(file=file, force_terminal=True), PROBLEM, wanted=False) as live:
        assert live.watch(search) is search
    assert file.getvalue() == ""


def test_a_plain_function_is_watched_too() -> None:
    growing = Growing(PROBLEM)
    search = watched(lambda problem: best_of_n(n=2)(problem), growing.see)
    assert isinstance(search, Strategy)
    assert solved(search).answer is not None
    assert growing.steps


def test_the_command_prints_the_same_tree_as_before(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reason.resolve, "find_policy", lambda name: FakePolicy())
    monkeypatch.setattr("reason.scorers.load_scorer", lambda name, **_: FakeScorer())
    command = ["solve", PROBLEM.question, "--strategy", "mcts", "--tree"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "complete (the answer)" in shown
    assert "earlier steps" not in shown
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tree"]["nodes"]


def test_a_scores_colour_is_the_scores_alone() -> None:
    file = io.StringIO()
    growing = Growing(PROBLEM)
    path, step = Path(PROBLEM), Step("a step\n")
    growing.see(Extend((path,)), [step])
    growing.see(Judge((path.then(step),)), [Score(0.2)])
    console = Console(file=file, force_terminal=True, color_system="standard", no_color=False, width=80)
    console.print(growing_view(growing, 10, 80, 1.0))
    assert "\x1b[31m0.200\x1b[0m  a step" in file.getvalue()
