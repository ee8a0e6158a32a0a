"""Records as lines of strace's own format, in the order in which the calls began.

Records come when calls return. A task that was made, and its first calls, may come before the clone that made it; so
records are held back for a moment and sorted. One whose call took longer comes late, as a line with its own early time.
"""

from __future__ import annotations

import time
from bisect import bisect_right

from msgspec import Struct

from straced.records.text.compiled import CompiledCall, compile_call
from straced.records.text.effects import is_followed
from straced.records.text.processes import Processes
from straced.records.text.structures import signal_name
from straced.records.text.tables import constants
from straced.records.values import Record, RecordingFacts, RecordKind
from straced.text.redaction import redact

_START, _UNFINISHED, _EXEC = RecordKind.START, RecordKind.UNFINISHED, RecordKind.EXEC
_BEFORE = RecordKind.BEFORE
_EXIT, _LOST = RecordKind.EXIT, RecordKind.LOST
WINDOW_NS = 250_000_000
BATCH = 8192
"""Records that are sorted at once."""
COLUMN = 40
"""Where strace puts the equals sign of short lines."""


class LineOptions(Struct, frozen=True, kw_only=True):
    """What a line has beside the call."""

    stamp: str = "tt"
    """``t``, ``tt`` or ``ttt``, as the options of strace; empty for no time."""
    durations: bool = True
    nanoseconds: bool = False
    """Times of nine digits, as ``--syscall-times=ns``, instead of six: many calls take less than a microsecond."""
    pids: bool = True
    """Each line begins with the number of its task, as with ``-f -o FILE``."""
    words: bool = True
    """The words of an execve, which ``-s 0`` leaves out."""
    waiting: bool = False
    """Behind each duration, what of it the thread waited, ``<0.000012340+0.000011002>``: for our own reader."""
    redacted: bool = False
    """Secrets in paths and words are replaced by ``***``, for lines that others are to see."""
    names: bool = True
    """Descriptors with what they stand for, as with ``-yy``."""


class TextLines:
    """Turn records into lines."""

    def __init__(self, facts: RecordingFacts, options: LineOptions | None = None) -> None:
        self.options = options or LineOptions()
        self._epoch_ns = facts.epoch_ns - facts.monotonic_ns
        self._offset_s = facts.utc_offset_s
        self._names = self.options.names and is_followed(facts)
        self._processes = Processes(facts.processes if self._names else ())
        self._durations = self.options.durations
        self._waiting = self.options.waiting and self.options.nanoseconds
        self._calls: dict[tuple[int, str], CompiledCall] = {}
        self.held: list[Record] = []
        self._oldest_ns = self._newest_ns = 0
        self._second, self._clock = -1, ""
        self.lost = 0
        """Records that were lost, as lines have said so far."""
        self._signals = dict(constants("x86_64")["signal"])

    def feed(self, record: Record) -> bytes:
        """Take a record, in order of their ends, and return the lines that are complete by that."""
        if record.kind is _EXEC:  # its CALL has all of it
            return b""
        held = self.held
        if not held:
            self._oldest_ns = record.end_ns
        held.append(record)
        self._newest_ns = record.end_ns
        if len(held) < BATCH and record.end_ns - self._oldest_ns < 2 * WINDOW_NS:
            return b""
        return self._release(record.end_ns - WINDOW_NS)

    def ready(self, now_ns: int) -> bytes:
        """Return the lines that need not be held back any longer, for a reader to whom no records come.

        Args:
            now_ns: CLOCK_MONOTONIC, when the last records were looked for.
        """
        if not self.held or now_ns - self._oldest_ns < WINDOW_NS:
            return b""
        return self._release(now_ns - WINDOW_NS)

    def flush(self) -> bytes:
        """Return the lines of all that is left: there are no more records."""
        return self._release(None)

    def _release(self, until_ns: int | None) -> bytes:
        """Print what began before a moment; more if too many are held."""
        held = sorted(self.held, key=_start_of)
        count = len(held)
        if until_ns is not None:
            count = max(bisect_right(held, until_ns, key=_start_of), len(held) - BATCH // 2)
        self.held = held[count:]
        self._oldest_ns = min((record.end_ns for record in self.held), default=0)
        lines = map(self.line, held[:count])
        return "".join(map(redact, lines) if self.options.redacted else lines).encode()

    def line(self, record: Record) -> str:
        """The line of one record, with its line feed; empty where there is nothing to be told."""
        kind = record.kind
        if kind is _EXIT or kind is _LOST:
            return self._exit(record) if kind is _EXIT else self._lost(record)
        call = self._calls.get((record.number, record.abi))
        if call is None:
            call = self._calls[record.number, record.abi] = compile_call(
                record.number, record.abi, words=self.options.words
            )
        process = self._processes.of(record.tid, record.pid)
        begins = self._prefix(record)
        if kind is _START or (kind is _BEFORE and record.result is None):
            return f"{begins}{call.begun(record, process)} <unfinished ...>\n"
        if kind is _UNFINISHED and not call.ends:
            return f"{begins}{call.begun(record, process)} <unfinished ...>) = ?\n"
        text = begins + call.call(record, process)
        if call.effect is not None and self._names and _took_effect(record, call):
            call.effect(record, process, self._processes)
        if len(text) < COLUMN - 1:
            text = text.ljust(COLUMN - 1)
        took = record.duration_ns
        result = call.result(record, process)
        if took is None or not self._durations:
            return f"{text} = {result}\n"
        if self._waiting and (waited := record.waiting_ns) is not None:
            if took < 1_000_000_000:  # as nearly all are, and much faster
                return f"{text} = {result} <0.{took:09d}+0.{waited:09d}>\n"
            return f"{text} = {result} <{self._time(took)}+{self._time(waited)}>\n"
        return f"{text} = {result} <{self._time(took)}>\n"

    def _time(self, took_ns: int) -> str:
        if took_ns < 1_000_000_000:
            return f"0.{took_ns:09d}" if self.options.nanoseconds else f"0.{took_ns // 1000:06d}"
        seconds, rest = divmod(took_ns, 1_000_000_000)
        return f"{seconds}.{rest:09d}" if self.options.nanoseconds else f"{seconds}.{rest // 1000:06d}"

    def _exit(self, record: Record) -> str:
        status = record.result or 0
        self._processes.end(record.tid)
        low = status & 0x7F
        if low:
            core = " (core dumped)" if status & 0x80 else ""
            return f"{self._prefix(record)}+++ killed by {signal_name(low, self._signals)}{core} +++\n"
        return f"{self._prefix(record)}+++ exited with {status >> 8 & 0xFF} +++\n"

    def _lost(self, record: Record) -> str:
        """As ``straced trace`` says it of lines of strace, so that a report counts them."""
        self._processes.forget()
        if record.result is None:  # a damaged part of a file; how many it had shows at the end
            return ""
        self.lost += record.result
        return f"strace: {record.result} lines were dropped: the ring was full\n"

    def _prefix(self, record: Record) -> str:
        """The number of the task, and when it began the call."""
        stamp = self.options.stamp
        if not stamp:
            return f"{record.tid:<5} " if self.options.pids else ""
        second, rest = divmod(_start_of(record) + self._epoch_ns, 1_000_000_000)
        if second != self._second:
            self._second = second
            day = time.gmtime(second + self._offset_s)
            self._clock = str(second) if stamp == "ttt" else time.strftime("%H:%M:%S", day)
        if stamp == "t":
            begun = self._clock
        else:
            begun = f"{self._clock}.{rest:09d}" if self.options.nanoseconds else f"{self._clock}.{rest // 1000:06d}"
        return f"{record.tid:<5} {begun} " if self.options.pids else f"{begun} "


def _start_of(record: Record) -> int:
    """When a call began; what is no call, or of which no enter was seen, stands where it was written."""
    start_ns = record.start_ns
    return record.end_ns if start_ns is None else start_ns


def _took_effect(record: Record, call: CompiledCall) -> bool:
    result = record.result
    return result is not None and (not -4096 < result < 0 or result in call.despite) and len(record.args) >= call.needed
