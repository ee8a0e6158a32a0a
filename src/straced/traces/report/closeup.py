"""A second look at a trace that was analysed: tasks over time, and the lines that findings speak of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from straced.text.sanitize import scrub_bytes
from straced.traces.analysis.calls import calls
from straced.traces.analysis.reader import TraceReading
from straced.traces.parsing.cleaning import LineCleaner
from straced.traces.parsing.line import without_waiting
from straced.traces.parsing.source import open_source
from straced.traces.report.lanes import LaneCounter
from straced.traces.report.request import ReportRequest
from straced.traces.values import CloseUp, Finding, TraceReport

AROUND = 3
"""Lines before and after the first one of a finding."""
MOST_FINDINGS = 30
MOST_OF_EACH = 5
LONGEST = 300
"""Characters of a line that are shown."""


def look_closer(request: ReportRequest, reading: TraceReading, report: TraceReport) -> CloseUp | None:
    """Read the trace once more; ``None`` where it can be read once only, or was not read to its end.

    Raises:
        InputError: it was changed meanwhile.
    """
    if request.file == "-" or reading.interrupted or reading.state is None:
        return None
    duration = reading.clocks.duration_ns
    counter = None
    if reading.form.clock in ("epoch", "day") and reading.clocks.first is not None and duration:
        counter = LaneCounter(reading.form, round(reading.clocks.first * 1e9), duration)
    wanted = sorted(_wanted(report.findings))
    lines: dict[int, str] = {}
    whole = counter is not None and not reading.selection
    for block, number in _blocks(request.file, reading):
        if counter is not None and whole:
            counter.feed(block, number)
        _take(block, number, wanted, lines)
        if not wanted and not whole:
            break
    if counter is not None and not whole:
        for call in calls(request.file, reading):  # slower, and knows what was selected
            if call.kind == "call" and call.start_ns is not None:
                name = call.name.encode()
                counter.add(call.tid, name, call.start_ns, call.duration_ns or 0, call.waiting_ns)
                if call.duration_ns is not None:
                    counter.keep(call.tid, name, call.start_ns, call.duration_ns, call.line, call.waiting_ns)
    if counter is None:
        return CloseUp(step_ns=1, steps=0, calls=0, lines=lines)
    lanes, hidden = counter.lanes(reading.pid_of)
    return CloseUp(
        step_ns=counter.step_ns,
        steps=counter.steps,
        calls=counter.calls,
        lanes=lanes,
        lanes_hidden=hidden,
        long_calls=counter.long_calls(reading.pid_of),
        lines=lines,
    )


def _wanted(findings: Iterable[Finding]) -> set[int]:
    """The numbers of all lines to show."""
    found: set[int] = set()
    for finding in list(findings)[:MOST_FINDINGS]:
        for line in finding.lines[:MOST_OF_EACH]:
            found.add(line)
        for line in finding.lines[:1]:
            found.update(range(max(1, line - AROUND), line + AROUND + 1))
    return found


def _blocks(name: str, reading: TraceReading) -> Iterator[tuple[bytes, int]]:
    """Cleaned blocks with the number of their first line."""
    source = open_source(name)
    source.expect(reading.source)
    number = 1
    for block in LineCleaner(reading.shown_form).clean(source.blocks()):
        yield block, number
        number += block.count(b"\n") - 1
    source.close()


def _take(block: bytes, number: int, wanted: list[int], lines: dict[int, str]) -> None:
    """Take the wanted lines out of a block, and off the list."""
    after = number + block.count(b"\n") - 1
    if not wanted or wanted[0] >= after:
        return
    texts = block[1:-1].split(b"\n")
    while wanted and wanted[0] < after:
        line = wanted.pop(0)
        if line >= number:
            lines[line] = scrub_bytes(without_waiting(texts[line - number]), LONGEST)
