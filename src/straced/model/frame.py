"""Frozen values of the live screen: one :class:`Frame` is all that a refresh shows.

Shares are percent of one CPU or of one thread's time, so a process with four threads can have 400. ``None`` means
"cannot be known here", never zero. Foreign text in here has been scrubbed.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from straced.model.file_window import FileWindow
from straced.model.slow import SlowCalls
from straced.model.types import Quality, SyscallStats, Total

FRAME_SCHEMA = "straced.top/1"
Key = tuple[int, int]
"""A process by pid and start time, which together are never reused."""
RUNNING = "running"
"""In place of a call: the task is on a CPU, or waits for one, outside of any call."""

OUTSIDE = "in kernel"
"""In place of a call: the task is blocked in the kernel outside of any call, in a page fault for instance."""


class Machine(Struct, frozen=True, kw_only=True):
    """The machine as a whole."""

    cpus: int
    cpu_pct: float | None = None
    """Of all CPUs together, 0 to 100, since the frame before."""
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    """Total less available (MemAvailable of /proc/meminfo)."""
    load: tuple[float, float, float] | None = None
    pressure: dict[str, float] | None = None
    """``cpu``, ``memory``, ``io``: percent of the last ten seconds in which some task waited for it (PSI)."""


class ProcessRow(Struct, frozen=True, kw_only=True):
    """One process over the window of its frame."""

    pid: int
    start_ticks: int
    ppid: int
    comm: str
    cmdline: str = ""
    """The words of the command line, joined by blanks; empty for kernel threads and zombies."""
    job: str | None = None
    """The label of the watch or target that it belongs to; else its container."""
    container: str | None = None
    """The container that it is in: ``NAME``, or ``NAMESPACE/POD/NAME`` in Kubernetes; ids where no names are known."""
    inner_pid: int | None = None
    """Its pid inside of that."""
    uid: int | None = None
    state: str = "?"
    """The letter of proc(5): R, S, D, T, t, Z, X, I."""
    threads: int | None = None
    cpu_pct: float | None = None
    rss_bytes: int | None = None
    watched: bool = False
    """Whether a tracer counts its calls."""
    calls_s: float | None = None
    errors_s: float | None = None
    working_pct: float | None = None
    """Time on a CPU inside calls."""
    waiting_pct: float | None = None
    """Time switched out inside calls."""
    wall_pct: float | None = None
    """Time inside calls, working or waiting."""
    waits_longer: bool = False
    """A thread has stood in a call since before it was counted: ``waiting_pct`` and ``wall_pct`` are too low."""
    now: str | None = None
    """The call its main thread is in, or :data:`RUNNING`."""
    trail: tuple[float, ...] = ()
    """Earlier calls a second, oldest first, where the source keeps them."""

    @property
    def key(self) -> Key:
        return self.pid, self.start_ticks


class ShortLived(Struct, frozen=True, kw_only=True):
    """What processes of one program did that came or went within the window, so that they have no row."""

    program: str
    """The name of its file; empty where that is not known."""
    parent: Key | None = None
    """The process below which they ran, itself in a row."""
    job: str | None = None
    ended: int | None = None
    """How many ended by exit_group(2); those that were killed are not counted. ``None``: not known."""
    calls_s: float | None = None
    errors_s: float | None = None
    working_pct: float | None = None
    waiting_pct: float | None = None
    wall_pct: float | None = None


class ThreadRow(Struct, frozen=True, kw_only=True):
    """One thread of the chosen process, now."""

    tid: int
    comm: str
    state: str
    call: str | None = None
    for_ns: int | None = None
    """It has been in this call at least that long."""
    cpu_pct: float | None = None
    place: str | None = None
    """The kernel function it sleeps in, where that may be read."""


class DescriptorRow(Struct, frozen=True, kw_only=True):
    """One open descriptor of the chosen process."""

    fd: int
    kind: str
    """``file``, ``pipe``, ``tcp``, ``udp``, ``unix``, ``socket``, ``dev``, ``proc`` or an anonymous inode's word."""
    name: str
    mode: str = ""
    """``r``, ``w`` or ``rw``."""
    position: int | None = None


class ProcessDetail(Struct, frozen=True, kw_only=True):
    """All about the chosen process."""

    pid: int
    start_ticks: int
    duration_ns: int = 0
    calls: tuple[SyscallStats, ...] | None = None
    """What happened in the window; ``None`` where nothing counts."""
    total: Total = Total()
    histograms: dict[str, tuple[int, ...]] = {}
    """Calls by duration in the buckets of :mod:`straced.model.histogram`, by ``name@abi``."""
    threads: tuple[ThreadRow, ...] | None = None
    files: tuple[DescriptorRow, ...] | None = None
    more_files: int = 0
    by_file: FileWindow | None = None
    """Its calls by file and peer since somebody began to look at them; ``None``: nobody does."""
    gone: bool = False
    unreadable: tuple[str, ...] = ()
    """What could not be read, and why."""

    @property
    def key(self) -> Key:
        return self.pid, self.start_ticks


class Note(Struct, frozen=True, kw_only=True):
    """Something that happened: a line of the time line."""

    epoch_s: float
    kind: str
    """``started``, ``ended``, ``exec``, ``alert``, ``lost``, ``back``, ``signal``, ``trace`` or ``refused``."""
    pid: int | None = None
    text: str = ""
    severe: bool = False


class Frame(Struct, frozen=True, kw_only=True):
    """One refresh: everything on the screen, from one moment."""

    epoch_s: float
    monotonic_ns: int
    duration_ns: int
    """How long the window was; rates and shares are over this."""
    source: str
    """``local``, ``service`` or ``history``."""
    host: str = ""
    tracer: str | None = None
    """``None``: nothing counts calls, ``tracer_reason`` says why."""
    tracer_reason: str = ""
    tracer_hint: str = ""
    """What to do, so that calls are counted."""
    quality: Quality = Quality(kind="partial", lost=None)
    cost_pct: float | None = None
    """What straced itself takes: percent of one CPU."""
    counting_pct: float | None = None
    """What counting adds to the work of those counted: percent of one CPU, calls times the measured cost of one."""
    machine: Machine
    processes: tuple[ProcessRow, ...] = ()
    short_lived: tuple[ShortLived, ...] = ()
    """Calls of processes that are in no row; with the rows they add up to ``calls_s`` and ``errors_s``."""
    watched: int = 0
    calls_s: float | None = None
    errors_s: float | None = None
    alerts: int | None = None
    """Alerts that are firing; ``None`` where nobody looks for any."""
    detail: ProcessDetail | None = None
    slow: SlowCalls | None = None
    """Calls over a limit, the one that began last first; ``None``: nobody tells any."""
    notes: tuple[Note, ...] = ()
    """The last ones, oldest first."""
    kept_since: float | None = None
    """Seconds since the epoch: the begin of the history that this is a minute of."""
    notice: str = ""
    """Why the rows are from elsewhere than was to be expected."""
    disconnected: str | None = None
    """Why this frame is an old one: the service does not answer."""

    @property
    def uncounted(self) -> bool:
        """Whether nothing counts calls, and nothing will: ``tracer_reason`` says why."""
        return self.tracer is None and bool(self.tracer_reason)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of this frame, schema ``straced.top/1``."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return {"schema": FRAME_SCHEMA, **built}
