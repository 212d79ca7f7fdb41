"""`reason calibrate`: makes a scorer's values probabilities, and says on other problems what that changed.

Solutions of a task's problems are sampled and judged, and labelled right or wrong by their final answers; or, with
`labels="steps"`, solutions are sampled step by step and every step is labelled with the share of completions from there
that end in the right answer (Math-Shepherd's soft estimation, `reason.training.labels`). The calibration is fitted on
one part of the problems; the figures and the diagram are of the other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path as FilePath
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from reason.evals.command import version_of
from reason.evals.record import UNDECIDED
from reason.evals.reliability import Effect, Labelled, accuracy_effects, draw, error_effects, ranking
from reason.evals.run import fingerprint
from reason.evals.tasks import Task
from reason.resolve import VERIFIER, default_sampling, find_policy, find_scorer, has_check
from reason.run import solve
from reason.scorers.calibration import METHODS, fit, save_calibration
from reason.search.best_of_n import best_of_n
from reason.search.select import judge_unique
from reason.search.strategy import one_of
from reason.show import json_line, number, plain
from reason.training.labels import monte_carlo
from reason.types import Candidate, Outcome, Path, Policy, Problem, Scorer, UsageError
from reason.work import Search, SearchRun

LABELS = ("solutions", "steps")
COMPLETIONS = 8


@dataclass(frozen=True, slots=True)
class CalibrateCommand:
    """What one calibration is made of.

    Attributes:
        task, problems: What is solved; part of the problems is held out.
        model, scorer, aggregate: Names, as in `reason eval`.
        method: "isotonic", "temperature" or "platt".
        labels: "solutions" or "steps".
        n: Solutions sampled of every problem.
        held_out: Share of the problems that the figures are of.
        seed: Of the sampling, and of which problems are held out.
        out, plot: The files written; the plot may be None.
        split, data: Where the problems come from, to say so.
    """

    task: Task
    problems: Sequence[Problem]
    model: str
    scorer: str
    aggregate: str | None
    method: str
    labels: str
    n: int
    held_out: float
    seed: int
    out: FilePath
    plot: FilePath | None
    split: str | None
    data: str | None

    def run(self, *, as_json: bool) -> int:
        """Sample, fit, measure, write, print; returns the exit code.

        Raises:
            UsageError: An argument cannot work.
        """
        self._check()
        fitting, held = parts(self.problems, self.held_out, self.seed)
        policy = find_policy(self.model)
        scorer = find_scorer(self.scorer, aggregate=self.aggregate, task=self.task, policy=policy)
        if getattr(scorer, "oracle", False):
            raise UsageError(
                f"the scorer {self.scorer!r} compares with the gold answers: there is nothing to calibrate"
            )
        console = Console(stderr=as_json)
        told = f"{self.n} solutions each of {len(self.problems)} problems, labelled by {self.labels}"
        console.print(told, highlight=False)
        outcomes = self._outcomes(policy, scorer)
        label = self._step_labels if self.labels == "steps" else self._solution_labels
        labelled = {problem.id: label(outcomes[problem.id]) for problem in self.problems}
        first, second = ([labelled[problem.id] for problem in part] for part in (fitting, held))
        if not any(map(_graded, second)):
            raise UsageError(f"none of the {len(second)} held-out problems could be graded: check their gold answers")
        calibration = fit(
            [value for item in first for value in item.values],
            [share for item in first for share in item.labels],
            self.method,
        )
        effects = error_effects(second, calibration, seed=self.seed)
        if self.labels == "solutions":
            kept = [outcomes[item.problem] for item in second if _graded(item)]
            effects += accuracy_effects(kept, self.task.grade, calibration)
        facts = self._facts(fitting, held, effects, ranking(second))
        save_calibration(self.out, calibration, scorer=self.scorer, aggregate=self.aggregate, facts=facts)
        if self.plot is not None:
            title = f"{self.scorer}, {self.task.name}: {len(held)} held-out problems"
            draw(second, calibration, self.plot, title=title, unit=self.labels)
        console.print(_table(effects), highlight=False)
        written = [str(file) for file in (self.out, self.plot) if file is not None]
        console.print(
            plain(f"Written: {', '.join(written)}. Use it as --scorer calibrated:{self.out}"),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        if as_json:
            print(json_line({"out": str(self.out), "calibration": asdict(calibration), **facts}))
        return 0

    def _check(self) -> None:
        one_of("method", self.method, METHODS)
        one_of("labels", self.labels, LABELS)
        if self.scorer == VERIFIER and has_check(self.task):
            raise UsageError(
                f"the scorer {VERIFIER!r} is here the own rule of the task {self.task.name}, which calibrated:FILE "
                "could not name: calibrate a model, or a rule given as module:function"
            )
        if self.n < 1:
            raise UsageError(f"n is {self.n}: pass --n 1 or more solutions of every problem")
        if self.plot is not None and self.plot.suffix.lower() not in (".svg", ".png"):
            raise UsageError(f"--plot is {self.plot}: end its name in .svg or .png")
        for name, file in (("--out", self.out), ("--plot", self.plot)):
            if file is not None:
                check_writable(name, file)

    def _outcomes(self, policy: Policy, scorer: Scorer) -> dict[str, Outcome]:
        search = best_of_n(self.n) if self.labels == "solutions" else labelled_steps(self._right, self.n)
        found = solve(
            self.problems,
            policy=policy,
            search=search,
            scorer=scorer,
            sampling=default_sampling(policy),
            seed=self.seed,
        )
        return {outcome.problem.id: outcome for outcome in found}

    def _right(self, problem: Problem, text: str) -> float:
        """1 or 0; NaN where the comparison was not decided."""
        verdict = self.task.grade(problem, text)
        return math.nan if verdict.verdict in UNDECIDED else float(verdict.correct)

    def _solution_labels(self, outcome: Outcome) -> Labelled:
        kept = outcome.candidates
        right = tuple(self._right(outcome.problem, item.path.text) for item in kept)
        return Labelled(outcome.problem.id, tuple(item.score for item in kept), right)

    def _step_labels(self, outcome: Outcome) -> Labelled:
        """The candidates are prefixes: their score is the scorer's, their weight the label."""
        kept = outcome.candidates
        return Labelled(outcome.problem.id, tuple(item.score for item in kept), tuple(item.weight for item in kept))

    def _facts(
        self, fitting: Sequence[Problem], held: Sequence[Problem], effects: Sequence[Effect], auc: float
    ) -> dict[str, Any]:
        return {
            "task": self.task.name,
            "split": self.split,
            "data": self.data,
            "seed": self.seed,
            "model": self.model,
            "labels": self.labels,
            "n": self.n,
            "problems": {"fitted": len(fitting), "held_out": len(held), "fingerprint": fingerprint(self.problems)},
            "version": version_of("reason-toolkit"),
            "auc": number(auc),
            "held_out": [_row(effect) for effect in effects],
        }


def check_writable(name: str, file: FilePath) -> None:
    """Refuse a file that could not be written when all is done.

    Raises:
        UsageError: It is a folder, or its own cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_dir():
            return
        reason = "it is a folder"
    except FileExistsError:
        reason = f"{str(file.parent)!r:.80} is not a folder"
    except OSError as error:
        reason = error.strerror or str(error)
    raise UsageError(f"{name} {str(file)!r:.80} cannot be written ({reason}): pass another file")


def _graded(item: Labelled) -> bool:
    """Whether the problem's answers could be compared: it has a label, or had nothing to label."""
    return not item.labels or not all(map(math.isnan, item.labels))


def _row(effect: Effect) -> dict[str, Any]:
    row = asdict(effect)
    return {key: list(map(number, value)) if isinstance(value, tuple) else value for key, value in row.items()}


def parts(problems: Sequence[Problem], held_out: float, seed: int) -> tuple[list[Problem], list[Problem]]:
    """The problems to fit on and those to measure on, divided by a hash of their ids.

    Raises:
        UsageError: The share leaves one of the two empty.
    """

    def place(problem: Problem) -> bytes:
        return hashlib.blake2b(f"{seed}/{problem.id}".encode(), digest_size=8).digest()

    count = round(len(problems) * held_out)
    if not 0 < held_out < 1 or not 0 < count < len(problems):
        raise UsageError(
            f"held-out {held_out:g} of {len(problems)} problems leaves none to fit on or none to measure on: pass a "
            "share between 0 and 1, such as --held-out 0.5, and enough problems (--limit)"
        )
    order = sorted(problems, key=place)
    return order[count:], order[:count]


def labelled_steps(check: Callable[[Problem, str], float], solutions: int) -> Search:
    """A search whose candidates are the prefixes of sampled solutions: scored by the scorer, weighed by their label.

    Where the check gives NaN for a completion, the share of right ones is NaN, and so is the prefix's label.
    """
    sample = monte_carlo(cast(Callable[[Problem, str], bool], check), solutions=solutions, completions=COMPLETIONS)

    def run(problem: Problem) -> SearchRun:
        outcome = yield from sample(problem)
        labels: dict[str, tuple[Path, float]] = {}
        for item in outcome.candidates:
            for count, share in enumerate(item.steps, start=1):
                prefix = Path(problem, item.path.steps[:count])
                labels.setdefault(f"{prefix.text}\0{prefix.finish}", (prefix, share))
        prefixes = list(labels.values())
        scores = yield from judge_unique([prefix for prefix, _ in prefixes])
        candidates = [
            Candidate(prefix, None, score.value, share) for (prefix, share), score in zip(prefixes, scores, strict=True)
        ]
        return replace(outcome, candidates=tuple(candidates))

    run.needs = frozenset({"partial", "scorer"})  # type: ignore[attr-defined]
    return run


def _table(effects: Sequence[Effect]) -> Table:
    """In percent, with 95 % intervals."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for index, column in enumerate(("held out, in %", "as scored", "calibrated", "change")):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for effect in effects:
        sides = ((effect.before, effect.before_ci), (effect.after, effect.after_ci))
        cells = [f"{100 * value:.1f} ({100 * low:.1f}–{100 * high:.1f})" for value, (low, high) in sides]
        low, high = (100 * side for side in effect.change_ci)
        table.add_row(effect.name, *cells, f"{100 * effect.change:+.1f} ({low:+.1f} to {high:+.1f})")
    return table
