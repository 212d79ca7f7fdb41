"""Tokens as bytes: exact incremental text, and which tokens can end a step or a solution.

For byte-level BPE and SentencePiece vocabularies every token is a byte string, so the text of a run of tokens is their
concatenation, and a character that is not complete yet waits for the next token. A table over the vocabulary says
which tokens could complete a given string; only those are looked at when they are sampled. Other tokenizers are
decoded as a whole.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reason.types import Finish


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends an extension: `watch[token]` is False where the token cannot end it."""

    step_end: tuple[str, ...]
    stop: tuple[str, ...]
    eos: frozenset[int]
    watch: NDArray[np.bool_]


class Vocabulary:
    """Text of tokens, for one tokenizer.

    Args:
        tokenizer: A Hugging Face tokenizer.
        size: Width of the model's logits.
        eos: Tokens that end a solution.
    """

    def __init__(self, tokenizer: Any, size: int, eos: Iterable[int]) -> None:
        self.tokenizer, self.size, self.eos = tokenizer, size, frozenset(eos)
        self.special = frozenset(getattr(tokenizer, "all_special_ids", ())) | self.eos
        self.pieces = _pieces(tokenizer, size, self.special)
        self._ends: dict[tuple[tuple[str, ...], tuple[str, ...]], Ends] = {}

    def ends(self, step_end: tuple[str, ...], stop: tuple[str, ...]) -> Ends:
        """The table for these boundaries. A stop string that is a special token ends the solution as that token."""
        key = (step_end, stop)
        if key not in self._ends:
            by_text = {self.tokenizer.convert_ids_to_tokens(token): token for token in self.special}
            eos = self.eos | {by_text[text] for text in stop if text in by_text}
            watch = np.zeros(self.size, dtype=np.bool_)
            watch[[token for token in eos if token < self.size]] = True
            if self.pieces is None:
                watch |= bool(step_end or stop)
            else:
                ends = [text.encode() for text in (*step_end, *stop)]
                for token, piece in enumerate(self.pieces):
                    watch[token] |= any(_may_complete(piece, end) for end in ends)
            self._ends[key] = Ends(step_end, stop, eos, watch)
        return self._ends[key]

    def text(self, before: Sequence[int], tokens: Sequence[int]) -> str:
        """What `tokens` add to the text of `before`; an incomplete last character waits for the token that ends it."""
        if self.pieces is None:
            return self._whole([*before, *tokens])[len(self._whole(before)) :]
        pieces = self.pieces
        tail = b"".join(pieces[token] for token in before[-16:])
        added = b"".join(pieces[token] for token in tokens)
        return _decode(_pending(tail) + added)

    def tail(self, before: Sequence[int], tokens: Sequence[int], kept: str) -> int:
        """How many of the last `tokens` add nothing to `kept`, which their text begins with."""
        size = len(tokens)
        while size and len(self.text(before, tokens[: size - 1])) >= len(kept):
            size -= 1
        return len(tokens) - size

    def _whole(self, tokens: Sequence[int]) -> str:
        shown = [token for token in tokens if token not in self.special]
        text: str = self.tokenizer.decode(shown, clean_up_tokenization_spaces=False) if shown else ""
        return text.rstrip("\ufffd")


def ending(ends: Ends, earlier: str, text: str) -> tuple[Finish, str] | None:
    """Whether `text` (after `earlier`) ended, and the text to keep.

    A stop string is cut, even where it began in the text before. A step boundary counts once the step holds something
    other than white space before it, so blank lines never make a step; the whole of `text` is kept.
    """
    cut = len(text) + 1
    for stop in ends.stop:
        tail = earlier[len(earlier) - min(len(earlier), len(stop) - 1) :]
        at = (tail + text).find(stop)
        if at >= 0:
            cut = min(cut, max(0, at - len(tail)))
    if cut <= len(text):
        return Finish.STOP, text[:cut]
    for end in ends.step_end:
        tail = "" if earlier.endswith(ends.step_end) else earlier[len(earlier) - min(len(earlier), len(end) - 1) :]
        whole = tail + text
        at = whole.find(end)
        while at >= 0:
            if at < len(tail) or whole[:at].strip():
                return Finish.STEP, text
            at = whole.find(end, at + 1)
    return None


def _may_complete(piece: bytes, end: bytes) -> bool:
    """Whether a token could bring `end` about: it holds it, or begins with what is left of it."""
    return bool(piece) and (end in piece or any(piece.startswith(end[i:]) for i in range(1, len(end))))


def _decode(data: bytes) -> str:
    return codecs.getincrementaldecoder("utf-8")(errors="replace").decode(data)


def _pending(data: bytes) -> bytes:
    """The incomplete character at the end, if any."""
    for size in range(1, min(3, len(data)) + 1):
        byte = data[-size]
        if byte < 0x80:
            return b""
        if byte >= 0xC0:
            return data[-size:] if _decode(data[-size:]) == "" else b""
    return b""


def _pieces(tokenizer: Any, size: int, special: frozenset[int]) -> list[bytes] | None:
    """Bytes of every token, special ones empty; None where the tokenizer is not made of byte strings."""
    kind = _kind(tokenizer)
    if kind is None:
        return None
    added = {int(token): str(entry) for token, entry in getattr(tokenizer, "added_tokens_decoder", {}).items()}
    known = len(tokenizer)
    names = tokenizer.convert_ids_to_tokens(list(range(min(size, known))))
    letters = _byte_letters()
    pieces = []
    for token in range(size):
        name = names[token] if token < len(names) else None
        if token in special or name is None:
            pieces.append(b"")
        elif token in added:
            pieces.append(added[token].encode())
        elif kind == "bytes":
            pieces.append(bytes(letters[letter] for letter in name if letter in letters))
        elif len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
            pieces.append(bytes([int(name[3:5], 16)]))
        else:
            pieces.append(name.replace("\u2581", " ").encode())
    return pieces


def _kind(tokenizer: Any) -> str | None:
    backend = getattr(tokenizer, "backend_tokenizer", None) or getattr(tokenizer, "_tokenizer", None)
    if backend is None or not hasattr(backend, "to_str"):
        return None
    decoder = json.loads(backend.to_str()).get("decoder") or {}
    steps = [step.get("type") for step in decoder.get("decoders", [decoder])]
    if "ByteLevel" in steps:
        return "bytes"
    return "sentencepiece" if "ByteFallback" in steps or "Metaspace" in steps else None


def _byte_letters() -> dict[str, int]:
    """GPT-2's printable letter for every byte, reversed."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {chr(byte): byte for byte in plain}
    others = [byte for byte in range(256) if byte not in set(plain)]
    letters.update({chr(256 + i): byte for i, byte in enumerate(others)})
    return letters
