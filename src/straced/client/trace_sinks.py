"""How a full trace that the service takes gets into a file here: as it comes, or as lines of the records that come."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from straced.errors import OutputError
from straced.linux.scratch_file import scratch_file
from straced.profiling.record_text import STOP_S, TextCopier
from straced.records.arriving import ArrivingFile
from straced.records.text.lines import LineOptions
from straced.tracers.ebpf.ring_drain import AHEAD_BYTES
from straced.tracers.strace import free_space

if TYPE_CHECKING:
    from straced.ipc import messages
    from straced.records.values import RecordingEnd, RecordingFacts

_PAUSE_S = 0.05


class PlainSink:
    """Writes what comes: lines, or records as they are.

    Args:
        fd: the file.
        floor: room that is left on its disk, in bytes; ``None``: it has no limit.
        binary: records, which have no lines.
    """

    def __init__(self, fd: int, floor: int | None, *, binary: bool) -> None:
        self._fd = fd
        self._floor = floor
        self._records = ArrivingFile() if binary else None
        self._writing: asyncio.Future[None] | None = None
        self.dropped = 0
        """What is missing besides what the service tells of."""

    @property
    def end(self) -> RecordingEnd | None:
        """What became of all calls, of records that are complete."""
        return self._records.end if self._records is not None else None

    async def take(self, data: bytes) -> None:
        """Write the next piece.

        Raises:
            OSError: there is no room for it.
        """
        if self._records is not None:
            self._records.feed(data)
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, data))
        await asyncio.shield(self._writing)

    def _write(self, data: bytes) -> None:
        if self._floor is not None:
            space = os.fstatvfs(self._fd)
            free = free_space.free_bytes(space)
            if free is not None and free - len(data) - 2 * space.f_frsize < self._floor:  # it takes whole blocks
                raise OSError(errno.ENOSPC, "no room is left")
        before = os.fstat(self._fd).st_size
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            whole = 0 if self._records is not None else data.rfind(b"\n", 0, len(data) - len(view)) + 1
            os.ftruncate(self._fd, before + whole)  # no torn line
            raise

    async def finish(self, *, stopped: bool) -> str | None:
        """All has come; returns why the file was cut, if it was."""
        return None

    async def give_up(self) -> None:
        """Nothing more is to be written; the descriptor may be closed afterwards."""
        if self._writing is not None:
            await asyncio.wait({self._writing})


class LineSink:
    """Keeps the records that come in a file without a name, and writes lines of them.

    Args:
        fd: the file.
        options: what a line has.
        max_bytes: write about so much, and no more.
        floor: room that is left on its disk, in bytes; ``None``: it has no limit.
        cut: called when nothing more is written, with the reason.

    Raises:
        OutputError: there is no directory for the records.
    """

    def __init__(
        self, fd: int, options: LineOptions, max_bytes: int | None, floor: int | None, cut: Callable[[str], None]
    ) -> None:
        self._fd = fd
        self._options = options
        self._max_bytes = max_bytes
        self._floor = floor
        self._cut = cut
        self._scratch = scratch_file()
        self._arriving = ArrivingFile()
        self._written = 0
        self._read = 0
        self._copier: TextCopier | None = None
        self._copying: asyncio.Future[None] | None = None
        self._keeping: asyncio.Future[None] | None = None

    @property
    def facts(self) -> RecordingFacts:
        """Whose records they are."""
        assert self._arriving.facts is not None
        return self._arriving.facts

    @property
    def end(self) -> RecordingEnd | None:
        """What became of all calls, once that has come."""
        return self._arriving.end

    @property
    def dropped(self) -> int:
        """Records that no line has, at the end."""
        return self._copier.dropped if self._copier is not None else 0

    def read_up_to(self, position: int) -> None:
        """Be told how far they have become lines."""
        self._read = position

    async def take(self, data: bytes) -> None:
        """Keep the next piece; while too much waits for its lines, nothing more is asked for.

        Raises:
            OSError: there is no room for it.
        """
        self._arriving.feed(data)
        self._keeping = asyncio.ensure_future(asyncio.to_thread(self._keep, data))
        await asyncio.shield(self._keeping)
        if self._copier is None and self._arriving.facts is not None:
            self._copier = TextCopier(
                self._scratch.fileno(),
                self,
                self._fd,
                header=True,
                options=self._options,
                max_bytes=self._max_bytes,
                floor=self._floor,
            )
            self._copying = asyncio.ensure_future(self._copy(self._copier))
        while self._written - self._read > AHEAD_BYTES and self._copying is not None and not self._copying.done():
            await asyncio.sleep(_PAUSE_S)

    def _keep(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._scratch.fileno(), view, self._written)
            self._written, view = self._written + count, view[count:]

    async def _copy(self, copier: TextCopier) -> None:
        try:
            await copier.run()
        except OutputError:
            copier.cut = "disk_full"
        if copier.cut:
            self._cut(copier.cut)

    async def finish(self, *, stopped: bool) -> str | None:
        """All has come: write the rest, after a stop for a moment only; returns why it was cut, if it was."""
        try:
            if self._copier is None or self._copying is None:
                return None
            self._copier.finish(STOP_S if stopped else None)
            await self._copying
            return self._copier.cut
        finally:
            await self.give_up()

    async def give_up(self) -> None:
        """Nothing more is to be written but what is ready; the descriptor may be closed afterwards."""
        if self._copier is not None:
            self._copier.finish(0)
        if writing := {each for each in (self._copying, self._keeping) if each is not None}:
            await asyncio.wait(writing)
        self._scratch.close()


def sink_for(
    attached: messages.Attached, params: messages.TraceParams, fd: int, floor: int | None, header: bytes
) -> Callable[[Callable[[str], None]], PlainSink | LineSink]:
    """What makes the sink of a trace, told what to call when that can write no more.

    Args:
        attached: what the service has begun.
        params: what was asked for.
        fd: the file.
        floor: room that is left on its disk, in bytes.
        header: what the file of a strace begins with.
    """
    if not attached.records or params.binary:
        if not attached.records:
            with contextlib.suppress(OSError):  # a full disk ends the trace itself
                os.write(fd, header)
        return lambda _cut: PlainSink(fd, floor, binary=params.binary)
    precise = params.timestamps == "us"
    options = LineOptions(
        stamp="ttt" if precise else "t", durations=precise, nanoseconds=precise, names=params.decode_fds
    )
    return lambda cut: LineSink(fd, options, params.max_bytes, floor, cut)


def header_for(params: messages.TraceParams) -> bytes:
    """What strace does not write down, as far as the caller may see it: the service has other rights."""
    from straced.tracers.strace.trace_header import header_of
    from straced.traces.parsing.trace_filters import TraceFilters

    filters = TraceFilters(
        calls=params.trace.removeprefix("trace=").split(",") if params.trace else [],
        paths=list(params.paths),
        failed_only=params.failed_only,
        max_bytes=params.max_bytes,
        max_seconds=params.max_seconds,
    )
    return header_of(params.pid, follow=params.follow, filters=filters)
