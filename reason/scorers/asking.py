"""Asking a policy on a scorer's behalf: fenced prompts, seeds of their own, strict last lines, counted tokens.

What is judged is material, never an instruction: it stands between marks whose tag is a hash of the material itself,
so that no solution can hold its own tag and close the fence early. Of a reply only the last line that is not blank is
read, and only if the reply came to its own end (one cut at its limit may show `Score: 1` of a `Score: 10`); all else is
an error, never a low score.

Each sample's seed is blake2 over (the scorer's seed, the problem's id, the texts that are judged, the sample's index):
what is judged with it makes no difference.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reason.budget import estimate_tokens, step_tokens
from reason.identity import identified, policy_identity
from reason.search.strategy import at_least, number
from reason.types import Finish, Path, Policy, Problem, Sampling, Score, Step, Until, UsageError
from reason.work import ask

NAN = math.nan
OPTIONS = (" Yes", " No")
"""What a weighing policy is asked to weigh."""
LEAD = "Verdict:"
"""What stands before them where nothing is sampled."""
SEVERAL_TEMPERATURE = 0.7
"""Temperature where several votes are asked for and none is given; a single vote is greedy."""
RETRIES = 2
"""How often a reply that failed is asked for again."""
_EMPHASIS = re.compile(r"[*`#>]|(?<!\w)_+|_+(?!\w)")
_CUT = {Finish.LENGTH: "cut at its token limit", Finish.BUDGET: "cut by a budget", Finish.CANCELLED: "cancelled"}


def tag_of(*texts: str) -> str:
    """A tag for the marks around the texts: 16 hexadecimal digits that occur in none of them."""
    for attempt in range(1000):
        hasher = hashlib.blake2b(f"tag {attempt}".encode(), digest_size=8)
        for text in texts:
            hasher.update(b"\0" + text.encode("utf-8", "replace"))
        if not any(hasher.hexdigest() in text for text in texts):
            return hasher.hexdigest()
    raise AssertionError("a thousand hashes of a text cannot all stand in it")


def fenced(kind: str, text: str, tag: str) -> str:
    """The text between marks."""
    return f"<{kind}-{tag}>\n{text.strip()}\n</{kind}-{tag}>"


def last_line(reply: str) -> str:
    """The last line that is not blank, without emphasis such as `**`."""
    lines = reply.rstrip().splitlines()
    return _EMPHASIS.sub("", lines[-1]).strip() if lines else ""


def unjudgeable(path: Path) -> str | None:
    """Why there is nothing to ask about a path, or None."""
    if path.finish in (Finish.ERROR, Finish.CANCELLED):
        return f"the path ended as {path.finish.value!r}: there is no solution to judge"
    return None if path.text.strip() else "the path has no text yet: there is nothing to judge"


def unscored(error: str, tokens: int = 0) -> Score:
    """A score that is none."""
    return Score(NAN, tokens=tokens, error=error)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked once or several times.

    Attributes:
        problem: Whose id is part of the seeds.
        prompt: The whole prompt.
        about: The texts that are judged; part of the seeds.
        forced: How the reply must begin; nothing if empty.
        first: Index of the first sample, for asking again.
    """

    problem: Problem
    prompt: str
    about: tuple[str, ...]
    forced: str = ""
    first: int = 0

    @property
    def path(self) -> Path:
        """The policy's path at the start of its reply."""
        start = ask(self.problem, self.prompt)
        return start.forced(self.forced) if self.forced else start


@dataclass(frozen=True, slots=True)
class Reply:
    """What the policy said.

    Attributes:
        text: The reply, with its forced beginning.
        step: What was sampled.
        tokens: What passed through the policy for it, failed attempts included.
        error: Why it cannot be read, or None.
    """

    text: str
    step: Step
    tokens: int = 0
    error: str | None = None


class Asker:
    """Asks one policy.

    Args:
        policy: Whom to ask.
        votes: Replies per question.
        temperature: Of the replies; None is 0 for one vote, else 0.7.
        max_tokens: Most tokens of a reply.
        seed: Of all sampling.

    Raises:
        UsageError: The policy is none, or an option is out of range.
    """

    def __init__(
        self, policy: Policy, *, votes: int = 1, temperature: float | None = None, max_tokens: int = 1024, seed: int = 0
    ) -> None:
        if isinstance(policy, type) or not isinstance(policy, Policy):
            raise UsageError(
                f"the judging policy is {policy!r:.60}; make one with reason.load(name) or reason.wrap(function)"
            )
        self.policy, self.votes, self.seed = policy, at_least("votes", votes), at_least("seed", seed, 0)
        spread = SEVERAL_TEMPERATURE if votes > 1 else 0.0
        self.temperature = spread if temperature is None else number("temperature", temperature)
        if votes > 1 and not self.temperature:
            raise UsageError(f"votes={votes} with temperature=0 asks for equal replies; raise it, or pass votes=1")
        self.max_tokens = at_least("max_tokens", max_tokens)
        self.parameters = policy.capabilities.parameters
        self.name = policy.capabilities.name
        self._count: Callable[[str], int] = getattr(policy, "count_tokens", estimate_tokens)

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(
            self,
            policy=policy_identity(self.policy),
            votes=self.votes,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            seed=self.seed,
        )

    async def replies(self, questions: Sequence[Question], votes: int | None = None) -> list[list[Reply]]:
        """So many replies to each question, all from one call."""
        votes = self.votes if votes is None else votes
        refused = [self.refusal(question) for question in questions]
        asked = [
            (question.path.seeded(self._seed(question, index)), self._count(question.forced) if question.forced else 0)
            for question, why in zip(questions, refused, strict=True)
            for index in range(question.first, question.first + (0 if why else votes))
        ]
        steps = iter(await self._extend(asked))
        return [
            [Reply("", Step(""), error=why)] if why else [self._reply(question, *next(steps)) for _ in range(votes)]
            for question, why in zip(questions, refused, strict=True)
        ]

    async def _extend(self, asked: Sequence[tuple[Path, int]]) -> list[tuple[Step, int]]:
        """A reply to each path, of `max_tokens` beyond the tokens given with it; failed ones are asked for again.

        Beside each stand the tokens of its attempts that failed before.
        """
        steps = dict[int, Step]()
        failed = [0] * len(asked)
        for room in sorted({given for _, given in asked}):
            members = [index for index, (_, given) in enumerate(asked) if given == room]
            sampling = Sampling(temperature=self.temperature, max_tokens=self.max_tokens + room, until=Until.END)
            for attempt in range(1 + RETRIES):
                if attempt:
                    for index in members:
                        failed[index] += step_tokens(steps[index], self._count) + steps[index].prefilled
                got = await self.policy.extend([asked[index][0] for index in members], sampling)
                steps.update(zip(members, got, strict=True))
                members = [index for index in members if steps[index].finish is Finish.ERROR]
                if not members:
                    break
        return [(steps[index], failed[index]) for index in range(len(asked))]

    @property
    def weighs(self) -> bool:
        """Whether the policy tells the probability of given continuations."""
        return hasattr(self.policy, "choices")

    async def probabilities(self, paths: Sequence[Path], options: tuple[str, str]) -> list[tuple[float, int]]:
        """Of each path, the probability of the first option against the second, and the tokens that it took."""
        chooser: Any = self.policy
        odds = await chooser.choices(paths, options) if paths else []
        return [(_share(*pair), self._choice_tokens(path, options)) for path, pair in zip(paths, odds, strict=True)]

    def most_tokens(self, question: Question, *, weighed: bool = False, sampled: bool = True) -> int:
        """The most tokens that asking the question can take.

        Args:
            question: What is asked.
            weighed: Whether a verdict is weighed, after every reply or, if none is sampled, once.
            sampled: Whether replies are sampled: `votes`, each in up to `1 + RETRIES` attempts.
        """
        start = self._prompt_tokens(question) + self._count(question.forced)
        weighing = sum(map(self._count, OPTIONS)) if weighed else 0
        if not sampled:
            return start + self._count(LEAD) + weighing if weighed else 0
        reply = start + self.max_tokens
        return self.votes * ((1 + RETRIES) * reply + (reply + weighing if weighed else 0))

    def _seed(self, question: Question, index: int) -> int:
        parts = (str(self.seed), question.problem.id, *question.about, question.forced, str(index))
        hasher = hashlib.blake2b(digest_size=8)
        for part in parts:
            data = part.encode("utf-8", "replace")
            hasher.update(len(data).to_bytes(8) + data)
        return int.from_bytes(hasher.digest()) >> 1

    def refusal(self, question: Question) -> str | None:
        """Why the policy cannot be asked this, such as a prompt beyond its context."""
        try:
            prompt = self._counted(question)
        except UsageError as error:
            return str(error)
        context = self.policy.capabilities.context
        return None if context is None or prompt < context else f"the prompt does not fit the context of {context}"

    def _prompt_tokens(self, question: Question) -> int:
        """The prompt's tokens; of one that the policy would refuse, its bytes."""
        try:
            return self._counted(question)
        except UsageError:
            return len(question.prompt.encode("utf-8", "replace"))

    def _counted(self, question: Question) -> int:
        counted: Callable[[Problem], int] | None = getattr(self.policy, "prompt_tokens", None)
        if counted is not None:
            return counted(question.path.problem)
        known = self.policy.capabilities.token_ids
        return len(question.prompt.encode("utf-8", "replace")) if known else self._count(question.prompt)

    def _reply(self, question: Question, step: Step, failed: int) -> Reply:
        tokens = failed + step_tokens(step, self._count)
        if step.prefilled or self.policy.capabilities.token_ids:
            tokens += step.prefilled
        elif step.finish is not Finish.ERROR:
            tokens += self._count(question.prompt) + self._count(question.forced)
        error = None
        if step.finish is Finish.ERROR:
            error = f"the judging policy failed: {step.error}"
        elif step.finish is not Finish.STOP:
            error = f"the reply was {_CUT.get(step.finish, 'left open')}: raise max_tokens={self.max_tokens}"
        return Reply(question.forced + step.text, step, tokens, error)

    def _choice_tokens(self, path: Path, options: Sequence[str]) -> int:
        """What weighing the options takes: the path and each option, as if nothing were cached."""
        prompt = self._prompt_tokens(Question(path.problem, path.problem.question, ()))
        return prompt + sum(self._count(text) for text in (path.text, *options) if text)


def _share(first: float, second: float) -> float:
    """exp(first) / (exp(first) + exp(second)); NaN where neither is possible."""
    gap = second - first
    if math.isnan(gap):
        return NAN
    return 1 / (1 + math.exp(gap)) if gap < 700 else 0.0


def mean_of(values: Sequence[float]) -> float:
    """The mean of those that are known; NaN if none is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else NAN
