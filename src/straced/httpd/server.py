"""The listener: so many connections at a time, so long for a head, so long for a reader who does not read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from straced.faults import faults
from straced.httpd.address import Address
from straced.httpd.message import HttpRequest, Malformed, Response, Send, parse, text
from straced.linux.passed_descriptors import refuse_descriptors

log = logging.getLogger("straced.service")
MAX_HEAD = 16384
HEAD_S = 10.0
SEND_S = 10.0
"""How long a reader may take for what is sent to it at once."""
MAX_CONNECTIONS = 64
Handler = Callable[[HttpRequest], Awaitable[Response]]


class HttpServer:
    """Serves one handler on one address at a time.

    Args:
        handler: makes the answer; what it raises becomes a 500, without words about it.
        max_connections: when there are more, the one that takes longest to say what it wants is dropped.
        head_s: how long a head may take; ``send_s``: how long a reader may take.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        max_connections: int = MAX_CONNECTIONS,
        head_s: float = HEAD_S,
        send_s: float = SEND_S,
    ) -> None:
        self._handler = handler
        self._max = max_connections
        self._head_s, self._send_s = head_s, send_s
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: dict[asyncio.Task[None], None] = {}
        """Connections that have not said what they want, the oldest first."""

    @property
    def port(self) -> int | None:
        """The port that is listened on, when it is one."""
        if self._server is None or self._path is not None or not self._server.sockets:
            return None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def is_private(self) -> bool:
        """Whether a unix socket is listened on, which strangers' pages cannot reach."""
        return self._path is not None

    async def listen(self, address: Address) -> None:
        """Listen there, and nowhere else any more.

        Raises:
            OSError: nothing can listen there.
        """
        await self.close()
        if not address.path:
            self._server = await asyncio.start_server(self._serve, address.host, address.port, limit=MAX_HEAD)
            return
        path = Path(address.path)
        _clear(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        refuse_descriptors(sock)
        before = os.umask(0o177)
        try:
            sock.bind(address.path)
            self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=MAX_HEAD)
        except BaseException:
            sock.close()
            raise
        finally:
            os.umask(before)
        self._path = path

    async def close(self) -> None:
        """Stop listening, and end what is under way."""
        server, self._server = self._server, None
        path, self._path = self._path, None
        if server is not None:
            server.close()
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        crowded = len(self._tasks) >= self._max
        full = crowded and not self._silent
        if crowded and self._silent:
            slowest = next(iter(self._silent))
            del self._silent[slowest]
            slowest.cancel()
        self._tasks.add(task)
        self._silent[task] = None
        writer.transport.set_write_buffer_limits(high=0)  # drain() then waits until all is out
        try:
            await self._converse(reader, writer, full=full)
        except asyncio.CancelledError:
            pass  # dropped by close(), or to make room
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._tasks.discard(task)
            self._silent.pop(task, None)
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # close() would wait for a reader who does not read
            else:
                writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, full: bool) -> None:
        async with asyncio.timeout(self._head_s):
            head = await reader.readuntil(b"\r\n\r\n")
        task = asyncio.current_task()
        assert task is not None
        self._silent.pop(task, None)

        async def send(data: bytes) -> None:
            writer.write(data)
            async with asyncio.timeout(self._send_s):
                await writer.drain()

        if full:
            await _send_answer(text(503, "too many connections"), send)
            return
        try:
            request = parse(head)
        except Malformed as error:
            await _send_answer(text(400, str(error)), send)
            return
        try:
            answer = await self._answer(request)
        except asyncio.CancelledError:
            if self._server is None:  # closed, and not to make room for others
                stopping = text(503, "the service is stopping")
                writer.write(stopping.head() + stopping.body)
            raise
        await _send_answer(answer, send, head_only=request.method == "HEAD", closed=reader)

    async def _answer(self, request: HttpRequest) -> Response:
        try:
            return await self._handler(request)
        except Exception as error:
            faults.tell("http_failed", error, path=request.path[:200])
            return text(500, "internal fault")


async def _send_answer(
    answer: Response, send: Send, *, head_only: bool = False, closed: asyncio.StreamReader | None = None
) -> None:
    if answer.stream is None or head_only:
        await send(answer.head() + (b"" if head_only else answer.body))
        return
    await send(answer.head())
    streaming = asyncio.ensure_future(answer.stream(send))
    waiting = [streaming]
    if closed is not None:
        waiting.append(asyncio.ensure_future(_until_closed(closed)))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _until_closed(reader: asyncio.StreamReader) -> None:
    """Until the other side has closed its end; what it still sends is not looked at."""
    while await reader.read(4096):
        pass


def _clear(path: Path) -> None:
    """Remove the socket of an earlier service, and nothing else."""
    with contextlib.suppress(FileNotFoundError):
        if path.is_socket():
            path.unlink()
