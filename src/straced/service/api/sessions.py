"""Attaches and full traces that clients asked for: authorised when they begin, at each reading, and after each exec."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

from straced.config.schema import Ipc
from straced.errors import InvalidArgument, NoSuchProcess, NotPermitted, StracedError, TracerUnavailable
from straced.ipc import messages
from straced.ipc.protocol import TooMuch
from straced.linux import credentials, procfs
from straced.linux.credentials import Peer
from straced.model.types import Summary
from straced.profiling.profiler import Profiler
from straced.profiling.session import Session
from straced.service.api.client_session import ClientSession
from straced.service.api.client_traces import ClientRecording, ClientTrace, ClientTraces
from straced.service.api.connection import Connection
from straced.service.api.taken_dump import TakenDump, take_dump
from straced.service.api.trace_spool import Spool
from straced.service.flight_keeper import FlightKeeper
from straced.text.sanitize import scrub
from straced.tracers.base import AttachOptions, Ending, Rights

SESSIONS_OF_A_USER = 2
"""On one process at a time; all clients together have four of it, each some 20 MB of memory."""
SLOW_CALLS_A_SECOND = 200
"""Of one session: each costs the service some 0.1 ms."""
MAX_KEPT = 64
"""Sessions of a connection whose result may be asked for again."""


Kept = ClientSession | ClientTrace


class Sessions:
    """All sessions and traces of all clients.

    Args:
        profiler: attaches for clients; raises what keeps it from that.
        limits: of one user at a time.
        flight: the flight recorder.
        folder: on whose disk its dumps wait for their readers.
    """

    def __init__(
        self,
        profiler: Callable[[], Profiler],
        limits: Callable[[], Ipc],
        flight: Callable[[], FlightKeeper],
        folder: Path,
    ) -> None:
        self._profiler = profiler
        self._limits = limits
        self._flight = flight
        self._folder = folder
        self._traces = ClientTraces(profiler, folder)
        self._number = 0
        self._open: dict[tuple[Connection, int], Kept] = {}
        self._ending: set[asyncio.Task[object]] = set()
        self._beginning: list[tuple[int, int]] = []
        """Whose attach to which process is under way."""

    def __len__(self) -> int:
        return len(self._open)

    @property
    def recorded(self) -> int:
        """How many traces are taken by eBPF now."""
        return self._traces.recorded

    async def attach(self, client: Connection, params: messages.AttachParams) -> messages.Attached:
        """Count a process for a client."""
        credentials.require(client.peer, params.pid)
        if params.tracer not in ("auto", "ebpf"):
            raise TracerUnavailable(
                f"the service counts by eBPF, not by {params.tracer[:64]}",
                hint=f'without the service: Profiler(tracer="{params.tracer[:64]}")',
            )
        options = AttachOptions(
            follow=params.follow,
            time=params.time,
            per_thread=params.per_thread,
            slower_ns=params.slower_ns,
            slow_waits=params.slow_waits,
            files=params.files,
            io_uring=params.io_uring,
            slow_rate=SLOW_CALLS_A_SECOND,
        )

        def attach(rights: Rights | None) -> Coroutine[object, object, Session]:
            return self._profiler().attach_for(rights, params.pid, options, params.labels)

        return await self._begin(client, params.pid, attach)

    async def watch_children(self, client: Connection, params: messages.ChildrenParams) -> messages.Attached:
        """Count what a process of a client starts."""
        credentials.require(client.peer, params.pid)

        def watch(rights: Rights | None) -> Coroutine[object, object, Session]:
            return self._profiler().watch_children_for(rights, params.pid, params.labels)

        return await self._begin(client, params.pid, watch)

    async def _begin(
        self, client: Connection, pid: int, attach: Callable[[Rights | None], Coroutine[object, object, Session]]
    ) -> messages.Attached:
        peer = client.peer
        rights = None if peer.is_root else Rights(peer.uid, peer.gid, peer.capabilities)
        with (
            client.account.beginning(self._limits().max_sessions_per_user),
            self._leaving_room(peer, pid),
        ):
            async with client.account.attaching:
                session = await attach(rights)
            found = ClientSession(session, client.peer)
            try:
                found.check()  # it may have become another between the first look and the attach
            except NotPermitted:
                await found.close()
                raise
        number = self._keep(client, found, session.wait())
        return messages.Attached(
            session=number, target=session.target, tracer=session.tracer, tracer_reason=session.tracer_reason
        )

    @contextlib.contextmanager
    def _leaving_room(self, peer: Peer, pid: int) -> Iterator[None]:
        """Keep a user from taking all sessions that one process may have: root may want to look at it, too."""
        key = peer.uid, pid
        held = [kept for kept in self._open.values() if isinstance(kept, ClientSession) and kept.counts_for(*key)]
        if not peer.is_root and len(held) + self._beginning.count(key) >= SESSIONS_OF_A_USER:
            raise TooMuch(f"{SESSIONS_OF_A_USER} sessions of yours count {pid} already", pid=pid)
        self._beginning.append(key)
        try:
            yield
        finally:
            self._beginning.remove(key)

    async def trace(self, client: Connection, params: messages.TraceParams) -> messages.Attached:
        """Take a full trace for a client, who reads it by :meth:`read_trace`."""
        credentials.require(client.peer, params.pid)
        limits = self._limits()
        with client.account.beginning(limits.max_sessions_per_user):
            spill_bytes = max(1, limits.max_spool_per_user // limits.max_sessions_per_user)
            found, recording = await self._traces.begin(client.peer, params, spill_bytes)
        number = self._keep(client, found, found.wait())
        return messages.Attached(
            session=number,
            target=recording.target,
            tracer=recording.tracer,
            tracer_reason=recording.tracer_reason,
            records=recording.recorded,
        )

    async def dump(self, client: Connection, params: messages.DumpParams, *, sees_all: bool) -> messages.DumpTaken:
        """Write down what the flight recorder has for a client; they read it by :meth:`read_trace`."""
        peer = client.peer
        everything = sees_all or peer.is_root
        if not everything:
            credentials.require(peer, params.pid)
        limits = self._limits()
        try:
            target = procfs.target(params.pid)
        except procfs.Gone as error:
            raise NoSuchProcess(f"no such process: {params.pid}", pid=params.pid) from error
        most = None if everything else limits.max_spool_per_user // limits.max_sessions_per_user
        with client.account.beginning(limits.max_sessions_per_user):
            taken = await take_dump(
                self._flight(),
                target,
                None if everything else peer,
                params.last_ns or None,
                self._folder,
                most,
                redacted=params.redacted or not everything,
            )
        number = self._keep(client, ClientTrace(taken, Spool(taken.readers)), taken.wait())
        dumped = taken.dumped
        return messages.DumpTaken(
            session=number, bytes=dumped.bytes, calls=dumped.calls, span_ns=max(0, dumped.span_ns)
        )

    async def read_trace(self, client: Connection, number: int) -> bytes:
        """The next lines of a trace of this client, as soon as there are any."""
        found = self._find(client, number)
        if not isinstance(found, ClientTrace):
            raise InvalidArgument(f"session {number} is no trace")
        data = await found.spool.read(messages.MAX_PIECE)
        if not data and isinstance(found.recording, TakenDump):
            found.recording.request_stop()
        return data

    def get(self, client: Connection, number: int) -> ClientSession:
        """A counting session of this client."""
        found = self._find(client, number)
        if not isinstance(found, ClientSession):
            raise InvalidArgument(f"session {number} is a trace")
        return found

    def _find(self, client: Connection, number: int) -> Kept:
        found = self._open.get((client, number))
        if found is None:
            raise InvalidArgument(f"this connection has no session {number}")
        return found

    async def wait(self, client: Connection, number: int) -> messages.Ended:
        """Until a session or trace is over; a trace by strace is when all of it was read."""
        found = self._find(client, number)
        if isinstance(found, ClientTrace):
            return _ended(await found.recording.wait(), found.recording)
        ending = await found.session.wait()
        found.check()
        return _ended(ending)

    async def detach(self, client: Connection, number: int, why: str = "detach") -> Summary | messages.Ended:
        """End a session or a trace of this client; the answer can be had again until the connection closes."""
        found = self._find(client, number)
        if isinstance(found, ClientTrace):
            found.recording.request_stop()
            if isinstance(found.recording, TakenDump):
                found.spool.close()
            return await self.wait(client, number)
        found.check()
        return await found.close(scrub(why, 64))

    async def close(self) -> None:
        """End all of them."""
        for found in list(self._open.values()):
            _request_stop(found)
        await asyncio.gather(*(_end(found) for found in self._open.values()), return_exceptions=True)
        self._open.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _keep(self, client: Connection, found: Kept, ended: Coroutine[object, object, object]) -> int:
        self._number += 1
        key = (client, self._number)
        self._open[key] = found
        task: asyncio.Task[object] = asyncio.create_task(self._count_until(client, ended))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        client.cleanups[self._number] = lambda: self._drop(key)
        while len(client.cleanups) > MAX_KEPT:  # of those that have ended the oldest makes way
            oldest = next((n for n in client.cleanups if not _lives(self._open[client, n])), None)
            if oldest is None:
                break
            client.cleanups.pop(oldest)()
        if not client.is_open:
            self._drop(key)
        return self._number

    async def _count_until(self, client: Connection, ended: Coroutine[object, object, object]) -> None:
        """It counts as one of its user for as long as it lives, or waits to be read, whether or not they are there."""
        try:
            await ended
        except StracedError:
            pass
        finally:
            client.account.sessions -= 1

    def _drop(self, key: tuple[Connection, int]) -> None:
        """The client has gone: so does what it asked for."""
        found = self._open.pop(key, None)
        if found is not None:
            _request_stop(found)
            task: asyncio.Task[object] = asyncio.create_task(_end(found))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def _lives(found: Kept) -> bool:
    return found.alive if isinstance(found, ClientTrace) else found.session.alive


def _request_stop(found: Kept) -> None:
    if isinstance(found, ClientTrace):
        found.recording.request_stop()
        found.spool.close()
    else:
        found.session.request_stop()


async def _end(found: Kept) -> object:
    return await (found.recording.stop() if isinstance(found, ClientTrace) else found.close())


def _ended(ending: Ending, recording: ClientRecording | None = None) -> messages.Ended:
    dropped = recording.dropped_lines if recording is not None else 0
    return messages.Ended(reason=ending.reason, exit_status=ending.exit_status, dropped_lines=dropped)
