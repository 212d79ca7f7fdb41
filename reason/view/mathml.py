"""LaTeX in texts, found and converted to MathML that holds nothing but known elements and attributes.

Spans are $…$, $$…$$, \\(…\\), \\[…\\], \\begin{…}…\\end{…} and \\boxed{…}. A dollar sign opens mathematics only as
pandoc reads it (no space after it; the closing one has no space before it and no digit after it), on one line, and not
around running words, so prices stay prices. What is too long, too deeply nested, defines macros or cannot be converted
stays text, and a time limit holds for all conversions of a page together.

The conversion is latex2mathml's. Its tree is copied element by element through the lists below and written as nested
lists [tag, attributes or 0, children …], from which the page makes elements one by one; no markup is ever parsed.
"""

from __future__ import annotations

import html
import re
import time
import unicodedata
from functools import lru_cache
from typing import Any, TypeAlias
from xml.etree.ElementTree import Element

LONGEST = 2000
DEEPEST = 24
MOST_SPANS = 1000
MOST_ELEMENTS = 3000
SECONDS = 20.0

Tree: TypeAlias = list[Any]
"""[tag, attributes or 0, children: trees and strings …]"""

ELEMENTS = frozenset(
    "math menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow mspace msqrt "
    "mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none".split()
)
_BOOLEAN = re.compile(r"true|false")
_LENGTH = re.compile(r"[+-]?(\d(\.\d{1,4})?|\.\d{1,4})(em|ex)|[+-]?\d{1,2}(\.\d{1,4})?(px|pt)|0")
ATTRIBUTES = {
    **dict.fromkeys("accent accentunder displaystyle fence largeop movablelimits separator stretchy symmetric".split()),
    "columnspan": re.compile(r"[1-9]"),
    "depth": _LENGTH,
    "display": re.compile(r"block|inline"),
    "form": re.compile(r"prefix|infix|postfix"),
    "height": _LENGTH,
    "linethickness": _LENGTH,
    "lspace": _LENGTH,
    "maxsize": _LENGTH,
    "minsize": _LENGTH,
    "notation": re.compile(r"[a-z ]{1,60}"),
    "rspace": _LENGTH,
    "scriptlevel": re.compile(r"[+-]?[0-3]"),
    "voffset": _LENGTH,
    "width": _LENGTH,
}

_OPENING = re.compile(r"\\[\[(]|(?<!\\)\$\$?|\\begin\{([a-zA-Z]{1,12}\*?)\}|\\(?:boxed|fbox)\{")
_CLOSING = {"\\[": "\\]", "\\(": "\\)", "$$": "$$"}
_ENVIRONMENTS = frozenset(
    "align align* aligned alignat array bmatrix Bmatrix cases equation equation* gather gather* matrix pmatrix "
    "smallmatrix split vmatrix Vmatrix".split()
)
_COMMAND = re.compile(r"\\[A-Za-z]{2}")
_WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}[,.;:]?\s+[A-Za-z]{2,}")
_GROUPS = re.compile(r"\\(?:text|mathrm|operatorname|textbf|textit|mbox)\s*\{[^{}]*\}")
_FONTS = {
    "bold": "BOLD",
    "double-struck": "DOUBLE-STRUCK",
    "fraktur": "FRAKTUR",
    "monospace": "MONOSPACE",
    "sans-serif": "SANS-SERIF",
    "script": "SCRIPT",
}


class _Fixed(dict[str, Any]):
    """Macros cannot be defined: they can grow without bound."""

    def __setitem__(self, key: str, value: Any) -> None:
        raise ValueError("macros are not converted")


class Formulas:
    """The table of formulas of one block of data, filled as texts are split.

    Args:
        seconds: What all conversions may take together; then formulas stay text.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._left = seconds
        self._places: dict[str, int] = {}
        self._table: list[list[Any]] = []

    def split(self, text: str) -> str | list[str | int]:
        """The text itself, or its pieces: strings, and places in the table."""
        pieces: list[str | int] = []
        done = 0
        started = time.monotonic()
        if self._left <= 0:
            return text
        for start, end in spans(text):
            place = self._place(text[start:end])
            if place is not None:
                pieces += [text[done:start], place] if start > done else [place]
                done = end
        self._left -= time.monotonic() - started
        return [*pieces, text[done:]] if pieces and done < len(text) else pieces or text

    def answer(self, text: str | None) -> str | list[str | int] | None:
        """As `split`, for an answer: one with LaTeX commands but no delimiters is mathematics as a whole."""
        if text is None:
            return None
        split = self.split(text)
        if split is text and len(text) <= LONGEST and _COMMAND.search(text) and self._left > 0:
            place = self._place(text)
            return text if place is None else [place]
        return split

    def taken(self) -> list[list[Any]]:
        """The formulas since the last call, [source, tree] each, for the block that is being written."""
        table, self._table, self._places = self._table, [], {}
        return table

    def _place(self, source: str) -> int | None:
        if source in self._places:
            return self._places[source]
        tree = convert(source)
        if tree is None:
            return None
        self._table.append([source, tree])
        self._places[source] = len(self._table) - 1
        return self._places[source]


def spans(text: str) -> list[tuple[int, int]]:
    """Where mathematics stands in the text: (start, end), delimiters included."""
    found = list[tuple[int, int]]()
    at = 0
    for _ in range(MOST_SPANS):
        opening = _OPENING.search(text, at)
        if opening is None:
            break
        end = _end(text, opening)
        if end is not None:
            found.append((opening.start(), end))
        at = opening.end() if end is None else end
    return found


def _end(text: str, opening: re.Match[str]) -> int | None:
    """Where the span ends that begins here, or None if none does."""
    mark, start, last = opening[0], opening.end(), opening.end() + LONGEST
    if mark == "$":
        return _dollar_end(text, start, last)
    if mark in _CLOSING:
        end = text.find(_CLOSING[mark], start, last)
        return end + 2 if end > start else None
    if opening[1]:
        closing = f"\\end{{{opening[1]}}}"
        end = text.find(closing, start, last) if opening[1] in _ENVIRONMENTS else -1
        return end + len(closing) if end >= 0 else None
    depth = 1
    for brace in re.finditer(r"\\.|[{}]", text[start:last]):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if not depth:
            return start + brace.end()
    return None


def _dollar_end(text: str, start: int, last: int) -> int | None:
    line = text.find("\n", start, last)
    last = line if line >= 0 else last
    end = text.find("$", start, last)
    while end > start and text[end - 1] == "\\":
        end = text.find("$", end + 1, last)
    if end <= start or text[start].isspace() or text[end - 1].isspace() or text[end + 1 : end + 2].isdigit():
        return None
    return None if _WORDS.search(_GROUPS.sub("", text[start:end])) else end + 1


@lru_cache(maxsize=4096)
def convert(source: str) -> Tree | None:
    """The MathML of a span with its delimiters, or None where it must stay text."""
    from latex2mathml.converter import Converter

    latex, display = _inside(source)
    if len(latex) > LONGEST or _depth(latex) > DEEPEST or not latex.strip():
        return None
    converter = Converter(display=display)
    converter.macros = _Fixed()
    try:
        element = converter.convert_to_element(latex)
        budget = [MOST_ELEMENTS]
        return _copied(element, budget)
    except Exception:  # hostile and broken formulas end in any error of the library; the text is shown instead
        return None


def _inside(source: str) -> tuple[str, str]:
    if source.startswith(("$$", "\\[")):
        return source[2:-2], "block"
    if source.startswith("\\("):
        return source[2:-2], "inline"
    if source.startswith("$"):
        return source[1:-1], "inline"
    return source, "block" if source.startswith("\\begin") else "inline"


def _depth(latex: str) -> int:
    """How deeply groups nest."""
    depth = deepest = 0
    for found in re.finditer(r"\\left|\\right|\\begin|\\end|\\.|[{}]", latex):
        depth += 1 if found[0] in ("{", "\\left", "\\begin") else -1 if found[0] in ("}", "\\right", "\\end") else 0
        deepest = max(deepest, depth)
    return deepest


def _copied(element: Element, budget: list[int], depth: int = 0) -> Tree:
    """The element and what is in it, if all of it is known.

    Raises:
        ValueError: An unknown element, or more or deeper ones than allowed.
    """
    budget[0] -= 1
    if element.tag not in ELEMENTS or budget[0] < 0 or depth > 2 * DEEPEST:
        raise ValueError(f"element {element.tag} is not shown")
    attributes = {key: value for key, value in element.attrib.items() if _allowed(key, value)}
    text = html.unescape(element.text or "")
    if element.tag != "mtext" and len(text) > 1 and text.startswith("\\"):
        raise ValueError(f"{text} is not known")
    font = element.attrib.get("mathvariant", "")
    if font == "normal" and element.tag == "mi":
        attributes["mathvariant"] = "normal"
    children: list[Any] = [_styled(text, font)] if text.strip() or element.tag == "mtext" else []
    for child in element:
        children.append(_copied(child, budget, depth + 1))
    return [element.tag, attributes or 0, *children]


def _allowed(key: str, value: str) -> bool:
    pattern = ATTRIBUTES.get(key, _NEVER)
    return (pattern or _BOOLEAN).fullmatch(value) is not None


_NEVER = re.compile(r"(?!)")


def _styled(text: str, font: str) -> str:
    """Letters of a mathematical alphabet, which MathML Core has as characters only."""
    name = _FONTS.get(font)
    return text if name is None else "".join(_letter(char, name) for char in text)


def _letter(char: str, font: str) -> str:
    if not (char.isascii() and char.isalpha()):
        return char
    case = "CAPITAL" if char.isupper() else "SMALL"
    for prefix, style in (("MATHEMATICAL ", font), ("", "BLACK-LETTER" if font == "FRAKTUR" else font)):
        try:
            return unicodedata.lookup(f"{prefix}{style} {case} {char.upper()}")
        except KeyError:
            continue
    return char
