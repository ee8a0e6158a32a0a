"""The counts of a part of a trace: plain values that a worker sends, and that add up in any order."""

from __future__ import annotations

from msgspec import Struct, field

from straced.traces.analysis.tally import UNREAD_SHOWN, LineTally, TallyRow


class TallyResult(Struct):
    """The counts of one :class:`LineTally`, with tuples where msgpack has no such keys."""

    rows: list[
        tuple[int, str, int, int, int, int, int, int, int | None, int | None, int, int, dict[str, int] | None]
    ] = field(default_factory=list)
    """tid, name, calls, unfinished, resumed, no_return, timed, sum_ns, min_ns, max_ns, waited, waiting_ns, errno."""
    histograms: dict[str, dict[int, int]] = field(default_factory=dict)
    bursts: list[tuple[bytes, str, str, int, int]] = field(default_factory=list)
    ticks: list[tuple[int, bytes, int]] = field(default_factory=list)
    abis: dict[int, list[str]] = field(default_factory=dict)
    lines: int = 0
    unread: int = 0
    unread_lines: list[tuple[int, bytes]] = field(default_factory=list)
    cut: int = 0
    lost: int = 0


def result_of(tally: LineTally) -> TallyResult:
    """Return the counts of a tally, all of them."""
    tally.flush()
    return TallyResult(
        rows=[
            (
                tid, name, row.calls, row.unfinished, row.resumed, row.no_return, row.timed,
                row.sum_ns, row.min_ns, row.max_ns, row.waited, row.waiting_ns, row.errno,
            )
            for (tid, name), row in tally.rows.items()
        ],
        histograms=tally.histograms,
        bursts=[
            (clock, name.decode(), errno.decode(), count, line)
            for (clock, name, errno), (count, line) in tally.errors.bursts.items()
        ],
        abis={tid: sorted(abis) for tid, abis in tally.abis.items()},
        ticks=tally.ticks.rows() if tally.ticks is not None else [],
        lines=tally.counted,
        unread=tally.unread,
        unread_lines=tally.unread_lines,
        cut=tally.cut,
        lost=tally.lost,
    )  # fmt: skip


class PartialCounts:
    """The sum of tally results."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str], TallyRow] = {}
        self.histograms: dict[str, dict[int, int]] = {}
        self.bursts: dict[tuple[bytes, str, str], tuple[int, int]] = {}
        self.abis: dict[int, set[str]] = {}
        self.ticks: dict[tuple[int, bytes], int] = {}
        self.lines = 0
        self.unread = 0
        self.unread_lines: list[tuple[int, bytes]] = []
        self.cut = 0
        self.lost = 0

    def add(self, result: TallyResult) -> None:
        """Add one result."""
        for tid, name, *figures, errno in result.rows:
            other = TallyRow()
            (
                other.calls, other.unfinished, other.resumed, other.no_return, other.timed,
                other.sum_ns, other.min_ns, other.max_ns, other.waited, other.waiting_ns,
            ) = figures  # type: ignore[assignment]  # fmt: skip
            other.errno = errno
            row = self.rows.setdefault((tid, name), other)
            if row is not other:
                row.add(other)
        for name, buckets in result.histograms.items():
            mine = self.histograms.setdefault(name, {})
            for place, count in buckets.items():
                mine[place] = mine.get(place, 0) + count
        for clock, name, code, count, line in result.bursts:
            before = self.bursts.get((clock, name, code), (0, line))
            self.bursts[clock, name, code] = before[0] + count, min(before[1], line)
        for tid, abis in result.abis.items():
            self.abis.setdefault(tid, set()).update(abis)
        for tid, clock, count in result.ticks:
            self.ticks[tid, clock] = self.ticks.get((tid, clock), 0) + count
        self.lines += result.lines
        self.unread += result.unread
        self.unread_lines = sorted(self.unread_lines + result.unread_lines)[:UNREAD_SHOWN]
        self.cut += result.cut
        self.lost += result.lost

    def settle(self) -> None:
        """Bring rows into an order that does not tell in which parts they were counted."""
        self.rows = dict(sorted(self.rows.items()))
        for row in self.rows.values():
            if row.errno is not None:
                row.errno = dict(sorted(row.errno.items()))
        self.ticks = dict(sorted(self.ticks.items()))
