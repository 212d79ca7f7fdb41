"""From names on the command line to objects: strategies, scorers, and what a run is made of.

There is no registry: a strategy's name is a key of `reason.search.STRATEGIES` (with - or _ between its words),
`compute_optimal=FILE`, or `module:function`, the function being called with n and the options.
"""

from __future__ import annotations

import difflib
import errno
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from reason.options import read_options
from reason.search import STRATEGIES
from reason.search.strategy import COMPARE, PARTIAL, SCORER, Strategy
from reason.types import Policy, Sampling, Scorer, UsageError
from reason.work import Search

if TYPE_CHECKING:
    from reason.evals.tasks import Task

BUNDLED = "bundled"
NO_SCORER = "none"
MODEL_SCORERS = ("process", "outcome")
VERIFIER = "verifier"
RULES = (VERIFIER, "arithmetic")
ORACLE = "oracle"
TUNED = "compute_optimal"
JUDGING = frozenset({SCORER, COMPARE})
USUAL_N = 16


@dataclass(frozen=True, slots=True)
class Setup:
    """What a run is made of.

    Attributes:
        model, strategy, scorer: Their names; scorer is None where none is used.
        policy, search, judge: The objects.
        options: What the strategy was built with besides n.
    """

    model: str
    strategy: str
    scorer: str | None
    policy: Policy
    search: Search
    judge: Scorer | None
    options: Mapping[str, Any] = field(default_factory=dict)


def setup(
    *,
    model: str = BUNDLED,
    strategy: str | None = None,
    n: int = 16,
    scorer: str | None = None,
    aggregate: str | None = None,
    task: Task | None = None,
    options: Sequence[str] = (),
    loaded: dict[Any, Any] | None = None,
) -> Setup:
    """Check the names, cheapest first, then load.

    Args:
        model: "bundled", a directory, or whatever else `reason.load` takes.
        strategy: A name, `compute_optimal=FILE` or `module:function`; None is best_of_n where there is a scorer, else
            self_consistency.
        n: The budget in whole solutions.
        scorer: "none", or whatever `reason.load_scorer` takes; None is "process" for the bundled model and strategies
            that judge, else none.
        aggregate: How a process scorer's step values become one; None is the scorer's own.
        task: What is evaluated; None for a question of the user's own.
        options: The strategy's, as KEY=VALUE.
        loaded: Models that earlier calls loaded; they are taken from it, and new ones are added to it.

    Raises:
        UsageError: A name or option is unknown, or the parts do not fit each other.
    """
    if n < 1:
        raise UsageError(f"n is {n}: it is the budget in whole solutions; pass --n 1 or more")
    has_scorer = scorer != NO_SCORER and (scorer is not None or model == BUNDLED)
    builder = find_builder(strategy or ("best_of_n" if has_scorer else "self_consistency"))
    name, given = builder.name, builder.read(options)
    search = builder.build(n, given)
    needs = search.needs if isinstance(search, Strategy) else frozenset[str]()
    known = isinstance(search, Strategy)
    wanted = scorer
    if scorer is None and model == BUNDLED and (JUDGING & needs or not known):
        wanted = "process"
    if wanted == NO_SCORER:
        wanted = None
    if JUDGING & needs and wanted is None:
        raise UsageError(
            f"{name} judges its candidates and there is no scorer: pass --scorer {scorer_choices(task)}, "
            "or --strategy self_consistency, which needs none"
        )
    if known and wanted is not None and not JUDGING & needs:
        judging = ", ".join(key for key in STRATEGIES if JUDGING & needs_of(key))
        raise UsageError(
            f"{name} uses no scorer, but --scorer {wanted} was given: leave it out, or pass --strategy {judging}"
        )
    if builder.file is not None:
        used = {"model": model} | ({} if wanted is None else {"scorer": wanted})
        search = builder.build(n, {**given, **used})
    if aggregate is not None and wanted is None:
        raise UsageError(
            f"--aggregate {aggregate} needs a scorer that judges steps: pass --scorer process or a directory"
        )
    held = {} if loaded is None else loaded
    if model not in held:
        held[model] = find_policy(model)
    policy: Policy = held[model]
    if PARTIAL in needs and not policy.capabilities.partial:
        raise UsageError(f"{name} extends partial solutions, which {model} cannot: pass --strategy best_of_n")
    judge: Scorer | None = None
    if wanted is not None:
        key = (model, wanted, aggregate, id(task))
        if key not in held:
            held[key] = find_scorer(wanted, aggregate=aggregate, task=task, policy=policy), task
        judge = held[key][0]
    return Setup(model, name, wanted, policy, search, judge, given)


@dataclass(frozen=True, slots=True)
class Builder:
    """What makes a strategy.

    Attributes:
        name: As it is to be shown.
        make: Called with n and the options.
        described: The function whose annotations say what options there are, after its first `skip` parameters.
        file: The table of compute_optimal=FILE, else None.
    """

    name: str
    make: Callable[..., Any]
    described: Callable[..., Any]
    skip: int = 1
    file: str | None = None

    def read(self, options: Sequence[str]) -> dict[str, Any]:
        """The keyword arguments that KEY=VALUE texts stand for.

        Raises:
            UsageError: One is wrong.
        """
        return read_options(self.name, self.described, options, skip=self.skip)

    def build(self, n: int, options: Mapping[str, Any]) -> Search:
        """The strategy with a budget of n whole solutions.

        Raises:
            UsageError: The builder refuses its arguments, or builds something else.
        """
        search = self.make(n, **options) if callable(self.make) else None
        if not callable(search):
            raise UsageError(
                f"strategy {self.name!r} is not one: it must be a function that takes n and returns a search"
            )
        found: Search = search
        return found


def find_builder(name: str) -> Builder:
    """What makes the strategy of that name.

    Raises:
        UsageError: There is none, or `module:function` cannot be imported.
    """
    plain, equals, file = name.partition("=")
    plain = plain.replace("-", "_")
    if plain == TUNED:
        return _tuned(file)
    if plain in STRATEGIES and not equals:
        return Builder(plain, STRATEGIES[plain], STRATEGIES[plain])
    module_name, colon, function = name.partition(":")
    if not colon or not module_name or not function or equals:
        raise UsageError(
            f"unknown strategy {name!r}{_hint(plain, STRATEGIES)}: "
            f"pass {_listed(STRATEGIES)}, {TUNED}=FILE, or module:function"
        )
    try:
        build = getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"strategy {name!r} cannot be imported ({error}): check the module and the function's name"
        ) from error
    return Builder(name, build, build)


def _tuned(file: str) -> Builder:
    from reason.search.compute_optimal import bundled_table, compute_optimal, from_file

    name = f"{TUNED}={file}" if file else TUNED
    file = file or str(bundled_table())
    return Builder(name, partial(from_file, file), compute_optimal, skip=2, file=file)


def find_strategy(name: str, n: int, options: Mapping[str, Any] | None = None) -> Search:
    """The strategy of that name, with a budget of n whole solutions and keyword options.

    Raises:
        UsageError: There is none, or its builder refuses the arguments.
    """
    return find_builder(name).build(n, options or {})


def needs_of(name: str) -> frozenset[str]:
    """What the strategy of that name needs, with a usual n."""
    search = STRATEGIES[name](USUAL_N)
    return search.needs


def find_policy(name: str) -> Policy:
    """The policy that `reason.load` makes of the name.

    Raises:
        UsageError: There is none.
    """
    from reason.policies import load

    _hide_loading_bars()
    try:
        return load(name)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UsageError(
            f"there is no model {name!r:.60} ({error.strerror}): pass --model {BUNDLED}, a directory or a hub id"
        ) from error


def _hide_loading_bars() -> None:
    """Transformers draws a bar for every model that it loads, however small."""
    try:
        from transformers.utils import logging
    except ImportError:
        return  # loading says which extra is missing
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def default_sampling(policy: Policy) -> Sampling:
    """The default sampling, with the solution length that the policy's prompt names."""
    prompt = getattr(policy, "prompt", None)
    length = getattr(prompt, "max_tokens", None)
    return Sampling() if length is None else Sampling(max_tokens=length)


def find_scorer(
    name: str, *, aggregate: str | None = None, task: Task | None = None, policy: Policy | None = None
) -> Scorer:
    """The scorer of that name, fit for the task.

    Args:
        name: "verifier", also within "A+B" and "pairs:", is the task's own rule (its `check`, else the
            arithmetic of its solutions if it is checkable); for all else see `reason.load_scorer`.
        aggregate: How a process scorer's step values become one.
        task: What is evaluated; None for a question of the user's own.
        policy: What will be scored.

    Raises:
        UsageError: There is none, or it cannot judge this task.
    """
    from reason.scorers import Pairs, ensemble, load_scorer, verifier
    from reason.scorers.load import PAIRS

    if task is None and name == ORACLE:
        raise UsageError(
            f"the scorer {ORACLE!r} needs gold answers, and a question has none: pass --scorer {scorer_choices(None)}"
        )
    if task is not None and name in RULES and not (task.checkable or (name == VERIFIER and has_check(task))):
        raise UsageError(
            f"the scorer {name!r} checks solutions by rule, and the task {task.name} has no rule: "
            f"pass --scorer {scorer_choices(task)}"
        )
    if task is not None and name == VERIFIER:
        if aggregate is not None:
            raise UsageError(f"the scorer {name!r} is not a reward model: leave aggregate out")
        return verifier(task)
    if task is not None and has_check(task) and VERIFIER in (members := name.removeprefix(PAIRS).split("+")):
        parts = [find_scorer(member, aggregate=aggregate, task=task, policy=policy) for member in members]
        whole = parts[0] if len(parts) == 1 else ensemble(parts)
        return Pairs(whole) if name.startswith(PAIRS) else whole
    _hide_loading_bars()
    try:
        return load_scorer(name, aggregate=aggregate, policy=policy)
    except OSError as error:
        reason = " ".join(str(error.strerror or error).split())
        raise UsageError(
            f"the scorer {name!r:.60} cannot be loaded ({reason:.200}): pass --scorer {scorer_choices(task)}"
        ) from error


def has_check(task: Task) -> bool:
    """Whether the task has a rule of its own, `check(problem, text)`."""
    return callable(getattr(task, "check", None))


def scorer_choices(task: Task | None) -> str:
    """The scorers that can judge the task, for messages."""
    names = [*MODEL_SCORERS, *(RULES[:1] if task is None or task.checkable or has_check(task) else ())]
    return f"{', '.join(names)} or a scorer's directory"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {close[0]}?)" if close else ""
