"""The figures of the HTML reports, drawn by matplotlib: into a page, or into a file of their own.

In a page their colours are style-sheet variables, so that they follow the reader's light or dark setting; their styles
become classes, so that a page whose content security policy allows no inline style can hold them.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any
from xml.etree import ElementTree

from reason.show import plain
from reason.types import MissingExtraError

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@dataclass(frozen=True, slots=True)
class Point:
    """A value and where it stands.

    Attributes:
        x: Such as generated tokens per problem, or the number of a category.
        y: Such as an accuracy in [0, 1].
        low, high: The 95 % interval of y; NaN without one.
    """

    x: float
    y: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one colour.

    Attributes:
        name: For the legend.
        points: By rising x.
        kind: "curve" (a line in a band; one point alone has an error bar), "bars" (a line through points with error
            bars), "rows" (points with horizontal error bars; y is the value) or "steps" (a line that holds its value).
        look: The number of its colour and marker, so that a run looks the same in every figure; None is its place.
    """

    name: str
    points: tuple[Point, ...]
    kind: str = "curve"
    look: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What a figure's axes say.

    Attributes:
        title, x_label: Above the figure and below its axis.
        scale: Of x: "tokens" (powers of two), "log", "share" (percent) or "names".
        names: The categories of the scale "names", from 0; of kind "rows", from the top.
        diagonal: Whether to draw y = x.
    """

    title: str
    x_label: str
    scale: str = "tokens"
    names: tuple[str, ...] = ()
    diagonal: bool = False


TOKENS = Frame("accuracy, with 95 % intervals", "generated tokens per problem")

# Drawn in these stand-in colours, which the page replaces by its variables: seven series, then text, lines, background.
SERIES_COLOURS = tuple(f"#0{index}0{index}0{index}" for index in range(1, 8))
INK, GRID, PAPER = "#0a0a0a", "#0b0b0b", "#0c0c0c"
MARKERS = "osD^vPX"
LIGHT = ("#0072b2", "#b84a00", "#007a5a", "#a3327a", "#5a4fcf", "#8a6d00", "#555555")
DARK = ("#56b4e9", "#f08a4b", "#2fc79a", "#e08cc0", "#a59cff", "#e0c040", "#bbbbbb")
PRINTED = {"ink": "#1b1b1b", "grid": "#e2e2e2", "paper": "#ffffff"}
MOST_DODGED = 12
LEGEND_INCHES, LETTER_INCHES, ROW_INCHES = 0.21, 0.09, 0.45


def figure(series: Sequence[Series], *, width: float, height: float, font: float, frame: Frame = TOKENS) -> str:
    """The plot as an SVG element for a page; sizes in inches and points.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    buffer = io.BytesIO()
    _draw(buffer, "svg", series, frame, (width, height, font), SERIES_COLOURS, (INK, GRID))
    return _page_colours(buffer.getvalue().decode())


def save(series: Sequence[Series], frame: Frame, file: FilePath) -> None:
    """Write the plot as SVG or PNG, by the file's ending, on white.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OSError: It cannot be written.
    """
    buffer = io.BytesIO()
    kind = file.suffix.removeprefix(".")
    _draw(buffer, kind, series, frame, (7.2, 4.6, 10), LIGHT, (PRINTED["ink"], PRINTED["grid"]), PRINTED["paper"])
    file.write_bytes(buffer.getvalue())


def _draw(
    buffer: io.BytesIO,
    kind: str,
    series: Sequence[Series],
    frame: Frame,
    size: tuple[float, float, float],
    colours: Sequence[str],
    ink: tuple[str, str],
    paper: str | None = None,
) -> None:
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("the report's figures need matplotlib: pip install 'reason-toolkit[local]'") from error
    width, height, font = size
    names = [_cut(f" {item.name}" if item.name.startswith("_") else item.name, width * 7.5) for item in series]
    columns = max(1, min(3, int(width / (0.6 + LETTER_INCHES * max(map(len, names), default=1)))))
    height += LEGEND_INCHES * max(0, math.ceil(len(series) / columns) - 2)
    rows = any(item.kind == "rows" for item in series)
    height = max(height, ROW_INCHES * len(frame.names) + 1.5) if rows else height
    frame = replace(frame, names=tuple(_cut(name, width * 5) for name in frame.names))
    asked: Any = {"svg.fonttype": "none", "svg.hashsalt": "reason", "font.size": font, "text.parse_math": False}
    with matplotlib.rc_context(asked), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing|constrained_layout not applied", UserWarning)
        drawn = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawn)
        axes: Any = drawn.add_subplot()
        handles = []
        for index, item in enumerate(series):
            look = index if item.look is None else item.look
            marker = MARKERS[(look + look // len(MARKERS)) % len(MARKERS)]
            dodge = (index - (len(series) - 1) / 2) * min(1.0, MOST_DODGED / len(series))
            handles.append(_series(axes, item, colours[look % len(colours)], marker, dodge, frame))
        _axes(axes, frame, ink, font, rows=rows)
        drawn.patch.set_visible(paper is not None)
        drawn.patch.set_facecolor(paper or "none")
        drawn.legend(handles, names, loc="outside lower left", ncols=columns, frameon=False, labelcolor=ink[0])
        told = {"Date": None, "Creator": None} if kind == "svg" else {}
        drawn.savefig(buffer, format=kind, dpi=160, metadata=told)


def _cut(name: str, most: float) -> str:
    """A printable name of at most so many characters; its end tells more than its start."""
    shown = plain(name)
    return shown if len(shown) <= most else f"…{shown[1 - int(most) :]}"


def _series(axes: Any, item: Series, colour: str, marker: str, dodge: float, frame: Frame) -> Any:
    x, y = [point.x for point in item.points], [point.y for point in item.points]
    if item.kind == "steps":
        return axes.plot(x, y, drawstyle="steps-post", linewidth=1.6, color=colour)[0]
    spread = [[p.y - p.low for p in item.points], [p.high - p.y for p in item.points]]
    spread = [[0.0 if math.isnan(side) else max(0.0, side) for side in row] for row in spread]
    if item.kind == "rows":
        places = [place + 0.16 * dodge for place in x]
        style = {"markersize": 7, "capsize": 3, "elinewidth": 1.2}
        return axes.errorbar(y, places, xerr=spread, fmt=marker, color=colour, **style)
    if item.kind == "bars":
        if frame.scale == "names":
            x = [place + 0.05 * dodge for place in x]
        style = {"markersize": 6, "linewidth": 1.6, "elinewidth": 1.1, "capsize": 2.5}
        return axes.errorbar(x, y, yerr=spread, marker=marker, color=colour, **style)
    if len(item.points) == 1:
        style = {"markersize": 8, "capsize": 3, "elinewidth": 1.2}
        return axes.errorbar(x, y, yerr=spread, fmt=marker, color=colour, **style)
    axes.fill_between(
        x, [p.low for p in item.points], [p.high for p in item.points], color=colour, alpha=0.12, linewidth=0
    )
    return axes.plot(x, y, marker=marker, markersize=3.5, linewidth=2, color=colour)[0]


def _axes(axes: Any, frame: Frame, ink: tuple[str, str], font: float, *, rows: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    text, grid = ink
    share = FuncFormatter(lambda value, _: f"{100 * value:.3g} %")
    if frame.scale in ("tokens", "log"):
        base = 2 if frame.scale == "tokens" else 10
        axes.set_xscale("log", base=base)
        axes.xaxis.set_major_locator(LogLocator(base=base, subs=(1.0,) if base == 2 else (1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif frame.scale == "share" or rows:
        axes.xaxis.set_major_formatter(share)
    if rows:
        axes.set_yticks(range(len(frame.names)), frame.names)
        axes.set_ylim(len(frame.names) - 0.5, -0.5)
    else:
        if frame.scale == "names":
            axes.set_xticks(range(len(frame.names)), frame.names)
        axes.yaxis.set_major_formatter(share)
    if frame.diagonal:
        axes.plot([0, 1], [0, 1], color=text, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlabel(frame.x_label, color=text)
    axes.set_title(frame.title, color=text, fontsize=font, loc="left")
    axes.tick_params(colors=text, which="both", length=0)
    axes.grid(visible=True, color=grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_frame_on(False)
    axes.patch.set_visible(False)


def _page_colours(svg: str) -> str:
    """The SVG with variables for colours, the page's font, and no size of its own."""
    root = _parsed(svg)
    names = {colour: f"var(--s{index})" for index, colour in enumerate(SERIES_COLOURS)}
    names |= {INK: "var(--ink)", GRID: "var(--grid)", PAPER: "var(--paper)"}
    for element in root.iter():
        style = element.get("style")
        if style is None:
            continue
        for colour, variable in names.items():
            style = style.replace(colour, variable)
        element.set("style", re.sub(r"font: ([0-9.]+)px [^;]*", r"font: \1px system-ui, sans-serif", style))
    for side in ("width", "height"):
        root.attrib.pop(side, None)
    return _written(root)


def classed(svg: str, prefix: str, sheet: dict[str, str]) -> str:
    """A figure for a page without inline styles: its styles as classes, its ids told apart by the prefix.

    Args:
        svg: From `figure`.
        prefix: Unique in the page.
        sheet: Style -> class name; new styles are added to it, and the page's style sheet must hold them (`rules`).
    """
    root = _parsed(svg)
    for element in root.iter():
        for child in [child for child in element if child.tag in (f"{{{SVG}}}style", f"{{{SVG}}}metadata")]:
            element.remove(child)
        style = element.attrib.pop("style", None)
        if style is not None:
            element.set("class", sheet.setdefault(style, f"f{len(sheet)}"))
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, prefix + value)
            elif name == f"{{{XLINK}}}href" or value.startswith("url(#"):
                element.set(name, value.replace("#", f"#{prefix}", 1))
    return _written(root)


def rules(sheet: Mapping[str, str]) -> str:
    """The style sheet of `classed` figures."""
    return "svg * { stroke-linejoin: round; stroke-linecap: butt; }\n" + "".join(
        f".{name} {{ {style} }}\n" for style, name in sheet.items()
    )


def _parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg[svg.index("<svg") :])


def _written(root: ElementTree.Element) -> str:
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")
