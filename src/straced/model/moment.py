"""What happened in a span of time: values that cross the socket as they are."""

from __future__ import annotations

from msgspec import Struct

from straced.model.history import KeptAlert, KeptEvent, ProgramUse


class MomentStep(Struct, frozen=True, kw_only=True):
    """One step of the span. Its percentiles leave out calls that wait for work."""

    time: float
    """Its begin, in seconds since the epoch."""
    end: float
    """Its end; never in the future."""
    calls: int | None = None
    errors: int | None = None
    cpu_ns: int = 0
    p50_ns: int | None = None
    p99_ns: int | None = None
    max_ns: int | None = None


class CallLatency(Struct, frozen=True, kw_only=True):
    """A call of a program, by how long the slowest of them took."""

    program: str
    job: str = ""
    syscall: str
    calls: int
    p50_ns: int | None = None
    p99_ns: int | None = None
    max_ns: int | None = None
    p99_before_ns: int | None = None
    """In the time of the same length before; ``None``: not asked for, or there were none."""
    host: str = ""
    """Where several were asked: which one."""


class FailingCall(Struct, frozen=True, kw_only=True):
    """Calls of a program that failed with one errno."""

    program: str
    job: str = ""
    syscall: str
    errno: str
    errors: int
    host: str = ""
    """Where several were asked: which one."""


class Moment(Struct, frozen=True, kw_only=True):
    """What happened in a span."""

    start: float
    """Seconds since the epoch; the span begins with a minute, or with an hour where it is long."""
    end: float
    """The same; never in the future."""
    step_s: float
    steps: tuple[MomentStep, ...] = ()
    programs: tuple[ProgramUse, ...] = ()
    """The busiest first."""
    failing: tuple[FailingCall, ...] = ()
    slow: tuple[CallLatency, ...] = ()
    """The slowest first, without calls that wait for work."""
    alerts: tuple[KeptAlert, ...] = ()
    """Those that were open then."""
    events: tuple[KeptEvent, ...] = ()
    """The newest last."""
    known: bool = True
    """Whether anything at all is known of what was asked for, at any time."""
    first: float | None = None
    """When history begins."""
    uncounted: int = 0
    """Processes whose calls were not counted: they are in no sum."""
    lost: int | None = 0
    gaps_s: float = 0.0
    """Time in the span in which the service did not run."""
    clock_set: bool = False
    """Whether the clock was set within it, so that a minute may have happened twice, or not at all."""
