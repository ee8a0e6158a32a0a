"""What calls were about: sums by file, path and peer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from straced.model import histogram

MOST_ROWS = 1000
FAILING = 200
"""So many are there for their errors where their time is too little: a path that does not exist costs none."""


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
    """Of the last error; one that answers a mere question (EAGAIN, ENOTTY, ...) only where there was no other."""
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
    syncs: int = 0
    """Of the calls those of fsync and fdatasync."""
    sync_ns: int = 0
    """Nanoseconds in these."""
    replies: int = 0
    """Of a peer that was called: how often something came after something had been sent."""
    reply_ns: int = 0
    """How long that took, from the last that was sent to the first that came, added up."""
    reply_max_ns: int | None = None
    """The longest of these; ``None``: there was none."""

    @property
    def mean_reply_ns(self) -> int | None:
        """How long a reply took on average; ``None``: there was none."""
        return self.reply_ns // self.replies if self.replies else None


class FileCounts(FileUse, frozen=True, kw_only=True):
    """The same with what is needed to add it to others."""

    histogram: tuple[int, ...] = ()
    """Calls by duration, in the buckets of :mod:`straced.model.histogram`."""

    def use(self) -> FileUse:
        """Without that."""
        return FileUse(**{name: getattr(self, name) for name in FileUse.__struct_fields__})


Row = TypeVar("Row", bound=FileUse)


class FileTable(Struct, frozen=True, kw_only=True):
    """Sums of all files and peers of one session: at most 1,000, those with the most time and with the most errors."""

    rows: tuple[FileUse, ...] = ()
    """Each file and peer once, the most time first."""
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
    kept, left = chosen(merged(rows), MOST_ROWS, FAILING)
    for row in left:
        others = replace(row, name=None, kind="") if others is None else _sum(others, row)
    return FileTable(
        rows=tuple(row.use() for row in kept), others=None if others is None else others.use(), unplaced=unplaced
    )


def chosen(rows: Sequence[Row], most: int, failing: int) -> tuple[list[Row], list[Row]]:
    """Part rows into those that are kept and all others, both in the order in which they were.

    Args:
        rows: the most time first.
        most: so many are kept.
        failing: so many of them for their errors.
    """
    if len(rows) <= most:
        return list(rows), []
    kept = set(range(most - failing))
    failed = [place for place in range(most - failing, len(rows)) if rows[place].errors]
    kept.update(sorted(failed, key=lambda place: (-rows[place].errors, place))[:failing])
    kept.update([place for place in range(len(rows)) if place not in kept][: most - len(kept)])
    return (
        [row for place, row in enumerate(rows) if place in kept],
        [row for place, row in enumerate(rows) if place not in kept],
    )


def sort_files(rows: Iterable[FileUse], key: str) -> tuple[FileUse, ...]:
    """Sort for a reader: by one of :data:`straced.model.aggregation.SORT_KEYS`, largest first, names from a to z.

    Args:
        rows: in any order.
        key: what they are sorted by; time is that inside calls.
    """
    if key == "name":
        return tuple(sorted(rows, key=lambda row: (row.name is None, row.name or "")))
    measure: Callable[[FileUse], int] = {
        "working": lambda row: row.wall_ns - row.waiting_ns,
        "waiting": lambda row: row.waiting_ns,
        "calls": lambda row: row.calls,
        "errors": lambda row: row.errors,
        "max": lambda row: row.max_ns or 0,
    }.get(key, lambda row: row.wall_ns)
    return tuple(sorted(rows, key=lambda row: (-measure(row), -row.wall_ns, row.name or "")))


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
        syncs=one.syncs + other.syncs,
        sync_ns=one.sync_ns + other.sync_ns,
        replies=one.replies + other.replies,
        reply_ns=one.reply_ns + other.reply_ns,
        reply_max_ns=max(filter(None, (one.reply_max_ns, other.reply_max_ns)), default=None),
        histogram=buckets,
    )


def p99(buckets: tuple[int, ...], longest_ns: int) -> int | None:
    """What 99 of 100 calls do not exceed; never more than the longest."""
    found = histogram.percentile_ns(buckets, 0.99)
    return None if found is None else min(found, longest_ns)
