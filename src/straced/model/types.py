"""Frozen values that every stage shares: what a target is, what was counted, and how far it can be believed.

Times are integers in nanoseconds. ``None`` means "this tracer cannot know", never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

SUMMARY_SCHEMA = "straced.summary/1"


class Target(Struct, frozen=True, kw_only=True):
    """A process under profile, named by pid *and* start time, never by pid alone (pids are reused)."""

    pid: int
    """Thread-group id as straced sees it, in its own PID namespace."""
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks after boot. With ``boot_id`` it makes the pid unique."""
    boot_id: str
    host_pid: int | None = None
    """The pid in the initial PID namespace, where that is known."""
    start_time: float | None = None
    """Seconds since the epoch, derived from ``start_ticks``."""
    comm: str = ""
    exe: str | None = None
    cmdline: tuple[str, ...] = ()
    uid: int | None = None


class Counters(Struct, frozen=True, kw_only=True, gc=False):
    """Raw cumulative counters of one system call, of one process (or thread), as read from a tracer."""

    name: str
    nr: int | None = None
    abi: str = "x86_64"
    pid: int | None = None
    """The process the row belongs to; ``None`` when the tracer adds all processes up."""
    tid: int | None = None
    """The thread the row belongs to; ``None`` when threads are added up."""
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
    text: str


class Overhead(Struct, frozen=True, kw_only=True):
    """The estimated slowdown of the target while it was traced."""

    pct: float | None
    """Time added, in percent of the time the target would have taken untraced."""
    basis: str
    """How it was found: ``calibrated`` (measured cost a call times the calls), ``at_least`` (the same, and ``pct`` is
    a lower bound), ``none`` (no call, no cost) or ``unknown``."""
    ns_per_call: int | None = None


class Quality(Struct, frozen=True, kw_only=True):
    """How far a result can be believed.

    ``kind`` is ``exact``, ``partial`` (attached late, or something could not be read), ``sampled`` (an
    estimate) or ``lossy`` (events were lost; ``lost`` is their number, ``None`` where it is not known).
    """

    kind: str
    lost: int | None = 0
    reasons: tuple[Reason, ...] = ()
    overhead: Overhead = Overhead(pct=None, basis="unknown")
    tasks_traced: int | None = None
    tasks_seen: int | None = None
    """``None`` where threads came and went too fast to be counted, or where the tracer counts in the kernel."""
    gap_s: float | None = None
    """Seconds between two tracers in which nothing was counted."""


class Sample(Struct, frozen=True, kw_only=True):
    """Raw cumulative counters read from a tracer at one moment."""

    monotonic_ns: int
    epoch_s: float
    rows: Sequence[Counters] = ()
    processes: int | None = None
    """Processes seen since the attach, ended ones included."""
    threads: int | None = None
    lost: int | None = 0
    time: str = "wall"
    """``wall`` or ``cpu``: what the time fields were measured in."""
    reasons: tuple[Reason, ...] = ()
    kind: str = "exact"


class Window(Struct, frozen=True, kw_only=True):
    """The span a summary covers; ``start`` and ``end`` are seconds since the epoch."""

    start: float
    end: float
    duration_ns: int | None
    """From the monotonic clock, so a step of the wall clock does not touch it; ``None``: the recording has no clock."""


class SyscallStats(Struct, frozen=True, kw_only=True):
    """One row of a summary."""

    name: str
    nr: int | None = None
    abi: str | None = "x86_64"
    """``None``: the recording does not tell of which machine it is."""
    category: str = field(default="other", name="class")
    calls: int | None = None
    errors: int | None = None
    restarts: int | None = None
    errno: dict[str, int] | None = None
    wall_ns: int | None = None
    wall_error_ns: int | None = None
    """Standard error of ``wall_ns`` where that is an estimate (sampler)."""
    working_ns: int | None = None
    waiting_ns: int | None = None
    min_ns: int | None = None
    max_ns: int | None = None
    p50_ns: int | None = None
    p99_ns: int | None = None
    time_pct: float | None = None
    """Share of the summary's time (``Summary.time``), 0 to 100."""
    in_flight: int | None = None


class Total(Struct, frozen=True, kw_only=True):
    """The sums of all rows."""

    calls: int | None = None
    errors: int | None = None
    wall_ns: int | None = None
    working_ns: int | None = None
    waiting_ns: int | None = None


class Part(Struct, frozen=True, kw_only=True):
    """One stretch of a summary that two tracers took turns to make."""

    tracer: str
    time: str
    window: Window
    total: Total
    time_pct: dict[str, float] = {}
    """Share of each call in the time of this part, 0 to 100, where the tracer tells time."""


class Summary(Struct, frozen=True, kw_only=True):
    """What a window shows: a pure function of two samples (see :mod:`straced.model.aggregation`)."""

    target: Target
    tracer: str
    tracer_reason: str = ""
    quality: Quality
    window: Window
    follow: bool = True
    processes: int | None = None
    threads: int | None = None
    exit_status: int | None = None
    """Exit code of the target, or minus the signal that killed it; ``None`` while it runs or if not known."""
    end: str | None = None
    """Why the window ended: ``detached``, ``exited``, ``killed(9)``, ``overhead``, ``tasks``, ..."""
    time: str = "wall"
    parts: tuple[Part, ...] = ()
    labels: dict[str, str] = {}
    rows: tuple[SyscallStats, ...] = field(default=(), name="syscalls")
    total: Total = Total()

    @property
    def syscalls(self) -> dict[str, SyscallStats]:
        """Rows by name; a row of another ABI than the first is keyed ``name@abi``."""
        table: dict[str, SyscallStats] = {}
        for row in self.rows:
            key = row.name if row.name not in table else f"{row.name}@{row.abi}"
            table[key] = row
        return table

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of this summary, schema ``straced.summary/1``."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return {"schema": SUMMARY_SCHEMA, **built}


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened to a target or its descendants: ``fork``, ``exec``, ``exit``."""

    kind: str
    epoch_s: float
    pid: int
    tid: int | None = None
    child_pid: int | None = None
    exit_status: int | None = None
    comm: str = ""
