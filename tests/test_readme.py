"""Every block of the README runs, and prints what stands in the `text` block after it.

Python blocks run in order in one process, shell blocks command by command, both in an empty folder in which `my-model`
is a model's directory. In a `text` block `…` stands for anything, and times (`0.4 s`) may differ. What would install,
clone or take minutes is checked in another way: `make` targets must exist, `reason demo` runs on few problems.
"""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import pytest

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
NOT_RUN = ("git clone ", "cd ", "pip install ", "python -m pip install ")
SMALLER = {"reason demo": "reason demo --limit 3 --n 4"}
SEPARATOR = "--- end of block ---"


@dataclass(frozen=True)
class Block:
    """A fenced block and the output that the README shows for it, if any."""

    line: int
    language: str
    code: str
    shown: str | None


def blocks() -> list[Block]:
    """The README's code blocks; a `text` block belongs to the block before it."""
    found: list[Block] = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL):
        line = README[: match.start()].count("\n") + 1
        language, code = match.group(1), match.group(2)
        if language == "text" and found and found[-1].shown is None:
            found[-1] = Block(found[-1].line, found[-1].language, found[-1].code, code)
        else:
            found.append(Block(line, language, code, None))
    return found


BLOCKS = blocks()
PYTHON = [block for block in BLOCKS if block.language == "python"]
SHELL = [block for block in BLOCKS if block.language in ("bash", "sh", "shell", "console")]


def pattern(shown: str) -> str:
    """A regular expression for the shown output."""
    parts = []
    for line in shown.strip().splitlines():
        escaped = re.escape(re.sub(r"[\d.,]+( ?s\b)", "\0\\1", line.rstrip()))
        parts.append(escaped.replace("\0", r"[\d.,]+").replace("…", ".*?"))
    return r"\n".join(part + r"[ \t]*" for part in parts)


def check(block: Block, printed: str) -> None:
    """Compare what a block printed with what the README shows."""
    if block.shown is not None:
        fits = re.fullmatch(pattern(block.shown), printed.strip(), flags=re.DOTALL)
        assert fits, f"README line {block.line} shows\n{block.shown}\nbut this was printed:\n{printed}"


def environment(folder: pathlib.Path) -> dict[str, str]:
    """Runs this checkout's `reason`, whether or not it is installed."""
    command = folder / "bin" / "reason"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reason.cli "$@"\n')
    command.chmod(0o755)
    paths = {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return {**os.environ, **paths, "COLUMNS": "120", "NO_COLOR": "1"}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """An empty folder with a model in it."""
    (tmp_path / "my-model").symlink_to(ROOT / "reason" / "models" / "policy")
    return tmp_path


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    assert [(block.line, block.language) for block in BLOCKS if block not in (*PYTHON, *SHELL)] == []
    assert PYTHON
    assert SHELL


def test_python_blocks_run_and_print_what_is_shown(folder: pathlib.Path) -> None:
    script = f"\nprint({SEPARATOR!r}, flush=True)\n".join(block.code for block in PYTHON)
    (folder / "readme.py").write_text(script, "utf-8")
    done = subprocess.run(
        [sys.executable, "readme.py"], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for block, printed in zip(PYTHON, done.stdout.split(SEPARATOR), strict=True):
        check(block, printed)


@pytest.mark.parametrize("block", SHELL, ids=lambda block: f"line {block.line}")
def test_shell_blocks_run_and_print_what_is_shown(block: Block, folder: pathlib.Path) -> None:
    printed = ""
    for command in commands(block.code):
        if command.startswith("make "):
            done = subprocess.run(["make", "-n", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, check=False)
            assert done.returncode == 0, f"README line {block.line}: {command}\n{done.stderr.decode()}"
            continue
        if command.startswith(NOT_RUN):
            continue
        run = SMALLER.get(command, command)
        done_text = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", run],
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done_text.returncode == 0, f"README line {block.line}: {command}\n{done_text.stdout}{done_text.stderr}"
        printed += done_text.stdout
    check(block, printed)


def commands(code: str) -> list[str]:
    """The commands of a shell block: comments dropped, continued lines joined."""
    lines = [line.removeprefix("$ ") for line in code.replace("\\\n", " ").splitlines()]
    stripped = [re.sub(r"\s+#\s.*$", "", line).strip() for line in lines]
    return [line for line in stripped if line and not line.startswith("#")]


def test_the_pattern_allows_times_and_ellipses_alone() -> None:
    shown = "Answer  54\nCost 812 tokens · 0.4 s\n…\nlast"
    assert re.fullmatch(pattern(shown), "Answer  54\nCost 812 tokens · 1.25 s\na\nb\nlast", flags=re.DOTALL)
    assert not re.fullmatch(pattern(shown), "Answer  55\nCost 812 tokens · 0.4 s\na\nlast", flags=re.DOTALL)
