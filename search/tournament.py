"""Best-of-n by pairwise comparison: the different answers play a tournament that a judge decides.

n solutions are sampled and equal answers merged, so that the judge compares answers, not copies: an answer is played by
its complete solution of the highest mean log-probability (the first, where these are unknown; measured, the likeliest
represents an answer 4 points better than the first). Seeds are the numbers of votes. Of k answers

- "knockout" pairs the best seed with the worst, the loser is out: k - 1 comparisons in about log2 k rounds, each one
  request (knockout tournaments of LLM judges: Liu et al. 2501.13007);
- "round_robin" compares every pair at once, k (k - 1) / 2;
- "swiss" plays log2 k rounds, rounded up, in each of which neighbours in the ranking meet that have not met before:
  no answer is out for one wrong verdict, at about k log2 (k) / 2 comparisons.

The last two rank by the share of games won, where a judge's probability counts as so much of a win and so much of a
loss, or by Bradley-Terry strengths (Bradley and Terry 1952), which allow for the strength of the opponents that each
happened to meet. They maximise the likelihood by Hunter's minorisation (2004), with half a win and half a loss against
an average opponent added for each answer, so that they are finite; an answer's score is its probability to beat that
opponent. In a knockout it is the share of rounds that it survived.

A verdict p is weighed against the votes: the odds of a over b are p / (1 - p) * (votes of a / votes of b) ** `votes`, p
within 1 and 99 %. No judge is free of error, and how often an answer was found is evidence too. Measured with noisy
comparisons on the bundled model's solutions, 0.5 is worth 2 to 4 points and costs 0.3 where the judge makes no error.

A judge that can be swayed by order must ask both ways itself; `compare` is asked once for each pair. A comparison that
failed counts for nobody; a tie, and a knockout game without verdict, go to the better seed. An answer without any
verdict is unscored and ranks last; without any verdict at all the majority decides. Members of a merged answer share
its score.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reason.answers import vote
from reason.search.confidence import confidences
from reason.search.select import candidate, conclude, paid_for
from reason.search.strategy import COMPARE, Strategy, at_least, number, one_of
from reason.types import Candidate, Finish, Path, Problem, UsageError
from reason.work import Results, SearchRun, Work, compare, extend

ROUNDS = ("knockout", "round_robin", "swiss")
RANKINGS = ("bradley_terry", "wins")
LEAST = 0.01
PRIOR_GAMES = 0.5
ITERATIONS = 10_000
TOLERANCE = 1e-12
MOST_VOTES = 100.0
MOST_EDGE = 600.0

Floats = NDArray[np.float64]
Pair = tuple[int, int]
Verdicts = dict[Pair, float]
"""Of seeds (0 is the best): the probability that the first is the better answer; failed comparisons are left out."""


def tournament(
    n: int = 16, *, rounds: str = "knockout", rank: str | None = None, most: int | None = None, votes: float = 0.5
) -> Strategy:
    """The answer that wins a tournament among the answers of n sampled solutions.

    Args:
        n: Solutions to sample.
        rounds: "knockout", "round_robin" or "swiss" (see the module).
        rank: "bradley_terry" or "wins", for the last two; None: "bradley_terry".
        most: Only so many of the most frequent answers take part; None: all.
        votes: How much the numbers of votes weigh against a verdict, at most 100; 0: nothing but for
            ties.

    Raises:
        UsageError: An argument is out of range, or a ranking was given to a knockout.
    """
    at_least("n", n)
    one_of("rounds", rounds, ROUNDS)
    ranking = one_of("rank", "bradley_terry" if rank is None else rank, RANKINGS)
    if rank is not None and rounds == "knockout":
        raise UsageError(f"rank={rank!r} with rounds='knockout': its winner wins all games; pass rounds='round_robin'")
    if most is not None:
        at_least("most", most, 2)
    number("votes", votes, 0, MOST_VOTES)

    def run(problem: Problem) -> SearchRun:
        paths = yield from extend([Path(problem)] * n)
        cut = any(path.finish is Finish.BUDGET for path in paths)
        candidates = [candidate(path) for path in paths if paid_for(path)]
        teams = _teams(candidates)[:most]
        field = _Field(
            tuple(candidates[team.captain].path for team in teams),
            tuple(votes * math.log(len(team.members)) for team in teams),
        )
        if rounds == "knockout":
            scores = yield from _knockout(field)
        else:
            scores = yield from _league(field, ranking, swiss=rounds == "swiss")
        for team, score in zip(teams, scores, strict=True):
            for member in team.members:
                candidates[member] = candidate(candidates[member].path, value=score)
        return conclude(
            problem,
            candidates,
            "naive" if len(teams) > 1 else "majority",
            weights=[1.0] * len(candidates),
            pick=_winner(teams, scores),
            stopped="budget" if cut else "done",
        )

    return Strategy("tournament", run, frozenset({COMPARE}))


@dataclass(frozen=True, slots=True)
class _Team:
    """Equal answers.

    Attributes:
        captain: The candidate that is compared for them: the likeliest complete one.
        members: All of them.
    """

    captain: int
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Field:
    """Who plays, by seed.

    Attributes:
        paths: The captains' solutions.
        edges: The logarithm of the odds that each has for its votes.
    """

    paths: tuple[Path, ...]
    edges: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def weighed(self, game: Pair, verdict: float) -> float:
        """The probability that the first is better, by the verdict and the votes."""
        chance = min(max(verdict, LEAST), 1 - LEAST)
        edge = self.edges[game[0]] - self.edges[game[1]]
        odds = chance / (1 - chance) * math.exp(min(max(edge, -MOST_EDGE), MOST_EDGE))
        return odds / (1 + odds)


def _teams(candidates: Sequence[Candidate]) -> list[_Team]:
    """The different answers, most votes first, then the one found first."""
    teams = []
    for group in vote([item.answer for item in candidates]):
        if group.answer is not None:
            complete = [member for member in group.members if candidates[member].path.complete]
            teams.append(_Team(_likeliest(candidates, complete or group.members), group.members))
    return teams


def _likeliest(candidates: Sequence[Candidate], members: Sequence[int]) -> int:
    likelihoods = confidences([candidates[member].path for member in members], "mean", 1, 0)
    return members[max(range(len(members)), key=lambda place: (_or(likelihoods[place], -1.0), -place))]


def _winner(teams: Sequence[_Team], scores: Sequence[float]) -> int | None:
    known = [seed for seed in range(len(teams)) if not math.isnan(scores[seed])]
    return teams[max(known, key=lambda seed: (scores[seed], -seed))].captain if known else None


def _knockout(field: _Field) -> Generator[Work, Results, list[float]]:
    """The share of rounds that each survived; NaN for one that is out without a verdict, and for all without any."""
    left, survived, played = list(range(len(field))), [0] * len(field), 0
    judged = set[int]()
    while len(left) > 1:
        games = [(left[at], left[-1 - at]) for at in range(len(left) // 2)]
        verdicts = yield from _verdicts(field, games)
        judged.update(seed for game in verdicts for seed in game)
        out = {first if verdicts.get((first, second), 0.5) < 0.5 else second for first, second in games}
        left = [seed for seed in left if seed not in out]
        played += 1
        for seed in left:
            survived[seed] = played
    if judged:
        judged.update(left)
    return [survived[seed] / played if seed in judged else math.nan for seed in range(len(field))]


def _league(field: _Field, ranking: str, *, swiss: bool) -> Generator[Work, Results, list[float]]:
    """The score of each after a round robin or a Swiss tournament; NaN for one without any verdict."""
    count = len(field)
    if not swiss:
        verdicts = yield from _verdicts(field, [(a, b) for a in range(count) for b in range(a + 1, count)])
        return _scores(count, verdicts, ranking)
    met, verdicts = set[Pair](), Verdicts()
    for _ in range(math.ceil(math.log2(count)) if count > 1 else 0):
        scores = _scores(count, verdicts, ranking)
        order = sorted(range(count), key=lambda seed: (-_or(scores[seed], 0.5), seed))
        games = _neighbours(order, met)
        met.update(games)
        verdicts |= yield from _verdicts(field, games)
    return _scores(count, verdicts, ranking)


def _neighbours(order: Sequence[int], met: set[Pair]) -> list[Pair]:
    """Each seed and the next one in the order that it has not met; whoever finds nobody rests."""
    games, free = list[Pair](), list(order)
    while free:
        first = free.pop(0)
        for second in free:
            pair = min(first, second), max(first, second)
            if pair not in met:
                games.append(pair)
                free.remove(second)
                break
    return games


def _or(value: float, other: float) -> float:
    return other if math.isnan(value) else value


def _verdicts(field: _Field, games: Sequence[Pair]) -> Generator[Work, Results, Verdicts]:
    scores = yield from compare([(field.paths[first], field.paths[second]) for first, second in games])
    found = zip(games, scores, strict=True)
    return {game: field.weighed(game, score.value) for game, score in found if score.scored}


def _scores(count: int, verdicts: Verdicts, ranking: str) -> list[float]:
    won, games = np.zeros(count), np.zeros((count, count))
    for (first, second), probability in verdicts.items():
        won[first] += probability
        won[second] += 1 - probability
        games[first, second] = games[second, first] = 1
    played = games.sum(axis=1)
    shares = won / np.maximum(played, 1) if ranking == "wins" else bradley_terry(won, games)
    return [float(share) if count else math.nan for share, count in zip(shares, played, strict=True)]


def bradley_terry(won: Floats, games: Floats) -> Floats:
    """Each player's probability to beat an average opponent, of strength 1.

    Args:
        won: Games won, in fractions. Shape [players].
        games: How often each pair met; symmetric. Shape [players, players].
    """
    strength = np.ones(len(won))
    for _ in range(ITERATIONS):
        met = (games / (strength[:, None] + strength[None, :])).sum(axis=1) + 2 * PRIOR_GAMES / (strength + 1)
        better = (won + PRIOR_GAMES) / met
        moved = np.abs(better - strength).max(initial=0.0)
        strength = better
        if moved < TOLERANCE:
            break
    return np.asarray(strength / (strength + 1), float)
