"""System calls of the watched processes, by a tracer that reads without letting go; what each did since the last read.

A tree of processes is one session. What is known of each living process is its own; what its ended descendants did
stands at the tree, so that the sum is right however short a process lived.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from straced.errors import NotPermitted, StracedError
from straced.linux import procfs
from straced.model.tick import Calls
from straced.model.types import Counters, Sample, Target
from straced.service.collect.watchlist import Watched
from straced.tracers.base import (
    CHANGED_USER,
    AttachOptions,
    Ending,
    LiveTracer,
    Rights,
    Tracer,
    TracerSession,
    UserSession,
)

log = logging.getLogger("straced.service")
Key = tuple[int, int]
RowKey = tuple[int | None, str, str]
"""Pid (``None``: of the tree's ended descendants), call, ABI."""


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


class _Tree:
    """A session and what it said the last time."""

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
        self.heir = _Tree(heir, root, is_heir=True) if heir is not None else None
        self.starts: dict[int, int] = {root.pid: root.start_ticks}
        self.rows: dict[RowKey, Counters] = {}
        self.handed: dict[tuple[str, str], list[Counters]] = {}
        self.lost: int | None = 0
        self.last: Sequence[Counters] = ()
        self.ids: set[int] = set()
        self.in_flight: dict[Key, dict[str, int]] = {}


class CallCounter:
    """Sessions of all watched trees.

    Args:
        tracer: one whose sessions can be read live; ``None`` counts nothing, and says so.
        found: told of a descendant that the kernel counted and nobody had seen: pid, start time, tree.
        start_time: of a pid, ``None`` when it is gone; for tests.
        user_of: for whom a tree is counted; ``None``: for root alone.
    """

    def __init__(
        self,
        tracer: Tracer | None,
        found: Callable[[int, int, Watched], None] = lambda pid, start, root: None,
        start_time: Callable[[int], int | None] | None = None,
        user_of: Callable[[Watched], Rights | None] = lambda root: None,
    ) -> None:
        self._user_of = user_of
        self._tracer = tracer
        self._at_once = tracer if isinstance(tracer, LiveTracer) else None
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
        """What a process of a tree did since attach, as of the last reading; ``None``: it is not."""
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
            session, user = await self._attach(target, self._user_of(root))
        except procfs.Gone:
            return False
        except StracedError as error:
            self.refused[root.key] = error
            log.warning("not_counted", extra={"straced": {"pid": root.pid, "reason": error.reason}})
            return False
        self._trees[root.key] = _Tree(session, root, user)
        return True

    async def _attach(self, target: Target, user: Rights | None) -> tuple[TracerSession, Rights | None]:
        assert self._tracer is not None
        if user is not None:
            try:
                return await self._tracer.attach(target, AttachOptions(follow=True, user=user, apart=True)), user
            except NotPermitted:
                pass  # it began as somebody else's: what it does is root's to see
        return await self._tracer.attach(target, AttachOptions(follow=True)), None

    async def drop(self, root: Key) -> CountedCalls:
        """Let go of a tree; returns what it did since the last reading."""
        self.refused.pop(root, None)
        tree = self._trees.pop(root, None)
        counted = CountedCalls()
        if tree is not None:
            for each in filter(None, (tree, tree.heir)):
                self._add(each, await each.session.detach(), counted)
            if self._start_of(root[0]) != root[1]:
                ending = await tree.session.wait()
                if ending.reason == CHANGED_USER and tree.heir is not None:
                    ending = await tree.heir.session.wait()
                self.endings[root] = ending
        return counted

    async def read(self) -> CountedCalls:
        """What all trees did since the last reading."""
        counted = CountedCalls()
        if not self._trees:
            return counted
        samples: Mapping[TracerSession, Sample] = self._at_once.read_all() if self._at_once is not None else {}
        heirs = [tree.heir for tree in self._trees.values() if tree.heir is not None]
        for tree in [*self._trees.values(), *heirs]:
            sample = samples.get(tree.session) if samples else await tree.session.read()
            if sample is not None:
                self._add(tree, sample, counted)
        return counted

    async def close(self) -> None:
        """Let go of everything."""
        trees = list(self._trees.values())
        self._trees.clear()
        for part in (trees, filter(None, (tree.heir for tree in trees))):
            await asyncio.gather(*(tree.session.detach() for tree in part), return_exceptions=True)
        if self._tracer is not None:
            with contextlib.suppress(StracedError):
                await self._tracer.close()

    def _add(self, tree: _Tree, sample: Sample, counted: CountedCalls) -> None:
        if tree.user is not None:
            counted.users[tree.root.key] = tree.user.uid, tree.user.gid
        if sample.lost != tree.lost:
            lost = None if sample.lost is None or tree.lost is None else sample.lost - tree.lost
            known = counted.lost.get(tree.root.key, 0)
            counted.lost[tree.root.key] = None if lost is None or known is None else lost + known
            tree.lost = sample.lost
        for called, caller in tree.by_user.callers.items() if tree.by_user is not None else ():
            start = tree.starts.get(called) or self._start_of(called)  # not noted down: it may end without a call
            if start:
                counted.callers[called, start] = caller
        if sample.rows == tree.last:  # compares objects that are the same without looking into them
            counted.in_flight.update(tree.in_flight)
            return
        last_pid: int | None = None
        owner: Key = (0, 0)
        changes: list[Calls] = []
        for key, row, before in self._take(tree, sample):
            pid = row.pid
            if pid is None:
                handed = tree.handed.pop(key[1:], None) if tree.handed else None
                change = _difference(before, row, handed)
                if change is not None:
                    (counted.others if tree.is_heir else counted.ended).setdefault(tree.root.key, []).append(change)
                continue
            if pid != last_pid:  # the rows of a process stand together
                last_pid, owner = pid, self._key(tree, pid)
                changes = self._place(tree, owner, counted)
            flying = tree.in_flight.get(owner)
            if row.in_flight or (flying and row.name in flying):
                self._note_in_flight(tree, owner, row)
            change = _difference(before, row, None)
            if change is not None:
                changes.append(change)
        for key_ in [key_ for key_, made in counted.by_process.items() if not made]:
            del counted.by_process[key_]
        counted.in_flight.update(tree.in_flight)

    def _place(self, tree: _Tree, owner: Key, counted: CountedCalls) -> list[Calls]:
        """Where the changes of a process belong: to itself, or to the tree if nobody knows who it is, or it left."""
        if tree.by_user is not None and owner[0] in tree.by_user.left:
            return counted.ended.setdefault(tree.root.key, [])
        if tree.is_heir and not owner[1]:
            return counted.others.setdefault(tree.root.key, [])
        counted.root_of[owner] = tree.root.key
        if tree.is_heir:
            counted.callers.setdefault(owner, None)
        return counted.by_process.setdefault(owner, [])

    def _take(self, tree: _Tree, sample: Sample) -> list[tuple[RowKey, Counters, Counters | None]]:
        """The rows that differ from the reading before, each with its old one.

        Rows that did not change are the same objects. Those of processes that ended meanwhile are handed over.
        """
        rows, known = sample.rows, tree.rows
        now_ids = set(map(id, rows))
        stale = [row for row in tree.last if id(row) not in now_ids]
        fresh: list[tuple[RowKey, Counters, Counters | None]] = []
        gone: set[int] = set()
        replaced = 0
        for row in rows:
            if id(row) in tree.ids:
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
            self._hand_over(tree, gone)
            fresh = [(key, row, None if key[0] in gone else before) for key, row, before in fresh]
        known.update((key, row) for key, row, _before in fresh)
        tree.last, tree.ids = rows, now_ids
        return fresh

    def _note_in_flight(self, tree: _Tree, owner: Key, row: Counters) -> None:
        known = tree.in_flight.get(owner, {})
        if row.in_flight != known.get(row.name, 0):
            now = {**known, row.name: row.in_flight or 0}  # a new one: the old may be in a sample that was handed on
            tree.in_flight[owner] = {name: count for name, count in now.items() if count}

    def _key(self, tree: _Tree, pid: int) -> Key:
        start = tree.starts.get(pid)
        if start is None:
            start = tree.starts[pid] = self._start_of(pid) or 0
            if start:
                self._found(pid, start, tree.root)
        return pid, start

    def _hand_over(self, tree: _Tree, gone: set[int]) -> None:
        """The rows of a process that ended were added to its tree's: that part is known already, and not new there."""
        for row in tree.last:
            if row.pid in gone:
                tree.rows.pop((row.pid, row.name, row.abi), None)
                tree.handed.setdefault((row.name, row.abi), []).append(row)
        for pid in gone:
            start = tree.starts.pop(pid, None)
            if start is not None:
                tree.in_flight.pop((pid, start), None)


def _difference(before: Counters | None, row: Counters, handed: list[Counters] | None) -> Calls | None:
    """What is new in a row; ``None`` when nothing is."""
    known = handed or []
    if before is not None:
        known = [before, *known]
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
    return Calls(row.name, row.abi, calls, errors, wall, waiting, errno, row.in_flight)


def _less(now: int | None, before: int | None) -> int | None:
    if now is None or before is None:
        return None
    return now - before if now > before else 0


def start_of(pid: int) -> int | None:
    """The start time of a process; ``None`` when there is none, or it has ended."""
    try:
        found = procfs.stat(pid)
        return found.start_ticks if found.state not in "ZX" else None
    except (procfs.Gone, OSError):
        return None
