"""The configuration of the service: every key with its meaning and default.

``docs/service.md`` lists the keys as they stand here; :mod:`straced.config.loader` reads them.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from straced.errors import StracedError
from straced.model.choices import TraceTracer


class Nanoseconds(int):
    """A duration, written ``"5s"`` or ``"2h30m"``."""


class Bytes(int):
    """A size, written ``"2GB"`` or ``"50MiB"``."""


S = 10**9
DAY = 86400 * S


class ConfigError(StracedError):
    """The configuration cannot be used; the service that runs keeps the one it has."""

    exit_code = 2
    code = "config"

    def __init__(self, reason: str, *, hint: str = "", public: str | None = None) -> None:
        super().__init__(reason, hint=hint)
        self.public = reason if public is None else public
        """The same without anything that the file says but its keys: the file may be readable for its owner alone."""


class WatchConfig(Struct, frozen=True, kw_only=True):
    """One rule: who is watched, and under which labels. Descendants are watched too, with the same labels."""

    target: Annotated[
        str,
        Meta(
            description="A pid, `children:PID`, `name:GLOB`, `unit:NAME.service`, `cgroup:/PATH`, `container:ID`, "
            "`container:NAME`, `pod:NS/NAME` or `user:NAME`."
        ),
    ]
    labels: Annotated[dict[str, str], Meta(description="Kept with all that these processes do.")] = {}


class StoreConfig(Struct, frozen=True, kw_only=True):
    """History."""

    enabled: Annotated[bool, Meta(description="Whether history is kept.")] = True
    path: Annotated[str, Meta(description="The database; empty: `history.db` in the state directory.")] = ""
    max_bytes: Annotated[Bytes, Meta(description="Beyond this the oldest rows are dropped.")] = Bytes(2 * 10**9)
    full: Annotated[Nanoseconds, Meta(description="How long every sample is kept.")] = Nanoseconds(DAY)
    minutes: Annotated[Nanoseconds, Meta(description="How long one-minute roll-ups are kept.")] = Nanoseconds(7 * DAY)
    hours: Annotated[Nanoseconds, Meta(description="How long one-hour roll-ups are kept.")] = Nanoseconds(90 * DAY)
    events: Annotated[Nanoseconds, Meta(description="How long events and alerts are kept.")] = Nanoseconds(30 * DAY)


class StreamConfig(Struct, frozen=True, kw_only=True):
    """Samples, events and alerts as NDJSON, one object a line."""

    path: Annotated[str, Meta(description="The file; empty: none.")] = ""
    max_bytes: Annotated[Bytes, Meta(description="At this size a new file is begun.")] = Bytes(100 * 10**6)
    files: Annotated[int, Meta(ge=1, description="How many old files are kept.")] = 5


class ExportConfig(Struct, frozen=True, kw_only=True):
    """History as Parquet, by date and host, each hour (extra ``analytics``)."""

    directory: Annotated[str, Meta(description="Where; empty: nowhere. Several hosts may share it.")] = ""
    host: Annotated[
        str, Meta(description="The name of this host in it, which no other has; empty: the one of the kernel.")
    ] = ""
    keep: Annotated[
        Nanoseconds, Meta(description="How long its files are kept, whole days of this host alone; 0: for ever.")
    ] = Nanoseconds(90 * DAY)


class Ipc(Struct, frozen=True, kw_only=True):
    """The socket that the command line and programs talk to."""

    socket: Annotated[
        str, Meta(description="Its path; empty: `/run/straced/straced.sock`, or in `$XDG_RUNTIME_DIR` for a user.")
    ] = ""
    max_clients: Annotated[int, Meta(ge=1, description="Connections at a time.")] = 256
    max_clients_per_user: Annotated[int, Meta(ge=1, description="Connections of one user at a time.")] = 64
    reserved_for_root: Annotated[
        int, Meta(ge=0, description="Of `max_clients`, kept for root; at most a quarter of them.")
    ] = 16
    reserved_for_users: Annotated[
        int,
        Meta(ge=0, description="Of the rest, kept for users with fewer than four connections; at most a quarter."),
    ] = 64
    max_sessions_per_user: Annotated[int, Meta(ge=1, description="Attaches and traces of one user at a time.")] = 16
    max_spool_per_user: Annotated[
        Bytes,
        Meta(description="Full traces of one user that wait to be read; shared among `max_sessions_per_user`."),
    ] = Bytes(256 * 10**6)
    max_buffers_per_user: Annotated[
        Bytes, Meta(description="Requests and answers of one user that wait, in memory; not of root.")
    ] = Bytes(32 * 10**6)
    max_requests_per_second: Annotated[
        float, Meta(gt=0, description="Requests of one user, over all their connections; not of root.")
    ] = 500.0
    max_bytes_per_second: Annotated[Bytes, Meta(description="Bytes that are read from one user; not from root.")] = (
        Bytes(16 * 10**6)
    )
    hello_timeout: Annotated[Nanoseconds, Meta(description="A connection that has not said hello is closed.")] = (
        Nanoseconds(5 * S)
    )
    silence_timeout: Annotated[
        Nanoseconds,
        Meta(description="A connection that asks nothing, and has neither sessions nor subscriptions, is closed."),
    ] = Nanoseconds(600 * S)


class Alerts(Struct, frozen=True, kw_only=True):
    """What is worth a word. A threshold of 0 turns an alert off."""

    enabled: Annotated[bool, Meta(description="Whether alerts are raised at all.")] = True
    cooldown: Annotated[
        Nanoseconds, Meta(description="After an alert has closed, the same one is not opened again for so long.")
    ] = Nanoseconds(300 * S)
    memory_spike_pct: Annotated[
        float, Meta(ge=0, description="RSS above its mean of the last ten minutes by so much, and by 64 MB.")
    ] = 100.0
    cpu_pct: Annotated[float, Meta(ge=0, description="CPU of one process (100: one CPU) for as long as `cpu_for`.")] = (
        90.0
    )
    cpu_for: Annotated[Nanoseconds, Meta(description="See `cpu_pct`.")] = Nanoseconds(300 * S)
    zombies: Annotated[int, Meta(ge=0, description="Zombies on the host.")] = 20
    fds_pct: Annotated[float, Meta(ge=0, description="Open descriptors, in percent of the process's own limit.")] = 80.0
    memory_pressure_pct: Annotated[
        float, Meta(ge=0, description="PSI memory `some` over 10 s; without PSI: used memory above 95 %.")
    ] = 20.0
    uninterruptible: Annotated[Nanoseconds, Meta(description="In state D at every look for so long.")] = Nanoseconds(
        30 * S
    )
    stuck: Annotated[Nanoseconds, Meta(description="A call is in flight and none has completed for so long.")] = (
        Nanoseconds(600 * S)
    )
    java: Annotated[
        bool,
        Meta(
            description="Ask Java virtual machines that listen for it, as after `-XX:+StartAttachListener`, whether"
            " threads that do not run are in a deadlock; each question stops them for some milliseconds."
        ),
    ] = False
    slow_calls: Annotated[int, Meta(ge=0, description="Slow calls (`slow.limit`) of one process within a minute.")] = 20
    error_shift: Annotated[
        float, Meta(ge=0, description="The share of failing calls, against the mean before, times so much.")
    ] = 5.0
    new_syscalls: Annotated[bool, Meta(description="A program makes a system call for the first time.")] = True
    new_errnos: Annotated[bool, Meta(description="A program gets an error from a call for the first time.")] = True
    learn: Annotated[
        Nanoseconds, Meta(description="How long a program is observed before something counts as new.")
    ] = Nanoseconds(3600 * S)


class SlowConfig(Struct, frozen=True, kw_only=True):
    """Calls that take long, each with its file or peer."""

    enabled: Annotated[
        bool,
        Meta(description="Whether they are told, by eBPF; turned on again it serves what is watched from then on."),
    ] = True
    limit: Annotated[Nanoseconds, Meta(description="A call that takes so long is slow.")] = Nanoseconds(S // 10)
    per_minute: Annotated[
        int, Meta(ge=1, le=10000, description="Of one user's processes, so many are told; the others are counted.")
    ] = 60


class Room(Struct, frozen=True, kw_only=True):
    """What there is room for, and how much of it one user may have."""

    rows: Annotated[
        int,
        Meta(ge=1024, le=65536, description="Different calls, over all processes, that eBPF counts (704 bytes each)."),
    ] = 32768
    user_pct: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="How much of that one user's processes may have, in a service of root for all.",
        ),
    ] = 50
    rules_per_user: Annotated[int, Meta(ge=1, le=10000, description="Rules that one user may add.")] = 100

    @property
    def share(self) -> float:
        return self.user_pct / 100


class TraceAction(Struct, frozen=True, kw_only=True):
    """A bounded full trace."""

    seconds: Annotated[float, Meta(gt=0, le=600, description="How long.")] = 10.0
    bytes: Annotated[Bytes, Meta(description="How much at most.")] = Bytes(50 * 10**6)
    tracer: Annotated[
        TraceTracer,
        Meta(description="`ebpf` does not hold the process up; `strace` has what strings contain; `auto`: the first."),
    ] = "auto"
    format: Annotated[
        Literal["text", "strc"], Meta(description="Lines as strace writes them, or records (eBPF), which cost less.")
    ] = "text"


class DumpAction(Struct, frozen=True, kw_only=True):
    """A dump of the flight recorder."""

    last: Annotated[Nanoseconds, Meta(description="How far back; less where the rings do not reach so far.")] = (
        Nanoseconds(60 * S)
    )


class RecordConfig(Struct, frozen=True, kw_only=True):
    """The flight recorder: the last calls of all that is watched, with their arguments, in memory."""

    enabled: Annotated[bool, Meta(description="Whether calls are recorded.")] = False
    ring: Annotated[Bytes, Meta(description="Memory of each CPU: 512 KiB to 64 MiB, of a power of two.")] = Bytes(
        4 << 20
    )
    max_bytes: Annotated[Bytes, Meta(description="All dumps of alerts together; the oldest go.")] = Bytes(500 * 10**6)
    keep: Annotated[Nanoseconds, Meta(description="How long dumps of alerts are kept.")] = Nanoseconds(7 * DAY)


class OnAlert(Struct, frozen=True, kw_only=True):
    """What an alert that opens starts."""

    kinds: Annotated[tuple[str, ...], Meta(description="Only for these alerts; empty: for all.")] = ()
    trace: Annotated[
        TraceAction | None, Meta(description='A full trace of the process: `{seconds = 10, bytes = "50MB"}`.')
    ] = None
    dump: Annotated[
        DumpAction | None,
        Meta(description='What the flight recorder has of the process: `{last = "60s"}`; with `[record]` only.'),
    ] = None
    command: Annotated[
        tuple[str, ...],
        Meta(description="A program and its arguments, without a shell; the alert is on its stdin as JSON."),
    ] = ()
    max_traces: Annotated[int, Meta(ge=0, description="Traces of alerts at a time.")] = 2
    max_bytes: Annotated[Bytes, Meta(description="All traces of alerts together; the oldest go.")] = Bytes(500 * 10**6)


class Metrics(Struct, frozen=True, kw_only=True):
    """OpenMetrics."""

    listen: Annotated[
        str,
        Meta(
            description="`unix:/PATH` (the service's user alone), `127.0.0.1:PORT` or `[::1]:PORT` (everybody on this"
            " host); empty: no listener."
        ),
    ] = ""
    hosts: Annotated[
        tuple[str, ...], Meta(description="Names a request may use for this host, besides localhost.")
    ] = ()
    textfile: Annotated[str, Meta(description="Written each interval, for the node exporter; empty: none.")] = ""
    max_series: Annotated[
        int, Meta(ge=1, description="Series of syscalls; what goes beyond is added up as `other`.")
    ] = 5000


class Otlp(Struct, frozen=True, kw_only=True):
    """Metrics pushed by OTLP/HTTP, in its JSON encoding: nothing else has to be installed for it."""

    endpoint: Annotated[str, Meta(description="`http://HOST:4318/v1/metrics`; empty: none.")] = ""
    interval: Annotated[Nanoseconds, Meta(description="How often.")] = Nanoseconds(30 * S)


class Web(Struct, frozen=True, kw_only=True):
    """The live screen as a web page, for this host alone."""

    listen: Annotated[str, Meta(description="`127.0.0.1:PORT` or `[::1]:PORT`; empty: no page.")] = ""
    hosts: Annotated[
        tuple[str, ...], Meta(description="Names a browser may use for this host, besides localhost.")
    ] = ()


class Config(Struct, frozen=True, kw_only=True):
    """All of it."""

    interval: Annotated[Nanoseconds, Meta(description="Between samples: 0.2 s to 1 h.")] = Nanoseconds(5 * S)
    discover: Annotated[
        Nanoseconds, Meta(description="Between looks at all processes for new matches; not less than 0.2 s.")
    ] = Nanoseconds(5 * S)
    tracer: Annotated[
        str,
        Meta(
            description="`auto` (eBPF where it can be had, else facts alone), `ebpf` (not without it) or `none`"
            " (nothing is attached to)."
        ),
    ] = "auto"
    state: Annotated[
        str, Meta(description="The state directory; empty: `/var/lib/straced`, or in `$XDG_STATE_HOME`.")
    ] = ""
    watch: Annotated[tuple[WatchConfig, ...], Meta(description="The rules, each a `[[watch]]`.")] = ()
    store: StoreConfig = field(default_factory=StoreConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    ipc: Ipc = field(default_factory=Ipc)
    room: Room = field(default_factory=Room)
    slow: SlowConfig = field(default_factory=SlowConfig)
    alerts: Alerts = field(default_factory=Alerts)
    on_alert: OnAlert = field(default_factory=OnAlert)
    record: RecordConfig = field(default_factory=RecordConfig)
    metrics: Metrics = field(default_factory=Metrics)
    otlp: Otlp = field(default_factory=Otlp)
    web: Web = field(default_factory=Web)


TRACERS = ("auto", "ebpf", "none")
LEAST_RING, MOST_RING = 8 << 16, 64 << 20
MIN_SLOW_NS = S // 1000
MIN_INTERVAL_NS, MAX_INTERVAL_NS = S // 5, 3600 * S
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
"""The name of a host, as a part of a path."""
