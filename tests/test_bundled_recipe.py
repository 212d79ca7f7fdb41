"""The bundled models' recipe, whole, at a size at which it learns nothing."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import reason
from reason.training import bundled


def test_the_recipe_runs_through_resumes_and_its_models_load(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "BATCH", 4)
    monkeypatch.setattr(bundled, "PACKS_FROM", 2)
    monkeypatch.setattr(bundled, "MODELS", tmp_path / "installed")
    arguments = ["--work", str(tmp_path / "work"), "--install", "--threads", "1"]
    steps = {"policy": 4, "polish": 2, "reader": 2, "backbone": 4}
    for name, count in steps.items():
        arguments += [f"--{name}-steps", str(count)]
    arguments += ["--label-problems", "3", "--measure-problems", "2"]
    bundled.main(arguments)

    installed = tmp_path / "installed"
    card = (installed / "process" / "README.md").read_text()
    assert "4 more with packs" in card
    measured = json.loads((tmp_path / "work" / "export" / "measured.json").read_text())
    assert set(measured["process"]) == {"test", "templates"}
    assert measured["outcome"]["test"]["problems"] == 2

    policy = reason.load(str(installed / "policy"))
    scorer = reason.load_scorer(str(installed / "process"), policy=policy)
    problem = reason.Problem("1", "Ada has 3 pens. Then Ada buys 4 more. How many pens does Ada have now?")
    [outcome] = reason.solve(
        [problem], policy=policy, scorer=scorer, search=reason.best_of_n(2), sampling=reason.Sampling(max_tokens=12)
    )
    assert len(outcome.candidates) == 2

    weights = (installed / "process" / "model.safetensors").read_bytes()
    bundled.main(arguments)
    assert (installed / "process" / "model.safetensors").read_bytes() == weights
