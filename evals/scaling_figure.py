"""The figure of `reason scaling`: a panel for each pair of axes, both logarithmic, with the points and their laws."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from reason.evals.power_law import PowerLaw
from reason.evals.report import LIGHT, MARKERS
from reason.evals.scaling import Law
from reason.types import MissingExtraError, UsageError

INK, GRID = "#1b1b1b", "#e2e2e2"
KINDS = ("svg", "png")
BEYOND = 2.0


def check_figure(file: FilePath) -> None:
    """Refuse a name that cannot become a figure, before anything is computed.

    Raises:
        UsageError: It ends in neither .svg nor .png.
    """
    if file.suffix.lower().removeprefix(".") not in KINDS:
        raise UsageError(f"--out is {str(file)!r:.80}: end its name in .svg or .png")


def draw(laws: Sequence[Law], file: FilePath, *, title: str) -> None:
    """Draw the laws: solid where the points lie, dashed to twice the largest cost; a band where problems are known.

    Raises:
        UsageError: The file's name ends in neither .svg nor .png.
        MissingExtraError: matplotlib is not installed.
    """
    check_figure(file)
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("the figure needs matplotlib: pip install 'reason-toolkit[local]'") from error
    panels = list(dict.fromkeys((law.series.x_name, law.series.y_name) for law in laws))
    most = max(sum(_axes_of(law) == panel for law in laws) for panel in panels)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "reason", "font.size": 10}):
        height = (4.0 + 0.24 * most) * len(panels)
        figure = Figure(figsize=(7.2, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        for axes, panel in zip(np.atleast_1d(figure.subplots(len(panels), 1)), panels, strict=True):
            _panel(axes, [law for law in laws if _axes_of(law) == panel], panel)
        figure.suptitle(title, color=INK, fontsize=11)
        kind = file.suffix.lower().removeprefix(".")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=160, metadata={"Date": None, "Creator": None} if kind == "svg" else {})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(buffer.getvalue())


def _axes_of(law: Law) -> tuple[str, str]:
    return law.series.x_name, law.series.y_name


def _panel(axes: Any, laws: Sequence[Law], names: tuple[str, str]) -> None:
    for place, law in enumerate(laws):
        _law(axes, law, LIGHT[place % len(LIGHT)], MARKERS[place % len(MARKERS)])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(names[0], color=INK)
    axes.set_ylabel(names[1], color=INK)
    _ticks(axes)
    axes.tick_params(colors=INK, which="both", length=0)
    axes.grid(visible=True, which="major", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_frame_on(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, labelcolor=INK, ncols=1, fontsize=9)


def _ticks(axes: Any) -> None:
    """More than the powers of ten where those would leave the axis almost bare."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        decades = np.log10(high / low)
        if decades > 4:
            continue
        steps = (1.0, 2.0, 5.0) if decades > 0.8 else (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
        axis.set_major_locator(LogLocator(subs=steps))
        axis.set_major_formatter(FuncFormatter(lambda value, _: _plain_number(value)))
        axis.set_minor_formatter(NullFormatter())


def _plain_number(value: float) -> str:
    return f"{value:,.4g}" if value < 1e5 else f"{value:.1e}".replace(".0e", "e").replace("e+0", "e").replace("e+", "e")


def _law(axes: Any, law: Law, colour: str, marker: str) -> None:
    x, y = np.array(law.series.x), np.array(law.series.y)
    shown = y > 0
    label = f"{law.series.name}: {formula(law.chosen)}, R² {law.chosen.r2:.3f}"
    axes.plot(x[shown], y[shown], marker, color=colour, markersize=4.5, label=label)
    if law.low:
        axes.fill_between(x, law.low, law.high, color=colour, alpha=0.13, linewidth=0)
    inside = np.geomspace(x.min(), x.max(), 100)
    outside = np.geomspace(x.max(), BEYOND * x.max(), 20)
    axes.plot(inside, [law.chosen.at(float(value)) for value in inside], color=colour, linewidth=1.6)
    axes.plot(outside, [law.chosen.at(float(value)) for value in outside], color=colour, linewidth=1.4, linestyle="--")


def formula(law: PowerLaw) -> str:
    """The law in letters: 2.1·x^−0.41 + 0.08."""
    sign = "−" if law.exponent >= 0 else ""
    floor = f" + {law.floor:.3g}" if law.floor > 0 else ""
    return f"{law.scale:.3g}·x^{sign}{abs(law.exponent):.3g}{floor}"
