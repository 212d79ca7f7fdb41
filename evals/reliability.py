"""What a calibration is worth on labelled values of other problems, and the reliability diagram.

Errors of calibration and accuracies are computed with and without it; intervals are percentile bootstraps over
problems (the samples of one problem stand or fall together), and differences are paired. An expected calibration error
is biased upward on few samples, the more the finer the bins, with and without calibration alike.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reason.evals.metrics import auc, bootstrap_ci, paired_bootstrap
from reason.evals.record import Grader
from reason.scorers.calibration import Bin, Calibration, brier, expected_calibration_error, known_pairs, reliability
from reason.search.select import conclude
from reason.types import MissingExtraError, Outcome, UsageError

RESAMPLES = 1000
DIAGRAM_BINS = 10
SELECTIONS = ("naive", "weighted", "majority")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One problem's values and their labels in [0, 1], each in the same order; NaN where there is none."""

    problem: str
    values: tuple[float, ...]
    labels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """A figure without and with calibration, on the same problems.

    Attributes:
        before, after, change: The figures, and after minus before.
        before_ci, after_ci, change_ci: Their 95 % intervals.
    """

    name: str
    before: float
    before_ci: tuple[float, float]
    after: float
    after_ci: tuple[float, float]
    change: float
    change_ci: tuple[float, float]


def error_effects(items: Sequence[Labelled], calibration: Calibration, *, seed: int = 0) -> list[Effect]:
    """Expected calibration error and Brier score of these problems' values, without and with the calibration."""
    measures: dict[str, Callable[[Floats, Floats], float]] = {"ECE": expected_calibration_error, "Brier": brier}
    pairs = [known_pairs(item.values, item.labels) for item in items]
    rows = [(values, calibration.apply(values), labels) for values, labels in pairs]
    drawn = np.random.default_rng(seed).integers(0, len(rows), size=(RESAMPLES, len(rows)))
    effects = []
    for name, measure in measures.items():

        def both(chosen: Sequence[int], measure: Callable[[Floats, Floats], float] = measure) -> tuple[float, float]:
            raw, mapped, labels = (np.concatenate([rows[i][side] for i in chosen]) for side in range(3))
            return measure(raw, labels), measure(mapped, labels)

        before, after = both(range(len(rows)))
        sampled = np.array([both(choice) for choice in drawn.tolist()])
        effects.append(
            Effect(
                name,
                before,
                _interval(sampled[:, 0]),
                after,
                _interval(sampled[:, 1]),
                after - before,
                _interval(sampled[:, 1] - sampled[:, 0]),
            )
        )
    return effects


def accuracy_effects(outcomes: Sequence[Outcome], grade: Grader, calibration: Calibration) -> list[Effect]:
    """Accuracy of best-of-n, weighted vote and majority over the same candidates, without and with the calibration."""
    effects = []
    for name in SELECTIONS:
        plain = [_correct(outcome, name, grade, None) for outcome in outcomes]
        mapped = [_correct(outcome, name, grade, calibration) for outcome in outcomes]
        change = paired_bootstrap(mapped, plain)
        means = [float(np.mean(side)) for side in (plain, mapped)]
        label = {"naive": "best-of-n", "weighted": "weighted vote", "majority": "majority vote"}[name]
        effects.append(
            Effect(
                label, means[0], bootstrap_ci(plain), means[1], bootstrap_ci(mapped), change[0], (change[1], change[2])
            )
        )
    return effects


def _correct(outcome: Outcome, select: str, grade: Grader, calibration: Calibration | None) -> float:
    one: Callable[[float], float] = calibration.one if calibration is not None else float
    chosen = conclude(outcome.problem, [replace(item, score=one(item.score)) for item in outcome.candidates], select)
    return float(chosen.path is not None and grade(outcome.problem, chosen.path.text).correct)


def ranking(items: Sequence[Labelled]) -> float:
    """AUC of the values over all problems: what calibration cannot change."""
    pairs = [known_pairs(item.values, item.labels) for item in items]
    values, labels = (np.concatenate([pair[side] for pair in pairs]) for side in range(2))
    return auc(values.tolist(), [label >= 0.5 for label in labels])


def _interval(values: Floats) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def wilson(share: float, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's (1927) 95 % interval of a share of `count` samples."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


INK, SOFT, GRID = "#1b1b1b", "#5b5b5b", "#e2e2e2"
COLOURS = ("#b84a00", "#0072b2")


def draw(
    items: Sequence[Labelled], calibration: Calibration, file: FilePath, *, title: str, unit: str = "solutions"
) -> None:
    """The reliability diagram as SVG or PNG, by the file's ending.

    Above, for bins of equal count, the share that was right against the mean value, with Wilson intervals, without and
    with the calibration; the diagonal is where values are probabilities. Below, how many values lie where.

    Raises:
        UsageError: The file is neither .svg nor .png.
        MissingExtraError: matplotlib is not installed.
    """
    kind = file.suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise UsageError(f"--plot is {file}: end its name in .svg or .png")
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("the diagram needs matplotlib: pip install 'reason-toolkit[local]'") from error
    pairs = [known_pairs(item.values, item.labels) for item in items]
    values, labels = (np.concatenate([pair[side] for pair in pairs]) for side in range(2))
    series = {"as scored": values, f"calibrated ({calibration.method})": calibration.apply(values)}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "reason", "font.size": 10}):
        figure = Figure(figsize=(5.6, 6.4), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        upper, lower = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        _style(upper)
        _style(lower)
        upper.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        for (name, side), colour, marker in zip(series.items(), COLOURS, "os", strict=True):
            missed = 100 * expected_calibration_error(side, labels)
            _points(upper, reliability(side, labels, DIAGRAM_BINS), colour, marker, f"{name}: ECE {missed:.1f} %")
            lower.hist(side, bins=np.linspace(0, 1, 26), histtype="stepfilled", color=colour, alpha=0.25)
            lower.hist(side, bins=np.linspace(0, 1, 26), histtype="step", color=colour, linewidth=1.4)
        upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        upper.set_ylabel(f"share of {unit} that are right", color=INK)
        upper.set_title(title, color=INK, fontsize=11, loc="left")
        upper.legend(loc="upper left", frameon=False, labelcolor=INK)
        lower.set_xlabel("value", color=INK)
        lower.set_ylabel(unit, color=INK)
        lower.margins(y=0.12)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=160, metadata={"Date": None, "Creator": None} if kind == "svg" else {})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(buffer.getvalue())


def _style(axes: Any) -> None:
    axes.tick_params(colors=INK, length=0)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_frame_on(False)


def _points(axes: Any, bins: Sequence[Bin], colour: str, marker: str, label: str) -> None:
    places, shares = [entry.value for entry in bins], [entry.share for entry in bins]
    spans = [wilson(entry.share, entry.count) for entry in bins]
    spread = [
        [max(0.0, share - low) for share, (low, _) in zip(shares, spans, strict=True)],
        [max(0.0, high - share) for share, (_, high) in zip(shares, spans, strict=True)],
    ]
    style = {"markersize": 6, "linewidth": 1.6, "elinewidth": 1.1, "capsize": 2.5}
    axes.errorbar(places, shares, yerr=spread, marker=marker, color=colour, label=label, **style)
