"""What the runner refuses: one clear line each, before any work is paid for."""

from __future__ import annotations

import pytest
from chains import sample, sample_and_judge

from reason.policies.fake import FakePolicy, fake_problems
from reason.run import solve
from reason.types import (
    Outcome,
    Path,
    Problem,
    Sampling,
    UsageError,
)
from reason.work import Search, SearchRun, extend


def needing(*needs: str) -> Search:
    search = sample(2)
    search.needs = frozenset(needs)  # type: ignore[attr-defined]
    search.name = "greedy_search"  # type: ignore[attr-defined]
    return search


def refusals() -> dict[str, tuple[dict[str, object], str]]:
    return {
        "text": ({"problems": ["What is 1 + 1?"]}, r"problem 0 is 'What is 1 \+ 1\?'; pass reason.Problem"),
        "empty": ({"problems": [Problem("a", " \n")]}, "problem 'a' has an empty question"),
        "twice": ({"problems": [Problem("a", "x"), Problem("a", "y")]}, "problem id 'a' stands twice"),
        "policy": ({"policy": "bundled"}, "policy is 'bundled'.*reason.load"),
        "policy class": ({"policy": FakePolicy}, "policy is <class"),
        "search": ({"search": "best_of_n"}, "search is 'best_of_n'; pass a strategy"),
        "builder": ({"search": lambda problem: sample(2)}, "search returned function for a problem, not a generator"),
        "scorer": ({"scorer": "process"}, "scorer is 'process'; it needs judge"),
        "no scorer": ({"search": needing("scorer")}, "greedy_search needs a scorer and none was given"),
        "unsaid scorer": ({"search": sample_and_judge(2)}, "asked for scores and no scorer was given"),
        "partial": (
            {"search": needing("partial"), "policy": FakePolicy(partial=False)},
            "greedy_search works step by step and fake cannot continue",
        ),
        "budget": ({"budget": 100}, r"budget is 100; pass reason.Budget\(tokens="),
        "concurrency": ({"concurrency": 0}, "concurrency is 0"),
        "retries": ({"retries": -1}, "retries is -1"),
        "seed": ({"seed": "x"}, "seed is 'x'"),
        "sampling": ({"sampling": {"temperature": 1}}, "sampling is {'temperature': 1}"),
        "temperature": ({"sampling": Sampling(temperature=-1)}, "sampling temperature is -1"),
        "top_p": ({"sampling": Sampling(top_p=0)}, "sampling top_p is 0"),
        "top_k": ({"sampling": Sampling(top_k=-1)}, "sampling top_k is -1"),
        "min_p": ({"sampling": Sampling(min_p=1)}, "sampling min_p is 1"),
        "max_tokens": ({"sampling": Sampling(max_tokens=0)}, "sampling max_tokens is 0"),
        "max_step_tokens": ({"sampling": Sampling(max_step_tokens=0)}, "sampling max_step_tokens is 0"),
        "stop": ({"sampling": Sampling(stop="x")}, "sampling stop is 'x'; it must be a tuple of strings"),  # type: ignore[arg-type]
        "empty stop": ({"sampling": Sampling(stop=("",))}, r"sampling stop is \(''"),
        "step_end": ({"sampling": Sampling(step_end="x")}, "sampling step_end is 'x'"),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("name", refusals())
def test_what_cannot_work_is_refused_in_one_line_before_any_work(name: str) -> None:
    arguments, message = refusals()[name]
    policy = FakePolicy()
    given: dict[str, object] = {"problems": fake_problems(2), "policy": policy, "search": sample(2), **arguments}
    problems = given.pop("problems")
    with pytest.raises(UsageError, match=message) as caught:
        solve(problems, **given)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert name == "unsaid scorer" or policy.calls == []


def test_a_search_that_yields_or_returns_nonsense_is_named() -> None:
    def yields(problem: Problem) -> SearchRun:
        yield 3  # type: ignore[misc]
        return Outcome(problem, None, None)

    def returns(problem: Problem) -> SearchRun:
        yield from extend([Path(problem)])
        return None  # type: ignore[return-value]

    with pytest.raises(UsageError, match="search yielded int"):
        solve(fake_problems(1), policy=FakePolicy(), search=yields)
    with pytest.raises(UsageError, match="search returned NoneType; it must return an Outcome"):
        solve(fake_problems(1), policy=FakePolicy(), search=returns)
