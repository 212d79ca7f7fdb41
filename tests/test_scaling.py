"""`reason scaling`: series from runs and tables, intervals over problems, the figure, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from kept import keep

from reason.cli import main
from reason.evals.curve import curve_of
from reason.evals.kaplan import Joint
from reason.evals.power_law import UNKNOWN, fit
from reason.evals.scaling import Series, law_of, series_of_runs
from reason.evals.scaling_table import COLUMNS, error_series, kaplan_series, read_table, trained_runs
from reason.evals.stored import read_runs
from reason.types import UsageError

PAPER = Joint(6.4e13, 1.8e13, 0.076, 0.103, UNKNOWN, UNKNOWN, 0, math.nan, math.nan)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    keep(folder / "best_of_n-8", "best_of_n", 8)
    for n in (2, 4, 8):
        keep(folder / f"beam-{n}", "beam", n)
    keep(folder / "cot-1", "cot", 1)
    return folder


def write(folder: Path, text: str) -> Path:
    file = folder / "table.csv"
    file.write_text(text, encoding="utf-8")
    return file


def losses(folder: Path) -> Path:
    rows = [
        f"{n:.6e},{d:.6e},{PAPER.at(n, d):.8f}" for n in np.geomspace(1e6, 1e9, 4) for d in np.geomspace(2e7, 2e10, 4)
    ]
    return write(folder, "parameters,tokens,loss\n" + "\n".join(rows) + "\n")


def test_a_run_of_samples_gives_a_series_per_selection_along_its_curve(runs: Path) -> None:
    [run] = read_runs([runs / "best_of_n-8"])
    series = {one.name: one for one in series_of_runs([run])}
    assert set(series) == {f"best_of_n-8: {name}" for name in ("any correct", "majority", "best", "weighted")}
    curve = curve_of(run.records, 8)
    best = series["best_of_n-8: best"]
    assert best.x == pytest.approx(curve["tokens"], abs=0.1)
    assert [1 - y for y in best.y] == pytest.approx(curve["naive"]["mean"], abs=1e-6)
    by_flops = series_of_runs([run], cost="flops")[2]
    assert by_flops.x == pytest.approx([k / 8 * np.mean([row.flops for row in run.records]) for k in range(1, 9)])


def test_runs_of_one_strategy_at_three_budgets_are_a_series(runs: Path) -> None:
    stored = read_runs([runs / f"beam-{n}" for n in (8, 2, 4)])
    [series] = series_of_runs(stored)
    assert series.name == "beam, 3 runs"
    found = sorted((np.mean([row.generated_tokens for row in run.records]), run) for run in stored)
    assert series.x == pytest.approx([x for x, _ in found])
    assert series.y == pytest.approx([1 - np.mean([row.correct for row in run.records]) for _, run in found])


def test_intervals_are_over_problems_with_all_points_drawn_together() -> None:
    generator = np.random.default_rng(0)
    x = np.array([10.0, 20, 40, 80, 160])
    hard = generator.random(300)
    errors = (hard[:, None] > 1 - 2 * x**-0.5).astype(float)
    weights = generator.multinomial(300, np.full(300, 1 / 300), size=200) / 300
    law = law_of(Series("s", "x", "error", tuple(x), tuple(errors.mean(axis=0)), weights @ errors))
    again = [fit(x, row).exponent for row in weights @ errors]
    if law.chosen.floor == 0:
        assert law.exponent_ci == pytest.approx(tuple(np.quantile(again, [0.025, 0.975])), rel=1e-3)
    assert law.exponent_ci[0] < law.chosen.exponent < law.exponent_ci[1]
    assert all(low <= law.chosen.at(at) <= high for low, at, high in zip(law.low, x, law.high, strict=True))
    without = law_of(Series("s", "x", "error", tuple(x), tuple(errors.mean(axis=0))))
    assert without.exponent_ci == without.chosen.exponent_ci
    assert not without.low


def test_points_without_error_are_left_out_and_told() -> None:
    law = law_of(Series("s", "x", "error", (1.0, 2.0, 4.0, 8.0), (0.5, 0.4, 0.3, 0.0)))
    assert (law.left_out, law.plain.points) == (1, 3)
    with pytest.raises(UsageError, match="too few for a power law"):
        law_of(Series("s", "x", "error", (1.0, 2.0, 4.0), (0.5, 0.4, 0.0)))


def test_a_table_of_losses_gives_kaplans_forms(tmp_path: Path) -> None:
    rows = read_table(losses(tmp_path))
    assert [series.name for series in kaplan_series(rows)] == ["L(N)", "L(D)", "L(C)"]
    sizes = kaplan_series(rows)[0]
    assert sizes.y == pytest.approx([PAPER.at(n, 2e10) for n in sizes.x], rel=1e-6)
    compute = kaplan_series(rows)[2]
    assert all(a > b for a, b in zip(compute.y, compute.y[1:], strict=False))
    assert len(trained_runs(rows)) == 16
    assert not error_series(rows)


def test_a_table_of_errors_is_fitted_series_by_series(tmp_path: Path) -> None:
    text = "series, flops ,accuracy,test_tokens\n"
    for name, exponent in (("a", 0.3), ("b", 0.5)):
        text += "".join(f"{name},{c:g},{1 - 2 * c**-exponent:.6f},{c / 10:g}\n" for c in (1e3, 1e4, 1e5, 1e6))
    found = {(one.name, one.x_name): law_of(one) for one in error_series(read_table(write(tmp_path, text + ",,,\n")))}
    assert set(found) == {(s, x) for s in "ab" for x in ("training FLOPs", "generated tokens per problem")}
    assert found["a", "training FLOPs"].plain.exponent == pytest.approx(0.3, abs=1e-3)
    assert found["b", "generated tokens per problem"].plain.exponent == pytest.approx(0.5, abs=1e-2)


def test_a_table_may_name_runs(runs: Path, tmp_path: Path) -> None:
    lines = [f"{10.0**n:g},{runs / f'beam-{n}'}" for n in (2, 4, 8)]
    rows = read_table(write(tmp_path, "flops,run\n" + "\n".join(lines) + "\n"))
    [run] = read_runs([runs / "beam-4"])
    assert rows[1].known["error"] == pytest.approx(1 - np.mean([row.correct for row in run.records]))
    assert rows[1].known["test_tokens"] == pytest.approx(np.mean([row.generated_tokens for row in run.records]))
    assert {series.x_name for series in error_series(rows)} >= {"training FLOPs", "generated tokens per problem"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("size,loss\n1,2\n", "out of parameters"),
        ("parameters,parameters,loss\n", "each of its columns once"),
        ("parameters\n1\n", "add a column loss"),
        ("loss\n1\n", "add a column out of"),
        ("parameters,loss\n1e6,x\n", r"line 2, loss: 'x' is not a number above 0"),
        ("parameters,loss\n-1,2\n", "line 2, parameters"),
        ("flops,accuracy\n1e6,1.5\n", "between 0 and 1"),
        ("flops,accuracy\n1e6,nan\n", "between 0 and 1"),
        ("parameters,loss\n1,2\n2,3\n", "too few for a power law"),
        ("", "columns none"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_by_line_and_column(
    tmp_path: Path, text: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scaling", str(write(tmp_path, text))]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    with pytest.raises(UsageError, match=complaint):
        raise UsageError(err)


def test_the_command_prints_draws_and_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    figure = tmp_path / "new" / "figure.svg"
    assert main(["scaling", str(losses(tmp_path)), "--out", str(figure), "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out.splitlines()[-1])
    assert [law["series"]["name"] for law in told["laws"]] == ["L(N)", "L(D)", "L(C)"]
    assert told["joint"]["n_exponent"] == pytest.approx(0.076, rel=1e-4)
    assert told["joint"]["allocation"] == pytest.approx(0.103 / 0.179, rel=1e-4)
    assert told["laws"][0]["critical"] > 1e13
    assert "α_N 0.0760" in err
    svg = figure.read_text()
    assert svg.count("<svg") == 1
    assert all(words in svg for words in ("training FLOPs", "L(C)", "parameters"))


def test_runs_by_tokens_and_by_flops(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(runs / name) for name in ("beam-2", "beam-4", "beam-8", "best_of_n-8")]
    told = []
    for cost in (["--cost", "tokens"], ["--cost", "flops"], []):
        assert main(["scaling", *folders, *cost, "--json", "--out", str(tmp_path / "f.png")]) == 0
        told.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert told[0] == told[2] != told[1]
    assert {law["series"]["x_name"] for law in told[1]["laws"]} == {"FLOPs per problem"}
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = str(losses(tmp_path))
    for arguments, complaint in (
        ([str(runs / "cot-1")], "hold no series"),
        ([str(runs / "best_of_n-8"), "--cost", "time"], "use tokens or flops"),
        ([table, "--cost", "flops"], "is for results folders"),
        ([table, str(runs / "cot-1")], "one CSV file or results folders"),
        ([table, "--out", str(tmp_path / "f.jpg")], "end its name in .svg or .png"),
        ([str(tmp_path / "nowhere")], "is not a folder"),
    ):
        assert main(["scaling", *arguments]) == 2
        assert complaint in capsys.readouterr().err


def test_every_column_is_documented() -> None:
    import reason.evals.scaling_table as module

    assert all(f"\n    {name} " in str(module.__doc__) for name in COLUMNS)
