"""One client: the frames it sends, and a bounded queue of what it has not read yet.

A client that does not read costs the service a bounded amount of memory and nobody else anything: what it is too slow
for is dropped, and it is told how much. No request is read from one who does not read the answers. No descriptor is
ever taken (see :mod:`straced.linux.passed_descriptors`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import msgspec

from straced.errors import StracedError
from straced.ipc import protocol
from straced.ipc.protocol import MAX_FRAME, RpcRequest, TimedOut, TooMuch
from straced.linux.credentials import Peer
from straced.service.api.accounts import Accounts
from straced.service.api.link import Link
from straced.service.api.outbox import Outbox

MAX_QUEUED = 4 * MAX_FRAME
"""Bytes of notifications that may wait."""
MAX_ANSWER = 8 * MAX_FRAME
MAX_UNREAD = MAX_FRAME
"""With so many bytes unread, nothing more is read from the client."""
MAX_IN_FLIGHT = 64
WAITS_A_SESSION = 2
"""For each session a client may wait for its end, and for its events or lines, beside all else that it asks."""
LINES_A_ROUND = 32
"""Then others have their turn."""
READ_BYTES = 1 << 16
LAST_WORD_S = 5.0
Handler = Callable[["Connection", RpcRequest], Awaitable[bytes]]


class Connection:
    """One client. The loop calls back; nothing here blocks."""

    def __init__(
        self, link: Link, peer: Peer, accounts: Accounts, handle: Handler, closed: Callable[[Connection], None]
    ) -> None:
        self.peer = peer
        self.topics: frozenset[str] = frozenset()
        self.greeted = False
        self.dropped = 0
        self.cleanups: dict[int, Callable[[], None]] = {}
        """What is done when the connection ends, by the number of the session that is kept."""
        self.held = 0
        """Bytes that wait: of requests and of answers."""
        self.account = accounts.of(peer.uid)
        self.account.connections.append(self)
        self._link = link
        self._accounts = accounts
        self._handle = handle
        self._closed = closed
        self._in = bytearray()
        self._out = Outbox(link.writer, self._hold, self._drained, self.close)
        self._told = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._unbegun = 0
        self._reading = False
        self._open = True
        self._ending = False
        self._resume: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._silence = self._loop.call_later(accounts.limits().hello_timeout / 1e9, self._check_silence)
        self._go_on()

    @property
    def is_open(self) -> bool:
        return self._open

    # --- out ---

    def notify(self, frame: bytes) -> None:
        """Send something that may be dropped when the client is slow."""
        if self._out.queued + len(frame) > MAX_QUEUED or not self._accounts.has_room(self.account, len(frame)):
            self.dropped += 1
            return
        if self.dropped > self._told:
            self._out.send(protocol.notification("gap", {"dropped": self.dropped - self._told}))
            self._told = self.dropped
        self._out.send(frame)

    def answer(self, frame: bytes, number: int | str | None = None) -> None:
        """Send an answer to request ``number``; never dropped."""
        if len(frame) > MAX_ANSWER:
            frame = protocol.refusal(number, StracedError("the response is too large", hint="request less data"))
        self._out.send(frame)

    def give_up(self) -> None:
        """Forget what waits, and end: the connections of this user hold more than they may, and this one most."""
        self._out.forget()
        hint = "read the responses; see ipc.max_buffers_per_user"
        self.end(protocol.refusal(None, TooMuch("too many unread responses", hint=hint)))

    def end(self, frame: bytes) -> None:
        """Send a last word, and close once it is out, or soon."""
        if self._ending:
            self.close()
            return
        self._ending = True
        self._pause()
        self._in.clear()
        self._cancel_tasks()
        self._hold(self._out.queued - self.held)
        self._silence.cancel()
        self._silence = self._loop.call_later(LAST_WORD_S, self.close)
        self._out.send(frame)

    def _drained(self) -> None:
        if self._ending:
            self.close()
        elif not self._reading:
            self._later(0.0)

    def _hold(self, more: int) -> None:
        """So many bytes wait more than before; those who hold most may be ended for it."""
        self._accounts.hold(self.account, self, more)

    # --- in ---

    @property
    def _is_held_back(self) -> bool:
        return self._out.queued > MAX_UNREAD or self._unbegun >= MAX_IN_FLIGHT

    def _go_on(self) -> None:
        if not self._reading:
            self._reading = True
            self._loop.add_reader(self._link.reader, self._readable)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._link.reader)

    def _later(self, delay_s: float) -> None:
        """Others have their turn; then what is here already is looked at, and more is read."""
        self._pause()
        if self._resume is None:
            self._resume = self._loop.call_later(delay_s, self._resumed)

    def _resumed(self) -> None:
        self._resume = None
        self._take_lines()

    def _readable(self) -> None:
        try:
            data = os.read(self._link.reader, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._in += data
        self._hold(len(data))
        if pause_s := self._accounts.pause_s(self.account, len(data)):
            self._later(pause_s)
        else:
            self._take_lines()

    def _take_lines(self) -> None:
        for _ in range(LINES_A_ROUND):
            if not self._open or self._ending:
                return
            if self._is_held_back:
                self._pause()  # until something has been read, or begun
                return
            end = self._in.find(b"\n")
            if end > MAX_FRAME or (end < 0 and len(self._in) > MAX_FRAME):
                self._refuse_and_end("a frame has at most 1 MiB", protocol.INVALID_REQUEST)
                return
            if end < 0:
                self._go_on()
                return
            line = bytes(self._in[:end])
            del self._in[: end + 1]
            self._frame(line)
        if self._open and not self._ending:
            self._later(0.0)

    def _frame(self, line: bytes) -> None:
        if not line.strip():
            self._served(line)
            return
        self._heard = self._loop.time()
        try:
            request = msgspec.json.decode(line, type=RpcRequest)
        except msgspec.ValidationError:
            self._refuse_and_end("not a JSON-RPC 2.0 request", protocol.INVALID_REQUEST)
            return
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self._refuse_and_end("not JSON", protocol.PARSE_ERROR)
            return
        self._unbegun += 1
        self._accounts.submit(self.account, lambda: self._begin(request, line))

    def _served(self, line: bytes) -> None:
        """A line and its end wait no more."""
        if self._open and not self._ending:
            self._hold(-len(line) - 1)

    def _begin(self, request: RpcRequest, line: bytes) -> None:
        self._unbegun -= 1
        if not self._open or self._ending:
            return
        most = MAX_IN_FLIGHT + WAITS_A_SESSION * len(self.cleanups)
        if len(self._tasks) >= most:
            many = TooMuch(f"more than {most} requests at a time", hint="wait for responses")
            self._served(line)
            self.answer(protocol.refusal(request.id, many))
        else:
            task = self._loop.create_task(self._serve(request, line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._open and not self._ending and not self._reading:
            self._later(0.0)

    async def _serve(self, request: RpcRequest, line: bytes) -> None:
        try:
            frame = await self._handle(self, request)
        finally:
            self._served(line)
        self._heard = self._loop.time()
        if request.id is not None and not self._ending:
            self.answer(frame, request.id)

    def _refuse_and_end(self, why: str, code: int) -> None:
        self.end(protocol.refusal(None, StracedError(why), code))

    # --- the end ---

    def _check_silence(self) -> None:
        """Whoever says nothing, and waits for nothing, gives their place to others."""
        limits = self._accounts.limits()
        patience_s = (limits.silence_timeout if self.greeted else limits.hello_timeout) / 1e9
        asked = bool(self._tasks or self._unbegun)  # also its hello, while others have their turn
        waits = asked or (self.greeted and bool(self.topics or self.cleanups))
        left_s = patience_s if waits else self._heard + patience_s - self._loop.time()
        if (asked or self.greeted) and left_s > 0:
            self._silence = self._loop.call_later(left_s, self._check_silence)
            return
        why = "no request was received" if self.greeted else "no hello was received"
        self.end(protocol.refusal(None, TimedOut(f"{why} for {patience_s:g} s", hint="connect again")))

    def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            if task is not asyncio.current_task(self._loop):
                task.cancel()

    def close(self) -> None:
        """Close, and let go of all that belongs to this client. Idempotent."""
        if not self._open:
            return
        self._open = False
        self._pause()
        self._silence.cancel()
        if self._resume is not None:
            self._resume.cancel()
        self._out.close()
        self._link.close()
        self._in.clear()
        self._hold(-self.held)
        self._accounts.leave(self.account, self)
        self._cancel_tasks()
        for cleanup in list(self.cleanups.values()):
            cleanup()
        self._closed(self)
