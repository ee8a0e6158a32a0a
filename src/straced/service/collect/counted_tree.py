"""One watched tree: its session, and which of its rows changed since the reading before."""

from __future__ import annotations

from collections.abc import Sequence

from straced.model.types import Counters, Sample
from straced.service.collect.counted_calls import Key
from straced.service.collect.watchlist import Watched
from straced.tracers.base import Rights, TracerSession, UserSession

RowKey = tuple[int | None, str, str]
"""Pid (``None``: of the tree's ended descendants), call, ABI."""


class CountedTree:
    """A session and its reading of last time."""

    def __init__(
        self, session: TracerSession, root: Watched, user: Rights | None = None, *, is_heir: bool = False
    ) -> None:
        self.session = session
        self.root = root
        self.user = user
        self.is_heir = is_heir
        """Whether this is the session of what is not the user's of the tree."""
        self.by_user = session if isinstance(session, UserSession) else None
        heir = self.by_user.heir if self.by_user is not None else None
        self.heir = CountedTree(heir, root, is_heir=True) if heir is not None else None
        self.starts: dict[int, int] = {root.pid: root.start_ticks}
        self.rows: dict[RowKey, Counters] = {}
        self.handed: dict[tuple[str, str], list[Counters]] = {}
        self.lost: int | None = 0
        self.last: Sequence[Counters] = ()
        self.ids: set[int] = set()
        self.in_flight: dict[Key, dict[str, int]] = {}

    def take(self, sample: Sample) -> list[tuple[RowKey, Counters, Counters | None]]:
        """The rows that differ from the reading before, each with its old one.

        Rows that did not change are the same objects. Those of processes that ended meanwhile are handed over.
        """
        rows, known = sample.rows, self.rows
        now_ids = set(map(id, rows))
        stale = [row for row in self.last if id(row) not in now_ids]
        fresh: list[tuple[RowKey, Counters, Counters | None]] = []
        gone: set[int] = set()
        replaced = 0
        for row in rows:
            if id(row) in self.ids:
                continue
            key = (row.pid, row.name, row.abi)
            before = known.get(key)
            fresh.append((key, row, before))
            if before is not None:
                replaced += 1
                if row.pid is not None and (row.calls or 0) < (before.calls or 0):
                    gone.add(row.pid)  # another process has its number
        if replaced != len(stale):
            there = {key for key, _row, _before in fresh}
            gone |= {row.pid for row in stale if row.pid is not None and (row.pid, row.name, row.abi) not in there}
        if gone:
            self._hand_over(gone)
            fresh = [(key, row, None if key[0] in gone else before) for key, row, before in fresh]
        known.update((key, row) for key, row, _before in fresh)
        self.last, self.ids = rows, now_ids
        return fresh

    def note_in_flight(self, owner: Key, row: Counters) -> None:
        known = self.in_flight.get(owner, {})
        if row.in_flight != known.get(row.name, 0):
            now = {**known, row.name: row.in_flight or 0}  # a new one: the old may be in a sample that was handed on
            self.in_flight[owner] = {name: count for name, count in now.items() if count}

    def _hand_over(self, gone: set[int]) -> None:
        """The rows of a process that ended were added to its tree's: that part is known already, and not new there."""
        for row in self.last:
            if row.pid in gone:
                self.rows.pop((row.pid, row.name, row.abi), None)
                self.handed.setdefault((row.name, row.abi), []).append(row)
        for pid in gone:
            start = self.starts.pop(pid, None)
            if start is not None:
                self.in_flight.pop((pid, start), None)
