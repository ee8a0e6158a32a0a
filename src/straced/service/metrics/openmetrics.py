"""Counters that only rise, by job, program and call, and the gauges of the moment, as OpenMetrics text.

Labels are bounded: never a pid, and beyond ``max_series`` programs and calls are added up as ``other``. So are those of
one user beyond a quarter of it, so that what one user makes up takes no place from the others. Written by hand: a
client library takes seventeen times as long for ten thousand series, and the collector waits for it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from straced._version import __version__
from straced.errors import OutputError
from straced.linux.output_file import TEXTFILE_MODE, OutputFile
from straced.model.alerts import AlertRow
from straced.model.durations import DurationBatch
from straced.model.tick import Calls, ServiceEvent, Tick, by_program
from straced.service.metrics import gauges, protobuf
from straced.service.metrics.exposition import (
    OTHER,
    OTHERS,
    Family,
    Group,
    Line,
    family_text,
    group_of,
    labels_of,
)
from straced.service.metrics.latency import LatencyTotals

if TYPE_CHECKING:
    from straced.service.service import Service

log = logging.getLogger("straced.service")
SHARE = 4
_NOTHING: dict[str, list[int]] = {}
Series = tuple[str, str, str]


class Totals:
    """What all watched processes did since the service started."""

    def __init__(self, max_series: int) -> None:
        self.max_series = max_series
        self._calls: dict[Group, dict[str, list[int]]] = {}
        self._series: Counter[int] = Counter()
        self._groups: Counter[int] = Counter()
        self._errors: dict[tuple[str, str, str, str], int] = {}
        self._known: set[Group] = set()
        self._cpu_ns: dict[Group, int] = {}
        """Of groups of which a process was seen: of those that lived too short for that it is not known."""
        self._latency = LatencyTotals(max_series)
        self._last: Tick | None = None
        self.lost = 0
        self.overflowed = 0
        self._textfile_refused = False

    def event(self, event: ServiceEvent) -> None:
        """Events are no metrics."""

    def alert(self, alert: AlertRow) -> None:
        """Open alerts are counted where they are kept."""

    def durations(self, batch: DurationBatch) -> None:
        """Add how long calls took."""
        self._latency.add(batch)

    def tick(self, tick: Tick) -> None:
        """Add a tick."""
        self._last = tick
        for sample in tick.processes:
            named, uid = group_of(sample), sample.owner.uid
            group = self._group(named, uid)
            self.lost += sample.lost or 0
            self._cpu_ns[group] = self._cpu_ns.get(group, 0) + (sample.facts.cpu_delta_ns or 0)
            if sample.calls:
                self._add_calls(group, sample.calls, uid)
            for ended in (sample.ended, sample.others):
                for program, calls in by_program(ended).items():
                    self._add_calls(self._group((named[0], program or named[1]), uid), calls, uid)

    def _has_room(self, used: Counter[int], uid: int) -> bool:
        """Whether a user may have one more of what is bounded; root leaves nothing to the others, nor they to it."""
        share = self.max_series if uid == 0 else max(1, self.max_series // SHARE)
        return used[uid] < share and used.total() < self.max_series

    def _group(self, group: Group, uid: int) -> Group:
        """The group under which something is counted: itself, or ``other`` when there are too many."""
        if group in self._known:
            return group
        if not self._has_room(self._groups, uid):
            self.overflowed += 1
            return OTHERS
        self._groups[uid] += 1
        self._known.add(group)
        return group

    def _add_calls(self, group: Group, calls: Sequence[Calls], uid: int) -> None:
        by_name = self._calls.get(group, _NOTHING)
        for call in calls:
            key = None
            sums = by_name.get(call.name)
            if sums is None:
                key, sums = self._new_series((*group, call.name), uid)
                by_name = self._calls.get(group, _NOTHING)
            sums[0] += call.calls or 0
            sums[2] += call.wall_ns or 0
            sums[3] += call.waiting_ns or 0
            if call.errors:
                sums[1] += call.errors
            for word, count in call.errno.items() if call.errno else ():
                code = (*(key or (*group, call.name)), word)
                if code not in self._errors and len(self._errors) >= self.max_series:
                    code = (OTHER, OTHER, OTHER, OTHER)
                self._errors[code] = self._errors.get(code, 0) + count

    def _new_series(self, key: Series, uid: int) -> tuple[Series, list[int]]:
        """The sums of a call that its group has none for; those of ``other`` when there are too many series."""
        if not self._has_room(self._series, uid):
            self.overflowed += 1
            key = (key[0], OTHER, OTHER) if (key[0], OTHER) in self._calls else (*OTHERS, OTHER)
        by_name = self._calls.setdefault(key[:2], {})
        if key[2] not in by_name:
            self._series[uid] += 1
        return key, by_name.setdefault(key[2], [0, 0, 0, 0])

    def text(self, service: Service | None = None) -> str:
        """All of it, ended by ``# EOF``."""
        parts = [family_text(*family) for family in self.families(service)]
        return "".join(parts) + "# EOF\n"

    def protobuf(self, service: Service | None = None) -> bytes:
        """The same as protobuf, with native histograms."""
        return protobuf.page(self.families(service), self._latency.histograms())

    def families(self, service: Service | None = None) -> Iterator[Family]:
        """Name, kind, meaning and lines of each metric."""
        yield "straced_build", "info", "The straced that counts.", [("_info", (("version", __version__),), 1)]
        for position, (name, words) in enumerate(
            (
                ("straced_syscalls", "System calls that were made."),
                ("straced_syscall_failures", "System calls that failed."),
                ("straced_syscall_seconds", "Wall time in system calls."),
                ("straced_syscall_waiting_seconds", "Time switched out in system calls."),
            )
        ):
            scale = 1 if position < 2 else 1e9
            lines: list[Line] = [
                ("_total", (("job", j), ("program", p), ("syscall", s)), sums[position] / scale)
                for (j, p), by_name in self._calls.items()
                for s, sums in by_name.items()
            ]
            yield name, "counter", words, lines
        errors: list[Line] = [
            ("_total", (("job", j), ("program", p), ("syscall", s), ("errno", e)), count)
            for (j, p, s, e), count in self._errors.items()
        ]
        yield "straced_syscall_errors", "counter", "System calls that failed, by errno.", errors
        yield from self._latency.families()
        cpu: list[Line] = [("_total", labels_of(group), ns / 1e9) for group, ns in self._cpu_ns.items()]
        yield "straced_cpu_seconds", "counter", "CPU time of watched processes.", cpu
        yield "straced_lost_calls", "counter", "Calls that could not be counted.", [("_total", (), self.lost)]
        if self._last is not None:
            yield from gauges.of_tick(self._last, self._cpu_ns.keys())
        if service is not None:
            yield from gauges.of_service(service)

    def write_textfile(self, path: str, service: Service | None = None) -> None:
        """Write the text for the node exporter's textfile collector: whole, or not at all.

        A file that cannot be written is said once, and again when it could be in between.
        """
        if not path:
            return
        try:
            with OutputFile(Path(path), overwrite=True, mode=TEXTFILE_MODE) as file:
                file.text.write(self.text(service))
            self._textfile_refused = False
        except OutputError as error:
            if not self._textfile_refused:
                log.warning("textfile_not_written", extra={"straced": {"path": path, "why": error.reason}})
            self._textfile_refused = True
