"""A real headless Chromium, spoken to over pipes (DevTools protocol, ``--remote-debugging-pipe``).

``with Page() as page: page.open("http://127.0.0.1:8080/")``. Use it inside one test: the browser, all its helpers and
all its files are gone when the block ends.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.needs import require
from tests.support.pace import PACE

NAMES = ("chromium", "chromium-browser", "google-chrome", "headless_shell")
KEEPER = Path(__file__).with_name("chromium_keeper.py")
PATIENCE_S = 40.0 * PACE
"""How long an answer of the browser may take on a busy machine."""
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--disable-breakpad", "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--force-color-profile=srgb",
)  # fmt: skip


def find() -> str:
    """The browser, or a skip that says why (a failure where STRACED_REQUIRE names ``chromium``)."""
    require("chromium")
    return next(found for name in NAMES if (found := shutil.which(name)))


class Page:
    """One browser with one page. Nothing but loopback can be reached from it.

    ``requests`` are the URLs that it asked for, ``errors`` what its console calls an error (exceptions of scripts,
    refusals of the content policy), ``dialogs`` the texts of alerts.
    """

    def __init__(self, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        self._session: str | None = None
        self._number = 0
        self._buffer = b""
        # In /tmp, and not in the TMPDIR of a test: the browser ends at once when the path of its socket, which it puts
        # into its TMPDIR, is longer than 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="chromium-", dir="/tmp"))
        try:
            self._start([*OPTIONS, f"--window-size={width},{height}"])
            self._attach()
            if dark:
                self.dark(True)
        except BaseException:
            self.close()
            raise

    def _start(self, options: list[str]) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        ends = (to_browser, from_browser)
        home = {name: str(self._folder) for name in ("HOME", "TMPDIR")}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "DBUS_"))}
        with open(self._folder / "stderr", "wb") as stderr:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), *map(str, ends), find(), *options,
                 f"--user-data-dir={self._folder / 'profile'}", "about:blank"],
                env={**environment, **home}, pass_fds=ends, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            )  # fmt: skip
        for fd in ends:
            os.close(fd)

    def _attach(self) -> None:
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Page:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol; its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        try:
            os.write(self._out, json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            raise AssertionError(f"the browser ended: {self._last_words()}") from None
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the browser does not answer: {self._last_words()}"
            data = os.read(self._in, 1 << 20)
            assert data, f"the browser ended: {self._last_words()}"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, what: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif event == "Page.javascriptDialogOpening":
            self.dialogs.append(what["message"])
        elif event == "Runtime.exceptionThrown":
            thrown = what["exceptionDetails"]
            self.errors.append(thrown.get("exception", {}).get("description") or thrown["text"])
        elif event == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.errors.append(what["entry"]["text"])

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return (self._folder / "stderr").read_text(errors="replace")[-2000:]
        return ""

    def open(self, where: str | Path, ready: str = "document.readyState === 'complete'") -> None:
        """Load a URL or a file, and wait until the expression ``ready`` holds in it."""
        url = where.absolute().as_uri() if isinstance(where, Path) else where
        answer = self.call("Page.navigate", url=url)
        assert not answer.get("errorText"), f"{url}: {answer['errorText']}"
        self.until(ready)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = PATIENCE_S) -> Any:
        """Wait until an expression is true in the page, and return it."""
        deadline = time.monotonic() + seconds
        while not (value := self.value(expression)):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {expression}; errors: {self.errors}")
            time.sleep(0.01)
        return value

    def text(self, selector: str = "body") -> str:
        """The text of an element as people see it."""
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def mouse(self, kind: str, x: float, y: float) -> None:
        """``mousePressed``, ``mouseMoved`` or ``mouseReleased``, a real input event."""
        buttons = 0 if kind == "mouseReleased" else 1
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    def click(self, selector: str) -> None:
        """Scroll an element into view and click its middle."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.value(f"(b => [b.left + b.width / 2, b.top + b.height / 2])({element}.getBoundingClientRect())")
        self.mouse("mousePressed", *box)
        self.mouse("mouseReleased", *box)

    def type(self, text: str) -> None:
        """Type into the element that has the focus."""
        self.call("Input.insertText", text=text)

    def dark(self, on: bool) -> None:
        """Prefer the dark or the light colours, as the system's setting does."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """The window, or the whole page, as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        """End the browser with all its processes, and remove its files."""
        for name in ("_out", "_in"):
            if (fd := self.__dict__.pop(name, None)) is not None:
                os.close(fd)
        if keeper := self.__dict__.pop("_keeper", None):
            keeper.terminate()
            keeper.wait(PATIENCE_S)
        shutil.rmtree(self._folder, ignore_errors=True)
