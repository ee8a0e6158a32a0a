"""Lines of several straces in one file, brought into the order of time, in bounded memory and one rename.

Each strace appends whole lines, a call's line when the call is over but stamped with its start, so the lines of two
straces interleave out of order. One strace alone is in order already.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from straced.linux.output_file import OutputFile

CHUNK_BYTES = 32 << 20


def sort_by_time(path: Path) -> None:
    """Sort a trace whose lines begin with ``PID TIME``, stably, and replace the file by the result.

    Raises:
        OutputError, OSError: no room, or the file is not what it was. It is left as it is.
    """
    runs: list[BinaryIO] = []
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as source:
            while lines := source.readlines(CHUNK_BYTES):
                lines.sort(key=_time)
                run: BinaryIO = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
                run.writelines(lines)
                run.seek(0)
                runs.append(run)
        if not runs:
            return
        with OutputFile(path, overwrite=True) as merged:
            merged.binary.writelines(heapq.merge(*map(_whole_lines, runs), key=_time))
    finally:
        for run in runs:
            run.close()


def _whole_lines(run: BinaryIO) -> Iterator[bytes]:
    for line in run:
        yield line if line.endswith(b"\n") else line + b"\n"


def _time(line: Any) -> bytes:
    """The clock of a line as text: fixed width for ``-t`` and ``-ttt``, so it sorts as it stands; comments first."""
    if line[:1] == b"#":
        return b""
    start = line.find(b" ") + 1
    while line[start : start + 1] == b" ":
        start += 1
    clock: bytes = line[start : line.find(b" ", start)]
    return clock
