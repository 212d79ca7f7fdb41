"""A rival's virtual environment, made from its requirements file the first time it is needed."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1] / "runs" / "rivals"


def python_of(name: str) -> Path:
    """The interpreter that has `requirements-<name>.txt` installed.

    Raises:
        SystemExit: It cannot be installed; says why in one line.
    """
    folder, wanted = ROOT / name, HERE / f"requirements-{name}.txt"
    stamp, python = folder / "installed.txt", folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return python
    print(f"installing {wanted.name} into {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SystemExit(f"the rival cannot be installed from {wanted.name}: {reason}")
    stamp.write_text(wanted.read_text())
    return python
