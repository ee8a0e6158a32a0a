"""What the lines around the list say: the machine, the totals, the source, and how far the figures hold."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from straced.live.protocols import TraceState
from straced.model.frame import Frame, ProcessRow
from straced.text.sanitize import scrub
from straced.text.tracer_names import tracer_name
from straced.text.units import count_of, format_bytes, format_count
from straced.views.text.summary import Span, sentence
from straced.views.tui.cells import rate, share, size
from straced.views.tui.row_filter import user_name


class State(NamedTuple):
    """What the screen itself adds to a frame."""

    paused: bool = False
    age_s: float = 0.0
    interval_s: float = 1.0
    sort: str = "cpu"
    mode: str = "working"
    filter: str = ""
    matching: int = 0
    """Processes that the filter leaves."""
    place: str = "list"
    """What the next key goes to; see :data:`straced.views.tui.key_bindings.HINTS`."""
    traces: tuple[TraceState, ...] = ()
    """Full traces that run."""


def machine_line(frame: Frame) -> str:
    """``CPU 34 % of 2 · memory 0.6G of 25G · load 1.83 4.36 3.48 · PSI cpu 19 memory 0 io 0``"""
    machine = frame.machine
    parts = [f"CPU {percent(machine.cpu_pct)} of {machine.cpus}"]
    if machine.memory_bytes is not None:
        parts.append(f"memory {size(machine.memory_used_bytes)} of {size(machine.memory_bytes)}")
    if machine.load is not None:
        parts.append("load " + " ".join(f"{value:.2f}" for value in machine.load))
    if machine.pressure is not None:
        parts.append("PSI " + " ".join(f"{name} {value:.0f}" for name, value in machine.pressure.items()))
    return " · ".join(parts)


def totals_line(frame: Frame) -> str:
    """``48 processes, 40 watched · 12,034 calls/s · 31 errors/s · alerts -``"""
    watched = "not counted" if frame.tracer is None else f"{format_count(frame.watched)} counted"
    number = len(frame.processes)
    return " · ".join(
        (
            f"{count_of(number, 'process')}, {watched}",
            f"{rate(frame.calls_s)} calls/s",
            f"{rate(frame.errors_s)} errors/s",
            f"alerts {format_count(frame.alerts)}",
        )
    )


def quality_line(frame: Frame, state: State) -> str:
    """``0.4 s old, every 1 s · exact · eBPF · 0 lost · overhead 0.4 % · straced itself 1.2 % CPU``"""
    return " · ".join(quality_words(frame, state))


def quality_words(frame: Frame, state: State) -> list[str]:
    """The parts of :func:`quality_line`."""
    quality = frame.quality
    parts = [_age(frame, state)]
    if frame.tracer is not None:
        lost = "lost: unknown" if quality.lost is None else f"{format_count(quality.lost)} lost"
        parts += [quality.kind, tracer_name(frame.tracer), lost]
        if frame.source == "history":
            return parts
        return [*parts, f"overhead {percent(frame.counting_pct)}", f"straced itself {percent(frame.cost_pct)} CPU"]
    return [*parts, "/proc only", f"straced itself {percent(frame.cost_pct)} CPU"]


def _age(frame: Frame, state: State) -> str:
    """How old the figures are, and how often there are others: a service has a pace of its own."""
    if frame.source == "history":
        return "a minute that is not over" if state.age_s <= 0 else f"a minute that ended {age(state.age_s)} ago"
    interval_s = frame.duration_ns / 1e9 if frame.source == "service" and frame.duration_ns else state.interval_s
    return f"{age(state.age_s)} old, every {float(f'{interval_s:.2g}'):g} s"


def percent(value: float | None) -> str:
    """``0.4 %``, and ``-`` alone where it is not known."""
    return "-" if value is None else f"{share(value)} %"


def banners(frame: Frame, state: State) -> list[Span]:
    """What must not be missed, the gravest first."""
    found = []
    if frame.disconnected is not None:
        found.append(
            Span(f"DISCONNECTED {sentence(frame.disconnected)} Showing the last figures; reconnecting.", "bad")
        )
    if frame.notice:
        found.append(Span(frame.notice, "weak"))
    if state.paused:
        found.append(Span("PAUSED – press p to resume", "title"))
    found += [Span(tracing(each), "title") for each in state.traces]
    if frame.quality.kind == "lossy" and frame.tracer is not None:
        lost = "an unknown number of" if frame.quality.lost is None else format_count(frame.quality.lost)
        why = " ".join(sentence(reason.text) for reason in frame.quality.reasons)
        found.append(
            Span(f"LOSSY {lost} {'call is' if frame.quality.lost == 1 else 'calls are'} missing. {why}", "bad")
        )
    elif frame.quality.reasons and frame.tracer is not None:
        found.append(Span(" ".join(sentence(reason.text) for reason in frame.quality.reasons), "weak"))
    if frame.tracer is None:
        found.append(Span(uncounted(frame) if frame.tracer_reason else "Attaching.", "weak"))
    return found


def uncounted(frame: Frame) -> str:
    """One line that stands for the columns that cannot be known here, and says what to do."""
    return sentence(f"Calls not counted: {frame.tracer_hint or frame.tracer_reason}")


def tracing(trace: TraceState) -> str:
    """What a full trace has written, where, and when it ends by itself."""
    limits = f"{format_bytes(trace.bytes)} of {format_bytes(trace.max_bytes)}, at most {trace.max_seconds:.0f} s"
    return f"TRACING {trace.pid} into {scrub(str(trace.path), 200)}: {limits}; select it and press t to stop"


def whose(row: ProcessRow, boottime_s: float) -> tuple[str, str]:
    """What a process runs, as whom, and since when: two lines by which to know it.

    Args:
        row: the process.
        boottime_s: seconds since boot, the clock that start times are told by.
    """
    running_s = max(0.0, boottime_s - row.start_ticks / os.sysconf("SC_CLK_TCK"))
    return scrub(row.cmdline, 200) or f"[{row.comm}]", f"user {_user(row.uid)} · started {age(running_s)} ago"


def _user(uid: int | None) -> str:
    if uid is None:
        return "unknown"
    name = user_name(uid)
    return name if name == str(uid) else f"{name} ({uid})"


def boottime_s() -> float:
    """Seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def age(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min``, ``5 h``, ``12 days``"""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    for limit, unit, size_s in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size_s:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
