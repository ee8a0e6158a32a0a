"""What changed between two readings of a session, by process: most of them went on, and are compared as a whole.

Of those that did not (one that ended, or that began another program), and of what is known of ended ones by program,
each row is looked at (:mod:`straced.service.collect.row_changes`), so that what was handed on is not told twice.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import NamedTuple

from straced.model.counter_rows import RowPart, rows_of
from straced.model.types import Counters
from straced.service.collect.row_changes import RowChange, RowChanges

_Parts = tuple[RowPart, ...]


class PartChange(NamedTuple):
    """A process that went on, or was not there before."""

    before: RowPart | None
    now: RowPart


class Changes(NamedTuple):
    """What is new in a reading: each row that changed is in one of both lists, once."""

    parts: list[PartChange]
    rows: list[RowChange]
    gone: set[int]
    """Processes whose rows of the reading before were handed on."""


class PartChanges:
    """The reading of last time, to compare the next with."""

    def __init__(self) -> None:
        self.last: Sequence[Counters] = ()
        self._processes: dict[int, _Parts] = {}
        self._others: _Parts = ()
        self._rows = RowChanges()

    def take(self, rows: Sequence[Counters]) -> Changes:
        """What is new; parts that did not change are the same objects, and cost nothing."""
        if rows is self.last:
            return Changes([], [], set())
        self.last = rows
        before, others = self._processes, list[RowPart]()
        now: dict[int, _Parts] = {}
        for part in rows_of(rows).parts():
            pid = part.pid
            if pid is None:
                others.append(part)
            else:
                now[pid] = (part,) if pid not in now else (*now[pid], part)
        went_on: list[PartChange] = []
        told: list[Counters] = []
        fresh: list[Counters] = []
        anew: set[int] = set()
        for pid, parts in now.items():
            known = before.get(pid, ())
            if len(known) == len(parts) == 1 and known[0] is parts[0]:
                continue
            follows = _follows(known, parts)
            if follows:
                went_on.append(PartChange(known[0] if known else None, parts[0]))
                continue
            if follows is False:
                anew.add(pid)
            told += _values(known)
            fresh += _values(parts)
        for pid in before.keys() - now.keys():
            told += _values(before[pid])
        self._processes = now
        if not (told or fresh) and _same(self._others, others):
            return Changes(went_on, [], set())
        self._others = tuple(others)
        self._rows.add_told(told)
        changed, gone = self._rows.take([*_values(others), *fresh], anew)
        self._rows.forget_processes()
        return Changes(went_on, changed, gone)


def _follows(known: _Parts, parts: _Parts) -> bool | None:
    """Whether a process can be compared as a whole; not where several have its number."""
    if len(parts) > 1 or len(known) > 1:
        return None
    return parts[0].follows(known[0] if known else None)


def _same(one: Sequence[RowPart], other: Sequence[RowPart]) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))


def _values(parts: Sequence[RowPart]) -> list[Counters]:
    return [row for part in parts for row in part.values()]
