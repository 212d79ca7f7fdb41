r"""Finding the final answer in what a model wrote.

Text before the last `</think>` is dropped; then, in this order:

1. the last balanced `\boxed{…}`; boxes that stand together ("`\boxed{1}` and `\boxed{2}`") are one list; a "final
   answer is X" written after the box replaces it;
2. the last "answer is X" or "Answer: X";
3. the last `#### X`;
4. a text that is nothing but an answer;
5. the last math span or number of the text, whichever ends later. Inline math must stand on one line; a number inside
   a LaTeX argument is not a number of the text, and LaTeX without delimiters counts after "is" or "=" only.

Strict mode accepts a box only. Every scan is linear; only the last 20,000 characters are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reason.answers.latex import is_word

SCANNED = 20_000
LONGEST_ANSWER = 4_096
LONGEST_GAP = 48
MOST_BOXES = 64


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

_BOX = re.compile(r"\\?(?:begin)?f?boxed\s*(?=\{)|\\framebox\s*(?=\{)|\\fbox\s*(?=\{)")
_MARKER = re.compile(
    r"\banswers?\b\**(?:\s*\([^()\n]{0,30}\))?\s*(?:is|are|=|:|would be|must be)\**(?:\s*:)?"
    r"|\bthe answer to (?:the|this) \w+ is|\b(?:correct|right|best) (?:option|choice) (?:is|:)"
    r"|答案(?:是|为|：|:)?|réponse(?: est| :|:)?",
    re.IGNORECASE,
)
_FINAL = re.compile(r"final answer(?: is)?\s*:?\**\s*", re.IGNORECASE)
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_AMOUNT = (
    r"(?:\d{1,3}(?:(?:,\d{3})+(?!\d)|(?:[ \u00a0\u202f]\d{3})+(?!\d))(?:\.\d+)?|\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?|\.\d+)"
)
_NUMBER = re.compile(
    rf"(?<![A-Za-z0-9_.,\\{{^])(?:(?<![)\]])[-−])?[$€£¥]?(?:(?<=[$€£¥])[ ]?)?{_AMOUNT}(?:\s?/\s?\d+(?:\.\d+)?)?"
    r"(?:\s?(?:\\?%|percent\b))?(?![\d}])"
)
_MATH = re.compile(
    r"\$\$(?P<display>[^$]+)\$\$|\\\[(?P<bracket>.{1,4000}?)\\\]|\\\((?P<paren>[^\n]{1,4000}?)\\\)"
    r"|(?<!\\)\$(?P<inline>(?:\\.|[^$\n\\])+)\$",
    re.DOTALL,
)
_BROKEN = re.compile(r"(?<![\\$])\$[ \t]*\n[^$\n]{0,80}\n[ \t]*\$(?!\$)|\\\([ \t]*\n[^\n]{0,80}\n[ \t]*\\\)")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$|[\"'*<]|[A-Z][a-z])|\n|<\||</?s>")
_STARTS = re.compile(r"(?:[-+−±(\[{]\s*)*(?:[$€£¥\\]|\.?\d|[A-Za-z](?:$|[\s,.;:=^_(<>+*/-](?![a-z]{2}))|\\)")
_WORD = re.compile(r"(?<![\w\\])[A-Za-z][a-z]+(?:'[a-z]+)?(?![\w({^])")
_NOT_PROSE = frozenset("and or sin cos tan cot sec csc log ln exp sqrt pi max min mod gcd lcm inf infty".split())
_VERB = re.compile(r"\s(?:is|are|equals|be|was|were|gives|get)\s+(?:exactly|equal to|approximately|about|only)?\s*")
_PROSE = re.compile(
    r"[,;]?\s+(?:because|since|as|which|so|for|when|where|after|before|in total|if|but|that|with|from|each|per|left"
    r"|more)\b.*|\s+\((?=[a-z]{2}).*"
)
_BARE = re.compile(
    r"(?:\b(?:is|are|be|equals|get)\b|[=:])\s*(?P<bare>[-+]?\d*\\(?:[dtc]?frac|sqrt|pi)\b[^\n.!?$]{0,200})"
)
_FOREIGN = re.compile(r"[\u0400-\u1fff\u3040-\ud7ff]")
_CHOICE = re.compile(r"\(?([A-J])(?:\)?[,.;:]|\))\s+\w|\(?([A-J])\)?\s+(?:because|since|as)\b")
_PERCENT = re.compile(r"\s*(?:\$|\\\))?\s*(?:\\?%|percent\b|pct\b)")


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
    if thought >= 0:
        start = max(start, thought + len("</think>"))
    body = text[start:]
    found = _boxed(body, strict)
    if found is None and not strict:
        found = _marked(body) or _hashed(body) or _whole(body) or _last(body)
    if found is None or not found.answer:
        return NOTHING
    return Extracted(found.answer, found.method, (found.span[0] + start, found.span[1] + start))


def answer_of(text: str) -> str | None:
    """The final answer of a solution, or None."""
    return extract(text).answer


def _boxed(text: str, strict: bool) -> Extracted | None:
    if "box" not in text:
        return None
    matches = list(_BOX.finditer(text))
    if not matches:
        return None
    boxes: list[tuple[int, int, int]] = []
    for match in reversed(matches[-MOST_BOXES:]):
        closed = closing_brace(text, match.end())
        if closed is None:
            if boxes:
                break
            continue
        if boxes and not _together(text[closed + 1 : boxes[-1][0]]):
            break
        boxes.append((match.start(), match.end() + 1, closed))
    if not boxes:
        opened = matches[-1].end() + 1
        end = text.find("\n", opened)
        return _trimmed(text, opened, len(text) if end < 0 else end, "boxed")
    later = None if strict else _final(text, boxes[0][2])
    return later or _joined(text, boxes[::-1])


def _joined(text: str, boxes: list[tuple[int, int, int]]) -> Extracted | None:
    contents = [_trimmed(text, start, end, "boxed") for _, start, end in boxes]
    answers = list(dict.fromkeys(found.answer for found in contents if found is not None and found.answer))
    if not answers:
        return NOTHING
    answer = ", ".join(answers)
    if len(boxes) == 1 and _PERCENT.match(text, boxes[0][2] + 1) and "%" not in answer:
        answer += r"\%"
    return Extracted(answer, "boxed", (boxes[0][1], boxes[-1][2]))


def _together(gap: str) -> bool:
    """Whether what stands between two boxes joins them into one list."""
    if len(gap) > LONGEST_GAP * 2 or re.search(r"\n\s*\n|\.\s", gap):
        return False
    gap = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", gap)
    gap = re.sub(r"\\q?quad|\\[()\[\],; ]|\$|[A-Za-z]\w*(?:_\{?\w+\}?)?\s*=\s*$", " ", gap).strip(" \\")
    words = re.findall(r"[^\s,;&+]+", gap)
    if not words:
        return True
    bare = {word.lower().strip("().") for word in words}
    return (
        len(gap) <= LONGEST_GAP and len(words) <= 4 and bool(bare & {"and", "or"}) and not bare & {"not", "but", "thus"}
    )


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


def _final(text: str, after: int) -> Extracted | None:
    """A "final answer is X" that follows the box and starts with an answer."""
    last = None
    for last in _FINAL.finditer(text, after):  # noqa: B007
        pass
    if last is None or _BOX.search(text, last.end()) or not _STARTS.match(text, last.end()):
        return None
    return _sentence(text, last.end())


def _marked(text: str) -> Extracted | None:
    found = None
    for match in list(_MARKER.finditer(text))[-MOST_BOXES:]:
        found = _sentence(text, match.end()) or found
    return found


def _sentence(text: str, start: int) -> Extracted | None:
    """The answer in the sentence that begins here."""
    while start < len(text) and text[start] in " \t\n\r*:\"'`“”’":
        start += 1
    math = _MATH.match(text, start)
    from_here = math.end() if math else start
    stop = _SENTENCE_END.search(text, from_here)
    end = stop.start() if stop else len(text)
    if end <= start:
        return None
    if math:
        return _spans(text, start, end)
    choice = _CHOICE.match(text, start, end)
    if choice:
        group = choice.lastindex or 1
        return Extracted(choice[group], "marker", choice.span(group))
    if _STARTS.match(text, start, end):
        return _leading(text, start, end)
    verb = None
    for verb in _VERB.finditer(text, start, end):  # noqa: B007
        pass
    if verb is not None and _STARTS.match(text, verb.end(), end):
        math = _MATH.match(text, verb.end(), end)
        return _spans(text, verb.end(), end) if math else _leading(text, verb.end(), end)
    if len(text[start:end].split()) > 6 or re.search(r"\d|\$", text[start:end]):
        found = _last(text[:end], start)
        if found is not None:
            return Extracted(found.answer, "marker", found.span)
        return None
    return _trimmed(text, start, end, "marker")


def _spans(text: str, start: int, end: int) -> Extracted | None:
    """Math spans from here on that are joined by commas, "and" or "or", with a percent sign after them."""
    parts: list[str] = []
    at = first = last = start
    while True:
        match = _MATH.match(text, at, max(end, at))
        if match is None:
            break
        group = match.lastgroup or "inline"
        first = match.start(group) if not parts else first
        last = match.end(group)
        parts.append(match[group].strip())
        gap = re.compile(r"\s*(?:,|;)?\s*(?:and|or)?\s*(?=\$|\\\()").match(text, match.end(), end)
        if gap is None or not gap[0].strip():
            break
        at = gap.end()
    percent = _PERCENT.match(text, at) if len(parts) == 1 and (at := last + 1) else None
    answer = ", ".join(part for part in parts if part) + (r"\%" if percent and "%" not in parts[0] else "")
    return Extracted(answer, "marker", (first, last)) if answer else None


def _leading(text: str, start: int, end: int) -> Extracted | None:
    """An answer at the start of a sentence, without the prose after it."""
    found = _trimmed(text, start, end, "marker")
    if found is None or found.answer is None:
        return None
    number = _NUMBER.match(text, start, end)
    if number is None:
        return found
    rest = _PROSE.sub("", text[number.end() : end])
    if len(rest.split()) > 3 and _WORD.match(rest.strip()):
        rest = ""
    return _trimmed(text, start, number.end() + len(rest), "marker")


def _hashed(text: str) -> Extracted | None:
    last = None
    for last in _HASHES.finditer(text):  # noqa: B007
        pass
    return None if last is None else _trimmed(text, last.start(1), last.end(1), "hashes")


def _whole(text: str) -> Extracted | None:
    """A text that is nothing but an answer: no prose, or a few words and nothing else, or a number and its unit."""
    bare = text.strip()
    if not bare or len(bare) > 400:
        return None
    outside = re.sub(r"\\[a-z]+\s*\{[^{}]*\}|\$\$?[^$]*\$\$?|\\\(.*?\\\)|\\\[.*?\\\]", " ", bare)
    if _FOREIGN.search(outside) and re.search(r"\d", bare):
        return None
    words = [word for word in _WORD.findall(outside) if word.lower() not in _NOT_PROSE and is_word(word)]
    if words:
        number = _NUMBER.match(bare)
        numeric = re.search(r"\d|\$|\\", bare) is not None
        if "\n" in bare or len(words) > 4 or (numeric and not (number and len(words) <= 3)):
            return None
    return _trimmed(text, 0, len(text), "whole")


def _last(text: str, start: int = 0) -> Extracted | None:
    """The last math span or the last number outside math, whichever ends later."""
    if "\n" in text:
        text = _BROKEN.sub(lambda match: " " * len(match[0]), text)
    math = None
    outside = start
    found = None
    for math in _MATH.finditer(text, start):
        found = _number(text, outside, math.start()) or found
        outside = math.end()
        group = math.lastgroup or "inline"
        inner = _trimmed(text, math.start(group), math.end(group), "math")
        if inner is not None:
            percent = _PERCENT.match(text, outside) if "%" not in (inner.answer or "") else None
            found = Extracted(f"{inner.answer}\\%", "math", inner.span) if percent else inner
    found = _number(text, outside, len(text)) or found
    bare = None
    for bare in _BARE.finditer(text, outside):  # noqa: B007
        pass
    if bare is None or (found is not None and found.span[0] > bare.start("bare")):
        return found
    end = bare.start("bare") + len(_PROSE.sub("", bare["bare"]))
    return _trimmed(text, bare.start("bare"), end, "math")


def _number(text: str, start: int, end: int) -> Extracted | None:
    last = None
    for last in _NUMBER.finditer(text, start, end):  # noqa: B007
        pass
    return None if last is None else _trimmed(text, last.start(), last.end(), "number")


def _trimmed(text: str, start: int, end: int, method: str) -> Extracted | None:
    while start < end and text[start] in ' \t\r\n*`"“”':
        start += 1
    while end > start and text[end - 1] in ' \t\r\n*`"“”':
        end -= 1
    return Extracted(text[start:end], method, (start, end)) if start < end else None
