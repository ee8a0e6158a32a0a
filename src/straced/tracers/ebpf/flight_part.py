"""From the rings of a flight recorder to a file: the records of some processes, and no others."""

from __future__ import annotations

import errno
import os
import time

import msgspec
from msgspec import structs

from straced.errors import StracedError
from straced.records import layout
from straced.records.layout import FileLayout
from straced.records.values import RecordingEnd, RecordingFacts
from straced.text.units import format_bytes
from straced.tracers.ebpf.flight_choice import Choice, chosen, pieces_of
from straced.tracers.ebpf.flight_cut import Cut
from straced.tracers.ebpf.flight_engine import FlightEngine
from straced.tracers.ebpf.flight_file import Dumped, append, check_room, give_up
from straced.tracers.ebpf.record_wire import PART


def write_chosen(
    engine: FlightEngine,
    fd: int,
    cut: Cut,
    facts: RecordingFacts,
    choice: Choice,
    since_ns: int,
    *,
    reason: str,
    most_bytes: int | None = None,
) -> Dumped:
    """Write the records of some processes, and let the cut go piece by piece.

    Args:
        engine: of the cut.
        fd: an empty regular file.
        cut: what is there.
        facts: of these processes.
        choice: who they are.
        since_ns: nothing that is older.
        reason: of the dump.
        most_bytes: of the file.

    Raises:
        OutputError: there is no room for it; the file is empty again.
        AttachError: the recorder is to end; likewise.
    """
    began_ns = time.monotonic_ns()
    check_room(fd, cut, None, most_bytes)
    facts = structs.replace(facts, since_ns=since_ns)
    calls, size = 0, 0
    form = FileLayout()
    try:
        append(fd, form.file_head(), form.chunk(layout.FACTS, msgspec.msgpack.encode(facts)))
        for cpu, (start, end) in enumerate(cut.pieces):
            for stop, data in pieces_of(engine, cpu, start, end):
                ranges, count = chosen(data, choice, since_ns)
                calls, length = calls + count, sum(map(len, ranges))
                size += length
                if most_bytes is not None and size > most_bytes:
                    raise OSError(errno.EFBIG, f"it is larger than {format_bytes(most_bytes)}")
                if length:
                    append(fd, form.chunk(layout.RECORDS, b"".join(ranges), cpu))
                engine.keep_from(cpu, stop // PART * PART)
        starts, count = chosen(cut.starts, dict.fromkeys(choice, 0), 0)
        if starts:
            append(fd, form.chunk(layout.RECORDS, b"".join(starts)))
        end_facts = RecordingEnd(ended_ns=cut.taken_ns, reason=reason, exact=False, calls={}, chosen=True)
        append(fd, form.chunk(layout.END, msgspec.msgpack.encode(end_facts)))
    except (OSError, StracedError) as error:
        give_up(fd, error)
    took_ns = time.monotonic_ns() - began_ns
    return Dumped(bytes=os.fstat(fd).st_size, facts=facts, end=end_facts, calls=calls, took_ns=took_ns)
