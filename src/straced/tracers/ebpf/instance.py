"""One engine with its reader and its sessions."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from straced.concurrency.shielding import Operation, background
from straced.errors import NoEventLoop, NoSuchProcess, NotPermitted
from straced.linux import procfs
from straced.model.types import Reason, Sample, Target
from straced.tracers.base import AttachOptions, Rights, TracerSession
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.detail_engine import DetailEngine
from straced.tracers.ebpf.dirty_rows import DirtyRows
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.events import Events
from straced.tracers.ebpf.probe import capabilities, gone, may_see_all
from straced.tracers.ebpf.reader import Reader, by_session
from straced.tracers.ebpf.samples import Losses
from straced.tracers.ebpf.session import EbpfSession
from straced.tracers.ebpf.slow_ring import SlowRing
from straced.tracers.ebpf.snapshot import SnapshotReader
from straced.tracers.ebpf.summed_rows import part_of
from straced.tracers.ebpf.task_storage import Conflict, Marks
from straced.tracers.ebpf.uring import UringWatch

_CALIBRATION_ROUNDS, _CALIBRATION_CALLS = 50, 100


class Instance:
    """An engine, who reads it, and who is traced by it. Two sessions of one instance never share a task.

    Args:
        engine: loaded.
        idle: told when the last session is over, and its memory given back.
    """

    def __init__(self, engine: Engine, idle: Callable[[], None] = lambda: None) -> None:
        self._idle = idle
        self.engine = engine
        self.marks = Marks(engine)
        touched = DirtyRows(engine)
        self.reader = Reader(engine, touched)
        self._snapshots = SnapshotReader(engine, self.reader, touched)
        self.events = Events(engine)
        self.slow = SlowRing(engine) if isinstance(engine, DetailEngine) else None
        self.sessions: dict[int, EbpfSession] = {}
        self.callbacks: dict[int, list[Callable[[], None]]] = {}
        self._releases: set[Operation[Any]] = set()
        self._closed = False
        self._bare_ns = _call_ns()
        self._cost_ns: int | None = None

    def attach(
        self,
        target: Target,
        options: AttachOptions,
        pidfd: int,
        *,
        quiet: bool = False,
        uring: UringWatch | None = None,
    ) -> EbpfSession:
        """Mark a process, its threads, and when following its descendants.

        Args:
            target: the process.
            options: what is wanted of it.
            pidfd: of it; the session's to close.
            quiet: its children only.
            uring: loaded for it; the session's to close.

        Raises:
            Conflict: one of them is a target of this instance already; nothing is changed.
            NoSuchProcess: it ended meanwhile.
            NotPermitted: it is not the user's for whom it is attached to.
            OSError: the kernel has no room.
        """
        self.engine.start()
        payer, heir = wire.payer_of(target.uid or 0), 0
        try:
            index = self._new_session(options, quiet, payer)
        except BaseException:
            self._stop_if_idle()
            raise
        try:
            if self.slow is not None and options.wants_details:
                self.slow.begin(index, options)
            if uring is not None:
                uring.start(index)
            if options.apart and options.user is not None:
                heir = self._new_session(msgspec.structs.replace(options, user=None), quiet, payer)
                self.engine.owner(index).heir = heir
                if self.slow is not None and options.wants_details:
                    self.slow.begin(heir, options)
            owner, host_pid = self._add_process(index, target.pid, pidfd, wire.OWNER_KEEP, quiet=quiet)
            reasons = self._add_descendants(index, target.pid) if options.follow and not quiet else ()
        except ProcessLookupError:
            self._drop(index, heir)
            raise gone(target.pid) from None
        except PermissionError:
            self._drop(index, heir)
            text = f"process {target.pid} is not that user's since its execve"
            raise NotPermitted(text, pid=target.pid, hint="run it with sudo") from None
        except BaseException:
            self._drop(index, heir)
            raise
        known = msgspec.structs.replace(target, host_pid=host_pid)
        session = EbpfSession(self, known, options, index=index, owner=owner, pidfd=pidfd, reasons=reasons, uring=uring)
        self.sessions[index] = session
        if heir:
            session.heir = EbpfSession(self, known, options, index=heir, owner=0, pidfd=None)
            self.sessions[heir] = session.heir
        return session

    def _new_session(self, options: AttachOptions, quiet: bool, payer: int) -> int:
        user = options.user
        if user is None and not may_see_all():
            user = Rights(os.geteuid(), os.getegid(), capabilities())
        index = self.engine.new_owner(payer)
        owner = self.engine.owner(index)
        owner.kind, owner.state = wire.KIND_SESSION, wire.STATE_LIVE
        owner.flags = wire.SESSION_FOLLOW * (options.follow or quiet) + wire.SESSION_PER_THREAD * options.per_thread
        owner.flags |= wire.SESSION_PROGRAMS * (options.by_program and not options.per_thread)
        if user is not None:
            owner.uid, owner.gid, owner.capabilities = user.uid, user.gid, user.capabilities
            owner.flags |= wire.SESSION_ONE_USER | (wire.SESSION_STRICT if options.user is not None else 0)
        return index

    def _add_process(self, session: int, pid: int, pidfd: int, flags: int, *, quiet: bool = False) -> tuple[int, int]:
        """Mark one process with its threads; returns its owner, and its pid in the initial namespace."""
        engine = self.engine
        index = self._new_owner(wire.KIND_PROCESS, session, session, pid)
        about = engine.owner(session).flags
        per_thread = about & wire.SESSION_PER_THREAD
        still = wire.TASK_QUIET if quiet or about & wire.SESSION_STRICT else 0  # until it is seen whose it is
        leader = self._new_owner(wire.KIND_THREAD, session, index, pid) if per_thread and not quiet else index
        owner = engine.owner(index)
        owner.flags = flags | wire.OWNER_QUIET * quiet
        owner.live = 1  # a thread that does not exist, so that no end of a thread ends the process too early
        try:
            while True:
                self.marks.claim(pidfd, index, leader, wire.TASK_EXISTED | still)
                self.marks.mark_threads(index, pidfd)
                found = self.marks.process_of(pidfd)
                if found == index or (found and owner.flags & wire.OWNER_PAST):
                    break  # else an execve of another thread replaced the leader before that thread was marked
        except (ProcessLookupError, Conflict):
            engine.recycle((), {index, leader})
            raise  # after anything else its tasks may be marked: the whole session is dropped, and then this with it
        if owner.live == 1 and found == index:
            if owner.flags & wire.OWNER_LEFT:
                self.marks.give_up(pidfd)
                raise PermissionError
            raise ProcessLookupError
        engine.owner(session).processes += 0 if quiet else 1
        host_pid = int(owner.host_pid)
        engine.request(wire.UNBIAS, index)
        return found, host_pid

    def _new_owner(self, kind: int, session: int, parent: int, pid: int) -> int:
        index = self.engine.new_owner(int(self.engine.owner(session).payer))
        owner = self.engine.owner(index)
        owner.kind, owner.session, owner.parent, owner.pid = kind, session, parent, pid
        owner.state = wire.STATE_LIVE
        return index

    def _add_descendants(self, session: int, pid: int) -> tuple[Reason, ...]:
        """Mark the descendants that live already, until a look finds no new one."""
        seen: set[int] = set()
        while new := [child for child in procfs.descendants(pid) if child not in seen]:
            for child in new:
                seen.add(child)
                try:
                    self._add_child(session, child)
                except (ProcessLookupError, procfs.Gone):
                    continue
        return ()

    def _add_child(self, session: int, child: int) -> None:
        pidfd = os.pidfd_open(child)
        try:
            known = self.marks.process_of(pidfd)
            if not known:
                try:
                    self._add_process(session, child, pidfd, 0)
                except Conflict:
                    known = self.marks.process_of(pidfd)  # marked by its parent's fork in this very moment
                except PermissionError:
                    if heir := int(self.engine.owner(session).heir):
                        self._add_child(heir, child)
            if known and self.engine.owner(known).session not in (session, int(self.engine.owner(session).heir)):
                raise Conflict
        finally:
            os.close(pidfd)

    # --- letting go -----------------------------------------------------------------------------------

    def release(self, session: EbpfSession) -> None:
        """Take the marks of a session away now, and its memory when no program can be using it any more."""
        self.sessions.pop(session.index, None)
        self.events.end(session.index)
        self._unmark(session.index)
        if self.slow is not None:
            self.slow.end(session.index)
        if session.uring is not None:
            session.uring.close()
        for callback in self.callbacks.pop(session.index, []):
            callback()
        try:
            task = background(self._reclaim_later(session.index))
        except NoEventLoop:
            self._reclaim(session.index)
        else:
            self._releases.add(task)
            task.add_done_callback(self._releases.discard)

    def _unmark(self, index: int) -> None:
        self.engine.owner(index).flags |= wire.SESSION_CLOSED
        try:
            self.marks.unmark(index)
        finally:
            self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        if not self.sessions:
            self.engine.stop()

    def _drop(self, index: int, heir: int = 0) -> None:
        """Undo a session that was not completed."""
        for each in (index, heir) if heir else (index,):
            self._unmark(each)
            if self.slow is not None:
                self.slow.end(each)
            self._reclaim(each)

    async def _reclaim_later(self, index: int) -> None:
        """:meth:`_reclaim`, while the event loop turns: a grace period takes as long as the slowest CPU (100 ms)."""
        await self._settled()
        if not self._closed:
            self.marks.unmark(index)
            await self._settled()
        self._recycle(index)
        if not self.sessions:
            self._idle()

    async def _settled(self) -> None:
        try:
            await asyncio.to_thread(self.engine.settle)
        except RuntimeError:  # no room for another thread
            self.engine.settle()

    def _reclaim(self, index: int) -> None:
        """Give the memory of a session back, after two grace periods: a fork may have read the session as open."""
        if self._closed:
            return
        self.engine.settle()
        self.marks.unmark(index)
        self.engine.settle()
        self._recycle(index)

    def _recycle(self, index: int) -> None:
        if self._closed:  # all of it has gone with the engine
            return
        members = [owner.index for owner in self.reader.owners() if index in (owner.index, owner.session)]
        self.engine.recycle(self.reader.places_of(members), members)

    @property
    def is_idle(self) -> bool:
        """Whether nobody is traced by it."""
        return not self.sessions and all(task.done() for task in self._releases)

    async def close(self) -> None:
        """Detach all sessions and unload."""
        for session in list(self.sessions.values()):
            await session.detach()
        loop = asyncio.get_running_loop()
        while releases := [task for task in self._releases if task.get_loop() is loop and not task.done()]:
            await asyncio.wait(releases)  # a session that is summed up in this moment may measure the cost of a call
        self._closed = True
        self.marks.close()
        await asyncio.to_thread(self.engine.close)

    # --- reading --------------------------------------------------------------------------------------

    def read_all(self) -> dict[TracerSession, Sample]:
        """The samples of all sessions, from one reading."""
        snapshot = self.reader.snapshot()
        members, losses = by_session(snapshot.owners.values()), Losses.of(self.engine)
        return {
            session: session.sample_of(snapshot, members.get(index, []), losses)
            for index, session in self.sessions.items()
        }

    def sum_all(self) -> dict[TracerSession, Sample]:
        """:meth:`read_all` for a reader of sums by process: rows are decoded when they are looked at."""
        snapshot = self._snapshots.take()
        members, losses = by_session(snapshot.owners.values()), Losses.of(self.engine)
        return {
            session: session.built(part_of(snapshot, index, members.get(index, [])), losses)
            for index, session in self.sessions.items()
        }

    def call_cost_ns(self) -> int | None:
        """What one traced call costs here: measured once, on ourselves, against calls before anything was attached.

        Returns:
            ``None`` where we are a target ourselves, so that there is nothing to compare with.
        """
        if self._cost_ns is None and not self._closed and self.engine.loaded:
            try:
                pidfd = os.pidfd_open(os.getpid())
            except OSError:  # no descriptor: another time
                return None
            try:
                session = self.attach(procfs.target(os.getpid()), AttachOptions(follow=False), pidfd)
            except (Conflict, OSError, NoSuchProcess):
                return None
            finally:
                os.close(pidfd)
            traced_ns = _call_ns()
            self.release(session)
            self._cost_ns = max(1, traced_ns - self._bare_ns)
        return self._cost_ns


def _call_ns() -> int:
    """How long a call that does next to nothing takes: the fastest of many short rounds, for others run here too."""
    best = 1 << 62
    call = os.getppid
    for _ in range(_CALIBRATION_ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(_CALIBRATION_CALLS):
            call()
        best = min(best, time.perf_counter_ns() - start)
    return best // _CALIBRATION_CALLS
