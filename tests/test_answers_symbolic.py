"""The symbolic tier: what it decides, its limits, and that a hostile input costs one worker and nothing else."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reason.answers import Grade, equal
from reason.answers.symbolic import Pool, precheck
from reason.types import UsageError


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = Pool(size=2, timeout=60.0)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("gold", "pred"),
    [
        (r"\int_0^1 x\,dx", r"\frac12"),
        (r"\lim_{x \to 0} \frac{\sin x}{x}", "1"),
        (r"\sum_{k=1}^{\infty}\frac{1}{2^k}", "1"),
    ],
)
def test_what_needs_algebra_is_decided_by_math_verify(pool: Pool, gold: str, pred: str) -> None:
    verdict = equal(gold, pred, pool=pool)
    assert (verdict.verdict, verdict.tier) == (Grade.CORRECT, "symbolic")
    assert not equal(gold, pred, symbolic=False).correct


def test_numbers_at_a_point_settle_most_differences_without_a_worker(pool: Pool) -> None:
    verdict = equal(r"\tan^2(y)+1", r"\sec^2(y)+1", pool=pool)
    assert (verdict.verdict, verdict.tier) == (Grade.INCORRECT, "exact")


@pytest.mark.parametrize(
    "text",
    [
        "x" * 5_000,
        "1" * 300,
        "(" * 100 + ")" * 100,
        "10^{10^{10}}",
        "9^9^9^9",
        "2^{999999999}",
        "x^{12345}",
        "99999!",
        "(10^9)!",
        "((9!)!)!",
        r"\binom{10^9}{10^8}",
        r"\binom{999999}{99999}",
        r"\Gamma(99999999)",
        "1\x002",
        r"\frac{1}{" * 200,
    ],
)
def test_hopeless_inputs_never_reach_a_worker(text: str) -> None:
    assert precheck(text)


@pytest.mark.parametrize(
    "text", ["x^2+1", r"e^{x^{2}}", "100!", r"\binom{10}{3}", r"\frac{1}{1+\frac{1}{x}}", "2^{100}"]
)
def test_ordinary_inputs_do(text: str) -> None:
    assert precheck(text) is None


def test_a_slow_comparison_is_killed_and_the_pool_stays_healthy() -> None:
    pool = Pool(size=1, timeout=0.5)
    try:
        cells = r" \\ ".join(" & ".join(f"a_{{{row}{column}}}" for column in range(9)) for row in range(9))
        slow = rf"\det \begin{{pmatrix}}{cells}\end{{pmatrix}}"
        assert pool.check("54", slow).grade is Grade.TIMEOUT
        pool.timeout = 60.0
        assert pool.check("x^2-1", "(x-1)(x+1)").grade is Grade.CORRECT
        assert pool.check("x^2-1", "x^2").grade is Grade.INCORRECT
    finally:
        pool.close()


def test_what_math_verify_cannot_read_is_said_so(pool: Pool) -> None:
    assert pool.check("5", r"\notacommand{").grade is Grade.UNPARSEABLE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_worker_limits_its_memory_and_its_files(pool: Pool) -> None:
    pool.check("x", "x+1")
    limits = Path(f"/proc/{pool._idle[-1].process.pid}/limits").read_text().splitlines()
    values = {line[:26].strip(): line[26:].split()[0] for line in limits[1:]}
    assert values["Max address space"] == str(2**30)
    assert values["Max file size"] == "0"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_process_that_compares_is_replaced_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reason.answers.symbolic.RECYCLE_AFTER", 2)
    pool = Pool(size=1, timeout=60.0)

    def child() -> str:
        worker = pool._idle[-1].process.pid
        return Path(f"/proc/{worker}/task/{worker}/children").read_text().strip()

    try:
        pool.check("x", "y")
        worker, first = pool._idle[-1], child()
        pool.check("x", "y")
        assert child() == ""
        pool.check("x", "y")
        assert child() not in ("", first)
        assert pool._idle[-1] is worker
    finally:
        pool.close()


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch {}')",
        r"\text{{__import__('os').system('touch {}')}}",
        "exec(\"open('{}','w')\")",
        "(lambda: open('{}', 'w'))()",
        r"\sin(__import__('os').system('touch {}'))",
        r"x.__class__.__base__.__subclasses__() + open('{}','w')",
    ],
)
def test_model_text_is_never_run(pool: Pool, tmp_path: Path, text: str) -> None:
    target = tmp_path / "made"
    code = text.format(target)
    pool.check("5", code)
    pool.check(code, "5")
    equal("5", code, pool=pool)
    assert not target.exists()


def test_it_works_from_threads_and_beside_asyncio(pool: Pool) -> None:
    found: list[Grade] = []

    def work() -> None:
        found.append(equal(r"\sin(2x)", r"2\sin x\cos x", pool=pool).verdict)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Grade.CORRECT] * 4

    async def together() -> list[bool]:
        calls = [asyncio.to_thread(equal, r"\cos(2x)", r"1-2\sin^2 x", pool=pool) for _ in range(4)]
        return [verdict.correct for verdict in await asyncio.gather(*calls)]

    assert asyncio.run(together()) == [True] * 4


def test_a_pool_that_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="size"):
        Pool(size=0)
