"""A JSON schema that a solution's JSON must fulfil; needs the extra `verify` (jsonschema).

The JSON is the last fenced block marked `json` (or, without one, the last unmarked fence), else the whole text after
`</think>`. It is read strictly: no NaN, no number beyond the range of floats, no key twice. Validation runs in a worker
process with a limit on processor time (`reason.scorers.checking`), since a schema's patterns can be slow on a text made
for them; references are resolved within the schema alone and nothing is fetched.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import Any

from reason.identity import identified
from reason.scorers.checking import Checker
from reason.scorers.code import fences
from reason.search.strategy import number
from reason.types import Finish, MissingExtraError, Path, Score, UsageError

LONGEST = 1_000_000
_JUDGED = (Finish.STOP, Finish.LENGTH, Finish.BUDGET)


class NotJson(ValueError):
    """A text is not the JSON it should be."""


def json_of(text: str) -> Any:
    """The JSON value of a solution.

    Raises:
        NotJson: There is none.
    """
    body = text[text.rfind("</think>") + len("</think>") if "</think>" in text else 0 :]
    if len(body) > LONGEST:
        raise NotJson(f"longer than {LONGEST} characters")
    found = fences(body)
    marked = [inner for mark, inner in found if mark.startswith("json")] or [inner for mark, inner in found if not mark]
    given = marked[-1] if marked else body
    try:
        return json.loads(given, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"{type(error).__name__}: {error}"[:200]) from None


class JsonSchema:
    """1 for finished solutions whose JSON fulfils the schema, else 0, with the first errors as explanation.

    Args:
        schema: The schema, or the file it is in.
        formats: Whether `format` (email, date, …) is checked, as far as jsonschema can.
        seconds: Most processor time for one solution.
        name: For reports.

    Raises:
        UsageError: The schema cannot be read, is none, or takes too long to be checked itself.
        MissingExtraError: jsonschema is not installed.
    """

    parameters = 0
    oracle = False

    def __init__(
        self,
        schema: Mapping[str, Any] | bool | str | os.PathLike[str],
        *,
        formats: bool = False,
        seconds: float = 2.0,
        name: str | None = None,
    ) -> None:
        if find_spec("jsonschema") is None:
            raise MissingExtraError("JSON schemas need jsonschema: pip install 'reason-toolkit[verify]'")
        inline = isinstance(schema, Mapping | bool)
        self._schema: Any = schema if inline else _read(FilePath(schema))  # type: ignore[arg-type]
        self._formats, self._checker = formats, Checker(number("seconds", seconds, 0.01), ("schema",))
        self.name = name or ("schema" if inline else f"schema:{schema}")
        reply = self._ask(None)
        if limit := reply.get("limit"):
            raise UsageError(
                f"{self.name} could not be checked itself ({limit}): pass more seconds, or a simpler schema"
            )
        if problem := reply.get("broken") or reply.get("failed"):
            raise UsageError(f"{self.name} is no JSON schema: {problem}")

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, schema=self._schema, formats=self._formats)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """0 or 1 per path; NaN for open and failed paths, and where validation took too long."""
        return await asyncio.to_thread(lambda: [self._score(path) for path in paths])

    def _score(self, path: Path) -> Score:
        if path.finish not in _JUDGED:
            return Score(math.nan, error=f"only finished solutions are checked; this path is at {path.finish.value!r}")
        try:
            value = json_of(path.text)
        except NotJson as error:
            return Score(0.0, explanation=f"no JSON: {error}")
        reply = self._ask(json.dumps(value))
        if "errors" not in reply:
            return Score(math.nan, error=f"validation was not decided: {reply.get('limit') or reply.get('failed')}")
        return Score(float(not reply["errors"]), explanation="\n".join(reply["errors"]) or "fulfils the schema")

    def _ask(self, value: str | None) -> dict[str, Any]:
        return self._checker.ask({"kind": "schema", "schema": self._schema, "value": value, "formats": self._formats})


def _read(file: FilePath) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the schema {str(file)!r} cannot be read ({error}): pass a file of JSON") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is beyond the range of floats")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return made
