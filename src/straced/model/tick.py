"""What one tick of the service hands to store, alerts, metrics and subscribers: frozen, whole, and the same for all."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from straced.model.facts import HostFacts, ProcessFacts
from straced.model.owner import Owner

OTHER_PROGRAMS = "other"
"""In place of a program that is not known: too many ended in one tree, or there was no room to tell them apart."""


class Calls(Struct, frozen=True, gc=False):
    """What happened of one call in one interval."""

    name: str
    abi: str
    calls: int | None
    errors: int | None
    wall_ns: int | None
    waiting_ns: int | None
    errno: dict[str, int] | None = None
    in_flight: int | None = None
    program: str = ""
    """The name of the file that ran; empty where that is not told apart."""


def by_program(calls: Iterable[Calls]) -> dict[str, list[Calls]]:
    """Calls of ended processes by the program that made them."""
    found: dict[str, list[Calls]] = {}
    for each in calls:
        found.setdefault(each.program, []).append(each)
    return found


class ProcessSample(Struct, frozen=True, kw_only=True, gc=False):
    """A watched process in one interval."""

    facts: ProcessFacts
    owner: Owner
    root: tuple[int, int]
    """Pid and start time of the tree that it is counted in."""
    calls: tuple[Calls, ...] | None = None
    """What it asked of the kernel since the sample before; ``None``: not counted."""
    ended: tuple[Calls, ...] = ()
    """Of a tree's root: what its descendants did that have ended since, or went on with another program; by program."""
    others: tuple[Calls, ...] = ()
    """Of a tree's root: what descendants did that have ended and were not its owner's (setuid programs); for root."""
    lost: int | None = 0
    """Of a tree's root: calls that could not be counted."""
    in_flight: dict[str, int] = {}


class Tick(Struct, frozen=True, kw_only=True):
    """All watched processes, and the host, at one moment."""

    epoch_s: float
    monotonic_ns: int
    duration_ns: int | None
    """Since the tick before; ``None`` for the first."""
    boot_id: str
    host: HostFacts
    processes: tuple[ProcessSample, ...] = ()
    late: bool = False
    cut: int = 0
    """Processes that are left out here, for there was no room for all."""


class ServiceEvent(Struct, frozen=True, kw_only=True):
    """Something that is kept as an event: a process came or went, an alert, something about the service itself."""

    epoch_s: float
    kind: str
    """``started``, ``found`` (an earlier service watched it), ``ended``, ``not_counted``, ``alert_opened``,
    ``alert_closed``, ``service_started``, ..."""
    text: str = ""
    pid: int | None = None
    start_ticks: int | None = None
    comm: str = ""
    labels: dict[str, str] = {}
    owner: Owner | None = None
    """Who may see it; ``None``: everybody, since it is about the service."""
    data: dict[str, str | int | float | bool | None] = {}
