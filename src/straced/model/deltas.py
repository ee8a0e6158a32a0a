"""What rows did between two samples, added up by process: all that a list of processes needs of them."""

from __future__ import annotations

from collections.abc import Iterable

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
    program: str | None = None
    """Of a process: what it runs, where the session tells that apart."""
    anew: bool = False
    """Of a process: it went on with another program, and this is what it did since."""
    exits: int = 0
    """Of what ended: processes that called exit_group(2). Those that were killed are not among them."""


Moves = dict[int | str | None, ProcessDelta]
"""By pid. What ended moved from its process to its program, by name, or to the session (``None``) where that does not
tell programs apart, so that a sum over all of them is right."""
LAST_CALL = "exit_group"
"""A process makes it once."""


def compare(before: Iterable[Counters], after: Iterable[Counters]) -> Moves:
    """Compare the rows of two samples of a session, one by one.

    Args:
        before: those of the earlier sample.
        after: those of the later one.

    Returns:
        What each process did in between, with all its calls in flight.
    """
    found: Moves = {}
    known = {_identity(row): row for row in before}
    were = {row.pid: row.program for row in known.values() if row.pid is not None}
    for row in after:
        whose = row.pid if row.pid is not None else row.program or None
        moved = found.setdefault(whose, ProcessDelta())
        old = known.pop(_identity(row), _NOTHING)
        if row.pid is not None:
            moved.program, moved.anew = row.program, were.get(row.pid, row.program) != row.program
        elif row.name == LAST_CALL and row.program:
            moved.exits += (row.calls or 0) - (old.calls or 0)
        moved.in_flight += row.in_flight or 0
        if old.calls == row.calls and old.wall_ns == row.wall_ns:
            moved.standing += row.in_flight or 0
        _add(moved, row, old)
    for gone in known.values():
        _add(found.setdefault(gone.program or gone.pid, ProcessDelta()), _NOTHING, gone)
    return found


def _identity(row: Counters) -> tuple[int | None, int | None, str | None, str, str]:
    return row.pid, row.tid, row.program, row.abi, row.name


_NOTHING = Counters(name="", calls=0, errors=0, working_ns=0, waiting_ns=0)
"""Before a row was there, and after it was handed on."""


def _add(moved: ProcessDelta, row: Counters, old: Counters) -> None:
    moved.calls = _change(moved.calls, row.calls, old.calls)
    moved.errors = _change(moved.errors, row.errors, old.errors)
    moved.working_ns = _change(moved.working_ns, row.working_ns, old.working_ns)
    moved.waiting_ns = _change(moved.waiting_ns, row.waiting_ns, old.waiting_ns)


def _change(total: int | None, now: int | None, before: int | None) -> int | None:
    return None if total is None or now is None or before is None else total + now - before
