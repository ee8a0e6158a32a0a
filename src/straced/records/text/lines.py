"""Records as lines of strace's own format, in the order in which the calls began.

Records come when calls return. A task that was made, and its first calls, may come before the clone that made it; so
records are held back for a moment and sorted. One whose call took longer comes late, as a line with its own early time.
"""

from __future__ import annotations

import time

from msgspec import Struct

from straced.records.text.compiled import CompiledCall, compile_call
from straced.records.text.processes import Processes
from straced.records.text.structures import signal_name
from straced.records.text.tables import constants
from straced.records.values import Record, RecordingFacts, RecordKind

WINDOW_NS = 250_000_000
BEGUN = -115
"""-EINPROGRESS: a connect that goes on without the program."""
BATCH = 8192
"""Records that are sorted at once."""
COLUMN = 40
"""Where strace puts the equals sign of short lines."""


class LineOptions(Struct, frozen=True, kw_only=True):
    """What a line has beside the call."""

    stamp: str = "tt"
    """``t``, ``tt`` or ``ttt``, as the options of strace; empty for no time."""
    durations: bool = True
    pids: bool = True
    """Each line begins with the number of its task, as with ``-f -o FILE``."""
    names: bool = True
    """Descriptors with what they stand for, as with ``-yy``."""


class TextLines:
    """Turn records into lines."""

    def __init__(self, facts: RecordingFacts, options: LineOptions | None = None) -> None:
        self.options = options or LineOptions()
        self._epoch_ns = facts.epoch_ns - facts.monotonic_ns
        self._offset_s = facts.utc_offset_s
        self._processes = Processes(facts.processes, named=self.options.names)
        self._calls: dict[tuple[int, str], CompiledCall] = {}
        self.held: list[tuple[int, int, Record]] = []
        self._newest_ns = 0
        self._second, self._clock = -1, ""
        self._signals = dict(constants("x86_64")["signal"])

    def feed(self, record: Record) -> bytes:
        """Take a record, in order of their ends, and return the lines that are complete by that."""
        if record.kind is RecordKind.EXEC:  # its CALL has all of it
            return b""
        end_ns = record.end_ns
        start_ns = record.start_ns if record.start_ns is not None else end_ns
        self.held.append((start_ns, len(self.held), record))
        self._newest_ns = max(self._newest_ns, end_ns)
        if len(self.held) < BATCH and self.held[0][0] > end_ns - 2 * WINDOW_NS:
            return b""
        return self._release(self._newest_ns - WINDOW_NS)

    def flush(self) -> bytes:
        """Return the lines of all that is left: there are no more records."""
        return self._release(None)

    def _release(self, until_ns: int | None) -> bytes:
        held = sorted(self.held)
        count = len(held)
        if until_ns is not None:
            count = next((i for i, each in enumerate(held) if each[0] > until_ns), len(held))
            count = max(count, len(held) - BATCH // 2)
        self.held = [(start_ns, place, record) for place, (start_ns, _, record) in enumerate(held[count:])]
        return "".join([self.line(record) for _, _, record in held[:count]]).encode()

    def line(self, record: Record) -> str:
        """The line of one record, with its line feed; empty where there is nothing to be told."""
        kind = record.kind
        if kind is RecordKind.EXIT:
            return self._exit(record)
        if kind is RecordKind.LOST:
            return ""
        call = self._calls.get((record.number, record.abi))
        if call is None:
            call = self._calls[record.number, record.abi] = compile_call(record.number, record.abi)
        process = self._processes.of(record.tid, record.pid)
        begins = self._prefix(record)
        if kind is RecordKind.START:
            return f"{begins}{call.begun(record, process)} <unfinished ...>\n"
        text = begins + call.call(record, process)
        result = record.result
        if (
            call.effect is not None
            and result is not None
            and (not -4096 < result < 0 or result == BEGUN)
            and len(record.args) >= call.needed
        ):
            call.effect(record, process, self._processes)
        text = f"{text.ljust(COLUMN - 1)} = {call.result(record, process)}"
        if not self.options.durations:
            return text + "\n"
        took = record.duration_ns
        if took is None:
            return f"{text} <unavailable>\n" if result is None else text + "\n"
        seconds, rest = divmod(took // 1000, 1_000_000)
        return f"{text} <{seconds}.{rest:06d}>\n"

    def _exit(self, record: Record) -> str:
        status = record.result or 0
        self._processes.end(record.tid)
        low = status & 0x7F
        if low:
            core = " (core dumped)" if status & 0x80 else ""
            return f"{self._prefix(record)}+++ killed by {signal_name(low, self._signals)}{core} +++\n"
        return f"{self._prefix(record)}+++ exited with {status >> 8 & 0xFF} +++\n"

    def _prefix(self, record: Record) -> str:
        pid = f"{record.tid:<5} " if self.options.pids else ""
        stamp = self.options.stamp
        if not stamp:
            return pid
        begun_ns = record.start_ns if record.start_ns is not None else record.end_ns
        second, rest = divmod((begun_ns + self._epoch_ns) // 1000, 1_000_000)
        if second != self._second:
            self._second = second
            self._clock = (
                str(second) if stamp == "ttt" else time.strftime("%H:%M:%S", time.gmtime(second + self._offset_s))
            )
        return f"{pid}{self._clock} " if stamp == "t" else f"{pid}{self._clock}.{rest:06d} "
