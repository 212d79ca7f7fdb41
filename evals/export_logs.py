"""A finished run in the formats of other evaluation tools, for `reason export --what lm-eval` and `--what inspect`.

`lm_eval_results` has the keys of the results file of lm-evaluation-harness 0.4 (EleutherAI), `inspect_log` those of a
version 2 log of inspect_ai (its `EvalLog`), which `inspect view` shows. Both tell what the run's folder holds: where
a format has no place for it (FLOPs, scored tokens), it stands under `config` or `metadata`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Any

from reason.evals.record import FAILED, Record
from reason.evals.results import store_file, write_whole
from reason.evals.settings import read_settings
from reason.evals.stored import StoredRun, read_runs
from reason.evals.tasks import load as load_task
from reason.trace import read
from reason.types import Finish, UsageError

METRIC = "exact_match"
LISTED = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}[:-]\d{2}[:-]\d{2}")
"""How the names of the .json logs begin that `inspect view` finds in a folder."""
STOP_REASONS = {Finish.STOP: "stop", Finish.LENGTH: "max_tokens", Finish.BUDGET: "max_tokens"}


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is over.

    Attributes:
        run: Its configuration and records.
        summary: What it came to.
        started, ended: When its folder was made and its last record written, in seconds since 1970.
    """

    run: StoredRun
    summary: Mapping[str, Any]
    started: float
    ended: float


def read_finished(folder: FilePath) -> Finished:
    """The run in a results folder.

    Raises:
        UsageError: There is none, or it is not finished.
    """
    read_settings(folder)
    file = folder / "summary.json"
    try:
        summary = json.loads(file.read_text("utf-8"))
        ended = (folder / "results.jsonl").stat().st_mtime
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the run {str(folder)!r:.120} is not finished (no summary.json and results.jsonl to read): run the same "
            "reason eval again"
        ) from error
    run = next(found for found in read_runs([folder]) if found.folder.resolve() == folder.resolve())
    if not isinstance(summary, dict) or summary.get("problems") != len(run.records):
        raise UsageError(
            f"the run {str(folder)!r:.120} has {len(run.records)} records and its summary.json tells otherwise: run "
            " the same reason eval again"
        )
    return Finished(run, summary, ended - max(row.elapsed for row in run.records), ended)


def questions_of(finished: Finished) -> dict[str, str]:
    """The question of each problem, from the trace or else from the task.

    Raises:
        UsageError: A problem of the run is in neither.
    """
    folder, settings = finished.run.folder, read_settings(finished.run.folder)
    store = store_file(folder)
    if store.exists():
        with read(store) as trace:
            found = {held.problem.id: held.problem.question for held in trace.problems()}
    else:
        data = settings.data
        drawn = data.get("problem_seed", settings.seed)
        task = load_task(settings.task)
        loaded = task.load(limit=data.get("limit"), seed=drawn, data=data.get("data"), split=data.get("split"))
        found = {problem.id: problem.question for problem in loaded}
    lacking = next((row.problem for row in finished.run.records if row.problem not in found), None)
    if lacking is not None:
        raise UsageError(
            f"the question of {lacking} is neither in the trace nor in the task's data: restore one of them"
        )
    return found


def lm_eval_results(finished: Finished) -> dict[str, Any]:
    """The run as a results file of lm-evaluation-harness."""
    config, summary, records = finished.run.config, finished.summary, finished.run.records
    task, values = config["task"], _values(records)
    return {
        "results": {
            task: {
                "alias": task,
                f"{METRIC},none": summary["accuracy"],
                f"{METRIC}_stderr,none": _stderr(values) if len(values) > 1 else "N/A",
            }
        },
        "group_subtasks": {task: []},
        "configs": {
            task: {
                "task": task,
                "dataset_path": config.get("data"),
                "test_split": config.get("split"),
                "output_type": "generate_until",
                "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
                "num_fewshot": 0,
                "generation_kwargs": config["sampling"],
                "repeats": 1,
                "metadata": {**config, "summary": {key: summary[key] for key in summary if key != "curve"}},
            }
        },
        "versions": {task: 0},
        "n-shot": {task: 0},
        "higher_is_better": {task: {METRIC: True}},
        "n-samples": {task: {"original": len(records), "effective": len(values)}},
        "config": {
            "model": "reason",
            "model_args": {key: config.get(key) for key in ("model", "strategy", "n", "scorer", "set", "budget")},
            "limit": config.get("limit"),
            "gen_kwargs": config["sampling"],
            "random_seed": config["seed"],
        },
        "date": finished.started,
        "model_source": "reason",
        "model_name": config["model"],
        "model_name_sanitized": "".join(c if c.isalnum() or c in "-._" else "_" for c in config["model"]),
        "total_evaluation_time_seconds": str(finished.ended - finished.started),
    }


def inspect_log(finished: Finished, questions: Mapping[str, str]) -> dict[str, Any]:
    """The run as a log of inspect_ai; `questions` by problem."""
    config, records = finished.run.config, finished.run.records
    values, model = _values(records), config["model"]
    started, ended = _moment(finished.started), _moment(finished.ended)
    strategy = {key: config.get(key) for key in ("n", "scorer", "set", "aggregate", "budget", "total_tokens")}
    metrics = {"accuracy": _mean(values), "stderr": _stderr(values)}
    usage = _usage(sum(row.prefilled_tokens for row in records), sum(row.generated_tokens for row in records))
    drawn = config["sampling"]
    generating = {key: drawn.get(key) for key in ("temperature", "top_p", "top_k", "max_tokens")}
    generating["seed"] = config["seed"]
    return {
        "version": 2,
        "status": "success",
        "eval": {
            **{key: _id(config, key) for key in ("eval_id", "run_id", "task_id")},
            "created": started,
            "task": config["task"],
            "task_args": {key: config.get(key) for key in ("split", "data", "limit", "seed")},
            "solver": config["strategy"],
            "solver_args": strategy,
            "dataset": {
                "name": config["task"],
                "location": config.get("data"),
                "samples": len(records),
                "sample_ids": [row.problem for row in records],
                "shuffled": False,
            },
            "model": model,
            "model_generate_config": generating,
            "config": {"limit": config.get("limit"), "epochs": 1},
            "packages": {"reason-toolkit": config["version"]},
            "metadata": dict(config),
        },
        "plan": {"name": "plan", "steps": [{"solver": config["strategy"], "params": strategy}], "config": generating},
        "results": {
            "total_samples": len(records),
            "completed_samples": sum(row.verdict != FAILED for row in records),
            "scores": [
                {
                    "name": METRIC,
                    "scorer": METRIC,
                    "scored_samples": len(values),
                    "unscored_samples": len(records) - len(values),
                    "params": {},
                    "metrics": {name: {"name": name, "value": value, "params": {}} for name, value in metrics.items()},
                }
            ],
            "metadata": {key: value for key, value in finished.summary.items() if key != "curve"},
        },
        "stats": {"started_at": started, "completed_at": ended, "model_usage": {model: usage}},
        "samples": [_sample(row, questions[row.problem], config) for row in records],
    }


def _sample(row: Record, question: str, config: Mapping[str, Any]) -> dict[str, Any]:
    model, usage = config["model"], _usage(row.prefilled_tokens, row.generated_tokens)
    reply = {"role": "assistant", "content": row.text, "source": "generate", "model": model}
    reason = STOP_REASONS.get(Finish(row.finish), "unknown") if row.finish else "unknown"
    failure = "; ".join(row.failures) or "the search failed"
    told = ("verdict", "stopped", "confidence", "candidates", "truncated_candidates", "scored_tokens", "flops")
    grade = {
        "value": "C" if row.correct else "I",
        "answer": row.answer,
        "explanation": f"{row.verdict}: {row.answer!r}, the gold answer is {row.gold!r}",
        "metadata": {"verdict": row.verdict},
    }
    return {
        "id": row.problem,
        "epoch": 1,
        "input": question,
        "target": row.gold or "",
        "messages": [{"role": "user", "content": question, "source": "input"}, reply],
        "output": {
            "model": model,
            "choices": [{"message": reply, "stop_reason": reason}],
            "completion": row.text,
            "usage": usage,
            "time": row.seconds,
        },
        "scores": {METRIC: grade} if row.scored else None,
        "metadata": {**{key: getattr(row, key) for key in told}, "failures": list(row.failures)},
        "store": {},
        "events": [],
        "model_usage": {model: usage},
        "total_time": row.seconds,
        "working_time": row.seconds,
        "uuid": _id(config, row.problem),
        "error": None
        if row.verdict != FAILED
        else {"message": failure, "traceback": failure, "traceback_ansi": failure},
        "attachments": {},
    }


def viewer_name(to: FilePath, finished: Finished) -> str | None:
    """A name (TIME_TASK_ID.json) under which `inspect view` lists the log in its folder; None where it has one."""
    config = finished.run.config
    task = re.sub("[^A-Za-z0-9.]+", "-", config["task"])
    moment = _moment(finished.started).replace(":", "-")
    return None if LISTED.match(to.name) else f"{moment}_{task}_{_id(config, 'eval_id')}.json"


FORMATS: dict[str, Callable[[Finished], dict[str, Any]]] = {
    "lm-eval": lm_eval_results,
    "inspect": lambda finished: inspect_log(finished, questions_of(finished)),
}
"""What `reason export --what` writes as one JSON object."""


def write_log(folder: FilePath, to: FilePath, what: str) -> str:
    """Write a run in a format of `FORMATS`; returns what to say of it.

    Raises:
        UsageError: The run is not finished, or the file exists, is no .json, or cannot be written.
    """
    if to.suffix != ".json":
        raise UsageError(f"{str(to)!r:.200} is not a .json file: {what} is one JSON object; pass --to FILE.json")
    if to.exists():
        raise UsageError(f"{str(to)!r:.200} exists: pass another file, or remove it first")
    if not folder.is_dir():
        raise UsageError(f"{str(folder)!r:.200} is no folder: {what} needs the one that reason eval --out wrote")
    finished = read_finished(folder)
    text = json.dumps(FORMATS[what](finished), indent=2, allow_nan=False)
    try:
        write_whole(to, text + "\n")
    except OSError as error:
        raise UsageError(f"{str(to)!r:.200} cannot be written ({error.strerror}): pass another file") from error
    told = f"{to}: {len(finished.run.records):,} problems for {what}"
    better = viewer_name(to, finished) if what == "inspect" else None
    return told if better is None else f"{told}; inspect view lists it in a folder under a name such as {better}"


def _values(records: Sequence[Record]) -> list[float]:
    return [float(row.correct) for row in records if row.scored]


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else 0.0


def _stderr(values: Sequence[float]) -> float:
    """The standard error of the mean, from the sample standard deviation; 0 for fewer than two."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def _usage(read_tokens: int, generated: int) -> dict[str, int]:
    return {"input_tokens": read_tokens, "output_tokens": generated, "total_tokens": read_tokens + generated}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _id(config: Mapping[str, Any], what: str) -> str:
    """22 characters that are the same whenever the run is written."""
    text = json.dumps([what, config], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=11).hexdigest()
