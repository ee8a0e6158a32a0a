"""What a reading of all trees says, and what is new in a row since the reading before."""

from __future__ import annotations

from msgspec import Struct

from straced.model.tick import Calls
from straced.model.types import Counters

Key = tuple[int, int]
"""Pid and start time."""


class CountedCalls(Struct, kw_only=True):
    """What a reading says: calls since the reading before, by process; and of ended descendants, by tree."""

    by_process: dict[Key, list[Calls]] = {}
    root_of: dict[Key, Key] = {}
    """The tree of each process of ``by_process``."""
    ended: dict[Key, list[Calls]] = {}
    lost: dict[Key, int | None] = {}
    """By tree, calls that could not be counted; ``None`` where even their number is unknown."""
    in_flight: dict[Key, dict[str, int]] = {}
    """By process, what it is in now."""
    users: dict[Key, tuple[int, int]] = {}
    """By tree, user and group for whom it is counted; the others are counted for root alone."""
    callers: dict[Key, tuple[int, int] | None] = {}
    """Who called the execve that the program of a process began with; ``None`` where one gave it rights. Of those only
    that are not counted for a user, or not for this one any more."""
    others: dict[Key, list[Calls]] = {}
    """By tree, of ended descendants that were not the user's for whom it is counted."""

    def drop_empty(self) -> None:
        """Forget processes that were looked at and did nothing; once for all trees, of which there may be thousands."""
        for key in [key for key, made in self.by_process.items() if not made]:
            del self.by_process[key]


def difference(row: Counters, known: list[Counters], otherwise: str = "") -> Calls | None:
    """What is new in a row besides what is known already; ``None`` when nothing is.

    Args:
        row: as it is now.
        known: what of it was told before.
        otherwise: the program, where the row has none.
    """
    calls, errors, wall, waiting = row.calls, row.errors, row.wall_ns, row.waiting_ns
    for each in known:
        calls = _less(calls, each.calls)
        errors = _less(errors, each.errors)
        wall = _less(wall, each.wall_ns)
        waiting = _less(waiting, each.waiting_ns)
    if not (calls or errors or wall):
        return None
    errno = None
    if row.errno and errors:
        counts = dict(row.errno)
        for each in known:
            for name, count in (each.errno or {}).items():
                counts[name] = counts.get(name, 0) - count
        errno = {name: count for name, count in counts.items() if count > 0}
    return Calls(row.name, row.abi, calls, errors, wall, waiting, errno, row.in_flight, row.program or otherwise)


def _less(now: int | None, before: int | None) -> int | None:
    if now is None or before is None:
        return None
    return now - before if now > before else 0
