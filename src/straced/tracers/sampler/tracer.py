"""The sampler: looks into /proc at random moments and estimates where threads spend their time. No counts.

The moments are random, since a fixed period would alias with whatever the target does periodically.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator

from msgspec import Struct

from straced.errors import NoSuchProcess
from straced.linux import procfs
from straced.model.types import Counters, Overhead, Reason, Sample, Target
from straced.syscalls import native_abi
from straced.tracers.base import AttachOptions, Availability, Ending, reason_of
from straced.tracers.sampler.thread_state import METHODS, ON_CPU, ThreadState, abi_of, look

MEAN_INTERVAL_S = 0.01
MAX_SHARE_OF_CPU = 0.05
_DEGRADED = {
    "wchan": "system calls cannot be read (it takes the right to ptrace): the place in the kernel stands instead",
    "state": "neither system calls nor places in the kernel can be read: only states are known",
}


class ThreadEstimate(Struct):
    """Estimated time of one thread in one call, and the estimate's variance."""

    wall_ns: int = 0
    variance: float = 0.0


class SamplerSession:
    """One target under the sampler."""

    def __init__(self, target: Target, options: AttachOptions, pidfd: int) -> None:
        self._target = target
        self._options = options
        self._pidfd = pidfd
        self._tallies: dict[tuple[int, int, ThreadState], ThreadEstimate] = {}
        self._last_ns: dict[int, int] = {}
        self._now: dict[int, tuple[int, ThreadState]] = {}
        self._processes = {target.pid}
        self._abis: dict[int, str] = {}
        self._looks = 0
        self._worst = 0
        self._final: Sample | None = None
        self._why: str | None = None
        self._begin()

    def _begin(self) -> None:
        """Look, and notice the end, in the running loop."""
        loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[Ending] = loop.create_future()
        loop.add_reader(self._pidfd, self._end, Ending(reason="exited"))
        self._task: asyncio.Task[None] | None = loop.create_task(self._run())

    @property
    def target(self) -> Target:
        return self._target

    @property
    def helper_pids(self) -> list[int]:
        return []

    @property
    def alive(self) -> bool:
        """Whether it still looks."""
        return self._final is None

    @property
    def coverage(self) -> None:
        """None: a look takes in all threads that there are."""
        return None

    async def _run(self) -> None:
        """Look, then sleep for a random time; longer where looking takes long."""
        while not self._ending.done():
            begin = time.monotonic()
            if self._looks % 10 == 0 and self._options.follow:
                self._processes.update(procfs.descendants(self._target.pid))
            self.look_once()
            cost_s = time.monotonic() - begin
            mean_s = max(MEAN_INTERVAL_S, cost_s / MAX_SHARE_OF_CPU)
            await asyncio.sleep(mean_s * random.uniform(0.5, 1.5))

    def look_once(self) -> None:
        """One look at every thread; the time since the last look goes to what is seen now."""
        self._looks += 1
        now: dict[int, tuple[int, ThreadState]] = {}
        for pid, tid in self._tasks():
            try:
                seen = look(pid, tid, self._abi(pid))
            except procfs.Gone:
                continue
            at_ns = time.monotonic_ns()
            now[tid] = pid, seen
            self._worst = max(self._worst, METHODS.index(seen.method) if seen.name != ON_CPU else 0)
            passed_ns = at_ns - self._last_ns.get(tid, at_ns)
            self._last_ns[tid] = at_ns
            tally = self._tallies.setdefault((pid, tid, seen), ThreadEstimate())
            tally.wall_ns += passed_ns
            tally.variance += self._doubt(pid, tid, seen) * passed_ns * passed_ns
        self._now = now
        self._last_ns = {tid: at_ns for tid, at_ns in self._last_ns.items() if tid in now}

    def _doubt(self, pid: int, tid: int, seen: ThreadState) -> float:
        """p(1-p) of this call among all looks at the thread so far."""
        whole = sum(tally.wall_ns for (_, other, _), tally in self._tallies.items() if other == tid) or 1
        share = self._tallies[pid, tid, seen].wall_ns / whole
        return max(share * (1 - share), 1 / (self._looks + 2) ** 2)

    def _tasks(self) -> Iterator[tuple[int, int]]:
        for pid in list(self._processes):
            try:
                yield from ((pid, tid) for tid in procfs.tasks(pid))
            except procfs.Gone:
                self._processes.discard(pid)

    def _abi(self, pid: int) -> str:
        if pid not in self._abis:
            self._abis[pid] = abi_of(pid)
        return self._abis[pid]

    def _end(self, ending: Ending) -> None:
        if not self._ending.done() and not (loop := self._ending.get_loop()).is_closed():
            loop.remove_reader(self._pidfd)
            self._ending.set_result(ending)

    async def read(self) -> Sample:
        """Time by call so far; all counts are ``None``."""
        if self._final is not None:
            return self._final
        reasons = [Reason("sampled", f"{self._looks} looks at random moments; times are estimates, counts are unknown")]
        if self._worst:
            method = METHODS[self._worst]
            reasons.append(Reason(method, _DEGRADED[method]))
        return Sample(
            monotonic_ns=time.monotonic_ns(),
            epoch_s=time.time(),
            rows=tuple(self._rows()),
            processes=len(self._abis),
            threads=len({tid for _, tid, _ in self._tallies}),
            lost=None,
            reasons=tuple(reasons),
            kind="sampled",
        )

    def _rows(self) -> Iterator[Counters]:
        for (pid, tid, seen), tally in self._tallies.items():
            yield Counters(
                name=seen.name,
                nr=seen.nr,
                abi=seen.abi,
                pid=pid,
                tid=tid,
                wall_ns=tally.wall_ns,
                wall_error_ns=round(tally.variance**0.5),
                waiting_ns=0 if seen.name == ON_CPU else tally.wall_ns,
                in_flight=int(self._now.get(tid) == (pid, seen)) if seen.nr is not None else 0,
            )

    async def wait(self) -> Ending:
        """Wait until the target ended or the session was detached. The exit status is not known."""
        if self._ending.get_loop().is_closed() and self._final is None:
            self._begin()
        return await asyncio.shield(self._ending)

    def request_stop(self, why: str = "detach", grace_s: float | None = None) -> None:
        """Note why; there is nothing to begin, for :meth:`detach` takes no time."""
        self._why = self._why or why

    async def detach(self, why: str = "detach", grace_s: float | None = None) -> Sample:
        """Look no more, and return what was found. Idempotent."""
        self.request_stop(why)
        if self._final is None:
            final = await self.read()
            self._final = self._final or final
            if self._task is not None:
                self._task.cancel()
                self._task = None  # it holds us, and the error by which it ended
            self._end(Ending(reason=reason_of(self._why or why)))
            os.close(self._pidfd)
        return self._final

    def overhead(self, sample: Sample, duration_ns: int) -> Overhead:
        """None: a look stops nobody."""
        return Overhead(pct=0.0, basis="none")


class SamplerTracer:
    """Serves where nothing else can; needs nothing but /proc."""

    def __init__(self) -> None:
        self._sessions: list[SamplerSession] = []

    @property
    def name(self) -> str:
        return "sampler"

    @property
    def uses_ptrace(self) -> bool:
        return False

    @property
    def tells_events(self) -> bool:
        return False

    @property
    def helper_pids(self) -> list[int]:
        """None: it looks by itself."""
        return []

    @property
    def process_pids(self) -> list[int]:
        """None: it looks by itself."""
        return []

    def probe(self, target: Target | None = None) -> Availability:
        """Always usable; ``detail`` says what can be seen of the target."""
        if target is None:
            return Availability(usable=True, detail="estimates only")
        try:
            seen = look(target.pid, target.pid, native_abi())
        except procfs.Gone:
            error = NoSuchProcess(f"process {target.pid} no longer exists", pid=target.pid)
            return Availability(usable=False, detail=error.reason, error=error)
        return Availability(usable=True, detail=f"estimates only, by {seen.method}")

    def trial(self) -> Availability:
        """As :meth:`probe`: nothing is refused at an attempt only."""
        return self.probe()

    async def attach(self, target: Target, options: AttachOptions) -> SamplerSession:
        """Begin to look at a process.

        Raises:
            NoSuchProcess: it ended.
        """
        try:
            pidfd = os.pidfd_open(target.pid)
        except ProcessLookupError:
            raise NoSuchProcess(f"process {target.pid} no longer exists", pid=target.pid) from None
        try:
            if procfs.stat(target.pid).start_ticks != target.start_ticks:
                raise procfs.Gone
        except procfs.Gone:
            os.close(pidfd)
            raise NoSuchProcess(f"process {target.pid} no longer exists", pid=target.pid) from None
        except OSError:
            os.close(pidfd)
            raise
        session = SamplerSession(target, options, pidfd)
        self._sessions = [*(each for each in self._sessions if each.alive), session]
        return session

    async def close(self) -> None:
        """End all sessions. Idempotent."""
        while self._sessions:
            await self._sessions.pop().detach()
