"""A full trace: ``strace -f -t -p PID``, one line a call, into a file or a relay that never makes the target wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable

from msgspec import Struct

from straced.concurrency.shielding import carry, within
from straced.errors import OutputError
from straced.linux import exit_status
from straced.model.types import Overhead, Reason, Sample, Target
from straced.tracers.base import Coverage, Ending, reason_of
from straced.tracers.recording import Recording
from straced.tracers.strace import line_order
from straced.tracers.strace.guard_client import LIMITS, GuardClient, HelperExit, StraceHelper, all_ended
from straced.tracers.strace.session import GRACE_S, REAP_S, estimate

SPILL_BYTES = 256 * 1000 * 1000
"""Reasons for which the guard ends a full trace by itself."""
OUTPUT_ERRORS = {
    "disk_full": "the disk is full, or nearly; the trace is cut, the target runs on",
    "file_limit": "the trace has reached the file size limit of this process (ulimit -f); the target runs on",
}
"""Endings that the output is to blame for."""


class RecordOptions(Struct, frozen=True, kw_only=True):
    """What a full trace holds, and when it ends by itself."""

    follow: bool = True
    timestamps: str = "us"
    """``s``: ``-t``, as strace -t has it; ``us``: ``-ttt -T``, with the duration of each call."""
    decode_fds: bool = True
    """``-yy``: the file or socket behind each descriptor (not with ``s``)."""
    string_bytes: int = 128
    trace: str | None = None
    """A set checked by :func:`straced.tracers.strace.filters.trace_set`."""
    paths: tuple[str, ...] = ()
    status: str | None = None
    max_bytes: int | None = None
    max_seconds: float | None = None
    min_free_bytes: int | None = None
    """Room that a file leaves to others on its file system; by default 64 MB, on a small one a twentieth of it."""
    max_tasks: int = 1000
    force: bool = False
    run_as: tuple[int, int] | None = None
    """Run strace under this user and group, so that the kernel decides whom it may trace; needs root and setpriv(1)."""
    spill_bytes: int | None = None
    """Without a file: how much may wait for a slow reader before lines are dropped, and counted."""
    end_when_full: bool = False
    """Without a file: end the trace, with the reason ``reader_slow``, when the first line had to be dropped."""


class StraceRecording(Recording):
    """A full trace by one or more straces."""

    def __init__(
        self,
        guard: GuardClient,
        target: Target,
        pidfd: int,
        helpers: list[StraceHelper],
        coverage: Coverage,
        options: RecordOptions,
        readers: list[int],
        forget: Callable[[StraceRecording], None],
    ) -> None:
        super().__init__(target)
        self.tracer, self.tracer_reason = "strace", "asked for"
        self.guard = guard
        """Starts and ends the straces."""
        self._forget = forget
        self.readers = readers
        """With a relay: the reading ends, one a strace, to be read and closed by the caller."""
        self.coverage = coverage
        """Which of its tasks are traced."""
        self.options = options
        """What the trace holds, and when it ends by itself."""
        self._pidfd = pidfd
        self._helpers = helpers
        self._why: str | None = None
        self._enter()

    def _enter(self) -> None:
        """Before anything else: bind to this process and loop, and notice the end by ourselves in this loop."""
        if self._owner.enter() and self._ending is None:
            self._attendant = asyncio.create_task(self._attend())

    @property
    def helper_pids(self) -> list[int]:
        """The pids of its live straces."""
        if not self._owner.here:
            return []
        return [helper.pid for helper in self._helpers if helper.alive and helper.pid is not None]

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._owner.here and any(helper.alive for helper in self._helpers)

    def request_stop(self, why: str = "detach", grace_s: float | None = None) -> None:
        """Begin to let go without waiting; :meth:`stop` is to follow.

        Args:
            why: the reason of the ending. That of the first call stands.
            grace_s: seconds that strace may take before it is killed; 2 when left out.
        """
        if not self._owner.here:
            return
        if self._why is None:
            self._why = why
        for helper in self._helpers:
            self.guard.stop(helper, why, GRACE_S if grace_s is None else grace_s)

    async def _attend(self) -> None:
        exits = await all_ended(self._helpers)
        if self._owner.here:
            await carry(self._finish(exits))

    async def _finish(self, exits: list[HelperExit]) -> None:
        self.ended_ns = time.monotonic_ns()
        ending = self._find_ending(exits)
        self.dropped_lines = sum(end.get("dropped_lines", 0) for end in exits)
        with contextlib.suppress(OSError):
            os.close(self._pidfd)
        self._forget(self)
        if len(self._helpers) > 1 and self.path is not None:
            try:
                await asyncio.to_thread(line_order.sort_by_time, self.path)
            except (OSError, OutputError) as error:
                why = error.reason if isinstance(error, OutputError) else error.strerror or str(error)
                self.reasons.append(Reason("unsorted", f"the lines are not in the order of time: {why}"))
        self._end_with(ending)

    def overhead(self, sample: Sample, duration_ns: int) -> Overhead:
        """Estimate how much the target was slowed down: calls times the measured cost of one.

        Args:
            sample: what was counted.
            duration_ns: nanoseconds in which it was.

        Returns:
            The slowdown.
        """
        return estimate(self.guard, sample, duration_ns)

    async def stop(self) -> Ending:
        """Let go of the target, which runs on in the state that it was in; the file stays. Idempotent.

        Once begun it is done, whether or not the caller is cancelled.

        Returns:
            Why the trace is over.

        Raises:
            TimeoutError: strace did not end, though it was killed.
            NoResources: there is no descriptor left to do it with; the target runs on, untraced.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this recording.
        """
        return await self.end()

    async def end(self, why: str = "detach", grace_s: float | None = None) -> Ending:
        """Let go of the target for a reason, within a time; see :meth:`stop`.

        Args:
            why: the reason of the ending. That of the first call stands.
            grace_s: seconds that strace may take before it is killed; 2 when left out.

        Returns:
            Why the trace is over.

        Raises:
            TimeoutError: strace did not end, though it was killed.
            NoResources: there is no descriptor left to do it with; the target runs on, untraced.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this recording.
        """
        self._enter()
        self.request_stop(why, grace_s)
        return await carry(self._stopped((grace_s or GRACE_S) + REAP_S))

    async def _stopped(self, limit_s: float) -> Ending:
        if not await within(limit_s, self.wait()):
            raise TimeoutError("strace does not end")
        return await self.wait()

    async def abandon(self) -> None:
        """Stop a trace that nobody is going to read.

        Raises:
            TimeoutError: strace did not end, though it was killed.
            NoResources: there is no descriptor left to do it with; the target runs on, untraced.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this recording.
        """
        readers, self.readers = self.readers, []
        for fd in readers:
            os.close(fd)
        await self.end("cancelled")

    @property
    def cut(self) -> str | None:
        """Why the trace ended early because of its output: a key of ``OUTPUT_ERRORS``; ``None`` otherwise."""
        for end in self._ends():
            if end["why"] == "disk_full":
                return "disk_full"
            if end["code"] == -signal.SIGXFSZ:
                return "file_limit"
        return None

    @property
    def crash(self) -> int | None:
        """The signal of which a strace of this trace died, sent by somebody else; ``None`` otherwise."""
        codes = [end["code"] for end in self._ends() if end["why"] in ("self", "guard_gone")]
        return next((-code for code in codes if code < 0 and code != -signal.SIGXFSZ), None)

    def _ends(self) -> list[HelperExit]:
        return [helper.how_ended for helper in self._helpers if helper.how_ended is not None]

    def on_end(self, call: Callable[[], None]) -> None:
        """Call back when a strace of this trace has ended, before :attr:`alive` or :attr:`helper_pids` tell it.

        Args:
            call: called on a thread of straced's own.
        """
        for helper in self._helpers:
            helper.before_exited(call)

    def _find_ending(self, exits: list[HelperExit]) -> Ending:
        status = exit_status.of(self._pidfd)
        limit = next((end["why"] for end in exits if end["why"] in LIMITS), None)
        limit = self.cut or limit
        if limit is not None:
            return Ending(reason=limit, exit_status=status)
        if self._why is not None:
            return Ending(reason=reason_of(self._why), exit_status=status)
        crash = next((e["code"] for e in exits if e["code"] < 0), None)
        if crash is not None:
            return Ending(reason=f"tracer_crashed({-crash})", exit_status=status)
        if status is not None and status < 0:
            return Ending(reason=f"killed({-status})", exit_status=status)
        return Ending(reason="exited", exit_status=status)
