"""Token batches for the bundled models: whole word problems, and packs of single equation lines.

Every batch is a function of (seed, step). Problems of one chunk are sorted by length before they are cut into batches,
so that little is padded; right padding needs no mask under causal attention.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from reason.evals.tasks.word_problems import LARGEST, WordProblem, generate

END = "<|end|>"
END_ID = 0
CHUNK_BATCHES = 32


def train_tokenizer(problems: Sequence[WordProblem], vocabulary: int) -> Tokenizer:
    """Byte-level BPE in which every digit is a token of its own (with or without the space before it)."""
    tokenizer = Tokenizer(models.BPE())
    words = Regex(r" ?\p{L}+| ?\d| ?[^\s\p{L}\d]|\n|\s")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((f"{p.question}\n{p.solution}" for p in problems), trainer)
    return tokenizer


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids and what is learned at each position.

    Attributes:
        ids: [batch, length] token ids, right-padded with the end token.
        lm: [batch, length] whether predicting this token (from the ones before it) is trained.
        values: [batch, length] target value in [0, 1] at this position, NaN where there is none.
        solution: [batch, length] whether the token belongs to the solution.
    """

    ids: Tensor
    lm: Tensor
    values: Tensor
    solution: Tensor


Row: TypeAlias = tuple[list[int], list[bool], list[float], int]
MakeRow: TypeAlias = Callable[[Tokenizer, random.Random, WordProblem], Row]
NONE = float("nan")


def collate(rows: Sequence[Row]) -> Batch:
    """Pad rows of (ids, lm mask, values, first token of the solution) to one batch."""
    length = max(len(row[0]) for row in rows)
    ids = torch.full((len(rows), length), END_ID)
    lm = torch.zeros((len(rows), length), dtype=torch.bool)
    values = torch.full((len(rows), length), NONE)
    solution = torch.zeros((len(rows), length), dtype=torch.bool)
    for i, (row_ids, row_lm, row_values, start) in enumerate(rows):
        solution[i, start : len(row_ids)] = True
        ids[i, : len(row_ids)] = torch.tensor(row_ids)
        lm[i, : len(row_ids)] = torch.tensor(row_lm)
        values[i, : len(row_ids)] = torch.tensor(row_values)
    return Batch(ids, lm, values, solution)


class ProblemBatches:
    """Batches of whole problems.

    Args:
        tokenizer: Spells them.
        seed: The stream of problems.
        batch: Rows of a batch.
        make: A problem's row, from (tokenizer, random generator, problem): such as `solution_row`.
    """

    def __init__(self, tokenizer: Tokenizer, *, seed: int, batch: int, make: MakeRow) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.batch = batch
        self.make = make
        self._chunk = lru_cache(maxsize=2)(self._make_chunk)

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        return self._chunk(step // CHUNK_BATCHES)[step % CHUNK_BATCHES]

    def _make_chunk(self, chunk: int) -> list[Batch]:
        size = self.batch * CHUNK_BATCHES
        problems = [generate("train", self.seed, chunk * size + i) for i in range(size)]
        rng = random.Random(f"rows/{self.seed}/{chunk}")
        rows = sorted((self.make(self.tokenizer, rng, p) for p in problems), key=lambda row: len(row[0]))
        batches = [collate(rows[i : i + self.batch]) for i in range(0, size, self.batch)]
        random.Random(f"chunk/{self.seed}/{chunk}").shuffle(batches)
        return batches


def solution_row(tokenizer: Tokenizer, rng: random.Random, problem: WordProblem, *, results: float = 1.0) -> Row:
    """A problem whose solution is learned token by token, and of a line's result only this share."""
    prompt = tokenizer.encode(problem.question + "\n").ids
    ids, lm = list(prompt), [False] * len(prompt)
    for line in problem.lines:
        head, tail = line.split("=")
        for text, trained in ((head + "=", True), (tail + "\n", rng.random() < results)):
            tokens = tokenizer.encode(text).ids
            ids += tokens
            lm += [trained] * len(tokens)
    last = [*tokenizer.encode(f"Answer: {problem.answer}").ids, END_ID]
    return ids + last, lm + [True] * len(last), [NONE] * (len(ids) + len(last)), len(prompt)


def random_equation(rng: random.Random) -> tuple[int, str, int, int]:
    """Operands, operator and result with the ranges that word problems have."""
    operator = rng.choice("+-*/")
    if operator == "+":
        right = rng.randint(2, 300)
        left = rng.randint(2, LARGEST - right)
        return left, operator, right, left + right
    if operator == "-":
        left = rng.randint(4, LARGEST)
        right = rng.randint(2, min(left - 1, 300))
        return left, operator, right, left - right
    small = rng.randint(2, 12)
    large = rng.randint(2, LARGEST // small) if rng.random() < 0.6 else rng.randint(2, min(40, LARGEST // small))
    if operator == "*":
        left, right = (small, large) if rng.random() < 0.5 else (large, small)
        return left, operator, right, small * large
    small = min(small, 9)
    return small * large, operator, small, large


def equation_batch(tokenizer: Tokenizer, *, seed: int, step: int, batch: int, lines: int = 10) -> Batch:
    """Packs of single equation lines, of which the results are learned: many more examples a second than problems."""
    rng = random.Random(f"equations/{seed}/{step}")
    texts: list[str] = []
    for _ in range(batch * lines):
        left, operator, right, result = random_equation(rng)
        texts += [f"{left} {operator} {right} =", f" {result}\n"]
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    rows: list[Row] = []
    for r in range(batch):
        ids: list[int] = []
        lm: list[bool] = []
        for k in range(r * lines, (r + 1) * lines):
            head, tail = encoded[2 * k], encoded[2 * k + 1]
            ids += head + tail
            lm += [False] * len(head) + [True] * len(tail)
        rows.append((ids, lm, [NONE] * len(ids), 1))
    return collate(rows)
