"""Serves the metrics over HTTP: one page, to this host alone, and only under names that are this host's.

The check of Host is what keeps a web page of a stranger from reading them through the visitor's browser (DNS
rebinding).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from straced.config import ConfigError, Metrics
from straced.service.metrics.address import parse
from straced.service.metrics.totals import CONTENT_TYPE

log = logging.getLogger("straced.service")
MAX_HEAD = 16384
HEAD_S = 10.0
MAX_CONNECTIONS = 64
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


class MetricsServer:
    """The listener; does nothing until :meth:`listen` is told an address.

    Args:
        text: makes the page.
    """

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text
        self._server: asyncio.Server | None = None
        self._config = Metrics()
        self._path: Path | None = None
        self._connections = 0

    @property
    def port(self) -> int | None:
        """The port that is listened on, when it is one."""
        if self._server is None or self._path is not None or not self._server.sockets:
            return None
        return int(self._server.sockets[0].getsockname()[1])

    async def listen(self, config: Metrics) -> None:
        """Listen where the configuration says, and nowhere else any more.

        Raises:
            ConfigError: nothing can listen there.
        """
        moved = config.listen != self._config.listen
        self._config = config
        if not moved:
            return
        await self.close()
        if not config.listen:
            return
        address = parse(config.listen)
        try:
            if address.path:
                self._path = Path(address.path)
                with contextlib.suppress(FileNotFoundError):
                    if self._path.is_socket():
                        self._path.unlink()
                before = os.umask(0o177)
                try:
                    self._server = await asyncio.start_unix_server(self._serve, address.path, limit=MAX_HEAD)
                finally:
                    os.umask(before)
            else:
                self._server = await asyncio.start_server(self._serve, address.host, address.port, limit=MAX_HEAD)
        except OSError as error:
            self._config = Metrics()
            self._path = None
            raise ConfigError(f"metrics.listen: {config.listen}: {error.strerror}", hint="is it taken?") from error
        log.info("metrics", extra={"straced": {"listen": config.listen}})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            async with asyncio.timeout(HEAD_S):
                if self._connections > MAX_CONNECTIONS:
                    answer = _answer(503, "too many connections\n")
                else:
                    answer = await self._answer((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                writer.write(answer)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, head: str) -> bytes:
        first, *lines = head.split("\r\n")
        words = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if not self._is_this_host(headers.get("host")):
            return _answer(403, "this name is not this host's (metrics.hosts)\n")
        if "origin" in headers:
            return _answer(403, "not for web pages\n")
        if len(words) != 3 or words[0] not in ("GET", "HEAD"):
            return _answer(405, "GET is all there is\n")
        if words[1].partition("?")[0] != "/metrics":
            return _answer(404, "see /metrics\n")
        page = await asyncio.to_thread(self._text)
        return _answer(200, page, CONTENT_TYPE, head_only=words[0] == "HEAD")

    def _is_this_host(self, host: str | None) -> bool:
        if self._path is not None:
            return True
        if host is None:
            return False
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return name.lower() in LOCAL | {each.lower() for each in self._config.hosts}

    async def close(self) -> None:
        """Stop listening."""
        server, self._server = self._server, None
        path, self._path = self._path, None
        if server is not None:
            server.close()
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()


_REASONS = {
    200: "OK",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


def _answer(status: int, body: str, kind: str = "text/plain; charset=utf-8", *, head_only: bool = False) -> bytes:
    data = body.encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if head_only else data)
