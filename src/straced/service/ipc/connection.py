"""One client: its socket, the frames and descriptors it sends, and a bounded queue of what it has not read yet.

A client that does not read costs the service a bounded amount of memory and nobody else anything: what it is too slow
for is dropped, and it is told how much.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable

import msgspec

from straced.errors import StracedError
from straced.service.authorisation import Peer
from straced.service.ipc import protocol
from straced.service.ipc.protocol import MAX_FRAME, Request

MAX_QUEUED = 4 * MAX_FRAME
"""Bytes of notifications that may wait."""
MAX_UNREAD = 16 * MAX_FRAME
"""Bytes of answers that may wait: whoever asks on and on without reading is disconnected."""
MAX_IN_FLIGHT = 64
MAX_FDS = 4
Handler = Callable[["Connection", Request], Awaitable[bytes]]


class Connection:
    """One client. The loop calls back; nothing here blocks."""

    def __init__(self, sock: socket.socket, peer: Peer, handle: Handler, closed: Callable[[Connection], None]) -> None:
        self.sock = sock
        self.peer = peer
        self.topics: frozenset[str] = frozenset()
        self.greeted = False
        self.dropped = 0
        self.cleanups: list[Callable[[], None]] = []
        self._handle = handle
        self._closed = closed
        self._in = bytearray()
        self._fds: collections.deque[int] = collections.deque()
        self._out: collections.deque[bytes] = collections.deque()
        self._queued = 0
        self._sent = 0
        self._told = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = False
        self._open = True
        self._ending = False
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def is_open(self) -> bool:
        return self._open

    def take_fd(self) -> int | None:
        """The oldest descriptor that came with a request; the caller closes it."""
        return self._fds.popleft() if self._fds else None

    # --- out ---

    def notify(self, frame: bytes) -> None:
        """Send something that may be dropped when the client is slow."""
        if self._queued + len(frame) > MAX_QUEUED:
            self.dropped += 1
            return
        if self.dropped > self._told:
            self._send(protocol.notification("gap", {"dropped": self.dropped - self._told}))
            self._told = self.dropped
        self._send(frame)

    def answer(self, frame: bytes) -> None:
        """Send an answer; never dropped."""
        if len(frame) > 8 * MAX_FRAME:
            frame = protocol.refusal(None, StracedError("the answer is too large", hint="ask for less"))
        self._send(frame)
        if self._queued > MAX_UNREAD:
            self.close()

    def end(self, frame: bytes) -> None:
        """Send a last word, and close once it is out."""
        self._ending = True
        self._send(frame)

    def _send(self, frame: bytes) -> None:
        if not self._open:
            return
        self._out.append(frame)
        self._queued += len(frame)
        if not self._writing:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._out:
                view = memoryview(self._out[0])[self._sent :]
                count = self.sock.send(view, socket.MSG_NOSIGNAL)
                self._sent += count
                if self._sent == len(self._out[0]):
                    self._queued -= len(self._out.popleft())
                    self._sent = 0
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self.sock.fileno(), self._flush)
            return
        except OSError:
            self.close()
            return
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self.sock.fileno())
        if self._ending:
            self.close()

    # --- in ---

    def _readable(self) -> None:
        try:
            data, fds, _flags, _address = socket.recv_fds(self.sock, 1 << 16, MAX_FDS)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._keep_fds(fds)
        if not data:
            self.close()
            return
        self._in += data
        while self._open and not self._ending and (end := self._in.find(b"\n")) >= 0:
            line = bytes(self._in[:end])
            del self._in[: end + 1]
            self._frame(line)
        if len(self._in) > MAX_FRAME:
            self._refuse_and_end("a frame has at most 1 MiB", protocol.INVALID_REQUEST)

    def _keep_fds(self, fds: list[int]) -> None:
        for fd in fds:
            os.set_inheritable(fd, False)
            self._fds.append(fd)
        while len(self._fds) > MAX_FDS:
            os.close(self._fds.popleft())

    def _frame(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.ValidationError:
            self._refuse_and_end("not a JSON-RPC 2.0 request", protocol.INVALID_REQUEST)
            return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._refuse_and_end("not JSON", protocol.PARSE_ERROR)
            return
        if len(self._tasks) >= MAX_IN_FLIGHT:
            self.answer(protocol.refusal(request.id, protocol.TooMuch(f"more than {MAX_IN_FLIGHT} requests at a time")))
            return
        task = self._loop.create_task(self._serve(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: Request) -> None:
        frame = await self._handle(self, request)
        if request.id is not None:
            self.answer(frame)

    def _refuse_and_end(self, why: str, code: int) -> None:
        self.end(protocol.refusal(None, StracedError(why), code))
        self._in.clear()

    # --- the end ---

    def close(self) -> None:
        """Close, and let go of all that belongs to this client. Idempotent."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self.sock.fileno())
        self._loop.remove_writer(self.sock.fileno())
        self.sock.close()
        for task in list(self._tasks):
            if task is not asyncio.current_task(self._loop):
                task.cancel()
        while self._fds:
            with contextlib.suppress(OSError):
                os.close(self._fds.popleft())
        for cleanup in self.cleanups:
            cleanup()
        self._closed(self)
