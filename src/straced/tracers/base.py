"""The protocol that every tracer serves. Read one tracer and you have read them all.

A tracer opens nothing until its first attach. A session belongs to one target; closing is idempotent, and
whatever happens (an exception, a cancellation, the death of the owner) the target runs on, untraced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct

from straced.errors import StracedError
from straced.model.slow import MOST_KEPT, SlowSyscall
from straced.model.types import Overhead, Sample, Target
from straced.tracers.event_stream import EventStream, SlowCallStream

CHANGED_USER = "changed_user"
"""Why a session is over: an execve took the target away from the user for whom it was traced."""


class Rights(Struct, frozen=True):
    """The user for whom a process is traced, by a straced that may see more than they may."""

    uid: int
    gid: int
    capabilities: int = 0
    """Those that they hold in the initial user namespace."""


class AttachOptions(Struct, frozen=True, kw_only=True):
    """What to attach to besides the target itself, and when to let go."""

    follow: bool = True
    """Children too: those that exist and those to come. All threads are traced in any case."""
    per_thread: bool = False
    """Rows of each thread (eBPF)."""
    max_tasks: int = 1000
    """More tasks than this are not put under ptrace: it would cost the machine more than it tells."""
    max_overhead_pct: float | None = None
    """Detach with what there is when the estimated slowdown of the target exceeds this."""
    force: bool = False
    """Allow the host's pid 1."""
    user: Rights | None = None
    """Count only what is wholly this user's: a process stops to be at the execve that changes its rights (eBPF)."""
    apart: bool = False
    """Count what is not the user's, too, in a session of its own, for those who may see it."""
    by_program: bool = False
    """Rows of what has ended are told apart by program, also at an execve; not together with ``per_thread`` (eBPF)."""
    time: str = "wall"
    """``wall`` or ``cpu`` (plain ``strace -c``)."""
    slower_ns: int | None = None
    """Tell calls that take at least so long, with what they are about (eBPF)."""
    slow_waits: bool = False
    """Those that are made to wait, too."""
    slow_rate: int = 1000
    """At most so many a second; the others are counted. 0: no bound."""
    slow_kept: int = MOST_KEPT
    """So many of them, the longest, are kept for samples."""
    files: bool = False
    """Add calls up by file and peer, too (eBPF)."""

    io_uring: bool = False
    """Count requests of io_uring, too (eBPF)."""

    @property
    def wants_details(self) -> bool:
        """Whether more than counters is wanted."""
        return self.slower_ns is not None or self.files


class Availability(Struct, frozen=True, kw_only=True):
    """Whether a tracer can serve; if not, the error an attach would raise."""

    usable: bool
    detail: str = ""
    """A version or a short reason, for people."""
    error: StracedError | None = None


class Ending(Struct, frozen=True, kw_only=True):
    """Why a session or a full trace is over."""

    reason: str
    """``detached``, ``exited``, ``killed(N)``, ``overhead``, ``tasks``, ``tracer_crashed(N)``, ``taken_over``,
    ``lost``, ``changed_user`` (the target took other rights or hid itself); of a trace also ``max_bytes``,
    ``max_seconds``, ``disk_full``, ``file_limit``, ``reader_gone``, ``reader_slow``; or what was given as a reason."""
    exit_status: int | None = None
    """The exit code of the target, or minus the signal that killed it; ``None`` while it runs or if not known."""


def reason_of(why: str) -> str:
    """The reason of an :class:`Ending` for which somebody let go: ``detach`` is told as ``detached``."""
    return "detached" if why == "detach" else why


class Coverage(Struct, kw_only=True):
    """How much of a target is under ptrace. ``complete`` is the kernel's word for every living task."""

    traced: int = 0
    seen: int | None = 0
    """``None`` where threads came and went too fast to be counted."""
    complete: bool = False
    churn: bool = False
    """Tasks came and went faster than they could be looked at: whether all are traced is not known."""
    foreign: tuple[int, ...] = ()
    """Tracers of others that hold some of the tasks."""
    task_limited: bool = False
    """There were too many tasks at the attach already: only some are traced, and none of the new ones."""


class TracerSession(Protocol):
    """One tracer on one target."""

    @property
    def target(self) -> Target: ...

    @property
    def helper_pids(self) -> list[int]:
        """Live processes that straced started for this session (strace); empty for in-kernel tracers."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it still counts, as far as is known without asking."""
        ...

    @property
    def coverage(self) -> Coverage | None:
        """Which tasks of the target ptrace has; ``None`` where nothing has to be put on each task."""
        ...

    async def read(self) -> Sample:
        """The counters so far, without detaching.

        Raises:
            NotLive: this tracer tells nothing before its end.
        """
        ...

    async def wait(self) -> Ending:
        """Wait until the session is over: the target ended, or a limit was reached."""
        ...

    def request_stop(self, why: str = "detach", grace_s: float | None = None) -> None:
        """Begin to let go without waiting, where that takes time; :meth:`detach` is to follow.

        Args:
            why: the reason of the ending. That of the first call stands.
            grace_s: how long a helper may take before it is killed; else as the tracer has it.
        """
        ...

    async def detach(self, why: str = "detach", grace_s: float | None = None) -> Sample:
        """Let go of the target and return the last counters. Idempotent: a second call returns the same.

        Args:
            why: as in :meth:`request_stop`.
            grace_s: as in :meth:`request_stop`.
        """
        ...

    def overhead(self, sample: Sample, duration_ns: int) -> Overhead:
        """The estimated slowdown of the target while it was traced."""
        ...


@runtime_checkable
class EventSource(Protocol):
    """A session that tells what happens to processes as it happens."""

    def events(self) -> EventStream:
        """Forks, execs and exits of the target and its descendants, from this call on, until the session is over."""
        ...


class Tracer(Protocol):
    """A backend that counts the system calls of a target."""

    @property
    def name(self) -> str:
        """``ebpf``, ``strace`` or ``sampler``."""
        ...

    @property
    def uses_ptrace(self) -> bool:
        """Whether it stops its target at each call, is its only tracer, and tells its counts when it lets go."""
        ...

    @property
    def tells_events(self) -> bool:
        """Whether its sessions are each an :class:`EventSource`."""
        ...

    @property
    def helper_pids(self) -> list[int]:
        """Live processes that it started for its sessions."""
        ...

    @property
    def process_pids(self) -> list[int]:
        """All live processes that it started, those included that only wait to be of use."""
        ...

    def probe(self, target: Target | None = None) -> Availability:
        """Whether this tracer can serve here, and on this target. No process is touched."""
        ...

    def trial(self) -> Availability:
        """Whether it can serve here, tried out where only the kernel's answer to an attempt is certain."""
        ...

    async def attach(self, target: Target, options: AttachOptions) -> TracerSession:
        """Attach, and return once the kernel has confirmed it.

        Raises:
            AttachError: this target cannot be had; it runs on untouched.
            TracerUnavailable: this tracer cannot serve here.
        """
        ...

    async def close(self) -> None:
        """End all sessions and helpers. Idempotent."""
        ...


@runtime_checkable
class LiveTracer(Protocol):
    """A tracer that reads all its sessions at once, much cheaper than one after the other."""

    def read_all(self) -> Mapping[TracerSession, Sample]:
        """The counters of all sessions so far."""
        ...

    def sum_all(self) -> Mapping[TracerSession, Sample]:
        """The same for one reader who wants sums by process; rows are decoded when they are looked at."""
        ...


@runtime_checkable
class LoadedTracer(Protocol):
    """A tracer that loads something before its first attach, which takes much longer than an attach."""

    async def load(self, options: AttachOptions) -> None:
        """Load now what an attach with these options will need.

        Raises:
            TracerUnavailable: this tracer cannot serve here.
        """
        ...


@runtime_checkable
class ChildTracer(Protocol):
    """A tracer that can count what a process starts, and not the process itself."""

    async def mark_children(self, of: int, user: Rights | None = None) -> TracerSession:
        """Count all that a process starts from now on; for a user, what is wholly theirs.

        Raises:
            AttachError: there is no such process, or it may not be traced.
            TracerUnavailable: this tracer cannot serve here.
        """
        ...


@runtime_checkable
class SlowCallSource(Protocol):
    """A session that tells calls over :attr:`AttachOptions.slower_ns` as they return."""

    def slow_calls(self) -> SlowCallStream:
        """Calls over the limit, from this call on, until the session is over."""
        ...

    def tell_slow(self, hear: Callable[[SlowSyscall], None]) -> None:
        """The same for one who is called with each."""
        ...

    def limit_slow(self, slower_ns: int) -> None:
        """Another limit from now on; 0: nothing is told."""
        ...


@runtime_checkable
class UserSession(Protocol):
    """A session that knows whose each process is; see :attr:`AttachOptions.user`."""

    @property
    def heir(self) -> TracerSession | None:
        """Counts what is not the user's for whom this session is, if :attr:`AttachOptions.apart` asked for that."""
        ...

    @property
    def callers(self) -> Mapping[int, tuple[int, int] | None]:
        """By process, as of the last reading, user and group who called the execve of its program.

        ``None`` where an execve gave it rights at some time.
        """
        ...

    @property
    def left(self) -> frozenset[int]:
        """Processes that are not the user's any more; what the last reading has of them they did before."""
        ...
