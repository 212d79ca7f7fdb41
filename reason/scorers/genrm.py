"""Generative verifiers: chain-of-thought verification, then the probability of yes.

Zhang et al. 2408.15240 (GenRM-CoT). The policy is asked to verify the solution step by step and then whether it is
correct; a sample's score is P(Yes) given its verification, and K samples are averaged (their "majority voting"). With
`cot=False` it is asked at once (plain GenRM). For policies that do not weigh continuations the score is the share of
samples that say yes.

Deviations: P(Yes) is taken against P(No) alone, P(Yes) / (P(Yes) + P(No)), since an untuned model puts mass on other
tokens; the verification's text is given back as one continuation, which the tokenizer may cut differently from how it
was sampled; no model is trained here, so the prompt spells out what theirs had learned.
"""

from __future__ import annotations

from collections.abc import Sequence

from reason.identity import identified
from reason.scorers.asking import Asker, Question
from reason.scorers.judge import asked_about, need_answers, sheet
from reason.scorers.yesno import ARGUE, AT_ONCE, yes_probabilities
from reason.types import Path, Policy, Problem, Score

_TASK = (
    "Verify the solution step by step: recompute each calculation and check that each step follows from those before. "
    "Is the answer correct?"
)
_TASK_OPEN = (
    "Verify the steps so far: recompute each calculation and check that each step follows from those before. Is "
    "everything so far correct?"
)


class GenRM:
    """A policy as verifier.

    Args:
        policy: The verifier.
        cot: Whether it verifies in words before it says yes or no.
        votes: Verifications to average.
        reference: Show it the gold answer; the scorer is then an oracle.
        temperature: Of the verifications; None is 0 for one, else 0.7.
        max_tokens: Most tokens of a verification; a longer one is left out.
        seed: Of the sampling.
        name: For reports.

    Attributes:
        parameters: Of the policy, for FLOPs accounting.
        oracle: Whether it is shown gold answers.

    Raises:
        UsageError: An option is out of range.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        cot: bool = True,
        votes: int = 4,
        reference: bool = False,
        temperature: float | None = None,
        max_tokens: int = 1024,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        self._asker = Asker(policy, votes=votes, temperature=temperature, max_tokens=max_tokens, seed=seed)
        self._cot, self.oracle = cot, reference
        self.parameters = self._asker.parameters
        self.name = name or f"genrm:{self._asker.name}"

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, asker=self._asker, cot=self._cot, oracle=self.oracle)

    def validate(self, problems: Sequence[Problem]) -> None:
        """Refuse problems without a gold answer where it is to be shown.

        Raises:
            UsageError: Naming the first such problem.
        """
        if self.oracle:
            need_answers(problems, "the verifier is to see gold answers (reference=True)", "reference=False")

    def count_tokens(self, path: Path) -> int:
        """The most tokens that judging the path can take."""
        weighs = self._asker.weighs
        return self._asker.most_tokens(self._question(path), weighed=weighs, sampled=self._cot or not weighs)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """P(correct) per path, with the first verification as explanation; NaN where no verdict can be read."""
        return await asked_about(paths, self._judge)

    async def _judge(self, paths: Sequence[Path]) -> list[Score]:
        return await yes_probabilities(self._asker, [self._question(path) for path in paths], reasoning=self._cot)

    def _question(self, path: Path) -> Question:
        closing = f"{_TASK_OPEN if path.open else _TASK}\n{ARGUE if self._cot else AT_ONCE}"
        shown = {"solution": path.text}
        prompt = sheet(path.problem, shown, closing, reference=self.oracle, unfinished=path.open)
        return Question(path.problem, prompt, (path.text,))
