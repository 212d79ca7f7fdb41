"""The sandbox: what a solution cannot reach, replace or spoil."""

from __future__ import annotations

import os
import pathlib
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reason.scorers import cage, sandbox
from reason.scorers.sandbox import Limits, Tried, run_tests

DEEP = """
import os
for _ in range(50):
    os.mkdir('d'); open('f', 'w'); os.chdir('d')
os.symlink('/', 'root')
os.chmod('../d', 0)"""


pytestmark = pytest.mark.usefixtures("quiet_sandbox")


def tried(code: str, *checks: Any, **limits: Any) -> list[Tried]:
    bounds = {"seconds": 1.0, "total": 5.0, "memory_mib": 256, **limits}
    return run_tests(code, list(checks) or ["pass"], Limits(**bounds))


class TestIsolation:
    @pytest.mark.skipif("writes" in sandbox.lacking(), reason="writes cannot be held here")
    def test_writes_outside_the_folder(self, tmp_path: pathlib.Path) -> None:
        tmp_path.chmod(0o777)
        (tmp_path / "mine").write_text("safe")
        (tmp_path / "mine").chmod(0o666)
        for attack in (
            "open({0!r}, 'w').write('x')",
            "import os; os.remove({0!r})",
            "import os; os.rename({0!r}, 'x')",
        ):
            assert not tried(attack.format(str(tmp_path / "mine")))[0].passed
        assert not tried(f"open({str(tmp_path / 'new')!r}, 'w')")[0].passed
        assert [file.name for file in tmp_path.iterdir()] == ["mine"]
        assert (tmp_path / "mine").read_text() == "safe"
        assert tried("open('mine', 'w').write('x')", "assert open('mine').read() == 'x'") == [Tried(True)]

    @pytest.mark.skipif("network" in sandbox.lacking(), reason="the network cannot be held here")
    def test_network(self) -> None:
        lookup = "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"
        assert "unreachable" in tried(lookup)[0].why

    @pytest.mark.skipif("sockets" in sandbox.lacking(), reason="UNIX sockets cannot be held here")
    def test_sockets_of_the_machine(self, tmp_path: pathlib.Path) -> None:
        place = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as service:
            service.bind(place)
            service.listen()
            for base in (tmp_path, pathlib.Path(place)):
                base.chmod(0o777)
            attack = f"import socket\nsocket.socket(socket.AF_UNIX).connect({place!r})"
            assert "PermissionError" in tried(attack)[0].why
        assert tried("import socket\nsocket.socketpair(); socket.socket(socket.AF_INET)") == [Tried(True)]

    def test_without_seccomp_sockets_are_lacking(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = {**sandbox._possible(), "seccomp": False}
        monkeypatch.setattr(sandbox, "_possible", lambda: found)
        sandbox.lacking.cache_clear()
        assert "sockets" in sandbox.lacking()
        sandbox.lacking.cache_clear()

    @pytest.mark.parametrize("deed", ["os.symlink('/etc/passwd', '.output')", "pass", "os.mkfifo('.output')"])
    def test_the_output_cannot_be_replaced(self, deed: str) -> None:
        attack = (
            f"import os\nif os.path.lexists('.output'): os.remove('.output')\n{deed}\nprint('mine')\n"
            "print(os.listdir() != [])"
        )
        test = {"input": "", "output": "x"}
        assert tried(attack, test) == [Tried(False, "printed 'mine\\nTrue', not 'x'")]
        assert tried(attack, {"input": "", "output": "mine\nTrue"}) == [Tried(True)]

    def test_the_wanted_output_is_not_in_the_process(self) -> None:
        """Neither in the frames nor anywhere among the objects of the process that runs the program."""
        attack = """
import gc, sys
seen = []
frame = sys._getframe()
while frame:
    seen.append(repr({**frame.f_locals, 'seen': 0}))
    frame = frame.f_back
seen += [repr(thing) for thing in gc.get_objects() if type(thing) is dict and ('tests' in thing or 'input' in thing)]
print('asked' in ''.join(seen), ''.join(['wan', 'ted-4711']) in ''.join(seen))"""
        test = {"input": "asked", "output": "wanted-4711"}
        assert tried(attack, test)[0].why == "printed 'True False', not 'wanted-4711'"

    def test_the_environment_is_empty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MY_SECRET", "4711")
        assert tried("import os", "assert 'MY_SECRET' not in os.environ and len(os.environ) < 3") == [Tried(True)]
        assert tried("import sys", "assert not any('site-packages' in p for p in sys.path)") == [Tried(True)]

    def test_the_folder_is_removed_whatever_is_in_it(self, folders: list[str]) -> None:
        assert tried(DEEP) == [Tried(True)]
        assert folders
        assert not any(map(os.path.exists, folders))

    def test_what_is_lacking_has_a_name(self) -> None:
        assert set(sandbox.lacking()) <= {"network", "writes", "processes", "sockets"}

    def test_without_namespaces_it_still_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sandbox, "_namespaces", lambda: ())
        sandbox.lacking.cache_clear()
        assert "network" in sandbox.lacking()
        sandbox.lacking.cache_clear()
        assert tried("x = 1", "assert x == 1", "assert x == 2") == [Tried(True), Tried(False, "AssertionError")]
        assert not tried("while True: pass", seconds=0.2)[0].passed

    def test_a_sandbox_that_does_not_start_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sandbox, "CAGE", pathlib.Path("/nonexistent"))
        with pytest.raises(sandbox.BackendError, match="did not start"):
            tried("x = 1")


class TestOneBadSolution:
    def test_a_signal_without_a_name(self) -> None:
        attack = "import os, signal\nos.kill(os.getpid(), signal.SIGRTMIN + 3)"
        assert [test.passed for test in tried(attack, "pass", "pass")] == [False, False]
        assert "ended by signal" in tried(attack)[0].why

    def test_a_cage_that_dies_has_started(self, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
        dying = tmp_path / "cage.py"
        dying.write_text("import os\nos.write(1, b'{\"ready\": true}\\n')\nos.kill(os.getpid(), 9)")
        monkeypatch.setattr(sandbox, "CAGE", dying)
        monkeypatch.setattr(sandbox, "_drops", lambda: False)
        assert tried("x = 1", "pass", "pass") == [Tried(False, "not run: the sandbox ended before")] * 2

    def test_a_test_that_cannot_be_prepared(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "test-0").mkdir()
        monkeypatch.chdir(tmp_path)
        job = {"tests": ["pass"], "user": None, "code": ""}
        report = cage._tested(job, 0, 1.0)
        assert report["passed"] is False
        assert "FileExistsError" in report["why"]

    @given(st.text(st.characters(exclude_categories=["Cs"])), st.text(alphabet=" \n\tx\x0c"))
    def test_outputs_are_the_same_but_for_white_space_at_ends(self, first: str, second: str) -> None:
        def lines(text: str) -> list[str]:
            return [line.rstrip() for line in text.rstrip().splitlines()]

        for other in (first + second, second, first.replace("x", " ")):
            assert (cage.digest(first) == cage.digest(other)) == (lines(first) == lines(other))
