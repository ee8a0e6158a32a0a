"""System calls of the watched processes, by a tracer that reads without letting go; what each did since the last read.

A tree of processes is one session. What is known of each living process is its own; what its ended descendants did
stands at the tree, by program, so that the sum is right however short a process lived.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Generator, Mapping

from msgspec.structs import replace

from straced.concurrency.pacing import Pace, at_once
from straced.errors import NotPermitted, StracedError
from straced.linux import procfs
from straced.model.counter_rows import rows_of
from straced.model.tick import OTHER_PROGRAMS, Calls
from straced.model.types import Counters, Sample, Target
from straced.service.collect.counted_calls import CountedCalls, Key, difference
from straced.service.collect.counted_tree import ChangedRows, CountedTree
from straced.service.collect.slow_calls import A_SECOND, SlowCallWatch
from straced.service.collect.watchlist import Watched
from straced.tracers.base import (
    CHANGED_USER,
    AttachOptions,
    Ending,
    LiveTracer,
    Rights,
    Tracer,
    TracerSession,
)

log = logging.getLogger("straced.service")


class CallCounter:
    """Sessions of all watched trees.

    Args:
        tracer: one whose sessions can be read live; ``None`` counts nothing, and says so.
        found: told of a descendant that the kernel counted and nobody had seen: pid, start time, tree.
        looked_at: the start time of a process that was there a moment ago; ``None``: not known without a look.
        start_time: of a pid, ``None`` when it is gone; for tests.
        user_of: for whom a tree is counted; ``None``: for root alone.
        slow: hears of slow calls.
    """

    def __init__(
        self,
        tracer: Tracer | None,
        found: Callable[[int, int, Watched], None] = lambda pid, start, root: None,
        looked_at: Callable[[int], int | None] = lambda pid: None,
        start_time: Callable[[int], int | None] | None = None,
        user_of: Callable[[Watched], Rights | None] = lambda root: None,
        slow: SlowCallWatch | None = None,
    ) -> None:
        self._slow = slow
        self._user_of = user_of
        self._tracer = tracer
        self._at_once = tracer if isinstance(tracer, LiveTracer) else None
        self._found = found
        self._looked_at = looked_at
        self._start_of = start_time or start_of
        self._trees: dict[Key, CountedTree] = {}
        self._late: list[ChangedRows] | None = None
        """Of trees that were dropped; ``None``: nobody asks for it."""
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
        return None if tree is None else tuple(rows_of(tree.last).of(pid))

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
        tree = self._trees[root.key] = CountedTree(session, root, user)
        if self._slow is not None:
            self._slow.follow(tree)
        return True

    async def _attach(self, target: Target, user: Rights | None) -> tuple[TracerSession, Rights | None]:
        assert self._tracer is not None
        limit_ns = self._slow.limit_ns if self._slow is not None else None
        options = AttachOptions(follow=True, by_program=True, slower_ns=limit_ns, slow_rate=A_SECOND, slow_kept=0)
        if user is not None:
            with contextlib.suppress(NotPermitted):  # it began as somebody else's: what it does is root's to see
                return await self._tracer.attach(target, replace(options, user=user, apart=True)), user
        return await self._tracer.attach(target, options), None

    async def drop(self, root: Key) -> CountedCalls:
        """Let go of a tree; returns what it did since the last reading."""
        self.refused.pop(root, None)
        tree = self._trees.pop(root, None)
        counted = CountedCalls()
        if tree is not None:
            if self._slow is not None:
                self._slow.forget(tree)
            for each in filter(None, (tree, tree.heir)):
                at_once(self._add(each, await each.session.detach(), counted))
                counted.drop_empty()
                if self._late is not None:
                    self._late.append(each.changed())
            if self._start_of(root[0]) != root[1]:
                ending = await tree.session.wait()
                if ending.reason == CHANGED_USER and tree.heir is not None:
                    ending = await tree.heir.session.wait()
                self.endings[root] = ending
        return counted

    async def read(self) -> CountedCalls:
        """What all trees did since the last reading: one moment, of which the sums are worked out in pieces."""
        counted = CountedCalls()
        if not self._trees:
            return counted
        samples: Mapping[TracerSession, Sample] = self._at_once.read_all() if self._at_once is not None else {}
        heirs = [tree.heir for tree in self._trees.values() if tree.heir is not None]
        pace = Pace()
        for tree in [*self._trees.values(), *heirs]:
            sample = samples.get(tree.session) if samples else await tree.session.read()
            if sample is not None:
                for _piece in self._add(tree, sample, counted):
                    await pace.rest()
        counted.drop_empty()
        return counted

    def changed_rows(self) -> list[ChangedRows]:
        """What is new in the rows of all trees since this was last asked, those included that ended since."""
        late, self._late = self._late or [], []
        trees = list(self._trees.values())
        heirs = [tree.heir for tree in trees if tree.heir is not None]
        return [*late, *(tree.changed() for tree in [*trees, *heirs])]

    async def close(self) -> None:
        """Let go of everything."""
        trees = list(self._trees.values())
        self._trees.clear()
        for part in (trees, filter(None, (tree.heir for tree in trees))):
            await asyncio.gather(*(tree.session.detach() for tree in part), return_exceptions=True)
        if self._tracer is not None:
            with contextlib.suppress(StracedError):
                await self._tracer.close()

    def _add(self, tree: CountedTree, sample: Sample, counted: CountedCalls) -> Generator[None, None, None]:
        if tree.user is not None:
            counted.users[tree.root.key] = tree.user.uid, tree.user.gid
        if sample.lost != tree.lost:
            lost = None if sample.lost is None or tree.lost is None else sample.lost - tree.lost
            known = counted.lost.get(tree.root.key, 0)
            counted.lost[tree.root.key] = None if lost is None or known is None else lost + known
            tree.lost = sample.lost
        for called, caller in tree.by_user.callers.items() if tree.by_user is not None else ():
            start = tree.starts.get(called) or self._looked_at(called) or self._start_of(called)
            # not noted down: it may end without a call
            if start:
                counted.callers[called, start] = caller
        changed = tree.take(sample)
        for before, part in changed.parts:
            yield
            owner = self._key(tree, part.pid or 0)
            made, flights = part.calls_since(before)
            place = self._of_tree(tree, counted) if part.past else self._place(tree, owner, counted)
            place.extend(made)
            for name, count in flights:
                tree.note_in_flight(owner, name, count)
        last_pid: int | None = None
        owner = (0, 0)
        changes: list[Calls] = []
        for row, told in changed.rows:
            yield
            pid = row.pid
            if pid is None:
                change = difference(row, told, OTHER_PROGRAMS)
                if change is not None:
                    self._of_tree(tree, counted).append(change)
                continue
            if pid != last_pid:  # the rows of a process stand together
                last_pid, owner = pid, self._key(tree, pid)
                changes = self._place(tree, owner, counted)
            flying = tree.in_flight.get(owner)
            if row.in_flight or (flying and row.name in flying):
                tree.note_in_flight(owner, row.name, row.in_flight or 0)
            change = difference(row, told)
            if change is not None:
                changes.append(change)
        counted.in_flight.update(tree.in_flight)

    def _place(self, tree: CountedTree, owner: Key, counted: CountedCalls) -> list[Calls]:
        """Where the changes of a process belong: to itself, or to the tree if nobody knows who it is, or it left."""
        if tree.by_user is not None and owner[0] in tree.by_user.left:
            return counted.ended.setdefault(tree.root.key, [])
        if tree.is_heir and not owner[1]:
            return counted.others.setdefault(tree.root.key, [])
        counted.root_of[owner] = tree.root.key
        if tree.is_heir:
            counted.callers.setdefault(owner, None)
        return counted.by_process.setdefault(owner, [])

    def _of_tree(self, tree: CountedTree, counted: CountedCalls) -> list[Calls]:
        """Where the changes of a program belong that has ended, or that its process has left behind by an execve."""
        return (counted.others if tree.is_heir else counted.ended).setdefault(tree.root.key, [])

    def _key(self, tree: CountedTree, pid: int) -> Key:
        start = tree.starts.get(pid)
        if start is None:
            start = tree.starts[pid] = self._start_of(pid) or 0
            if start:
                self._found(pid, start, tree.root)
        return pid, start


def start_of(pid: int) -> int | None:
    """The start time of a process; ``None`` when there is none, or it has ended."""
    try:
        found = procfs.stat(pid)
        return found.start_ticks if found.state not in "ZX" else None
    except (procfs.Gone, OSError):
        return None
