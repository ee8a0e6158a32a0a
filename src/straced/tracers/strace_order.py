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

CHUNK_BYTES = 32 << 20


def sort_by_time(path: Path) -> None:
    """Sort a trace whose lines begin with ``PID TIME``, stably, and replace the file by the result."""
    runs: list[BinaryIO] = []
    try:
        with path.open("rb") as source:
            while lines := source.readlines(CHUNK_BYTES):
                lines.sort(key=_time)
                run: BinaryIO = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
                run.writelines(lines)
                run.seek(0)
                runs.append(run)
        merged = path.with_name(f".{path.name}.{os.getpid()}.sorted")
        fd = os.open(merged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as out:
                sources = [_whole_lines(run) for run in runs]
                out.writelines(heapq.merge(*sources, key=_time))
            os.rename(merged, path)
        except BaseException:
            os.unlink(merged)
            raise
    finally:
        for run in runs:
            run.close()


def _whole_lines(run: BinaryIO) -> Iterator[bytes]:
    for line in run:
        yield line if line.endswith(b"\n") else line + b"\n"


def _time(line: Any) -> bytes:
    """The clock of a line as text: fixed width for ``-t`` and ``-ttt``, so it sorts as it stands."""
    start = line.find(b" ") + 1
    while line[start : start + 1] == b" ":
        start += 1
    clock: bytes = line[start : line.find(b" ", start)]
    return clock
