"""What can be wrong with a store: one clear line each, nothing lost, nothing overwritten."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import pytest
from trace_runs import LoggingPolicy, LoggingScorer, Paid, shown

import reason
from reason.policies.fake import fake_problems
from reason.trace import Store, StoreError, read
from reason.trace.schema import FORMAT
from reason.types import Outcome, UsageError

PROBLEMS = fake_problems(4)


def run(store: Any, paid: Paid | None = None, n: int = 4) -> list[Outcome]:
    paid = paid or Paid()
    return reason.solve(
        PROBLEMS,
        policy=LoggingPolicy(paid),
        scorer=LoggingScorer(paid),
        search=reason.best_of_n(n),
        store=store,
        progress=False,
        concurrency=1,
    )


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    return text


def refused(file: FilePath, *said: str) -> None:
    """Both sides refuse the file with a line that says so, and leave it as it is."""
    before = file.read_bytes()
    for use in (run, read):
        with pytest.raises(UsageError) as error:
            use(file)
        assert all(word in one_line(error.value) for word in (str(file), *said)), error.value
        assert file.read_bytes() == before
    assert not file.with_name(f"{file.name}-lock").exists()


def test_a_file_that_is_no_sqlite_file(tmp_path: FilePath) -> None:
    file = tmp_path / "notes.db"
    file.write_text("my notes, which I want to keep\n" * 20)
    refused(file, "no trace store", "pass another file")


def test_another_programs_sqlite_file(tmp_path: FilePath) -> None:
    file = tmp_path / "photos.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE photo (id INTEGER)")
    connection.close()
    refused(file, "another program's")


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.999])
def test_a_file_that_was_cut_short(kept: float, tmp_path: FilePath) -> None:
    file = tmp_path / "run.db"
    run(file)
    size = file.stat().st_size
    os.truncate(file, max(30, int(size * kept)))
    refused(file, "cut short")


def test_a_file_with_broken_pages(tmp_path: FilePath) -> None:
    file = tmp_path / "run.db"
    run(file)
    size = file.stat().st_size
    with file.open("r+b") as out:
        out.seek(4096)
        out.write(os.urandom(size - 4096))
    with pytest.raises((UsageError, StoreError), match="damaged"):
        run(file)


@pytest.mark.parametrize(("version", "said"), [(FORMAT + 1, "newer"), (FORMAT - 1, "older")])
def test_another_versions_store(version: int, said: str, tmp_path: FilePath) -> None:
    file = tmp_path / "run.db"
    run(file)
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    refused(file, f"format {version}", said)


def test_a_folder_that_is_not_there(tmp_path: FilePath) -> None:
    with pytest.raises(UsageError, match="pass a file in a folder that exists"):
        run(tmp_path / "none" / "run.db")
    with pytest.raises(UsageError, match="there is no trace store"):
        read(tmp_path / "none.db")
    with pytest.raises(UsageError, match="no file"):
        run(tmp_path)


def test_what_is_no_store() -> None:
    with pytest.raises(UsageError, match="pass a file's name"):
        run(3)


UNPRIVILEGED = """
import os, sys
import reason
from reason.policies.fake import FakePolicy, fake_problems
from reason.search import self_consistency
from reason.run import solve
from reason.trace import read, Store
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def unprivileged(script: str, *arguments: object) -> list[str]:
    """The lines that a script prints which may not write everywhere."""
    command = [sys.executable, "-c", UNPRIVILEGED + script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def folder() -> Iterator[FilePath]:
    """A folder that another user can reach too, and nobody write to at the end."""
    with tempfile.TemporaryDirectory() as name:
        place = FilePath(name)
        yield place
        place.chmod(0o700)


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions")
def test_a_folder_that_cannot_be_written(folder: FilePath) -> None:
    folder.chmod(0o555)
    script = "try: solve(fake_problems(1), policy=FakePolicy(), search=self_consistency(2), store=sys.argv[1])\n"
    script += "except reason.UsageError as error: print(error)\n"
    [line] = unprivileged(script, folder / "run.db")
    assert "run.db cannot be written" in line
    assert "pass a file in a folder that exists and can be written" in line
    assert not list(folder.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions")
@pytest.mark.parametrize("modes", [(0o444, 0o555), (0o444, 0o777), (0o644, 0o555)])
def test_a_read_only_store_is_read_and_not_written(modes: tuple[int, int], folder: FilePath) -> None:
    file = folder / "run.db"
    run(file)
    with read(file) as trace:
        nodes = trace.counts()["node"]
    file.chmod(modes[0])
    folder.chmod(modes[1])
    before = file.read_bytes()
    script = "with read(sys.argv[1]) as trace: print(trace.counts()['node'])\n"
    script += "try: Store(sys.argv[1])\n"
    script += "except reason.ReasonError as error: print(error)\n"
    counted, line = unprivileged(script, file)
    assert int(counted) == nodes
    assert "run.db cannot be written" in line
    assert file.read_bytes() == before


def test_a_store_that_another_run_is_writing(tmp_path: FilePath) -> None:
    file, paid = tmp_path / "run.db", Paid()
    with Store(file), pytest.raises(UsageError, match=f"another run .process {os.getpid()}"):
        run(file, paid)
    assert not paid.steps
    run(file, paid)
    assert paid.steps


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: FilePath) -> None:
    file = tmp_path / "run.db"
    script = "import sys, time; from reason.trace import Store\nheld = Store(sys.argv[1])\n"
    script += "print('open', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", script, str(file)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(UsageError, match=f"process {holder.pid}"):
        run(file)
    with read(file) as trace:
        assert trace.being_written()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert file.with_name("run.db-lock").exists()
    assert shown(run(file)) == shown(run(None))
    assert not file.with_name("run.db-lock").exists()
    with read(file) as trace:
        assert not trace.being_written()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_a_dead_one_forked_does_not_hold_its_lock(tmp_path: FilePath) -> None:
    file = tmp_path / "run.db"
    script = "import os, signal, sys, time; from reason.trace import Store\nheld = Store(sys.argv[1])\n"
    script += "child = os.fork()\nif not child: time.sleep(30); os._exit(0)\nprint(child, flush=True)\n"
    script += "os.kill(os.getpid(), signal.SIGKILL)"
    holder = subprocess.Popen([sys.executable, "-c", script, str(file)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        holder.wait()
        holder.stdout.close()
        run(file)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_store_of_another_run(tmp_path: FilePath) -> None:
    file, config = tmp_path / "run.db", {"task": "gsm8k", "limit": 100}
    Store(file, config=config).close()
    Store(file, config=config).close()
    Store(file).close()
    with pytest.raises(UsageError, match=r"another run \(limit 100 there, 200 now\)"):
        Store(file, config={**config, "limit": 200})
    with read(file) as trace:
        assert trace.meta().config == config


def test_a_full_disk_ends_the_run_and_keeps_what_landed(tmp_path: FilePath) -> None:
    file, paid = tmp_path / "run.db", Paid()
    whole = shown(run(None))
    store = Store(file)
    pages = store.rows("PRAGMA page_count")[0][0]
    store.rows(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreError, match="the disk is full: make room and run again") as error, store:
        run(store, paid, n=60)
    one_line(error.value)
    with read(file) as trace:
        kept = trace.counts()
    assert kept["node"] < 4 * 60
    assert shown(run(file)) == whole


def test_a_full_disk_in_the_middle_loses_only_what_was_in_flight(tmp_path: FilePath) -> None:
    file, paid, first = tmp_path / "run.db", Paid(), Paid()
    whole = shown(run(None, first, n=40))
    store = Store(file)
    store.rows(f"PRAGMA max_page_count = {store.rows('PRAGMA page_count')[0][0] + 12}")
    with pytest.raises(StoreError), store:
        run(store, paid, n=40)
    with read(file) as trace:
        kept = trace.counts()["node"]
    assert 0 < kept < 160
    before = len(paid.steps)
    assert shown(run(file, paid, n=40)) == whole
    assert len(paid.steps) - before == 160 - kept


@pytest.fixture
def tiny_disk(tmp_path: FilePath) -> Iterator[FilePath]:
    """A file system of 400 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full(tiny_disk: FilePath, tmp_path: FilePath) -> None:
    file, paid = tiny_disk / "run.db", Paid()
    for _ in range(2):
        with pytest.raises(StoreError, match="the disk is full: make room and run again") as error:
            run(file, paid, n=200)
        one_line(error.value)
    with read(file) as trace:
        kept = trace.counts()["node"]
    assert 0 < kept < 800
    for source in tiny_disk.iterdir():
        shutil.copy(source, tmp_path / source.name)
    before = len(paid.steps)
    assert shown(run(tmp_path / "run.db", paid, n=200)) == shown(run(None, n=200))
    assert len(paid.steps) - before == 800 - kept


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_limit_on_file_sizes(tmp_path: FilePath) -> None:
    script = (
        "import resource, sys, reason\n"
        "from reason.policies.fake import FakePolicy, fake_problems\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try: reason.solve(fake_problems(40), policy=FakePolicy(), search=reason.self_consistency(16),\n"
        "    store=sys.argv[1], progress=False)\n"
        "except reason.BackendError as error: print(error)\n"
    )
    file = tmp_path / "run.db"
    done = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=False)
    [line] = done.stdout.splitlines()
    assert str(file) in line
    assert "run again" in line
    with read(file) as trace:
        assert trace.counts()["node"] > 0
    options: dict[str, Any] = {"search": reason.self_consistency(16), "progress": False}
    again = reason.solve(fake_problems(40), policy=reason.policies.fake.FakePolicy(), store=file, **options)
    alone = reason.solve(fake_problems(40), policy=reason.policies.fake.FakePolicy(), **options)
    assert [outcome.answer for outcome in again] == [outcome.answer for outcome in alone]


def test_a_store_error_is_no_failed_search(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the run, whatever is being done; it is not survived as a failure of one problem."""
    file = tmp_path / "run.db"
    with Store(file) as store:
        written = 0
        write = store.write

        def failing(statement: str, values: Any) -> int:
            nonlocal written
            written += 1
            if written > 20:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
                raise error
            return write(statement, values)

        monkeypatch.setattr(store, "write", failing)
        with pytest.raises(StoreError, match=r"check the disk .* the same command continues"):
            run(store)
    assert shown(run(file)) == shown(run(None))


def test_a_reader_sees_a_run_in_progress(tmp_path: FilePath) -> None:
    file, seen = tmp_path / "run.db", list[tuple[int, int]]()

    def look(outcome: Outcome) -> None:
        with read(file) as trace:
            states = list(trace.outcomes())
            seen.append((sum(state.done for state in states), len(states)))
            assert trace.being_written()

    paid = Paid()
    reason.solve(
        PROBLEMS,
        policy=LoggingPolicy(paid),
        search=reason.self_consistency(3),
        store=file,
        on_outcome=look,
        progress=False,
        concurrency=1,
    )
    assert [done for done, _ in seen] == [1, 2, 3, 4]
