"""A full trace taken from a shell: into a file, or to a reader on stdout who may be as slow as they like."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from straced.concurrency import stopping
from straced.concurrency.stopping import StopRequests
from straced.errors import AttachError, OutputError, StracedError, TracerCrashed
from straced.linux.output_file import OutputFile
from straced.linux.targets import TargetSpec, describe, process_of, resolve
from straced.model.choices import TraceTracer
from straced.profiling.profiler import Profiler
from straced.text.redaction import redact_lines
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_bytes
from straced.tracers.base import Ending
from straced.tracers.strace.recording import OUTPUT_ERRORS
from straced.tracers.strace.trace_file import keep_whole_lines, record_into
from straced.views.text import streams
from straced.workflows import delegation, ptrace_warning

if TYPE_CHECKING:
    from straced.tracers.strace.recording import RecordOptions, StraceRecording

BROKEN_PIPE = 141
ENDS = {
    "max_bytes": "the trace has reached its size (--max-bytes)",
    "reader_gone": "",
    "reader_slow": "the trace was written faster than it could be read and is truncated; the target keeps running",
}


def trace_target(
    spec: TargetSpec,
    options: RecordOptions,
    output: Path | None,
    overwrite: bool = False,
    *,
    page: Path | None = None,
    redacted: bool = False,
    notes: Sequence[str] = (),
    service_tracer: TraceTracer = "strace",
) -> int:
    """Trace until the target ends, a limit is reached or Ctrl-C is pressed; return the exit status.

    Args:
        redacted: leave out secrets, on stdout.
        page: named in words to the user instead of ``output``, which is kept for that page only.
        notes: said on stderr once strace is in place.
        service_tracer: whom a service is asked for, where we may not trace ourselves.

    Raises:
        OutputError, AttachError, TracerUnavailable: nothing was traced, and no file is left.
    """
    pids = resolve(spec)
    pid = process_of(pids[0], "trace", "traced")
    if len(pids) > 1:
        notes = (*notes, f"{spec} is {len(pids)} trees of processes; strace traces that of {describe(pids[:1])} only")
    return stopping.run(
        lambda requests: _trace(pid, options, output, overwrite, page, redacted, notes, service_tracer, requests)
    )


async def _trace(
    pid: int,
    options: RecordOptions,
    output: Path | None,
    overwrite: bool,
    page: Path | None,
    redacted: bool,
    notes: Sequence[str],
    service_tracer: TraceTracer,
    requests: StopRequests,
) -> int:
    ptrace_warning.warn(pid, force=options.force)
    async with Profiler("strace") as profiler:
        if output is not None:
            return await _into_file(
                profiler, pid, options, output, overwrite, requests.event, page, notes, service_tracer
            )
        header = b"" if sys.stdout.isatty() else _header(pid, options)
        recording = await profiler.record(pid, None, options)
        say(notes)
        relay = LineCopier(recording.readers, sys.stdout.fileno(), header=header, redacted=redacted)
        requests.leave_a_standing_reader()
        ending = await _until_over(recording, requests.event)
        await asyncio.to_thread(relay.finish, recording.dropped_lines)
    say_end(recording, ending, None)
    return BROKEN_PIPE if relay.broken.is_set() else _status(ending)


async def _into_file(
    profiler: Profiler,
    pid: int,
    options: RecordOptions,
    path: Path,
    overwrite: bool,
    stop: asyncio.Event,
    page: Path | None,
    notes: Sequence[str],
    service_tracer: TraceTracer,
) -> int:
    options = msgspec.structs.replace(options, spill_bytes=None)
    with OutputFile(path, overwrite=overwrite) as file:
        try:
            header = _header(pid, options)
            recording = await record_into(file, lambda fd: profiler.record(pid, fd, options), header=header)
        except delegation.LACKING as error:
            return await _by_the_service(pid, options, path, overwrite, stop, error, service_tracer)
        say(notes)
        if sys.stderr.isatty():
            print(
                f"straced: tracing {pid} into {scrub(str(page or path))}; Ctrl-C ends it", file=sys.stderr, flush=True
            )
        ending = await _until_over(recording, stop)
        say_end(recording, ending, None if page else path)
        if ending.reason in OUTPUT_ERRORS:
            left = keep_whole_lines(file)
            hint = f"{format_bytes(left)} of it are in {scrub(str(path))}" if left and not page else ""
            raise OutputError(OUTPUT_ERRORS[ending.reason], hint=hint)
    return _status(ending)


def say(notes: Sequence[str]) -> None:
    """Tell on stderr what concerns a trace as a whole."""
    for word in notes:
        streams.say(f"straced: {word}")


def _header(pid: int, options: RecordOptions) -> bytes:
    from straced.tracers.strace.trace_header import filters_of, header_of

    return header_of(pid, follow=options.follow, filters=filters_of(options))


def _status(ending: Ending) -> int:
    """A trace that is cut because its strace died is none that others should take for whole."""
    return TracerCrashed.exit_code if ending.reason.startswith("tracer_crashed") else 0


async def _by_the_service(
    pid: int,
    options: RecordOptions,
    path: Path,
    overwrite: bool,
    stop: asyncio.Event,
    error: StracedError,
    tracer: TraceTracer,
) -> int:
    """Have a service of root take the trace into our file; where there is none, the first refusal stands."""
    service = await delegation.connect()
    if service is None or options.force:
        raise error
    async with service:
        try:
            trace = await service.trace(
                pid,
                path,
                tracer=tracer,
                overwrite=overwrite,
                follow=options.follow,
                timestamps="us" if options.timestamps == "us" else "s",
                decode_fds=options.decode_fds,
                string_bytes=None if tracer == "auto" else options.string_bytes,
                filter=options.trace.removeprefix("trace=") if options.trace else None,
                paths=options.paths,
                failed_only=options.status == "failed",
                max_bytes=options.max_bytes,
                min_free_bytes=options.min_free_bytes,
                max_seconds=options.max_seconds,
            )
        except AttachError:
            raise error from None
        delegation.say("trace", f"{pid} is traced", error)
        ended = asyncio.ensure_future(trace.wait())
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        ending = await (ended if ended.done() else trace.stop())
        ended.cancel()
    if word := ENDS.get(ending.reason):
        streams.say(f"straced: {word}")
    say([reason.text for reason in trace.reasons])
    _refuse_cut(ending.reason, path)
    return 0


def _refuse_cut(reason: str, path: Path) -> None:
    """Raise OutputError for a trace that the service took, when our file or disk has cut it; whole lines stay."""
    if reason in OUTPUT_ERRORS:
        left = path.stat().st_size
        if not left:
            path.unlink()
        raise OutputError(
            OUTPUT_ERRORS[reason], hint=f"{format_bytes(left)} of it are in {scrub(str(path))}" if left else ""
        )


async def _until_over(recording: StraceRecording, stop: asyncio.Event) -> Ending:
    ended = asyncio.ensure_future(recording.wait())
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        recording.request_stop()
    return await ended


class LineCopier:
    """Copies whole lines of one or more straces to a descriptor, each strace on a thread of its own.

    Args:
        readers: of one strace each; closed here.
        sink: where the lines go.
        header: what goes there first.
        redacted: leave out secrets.
    """

    def __init__(self, readers: list[int], sink: int, *, header: bytes = b"", redacted: bool = False) -> None:
        self._sink = sink
        self._header = header
        self._redacted = redacted
        self._lock = threading.Lock()
        self._last = b"\n"
        self.broken = threading.Event()
        self._threads = [threading.Thread(target=self._copy, args=(fd,), daemon=True) for fd in readers]
        for thread in self._threads:
            thread.start()

    def finish(self, lines: int) -> None:
        """Wait until all has been written, or nobody reads any more.

        Args:
            lines: so many were dropped: whoever counts those of the trace knows from it that they are missing.
        """
        for thread in self._threads:
            thread.join()
        if lines and not self.broken.is_set():
            try:
                torn = b"" if self._last == b"\n" else b"\n"
                self._write(torn + b"strace: %d lines were dropped: the reader was too slow\n" % lines)
            except OSError:
                self.broken.set()

    def _copy(self, reader: int) -> None:
        rest = b""
        try:
            while data := os.read(reader, 1 << 16):
                whole, newline, rest = (rest + data).rpartition(b"\n")
                self._write(whole + newline)
            self._write(rest)
        except OSError:
            self.broken.set()
        finally:
            os.close(reader)  # the guard sees that nobody reads, and lets go of the target

    def _write(self, data: bytes) -> None:
        with self._lock:
            data, self._header = self._header + data, b""
            if self._redacted:
                data = b"".join(redact_lines([data]))
            self._last = data[-1:] or self._last
            view = memoryview(data)
            while view:
                view = view[os.write(self._sink, view) :]


def say_end(recording: StraceRecording, ending: Ending, output: Path | None) -> None:
    """Say on stderr why a trace ended, and what is missing in it."""
    words = [ENDS.get(ending.reason, "")]
    if ending.reason.startswith("tracer_crashed"):
        words.append("strace died; the trace is truncated, the target keeps running")
    if recording.dropped_lines and ending.reason != "reader_gone":
        words.append(
            f"{count_of(recording.dropped_lines, 'line was dropped', 'lines were dropped')}: "
            "the reader was too slow (--spill)"
        )
    words += [reason.text for reason in recording.reasons]
    if output is not None and sys.stderr.isatty():
        with contextlib.suppress(OSError):
            words.append(f"{format_bytes(output.stat().st_size)} in {scrub(str(output))}")
    for word in filter(None, words):
        streams.say(f"straced: {word}")
