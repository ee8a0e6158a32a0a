"""A full trace into a file: it has its name once the tracer is attached, so that one can look at it as it grows."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from straced.linux.output_file import OutputFile
    from straced.tracers.recording import Recording
    from straced.tracers.strace.recording import StraceRecording

TAIL_BYTES = 1 << 20


async def record_into(
    output: OutputFile, begin: Callable[[int], Awaitable[StraceRecording]], *, header: bytes = b""
) -> StraceRecording:
    """Begin a trace with ``begin(descriptor)``, and give its file its name; an old one of that name makes way.

    Args:
        output: stays the caller's, to be closed at the end of the trace.
        header: what the file begins with.

    Raises:
        OutputError: the file cannot have its name; the trace was ended again.
        AttachError, TracerUnavailable: nothing was traced. In both cases nothing is left of the file.
    """
    try:
        if header:
            with contextlib.suppress(OSError):  # a full disk is refused by the trace itself
                os.write(output.fd, header)
        recording = await begin(output.fd)
        try:
            output.commit()
        except BaseException:
            await asyncio.shield(recording.stop())
            raise
    except BaseException:
        output.discard()
        raise
    recording.path = output.path
    return recording


def keep_whole_lines(output: OutputFile) -> int:
    """Cut a torn last line off a trace whose disk was full; nothing is left of an empty one. Returns its bytes."""
    size = os.fstat(output.fd).st_size
    tail = min(size, TAIL_BYTES)
    whole = size - tail + os.pread(output.fd, tail, size - tail).rfind(b"\n") + 1
    if whole == 0:
        output.discard()
    else:
        os.ftruncate(output.fd, whole)
    return whole


def close_whole(recording: Recording, output: OutputFile) -> None:
    """Close the file of a trace that is over, without the torn line that a full disk has left."""
    with contextlib.suppress(OSError):
        if recording.cut is not None:
            keep_whole_lines(output)
    output.close()
