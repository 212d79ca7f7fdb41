"""What the bundled models are worth, measured on held-out problems, and their cards.

A scorer is judged by its AUC among the samples of one problem (averaged over the problems that have right and wrong
samples): over all samples together, knowing which problems are easy would already look like knowledge.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from reason.answers import vote
from reason.evals.tasks.word_problems import TASK
from reason.run import solve
from reason.search import best_of_n, cot
from reason.training.process_reward import auc
from reason.types import Outcome, Policy, Sampling, Scorer

SAMPLES = 16
TEMPERATURE = 0.8


def _right(outcome: Outcome) -> list[bool]:
    return [TASK.grade(outcome.problem, candidate.path.text).correct for candidate in outcome.candidates]


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 3)


def measure_policy(policy: Policy, scorer: Scorer, *, split: str, problems: int, seed: int) -> dict[str, float]:
    """Greedy, sampled, majority and scorer-ranked accuracy of one split, and the scorer's AUC within problems."""
    wanted = TASK.load(limit=problems, seed=seed, split=split)
    sampling = Sampling(temperature=TEMPERATURE, max_tokens=160)
    greedy = solve(wanted, policy=policy, search=cot(), sampling=sampling, seed=seed)
    sampled = solve(wanted, policy=policy, search=best_of_n(SAMPLES), scorer=scorer, sampling=sampling, seed=seed)
    verdicts = [_right(outcome) for outcome in sampled]
    within = []
    for outcome, right in zip(sampled, verdicts, strict=True):
        scored = [(c.score, r) for c, r in zip(outcome.candidates, right, strict=True) if not math.isnan(c.score)]
        if len({r for _, r in scored}) == 2:
            values, labels = zip(*scored, strict=True)
            within.append(auc(torch.tensor(values), torch.tensor(labels).float()))
    majority = []
    for outcome in sampled:
        answers = [candidate.answer for candidate in outcome.candidates]
        best = vote(answers, [1.0] * len(answers))[0].answer
        majority.append(TASK.grade(outcome.problem, f"Answer: {best}").correct)
    return {
        "problems": problems,
        "greedy": _share([TASK.grade(o.problem, o.path.text if o.path else "").correct for o in greedy]),
        "sampled_pass_at_1": _share([right for row in verdicts for right in row]),
        "majority_of_16": _share(majority),
        "best_of_16": _share([TASK.grade(o.problem, o.path.text if o.path else "").correct for o in sampled]),
        "pass_at_16": _share([any(row) for row in verdicts]),
        "auc_within_problem": round(sum(within) / len(within), 3) if within else math.nan,
    }


def last_log_row(folder: Path) -> dict[str, float]:
    """The last line of a training log."""
    row: dict[str, float] = json.loads((folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return row


def table(rows: dict[str, dict[str, float]]) -> str:
    """A Markdown table: one line per named measurement."""
    names = list(next(iter(rows.values())))
    head = f"| | {' | '.join(name.replace('_', ' ') for name in names)} |"
    lines = [head, "|---" * (len(names) + 1) + "|"]
    lines += [f"| {label} | {' | '.join(f'{row[name]:g}' for name in names)} |" for label, row in rows.items()]
    return "\n".join(lines)


POLICY_CARD = """# Bundled policy

A language model of {parameters:,} parameters (Qwen2 architecture, 4 layers, width 192, byte-level BPE with single
digits) that solves generated grade-school word problems, one equation per line. It is made to run anywhere in seconds
and to err: its purpose is to show what search adds. It knows nothing else.

Trained from scratch on generated problems (`evals/tasks/word_problems.py`, split "train") with the loss on the
solution only: {policy_steps} steps of 32 sequences, whole problems first and, from step {packs_from}, in turn with
packs of single equation lines. Then a copy learned whole problems for {polish_steps} steps without nine in ten of their
results, and its weights were averaged with those of a copy that learned them all (share {reader_share}): a policy that
reads well and computes badly.

Rebuild it, its scorers and these cards (CPU, two cores, under four hours, resumable):

    {command}

Its tokenizer is tokenizer.json as it stands: load it with `reason.load` or `PreTrainedTokenizerFast`, since the
`AutoTokenizer` of transformers gives Qwen2 models other splitting rules.

Measured on held-out problems, 16 samples at temperature {temperature}; best of 16 is ranked by the process model:

{table}

"templates" are problems told in sentences that no training problem holds.
"""

SCORER_CARD = """# Bundled {kind} reward model

{reads}, for solutions of generated word problems. The backbone has the policy's architecture ({parameters:,}
parameters); the head reads its hidden state and its surprise at the solution (`reason.scorers.surprise`).

The backbone started where the policy did and learned much longer: {reader_steps} steps of whole problems and
{backbone_steps} more with packs of single equation lines, after which it reproduces {greedy:.0%} of held-out solutions
by itself. Then the head alone was fitted (logistic regression) to solutions that the policy sampled for
{label_problems} training problems, valued by {labels}; AUC on the labels of held-out problems {label_auc:.3f}.

Rebuild it:

    {command}

Measured on held-out problems, 16 samples at temperature {temperature} from the bundled policy, ranked by this model:

{table}

"auc within problem" is taken among the samples of one problem and averaged over the problems with right and wrong ones.
"""


def write_cards(
    folders: dict[str, Path],
    label_auc: dict[str, float],
    measured: dict[str, dict[str, dict[str, float]]],
    facts: dict[str, object],
) -> None:
    """Write README.md into the exported directories.

    Args:
        folders: "policy", "process" and "outcome" directories.
        label_auc: Of "process" and "outcome", on the labels of held-out problems.
        measured: For "process" and "outcome": split -> `measure_policy`.
        facts: Step counts, parameters and the command that rebuilds everything.
    """
    text = POLICY_CARD.format(**facts, table=table(measured["process"]))
    (folders["policy"] / "README.md").write_text(text, encoding="utf-8")
    reads = {
        "process": "One value per step, read at its last token: the chance that the solution will end right",
        "outcome": "One value per solution, read at its last token: the chance that its answer is right",
    }
    labels = {
        "process": "Monte-Carlo: the share of 8 completions from each step that end right",
        "outcome": "the verdict on their answer",
    }
    for kind in ("process", "outcome"):
        text = SCORER_CARD.format(
            **facts,
            kind=kind,
            reads=reads[kind],
            labels=labels[kind],
            label_auc=label_auc[kind],
            table=table(measured[kind]),
        )
        (folders[kind] / "README.md").write_text(text, encoding="utf-8")
