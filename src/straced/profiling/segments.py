"""Summaries from stretches: what each tracer counted in its turn, added up without mixing what cannot be added."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from straced.linux import procfs
from straced.model import aggregation as rows_of
from straced.model import slow as slow_calls
from straced.model.types import Counters, Overhead, Part, Quality, Reason, Sample, Summary, Target, Window
from straced.tracers.base import Ending, TracerSession

if TYPE_CHECKING:
    from straced.tracers.strace.recording import StraceRecording

_KINDS = ("exact", "partial", "sampled", "lossy")
"""From best to worst: a whole is as good as its worst part."""


class Instant(Struct, frozen=True):
    """One instant on both clocks."""

    monotonic_ns: int
    epoch_s: float

    @classmethod
    def now(cls) -> Instant:
        return cls(time.monotonic_ns(), time.time())

    @classmethod
    def at(cls, monotonic_ns: int) -> Instant:
        """An instant that one clock has told."""
        now = cls.now()
        return cls(monotonic_ns, now.epoch_s - (now.monotonic_ns - monotonic_ns) / 1e9)


class Segment(Struct, frozen=True, kw_only=True):
    """What one tracer counted, and when."""

    tracer: str
    sample: Sample
    start: Instant
    end: Instant
    overhead: Overhead
    tasks_traced: int | None = None
    tasks_seen: int | None = None


def window(start: Instant, end: Instant) -> Window:
    """The span between two moments; its length from the monotonic clock."""
    return Window(start=start.epoch_s, end=end.epoch_s, duration_ns=end.monotonic_ns - start.monotonic_ns)


def between(since: Sample | None, sample: Sample) -> Sample:
    """A sample that holds only what happened since an earlier one of the same session."""
    if since is None:
        return sample
    lost = None if sample.lost is None or since.lost is None else sample.lost - since.lost
    return Sample(
        monotonic_ns=sample.monotonic_ns,
        epoch_s=sample.epoch_s,
        rows=tuple(rows_of.difference(since, sample)),
        processes=sample.processes,
        threads=sample.threads,
        lost=lost,
        time=sample.time,
        reasons=sample.reasons,
        kind=sample.kind,
        slow=slow_calls.since(since.slow, since.monotonic_ns, sample.slow),
    )


def window_of(since: Sample, sample: Sample, inner: TracerSession | None, tracer: str) -> Segment:
    """What happened since an earlier sample; without the tracer's session, its cost is not known any more."""
    start, end = Instant(since.monotonic_ns, since.epoch_s), Instant(sample.monotonic_ns, sample.epoch_s)
    change = between(since, sample)
    overhead = Quality(kind="exact").overhead
    if inner is not None:
        overhead = inner.overhead(change, end.monotonic_ns - start.monotonic_ns)
    return Segment(tracer=tracer, sample=change, start=start, end=end, overhead=overhead)


def summary(
    stretches: Sequence[Segment],
    *,
    target: Target,
    tracer_reason: str,
    began: Instant,
    ending: Ending,
    follow: bool,
    labels: dict[str, str],
    gap_s: float | None,
    reasons: Sequence[Reason] = (),
) -> Summary:
    """Add stretches up; ``reasons`` say what the whole lacks.

    Times of two kinds are never added: the merged ones are ``None`` then, ``parts`` has both.
    """
    stretches = _of_one_kind(stretches)
    kinds = {piece.sample.time for piece in stretches}
    mixed = len(kinds) > 1
    time_kind = "wall" if kinds == {"wall"} else kinds.pop() if len(kinds) == 1 else "mixed"
    rows: Iterable[Counters] = [row for piece in stretches for row in rows_of.merge_rows(piece.sample.rows)]
    merged = rows_of.merge_rows(map(_without_time, rows) if mixed else rows)
    table, total = rows_of.table(merged, time_kind)
    unknown = all(piece.sample.lost is None for piece in stretches) and not merged
    return Summary(
        target=target,
        tracer="+".join(dict.fromkeys(piece.tracer for piece in stretches)),
        tracer_reason=tracer_reason,
        quality=_quality(stretches, gap_s, reasons),
        window=window(began, stretches[-1].end),
        follow=follow,
        processes=_largest([piece.sample.processes for piece in stretches]),
        threads=_largest([piece.sample.threads for piece in stretches]),
        exit_status=ending.exit_status,
        end=ending.reason,
        time=time_kind,
        parts=tuple(_part(piece) for piece in stretches) if len(stretches) > 1 else (),
        labels=labels,
        rows=table,
        total=type(total)() if unknown else total,
        slow=slow_calls.together(piece.sample.slow for piece in stretches),
        files=stretches[-1].sample.files if len(stretches) == 1 else None,
        io_uring=stretches[-1].sample.io_uring if len(stretches) == 1 else None,
    )


def _of_one_kind(stretches: Sequence[Segment]) -> Sequence[Segment]:
    """Where plain ``-c`` was one of the tracers, CPU time for all of them, if the others tell it beside wall time."""
    if {piece.sample.time for piece in stretches} != {"cpu", "wall"}:
        return stretches
    found = []
    for piece in stretches:
        rows = rows_of.merge_rows(piece.sample.rows)
        if any(row.calls and row.working_ns is None for row in rows):
            return stretches
        if piece.sample.time == "wall":
            reasons = (*piece.sample.reasons, _STOPS_COST)
            rows = [replace(_without_time(row), working_ns=row.working_ns) for row in rows]
            piece = replace(piece, sample=replace(piece.sample, rows=tuple(rows), time="cpu", reasons=reasons))
        found.append(piece)
    return found


_STOPS_COST = Reason("cpu_time", "CPU time by strace has the cost of its stops in it, that by eBPF has not")


def _part(piece: Segment) -> Part:
    rows, total = rows_of.table(rows_of.merge_rows(piece.sample.rows), piece.sample.time)
    shares = {row.name: row.time_pct for row in reversed(rows) if row.time_pct is not None}
    known = window(piece.start, piece.end)
    return Part(tracer=piece.tracer, time=piece.sample.time, window=known, total=total, time_pct=shares)


def _without_time(row: Counters) -> Counters:
    return Counters(
        name=row.name,
        nr=row.nr,
        abi=row.abi,
        calls=row.calls,
        errors=row.errors,
        restarts=row.restarts,
        errno=row.errno,
        in_flight=row.in_flight,
    )


def _quality(stretches: Sequence[Segment], gap_s: float | None, of_the_whole: Sequence[Reason]) -> Quality:
    reasons: dict[str, Reason] = {}
    for piece in stretches:
        reasons.update((reason.code, reason) for reason in piece.sample.reasons)
    reasons.update((reason.code, reason) for reason in of_the_whole)
    kind = max((piece.sample.kind for piece in stretches), key=_KINDS.index)
    if gap_s is not None:
        reasons["gap"] = Reason("gap", f"nothing was counted for {gap_s * 1000:.0f} ms between two tracers")
    if gap_s is not None or of_the_whole:
        kind = max(kind, "partial", key=_KINDS.index)
    lost = [piece.sample.lost for piece in stretches]
    return Quality(
        kind=kind,
        lost=None if None in lost else sum(value for value in lost if value is not None),
        reasons=tuple(reasons.values()),
        overhead=_overhead(stretches),
        tasks_traced=_largest([piece.tasks_traced for piece in stretches]),
        tasks_seen=None if _unseen(stretches) else _largest([piece.tasks_seen for piece in stretches]),
        gap_s=gap_s,
    )


def _overhead(stretches: Sequence[Segment]) -> Overhead:
    """Of several stretches, weighed by their length; unknown when one is."""
    if len(stretches) == 1:
        return stretches[0].overhead
    length = sum(piece.end.monotonic_ns - piece.start.monotonic_ns for piece in stretches)
    weighed = 0.0
    for piece in stretches:
        if piece.overhead.pct is None:
            return Overhead(pct=None, basis="unknown")
        weighed += piece.overhead.pct * (piece.end.monotonic_ns - piece.start.monotonic_ns)
    return Overhead(pct=round(weighed / length, 1) if length else None, basis=stretches[0].overhead.basis)


def _unseen(stretches: Sequence[Segment]) -> bool:
    """Whether one of them could not tell how many tasks there were."""
    return any(piece.tasks_traced is not None and piece.tasks_seen is None for piece in stretches)


def _largest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def refreshed(target: Target) -> Target:
    """The target as it is now, after an exec say; as it was known when it is gone."""
    try:
        now = procfs.target(target.pid)
    except (procfs.Gone, OSError):
        return target
    same = now.start_ticks == target.start_ticks and now.boot_id == target.boot_id
    return now if same and now.cmdline else target


def stretch_of_recording(recording: StraceRecording) -> Segment:
    """What a full trace that took a summary's place has counted so far, read back from its file."""
    from straced.profiling.trace_counts import tally

    end_ns = recording.ended_ns or time.monotonic_ns()
    start, end = Instant.at(recording.started_ns), Instant.at(end_ns)
    sample = tally(recording, end.monotonic_ns, end.epoch_s)
    return Segment(
        tracer="strace -f",
        sample=sample,
        start=start,
        end=end,
        overhead=recording.overhead(sample, end_ns - recording.started_ns),
    )
