"""What rows did between two samples, added up by process: all that a list of processes needs of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from straced.model.types import Counters


class ProcessDelta(Struct):
    """The change of one process; ``None`` where a part was not known."""

    calls: int | None = 0
    errors: int | None = 0
    working_ns: int | None = 0
    waiting_ns: int | None = 0
    in_flight: int = 0
    """Calls in flight at the end; those of rows that changed only where they were asked for."""
    standing: int = 0
    """Calls in flight of rows in which nothing returned: they were in flight all the time."""


Moves = dict[int | None, ProcessDelta]
"""By pid. What ended moved from its process to the session, so that a sum over all of them is right."""


def moves(before: Sequence[Counters], after: Sequence[Counters], flights: Collection[int | None] = ()) -> Moves:
    """Compare two samples of a session, row by row.

    Args:
        before: rows of the earlier sample.
        after: rows of the later one. Where they know how to compare themselves (``moved_since``), they are asked to.
        flights: processes of which all calls in flight are wanted; of the others those of unchanged rows will do.
    """
    quick = getattr(after, "moved_since", None)
    found: Moves | None = quick(before, flights) if quick is not None else None
    if found is not None:
        return found
    found = {}
    known = {(row.pid, row.tid, row.abi, row.name): row for row in before}
    for row in after:
        moved = found.setdefault(row.pid, ProcessDelta())
        old = known.pop((row.pid, row.tid, row.abi, row.name), _NOTHING)
        moved.in_flight += row.in_flight or 0
        if old.calls == row.calls and old.wall_ns == row.wall_ns:
            moved.standing += row.in_flight or 0
        _add(moved, row, old)
    for gone in known.values():
        _add(found.setdefault(gone.pid, ProcessDelta()), _NOTHING, gone)
    return found


_NOTHING = Counters(name="", calls=0, errors=0, working_ns=0, waiting_ns=0)
"""Before a row was there, and after it was handed on."""


def _add(moved: ProcessDelta, row: Counters, old: Counters) -> None:
    moved.calls = _change(moved.calls, row.calls, old.calls)
    moved.errors = _change(moved.errors, row.errors, old.errors)
    moved.working_ns = _change(moved.working_ns, row.working_ns, old.working_ns)
    moved.waiting_ns = _change(moved.waiting_ns, row.waiting_ns, old.waiting_ns)


def _change(total: int | None, now: int | None, before: int | None) -> int | None:
    return None if total is None or now is None or before is None else total + now - before
