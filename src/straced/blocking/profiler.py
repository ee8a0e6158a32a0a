"""The Profiler for programs without an event loop."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from straced import gating
from straced.blocking.loop_thread import Result, SharedLoop
from straced.blocking.recording import BlockingRecording
from straced.blocking.session import BlockingSession
from straced.errors import resources
from straced.model.choices import TimeKind, Timestamps, TracerName, TraceTracer
from straced.profiling.arguments import check_limit, check_time
from straced.profiling.profiler import Profiler

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from straced.blocking.streams import BlockingEvents
    from straced.profiling.api import SyncEvents, SyncProfiler, SyncRecording, SyncSession


class BlockingProfiler:
    """Attach to processes, from threads that wait; see :class:`straced.Profiler`.

    Leaving it as a ``with`` block closes it. Its event loop runs on a thread of its own, started with the first call.
    One that was made before a fork may be used by one of the two processes afterwards, the first that does; a copy of
    one in use raises :class:`~straced.errors.ForkedCopy`, and leaving its ``with`` block does nothing.

    Args:
        tracer: ``auto``, ``ebpf``, ``strace`` or ``sampler``. One asked for by name never falls back.
        max_overhead_pct: detach a session when the estimated slowdown of its target exceeds this, in per cent.
        max_tasks: the most tasks of one target to put under ptrace(2).
        max_rows: different calls over all processes that eBPF has room for, 704 bytes each; else its default.
        user_share: how much of that the processes of one user may have, 0 to 1, unless that is root.
        max_per_process: how many sessions may count one process at a time by eBPF; else its default, 8.

    Raises:
        InvalidArgument: there is no such tracer, or a limit is none.
    """

    def __init__(
        self,
        tracer: TracerName = "auto",
        *,
        max_overhead_pct: float | None = None,
        max_tasks: int = 1000,
        max_rows: int | None = None,
        user_share: float = 1.0,
        max_per_process: int | None = None,
    ) -> None:
        self._profiler = Profiler(
            tracer,
            max_overhead_pct=max_overhead_pct,
            max_tasks=max_tasks,
            max_rows=max_rows,
            user_share=user_share,
            max_per_process=max_per_process,
        )
        self._loop = SharedLoop()
        self._sessions: list[BlockingSession] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def sessions(self) -> list[BlockingSession]:
        """The sessions that have not ended, in the order attached; none of them is a forked copy's."""
        return [session for session in self._sessions if not session.ended] if self._profiler.mine else []

    def attach(
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
    ) -> BlockingSession:
        """Start counting what a process does; returns once the kernel has confirmed it. Opens a waiting gate.

        Args:
            pid: the process; the id of a thread means its process, which ``session.target.pid`` is then.
            follow: its children too, those that exist and those to come. All threads are counted in any case.
            labels: kept with every summary.
            time: ``wall``, or ``cpu`` for CPU time in the kernel (plain ``strace -c``, see strace(1)); eBPF tells both.
            force: allow the host's pid 1.
            per_thread: rows of each thread (eBPF).
            slower_than: tell each call of so many seconds or more, with its file or peer (eBPF).
            waits: those that are made to wait (``epoll_wait``, ``futex``, ...), too.
            files: add calls up by file and peer, too (eBPF): ``Summary.files``.
            io_uring: count requests of io_uring, too (eBPF): ``Summary.io_uring``.

        Returns:
            The session, also among :attr:`sessions` until it ends.

        Raises:
            InvalidArgument: no process or time can be called that, or be a limit.
            AttachError: the process runs on, untraced; ``reason`` and ``hint`` say why.
            TracerUnavailable: no tracer can serve.
            ForkedCopy: this is a copy in a forked child.
            StracedError: this profiler was closed meanwhile, by another thread.
        """
        return self._own(
            BlockingSession(
                self._loop,
                self.wait_for(
                    self._profiler.attach(
                        pid,
                        follow=follow,
                        labels=labels,
                        time=time,
                        force=force,
                        per_thread=per_thread,
                        slower_than=slower_than,
                        waits=waits,
                        files=files,
                        io_uring=io_uring,
                    )
                ),
            )
        )

    def watch_children(self, of: int | None = None, *, labels: dict[str, str] | None = None) -> BlockingSession:
        """Count all that a process starts from now on, but not the process itself (eBPF).

        Args:
            of: its pid; this process when left out.
            labels: kept with every summary.

        Returns:
            A session whose target is the parent; it ends with that.

        Raises:
            AttachError: there is no such process, or it may not be traced.
            TracerUnavailable: eBPF cannot serve here, and nothing else can do this.
            ForkedCopy: this is a copy in a forked child.
            StracedError: this profiler was closed meanwhile, by another thread.
        """
        return self._own(BlockingSession(self._loop, self.wait_for(self._profiler.watch_children(of, labels=labels))))

    def spawn(
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
    ) -> BlockingSession:
        """Start a program that is counted from its first instruction; ``session.process`` is the caller's own.

        Args:
            argv: the program, as a path or looked up on PATH, and its arguments.
            follow: as for :meth:`attach`.
            labels: as for :meth:`attach`.
            time: as for :meth:`attach`.
            slower_than: as for :meth:`attach`.
            waits: as for :meth:`attach`.
            files: as for :meth:`attach`.
            io_uring: as for :meth:`attach`.
            popen_options: as for ``subprocess.Popen``: ``stdin``, ``cwd``, ``env``, ``text`` and so on.

        Returns:
            The session; ``session.process`` is a ``subprocess.Popen``.

        Raises:
            InvalidArgument: no time can be called that, or be a limit; nothing was started.
            CommandNotFound: there is no such program; nothing was started.
            ExecFailed: it is not executable; nothing was started.
            NoResources: it cannot be started now.
            AttachError: not counted; the program runs all the same, ``error.process`` is it.
            TracerUnavailable: likewise.
            ForkedCopy: this is a copy in a forked child; nothing was started.
            StracedError: this profiler was closed meanwhile, by another thread.
        """
        check_time(time)
        check_limit(slower_than, self._profiler.wanted)
        loading = self._profiler.load(slow_calls=slower_than is not None, files=files)
        self.wait_for(loading)  # a forked copy starts nothing
        with resources():
            process = subprocess.Popen(gating.gate(argv), **popen_options)
        gating.remember(process.pid)
        try:
            session = self.attach(
                process.pid,
                follow=follow,
                labels=labels,
                time=time,
                slower_than=slower_than,
                waits=waits,
                files=files,
                io_uring=io_uring,
            )
        except Exception as error:
            gating.refused(process.pid)
            error.process = process  # type: ignore[attr-defined]
            raise
        except BaseException:
            process.kill()
            process.wait()
            raise
        session.process = process
        return session

    def trace(
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
    ) -> BlockingRecording:
        """Write every call of a process into a new file, a line each, in the format of strace(1), or as records.

        See :meth:`straced.Profiler.trace`.

        Args:
            pid: the process; the id of a thread means its process.
            path: the file; it has mode 0600.
            tracer: ``ebpf`` records in the kernel, and the target is hardly slowed down; ``strace`` has the contents of
                buffers, too; ``auto`` takes the first that may, unless ``paths`` or ``string_bytes`` ask for the other.
            overwrite: replace an existing file, in one step.
            follow: its children too, those that exist and those to come.
            timestamps: ``us`` for ``-ttt -T``, with durations; ``s`` for ``-t``.
            decode_fds: the file or socket behind each descriptor (``-yy``; not with ``s``).
            string_bytes: how much of each string is shown (``-s``): 128 of strace where left out, none by eBPF.
            filter: a set of calls, ``openat,read`` or ``%file``; all when left out.
            paths: only calls on these files (``-P``, strace).
            failed_only: only calls that fail (``-Z``).
            max_bytes: end the trace when the file is about this large.
            max_seconds: end it after this many seconds.
            min_free_bytes: bytes that the file leaves free on its file system; by default 64 MB, on a small one a
                twentieth of it.
            force: allow the host's pid 1.

        Returns:
            The recording, which runs until the target or a limit ends it, or :meth:`BlockingRecording.stop` does.

        Raises:
            InvalidArgument: no process can have this number, the filter names no call, or a limit is none.
            OutputError: the file cannot be made, or its disk is nearly full. Nothing was traced.
            OutputExists: there is such a file, and ``overwrite`` is off.
            AttachError: the process runs on, untraced, and there is no file.
            TracerUnavailable: none can serve, or not the one asked for; there is no file.
            ForkedCopy: this is a copy in a forked child.
            StracedError: this profiler was closed meanwhile, by another thread.
        """
        work = self._profiler.trace(
            pid,
            path,
            tracer=tracer,
            overwrite=overwrite,
            follow=follow,
            timestamps=timestamps,
            decode_fds=decode_fds,
            string_bytes=string_bytes,
            filter=filter,
            paths=paths,
            failed_only=failed_only,
            max_bytes=max_bytes,
            max_seconds=max_seconds,
            min_free_bytes=min_free_bytes,
            force=force,
        )
        return BlockingRecording(self._loop, self.wait_for(work))

    def close(self) -> None:
        """End all sessions and the thread. Idempotent; in a forked copy it does nothing.

        Raises:
            StracedError: another thread has closed it in this moment.
        """
        self._loop.stop(self._profiler.close)

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on this profiler's loop.

        Args:
            work: the coroutine.

        Returns:
            Its result.

        Raises:
            ForkedCopy: the profiler is in use by the process that this one was forked from.
            NoResources: the thread cannot be started.
            StracedError: it was closed meanwhile, by another thread.
        """
        return self._loop.wait_for(work)

    def _own(self, session: BlockingSession) -> BlockingSession:
        self._sessions.append(session)  # each step of this is one that no other thread can come between
        for ended in [each for each in self._sessions if each.ended]:
            with contextlib.suppress(ValueError):
                self._sessions.remove(ended)
        return session


if TYPE_CHECKING:
    _PROFILER: type[SyncProfiler] = BlockingProfiler
    _SESSION: type[SyncSession] = BlockingSession
    _RECORDING: type[SyncRecording] = BlockingRecording
    _EVENTS: type[SyncEvents] = BlockingEvents
