"""One target of the eBPF tracer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from typing import Protocol

from straced.model.aggregation import merge_rows
from straced.model.slow import SlowSyscall
from straced.model.types import Overhead, Reason, Sample, Target
from straced.tracers import overhead as slowdown
from straced.tracers.base import CHANGED_USER, AttachOptions, Ending, reason_of
from straced.tracers.ebpf import samples, wire
from straced.tracers.ebpf.decoding import OwnerFacts
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.events import Events
from straced.tracers.ebpf.reader import Reader, Snapshot, SnapshotPart
from straced.tracers.ebpf.samples import Losses
from straced.tracers.ebpf.slow_ring import SlowRing
from straced.tracers.ebpf.uring import UringWatch
from straced.tracers.event_stream import EventStream, SlowCallStream

_OVERHEAD_CHECK_S = 1.0
_LAST_READINGS = 20


class SessionHost(Protocol):
    """What a session needs of the instance that it is in."""

    engine: Engine
    reader: Reader
    events: Events
    slow: SlowRing | None
    callbacks: dict[int, list[Callable[[], None]]]

    def release(self, session: EbpfSession) -> None:
        """Let go of the tasks of a session."""
        ...

    def call_cost_ns(self) -> int | None:
        """What one traced call costs here; ``None`` where that cannot be measured."""
        ...


class EbpfSession:
    """Counts the calls of one process, its threads, and its descendants when following.

    The counters are live: reading changes nothing, and may be done as often as wished.
    """

    def __init__(
        self,
        instance: SessionHost,
        target: Target,
        options: AttachOptions,
        *,
        index: int,
        owner: int,
        pidfd: int | None,
        reasons: tuple[Reason, ...] = (),
        uring: UringWatch | None = None,
    ) -> None:
        self.index = index
        """Of the session, among the owners of the engine."""
        self._instance = instance
        self._target = target
        self._options = options
        self._owner = owner
        self._pidfd = pidfd
        """Of the target; ``None`` for an heir, which ends when it is told to."""
        self.uring = uring
        """Counts its requests of io_uring, where these are wanted."""
        self._process = os.getpid()
        self._reasons = reasons
        self._losses = Losses.of(instance.engine)
        self._events_lost = instance.events.lost
        self._part: SnapshotPart | None = None
        self.heir: EbpfSession | None = None
        """Counts what is not the user's for whom this one is, where that is wanted. To be let go of after this one."""
        self._final: Sample | None = None
        self._why: str | None = None
        self._ending: asyncio.Future[Ending] | None = None
        self._result: Ending | None = None
        self._started_ns = time.monotonic_ns()

    @property
    def target(self) -> Target:
        return self._target

    @property
    def callers(self) -> dict[int, tuple[int, int] | None]:
        """By process, as of the last reading, user and group who called the execve of its program.

        ``None`` where an execve gave it rights at some time; nothing in a session of one user.
        """
        return self._part.callers if self._part is not None else {}

    @property
    def left(self) -> frozenset[int]:
        """Processes that are not the user's any more; what the last reading has of them they did before."""
        return self._part.left if self._part is not None else frozenset()

    def members(self) -> dict[int, int]:
        """The processes that are counted at this moment, and their owners; none that has ceased to be the user's."""
        return {
            owner.pid: owner.index
            for owner in self._instance.reader.owners()
            if (owner.session, owner.kind, owner.state) == (self.index, wire.KIND_PROCESS, wire.STATE_LIVE)
            and not owner.flags & wire.OWNER_LEFT
        }

    @property
    def helper_pids(self) -> list[int]:
        """None: all happens in the kernel."""
        return []

    @property
    def alive(self) -> bool:
        """Whether it has not been detached."""
        return self._final is None

    @property
    def coverage(self) -> None:
        """None: the programs see every task, and new ones from their first call on."""
        return None

    async def read(self) -> Sample:
        """The counters so far. After :meth:`detach`, the last ones."""
        return self.read_now()

    def read_now(self) -> Sample:
        """:meth:`read`, for callers without a loop."""
        if self._final is not None:
            return self._final
        return self.sample_of(self._instance.reader.snapshot())

    def sample_of(
        self, snapshot: Snapshot, members: list[OwnerFacts] | None = None, losses: Losses | None = None
    ) -> Sample:
        """This session's part of a snapshot; ``members`` and ``losses`` where they are known already."""
        self._part = snapshot.part(self.index, self._part, members)
        return self.built(self._part, losses)

    def built(self, part: SnapshotPart, losses: Losses | None = None) -> Sample:
        """The sample of this session's part of a reading."""
        return samples.build(
            part,
            (losses or Losses.of(self._instance.engine)).since(self._losses),
            monotonic_ns=time.monotonic_ns(),
            epoch_s=time.time(),
            reasons=self._reasons,
            slow=None if self._instance.slow is None else self._instance.slow.state(self.index),
            files=None if self._instance.slow is None else self._instance.slow.files(self.index),
            io_uring=None if self.uring is None else self.uring.state(),
        )

    async def wait(self) -> Ending:
        """Wait until the target ended, the session was detached, or the target is slowed down too much."""
        if self._result is not None:
            return self._result
        ending = self._watch_end()
        if self._options.max_overhead_pct is None:
            return await asyncio.shield(ending)
        return await self._wait_within(self._options.max_overhead_pct, ending)

    def _watch_end(self) -> asyncio.Future[Ending]:
        """Notice the end of the target from now on."""
        loop = asyncio.get_running_loop()
        if self._ending is None or self._ending.get_loop() is not loop:
            self._ending = loop.create_future()
            if self._pidfd is not None:
                loop.add_reader(self._pidfd, self._target_ended)
        return self._ending

    async def _wait_within(self, limit_pct: float, ending: asyncio.Future[Ending]) -> Ending:
        before = self.read_now()
        while True:
            try:
                return await asyncio.wait_for(asyncio.shield(ending), _OVERHEAD_CHECK_S)
            except TimeoutError:
                now = self.read_now()
            pct = self._slowdown(_calls(now) - _calls(before), now.monotonic_ns - before.monotonic_ns, now).pct
            if pct is not None and pct > limit_pct:
                await self.detach("overhead")
                self._result = Ending(reason="overhead")
                return self._result
            before = now

    def _target_ended(self) -> None:
        if os.getpid() != self._process:  # in a forked copy of the loop: the engine is the parent's
            return
        self._end(self.exit_status_ending())
        self._instance.events.end(self.index)

    def exit_status_ending(self) -> Ending:
        """How the target ended, by its wait status, which the kernel noted down; any process's, not only a child's."""
        if self._final is not None:
            return _ending(0)
        target = self._target_owner()
        if target.flags & wire.OWNER_LEFT:
            return Ending(reason=CHANGED_USER)  # how it ended is not for this user to know
        return _ending(int(target.exit_code))

    def _target_owner(self) -> wire.RowOwner:
        """The owner of the target; where programs are told apart it is another one after an execve."""
        if self._options.by_program:
            for owner in self._instance.reader.owners():
                if owner.session == self.index and owner.flags & wire.OWNER_KEEP:
                    return self._instance.engine.owner(owner.index)
        return self._instance.engine.owner(self._owner)

    def _end(self, ending: Ending) -> None:
        self._result = self._result or ending
        told = self._ending
        if told is not None and not told.done() and not told.get_loop().is_closed():
            if self._pidfd is not None:
                told.get_loop().remove_reader(self._pidfd)
            told.set_result(self._result)

    def request_stop(self, why: str = "detach", grace_s: float | None = None) -> None:
        """Note why; there is nothing to begin, for :meth:`detach` lets go at once."""
        self._why = self._why or why

    async def detach(self, why: str = "detach", grace_s: float | None = None) -> Sample:
        """Let go of all tasks and return the last counters. Idempotent."""
        self.request_stop(why)
        if self._final is None:
            self._look_inside()
            reader = self._instance.reader
            members = [owner for owner in reader.owners() if self.index in (owner.index, owner.session)]
            final = self.sample_of(reader.snapshot(again=[owner.index for owner in members]))
            for _ in range(_LAST_READINGS if self._options.by_program else 0):
                members = [owner for owner in reader.owners() if self.index in (owner.index, owner.session)]
                if not any(owner.flags & wire.OWNER_PAST for owner in members):
                    break  # else something called execve just now, and what it does since is not in that reading
                final = self.sample_of(reader.snapshot())
            if self._result is None and self._pidfd is not None and _readable(self._pidfd):
                self._end(self.exit_status_ending())
            elif self._pidfd is None:
                for owner in members:  # the target, if it became this session's, and has ended
                    if owner.flags & wire.OWNER_KEEP and owner.state == wire.STATE_ENDED:
                        self._end(_ending(owner.exit_code))
            self._final = final
            self._instance.release(self)
            self._end(Ending(reason=reason_of(self._why or why)))
            if self._pidfd is not None:
                os.close(self._pidfd)
        return self._final

    def _look_inside(self) -> None:
        """Find the calls over the limit that are inside at the end."""
        if self._instance.slow is None or self._options.slower_ns is None:
            return
        with contextlib.suppress(OSError):  # no descriptor: those of the last look stand
            self._instance.slow.look()

    def overhead(self, sample: Sample, duration_ns: int) -> Overhead:
        """The measured cost of a traced call here, times the calls of the sample."""
        return self._slowdown(_calls(sample), duration_ns, sample)

    def _slowdown(self, calls: int, duration_ns: int, sample: Sample) -> Overhead:
        cost_ns = self._instance.call_cost_ns()
        if cost_ns is None:
            return Overhead(pct=None, basis="unknown")
        lanes = max(1, min(sample.threads or 1, os.cpu_count() or 1))
        return slowdown.estimate(calls, cost_ns, duration_ns, lanes)

    def events(self) -> EventStream:
        """Forks, execs and exits of the target and its descendants, from this call on, until the session is over."""
        if self._result is None:
            self._watch_end()
            return self._instance.events.listen(self.index)
        nothing = EventStream()
        nothing.end()
        return nothing

    def slow_calls(self) -> SlowCallStream:
        """Calls over the limit, from this call on, until the session is over; none of one without a limit."""
        if self._final is None and self._instance.slow is not None and self._options.slower_ns is not None:
            return self._instance.slow.listen(self.index)
        nothing = SlowCallStream()
        nothing.end()
        return nothing

    def tell_slow(self, hear: Callable[[SlowSyscall], None]) -> None:
        """Call somebody with each call over the limit from now on; with none where there is no limit."""
        if self._final is None and self._instance.slow is not None and self._options.slower_ns is not None:
            self._instance.slow.hear(self.index, hear)

    def limit_slow(self, slower_ns: int) -> None:
        """Another limit from now on, where there was one; 0: nothing is told."""
        if self._instance.slow is not None and self._options.slower_ns is not None:
            self._instance.slow.limit(self.index, slower_ns)

    @property
    def events_lost(self) -> int:
        """Events that did not reach a listener, of all sessions of the engine, since this one began."""
        return self._instance.events.lost - self._events_lost

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call back when the session is over."""
        self._instance.callbacks.setdefault(self.index, []).append(callback)


def _calls(sample: Sample) -> int:
    return sum(row.calls or 0 for row in merge_rows(sample.rows))


def _ending(code: int) -> Ending:
    status = os.waitstatus_to_exitcode(code)
    return Ending(reason=f"killed({-status})" if status < 0 else "exited", exit_status=status)


def _readable(fd: int) -> bool:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
