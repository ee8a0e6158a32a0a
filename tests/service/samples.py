"""Ticks with known figures, for tests of what becomes of them."""

from __future__ import annotations

from straced.linux import procfs
from straced.linux.credentials import Owner
from straced.model.facts import HostFacts, ProcessFacts
from straced.model.tick import ProcessSample, Tick
from straced.service.collect.call_counter import Calls

ME = Owner(0, 0, False)
NOON = 1_780_000_000.0 - 1_780_000_000 % 3600


def calls(name: str = "read", count: int = 10, errors: int = 0, wall_ns: int = 1000, waiting_ns: int = 0) -> Calls:
    """What one call did."""
    errno = {"EAGAIN": errors} if errors else None
    return Calls(name, "x86_64", count, errors, wall_ns, waiting_ns, errno, 0)


def process(
    pid: int = 42,
    *,
    start: int = 7,
    rss: int = 1000,
    state: str = "S",
    cpu_ns: int = 0,
    made: tuple[Calls, ...] | None = (),
    ended: tuple[Calls, ...] = (),
    labels: dict[str, str] | None = None,
    owner: Owner = ME,
    comm: str = "worker",
    lost: int | None = 0,
    **facts: object,
) -> ProcessSample:
    """A watched process."""
    known = ProcessFacts(
        pid=pid,
        start_ticks=start,
        ppid=1,
        comm=comm,
        exe=f"/usr/bin/{comm}",
        state=state,
        rss_bytes=rss,
        threads=1,
        cpu_delta_ns=cpu_ns,
        labels=labels or {},
        **facts,  # type: ignore[arg-type]
    )
    return ProcessSample(facts=known, owner=owner, root=(pid, start), calls=made, ended=ended, lost=lost)


def tick(at: float, *processes: ProcessSample, host: HostFacts | None = None) -> Tick:
    """A tick at ``at`` seconds since the epoch."""
    return Tick(
        epoch_s=at,
        monotonic_ns=int(at * 1e9),
        duration_ns=10**9,
        boot_id=procfs.boot_id(),
        host=host or HostFacts(epoch_s=at, monotonic_ns=0, cpus=2),
        processes=processes,
    )
