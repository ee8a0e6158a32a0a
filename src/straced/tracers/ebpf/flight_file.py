"""The file of a dump: whether there is room for it, and what becomes of it where there is not."""

from __future__ import annotations

import contextlib
import os
from typing import NoReturn

from msgspec import Struct

from straced.errors import OutputError, StracedError
from straced.records.values import RecordingEnd, RecordingFacts
from straced.text.units import format_bytes
from straced.tracers.ebpf.flight_cut import Cut
from straced.tracers.strace.free_space import floor_bytes, free_bytes


class Dumped(Struct, frozen=True, kw_only=True):
    """A dump that was taken."""

    bytes: int
    facts: RecordingFacts
    end: RecordingEnd
    calls: int
    """Of which it has records."""
    took_ns: int

    @property
    def span_ns(self) -> int:
        """How far back all of it goes."""
        return self.end.ended_ns - (self.facts.since_ns or 0)


def check_room(fd: int, cut: Cut, min_free_bytes: int | None, most_bytes: int | None = None) -> None:
    """Look before all of a cut is written, or ``most_bytes`` of it.

    Raises:
        OutputError: there is no room for it.
    """
    floor = floor_bytes(fd, min_free_bytes)
    free = free_bytes(os.fstatvfs(fd))
    wanted = sum(end - start for start, end in cut.pieces)
    wanted = wanted if most_bytes is None else min(wanted, most_bytes)
    if floor is not None and free is not None and free < wanted + floor:
        raise OutputError(
            f"the disk has no room for a dump of {format_bytes(wanted)}: {format_bytes(free)} are free, and "
            f"{format_bytes(floor)} stay so",
            hint="write it elsewhere, or the last seconds alone",
        )


def append(fd: int, *parts: bytes | memoryview) -> None:
    """Write all of it.

    Raises:
        OSError: as of writev(2).
    """
    rest = [memoryview(part) for part in parts if len(part)]
    while rest:
        count = os.writev(fd, rest)
        while rest and count >= len(rest[0]):
            count -= len(rest.pop(0))
        if rest:
            rest[0] = rest[0][count:]


def give_up(fd: int, error: OSError | StracedError) -> NoReturn:
    """Empty the file again, and say why.

    Raises:
        StracedError: in any case.
    """
    with contextlib.suppress(OSError):  # what is no regular file keeps what it took
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
    if isinstance(error, StracedError):
        raise error
    raise OutputError(f"the dump could not be written: {error.strerror}", hint="elsewhere, or less of it") from error
