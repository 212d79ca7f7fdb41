"""The probability that a policy answers yes: by its token probabilities where it tells them, else by votes.

With reasoning, each reply argues first and ends with `Verdict: Yes` or `Verdict: No`. A policy that weighs
continuations (`choices`) is then asked how likely ` Yes` is against ` No` at the place of its verdict, and the replies'
probabilities are averaged; for any other policy the value is the share of replies that say yes. Without reasoning a
weighing policy is asked once, right after `Verdict:`: nothing is sampled there, so votes and temperature have no
effect, and the cost is that of one question however many votes are set. A reply without a readable last line is left
out; if all are, the path is unscored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reason.scorers.asking import LEAD, NAN, OPTIONS, Asker, Question, Reply, last_line, mean_of, unscored
from reason.types import Path, Score
from reason.work import ask

ARGUE = (
    "First argue for your verdict, step by step. Then end with one last line that holds only your verdict, either\n"
    "Verdict: Yes\nor\nVerdict: No"
)
AT_ONCE = "Reply with a single line and nothing else, either\nVerdict: Yes\nor\nVerdict: No"
IMPOSSIBLE = "neither yes nor no is possible"
_VERDICT = re.compile(r"verdict\s*:\s*((?a:yes|no))\s*\.?", re.IGNORECASE)
_SAYS = re.compile("yes|no", re.IGNORECASE | re.ASCII)


def read_yes_no(reply: str) -> bool | None:
    """The verdict in the reply's last line; None if it is none."""
    found = _VERDICT.fullmatch(last_line(reply))
    return None if found is None else found[1].lower() == "yes"


async def yes_probabilities(asker: Asker, questions: Sequence[Question], *, reasoning: bool = True) -> list[Score]:
    """For each question, a score with the probability of yes; unscored where no reply can be read."""
    if not reasoning and asker.weighs:
        return await _at_once(asker, questions)
    asked = await asker.replies(questions)
    verdicts = [[_hard(reply) for reply in replies] for replies in asked]
    spent = [sum(reply.tokens for reply in replies) for replies in asked]
    values = [[float(says) for says, _ in row if says is not None] for row in verdicts]
    if asker.weighs:
        places = [
            (index, _before_verdict(question, reply))
            for index, question in enumerate(questions)
            for reply, (says, _) in zip(asked[index], verdicts[index], strict=True)
            if says is not None
        ]
        values = [[] for _ in questions]
        weighed = await asker.probabilities([path for _, path in places], OPTIONS)
        for (index, _), (value, tokens) in zip(places, weighed, strict=True):
            values[index].append(value)
            spent[index] += tokens
    return [
        _score(row, replies, kept, tokens)
        for row, replies, kept, tokens in zip(verdicts, asked, values, spent, strict=True)
    ]


async def _at_once(asker: Asker, questions: Sequence[Question]) -> list[Score]:
    """The probabilities right after `Verdict:`."""
    refused = [asker.refusal(question) for question in questions]
    asked = [question for question, why in zip(questions, refused, strict=True) if why is None]
    paths = [ask(question.problem, question.prompt).forced(LEAD) for question in asked]
    weighed = iter(await asker.probabilities(paths, OPTIONS))
    scores = list[Score]()
    for why in refused:
        value, tokens = (NAN, 0) if why else next(weighed)
        known = value == value
        scores.append(Score(value, tokens=tokens) if known else unscored(why or IMPOSSIBLE, tokens))
    return scores


def _hard(reply: Reply) -> tuple[bool | None, str]:
    """What a reply says, or why that cannot be told."""
    if reply.error is not None:
        return None, reply.error
    says = read_yes_no(reply.text)
    return says, "" if says is not None else f"no verdict in the last line {last_line(reply.text)!r:.60}"


def _before_verdict(question: Question, reply: Reply) -> Path:
    """The policy's path right before it says yes or no."""
    text = reply.text.rstrip()
    colon = text.rindex(":") + 1  # a verdict's line has no other
    says = _SAYS.search(text, colon)
    return ask(question.problem, question.prompt).forced(text[: says.start() if says else colon].rstrip())


def _score(
    verdicts: Sequence[tuple[bool | None, str]], replies: Sequence[Reply], values: Sequence[float], tokens: int
) -> Score:
    value = mean_of(values)
    if value != value:
        reasons = [why for _, why in verdicts if why]
        return unscored(reasons[0] if reasons else IMPOSSIBLE, tokens)
    told = [reply.text for reply, (says, _) in zip(replies, verdicts, strict=True) if says is not None]
    return Score(value, tokens=tokens, explanation=told[0].strip())
