"""A real service with its page, and requests to it made by hand."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.service.daemon import Daemon
from tests.support.poll import until

API = ("/api/live", "/api/process", "/api/calls", "/api/host", "/api/minute", "/api/latency", "/api/why", "/api/slow")
ASSETS = Path(__file__).parents[2] / "src/straced/web/assets"


def free_port() -> int:
    """A port of the loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Site:
    """A service that has a page."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self.daemon = daemon
        self.port = port
        self.key = ""
        self.cookie = ""

    @property
    def url(self) -> str:
        """The URL that lets in."""
        return self.file.read_text().strip()

    @property
    def file(self) -> Path:
        return self.daemon.state / "web.url"

    @property
    def token(self) -> str:
        return self.url.partition("#")[2]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Whether somebody listens, and the URL is written."""
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0 and self.file.exists()

    def get(self, path: str, *, method: str = "GET", host: str | None = None, **headers: str) -> Reply:
        """One request; ``_`` in the name of a header stands for a hyphen."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if host is not None:
            given["Host"] = host
        try:
            connection.request(method, path, headers=given)
            answer = connection.getresponse()
            live = answer.status == 200 and path.startswith("/api/live") and method == "GET"
            body = answer.read(1) if live else answer.read()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)
        finally:
            connection.close()

    def log_in(self) -> None:
        """Buy a cookie and a key."""
        reply = self.get("/api/login", Authorization=f"Bearer {self.token}")
        assert reply.status == 200
        self.key = reply.json["key"]
        self.cookie = reply.headers["set-cookie"].partition(";")[0]

    def ask(self, path: str, **fields: object) -> Reply:
        """A request of one who was let in."""
        query = "&".join(f"{name}={value}" for name, value in fields.items())
        return self.get(f"{path}?{query}", Cookie=self.cookie, X_Straced_Key=self.key)

    def news(self, **fields: object) -> Iterator[dict[str, Any]]:
        """What a page is told, one message after the other."""
        query = "&".join(f"{name}={value}" for name, value in fields.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Cookie": self.cookie, "X-Straced-Key": self.key}
            connection.request("GET", f"/api/live?{query}", headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            event = b""
            while line := answer.readline():
                if line.startswith(b"event: "):
                    event = line[7:].strip()
                elif line.startswith(b"data: ") and event == b"news":
                    yield json.loads(line[6:])
        finally:
            connection.close()


@contextlib.contextmanager
def site(folder: Path, config: str = "", *, interval: str = "0.2s", tracer: str = "none") -> Iterator[Site]:
    """A service with its page, for the length of a block. ``config`` begins with tables."""
    port = free_port()
    words = f'tracer = "{tracer}"\n[web]\nlisten = "127.0.0.1:{port}"\n{config}'
    daemon = Daemon(folder, words, interval=interval).start()
    try:
        found = Site(daemon, port)
        until(found.answers, 30)
        yield found
    finally:
        daemon.stop()
