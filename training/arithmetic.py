"""Token batches for the bundled models: whole word problems, and packs of single equation lines with planted errors.

Every batch is a function of (seed, step). Problems of one chunk are sorted by length before they are cut into batches,
so that little is padded; right padding needs no mask under causal attention.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    """

    ids: Tensor
    lm: Tensor
    values: Tensor


Row = tuple[list[int], list[bool], list[float]]
NONE = float("nan")


def collate(rows: Sequence[Row]) -> Batch:
    """Pad rows of (ids, lm mask, values) to one batch."""
    length = max(len(ids) for ids, _, _ in rows)
    ids = torch.full((len(rows), length), END_ID)
    lm = torch.zeros((len(rows), length), dtype=torch.bool)
    values = torch.full((len(rows), length), NONE)
    for i, (row_ids, row_lm, row_values) in enumerate(rows):
        ids[i, : len(row_ids)] = torch.tensor(row_ids)
        lm[i, : len(row_ids)] = torch.tensor(row_lm)
        values[i, : len(row_ids)] = torch.tensor(row_values)
    return Batch(ids, lm, values)


class ProblemBatches:
    """Batches of whole problems: the language-model target is the solution and the end token.

    With `checked`, half of the solutions hold a planted error and every line end has a value (`checked_row`).
    """

    def __init__(self, tokenizer: Tokenizer, *, seed: int, batch: int, checked: bool = False) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.batch = batch
        self.checked = checked
        self._chunk = lru_cache(maxsize=2)(self._make_chunk)

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        return self._chunk(step // CHUNK_BATCHES)[step % CHUNK_BATCHES]

    def _make_chunk(self, chunk: int) -> list[Batch]:
        size = self.batch * CHUNK_BATCHES
        problems = [generate("train", self.seed, chunk * size + i) for i in range(size)]
        rng = random.Random(f"corrupt/{self.seed}/{chunk}")
        make = (lambda p: checked_row(self.tokenizer, rng, p)) if self.checked else self._row
        rows = sorted((make(problem) for problem in problems), key=lambda row: len(row[0]))
        batches = [collate(rows[i : i + self.batch]) for i in range(0, size, self.batch)]
        random.Random(f"chunk/{self.seed}/{chunk}").shuffle(batches)
        return batches

    def _row(self, problem: WordProblem) -> Row:
        prompt = self.tokenizer.encode(problem.question + "\n").ids
        solution = [*self.tokenizer.encode(problem.solution).ids, END_ID]
        ids = prompt + solution
        return ids, [False] * len(prompt) + [True] * len(solution), [NONE] * len(ids)


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


def plant_error(rng: random.Random, result: int) -> int:
    """A wrong result of the kinds that models make: a digit changed, off by a small number, by ten or by a hundred."""
    while True:
        kind = rng.random()
        if kind < 0.5:
            digits = list(str(result))
            digits[rng.randrange(len(digits))] = rng.choice("0123456789")
            wrong = int("".join(digits))
        elif kind < 0.75:
            wrong = result + rng.choice((-10, 10, -20, 20, -100, 100))
        else:
            wrong = result + rng.choice((-3, -2, -1, 1, 2, 3, -9, 9, 11, -11))
        if wrong != result and wrong >= 1:
            return wrong


def equation_batch(
    tokenizer: Tokenizer, *, seed: int, step: int, batch: int, lines: int = 10, wrong_share: float = 0.5
) -> Batch:
    """Packs of single equation lines, some of them wrong; the value at each line's end says which.

    The language-model target is the result of the right lines: a model that predicts results knows the wrong ones.
    """
    rng = random.Random(f"equations/{seed}/{step}")
    equations = [(random_equation(rng), rng.random() < wrong_share) for _ in range(batch * lines)]
    texts: list[str] = []
    for (left, operator, right, result), wrong in equations:
        texts.append(f"{left} {operator} {right} =")
        texts.append(f" {plant_error(rng, result) if wrong else result}\n")
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    rows: list[Row] = []
    for r in range(batch):
        ids: list[int] = []
        lm: list[bool] = []
        values: list[float] = []
        for k in range(r * lines, (r + 1) * lines):
            wrong = equations[k][1]
            head, tail = encoded[2 * k], encoded[2 * k + 1]
            ids += head + tail
            lm += [False] * len(head) + [not wrong] * len(tail)
            values += [NONE] * (len(head) + len(tail) - 1) + [0.0 if wrong else 1.0]
        rows.append((ids, lm, values))
    return collate(rows)


def corrupt(rng: random.Random, problem: WordProblem) -> tuple[list[str], int]:
    """A solution with one planted error, carried on consistently after it.

    Most errors are a wrong result on a right line; the others are a wrong operand, a wrong operator or a skipped line.

    Returns:
        The lines, the answer line included, and the index of the first wrong one. Lines after an error end where the
        story cannot go on in whole numbers.
    """
    parsed = [line.split() for line in problem.lines]
    at = rng.randrange(len(parsed))
    replaced: dict[int, int] = {}
    lines: list[str] = []
    kind = rng.random()
    result = 0
    for k, (left_text, operator, right_text, _, result_text) in enumerate(parsed):
        old = int(result_text)
        left, right = (replaced.get(int(text), int(text)) for text in (left_text, right_text))
        if k == at and 0.7 <= kind < 0.8 and k + 1 < len(parsed):
            replaced[old] = left
            continue
        if k == at and 0.8 <= kind < 0.9:
            right = plant_error(rng, right)
        if k == at and kind >= 0.9:
            operator = rng.choice([o for o in "+-*/" if o != operator])
        if operator == "/" and (right == 0 or left % right):
            break
        result = {"+": left + right, "-": left - right, "*": left * right, "/": left // max(right, 1)}[operator]
        if k == at and (kind < 0.7 or (kind < 0.8 and k + 1 == len(parsed))):
            result = plant_error(rng, max(result, 1))
        if not 1 <= result <= 9999:
            break
        if result != old:
            replaced[old] = result
        lines.append(f"{left} {operator} {right} = {result}")
    else:
        lines.append(f"Answer: {result}")
    return lines, min(at, len(lines))


def checked_row(tokenizer: Tokenizer, rng: random.Random, problem: WordProblem) -> Row:
    """A problem with a right or (half the time) corrupted solution, valued at the end of every line."""
    lines, wrong_from = [*problem.solution.split("\n")], len(problem.lines) + 1
    if rng.random() < 0.5:
        lines, wrong_from = corrupt(rng, problem)
    prompt = tokenizer.encode(problem.question + "\n").ids
    ids, lm, values = list(prompt), [False] * len(prompt), [NONE] * len(prompt)
    for k, line in enumerate(lines):
        ended = line.startswith("Answer")
        tokens = [*tokenizer.encode(line).ids, END_ID] if ended else tokenizer.encode(line + "\n").ids
        right = k < wrong_from
        ids += tokens
        lm += [right] * len(tokens)
        values += [NONE] * (len(tokens) - 1) + [1.0 if right else 0.0]
    return ids, lm, values
