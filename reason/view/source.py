"""A run as the page shows it, read from its trace store and, where there are, from the results beside it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from reason.answers import equal
from reason.evals.results import read_lines
from reason.prompts import Prompt
from reason.trace import StoredNode, StoredOutcome, StoredSearch, Trace, read
from reason.types import ReasonError, UsageError
from reason.view import trees
from reason.view.data import ProblemView, Row, RunView

RESULTS = "results.jsonl"
STORES = ("trace.db", "run.db")
MAGIC = b"SQLite format 3\0"


def find_store(run: FilePath) -> FilePath:
    """The trace store of a run: the file itself, or the one in its results folder.

    Raises:
        UsageError: There is none.
    """
    if not run.exists():
        raise UsageError(
            f"there is no {str(run)!r:.200}: pass a trace store, or the folder that reason eval --out wrote"
        )
    if not run.is_dir():
        return run
    try:
        named = [run / name for name in STORES if (run / name).is_file()]
        found = named[:1] or [file for file in sorted(run.iterdir()) if file.is_file() and _is_store(file)]
    except OSError as error:
        raise UsageError(f"{str(run)!r:.200} cannot be read ({error.strerror}): make it readable") from error
    if len(found) != 1:
        what = "holds no trace store" if not found else f"holds {len(found)} stores"
        raise UsageError(
            f"{str(run)!r:.200} {what}: pass the file of a trace, or the folder that reason eval --out wrote"
        )
    return found[0]


def _is_store(file: FilePath) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


class Source:
    """A run, open for reading; also while it is being written.

    Args:
        run: A trace store, or a results folder that holds one.
        search: Which of the store's searches, by number; None is the one that began last.

    Raises:
        UsageError: It is none, or has no such search.
    """

    def __init__(self, run: FilePath, search: int | None = None) -> None:
        self.file = find_store(run)
        self.folder = self.file.parent
        self._trace: Trace = read(self.file)
        self._wanted = search
        self._verdicts: dict[str, str] = {}
        self._elapsed: float | None = None
        self._read_at: tuple[int, int] | None = None
        self._graded: dict[tuple[str, str], str] = {}
        self._running: dict[int, list[StoredNode]] = {}
        try:
            self.search = self._choose()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the store."""
        self._trace.close()

    def _choose(self) -> StoredSearch:
        searches = self._trace.searches()
        if not searches:
            raise UsageError(f"{self.file} holds no search yet: wait until the run has begun")
        if self._wanted is None:
            config = self._config()
            return next((search for search in searches[::-1] if _is_of(search, config)), searches[-1])
        for search in searches:
            if search.number == self._wanted:
                return search
        numbers = ", ".join(f"{search.number} ({search.strategy})" for search in searches[:9])
        raise UsageError(f"{self.file} has no search {self._wanted}: pass --search with one of {numbers}")

    def state(self) -> tuple[object, ...]:
        """What is another one after something was written to the store or the results beside it."""
        return self._trace.changed(), self._trace.being_written(), _status(self.folder / RESULTS)

    def outcomes(self) -> list[StoredOutcome]:
        """The outcomes of the search, in the order of their problems."""
        return sorted(self._trace.outcomes(self.search.number), key=lambda item: item.problem)

    def stamp(self, outcome: StoredOutcome) -> str:
        """A text that changes when the problem has changed."""
        if outcome.done:
            return f"d{outcome.at}"
        nodes = self._landed(outcome.problem)
        return f"r{nodes[-1].place if nodes else 0}"

    def _landed(self, problem: int) -> list[StoredNode]:
        """The steps of a problem that is not done; only new ones are read."""
        nodes = self._running.setdefault(problem, [])
        nodes += self._trace.nodes(self.search.number, problem, after=(nodes[-1].place or 0) if nodes else 0)
        return nodes

    def run(self, outcomes: list[StoredOutcome] | None = None) -> RunView:
        """The run and its table."""
        outcomes = self.outcomes() if outcomes is None else outcomes
        self._read_verdicts()
        active = self._trace.being_written()
        problems = {item.number: item.problem for item in self._trace.problems()}
        rows = list[Row]()
        for item in outcomes:
            problem = problems[item.problem]
            tokens = item.cost.generated_tokens
            if not item.done:
                tokens = sum(len(node.step.token_ids) for node in self._landed(item.problem))
            else:
                self._running.pop(item.problem, None)
            rows.append(
                Row(
                    problem.id,
                    problem.question,
                    item.answer,
                    problem.answer,
                    verdict=self._verdict(item, problem.id, problem.answer),
                    state="done" if item.done else "running" if active else "interrupted",
                    stopped=item.stopped if item.done else "",
                    tokens=tokens,
                    scored_tokens=item.cost.scored_tokens,
                    seconds=item.cost.seconds,
                    failures=len(item.failures),
                )
            )
        meta = self._trace.meta()
        config = {**(meta.config or {})}
        return RunView(
            self._title(config),
            _totals(rows, self._elapsed),
            self._facts(config, meta.software),
            tuple(rows),
            self._notes(rows),
        )

    def _title(self, config: Mapping[str, Any]) -> str:
        search = self.search
        name = search.about_policy.get("capabilities", {}).get("name") or search.policy
        parts = [f"{config['task']}: " if config.get("task") else "", search.strategy]
        size = config.get("n") or search.options.get("n")
        parts.append(f", n {size}" if size else "")
        parts.append(f", model {config.get('model') or name}")
        scorer = config.get("scorer") or search.about_scorer.get("name")
        return "".join(parts) + (f", scorer {scorer}" if scorer else "")

    def _facts(
        self, config: Mapping[str, Any], software: Mapping[str, str]
    ) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        search = self.search
        sections = {
            "Run": {"file": self.file.name, "seed": search.seed, **config},
            "Strategy": {"name": search.strategy, **search.options},
            "Policy": {"identity": search.policy, **search.about_policy},
            "Scorer": {"identity": search.scorer, **search.about_scorer} if search.scorer else {},
            "Sampling": search.sampling,
            "Budget per problem": {key: value for key, value in search.budget.items() if value is not None},
            "Versions": software,
        }
        return tuple((name, _pairs(values)) for name, values in sections.items() if values)

    def _notes(self, rows: list[Row]) -> tuple[str, ...]:
        notes = list[str]()
        searches = self._trace.searches()
        if len(searches) > 1:
            others = ", ".join(f"{item.number} ({item.strategy})" for item in searches[-9:] if item != self.search)
            notes.append(f"The store holds {len(searches)} searches; this is {self.search.number}. --search: {others}.")
        waiting = sum(row.state == "interrupted" for row in rows)
        if waiting:
            notes.append(f"{waiting} of {len(rows)} problems were interrupted: the same command again finishes them.")
        return tuple(notes)

    def _config(self) -> Mapping[str, Any]:
        """What the results folder says that its results are of; empty without one."""
        try:
            found = json.loads((self.folder / "config.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _read_verdicts(self) -> None:
        """The grades and the time of a results folder, read again when they have changed; only of its own search."""
        file = self.folder / RESULTS
        status = _status(file)
        if status is not None and self._read_at != status:
            self._read_at, self._verdicts, self._elapsed = status, {}, None
            if not _is_of(self.search, self._config()):
                return
            rows = [row for _, row in read_lines(file) if isinstance(row, dict)]
            self._verdicts = {str(row.get("problem")): str(row.get("verdict", "")) for row in rows}
            times = [row.get("elapsed") for row in rows]
            self._elapsed = max((float(time) for time in times if isinstance(time, int | float)), default=None)

    def _verdict(self, item: StoredOutcome, problem: str, gold: str | None) -> str:
        """The grade in the results; without one, what comparing the answer with the gold one says."""
        if not item.done:
            return ""
        if problem in self._verdicts:
            return self._verdicts[problem]
        if item.stopped == "error":
            return "failed"
        if gold is None:
            return ""
        key = (gold, item.answer or "")
        if key not in self._graded:
            self._graded[key] = str(equal(gold, item.answer, symbolic=False).verdict)
        return self._graded[key]

    def problem(self, outcome: StoredOutcome) -> ProblemView:
        """One problem with its tree."""
        search, number = self.search.number, outcome.problem
        problem = self._trace.problem(number).problem
        landed = list(self._trace.nodes(search, number)) if outcome.done else self._landed(number)
        nodes = {node.number: node for node in landed}
        scores = trees.values_of(self._trace.scores(search, number))
        candidates = self._trace.candidates(search, number)
        if not outcome.done:
            rows = trees.landed(landed, scores)
        else:
            tree = self._trace.tree(search, number)
            rows, shown = trees.searched(tree, nodes, scores) if tree else trees.voted(candidates, nodes, outcome)
            trees.beside(rows, landed, shown, scores)
        return ProblemView(
            problem.question,
            rows,
            outcome.answer,
            problem.answer,
            trees.votes(candidates, outcome.answer),
            _cost(outcome, len(landed)),
            tuple(_failure(item.where, item.message, item.attempts) for item in outcome.failures),
            self._prompt(problem.question),
            done=outcome.done,
        )

    def _prompt(self, question: str) -> str | None:
        """What the policy was given, as far as its own description tells."""
        shown = self.search.about_policy.get("prompt")
        if not isinstance(shown, dict):
            return None
        try:
            prompt = Prompt.from_dict(shown)
            if not prompt.chat:
                return prompt.text(question)
            return "\n\n".join(f"[{turn['role']}]\n{turn['content']}" for turn in prompt.messages(question))
        except (ReasonError, TypeError, ValueError, KeyError):
            return None


def _is_of(search: StoredSearch, config: Mapping[str, Any]) -> bool:
    """Whether nothing in a results folder's settings says that they are of another search."""
    found = {"strategy": search.strategy, "seed": search.seed, "n": search.options.get("n")}
    return all(config.get(name) is None or value is None or config[name] == value for name, value in found.items())


def _status(file: FilePath) -> tuple[int, int] | None:
    """When the file was written and how long it is; None where there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _failure(where: str, message: str, attempts: int) -> str:
    return f"{where}: {message}" + (f" (tried {attempts} times)" if attempts > 1 else "")


def _cost(outcome: StoredOutcome, nodes: int) -> tuple[tuple[str, str], ...]:
    cost = outcome.cost
    facts = {"confidence": "" if math.isnan(outcome.confidence) else f"{100 * outcome.confidence:.0f} %"}
    if outcome.done:
        facts |= {
            "stopped": "" if outcome.stopped == "done" else outcome.stopped,
            "generated tokens": f"{cost.generated_tokens:,}",
            "prefilled": f"{cost.prefilled_tokens:,}",
            "scored": f"{cost.scored_tokens:,}" if cost.scored_tokens else "",
            "GFLOP": f"{cost.flops / 1e9:,.1f}" if cost.flops else "",
            "seconds": f"{cost.seconds:.2f}",
        }
    facts["steps sampled"] = f"{nodes:,}"
    return tuple((name, value) for name, value in facts.items() if value)


def _pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", " "), _shown(value)) for name, value in values.items())


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _totals(rows: list[Row], elapsed: float | None) -> tuple[tuple[str, str], ...]:
    done = [row for row in rows if row.state == "done"]
    scored = [row for row in done if row.verdict not in ("", "failed", "gold_error")]
    totals = {}
    if scored:
        correct = sum(row.verdict == "correct" for row in scored)
        totals["correct"] = f"{100 * correct / len(scored):.1f} % ({correct} of {len(scored)})"
    totals["problems"] = f"{len(done):,} of {len(rows):,}" if len(done) < len(rows) else f"{len(rows):,}"
    totals["tokens generated"] = f"{sum(row.tokens for row in rows):,}"
    if any(row.scored_tokens for row in rows):
        totals["scored"] = f"{sum(row.scored_tokens for row in rows):,}"
    if elapsed is not None:
        totals["seconds"] = f"{elapsed:,.1f}"
    return tuple(totals.items())
