"""A self-contained HTML report: accuracy against generated tokens, the table behind it, and how it was made.

The figure is drawn by matplotlib into the page as SVG, twice (wide and narrow screens); its colours are style-sheet
variables, so it follows the reader's light or dark setting. The page loads nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reason.evals.report_figure import DARK, LIGHT, MARKERS, SERIES_COLOURS, Point, Series, figure


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
    alt = "; ".join(f"{item.name} {100 * item.points[-1].y:.0f} %" for item in report.series if item.points)
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{say(report.title)}</title>\n<style>{style()}</style>\n</head>\n<body>",
        f"<h1>{say(report.title)}</h1>",
        *(f"<p>{say(sentence)}</p>" for sentence in report.summary),
        f'<figure role="img" aria-label="{say("Accuracy at the largest budget: " + alt)}">',
        f'<div class="wide">{wide}</div><div class="narrow">{_own_ids(narrow)}</div></figure>',
        *(table_html(table) for table in report.tables),
        "<h2>How this was made</h2>",
        *(f"<p>{say(note)}</p>" for note in report.notes),
        "<dl>"
        + "".join(f"<dt>{say(name)}</dt><dd>{say(value)}</dd>" for name, value in report.facts.items())
        + "</dl>",
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def style() -> str:
    """The style sheet, with the figures' colours."""
    return STYLE.replace("LIGHT", _variables(LIGHT)).replace("DARK", _variables(DARK))


def _variables(colours: Sequence[str]) -> str:
    return " ".join(f"--s{index}: {colour};" for index, colour in enumerate(colours))


def _own_ids(svg: str) -> str:
    """The second figure of a page, its ids told apart from the first's."""
    svg = re.sub(r'\bid="', 'id="n-', svg)
    return re.sub(r'(href="#|url\(#)', r"\1n-", svg)


def table_html(table: Table) -> str:
    """The table in a box that scrolls where it is too wide."""
    say = html.escape
    head = "".join(f'<th scope="col">{say(name)}</th>' for name in table.header)
    rows = ("<tr>" + "".join(f"<td>{say(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    body = "\n".join(rows)
    grid = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return f'<p class="caption">{say(table.caption)}</p><div class="scroll">{grid}</div>'


__all__ = [
    "DARK",
    "LIGHT",
    "MARKERS",
    "SERIES_COLOURS",
    "Point",
    "Report",
    "Series",
    "Table",
    "figure",
    "page",
    "style",
    "table_html",
]
