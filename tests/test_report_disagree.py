"""Links from a report to the trees of its runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from reason.evals.report_disagree import link, trees


def test_links_are_relative_and_quoted(tmp_path: Path) -> None:
    page = tmp_path / 'javascript:alert("1")' / "view.html"
    address = link(page, tmp_path / "report.html", 3)
    assert address == "./javascript%3Aalert%28%221%22%29/view.html#problem-3"
    assert link(page, tmp_path / "other" / "r.html", 1).startswith("../javascript%3A")
    assert link(page, tmp_path / "r.html", None) == ""


@pytest.mark.parametrize("text", ["", "no page", '<script type="application/json" id="data-run">{"rows": 3}</script>'])
def test_a_page_that_is_none_has_no_trees(tmp_path: Path, text: str) -> None:
    (tmp_path / "view.html").write_text(text)
    assert trees(tmp_path / "view.html") == {}
    assert trees(tmp_path / "missing.html") == {}
