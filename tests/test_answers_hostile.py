"""Hostile input: every one comes back with a verdict, without side effects, and leaves the workers healthy.

Time is bounded generously, because test machines are busy; `python -m benchmarks.grader --hostile` measures it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hostile_answers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reason.answers import Grade, equal, extract, grade, vote
from reason.answers.symbolic import Pool

TEXTS = [(kind, text) for kind, texts in hostile_answers.HOSTILE.items() for text in texts]
NAMES = [f"{kind}-{index}" for index, (kind, _) in enumerate(TEXTS)]
SECONDS = 60.0
GOLD = ("5", r"\{1, x+\sin x\}")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = Pool(size=1, timeout=0.25)
    made.start()
    yield made
    made.timeout = 60.0
    assert made.check("x^2-1", "(x-1)(x+1)").grade is Grade.CORRECT
    assert made.check("x^2-1", "x^2").grade is Grade.INCORRECT
    made.close()


@pytest.mark.parametrize("text", [text for _, text in TEXTS], ids=NAMES)
def test_it_comes_back(pool: Pool, text: str) -> None:
    started = time.monotonic()
    for gold in GOLD:
        assert not equal(gold, text, pool=pool).correct or text in ("５", "5\u2028")
    equal(text, text + "+1", pool=pool)
    assert extract(text).method
    grade("5", rf"It is \boxed{{{text}}}", pool=pool)
    vote([text, "5", text + "+0", None])
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize("code", hostile_answers.CODE)
def test_code_is_text(pool: Pool, tmp_path: Path, code: str) -> None:
    target = tmp_path / "made"
    text = code.format(target)
    for gold, pred in ((text, "5"), ("5", text), (text, text + " "), (text, text + "+1")):
        equal(gold, pred, pool=pool)
        grade(gold, rf"\boxed{{{pred}}}", pool=pool)
    pool.check("5", text)
    assert not target.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_the_workers_own_limit(pool: Pool) -> None:
    pool.check("x", "x+1")
    worker = pool._idle[-1].process.pid
    children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    for process in (worker, *children):
        limits = Path(f"/proc/{process}/limits").read_text().splitlines()
        values = {line[:26].strip(): line[26:].split()[0] for line in limits[1:]}
        assert values["Max address space"] == str(2**30)
        assert values["Max file size"] == "0"


def test_a_comparison_that_eats_memory_is_a_limit() -> None:
    pool = Pool(size=1, timeout=60.0, memory_mib=256)
    try:
        found = pool.check("x", r"\sum_{k=1}^{2000}\frac{1}{x^{k}+" + "9" * 250 + "^{k}}", seconds=2.0)
        assert found.grade in (Grade.LIMIT, Grade.TIMEOUT, Grade.INCORRECT)
        assert pool.check("x^2-1", "(x-1)(x+1)").grade is Grade.CORRECT
    finally:
        pool.close()


def test_threads_and_asyncio_beside_hostile_input(pool: Pool) -> None:
    slow = rf"\det\begin{{pmatrix}}{hostile_answers._cells(9)}\end{{pmatrix}}"
    found: list[Grade] = []

    def work(text: str) -> None:
        found.append(equal("54", text, pool=pool).verdict)

    threads = [threading.Thread(target=work, args=(text,)) for text in (slow, r"\int_0^1 108x\,dx", "54.0")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) <= {Grade.TIMEOUT, Grade.CORRECT, Grade.LIMIT}

    async def together() -> list[bool]:
        calls = [asyncio.to_thread(equal, "54", text, pool=pool) for text in (slow, "54", "108/2")]
        return [verdict.correct for verdict in await asyncio.gather(*calls)]

    assert asyncio.run(together()) == [False, True, True]


def test_workers_end_with_their_parent() -> None:
    script = (
        "from reason.answers.symbolic import Pool\n"
        "pool = Pool(size=1)\n"
        "pool.start()\n"
        "print(pool._idle[-1].process.pid, flush=True)\n"
        "import os; os._exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    worker = Path("/proc") / done.stdout.strip()
    for _ in range(600):
        if not worker.exists() or "Z (zombie)" in (worker / "status").read_text():
            return
        time.sleep(0.05)
    pytest.fail(f"worker {worker} is still there")


def test_ray_actors_can_grade() -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        remote = ray.remote(lambda gold, pred: str(equal(gold, pred).verdict))
        assert ray.get(remote.remote(r"\int_0^1 x\,dx", r"\frac12")) == "correct"
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (r"\binom{n}{2}2^{x}~andand", r"x_1_\sum_{k=1}^{n}_\binom{n}{2}2^{x}"),
        (r"a_{n_}\binom{n}{2}", r"n^{3}+n!"),
        (r"\log_2(10^{400}+1)", "5"),
    ],
)
def test_what_the_fuzzer_found(first: str, second: str) -> None:
    for gold, pred in ((first, second), (second, first)):
        assert not equal(gold, pred, symbolic=False).correct
        assert len(vote([gold, pred])) == 2


PIECES = st.sampled_from(
    r"\frac{ \sqrt{ \left( \right) \begin{pmatrix} \end{pmatrix} & \\ { } ( ) [ ] | ^ _ ! , ; : = < > + - * / . 0 1 12"
    r" 3.5 x y n i e \pi \infty \sin \log \sum_{k=1}^{n} \int_0^1 \binom{5}{2} \text{ cm} % $ \% \pm \cup \in \{ \} and"
    r" or 5e3 \le \ge \ne \overline{3} ' ° ² ½ 0.\overline{ }_5 \cdot \det \lim \boxed{ #### answer </think>".split(" ")
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join), st.lists(PIECES, max_size=14).map(" ".join))
def test_heaps_of_latex_pieces_get_a_verdict(first: str, second: str) -> None:
    for gold, pred in ((first, second), (second, first), (first, first + " ")):
        verdict = equal(gold, pred, symbolic=False)
        assert verdict.verdict in Grade
    if first.strip():
        assert equal(first, first, symbolic=False).correct
    extract(first + second)
    grade(first, second, symbolic=False)
    assert len(vote([first, second, first])) <= 3
