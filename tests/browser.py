"""A headless Chromium, driven over its DevTools pipe: no web driver, no port, no network."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 30.0


def find_browser() -> str | None:
    """The path of a Chromium, or None; REASON_BROWSER names one of another name."""
    names = (os.environ.get("REASON_BROWSER", ""), *NAMES)
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Browser:
    """One page in a browser of its own.

    Args:
        width, height: Of the viewport, in CSS pixels.
        dark: The colour scheme that the page is told.
    """

    def __init__(self, width: int = 1440, height: int = 900, *, dark: bool = False) -> None:
        found = find_browser()
        assert found is not None, "no Chromium"
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        read_in, self._send = os.pipe()
        self._receive, write_out = os.pipe()
        command = (
            f'exec "$0" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --mute-audio '
            f"--disable-background-networking --disable-component-update --remote-debugging-pipe "
            f'--user-data-dir="$1" about:blank 3</dev/fd/{read_in} 4>/dev/fd/{write_out}'
        )
        self._process = subprocess.Popen(
            ["sh", "-c", command, found, self._folder.name],
            pass_fds=(read_in, write_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read_in)
        os.close(write_out)
        self._rest, self._number, self._session = b"", 0, ""
        self.events: list[Mapping[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.scheme(dark=dark)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._send)
        os.close(self._receive)
        self._folder.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A DevTools command's result; events that come before it are kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        last = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._receive], [], [], max(0.0, last - time.monotonic()))
            got = os.read(self._receive, 1 << 20) if ready else b""
            assert got, "the browser does not answer"
            self._rest += got
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, address: str) -> None:
        """Load a page and wait until it says that it is ready."""
        self.events.clear()
        self.call("Page.navigate", url=address)
        self.wait("document.documentElement && document.documentElement.dataset.ready === 'yes'")

    def run(self, script: str) -> Any:
        """What an expression (a promise is awaited) is worth, as JSON data."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        last = time.monotonic() + PATIENCE
        while not self.run(script):
            assert time.monotonic() < last, f"never true: {script}"
            time.sleep(0.02)

    def key(self, key: str) -> None:
        """Press and release a key, by its DOM name."""
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39}
        codes |= {"Home": 36, "End": 35, "PageUp": 33, "PageDown": 34}
        code = codes.get(key, ord(key.upper()) if len(key) == 1 and key.isalnum() else 0)
        common: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def resize(self, width: int, height: int) -> None:
        """Set the viewport, in CSS pixels."""
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def scheme(self, *, dark: bool) -> None:
        """Tell the page a colour scheme."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def picture(self, file: Path) -> None:
        """Write what is seen as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def paper(self, file: Path) -> None:
        """Write the page as it is printed, as PDF."""
        file.write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"]))

    def errors(self) -> list[str]:
        """What the page complained about since it was opened: exceptions, and entries of the log."""
        self.run("1")
        found = list[str]()
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
            if event.get("method") == "Log.entryAdded":
                found.append(str(event["params"]["entry"]["text"]))
        return found

    def requests(self) -> list[str]:
        """The addresses asked for since the page was opened."""
        self.run("1")
        sent = [event["params"]["request"]["url"] for event in self.events if event.get("method") == SENT]
        return [address for address in sent if not address.startswith(("data:", "about:"))]


SENT = "Network.requestWillBeSent"
