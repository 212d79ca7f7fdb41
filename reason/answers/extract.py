r"""Finding the final answer in what a model wrote.

Text before the last `</think>` is dropped; then, in this order: the last balanced `\boxed{…}` (boxes that stand together, "`\boxed{1}` and
`\boxed{2}`", are one list); the last "answer is …" or "Answer: …"; the last `#### …`; a text that is nothing but an answer;
the last math span or number, whichever ends later. Strict mode accepts a box only. Every scan is linear in the text's
length; only its last 20,000 characters are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SCANNED = 20_000
LONGEST_ANSWER = 4_096


@dataclass(frozen=True, slots=True)
class Extracted:
    """An answer found in a text.

    Attributes:
        answer: The answer as written, or None.
        method: "boxed", "marker", "hashes", "whole", "math", "number" or "none".
        span: Start and end of the answer in the text, in characters; (0, 0) for none.
    """

    answer: str | None
    method: str
    span: tuple[int, int] = (0, 0)


NOTHING = Extracted(None, "none")

_BOX = re.compile(r"\\?(?:begin)?[fd]?boxed\s*(?=[{])|\\framebox\s*(?=[{])")
_MARKER = re.compile(
    r"(?:final\s+answer|correct\s+answer|answer|result|solution)\s*\**\s*(?:is|are|=|:|：|为|是)(?:\s*:)?|答案(?:是|为|：|:)?",
    re.IGNORECASE,
)
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_NUMBER_BODY = (
    r"\d{1,3}(?:(?:,\d{3})+|(?:[ \u00a0\u202f]\d{3})+(?!\d))(?:\.\d+)?|\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?|\.\d+"
)
_NUMBER = re.compile(
    rf"(?<![\w.,\\{{])(?:[-+−]\s?)?[$€£¥]?\s?(?:{_NUMBER_BODY})(?:\s?/\s?\d+(?:\.\d+)?)?(?:\s?(?:\\?%|percent\b))?(?![\d}}])"
)
_MATH = re.compile(
    r"\$\$(?P<display>[^$]+)\$\$|\\\[(?P<bracket>.+?)\\\]|\\\((?P<paren>[^\n]+?)\\\)|(?<!\\)\$(?P<inline>(?:\\.|[^$\n\\])+)\$",
    re.DOTALL,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$|[\"'*])|\n|<\|")


def extract(text: str, *, strict: bool = False) -> Extracted:
    r"""The final answer of a solution.

    Args:
        text: What the model wrote.
        strict: Accept only a `\boxed{…}`.

    Returns:
        The answer as written, how it was found and where; `answer` is None when there is none.
    """
    start = max(0, len(text) - SCANNED)
    thought = text.rfind("</think>")
    if thought >= start:
        start = thought + len("</think>")
    body = text[start:]
    found = _boxed(body)
    if found is None and not strict:
        found = _marked(body) or _hashed(body) or _whole(body) or _last(body)
    if found is None:
        return NOTHING
    answer = found.answer
    if answer is None or not answer.strip():
        return NOTHING
    return Extracted(answer, found.method, (found.span[0] + start, found.span[1] + start))


def answer_of(text: str) -> str | None:
    """The final answer of a solution, or None."""
    return extract(text).answer


def _boxed(text: str) -> Extracted | None:
    if "boxed" not in text and "framebox" not in text:
        return None
    boxes: list[tuple[int, int, int]] = []
    unclosed: int | None = None
    for match in _BOX.finditer(text):
        opened = match.end()
        closed = closing_brace(text, opened)
        if closed is None:
            unclosed = opened + 1
            break
        boxes.append((match.start(), opened + 1, closed))
    if not boxes:
        if unclosed is None:
            return None
        end = text.find("\n", unclosed)
        return _trimmed(text, unclosed, len(text) if end < 0 else end, "boxed")
    return _trimmed(text, boxes[-1][1], boxes[-1][2], "boxed")


def closing_brace(text: str, opened: int) -> int | None:
    """Index of the brace that closes the one at `opened`, or None."""
    depth = 0
    index = opened
    end = min(len(text), opened + LONGEST_ANSWER)
    while index < end:
        character = text[index]
        if character == "\\":
            index += 2
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return None


def _marked(text: str) -> Extracted | None:
    last = None
    for match in _MARKER.finditer(text):
        last = match
    if last is None:
        return None
    start = last.end()
    stop = _SENTENCE_END.search(text, start)
    end = stop.start() if stop else len(text)
    return _trimmed(text, start, end, "marker")


def _hashed(text: str) -> Extracted | None:
    last = None
    for match in _HASHES.finditer(text):
        last = match
    return None if last is None else _trimmed(text, last.start(1), last.end(1), "hashes")


def _whole(text: str) -> Extracted | None:
    if len(text) > 200 or "\n" in text.strip() or re.search(r"[A-Za-z]{2,}\s+[A-Za-z]{2,}", text):
        return None
    return _trimmed(text, 0, len(text), "whole")


def _last(text: str) -> Extracted | None:
    math = number = None
    for math in _MATH.finditer(text):
        pass
    for number in _NUMBER.finditer(text):
        pass
    if math is not None and (number is None or number.end() <= math.end()):
        group = math.lastgroup or "inline"
        return _trimmed(text, math.start(group), math.end(group), "math")
    if number is not None:
        return _trimmed(text, number.start(), number.end(), "number")
    return None


def _trimmed(text: str, start: int, end: int, method: str) -> Extracted:
    while start < end and (text[start].isspace() or text[start] == "*"):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] in "*"):
        end -= 1
    return Extracted(text[start:end], method, (start, end))
