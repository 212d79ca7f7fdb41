"""Reading a trace store, also while a run is writing it: everything as frozen records, streamed, without torch.

    with read("run.db") as trace:
        for search in trace.searches():
            for outcome in trace.outcomes(search.number):
                problem = trace.problem(outcome.problem).problem
                for node in trace.nodes(search.number, outcome.problem):
                    ...

Numbers (`search.number`, `problem.number`, `node.number`) are ids within the store. Nothing is written, whatever is
called. Each query sees the store as it is at that moment; `changed` says whether anything was written since.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from reason.trace.errors import explained
from reason.trace.files import open_for_reading
from reason.trace.keys import to_floats
from reason.trace.lock import held
from reason.trace.outcomes import DONE, OUTCOME
from reason.trace.records import SCORE, STEP, number_of, read_score, read_step, text_of
from reason.trace.rows import (
    Meta,
    StoredCandidate,
    StoredNode,
    StoredOutcome,
    StoredProblem,
    StoredScore,
    StoredSearch,
    TreeNode,
)
from reason.types import Candidate, Cost, Failure, Finish, Outcome, Path, Problem, Step

NODE = f"""node.id, node.parent, node.problem, node.depth, node.kind, question.text, node.seed, sampling.settings,
node.session, node.at, {", ".join(f"node.{name}" for name in STEP.split(", "))}"""
JOINED = "LEFT JOIN question ON question.id = node.question LEFT JOIN sampling ON sampling.id = node.sampling"
LINE = f"""WITH RECURSIVE line (id) AS
(SELECT ? UNION ALL SELECT parent FROM node JOIN line ON node.id = line.id WHERE parent IS NOT NULL)
SELECT {NODE} FROM line JOIN node ON node.id = line.id {JOINED} ORDER BY node.depth"""
SEARCH = """SELECT search.id, strategy, options, policy.identity, scorer.identity, policy.about, scorer.about,
sampling.settings, budget, seed, created FROM search JOIN policy ON policy.id = search.policy
LEFT JOIN scorer ON scorer.id = search.scorer JOIN sampling ON sampling.id = search.sampling"""
SCORED = f"SELECT score.id, node, other, scorer.identity, {SCORE} FROM score JOIN scorer ON scorer.id = score.scorer"
BATCH = 1000


def read(file: str | os.PathLike[str]) -> Trace:
    """Open a store for reading.

    Raises:
        UsageError: There is none, or it is damaged, another program's, or of another format.
    """
    return Trace(FilePath(file))


class Trace:
    """A store, open for reading; see `read`."""

    def __init__(self, file: FilePath) -> None:
        self.file = file
        self._connection = open_for_reading(file)
        self._settings: dict[str, Mapping[str, Any]] = {}

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; again does nothing."""
        self._connection.close()

    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            cursor = self._connection.execute(query, values)
            while rows := cursor.fetchmany(BATCH):
                yield from rows
        except sqlite3.Error as error:
            raise explained(error, self.file) from error

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query gives, as `Store.rows`."""
        return list(self._rows(query, values))

    def meta(self) -> Meta:
        """What made the store."""
        known = {key: json.loads(value) for key, value in self._rows("SELECT key, value FROM meta")}
        sessions = self._rows("SELECT started, software FROM session ORDER BY id")
        [(version,)] = self._rows("PRAGMA user_version")
        return Meta(
            version,
            known.get("created", 0.0),
            known.get("software", {}),
            known.get("config"),
            tuple((started, json.loads(made)) for started, made in sessions),
        )

    def changed(self) -> int:
        """A number that is another one after something was written."""
        [(version,)] = self._rows("PRAGMA data_version")
        return int(version)

    def being_written(self) -> bool:
        """Whether a run has the store open for writing now."""
        return held(self.file)

    def problems(self) -> Iterator[StoredProblem]:
        """All problems, in the order in which they were begun."""
        for row in self._rows("SELECT id, name, question, answer, meta FROM problem ORDER BY id"):
            yield _problem(row)

    def problem(self, number: int) -> StoredProblem:
        """One problem.

        Raises:
            KeyError: There is none of that number.
        """
        query = "SELECT id, name, question, answer, meta FROM problem WHERE id = ?"
        for row in self._rows(query, (number,)):
            return _problem(row)
        raise KeyError(number)

    def searches(self) -> list[StoredSearch]:
        """All searches, in the order in which they were begun."""
        return [_search(row) for row in self._rows(f"{SEARCH} ORDER BY search.id")]

    def outcomes(self, search: int | None = None, problem: int | None = None) -> Iterator[StoredOutcome]:
        """Outcomes, those that have only begun included; of one search, of one problem, or of all."""
        where, values = _where({"search": search, "problem": problem})
        for row in self._rows(f"SELECT search, problem, {OUTCOME} FROM outcome{where}", values):
            yield _outcome(row)

    def candidates(self, search: int, problem: int) -> list[StoredCandidate]:
        """The solutions that the search considered, in its order; none before it is done."""
        query = """SELECT place, node, finish, answer, score, weight, steps FROM candidate
        WHERE search = ? AND problem = ? ORDER BY place"""
        return [
            StoredCandidate(place, node, finish, _text(answer), number_of(score), number_of(weight), to_floats(steps))
            for place, node, finish, answer, score, weight, steps in self._rows(query, (search, problem))
        ]

    def nodes(self, search: int, problem: int, *, after: int = 0) -> Iterator[StoredNode]:
        """The steps that a search has on a problem, in the order in which they landed, parents first.

        Args:
            search, problem: Their numbers.
            after: Only those with a greater `place`, to follow a run.
        """
        query = f"""SELECT {NODE}, used.elapsed, used.place FROM used JOIN node ON node.id = used.node {JOINED}
        WHERE used.search = ? AND used.problem = ? AND used.place > ? ORDER BY used.place"""
        for *row, elapsed, place in self._rows(query, (search, problem, after)):
            yield self._node(row, elapsed, place)

    def node(self, number: int) -> StoredNode:
        """One node.

        Raises:
            KeyError: There is none of that number.
        """
        for row in self._rows(f"SELECT {NODE} FROM node {JOINED} WHERE node.id = ?", (number,)):
            return self._node(row)
        raise KeyError(number)

    def line(self, number: int | None) -> list[StoredNode]:
        """The nodes from the first step to the one of that number; none for None.

        Raises:
            KeyError: There is none of that number.
        """
        if number is None:
            return []
        line = [self._node(row) for row in self._rows(LINE, (number,))]
        if not line:
            raise KeyError(number)
        return line

    def path(self, number: int | None, problem: Problem, finish: str | None = None) -> Path:
        """The path that ends at a node.

        Args:
            number: The node's; None is the path without steps.
            problem: What it answers.
            finish: How its last step ended for the search, where that may differ.
        """
        steps = [node.step for node in self.line(number)]
        for place, step in enumerate(steps[:-1]):
            steps[place] = Path(problem, (step,)).reopened().steps[0]  # it was taken up again
        if steps and finish is not None:
            steps[-1] = _ended(steps[-1], Finish(finish))
        return Path(problem, tuple(steps))

    def scores(self, search: int, problem: int) -> Iterator[StoredScore]:
        """The judgements of a search's steps by its scorer, and its comparisons; failed ones included."""
        query = f"""{SCORED} WHERE score.scorer = (SELECT scorer FROM search WHERE id = ?) AND score.node IN
        (SELECT node FROM used WHERE search = ? AND problem = ?) ORDER BY score.id"""
        for number, node, other, scorer, *row in self._rows(query, (search, search, problem)):
            score = read_score(row)
            yield StoredScore(
                number, node, other, scorer, score.value, score.steps, score.parts, score.tokens, score.explanation,
                score.error,
            )  # fmt: skip

    def tree(self, search: int, problem: int) -> list[TreeNode]:
        """The statistics of a tree search's nodes, by index; none before it is done, or where it has no tree."""
        query = """SELECT place, parent, node, finish, depth, visits, value, mean_value, prior, copies, open, pruned,
        chosen FROM tree WHERE search = ? AND problem = ? ORDER BY place"""
        return [_tree_node(row) for row in self._rows(query, (search, problem))]

    def outcome(self, stored: StoredOutcome) -> Outcome:
        """The outcome as the search returned it, its tree left out."""
        problem = self.problem(stored.problem).problem
        path = None if stored.finish is None else self.path(stored.node, problem, stored.finish)
        candidates = tuple(
            Candidate(self.path(item.node, problem, item.finish), item.answer, item.score, item.weight, item.steps)
            for item in self.candidates(stored.search, stored.problem)
        )
        return Outcome(
            problem, stored.answer, path, stored.confidence, candidates, None, stored.cost, stored.stopped,
            stored.failures,
        )  # fmt: skip

    def counts(self) -> dict[str, int]:
        """How many rows there are of everything."""
        tables = ("problem", "search", "node", "score", "outcome", "session")
        return {table: next(iter(self._rows(f"SELECT count(*) FROM {table}")))[0] for table in tables}

    def _node(self, row: Sequence[Any], elapsed: float | None = None, place: int | None = None) -> StoredNode:
        number, parent, problem, depth, kind, question, seed, sampling, session, at, *step = row
        if sampling is not None and sampling not in self._settings:
            self._settings[sampling] = json.loads(sampling)
        return StoredNode(
            number,
            parent,
            problem,
            depth,
            read_step(step),
            kind != "sampled",
            _text(question),
            seed,
            None if sampling is None else self._settings[sampling],
            session,
            at,
            elapsed,
            place,
            kind == "reopened",
        )


def _where(wanted: Mapping[str, int | None]) -> tuple[str, tuple[int, ...]]:
    given = {name: value for name, value in wanted.items() if value is not None}
    clause = " AND ".join(f"{name} = ?" for name in given)
    return (f" WHERE {clause}" if clause else ""), tuple(given.values())


def _text(value: str | bytes | None) -> str | None:
    return None if value is None else text_of(value)


def _ended(step: Step, finish: Finish) -> Step:
    return step if step.finish is finish else replace(step, finish=finish)


def _problem(row: Sequence[Any]) -> StoredProblem:
    number, name, question, answer, meta = row
    return StoredProblem(number, Problem(text_of(name), text_of(question), _text(answer), json.loads(meta)))


def _search(row: Sequence[Any]) -> StoredSearch:
    number, strategy, options, policy, scorer, about_policy, about_scorer, sampling, budget, seed, created = row
    about = json.loads(about_scorer) if about_scorer else {}
    return StoredSearch(
        number,
        strategy,
        json.loads(options),
        policy,
        scorer,
        json.loads(about_policy),
        about,
        json.loads(sampling),
        json.loads(budget),
        int(seed),
        created,
    )


def _outcome(row: Sequence[Any]) -> StoredOutcome:
    (search, problem, state, answer, node, finish, confidence, stopped, generated, prefilled, scored, flops, seconds,
     shared, failures, at) = row  # fmt: skip
    return StoredOutcome(
        search,
        problem,
        state == DONE,
        _text(answer),
        node,
        finish,
        number_of(confidence),
        stopped,
        Cost(generated, prefilled, scored, flops, seconds, shared),
        tuple(Failure(**failure) for failure in json.loads(failures)),
        at,
    )


def _tree_node(row: Sequence[Any]) -> TreeNode:
    place, parent, node, finish, depth, visits, value, mean, prior, copies, opened, pruned, chosen = row
    known = number_of(value), number_of(mean), number_of(prior)
    return TreeNode(
        place, parent, node, finish, depth, visits, *known, copies, bool(opened), bool(pruned), bool(chosen)
    )
