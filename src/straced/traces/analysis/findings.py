"""What stands out in a trace, each with the lines that show it and what it costs."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from straced.model.types import Summary
from straced.text.sanitize import scrub_bytes
from straced.text.units import count_of, format_bytes, format_count, format_ns
from straced.traces.analysis.call_findings import CallFindings
from straced.traces.analysis.file_stats import OTHER, TINY_BYTES, PathStats
from straced.traces.analysis.outliers import outliers
from straced.traces.analysis.reader import TraceReading
from straced.traces.analysis.slow_calls import slow_calls
from straced.traces.values import Finding

MOST = 25
"""Findings shown, the costliest first."""
OF_EACH = 4
OFTEN = 5
"""Calls of each process on average, below which many calls are just many processes."""
MISSES, STORM_FOLDERS, TINY, RETRIES, STATS, EMPTY, BURST, LOCK_NS = 10, 4, 200, 100, 50, 200, 50, 10**6
_STAT = ("stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat")


def find(reading: TraceReading, summary: Summary) -> tuple[Finding, ...]:
    """All findings, the costliest first, then the most frequent."""
    found: list[Finding] = []
    for seeker in (_syncs, _locks, _misses, _storms, _tiny, _retries, _stats, _empty, _bursts, slow_calls, _processes):
        found += heapq.nlargest(OF_EACH, seeker(reading), key=_weight)
    by_code: dict[str, list[Finding]] = {}
    for finding in (*CallFindings(reading).all(), *outliers(reading)):
        by_code.setdefault(finding.code, []).append(finding)
    for rows in by_code.values():
        found += heapq.nlargest(OF_EACH, rows, key=_weight)
    found.sort(key=lambda finding: (-(finding.cost_ns or 0), -finding.count))
    return tuple(found[:MOST])


def _weight(finding: Finding) -> tuple[int, int]:
    return finding.cost_ns or 0, finding.count


def _rows(reading: TraceReading) -> Iterator[tuple[str, PathStats]]:
    assert reading.state is not None
    for path, row in reading.state.files.rows.items():
        if path != OTHER:
            yield scrub_bytes(path, 300), row


def _processes_of(row: PathStats) -> int:
    """How many processes used a path: what each does once at its start is nobody's loop."""
    return len({pid for pid, _ in row.by})


def _cost(reading: TraceReading, ns: int) -> int | None:
    return ns if reading.form.durations else None


def _waiting(reading: TraceReading, ns: int, *rows: PathStats) -> int | None:
    return ns if reading.tells_waiting and not any(row.untold for row in rows) else None


def _syncs(reading: TraceReading) -> Iterator[Finding]:
    for path, row in _rows(reading):
        if row.syncs:
            writes = sum(row.calls.get(name, 0) for name in ("write", "pwrite64", "writev", "pwritev"))
            ratio = f", one for every {writes / row.syncs:.1f} writes" if writes else ""
            each = (
                f", {format_ns(row.sync_ns // row.syncs)}{' each' if row.syncs > 1 else ''}"
                if reading.form.durations
                else ""
            )
            yield Finding(
                code="fsync",
                text=f"{count_of(row.syncs, 'fsync call')} on {path}{ratio}{each}",
                lines=(row.line,),
                count=row.syncs,
                cost_ns=_cost(reading, row.sync_ns),
                waiting_ns=_waiting(reading, row.sync_waiting_ns, row),
                subject=path,
            )


def _locks(reading: TraceReading) -> Iterator[Finding]:
    assert reading.state is not None
    for (pid, key), (waits, ns, longest, line, waiting, untold) in reading.state.locks.rows.items():
        if ns >= LOCK_NS or (not reading.form.durations and waits >= RETRIES):
            name = scrub_bytes(key, 200)
            futex = f"futex {name} of process {pid or reading.root}" + (
                " (50 us or longer)" if reading.form.durations else ""
            )
            what = f"the lock on {name}" if pid < 0 else futex
            worst = f", the longest {format_ns(longest)} (line {line})" if longest >= 0 else ""
            yield Finding(
                code="lock_waits",
                text=f"{count_of(waits, 'wait')} for {what}{worst}",
                lines=(line,),
                count=waits,
                cost_ns=_cost(reading, ns),
                waiting_ns=None if untold else _waiting(reading, waiting),
                subject=name,
            )


def _misses(reading: TraceReading) -> Iterator[Finding]:
    for path, row in _rows(reading):
        missing = (row.errno or {}).get(b"ENOENT", 0) + (row.errno or {}).get(b"ENOTDIR", 0)
        if missing >= MISSES and missing >= OFTEN * _processes_of(row):
            yield Finding(
                code="failing_lookups",
                text=f"missing path {path}, looked up {count_of(missing, 'time')}",
                lines=(row.line,),
                count=missing,
                cost_ns=_cost(reading, row.ns * missing // max(row.count, 1)),
                waiting_ns=_waiting(reading, row.waiting_ns * missing // max(row.count, 1), row),
                subject=path,
            )


def _storms(reading: TraceReading) -> Iterator[Finding]:
    """One file name, missed in many directories: a search path."""
    names: dict[str, list[tuple[str, PathStats, int]]] = {}
    for path, row in _rows(reading):
        missing = (row.errno or {}).get(b"ENOENT", 0)
        if missing and "/" in path:
            names.setdefault(path.rsplit("/", 1)[1], []).append((path, row, missing))
    for name, rows in names.items():
        if len(rows) >= STORM_FOLDERS and name not in ("", ".", ".."):
            misses = sum(missing for _, _, missing in rows)
            ns = sum(row.ns * missing // max(row.count, 1) for _, row, missing in rows)
            waiting = sum(row.waiting_ns * missing // max(row.count, 1) for _, row, missing in rows)
            yield Finding(
                code="lookup_storm",
                text=f"{name} was looked up in {len(rows)} directories without success ({count_of(misses, 'call')})",
                lines=tuple(sorted(row.line for _, row, _ in rows)[:5]),
                count=misses,
                cost_ns=_cost(reading, ns),
                waiting_ns=_waiting(reading, waiting, *(row for _, row, _ in rows)),
                subject=name,
            )


def _tiny(reading: TraceReading) -> Iterator[Finding]:
    for path, row in _rows(reading):
        if row.tiny >= TINY and row.tiny * 2 > row.transfers:
            mean = row.tiny_bytes / row.tiny
            yield Finding(
                code="tiny_io",
                text=f"{count_of(row.tiny, 'transfer')} of less than {TINY_BYTES} bytes ({mean:.0f} on average, "
                f"{format_bytes(row.tiny_bytes)} in all) with {_partner(path)}",
                lines=(row.line,),
                count=row.tiny,
                cost_ns=_cost(reading, row.tiny_ns),
                waiting_ns=_waiting(reading, row.tiny_waiting_ns, row),
                subject=path,
            )


def _partner(path: str) -> str:
    """A file, or who is at the other end of a socket: "to 127.0.0.1:80" is its name elsewhere."""
    first, _, rest = path.partition(" ")
    return rest if rest and first in ("to", "from", "at") else path


def _retries(reading: TraceReading) -> Iterator[Finding]:
    for path, row in _rows(reading):
        again = (row.errno or {}).get(b"EAGAIN", 0)
        if again >= RETRIES:
            yield Finding(
                code="retries",
                text=f"{format_count(again)} of {count_of(row.count, 'call')} on {path} were to be retried (EAGAIN)",
                lines=(row.line,),
                count=again,
                cost_ns=_cost(reading, row.ns * again // max(row.count, 1)),
                waiting_ns=_waiting(reading, row.waiting_ns * again // max(row.count, 1), row),
                subject=path,
            )


def _stats(reading: TraceReading) -> Iterator[Finding]:
    for path, row in _rows(reading):
        stats = sum(row.calls.get(name, 0) for name in _STAT)
        if stats >= STATS and stats >= OFTEN * _processes_of(row) and path.startswith("/") and not row.errors:
            yield Finding(
                code="repeated_stat",
                text=f"{path} was examined {count_of(stats, 'time')} (stat, access, readlink)",
                lines=(row.line,),
                count=stats,
                cost_ns=_cost(reading, row.ns * stats // max(row.count, 1)),
                waiting_ns=_waiting(reading, row.waiting_ns * stats // max(row.count, 1), row),
                subject=path,
            )


def _empty(reading: TraceReading) -> Iterator[Finding]:
    for path, row in _rows(reading):
        if row.empty >= EMPTY and row.empty * 2 > row.transfers:
            yield Finding(
                code="empty_reads",
                text=f"{format_count(row.empty)} of {count_of(row.transfers, 'transfer')} with {_partner(path)} "
                "moved nothing",
                lines=(row.line,),
                count=row.empty,
                cost_ns=_cost(reading, row.ns * row.empty // max(row.count, 1)),
                waiting_ns=_waiting(reading, row.waiting_ns * row.empty // max(row.count, 1), row),
                subject=path,
            )


def _bursts(reading: TraceReading) -> Iterator[Finding]:
    """Far more errors in a tenth of a second than in the others."""
    totals: dict[tuple[str, str], list[int]] = {}
    for (_, name, errno), (count, _) in reading.figures.bursts.items():
        totals.setdefault((name, errno), []).append(count)
    spans = max(1, (reading.clocks.duration_ns or 0) // 10**8)
    for (clock, name, errno), (count, line) in reading.figures.bursts.items():
        if not clock:
            continue
        mean = sum(totals[name, errno]) / spans
        if count >= BURST and count > 5 * mean:
            span = "a second" if b"." not in clock else "a tenth of a second"
            yield Finding(
                code="errors",
                text=f"{count_of(count, 'time')} {errno} from {name} within {span} (at {clock.decode()})",
                lines=(line,),
                count=count,
                subject=f"{name} {errno}",
            )


def _processes(reading: TraceReading) -> Iterator[Finding]:
    """One program, started over and over."""
    assert reading.state is not None
    for path, (count, lines) in reading.state.tree.runs.items():
        if count >= STATS:
            yield Finding(
                code="many_processes",
                text=f"{scrub_bytes(path, 200)} was started {count_of(count, 'time')}",
                lines=lines,
                count=count,
                subject=scrub_bytes(path, 200),
            )
