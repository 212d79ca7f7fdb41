"""The trees of the step searches on one toy problem, node by node.

`REASON_GOLDEN=write pytest tests/test_golden_steps.py` rewrites them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path as File

import pytest
from recording import recorder

from reason.policies.fake import fake_problems
from reason.search import beam, best_first, dvts, lookahead, particle_gibbs, particles

SEARCHES = {
    "beam": lambda: beam(6, 2),
    "dvts": lambda: dvts(6, 2),
    "lookahead": lambda: lookahead(6, 2),
    "best_first": lambda: best_first(4, 3, wave=2, resample=False),
    "particles": lambda: particles(6, ess=0.9),
    "particle_gibbs": lambda: particle_gibbs(6, ess=1),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_golden_tree(name):
    golden = File(__file__).parent / "golden" / f"{name}.json"
    problem = fake_problems(1, terms=3)[0]
    tree = recorder(0.5, noise=0.4, seed=7).solve(SEARCHES[name](), problem).tree.to_dict()
    if os.environ.get("REASON_GOLDEN") == "write":
        golden.write_text(json.dumps(tree, indent=1) + "\n")
    expected = json.loads(golden.read_text())
    assert tree["problem"] == expected["problem"]
    assert len(tree["nodes"]) == len(expected["nodes"])
    for node, known in zip(tree["nodes"], expected["nodes"], strict=True):
        assert node == {
            key: pytest.approx(value) if isinstance(value, float) else value for key, value in known.items()
        }
