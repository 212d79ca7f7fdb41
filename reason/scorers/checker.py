"""The process in which patterns and JSON schemas meet model text: JSON lines in, JSON lines out, one job at a time.

Started by `reason.scorers.checking` as a script of its own. A match that backtracks without end cannot be interrupted
from within Python, so a job that uses too much processor time ends the process through the profiling timer. Schemas
are resolved in themselves alone: nothing is fetched.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from typing import Any

MOST_ERRORS = 5
MOST_MESSAGE = 200


def main() -> None:
    """Serve until the input ends. Arguments: memory limit in bytes, processor seconds of a job, seconds to an alarm,
    and the kinds of jobs whose libraries are to be loaded first, outside any job's time."""
    memory, seconds, patience = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    kinds = {"pattern": _pattern, "schema": _schema}
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for kind in sys.argv[4:]:
        with contextlib.suppress(Exception):  # the first job of that kind says what is wrong
            for value in (None, "0"):
                kinds[kind]({"kind": kind, "schema": {"type": "integer"}, "value": value, "formats": True})
    _send(replies, {"ready": True})
    for line in sys.stdin:
        job = json.loads(line)
        _watch(seconds, patience)
        try:
            reply = kinds[job["kind"]](job)
        except (MemoryError, RecursionError) as error:
            reply = {"limit": type(error).__name__}
        except Exception as error:  # a library may raise anything on foreign text
            reply = {"failed": f"{type(error).__name__}: {error}"[:MOST_MESSAGE]}
        _watch(0, 0)
        _send(replies, reply)


def _watch(seconds: float, patience: int) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.alarm(patience)


def _send(replies: Any, message: dict[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def _pattern(job: dict[str, Any]) -> dict[str, Any]:
    found = getattr(re.compile(job["pattern"], job["flags"]), job["mode"])(job["text"])
    return {"found": None if found is None else found[0][:MOST_MESSAGE]}


def _schema(job: dict[str, Any]) -> dict[str, Any]:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    kind = validator_for(job["schema"], default=Draft202012Validator)
    if job["value"] is None:
        try:
            kind.check_schema(job["schema"])
        except SchemaError as broken:
            return {"broken": broken.message[:MOST_MESSAGE]}
        return {"errors": []}
    checker = kind.FORMAT_CHECKER if job["formats"] else None
    validator = kind(job["schema"], registry=Registry(), format_checker=checker)
    errors = list[str]()
    for error in validator.iter_errors(json.loads(job["value"])):
        errors.append(f"{error.json_path}: {error.message}"[:MOST_MESSAGE])
        if len(errors) == MOST_ERRORS:
            break
    return {"errors": errors}


if __name__ == "__main__":
    main()
