"""Which rows of a session changed between two readings, and what of them was told before under another name.

Rows of a process that ended, or that began another program, were added by the kernel to those of the former program in
its session, or to those of the session itself where it had no room. That part was told already, and is not new there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

from straced.model.types import Counters

RowKey = tuple[int | None, str, str, str]
"""Pid (``None``: of ended descendants, or of a former program), program of those (empty: not known), call, ABI."""
_Row = tuple[str, str]


class RowChange(NamedTuple):
    """A row that differs from the reading before."""

    row: Counters
    known: list[Counters]
    """What of it was told already."""


class RowChanges:
    """The reading of last time, to compare the next with."""

    def __init__(self) -> None:
        self.last: Sequence[Counters] = ()
        self._rows: dict[RowKey, Counters] = {}
        self._ids: set[int] = set()
        self._unplaced: dict[_Row, list[Counters]] = {}
        """Told already, and part of the session's own rows, whenever those change."""

    def take(self, rows: Sequence[Counters], anew: Iterable[int] = ()) -> tuple[list[RowChange], set[int]]:
        """The rows that differ from the reading before, and the pids whose rows were handed on.

        Rows that did not change are the same objects. Of ``anew`` it is known that theirs were handed on.
        """
        known = self._rows
        now_ids = set(map(id, rows))
        stale = [row for row in self.last if id(row) not in now_ids]
        fresh: list[tuple[RowKey, Counters, Counters | None]] = []
        gone = set(anew)
        replaced = 0
        for row in rows:
            if id(row) in self._ids:
                continue
            pid = row.pid
            key = (pid, "" if pid is not None else row.program or "", row.name, row.abi)
            before = known.get(key)
            fresh.append((key, row, before))
            if before is not None:
                replaced += 1
                if pid is not None and (
                    (row.calls or 0) < (before.calls or 0)  # another process has its number
                    or (row.program is not None and row.program != before.program)
                ):
                    gone.add(pid)
        if replaced != len(stale):
            there = {key for key, _row, _before in fresh}
            gone |= {row.pid for row in stale if row.pid is not None and (row.pid, "", row.name, row.abi) not in there}
        handed = self._hand_on(gone) if gone else {}
        changes = self._changes(fresh, gone, handed)
        known.update((key, row) for key, row, _before in fresh)
        self.last, self._ids = rows, now_ids
        return changes, gone

    def add_told(self, rows: Iterable[Counters]) -> None:
        """Rows of processes that were in the reading before, and that somebody else has compared until now."""
        rows = tuple(rows)
        self._rows.update(((row.pid, "", row.name, row.abi), row) for row in rows)
        self._ids.update(map(id, rows))
        self.last = (*self.last, *rows)

    def forget_processes(self) -> None:
        """Leave the rows of processes to somebody else again."""
        self.last = tuple(row for row in self.last if row.pid is None)
        self._ids = set(map(id, self.last))
        for key in [key for key in self._rows if key[0] is not None]:
            del self._rows[key]

    def _hand_on(self, gone: set[int]) -> dict[RowKey, list[Counters]]:
        handed: dict[RowKey, list[Counters]] = {}
        for row in self.last:
            if row.pid in gone:
                self._rows.pop((row.pid, "", row.name, row.abi), None)
                handed.setdefault((None, row.program or "", row.name, row.abi), []).append(row)
        return handed

    def _changes(
        self,
        fresh: list[tuple[RowKey, Counters, Counters | None]],
        gone: set[int],
        handed: dict[RowKey, list[Counters]],
    ) -> list[RowChange]:
        changes: list[RowChange] = []
        rest: list[tuple[RowKey, Counters, Counters | None]] = []
        for key, row, before in fresh:
            if key[0] is not None:
                changes.append(RowChange(row, [] if before is None or key[0] in gone else [before]))
            elif not key[1]:
                rest.append((key, row, before))
            else:
                known = [] if before is None else [before]
                told = handed.pop(key, None)
                if told and (over := excess(row, [*known, *told])) is not None:
                    self._unplaced.setdefault(key[2:], []).append(over)
                changes.append(RowChange(row, [*known, *(told or ())]))
        for key, told in handed.items():
            self._unplaced.setdefault(key[2:], []).extend(told)
        for key, row, before in rest:
            known = [] if before is None else [before]
            changes.append(RowChange(row, [*known, *self._unplaced.pop(key[2:], ())]))
        return changes


def excess(row: Counters, known: list[Counters]) -> Counters | None:
    """What was told already beyond what is in a row, so that it must be in another one; ``None``: nothing."""
    calls = sum(each.calls or 0 for each in known) - (row.calls or 0)
    if calls <= 0:
        return None
    errno: dict[str, int] = {}
    for each in known:
        for word, count in (each.errno or {}).items():
            errno[word] = errno.get(word, 0) + count
    for word, count in (row.errno or {}).items():
        errno[word] = errno.get(word, 0) - count
    return Counters(
        name=row.name,
        abi=row.abi,
        calls=calls,
        errors=max(0, sum(each.errors or 0 for each in known) - (row.errors or 0)),
        errno={word: count for word, count in errno.items() if count > 0},
        wall_ns=max(0, sum(each.wall_ns or 0 for each in known) - (row.wall_ns or 0)),
        waiting_ns=max(0, sum(each.waiting_ns or 0 for each in known) - (row.waiting_ns or 0)),
        histogram=_excess([each.histogram or () for each in known], row.histogram or ()),
    )


def _excess(known: list[tuple[int, ...]], there: tuple[int, ...]) -> tuple[int, ...]:
    counts = map(sum, zip_longest(*known, fillvalue=0))
    return tuple(max(0, all_ - here) for all_, here in zip_longest(counts, there, fillvalue=0))
