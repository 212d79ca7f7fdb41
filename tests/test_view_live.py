"""The page of a run that is followed: who may ask, for what, and that the page goes along with the run."""

from __future__ import annotations

import contextlib
import http.client
import json
import pathlib
import socket
import threading
import time
import webbrowser
from collections.abc import Iterator
from typing import Any

import pytest
from browser import Browser, find_browser

import reason
from reason.cli import main
from reason.policies.fake import FakePolicy, FakeScorer
from reason.search import mcts
from reason.trace import Store
from reason.types import Problem
from reason.view.data import Node, ProblemView, Row, RunView
from reason.view.live import ADDRESS, Following, Server
from reason.view.source import Source

HOSTILE = "</script><script>document.title='ran'</script> \u202e $x^2$"
PROBLEMS = [Problem(f"p{at}", f"{at} + 3 + 4 + 5", str(at + 12)) for at in range(8)]


class NamedScorer(FakeScorer):
    name = "fake"


def search(file: pathlib.Path, count: int) -> None:
    """Solve the first problems; those in the store are not searched again."""
    with Store(file) as store:
        reason.solve(
            PROBLEMS[:count], policy=FakePolicy(), search=mcts(n=8), scorer=NamedScorer(), store=store, progress=False
        )


class Staged(Source):
    """A run of one problem whose stages are set by the test."""

    def __init__(self, stages: list[ProblemView]) -> None:
        self.stages, self.at = stages, 0

    def close(self) -> None: ...

    def state(self) -> tuple[object, ...]:
        return (self.at,)

    def outcomes(self) -> list[Any]:
        return [self.at]

    def stamp(self, outcome: Any) -> str:
        return str(outcome)

    def run(self, outcomes: list[Any] | None = None) -> RunView:
        state = "done" if self.stages[self.at].done else "running"
        return RunView("staged", (), (), (Row("p", "question", state=state),) if outcomes else ())

    def problem(self, outcome: Any) -> ProblemView:
        return self.stages[outcome]


@contextlib.contextmanager
def serving(run: pathlib.Path | Source) -> Iterator[Server]:
    source = run if isinstance(run, Source) else Source(run)
    server = Server(Following(source), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        source.close()


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Iterator[Server]:
    search(tmp_path / "trace.db", 2)
    with serving(tmp_path) as found:
        yield found


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(ADDRESS, server.server_port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named)
    answer = connection.getresponse()
    found = answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read().decode()
    connection.close()
    return found


def test_the_page_and_its_data(server: Server) -> None:
    status, headers, text = ask(server, "/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "connect-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert 'data-live="yes"' in text
    assert "application/json" not in text
    status, headers, text = ask(server, "/data/run")
    run = json.loads(text)
    assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert [row[0] for row in run["rows"]] == ["p0", "p1"]
    assert len(run["stamps"]) == 2
    assert ask(server, f"/data/run?since={run['stamp']}")[0] == 204
    assert ask(server, "/data/run?since=other")[0] == 200
    assert json.loads(ask(server, "/data/problem/1")[2])["text"]
    assert any(json.loads(ask(server, "/data/tokens/0")[2]))


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/data/run", {"Host": "evil.example"}, 403),
        ("/", {"Host": "evil.example:80"}, 403),
        ("/data/run", {"Host": "127.0.0.1"}, 403),
        ("/data/run", {"Host": ""}, 403),
        ("/data/run", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("/data/run", {"Sec_Fetch_Site": "same-site"}, 403),
        ("/data/run", {"Sec_Fetch_Site": "same-origin"}, 200),
        ("/data/problem/99", {}, 404),
        ("/data/problem/-1", {}, 404),
        ("/data/problem/1/../0", {}, 404),
        ("/../../etc/passwd", {}, 404),
        ("/%2e%2e/trace.db", {}, 404),
        ("/trace.db", {}, 404),
        ("http://evil.example/data/run", {}, 403),
        ("/data/problem/99999999999999", {}, 404),
    ],
)
def test_who_may_ask_for_what(server: Server, path: str, headers: dict[str, str], expected: int) -> None:
    assert ask(server, path, **headers)[0] == expected


def test_localhost_is_this_machine_too(server: Server) -> None:
    assert ask(server, "/data/run", Host=f"localhost:{server.server_port}")[0] == 200
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
def test_only_get_is_answered(server: Server, method: str) -> None:
    status, headers, _ = ask(server, "/data/run", method)
    assert (status, headers["allow"]) == (405, "GET")


def test_a_request_that_is_no_http_harms_nothing(server: Server) -> None:
    with socket.create_connection((ADDRESS, server.server_port)) as connection:
        connection.sendall(b"\x00\xff\r\n\r\n")
        connection.recv(100)
    assert ask(server, "/data/run")[0] == 200


def test_a_taken_port_is_one_clear_line(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(server.following._source.file)
    assert main(["view", run, "--live", "--port", str(server.server_port)]) == 2
    printed = capsys.readouterr()
    assert f"port {server.server_port} cannot be had" in printed.err
    assert "--port" in printed.err
    assert len(printed.err.splitlines()) == 1


def test_the_command_serves_until_it_is_interrupted(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    search(tmp_path / "trace.db", 1)
    asked = list[tuple[int, str]]()

    def interrupted(self: Server, poll_interval: float = 0.5) -> None:
        asked.append((self.server_port, self.address))
        raise KeyboardInterrupt

    opened = list[str]()
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(Server, "serve_forever", interrupted)
    assert main(["view", str(tmp_path), "--live", "--port", "0"]) == 0
    assert not opened
    assert main(["view", str(tmp_path), "--live", "--port", "0", "--open"]) == 0
    assert opened == [asked[1][1]]
    port, address = asked[0]
    assert address == f"http://127.0.0.1:{port}/"
    assert address in capsys.readouterr().out


@pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine (REASON_BROWSER names one)")
def test_the_page_follows_and_keeps_what_is_open_and_chosen(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "trace.db"
    search(file, 2)
    with serving(tmp_path) as server, Browser() as browser:
        browser.open(server.address)
        browser.wait("document.querySelector('#count').textContent === '2 problems'")
        browser.run("document.querySelector('#p1').click()")
        browser.wait("document.querySelector('#problem-id').textContent.includes('p1')")
        browser.run("document.querySelector('#to-chosen').click()")
        browser.key("ArrowUp")
        browser.run("document.querySelector('#filter').value = '+ 3'")
        chosen = browser.run("document.querySelector('#nodes [aria-selected=true] .line').textContent")
        search(file, 5)
        browser.wait("document.querySelector('#count').textContent === '5 problems'")
        assert browser.run("document.querySelector('#problem-id').textContent").endswith("p1")
        assert browser.run("document.querySelector('#nodes [aria-selected=true] .line').textContent") == chosen
        assert browser.run("document.activeElement.id") == "nodes"
        assert browser.run("document.querySelector('#filter').value") == "+ 3"
        assert browser.run("document.querySelector('#status').textContent") == "live"
        assert browser.errors() == []
        assert all(address.startswith(server.address) for address in browser.requests())


@pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine (REASON_BROWSER names one)")
def test_hostile_text_is_text_there_too_and_a_server_that_went_is_told(tmp_path: pathlib.Path) -> None:
    with Store(tmp_path / "trace.db") as store:
        problem = Problem("bad", f"1 + 2 {HOSTILE}", HOSTILE)
        reason.solve(
            [problem], policy=FakePolicy(), search=mcts(n=2), scorer=NamedScorer(), store=store, progress=False
        )
    with Browser() as browser:
        with serving(tmp_path) as server:
            browser.open(server.address)
            browser.wait("document.querySelector('#question').textContent.length > 0")
            assert "<script>document.title='ran'</script> U+202E" in browser.run(
                "document.querySelector('#question').textContent"
            )
            assert browser.run("document.title") != "ran"
            assert browser.errors() == []
        browser.wait("document.querySelector('#status').className === 'lost'")


@pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine (REASON_BROWSER names one)")
def test_what_is_open_and_chosen_stays_while_the_tree_grows_and_when_it_is_done() -> None:
    growing = [Node(-1, "a"), Node(-1, "b"), Node(0, "a1"), Node(0, "a2"), Node(1, "b1"), Node(2, "a11")]
    done = [Node(-1, "b", chosen=True), Node(0, "b1", chosen=True), Node(-1, "a"), Node(2, "a2"), Node(2, "a1"),
            Node(4, "a11", finish="stop"), Node(4, "a12")]  # fmt: skip
    stages = [
        ProblemView("question", growing[:3], done=False),
        ProblemView("question", growing[:5], done=False),
        ProblemView("question", growing, done=False),
        ProblemView("question", done, answer="1"),
    ]
    source = Staged(stages)
    lines = "[...document.querySelectorAll('#node-rows .line')].map(x => x.textContent)"
    chosen = "document.querySelector('#nodes [aria-selected=true] .line')?.textContent"
    with serving(source) as server, Browser() as browser:
        browser.open(server.address)
        browser.wait(f"{lines}.join() === 'a,a1,b'")
        browser.run("document.querySelector('#n1').click()")
        assert browser.run(chosen) == "a1"
        source.at = 1
        browser.wait(f"{lines}.join() === 'a,a1,a2,b,b1'")
        assert browser.run(chosen) == "a1"
        browser.run("document.querySelector('#n3 .twist').click()")
        browser.run("document.querySelector('#n1').click()")
        assert browser.run(f"{lines}.join()") == "a,a1,a2,b"
        source.at = 2
        browser.wait(f"{lines}.join() === 'a,a1,a11,a2,b'")
        assert browser.run(chosen) == "a1"
        source.at = 3
        browser.wait(f"{lines}.join() === 'b,b1,a,a2,a1,a11,a12'")
        assert browser.run(chosen) == "a1"
        assert browser.errors() == []


@pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine (REASON_BROWSER names one)")
def test_an_update_disturbs_neither_reader_nor_finger() -> None:
    stages = [ProblemView("question", [Node(-1, f"step {at}")] * (at + 1), done=False) for at in range(4)]
    source = Staged(stages)
    count = "document.querySelector('#node-count').textContent"
    with serving(source) as server, Browser(390, 844) as browser:
        browser.open(server.address)
        browser.wait(f"{count} === '1 node'")
        browser.run("getSelection().selectAllChildren(document.querySelector('#question'))")
        source.at = 1
        browser.wait(f"{count} === '2 nodes'")
        assert browser.run("String(getSelection())") == "question"
        browser.run("getSelection().removeAllRanges()")
        browser.run("document.querySelector('#back').click()")
        source.at = 2
        browser.wait(f"{count} === '3 nodes'")
        assert browser.run("document.body.classList.contains('one')") is False
        box = browser.run("(({ x, y }) => [x, y])(document.querySelector('#p0').getBoundingClientRect())")
        mouse = {"x": box[0] + 50, "y": box[1] + 20, "button": "left", "clickCount": 1}
        browser.call("Input.dispatchMouseEvent", type="mousePressed", **mouse)
        source.at = 3
        time.sleep(1.5)
        assert browser.run(count) == "3 nodes"
        browser.call("Input.dispatchMouseEvent", type="mouseReleased", **mouse)
        browser.wait(f"{count} === '4 nodes'")
        browser.wait("document.body.classList.contains('one')")
        assert browser.errors() == []
