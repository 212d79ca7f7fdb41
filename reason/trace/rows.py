"""What `reason.trace.read` gives: frozen records of a store, numbers and texts as they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reason.types import Cost, Failure, Problem, Step


@dataclass(frozen=True, slots=True)
class Meta:
    """What made a store.

    Attributes:
        format: Of the tables.
        created: Seconds since 1970.
        software: Versions when it was made.
        config: What identifies the run, or None.
        sessions: For every time that a process wrote to it, when that began and with what software.
    """

    format: int
    created: float
    software: Mapping[str, str]
    config: Mapping[str, Any] | None
    sessions: tuple[tuple[float, Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class StoredProblem:
    """A problem; `number` is its id in the store, `problem.id` the user's."""

    number: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class StoredSearch:
    """A search: a strategy with all that its results depend on.

    Attributes:
        number: Its id in the store.
        strategy, options: Its name, and what it was built with as far as that can be told.
        policy, scorer: Identities; scorer is None where there was none.
        about_policy: The policy's class, capabilities and prompt; about_scorer: the scorer's class, name and parameter
            count, or {}.
        sampling, budget: Their fields.
        seed: The run's.
        created: Seconds since 1970.
    """

    number: int
    strategy: str
    options: Mapping[str, Any]
    policy: str
    scorer: str | None
    about_policy: Mapping[str, Any]
    about_scorer: Mapping[str, Any]
    sampling: Mapping[str, Any]
    budget: Mapping[str, Any]
    seed: int
    created: float


@dataclass(frozen=True, slots=True)
class StoredNode:
    """A step of a search.

    Attributes:
        number: Its id in the store; parents have smaller ones.
        parent: The node before it; None for a first step.
        problem: The problem's number.
        depth: Steps up to and including it.
        step: Text, tokens, log-probabilities and how it ended.
        forced: The search put it there; the policy did not sample it as it stands.
        reopened: So it is, but as a sample whose end the search took back (`Path.reopened`).
        question: What the policy was asked, where that was not the problem's question.
        seed: Of the sample; None for a forced one.
        sampling: How it was drawn; None for a forced one.
        session: The number of the writing process, from 1.
        at: When it was written, in seconds since 1970.
        elapsed: Seconds since the search on the problem began; None where no search was named.
        place: Its place in the order in which the search's steps on the problem landed, from 1; None where no search
            was named.
    """

    number: int
    parent: int | None
    problem: int
    depth: int
    step: Step
    forced: bool
    question: str | None
    seed: int | None
    sampling: Mapping[str, Any] | None
    session: int
    at: float
    elapsed: float | None = None
    place: int | None = None
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class StoredScore:
    """A judgement of the path that ends at a node, or a comparison of two.

    Attributes:
        number: Its id in the store.
        node: Where the path ends; None for a path without steps.
        other: Where the second path of a comparison ends; None for a judgement.
        scorer: The scorer's identity.
        value: NaN if unscored.
        steps, parts, tokens, explanation, error: As in `reason.Score`.
    """

    number: int
    node: int | None
    other: int | None
    scorer: str
    value: float
    steps: tuple[float, ...]
    parts: tuple[float, ...]
    tokens: int
    explanation: str
    error: str | None


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """What a search came to on a problem.

    Attributes:
        search, problem: Their numbers.
        done: False while it is running or where it was interrupted; the rest is then empty.
        answer: The chosen answer.
        node, finish: Where the chosen solution ends, and how it ended for the search.
        confidence, stopped, cost, failures: As in `reason.Outcome`.
        at: When it was written, in seconds since 1970.
    """

    search: int
    problem: int
    done: bool
    answer: str | None
    node: int | None
    finish: str | None
    confidence: float
    stopped: str
    cost: Cost
    failures: tuple[Failure, ...]
    at: float


@dataclass(frozen=True, slots=True)
class StoredCandidate:
    """A solution that a search considered, in its order.

    Attributes:
        place: From 0.
        node, finish: Where it ends, and how it ended for the search (a budget may have cut it).
        answer, score, weight, steps: As in `reason.Candidate`.
    """

    place: int
    node: int | None
    finish: str
    answer: str | None
    score: float
    weight: float
    steps: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A node of a tree search with its statistics, as in `reason.search.tree.Tree`.

    Attributes:
        place: Its index in the tree; 0 is the root.
        parent: Its parent's index; None for the root.
        node: The step's id in the store; None for the root.
        finish: How the step ended for the search; None for the root.
        depth, visits, value, mean_value, prior, copies, open, pruned, chosen: Of the tree.
    """

    place: int
    parent: int | None
    node: int | None
    finish: str | None
    depth: int
    visits: int
    value: float
    mean_value: float
    prior: float
    copies: int
    open: bool
    pruned: bool
    chosen: bool
