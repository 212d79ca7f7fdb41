"""Unit tests as a scorer: finding the code, running it, and hostile samples."""

from __future__ import annotations

import asyncio
import math
import os
import pathlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.scorers import code as code_module
from reason.scorers import sandbox
from reason.scorers.code import UnitTests, python_block
from reason.scorers.sandbox import Limits, Tried, run_tests
from reason.types import Finish, Path, Problem, Score, Step, UsageError

QUICK = Limits(seconds=1.0, total=5.0, memory_mib=256)
PROBLEM = Problem("add", "Write add.", None, {"tests": ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"]})


pytestmark = pytest.mark.usefixtures("quiet_sandbox")


def path(text: str, finish: Finish = Finish.STOP, problem: Problem = PROBLEM) -> Path:
    return Path(problem, (Step(text, finish=finish),))


def fence(code: str, mark: str = "python") -> str:
    return f"Here it is:\n```{mark}\n{code}\n```\nDone."


def judged(scorer: UnitTests, *paths: Path) -> list[Score]:
    return asyncio.run(scorer.judge(paths))


def unit_tests(**options: Any) -> UnitTests:
    return UnitTests(allow_execution=True, limits=options.pop("limits", QUICK), **options)


def tried(code: str, *checks: Any, **limits: Any) -> list[Tried]:
    bounds = {"seconds": 1.0, "total": 5.0, "memory_mib": 256, **limits}
    return run_tests(code, list(checks) or ["pass"], Limits(**bounds))


class TestBlocks:
    def test_forms(self) -> None:
        assert python_block(fence("x = 1")) == "x = 1\n"
        assert python_block(fence("x = 1", "")) == "x = 1\n"
        assert python_block("```py\nx = 1") == "x = 1"
        assert python_block("~~~~python3 title\nx = '```'\n~~~~") == "x = '```'\n"
        assert python_block(fence("ls", "bash") + fence("x", "") + fence("y", "Python")) == "y\n"
        assert python_block(fence("ls", "bash")) is None
        assert python_block("x = 1") is None
        assert python_block(f"<think>{fence('x')}</think> no") is None

    def test_which(self) -> None:
        text = fence("a = 1") + fence("b = 2")
        assert [python_block(text, block) for block in ("first", "last", "all")] == [
            "a = 1\n",
            "b = 2\n",
            "a = 1\n\nb = 2\n",
        ]

    @given(st.text(alphabet="`~ python\n\tx="))
    def test_any_text_is_read_without_a_crash(self, text: str) -> None:
        python_block(text)

    @given(st.text(st.characters(codec="ascii", exclude_characters="`~\r\x0b\x0c\x1c\x1d\x1e")))
    def test_round_trip(self, code: str) -> None:
        assert python_block(fence(code)) == code + "\n"


class TestScores:
    def test_the_share_of_passed_tests(self) -> None:
        right, half, broken, none = judged(
            unit_tests(),
            path(fence("def add(a, b):\n    return a + b")),
            path(fence("def add(a, b):\n    return 3")),
            path(fence("def add(a, b) return")),
            path("It is a + b."),
        )
        assert [right.value, half.value, broken.value, none.value] == [1.0, 0.5, 0.0, 0.0]
        assert half.explanation == "1 of 2 tests passed\ntest 2: AssertionError"
        assert "SyntaxError" in broken.explanation
        assert none.explanation == "no fenced Python block"

    def test_programs(self) -> None:
        problem = Problem("p", "?", None, {"tests": [{"input": "2\n", "output": "4\n"}, {"input": "3", "output": "6"}]})
        program = "if __name__ == '__main__':\n    n = int(input())\n    print(2 * n, ' ')\n    exit()"
        wrong = "print(4)"
        good, bad = judged(unit_tests(), path(fence(program), problem=problem), path(fence(wrong), problem=problem))
        assert (good.value, bad.value) == (1.0, 0.5)
        assert "printed '4', not '6'" in bad.explanation
        assert tried("import sys; sys.exit(3)", {"input": "", "output": ""})[0].why == "SystemExit: 3"

    def test_tests_start_afresh_and_see_the_setup(self) -> None:
        problem = Problem(
            "s",
            "?",
            None,
            {"setup": "import math", "tests": ["add(); assert seen == [1]", "add(); assert math.pi > len(seen)"]},
        )
        [score] = judged(unit_tests(), path(fence("seen = []\ndef add():\n    seen.append(1)"), problem=problem))
        assert score.value == 1.0
        with_main = "x = 1\nif __name__ == '__main__':\n    raise SystemExit"
        assert tried(with_main, "assert x == 1") == [Tried(True)]

    def test_open_and_failed_paths_are_unscored(self) -> None:
        scores = judged(unit_tests(), *(path("x", finish) for finish in Finish))
        judged_ones = [finish.value for finish, score in zip(Finish, scores, strict=True) if score.scored]
        assert judged_ones == ["stop", "length", "budget"]

    def test_others_are_judged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(code: str, *_: Any, **__: Any) -> list[Tried]:
            if "bad" in code:
                raise sandbox.BackendError("the sandbox did not start")
            return [Tried(True)]

        monkeypatch.setattr(code_module, "run_tests", failing)
        bad, good = judged(unit_tests(), path(fence("bad")), path(fence("x")))
        assert math.isnan(bad.value)
        assert "did not start" in str(bad.error)
        assert good.value == 1.0
        with pytest.raises(sandbox.BackendError, match="no solution could be run"):
            judged(unit_tests(), path(fence("bad")))

    def test_problems_without_tests(self) -> None:
        for meta in ({}, {"tests": []}, {"tests": "assert"}, {"tests": [1]}, {"tests": [{"input": "x"}]}):
            problem = Problem("q", "?", None, meta)
            with pytest.raises(UsageError, match="q has"):
                unit_tests().validate([PROBLEM, problem])
            [score] = judged(unit_tests(), path(fence("x"), problem=problem))
            assert math.isnan(score.value)


class TestOptions:
    def test_it_has_to_be_asked_for(self) -> None:
        with pytest.raises(UsageError, match="allow_execution=True"):
            UnitTests()
        truthy: Any = 1
        with pytest.raises(UsageError, match="allow_execution=True"):
            UnitTests(allow_execution=truthy)

    def test_blocks(self) -> None:
        text = fence("def add(a, b): return a + b") + fence("print(add(1, 2))")
        values = [judged(unit_tests(block=block), path(text))[0].value for block in ("first", "last", "all")]
        assert values == [1.0, 0.0, 1.0]
        with pytest.raises(UsageError, match="block"):
            unit_tests(block="middle")

    def test_packages(self) -> None:
        uses = Problem("n", "?", None, {"tests": ["import numpy"]})
        limits = Limits(seconds=20, total=30, memory_mib=4096)
        values = [
            judged(unit_tests(packages=p, limits=limits), path(fence(""), problem=uses))[0].value for p in (False, True)
        ]
        assert values == [0.0, 1.0]

    def test_workers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        running, most = 0, list[int]()

        def slow(*_: Any, **__: Any) -> list[Tried]:
            nonlocal running
            running += 1
            most.append(running)
            time.sleep(0.02)
            running -= 1
            return [Tried(True)]

        monkeypatch.setattr(code_module, "run_tests", slow)
        judged(unit_tests(workers=1), *[path(fence("x"))] * 4)
        assert max(most) == 1
        judged(unit_tests(workers=4), *[path(fence("x"))] * 8)
        assert 1 < max(most) <= 4

    def test_members(self) -> None:
        assert (unit_tests().oracle, unit_tests(oracle=False).oracle, unit_tests().parameters) == (True, False, 0)
        assert (unit_tests().name, unit_tests(name="mine").name) == ("unit-tests", "mine")

    def test_what_is_lacking_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(code_module, "lacking", lambda: ("network",))
        with pytest.warns(RuntimeWarning, match="cannot hold network here"):
            assert unit_tests().lacking == ("network",)

    @pytest.mark.parametrize(
        "limits",
        [{"seconds": 0}, {"total": 0}, {"memory_mib": 1}, {"file_mib": 0}, {"open_files": 1}, {"processes": 0}],
    )
    def test_limits_are_checked(self, limits: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            Limits(**limits)


class TestLimits:
    def test_seconds_and_total(self) -> None:
        loop = "while True: pass"
        assert tried(loop, seconds=0.2)[0].why == "not done after 0.2 s"
        several = tried(loop, *["pass"] * 5, seconds=0.3, total=0.5)
        assert [test.why.split(":")[0] for test in several][-2:] == ["not run", "not run"]
        assert tried("import time; time.sleep(0.4)", seconds=2) == [Tried(True)]

    def test_memory(self) -> None:
        grab = "x = bytearray(200 * 2**20)"
        assert tried(grab, memory_mib=128) == [Tried(False, "MemoryError")]
        assert tried(grab, memory_mib=512) == [Tried(True)]

    def test_file_size(self) -> None:
        write = "open('f', 'wb').write(b'x' * 3 * 2**20)"
        assert "File too large" in tried(write, file_mib=1)[0].why
        assert tried(write, file_mib=8) == [Tried(True)]

    def test_open_files(self) -> None:
        several = "import os\nfiles = [os.open('/dev/null', 0) for _ in range(40)]"
        assert "Too many open files" in tried(several, open_files=20)[0].why
        assert tried(several, open_files=100) == [Tried(True)]

    @pytest.mark.skipif("processes" in sandbox.lacking(), reason="processes cannot be held here")
    def test_processes(self) -> None:
        threads = (
            "import threading, time\nready = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(12)]\n"
            "for thread in ready: thread.start()"
        )
        assert not tried(threads, processes=4, memory_mib=4096)[0].passed
        assert tried(threads, processes=64, memory_mib=4096) == [Tried(True)]


HOSTILE = {
    "fork bomb": """
import os
while True:
    try: os.fork()
    except OSError: pass""",
    "infinite loop": "while True: pass",
    "deaf infinite loop": """
import signal
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except OSError: pass
while True: pass""",
    "sleep": "import time; time.sleep(1000)",
    "memory hog": """
x = []
while True: x.append(bytearray(10**7))""",
    "huge number": "x = 9 ** 9 ** 9",
    "huge output": "while True: print('x' * 10**6)",
    "huge error": "raise ValueError('x' * 10**7)",
    "deep recursion": """
import sys
sys.setrecursionlimit(10**9)
def f(): f()
f()""",
    "kills its parent": "import os; os.kill(os.getppid(), 9); os._exit(1)",
    "kills its group": "import os; os.killpg(0, 9)",
    "leaves at once": "import os; os._exit(0)",
    "says goodbye": "import sys; sys.exit(0)",
    "reports for the sandbox": """
import os
for number in range(3, 50):
    try: os.write(number, b'{"index": 0, "passed": true, "why": ""}')
    except OSError: pass
os._exit(0)""",
    "closes everything": """
import os
os.closerange(0, 4096)
raise SystemExit""",
    "big file": "open('f', 'wb').write(b'x' * 10**9)",
    "null bytes": "x = '\0'",
}
LEAVES_ONE = """
import os, time
if not os.fork():
    os.setsid()
    if not os.fork(): time.sleep(99)
    os._exit(0)"""


@pytest.mark.skipif("processes" in sandbox.lacking(), reason="not on a machine that cannot hold processes")
class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_survived_and_not_passed(self, name: str, folders: list[str]) -> None:
        [score] = judged(unit_tests(), path(fence(HOSTILE[name])))
        assert score.value == 0.0
        assert len(score.explanation) < 2000
        assert folders
        assert not any(map(os.path.exists, folders))

    def test_nothing_is_left_running(self, folders: list[str]) -> None:
        assert tried(LEAVES_ONE) == [Tried(True)]
        [mine] = {os.path.basename(folder).encode() for folder in folders}  # other tests run beside this one
        running = [
            place for place in pathlib.Path("/proc").glob("[0-9]*/cmdline") if _read(place).find(b"cage.py") >= 0
        ]
        assert mine.startswith(b"reason-code-")
        assert not [place for place in running if _cwd(place).startswith(mine)]

    def test_the_next_solution_is_unharmed(self) -> None:
        good = path(fence("def add(a, b):\n    return a + b"))
        scores = judged(unit_tests(), *(path(fence(text)) for text in list(HOSTILE.values())[:2]), good)
        assert [score.value for score in scores] == [0.0, 0.0, 1.0]


def _read(place: pathlib.Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError:
        return b""


def _cwd(place: pathlib.Path) -> bytes:
    try:
        return os.readlink(place.parent / "cwd").encode().split(b"/")[-1]
    except OSError:
        return b""
