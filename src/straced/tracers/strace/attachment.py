"""Putting every task of a target under strace, and knowing that it is so.

strace reads /proc/PID/task once, so a thread born in that moment may be missed, and with it all threads that it
starts; children that exist already are not looked for at all. Here the kernel's word counts: ``TracerPid`` of
each task. What is left over gets a further strace, until nothing new turns up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from straced.linux import procfs
from straced.tracers.base import Coverage
from straced.tracers.strace.guard_client import StraceHelper
from straced.tracers.strace.tasks import OtherTracers, ProcTask, Scan, has_settled, look, processes_of, scan

PATIENCE_S = 2.0
START_PATIENCE_S = 6.0
"""Until the first task is confirmed: a strace that was started on a busy machine may not have run yet."""
ROUNDS = 20
STALL_S = 0.02
"""A task still untraced after this long without any progress was missed, and gets a strace of its own."""
STUCK_S = 0.5
"""The same while a strace is at its attaching still, as it is on a busy machine."""
_POLL_S = 0.0005
"""Once a strace has begun to attach, the rest follows soon. An event loop makes a whole millisecond of it."""
_SLOW_POLL_S = 0.005
_QUICK_S = 0.03


class Attachment:
    """Drives the straces of one target until the kernel confirms every task, or patience is over."""

    def __init__(
        self,
        pid: int,
        spawn: Callable[[list[int]], StraceHelper],
        *,
        follow: bool,
        excluded: frozenset[int],
        only: list[int] | None = None,
        instead: tuple[int, ...] = (),
    ) -> None:
        self.pid = pid
        self.follow = follow
        self.excluded = excluded
        self.only = only
        """The tasks to attach to and no others, when there are too many for all."""
        self._instead = instead
        """What to name to strace in place of a leader that has exited."""
        self._spawn = spawn
        self.helpers: list[StraceHelper] = []
        self._confirmed: set[int] = set()
        self._others = OtherTracers()
        self._given: set[int] = set()
        self._news: list[asyncio.Future[bool]] = []
        """For each helper, the guard's word that it has its first target."""

    async def run(self) -> Coverage:
        """Attach; return what the kernel confirmed. All helpers may be gone by then: the target ended, or refused."""
        try:
            return await self._run()
        finally:
            for news in self._news:
                news.cancel()  # nobody waits for it any more, and its loop may be closed when it comes

    async def _run(self) -> Coverage:
        targets = self.only or processes_of(self.pid, self.follow, self.excluded)
        if self._instead and self.only is None:
            targets = [*self._instead[:1], *targets[1:]]
        await self._start(targets)
        rounds = clean = unsettled = 0
        worked: dict[int, int] = {}
        progressed = began = time.monotonic()
        deadline = began + PATIENCE_S
        while time.monotonic() < deadline:
            missing, progress, vanished = self._look_around()
            now = time.monotonic()
            if progress:
                progressed, worked = now, {}
            if not self._confirmed and not (missing and all(task.state == "D" for task in missing)):
                deadline = min(now + PATIENCE_S, began + START_PATIENCE_S)
            if not any(helper.alive for helper in self.helpers):
                return Coverage(traced=len(self._confirmed), seen=len(self._confirmed), complete=not missing)
            if not missing and not self._confirmed and not self._others.pids:
                # The target ended before it was looked at: only its strace knows whether it had it.
                self._find_orphans()
                await asyncio.sleep(_SLOW_POLL_S)
                continue
            if not missing and vanished:
                # A lineage that hops from thread to thread between the listing and the look cannot be seen.
                clean, unsettled = 0, unsettled + 1
                if unsettled == ROUNDS:
                    return await self._once_interrupted(self._coverage([], churn=True))
                continue
            if not missing:
                clean += 1
                if clean == 2:  # looked at twice, and the second time nothing was new
                    return await self._once_interrupted(self._coverage([]))
                continue
            clean = 0
            stalled = now - progressed
            if rounds < ROUNDS and stalled > STALL_S and (stalled > STUCK_S or self._all_settled(worked)):
                rounds += 1
                again = [task.tid for task in missing if task.tid not in self._given and not task.tracer]
                if again:
                    await self._start(again)
                    progressed = time.monotonic()
            await self._pause(now - began)
        missing, _, vanished = self._look_around()
        return await self._once_interrupted(self._coverage(missing, churn=bool(vanished)))

    async def _once_interrupted(self, coverage: Coverage) -> Coverage:
        """Wait until no task runs on unseen.

        strace seizes a task and then interrupts it, and sees its calls from there on (ptrace(2)). One that had to wait
        for a CPU in between misses some, though it is the tracer already. It does not sleep in between, and waits for
        events when it has both done to all tasks that it was seen to hold.
        """
        if self._guard_saw_it_wait():
            return coverage
        busy = [helper.pid for helper in self.helpers if helper.pid is not None]
        worked: dict[int, int] = {}
        deadline = time.monotonic() + START_PATIENCE_S
        while busy := [pid for pid in busy if not has_settled(pid, worked)]:
            if time.monotonic() > deadline:
                return Coverage(seen=coverage.seen)
            await asyncio.sleep(_POLL_S)
        return coverage

    def _all_settled(self, worked: dict[int, int]) -> bool:
        """Whether none is about to attach to more: the first has begun, and all wait for events, or worked on since."""
        straces = [helper.pid for helper in self.helpers if helper.pid is not None and helper.alive]
        return self._news[0].done() and not [pid for pid in straces if not has_settled(pid, worked)]

    def _guard_saw_it_wait(self) -> bool:
        """Whether that has been seen already. It says nothing of other tasks than the one the guard looked at."""
        first = self.helpers[0]
        alone = len(first.targets) == 1 and first.targets == self._confirmed
        return alone and first.attached.done() and first.attached.result()

    async def _start(self, tids: list[int]) -> None:
        helper = self._spawn(tids)
        self.helpers.append(helper)
        self._given.update(tids)
        await asyncio.wrap_future(helper.spawned)
        self._news.append(asyncio.wrap_future(helper.attached))

    async def _pause(self, since_s: float) -> None:
        """Until another look may find something new."""
        if not self._news[-1].done():
            await asyncio.wait(self._news[-1:], timeout=_SLOW_POLL_S)
        else:
            await asyncio.sleep(_POLL_S if since_s < _QUICK_S else _SLOW_POLL_S)

    def _look_around(self) -> tuple[list[ProcTask], bool, int]:
        """Living tasks that nobody of ours traces yet; whether any was confirmed since; how many were gone already."""
        ours = {helper.pid for helper in self.helpers}
        before = len(self._confirmed)
        missing = []
        current = self._current()
        vanished = current.vanished
        named = []
        for task in current.tasks:
            if task.tracer in ours:
                self._confirmed.add(task.tid)
            elif task.is_dead:
                # a thread that died untraced may have left an heir; a leader stays
                vanished += task.tid != task.pid and not task.tracer
            elif task.tracer:
                named.append(task)
            else:
                missing.append(task)
        missing += self._others.doubted(named)
        return missing, len(self._confirmed) > before, vanished

    def _find_orphans(self) -> None:
        """Confirm what the straces hold though it is no longer below the target: children that outlived it."""
        ours = {helper.pid for helper in self.helpers}
        for pid in procfs.pids():
            task = look(pid, pid)
            if task is not None and task.tracer in ours:
                self._confirmed.add(task.tid)

    def _current(self) -> Scan:
        if self.only is not None:
            looked = (look(self.pid, tid) for tid in self.only if tid not in self._confirmed)
            return Scan([task for task in looked if task is not None])
        return scan(processes_of(self.pid, self.follow, self.excluded), self._confirmed)

    def _coverage(self, missing: list[ProcTask], *, churn: bool = False) -> Coverage:
        return Coverage(
            traced=len(self._confirmed),
            seen=None if churn else len(self._confirmed) + len(missing) + self._others.held,
            complete=not missing and not self._others.pids and not churn,
            churn=churn,
            foreign=tuple(sorted(self._others.pids)),
        )
