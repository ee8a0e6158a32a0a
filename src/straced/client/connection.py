"""The client's end of the socket: requests and their answers, and what the service tells of its own accord."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from msgspec import UnsetType

from straced.client.notifications import News, Notifications
from straced.client.service_socket import CONNECT_S, connected
from straced.concurrency.shielding import attempt, carry, running_loop, within
from straced.config.paths import sockets
from straced.errors import ServiceUnreachable, StracedError
from straced.ipc import messages, protocol
from straced.ipc.protocol import MAX_FRAME, PROTOCOL, Message, TimedOut

REPLY_S = 30.0
Result = TypeVar("Result")


def _no_answer(future: asyncio.Future[Message], method: str) -> None:
    if not future.done():
        future.set_exception(ServiceUnreachable(f"the service does not answer {method}", hint="straced status"))


class Channel:
    """Ask a service, over a connection that is made by ``async with``, or by the first request.

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
        self._notifications = Notifications()
        self._write_lock = asyncio.Lock()
        self._sending = 0
        """Requests that the socket did not take at once."""
        self._farewell: StracedError | None = None
        self._connecting = asyncio.Lock()
        self._works: set[asyncio.Task[Any]] = set()
        self.welcome: messages.Welcome | None = None
        """What the service said of itself: its version, its pid, whether it serves all users."""

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect and say hello, unless that was done.

        Raises:
            ServiceUnreachable: nobody listens, or it is another user's service.
            ProtocolMismatch: the service is of another version.
            StracedError: what else the service refused with, as its own type.
            NoEventLoop: no asyncio loop runs here.
        """
        await self._renew()

    async def _connect(self) -> None:
        self._sock = await connected(self._paths, named=self._named)
        self._reader = asyncio.get_running_loop().create_task(self._read())
        try:
            hello = messages.Hello(protocol=PROTOCOL, client=f"straced pid {os.getpid()}")
            self.welcome = await self._ask("hello", hello, messages.Welcome, REPLY_S)
        except BaseException:
            await self._close()
            raise

    async def close(self) -> None:
        """Close the connection; the service ends what it did for it. Idempotent; once begun it is done.

        Raises:
            NoEventLoop: no asyncio loop runs here.
            NoResources: there is no descriptor left to do it with.
        """
        if self._sock is not None or self._reader is not None:
            await carry(self._close())

    async def _close(self) -> None:
        reader, self._reader = self._reader, None
        sock, self._sock = self._sock, None
        ending = [*self._works, *([reader] if reader is not None else [])]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        if sock is not None:
            sock.close()

    def work(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Do something beside the requests of the caller, as long as the connection lasts.

        Args:
            work: cancelled when the connection is closed.

        Returns:
            The task; what it raises is for whoever awaits it, if anybody does.
        """
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        task.add_done_callback(_seen)
        return task

    async def outcome(self, task: asyncio.Task[Result]) -> Result:
        """Wait for something that :meth:`work` began; it goes on when the caller is cancelled.

        Args:
            task: what :meth:`work` returned.

        Returns:
            Its result.

        Raises:
            ServiceUnreachable: the connection was closed meanwhile.
        """
        await asyncio.wait({task})
        if task.cancelled():
            raise ServiceUnreachable("the connection to the service was closed", hint="connect again")
        return task.result()

    # --- requests ---

    async def request(
        self,
        method: str,
        params: object,
        kind: type[Result],
        *,
        timeout_s: float | None = REPLY_S,
    ) -> Result:
        """Ask, and wait for the answer.

        Args:
            method: a request of the protocol, ``session.read``.
            params: its parameters, a struct of :mod:`straced.ipc.messages`.
            kind: the type to read the answer as.
            timeout_s: seconds to wait for it; for ever when ``None``.

        Returns:
            The answer.

        Raises:
            StracedError: what the service refused with, as its own type.
            ServiceUnreachable: it went away, or does not answer.
            NoEventLoop: no asyncio loop runs here.
        """
        await self._renew()
        try:
            return await self._ask(method, params, kind, timeout_s)
        except TimedOut:  # the service ended the connection in this moment, and has not read what was asked
            await self._renew()
            return await self._ask(method, params, kind, timeout_s)

    async def _renew(self) -> None:
        """Connect unless there is a connection; one that ended since nothing was asked for long is none."""
        running_loop()
        async with self._connecting:
            if self._reader is not None and self._reader.done() and isinstance(self._farewell, TimedOut):
                await self.close()
                self._farewell = None
            if self._sock is None:
                await attempt(self._connect(), lambda _: self._close())

    async def _ask(self, method: str, params: object, kind: type[Result], timeout_s: float | None) -> Result:
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
            self._notifications.end()

    def _take(self, message: Message) -> None:
        if message.method:
            self._notifications.take(message)
        elif message.id is not None and (future := self._waiting.get(message.id)) is not None:
            if not future.done():
                future.set_result(message)
        elif not isinstance(message.error, UnsetType):
            self._farewell = protocol.error_of(message.error)

    def _gone(self) -> StracedError:
        return self._farewell or ServiceUnreachable("the service went away", hint="straced status")

    async def news(self, *topics: str) -> AsyncIterator[News]:
        """Listen to what the service tells, from the first step of the iteration on.

        Args:
            topics: ``ticks``, ``events``, ``alerts``, one or more.

        Returns:
            An asynchronous iterator of ticks, events and alerts as they come. A :class:`~straced.client.Gap` says how
            many were dropped since this reader was too slow.

        Raises:
            ServiceUnreachable: the service went away.
            StracedError: what the service refused with, as its own type.
            NoEventLoop: no asyncio loop runs here.
        """
        await self.request("subscribe", messages.SubscribeParams(topics=topics), messages.Nothing)
        while (news := await self._notifications.get()) is not None:
            yield news
        raise self._gone()


def _seen(task: asyncio.Task[Any]) -> None:
    """An error is told to whoever waits, if anybody does."""
    if not task.cancelled():
        task.exception()
