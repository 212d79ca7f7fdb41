"""The reports' figures: styles as classes, and names that do not disturb them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from reason.evals.report_figure import Frame, Point, Series, classed, figure, rules, save

pytest.importorskip("matplotlib")


def test_a_figures_styles_become_classes_and_its_text_stays() -> None:
    name = '_style="fill:red"}</style>$x$'
    sheet: dict[str, str] = {}
    frame = Frame("t", "x", "tokens")
    svg = figure([Series(name, (Point(1, 0.5), Point(2, 0.6)))], width=4, height=4, font=10, frame=frame)
    first, second = classed(svg, "a-", sheet), classed(svg, "b-", sheet)
    root = ElementTree.fromstring(first)
    assert name in "".join(root.itertext())
    assert not any("style" in element.attrib for element in root.iter())
    assert not any("red" in rule or "<" in rule for rule in sheet)
    assert rules(sheet).count("{") == len(sheet) + 1
    ids = [re.findall(r'\bid="([^"]+)"', text) for text in (first, second)]
    assert not set(ids[0]) & set(ids[1])


def test_odd_names_do_not_disturb_a_figure(tmp_path: Path) -> None:
    for kind in ("svg", "png"):
        save([Series("$\\frac{漢字\u0001", (Point(1, 0.5, 0.4, 0.6),))], Frame("t", "x"), tmp_path / f"f.{kind}")
        assert (tmp_path / f"f.{kind}").stat().st_size
