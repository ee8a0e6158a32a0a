"""What tasks do over a moment: CPU time, how often they ran, and the calls they were found in."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping

from straced.linux.procfs import Gone
from straced.waits.facts.proc import ProcReader
from straced.waits.pausing import pause

Key = tuple[int, int]
Counters = tuple[int, int, int]
Call = tuple[int, int]
"""(number, first argument) of a system call; (-2, 0) for running."""
RUNNING: Call = (-2, 0)
_ENOUGH_TICKS = 10
_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


class Activity:
    """What one task did over the window."""

    def __init__(self) -> None:
        self.run_ns = 0
        self.switches: int | None = None
        self.cpu_pct: float | None = None
        self.starved: float | None = None
        """The part of the time that it was ready to run and got no CPU, 0 to 1."""
        self.calls: Counter[Call] = Counter()
        self.latest: Call = RUNNING

    @property
    def runs_mostly(self) -> bool:
        """Whether it ran, or was ready to, whenever it was looked at, as a rule."""
        return self.share(RUNNING) >= 0.5

    def share(self, call: Call) -> float:
        total = sum(self.calls.values())
        return self.calls[call] / total if total else 0.0


class Io:
    """Deltas of /proc/PID/io over the window (proc_pid_io(5)): calls and bytes of read and write."""

    def __init__(self, before: dict[str, int], after: dict[str, int], seconds: float) -> None:
        self.seconds = max(seconds, 1e-6)
        self._delta = {key: after.get(key, 0) - value for key, value in before.items()}
        self.known = bool(before) and bool(after)

    def rate(self, key: str) -> float:
        return self._delta.get(key, 0) / self.seconds

    def per_call(self, bytes_key: str, calls_key: str) -> float:
        calls = self._delta.get(calls_key, 0)
        return self._delta.get(bytes_key, 0) / calls if calls else 0.0


class Observation:
    """All that was seen over a window."""

    def __init__(self, tasks: Mapping[Key, Activity], io: Io, window_ns: int, kernel_share: float | None) -> None:
        self.tasks = tasks
        self.io = io
        self.window_ns = window_ns
        self.kernel_share = kernel_share
        """The part of the process's CPU time that was spent in the kernel, 0 to 1; ``None`` when it used too little."""


class Meter:
    """Reads a set of tasks now and again until :meth:`finish`. Only files of /proc are read: nobody is stopped."""

    def __init__(self, proc: ProcReader, keys: Iterable[Key], io_of: int | None = None) -> None:
        self._proc = proc
        self._io_of = io_of
        self.started_ns = time.monotonic_ns()
        self._started_ticks = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // _TICK_NS
        self._ticks = self._read_ticks()
        self._first: dict[Key, Counters] = {}
        self._last: dict[Key, Counters] = {}
        self._found: dict[Key, Activity] = {}
        self._io = self._read_io()
        for key in keys:
            self.add(key)

    @property
    def keys(self) -> list[Key]:
        """The tasks that are watched."""
        return list(self._found)

    def add(self, key: Key) -> None:
        """Watch one more task from now on."""
        counters = self._counters(key)
        if counters is not None and key not in self._first:
            self._first[key] = self._last[key] = counters
        self._found.setdefault(key, Activity())

    def sweep(self) -> None:
        """Look at each task once. A task that did not run since the last sweep is where it was."""
        for key, activity in self._found.items():
            counters = self._counters(key)
            if counters is not None and counters == self._last.get(key) and activity.calls:
                activity.calls[activity.latest] += 1
                continue
            if counters is not None:
                self._last[key] = counters
            call = self._call(key)
            activity.calls[call] += 1
            activity.latest = call

    def run(self, duration_ns: int, sweeps: int = 30, cpu_budget_ns: int = 40_000_000) -> None:
        """Sweep at random moments until ``duration_ns`` is over, as often as the budget of CPU time allows."""
        end_ns = self.started_ns + duration_ns
        cpu_ns = time.thread_time_ns()
        self.sweep()
        cost_ns = max(1, time.thread_time_ns() - cpu_ns)
        count = max(2, min(sweeps, cpu_budget_ns // cost_ns))
        while (left_ns := end_ns - time.monotonic_ns()) > 0:
            pause_ns = min(left_ns, duration_ns / count * random.uniform(0.5, 1.5))
            pause(pause_ns / 1e9)
            self.sweep()

    def finish(self) -> Observation:
        """Read all counters once more, and close the window."""
        window_ns = max(1, time.monotonic_ns() - self.started_ns)
        for key, activity in self._found.items():
            last, first = self._counters(key) or self._last.get(key), self._first.get(key)
            if last != first and self._is_another(key):
                activity.calls.clear()
            elif last is not None and first is not None:
                activity.run_ns = last[0] - first[0]
                activity.switches = last[1] - first[1]
                activity.starved = (last[2] - first[2]) / window_ns
                activity.cpu_pct = round(100 * activity.run_ns / window_ns, 1)
        io = Io(self._io, self._read_io(), window_ns / 1e9)
        return Observation(self._found, io, window_ns, self._kernel_share())

    def _is_another(self, key: Key) -> bool:
        """Whether a task has begun since who has the pid of one that was watched: its counters began anew."""
        try:
            return self._proc.stat(*key).start_ticks > self._started_ticks
        except (Gone, OSError):
            return False

    def _counters(self, key: Key) -> Counters | None:
        try:
            return self._proc.counters(*key)
        except Gone:
            return None

    def _call(self, key: Key) -> Call:
        try:
            data = self._proc.read(key[0], "syscall", key[1])
        except Gone:
            data = None
        words = (data or b"").split()
        if not words or words[0] == b"running":
            return RUNNING
        return int(words[0]), int(words[1], 16) if len(words) > 3 else 0

    def _kernel_share(self) -> float | None:
        user, system = (after - before for before, after in zip(self._ticks, self._read_ticks(), strict=True))
        return system / (user + system) if user + system >= _ENOUGH_TICKS else None

    def _read_ticks(self) -> tuple[int, int]:
        try:
            facts = self._proc.stat(self._io_of) if self._io_of is not None else None
        except (Gone, OSError):
            facts = None
        return (facts.utime_ticks, facts.stime_ticks) if facts else (0, 0)

    def _read_io(self) -> dict[str, int]:
        if self._io_of is None:
            return {}
        lines = (self._proc.optional(self._io_of, "io") or b"").split(b"\n")
        pairs = (line.partition(b":") for line in lines)
        return {key.decode(): int(value) for key, colon, value in pairs if colon}
