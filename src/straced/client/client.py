"""The service's client: the face of :class:`straced.Profiler`, served by a service that has the rights one lacks.

    async with Client() as client:
        session = await client.attach(pid)
        async for window in session.every(5.0):
            ...

Everything that the service refuses is raised here as the error that it was there.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from straced.client.connection import CONNECT_S, Channel, is_trusted, tick_of
from straced.client.remote_trace import RemoteTrace, abandon
from straced.client.sessions import RemoteSession
from straced.concurrency.shielding import attempt, carry, running_loop
from straced.config.paths import sockets
from straced.errors import OutputError
from straced.ipc import messages
from straced.ipc.messages import Gap, Select, Status, TickPart, WatchRule
from straced.linux.output_file import OutputFile
from straced.model.history import HistoryAnswer, JobReport, KeptAlert, KeptEvent, Point, Ranked, SeriesInfo
from straced.model.tick import Tick
from straced.tracers.strace import free_space


def is_there() -> bool:
    """Whether a service listens where one is expected; nothing is sent."""
    return any(_connects(path) for path in sockets())


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(CONNECT_S)
        try:
            sock.connect(str(path))
        except OSError:
            return False
        return is_trusted(sock, named=False)


class Client(Channel):
    """A connection to a service; made by ``async with``, or by the first request."""

    # --- the face of Profiler ---

    async def attach(
        self,
        pid: int,
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: str = "wall",
        force: bool = False,
        per_thread: bool = False,
        tracer: str = "auto",
    ) -> RemoteSession:
        """As :meth:`straced.Profiler.attach`; ``force`` is for those who have the rights themselves, and ignored.

        Raises:
            AttachError, TracerUnavailable: as there.
            ServiceUnreachable: there is no service.
        """
        params = messages.AttachParams(
            pid=pid, follow=follow, labels=labels or {}, time=time, per_thread=per_thread, tracer=tracer
        )
        return await carry(self._attach(params, labels or {}), lambda session: session.detach())

    async def _attach(self, params: messages.AttachParams, labels: dict[str, str]) -> RemoteSession:
        return RemoteSession(self, await self.request("attach", params, messages.Attached), labels)

    async def spawn(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: str = "wall",
        **popen_options: Any,
    ) -> RemoteSession:
        """Start a program, here and as oneself, that the service counts from its first instruction.

        Raises:
            CommandNotFound, ExecFailed: there is no such program; nothing was started.
            StracedError: not counted; the program runs all the same, ``error.process`` is it.
        """
        from straced import gating
        from straced.concurrency import children

        running_loop()

        async def start() -> RemoteSession:
            process = await children.start(gating.gate(argv), popen_options)
            try:
                session = await self.attach(process.pid, follow=follow, labels=labels, time=time)
            except asyncio.CancelledError:
                await children.end(process)
                raise
            except Exception as error:
                error.process = process  # type: ignore[attr-defined]
                raise
            finally:
                gating.release(process.pid)
            session.process = process
            return session

        async def undo(session: RemoteSession) -> None:
            if session.process is not None:
                await children.end(session.process)
            await session.detach()

        return await attempt(start(), undo)

    async def trace(
        self, pid: int, output: Path, *, overwrite: bool = False, min_free_bytes: int | None = None, **options: Any
    ) -> RemoteTrace:
        """Write a full trace of a process into a new file of the caller's own; see :class:`messages.TraceParams`.

        The service sends what strace writes, and it is written here. Who reads too slowly ends the trace
        (``reader_slow``), and who has no room left does (``disk_full``).

        Args:
            min_free_bytes: room that the trace leaves on the disk of the file, as in ``straced trace --min-free``.

        Raises:
            OutputError: the file cannot be made, or its disk is nearly full.
            AttachError, TracerUnavailable: as for :meth:`attach`.
        """
        params = messages.TraceParams(pid=pid, **options)
        running_loop()
        file = OutputFile(output, overwrite=overwrite)
        try:
            floor = free_space.floor_bytes(file.fd, min_free_bytes)
        except BaseException:
            file.discard()
            raise
        return await carry(self._trace(params, file, floor), abandon)

    async def _trace(self, params: messages.TraceParams, file: OutputFile, floor: int | None) -> RemoteTrace:
        try:
            attached = await self.request("trace", params, messages.Attached)
        except BaseException:
            file.discard()
            raise
        trace = RemoteTrace(self, attached, file, floor)
        try:
            file.commit()
        except OutputError:
            await abandon(trace)
            raise
        return trace

    # --- the service ---

    async def status(self) -> Status:
        """How the service is."""
        return await self.request("status", messages.Nothing(), Status)

    async def watch(self, target: str, labels: dict[str, str] | None = None) -> WatchRule:
        """Have processes watched from now on, and after a restart of the service."""
        return await self.request("watch.add", messages.WatchParams(target=target, labels=labels or {}), WatchRule)

    async def unwatch(self, target: str) -> None:
        """Take a rule away."""
        await self.request("watch.remove", messages.WatchParams(target=target), messages.Nothing)

    async def rules(self) -> list[WatchRule]:
        """The rules that one may know of."""
        return await self.request("watch.list", messages.Nothing(), list[WatchRule])

    async def label(self, pid: int, **labels: str) -> None:
        """Watch a process and all its descendants, under these labels."""
        await self.request("label", messages.LabelParams(pid=pid, labels=labels), messages.Nothing)

    async def snapshot(self) -> Tick | None:
        """The last sample of all that one may see; ``None`` before the first."""
        part = await self.request("snapshot", messages.Nothing(), TickPart | None)  # type: ignore[arg-type]
        return tick_of([part]) if isinstance(part, TickPart) else None

    async def metrics(self) -> str:
        """The metrics as OpenMetrics text."""
        return await self.request("metrics", messages.Nothing(), str)

    async def processes(self, select: Select) -> list[SeriesInfo]:
        """Processes that history knows."""
        return await self.request("processes", select, list[SeriesInfo])

    async def history(self, select: Select) -> HistoryAnswer:
        """What processes did in a span."""
        return await self.request("history", select, HistoryAnswer)

    async def timeline(self, select: Select) -> list[Point]:
        """The same, step by step."""
        return await self.request("timeline", select, list[Point])

    async def top(self, select: Select) -> list[Ranked]:
        """The busiest processes of a span."""
        return await self.request("top", select, list[Ranked])

    async def events(self, select: Select) -> list[KeptEvent]:
        """Events that were kept."""
        return await self.request("events", select, list[KeptEvent])

    async def alerts(self, select: Select) -> list[KeptAlert]:
        """Alerts that were kept."""
        return await self.request("alerts", select, list[KeptAlert])

    async def report(self, job: str, since: float = 0.0, until: float | None = None) -> JobReport:
        """The resources of a job."""
        return await self.request("report", Select(job=job, since=since, until=until), JobReport)


__all__ = ["Client", "Gap", "RemoteSession", "RemoteTrace", "Select", "is_there"]
