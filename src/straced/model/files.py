"""What calls were about: sums by file, path and peer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from msgspec import Struct
from msgspec.structs import replace

from straced.model import histogram

MOST_ROWS = 1000


class FileUse(Struct, frozen=True, kw_only=True):
    """A file, a path that could not be opened, or the other end of connections."""

    name: str | None
    """``/srv/db/wal``, ``tcp 10.0.0.7:5432``, ``pipe:[4711]``; ``None``: it could not be found out."""
    kind: str = ""
    """As :attr:`straced.SlowSyscall.kind`; ``path`` of calls by a path that opened nothing."""
    calls: int
    """Calls that were about it, by their first descriptor or path."""
    errors: int
    """Those of them that failed."""
    errno: str | None = None
    """Of the last error; of those that come with a mere question (EAGAIN, ENOTTY, ...) only if there was no other."""
    bytes: int
    """Read and written."""
    wall_ns: int
    """Nanoseconds from enter to exit, added up."""
    waiting_ns: int
    """The part of that in which threads were off the CPU."""
    max_ns: int | None = None
    """The longest call."""
    p99_ns: int | None = None
    """What 99 of 100 calls do not exceed, to the precision of the buckets."""


class FileCounts(FileUse, frozen=True, kw_only=True):
    """The same with what is needed to add it to others."""

    histogram: tuple[int, ...] = ()
    """Calls by duration, in the buckets of :mod:`straced.model.histogram`."""

    def use(self) -> FileUse:
        """Without that."""
        return FileUse(**{name: getattr(self, name) for name in FileUse.__struct_fields__})


class FileTable(Struct, frozen=True, kw_only=True):
    """Sums of all files and peers of one session: those with the most time first, at most 1,000."""

    rows: tuple[FileUse, ...] = ()
    """Each file and peer once."""
    others: FileUse | None = None
    """All others together, those for which the kernel had no room among them; ``None``: there are none."""
    unplaced: int = 0
    """Calls that are in no row."""


def table_of(rows: Iterable[FileCounts], others: FileCounts | None, unplaced: int) -> FileTable:
    """The table of a session.

    Args:
        rows: all that there are, also several of one name.
        others: what is in none of them.
        unplaced: calls that are nowhere.
    """
    found = merged(rows)
    for row in found[MOST_ROWS:]:
        others = replace(row, name=None, kind="") if others is None else _sum(others, row)
    kept = tuple(row.use() for row in found[:MOST_ROWS])
    return FileTable(rows=kept, others=None if others is None else others.use(), unplaced=unplaced)


def merged(rows: Iterable[FileCounts]) -> tuple[FileCounts, ...]:
    """Rows of one name added up, the most time first; those without a name stay apart."""
    named: dict[str, FileCounts] = {}
    unknown: list[FileCounts] = []
    for row in rows:
        if row.name is None:
            unknown.append(row)
        else:
            named[row.name] = _sum(named[row.name], row) if row.name in named else row
    found = [*named.values(), *unknown]
    return tuple(sorted(found, key=lambda row: (-row.wall_ns, -row.calls, row.name or "")))


def _sum(one: FileCounts, other: FileCounts) -> FileCounts:
    buckets = tuple(a + b for a, b in zip_longest(one.histogram, other.histogram, fillvalue=0))
    longest = max(one.max_ns or 0, other.max_ns or 0)
    return FileCounts(
        name=one.name,
        kind=other.kind if one.kind == "path" else one.kind,
        calls=one.calls + other.calls,
        errors=one.errors + other.errors,
        errno=one.errno or other.errno,
        bytes=one.bytes + other.bytes,
        wall_ns=one.wall_ns + other.wall_ns,
        waiting_ns=one.waiting_ns + other.waiting_ns,
        max_ns=longest,
        p99_ns=p99(buckets, longest),
        histogram=buckets,
    )


def p99(buckets: tuple[int, ...], longest_ns: int) -> int | None:
    """What 99 of 100 calls do not exceed; never more than the longest."""
    found = histogram.percentile_ns(buckets, 0.99)
    return None if found is None else min(found, longest_ns)
