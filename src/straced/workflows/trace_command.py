"""A command traced by strace from its first instruction: it is our child, and strace is somebody who looks on."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from straced import gating
from straced.concurrency import stopping
from straced.errors import StracedError
from straced.linux.output_file import OutputFile
from straced.profiling.found_target import find
from straced.profiling.profiler import Profiler
from straced.tracers.strace.recording import OUTPUT_ERRORS
from straced.tracers.strace.trace_file import keep_whole_lines, record_into
from straced.tracers.strace.trace_header import filters_of, header_of
from straced.views.text import streams
from straced.workflows.foreground import Foreground
from straced.workflows.trace import LineCopier, say, say_end

if TYPE_CHECKING:
    from straced.tracers.base import Ending
    from straced.tracers.strace.recording import RecordOptions, StraceRecording


def trace_command(
    words: Sequence[str],
    options: RecordOptions,
    output: Path | None,
    overwrite: bool = False,
    *,
    page: bool = False,
    redacted: bool = False,
    notes: Sequence[str] = (),
) -> int:
    """Run a command to its end, and return the status that a shell would see.

    Without a file lines go to stderr, as strace's do.

    Args:
        words: the command.
        options: what the trace holds.
        output: the file.
        overwrite: replace an existing one.
        page: the file is kept for a page only, and not spoken of.
        redacted: leave out secrets, on stderr.
        notes: said on stderr once strace is in place.

    Raises:
        CommandNotFound, ExecFailed, OutputError, AttachError, TracerUnavailable: nothing was run.
    """
    argv = gating.gate(words)
    with Foreground() as foreground:

        def start() -> subprocess.Popen[bytes]:
            process = foreground.start(argv, close_fds=False)
            gating.remember(process.pid)
            return process

        return stopping.cancelled_by_ctrl_c(
            _trace_command(start, words, foreground, options, output, overwrite, page, redacted, notes)
        )


async def _trace_command(
    start: Callable[[], subprocess.Popen[bytes]],
    words: Sequence[str],
    foreground: Foreground,
    options: RecordOptions,
    output: Path | None,
    overwrite: bool,
    page: bool,
    redacted: bool,
    notes: Sequence[str],
) -> int:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(OutputFile(output, overwrite=overwrite)) if output is not None else None
        async with Profiler("strace") as profiler:
            await profiler.load()
            process = start()
            try:
                recording = await _begin(profiler, process.pid, words, options, file)
            except BaseException as error:
                ended = process.poll()
                if not isinstance(error, StracedError):
                    gating.shut(process)
                    raise
                if gating.shut(process):
                    if ended is not None and ended < 0:
                        return 128 - ended  # Ctrl-C: that is what ended it, and no fault
                    raise
                streams.say(f"straced: {error.reason}; the command runs untraced")
                status = process.returncode = await foreground.wait()
                return status if status >= 0 else 128 - status
            say(notes)
            screen = sys.stderr.fileno()
            relay = LineCopier(recording.readers, screen, redacted=redacted) if file is None else None
            status = process.returncode = await foreground.wait()
            ending = await recording.wait()
            if relay is not None:
                await asyncio.to_thread(relay.finish, recording.dropped_lines)
            _say_end(recording, ending, file, page)
    return status if status >= 0 else 128 - status


async def _begin(
    profiler: Profiler, pid: int, words: Sequence[str], options: RecordOptions, file: OutputFile | None
) -> StraceRecording:
    """Begin behind the gate, which stays shut when that fails."""
    with gating.asking(pid, gating.TRACE) as ask:
        try:
            if file is None:
                return await profiler.record(pid, None, options)
            await find(pid, ask)  # it is a gate by now, with what the command will have
            kept = msgspec.structs.replace(options, spill_bytes=None)
            header = header_of(pid, follow=options.follow, filters=filters_of(options), command=words)
            return await record_into(file, lambda fd: profiler.record(pid, fd, kept), header=header)
        except BaseException:
            ask.gated = False
            raise


def _say_end(recording: StraceRecording, ending: Ending, file: OutputFile | None, page: bool) -> None:
    """What the command is not to blame for, and so not its status."""
    if file is not None and ending.reason in OUTPUT_ERRORS:
        keep_whole_lines(file)
        streams.say(f"straced: {OUTPUT_ERRORS[ending.reason]}")
    say_end(recording, ending, None if file is None or page else file.path)
