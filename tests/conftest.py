"""What every test runs under: one thread a process, no network, no colours."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests share helpers such as tests/recording.py
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["NO_COLOR"] = "1"
os.environ.setdefault("COLUMNS", "200")


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> Iterator[None]:
    """Shells start background jobs with Ctrl-C ignored; the tests of Ctrl-C need Python's own handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def quiet_sandbox() -> Iterator[None]:
    """No warnings where this machine lacks a part of the sandbox for code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The temporary folders that sandboxes for code have made."""
    from reason.scorers import sandbox

    made, make = list[str](), tempfile.mkdtemp

    def recorded(**options: str) -> str:
        made.append(make(**options))
        return made[-1]

    monkeypatch.setattr(sandbox.tempfile, "mkdtemp", recorded)
    return made
