"""Counts out of a full trace, so that a summary can go on over the time in which the trace had the target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from straced.errors import StracedError
from straced.model.types import Counters, Reason, Sample
from straced.syscalls import native_abi
from straced.text.sanitize import scrub
from straced.text.units import count_of

if TYPE_CHECKING:
    from straced.tracers.strace.recording import StraceRecording


def tally(recording: StraceRecording, monotonic_ns: int, epoch_s: float) -> Sample:
    """Read the file of a recording as far as it goes. Calls and errors are exact; time is there with ``-T`` only."""
    timed = recording.options.timestamps == "us"
    reasons = []
    if recording.options.trace or recording.options.paths or recording.options.status:
        reasons.append(Reason("filtered", "the full trace held only the calls that its filter let through"))
    rows: tuple[Counters, ...] = ()
    lost: int | None = recording.dropped_lines
    if recording.path is None:
        reasons.append(Reason("unread", "the lines of the full trace went to its reader, and were not counted"))
        lost = None
    else:
        try:
            rows, unread = counted(recording.path)
        except (StracedError, OSError) as error:
            reasons.append(Reason("unread", f"the full trace could not be read back: {scrub(str(error), 200)}"))
            lost = None
        else:
            if unread:
                reasons.append(Reason("unread", f"{count_of(unread, 'line')} of the full trace could not be read"))
    return Sample(
        monotonic_ns=monotonic_ns,
        epoch_s=epoch_s,
        rows=rows,
        time="wall" if timed else "none",
        kind="partial",
        reasons=tuple(reasons),
        lost=lost,
    )


def counted(path: Path) -> tuple[tuple[Counters, ...], int]:
    """The counters of a trace file, by the reader that ``straced report`` has, and how many lines it could not read."""
    from straced.traces.analysis.counters import counters
    from straced.traces.analysis.reader import read
    from straced.traces.parsing.line_format import NotATrace
    from straced.traces.parsing.source import open_source

    source = open_source(str(path))
    try:
        reading = read(source, detail=False, jobs=1, abi=native_abi())
    except NotATrace:
        if source.consumed == 0:
            return (), 0  # nothing was called
        raise
    return tuple(counters(reading)), reading.figures.unread
