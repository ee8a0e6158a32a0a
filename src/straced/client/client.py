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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from straced.client.queries import ServiceQueries
from straced.client.remote_dump import dump_into
from straced.client.remote_trace import RemoteTrace, abandon
from straced.client.service_socket import is_there
from straced.client.sessions import RemoteSession
from straced.concurrency.shielding import attempt, carry, running_loop
from straced.errors import InvalidArgument, OutputError, TracerUnavailable
from straced.ipc import messages
from straced.ipc.messages import DumpTaken, Gap, Select
from straced.linux.output_file import OutputFile
from straced.model.choices import TimeKind, Timestamps, TracerName, TraceTracer
from straced.profiling import tracer_choice
from straced.profiling.arguments import check_limit, check_pid, check_time, check_trace, check_tracer
from straced.tracers.strace import free_space

if TYPE_CHECKING:
    from straced.client.events import RemoteEvents
    from straced.profiling.api import AsyncEvents, AsyncProfiler, AsyncRecording, AsyncSession


class Client(ServiceQueries):
    """Attach to processes through a service; the connection is made by ``async with``, or by the first request.

    Args:
        path: of the socket; without it the user's own service is tried, then the system's.
        tracer: ``auto`` or ``ebpf``; a service counts by no other.

    Raises:
        InvalidArgument: there is no such tracer.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, tracer: TracerName = "auto") -> None:
        super().__init__(path)
        check_tracer(tracer)
        self._wanted = tracer
        self._sessions: list[RemoteSession] = []

    @property
    def sessions(self) -> list[RemoteSession]:
        """The sessions of this connection that have not ended, in the order attached."""
        return [session for session in self._sessions if not session.ended]

    async def attach(
        self,
        pid: int,
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: TimeKind = "wall",
        force: bool = False,
        per_thread: bool = False,
        slower_than: float | None = None,
        waits: bool = False,
        files: bool = False,
        io_uring: bool = False,
    ) -> RemoteSession:
        """Have the service count what a process does; returns once the kernel has confirmed it.

        Args:
            pid: the process, one of the caller's own unless that is root.
            follow: its children too, those that exist and those to come. All threads are counted in any case.
            labels: kept with every summary.
            time: of no effect: a service counts by eBPF, which tells wall and CPU time of each call.
            force: of no effect: a service never forces anything.
            per_thread: rows of each thread.
            slower_than: tell each call of so many seconds or more, with its file or peer.
            waits: those that are made to wait (``epoll_wait``, ``futex``, ...), too.
            files: add calls up by file and peer, too (eBPF): ``Summary.files``.
            io_uring: count requests of io_uring, too (eBPF): ``Summary.io_uring``.

        Returns:
            The session, also among :attr:`sessions` until it ends.

        Raises:
            InvalidArgument: no process or time can be called that, or be a limit.
            AttachError: the process runs on, untraced; ``reason`` and ``hint`` say why.
            TracerUnavailable: the service cannot count.
            TooMuch: the caller has as many sessions already as a user may have.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
            NoEventLoop: no asyncio loop runs here.
        """
        check_time(time)
        check_pid(pid)
        params = messages.AttachParams(
            pid=pid,
            follow=follow,
            labels=labels or {},
            time=time,
            per_thread=per_thread,
            tracer=self._wanted,
            slower_ns=check_limit(slower_than, self._wanted),
            slow_waits=waits,
            files=files,
            io_uring=io_uring,
        )
        return await carry(self._attach("attach", params, labels), lambda session: session.detach())

    async def watch_children(self, of: int | None = None, *, labels: dict[str, str] | None = None) -> RemoteSession:
        """Have the service count all that a process starts from now on, but not the process itself.

        Args:
            of: its pid, one of the caller's own unless that is root; this process when left out.
            labels: kept with every summary.

        Returns:
            A session whose target is the parent; it ends with that.

        Raises:
            InvalidArgument: no process can have this number.
            AttachError: there is no such process, or it is not the caller's.
            TracerUnavailable: the service cannot count.
            TooMuch: the caller has as many sessions already as a user may have.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
            NoEventLoop: no asyncio loop runs here.
        """
        pid = os.getpid() if of is None else of
        check_pid(pid)
        params = messages.ChildrenParams(pid=pid, labels=labels or {})
        return await carry(self._attach("attach.children", params, labels), lambda session: session.detach())

    async def _attach(
        self, method: str, params: messages.AttachParams | messages.ChildrenParams, labels: dict[str, str] | None
    ) -> RemoteSession:
        attached = await self.request(method, params, messages.Attached)
        session = RemoteSession(self, attached, dict(labels or {}), self._sessions.remove)
        self._sessions.append(session)
        return session

    async def spawn(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: TimeKind = "wall",
        slower_than: float | None = None,
        waits: bool = False,
        files: bool = False,
        io_uring: bool = False,
        **popen_options: Any,
    ) -> RemoteSession:
        """Start a program, here and as oneself, that the service counts from its first instruction.

        Cancelled, it ends the program and waits for it, as ``asyncio.create_subprocess_exec`` does.

        Args:
            argv: the program, as a path or looked up on PATH, and its arguments.
            follow: as for :meth:`attach`.
            labels: as for :meth:`attach`.
            time: as for :meth:`attach`.
            slower_than: as for :meth:`attach`.
            waits: as for :meth:`attach`.
            files: as for :meth:`attach`.
            io_uring: as for :meth:`attach`.
            popen_options: as for ``asyncio.create_subprocess_exec``: ``stdin``, ``cwd``, ``env`` and so on.

        Returns:
            The session; ``session.process`` is the program, the caller's own.

        Raises:
            InvalidArgument: no time can be called that, or be a limit; nothing was started.
            CommandNotFound: there is no such program; nothing was started.
            ExecFailed: it is not executable; nothing was started.
            AttachError: not counted; the program runs all the same, ``error.process`` is it.
            TracerUnavailable: likewise.
            TooMuch: likewise.
            ServiceUnreachable: likewise.
            StracedError: likewise.
            NoEventLoop: no asyncio loop runs here; nothing was started.
        """
        from straced import gating
        from straced.concurrency import children

        check_time(time)
        check_limit(slower_than, self._wanted)
        running_loop()

        async def start() -> RemoteSession:
            process = await children.start(gating.gate(argv), popen_options)
            try:
                session = await self.attach(
                    process.pid,
                    follow=follow,
                    labels=labels,
                    time=time,
                    slower_than=slower_than,
                    waits=waits,
                    files=files,
                    io_uring=io_uring,
                )
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
        self,
        pid: int,
        path: str | os.PathLike[str],
        *,
        tracer: TraceTracer = "auto",
        overwrite: bool = False,
        follow: bool = True,
        timestamps: Timestamps = "us",
        decode_fds: bool = True,
        string_bytes: int | None = None,
        filter: str | None = None,
        paths: Sequence[str] = (),
        failed_only: bool = False,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
        min_free_bytes: int | None = None,
        force: bool = False,
    ) -> RemoteTrace:
        """Write every call of a process into a new file of the caller's own, in the format of strace(1), or as records.

        The service sends what eBPF records, or what strace writes, and it is written here. Who has no room left ends
        the trace (``disk_full``). Who reads too slowly loses records, which are counted, or ends a trace by strace
        (``reader_slow``). Of what is not the caller's there is nothing: ``RemoteTrace.reasons`` says so then.

        Args:
            pid: the process, one of the caller's own unless that is root.
            path: the file; it has mode 0600. One whose name ends in ``.strc`` has records.
            tracer: ``ebpf`` records in the kernel, ``strace`` has what strings contain, too; ``auto`` takes the first
                that may, unless ``paths`` or ``string_bytes`` ask for the other.
            overwrite: replace an existing file, in one step.
            follow: its children too, those that exist and those to come.
            timestamps: ``us`` for ``-ttt -T``, with durations; ``s`` for ``-t``.
            decode_fds: the file or socket behind each descriptor (``-yy``; not with ``s``).
            string_bytes: how much of each string is shown (``-s``): 128 of strace where left out, none by eBPF.
            filter: a set of calls, ``openat,read`` or ``%file``; all when left out.
            paths: only calls on these files (``-P``, strace), at most 64.
            failed_only: only calls that fail (``-Z``).
            max_bytes: end the trace when it is about this large.
            max_seconds: end it after this many seconds.
            min_free_bytes: bytes that the file leaves free on its file system; by default 64 MB, on a small one a
                twentieth of it.
            force: of no effect: a service never forces anything.

        Returns:
            The trace, which runs until the target or a limit ends it, or :meth:`RemoteTrace.stop` does.

        Raises:
            InvalidArgument: no process can have this number, the filter names no call, or a limit is none.
            OutputError: the file cannot be made, or its disk is nearly full. Nothing was traced.
            OutputExists: there is such a file, and ``overwrite`` is off.
            AttachError: the process runs on, untraced, and there is no file.
            TracerUnavailable: none can serve, or not the one asked for; there is no file.
            TooMuch: the caller has as many sessions already as a user may have.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
            NoEventLoop: no asyncio loop runs here.
        """
        check_pid(pid)
        check_trace(timestamps, string_bytes, max_bytes, max_seconds, min_free_bytes, tracer)
        of_strace = "paths" if paths else "string_bytes" if string_bytes is not None else ""
        binary = Path(path).suffix == ".strc"
        order = tracer_choice.for_trace(tracer, "auto", of_strace, binary=binary)
        if filter:
            from straced.tracers.strace.filters import trace_set

            trace_set(filter)
        params = messages.TraceParams(
            pid=pid,
            follow=follow,
            timestamps=timestamps,
            decode_fds=decode_fds and timestamps == "us",
            string_bytes=128 if string_bytes is None else string_bytes,
            trace=filter,
            paths=tuple(paths),
            failed_only=failed_only,
            max_bytes=max_bytes,
            max_seconds=max_seconds,
            tracer="auto" if order.ebpf and order.strace else "ebpf" if order.ebpf else "strace",
            binary=binary,
        )
        running_loop()
        file = OutputFile(Path(path), overwrite=overwrite)
        try:
            floor = free_space.floor_bytes(file.fd, min_free_bytes)
        except BaseException:
            file.discard()
            raise
        return await carry(self._trace(params, file, floor), abandon)

    async def dump(
        self,
        pid: int,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        last_s: float | None = None,
        min_free_bytes: int | None = None,
        redacted: bool = False,
    ) -> DumpTaken:
        """Write what the service's flight recorder has of a process into a new file of the caller's own.

        The file is one of records (``.strc``), which ``straced report`` reads. It has the last calls of the process and
        of all below it, as far as the caller may see them: what a process did before an execve is left out
        for everybody but root.

        Args:
            pid: the process, one of the caller's own unless that is root.
            path: the file; it has mode 0600.
            overwrite: replace an existing file, in one step.
            last_s: only calls that ended so many seconds before, or later.
            min_free_bytes: bytes that the file leaves free on its file system, as for :meth:`trace`.
            redacted: without passwords, tokens, keys and names of homes: as a service of root gives it to others.

        Returns:
            What is in the file.

        Raises:
            InvalidArgument: no process can have this number, or the service does not watch it.
            OutputError: the file cannot be made, or there is no room for it. There is no file.
            OutputExists: there is such a file, and ``overwrite`` is off.
            AttachError: there is no such process, or it is not the caller's.
            TracerUnavailable: the service keeps no records.
            TooMuch: the caller has as many sessions already as a user may have.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
            NoEventLoop: no asyncio loop runs here.
        """
        check_pid(pid)
        if last_s is not None and not 0 < last_s < 1e9:
            raise InvalidArgument(f"last_s is {last_s}, which is no time to look back")
        running_loop()
        last_ns = None if last_s is None else int(last_s * 1e9)
        params = messages.DumpParams(pid=pid, last_ns=last_ns, redacted=redacted)
        file = OutputFile(Path(path), overwrite=overwrite)
        return await carry(dump_into(self, params, file, min_free_bytes))

    async def _trace(self, params: messages.TraceParams, file: OutputFile, floor: int | None) -> RemoteTrace:
        from straced.client.trace_sinks import header_for, sink_for

        try:
            header = b"" if params.binary else await asyncio.to_thread(header_for, params)
            attached = await self.request("trace", params, messages.Attached)
            try:
                if params.binary and not attached.records:
                    raise TracerUnavailable(f"the service records nothing: it took {attached.tracer[:64]}")
                trace = RemoteTrace(self, attached, file, sink_for(attached, params, file.fd, floor, header))
            except BaseException:
                session = messages.SessionParams(session=attached.session)
                await self.request("session.detach", session, messages.Ended, timeout_s=None)
                raise
        except BaseException:
            file.discard()
            raise
        try:
            file.commit()
        except OutputError:
            await abandon(trace)
            raise
        return trace


__all__ = ["Client", "Gap", "RemoteSession", "RemoteTrace", "Select", "is_there"]

if TYPE_CHECKING:
    _PROFILER: type[AsyncProfiler] = Client
    _SESSION: type[AsyncSession] = RemoteSession
    _RECORDING: type[AsyncRecording] = RemoteTrace
    _EVENTS: type[AsyncEvents] = RemoteEvents
