"""From what `reason eval` was asked to what it runs: the problems, the models and the strategy, checked."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from reason.cli_options import budget_of, check_scorer, sampling_of
from reason.evals.command import EvalCommand
from reason.evals.tasks import Task
from reason.evals.tasks import load as load_task
from reason.options import recorded
from reason.resolve import setup
from reason.types import Problem, UsageError

CONCURRENCY = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """One evaluation, as the options of `reason eval` say it.

    Attributes:
        problem_seed: Draws the problems; None: `seed` does.
        set: The strategy's options as KEY=VALUE.
        sample_id: Only the problems of these ids; empty: all.
    """

    task: str
    model: str = "bundled"
    strategy: str | None = None
    set: tuple[str, ...] = ()
    n: int = 16
    scorer: str | None = None
    aggregate: str | None = None
    limit: int | None = None
    sample_id: tuple[str, ...] = ()
    split: str | None = None
    data: str | None = None
    seed: int = 0
    problem_seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    max_step_tokens: int | None = None
    budget_tokens: int | None = None
    budget_scorer_tokens: int | None = None
    budget_flops: float | None = None
    budget_seconds: float | None = None
    total_tokens: int | None = None

    def with_seeds(self, seeds: Sequence[int]) -> tuple[Asked, ...]:
        """The same on the same problems, once with each seed."""
        return tuple(replace(self, seed=seed, problem_seed=self.seed) for seed in seeds)


@dataclass(slots=True)
class Prepared:
    """Makes commands; tasks and models that several of them use are loaded once.

    Attributes:
        tasks: By the names that they were asked for with.
        models: Policies by name, and scorers by what they were asked for with.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    models: dict[Any, Any] = field(default_factory=dict)

    def forget_scorers(self) -> None:
        """Load scorers anew: one that remembers what it judged would charge the next run less."""
        self.models = {key: model for key, model in self.models.items() if isinstance(key, str)}

    def command(
        self,
        asked: Asked,
        *,
        out: FilePath | None = None,
        store: FilePath | None = None,
        resume: bool = False,
        trace: bool = True,
        concurrency: int = CONCURRENCY,
    ) -> EvalCommand:
        """Check everything, load it, and make the command; `out` … `concurrency` as there.

        Raises:
            UsageError: A name, number or combination is wrong.
        """
        if concurrency < 1:
            raise UsageError(f"max concurrency is {concurrency}: pass --max-concurrency 1 or more")
        if asked.limit is not None and asked.limit < 1:
            raise UsageError(f"limit is {asked.limit}: pass --limit 1 or more, or leave it out for all problems")
        budget = budget_of(asked.budget_tokens, asked.budget_scorer_tokens, asked.budget_flops, asked.budget_seconds)
        if asked.task not in self.tasks:
            self.tasks[asked.task] = load_task(asked.task)
        task = self.tasks[asked.task]
        problems = problems_of(task, asked)
        chosen = setup(
            model=asked.model,
            strategy=asked.strategy,
            n=asked.n,
            scorer=asked.scorer,
            aggregate=asked.aggregate,
            task=task,
            options=asked.set,
            loaded=self.models,
        )
        sampling = sampling_of(
            chosen,
            asked.temperature,
            asked.top_p,
            asked.top_k,
            asked.min_p,
            asked.max_tokens,
            asked.max_step_tokens,
        )
        check_scorer(chosen, problems)
        extra = {key: getattr(asked, key) for key in ("limit", "split", "data", "aggregate")}
        if chosen.options:
            extra["set"] = recorded(chosen.options)
        if asked.task != task.name:
            extra["source"] = asked.task
        if asked.problem_seed is not None:
            extra["problem_seed"] = asked.problem_seed
        if asked.sample_id:
            extra["sample_id"] = list(asked.sample_id)
        return EvalCommand(
            task,
            problems,
            chosen,
            asked.n,
            asked.seed,
            sampling,
            budget,
            out,
            extra,
            asked.total_tokens,
            resume,
            trace,
            store,
            concurrency,
        )


def problems_of(task: Task, asked: Asked) -> list[Problem]:
    """The problems that are asked for.

    Raises:
        UsageError: There are none, or an id is not among them.
    """
    if asked.sample_id and asked.limit is not None:
        raise UsageError(f"--sample-id names the problems: leave out --limit {asked.limit}")
    drawn = asked.seed if asked.problem_seed is None else asked.problem_seed
    found = task.load(limit=asked.limit, seed=drawn, data=asked.data, split=asked.split)
    if not asked.sample_id:
        return found
    known = [problem.id for problem in found]
    for wanted in asked.sample_id:
        if wanted not in known:
            close = difflib.get_close_matches(wanted, known, 1, 0.0)
            raise UsageError(
                f"{task.name} has no problem {wanted!r:.80} among its {len(known):,}: pass --sample-id "
                f"{close[0] if close else 'of one that it has'}, or another --split or --seed"
            )
    return [problem for problem in found if problem.id in asked.sample_id]
