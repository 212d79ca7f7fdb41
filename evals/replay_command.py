"""`reason replay`: another selection over what a run paid for, without any model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from rich.console import Console

from reason.evals.command import curve_or_none, print_summary
from reason.evals.record import Record, record_of, summarize
from reason.evals.replay import NeverPaid, Source, replay, replayable, source_of
from reason.evals.results import store_file
from reason.evals.settings import Settings, read_settings
from reason.evals.tasks import Task
from reason.evals.tasks import load as load_task
from reason.identity import budget_of, options_of, plain, plain_json, strategy_name
from reason.options import recorded, revived
from reason.resolve import JUDGING, find_builder
from reason.scorers.aggregation import aggregation
from reason.search.select import SELECTIONS
from reason.search.strategy import Strategy, one_of
from reason.show import json_line
from reason.trace import StoredOutcome, StoredSearch, Trace, read
from reason.types import Outcome, Problem, UsageError
from reason.work import Search


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be replayed; None and nothing is as the run was.

    Attributes:
        strategy, options: The strategy and its options, as KEY=VALUE.
        select: "naive", "weighted" or "majority": that selection among the run's samples.
        k: The budget in whole solutions.
        aggregate: How step scores become one.
        scorer: The name of the scorer whose judgements are taken.
    """

    strategy: str | None = None
    options: tuple[str, ...] = ()
    select: str | None = None
    k: int | None = None
    aggregate: str | None = None
    scorer: str | None = None

    def __post_init__(self) -> None:
        if self.select is not None:
            one_of("select", self.select, SELECTIONS)
            if self.strategy is not None:
                raise UsageError(
                    f"--select {self.select} chooses among independent samples, and --strategy {self.strategy} is a "
                    f"strategy of its own: leave one out, or pass --strategy best_of_n --set select={self.select}"
                )
        if self.k is not None and self.k < 1:
            raise UsageError(f"k is {self.k}: it is how many solutions to select among; pass --k 1 or more")
        if self.aggregate is not None:
            aggregation(self.aggregate)

    @property
    def changes(self) -> bool:
        """Whether anything is to be other than in the run."""
        return self != Wanted()


@dataclass(frozen=True, slots=True)
class Replayed:
    """A strategy to replay.

    Attributes:
        strategy, n, options: Its name, budget in whole solutions and options.
        search: It, built.
        judges: Whether it needs scores.
    """

    strategy: str
    n: int
    options: Mapping[str, Any]
    search: Search
    judges: bool


def built(settings: Settings, wanted: Wanted) -> Replayed:
    """The strategy that is wanted.

    Raises:
        UsageError: It cannot be built.
    """
    if settings.n is None:
        raise UsageError(
            f"the run shared {settings.total_tokens} tokens among its problems, problem after problem as it went, and "
            "cannot be replayed: results.jsonl has what it came to"
        )
    n = settings.n if wanted.k is None else wanted.k
    name, given = wanted.strategy or settings.strategy, list(wanted.options)
    if wanted.select is not None:
        unscored = wanted.select == "majority" and settings.scorer is None and wanted.scorer is None
        name = "self_consistency" if unscored else "best_of_n"
        given += [] if unscored else [f"select={wanted.select}"]
    builder = find_builder(name)
    options = builder.read(given)
    if wanted.strategy is None and wanted.select is None:
        options = revived(builder.described, settings.options, skip=builder.skip) | options
    scorer = wanted.scorer or settings.scorer
    used = {} if builder.file is None else {"model": settings.model} | ({} if scorer is None else {"scorer": scorer})
    search = builder.build(n, {**options, **used})
    needs = search.needs if isinstance(search, Strategy) else None
    judges = scorer is not None if needs is None else bool(JUDGING & needs)
    return Replayed(builder.name, n, options, search, judges)


def same_search(trace: Trace, search: Search, settings: Settings) -> StoredSearch | None:
    """The stored search with these settings, or None."""
    about = (strategy_name(search), plain_json(options_of(search)), plain_json(plain(settings.sampling)))
    limits = plain_json(budget_of(settings.budget))
    found = [
        held
        for held in trace.searches()
        if (held.strategy, plain_json(held.options), plain_json(held.sampling)) == about
        and plain_json(held.budget) == limits
        and held.seed == settings.seed
        and (held.scorer is None) == (settings.scorer is None)
    ]
    named = [held for held in found if held.about_scorer.get("name") == settings.scorer]
    return next(iter(named or found), None)


def scorer_of(trace: Trace, base: StoredSearch, name: str | None) -> StoredSearch:
    """A stored search with the scorer whose judgements are to be taken: the run's own, else the one of that name.

    Raises:
        UsageError: There is none, or there are several.
    """
    if name is None and base.scorer is not None:
        return base
    judged = {held.scorer: held for held in trace.searches() if held.scorer is not None}
    names = ", ".join(f"{held.about_scorer.get('name') or held.scorer}" for held in judged.values())
    if not judged:
        raise UsageError("the store holds no scores: pass --select majority, or pay for them with reason eval --scorer")
    if name is not None:
        judged = {
            key: held for key, held in judged.items() if name == held.about_scorer.get("name") or name in str(key)
        }
    if len(judged) != 1:
        what = "several scorers" if name is None else f"not one scorer {name!r:.60}"
        raise UsageError(f"the store holds scores of {names}, {what}: pass --scorer with one of these names")
    return next(iter(judged.values()))


def came_to_nothing(outcome: StoredOutcome) -> bool:
    """Whether the search failed, or never asked for anything (the question did not fit): replayed as it stands."""
    cost = outcome.cost
    nothing = not (cost.generated_tokens or cost.prefilled_tokens) and outcome.node is None
    return outcome.stopped == "error" or (nothing and bool(outcome.failures))


@dataclass(frozen=True, slots=True)
class ReplayCommand:
    """Everything one replay needs.

    Attributes:
        folder: The results folder.
        wanted: What is to be other than in the run.
    """

    folder: FilePath
    wanted: Wanted

    def run(self, *, as_json: bool) -> int:
        """Replay, print, and return the exit code."""
        settings = read_settings(self.folder)
        task, console = load_task(settings.task), Console(stderr=as_json)
        chosen = built(settings, self.wanted)
        with read(store_file(self.folder)) as trace:
            base = same_search(trace, built(settings, Wanted()).search, settings)
            if base is None:
                raise UsageError(f"{trace.file} holds nothing of this run: the same reason eval command begins it")
            scored = self._scored(trace, base, chosen)
            records = self._records(trace, base, scored, settings, chosen, task)
            everything = trace.counts()["problem"]
        if len(records) < everything:
            console.print(f"{len(records)} of {everything} problems are finished: the tables are of these")
        summary = {**self._head(task, settings, chosen, scored), **summarize(records)}
        summary["curve"] = curve_or_none(records, chosen.n)
        del summary["seconds"]
        print_summary(console, summary, records)
        if as_json:
            print(json_line(summary))
        return 0

    def _scored(self, trace: Trace, base: StoredSearch, chosen: Replayed) -> StoredSearch | None:
        """A search with the scorer whose judgements are taken; None where none are needed."""
        if chosen.judges:
            return scorer_of(trace, base, self.wanted.scorer)
        for name, value in (("aggregate", self.wanted.aggregate), ("scorer", self.wanted.scorer)):
            if value is not None:
                raise UsageError(f"--{name} {value}: {chosen.strategy} uses no scores; leave it out")
        return None

    def _records(
        self,
        trace: Trace,
        base: StoredSearch,
        scored: StoredSearch | None,
        settings: Settings,
        chosen: Replayed,
        task: Task,
    ) -> list[Record]:
        """The records of the finished problems, in the order in which the run had them."""
        done = {held.problem: held for held in trace.outcomes(base.number) if held.done}
        problems = [held for held in trace.problems() if held.number in done]
        if not problems:
            raise UsageError(f"{trace.file} holds no finished problem: the same reason eval command continues the run")
        records, selection = dict[str, Record](), getattr(chosen.search, "selection", None)

        def keep(outcome: Outcome) -> None:
            judged = scored is not None
            record = record_of(outcome, task.grade, judged=judged, elapsed=0.0, selection=selection)
            records[outcome.problem.id] = record

        as_it_was = not self.wanted.changes and not replayable(settings.budget)
        asked = list[Problem]()
        for held in problems:
            if as_it_was or came_to_nothing(done[held.number]):
                keep(trace.outcome(done[held.number]))
            else:
                asked.append(held.problem)
        if asked:
            self._replay(asked, self._source(trace, base, scored, settings, chosen), settings, chosen, keep)
        return [records[held.problem.id] for held in problems]

    def _source(
        self, trace: Trace, base: StoredSearch, scored: StoredSearch | None, settings: Settings, chosen: Replayed
    ) -> Source:
        own = same_search(trace, chosen.search, settings)
        return replace(
            source_of(trace, scored or base, aggregate=self.wanted.aggregate),
            scorer=None if scored is None else scored.scorer,
            search=0 if own is None else own.number,
        )

    def _replay(
        self,
        problems: Sequence[Problem],
        source: Source,
        settings: Settings,
        chosen: Replayed,
        keep: Callable[[Outcome], None],
    ) -> None:
        try:
            replay(
                problems,
                source=source,
                search=chosen.search,
                sampling=settings.sampling,
                budget=settings.budget,
                seed=settings.seed,
                on_outcome=keep,
            )
        except NeverPaid as error:
            raise UsageError(
                f"{source.trace.file} cannot answer {chosen.strategy} with n = {chosen.n}: {error}; pay for what is "
                f"missing with reason eval … --strategy {chosen.strategy} --n {chosen.n} --out {self.folder} --resume"
            ) from error

    def _head(self, task: Task, settings: Settings, chosen: Replayed, scored: StoredSearch | None) -> dict[str, Any]:
        """What was replayed, named as in the run's summary."""
        scorer = None if scored is None else self.wanted.scorer or settings.scorer or scored.about_scorer["name"]
        names = {"task": task.name, "strategy": chosen.strategy, "n": chosen.n, "model": settings.model}
        changed = {"set": recorded(chosen.options)} if self.wanted.changes and chosen.options else {}
        anew = {} if self.wanted.aggregate is None else {"aggregate": self.wanted.aggregate}
        return {**names, "scorer": scorer, "seed": settings.seed, **changed, **anew}
