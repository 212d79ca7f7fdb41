"""Grade-school word problems from a seeded generator, with their solutions.

A problem is a small story around one running quantity: a start, some events, perhaps sentences that do not matter, a
question. Its difficulty is the number of arithmetic steps, 1 to 8. A solution is one equation per line and the answer:

    4 * 12 = 48
    48 + 6 = 54
    Answer: 54

Every intermediate result is an integer between 1 and 999. A problem is a function of (split, seed, index) alone. Three
splits never meet: "train" and "test" draw from the same templates with different random streams; "templates" tells its
stories with sentences that no training problem holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from reason.answers import Verdict, equal, extract
from reason.types import Problem, UsageError

Split = Literal["train", "test", "templates"]
SPLITS: tuple[Split, ...] = ("test", "templates", "train")
SIZE = 500
MAX_STEPS = 8
LARGEST = 999

NAMES = tuple(
    "Ada Ben Cora Dan Eva Finn Gia Hugo Iris Jon Kim Leo Mia Ned Ola Pam Quinn Rosa Sam Tess Uma Vic Wanda Yan Zoe "
    "Anna Bill Clara Dora Emil".split(" ")
)
ITEMS = tuple(
    "apples pears coins stamps books cards shells eggs pens stones beads seeds nuts plums cakes buttons marbles roses "
    "lemons candles tickets cookies ribbons bricks".split(" ")
)
COLOURS = ["red", "blue", "green", "black", "white", "old", "new", "big", "small"]
HOLDERS = ["boxes", "bags", "jars", "crates", "baskets", "packs"]


@dataclass(frozen=True, slots=True)
class WordProblem:
    """One generated problem.

    Attributes:
        question: The story and its question.
        lines: The equations, one per step, such as `4 * 12 = 48`.
        answer: The final result.
    """

    question: str
    lines: tuple[str, ...]
    answer: int

    @property
    def solution(self) -> str:
        """The gold solution: the equations and the answer line."""
        return "\n".join((*self.lines, f"Answer: {self.answer}"))


# Each event holds sentences for training and test, then sentences kept for the "templates" split.
Sentences = tuple[tuple[str, ...], tuple[str, ...]]

START_PLAIN: Sentences = (
    ("{s} has {a} {i}.", "{s} starts with {a} {i}.", "There are {a} {i} on the table of {s}.", "{s} owns {a} {i}."),
    ("{s} begins the day with {a} {i}.", "On the shelf of {s} stand {a} {i}."),
)
START_PRODUCT: Sentences = (
    (
        "{s} has {a} {h} with {b} {i} in each.",
        "{s} fills {a} {h} with {b} {i} each.",
        "There are {a} {h} of {s}, and each holds {b} {i}.",
        "{s} buys {a} {h} of {b} {i}.",
        "{s} has {a} rows of {b} {i}.",
    ),
    ("Each of the {a} {h} of {s} holds {b} {i}.", "{s} packs {b} {i} into each of {a} {h}."),
)
START_SUM: Sentences = (
    (
        "{s} has {a} {c} {i} and {b} {d} {i}.",
        "{s} finds {a} {i} at home and {b} {i} at school.",
        "{s} brings {a} {i} and {f} brings {b}, and {s} looks after them all.",
        "{s} gets {a} {i} from {f} and {b} {i} from {g}.",
    ),
    ("On Monday {s} makes {a} {i} and on Tuesday {b} {i}.", "{f} hands {a} {i} to {s}, and {g} hands over {b}."),
)
START_MORE: Sentences = (
    (
        "{f} has {a} {i}. {s} has {b} more than {f}. {s} takes the {i} of both.",
        "{f} owns {a} {i} and {s} owns {b} more than that. {s} now keeps them all.",
    ),
    ("{s} has {b} {i} more than {f}, who has {a}. {s} gets all of them.",),
)
ADD: Sentences = (
    (
        "Then {s} buys {a} more.",
        "{f} gives {a} more to {s}.",
        "{s} finds another {a}.",
        "Next {s} adds {a} {i}.",
        "{s} wins {a} {i} in a game.",
        "Later {a} more {i} arrive.",
    ),
    ("A parcel with {a} further {i} comes in.", "{s} picks up {a} extra {i}."),
)
SUBTRACT: Sentences = (
    (
        "{s} gives {a} to {f}.",
        "Then {s} loses {a} of them.",
        "{s} sells {a} {i}.",
        "{f} takes {a} {i} away.",
        "After that {a} of the {i} break.",
        "{s} uses up {a} {i}.",
    ),
    ("A thief steals {a} {i}.", "{s} must hand {a} of them back to {f}."),
)
MULTIPLY: Sentences = (
    (
        "Then the number of {i} grows to {a} times as many.",
        "{s} trades them and gets {a} {i} for each one.",
        "A machine turns each of them into {a} {i}.",
        "Soon {s} has {a} times as many {i}.",
    ),
    ("By magic every single one becomes {a} {i}.", "The pile is now {a} times as big."),
)
DIVIDE: Sentences = (
    (
        "{s} splits them into {a} equal parts and keeps one part.",
        "{s} shares them equally among {a} people, and is one of them.",
        "They are put into {a} equal heaps, and only one heap is kept.",
        "{s} keeps just one of {a} equal shares.",
    ),
    ("{a} friends, {s} among them, divide them fairly.", "Only one in {a} of the {i} stays with {s}."),
)
ADD_PRODUCT: Sentences = (
    (
        "Then {s} buys {a} {h} with {b} {i} each.",
        "{f} brings {a} {h} of {b} {i} for {s}.",
        "For {a} days {s} gets {b} more each day.",
        "{a} friends give {b} {i} each to {s}.",
    ),
    ("From {a} aunts {s} receives {b} {i} apiece.", "{s} unpacks {a} more {h}, each with {b} {i}."),
)
SUBTRACT_PRODUCT: Sentences = (
    (
        "{s} gives {b} {i} to each of {a} friends.",
        "{s} sells {a} {h} of {b} {i}.",
        "For {a} days {s} uses {b} of them each day.",
        "{a} children take {b} {i} each.",
    ),
    ("At {a} doors {s} leaves {b} {i} each.", "{s} loses {b} {i} on each of {a} trips."),
)
ADD_DIFFERENCE: Sentences = (
    (
        "{f} has {a} {i}, keeps {b} and gives the rest to {s}.",
        "{s} orders {a} more, but {b} of these are bad and thrown away.",
    ),
    ("Of {a} {i} that {f} owns, all but {b} go to {s}.",),
)
DISTRACTOR: Sentences = (
    (
        "{f} is {n} years old.",
        "The trip takes {n} minutes.",
        "It is {n} degrees outside.",
        "{g} lives {n} miles away.",
        "The house has {n} windows.",
    ),
    ("The clock shows minute {n}.", "{g} weighs {n} kilos."),
)
QUESTION: Sentences = (
    (
        "How many {i} does {s} have now?",
        "How many {i} are there in the end?",
        "What is the number of {i} that {s} has at last?",
        "How many {i} are left with {s}?",
    ),
    ("With how many {i} does {s} end?", "Count the {i} of {s} now: how many?"),
)
PRICE_QUESTION: Sentences = (
    (
        "{s} sells each of them for {a} dollars. How many dollars does {s} get?",
        "Each one costs {a} dollars. How many dollars are they worth?",
    ),
    ("At {a} dollars apiece, what does {s} earn by selling all?",),
)


class _Story:
    """A problem in the making: sentences, equations and the running total."""

    def __init__(self, rng: random.Random, split: Split) -> None:
        self.rng = rng
        self.kept = 1 if split == "templates" else 0
        s, f, g = rng.sample(NAMES, 3)
        c, d = rng.sample(COLOURS, 2)
        self.words = {"s": s, "f": f, "g": g, "c": c, "d": d, "i": rng.choice(ITEMS), "h": rng.choice(HOLDERS)}
        self.sentences: list[str] = []
        self.lines: list[str] = []
        self.total = 0

    def say(self, sentences: Sentences, **numbers: int) -> None:
        self.sentences.append(self.rng.choice(sentences[self.kept]).format(**self.words, **numbers))

    def compute(self, left: int, operator: str, right: int) -> int:
        result = {"+": left + right, "-": left - right, "*": left * right, "/": left // right}[operator]
        self.lines.append(f"{left} {operator} {right} = {result}")
        return result


# An event returns False, having changed nothing, where the running total leaves it no room.
Event = Callable[[_Story], bool]


def _start_plain(story: _Story) -> bool:
    story.total = story.rng.randint(3, 120)
    story.say(START_PLAIN, a=story.total)
    return True


def _start_product(story: _Story) -> bool:
    a, b = story.rng.randint(2, 12), story.rng.randint(3, 40)
    story.say(START_PRODUCT, a=a, b=b)
    story.total = story.compute(a, "*", b)
    return True


def _start_sum(story: _Story) -> bool:
    a, b = story.rng.randint(3, 250), story.rng.randint(3, 250)
    story.say(START_SUM, a=a, b=b)
    story.total = story.compute(a, "+", b)
    return True


def _start_more(story: _Story) -> bool:
    a, b = story.rng.randint(3, 150), story.rng.randint(2, 150)
    story.say(START_MORE, a=a, b=b)
    more = story.compute(a, "+", b)
    story.total = story.compute(a, "+", more)
    return True


def _add(story: _Story) -> bool:
    room = LARGEST - story.total
    if room < 2:
        return False
    a = story.rng.randint(2, min(room, 300))
    story.say(ADD, a=a)
    story.total = story.compute(story.total, "+", a)
    return True


def _subtract(story: _Story) -> bool:
    if story.total < 4:
        return False
    a = story.rng.randint(2, min(story.total - 1, 300))
    story.say(SUBTRACT, a=a)
    story.total = story.compute(story.total, "-", a)
    return True


def _multiply(story: _Story) -> bool:
    most = min(9, LARGEST // story.total)
    if most < 2:
        return False
    a = story.rng.randint(2, most)
    story.say(MULTIPLY, a=a)
    story.total = story.compute(story.total, "*", a)
    return True


def _divide(story: _Story) -> bool:
    divisors = [a for a in range(2, 10) if story.total % a == 0 and story.total // a >= 2]
    if not divisors:
        return False
    a = story.rng.choice(divisors)
    story.say(DIVIDE, a=a)
    story.total = story.compute(story.total, "/", a)
    return True


def _add_product(story: _Story) -> bool:
    a, b = story.rng.randint(2, 9), story.rng.randint(2, 40)
    if story.total + a * b > LARGEST:
        return False
    story.say(ADD_PRODUCT, a=a, b=b)
    story.total = story.compute(story.total, "+", story.compute(a, "*", b))
    return True


def _subtract_product(story: _Story) -> bool:
    a, b = story.rng.randint(2, 9), story.rng.randint(2, 40)
    if story.total - a * b < 1:
        return False
    story.say(SUBTRACT_PRODUCT, a=a, b=b)
    story.total = story.compute(story.total, "-", story.compute(a, "*", b))
    return True


def _add_difference(story: _Story) -> bool:
    a = story.rng.randint(10, 200)
    b = story.rng.randint(2, a - 2)
    if story.total + a - b > LARGEST:
        return False
    story.say(ADD_DIFFERENCE, a=a, b=b)
    story.total = story.compute(story.total, "+", story.compute(a, "-", b))
    return True


STARTS: tuple[tuple[int, Event], ...] = ((0, _start_plain), (1, _start_product), (1, _start_sum), (2, _start_more))
EVENTS: tuple[tuple[int, Event], ...] = (
    (1, _add),
    (1, _subtract),
    (1, _multiply),
    (1, _divide),
    (2, _add_product),
    (2, _subtract_product),
    (2, _add_difference),
)


def _happen(story: _Story, events: Sequence[tuple[int, Event]], steps: int) -> None:
    """One event that takes at most the steps that are left."""
    left = steps - len(story.lines)
    fitting = [event for cost, event in events if cost <= left]
    while not story.rng.choice(fitting)(story):
        pass


def generate(split: Split, seed: int, index: int, *, steps: int | None = None) -> WordProblem:
    """The problem number `index` of a stream.

    Args:
        split: "train", "test" or "templates".
        seed: The stream.
        index: The position in the stream.
        steps: The difficulty, 1 to 8; None draws it uniformly.
    """
    rng = random.Random(f"word_problems/{split}/{seed}/{index}")
    wanted = rng.randint(1, MAX_STEPS) if steps is None else steps
    story = _Story(rng, split)
    price = wanted > 1 and rng.random() < 0.2
    _happen(story, STARTS, wanted)
    while len(story.lines) < wanted - price:
        if rng.random() < 0.12:
            story.say(DISTRACTOR, n=rng.randint(2, 60))
        _happen(story, EVENTS, wanted - price)
    if price and story.total <= LARGEST // 2:
        each = rng.randint(2, min(9, LARGEST // story.total))
        story.say(PRICE_QUESTION, a=each)
        story.total = story.compute(story.total, "*", each)
    else:
        if price:
            _happen(story, EVENTS, wanted)
        story.say(QUESTION)
    return WordProblem(" ".join(story.sentences), tuple(story.lines), story.total)


@dataclass(frozen=True, slots=True)
class WordProblems:
    """The generator as a task. Splits: "test" (the default), "templates" (unseen sentences), "train".

    Attributes:
        steps: Only problems of this difficulty, 1 to 8; None mixes them evenly.
    """

    steps: int | None = None
    name: str = "word_problems"
    answer_format: str = "line"
    checkable: bool = True
    splits: tuple[str, ...] = SPLITS

    def load(
        self, *, limit: int | None = None, seed: int = 0, data: str | None = None, split: str | None = None
    ) -> list[Problem]:
        """The first `limit` problems (500 by default) of the stream that `seed` names.

        Raises:
            UsageError: No such split, a limit below 1, or a data path (nothing is read from files).
        """
        chosen = next((known for known in SPLITS if known == (split or SPLITS[0])), None)
        if chosen is None:
            raise UsageError(f"word_problems has no split {split!r}: use one of {', '.join(SPLITS)}.")
        if limit is not None and limit < 1:
            raise UsageError(f"limit is {limit}: pass a positive number of problems, or leave it out for {SIZE}.")
        if data is not None:
            raise UsageError("word_problems are generated and read no file: leave --data out.")
        return [self._problem(chosen, seed, index) for index in range(SIZE if limit is None else limit)]

    def _problem(self, split: Split, seed: int, index: int) -> Problem:
        made = generate(split, seed, index, steps=self.steps)
        meta = {"steps": len(made.lines), "solution": made.solution}
        return Problem(f"word_problems/{split}/{seed}/{index}", made.question, str(made.answer), meta)

    def grade(self, problem: Problem, text: str) -> Verdict:
        """Grade a solution's text against the gold answer."""
        return equal(problem.answer, extract(text).answer)


TASK = WordProblems()
