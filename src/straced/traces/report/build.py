"""From what the passes found to a report: the summary that all views share, processes, files, findings."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from straced.model.aggregation import merge_rows, table
from straced.model.split import SplitPart, split
from straced.model.types import Counters, Quality, Reason, Summary, Target, Window
from straced.syscalls import category
from straced.text.sanitize import scrub, scrub_bytes
from straced.text.units import count_of
from straced.traces.analysis import findings
from straced.traces.analysis.clocks import DAY_S
from straced.traces.analysis.counters import CallSums, counters
from straced.traces.analysis.file_stats import OTHER, PathStats
from straced.traces.analysis.population import Population
from straced.traces.analysis.process_tree import TracedProcess
from straced.traces.analysis.reader import TraceReading
from straced.traces.analysis.tally import OTHER_TASKS
from straced.traces.parsing.selection import clock_seconds
from straced.traces.report.at_end import tasks_at_end
from straced.traces.report.flame import flame_graph
from straced.traces.values import DAMAGED, FileReport, ProcessReport, ProcessTimeLine, SlowCall, TraceReport

MOST_PROCESSES = 500
MOST_THREADS = 500
MOST_FILES = 2_000
TIMELINE_STEPS = 160
TIMELINE_PIDS = 60


def build(reading: TraceReading) -> TraceReport:
    """Make the report of a trace."""
    summary = summarise(reading)
    unread = tuple((number, scrub_bytes(text, 120)) for number, text in reading.figures.unread_lines)
    report = TraceReport(
        source=scrub(reading.source.name, 300),
        lines=reading.lines,
        size_bytes=reading.bytes,
        missing=tuple(reading.missing()),
        unread=reading.figures.unread,
        unread_lines=unread,
        cut=reading.figures.cut,
        notes=(*reading.source.damage, *reading.source.notes),
        summary=summary,
    )
    state = reading.state
    if state is None:
        return report
    everybody = _processes(reading)
    processes, hidden = _shown(reading, everybody)
    timed, waiting = reading.form.durations, reading.tells_waiting
    ranked = sorted(state.files.rows.items(), key=lambda item: (-item[1].ns, -item[1].count, item[0]))
    fields = {
        "processes": processes,
        "threads": _threads(reading, everybody),
        "processes_hidden": hidden,
        "files": tuple(_file(path, row, timed, waiting) for path, row in _most(ranked)),
        "files_folded": state.files.folded + max(0, len(ranked) - MOST_FILES),
        "slowest": tuple(
            SlowCall(
                line=-place, pid=int(text.split(b" ", 1)[0] or 0) or reading.root, duration_ns=duration,
                waiting_ns=waited, text=scrub_bytes(text.split(b" ", 1)[1], 300),
                path=scrub_bytes(about, 300) if about else None,
            )
            for duration, place, text, about, waited in sorted(state.slowest.rows, reverse=True)
        ),
        "signals": dict(sorted(state.signal_counts.items(), key=lambda item: -item[1])),
        "findings": findings.find(reading, summary),
        "at_end": tasks_at_end(reading),
        "timeline": _timeline(reading),
        "flame": flame_graph(everybody, state.files, timed=timed),
    }  # fmt: skip
    kept = {name: getattr(report, name) for name in TraceReport.__struct_fields__ if name not in fields}
    return TraceReport(**kept, **fields)  # type: ignore[arg-type]


def _most(ranked: list[tuple[bytes, PathStats]]) -> Iterable[tuple[bytes, PathStats]]:
    if len(ranked) <= MOST_FILES:
        return ranked
    other = PathStats(0)
    for _, row in ranked[MOST_FILES - 1 :]:
        other.add(row)
    kept = [item for item in ranked[: MOST_FILES - 1] if item[0] != OTHER]
    if len(kept) < MOST_FILES - 1:
        other.add(dict(ranked)[OTHER])
    return [*kept, (OTHER, other)]


def _file(path: bytes, row: PathStats, timed: bool, waiting: bool) -> FileReport:
    return FileReport(
        path=scrub_bytes(path, 1000),
        calls=row.count,
        errors=row.errors,
        errno={code.decode("ascii", "replace"): count for code, count in (row.errno or {}).items()},
        in_bytes=row.in_bytes,
        out_bytes=row.out_bytes,
        opens=row.opens,
        wall_ns=row.ns if timed else None,
        waiting_ns=row.waiting_ns if waiting and not row.untold else None,
        line=row.line,
        syscalls=row.calls,
    )


def summarise(reading: TraceReading) -> Summary:
    """The summary of all lines, in the shape that live tracers give."""
    rows, total = table(counters(reading), "wall")
    population = Population(reading)
    root = population.root
    duration = reading.clocks.duration_ns
    epoch = reading.form.clock == "epoch"
    start = reading.clocks.first if epoch and reading.clocks.first is not None else 0.0
    return Summary(
        target=Target(
            pid=root.pid if root is not None else population.first_pid,
            start_ticks=0,
            boot_id=_boot_id(reading),
            start_time=start or None,
            comm=_name(root) if root is not None else "",
            cmdline=tuple(scrub_bytes(root.execs[-1].argv, 300).split("\n")) if root and root.execs else (),
        ),
        tracer="ebpf" if _by_ebpf(reading) else "strace",
        tracer_reason=f"from {scrub(reading.source.name, 200)}",
        quality=_quality(reading),
        window=Window(start=start, end=start + (duration or 0) / 1e9, duration_ns=duration),
        processes=population.processes,
        threads=population.threads,
        exit_status=root.exit_status if root is not None else None,
        end=_end(root),
        rows=rows,
        total=total,
    )


def _boot_id(reading: TraceReading) -> str:
    header = reading.comments.header
    return "" if header is None else scrub(header.boot_id, 60)


def _by_ebpf(reading: TraceReading) -> bool:
    header = reading.comments.header
    return header is not None and header.by_ebpf


def _end(root: TracedProcess | None) -> str:
    if root is None:  # nobody followed the processes, or it is not known which of them it was about
        return "lost"
    if root.killed:
        return f"killed by {root.killed}"
    return "exited" if root.end else "still running when the trace ends"


def _quality(reading: TraceReading) -> Quality:
    reasons = [Reason("form", f"the trace has {gap}") for gap in reading.missing()]
    if reading.figures.unread:
        where = ", ".join(str(number) for number, _ in reading.figures.unread_lines[:5])
        text = f"{reading.figures.unread:,} lines are not strace's or damaged (line {where}, ...)"
        reasons.append(
            Reason("unread", text if reading.figures.unread > 1 else f"line {where} is damaged or not strace's")
        )
    if not reading.shown_form.calls:
        whom = f" to {reading.cleaner.pids.root}" if reading.cleaner.pids and reading.root else ""
        who = "eBPF" if _by_ebpf(reading) else "strace"
        reasons.append(Reason("nothing", f"{who} attached{whom}, and no call was made until the end of its log"))
    if reading.interrupted:
        reasons.append(Reason("interrupted", "reading was interrupted: this is the part until then"))
    reasons += [Reason(DAMAGED, note) for note in reading.source.damage]
    reasons += [Reason("input", note) for note in reading.source.notes]
    mixed = [tid for tid, abis in reading.figures.abis.items() if len(abis) > 1]
    if mixed:
        reasons.append(Reason("abi", f"task {mixed[0]} calls in two ABIs, which are counted together"))
    if reading.selection:
        found = "only the lines" if reading.figures.rows else "no line of the trace is"
        reasons.append(Reason("selection", f"{found} selected by the options"))
    header = reading.comments.header
    if header is not None and header.filters is not None:
        told = header.filters.sentences(header.left_out, header.ended)
        reasons += [Reason("filtered" if text.startswith("only") else "limit", text) for text in told]
    source = reading.source
    damaged = bool(reading.figures.unread or reading.interrupted or source.notes or source.damage)
    if lost := reading.figures.lost:
        reasons.append(
            Reason(
                "lost",
                f"{count_of(lost, 'line is missing', 'lines are missing')}: the reader of the trace was too slow",
            )
        )
        return Quality(kind="lossy", lost=None if damaged else lost, reasons=tuple(reasons))
    return Quality(kind="partial" if damaged else "exact", lost=None if damaged else 0, reasons=tuple(reasons))


def _name(proc: TracedProcess) -> str:
    return scrub_bytes(proc.execs[-1].path.rsplit(b"/", 1)[-1], 60) if proc.execs else scrub(proc.name, 60)


def _processes(reading: TraceReading) -> list[ProcessReport]:
    """All that were seen."""
    state = reading.state
    assert state is not None
    sums = CallSums(reading)
    by_pid: dict[int, list[Counters]] = {}
    for tid, one in sums.all():
        by_pid.setdefault(reading.pid_of(tid), []).append(one)
    population = Population(reading)
    procs = state.tree.procs
    for pid in by_pid:
        if pid not in procs and pid != OTHER_TASKS:
            procs[pid] = TracedProcess(pid=pid)
    reports = []
    offset_s = reading.clocks.offset_s
    for pid, proc in procs.items():
        if not population.was_seen(proc):
            continue  # a child that was not followed
        rows, total = table(merge_rows(by_pid.get(pid, [])), "wall")
        if not rows and not proc.execs and reading.selection:
            continue
        waits = [row.wall_ns for row in rows if category(row.name) == "wait" and row.wall_ns is not None]
        reports.append(
            ProcessReport(
                pid=pid,
                parent=proc.parent,
                name=_name(proc) or _inherited(procs, proc),
                argv=scrub_bytes(proc.execs[-1].argv, 200) if proc.execs else scrub(proc.argv, 200),
                execs=tuple(scrub_bytes(each.path, 200) for each in proc.execs),
                line=proc.line,
                start_s=offset_s(proc.start, proc.line),
                end_s=offset_s(proc.end, proc.end_line),
                exit_status=proc.exit_status,
                killed=proc.killed,
                threads=proc.threads,
                children=proc.children,
                calls=total.calls or 0,
                errors=total.errors or 0,
                wall_ns=total.wall_ns,
                waiting_ns=total.waiting_ns,
                waiting_calls_ns=None if total.wall_ns is None else sum(waits),
                rows=rows,
            )
        )
    return reports


def _threads(reading: TraceReading, everybody: list[ProcessReport]) -> tuple[SplitPart, ...]:
    """A row for each task that made calls, named by its process."""
    names = {process.pid: process.name for process in everybody}
    rows = [
        msgspec.structs.replace(row, pid=reading.pid_of(tid), tid=tid or reading.root)
        for tid, row in CallSums(reading).all()
        if tid != OTHER_TASKS
    ]
    parts = split(rows, lambda pid, tid, program: f"{tid} ({names[pid]})" if pid and names.get(pid) else str(tid))
    return tuple(parts[:MOST_THREADS])


def _shown(reading: TraceReading, everybody: list[ProcessReport]) -> tuple[tuple[ProcessReport, ...], int]:
    """Those with the most calls, in the order in which they came; and how many are left out."""
    assert reading.state is not None
    tree = reading.state.tree
    busiest = sorted(everybody, key=lambda report: (-report.calls, report.pid))[:MOST_PROCESSES]
    hidden = len(everybody) - len(busiest) + max(0, tree.processes - len(tree.procs))
    return tuple(sorted(busiest, key=lambda report: (report.line, report.pid))), hidden


def _inherited(procs: dict[int, TracedProcess], proc: TracedProcess) -> str:
    """The program of the nearest ancestor that was seen to run one."""
    seen = {proc.pid}
    parent = proc.parent
    while parent is not None and parent not in seen:
        seen.add(parent)
        above = procs.get(parent)
        if above is None:
            return ""
        if name := _name(above):
            return name
        parent = above.parent
    return ""


def _timeline(reading: TraceReading) -> ProcessTimeLine | None:
    first, duration = reading.clocks.first, reading.clocks.duration_ns
    if first is None or duration is None or not reading.figures.ticks:
        return None
    finest = 10.0 ** -min(reading.form.clock_digits, 2)
    step = max(finest, duration / 1e9 / TIMELINE_STEPS)
    steps = int(duration / 1e9 / step) + 1
    series: dict[int, list[int]] = {}
    for (tid, clock), count in reading.figures.ticks.items():
        seconds = clock_seconds(clock)
        if seconds is None:
            continue
        offset = seconds - first if seconds >= first - 1 else seconds - first + DAY_S
        place = min(max(int(offset / step), 0), steps - 1)
        series.setdefault(reading.pid_of(tid), [0] * steps)[place] += count
    busiest = sorted(series, key=lambda pid: -sum(series[pid]))[:TIMELINE_PIDS]
    kept = sorted(busiest, key=lambda pid: next(i for i, count in enumerate(series[pid]) if count))
    return ProcessTimeLine(
        step_s=step, start_s=first, pids=tuple(kept), counts=tuple(tuple(series[pid]) for pid in kept)
    )
