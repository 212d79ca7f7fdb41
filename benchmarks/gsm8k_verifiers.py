"""GSM8K's verifier figures from the recorded solutions, graded anew.

    python -m benchmarks.gsm8k_verifiers --data DIR

DIR holds `example_model_solutions.jsonl` of github.com/openai/grade-school-math (or `gsm8k/…` in it): the 1,319 test
questions, each with one recorded solution of a 6B and a 175B GPT-3 model, fine-tuned alone and with the best of 100
samples by a verifier (Cobbe et al. 2021, arXiv 2110.14168). Both the reference solution and the recorded ones are read
by `reason.answers.grade`; the last column counts the solutions on which it says something else than the record's
`is_correct`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from reason.answers import grade

FILE = "example_model_solutions.jsonl"
MODELS = {
    "6b_finetuning": "6B, fine-tuned",
    "6b_verification": "6B, verified",
    "175b_finetuning": "175B, fine-tuned",
    "175b_verification": "175B, verified",
}


def load(data: Path) -> list[dict[str, Any]]:
    """The rows of the file in a directory, or in its `gsm8k` folder."""
    for place in (data, data / FILE, data / "gsm8k" / FILE):
        if place.is_file():
            return [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]
    sys.exit(f"error: no {FILE} in {data}: it comes with github.com/openai/grade-school-math")


def figures(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Per model: solutions graded correct, their percentage, and disagreements with the recorded label."""
    found = {}
    for model in MODELS:
        grades = [grade(row["ground_truth"], row[model]["solution"]).correct for row in rows]
        recorded = [bool(row[model]["is_correct"]) for row in rows]
        found[model] = {
            "correct": sum(grades),
            "percent": round(100 * sum(grades) / len(rows), 1),
            "disagreements": sum(one != other for one, other in zip(grades, recorded, strict=True)),
        }
    return found


def main() -> None:
    """Grade and print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description="GSM8K's verifier figures, recomputed from recorded solutions.")
    parser.add_argument("--data", type=Path, required=True, help=f"directory that holds {FILE}")
    rows = load(parser.parse_args().data)
    found = figures(rows)
    print(f"{'model':18} {'correct':>8} {'of':>6} {'percent':>8} {'disagreements':>14}")
    for model, row in found.items():
        print(
            f"{MODELS[model]:18} {row['correct']:>8.0f} {len(rows):>6} {row['percent']:>8.1f} "
            f"{row['disagreements']:>14.0f}"
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
