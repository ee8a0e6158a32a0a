"""A close look at each process that some page has open: calls with percentiles and histograms, threads, files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from straced.live.process_detail import ProcessLook, WindowCalls
from straced.live.service import counted_in
from straced.model import aggregation as rows_of
from straced.model import histogram
from straced.model.file_window import FileWindow
from straced.model.frame import Key, ProcessDetail
from straced.model.tick import Tick
from straced.model.types import Counters, Sample, SyscallStats, Total

Bars = list[tuple[int, int, int]]
"""Lower and upper bound in nanoseconds, and how many calls lay between them."""


class SinceAttach(Struct, frozen=True, kw_only=True):
    """What a process did since attach; ``calls`` is ``None`` where it is not."""

    calls: tuple[SyscallStats, ...] | None = None
    total: Total = Total()
    bars: dict[str, Bars] = {}


class ProcessPage(Struct, frozen=True, kw_only=True):
    """A process as its page shows it."""

    key: Key
    detail: dict[str, Any]
    """A :class:`straced.model.frame.ProcessDetail`, with ``bars`` in place of buckets."""
    whole: SinceAttach


class ProcessView:
    """One process, looked at again and again; used by one thread at a time."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.viewers = 0
        self._processes = ProcessLook()
        self._before: tuple[int, tuple[Counters, ...]] | None = None
        self._now: tuple[int, tuple[Counters, ...]] | None = None

    def read(self, tick: Tick, rows: tuple[Counters, ...] | None) -> None:
        """Take in what was counted until a tick; cheap, done at each."""
        if self._now is not None and self._now[0] == tick.monotonic_ns:
            return
        self._before, self._now = self._now, None if rows is None else (tick.monotonic_ns, rows)

    def seen(self, tick: Tick, by_file: FileWindow | None = None) -> ProcessPage:
        """All about the process as of a tick, with its threads and files as they are now.

        Args:
            tick: what was counted of all.
            by_file: its calls by file and peer, where a page asks for them.
        """
        before, now = self._before, self._now
        if now is not None and before is not None:
            counted = _between(before, now)
        else:
            sample = next((each for each in tick.processes if each.facts.key == self.key), None)
            counted = counted_in(sample, tick)
        detail = msgspec.structs.replace(self._processes.detail(self.key, counted), by_file=by_file)
        return ProcessPage(key=self.key, detail=_plain(detail), whole=SinceAttach() if now is None else _whole(now[1]))


def _between(before: tuple[int, tuple[Counters, ...]], now: tuple[int, tuple[Counters, ...]]) -> WindowCalls:
    earlier = Sample(monotonic_ns=before[0], epoch_s=0.0, rows=before[1])
    changes = rows_of.difference(earlier, Sample(monotonic_ns=now[0], epoch_s=0.0, rows=now[1]))
    stats, total = rows_of.table(changes, "wall")
    return WindowCalls(stats, total, _histograms(changes), now[0] - before[0])


def _whole(rows: tuple[Counters, ...]) -> SinceAttach:
    merged = rows_of.merge_rows(rows)
    stats, total = rows_of.table(merged, "wall")
    return SinceAttach(calls=stats, total=total, bars=bars_of(_histograms(merged)))


def _histograms(rows: Iterable[Counters]) -> dict[str, tuple[int, ...]]:
    return {f"{row.name}@{row.abi}": row.histogram for row in rows if row.histogram is not None}


def bars_of(histograms: Mapping[str, tuple[int, ...]]) -> dict[str, Bars]:
    """Histograms as what a picture needs; empty buckets are left out."""
    return {
        name: [(*histogram.bounds(index), count) for index, count in enumerate(buckets) if count > 0]
        for name, buckets in histograms.items()
        if any(count > 0 for count in buckets)
    }


def _plain(detail: ProcessDetail) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(detail, histograms={}))
    del built["histograms"]
    return {**built, "bars": bars_of(detail.histograms)}
