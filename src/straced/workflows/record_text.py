"""Records as text in strace's format: while they come, and of a file, so that all that reads traces reads them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import BinaryIO

from msgspec import structs

from straced.errors import OutputError
from straced.records.reader import RecordFile
from straced.records.tailing import LATE_NS, RecordTail
from straced.records.text.lines import LineOptions, TextLines
from straced.records.values import RecordedProcess, RecordingEnd, RecordingFacts
from straced.text.redaction import redact_lines
from straced.text.sanitize import scrub_bytes
from straced.tracers.ebpf.record_session import EbpfRecording
from straced.traces.parsing.comments import TracedProcessFacts, TraceHeader, comment
from straced.traces.parsing.trace_filters import TraceFilters

_PAUSE_S = 0.1
_OPTIONS = LineOptions(stamp="ttt", nanoseconds=True)
_MANY = 1 << 16


class TextCopier:
    """Writes records as lines while they come.

    Args:
        fd: where the records are.
        recording: whose they are.
        sink: where the lines go.
        header: begin with the comments that ``straced report`` reads.
        redacted: leave out secrets.
    """

    def __init__(self, fd: int, recording: EbpfRecording, sink: int, *, header: bool, redacted: bool = False) -> None:
        self._recording = recording
        self._tail = RecordTail(fd)
        self._lines = TextLines(recording.facts, structs.replace(_OPTIONS, redacted=redacted))
        self._sink = sink
        self._header = comments_of(recording.facts) if header else b""
        if redacted:
            self._header = b"".join(redact_lines([self._header]))
        self._finished = asyncio.Event()

    def finish(self) -> None:
        """The records are complete."""
        self._finished.set()

    async def run(self) -> bool:
        """Copy until all has been; True when nobody reads any more.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            await asyncio.to_thread(self._write, self._header)
            while not self._finished.is_set():
                await asyncio.to_thread(self._copy, time.monotonic_ns() - LATE_NS)
                if self._tail.behind:
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._finished.wait(), _PAUSE_S)
            await asyncio.to_thread(self._copy, None)
            while self._tail.behind:
                await asyncio.to_thread(self._copy, None)
            await asyncio.to_thread(self._write, lost_lines(self._recording.end, self._lines.lost))
        except BrokenPipeError:
            return True
        except OSError as error:
            raise OutputError(f"the trace is cut: {error.strerror}") from error
        return False

    def _copy(self, until_ns: int | None) -> None:
        ready = bytearray()
        for record in self._tail.records(until_ns):
            ready += self._lines.feed(record)
            if len(ready) > _MANY:
                self._write(ready)
                ready = bytearray()
        if self._tail.behind:
            pass  # older ones may still come
        elif until_ns is None:
            ready += self._lines.flush()
        else:
            ready += self._lines.ready(until_ns)
        self._write(ready)

    def _write(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._sink, view) :]


def write_lines(path: Path, to: BinaryIO) -> list[str]:
    """Write a file of records as a trace that ``straced report`` reads.

    Returns:
        Why calls may be missing, in words.

    Raises:
        OSError: it cannot be read.
        NoRecords: it is none.
    """
    file = RecordFile(path)
    lines = TextLines(file.facts, _OPTIONS)
    to.write(comments_of(file.facts, file.end))
    for record in file:
        to.write(lines.feed(record))
    to.write(lines.flush())
    to.write(lost_lines(file.end, lines.lost))
    return file.troubles()


def lost_lines(end: RecordingEnd | None, told: int) -> bytes:
    """What a trace says that lacks calls, for whoever counts its lines: those that no line has told yet."""
    lost = sum(each.lost for each in end.calls.values()) - told if end is not None else 0
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
