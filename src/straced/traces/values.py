"""What a report holds: values for views and programs. All text in them is scrubbed."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from straced.model.split import SplitPart
from straced.model.types import Summary, SyscallStats

REPORT_SCHEMA = "straced.report/1"
DAMAGED = "damaged"
"""Code of a reason of the quality: a part of the file is not as it was written, by a checksum, and was left out."""


class Finding(Struct, frozen=True, kw_only=True):
    """Something worth a look, with its evidence and what it costs."""

    code: str
    """``slow_call``, ``errors``, ``failing_lookups``, ``lookup_storm``, ``tiny_io``, ``fsync``, ``lock_waits``,
    ``retries``, ``repeated_stat``, ``empty_reads``, ``many_processes``, ``failing_calls``, ``fatal_errors``,
    ``idle_polls``, ``busy_loop``, ``no_vdso``, ``io_uring``, ``killed``, ``slow_file``, ``slow_peer``."""
    text: str
    """One sentence."""
    lines: tuple[int, ...]
    """Line numbers in the trace where to look."""
    count: int
    cost_ns: int | None = None
    """Time inside these calls; ``None`` when the trace has no durations."""
    waiting_ns: int | None = None
    """The part of ``cost_ns`` in which threads were off the CPU; ``None`` where the trace does not tell."""
    subject: str = ""
    """The path, call or lock it is about."""


class FileReport(Struct, frozen=True, kw_only=True):
    """What was done with one path, socket or pipe."""

    path: str
    calls: int
    errors: int
    errno: dict[str, int]
    in_bytes: int
    """Read, received."""
    out_bytes: int
    opens: int
    wall_ns: int | None
    waiting_ns: int | None
    """The part of ``wall_ns`` in which threads were off the CPU; ``None`` where the trace does not tell."""
    line: int
    """Where it was first met; 0 for the row of all other paths."""
    syscalls: dict[str, int]


class SlowCall(Struct, frozen=True, kw_only=True):
    """One of the calls that took longest."""

    line: int
    pid: int
    """The task's TID."""
    duration_ns: int
    waiting_ns: int | None = None
    """The part of it in which the task was off the CPU; ``None`` where the trace does not tell."""
    text: str
    path: str | None = None
    """What the descriptor that it is about stands for, where the text does not say it."""


class TaskAtEnd(Struct, frozen=True, kw_only=True):
    """A task that was in a call when the trace ended."""

    pid: int
    tid: int
    call: str
    text: str
    """Name and arguments as far as they were printed."""
    path: str | None
    """What the descriptor that it is about stands for."""
    line: int
    """Where the call began."""


class ProcessReport(Struct, frozen=True, kw_only=True):
    """One process."""

    pid: int
    parent: int | None
    name: str
    """The last program that it ran, or that of the parent it was forked from."""
    argv: str
    execs: tuple[str, ...]
    line: int
    start_s: float | None
    """Seconds from the start of the trace."""
    end_s: float | None
    exit_status: int | None
    killed: str | None
    threads: int
    children: int
    calls: int
    errors: int
    wall_ns: int | None
    waiting_calls_ns: int | None
    """The part of ``wall_ns`` in calls whose purpose is to wait (poll, futex, wait4, nanosleep, ...)."""
    waiting_ns: int | None
    """The part of ``wall_ns`` in which threads were off the CPU; ``None`` where the trace does not tell."""
    rows: tuple[SyscallStats, ...] = field(default=(), name="syscalls")


class FlameNode(Struct, frozen=True, kw_only=True):
    """A box of the flame graph: a program below that which started it, a call of it, a path or an errno of that."""

    name: str
    kind: str
    """``program``, ``call``, ``path`` or ``errno``."""
    calls: int | None = None
    """All that lies in it; ``None`` where it is not known."""
    errors: int | None = None
    ns: int | None = None
    """``None`` where the trace has no durations."""
    processes: int = 0
    """Of a program: how many ran it, at this place of the tree."""
    below: tuple[FlameNode, ...] = ()


class TaskLane(Struct, frozen=True, kw_only=True):
    """One task in equal steps of time."""

    tid: int
    pid: int
    calls: int
    wall_ns: int | None = None
    """Time in calls; ``None`` where the trace has no durations."""
    waiting_ns: int | None = None
    """The part of that in which the task was off the CPU; ``None`` where the trace does not tell."""
    steps: dict[int, tuple[int, ...]]
    """Step -> nanoseconds in calls (calls, where the trace has no durations), by :data:`LANE_CLASSES`."""


LANE_CLASSES = ("wait", "file", "network", "memory", "process", "other")
"""The classes of calls in lanes, as :func:`straced.syscalls.category` has them."""


class LongCall(Struct, frozen=True, kw_only=True):
    """One of the longest calls, with its place in time."""

    tid: int
    name: str
    start_ns: int
    """From the first line of the trace."""
    duration_ns: int
    line: int
    waiting_ns: int | None = None


class CloseUp(Struct, frozen=True, kw_only=True):
    """What only a second look at the trace gives: tasks over time, and lines as they stand in it."""

    step_ns: int
    steps: int
    calls: int
    """How many calls are in the lanes, those of the hidden ones included."""
    lanes: tuple[TaskLane, ...] = ()
    lanes_hidden: int = 0
    """Tasks with the fewest calls that have no lane."""
    long_calls: tuple[LongCall, ...] = ()
    lines: dict[int, str] = {}
    """Number -> text, scrubbed: the lines of findings and those around them."""


class ProcessTimeLine(Struct, frozen=True, kw_only=True):
    """Lines of each process in equal steps of time."""

    step_s: float
    start_s: float
    """The clock of the first step: seconds of the day, or since the epoch."""
    pids: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    """One tuple a pid."""


class TraceReport(Struct, frozen=True, kw_only=True):
    """A whole trace, analysed."""

    source: str
    lines: int
    size_bytes: int
    missing: tuple[str, ...]
    """What this form of trace cannot tell."""
    unread: int
    """Lines that are not strace's, or are damaged."""
    unread_lines: tuple[tuple[int, str], ...]
    cut: int
    """Calls whose line ends early: in flight when the trace was cut."""
    notes: tuple[str, ...]
    summary: Summary
    processes: tuple[ProcessReport, ...] = ()
    threads: tuple[SplitPart, ...] = ()
    """What each task did, those that made most calls first; at most 500."""
    processes_hidden: int = 0
    files: tuple[FileReport, ...] = ()
    files_folded: int = 0
    """Paths that are only in the row of all others; an upper bound."""
    slowest: tuple[SlowCall, ...] = ()
    signals: dict[str, int] = {}
    findings: tuple[Finding, ...] = ()
    at_end: tuple[TaskAtEnd, ...] = ()
    """The tasks that were in a call at the end, in the order of the lines where these began."""
    timeline: ProcessTimeLine | None = None
    flame: FlameNode | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of this report, schema ``straced.report/1``."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        built["summary"] = self.summary.to_dict()
        built.pop("flame")  # for pictures; the same figures stand in processes and files
        return {"schema": REPORT_SCHEMA, **built}
