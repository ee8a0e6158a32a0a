"""The protocol that every tracer serves. Read one tracer and you have read them all.

A tracer opens nothing until its first attach. A session belongs to one target; closing is idempotent, and
whatever happens (an exception, a cancellation, the death of the owner) the target runs on, untraced.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from straced.errors import StracedError
from straced.model.types import Overhead, Sample, Target

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
    """More tasks than this are not put under ptrace: it would cost the machine more than it tells (S25)."""
    max_overhead_pct: float | None = None
    """Detach with what there is when the estimated slowdown of the target exceeds this."""
    force: bool = False
    """Allow the host's pid 1."""
    user: Rights | None = None
    """Count only what is wholly this user's: a process stops to be at the execve that changes its rights (eBPF)."""
    apart: bool = False
    """Count what is not the user's, too, in a session of its own, for those who may see it."""
    time: str = "wall"
    """``wall`` or ``cpu`` (plain ``strace -c``)."""


class Availability(Struct, frozen=True, kw_only=True):
    """Whether a tracer can serve; if not, the error an attach would raise."""

    usable: bool
    detail: str = ""
    """A version or a short reason, for people."""
    error: StracedError | None = None


class Ending(Struct, frozen=True, kw_only=True):
    """Why a session is over.

    ``reason``: ``detached``, ``exited``, ``killed(N)``, ``overhead``, ``tasks``, ``tracer_crashed(N)``,
    ``taken_over``, ``limit``, ``lost``, ``changed_user`` (an execve took the target away from the user).
    """

    reason: str
    exit_status: int | None = None


class TracerSession(Protocol):
    """One tracer on one target."""

    @property
    def target(self) -> Target: ...

    @property
    def helper_pids(self) -> list[int]:
        """Live processes that straced started for this session (strace); empty for in-kernel tracers."""
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

    async def detach(self) -> Sample:
        """Let go of the target and return the last counters. Idempotent: a second call returns the same."""
        ...

    def overhead(self, sample: Sample, duration_ns: int) -> Overhead:
        """The estimated slowdown of the target while it was traced."""
        ...


class Tracer(Protocol):
    """A way of observing."""

    @property
    def name(self) -> str:
        """``ebpf``, ``strace`` or ``sampler``."""
        ...

    def probe(self, target: Target | None = None) -> Availability:
        """Whether this tracer can serve here, and on this target. No process is touched."""
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
