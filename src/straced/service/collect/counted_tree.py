"""One watched tree: its session, and which of its rows changed since the reading before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from straced.model.types import Counters, Sample
from straced.service.collect.counted_calls import Key
from straced.service.collect.part_changes import Changes, PartChange, PartChanges
from straced.service.collect.row_changes import RowChange
from straced.service.collect.watchlist import Watched
from straced.tracers.base import Rights, TracerSession, UserSession


class ChangedRows(NamedTuple):
    """What is new in the rows of a tree, and to whom that may be told."""

    root: Key
    is_heir: bool
    user: tuple[int, int] | None
    starts: dict[int, int]
    """The start time of each process."""
    parts: list[PartChange]
    rows: list[RowChange]


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
        self.changes = PartChanges()
        self._timed = PartChanges()
        """The reading of which durations were taken last."""
        self.lost: int | None = 0
        self.in_flight: dict[Key, dict[str, int]] = {}

    @property
    def last(self) -> Sequence[Counters]:
        """The rows of the last reading."""
        return self.changes.last

    def take(self, sample: Sample) -> Changes:
        """What differs from the reading before."""
        changes = self.changes.take(sample.rows)
        for pid in changes.gone:
            start = self.starts.pop(pid, None)
            if start is not None:
                self.in_flight.pop((pid, start), None)
        return changes

    def changed(self) -> ChangedRows:
        """The rows that differ from those when this was last asked."""
        user = None if self.user is None else (self.user.uid, self.user.gid)
        changes = self._timed.take(self.last)
        return ChangedRows(self.root.key, self.is_heir, user, self.starts.copy(), changes.parts, changes.rows)

    def note_in_flight(self, owner: Key, name: str, count: int) -> None:
        """Note down in how many calls of a name a process is."""
        known = self.in_flight.get(owner, {})
        if count != known.get(name, 0):
            now = {**known, name: count}  # a new one: the old may be in a sample that was handed on
            self.in_flight[owner] = {name: count for name, count in now.items() if count}
