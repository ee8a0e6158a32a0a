"""Keeps a tracer on all processes that are to be watched: on those there are, and on those that come."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence

from msgspec import Struct

from straced.errors import AttachError, StracedError, TracerUnavailable
from straced.linux import procfs
from straced.linux.process_scan import ScannedProcess
from straced.linux.targets import TargetSpec, resolve
from straced.live.rates import EMPTY, CounterReading, Totals, reading
from straced.live.slow_calls import A_SECOND, LIMIT_NS, SlowCallList
from straced.model.frame import Key
from straced.model.slow import SlowCalls
from straced.model.types import Overhead, Quality, Reason, Sample
from straced.profiling.arguments import check_tracer
from straced.profiling.profiler import Profiler
from straced.profiling.session import Session
from straced.tracers.base import AttachOptions

_DEEPEST = 1000
"""Generations that are followed upwards; the tree may change while it is read."""
MANY_PROCESSES, MANY_ROWS = 500, 65_536
"""With more processes than that, the tracer is asked for all the room it can have: 50 different calls of each."""
FILE_LOOK_ROWS = 4096
"""Different calls of a process that is counted by file; it is one at a time."""
_WORST = ("exact", "partial", "sampled", "lossy")


class Refusal(Struct, frozen=True):
    """A process that cannot be counted, and why."""

    pid: int
    reason: str


class LiveCounter:
    """Sessions on the trees of some targets, or of every process but our own ancestors and ourselves.

    Args:
        tracer: as for :class:`straced.profiling.profiler.Profiler`; ``none`` counts nothing.
        targets: empty for all processes.
        slower_ns: calls of this duration or more are told.
    """

    def __init__(self, tracer: str = "auto", targets: Sequence[TargetSpec] = (), slower_ns: int = LIMIT_NS) -> None:
        rows = MANY_ROWS if sum(1 for _ in procfs.pids()) > MANY_PROCESSES else None
        self._profiler = Profiler(check_tracer(tracer), max_rows=rows) if tracer != "none" else None
        self._by_file = Profiler("ebpf", max_rows=FILE_LOOK_ROWS) if tracer != "none" else None
        self._targets = tuple(targets)
        self._sessions: dict[int, Session] = {}
        self._labels: dict[int, str] = {}
        self._waits: dict[int, asyncio.Task[object]] = {}
        self._hearers: set[asyncio.Task[None]] = set()
        self._next = 0
        self._tried: set[Key] = set()
        self._members: dict[Key, int] = {}
        self._ended: dict[int, Totals] = {}
        self._names: dict[int, str] = {}
        self._gone: dict[int, str] = {}
        self._samples: dict[int, Sample] = {}
        self._slow = SlowCallList(slower_ns)
        self._options = AttachOptions(by_program=True, slower_ns=slower_ns, slow_rate=A_SECOND, slow_kept=0)
        self.ns_per_call: int | None = None
        self.refusals: list[Refusal] = []
        self.unavailable = "turned off (--tracer none)" if tracer == "none" else ""
        """Why no tracer can serve; empty while one may."""

    @property
    def tracer(self) -> str | None:
        """Who counts, when somebody does."""
        return next((session.tracer for session in self._sessions.values()), None)

    @property
    def tracer_reason(self) -> str:
        """Why this tracer, or why none."""
        return next((session.tracer_reason for session in self._sessions.values()), self.unavailable)

    @property
    def hint(self) -> str:
        """What to do where no tracer can serve, in a line."""
        if not self.unavailable or self._profiler is None:
            return ""
        return "run with sudo" if os.geteuid() else "straced doctor says why, and what to do"

    def roots(self) -> list[int]:
        """The targets that are counted now."""
        return [session.target.pid for session in self._sessions.values()]

    def root_of(self, session: int) -> Key | None:
        """The process that a session was attached to."""
        found = self._sessions.get(session)
        return (found.target.pid, found.target.start_ticks) if found is not None else None

    def ended_name(self, session: int) -> str:
        """The name of the process whose session ended before the last reading."""
        return self._gone.get(session, "")

    def label_of(self, session: int) -> str | None:
        """The target as it was asked for, when that was by a name."""
        return self._labels.get(session)

    def members(self, facts: Sequence[ScannedProcess], last: CounterReading) -> dict[int, int]:
        """Who is in which session: by the calls it made, or as a descendant of one that is in it."""
        by_pid = {each.pid: each for each in facts}
        roots = {session.target.pid: number for number, session in self._sessions.items()}
        kept: dict[Key, int] = {}

        def session_of(each: ScannedProcess) -> int | None:
            number = last.sessions.get(each.pid, roots.get(each.pid, self._members.get(each.key)))
            return number if number in self._sessions else None

        for each in facts:
            if (number := session_of(each)) is not None:
                kept[each.key] = number
                continue
            path = [each]
            while (number := session_of(path[-1])) is None and path[-1].ppid in by_pid and len(path) < _DEEPEST:
                path.append(by_pid[path[-1].ppid])
            if number is not None:
                kept.update((below.key, number) for below in path)
        self._members = kept
        return {pid: number for (pid, _), number in kept.items()}

    async def cover(self, facts: Sequence[ScannedProcess], last: CounterReading) -> None:
        """Attach to what is new."""
        if self._profiler is None or self.unavailable:
            return
        for root, label in self._wanted(facts, set(self.members(facts, last))):
            self._tried.add(root.key)
            try:
                await self._attach(root, label)
            except AttachError as error:
                self.refusals.append(Refusal(root.pid, error.reason))
            except TracerUnavailable as error:
                self.unavailable = "; ".join(filter(None, (error.reason, error.hint)))
                return
            except StracedError as error:
                self.refusals.append(Refusal(root.pid, error.reason))

    async def read(self) -> CounterReading:
        """The counters of all sessions; those that ended since the reading before are in it a last time."""
        if self._profiler is None:
            return EMPTY
        samples = await self._profiler.read_all(sums=True)
        self._samples = {number: samples[each] for number, each in self._sessions.items() if each in samples}
        now = reading(self._samples, time.monotonic_ns())
        now.ended.update(self._ended)
        self._ended = {}
        self._gone, self._names = self._names, {}
        return now

    def quality(self) -> Quality:
        """The worst of all sessions, with everybody's losses and reasons."""
        if not self._samples:
            return Quality(kind="partial", lost=None, overhead=Overhead(pct=None, basis="none"))
        kinds = [sample.kind for sample in self._samples.values()]
        lost = [sample.lost for sample in self._samples.values()]
        reasons: dict[str, Reason] = {each.code: each for sample in self._samples.values() for each in sample.reasons}
        return Quality(
            kind=max(kinds, key=_WORST.index),
            lost=None if None in lost else max((value for value in lost if value is not None), default=0),
            reasons=tuple(reasons.values()),
        )

    def slow(self) -> SlowCalls | None:
        """Calls over the limit, as of the last reading; ``None`` where the tracer tells none."""
        return self._slow.state(sample.slow for sample in self._samples.values())

    @property
    def files_counted(self) -> int:
        """How many processes are counted by file and peer now."""
        return len(self._by_file.sessions) if self._by_file is not None else 0

    async def count_files(self, pid: int) -> Session:
        """Count a process by file and peer, beside what is counted of it anyway; whoever asked lets go of it.

        Raises:
            StracedError: why that cannot be.
        """
        if self._by_file is None:
            raise TracerUnavailable("calls are not counted (--tracer none)", hint="leave out --tracer none", pid=pid)
        return await self._by_file.attach(pid, follow=False, files=True)

    async def close(self) -> None:
        """Let go of everybody. Idempotent."""
        tasks = [*self._waits.values(), *self._hearers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._waits.clear()
        self._sessions.clear()
        for profiler in (self._by_file, self._profiler):
            if profiler is not None:
                await profiler.close()

    def _wanted(self, facts: Sequence[ScannedProcess], counted: set[int]) -> list[tuple[ScannedProcess, str | None]]:
        by_pid = {each.pid: each for each in facts}
        if not self._targets:
            return [(each, None) for each in _free_roots(by_pid, counted) if each.key not in self._tried]
        found = []
        for spec in self._targets:
            with contextlib.suppress(StracedError):  # nobody of that name now: perhaps later
                for pid in resolve(spec):
                    each = by_pid.get(pid)
                    if each is not None and pid not in counted and each.key not in self._tried:
                        found.append((each, None if spec.kind == "pid" else str(spec)))
        return found

    async def _attach(self, root: ScannedProcess, label: str | None) -> None:
        assert self._profiler is not None
        session = await self._profiler.attach_for(None, root.pid, self._options, {"job": label} if label else None)
        number, self._next = self._next, self._next + 1
        self._sessions[number] = session
        if label is not None:
            self._labels[number] = label
        self._waits[number] = asyncio.create_task(self._until_end(number, session))
        self._hearers.add(hearer := asyncio.create_task(self._hear(session)))
        hearer.add_done_callback(self._hearers.discard)
        if self.ns_per_call is None:
            with contextlib.suppress(StracedError, RuntimeError):
                self.ns_per_call = (await session.summary()).quality.overhead.ns_per_call

    async def _hear(self, session: Session) -> None:
        """Take in the slow calls of a session until it is over."""
        since_ns = time.monotonic_ns()
        with contextlib.suppress(StracedError):  # this tracer tells none
            async for call in session.slow_calls():
                self._slow.add(call, since_ns)

    async def _until_end(self, number: int, session: Session) -> None:
        await session.wait()
        result = await session.result()
        self._ended[number] = result.total.calls, result.total.errors
        self._names[number] = session.target.comm
        self._slow.end(result.slow)
        self._sessions.pop(number, None)
        self._waits.pop(number, None)


def _free_roots(by_pid: dict[int, ScannedProcess], covered: set[int]) -> list[ScannedProcess]:
    """The topmost processes that are neither counted, nor we, nor our ancestors (whose trees we are in)."""
    own = {os.getpid(), *procfs.ancestors(os.getpid())}
    free = {pid for pid, each in by_pid.items() if pid not in covered and pid not in own and each.state not in "ZX"}
    return [by_pid[pid] for pid in sorted(free) if by_pid[pid].ppid not in free and not _below_us(pid, by_pid)]


def _below_us(pid: int, by_pid: dict[int, ScannedProcess]) -> bool:
    """Our own helpers, the guard of a full trace for instance."""
    me = os.getpid()
    while (each := by_pid.get(pid)) is not None and each.ppid != pid:
        if each.ppid == me:
            return True
        pid = each.ppid
    return False
