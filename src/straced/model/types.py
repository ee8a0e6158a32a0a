"""Frozen values that every stage shares: what a target is, what was counted, and how far it can be believed.

Times are integers in nanoseconds. ``None`` means "this tracer cannot know", never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from straced.model.files import FileTable
from straced.model.slow import SlowCalls
from straced.model.uring import UringTable

SUMMARY_SCHEMA = "straced.summary/1"


class Target(Struct, frozen=True, kw_only=True):
    """A process under profile, named by pid *and* start time, never by pid alone (pids are reused)."""

    pid: int
    """Thread-group id as straced sees it, in its own PID namespace."""
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks after boot. With ``boot_id`` it makes the pid unique."""
    boot_id: str
    """The boot that ``start_ticks`` counts from: /proc/sys/kernel/random/boot_id."""
    host_pid: int | None = None
    """The pid in the initial PID namespace, where that is known."""
    start_time: float | None = None
    """Seconds since the epoch, derived from ``start_ticks``."""
    comm: str = ""
    """The name of the leader, at most 15 bytes: /proc/PID/comm."""
    exe: str | None = None
    """The path of the executable; ``None`` where that may not be read."""
    cmdline: tuple[str, ...] = ()
    """The words of the command line; none for a kernel thread, or where they may not be read."""
    uid: int | None = None
    """The real user id; ``None`` where it is not known."""


class Counters(Struct, frozen=True, kw_only=True, gc=False):
    """Raw cumulative counters of one system call, of one process (or thread), as read from a tracer."""

    name: str
    nr: int | None = None
    abi: str = "x86_64"
    pid: int | None = None
    """The process the row belongs to; ``None`` when the tracer adds all processes up."""
    tid: int | None = None
    """The thread the row belongs to; ``None`` when threads are added up."""
    program: str | None = None
    """The name of the file that ran; with no ``pid``, of processes that ended. ``None`` where that is not told."""
    calls: int | None = None
    errors: int | None = None
    restarts: int | None = None
    errno: dict[str, int] | None = None
    wall_ns: int | None = None
    wall_error_ns: int | None = None
    """Standard error of ``wall_ns`` where that is an estimate (sampler)."""
    working_ns: int | None = None
    """Time on a CPU inside the call."""
    waiting_ns: int | None = None
    """Time switched out inside the call."""
    min_ns: int | None = None
    max_ns: int | None = None
    histogram: tuple[int, ...] | None = None
    """Calls by duration, in the buckets of :mod:`straced.model.histogram`; empty ones at the end are left out."""
    in_flight: int | None = None
    """Entered and not returned at the moment of reading."""


class Reason(Struct, frozen=True):
    """Why a result is not simply exact: a code for programs, a sentence for people."""

    code: str
    """For programs: ``late``, ``gap``, ``coverage``, ..."""
    text: str
    """A sentence for people, without a full stop."""


class Overhead(Struct, frozen=True, kw_only=True):
    """The estimated slowdown of the target while it was traced."""

    pct: float | None
    """Time added, in percent of the time the target would have taken untraced."""
    basis: str
    """How it was found: ``calibrated`` (measured cost a call times the calls), ``at_least`` (the same, and ``pct`` is
    a lower bound), ``none`` (no call, no cost) or ``unknown``."""
    ns_per_call: int | None = None
    """The measured cost of one traced call, in nanoseconds."""


class Quality(Struct, frozen=True, kw_only=True):
    """How far a result can be believed.

    ``kind`` is ``exact``, ``partial`` (attached late, or something could not be read), ``sampled`` (an
    estimate) or ``lossy`` (events were lost; ``lost`` is their number, ``None`` where it is not known).
    """

    kind: str
    """``exact``, ``partial``, ``sampled`` or ``lossy``."""
    lost: int | None = 0
    """Events or lines that were lost; ``None`` where their number is not known."""
    reasons: tuple[Reason, ...] = ()
    """Why it is not simply ``exact``."""
    overhead: Overhead = Overhead(pct=None, basis="unknown")
    """How much the target was slowed down."""
    tasks_traced: int | None = None
    """Tasks that were under ptrace at the attach; ``None`` where the tracer counts in the kernel."""
    tasks_seen: int | None = None
    """``None`` where threads came and went too fast to be counted, or where the tracer counts in the kernel."""
    gap_s: float | None = None
    """Seconds between two tracers in which nothing was counted."""


class Sample(Struct, frozen=True, kw_only=True):
    """Raw cumulative counters read from a tracer at one moment."""

    monotonic_ns: int
    """When, on the monotonic clock, in nanoseconds."""
    epoch_s: float
    """When, in seconds since the epoch."""
    rows: Sequence[Counters] = ()
    """The counters, a row for each call of each process, and of each thread where that was asked for."""
    processes: int | None = None
    """Processes seen since the attach, ended ones included."""
    threads: int | None = None
    """Threads seen since the attach, ended ones included."""
    lost: int | None = 0
    """Events that were lost so far; ``None`` where their number is not known."""
    time: str = "wall"
    """``wall`` or ``cpu``: what the time fields were measured in."""
    reasons: tuple[Reason, ...] = ()
    """Why the rows are not simply exact."""
    kind: str = "exact"
    """The quality of the rows, as :attr:`Quality.kind`."""
    slow: SlowCalls | None = None
    """Calls over the limit that was asked for; ``None`` where none was, or this tracer cannot tell."""
    files: FileTable | None = None
    """Sums by file and peer, where they were asked for, since the attach; ``None`` of a later window."""
    io_uring: UringTable | None = None
    """Requests of io_uring, where they were asked for, since the attach; ``None`` of a later window. They are no system
    calls, and in none of the other figures."""


class Window(Struct, frozen=True, kw_only=True):
    """The span a summary covers; ``start`` and ``end`` are seconds since the epoch."""

    start: float
    """The begin, in seconds since the epoch."""
    end: float
    """The end, in seconds since the epoch."""
    duration_ns: int | None
    """From the monotonic clock, so a step of the wall clock does not touch it; ``None``: the recording has no clock."""


class SyscallStats(Struct, frozen=True, kw_only=True):
    """One row of a summary."""

    name: str
    """The name of the call; ``syscall_0x1ce`` for a number without one."""
    nr: int | None = None
    """Its number in that ABI."""
    abi: str | None = "x86_64"
    """The ABI it was entered by: ``x86_64``, ``i386``, ``x32``, ``arm64``, ``arm``.

    ``None`` where the recording does not tell of which machine it is.
    """
    category: str = field(default="other", name="class")
    """Its class: ``file``, ``network``, ``memory``, ...; ``class`` in JSON."""
    calls: int | None = None
    """Calls entered in the window."""
    errors: int | None = None
    """Calls that returned an errno of 1 to 4095."""
    restarts: int | None = None
    """Calls that the kernel restarted after a signal (ERESTART*, 512 to 516)."""
    errno: dict[str, int] | None = None
    """Errors by the name of their errno."""
    wall_ns: int | None = None
    """Nanoseconds from enter to exit, added up."""
    wall_error_ns: int | None = None
    """Standard error of ``wall_ns`` where that is an estimate (sampler)."""
    working_ns: int | None = None
    """Nanoseconds on a CPU inside the call."""
    waiting_ns: int | None = None
    """Nanoseconds switched out inside the call."""
    min_ns: int | None = None
    """The shortest call, in nanoseconds."""
    max_ns: int | None = None
    """The longest call, in nanoseconds."""
    p50_ns: int | None = None
    """The median, in nanoseconds, to the precision of the histogram's buckets."""
    p99_ns: int | None = None
    """What 99 of 100 calls do not exceed, in nanoseconds, to the same precision."""
    p999_ns: int | None = None
    """What 999 of 1,000 calls do not exceed, in nanoseconds, to the same precision."""
    time_pct: float | None = None
    """Share of the summary's time (``Summary.time``), 0 to 100."""
    in_flight: int | None = None
    """Calls entered, and not returned at the end of the window."""


class Total(Struct, frozen=True, kw_only=True):
    """The sums of all rows."""

    calls: int | None = None
    """Calls entered in the window."""
    errors: int | None = None
    """Calls that returned an errno."""
    wall_ns: int | None = None
    """Nanoseconds from enter to exit."""
    working_ns: int | None = None
    """Nanoseconds on a CPU inside calls."""
    waiting_ns: int | None = None
    """Nanoseconds switched out inside calls."""


class Part(Struct, frozen=True, kw_only=True):
    """One stretch of a summary that two tracers took turns to make."""

    tracer: str
    """The tracer of this part."""
    time: str
    """What its times were measured in: ``wall``, ``cpu`` or ``none``."""
    window: Window
    """Its span."""
    total: Total
    """Its sums."""
    time_pct: dict[str, float] = {}
    """Share of each call in the time of this part, 0 to 100, where the tracer tells time."""


class Summary(Struct, frozen=True, kw_only=True):
    """What a window shows: a pure function of two samples (see :mod:`straced.model.aggregation`)."""

    target: Target
    """Whose calls these are."""
    tracer: str
    """Who counted: ``ebpf``, ``strace`` or ``sampler``; joined by ``+`` where several took turns."""
    tracer_reason: str = ""
    """Why this one: ``asked for``, or what ruled out those before it."""
    quality: Quality
    """How far the figures can be believed."""
    window: Window
    """The span that they cover."""
    follow: bool = True
    """Whether descendants are in them."""
    processes: int | None = None
    """Processes seen, ended ones included; ``None`` where the tracer cannot know."""
    threads: int | None = None
    """Threads seen, ended ones included; ``None`` where the tracer cannot know."""
    exit_status: int | None = None
    """Exit code of the target, or minus the signal that killed it; ``None`` while it runs or if not known."""
    end: str | None = None
    """Why the window ended: ``detached``, ``exited``, ``killed(9)``, ``overhead``, ``tasks``, ..."""
    time: str = "wall"
    """What times are measured in: ``wall``, ``cpu``, ``none``, or ``mixed``: see ``parts``."""
    parts: tuple[Part, ...] = ()
    """What each tracer counted, where several took turns."""
    labels: dict[str, str] = {}
    """The labels of the session."""
    rows: tuple[SyscallStats, ...] = field(default=(), name="syscalls")
    """A row for each call, the one with the most time first; ``syscalls`` in JSON."""
    total: Total = Total()
    """The sums of all rows."""
    slow: SlowCalls | None = None
    """Calls over the limit that was asked for; ``None`` where none was, or this tracer cannot tell."""
    files: FileTable | None = None
    """Sums by file and peer, where they were asked for, since the attach; ``None`` of a later window."""
    io_uring: UringTable | None = None
    """Requests of io_uring, where they were asked for, since the attach; ``None`` of a later window. They are no system
    calls, and in none of the other figures."""

    @property
    def syscalls(self) -> dict[str, SyscallStats]:
        """Rows by name; a row of another ABI than the first is keyed ``name@abi``."""
        table: dict[str, SyscallStats] = {}
        for row in self.rows:
            key = row.name if row.name not in table else f"{row.name}@{row.abi}"
            table[key] = row
        return table

    def to_dict(self) -> dict[str, Any]:
        """Build the JSON object, schema ``straced.summary/1``.

        Returns:
            Builtin values alone: dicts, lists, strings, numbers.
        """
        built: dict[str, Any] = msgspec.to_builtins(self)
        return {"schema": SUMMARY_SCHEMA, **built}


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened to a target or its descendants: ``fork``, ``exec``, ``exit``."""

    kind: str
    """``fork``, ``exec`` or ``exit``."""
    epoch_s: float
    """When, in seconds since the epoch."""
    pid: int
    """The process: of a fork, the parent."""
    tid: int | None = None
    """The thread; ``None`` where it is not known."""
    child_pid: int | None = None
    """The new process of a fork; else ``None``."""
    exit_status: int | None = None
    """Of an exit: the exit code, or minus the signal that killed it; else ``None``."""
    comm: str = ""
    """The name of the process at that moment, at most 15 bytes."""
