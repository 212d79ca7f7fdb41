"""The HTML report is self-contained, escapes its text and follows the colour scheme."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from reason.evals.report import DARK, LIGHT, SERIES_COLOURS, Point, Report, Series, Table, figure, page

pytest.importorskip("matplotlib")

CURVE = Series(
    "best-of-k", tuple(Point(60.0 * k, 0.4 + 0.02 * k, 0.3 + 0.02 * k, 0.5 + 0.02 * k) for k in range(1, 17))
)
POINT = Series("beam <4 & 4>", (Point(900, 0.8, 0.7, 0.9),))
TABLE = Table("What <came> out", ("strategy", "accuracy"), (("best & brightest", "72.0 %"),))


def report() -> Report:
    return Report("A <title>", ("One sentence.",), (CURVE, POINT), (TABLE,), ("A note.",), {"model": "bundled <1>"})


def test_the_page_loads_nothing() -> None:
    text = page(report())
    assert "<script" not in text
    for address in re.findall(r'(?:href|src|url)\s*[=(]\s*["\']?([^"\')\s>]+)', text):
        assert address.startswith("#"), address
    assert not re.search(r"@import|<link|<img|<iframe", text)


def test_text_is_escaped() -> None:
    text = page(report())
    assert "A &lt;title&gt;" in text
    assert "best &amp; brightest" in text
    assert "bundled &lt;1&gt;" in text
    assert "beam &lt;4 &amp; 4&gt;" in text
    assert "<came>" not in text


def test_every_colour_is_a_variable_with_a_light_and_a_dark_value() -> None:
    text = page(report())
    assert "var(--s0)" in text
    assert "var(--ink)" in text
    assert not [colour for colour in SERIES_COLOURS if colour in text]
    assert "prefers-color-scheme: dark" in text
    assert len(LIGHT) == len(DARK) == len(SERIES_COLOURS)


def test_the_figure_is_well_formed_and_repeatable() -> None:
    first = figure((CURVE, POINT), width=6, height=4, font=10)
    assert first == figure((CURVE, POINT), width=6, height=4, font=10)
    root = ElementTree.fromstring(first)
    assert root.tag.endswith("svg")
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib
    assert "best-of-k" in "".join(root.itertext())


def test_ids_are_unique_over_the_two_figures() -> None:
    ids = re.findall(r'\bid="([^"]+)"', page(report()))
    assert len(ids) == len(set(ids))
    targets = re.findall(r'(?:href="#|url\(#)([^")]+)', page(report()))
    assert set(targets) <= set(ids)


def test_the_table_holds_every_row() -> None:
    body = page(report()).split("<tbody>")[1].split("</tbody>")[0]
    assert re.findall(r"<td>(.*?)</td>", body) == ["best &amp; brightest", "72.0 %"]
