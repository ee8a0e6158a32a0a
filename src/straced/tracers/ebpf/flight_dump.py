"""From the rings of a flight recorder to a file: ranges of bytes as they are, the oldest first."""

from __future__ import annotations

import os
import time

import msgspec
from msgspec import structs

from straced.errors import StracedError
from straced.records import layout
from straced.records.layout import FileLayout
from straced.records.values import CallFates, RecordingEnd, RecordingFacts
from straced.tracers.ebpf.flight_choice import PIECE
from straced.tracers.ebpf.flight_cut import Cut
from straced.tracers.ebpf.flight_engine import FlightEngine
from straced.tracers.ebpf.flight_file import Dumped, append, check_room, give_up
from straced.tracers.ebpf.record_sums import CountedNames
from straced.tracers.ebpf.record_wire import PART


def write(
    engine: FlightEngine,
    fd: int,
    cut: Cut,
    about: tuple[RecordingFacts, RecordingFacts],
    counted: tuple[CountedNames, CountedNames],
    *,
    exact: bool,
    reason: str,
    last_ns: int | None = None,
    min_free_bytes: int | None = None,
) -> Dumped:
    """Write all that a cut holds, and let it go piece by piece.

    Args:
        engine: of the cut.
        fd: an empty regular file.
        cut: what is to be written.
        about: whose records they are, as it was at the attach, and as it is now.
        counted: the counters before the cut, and after it.
        exact: they have missed nothing.
        reason: why it ended.
        last_ns: only calls that ended so long before the cut, or later.
        min_free_bytes: to leave free on the file system.

    Raises:
        OutputError: there is no room for it; the file is empty again.
        AttachError: the recorder is to end; likewise.
    """
    began_ns = time.monotonic_ns()
    check_room(fd, cut, min_free_bytes)
    before_ns = max(0, cut.taken_ns - last_ns) if last_ns is not None else 0
    engine.forget_counted()
    pieces = [
        (_skip(engine, cpu, start, end, before_ns) if before_ns else start, end)
        for cpu, (start, end) in enumerate(cut.pieces)
    ]
    older = engine.counted()
    engine.forget_counted()
    since_ns = max(cut.since_ns or 0, before_ns)
    at_attach, now = about
    facts = structs.replace(
        now if since_ns > at_attach.monotonic_ns else at_attach, since_ns=max(since_ns, at_attach.monotonic_ns)
    )
    form = FileLayout()
    try:
        append(fd, form.file_head(), form.chunk(layout.FACTS, msgspec.msgpack.encode(facts)))
        for cpu, (start, end) in enumerate(pieces):
            _copy(engine, fd, form, cpu, start, end)
        if cut.starts:
            append(fd, form.chunk(layout.RECORDS, cut.starts))
        end_facts = _end(cut, counted, older, engine.counted(), exact, reason)
        append(fd, form.chunk(layout.END, msgspec.msgpack.encode(end_facts)))
    except (OSError, StracedError) as error:
        give_up(fd, error)
    told = sum(each.counted - each.filtered - each.overwritten - each.lost for each in end_facts.calls.values())
    return Dumped(
        bytes=os.fstat(fd).st_size,
        facts=facts,
        end=end_facts,
        calls=told,
        took_ns=time.monotonic_ns() - began_ns,
    )


def _skip(engine: FlightEngine, cpu: int, start: int, end: int, before_ns: int) -> int:
    """Where the first record is that is of then or later; not all at once, for that holds up the CPU."""
    while start < end:
        stop = min(end, start // PART * PART + PIECE)
        found = engine.count(cpu, start, stop, before_ns)
        if found < stop:
            return found
        start = stop
    return end


def _copy(engine: FlightEngine, fd: int, form: FileLayout, cpu: int, start: int, end: int) -> None:
    while start < end:
        engine.check_wanted()
        stop = min(end, (start // PART) * PART + PIECE)
        engine.count(cpu, start, stop)
        parts = engine.ranges(cpu, start, stop)
        append(fd, form.chunk_head(layout.RECORDS, cpu, *parts), *parts)
        start = stop
        engine.keep_from(cpu, start // PART * PART)


def _end(
    cut: Cut,
    counted: tuple[CountedNames, CountedNames],
    older: list[int],
    kept: list[int],
    exact: bool,
    reason: str,
) -> RecordingEnd:
    before, after = counted
    calls = {}
    for label, most in after.calls.items():
        place = after.places[label]
        filtered, lost = cut.fates[2 * place : 2 * place + 2]
        filtered += older[place]
        overwritten = cut.overwritten[place]
        told = kept[place] + cut.begun[place] + filtered + overwritten + lost
        inside = min(cut.unwanted[place], max(0, before.calls[label] - told))  # the others have ended since
        filtered, told = filtered + inside, told + inside
        if not before.calls[label] <= told <= most:
            exact, told = False, most
        if told:
            calls[label] = CallFates(told, filtered=filtered, overwritten=overwritten, lost=lost)
    return RecordingEnd(
        ended_ns=cut.taken_ns,
        reason=reason,
        exact=exact,
        calls=calls,
        other_lost=cut.fates[1],
        meanwhile=sum((after.calls - before.calls).values()),
    )
