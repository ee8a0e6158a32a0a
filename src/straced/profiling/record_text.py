"""Records as text in strace's format: while they come, and of a file, so that all that reads traces reads them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import time
from pathlib import Path
from typing import BinaryIO, Protocol

from straced.concurrency.collector import uncollected
from straced.errors import OutputError
from straced.linux.scratch_file import give_back
from straced.records.reader import RecordFile
from straced.records.tailing import LATE_NS, RecordTail
from straced.records.text.lines import LineOptions, TextLines
from straced.records.values import CALLS, RecordedProcess, RecordingEnd, RecordingFacts
from straced.text.redaction import redact_lines
from straced.text.sanitize import scrub_bytes
from straced.tracers.strace.free_space import free_bytes
from straced.traces.parsing.comments import TracedProcessFacts, TraceHeader, comment
from straced.traces.parsing.trace_filters import TraceFilters

STOP_S = 5.0
"""Lines are still written for so long after a stop; what was recorded faster than that is dropped, and counted."""
_PAUSE_S = 0.1
LINES = LineOptions(stamp="ttt", nanoseconds=True)
_WITH_WAITING = LineOptions(stamp="ttt", nanoseconds=True, waiting=True)
_CUTS = {
    errno.EPIPE: "reader_gone",
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EFBIG: "file_limit",
}
_MANY = 1 << 16


class RecordSource(Protocol):
    """Whoever fills the file of records."""

    @property
    def facts(self) -> RecordingFacts:
        """Whose records they are."""
        ...

    @property
    def end(self) -> RecordingEnd | None:
        """What became of all calls, once it is over."""
        ...

    def read_up_to(self, position: int) -> None:
        """Be told how far they have been read."""
        ...


class TextCopier:
    """Writes records as lines while they come.

    Args:
        fd: where the records are; what has been read of them is given back to the disk.
        recording: whose they are.
        sink: where the lines go.
        header: begin with the comments that ``straced report`` reads.
        options: what a line has.
        max_bytes: write about so much, and no more.
        floor: bytes to leave free on the file system of the sink.
    """

    def __init__(
        self,
        fd: int,
        recording: RecordSource,
        sink: int,
        *,
        header: bool,
        options: LineOptions = LINES,
        max_bytes: int | None = None,
        floor: int | None = None,
    ) -> None:
        self._recording = recording
        self._fd = fd
        self._tail = RecordTail(fd)
        self._lines = TextLines(recording.facts, options)
        self._sink = sink
        self._header = comments_of(recording.facts) if header else b""
        if options.redacted:
            self._header = b"".join(redact_lines([self._header]))
        self._max_bytes = max_bytes
        self._floor = floor
        self._written = 0
        self._rendered = 0
        self._finished = asyncio.Event()
        self._deadline_s: float | None = None
        self.cut: str | None = None
        """Why nothing more is written: ``reader_gone``, ``max_bytes``, ``disk_full``, ``file_limit``."""

    def finish(self, within_s: float | None = None) -> None:
        """The records are complete.

        Args:
            within_s: how long the lines of the rest may take; what is not written by then is dropped, and counted.
        """
        if within_s is not None:
            self._deadline_s = min(time.monotonic() + within_s, self._deadline_s or math.inf)
        self._finished.set()

    @property
    def dropped(self) -> int:
        """Records that no line has, at the end."""
        end = self._recording.end
        if end is None or self.cut or not (self._is_late or self._tail.damaged):
            return 0
        recorded = sum(each.counted - each.filtered - each.overwritten - each.lost for each in end.calls.values())
        return max(0, recorded - self._rendered)

    @property
    def _is_late(self) -> bool:
        return self._deadline_s is not None and time.monotonic() > self._deadline_s

    async def run(self) -> None:
        """Copy until all has been, or :attr:`cut` says why not.

        Raises:
            OutputError: it cannot be written, for another reason.
        """
        try:
            await asyncio.to_thread(self._write, self._header)
            while not (self._finished.is_set() or self.cut):
                await asyncio.to_thread(self._copy, time.monotonic_ns() - LATE_NS)
                if self._tail.behind:
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._finished.wait(), _PAUSE_S)
            await asyncio.to_thread(self._copy, None)
            while self._tail.behind and not (self.cut or self._is_late):
                await asyncio.to_thread(self._copy, None)
            await asyncio.to_thread(self._write, self._lines.flush())  # held back for older ones, and then it was late
            lost = lost_lines(self._recording.end, self._lines.lost, self.dropped)
            await asyncio.to_thread(self._write, lost)
        except OSError as error:
            self.cut = _CUTS.get(error.errno or 0)
            if self.cut is None:
                raise OutputError(f"the trace is cut: {error.strerror}") from error

    def _copy(self, until_ns: int | None) -> None:
        ready = bytearray()
        self._check_room()
        if self.cut:
            return
        before = self._tail.position
        for record in self._tail.records(until_ns):
            ready += self._lines.feed(record)
            self._rendered += record.kind in CALLS
            if len(ready) > _MANY:
                self._write(ready)
                ready = bytearray()
                if self.cut or self._is_late:
                    break
        self._recording.read_up_to(self._tail.position)
        give_back(self._fd, before, self._tail.position)
        if self.cut:
            return
        if self._is_late:
            ready += self._lines.flush()
        elif self._tail.behind:
            pass  # older ones may still come
        elif until_ns is None:
            ready += self._lines.flush()
        else:
            ready += self._lines.ready(until_ns)
        self._write(ready)

    def _write(self, data: bytes | bytearray) -> None:
        if self.cut:
            return
        data, cut = self._fitting(data)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._sink, memoryview(data)[written:])
        except OSError:
            with contextlib.suppress(OSError):  # a pipe
                torn = written - bytes(data[:written]).rfind(b"\n") - 1
                os.ftruncate(self._sink, os.lseek(self._sink, 0, os.SEEK_CUR) - torn)
            raise
        self._written += written
        self.cut = cut

    def _fitting(self, data: bytes | bytearray) -> tuple[bytes | bytearray, str | None]:
        """The lines that there is room for, and why no more may follow, if so."""
        if self._floor is not None:
            space = os.fstatvfs(self._sink)
            free = free_bytes(space)
            room = None if free is None else free - self._floor - 2 * space.f_frsize  # it takes whole blocks
            if room is not None and room < len(data):
                return data[: data.rfind(b"\n", 0, max(0, room)) + 1], "disk_full"
        if self._max_bytes is not None and self._written + len(data) >= self._max_bytes:
            last = data.find(b"\n", max(0, self._max_bytes - self._written - 1))
            return data if last < 0 else data[: last + 1], "max_bytes"
        return data, None

    def _check_room(self) -> None:
        if self._floor is not None:
            free = free_bytes(os.fstatvfs(self._sink))
            if free is not None and free < self._floor:
                self.cut = "disk_full"


def write_lines(path: Path, to: BinaryIO) -> tuple[list[str], list[str]]:
    """Write a file of records as a trace that ``straced report`` reads.

    Returns:
        Why calls may be missing, and what of the file is damaged, in words.

    Raises:
        OSError: it cannot be read.
        NoRecords: it is none.
    """
    file = RecordFile(path)
    lines = TextLines(file.facts, _WITH_WAITING)
    to.write(comments_of(file.facts, file.end))
    with uncollected():
        for record in file:
            if ready := lines.feed(record):
                to.write(ready)
    to.write(lines.flush())
    to.write(lost_lines(file.end, lines.lost))
    return file.troubles(), file.damage()


def lost_lines(end: RecordingEnd | None, told: int, dropped: int = 0) -> bytes:
    """What a trace says that lacks calls, for whoever counts its lines: those that no line has told yet."""
    lost = dropped + (sum(each.lost for each in end.calls.values()) - told if end is not None else 0)
    return b"strace: %d lines were dropped: the reader was too slow\n" % lost if lost > 0 else b""


def comments_of(facts: RecordingFacts, end: RecordingEnd | None = None) -> bytes:
    """What strace does not write down of a target, as the lines that a trace begins with.

    Args:
        facts: whose records they are.
        end: how the recording ended, where that is known already.
    """
    header = TraceHeader(
        host=facts.host,
        machine=facts.machine,
        boot_id=facts.boot_id,
        epoch_s=facts.epoch_ns / 1e9,
        monotonic_ns=facts.monotonic_ns,
        utc_offset_s=facts.utc_offset_s,
        pid=facts.pid,
        by_ebpf=True,
        filters=TraceFilters(
            calls=list(facts.calls or ()),
            failed_only=facts.failed_only,
            slower_ns=facts.slower_ns,
            max_bytes=facts.max_bytes,
            max_seconds=facts.max_seconds,
        ),
        left_out=None if end is None else sum(each.filtered for each in end.calls.values()),
        ended="" if end is None else end.reason,
    )
    return comment("trace", header) + b"".join(comment("process", _process(each)) for each in facts.processes)


def _process(each: RecordedProcess) -> TracedProcessFacts:
    return TracedProcessFacts(
        pid=each.pid,
        parent=each.parent,
        name=scrub_bytes(each.comm),
        argv=[scrub_bytes(word) for word in each.argv],
        start_ticks=each.start_ticks,
        tasks=list(each.threads),
        fds={str(number): scrub_bytes(opened.link) for number, opened in each.descriptors.items()},
        folder=scrub_bytes(each.cwd),
    )
