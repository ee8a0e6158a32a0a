"""A full trace by records in the kernel, for who asks a Profiler: into a file of records, or one of lines."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from msgspec import Struct

from straced import gating
from straced.concurrency.shielding import carry
from straced.errors import OutputError
from straced.model.types import Reason
from straced.profiling.found_target import find, named_after
from straced.profiling.record_text import STOP_S, TextCopier
from straced.records.text.lines import LineOptions
from straced.tracers.base import Ending
from straced.tracers.recording import Recording
from straced.tracers.strace import free_space

if TYPE_CHECKING:
    from straced.tracers.base import Rights
    from straced.tracers.ebpf.record_session import EbpfRecording, RecorderOptions
    from straced.tracers.strace.recording import RecordOptions

_OF_THE_OUTPUT = ("disk_full", "file_limit")


class RecordingOutput(Protocol):
    """Where a trace goes."""

    @property
    def fd(self) -> int:
        """An empty regular file."""
        ...

    @property
    def path(self) -> Path | None:
        """Its name, once it has one."""
        ...

    def commit(self) -> None:
        """Give it its name: the trace has begun."""
        ...


class RecordsWanted(Struct, frozen=True, kw_only=True):
    """What only a trace by records can be asked for."""

    binary: bool
    """Records as they are, and no lines."""
    user: Rights | None = None
    """Record only what is wholly theirs."""
    ring_bytes: int | None = None
    """Memory of each CPU; as much as is usual where left out."""


class KernelRecording(Recording):
    """Records that are written to a file, as they are or as lines.

    Args:
        inner: fills the file of records.
        text: turns them into lines, where those are wanted.
        scratch: has the records then; closed at the end.
    """

    def __init__(self, inner: EbpfRecording, text: TextCopier | None, scratch: BinaryIO | None) -> None:
        super().__init__(inner.target)
        self.tracer, self.recorded = "ebpf", True
        self._inner = inner
        self._text = text
        self._scratch = scratch
        self._stop = asyncio.Event()
        self._enter()

    def _enter(self) -> None:
        if self._owner.enter() and self._ending is None:
            self._attendant = asyncio.create_task(self._attend())

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._owner.here and self._ending is None

    @property
    def cut(self) -> str | None:
        """Why the trace ended early because of its output: ``disk_full`` or ``file_limit``; ``None`` otherwise."""
        reason = self._ending.reason if self._ending is not None else None
        return reason if reason in _OF_THE_OUTPUT else None

    @property
    def bytes_written(self) -> int:
        """Of the records."""
        return self._inner.bytes_written

    def read_up_to(self, position: int) -> None:
        """Be told by whoever follows the file of records how far he has read; see ``RecorderOptions.ahead_bytes``.

        Args:
            position: in bytes.
        """
        self._inner.read_up_to(position)

    def request_stop(self) -> None:
        """Begin to let go without waiting; :meth:`stop` is to follow."""
        self._enter()
        self._stop.set()

    async def stop(self) -> Ending:
        """Let go of the target; see :meth:`Recording.stop`.

        Returns:
            Why the trace is over.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this recording.
        """
        self._enter()
        self._stop.set()
        return await carry(self.wait())

    async def _attend(self) -> None:
        ended = asyncio.ensure_future(self._inner.wait())
        stopped = asyncio.ensure_future(self._stop.wait())
        copied = asyncio.ensure_future(self._text.run()) if self._text else None
        waiting: set[asyncio.Future[object]] = {ended, stopped, *([copied] if copied else [])}  # type: ignore[arg-type]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:  # also when the loop is being closed
            if not ended.done():
                self._stop.set()
            for each in (ended, stopped):
                each.cancel()
            await carry(self._finish(copied))

    async def _finish(self, copied: asyncio.Future[None] | None) -> None:
        text = self._text
        try:
            ending = await self._inner.stop(Ending(reason=text.cut) if text is not None and text.cut else None)
            if text is not None and copied is not None:
                text.finish(STOP_S if self._stop.is_set() else None)
                try:
                    await copied
                except (OutputError, asyncio.CancelledError):
                    ending = Ending(reason="disk_full")
                if text.cut:
                    ending = Ending(reason=text.cut, exit_status=ending.exit_status)
        finally:
            if self._scratch is not None:
                self._scratch.close()
        self.ended_ns = time.monotonic_ns()
        if (end := self._inner.end) is not None:
            self.dropped_lines = sum(each.lost for each in end.calls.values()) + (text.dropped if text else 0)
            if not end.exact:
                self.reasons.append(Reason("uncounted", "calls may be missing of which nothing is known"))
            if end.left_out:
                self.reasons.append(Reason("changed_user", end.left_out))
        self._end_with(ending)


async def record(
    pid: int, output: RecordingOutput, options: RecordOptions, ask: gating.Ask, records: RecordsWanted
) -> KernelRecording:
    """Start a full trace.

    Args:
        pid: the process.
        output: stays the caller's, to be closed at the end of the trace; it has its name on return.
        options: what the trace holds, and when it ends by itself.
        ask: this trace, as the gate of a program sees it.
        records: what strace has no options for.

    Raises:
        InvalidArgument: no process can have this number, or only strace knows these calls.
        OutputError: the file cannot have its name, or its disk is nearly full.
        AttachError: this target cannot be had.
        TracerUnavailable: eBPF cannot serve here.
    """
    from straced.linux.scratch_file import scratch_file
    from straced.tracers.ebpf import recorder

    wanted = _wanted(options, records)
    target, program = await find(pid, ask)
    with contextlib.ExitStack() as undo:
        scratch = None if records.binary else undo.enter_context(scratch_file())
        floor = free_space.floor_bytes(output.fd, options.min_free_bytes)
        loaded = await recorder.load(wanted)
        closed = ask.ready and gating.is_ready(pid)
        fd = output.fd if scratch is None else scratch.fileno()
        meant = target if program is None else named_after(target, program)
        inner = await loaded.begin(meant, fd, gated=closed)
        try:
            output.commit()
            text = None
            if not records.binary:
                lines = LineOptions(
                    stamp="ttt" if options.timestamps == "us" else "t",
                    durations=options.timestamps == "us",
                    nanoseconds=options.timestamps == "us",
                    names=options.decode_fds,
                )
                text = TextCopier(
                    fd, inner, output.fd, header=True, options=lines, max_bytes=options.max_bytes, floor=floor
                )
        except BaseException:
            await asyncio.shield(inner.stop())
            raise
        undo.pop_all()
    made = KernelRecording(inner, text, scratch)
    made.path = output.path
    made.from_the_first = closed
    if not closed and gating.was_gate(target):
        made.reasons.append(gating.LATE)
    return made


def _wanted(options: RecordOptions, records: RecordsWanted) -> RecorderOptions:
    from straced.records.call_sets import calls_of
    from straced.tracers.ebpf.record_engine import RecordFilter
    from straced.tracers.ebpf.record_session import RecorderOptions

    return RecorderOptions(
        follow=options.follow,
        wanted=RecordFilter(
            calls=calls_of(options.trace) if options.trace else None, failed_only=options.status == "failed"
        ),
        max_bytes=options.max_bytes,
        max_seconds=options.max_seconds,
        min_free_bytes=options.min_free_bytes,
        force=options.force,
        user=records.user,
        ring_bytes=records.ring_bytes,
        ahead_bytes=options.spill_bytes,
    )
