"""Every benchmark whose data lies on this machine, end to end with one model: no crash, and the rates.

    python -m benchmarks.tasks --data DIR [--limit 50] [--strategy cot] [--n 1] [--out FILE.md]

For each task and split (but train) with a file under DIR (`reason.evals.tasks`): the share of all rows whose own gold
answer is graded correct, then `reason eval` on a seeded subset of `--limit` rows. `reason score` measures the scorer on
as many of each split of ProcessBench, and GSM8K's recorded solutions (example_model_solutions.jsonl) are graded anew.
Prints Markdown, progress on standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reason.cli import main as reason
from reason.evals.tasks import TASKS, Task, load
from reason.evals.tasks.best_of_n import TASK as RECORDED
from reason.evals.tasks.math import VIEWS
from reason.types import Problem, UsageError

WRITTEN = {"boxed": r"\boxed{%s}", "hashes": "#### %s", "line": "Answer: %s"}
GENERATED = ("word_problems", "countdown")
LEFT_OUT = ("train", "all", *VIEWS)
SAMPLES = "gsm8k/example_model_solutions.jsonl"
HEAD = ("task", "split", "rows", "gold graded right", "tried", "accuracy (95 %)", "no answer", "truncated", "unscored")


def local(data: Path) -> Iterator[tuple[Task, str, list[Problem]]]:
    """Each task and split that can be loaded from the folder."""
    for name in TASKS:
        task = load(name)
        for split in task.splits:
            if split in LEFT_OUT:
                continue
            try:
                yield task, split, task.load(data=None if name in GENERATED else str(data), split=split)
            except UsageError:
                continue


def told_by(arguments: Sequence[str]) -> dict[str, Any]:
    """The JSON line that a command ends with; what it says otherwise is not shown.

    Raises:
        RuntimeError: It failed.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = reason([*arguments, "--json"])
    if code:
        raise RuntimeError(f"reason {' '.join(arguments)} ended with {code}: {err.getvalue()[-300:]}")
    found: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return found


def self_match(task: Task, problems: Sequence[Problem]) -> str:
    """The share of gold answers that are graded correct, written as the task asks for them."""
    known = [problem for problem in problems if problem.answer is not None]
    right = sum(task.grade(p, WRITTEN[task.answer_format] % p.answer).correct for p in known)
    return f"{right:,} of {len(known):,}"


def percent(count: float, of: float) -> str:
    """A share in percent."""
    return f"{100 * count / of:.0f} %" if of else "–"


def evaluated(task: Task, split: str, problems: Sequence[Problem], options: argparse.Namespace) -> tuple[str, ...]:
    """One row of the table."""
    arguments = ["eval", task.name, "--split", split, "--limit", str(options.limit), "--model", options.model]
    arguments += ["--strategy", options.strategy, "--n", str(options.n), "--max-tokens", str(options.max_tokens)]
    if task.name not in GENERATED:
        arguments += ["--data", str(options.data)]
    told = told_by(arguments)
    tried = told["problems"]
    low, high = told["ci95"] or (0.0, 0.0)
    accuracy = "–" if told["accuracy"] is None else f"{100 * told['accuracy']:.0f} % ({100 * low:.0f}–{100 * high:.0f})"
    print(f"{task.name}/{split}: {accuracy}, {told['seconds']} s", file=sys.stderr, flush=True)
    rates = (percent(told["no_answer"], tried), percent(told["truncated"], tried), str(told["unscored"]))
    return (task.name, split, f"{len(problems):,}", self_match(task, problems), str(tried), accuracy, *rates)


def scored(split: str, options: argparse.Namespace) -> tuple[str, ...]:
    """A split of ProcessBench under the scorer."""
    arguments = ["score", "processbench", "--data", str(options.data), "--split", split, "--scorer", options.scorer]
    told = told_by([*arguments, "--limit", str(options.limit)])
    rows = []
    for key in ("at", "hindsight"):
        row = told[key]
        rows += [
            f"{row['threshold']:.3g}",
            *(f"{100 * (row[name] or 0):.1f}" for name in ("on_wrong", "on_right", "f1")),
        ]
    return (split, str(told["problems"]), str(told["at"]["unscored"]), *rows)


def recorded(file: Path) -> list[tuple[str, ...]]:
    """Accuracy of each column of recorded solutions by our grader, and how often its label agrees."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    names = [name for name, value in rows[0].items() if isinstance(value, dict)]
    problems = [RECORDED.read(row, f"recorded/{place}") for place, row in enumerate(rows)]
    found = []
    for name in names:
        right = [RECORDED.grade(p, row[name]["solution"]).correct for p, row in zip(problems, rows, strict=True)]
        agreed = sum(ours == row[name]["is_correct"] for ours, row in zip(right, rows, strict=True))
        found.append((name, f"{100 * sum(right) / len(rows):.1f} %", f"{agreed:,} of {len(rows):,}"))
    return found


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--limit", type=int, default=50, help="rows tried of each")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--scorer", default="process")
    parser.add_argument("--strategy", default="cot")
    parser.add_argument("--n", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--out", type=Path, help="Markdown file; default: standard output")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parsed()
    started = time.perf_counter()
    found = list(local(options.data))
    parts = [markdown(HEAD, [evaluated(task, split, rows, options) for task, split, rows in found])]
    splits = [split for task, split, _ in found if task.name == "processbench"]
    if splits:
        head = (
            "split",
            "rows",
            "unscored",
            *(f"{n}{m}" for m in ("", ", hindsight") for n in ("threshold", "wrong", "right", "F1")),
        )
        parts.append(markdown(head, [scored(split, options) for split in splits]))
    if (options.data / SAMPLES).is_file():
        parts.append(markdown(("recorded solutions", "accuracy", "label agrees"), recorded(options.data / SAMPLES)))
    parts.append(f"{time.perf_counter() - started:.0f} s.")
    text = "\n\n".join(parts) + "\n"
    if options.out is not None:
        options.out.write_text(text, "utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
