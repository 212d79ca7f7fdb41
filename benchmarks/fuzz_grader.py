"""Coverage-guided fuzzing of the grader's exact tier and extraction with atheris.

    pip install atheris
    python -m benchmarks.fuzz_grader -max_total_time=300

Takes libFuzzer's options. An input is split into two answers; half of its bytes choose from pieces of LaTeX, so that
the fuzzer soon writes expressions. It stops at the first input that raises, is not equal to itself, compares otherwise
the other way round (percent apart), has a span outside its text, or takes longer than 3 processor seconds.
"""

from __future__ import annotations

import sys
import time

SECONDS = 3.0
PIECES = (
    r"\frac{ \sqrt{ \sqrt[3]{ \left( \right) \begin{pmatrix} \end{pmatrix} & \\ { } ( ) [ ] | ^{ ^ _ _{ ! , ; : = < >"
    r" + - * / . 0 1 12 3.5 x y n i e \pi \infty \sin \cos \log_2 \ln \sum_{k=1}^{n} \prod_{k=1}^{5} \int_0^1"
    r" \binom{n}{2} \text{ cm} % $ \% \pm \cup \in \{ \} and or 5e3 \le \ge \ne \overline{3} ' ° ² ½ 0.\overline{ _5"
    r" \cdot \det \lim \boxed{ #### answer </think> \lfloor \rfloor 2^{x} f(x) |x| x_1 10^{ 1,000"
).split()


def text_of(data: bytes) -> str:
    """Bytes below 128 are characters, the others pieces of LaTeX."""
    return "".join(chr(byte) if byte < 128 else PIECES[byte % len(PIECES)] for byte in data)


def main() -> None:
    """Fuzz until told to stop."""
    try:
        import atheris
    except ImportError:
        sys.exit("error: fuzzing needs atheris (Linux): pip install atheris")
    with atheris.instrument_imports(include=["reason.answers"]):
        from reason.answers import equal, extract, grade, vote

    def one(data: bytes) -> None:
        half = len(data) // 2
        first, second = text_of(data[:half]), text_of(data[half:])
        started = time.process_time()
        there = equal(first, second, symbolic=False).correct
        if "%" not in first + second and "percent" not in (first + second).lower():
            assert there == equal(second, first, symbolic=False).correct, ("not symmetric", first, second)
        for text in (first, second):
            if text.strip():
                assert equal(text, text, symbolic=False).correct, ("not equal to itself", text)
            start, end = extract(text).span
            assert 0 <= start <= end <= len(text), ("span", text)
        grade(first, second, symbolic=False)
        vote([first, second, first])
        assert time.process_time() - started < SECONDS, ("slow", first, second)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
