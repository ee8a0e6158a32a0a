"""Rows of counters as the bytes they were read as; values of them only when somebody looks.

A row that did not change keeps its cell from one read to the next, and with it its value.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from straced.model.types import Counters
from straced.tracers.ebpf.decoding import decode


class Cell(Struct, eq=False, gc=False):
    """One row as it was read, with those that continue it behind it."""

    raw: bytes
    key: int
    value: Counters | None = None
    head: tuple[int, int, int, int] | None = None
    """Calls, errors, wall and waiting time, once :mod:`straced.tracers.ebpf.row_deltas` has worked them out."""
    flight: int | None = None
    """Calls in flight, likewise."""


class Group(Struct, frozen=True):
    """The cells of one owner, and whose they are."""

    pid: int | None
    tid: int | None
    cells: tuple[Cell, ...]
    program: str | None = None
    """What they ran, where the session tells that apart."""

    def values(self) -> Iterator[Counters]:
        """The cells decoded; each is decoded once."""
        pid, tid, program = self.pid, self.tid, self.program
        for cell in self.cells:
            value = cell.value
            if value is None:
                value = cell.value = decode(cell.raw, cell.key, pid, tid, program)
            elif value.tid != tid or value.program != program:
                # execve from a thread: it took the number of its process over after this was decoded. Or one for which
                # there was no room: it is not known any more what these are of
                value = cell.value = msgspec.structs.replace(value, tid=tid, program=program)
            yield value
