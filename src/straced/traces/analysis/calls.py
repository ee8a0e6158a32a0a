"""Every call of a trace as a value, halves joined, in the order in which calls began to be printed.

This is the exact reader behind the exports. It is slower than the passes, and gives everything.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from msgspec import Struct

from straced.text.sanitize import scrub_bytes
from straced.traces.analysis import roles
from straced.traces.analysis.decoded_call import UNKNOWN_PATH, path_of
from straced.traces.analysis.decoders import behind_first
from straced.traces.analysis.fd_table import split_fd
from straced.traces.analysis.reader import TraceReading
from straced.traces.analysis.roles import ROLE_OF
from straced.traces.parsing.cleaning import LineCleaner
from straced.traces.parsing.line import TraceLine, parse_line
from straced.traces.parsing.source import open_source
from straced.traces.parsing.strings import unescape
from straced.traces.parsing.time_limits import limits_of

_NAMES_A_PATH = frozenset(
    {roles.OPEN, roles.PATH, roles.PATH_AT, roles.TWO_PATHS, roles.TWO_PATHS_AT, roles.EXEC, roles.CHDIR}
)
DAY_NS = 86400 * 10**9
TEXT_LIMIT = 2000


class Call(Struct, kw_only=True):
    """One call, signal or end of a task. Text is scrubbed."""

    kind: str
    """``call``, ``signal``, ``exited`` or ``killed``."""
    line: int
    """Of its first half."""
    pid: int
    """The process."""
    tid: int
    name: str
    """The call, or the signal."""
    args: str = ""
    result: str | None = None
    """``None``: it never returned, or not while it was traced."""
    value: int | None = None
    errno: str | None = None
    path: str | None = None
    """The path that it names, or that of its descriptor (-y)."""
    start_ns: int | None = None
    """From the first line of the trace."""
    epoch_ns: int | None = None
    """From 1970 on; ``None`` where the trace has no such clocks (-ttt)."""
    duration_ns: int | None = None
    waiting_ns: int | None = None
    """The part of it in which the task was off the CPU; ``None`` where the trace does not tell."""
    status: int | None = None


class _Clock:
    """Offsets in ns from the first clock, across midnights; the clocks of -r are summed."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._last = 0
        self._sum = 0

    def offset(self, value: TraceLine) -> int | None:
        if value.clock_ns is None:
            return None
        if value.clock == "relative":
            self._sum += value.clock_ns
            return self._sum
        clock = value.clock_ns
        if self._first is None:
            self._first = self._last = clock
        if value.clock == "day":
            clock += DAY_NS * ((self._last - clock + DAY_NS // 2) // DAY_NS)
        self._last = max(self._last, clock)
        return clock - self._first


def calls(name: str, reading: TraceReading) -> Iterator[Call]:
    """Read the trace once more; ``reading`` tells processes from threads, and has the selection."""
    clock = _Clock()
    open_calls: dict[int, tuple[Call, bytes]] = {}
    selected = _CallFilter(reading)
    for number, line in enumerate(_lines(name, reading), 1):
        value = parse_line(line)
        if value is None or value.kind in ("note", "abi", "stopped"):
            continue
        start = clock.offset(value)
        tid = value.pid or 0
        if value.kind == "superseded" and value.other_pid is not None:
            if (half := open_calls.pop(value.other_pid, None)) is not None:
                half[0].tid = half[0].pid = tid or reading.root
                open_calls[tid] = half
            continue
        if value.resumed:
            half = open_calls.pop(tid, None)
            if half is None:
                continue  # entered before the trace: not one of its calls
            call, args = half
            if value.kind == "unfinished":  # interrupted once more
                open_calls[tid] = call, args + value.args
                continue
            _finish(call, args + value.args, value)
        else:
            call = Call(
                kind="call" if value.kind in ("call", "unfinished", "detached", "cut") else value.kind,
                line=number,
                pid=reading.pid_of(tid),
                tid=tid or reading.root,
                name=value.name,
                start_ns=start,
                epoch_ns=value.clock_ns if value.clock == "epoch" else None,
                status=value.status,
            )
            if value.kind == "unfinished":
                open_calls[tid] = call, value.args
                continue
            if value.kind in ("exited", "killed") and (half := open_calls.pop(tid, None)) is not None:
                _finish(half[0], half[1], None)
                if selected(half[0]):
                    yield half[0]
            _finish(call, value.args, value)
        if selected(call):
            yield call
    for call, args in open_calls.values():
        _finish(call, args, None)
        if selected(call):
            yield call


def _lines(name: str, reading: TraceReading) -> Iterator[bytes]:
    source = open_source(name)
    source.expect(reading.source)
    for block in LineCleaner(reading.shown_form).clean(source.blocks()):
        yield from block[1:-1].split(b"\n")


def _finish(call: Call, args: bytes, value: TraceLine | None) -> None:
    call.args = scrub_bytes(args, TEXT_LIMIT)
    path = _path(call.name, args)
    if value is not None and value.result is not None:
        call.result = scrub_bytes(value.result, TEXT_LIMIT)
        call.value, call.errno, call.duration_ns = value.value, value.errno, value.duration_ns
        call.waiting_ns = value.waiting_ns
        path = unescape(value.path.split(b"<", 1)[0]) if value.path else path
    call.path = None if path is None else scrub_bytes(path, TEXT_LIMIT)


def _path(name: str, args: bytes) -> bytes | None:
    """The path that a call names, joined to its directory's where -y printed that; or that of its descriptor."""
    role = ROLE_OF.get(name)
    if role not in _NAMES_A_PATH:
        return split_fd(args.split(b",", 1)[0])[1] if args[:1].isdigit() else None
    path = path_of(behind_first(name, args), True)[1]
    return None if path == UNKNOWN_PATH else path


class _CallFilter:
    """Whether a call is in the selection of a reading."""

    def __init__(self, reading: TraceReading) -> None:
        self._chosen = reading.selection
        first = reading.clocks.first
        self._first = first or 0.0
        self._since, self._until = limits_of(self._chosen, first, reading.form)

    def __call__(self, call: Call) -> bool:
        chosen = self._chosen
        if not chosen:
            return True
        if chosen.pids and call.pid not in chosen.pids and call.tid not in chosen.pids:
            return False
        if chosen.syscalls and call.name not in chosen.syscalls:
            return False
        if self._since is not None or self._until is not None:
            if call.start_ns is None:
                return False
            seconds = self._first + call.start_ns / 1e9
            if (self._since is not None and seconds < self._since) or (
                self._until is not None and seconds > self._until
            ):
                return False
        if chosen.path is None:
            return True
        return call.path is not None and (chosen.path in call.path or fnmatch.fnmatchcase(call.path, chosen.path))
