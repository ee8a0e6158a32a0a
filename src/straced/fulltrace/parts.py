"""What a detail that looks at paths only hands over to the one that keeps the tables."""

from __future__ import annotations

import heapq

from msgspec import Struct, field

from straced.fulltrace.detail import SLOWEST, Detail
from straced.fulltrace.files import FileRow


class PathsResult(Struct):
    """Plain values that cross from a worker."""

    rows: list[tuple[bytes, int, int, list[tuple[bytes, int]], list[tuple[int, str, int, int]]]] = field(
        default_factory=list
    )
    """path, first line, errors, errno counts, and (tid, call, calls, time)."""
    folded: int = 0
    locks: list[tuple[int, bytes, int, int, int, int]] = field(default_factory=list)
    """tid, address, waits, time, longest, its line."""
    slowest: list[tuple[int, int, bytes]] = field(default_factory=list)


def paths_of(detail: Detail) -> PathsResult:
    """Everything that a detail of part ``paths`` found."""
    return PathsResult(
        rows=[
            (
                path, row.line, row.errors, list((row.errno or {}).items()),
                [(tid, name, count, ns) for (tid, name), (count, ns) in row.by.items()],
            )
            for path, row in detail.files.rows.items()
        ],
        folded=detail.files.folded,
        locks=[(tid, key, *sums) for (tid, key), sums in detail.locks.items()],  # type: ignore[misc]
        slowest=detail.slowest,
    )  # fmt: skip


def absorb(detail: Detail, result: PathsResult) -> None:
    """Add it; tasks become processes here, where the tree is known."""
    belongs = detail.tree.belongs
    for path, line, errors, errno, by in result.rows:
        other = FileRow(line)
        other.errors = errors
        other.errno = dict(errno) or None
        for tid, name, count, ns in by:
            sums = other.by.setdefault((belongs.get(tid, tid), name), [0, 0])
            sums[0] += count
            sums[1] += ns
        row = detail.files.rows.get(path)
        if row is None:
            detail.files.rows[path] = other
        else:
            row.add(other)
            row.line = min(row.line, line)
    detail.files.folded += result.folded
    for tid, key, waits, ns, longest, line in result.locks:
        mine = detail.locks.setdefault((belongs.get(tid, tid) if tid >= 0 else tid, key), [0, 0, -1, line])
        mine[0] += waits
        mine[1] += ns
        if longest > mine[2]:
            mine[2], mine[3] = longest, line
    detail.slowest = heapq.nlargest(SLOWEST, [*detail.slowest, *result.slowest])
