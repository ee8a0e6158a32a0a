"""The tally of :mod:`straced.traces.analysis.tally`, counted by the native core.

The core counts the lines of calls. What else there is in a block comes back as places, and goes through the Python
tally, to whose figures those of the core are added.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterator

from msgspec import Struct

from straced.traces.analysis import error_calls, time_buckets
from straced.traces.analysis import tally as python_tally
from straced.traces.analysis.partial_counts import TallyResult, result_of
from straced.traces.analysis.tally import LineTally, TallyRow
from straced.traces.analysis.time_buckets import TimeBuckets
from straced.traces.native.library import NativeLibrary, check, flags_of
from straced.traces.native.packed import NativeSums
from straced.traces.parsing.line_format import Form

_BUCKETS = 136
_ALL_OF_IT, _ITS_TICK = 1 << 63, 1 << 62
_SPAN = struct.Struct("<QQQ")


class BlockFound(Struct):
    """What the tally of a block saw beside its figures."""

    lines: int
    births: list[int]
    """Where the lines begin that make tasks, each at its newline."""
    restarts: bool
    """Whether calls are interrupted in it, or go on."""


class NativeTally:
    """Feed it blocks of whole lines that begin and end with a newline, in order."""

    def __init__(self, library: NativeLibrary, form: Form, *, ticks: bool = False) -> None:
        self._library = library
        self._slow = LineTally(form)
        self._ticks = TimeBuckets.of(form) if ticks else None
        flags = (ctypes.c_int32 * 7)(*flags_of(form), self._ticks is not None)
        seed = int.from_bytes(os.urandom(8), "little")
        self._core = library.tally_new(flags, error_calls.BURST_KEYS, seed)
        check(-1 if self._core is None else 0)
        self._told = (ctypes.c_uint64 * 6)()

    def close(self) -> None:
        """Give its memory back."""
        if self._core is not None:
            core, self._core = self._core, None
            self._library.tally_free(core)

    __del__ = close

    def feed(self, block: bytes, first: int) -> BlockFound:
        """Count one block, whose first line has the number ``first``."""
        library, core, told = self._library, self._core, self._told
        lines = check(library.tally_feed(core, block, len(block), first, told))
        others, births, restarts, rows, names, ticks = told
        if others:
            self._others(block, list(_spans(library.tally_others(core), others)))
        found = BlockFound(
            lines,
            [start - 1 for start, _, _ in _spans(library.tally_births(core), births)] if births else [],
            restarts > 0,
        )
        slow = self._slow
        due = slow.passes(lines)
        if names > python_tally.MOST_ROWS or (due and rows + len(slow.rows) > python_tally.MOST_ROWS):
            self._take_rows()
        if due:
            slow.flush()
        if self._ticks is not None and ticks + len(self._ticks.counts) > time_buckets.TICK_KEYS:
            self._take_ticks(self._ticks)
            self._ticks.limit()
        return found

    def _others(self, block: bytes, spans: list[tuple[int, int, int]]) -> None:
        slow = self._slow
        for start, length, number in spans:
            place = start & ~(_ALL_OF_IT | _ITS_TICK)
            text = block[place : place + length]
            if start & _ALL_OF_IT:
                slow.count(b"\n" + text + b"\n", number)
            elif not start & _ITS_TICK:
                slow.other_line(number, text)
            elif self._ticks is not None:
                self._ticks.feed(b"\n" + text + b"\n")

    def finish(self) -> TallyResult:
        """Return the counts of all blocks."""
        self._take_rows()
        slow = self._slow
        slow.ticks = self._ticks
        if self._ticks is not None:
            self._take_ticks(self._ticks)
        bursts = slow.errors.bursts
        data = self._taken(self._library.tally_bursts)
        while data:
            key = data.text(), data.text(), data.text()
            count, line = data.words(2)
            before = bursts.get(key, [0, line])
            bursts[key] = [before[0] + count, min(before[1], line)]
        self.close()
        return result_of(slow)

    def _taken(self, function: Callable[..., int]) -> NativeSums:
        place = ctypes.c_void_p()
        length = check(function(self._core, ctypes.byref(place)))
        return NativeSums(ctypes.string_at(place, length) if length else b"")

    def _take_rows(self) -> None:
        """Move what the core has counted to the Python tally."""
        slow, data = self._slow, self._taken(self._library.tally_rows)
        names: list[str] = []
        for _ in range(data.word()):
            name = data.text().decode()
            names.append(name)
            if data.word():
                buckets = slow.histograms.setdefault(name, {})
                for place, count in enumerate(data.words(_BUCKETS)):
                    if count:
                        buckets[place] = buckets.get(place, 0) + count
        rows: list[TallyRow] = []
        for _ in range(data.word()):
            tid, name_place = data.words(2)
            other = TallyRow()
            other.calls, other.unfinished, other.resumed, other.no_return, other.timed, *rest = data.words(8)
            least, most, other.waited = rest
            other.sum_ns, other.waiting_ns = data.wide(), data.wide()
            if other.timed:
                other.min_ns, other.max_ns = least, most
            row = slow.rows.setdefault((tid, names[name_place]), other)
            if row is not other:
                row.add(other)
            rows.append(row)
        for _ in range(data.word()):
            place, errno, count = data.words(3)
            rows[place].fail(names[errno], count)

    def _take_ticks(self, ticks: TimeBuckets) -> None:
        data, counts = self._taken(self._library.tally_ticks), ticks.counts
        while data:
            tid, count = data.words(2)
            key = tid, data.text()
            counts[key] = counts.get(key, 0) + count


def _spans(place: int, count: int) -> Iterator[tuple[int, int, int]]:
    return _SPAN.iter_unpack(ctypes.string_at(place, count * _SPAN.size))
