"""kill -9 at random moments of an evaluation (`benchmarks/kill.py` does more of them)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_evaluation_is_resumed_without_paying_twice() -> None:
    command = [sys.executable, str(SCRIPT), "--times", "6", "--problems", "4", "--seed", "3"]
    command += ["--strategies", "best_of_n,adaptive_consistency,mcts"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] >= found["evaluations"] == 6
    assert (found["different"], found["twice"], found["missed"]) == (0, 0, 0)
