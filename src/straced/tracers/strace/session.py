"""One target under ``strace -c``: its helpers, its end, its figures."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence

from straced.concurrency.shielding import within
from straced.errors import NotLive
from straced.linux import exit_status, pidfds, procfs
from straced.model.types import Counters, Overhead, Reason, Sample, Target
from straced.text.units import count_of
from straced.tracers import overhead as slowdown
from straced.tracers.base import Coverage, Ending, reason_of
from straced.tracers.strace import counters
from straced.tracers.strace.guard_client import GuardClient, HelperExit, StraceHelper, all_ended
from straced.tracers.strace.summary_table import parse_tables

GRACE_S = 2.0
"""SIGINT to SIGKILL. The contract allows 5 s; a strace that has not reacted after two interrupts never does."""
BUSY_GRACE_S = 4.5
"""With hundreds of busy threads, letting go of each takes strace its time, and a kill would lose the counts."""
BUSY_TASKS = 200
REAP_S = 3.0
CALIBRATION_S = 0.5
"""It takes a tenth of that, once an owner."""
_STOPPED_BY_US = frozenset({"detach", "overhead", "tasks", "duration", "taken_over", "cancelled"})


class StraceSession:
    """A confirmed attachment; see :class:`straced.tracers.base.TracerSession`."""

    def __init__(
        self,
        guard: GuardClient,
        target: Target,
        pidfd: int,
        helpers: Sequence[StraceHelper],
        outputs: Sequence[int],
        coverage: Coverage,
        reasons: Sequence[Reason],
        time_kind: str,
        forget: Callable[[StraceSession], None],
    ) -> None:
        self._guard = guard
        self._target = target
        self._pidfd = pidfd
        self._helpers = list(helpers)
        self._outputs = list(outputs)
        self._reasons = list(reasons)
        self._time = time_kind
        self._forget = forget
        self._coverage = coverage
        self.started_ns = time.monotonic_ns()
        self.ended_ns: int | None = None
        self._why: str | None = None
        self._final: Sample | None = None
        self._ending: Ending | None = None
        self.lost_to_kill = False
        """The ladder had to kill a helper, and with it went what it had counted."""

    @property
    def target(self) -> Target:
        return self._target

    @property
    def helper_pids(self) -> list[int]:
        return [helper.pid for helper in self._helpers if helper.alive and helper.pid is not None]

    @property
    def alive(self) -> bool:
        """Whether any helper still runs."""
        return any(helper.alive for helper in self._helpers)

    @property
    def coverage(self) -> Coverage:
        return self._coverage

    async def read(self) -> Sample:
        raise NotLive(
            "strace gives its counts when it lets go, not before",
            hint='detach for the figures, or use tracer="ebpf", which is live',
            pid=self._target.pid,
        )

    def request_stop(self, why: str = "detach", grace_s: float | None = None) -> None:
        """Begin to let go, without waiting: the guard sees it through whatever becomes of us."""
        if self._why is None:
            self._why = why
        if grace_s is None:
            grace_s = BUSY_GRACE_S if self.coverage.traced > BUSY_TASKS else GRACE_S
        for helper in self._helpers:
            self._guard.stop(helper, why, grace_s)

    async def wait(self) -> Ending:
        """Until no helper is left: the target ended, strace died, or somebody asked it to stop."""
        await all_ended(self._helpers)
        await self._cost_known()
        self._settle()
        assert self._ending is not None
        return self._ending

    async def _cost_known(self) -> None:
        """Give the first calibration of this owner the time it takes, so that every summary tells its overhead."""
        cost = self._guard.cost_ns
        if self._final is None and not cost.done():
            await within(CALIBRATION_S, asyncio.wrap_future(cost))

    async def detach(self, why: str = "detach", grace_s: float | None = None) -> Sample:
        """Let go and return the counts. What a killed strace had counted is lost, and the sample says so."""
        if self._final is None:
            self.request_stop(why, grace_s)
            limit = (grace_s or BUSY_GRACE_S) + REAP_S
            await within(limit, self.wait())
            self._settle()
        assert self._final is not None
        return self._final

    def overhead(self, sample: Sample, duration_ns: int) -> Overhead:
        """Calls times the measured cost of a traced call; see :func:`estimate`."""
        return estimate(self._guard, sample, duration_ns)

    def close(self) -> None:
        """Release descriptors; the helpers are the guard's to end."""
        self._settle(force=True)

    # --- the end ---

    def _settle(self, force: bool = False) -> None:
        """Read what was counted, once, when every helper has ended (or will not)."""
        if self._final is not None:
            return
        exits = [helper.exited.result() for helper in self._helpers if helper.exited.done()]
        self.ended_ns = time.monotonic_ns()
        self._final = self._sample(exits, complete=len(exits) == len(self._helpers))
        self._ending = self._find_ending(exits)
        for fd in [*self._outputs, self._pidfd]:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._outputs, self._pidfd = [], -1
        self._forget(self)

    def _sample(self, exits: list[HelperExit], *, complete: bool) -> Sample:
        rows: list[Counters] = []
        unread = 0
        for fd in self._outputs:
            tables = parse_tables(_content(fd))
            unread += sum(table.unread for table in tables)
            rows += counters.counters(tables, self._time)
        reasons = [*self._reasons, *counters.LIMITS]
        killed = [end for end in exits if end["why"] in ("killed", "guard_gone") or end["code"] in (-9, -11, -6)]
        self.lost_to_kill = bool(killed) or not complete
        if self.lost_to_kill:
            reasons.append(Reason("tracer_killed", "strace ended before it could tell what it had counted"))
        if self._time == "cpu" and any(row.calls for row in rows) and not any(row.working_ns for row in rows):
            reasons.append(counters.BELOW_CLOCK)
        if unread:
            reasons.append(Reason("unread", f"{count_of(unread, 'line')} of strace's table could not be read"))
        return Sample(
            monotonic_ns=self.ended_ns or time.monotonic_ns(),
            epoch_s=time.time(),
            rows=tuple(rows),
            lost=None if self.lost_to_kill else 0,
            time=self._time,
            reasons=tuple(reasons),
            kind="lossy" if self.lost_to_kill else "partial",
        )

    def _find_ending(self, exits: list[HelperExit]) -> Ending:
        status = exit_status.of(self._pidfd) if self._pidfd >= 0 else None
        whys = {end["why"] for end in exits}
        if self._why is not None and (whys & _STOPPED_BY_US or "killed" in whys):
            return Ending(reason=reason_of(self._why), exit_status=status)
        crash = next((end["code"] for end in exits if end["code"] < 0 and end["why"] in ("self", "guard_gone")), None)
        if crash is not None:
            return Ending(reason=f"tracer_crashed({-crash})", exit_status=status)
        if status is not None and status < 0:
            return Ending(reason=f"killed({-status})", exit_status=status)
        still_there = self._target_alive()
        return Ending(reason="lost" if still_there else "exited", exit_status=status)

    def _target_alive(self) -> bool:
        try:
            stat = procfs.stat(self._target.pid)
        except procfs.Gone:
            return False
        except OSError:  # no descriptor to look with
            return not pidfds.has_ended(self._pidfd)
        return stat.start_ticks == self._target.start_ticks and stat.state not in "ZX"


def _content(fd: int) -> bytes:
    parts, offset = [], 0
    while chunk := os.pread(fd, 1 << 16, offset):
        parts.append(chunk)
        offset += len(chunk)
    return b"".join(parts)


def estimate(guard: GuardClient, sample: Sample, duration_ns: int) -> Overhead:
    """Calls times the measured cost of a traced call, against the time the target would have taken without."""
    calls = sum(row.calls or 0 for row in sample.rows)
    if calls == 0 and sample.lost is not None:
        return Overhead(pct=0.0, basis="none")
    cost = guard.cost_ns
    if not cost.done() or duration_ns <= 0 or sample.lost is None:
        return Overhead(pct=None, basis="unknown")
    return slowdown.estimate(calls, cost.result(), duration_ns)
