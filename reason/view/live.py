"""`reason view --live`: the page of a run that is followed, served to this machine only.

The server listens on the loopback interface, answers GET alone, and only requests whose Host header names it: a page of
another site whose name is made to resolve to this address (DNS rebinding) is refused. It has four answers, all about
the one run: the page, the run's table, a problem, a problem's tokens.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from reason.trace import StoredOutcome
from reason.types import ReasonError, UsageError
from reason.view.data import dump, problem_json, run_json, tokens_json
from reason.view.mathml import Formulas
from reason.view.page import head, policy, tail
from reason.view.source import Source

ADDRESS = "127.0.0.1"
PORT = 8765
PATIENCE = 30.0
FORMULA_SECONDS = 2.0
_PATH = re.compile(r"/data/(problem|tokens)/(\d{1,7})")


class Following:
    """A run's data as JSON texts, made anew when the run has changed; safe to ask from many threads.

    Args:
        source: The run.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._session = secrets.token_hex(4)
        self._state: object = None
        self._outcomes: list[StoredOutcome] = []
        self._stamp, self._text, self._count = "", "", 0
        self._next = 0.0

    def title(self) -> str:
        """The page's title."""
        with self._lock:
            return self._source.run([]).title

    def run(self, since: str) -> str | None:
        """The run and its table, or None if they are as they were at the stamp."""
        with self._lock:
            self._refresh()
            return None if since == self._stamp else self._text

    def _refresh(self) -> None:
        started = time.monotonic()
        if started < self._next:
            return
        state = self._source.state()
        if state == self._state:
            return
        self._state = state
        self._outcomes = self._source.outcomes()
        self._count += 1
        self._stamp = f"{self._session}{self._count}"
        data = run_json(self._source.run(self._outcomes), Formulas(FORMULA_SECONDS))
        data |= {"stamp": self._stamp, "stamps": [self._source.stamp(item) for item in self._outcomes]}
        self._text = dump(data)
        spent = time.monotonic() - started
        self._next = time.monotonic() + 5 * spent  # a large table takes at most a sixth of the time

    def problem(self, index: int) -> str:
        """A problem with its tree.

        Raises:
            IndexError: There is none of that index.
        """
        with self._lock:
            view = self._source.problem(self._outcomes[index])
        return dump(problem_json(view, Formulas(FORMULA_SECONDS)))

    def tokens(self, index: int) -> str:
        """A problem's tokens.

        Raises:
            IndexError: There is none of that index.
        """
        with self._lock:
            view = self._source.problem(self._outcomes[index])
        return dump(tokens_json(view))


class Server(ThreadingHTTPServer):
    """Serves one run on the loopback interface.

    Args:
        following: The run.
        port: 0 takes a free one.

    Raises:
        UsageError: The port cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, following: Following, port: int = PORT) -> None:
        self.following = following
        try:
            super().__init__((ADDRESS, port), Handler)
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"port {port} cannot be had ({said}): pass another --port, or --port 0 for a free one"
            ) from error
        self.hosts = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}
        if self.server_port == 80:
            self.hosts |= {ADDRESS, "localhost"}

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "reason"
    sys_version = ""
    timeout = PATIENCE
    server: Server

    def do_GET(self) -> None:
        """Answer one of the four questions."""
        if self.headers.get("Host", "").lower() not in self.server.hosts or self._foreign():
            return self._say(HTTPStatus.FORBIDDEN, "this address is not served")
        parts = urlsplit(self.path)
        try:
            answer = self._answer(parts.path, parts.query)
        except IndexError:
            return self._say(HTTPStatus.NOT_FOUND, "there is no such problem")
        except ReasonError as error:
            return self._say(HTTPStatus.SERVICE_UNAVAILABLE, " ".join(str(error).split()))
        if answer is None:
            return self._say(HTTPStatus.NOT_FOUND, "there is nothing here")
        status, kind, text = answer
        return self._say(status, text, kind)

    def _foreign(self) -> bool:
        """Whether a page of another site asks."""
        return self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")

    def _answer(self, path: str, query: str) -> tuple[HTTPStatus, str, str] | None:
        following = self.server.following
        if path == "/":
            return HTTPStatus.OK, "text/html", head(following.title(), live=True) + tail()
        if path == "/data/run":
            text = following.run(parse_qs(query).get("since", [""])[0])
            status = HTTPStatus.NO_CONTENT if text is None else HTTPStatus.OK
            return status, "application/json", text or ""
        asked = _PATH.fullmatch(path)
        if asked is None:
            return None
        give = following.problem if asked[1] == "problem" else following.tokens
        return HTTPStatus.OK, "application/json", give(int(asked[2]))

    def _refuse(self) -> None:
        self.close_connection = True
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered")

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = do_CONNECT = do_TRACE = _refuse

    def _say(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", f"{policy(live=True)}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD" and status is not HTTPStatus.NO_CONTENT:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not reported."""
