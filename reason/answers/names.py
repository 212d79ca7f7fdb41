"""Left-hand sides: which ones only name the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence


def name_of(tokens: Sequence[str]) -> str:
    """A left-hand side as one name."""
    return "".join(token for token in tokens if token not in ("{", "}"))


_SCRIPTS = re.compile(r"_(?:\{[^{}]*\}|\\?\w+)|'|\^\{?\\prime\}?")
_WRAPPERS = re.compile(r"\\(?:overline|bar|hat|vec|angle|triangle|Delta|overrightarrow|min|max|text)\b")
_NAME = (
    r"(?:[A-Za-z]|\\[A-Za-z]+|[A-Z]{2,6}|T+|\|[A-Z]{2}\|"
    r"|[A-Za-z](?:\^\{-1\})?\([^()+*/=]*\)|\\frac\{d[A-Za-z]?\}\{d[A-Za-z]\}|[A-Z][a-z]?)"
)
_NAMES = re.compile(
    rf"{_NAME}(?::{_NAME})*\Z|\((?:{_NAME},)+{_NAME}\)\Z|\\frac\{{[A-Z]{{1,3}}\}}\{{[A-Z]{{1,3}}\}}\Z|{_NAME}(?:,{_NAME})+\Z"
)


def is_name(tokens: Sequence[str]) -> bool:
    """Whether a left-hand side only names the answer (`x`, `f(2)`, `AB`, `(p, q)`): the right-hand side is it."""
    joined = "".join("T" if token[0] == '"' else token for token in tokens if token != r"\quad")
    if len(joined) > 80:
        return False
    stripped = _SCRIPTS.sub("", joined)
    stripped = _WRAPPERS.sub("", stripped)
    if stripped.startswith("{") and stripped.endswith("}"):
        stripped = stripped[1:-1]
    return bool(_NAMES.match(stripped)) and stripped not in ("\\pi", "\\infty")


_VARIABLE = re.compile(r"(?:[A-Za-z]|\\[a-z]{2,})(?:_(?:\w|\{\w+\}))?\Z")


def is_variable(tokens: Sequence[str]) -> bool:
    """Whether these tokens are one variable, with or without a subscript."""
    joined = "".join(tokens)
    return bool(_VARIABLE.match(joined)) and joined not in ("\\pi", "\\infty", "i", "e")
