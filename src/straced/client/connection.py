"""The client's end of the socket: requests and their answers, and what the service tells of its own accord."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from msgspec import UnsetType

from straced.concurrency.shielding import attempt, carry, running_loop, within
from straced.config.paths import sockets
from straced.errors import ServiceUnreachable, StracedError
from straced.ipc import messages, protocol
from straced.ipc.messages import Gap, TickPart
from straced.ipc.protocol import MAX_FRAME, PROTOCOL, Message, TimedOut
from straced.linux.credentials import peer_uid
from straced.model.alerts import AlertRow
from straced.model.tick import ServiceEvent, Tick

CONNECT_S = 2.0
REPLY_S = 30.0
MAX_WAITING = 1000
"""Notifications that wait for whoever reads them here."""
Result = TypeVar("Result")
News = Tick | ServiceEvent | AlertRow | Gap


async def _connect(sock: socket.socket, path: Path) -> None:
    """Connect without blocking; EAGAIN of a unix socket means that too many wait to be accepted (connect(2))."""
    while True:
        try:
            sock.connect(str(path))
            return
        except BlockingIOError:
            await asyncio.sleep(0.01)


def is_trusted(sock: socket.socket, *, named: bool) -> bool:
    """Whether a service is root's or our own, as the kernel says; root may name anybody's."""
    uid = peer_uid(sock)
    return uid in (0, os.geteuid()) or (named and os.geteuid() == 0)


def _no_answer(future: asyncio.Future[Message], method: str) -> None:
    if not future.done():
        future.set_exception(ServiceUnreachable(f"the service does not answer {method}", hint="straced status"))


class Channel:
    """A connection to a service. It is made by ``async with``, or by the first request.

    Args:
        path: of the socket; without it the user's own service is tried, then the system's.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._paths = [Path(path)] if path is not None else sockets()
        self._named = path is not None
        self._sock: socket.socket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._number = 0
        self._waiting: dict[int | str, asyncio.Future[Message]] = {}
        self._news: asyncio.Queue[News | None] = asyncio.Queue(MAX_WAITING)
        self._parts: list[TickPart] = []
        self._write_lock = asyncio.Lock()
        self._sending = 0
        """Requests that the socket did not take at once."""
        self._farewell: StracedError | None = None
        self.works: set[asyncio.Task[messages.Ended]] = set()
        """What is done by this connection beside its requests; it ends with it."""
        self.welcome: messages.Welcome | None = None
        """What the service said of itself."""

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect and say hello.

        Raises:
            ServiceUnreachable: nobody listens.
            ProtocolMismatch: the service is of another version.
        """
        if self._sock is None:
            running_loop()
            await attempt(self._connect(), lambda _: self._close())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        failures = []
        for path in self._paths:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            try:
                if not await within(CONNECT_S, _connect(sock, path)):
                    raise TimeoutError
            except (OSError, TimeoutError) as error:
                sock.close()
                failures.append(f"{path}: {getattr(error, 'strerror', None) or 'no answer'}")
                continue
            except BaseException:
                sock.close()
                raise
            if not is_trusted(sock, named=self._named):  # before a word is said to it
                failures.append(f"{path}: it is not a service of root or of yours, but of user {peer_uid(sock)}")
                sock.close()
                continue
            self._sock = sock
            break
        else:
            raise ServiceUnreachable(f"no straced service answers ({'; '.join(failures)})", hint="straced serve")
        self._reader = loop.create_task(self._read())
        try:
            hello = messages.Hello(protocol=PROTOCOL, client=f"straced pid {os.getpid()}")
            self.welcome = await self.request("hello", hello, messages.Welcome)
        except BaseException:
            await self._close()
            raise

    async def close(self) -> None:
        """Close the connection; the service ends what it did for it. Idempotent; once begun it is done."""
        if self._sock is not None or self._reader is not None:
            await carry(self._close())

    async def _close(self) -> None:
        reader, self._reader = self._reader, None
        sock, self._sock = self._sock, None
        ending = [*self.works, *([reader] if reader is not None else [])]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        if sock is not None:
            sock.close()

    # --- requests ---

    async def request(
        self,
        method: str,
        params: object,
        kind: type[Result],
        *,
        timeout_s: float | None = REPLY_S,
    ) -> Result:
        """Ask, and wait for the answer, read as ``kind``.

        Raises:
            StracedError: what the service refused with, as its own type.
            ServiceUnreachable: it went away, or does not answer.
        """
        if self._reader is not None and self._reader.done() and isinstance(self._farewell, TimedOut):
            await self.close()  # nothing was asked for long: what was said on it is over, and another will do
            self._farewell = None
        if self._sock is None:
            await self.connect()
        self._number += 1
        number = self._number
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Message] = loop.create_future()
        self._waiting[number] = future
        timer = loop.call_later(timeout_s, _no_answer, future, method) if timeout_s is not None else None
        frame = msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + b"\n"
        try:
            if rest := self._send_now(frame):
                self._sending += 1
                await carry(self._send_whole(rest))
            answer = await future
        except OSError as error:
            if self._reader is not None:  # a last word may have come before the socket was closed
                await asyncio.wait({self._reader}, timeout=CONNECT_S)
            raise self._gone() from error
        finally:
            self._waiting.pop(number, None)
            if timer is not None:
                timer.cancel()
        if not isinstance(answer.error, UnsetType):
            raise protocol.error_of(answer.error)
        raw = b"null" if isinstance(answer.result, UnsetType) else answer.result
        return msgspec.json.decode(raw, type=kind)

    def _send_now(self, frame: bytes) -> bytes:
        """Send what the socket takes at once, which is nearly always all of it; returns the rest."""
        if len(frame) > MAX_FRAME:
            raise StracedError("the request is too large")
        if self._sock is None:
            raise self._gone()
        if self._sending:
            return frame  # others come first
        try:
            return frame[self._sock.send(frame) :]
        except BlockingIOError:
            return frame

    async def _send_whole(self, rest: bytes) -> None:
        """Half a request would spoil those after it: it is sent to its end, or the connection is."""
        try:
            if not await within(REPLY_S, self._send(rest)):
                await self._close()
                raise ServiceUnreachable("the service does not read what it is sent", hint="straced status")
        finally:
            self._sending -= 1

    async def _send(self, rest: bytes) -> None:
        async with self._write_lock:
            if self._sock is None:
                raise self._gone()
            await asyncio.get_running_loop().sock_sendall(self._sock, rest)

    async def _read(self) -> None:
        assert self._sock is not None
        sock, loop = self._sock, asyncio.get_running_loop()
        buffer = bytearray()
        try:
            while data := await loop.sock_recv(sock, 1 << 18):
                buffer += data
                *lines, rest = bytes(buffer).split(b"\n") if b"\n" in data else (bytes(buffer),)
                buffer = bytearray(rest)
                for line in lines:
                    self._take(msgspec.json.decode(line, type=Message))
        except (OSError, msgspec.MsgspecError):
            pass
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(self._gone())
            self._queue(None)

    def _take(self, message: Message) -> None:
        if message.method:
            news = self._news_of(message)
            if news is not None:
                self._queue(news)
        elif message.id is not None and (future := self._waiting.get(message.id)) is not None:
            if not future.done():
                future.set_result(message)
        elif not isinstance(message.error, UnsetType):
            self._farewell = protocol.error_of(message.error)

    def _news_of(self, message: Message) -> News | None:
        kinds: dict[str, Any] = {"event": ServiceEvent, "alert": AlertRow, "gap": Gap}
        if message.method in kinds:
            news: News = msgspec.json.decode(message.params, type=kinds[message.method])
            return news
        return self._tick(msgspec.json.decode(message.params, type=TickPart)) if message.method == "tick" else None

    def _tick(self, part: TickPart) -> Tick | None:
        if self._parts and self._parts[0].sequence != part.sequence:
            self._parts = []
        self._parts.append(part)
        if len(self._parts) < part.parts:
            return None
        parts, self._parts = self._parts, []
        return tick_of(parts)

    def _queue(self, news: News | None) -> None:
        if self._news.full():
            self._news.get_nowait()
        self._news.put_nowait(news)

    def _gone(self) -> StracedError:
        return self._farewell or ServiceUnreachable("the service went away", hint="straced status")

    async def news(self, *topics: str) -> AsyncIterator[News]:
        """Ticks, events and alerts as they come: topics ``ticks``, ``events``, ``alerts``.

        A :class:`messages.Gap` says how many were dropped since this reader was too slow.

        Raises:
            ServiceUnreachable: the service went away.
        """
        await self.request("subscribe", messages.SubscribeParams(topics=topics), messages.Nothing)
        while (news := await self._news.get()) is not None:
            yield news
        raise self._gone()


def tick_of(parts: Sequence[TickPart]) -> Tick:
    """A tick from its parts."""
    first = parts[0]
    return Tick(
        epoch_s=first.epoch_s,
        monotonic_ns=first.monotonic_ns,
        duration_ns=first.duration_ns,
        boot_id=first.boot_id,
        host=first.host,
        processes=tuple(sample for part in parts for sample in part.processes),
        late=first.late,
        cut=sum(part.cut for part in parts),
    )
