"""The figures of a report as the page holds them: names once, rows as lists, so that a large trace is a small page."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from straced.text.units import count_of
from straced.traces.report.flame import pruned
from straced.traces.values import LANE_CLASSES, CloseUp, FlameNode, TraceReport
from straced.views.html.advice import ADVICE
from straced.views.text.summary import head as head_line
from straced.views.text.summary import plain, quality_line

MOST_PATH_CHARS = 160_000
"""Of the paths in the table of files, all together; what is beyond is counted."""
MOST_ARGV = 120
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"(\.\.\.)?')
"""A word of an argv, and whether strace cut it (``-s``)."""
LEVELS = "123456789"
"""How full a step of a lane is, in ninths."""


class NameTable:
    """Each name once; elsewhere its number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    @property
    def names(self) -> list[str]:
        return list(self._numbers)


def data_of(report: TraceReport, closeup: CloseUp | None = None, host: str | None = None) -> dict[str, Any]:
    """What the page shows.

    Args:
        report: the report.
        closeup: tasks over time, and lines; ``None``: the trace could be read once only.
        host: of which machine it is; ``None``: not known.
    """
    summary, name = report.summary, NameTable()
    title = f"{summary.target.pid} ({summary.target.comm})" if summary.target.comm else None
    files, hidden = _files(report, name)
    return {
        "title": report.source,
        "command": command_of(report),
        "epoch": summary.window.start or None,
        "host": host,
        "head": plain([head_line(summary, title)]).strip(),
        "lines": count_of(report.lines, "line"),
        "quality": quality_line(summary),
        "reasons": [reason.text for reason in summary.quality.reasons],
        "waits": summary.total.waiting_ns is not None,
        "timed": summary.total.wall_ns is not None,
        "duration_ns": summary.window.duration_ns,
        "summary": [_row(each) for each in msgspec.to_builtins(summary.rows)],
        "processes": [_process(each) for each in msgspec.to_builtins(report.processes)],
        "processes_hidden": report.processes_hidden,
        "files": files,
        "files_hidden": hidden + report.files_folded,
        "slowest": msgspec.to_builtins(report.slowest),
        "findings": _findings(report, closeup),
        "lanes": _lanes(report, closeup, name),
        "flame": None if report.flame is None else _flame(pruned(report.flame), name),
        "names": name.names,
    }


def command_of(report: TraceReport) -> str:
    """The command line that was traced, as far as the trace tells."""
    return _spoken(next(iter(report.summary.target.cmdline), ""))


def _spoken(argv: str, skip: int = 0) -> str:
    """An argv as one types it, without the first words: strace prints it as a list, whole or cut."""
    words = [word + ("…" if cut else "") for word, cut in _WORD.findall(argv)]
    whole = argv.endswith("]") and not argv.endswith(", ...]")
    return " ".join(words[skip:]) + ("" if whole else " …") if words else argv


def _row(row: dict[str, Any]) -> dict[str, Any]:
    kept = (
        "name",
        "class",
        "calls",
        "errors",
        "errno",
        "wall_ns",
        "working_ns",
        "waiting_ns",
        "p50_ns",
        "p99_ns",
        "max_ns",
    )
    return {name: row[name] for name in kept if row.get(name) is not None}


def _process(row: dict[str, Any]) -> dict[str, Any]:
    row = {key: value for key, value in row.items() if key not in ("syscalls", "execs", "children", "threads", "line")}
    words = _spoken(row["argv"], 1)  # the program stands before it
    row["argv"] = words if len(words) <= MOST_ARGV else words[:MOST_ARGV].removesuffix(" ") + "…"
    return {key: value for key, value in row.items() if value is not None and value != ""}


def _files(report: TraceReport, name: NameTable) -> tuple[list[list[Any]], int]:
    rows: list[list[Any]] = []
    room = MOST_PATH_CHARS
    for each in report.files:
        room -= len(each.path)
        if room < 0:
            break
        figures = [each.calls, each.errors, each.in_bytes, each.out_bytes, each.wall_ns, each.line]
        rows.append([name(each.path), *figures, *([] if each.waiting_ns is None else [each.waiting_ns])])
    return rows, len(report.files) - len(rows)


def _findings(report: TraceReport, closeup: CloseUp | None) -> list[dict[str, Any]]:
    wall_ns = report.summary.window.duration_ns
    texts = closeup.lines if closeup is not None else {}
    found = []
    for each in report.findings:
        around = range(each.lines[0] - 3, each.lines[0] + 4) if each.lines else ()
        shown = sorted({*around, *each.lines} & texts.keys())
        found.append(
            {
                "text": each.text,
                "cost_ns": each.cost_ns,
                "waiting_ns": each.waiting_ns,
                "share": None if each.cost_ns is None or not wall_ns else round(100 * each.cost_ns / wall_ns, 2),
                "lines": each.lines,
                "advice": ADVICE.get(each.code, ""),
                "shown": [[number, texts[number]] for number in shown],
            }
        )
    return found


def _lanes(report: TraceReport, closeup: CloseUp | None, name: NameTable) -> dict[str, Any] | None:
    """Each lane as a text with two letters a step: the class that took most of it, and how full it is."""
    names = {process.pid: process.name for process in report.processes}
    if closeup is None or not closeup.lanes:
        return _process_lanes(report, names)
    timed = report.summary.total.wall_ns is not None
    most = closeup.step_ns if timed else max(sum(cell) for lane in closeup.lanes for cell in lane.steps.values())
    rows = []
    for lane in closeup.lanes:
        title = names.get(lane.pid) or "?"
        label = f"{title} {lane.tid}" if lane.tid == lane.pid else f"{title} {lane.pid}/{lane.tid}"
        cells = [".."] * closeup.steps
        for step, cell in lane.steps.items():
            kind = max(range(len(cell)), key=lambda place: cell[place])
            cells[step] = LANE_CLASSES[kind][0] + LEVELS[min(8, int(9 * sum(cell) / max(1, most)))]
        times = [] if lane.waiting_ns is None else [lane.wall_ns, lane.waiting_ns]
        rows.append([label, lane.tid, lane.calls, "".join(cells), *times])
    calls = [
        [
            call.tid, name(call.name), call.start_ns // 1000, call.duration_ns // 1000, call.line,
            *([] if call.waiting_ns is None else [call.waiting_ns]),
        ]
        for call in closeup.long_calls
    ]  # fmt: skip
    return {
        "classes": [[each[0], each] for each in LANE_CLASSES],
        "step_ns": closeup.step_ns,
        "steps": closeup.steps,
        "rows": rows,
        "hidden": closeup.lanes_hidden,
        "calls": calls,
        "of_calls": closeup.calls,
        "by": "time in calls" if timed else "calls",
    }


def _process_lanes(report: TraceReport, names: dict[int, str]) -> dict[str, Any] | None:
    """What one look gives: the lines of each process, of no class."""
    line = report.timeline
    if line is None:
        return None
    most = max((max(counts) for counts in line.counts), default=1) or 1
    rows = [
        [f"{names.get(pid) or '?'} {pid}", pid, sum(counts), "".join(_level(count, most) for count in counts)]
        for pid, counts in zip(line.pids, line.counts, strict=True)
    ]
    return {
        "classes": [["l", "lines"]], "step_ns": round(line.step_s * 1e9), "steps": len(line.counts[0]), "rows": rows,
        "hidden": 0, "calls": [], "of_calls": None, "by": "lines",
    }  # fmt: skip


def _level(count: int, most: int) -> str:
    return "l" + LEVELS[min(8, int(9 * count / most))] if count else ".."


def _flame(box: FlameNode, name: NameTable) -> list[Any]:
    """[name, kind, calls, errors, ns, processes, boxes below]."""
    return [
        name(box.name), ("program", "call", "path", "errno").index(box.kind), box.calls, box.errors, box.ns,
        box.processes, [_flame(each, name) for each in box.below],
    ]  # fmt: skip
