"""Text and endings found on tokens: the same as decoding everything and searching the text."""

from __future__ import annotations

import random

import pytest
from tiny_models import VOCAB, tokenizer
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from reason.policies.vocabulary import Vocabulary, ending
from reason.types import Finish


def vocabulary() -> Vocabulary:
    return Vocabulary(tokenizer(), VOCAB, {0})


def test_incremental_text_adds_up_to_the_whole() -> None:
    words, whole = vocabulary(), tokenizer()
    rng = random.Random(0)
    euro = whole.encode("7 €\n\nAnswer: é ∑")
    for trial in range(200):
        tokens = euro if trial < 20 else [rng.randrange(1, VOCAB) for _ in range(30)]
        cuts = sorted(rng.sample(range(1, len(tokens)), 4))
        text, before = "", []
        for start, end in zip([0, *cuts], [*cuts, len(tokens)], strict=True):
            text += words.text(before, tokens[start:end])
            before = tokens[:end]
        assert whole.decode(tokens).startswith(text)
        assert set(whole.decode(tokens)[len(text) :]) <= {"\ufffd"}  # an incomplete last character


def test_watched_tokens_are_exactly_those_that_can_end_a_string() -> None:
    words = vocabulary()
    rng = random.Random(1)
    for string in ("\n", "= ", "Answer:", "\n\n", "€"):
        ends = words.ends((string,), ())
        assert ends.watch[0]
        for _ in range(300):
            tokens = [rng.randrange(1, VOCAB) for _ in range(6)]
            was, now = (words.text([], tokens[:size]) for size in (5, 6))
            if now.count(string) > was.count(string):
                assert ends.watch[tokens[-1]]
    assert not words.ends((), ()).watch[1:].any()


@pytest.mark.parametrize(
    ("earlier", "text", "expected"),
    [
        ("", "4 + 4\n", (Finish.STEP, "4 + 4\n")),
        ("", "4 + 4\n8", (Finish.STEP, "4 + 4\n8")),
        ("", "\n", None),
        ("x\n", " \n", None),
        ("x\n", " \ny\n", (Finish.STEP, " \ny\n")),
        ("", "4 + 4", None),
        ("", "4 END 5\n", (Finish.STOP, "4 ")),
        ("4 E", "ND 5", (Finish.STOP, "")),
        ("4 EN", "E", None),
    ],
)
def test_endings(earlier: str, text: str, expected: tuple[Finish, str] | None) -> None:
    assert ending(vocabulary().ends(("\n",), ("END",)), earlier, text) == expected


def test_a_boundary_that_a_length_limit_split_still_ends_the_step() -> None:
    ends = vocabulary().ends(("\n\n",), ())
    assert ending(ends, "a line\n", "\n") == (Finish.STEP, "\n")
    assert ending(ends, "a line\n\n", "\n\n") is None


def test_a_stop_string_that_is_a_special_token_ends_as_that_token() -> None:
    words = tokenizer()
    ends = Vocabulary(words, VOCAB, set()).ends((), ("<eos>",))
    assert ends.eos == {words.eos_token_id}


def _metaspace() -> PreTrainedTokenizerFast:
    pieces = ["<unk>", "</s>", "\u2581a", "b", "\u2581", "<0xE2>", "<0x82>", "<0xAC>", "<0x0A>"]
    backend = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True))
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence(steps)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


def test_sentencepiece_bytes_and_spaces() -> None:
    words = Vocabulary(_metaspace(), 9, {1})
    assert words.text([], [2, 3, 5, 6]) == " ab"
    assert words.text([2, 3, 5, 6], [7, 8, 1]) == "\u20ac\n"
    assert words.ends(("\n",), ()).watch.tolist() == [False, True, *[False] * 6, True]


def test_other_tokenizers_are_decoded_whole() -> None:
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "</s>": 1, "one": 2, "two": 3, "\n": 4}, unk_token="[UNK]"))
    words = Vocabulary(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>"), 5, {1})
    assert words.pieces is None
    assert words.text([2], [3, 2]) == " two one"
    assert words.ends(("\n",), ()).watch.all()
