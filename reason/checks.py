"""What the runner refuses before any work is paid for: one line each, saying what was passed and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from reason.budget import Budget, Budgets
from reason.types import Policy, Problem, Sampling, Scorer, Until, UsageError
from reason.work import Search

COMPARING = "pass one with compare(pairs), such as judge:MODEL or pairs:SCORER"


def check_run(
    problems: Sequence[Problem],
    policy: Policy,
    search: Search,
    scorer: Scorer | None,
    sampling: Sampling,
    budget: Budgets,
    *,
    seed: int,
    concurrency: int,
    retries: int,
) -> None:
    """Refuse a run that cannot work.

    Raises:
        UsageError: Naming the first argument that is wrong.
    """
    check_problems(problems)
    check_policy(policy)
    check_search(search, policy, scorer)
    if scorer is not None and hasattr(scorer, "validate"):
        scorer.validate(problems)
    check_sampling(sampling)
    if isinstance(budget, Budget) or not callable(budget):
        check_budget(budget, policy)
    if not isinstance(seed, int):
        raise UsageError(f"seed is {seed!r}; it must be a whole number")
    if not _whole(concurrency, 1):
        raise UsageError(f"concurrency is {concurrency!r}; it is how many problems are open at once, at least 1")
    if not _whole(retries):
        raise UsageError(f"retries is {retries!r}; it must be 0 or a positive whole number")


def check_budget(budget: object, policy: Policy) -> None:
    """Refuse what is no budget, and a limit on FLOPs where they cannot be counted."""
    if not isinstance(budget, Budget):
        raise UsageError(
            f"budget is {budget!r:.60}; pass reason.Budget(tokens=…, scorer_tokens=…, flops=…, seconds=…), "
            "or a function that gives the budget of a problem"
        )
    if budget.flops is not None and not policy.capabilities.parameters:
        name = policy.capabilities.name
        raise UsageError(f"budget flops needs a policy that knows its parameter count, and {name} does not; use tokens")


def check_problems(problems: Sequence[Problem]) -> None:
    """Refuse what is not a problem, an empty question, and ids that stand twice."""
    seen = set[str]()
    for index, problem in enumerate(problems):
        if not isinstance(problem, Problem):
            shown = f"{problem!r:.60}"
            raise UsageError(
                f"problem {index} is {shown}; pass reason.Problem(id, question), each with an id of its own"
            )
        if not isinstance(problem.question, str) or not problem.question.strip():
            raise UsageError(f"problem {problem.id!r} has an empty question; give it text or leave it out")
        if problem.id in seen:
            raise UsageError(f"problem id {problem.id!r} stands twice; ids seed the sampling, so make them unique")
        seen.add(problem.id)


def check_policy(policy: object) -> None:
    """Refuse what has no `extend` and `capabilities`."""
    if isinstance(policy, type) or not isinstance(policy, Policy):
        raise UsageError(
            f"policy is {policy!r:.60}; it needs extend(paths, sampling) and capabilities: "
            "make one with reason.load(name or directory), reason.wrap(model, tokenizer) or reason.wrap(function)"
        )


def check_search(search: object, policy: Policy, scorer: object) -> None:
    """Refuse a search that is no search, or that needs what policy or scorer cannot do."""
    if not callable(search):
        raise UsageError(f"search is {search!r:.60}; pass a strategy such as reason.best_of_n(n=16)")
    if scorer is not None and (isinstance(scorer, type) or not isinstance(scorer, Scorer)):
        raise UsageError(f"scorer is {scorer!r:.60}; it needs judge(paths): load one with reason.load_scorer(name)")
    needs: frozenset[str] = getattr(search, "needs", frozenset())
    name = getattr(search, "name", None) or getattr(search, "__name__", type(search).__name__)
    if "scorer" in needs and scorer is None:
        raise UsageError(f"{name} needs a scorer and none was given; pass scorer=reason.load_scorer('process')")
    if "partial" in needs and not policy.capabilities.partial:
        raise UsageError(
            f"{name} works step by step and {policy.capabilities.name} cannot continue partial answers; use a strategy "
            "on whole solutions (self_consistency, best_of_n), or wrap(…, partial=True) if the backend can continue"
        )

    if "compare" in needs and not hasattr(scorer, "compare"):
        raise UsageError(f"{name} compares pairs of solutions and {shown_scorer(scorer)}; {COMPARING}")
    if "logprobs" in needs and not policy.capabilities.logprobs:
        raise UsageError(
            f"{name} needs token log-probabilities and {policy.capabilities.name} gives none; use a model that is run "
            "here, or a strategy that does without (self_consistency, best_of_n)"
        )


def shown_scorer(scorer: object) -> str:
    """The scorer that cannot compare, for a message."""
    return "there is no scorer" if scorer is None else f"the scorer {type(scorer).__name__} cannot"


def check_sampling(sampling: object) -> None:
    """Refuse sampling settings outside their range."""
    if not isinstance(sampling, Sampling):
        raise UsageError(f"sampling is {sampling!r:.60}; pass reason.Sampling(temperature=…, max_tokens=…)")
    rules = (
        ("temperature", sampling.temperature >= 0, "0 (greedy) or above"),
        ("top_p", 0 < sampling.top_p <= 1, "above 0 and at most 1"),
        ("top_k", _whole(sampling.top_k), "0 (off) or a positive whole number"),
        ("min_p", 0 <= sampling.min_p < 1, "at least 0 (off) and below 1"),
        ("max_tokens", _whole(sampling.max_tokens) and sampling.max_tokens >= 1, "a whole number above 0"),
        (
            "max_step_tokens",
            _whole(sampling.max_step_tokens) and sampling.max_step_tokens >= 1,
            "a whole number above 0",
        ),
        ("until", isinstance(sampling.until, Until), "one of reason.Until"),
        ("confidence", _whole(sampling.confidence, -1), "0 (off), so many of the likeliest tokens, or -1 for all"),
        ("stop", _texts(sampling.stop), "a tuple of strings, none of them empty"),
        ("step_end", _texts(sampling.step_end), "a tuple of strings, none of them empty"),
    )
    for name, fine, allowed in rules:
        if not fine:
            raise UsageError(f"sampling {name} is {getattr(sampling, name)!r}; it must be {allowed}")


def _whole(value: object, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(text, str) and text for text in value)
