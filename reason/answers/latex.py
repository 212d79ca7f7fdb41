r"""One surface form for the many ways an answer is written in LaTeX, Unicode and plain text, and its tokens.

`clean` removes dressing that carries no value (`$`, `\left`, `\displaystyle`, spacing, a final full stop) and maps
synonyms to one spelling; `tokenize` splits the result. A token is a string: a number, one letter, a command `\name`, a
punctuation mark, or text, which starts with a double quote. Both are linear in the answer's length.
"""

from __future__ import annotations

import re

from reason.answers.algebra import Limit, Malformed, Unreadable
from reason.answers.units import GLUED

LONGEST = 4_096
DEEPEST = 64
LONGEST_DIGITS = 256
THOUSANDS = "\ue000"
"""Stands for a separator that can only be a thousands mark, such as `{,}` or `,\\!`."""
THIN = "\u2009"

_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "﹣": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ",
        "π": r"\pi ", "√": r"\sqrt ", "°": r"^{\circ}", "²": "^{2}", "³": "^{3}", "½": r"\frac{1}{2}",
        "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "≤": r"\le ", "≥": r"\ge ",
        "≠": r"\ne ", "≈": r"\approx ", "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ",
        "∓": r"\mp ", "∅": r"\emptyset ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "ℝ": r"\mathbb{R}",
        "\u00a0": " ", "\u202f": " ", "％": "%", "，": ",", "（": "(", "）": ")", "：": ":", "；": ";",
        "\u200b": "", "\u200e": "", "\u200f": "", "\ufeff": "", "。": ".", "∗": "*", "¢": r"\text{ cents}",
    }
)  # fmt: skip
_SYNONYMS = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom", "leq": "le", "geq": "ge",
    "leqslant": "le", "geqslant": "ge", "lt": "<", "gt": ">", "neq": "ne", "simeq": "approx", "thickapprox": "approx",
    "times": "*", "cdot": "*", "ast": "*", "div": "/", "land": "and", "lor": "or", "wedge": "and", "vee": "or",
    "lbrace": "{", "rbrace": "}", "lbrack": "[", "rbrack": "]", "lvert": "|", "rvert": "|", "vert": "|", "mid": "|",
    "colon": ":", "dotsc": "ldots", "dots": "ldots", "cdots": "ldots", "varnothing": "emptyset", "degree": "circ",
    "bigcup": "cup", "lg": "log", "tg": "tan", "ctg": "cot", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "operatorname": "text", "mbox": "text", "textbf": "text", "textit": "text", "textnormal": "text", "textrm": "text",
    "texttt": "text", "textsf": "text", "mathrm": "text", "mathbf": "text", "mathit": "text", "mathsf": "text",
    "emph": "text", "hbox": "text", "bf": "", "rm": "", "bold": "text", "boldsymbol": "", "unit": "text", "mathcal": "",
    "euro": "€", "pounds": "£", "notin": "notin", "percent": "%", "dollar": "$", "infin": "infty", "langle": "(",
    "rangle": ")", "prime": "prime", "rightarrow": "to", "text": "text", "ensuremath": "", "mathop": "", "mathord": "",
}  # fmt: skip
_DROPPED = frozenset(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle textstyle scriptstyle "
    "limits nolimits quad qquad enspace hspace vspace strut hfill null phantom thinspace medspace thickspace middle "
    "nonumber boxed fbox framebox large Large small normalsize centering noindent label tag star dagger".split()
)
_NO_COMMANDS = frozenset("0123456789^_.'-")
"""What a stray backslash stands before where something is missing."""
_SPACES = frozenset("quad qquad enspace hfill thinspace medspace thickspace".split())
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc asin acos atan sinh cosh tanh log ln exp sqrt pi max min gcd lcm det arg inf".split()
)
_WORDS2 = frozenset("no on in up it is we he us me my by of to an at so do go if".split())
_TOGETHER = ("xyz", "abcde", "pqrst", "uvw", "ijk", "mnkp", "rst", "hkr", "abcxyz")
_COMMAND = re.compile(r"\\([A-Za-z]+)\s*")
_RELATIONS = re.compile(r"<=|>=|==|(?<![\d)])!=")
_RELATION_NAMES = {"<=": r"\le ", ">=": r"\ge ", "==": "=", "!=": r"\ne "}
_FONTS = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox|textit|operatorname|textnormal|emph)\s*\{([^{}]*)\}")
_DRESSING = re.compile(r"\\(?:left|right|displaystyle)\b|\\[ ,;!]")
_PARENTHESIZED = re.compile(r"\([^()]*\)")
_POWER_WORDS = frozenset(('"square', '"cubic', '"sq', '"cu'))
_COUNTED = re.compile(
    r"([-+]?\d[\d,]*(?:\.\d+)?(?:/\d+)?)\s+(?!.*\b(?:is|are|was|and|or|to)\b)([A-Za-z][A-Za-z .]*)"
    r"|(\d{1,2}:\d\d)\s*([AaPp]\.?[Mm]\.?)"
)
"""A number or a time and its unit, all inside \\text."""
_HALF_DAY = re.compile(r"(?<=\d)\s?([ap])\.m\b\.?")
_REPEATING = re.compile(r"(\d{0,20})\.(\d{0,20})\\overline\s*\{(\d{1,20})\}")
_OPEN = {"(": ")", "[": "]", "{": "}", r"\{": r"\}"}
_KNOWN_DOUBLE = re.compile(
    r"\\\\(?=(?:frac|dfrac|tfrac|left|right|sqrt|text|mathrm|pi|le|ge|leq|geq|cup|infty|boxed|circ|times|cdot|theta|pm|quad)\b"
    r"|(?:frac|dfrac|tfrac|sqrt|text|boxed)[{\d])"
)


def clean(answer: str) -> str:
    """The answer without dressing.

    Raises:
        Limit: Longer than 4,096 characters.
    """
    if len(answer) > LONGEST:
        raise Limit(f"longer than {LONGEST} characters")
    text = answer.translate(_CHARACTERS).replace("~", " ")
    if ".m" in text:
        text = _HALF_DAY.sub(r" \1m", text)
    if "=" in text:
        text = _RELATIONS.sub(lambda match: _RELATION_NAMES[match[0]], text)
    if "\\" in text or "\x0c" in text:
        text = re.sub(r"\\?\x0crac", r"\\frac", text)
        if "\\\\" in text and "\\begin" not in text and "&" not in text:
            text = _KNOWN_DOUBLE.sub(r"\\", text)
        text = re.sub(r",\s*\\!\s*", THOUSANDS, text).replace(r"\!", "")
        text = re.sub(r"\s*\{\s*,\s*\}\s*", THOUSANDS, text)
        text = re.sub(r"(?<!\\)\\[,;:]", THIN, text)
        text = re.sub(r"(?<!\\)\\ ", " ", text)
        text = _REPEATING.sub(_repeating, text)
    elif "," in text and "{" in text:
        text = re.sub(r"\s*\{\s*,\s*\}\s*", THOUSANDS, text)
    text = text.strip().strip("*`").strip()
    while text.endswith((".", ",", ";", "\\", " ", "\n")) and not text.endswith(r"\."):
        text = text[:-1]
    return re.sub(r"\s+", " ", text) if "\n" in text or "  " in text or "\t" in text else text


def _repeating(match: re.Match[str]) -> str:
    whole, fixed, cycle = match.groups()
    scale = 10 ** len(fixed)
    nines = 10 ** len(cycle) - 1
    top = int((whole or "0") + fixed) * nines + int(cycle)
    return rf"\frac{{{top}}}{{{scale * nines}}}"


def tokenize(text: str, *, commas: str = "thousands") -> list[str]:
    """Split a cleaned answer into tokens.

    Args:
        text: What `clean` returned.
        commas: How to read a comma between digits outside brackets: "thousands" (1,234 is a number when the groups have
            three digits), "separators" (always a list) or "decimal" (1,5 is 1.5).

    Raises:
        Limit: More than 64 nested brackets or more than 256 digits in a row.
        Unreadable: Brackets do not match.
    """
    return _Scanner(text, commas).run()


class _Scanner:
    """One left-to-right pass."""

    _space_grouped = re.compile(rf"\d{{1,3}}(?:[{THOUSANDS}{THIN} ]\s?\d{{3}})+(?![\d])(?:\.\d+)?")
    _comma_grouped = re.compile(rf"[1-9]\d{{0,2}}(?:[,{THOUSANDS}]\d{{3}})+(?![\d,])(?:\.\d+)?")
    _comma_decimal = re.compile(r"\d+,\d{2,}(?![\d,.])")
    _number = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)(?![A-Za-z\d])|\d*\.\d+|\d+\.?(?=\s*[/*])|\d+")
    _index = re.compile(r"[0-9]{1,3}(?![\d.,^/!])")
    _letters = re.compile(r"[A-Za-z]+(?:'s)?")

    def __init__(self, text: str, commas: str) -> None:
        self.text = text
        self.commas = commas
        self.at = 0
        self.tokens: list[str] = []
        self.stack: list[str] = []

    def run(self) -> list[str]:
        while self.at < len(self.text):
            text = self.text
            character = text[self.at]
            if character in f" ${THIN}\n":
                self.at += 1
            elif character.isdigit() or (character == "." and text[self.at + 1 : self.at + 2].isdigit()):
                self.number()
            elif character.isalpha():
                self.letters()
            elif character == "\\":
                self.command()
            else:
                self.mark(character)
                self.at += 1
        if self.stack:
            raise Malformed("unclosed bracket")
        return self.tokens

    def mark(self, token: str) -> None:
        """A punctuation token; brackets are counted. Intervals such as [0,1) may close with either kind."""
        if token in _OPEN:
            self.stack.append(token)
            if len(self.stack) > DEEPEST:
                raise Limit(f"more than {DEEPEST} nested brackets")
        elif token in (")", "]"):
            if self.stack and self.stack[-1] in "([":
                self.stack.pop()
            elif token == "]" or not self.stack:
                raise Malformed("unmatched bracket")
        elif token in ("}", r"\}") and (not self.stack or _OPEN[self.stack.pop()] != token):
            raise Malformed("unmatched brace")
        self.tokens.append(token)

    def number(self) -> None:
        text, at = self.text, self.at
        flat = not self.stack
        match = self._space_grouped.match(text, at)
        if match is None and flat and self.commas == "thousands":
            match = self._comma_grouped.match(text, at)
        decimal = self._comma_decimal.match(text, at) if flat and self.commas == "decimal" else None
        match = decimal or match or self._number.match(text, at)
        if match is None:
            raise Unreadable(f"a digit that is not ASCII: {text[at]!r}")
        token = match[0]
        token = token.replace(",", ".") if decimal else re.sub(rf"[,\s{THOUSANDS}{THIN}]", "", token)
        if len(token) > LONGEST_DIGITS:
            raise Limit(f"more than {LONGEST_DIGITS} digits")
        self.at = match.end()
        self.tokens.append(token)

    def letters(self) -> None:
        match = self._letters.match(self.text, self.at)
        if match is None:
            self.at += 1
            self.tokens.append('"' + self.text[self.at - 1])
            return
        self.at = match.end()
        self.word(match[0])
        digits = self._index.match(self.text, self.at) if len(match[0]) == 1 and match[0] not in "ie" else None
        if digits:
            self.tokens += ["_", "{", digits[0], "}"]
            self.at = digits.end()

    def word(self, run: str) -> None:
        """A run of plain letters: a connective, a function, a word, or a product of variables."""
        lower = run.lower()
        if lower in ("and", "or"):
            self.tokens.append(f"\\{lower}")
        elif run in _FUNCTIONS or run in ("frac", "infty"):
            self.tokens.append(f"\\{run}")
        elif lower == "infinity":
            self.tokens.append(r"\infty")
        elif len(run) > 2 and lower.startswith("or") and run[2:3].isupper() and len(run) <= 4:
            self.tokens += ["\\or", *run[2:]]
        elif (
            is_word(run)
            or (self.tokens and self.tokens[-1] in _POWER_WORDS)
            or (self.tokens and self.tokens[-1][-1] in "0123456789}" and lower in GLUED)
        ):
            self.tokens.append('"' + run)
        else:
            self.tokens += list(run)

    def command(self) -> None:
        text = self.text
        match = _COMMAND.match(text, self.at)
        if match is None:
            token = text[self.at : self.at + 2]
            self.at += 2
            if token in (r"\{", r"\}"):
                self.mark(token)
            elif token in (r"\%", r"\$", r"\#", r"\&"):
                self.tokens.append(token[1])
            elif token == "\\\\":
                self.tokens.append(token)
            elif token == r"\|":
                self.tokens.append("|")
            elif token[1:] in _NO_COMMANDS:
                raise Malformed(f"unknown command {token!r}")
            return
        self.at = match.end()
        self.named(match[1])

    def named(self, name: str) -> None:
        for prefix in ("qquad", "quad"):
            if name.startswith(prefix) and len(name) > len(prefix):
                self.tokens.append(r"\quad")
                self.word(name[len(prefix) :])
                return
        if name in _SPACES:
            self.tokens.append(r"\quad")
            return
        if name in _DROPPED:
            if name in ("left", "right") and self.text[self.at : self.at + 1] == ".":
                self.at += 1
            return
        name = _SYNONYMS.get(name, name)
        if name == "text":
            self.quoted()
        elif name in ("begin", "end"):
            self.environment(name)
        elif name == "{" or name == "}":
            self.mark("\\" + name)
        elif name and not name.isalpha():
            self.mark(name)
        elif name:
            self.tokens.append(f"\\{name}")

    def quoted(self) -> None:
        r"""The content of \text{…}: a connective, a single letter, a number, or text."""
        if self.text[self.at : self.at + 1] != "{":
            return
        depth = 0
        start = self.at + 1
        for index in range(self.at, len(self.text)):
            depth += {"{": 1, "}": -1}.get(self.text[index], 0)
            if depth == 0:
                break
        else:
            raise Malformed("unclosed brace")
        self.at = index + 1
        inside = self.text[start:index].replace("$", "").strip()
        bare = inside.strip(" .,:;()")
        if bare.lower() in ("and", "or"):
            self.tokens.append(f"\\{bare.lower()}")
        elif len(bare) == 1 and bare.isalpha():
            measured = self.tokens and self.tokens[-1][-1] in "0123456789}" and bare in "mgshlLNJWVAKCF"
            self.tokens.append('"' + bare if measured else bare)
        elif re.fullmatch(r"[\s\d.,+\-/%\\{}^_]+|.*\\(?:frac|sqrt).*", inside) and bare:
            self.text = self.text[: self.at] + inside + self.text[self.at :] if len(self.text) < 2 * LONGEST else ""
        elif counted := _COUNTED.fullmatch(inside):
            amount, unit, hour, half = counted.groups()
            self.text = f"{self.text[: self.at]}{amount or hour}\\text{{ {unit or half}}}{self.text[self.at :]}"
        elif inside:
            self.tokens.append('"' + inside)

    def environment(self, name: str) -> None:
        match = re.compile(r"\{([a-z*]+)\}(?:\{[lcr|\s]*\})?\s*").match(self.text, self.at)
        if match is None:
            raise Unreadable("an environment without a name")
        self.at = match.end()
        self.tokens.append(f"\\{name}:{match[1].rstrip('*')}")


def is_word(run: str) -> bool:
    """Whether a run of plain letters is a word rather than a product of variables."""
    if len(run) < 2:
        return False
    lower = run.lower()
    if len(run) == 2:
        return lower in _WORDS2
    if len(set(lower)) == len(lower) and any(set(lower) <= set(group) for group in _TOGETHER):
        return False
    return not (run.isupper() and len(run) <= 6)


def plain(text: str) -> str:
    """An answer as comparable text: no LaTeX dressing, one space between words, no outer punctuation."""
    text = undressed(text).strip(" .,;:!?'\"")
    return text[1:-1].strip() if text[:1] == "(" and _PARENTHESIZED.fullmatch(text) else text


def undressed(text: str) -> str:
    """An answer without LaTeX dressing, with single spaces, parentheses around it and final marks removed."""
    if "\\" in text:
        text = _FONTS.sub(r" \1 ", text)
        text = _DRESSING.sub(" ", text)
    text = " ".join(text.replace("$", " ").replace(THIN, " ").split()).rstrip(" .,;:")
    if text[:1] == "(" and _PARENTHESIZED.fullmatch(text):
        text = text[1:-1].strip()
    return text
