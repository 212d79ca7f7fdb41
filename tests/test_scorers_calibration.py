"""Calibration: each fit against brute force, order kept, error measures by hand, files that come back as they went."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_scorers import judge, path

from reason.scorers import Calibration, calibrate, fit, load_scorer
from reason.scorers.calibration import (
    METHODS,
    Bin,
    brier,
    expected_calibration_error,
    pool_adjacent_violators,
    read_calibration,
    reliability,
    save_calibration,
)
from reason.types import Path, Score, UsageError

LABELLED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0]), st.sampled_from([0.0, 0.25, 1.0])),
    min_size=1,
    max_size=9,
)


def isotonic_by_force(values: Sequence[float], labels: Sequence[float]) -> dict[float, float]:
    """The rising map of least squares over all ways to cut the distinct values into blocks of one mean each."""
    points = sorted(set(values))
    groups = [[label for value, label in zip(values, labels, strict=True) if value == point] for point in points]
    best: tuple[float, list[float]] = (math.inf, [])
    for cuts in range(1 << (len(points) - 1)):
        blocks: list[list[int]] = [[0]]
        for i in range(1, len(points)):
            if cuts >> (i - 1) & 1:
                blocks.append([])
            blocks[-1].append(i)
        means = [np.mean([label for i in block for label in groups[i]]) for block in blocks]
        if any(right < left - 1e-12 for left, right in pairwise(means)):
            continue
        fitted = [float(mean) for mean, block in zip(means, blocks, strict=True) for _ in block]
        error = sum((label - fitted[i]) ** 2 for i, group in enumerate(groups) for label in group)
        if error < best[0] - 1e-12:
            best = (error, fitted)
    return dict(zip(points, best[1], strict=True))


@settings(max_examples=150)
@given(LABELLED)
def test_pooling_is_the_least_squares_rising_map(pairs: list[tuple[float, float]]) -> None:
    values, labels = zip(*pairs, strict=True)
    corners, shares = pool_adjacent_violators(np.array(values), np.array(labels))
    assert np.all(np.diff(corners) > 0)
    assert np.all(np.diff(shares) >= -1e-12)
    for value, expected in isotonic_by_force(values, labels).items():
        assert float(np.interp(value, corners, shares)) == pytest.approx(expected, abs=1e-9)


def loss(values: Sequence[float], labels: Sequence[float], slope: float, shift: float = 0.0) -> float:
    logits = [math.log(v / (1 - v)) for v in values]
    chances = [1 / (1 + math.exp(-(slope * z + shift))) for z in logits]
    return -sum(y * math.log(p) + (1 - y) * math.log(1 - p) for p, y in zip(chances, labels, strict=True))


def drawn(slope: float, shift: float, count: int = 4000) -> tuple[list[float], list[float]]:
    """Values whose labels follow sigmoid(slope * logit + shift)."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, count)
    labels = generator.random(count) < 1 / (1 + np.exp(-(slope * logits + shift)))
    return (1 / (1 + np.exp(-logits))).tolist(), labels.astype(float).tolist()


def test_temperature_has_the_least_log_loss_of_a_grid() -> None:
    values, labels = drawn(0.4, 0.0)
    fitted = fit(values, labels, "temperature")
    assert fitted.temperature == pytest.approx(1 / 0.4, rel=0.1)
    grid = [loss(values, labels, slope) for slope in np.geomspace(0.1, 2, 400)]
    assert loss(values, labels, fitted.slope) <= min(grid) + 1e-6


def test_platt_has_the_least_loss_against_its_smoothed_labels() -> None:
    values, labels = drawn(0.5, -1.0)
    fitted = fit(values, labels, "platt")
    assert (fitted.slope, fitted.shift) == (pytest.approx(0.5, abs=0.1), pytest.approx(-1.0, abs=0.25))
    right = sum(labels)
    high, low = (right + 1) / (right + 2), 1 / (len(labels) - right + 2)
    smooth = [high if label else low for label in labels]
    best = loss(values, smooth, fitted.slope, fitted.shift)
    for slope in np.linspace(fitted.slope - 0.2, fitted.slope + 0.2, 21):
        for shift in np.linspace(fitted.shift - 0.3, fitted.shift + 0.3, 21):
            assert best <= loss(values, smooth, slope, shift) + 1e-9


def test_platt_stays_finite_where_values_separate_the_labels() -> None:
    fitted = fit([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], "platt")
    assert 0 < fitted.one(0.1) < 0.5 < fitted.one(0.9) < 1


@pytest.mark.parametrize("method", METHODS)
def test_values_that_say_the_opposite_keep_their_order(method: str) -> None:
    values, labels = drawn(-1.0, 0.0, 400)
    fitted = fit(values, labels, method)
    ranks = np.argsort(fitted.apply(sorted(values)), kind="stable")
    assert ranks.tolist() == list(range(len(values)))
    assert fitted.one(0.1) == pytest.approx(0.5, abs=0.06)
    assert fitted.one(0.9) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("method", METHODS)
@given(pairs=LABELLED, others=st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_maps_rise_strictly_stay_in_range_and_keep_nan(
    method: str, pairs: list[tuple[float, float]], others: list[float]
) -> None:
    values, labels = zip(*pairs, strict=True)
    assume(len(values) > 1 and 0 < sum(labels) < len(labels))
    fitted = fit(values, labels, method)
    points = sorted({round(value, 4) for value in (*values, *others)})
    mapped = fitted.apply(points)
    assert np.all((mapped >= 0) & (mapped <= 1))
    inside = [i for i, point in enumerate(points) if 1e-3 < point < 1 - 1e-3]
    assert np.all(np.diff(mapped) >= 0)
    if fitted.slope < 5:
        assert np.all(np.diff(mapped[inside]) > 0)
    assert math.isnan(fitted.one(math.nan))
    assert fitted.one(points[0]) == mapped[0]


@pytest.mark.parametrize("method", METHODS)
def test_calibration_lowers_the_error_on_other_labels_of_the_same_kind(method: str) -> None:
    values, labels = drawn(0.3, 0.0, 6000)
    fitted = fit(values[::2], labels[::2], method)
    held, truth = values[1::2], labels[1::2]
    assert expected_calibration_error(held, truth) > 0.1
    assert expected_calibration_error(fitted.apply(held), truth) < 0.05
    assert brier(fitted.apply(held), truth) < brier(held, truth)


def test_error_measures_by_hand() -> None:
    values, labels = [0.1, 0.2, 0.8, 0.9], [0, 1, 1, 1]
    assert reliability(values, labels, 2) == [
        Bin(pytest.approx(0.15), 0.5, 2),
        Bin(pytest.approx(0.85), 1.0, 2),
    ]
    assert expected_calibration_error(values, labels, 2) == pytest.approx((2 * 0.35 + 2 * 0.15) / 4)
    assert brier(values, labels) == pytest.approx((0.01 + 0.64 + 0.04 + 0.01) / 4)
    assert math.isnan(brier([], []))
    assert math.isnan(expected_calibration_error([math.nan], [1]))


@given(LABELLED, st.integers(1, 12))
def test_bins_hold_every_value_once_and_equal_values_together(pairs: list[tuple[float, float]], bins: int) -> None:
    values, labels = zip(*pairs, strict=True)
    found = reliability(values, labels, bins)
    assert sum(entry.count for entry in found) == len(values)
    assert len(found) <= bins
    assert [entry.value for entry in found] == sorted(entry.value for entry in found)
    assert math.fsum(entry.share * entry.count for entry in found) == pytest.approx(sum(labels))
    if bins == 1:
        assert expected_calibration_error(values, labels, 1) == pytest.approx(abs(np.mean(values) - np.mean(labels)))


def test_unscored_values_and_labels_are_left_out() -> None:
    nan = math.nan
    assert fit([0.2, nan, 0.8, 0.5], [0, 1, 1, nan]) == fit([0.2, 0.8], [0, 1])
    assert fit([0.2, 0.8], [0, 1]).fitted_on == 2


@pytest.mark.parametrize(
    ("values", "labels", "words"),
    [
        ([0.1], [1], "1 scored values, 1 of them right"),
        ([0.1, 0.2], [1, 1], "needs right and wrong ones"),
        ([0.1, 0.2], [1], "2 values and 1 labels"),
        ([0.1, 3.0], [0, 1], "values reach from 0.1 to 3"),
        ([0.1, 0.3], [0, 2], "labels reach from 0 to 2"),
        ([], [], "0 scored values"),
    ],
)
def test_what_cannot_be_fitted(values: list[float], labels: list[float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fit(values, labels)


class Stepwise:
    """Scores every step of a path."""

    parameters = 5
    name = "stepwise"

    def count_tokens(self, path: Path) -> int:
        return 9

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        return [
            Score(0.9, (0.1, 0.9), 3, "why", parts=(0.1, 0.5, 0.9)) if one.text else Score(math.nan, error="empty")
            for one in paths
        ]


def test_a_calibrated_scorer_maps_every_value_and_nothing_else() -> None:
    fitted = Calibration("temperature", slope=0.5)
    scorer: Any = calibrate(Stepwise(), fitted)
    scored, empty = judge(scorer, [path("Q", "a"), path("Q", "")])
    assert scored.value == fitted.one(0.9) == pytest.approx(0.75)
    assert scored.steps == (pytest.approx(0.25), pytest.approx(0.75))
    assert scored.parts == (pytest.approx(0.25), pytest.approx(0.5), pytest.approx(0.75))
    assert (scored.tokens, scored.explanation) == (3, "why")
    assert math.isnan(empty.value)
    assert empty.error == "empty"
    assert (scorer.parameters, scorer.name, scorer.count_tokens(path("Q", "a"))) == (5, "stepwise", 9)
    assert not hasattr(scorer, "compare")


class TestFiles:
    def write(self, file: FilePath, calibration: Calibration, scorer: str = "arithmetic") -> FilePath:
        save_calibration(file, calibration, scorer=scorer, aggregate=None, facts={"note": "how it was made"})
        return file

    @pytest.mark.parametrize("method", METHODS)
    def test_they_come_back(self, method: str, tmp_path: FilePath) -> None:
        fitted = fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1], method)
        file = self.write(tmp_path / "new" / "calibration.json", fitted)
        assert read_calibration(file) == (fitted, "arithmetic", None)
        assert json.loads(file.read_text())["note"] == "how it was made"

    def test_a_scorer_is_loaded_with_its_calibration(self, tmp_path: FilePath) -> None:
        file = self.write(tmp_path / "c.json", Calibration("platt", 1.0, 1.0))
        scorer: Any = load_scorer(f"calibrated:{file}")
        [score] = judge(scorer, [path("Q", "1 + 2 = 4\n")])
        assert score.value == Calibration("platt", 1.0, 1.0).one(0.0)
        assert scorer.name == "arithmetic"

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "No such file"),
            ("{", "holds no calibration"),
            ("[]", "holds no calibration"),
            ('{"calibration": {"method": "isotonic"}, "scorer": "process"}', "as many shares as values"),
            ('{"calibration": {"method": "magic"}, "scorer": "process"}', "method='magic'"),
            ('{"calibration": {"method": "platt", "slope": -1}, "scorer": "process"}', "slope must be above 0"),
            ('{"calibration": {"method": "platt", "shape": 1}, "scorer": "process"}', "holds no calibration"),
            ('{"calibration": {"method": "isotonic", "values": [1, 0], "shares": [0, 1]}, "scorer": "p"}', "rising"),
            (
                '{"calibration": {"method": "isotonic", "values": [0, 1], "shares": [0, 1.5]}, "scorer": "process"}',
                r"shares must lie in \[0, 1\], and one is 1.5",
            ),
            (
                '{"calibration": {"method": "isotonic", "values": [-1, 1], "shares": [0, 1]}, "scorer": "process"}',
                r"values must lie in \[0, 1\], and one is -1",
            ),
            (
                '{"calibration": {"method": "isotonic", "values": [0], "shares": [NaN]}, "scorer": "process"}',
                r"shares must lie in \[0, 1\], and one is nan",
            ),
            ('{"calibration": {"method": "platt", "slope": Infinity}, "scorer": "process"}', "slope"),
            ('{"calibration": {"method": "platt"}, "scorer": ["process"]}', "must be strings"),
            ('{"calibration": {"method": "platt"}, "scorer": "process", "aggregate": ["min"]}', "must be strings"),
        ],
    )
    def test_files_that_hold_none(self, content: str | None, words: str, tmp_path: FilePath) -> None:
        file = tmp_path / "c.json"
        if content is not None:
            file.write_text(content)
        with pytest.raises(UsageError, match=words) as caught:
            load_scorer(f"calibrated:{file}")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("form", ["{}", "pairs:{}", "arithmetic+{}", "pairs:arithmetic+pairs:{}"])
    def test_a_file_names_no_code_and_no_calibration(
        self, form: str, tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "planted_scorer.py").write_text("raise SystemExit('imported')")
        monkeypatch.syspath_prepend(str(tmp_path))
        file = tmp_path / "c.json"
        for name in ("planted_scorer:run", f"calibrated:{file}"):
            self.write(file, Calibration("platt"), form.format(name))
            with pytest.raises(UsageError, match="neither code nor another calibration") as caught:
                load_scorer(f"calibrated:{file}")
            assert repr(name) in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_another_aggregation_is_refused(self, tmp_path: FilePath) -> None:
        file = self.write(tmp_path / "c.json", Calibration("platt"), "process")
        with pytest.raises(UsageError, match="fitted on values aggregated by 'last', not by 'min'"):
            load_scorer(f"calibrated:{file}", aggregate="min")
        assert load_scorer(f"calibrated:{file}", aggregate="last").name == "process"  # type: ignore[attr-defined]
