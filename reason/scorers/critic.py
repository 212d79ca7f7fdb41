"""A critic: finds the first wrong step of a solution, with a quote from it.

McAleese et al. 2407.00215 (CriticGPT). The policy is shown the solution with numbered steps and writes a critique
(`reason.scorers.critique`). A step is worth 1 before the first wrong one and 0 from it on, the path as much as its last
step; the critique is the score's explanation. One that cannot be read strictly, such as with a quote that its step does
not hold, is unscored. Several votes are averaged step by step.

Force-sampling beam search (`ForceSampling`, the paper's section 3 and appendix B) trades precision for recall:
`branch` critiques are sampled; the `beam` best by reward are cut before their last line and forced to go on with
"Problem in step ", `branch` times each, so that they must point at something more; this is repeated `rounds` times; of
all critiques the one with the highest reward + lam * (number of problems) is the result.

Deviations: the paper forces highlights of code, here a problem's opening is forced and the critic itself chooses the
step and the quote, which is checked; a critique that repeats a problem or quotes what is not there is dropped; rewards
alone prune, so that the number of problems in the result never falls as lam rises; without a reward scorer, the
reward is the mean log-probability of the tokens sampled last, where the paper has a trained reward model.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from reason.identity import identified
from reason.scorers.asking import Asker, Question, Reply, mean_of, unscored
from reason.scorers.critique import FORM, OPENING, Critique, Unreadable, numbered, read_critique, units_of
from reason.scorers.judge import asked_about, need_answers, sheet
from reason.search.strategy import at_least, number
from reason.types import Finish, Path, Policy, Problem, Score, Scorer, Step, UsageError
from reason.work import ask


@dataclass(frozen=True, slots=True)
class ForceSampling:
    """How to search among critiques.

    Attributes:
        lam: What each problem found adds to a critique's reward: higher finds more bugs, and more that are none.
        branch: Critiques sampled at first, and of each that is continued.
        beam: Critiques continued in each round.
        rounds: How often a further problem is forced.
        reward: Judges critiques; it is given paths whose question is the critic's prompt, and its tokens are added
            to the score's. None: the mean log-probability of the tokens sampled last.

    Raises:
        UsageError: A number is out of range.
    """

    lam: float = 0.0
    branch: int = 4
    beam: int = 2
    rounds: int = 2
    reward: Scorer | None = None

    def __post_init__(self) -> None:
        number("lam", self.lam, -math.inf)
        at_least("branch", self.branch)
        at_least("beam", self.beam)
        at_least("rounds", self.rounds, 0)


@dataclass(frozen=True, slots=True)
class _Rated:
    """A critique that could be read, and its reward."""

    critique: Critique
    reward: float


@dataclass(frozen=True, slots=True)
class _Task:
    """A path with what the critic is asked about it."""

    units: list[tuple[int, str]]
    question: Question

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.units]


class Critic:
    """Judges steps by asking a policy for the first wrong one.

    Args:
        policy: The critic.
        split: What separates the numbered steps within a path's steps; "" takes the path's own steps as they are.
        search: Search among critiques; None takes them as they are sampled.
        votes: Critiques to average; 1 with a search.
        reference: Show the critic the gold answer; the scorer is then an oracle.
        temperature: Of the critiques; None is 0 for a single one, else 0.7.
        max_tokens: Most tokens of a critique; a longer one is unscored.
        seed: Of the sampling.
        name: For reports.

    Attributes:
        parameters: Of the policy, for FLOPs accounting.
        oracle: Whether it is shown gold answers.

    Raises:
        UsageError: An option is out of range, or the search has no reward and the policy no log-probabilities.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        split: str = "\n",
        search: ForceSampling | None = None,
        votes: int = 1,
        reference: bool = False,
        temperature: float | None = None,
        max_tokens: int = 1024,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        if search is not None and votes != 1:
            raise UsageError(f"votes={votes} with a search: it chooses one critique; leave votes out")
        asked = votes if search is None else search.branch
        self._asker = Asker(policy, votes=asked, temperature=temperature, max_tokens=max_tokens, seed=seed)
        if search is not None and search.reward is None and not policy.capabilities.logprobs:
            raise UsageError(
                f"force sampling needs a reward, and {self._asker.name} has no log-probabilities to make one of: "
                "pass ForceSampling(reward=a scorer of critiques)"
            )
        if search is not None and search.rounds and not policy.capabilities.partial:
            raise UsageError(
                f"forcing problems needs a policy that continues partial answers, and {self._asker.name} cannot: "
                "pass wrap(…, partial=True) if it can, or ForceSampling(rounds=0)"
            )
        self._split, self._search, self.oracle = split, search, reference
        self.parameters = self._asker.parameters
        self.name = name or f"critic:{self._asker.name}"

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, asker=self._asker, split=self._split, search=self._search, oracle=self.oracle)

    def validate(self, problems: Sequence[Problem]) -> None:
        """Refuse problems without a gold answer where it is to be shown.

        Raises:
            UsageError: Naming the first such problem.
        """
        if self.oracle:
            need_answers(problems, "the critic is to see gold answers (reference=True)", "reference=False")

    def count_tokens(self, path: Path) -> int:
        """The most tokens that judging the path can take."""
        question = self._task(path).question
        most = self._asker.most_tokens(question)
        if self._search is None:
            return most
        search, longest = self._search, self._asker.max_tokens + len(OPENING)
        for earlier in range(1, search.rounds + 1):
            most += search.beam * (self._asker.most_tokens(question) + self._asker.votes * earlier * longest)
        return most if search.reward is None else 2 * most

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path, with a value per step and, in `parts`, per numbered step; NaN without a critique."""
        return await asked_about(paths, self._judge)

    async def critiques(self, paths: Sequence[Path]) -> list[list[Critique]]:
        """The readable critiques of each path: as sampled, or with a search all that it has found, best first."""
        tasks = [self._task(path) for path in paths]
        if self._search is None:
            asked = await self._asker.replies([task.question for task in tasks])
            readings = [[_read(reply, task) for reply in said] for said, task in zip(asked, tasks, strict=True)]
            return [[item for item in found if isinstance(item, Critique)] for found in readings]
        pools = await asyncio.gather(*(self._forced(task, self._search) for task in tasks))
        return [[item.critique for item in _ranked(pool, self._search.lam)] for pool, _, _ in pools]

    async def _judge(self, paths: Sequence[Path]) -> list[Score]:
        tasks = [self._task(path) for path in paths]
        if self._search is None:
            asked = await self._asker.replies([task.question for task in tasks])
            return [_averaged(path, task, said) for path, task, said in zip(paths, tasks, asked, strict=True)]
        search = self._search
        pools = await asyncio.gather(*(self._forced(task, search) for task in tasks))
        scores = list[Score]()
        for path, task, (pool, tokens, why) in zip(paths, tasks, pools, strict=True):
            best = [item.critique for item in _ranked(pool, search.lam)][:1]
            scores.append(_score(path, task, best, tokens) if best else unscored(why, tokens))
        return scores

    def _task(self, path: Path) -> _Task:
        units = units_of(path, self._split)
        shown = {"solution": numbered(units)}
        prompt = sheet(path.problem, shown, FORM, reference=self.oracle, unfinished=path.open)
        return _Task(units, Question(path.problem, prompt, (path.text,)))

    async def _forced(self, task: _Task, search: ForceSampling) -> tuple[list[_Rated], int, str]:
        """All critiques found by forcing further problems, what they took, and why the first is unreadable."""
        pool, tokens, why = list[_Rated](), 0, "no critique has a reward"
        seen = set[str]()
        questions = [task.question]
        for round_ in range(search.rounds + 1):
            replies = [reply for said in await self._asker.replies(questions) for reply in said]
            tokens += sum(reply.tokens for reply in replies)
            read = [(reply, _read(reply, task)) for reply in replies]
            why = next((item.why for _, item in read if isinstance(item, Unreadable) and not round_), why)
            fresh = [(reply, item) for reply, item in read if isinstance(item, Critique) and _new(item, seen)]
            rewards, paid = await self._rewards(task, search, fresh)
            tokens += paid
            rated = [_Rated(item, worth) for (_, item), worth in zip(fresh, rewards, strict=True) if worth == worth]
            pool += rated
            best = sorted(rated, key=lambda item: -item.reward)[: search.beam]
            forced = dict.fromkeys(item.critique.body + OPENING for item in best)
            base = task.question
            questions = [Question(base.problem, base.prompt, (*base.about, str(round_)), text) for text in forced]
            if not questions:
                break
        return pool, tokens, why

    async def _rewards(
        self, task: _Task, search: ForceSampling, fresh: Sequence[tuple[Reply, Critique]]
    ) -> tuple[list[float], int]:
        if search.reward is None:
            return [mean_of(reply.step.logprobs) for reply, _ in fresh], 0
        start = ask(task.question.problem, task.question.prompt)
        paths = [start.then(Step(critique.text, finish=Finish.STOP)) for _, critique in fresh]
        scores = await search.reward.judge(paths) if paths else []
        return [score.value for score in scores], sum(score.tokens for score in scores)


def _read(reply: Reply, task: _Task) -> Critique | Unreadable:
    return read_critique(reply.text, task.texts) if reply.error is None else Unreadable(reply.error)


def _new(critique: Critique, seen: set[str]) -> bool:
    """Whether a critique is not there yet and names no step's same words twice; it then counts as seen."""
    named = {(finding.step, finding.quote) for finding in critique.findings}
    if len(named) < len(critique.findings) or critique.text in seen:
        return False
    seen.add(critique.text)
    return True


def _ranked(pool: Sequence[_Rated], lam: float) -> list[_Rated]:
    """Best first; of equals the one with fewer problems, then the earlier one."""

    def worth(item: _Rated) -> tuple[float, int]:
        found = len(item.critique.findings)
        return -(item.reward + (lam * found if found else 0.0)), found

    return sorted(pool, key=worth)


def _averaged(path: Path, task: _Task, replies: Sequence[Reply]) -> Score:
    readings = [_read(reply, task) for reply in replies]
    critiques = [item for item in readings if isinstance(item, Critique)]
    tokens = sum(reply.tokens for reply in replies)
    if not critiques:
        return unscored(next(item.why for item in readings if isinstance(item, Unreadable)), tokens)
    return _score(path, task, critiques, tokens)


def _score(path: Path, task: _Task, critiques: Sequence[Critique], tokens: int) -> Score:
    """The mean of what the critiques say of each step; explained by the first that agrees with it on the whole."""
    parts = tuple(
        mean_of([float(item.first is None or place < item.first) for item in critiques])
        for place in range(1, len(task.units) + 1)
    )
    steps, at = list[float](), 0
    for index in range(len(path.steps)):
        while at < len(parts) and task.units[at][0] <= index:
            at += 1
        steps.append(parts[at - 1] if at else 1.0)
    agreeing = [item for item in critiques if (item.first is None) == (parts[-1] > 0.5)]
    explanation = (agreeing or critiques)[0].text.strip()
    return Score(parts[-1], tuple(steps), tokens, explanation, parts=parts)
