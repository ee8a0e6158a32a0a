"""What history answers: values that cross the socket as they are."""

from __future__ import annotations

from msgspec import Struct, field

from straced.model.types import SyscallStats, Total


class SeriesInfo(Struct, frozen=True, kw_only=True):
    """A process as history knows it."""

    id: int
    kind: str
    pid: int
    start_ticks: int
    boot_id: str
    comm: str
    program: str
    cmdline: tuple[str, ...] = ()
    uid: int
    gid: int
    private: bool
    labels: dict[str, str] = {}
    first_s: float
    last_s: float
    end: str | None = None
    exit_status: int | None = None
    host: str = ""
    """Where several were asked: which one."""


class Peaks(Struct, frozen=True, kw_only=True):
    """The facts of a span."""

    cpu_ns: int = 0
    rss_max_bytes: int | None = None
    fds_max: int | None = None
    threads_max: int | None = None
    states: dict[str, int] = {}
    """Samples by state letter."""
    samples: int = 0


class HistoryAnswer(Struct, frozen=True, kw_only=True):
    """What some processes did in a span, added up."""

    start: float
    """Seconds since the epoch; the span begins with the minute (or hour, further back) that was asked for."""
    end: float
    processes: tuple[SeriesInfo, ...] = ()
    rows: tuple[SyscallStats, ...] = field(default=(), name="syscalls")
    total: Total = Total()
    peaks: Peaks = Peaks()
    counted: bool = True
    """Whether calls were counted at all."""
    lost: int | None = 0
    gaps_s: float = 0.0
    """Time in the span in which the service did not run."""


class Point(Struct, frozen=True, kw_only=True):
    """One process, or several added up, at one step of a time line."""

    time: float
    step_s: float
    calls: int | None = None
    errors: int | None = None
    wall_ns: int | None = None
    waiting_ns: int | None = None
    cpu_ns: int = 0
    rss_max_bytes: int | None = None


class Ranked(Struct, frozen=True, kw_only=True):
    """A process in a list of the busiest."""

    process: SeriesInfo
    calls: int | None
    errors: int | None
    wall_ns: int | None
    waiting_ns: int | None
    cpu_ns: int
    rss_max_bytes: int | None


class KeptEvent(Struct, frozen=True, kw_only=True):
    """An event as it was kept; ``id`` rises with time."""

    id: int
    time: float
    kind: str
    text: str
    pid: int | None = None
    comm: str = ""
    job: str = ""
    labels: dict[str, str] = {}
    data: dict[str, str | int | float | bool | None] = {}
    host: str = ""
    """Where several were asked: which one."""


class KeptAlert(Struct, frozen=True, kw_only=True):
    """An alert as it was kept."""

    id: str
    kind: str
    subject: str
    text: str
    opened: float
    updated: float
    closed: float | None = None
    pid: int | None = None
    comm: str = ""
    job: str = ""
    data: dict[str, str | int | float | bool | None] = {}
    host: str = ""
    """Where several were asked: which one."""


class ProgramUse(Struct, frozen=True, kw_only=True):
    """One program of a job in the span, all its processes added up, those that lived too short to be seen included."""

    program: str
    job: str = ""
    calls: int | None = None
    errors: int | None = None
    wall_ns: int | None = None
    cpu_ns: int = 0
    p50_ns: int | None = None
    p99_ns: int | None = None
    max_ns: int | None = None
    host: str = ""
    """Where several were asked: which one."""


class JobReport(Struct, frozen=True, kw_only=True):
    """The resources of a job: what it took, what it did, and what was seen to go wrong."""

    job: str
    answer: HistoryAnswer
    exit_statuses: dict[str, int] = {}
    """Ended processes by how they ended."""
    events: tuple[KeptEvent, ...] = ()
    alerts: tuple[KeptAlert, ...] = ()
    programs: tuple[ProgramUse, ...] = ()
    """By program, the busiest first: all of them together are what the job did."""
