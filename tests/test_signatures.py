"""Public signatures: changing one is a decision, so it is pinned here."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

import reason
from reason import work

PINNED = {
    "solve": "(problems, *, policy, search, scorer=None, sampling=Sampling(), budget=Budget(), seed=0, concurrency=64, "
    "retries=2, progress=None, on_outcome=None, store=None)",
    "solve_within": "(problems, *, policy, table, tokens, scorer=None, sampling=Sampling(), seed=0, concurrency=64, "
    "retries=2, progress=None, store=None)",
    "compute_optimal": "(table, n=16, *, price=None, strategies=None)",
    "load_table": "(file=None)",
    "load": "(name, **options)",
    "wrap": "(model, tokenizer=None, **options)",
    "extend": "(paths, until=Until.END, *, enough=None, temperature=None, tokens=None, step_end=None, stop=None, "
    "confidence=None)",
    "judge": "(paths)",
    "compare": "(pairs)",
    "ask": "(problem, question)",
}

FIELDS = {
    "Problem": "id question answer meta",
    "Step": "text token_ids logprobs finish prefilled error confidences tail shared",
    "Path": "problem steps seed",
    "Score": "value steps tokens explanation error parts",
    "Sampling": "temperature top_p top_k min_p max_tokens max_step_tokens stop step_end until confidence",
    "Budget": "tokens scorer_tokens flops seconds",
    "Cost": "generated_tokens prefilled_tokens scored_tokens flops seconds shared_tokens",
    "Candidate": "path answer score weight steps",
    "Failure": "where message attempts",
    "Outcome": "problem answer path confidence candidates tree cost stopped failures",
    "Capabilities": "name partial token_ids logprobs parameters context confidences",
    "Extend": "paths until enough temperature tokens step_end stop confidence",
    "Judge": "paths",
    "Compare": "pairs",
}


def shown(function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    plain = []
    for parameter in signature.parameters.values():
        default = parameter.default
        if dataclasses.is_dataclass(default):
            default = Shown(f"{type(default).__name__}()" if default == type(default)() else repr(default))  # type: ignore[operator]
        if isinstance(default, reason.Until):
            default = Shown(str(type(default).__name__) + "." + default.name)
        plain.append(parameter.replace(annotation=inspect.Parameter.empty, default=default))
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


class Shown:
    """A default value with a repr of its own."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


@pytest.mark.parametrize("name", PINNED)
def test_functions(name: str) -> None:
    assert shown(getattr(reason, name)) == PINNED[name]


def test_asolve_takes_what_solve_takes() -> None:
    assert shown(reason.asolve) == PINNED["solve"]
    assert inspect.iscoroutinefunction(reason.asolve)


@pytest.mark.parametrize("name", FIELDS)
def test_data(name: str) -> None:
    kind = getattr(reason, name)
    assert [field.name for field in dataclasses.fields(kind)] == FIELDS[name].split()
    assert kind.__dataclass_params__.frozen
    assert not hasattr(kind, "__dict__") or "__slots__" in vars(kind)


def test_protocols() -> None:
    assert shown(reason.Policy.extend) == "(self, paths, sampling)"
    assert shown(reason.Scorer.judge) == "(self, paths)"
    assert set(vars(work)) >= {"Extend", "Judge", "extend", "judge", "exhausted"}


def test_errors_are_standard_ones_too() -> None:
    for kind, standard in (
        (reason.UsageError, ValueError),
        (reason.BackendError, RuntimeError),
        (reason.MissingExtraError, ImportError),
    ):
        assert issubclass(kind, (reason.ReasonError,))
        assert issubclass(kind, standard)


def test_finishes() -> None:
    assert [finish.value for finish in reason.Finish] == ["step", "stop", "length", "budget", "cancelled", "error"]
