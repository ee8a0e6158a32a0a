"""The rows of a session told apart by process or thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from straced.model.sums import add_up, known_sum
from straced.model.types import Counters


class SplitPart(Struct, frozen=True, kw_only=True):
    """What one process or thread did, or all that ended of one program."""

    pid: int | None
    """``None``: of processes that ended."""
    tid: int | None = None
    name: str
    calls: int | None
    errors: int | None
    wall_ns: int | None
    waiting_ns: int | None
    max_ns: int | None
    busiest: tuple[tuple[str, int], ...] = ()
    """Calls by name, the most frequent first."""


def split(rows: Iterable[Counters], name_of: Callable[[int | None, int | None, str | None], str]) -> list[SplitPart]:
    """The parts, those that made most calls first.

    Args:
        rows: of one session since its begin.
        name_of: what to call a part, by pid, tid, and the program of what ended.
    """
    groups: dict[tuple[int | None, int | None, str | None], list[Counters]] = {}
    for row in rows:
        groups.setdefault((row.pid, row.tid, row.program if row.pid is None else None), []).append(row)
    parts = []
    for (pid, tid, program), group in groups.items():
        merged = add_up(group)
        ranked = sorted(((row.name, row.calls or 0) for row in merged if row.calls), key=lambda pair: -pair[1])
        parts.append(
            SplitPart(
                pid=pid,
                tid=tid,
                name=name_of(pid, tid, program),
                calls=known_sum(row.calls for row in merged),
                errors=known_sum(row.errors for row in merged),
                wall_ns=known_sum(row.wall_ns for row in merged),
                waiting_ns=known_sum(row.waiting_ns for row in merged),
                max_ns=max((row.max_ns for row in merged if row.max_ns is not None), default=None),
                busiest=tuple(ranked),
            )
        )
    return sorted(parts, key=lambda part: (-(part.calls or 0), part.pid or 0, part.tid or 0))
