"""The gauges of the moment: watched processes, the host, and the service itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from straced.model.tick import Tick
from straced.service.metrics.exposition import OTHERS, Family, Group, Line, group_of, labels_of

if TYPE_CHECKING:
    from straced.service.service import Service


def of_tick(tick: Tick, known: Collection[Group]) -> Iterator[Family]:
    """The gauges of a tick: of the watched processes by group, of the host, and of straced.

    Args:
        tick: the last one.
        known: groups that have series of their own; the others are added up.
    """
    groups: dict[tuple[str, str], list[float]] = {}
    for sample in tick.processes:
        if sample.facts.state == "X":
            continue
        key = group_of(sample)
        key = key if key in known else OTHERS
        sums = groups.setdefault(key, [0, 0, 0, 0])
        for i, part in enumerate((1, sample.facts.rss_bytes, sample.facts.threads, sample.facts.fds or 0)):
            sums[i] += part
    for i, (name, words) in enumerate(
        (
            ("straced_processes", "Watched processes."),
            ("straced_resident_bytes", "Resident memory of watched processes."),
            ("straced_threads", "Threads of watched processes."),
            ("straced_open_fds", "Open descriptors of watched processes."),
        )
    ):
        yield name, "gauge", words, [("", labels_of(group), sums[i]) for group, sums in groups.items()]
    host = tick.host
    values: tuple[tuple[str, str, float | None], ...] = (
        ("straced_host_cpu_ratio", "Busy share of all CPUs.", _ratio(host.cpu_pct)),
        ("straced_host_memory_available_bytes", "Memory that can be had.", host.memory_available_bytes),
        ("straced_host_memory_bytes", "Memory.", host.memory_total_bytes),
        ("straced_host_load1", "Load over a minute.", host.load[0] if host.load else None),
        ("straced_host_zombies", "Zombie processes.", host.zombies),
        ("straced_host_processes", "Processes.", host.processes),
        ("straced_own_cpu_ratio", "CPU usage of straced, of one CPU.", _ratio(host.own.cpu_pct)),
        ("straced_own_resident_bytes", "Resident memory of straced.", host.own.rss_bytes),
        ("straced_tick_seconds", "How long the last sample took.", (host.own.tick_ns or 0) / 1e9),
        ("straced_last_tick_timestamp_seconds", "When the last sample was taken.", tick.epoch_s),
    )
    for name, words, value in values:
        if value is not None:
            yield name, "gauge", words, [("", (), float(value))]
    for kind, pressure in (("cpu", host.cpu_pressure), ("memory", host.memory_pressure), ("io", host.io_pressure)):
        if pressure is not None:
            name = f"straced_host_{kind}_pressure_ratio"
            yield name, "gauge", "Share of 10 s in which some task waited.", [("", (), pressure.some_pct / 100)]


def of_service(service: Service) -> Iterator[Family]:
    """What the service says of itself."""
    late: list[Line] = [("_total", (), service.watcher.host.late_ticks)]
    yield "straced_late_ticks", "counter", "Samples that could not be taken on time.", late
    yield "straced_ticks", "counter", "Samples.", [("_total", (), service.ticks)]
    dropped = service.store.dropped if service.store is not None else 0
    yield "straced_history_dropped", "counter", "Samples that the disk did not take.", [("_total", (), dropped)]
    ok = service.store is not None and service.store.state == "ok"
    yield "straced_history_ok", "gauge", "Whether history is written.", [("", (), ok)]
    counting = service.watcher.counting.serves
    yield "straced_counting", "gauge", "Whether calls are counted.", [("", (), counting)]
    kinds = service.alerts.open_by_kind()
    lines: list[Line] = [("", (("kind", kind),), count) for kind, count in kinds.items()]
    yield "straced_alerts_open", "gauge", "Open alerts.", lines or [("", (("kind", "none"),), 0)]


def _ratio(pct: float | None) -> float | None:
    return None if pct is None else pct / 100
