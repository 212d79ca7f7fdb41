"""Step labels by Monte-Carlo completion, without human annotators.

The value of a step is the share of completions sampled from it that end in the right answer: the soft estimation of
Math-Shepherd (Wang et al. 2023, arXiv:2312.08935, section 3.3, eq. 4); `hard` gives eq. 3 (1 if any is right). The
labelling is itself a search, so the runner batches, seeds and accounts for it like any other.

Deviations: a prefix shared by several solutions of one problem is completed once; the last step's value is the verdict
on its answer and needs no completion; truncated completions count as wrong, failed ones are left out of the share.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

from reason.answers import answer_of
from reason.types import Candidate, Finish, Outcome, Path, Problem, Until, UsageError
from reason.work import Results, Search, SearchRun, Work, exhausted, extend

Check = Callable[[Problem, str], bool]
FAILED = (Finish.ERROR, Finish.CANCELLED, Finish.BUDGET)


def monte_carlo(
    check: Check, *, solutions: int = 1, completions: int = 8, hard: bool = False, max_steps: int = 32
) -> Search:
    """A search whose outcome's candidates are solutions with one label per step, then the completions.

    A candidate's score is its verdict, 1 or 0; its steps are the labels, empty for a completion.

    Args:
        check: Whether a whole solution's text answers the problem rightly.
        solutions: Solutions sampled per problem, step by step.
        completions: Completions per distinct open prefix.
        hard: Label 1 if any completion is right, else 0.
        max_steps: Longest solution, in steps.
    """
    for name, value in (("solutions", solutions), ("completions", completions), ("max_steps", max_steps)):
        if value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1")

    def run(problem: Problem) -> SearchRun:
        paths = yield from _sample_by_steps(problem, solutions, max_steps)
        prefixes = _distinct_prefixes(paths)
        finished = yield from extend([prefix for prefix in prefixes.values() for _ in range(completions)])
        values: dict[str, float] = {}
        for i, text in enumerate(prefixes):
            share = _share_right(problem, check, finished[i * completions : (i + 1) * completions])
            values[text] = float(share > 0) if hard else share
        sampled = [path for path in paths if path.finish not in FAILED]
        candidates = [_label(problem, check, path, values) for path in sampled]
        candidates += [_verdict(problem, check, path) for path in finished if path.finish not in FAILED]
        stopped = "budget" if exhausted(finished) else "done"
        return Outcome(problem, None, None, candidates=tuple(candidates), stopped=stopped)

    run.needs = frozenset({"partial"})  # type: ignore[attr-defined]
    return run


def _sample_by_steps(problem: Problem, solutions: int, max_steps: int) -> Generator[Work, Results, list[Path]]:
    """Sampled solutions, taken one step at a time."""
    paths = [Path(problem)] * solutions
    for _ in range(max_steps):
        going = [i for i, path in enumerate(paths) if path.open]
        if not going:
            break
        extended = yield from extend([paths[i] for i in going], Until.STEP)
        for i, path in zip(going, extended, strict=True):
            paths[i] = path
    return paths


def _distinct_prefixes(paths: list[Path]) -> dict[str, Path]:
    """Every open proper prefix of the paths, once, by its text."""
    prefixes: dict[str, Path] = {}
    for path in paths:
        for k in range(1, len(path.steps) + 1):
            prefix = Path(path.problem, path.steps[:k])
            if prefix.open:
                prefixes.setdefault(prefix.text, prefix)
    return prefixes


def _share_right(problem: Problem, check: Check, paths: list[Path]) -> float:
    """Share of right completions among those that did not fail; NaN if all failed."""
    counted = [path for path in paths if path.finish not in FAILED]
    if not counted:
        return float("nan")
    return sum(path.complete and check(problem, path.text) for path in counted) / len(counted)


def _verdict(problem: Problem, check: Check, path: Path) -> Candidate:
    """A solution with its verdict as score."""
    return Candidate(path, answer_of(path.text), float(path.complete and check(problem, path.text)))


def _label(problem: Problem, check: Check, path: Path, values: dict[str, float]) -> Candidate:
    """A solution with its step values; a last step that closes it is worth its verdict."""
    candidate = _verdict(problem, check, path)
    steps = tuple(
        values[Path(problem, path.steps[:k]).text] if path.steps[k - 1].finish is Finish.STEP else candidate.score
        for k in range(1, len(path.steps) + 1)
    )
    return replace(candidate, steps=steps)
