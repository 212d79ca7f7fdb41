r"""Inputs made to exhaust a grader, by kind. `CODE` holds a place for a file that must not come into being."""

from __future__ import annotations

N = 10_000


def _cells(size: int) -> str:
    return r" \\ ".join(" & ".join(f"a_{{{row}{column}}}" for column in range(size)) for row in range(size))


def _nested(opening: str, depth: int, core: str, closing: str) -> str:
    return opening * depth + core + closing * depth


def _list(item: str, count: int) -> str:
    return ",".join(item.replace("#", str(number)) for number in range(count))


HOSTILE: dict[str, list[str]] = {
    "power towers": [
        "10^{10^{10^{10}}}", "9^9^9^9", "2^{2^{2^{2^{2^{x}}}}}", "2**2**2**2**2**2", "2^{999999999}", "(x+1)^{4999}",
        "(x+y+z+w)^{60}", "(1+x)^{60}(1+y)^{60}(1+z)^{60}", "((((x+y)^{20})^{20})^{20})^{20}", "x" + "^2" * 1500,
        _nested("e^{", 20, "x", "}"),
    ],
    "factorials": [
        "99999999!", "((9!)!)!", "(10^9)!", "x!!!!!!!", "999!!!", r"\prod_{k=1}^{999}k!", "3" + "!" * 4000,
        r"\binom{10^9}{10^8}", r"\binom{999999999}{499999999}", r"\binom{\binom{999}{499}}{\binom{99}{49}}",
        r"\Gamma(99999999)", r"\Gamma(10^{10})",
    ],
    "digits": [
        "1" * 10**6, "0." + "3" * 10**6, "1e999999999", "1e-999999999", "1" * 4000, str(10**200 + 357) + "^{1/2}",
        rf"\sqrt{{{(10**99 + 289) * (10**99 + 711)}}}", "1" * 250 + "_{2}", "1," * 2000, "1 " * 2000, "1.1." * 1000,
    ],
    "nesting": [
        _nested("(", N, "1", ")"), _nested(r"\frac{1}{", N, "1", "}"), _nested(r"\sqrt{", N, "2", "}"),
        "{" * N + "}" * N,
        _nested("(", 60, "1", ")"), _nested(r"\frac{1}{1+", 60, "1", "}"), _nested(r"\sqrt{1+", 60, "2", "}"), "|" * N,
        "-" * 4000 + "1", "2^" + "-" * 4000 + "1",
        "1" + "+1" * 2000, "1" + "*2" * 2000, "1" + "/2" * 2000, "x" + "'" * 4000,
        _nested(r"\sin(", 40, "x", ")"), _nested(r"\ln(", 40, "x", ")"), "|" * 41 + "x" + "|" * 41, r"\left" * 800,
        "x_{" * 1000, r"\text{" + " " * 4000, r"\begin{cases}" * 500,
    ],
    "long scans": [
        "$" * 10**5, r"\boxed{" * 10**5, r"\boxed{1}" * 10**5, "a" * 50_000 + "!", " " * 10**5 + "x", r"\(" * 10**5,
        "answer is " * 10**4 + "5", "****" * 10**5, "\\\\" * 2000, "#### " * 10**4, "1 1/2 1/2 1/2 " * 100,
    ],
    "sums and integrals": [
        r"\sum_{k=1}^{10^9} k^{k}", r"\sum_{k=1}^{\infty}\frac{1}{k^{k}}", r"\prod_{k=1}^{99999999}(1+\frac{1}{k!})",
        r"\sum_{a=1}^{199}\sum_{b=1}^{199}\sum_{c=1}^{199}\sin(abc)",
        r"\sum_{a=1}^{199}\sum_{b=1}^{199}\sum_{c=1}^{199}abc",
        r"\int_0^1 \int_0^1 \int_0^1 e^{\sin(x y z)^{x}} dx dy dz", r"\int \frac{x^{99}\sin x}{\ln(1+x^{17})} dx",
        r"\lim_{x \to 0} \frac{\sin(\tan x)-\tan(\sin x)}{\arcsin(\arctan x)-\arctan(\arcsin x)}",
        r"\sum_{k=0}^{n}\sum_{j=0}^{k}\binom{n}{k}\binom{k}{j}x^j",
    ],
    "matrices": [
        rf"\det\begin{{pmatrix}}{_cells(9)}\end{{pmatrix}}", rf"\begin{{pmatrix}}{_cells(6)}\end{{pmatrix}}^{{20}}",
        rf"\begin{{pmatrix}}{_cells(7)}\end{{pmatrix}}^{{-1}}", rf"\begin{{pmatrix}}{_cells(8)}\end{{pmatrix}}^{{50}}",
        rf"\begin{{pmatrix}}{_cells(4)}\end{{pmatrix}}^{{-1}}", rf"\begin{{vmatrix}}{_cells(9)}\end{{vmatrix}}",
    ],
    "long lists": [
        r"\{" + _list("#", 3000) + r"\}", r"\{" + _list(r"\sqrt{#}+x", 200) + r"\}", _list(r"\sin(#x)",
        250), _list("#", 800),
        _list("x_{#}^2+#y", 200), "(" + "),(".join(["1,2"] * 250) + ")", r"\pm 1 \pm 2 \pm 3 \pm 4 \pm 5",
        ",".join([r"\pm 1\pm\sqrt{2}\pm\sqrt3"] * 60), "(\\pm 1," * 9 + "1" + ")" * 9,
        r"\cup".join(f"({number},{number + 1})" for number in range(240)),
    ],
    "many terms": [
        "+".join(f"x_{number}y_{number}" for number in range(300)),
        "(" + "+".join(f"x_{{{number}}}" for number in range(60)) + ")^{8}",
        "*".join(f"(a_{{{number}}}+b_{{{number}}})" for number in range(30)),
        "/".join(f"(a_{{{number}}}+b_{{{number}}})" for number in range(30)),
        "+".join(rf"\frac{{1}}{{x+{number}}}" for number in range(40)),
        "+".join(rf"\sqrt{{{number}}}" for number in range(2, 90)),
        "".join(rf"(\sqrt{{{number}}}+1)" for number in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)),
        "+".join(rf"\sqrt[7]{{{number}+\sqrt[5]{{{number}}}}}" for number in range(2, 40)),
        r"\sin(" + "+".join("abcdefghjklmn") + ")", r"\sin(9999999x)", r"\sin^{60}(x)\cos^{60}(y)\tan^{60}(z)",
    ],
    "characters": [
        "1\x002", "\x00" * 5000, "\u202e5\u202c", "\u202e" * 4000 + "5",
        "5" + "\u0300" * 4000, "🂡" * 4000, "\ud800\udfff",
        "５", "٣", "x" + "²" * 2000, "\ue0001", "\x1b[31m5", "5\u2028", "\r\n" * 3000,
    ],
}  # fmt: skip

CODE = [
    "__import__('os').system('touch {}')",
    "exec(\"open('{}','w')\")",
    "(lambda: open('{}', 'w'))()",
    r"\sin(__import__('os').system('touch {}'))",
    r"\input{{/etc/passwd}}\write18{{touch {}}}",
    "().__class__.__mro__[1].__subclasses__() + open('{}','w')",
    "Symbol('x', **open('{}','w').__dict__)",
    "\\text{{{{7*7}}}}${{open('{}','w')}}<script>",
    "eval(compile(\"open('{}','w')\", '', 'exec'))",
]
