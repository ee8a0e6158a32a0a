"""System calls of the watched processes, by a tracer that reads without letting go; what each did since the last read.

A tree of processes is one session. What is known of each living process is its own; what its ended descendants did
stands at the tree, so that the sum is right however short a process lived.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from msgspec import Struct

from straced import procfs
from straced.errors import StracedError
from straced.model import Counters, Sample
from straced.service.watchlist import Watched
from straced.tracers.base import AttachOptions, Ending, Tracer, TracerSession

log = logging.getLogger("straced.service")
Key = tuple[int, int]


class Calls(Struct, frozen=True):
    """What happened of one call in one interval."""

    name: str
    abi: str
    calls: int | None
    errors: int | None
    wall_ns: int | None
    waiting_ns: int | None
    errno: dict[str, int] | None = None
    in_flight: int | None = None


class Counted(Struct, kw_only=True):
    """What a reading says: calls since the reading before, by process; and of ended descendants, by tree."""

    by_process: dict[Key, list[Calls]] = {}
    root_of: dict[Key, Key] = {}
    """The tree of each process of ``by_process``."""
    ended: dict[Key, list[Calls]] = {}
    lost: dict[Key, int | None] = {}
    """By tree, calls that could not be counted; ``None`` where even their number is unknown."""
    in_flight: dict[Key, dict[str, int]] = {}
    """By process, what it is in now."""


class _Tree:
    """A session and what it said the last time."""

    def __init__(self, session: TracerSession, root: Watched) -> None:
        self.session = session
        self.root = root
        self.starts: dict[int, int] = {root.pid: root.start_ticks}
        self.rows: dict[tuple[int | None, str, str], Counters] = {}
        self.handed: dict[tuple[str, str], list[Counters]] = {}
        self.lost: int | None = 0
        self.last: tuple[Counters, ...] = ()
        self.in_flight: dict[Key, dict[str, int]] = {}


class Counting:
    """Sessions of all watched trees.

    Args:
        tracer: one whose sessions can be read live; ``None`` counts nothing, and says so.
        found: told of a descendant that the kernel counted and nobody had seen: pid, start time, tree.
        start_time: of a pid, ``None`` when it is gone; for tests.
    """

    def __init__(
        self,
        tracer: Tracer | None,
        found: Callable[[int, int, Watched], None] = lambda pid, start, root: None,
        start_time: Callable[[int], int | None] | None = None,
    ) -> None:
        self._tracer = tracer
        self._found = found
        self._start_of = start_time or start_of
        self._trees: dict[Key, _Tree] = {}
        self.refused: dict[Key, StracedError] = {}
        self.endings: dict[Key, Ending] = {}
        """How roots of trees ended, where the tracer knows."""

    @property
    def serves(self) -> bool:
        return self._tracer is not None

    def is_counted(self, root: Key) -> bool:
        """Whether calls of this tree are counted."""
        return root in self._trees

    def counted(self) -> list[Key]:
        """The trees that are counted."""
        return list(self._trees)

    def rows_of(self, root: Key, pid: int) -> tuple[Counters, ...] | None:
        """What a process of a tree did since it is counted, as of the last reading; ``None``: it is not."""
        tree = self._trees.get(root)
        return None if tree is None else tuple(row for row in tree.last if row.pid == pid)

    async def follow(self, root: Watched) -> bool:
        """Count a tree from now on; what keeps that from being so stands in :attr:`refused`."""
        if self._tracer is None or root.key in self._trees or root.key in self.refused:
            return root.key in self._trees
        try:
            target = procfs.target(root.pid)
            if target.start_ticks != root.start_ticks:
                return False
            session = await self._tracer.attach(target, AttachOptions(follow=True))
        except procfs.Gone:
            return False
        except StracedError as error:
            self.refused[root.key] = error
            log.warning("not_counted", extra={"straced": {"pid": root.pid, "reason": error.reason}})
            return False
        self._trees[root.key] = _Tree(session, root)
        return True

    async def drop(self, root: Key) -> Counted:
        """Let go of a tree; returns what it did since the last reading."""
        self.refused.pop(root, None)
        tree = self._trees.pop(root, None)
        counted = Counted()
        if tree is not None:
            sample = await tree.session.detach()
            self._add(tree, sample, counted)
            if self._start_of(root[0]) != root[1]:
                self.endings[root] = await tree.session.wait()
        return counted

    async def read(self) -> Counted:
        """What all trees did since the last reading."""
        counted = Counted()
        if not self._trees:
            return counted
        read_all = getattr(self._tracer, "read_all", None)
        samples = read_all() if read_all is not None else {}
        for tree in list(self._trees.values()):
            sample = samples.get(tree.session) if samples else await tree.session.read()
            if sample is not None:
                self._add(tree, sample, counted)
        return counted

    async def close(self) -> None:
        """Let go of everything."""
        sessions = [tree.session for tree in self._trees.values()]
        self._trees.clear()
        await asyncio.gather(*(session.detach() for session in sessions), return_exceptions=True)
        if self._tracer is not None:
            with contextlib.suppress(StracedError):
                await self._tracer.close()

    def _add(self, tree: _Tree, sample: Sample, counted: Counted) -> None:
        if sample.lost != tree.lost:
            lost = None if sample.lost is None or tree.lost is None else sample.lost - tree.lost
            counted.lost[tree.root.key] = lost
            tree.lost = sample.lost
        if sample.rows == tree.last:  # compares objects that are the same without looking into them
            counted.in_flight.update(tree.in_flight)
            return
        tree.last, tree.in_flight = sample.rows, {}
        rows = {(row.pid, row.name, row.abi): row for row in sample.rows}
        self._hand_over(tree, rows)
        for key, row in rows.items():
            pid = key[0]
            if pid is not None and row.in_flight:
                owner = self._key(tree, pid)
                tree.in_flight.setdefault(owner, {})[row.name] = row.in_flight
            before = tree.rows.get(key)
            if before is row:
                continue
            handed = tree.handed.pop(key[1:], None) if pid is None else None
            change = _difference(before, row, handed)
            if change is None:
                continue
            if pid is None:
                counted.ended.setdefault(tree.root.key, []).append(change)
            else:
                owner = self._key(tree, pid)
                counted.by_process.setdefault(owner, []).append(change)
                counted.root_of[owner] = tree.root.key
        tree.rows = rows
        counted.in_flight.update(tree.in_flight)

    def _key(self, tree: _Tree, pid: int) -> Key:
        start = tree.starts.get(pid)
        if start is None:
            start = tree.starts[pid] = self._start_of(pid) or 0
            if start:
                self._found(pid, start, tree.root)
        return pid, start

    def _hand_over(self, tree: _Tree, rows: dict[tuple[int | None, str, str], Counters]) -> None:
        """The rows of a process that ended were added to its tree's: that part is known already, and not new there."""
        now = {key[0] for key in rows}
        gone = {key[0] for key in tree.rows} - now - {None}
        for key, before in tree.rows.items():
            row = rows.get(key)
            if row is not None and row is not before and (row.calls or 0) < (before.calls or 0):
                gone.add(key[0])  # another process of the same number
        gone.discard(None)
        if not gone:
            return
        for key in [key for key in tree.rows if key[0] in gone]:
            before = tree.rows.pop(key)
            tree.handed.setdefault(key[1:], []).append(before)
        for pid in gone:
            if pid is not None:
                tree.starts.pop(pid, None)


def _difference(before: Counters | None, row: Counters, handed: list[Counters] | None) -> Calls | None:
    """What is new in a row; ``None`` when nothing is."""
    known = [each for each in (before, *(handed or ())) if each is not None]
    calls = _less(row.calls, [each.calls for each in known])
    errors = _less(row.errors, [each.errors for each in known])
    wall = _less(row.wall_ns, [each.wall_ns for each in known])
    waiting = _less(row.waiting_ns, [each.waiting_ns for each in known])
    if not (calls or errors or wall):
        return None
    errno = None
    if row.errno and errors:
        counts = dict(row.errno)
        for each in known:
            for name, count in (each.errno or {}).items():
                counts[name] = counts.get(name, 0) - count
        errno = {name: count for name, count in counts.items() if count > 0}
    return Calls(row.name, row.abi, calls, errors, wall, waiting, errno, row.in_flight)


def _less(now: int | None, before: list[int | None]) -> int | None:
    if now is None or None in before:
        return None
    return max(0, now - sum(value for value in before if value is not None))


def start_of(pid: int) -> int | None:
    """The start time of a process; ``None`` when there is none, or it has ended."""
    try:
        found = procfs.stat(pid)
        return found.start_ticks if found.state not in "ZX" else None
    except (procfs.Gone, OSError):
        return None
