"""Frozen values of one moment: what a process is like, what the host is like, and what straced itself costs.

``None`` is "not known" (not readable, or no earlier reading to compare with), never zero.
"""

from __future__ import annotations

from msgspec import Struct


class ProcessFacts(Struct, frozen=True, kw_only=True, gc=False):
    """One process at one moment, from /proc (proc(5))."""

    pid: int
    start_ticks: int
    """Clock ticks after boot at which it started: with the pid, who this is."""
    ppid: int
    uid: int | None = None
    """The real user id."""
    comm: str = ""
    exe: str | None = None
    cmdline: tuple[str, ...] = ()
    """Read when it is first seen, after an exec, and every ``SLOW_S`` seconds."""
    state: str = "?"
    """R running, S sleeping, D waiting without being interruptible, T stopped, t traced, Z ended, I idle."""
    cpu_pct: float | None = None
    """Of one CPU, since the reading before, in user mode and in the kernel: 250.0 keeps two and a half CPUs busy."""
    cpu_ns: int = 0
    """CPU time since the start, in steps of a clock tick (10 ms as a rule)."""
    cpu_delta_ns: int | None = None
    """CPU time since the reading before."""
    rss_bytes: int = 0
    vms_bytes: int = 0
    threads: int = 0
    fds: int | None = None
    fd_limit: int | None = None
    """The soft RLIMIT_NOFILE; ``None`` when unlimited or not readable."""
    voluntary_switches: int | None = None
    """Context switches of the threads that live now, because they had to wait. A slow fact."""
    involuntary_switches: int | None = None
    start_time: float = 0.0
    """Seconds since the epoch."""
    age_s: float = 0.0
    labels: dict[str, str] = {}

    @property
    def key(self) -> tuple[int, int]:
        """Pid and start time: never the same for two processes of one boot."""
        return self.pid, self.start_ticks


class Pressure(Struct, frozen=True):
    """Pressure stall information: the share of the last 10 s, in percent, in which somebody (or all) had to wait."""

    some_pct: float
    full_pct: float | None = None


class GpuFacts(Struct, frozen=True, kw_only=True):
    """One GPU, as ``nvidia-smi`` tells."""

    index: int
    name: str
    busy_pct: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    memory_by_pid: dict[int, int] = {}
    """Bytes of GPU memory by process."""


class OwnCost(Struct, frozen=True, kw_only=True):
    """What straced itself takes."""

    cpu_pct: float | None = None
    """Of one CPU, since the reading before."""
    rss_bytes: int = 0
    fds: int | None = None
    tick_ns: int | None = None
    """How long the last sample took to collect."""
    late_ticks: int = 0
    """Samples that could not be taken on time since the start."""


class HostFacts(Struct, frozen=True, kw_only=True):
    """The host at one moment."""

    epoch_s: float
    monotonic_ns: int
    cpus: int
    cpu_pct: float | None = None
    """Busy share of all CPUs together since the reading before: at most 100."""
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    load: tuple[float, float, float] | None = None
    """Over 1, 5 and 15 minutes."""
    cpu_pressure: Pressure | None = None
    memory_pressure: Pressure | None = None
    io_pressure: Pressure | None = None
    processes: int | None = None
    zombies: int | None = None
    """Processes that have ended and were not waited for. Counted with each look at all processes."""
    gpus: tuple[GpuFacts, ...] = ()
    own: OwnCost = OwnCost()
