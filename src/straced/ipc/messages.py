"""Parameters and results of each request. Fields that a side does not know are ignored, so that both may grow."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from straced.model.facts import HostFacts
from straced.model.tick import ProcessSample
from straced.model.types import Target

Pid = Annotated[int, Meta(ge=0, le=1 << 22)]
Number = Annotated[int, Meta(ge=0, le=1 << 62)]
Count = Annotated[int, Meta(ge=0, le=100_000)]
Epoch = Annotated[float, Meta(ge=-1e11, le=1e11)]
"""Some three thousand years around 1970."""
Name = Annotated[str, Meta(max_length=4096)]
Rank = Literal["calls", "errors", "time", "cpu", "rss", "wall_ns", "waiting_ns", "cpu_ns", "rss_max_bytes"]
MAX_PIECE = 1 << 19
"""Bytes of a trace in one answer."""


class Hello(Struct, frozen=True, kw_only=True):
    """The first request."""

    protocol: Annotated[int, Meta(ge=0, le=1 << 31)]
    client: str = ""


class Welcome(Struct, frozen=True, kw_only=True):
    """Its answer."""

    protocol: int
    version: str
    system: bool
    pid: int
    you: int
    """The user id that the kernel told the service."""


class Nothing(Struct, frozen=True):
    """No parameters, or no result."""


class Status(Struct, frozen=True, kw_only=True):
    """The state of the service."""

    version: str
    pid: int
    system: bool
    started: float
    interval_ns: int
    tracer: str | None
    """What counts calls; ``None``: nothing does, and ``tracer_reason`` says why."""
    tracer_reason: str = ""
    history: str = "ok"
    """``ok``, ``full``, ``locked``, ``failed``, ``off``."""
    history_path: str = ""
    history_bytes: int | None = None
    history_dropped: int = 0
    history_moved: str | None = None
    export: str = "off"
    """``ok``, ``behind`` (hours are to be written), ``failed``, ``off``."""
    export_error: str = ""
    """Told to root, where the service is everybody's."""
    export_waiting: int | None = None
    """Hours that are over and not exported yet; ``None``: not known."""
    rules: int = 0
    watched: int = 0
    """Processes that are watched and that you may see."""
    sessions: int = 0
    clients: int = 0
    alerts_open: int = 0
    ticks: int = 0
    late_ticks: int = 0
    host: HostFacts | None = None
    config_error: str | None = None
    """Why the configuration that was last loaded was not taken."""
    records: str = "off"
    """The flight recorder: ``on``, ``failed``, ``off``."""
    records_bytes: int | None = None
    """The memory of its rings; ``None``: there are none."""
    recorded: int = 0
    """Full traces that eBPF records now, for clients and for alerts."""
    slow_ns: int | None = None
    """Calls of this duration or more are told as slow; ``None``: none are."""


class WatchParams(Struct, frozen=True, kw_only=True):
    """A rule to add or to take away."""

    target: str
    labels: dict[str, str] = {}


class WatchRule(Struct, frozen=True, kw_only=True):
    """A rule as it stands."""

    target: str
    labels: dict[str, str] = {}
    owner: int | None = None
    """Who added it; ``None``: the configuration."""
    processes: int = 0


class LabelParams(Struct, frozen=True, kw_only=True):
    """Labels for a process and its descendants, from now on; it is watched from now on, too."""

    pid: Pid
    labels: dict[str, str]


class SubscribeParams(Struct, frozen=True, kw_only=True):
    """What to be told of: ``ticks``, ``events``, ``alerts``."""

    topics: Annotated[tuple[Name, ...], Meta(max_length=16)]


class TickPart(Struct, frozen=True, kw_only=True):
    """A tick, or a part of one that is too large for a frame."""

    sequence: int
    part: int
    parts: int
    epoch_s: float
    monotonic_ns: int
    duration_ns: int | None
    boot_id: str
    host: HostFacts
    processes: tuple[ProcessSample, ...] = ()
    late: bool = False
    cut: int = 0
    """Processes that are left out, for there was no room for all."""


class Gap(Struct, frozen=True):
    """Notifications that this client was too slow for."""

    dropped: int
    """How many were dropped."""


class Select(Struct, frozen=True, kw_only=True):
    """Processes and a span of history."""

    pid: Pid | None = None
    """One process."""
    name: Name | None = None
    """Processes of this name, with ``*`` and ``?``."""
    job: Name | None = None
    """Processes with this value of the label ``job``."""
    since: Epoch = 0.0
    """The begin of the span, in seconds since the epoch."""
    until: Epoch | None = None
    """Its end; now when left out."""
    step_s: Annotated[float, Meta(ge=0, le=1e9)] = 60.0
    """The length of a step of a time line, in seconds."""
    by: Rank = "calls"
    """What the busiest are ranked by."""
    limit: Count = 100
    """The most that are listed."""
    after: Number = 0
    """Only events and alerts of a greater number than this."""
    open_only: bool = False
    """Only alerts that are open."""
    kinds: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()
    """Only events of these kinds; all when there are none."""


class AttachParams(Struct, frozen=True, kw_only=True):
    """As :meth:`straced.Profiler.attach`."""

    pid: Pid
    follow: bool = True
    labels: dict[str, str] = {}
    time: str = "wall"
    per_thread: bool = False
    tracer: str = "auto"
    slower_ns: Annotated[int, Meta(ge=1, le=1 << 60)] | None = None
    slow_waits: bool = False
    files: bool = False
    io_uring: bool = False


class Attached(Struct, frozen=True, kw_only=True):
    """A session of this connection."""

    session: int
    target: Target
    tracer: str
    tracer_reason: str
    records: bool = False
    """Of a trace: what is read of it is a file of records."""


class SessionParams(Struct, frozen=True, kw_only=True):
    """A session by its number."""

    session: Number


class DetachParams(Struct, frozen=True, kw_only=True):
    """A session to end, and what its summary gives as its end."""

    session: Number
    why: Annotated[str, Meta(max_length=64)] = "detach"


class ChildrenParams(Struct, frozen=True, kw_only=True):
    """As :meth:`straced.Profiler.watch_children`."""

    pid: Pid
    labels: dict[str, str] = {}


Told = Literal["events", "slow_calls"]


class ListenParams(Struct, frozen=True, kw_only=True):
    """A session, and what of it somebody wants to listen to."""

    session: Number
    what: Told = "events"


class Listening(Struct, frozen=True, kw_only=True):
    """A listener to the events of a session."""

    listener: int


class ListenerParams(Struct, frozen=True, kw_only=True):
    """A session, and one of those that listen to its events."""

    session: Number
    listener: Number


class SummaryParams(Struct, frozen=True, kw_only=True):
    """A session, and the ``monotonic_ns`` of earlier readings of it: from the one to the other, or until now."""

    session: Number
    since_ns: Number | None = None
    until_ns: Number | None = None


class Ended(Struct, frozen=True, kw_only=True):
    """Why a session or trace is over."""

    reason: str
    exit_status: int | None = None
    dropped_lines: int = 0


class TraceParams(Struct, frozen=True, kw_only=True):
    """A full trace, which the client then asks for piece by piece, and writes into a file of its own."""

    pid: Pid
    follow: bool = True
    timestamps: Name = "us"
    decode_fds: bool = True
    string_bytes: Annotated[int, Meta(ge=0, le=1 << 20)] = 128
    trace: Name | None = None
    paths: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()
    failed_only: bool = False
    max_bytes: Annotated[int, Meta(ge=1, le=1 << 62)] | None = None
    max_seconds: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    tracer: Name = "strace"
    """``ebpf``, ``strace``, or ``auto``. What eBPF records comes as a file of records, of which the client makes lines:
    so ``max_bytes`` is of lines, and the client's to keep, unless ``binary``."""
    binary: bool = False
    """The client keeps the records as they are, and cannot do with anything else."""


class DumpParams(Struct, frozen=True, kw_only=True):
    """What the flight recorder has of a process and of all below it; the client asks for it piece by piece."""

    pid: Pid
    last_ns: Number | None = None
    """Only calls that ended so long before, or later."""
    redacted: bool = False
    """Without secrets; so are those of whoever is not root in any case."""


class DumpTaken(Struct, frozen=True, kw_only=True):
    """A dump of the flight recorder."""

    session: int
    """Under which its bytes are asked for, as those of a trace."""
    bytes: int
    calls: int
    """Those that it has records of."""
    span_ns: int
    """How far back nothing of them is missing, as far as you may see them."""


class TracePiece(Struct, frozen=True, kw_only=True):
    """The next lines or records of a trace; empty at its end."""

    data: bytes
