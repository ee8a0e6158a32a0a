"""Runs a trace through its passes, on all cores: what depends on the order of lines here, the counting in workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import msgspec

from straced.concurrency.collector import uncollected
from straced.traces.analysis.block_counting import BlockCounting, PythonCounting
from straced.traces.analysis.clocks import Clocks
from straced.traces.analysis.introduced import introduce
from straced.traces.analysis.last_calls import EndsOfTasks
from straced.traces.analysis.ordered_pass import OrderedPass
from straced.traces.analysis.partial_counts import PartialCounts, result_of
from straced.traces.analysis.selected_pass import SelectedFiles, SelectedPass
from straced.traces.analysis.state import AnalysisState
from straced.traces.analysis.tally import LineTally
from straced.traces.analysis.thread_groups import ThreadGroups
from straced.traces.native.counting import NativeCounting
from straced.traces.native.library import library
from straced.traces.native.ordered_pass import NativeOrderedPass
from straced.traces.native.scanning import in_order
from straced.traces.parsing.cleaning import LineCleaner
from straced.traces.parsing.comments import TraceComments
from straced.traces.parsing.line import COMMENT, parse_line
from straced.traces.parsing.line_format import Form, detect
from straced.traces.parsing.read_ahead import ReadAhead
from straced.traces.parsing.restarts import Restarts
from straced.traces.parsing.selection import TraceSelection
from straced.traces.parsing.source import TraceSource, first_block
from straced.traces.parsing.time_limits import TimeLimits

SMALL_BYTES = 6 << 20
"""Below this a helper process costs more than it brings."""
Progress = Callable[[TraceSource], None]


class TraceReading:
    """Everything that the passes found in one trace."""

    def __init__(self, source: TraceSource, form: Form, selection: TraceSelection) -> None:
        self.source = source
        self.shown_form = form
        """The form of the file."""
        self.form = form.cleaned()
        """The form of the lines that the passes see."""
        self.cleaner = LineCleaner(form)
        self.selection = selection
        self.abi: str | None = None
        """The ABI of the machine that the trace is of, where the caller knows it."""
        self.figures = PartialCounts()
        self.core = library()
        """The native core; ``None``: all is done in Python."""
        self.clocks = Clocks(self.form, in_order(self.core, self.form))
        self.restarts = Restarts(self.form)
        self.waiting: dict[tuple[int, str], int] = {}
        """Interrupted calls that were not entered again until the end, by task and name."""
        self.ends = EndsOfTasks(self.form)
        """What tasks did last that a signal ended."""
        self.state: AnalysisState | None = None
        """What the ordered pass found; ``None`` without it."""
        self.threads: ThreadGroups | None = None
        self.comments = TraceComments()
        """What ``straced trace`` wrote into the file."""
        self.lines = 0
        self.bytes = 0
        self.tail = b""
        """The last line."""
        self.interrupted = False
        """Ctrl-C: what was read until then is in it."""

    @property
    def root(self) -> int:
        """The TID of the task that lines have as 0; 0: not known."""
        return self.cleaner.pids.root if self.cleaner.pids is not None else 0

    @property
    def tells_waiting(self) -> bool:
        """Whether the trace says of all calls that returned how long their threads waited in them."""
        timed = [row for row in self.figures.rows.values() if row.timed]
        return bool(timed) and all(row.waited == row.timed for row in timed)

    def missing(self) -> list[str]:
        """Return what a trace of this form lacks."""
        form = self.shown_form
        if self.cleaner.pids is not None and self.cleaner.pids.brackets:
            form = msgspec.structs.replace(form, pid="bracket")
        return form.missing()

    def pid_of(self, tid: int) -> int:
        """The process of a task."""
        if self.state is not None:
            tid = self.state.tree.belongs.get(tid, tid)
        elif self.threads is not None:
            tid = self.threads.leader.get(tid, tid)
        return tid or self.root


def read(
    source: TraceSource,
    *,
    detail: bool = True,
    selection: TraceSelection | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    abi: str | None = None,
) -> TraceReading:
    """Read a trace to its end.

    Args:
        detail: follow descriptors, paths and processes; without it, counts and times only, faster.
        selection: keep only these lines.
        jobs: processes to use, this one included; all cores unless given, one for short input.
        progress: called after each block.
        abi: that of the machine of the trace, where it is known; otherwise its calls tell, or nothing does.

    Raises:
        NotATrace: no line of the first block is strace's.
        WorkerDied: a helper process was killed.
    """
    selection = selection or TraceSelection()
    first, blocks = first_block(source)
    reading = TraceReading(source, detect(first[1:], source.name), selection)
    reading.abi = abi
    with uncollected():
        if selection:
            _selected(reading, blocks, progress)
        else:
            _everything(reading, blocks, detail, jobs or os.cpu_count() or 1, progress)
    _forgive_tail(reading)
    _settle(reading)
    return reading


def _settle(reading: TraceReading) -> None:
    """What is known at the end only."""
    reading.figures.settle()
    reading.waiting = reading.restarts.finish()
    if reading.state is not None:
        reading.state.tree.settle()
        if reading.root:
            reading.state.tree.rename(0, reading.root)
    elif reading.threads is not None and reading.comments.processes:
        for facts in reading.comments.processes.values():
            for tid in facts.tasks:
                if tid != facts.pid:
                    reading.threads.leader.setdefault(tid, facts.pid)
    elif reading.threads is not None and reading.cleaner.pids is not None:
        houses = reading.cleaner.pids.with_threads
        if len(houses) == 1:
            (pid,) = (0 if each == reading.root else each for each in houses)
            for tid in {tid for tid, _ in reading.figures.rows} - reading.threads.born - {pid}:
                reading.threads.leader.setdefault(tid, pid)


def _forgive_tail(reading: TraceReading) -> None:
    """A last line without an end is no damage: strace was killed, or is still writing."""
    if not reading.source.cut_tail:
        return
    figures = reading.figures
    value = parse_line(reading.tail)
    if reading.state is not None and value is not None and value.kind == "cut":
        task = reading.state.tasks.of(value.pid or 0)
        if not value.resumed:
            task.entered = (value.name.encode() + b"(", value.args, reading.lines)
    last = next((line for line in figures.unread_lines if line[0] == reading.lines), None)
    if last is not None:
        figures.unread_lines.remove(last)
        figures.unread -= 1
        figures.cut += 1


def _each(
    reading: TraceReading, blocks: Iterator[bytes], progress: Progress | None, *, ahead: bool = False
) -> Iterator[tuple[bytes, int]]:
    """Blocks with the number of their first line, until the end or Ctrl-C; ``ahead``: a thread reads the next ones."""
    core, cleaned = reading.core, reading.cleaner.clean(blocks)
    reader: ReadAhead | None = None
    try:
        while (block := next(cleaned if reader is None else reader, None)) is not None:
            if not reading.lines and COMMENT in block:
                reading.comments.feed(block)
                for facts in reading.comments.processes.values():
                    reading.restarts.at_attach.update(facts.calls)
            before = reading.lines
            yield block, before + 1
            if not _is_blank(block):
                reading.clocks.feed(block, before + 1)
            if reading.lines == before:  # nobody who read the block counted
                reading.lines += (block.count(b"\n") if core is None else core.count(block, len(block))) - 1
            reading.bytes += len(block) - 1
            reading.tail = block[block.rfind(b"\n", 0, len(block) - 1) + 1 : -1]
            if progress is not None:
                progress(reading.source)
            if reading.source.stopped:
                break
            # what a terminal's lines say of their root is to be known no sooner than they are read
            if ahead and reading.bytes > SMALL_BYTES and reading.cleaner.pids is None:
                reader, ahead = ReadAhead.started(cleaned), False
    finally:
        if reader is not None:
            reader.close()
    reading.interrupted = reading.source.stopped


def _is_blank(block: bytes) -> bool:
    """Whether there is nothing but ends of lines in it: gigabytes of them are a few megabytes of a packed file."""
    return block.startswith(b"\n\n") and block.count(b"\n") == len(block)


def _everything(
    reading: TraceReading, blocks: Iterator[bytes], detail: bool, jobs: int, progress: Progress | None
) -> None:
    ordered: OrderedPass | None = None
    if detail:
        core, form = reading.core, reading.form
        ordered = OrderedPass(form) if core is None else NativeOrderedPass(core, form)
        _introduce(reading, ordered)
    reading.state = ordered.state if ordered is not None else None
    reading.threads = None if detail else ThreadGroups(reading.form)
    ends = reading.ends if detail else None
    counting: BlockCounting
    if reading.core is not None:
        counting = NativeCounting(reading.core, reading.form, reading.restarts, reading.threads, ends, ticks=detail)
    else:
        counting = PythonCounting(reading.form, reading.restarts, reading.threads, ends, ticks=detail)
    ahead = reading.core is not None and jobs > 1
    try:
        for block, number in _each(reading, blocks, progress, ahead=ahead):
            if jobs > 1 and reading.bytes > SMALL_BYTES:
                counting.spread(jobs)
            if _is_blank(block):
                if ordered is not None:
                    ordered.lines += block.count(b"\n") - 1
                    reading.ends.feed(block, number)
                continue
            counting.feed(block, number)
            if ordered is not None:
                ordered.state.tasks.root = reading.root
                if number == 1:
                    introduce(ordered.state, reading.comments)
                ordered.feed(block)
                reading.lines = ordered.lines
        for result in counting.finish():
            reading.figures.add(result)
        if ordered is not None:
            ordered.finish()
    finally:
        counting.close()


def _introduce(reading: TraceReading, ordered: OrderedPass) -> None:
    """Let the ordered pass know what strace's own words tell of tasks."""
    if reading.cleaner.pids is not None:
        ordered.state.tasks.with_threads = reading.cleaner.pids.with_threads


def _selected(reading: TraceReading, blocks: Iterator[bytes], progress: Progress | None) -> None:
    chosen = reading.selection
    ordered = SelectedPass(reading.form, SelectedFiles(chosen.path))
    reading.state = ordered.state
    _introduce(reading, ordered)
    tally = LineTally(reading.form, ticks=True)
    limits: TimeLimits | None = None

    def selected(tid: int, name: str, clock: bytes) -> bool:
        inside = limits is None or limits.holds(clock)  # every clock is looked at: midnights are counted
        if chosen.pids and not chosen.pids & {tid or reading.root, ordered.state.tree.pid_of(tid) or reading.root}:
            return False
        if chosen.syscalls and name not in chosen.syscalls:
            return False
        return inside

    for block, number in _each(reading, blocks, progress):
        if _is_blank(block):
            ordered.lines += block.count(b"\n") - 1
            reading.ends.feed(block, number)
            continue
        if limits is None:
            limits = TimeLimits(chosen, block, reading.form)
        ordered.state.tasks.root = reading.root
        if number == 1:
            introduce(ordered.state, reading.comments)
        kept = ordered.feed_selected(block, selected)
        reading.ends.feed(block, number)
        if len(kept) > 1:
            tally.feed(kept, number)
            reading.restarts.feed(kept)
    reading.figures.add(result_of(tally))
