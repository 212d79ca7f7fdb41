"""The page: one HTML file with its style, its script and its data, which loads nothing and runs nothing else.

The content security policy names the hashes of the one script and the one style; everything else is refused, so a text
that reached the page as markup could still not run. Each problem is a block of its own, read when it is opened.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any

from reason.show import plain
from reason.view.data import ProblemView, RunView, dump, problem_json, run_json, tokens_json
from reason.view.mathml import SECONDS, Formulas

TITLE = 200
SCRIPTS = ("text.js", "rows.js", "table.js", "tree.js", "detail.js", "app.js")


@lru_cache(maxsize=1)
def _parts() -> tuple[str, str, str]:
    """The style, the script and the body."""
    folder = files("reason.view").joinpath("page")
    script = "".join(folder.joinpath(name).read_text("utf-8") for name in SCRIPTS)
    return (
        folder.joinpath("page.css").read_text("utf-8"),
        f'"use strict";\n(() => {{\n{script}}})();\n',
        folder.joinpath("shell.html").read_text("utf-8"),
    )


def policy(*, live: bool = False) -> str:
    """The content security policy."""
    style, script, _ = _parts()
    rules = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def head(title: str, *, live: bool = False) -> str:
    """Everything before the data."""
    style, _, body = _parts()
    return (
        f'<!doctype html>\n<html lang="en" data-live="{"yes" if live else "no"}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(live=live)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(plain(title[:TITLE]))}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}"
    )


def tail() -> str:
    """Everything after the data."""
    return f"<script>{_parts()[1]}</script>\n</body>\n</html>\n"


def block(name: str, data: Any) -> str:
    """Data that the script reads by its name."""
    return f'<script type="application/json" id="{name}">{dump(data)}</script>\n'


def pieces(run: RunView, problems: Iterable[ProblemView], *, seconds: float = SECONDS) -> Iterator[str]:
    """The page, piece by piece.

    Args:
        run, problems: What it shows; one problem for each of the run's rows, in their order.
        seconds: What the conversion of formulas may take.
    """
    formulas = Formulas(seconds)
    yield head(run.title)
    yield block("data-run", run_json(run, formulas))
    for index, view in enumerate(problems):
        yield block(f"data-problem-{index}", problem_json(view, formulas))
        yield block(f"data-tokens-{index}", tokens_json(view))
    yield tail()


def page(run: RunView, problems: Iterable[ProblemView], *, seconds: float = SECONDS) -> str:
    """The whole page as text."""
    return "".join(pieces(run, problems, seconds=seconds))
