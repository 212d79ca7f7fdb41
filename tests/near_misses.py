r"""Answers that look alike and are not equal, by form: what a grader must never accept, in either order.

`MATH_VERIFY` holds what Math-Verify 0.9.0 was found to accept.
"""

from __future__ import annotations

Pairs = list[tuple[str, str]]

MATH_VERIFY: Pairs = [
    ("10^{-20}", "10^{-21}"), ("1/2^{99}", "1/2^{98}"), ("Evelyn", "nylevE"), ("10 cm", "10 m"), ("1011_2", "1011"),
    ("5", r"5\%"), ("100000", "1"), ("1e5", "1"), ("1, 2", "1"), ("cat", "act"),
]  # fmt: skip

NEAR_MISSES: dict[str, Pairs] = {
    "whole numbers": [
        ("5", "-5"), ("5", "6"), ("5", "50"), ("5", "05.1"), ("1234", "1243"), ("1,234", "1.234"), ("1,234", "12,34"),
        ("1234", "1, 234"), ("1 234", "1, 234"), ("32349", "32, 349"), ("5", "5!"), ("3!!", "3!"), ("5", "5i"),
        ("12", "1 2"), ("9999999999999999", "10000000000000000"), ("10^{100}", "10^{100}+1"), ("2^{1000}", "2^{1001}"),
        ("10^3", "103"), ("10^{34}", "10^3 4"), ("0", "1"), ("0", r"\emptyset"), ("1", "1,1,2"), ("7", "VII"),
    ],
    "decimals": [
        ("0.5", "0.05"), ("0.5", "5"), (".5", "5"), ("0.125", "0.12"), ("3.14", "3.1415"), ("0.333", "1/3"),
        ("0.3333333", "0.3333334"), ("1.5", "1,5,0"), ("2.50", "2.05"), ("1e-7", "1e-8"), ("1e5", "1e6"),
        (r"1.2\times10^{5}", r"1.2\times10^{6}"), (r"1.2\times10^{-5}", r"1.2\times10^{5}"),
        ("1000000.3", "1000000+1/3"),
        (r"\sqrt{2}", "1.41421356237309504880168873"), (r"\pi", "3.141592653589793238462644"), (r"\pi", "22/7"),
        (r"0.\overline{3}", "0.3"), (r"0.1\overline{6}", r"0.\overline{16}"), ("0.000001", "0.0000010001"),
    ],
    "fractions": [
        (r"\frac{1}{2}", r"\frac{2}{1}"), (r"\frac{1}{2}", r"-\frac{1}{2}"), (r"\frac{1}{23}", r"\frac123"),
        (r"1\frac12", r"\frac12"), (r"1\frac12", r"\frac{11}{2}"), (r"-1\frac12", r"-\frac12"), ("2/3", "3/2"),
        (r"\frac{13}{6}", r"1\frac{13}{6}"), ("1 2/3", "12/3"), (r"\frac{a}{b}", r"\frac{b}{a}"),
        (r"\frac{x+1}{2}", r"x+\frac12"), (r"\frac{1}{x+1}", r"\frac1x+1"), ("1/2/3", "1/(2/3)"),
        (r"\frac{1}{2}", r"\binom{1}{2}"),
    ],
    "roots and powers": [
        (r"\sqrt{2}", "2"), (r"\sqrt{2}", r"-\sqrt{2}"), (r"2\sqrt{3}", r"3\sqrt{2}"), (r"\sqrt{23}", r"\sqrt23"),
        (r"\sqrt[3]{2}", r"\sqrt{2}"), (r"\sqrt[3]{2}", r"3\sqrt{2}"), (r"\sqrt{x^2}", "x"),
        (r"\sqrt{\sin^2x}", r"\sin x"),
        (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5}"), (r"\sqrt{3+2\sqrt2}", r"1+\sqrt3"), ("x^23", "x^2 3"),
        ("2^{x+1}", "2^x+1"),
        ("2^{n}", "n^{2}"), ("(-2)^2", "-2^2"), ("x^{-1}", "-x"), (r"\sqrt{10001}", "100"),
        (r"\sqrt[3]{2+\sqrt5}+\sqrt[3]{2-\sqrt5}", "2"), (r"\sqrt{x+1}", r"\sqrt{x}+1"), ("e^{2}", "2e"),
        (r"\sqrt{10^{40}+1}", "10^{20}"),
    ],
    "percent and money": [
        ("0.5", r"5\%"), ("50", r"50\%"), (r"5\%", "0.5"), (r"10\%", r"1\%"), (r"\$5", r"\$50"),
        ("5 dollars", "5 cents"),
        (r"\$5", "5 euros"), ("€5", "£5"), (r"\$1.50", r"\$1.05"),
    ],
    "units": [
        ("10 cm", "100 mm"), ("1 hour", "60 minutes"), ("15 cm^2", "15 cm^3"), ("5 m", "5 m^2"), ("5 km", "5 kg"),
        (r"5\text{ inches}", r"5\text{ feet}"), ("10 miles", "10 minutes"), ("5 m/s", "5 km/h"),
        ("90^\\circ", "91^\\circ"),
        (r"90^\circ\text{C}", r"90^\circ\text{F}"), (r"30^\circ", r"30^{2}"),
    ],
    "times, ratios, bases": [
        ("12:30", "1230"), ("12:00", "1:00"), ("12:30 am", "12:30 pm"), ("3:4", "4:3"), ("3:4", "34"),
        ("3:4:5", "3:5:4"),
        ("1011_2", "11"), ("204_5", "204_6"), ("204_5", "205_5"), ("1A_{16}", "1B_{16}"), ("10_2", "2"),
    ],
    "text": [
        ("odd", "oddd"), ("odd", "even"), ("yes", "no"), ("east", "west"), ("Ann", "Bob"), ("red", "der"), ("A", "B"),
        ("(A)", "(B)"), ("x", "X"), ("n", "N"), ("east", "3"), ("Monday", "Sunday"), ("true", "false"),
        ("A, B", "A, C"),
        (r"\text{parabola}", r"\text{hyperbola}"), ("CAT", "ACT"), ("ABCD", "ABDC"), ("5 million", "5"),
        (r"\text{4:30 p.m.}", "4:30 AM"), ("two", "3"), ("yes", "y"),
    ],
    "symbols": [
        (r"\gamma", r"\Gamma"), (r"\Delta x", r"\delta x"), ("x'", "x"), ("f'(x)", "f(x)"), ("x_1", "x_2"),
        ("x_1", "x"),
        ("n!", "n"), ("AB'", "AB"), (r"\theta", r"\phi"), ("I(0)e^{t}", "I(0)e^{-t}"), ("V(0)+1", "1"), ("x1", "x"),
        (r"\overline{AB}", r"\overline{AC}"), (r"\infty", r"-\infty"), ("i", "-i"), ("pi", "p"), (r"\hat{x}", "x"),
    ],
    "expressions": [
        ("x+1", "x-1"), ("x^2+2x+1", "x^2+2x-1"), ("(x+1)^2", "x^2+1"), ("2x", "x^2"), ("2x+3y", "3x+2y"),
        ("ab", "a+b"),
        ("x(x+1)", "x^2+1"), ("a-b", "b-a"), ("|x|", "x"), ("|x-1|", "x-1"), ("x^{10}", "x^1 0"), ("xy", "x_y"),
        (r"\lfloor x\rfloor", r"\lceil x\rceil"), (r"\lfloor 2.5\rfloor", "3"), ("4x+5", "x4+5"), ("3 1", "3"),
        ("1-x", "x-1"), ("2(x+y)", "2x+y"), ("a/b/c", "a/(b/c)"), (r"\frac{x^2-1}{x-1}", "x-1"),
        ("x^3", "x^{3.0001}"), ("x+10^{-30}", "x"),
    ],
    "functions": [
        (r"\sin x", r"\cos x"), (r"\sin x", r"\sin y"), (r"\sin 2x", r"2\sin x"), (r"\sin^2 x", r"\sin x^2"),
        (r"\sin(10^{-20})", r"\sin(10^{-21})"), (r"\log_2 3", r"\log_3 2"), (r"\ln 2", r"\ln 3"),
        (r"\ln(x+1)", r"\ln x+1"),
        (r"\ln(x^2)", r"(\ln x)^2"), ("e^x", "e^{-x}"), ("e^{2x}", "2e^x"), (r"\tan x", r"\cot x"),
        (r"\arcsin x", r"\sin x"),
        (r"1-\frac1e", r"1+\frac1e"), (r"\cosh x", r"\cos x"), (r"\sin^{-1}x", r"\frac{1}{\sin x}"),
        (r"\cos(a+b)", r"\cos a+\cos b"), (r"\binom{5}{2}", r"\frac52"), (r"\binom{n}{2}", r"\binom{n}{3}"),
        (r"\binom{2n}{n}", r"\frac{(2n)!}{n!}"), ("(n+1)!", "n!+1"), ("2^{2^n}", "4^n"),
        (r"\tan 18^\circ", r"\tan 19^\circ"),
    ],
    "series and integrals": [
        (r"\sum_{k=1}^{n}k", r"\frac{n(n-1)}{2}"), (r"\sum_{k=0}^{9}k^2", "385"),
        (r"\sum_{k=1}^{n}x^k", r"\sum_{k=0}^{n}x^k"),
        (r"\prod_{k=1}^{5}k", "100"), (r"\sum_{k=1}^{n}a_k", r"\sum_{k=1}^{n}a_{k+1}"), (r"\int_0^1 x\,dx", "1"),
        (r"\int_0^1 x\,dx", r"\int_0^2 x\,dx"), (r"\int_0^1 x\,dx", r"\frac12+10^{-30}"), (r"\Gamma(5)", "120"),
        (r"\int_0^1 x\,dx", "0.50000000000001"), (r"\lim_{x\to0}\frac{\sin x}{x}", "0"),
        (r"F_n = \sum_{k=0}^{n-1} F_k F_{n-k-1}", r"F_n = \sum_{k=0}^{n-2} F_k F_{n-k-2}"),
    ],
    "tuples and intervals": [
        ("(1,2)", "(2,1)"), ("(1,2)", "(1,2,3)"), ("(1,2)", "(1,-2)"), ("12", "(1,2)"), ("[0,1)", "(0,1)"),
        ("[0,1)", "[0,1]"), ("[0,1)", "(0,1]"), (r"(0,\infty)", r"(-\infty,0)"), ("(0,1)", "]0,1]"),
        (r"(0,1)\cup(2,3)", "(0,3)"),
        (r"(0,1)\cup(2,3)", r"(0,1)\cup(2,3]"), ("[0,1]", r"\{0,1\}"), ("((1,2),3)", "(1,(2,3))"),
        (r"(-\infty,1)\cup(3,\infty)", "(1,3)"), ("1", "-[0,1)"), (r"\mathbb{R}", r"(0,\infty)"),
    ],
    "lists and sets": [
        ("1,2,3", "1,2"), ("1,2,3", "1,2,4"), ("1,1,2", "1,2,2"), (r"\{1,2\}", "(1,2)"), (r"\{1,2\}", r"\{1,3\}"),
        (r"\pm 2021", "2021"), (r"\pm 2", r"\pm 3"), (r"1\pm\sqrt2", r"1+\sqrt2"), ("x=1, y=2", "x=2, y=1"),
        ("(1,2),(3,4)", "(1,4),(3,2)"), ("(1,2),(3,4)", "1,2,3,4"), (r"\{\}", r"\{0\}"),
        (r"\sqrt{67},-\sqrt{85}", r"\sqrt{67}"),
        ("19, 46, and 82", "21, 36, and 82"),
    ],
    "matrices": [
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
        (r"2\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\2\end{pmatrix}"),
        (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", "2"), (r"\begin{pmatrix}5\end{pmatrix}", "6"),
    ],
    "equations": [
        ("x=5", "x=6"), ("x=1", "y=1"), ("y=2x+1", "y=2x-1"), ("y=2x", "z=2x"), ("x^2+y^2=1", "x^2+y^2=2"),
        ("a+3z=0", "0"),
        ("x^2+y^2=1", "x^2-y^2=1"), ("2x+4y-3=0", "2x+4y+3=0"), ("7 = 11a+c", "11a+c"), ("a+b=T", "a+b=Ti"),
        ("f(x)=x+1", "f(x)=x-1"), ("f(x)=1/x", "f(y)=1/x"), ("x=y", "x=-y"), ("xy=1", "x+y=1"), ("AB=4,CD=5", "5,4"),
    ],
    "inequalities": [
        ("x>5", "x<5"), ("x<2", r"x\le2"), ("x<1", "y<1"), ("0<x<1", "0<y<1"), ("0<x<1", r"0\le x<1"),
        ("|x|<2", "|x|>2"),
        ("|x|<2", "x<2"), ("|x|<2", "|y|<2"), ("f(2)<f(1)", "f(1)<f(2)"), ("f(2)<f(1)<f(4)", "f(2)<f(3)<f(4)"),
        (r"x\ne3", "x=3"), ("-x<1", "x<-1"), ("x>1 and x<5", "x<1 or x>5"), (r"x\in[-2,7]", r"y\in[-2,7]"),
    ],
    "broken text": [
        (r"\sqrt{34}", r"\7sqrt{34}"), ("1", r"\-1"), ("5", "5+"), ("5", "(5"), ("5", r"\frac{5}{"), ("5", "5)("),
        ("5", "=5="),
        ("5", "\u202e5\u202c6"), ("5", "5\x006"), ("12", "1\u200b 2"),
    ],
}  # fmt: skip
