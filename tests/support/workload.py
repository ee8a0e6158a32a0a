"""Start programs with a known truth, and end only those."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import mmap
import os
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support import proc
from tests.support.channel import Channel, Silent
from tests.support.poll import until

_numbers = itertools.count()
ENDLESS = {"tick", "spin", "compute", "busy", "relay", "storm", "esc", "nodump", "ldead", "pause", "threads"}
"""Modes that are let go at once: they run until they are killed."""


class Workload:
    """A running program, held by pidfd; its channel says *ready* and waits for *go*."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel, ticks: mmap.mmap) -> None:
        self.process = process
        self.pid = process.pid
        self.channel = channel
        self.pidfd = os.pidfd_open(process.pid)
        self._ticks = ticks
        self.stopped_on_purpose = False

    def ticks(self) -> int:
        """The counter in shared memory."""
        value: int = struct.unpack("<Q", self._ticks[:8])[0]
        return value

    def go(self) -> None:
        """Let it work."""
        self.channel.tell()

    def finish(self, seconds: float = 30.0) -> None:
        """Let it work, and wait until it has; it then waits to be allowed to end."""
        self.go()
        self.channel.expect("done", seconds)

    def go_through(self, stands_still_s: float = 20.0) -> None:
        """Let it work, and wait until it has, as long as its counter goes on: how fast is the machine's affair."""
        self.go()
        while True:
            before = self.ticks()
            try:
                self.channel.expect("done", stands_still_s)
                return
            except Silent:
                if self.ticks() == before:
                    raise

    async def work(self, seconds: float = 30.0) -> None:
        """:meth:`finish` beside a running event loop."""
        await asyncio.to_thread(self.finish, seconds)

    def let_end(self, seconds: float = 10.0) -> int:
        """Allow it to end, and return its exit status."""
        self.channel.tell()
        return self.process.wait(seconds)

    def signal(self, number: int) -> None:
        """Send a signal through the pidfd."""
        signal.pidfd_send_signal(self.pidfd, number)

    def stop(self) -> None:
        """Put it into a group stop that is meant to last."""
        self.stopped_on_purpose = True
        self.signal(signal.SIGSTOP)
        until(self._has_stopped, what="SIGSTOP arrives")

    def _has_stopped(self) -> bool:
        """Stopped for good, also under a tracer: there ``t`` may be the stop of a call or of the signal's delivery.

        A tracer that is told to leave between a signal's delivery-stop and its own answer swallows the signal; so the
        tracer must have answered and wait again, and neither may have moved for a while.
        """
        tracer = proc.tracer(self.pid)
        if not tracer:
            return proc.state(self.pid) == "T"
        before = proc.switches(self.pid), proc.switches(tracer)
        time.sleep(0.02)
        states = proc.state(self.pid), proc.state(tracer)
        return states == ("t", "S") and before == (proc.switches(self.pid), proc.switches(tracer))

    def cont(self) -> None:
        """End the group stop."""
        self.stopped_on_purpose = False
        self.signal(signal.SIGCONT)

    def runs(self, seconds: float = 5.0) -> bool:
        """Whether its counter rises."""
        first = self.ticks()
        until(lambda: self.ticks() > first, seconds, f"the counter of {self.pid} rises (state {proc.state(self.pid)})")
        return True

    def rate(self, seconds: float = 0.3) -> float:
        """Ticks a second over a short while (a measurement, not a synchronisation)."""
        first, started = self.ticks(), time.monotonic()
        time.sleep(seconds)
        return (self.ticks() - first) / (time.monotonic() - started)

    def untraced(self) -> bool:
        """Whether no task of it has a tracer or sits in a tracing stop."""
        return all(task.tracer == 0 and task.state != "t" for task in proc.tasks(self.pid).values())

    def held(self) -> bool:
        """Whether a tracer misses nothing of it from now on."""
        return proc.held(self.pid)

    def harm(self) -> list[str]:
        """What a tracer did to it and left that way; empty when unharmed or ended."""
        found = []
        for tid, task in proc.tasks(self.pid).items():
            if task.tracer:
                found.append(f"task {tid} of {self.pid} is still traced by {task.tracer}")
            if task.state == "t" or (task.state == "T" and not self.stopped_on_purpose):
                found.append(f"task {tid} of {self.pid} was left in state {task.state}")
        return found

    def kill(self) -> None:
        """End it and reap it."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        """Release what the test holds of it."""
        self.channel.close()
        self._ticks.close()
        os.close(self.pidfd)
        for stream in (self.process.stdout, self.process.stderr, self.process.stdin):
            if stream is not None:
                stream.close()


class Starter:
    """Callable that starts ``gt MODE ARGS``; the registry of what this test started."""

    def __init__(self, gt: Path, gt32: Path | None) -> None:
        self.gt, self.gt32 = gt, gt32
        self.folder = gt.parent
        self.started: list[Workload] = []
        self.extra: list[int] = []
        self.files: list[Path] = []

    def __call__(self, mode: str, *args: object, binary: Path | None = None, **options: Any) -> Workload:
        """Start a workload and wait until it is ready; one without an end is let go as well."""
        return self.program([str(binary or self.gt), mode, *map(str, args)], **options)

    def program(self, argv: Sequence[str], *, ready: bool = True, go: bool | None = None,
                env: dict[str, str] | None = None, preexec: Callable[[], None] | None = None,
                **popen: Any) -> Workload:  # fmt: skip
        """Start any program that speaks over GT_FD (or, with ``ready=False``, one that does not)."""
        channel = Channel()
        path = self.folder / f"ticks.{os.getpid()}.{next(_numbers)}"
        path.write_bytes(b"\0" * 8)
        path.chmod(0o666)
        with path.open("r+b") as file:
            ticks = mmap.mmap(file.fileno(), 8)
        self.files.append(path)
        number = channel.child.fileno()
        environment = {**os.environ, "GT_FD": str(number), "GT_TICKS": str(path), **(env or {})}
        process = subprocess.Popen(argv, pass_fds=(number,), env=environment, preexec_fn=preexec, **popen)
        channel.started()
        workload = Workload(process, channel, ticks)
        self.started.append(workload)
        if ready:
            channel.expect("ready")
            if go is None:
                go = not ENDLESS.isdisjoint(argv)
            if go:
                workload.go()
        return workload

    def forget(self, workload: Workload) -> None:
        """Release one that has ended, where a test starts hundreds."""
        number = self.started.index(workload)
        del self.started[number]
        self.files.pop(number).unlink()
        workload.close()

    def owns(self, pid: int) -> int:
        """Register a pid that a workload made, to be killed at the end."""
        self.extra.append(os.pidfd_open(pid))
        return pid

    def end(self) -> list[str]:
        """Kill all that was started; return the harm that tracers left on those that still lived."""
        harm = [line for workload in self.started for line in workload.harm()]
        for pidfd in self.extra:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        below = [pidfd for workload in self.started for pidfd in _below(workload)]
        for workload in self.started:
            workload.kill()
        for pidfd in below:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        for workload in self.started:
            workload.close()
        for path in self.files:
            path.unlink()
        return harm


def _below(workload: Workload) -> list[int]:
    """A pidfd of each process below it that still lives."""
    pidfds: list[int] = []
    if workload.process.poll() is None:
        for pid in proc.descendants(workload.pid):
            with contextlib.suppress(ProcessLookupError):  # one that was killed just now may go at any moment
                pidfds.append(os.pidfd_open(pid))
    return pidfds
