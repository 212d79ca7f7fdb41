"""Python blocks of docs/ run, and print what stands in the `text` block after them; see tests/test_readme.py.

Only the pages of `PAGES`: others show fragments that need a model from the hub or a server.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [
    ROOT / "docs" / name for name in ("chat-strategies.md", "grader.md", "judges.md", "statistics.md", "traces.md")
]
SEPARATOR = "--- end of block ---"


def python_blocks(page: pathlib.Path) -> list[tuple[str, str | None]]:
    """Each Python block and the output shown right after it, if any."""
    found: list[tuple[str, str | None]] = []
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    before = ""
    for match in fences:
        language, code = match.groups()
        if language == "python":
            found.append((code, None))
        elif language == "text" and before == "python":
            found[-1] = (found[-1][0], code)
        before = language
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_run_and_print_what_is_shown(page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    blocks = python_blocks(page)
    script = f"\nprint({SEPARATOR!r}, flush=True)\n".join(code for code, _ in blocks)
    (tmp_path / "page.py").write_text(script, "utf-8")
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, env=paths, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for (code, shown), printed in zip(blocks, done.stdout.split(SEPARATOR), strict=True):
        assert shown is None or printed.strip() == shown.strip(), code
