"""Lines of a trace that are no calls, or have another form than most: signals, exits, the rest of a torn line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from straced.traces.analysis.roles import ROLE_OF
from straced.traces.parsing.line import OWN_WORDS, TraceLine, parse_line

if TYPE_CHECKING:
    from straced.traces.analysis.ordered_pass import OrderedPass

SIGNALS_KEPT = 200
_ATTACHED = re.compile(OWN_WORDS + rb"Process (\d+) attached")


def attached(block: bytes) -> list[bytes]:
    """The tasks that strace says it attached to."""
    return _ATTACHED.findall(block)


def other_line(d: OrderedPass, line: bytes, number: int) -> None:
    """A line that does not begin as the calls of its trace do."""
    value = parse_line(line)
    if value is None:
        return
    if value.kind in ("exited", "killed"):
        tid = value.pid or d.root
        d.tasks.end(tid)
        d.tree.end(tid, clock_of(line, value), number, status=value.status, killed=value.name or None)
    elif value.kind == "superseded" and value.pid is not None and value.other_pid is not None:
        d.tasks.supersede(value.pid, value.other_pid)
    elif value.kind == "signal":
        d.signal_counts[value.name] = d.signal_counts.get(value.name, 0) + 1
        if len(d.signals) < SIGNALS_KEPT:
            d.signals.append((number, clock_of(line, value), value.pid or d.root, value.name))
    elif value.kind in ("call", "resumed", "unfinished", "cut"):
        _call(d, value, line, number)


def _call(d: OrderedPass, value: TraceLine, line: bytes, number: int) -> None:
    """A call whose line has another form than most."""
    task = d.tasks.of(value.pid or d.root)
    if value.kind in ("unfinished", "cut"):
        task.entered = (value.name.encode() + b"(", value.args, number)
    elif value.result is not None and (role := ROLE_OF.get(value.name)) is not None:
        begun = b""
        if value.kind == "resumed":
            begun, task.entered = task.begun(), None
        result = value.result + (
            b" <%d.%09d>" % divmod(value.duration_ns, 10**9) if value.duration_ns is not None else b""
        )
        d.call(role, value.name, task, begun + value.args + b") = " + result, number, clock_of(line, value))


def clock_of(line: bytes, value: TraceLine) -> bytes:
    """The clock of a line as it is written there."""
    if value.clock is None:
        return b""
    match = re.match(rb"(?:\[pid +[^\]]*\] |\d+(?:<[^>]*>)? +)? *([\d:.]+) ", line)
    return match.group(1) if match else b""
