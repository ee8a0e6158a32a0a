"""A time line in Chrome's trace event format, which ui.perfetto.dev and chrome://tracing open.

A track for each task, grouped by process; an arrow from each fork to the child's first call, and from kill(2) and the
like to the signal. Times are microseconds from the start of the trace (Trace Event Format, "JSON Object Format").
"""

from __future__ import annotations

import re
from typing import Any, BinaryIO

import msgspec

from straced.syscalls import category
from straced.traces.analysis.calls import Call
from straced.traces.values import TraceReport

_FORKS = frozenset({"clone", "clone3", "fork", "vfork"})
_KILLS = frozenset({"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"})
_SENDER = re.compile(r"si_pid=(\d+)")
MOST_PENDING = 10_000


class PerfettoWriter:
    """Writes events as calls come."""

    def __init__(self, stream: BinaryIO, report: TraceReport) -> None:
        self._stream = stream
        self._encoder = msgspec.json.Encoder()
        self._first = True
        self._flow = 0
        self._born: dict[int, int] = {}
        """Arrows of forks whose child has not called yet, by its tid."""
        self._firsts: dict[int, Call] = {}
        """The first call of a task whose clone has not returned yet (or was not seen)."""
        self._killed: dict[tuple[int, str], int] = {}
        """Arrows of signals on their way, by sender and name,"""
        self._early: dict[tuple[int, str], Call] = {}
        """and signals whose sending has not returned yet."""
        self._tracks: set[tuple[int, int]] = set()
        self._names = {process.pid: process.name for process in report.processes}
        stream.write(b'{"displayTimeUnit":"ns","otherData":{"source":')
        stream.write(self._encoder.encode(f"straced report {report.source}"))
        stream.write(b'},"traceEvents":[\n')

    def _event(self, event: dict[str, Any]) -> None:
        self._stream.write(b"" if self._first else b",\n")
        self._first = False
        self._stream.write(self._encoder.encode(event))

    def _base(self, call: Call, phase: str) -> dict[str, Any]:
        return {"ph": phase, "ts": (call.start_ns or 0) / 1000, "pid": call.pid, "tid": call.tid}

    def _track(self, call: Call) -> None:
        """Name a process and a task when they are first met."""
        if (call.pid, call.tid) in self._tracks:
            return
        if not any(pid == call.pid for pid, _ in self._tracks) or call.pid == call.tid:
            name = self._names.get(call.pid) or "process"
            self._event({"ph": "M", "pid": call.pid, "name": "process_name", "args": {"name": name}})
        self._event(
            {"ph": "M", "pid": call.pid, "tid": call.tid, "name": "thread_name", "args": {"name": f"task {call.tid}"}}
        )
        self._tracks.add((call.pid, call.tid))

    def write(self, call: Call) -> None:
        if call.start_ns is None:
            return
        self._track(call)
        if call.kind != "call":
            self._instant(call)
            return
        details: dict[str, Any] = {"line": call.line, "args": call.args[:500], "result": call.result}
        if call.errno:
            details["errno"] = call.errno
        if call.waiting_ns is not None:
            details["waiting_us"] = call.waiting_ns / 1000
        event = {**self._base(call, "X"), "name": call.name, "cat": category(call.name), "args": details}
        event["dur"] = (call.duration_ns or 0) / 1000
        self._event(event)
        self._flows(call)

    def _flows(self, call: Call) -> None:
        """Arrows that begin or end at a call. What an arrow leads to may stand before the line where it begins: a
        child runs, and a signal arrives, before the clone or the kill has returned."""
        if (birth := self._born.pop(call.tid, None)) is not None:
            self._arrive(birth, call, "fork")
        elif call.tid not in self._firsts and len(self._firsts) < MOST_PENDING:
            self._firsts[call.tid] = call
        if call.name in _FORKS and call.value and call.value > 0:
            number = self._depart(call, "fork")
            first = self._firsts.pop(call.value, None)
            if first is not None and (first.start_ns or 0) >= (call.start_ns or 0):
                self._arrive(number, first, "fork")
            elif len(self._born) < MOST_PENDING:
                self._born[call.value] = number
        if call.name in _KILLS and call.value == 0 and (name := re.search(r"SIG\w+", call.args)):
            number = self._depart(call, name.group())
            signal = self._early.pop((call.pid, name.group()), None)
            if signal is not None and (signal.start_ns or 0) >= (call.start_ns or 0):
                self._deliver(number, signal)
            elif len(self._killed) < MOST_PENDING:
                self._killed[call.pid, name.group()] = number

    def _depart(self, call: Call, name: str) -> int:
        self._flow += 1
        self._event({**self._base(call, "s"), "id": self._flow, "name": name, "cat": "flow"})
        return self._flow

    def _arrive(self, number: int, call: Call, name: str) -> None:
        self._event({**self._base(call, "f"), "bp": "e", "id": number, "name": name, "cat": "flow"})

    def _deliver(self, number: int, signal: Call) -> None:
        """An arrow must end in a slice: a short one stands for the delivery."""
        self._event({**self._base(signal, "X"), "dur": 1, "name": signal.name, "cat": "signal"})
        self._arrive(number, signal, signal.name)

    def _instant(self, call: Call) -> None:
        name = {"signal": call.name, "exited": f"exit {call.status}", "killed": f"killed by {call.name}"}[call.kind]
        self._event({**self._base(call, "i"), "s": "t", "name": name, "cat": call.kind, "args": {"line": call.line}})
        sender = _SENDER.search(call.args)
        if call.kind != "signal" or sender is None:
            return
        key = (int(sender.group(1)), call.name)
        if (number := self._killed.pop(key, None)) is not None:
            self._deliver(number, call)
        elif len(self._early) < MOST_PENDING:
            self._early[key] = call

    def close(self) -> None:
        self._stream.write(b"\n]}\n")
