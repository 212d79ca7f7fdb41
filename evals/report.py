"""A self-contained HTML report: accuracy against generated tokens, the table behind it, and how it was made.

The figure is drawn by matplotlib into the page as SVG, twice (wide and narrow screens); its colours are style-sheet
variables, so it follows the reader's light or dark setting. The page loads nothing.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reason.types import MissingExtraError


@dataclass(frozen=True, slots=True)
class Point:
    """An accuracy at a cost.

    Attributes:
        tokens: Generated tokens per problem.
        accuracy, low, high: In [0, 1], with the 95 % interval.
    """

    tokens: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Series:
    """A strategy in the figure: a curve over budgets, or one point.

    Attributes:
        name: For the legend.
        points: By rising tokens.
    """

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Attributes:
        caption: What it shows, one sentence.
        header: The columns' names; the first column is text, the rest are numbers.
        rows: As long as the header each.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What the page says.

    Attributes:
        title: The heading.
        summary: Sentences under it.
        series: The figure's curves and points.
        tables: In order.
        notes: How the numbers were made, one paragraph each.
        facts: Name -> value: configuration, versions.
    """

    title: str
    summary: tuple[str, ...]
    series: tuple[Series, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    facts: Mapping[str, str]


# Drawn in these stand-in colours, which the page replaces by its variables: seven series, then text, lines, background.
SERIES_COLOURS = tuple(f"#0{index}0{index}0{index}" for index in range(1, 8))
INK, GRID, PAPER = "#0a0a0a", "#0b0b0b", "#0c0c0c"
MARKERS = "osD^vPX"
LIGHT = ("#0072b2", "#b84a00", "#007a5a", "#a3327a", "#5a4fcf", "#8a6d00", "#555555")
DARK = ("#56b4e9", "#f08a4b", "#2fc79a", "#e08cc0", "#a59cff", "#e0c040", "#bbbbbb")


def figure(series: Sequence[Series], *, width: float, height: float, font: float) -> str:
    """The accuracy-against-tokens plot as an SVG element; sizes in inches and points.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    except ImportError as error:
        raise MissingExtraError("the report's figure needs matplotlib: pip install 'reason-toolkit[local]'") from error
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "reason", "font.size": font}):
        canvas: Any = FigureCanvasSVG(Figure(figsize=(width, height), layout="constrained"))
        axes = canvas.figure.add_subplot()
        for index, item in enumerate(series):
            _draw(axes, item, SERIES_COLOURS[index % len(SERIES_COLOURS)], MARKERS[index % len(MARKERS)])
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(LogLocator(base=2))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
        axes.set_xlabel("generated tokens per problem", color=INK)
        axes.set_title("accuracy, with 95 % intervals", color=INK, fontsize=font, loc="left")
        axes.tick_params(colors=INK, which="both", length=0)
        axes.grid(visible=True, color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_frame_on(False)
        axes.patch.set_visible(False)
        canvas.figure.patch.set_visible(False)
        columns = 1 if width < 5 else 3
        canvas.figure.legend(loc="outside lower left", ncols=columns, frameon=False, labelcolor=INK)
        buffer = io.StringIO()
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
    return _page_colours(buffer.getvalue())


def _draw(axes: Any, item: Series, colour: str, marker: str) -> None:
    tokens = [point.tokens for point in item.points]
    accuracy = [point.accuracy for point in item.points]
    if len(item.points) == 1:
        point = item.points[0]
        spread = [[point.accuracy - point.low], [point.high - point.accuracy]]
        style = {"markersize": 8, "capsize": 3, "elinewidth": 1.2}
        axes.errorbar(tokens, accuracy, yerr=spread, fmt=marker, color=colour, label=item.name, **style)
        return
    axes.fill_between(
        tokens, [p.low for p in item.points], [p.high for p in item.points], color=colour, alpha=0.12, linewidth=0
    )
    axes.plot(tokens, accuracy, marker=marker, markersize=3.5, linewidth=2, color=colour, label=item.name)


def _page_colours(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    names = {colour: f"var(--s{index})" for index, colour in enumerate(SERIES_COLOURS)}
    names |= {INK: "var(--ink)", GRID: "var(--grid)", PAPER: "var(--paper)"}
    for colour, variable in names.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r'font: ([0-9.]+)px [^;"]*', r"font: \1px system-ui, sans-serif", svg)
    # Attributes such as stroke="…" take no variables; style="…" does, and matplotlib writes only that.
    return re.sub(
        r'(<svg [^>]*?)width="[^"]*"', r"\1", re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", svg, count=1), count=1
    )


STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #5b5b5b; --grid: #e2e2e2; --paper: #fff; LIGHT }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --soft: #a8a8a8; --grid: #3a3a3a; --paper: #161616; DARK }
}
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
p { max-width: 44rem; } figure { margin: 1.5rem 0; } figure svg { display: block; width: 100%; height: auto; }
.narrow { display: none; } @media (max-width: 640px) { .narrow { display: block; } .wide { display: none; } }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
.caption { color: var(--soft); font-size: .9rem; margin: 2rem 0 .5rem; }
th, td { padding: .35rem .75rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child { text-align: left; padding-left: 0; } th { font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
"""


def page(report: Report) -> str:
    """The whole page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    say = html.escape
    wide = figure(report.series, width=9, height=5, font=11)
    narrow = figure(report.series, width=4, height=5.2, font=11)
    alt = "; ".join(f"{item.name} {100 * item.points[-1].accuracy:.0f} %" for item in report.series if item.points)
    style = STYLE.replace("LIGHT", _variables(LIGHT)).replace("DARK", _variables(DARK))
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{say(report.title)}</title>\n<style>{style}</style>\n</head>\n<body>",
        f"<h1>{say(report.title)}</h1>",
        *(f"<p>{say(sentence)}</p>" for sentence in report.summary),
        f'<figure role="img" aria-label="{say("Accuracy at the largest budget: " + alt)}">',
        f'<div class="wide">{wide}</div><div class="narrow">{_own_ids(narrow)}</div></figure>',
        *(_table(table) for table in report.tables),
        "<h2>How this was made</h2>",
        *(f"<p>{say(note)}</p>" for note in report.notes),
        "<dl>"
        + "".join(f"<dt>{say(name)}</dt><dd>{say(value)}</dd>" for name, value in report.facts.items())
        + "</dl>",
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _variables(colours: Sequence[str]) -> str:
    return " ".join(f"--s{index}: {colour};" for index, colour in enumerate(colours))


def _own_ids(svg: str) -> str:
    """The second figure of a page, its ids told apart from the first's."""
    svg = re.sub(r'\bid="', 'id="n-', svg)
    return re.sub(r'(href="#|url\(#)', r"\1n-", svg)


def _table(table: Table) -> str:
    say = html.escape
    head = "".join(f'<th scope="col">{say(name)}</th>' for name in table.header)
    rows = ("<tr>" + "".join(f"<td>{say(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    body = "\n".join(rows)
    grid = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return f'<p class="caption">{say(table.caption)}</p><div class="scroll">{grid}</div>'
