"""Runs a trace through its passes, on all cores: what depends on the order of lines here, the counting in workers."""

from __future__ import annotations

import gc
import os
import re
import threading
from collections.abc import Callable, Iterator

from straced.traces.analysis.ordered_pass import OrderedPass
from straced.traces.analysis.partial_counts import PartialCounts, result_of
from straced.traces.analysis.selected_pass import SelectedDetail
from straced.traces.analysis.tally import LineTally
from straced.traces.analysis.thread_groups import Threads
from straced.traces.analysis.worker import TraceWorker, WorkerTask
from straced.traces.parsing.line import OWN_WORDS, parse_line
from straced.traces.parsing.line_format import Form, detect
from straced.traces.parsing.restarts import Restarts
from straced.traces.parsing.selection import SelectedFiles, TraceSelection, bound, clock_seconds
from straced.traces.parsing.source import TraceSource, first_block

SMALL_BYTES = 6 << 20
"""Below this a helper process costs more than it brings."""
_TORN = re.compile(
    rb"([^\n])((?:" + OWN_WORDS + rb"Process \d+ attached\n)+)"
    rb"((?!\[pid |\d\d:\d\d|\d+\.\d|\w+\(|<\.\.\. |[-+]{3} )[^\n]+\n)"
)
"""On a terminal strace's own words stand in the middle of a line. Put behind it, they leave it whole."""
LONGEST_TRACE_S = 10 * 365 * 86400
Progress = Callable[[TraceSource], None]


class Clocks:
    """The first and the last clock of a trace; a time of day that goes back by half a day is a new day."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._start = re.compile(rb"\n" + form.prefix())
        self.first: float | None = None
        self.last: float | None = None

    def feed(self, block: bytes) -> None:
        """Look at the first and the last line of a block."""
        if self._form.clock not in ("epoch", "day"):
            return
        for position in (0, block.rfind(b"\n", 0, len(block) - 1)):
            match = self._start.match(block, position)
            seconds = clock_seconds(match.group(2)) if match else None
            if seconds is None:
                continue
            if self.first is None or self.last is None:
                self.first = self.last = seconds
            if abs(seconds - self.first) > LONGEST_TRACE_S:
                continue  # a damaged line
            if self._form.clock == "day":
                seconds += 86400 * ((self.last - seconds + 43200) // 86400)
            self.last = max(self.last, seconds)

    @property
    def duration_ns(self) -> int | None:
        return None if self.first is None or self.last is None else round((self.last - self.first) * 1e9)


class TraceReading:
    """Everything that the passes found in one trace."""

    def __init__(self, source: TraceSource, form: Form, selection: TraceSelection) -> None:
        self.source = source
        self.form = form
        self.selection = selection
        self.figures = PartialCounts()
        self.clocks = Clocks(form)
        self.restarts = Restarts(form)
        self.detail: OrderedPass | None = None
        self.threads: Threads | None = None
        self.lines = 0
        self.bytes = 0
        self.tail = b""
        """The last line."""
        self.interrupted = False
        """Ctrl-C: what was read until then is in it."""

    def pid_of(self, tid: int) -> int:
        """The process of a task."""
        if self.detail is not None:
            tid = tid or self.detail.root
            return self.detail.tree.belongs.get(tid, tid)
        return self.threads.leader.get(tid, tid) if self.threads is not None else tid


def read(
    source: TraceSource,
    *,
    detail: bool = True,
    selection: TraceSelection | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> TraceReading:
    """Read a trace to its end.

    Args:
        detail: follow descriptors, paths and processes; without it, counts and times only, faster.
        selection: keep only these lines.
        jobs: processes to use, this one included; all cores unless given, one for short input.
        progress: called after each block.

    Raises:
        NotATrace: no line of the first block is strace's.
        WorkerDied: a helper process was killed.
    """
    selection = selection or TraceSelection()
    first, blocks = first_block(source)
    reading = TraceReading(source, detect(first[1:], source.name), selection)
    collecting = gc.isenabled() and threading.current_thread() is threading.main_thread()
    if collecting:
        gc.disable()  # no cycles are made here, and the collector would look at millions of tuples
    try:
        if selection:
            _selected(reading, blocks, progress)
        else:
            _everything(reading, blocks, detail, jobs or os.cpu_count() or 1, progress)
    finally:
        if collecting:
            gc.enable()
    _forgive_tail(reading)
    return reading


def _forgive_tail(reading: TraceReading) -> None:
    """A last line without an end is no damage: strace was killed, or is still writing."""
    if not reading.source.cut_tail:
        return
    figures = reading.figures
    value = parse_line(reading.tail)
    if reading.detail is not None and value is not None and value.kind == "cut":
        reading.detail.tasks.of(value.pid or 0).entered = (value.name.encode() + b"(", value.args, reading.lines)
    last = next((line for line in figures.unread_lines if line[0] == reading.lines), None)
    if last is not None:
        figures.unread_lines.remove(last)
        figures.unread -= 1
        figures.cut += 1


def _each(reading: TraceReading, blocks: Iterator[bytes], progress: Progress | None) -> Iterator[tuple[bytes, int]]:
    """Blocks with the number of their first line, until the end or Ctrl-C."""
    for raw in blocks:
        block = raw.replace(b"\r\n", b"\n") if reading.form.crlf else raw
        if reading.form.pid == "bracket":
            block = _TORN.sub(rb"\1\3\2", block)
        yield block, reading.lines + 1
        reading.clocks.feed(block)
        reading.lines += block.count(b"\n") - 1
        reading.bytes += len(block) - 1
        reading.tail = block[block.rfind(b"\n", 0, len(block) - 1) + 1 : -1]
        if progress is not None:
            progress(reading.source)
        if reading.source.stopped:
            break
    reading.interrupted = reading.source.stopped


def _everything(
    reading: TraceReading, blocks: Iterator[bytes], detail: bool, jobs: int, progress: Progress | None
) -> None:
    here = LineTally(reading.form, ticks=detail)
    reading.detail = OrderedPass(reading.form) if detail else None
    reading.threads = None if detail else Threads(reading.form)
    workers: list[TraceWorker] = []
    turn = 0
    try:
        for block, number in _each(reading, blocks, progress):
            if not workers and jobs > 1 and reading.bytes > SMALL_BYTES:
                helpers = jobs - 1 if detail else jobs  # with detail, this process has enough to do
                workers = [TraceWorker(WorkerTask(form=reading.form, ticks=detail)) for _ in range(helpers)]
            if workers:
                workers[turn % len(workers)].feed(block, number)
                turn += 1
            else:
                here.feed(block, number)
            reading.restarts.feed(block)
            if reading.detail is not None:
                reading.detail.feed(block)
            elif reading.threads is not None:
                reading.threads.feed(block)
        for worker in workers:
            reading.figures.add(worker.finish())
    finally:
        for worker in workers:
            worker.kill()
    reading.figures.add(result_of(here))


def _selected(reading: TraceReading, blocks: Iterator[bytes], progress: Progress | None) -> None:
    chosen = reading.selection
    detail = reading.detail = SelectedDetail(reading.form, SelectedFiles(chosen.path))
    tally = LineTally(reading.form, ticks=True)
    limits: tuple[float | None, float | None] | None = None

    def wanted(tid: int, name: str, clock: bytes) -> bool:
        if chosen.pids and tid not in chosen.pids and detail.tree.pid_of(tid) not in chosen.pids:
            return False
        if chosen.syscalls and name not in chosen.syscalls:
            return False
        if limits is None or limits == (None, None):
            return True
        seconds = clock_seconds(clock)
        since, until = limits
        return seconds is not None and (since is None or seconds >= since) and (until is None or seconds <= until)

    for block, number in _each(reading, blocks, progress):
        if limits is None:
            match = re.compile(rb"\n" + reading.form.prefix()).match(block)
            start = clock_seconds(match.group(2)) if match else None
            limits = bound(chosen.since, start, "--since"), bound(chosen.until, start, "--until")
        kept = detail.feed_wanted(block, wanted)
        if len(kept) > 1:
            tally.feed(kept, number)
            reading.restarts.feed(kept)
    reading.figures.add(result_of(tally))
